//! `selvedge push`: a file or a folder becomes what a site serves. Contents that control does not
//! have are uploaded, and then everything is published by one request: clients see the old site or
//! the new one, and a push that breaks off has changed nothing.

mod local;
mod notes;
mod plan;
mod upload;

use super::api::{Answer, Call};
use super::escape::path as escaped;
use super::fault::Fault;
use super::progress::{Progress, Unit};
use super::table::{count, plain};
use super::{Common, Session, revision, site};
use crate::process;
use http::{Method, StatusCode};
use notes::Notes;
use plan::{Fields, Local, Plan, Remote, Surplus};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use upload::Uploader;

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge push ./public --site docs\n  \
    selvedge push ./public --site docs --delete --dry-run\n  \
    selvedge push logo.png --site docs --prefix /img --cache-control 'max-age=86400'\n\n\
    What is the same at control is not sent. A push that breaks off has published nothing; the\n\
    same command goes on where it ended.";

/// Digests that are asked about in one request.
const BATCH: usize = 1000;
/// Paths that are shown before it is said how many more there are.
const SHOWN: usize = 20;
/// How long publishing may take beyond other requests.
const PUBLISH: Duration = Duration::from_secs(240);

/// What `push` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// The file or folder
    path: PathBuf,
    /// The site it becomes a part of
    #[arg(long, value_name = "NAME")]
    site: String,
    /// Where in the site it goes
    #[arg(long, value_name = "PATH", default_value = "/")]
    prefix: String,
    /// Remove what the site has below the prefix and the folder has not; says what, and asks
    #[arg(long)]
    delete: bool,
    /// Do not ask before removing
    #[arg(long)]
    yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Uploads at a time
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// The Cache-Control of what is pushed
    #[arg(long, value_name = "VALUE")]
    cache_control: Option<String>,
    /// A tag of what is pushed, for purges; may be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// The media type, of a single file
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// From this size on a file goes in pieces, and goes on after a break
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = bytes_of)]
    resumable_from: u64,
}

fn bytes_of(text: &str) -> Result<u64, String> {
    selvedge_config::ByteSize::parse(text).map(selvedge_config::ByteSize::bytes)
}

/// Does what `push` was asked for.
pub(super) async fn run(session: Session, args: &PushArgs) -> Result<(), Fault> {
    let is_folder = args.path.is_dir();
    if args.content_type.is_some() && is_folder {
        return Err(Fault::usage("--content-type is for a single file"));
    }
    if args.delete && !is_folder {
        return Err(Fault::usage("--delete is for a folder"));
    }
    let prefix = prefix(&args.prefix)?;
    let files = digested(&args.path, &prefix)?;
    if files.is_empty() && args.delete {
        // A build that failed leaves an empty folder, not the wish for an empty site.
        return Err(Fault::usage(format!(
            "{} is empty: --delete would remove everything; nothing was done",
            args.path.display()
        )));
    }
    let below = match (is_folder, files.first()) {
        (false, Some(file)) => file.path.clone(),
        _ => prefix,
    };
    let remote = remote(&session, &args.site, &below).await?;
    let fields = Fields {
        content_type: args.content_type.clone(),
        cache_control: args.cache_control.clone(),
        tags: args.tag.clone(),
    };
    let surplus = if args.delete { Surplus::Remove } else { Surplus::Keep };
    let plan = Plan::new(files, &remote, &fields, surplus);
    if args.dry_run {
        dry_run(&session, &plan);
        return Ok(());
    }
    if plan.is_empty() {
        finish(&session, &plan, None)?;
        return Ok(());
    }
    agree(&plan, args)?;
    publish(session, plan, &fields, args).await
}

/// With a slash at both ends, so that `/docs` is not also `/docs-old`.
fn prefix(text: &str) -> Result<String, Fault> {
    if text.contains(['?', '#']) {
        return Err(Fault::usage(format!("--prefix {text:?} is not the path of a URL")));
    }
    let inner = text.trim_matches('/');
    Ok(if inner.is_empty() { "/".to_owned() } else { escaped(&format!("/{inner}/")) })
}

fn digested(path: &std::path::Path, prefix: &str) -> Result<Vec<Local>, Fault> {
    let walk = local::walk(path, prefix)?;
    if walk.dotted > 0 {
        let dotted = count(walk.dotted, "file");
        process::say(&format!(
            "{dotted} whose name or folder begins with a dot will be public too"
        ));
    }
    if walk.odd > 0 {
        process::say(&format!("{} are no files; left out", walk.odd));
    }
    let read = AtomicU64::new(0);
    let shown = |bytes: u64| {
        let before = read.fetch_add(bytes, Ordering::Relaxed);
        // A word now and then is enough.
        if before >> 26 != (before + bytes) >> 26 {
            process::progress(&format!("reading: {}", crate::look::bytes(before + bytes)));
        }
    };
    let files = local::digest(walk.found, &shown);
    process::progress_ends();
    files
}

async fn remote(session: &Session, name: &str, below: &str) -> Result<Vec<Remote>, Fault> {
    let path = format!("{}/objects", site::of(name));
    let items = session.api.list(&path, &[("prefix", Some(below))], None).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let objects = items.iter().map(|item| Remote {
        path: text(&item["path"]).unwrap_or_default(),
        sha256: text(&item["sha256"]).unwrap_or_default(),
        content_type: text(&item["content_type"]),
        cache_control: text(&item["cache_control"]),
        tags: item["tags"].as_array().into_iter().flatten().filter_map(text).collect(),
    });
    Ok(objects.filter(|object| object.path.starts_with(below)).collect())
}

fn dry_run(session: &Session, plan: &Plan) {
    let put: Vec<&str> = plan.put.iter().map(|file| file.path.as_str()).collect();
    if session.json {
        let plan = json!({
            "dry_run": true,
            "put": put,
            "remove": plan.remove,
            "unchanged": plan.unchanged,
        });
        process::print(&plan.to_string());
        return;
    }
    let put = put.iter().map(|path| format!("put     {}\n", plain(path)));
    let remove = plan.remove.iter().map(|path| format!("remove  {}\n", plain(path)));
    let lines: String = put.chain(remove).collect();
    process::print(&format!("{lines}{}, nothing was done", summary(plan)));
}

fn summary(plan: &Plan) -> String {
    format!(
        "{} new, {} changed, {} unchanged, {} removed",
        plan.new,
        plan.put.len() - plan.new,
        plan.unchanged,
        plan.remove.len()
    )
}

/// Says what would go, and asks whether it shall.
fn agree(plan: &Plan, args: &PushArgs) -> Result<(), Fault> {
    if plan.remove.is_empty() {
        return Ok(());
    }
    let shown = plan.remove.iter().take(SHOWN).map(|path| format!("  {}\n", plain(path)));
    let mut text = format!("to be removed from {}:\n", args.site);
    text.extend(shown);
    if plan.remove.len() > SHOWN {
        text.push_str(&format!("  and {} more\n", plan.remove.len() - SHOWN));
    }
    process::say(text.trim_end());
    if args.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Fault::usage("nobody is there to ask: --yes removes it; nothing was done"));
    }
    process::say(&format!("remove {}? [y/N]", count(plan.remove.len(), "object")));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Fault::wrong("nothing was done")),
    }
}

/// Uploads what is missing, and publishes. What control lost in between is uploaded once more.
async fn publish(
    session: Session,
    plan: Plan,
    fields: &Fields,
    args: &PushArgs,
) -> Result<(), Fault> {
    let Session { api, json } = session;
    let site = site::of(&args.site);
    let notes = Notes::new(&api.control(), &args.site);
    let resumable_bytes = args.resumable_from.max(1);
    let uploader = Rc::new(Uploader { api, site: site.clone(), notes, resumable_bytes });
    let mut missing = missing(&uploader, &plan).await?;
    let mut is_again = false;
    let answer = loop {
        upload(&uploader, &plan, &missing, args.jobs).await?;
        let call = Call::new(Method::POST, format!("{site}/publish"));
        let call = call.json(change(&plan, fields)).patience(PUBLISH);
        match uploader.api.call(&call).await {
            Ok(answer) => break answer,
            Err(fault) if fault.status() == Some(StatusCode::CONFLICT) && !is_again => {
                missing = names(fault.member("missing"));
                if missing.is_empty() {
                    return Err(fault);
                }
                is_again = true;
            }
            Err(fault) => return Err(fault),
        }
    };
    let say = Shown { json, uploaded: missing.len() };
    say.finish(&plan, Some(&answer))
}

/// Which contents control does not have.
async fn missing(uploader: &Uploader, plan: &Plan) -> Result<BTreeSet<String>, Fault> {
    let contents = plan.contents();
    let digests: Vec<&str> = contents.keys().copied().collect();
    let mut missing = BTreeSet::new();
    for batch in digests.chunks(BATCH) {
        let call = Call::new(Method::POST, format!("{}/blobs/missing", uploader.site));
        let answer = uploader.api.call(&call.json(json!({ "sha256": batch }))).await?.json()?;
        missing.extend(names(answer.get("missing")));
    }
    Ok(missing)
}

fn names(list: Option<&Value>) -> BTreeSet<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Several at a time, the large ones first: a large one that begins last would be waited for alone.
async fn upload(
    uploader: &Rc<Uploader>,
    plan: &Plan,
    missing: &BTreeSet<String>,
    jobs: u8,
) -> Result<(), Fault> {
    let contents = plan.contents().into_values();
    let mut files: Vec<Local> =
        contents.filter(|file| missing.contains(&file.sha256)).cloned().collect();
    if files.is_empty() {
        return Ok(());
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    let total = files.iter().map(|file| file.bytes).sum::<u64>();
    process::say(&format!(
        "uploading {}, {}",
        count(files.len(), "file"),
        crate::look::bytes(total)
    ));
    let progress = Progress::new("uploading", total, Unit::Bytes);
    let waiting = Rc::new(RefCell::new(VecDeque::from(files)));
    let mut tasks = JoinSet::new();
    for _ in 0..jobs {
        let (uploader, progress) = (Rc::clone(uploader), progress.clone());
        let waiting = Rc::clone(&waiting);
        tasks.spawn_local(async move {
            loop {
                let next = waiting.borrow_mut().pop_front();
                let Some(file) = next else { return Ok(()) };
                uploader.upload(&file, &progress).await?;
            }
        });
    }
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(Fault::wrong(error.to_string())));
        if ended.is_err() {
            // The others stop where they are.
            tasks.abort_all();
            result = result.and(ended);
        }
    }
    progress.end();
    result
}

/// All puts and removals in one change.
fn change(plan: &Plan, fields: &Fields) -> Value {
    let put = plan.put.iter().map(|file| {
        let mut put = json!({ "path": file.path, "sha256": file.sha256 });
        if let Some(content_type) = &fields.content_type {
            put["content_type"] = json!(content_type);
        }
        if let Some(cache_control) = &fields.cache_control {
            put["cache_control"] = json!(cache_control);
        }
        if !fields.tags.is_empty() {
            put["tags"] = json!(fields.tags);
        }
        put
    });
    json!({ "put": put.collect::<Vec<_>>(), "remove": plan.remove })
}

/// How the end is shown.
struct Shown {
    json: bool,
    uploaded: usize,
}

impl Shown {
    fn finish(&self, plan: &Plan, answer: Option<&Answer>) -> Result<(), Fault> {
        let value = answer.map(Answer::json).transpose()?.unwrap_or(Value::Null);
        let revision = answer.and_then(|answer| revision(answer, &value));
        if self.json {
            let done = json!({
                "put": plan.put.len(),
                "uploaded": self.uploaded,
                "unchanged": plan.unchanged,
                "removed": plan.remove.len(),
                "revision": value.get("revision").cloned().unwrap_or_default(),
            });
            process::print(&done.to_string());
            return Ok(());
        }
        let revision = match revision {
            Some(revision) => format!(" (revision {revision})"),
            None => ", nothing to do".to_owned(),
        };
        process::print(&format!("{}{revision}", summary(plan)));
        Ok(())
    }
}

fn finish(session: &Session, plan: &Plan, answer: Option<&Answer>) -> Result<(), Fault> {
    Shown { json: session.json, uploaded: 0 }.finish(plan, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_folder() {
        for (given, meant) in
            [("/", "/"), ("", "/"), ("docs", "/docs/"), ("/docs/", "/docs/"), ("/a b", "/a%20b/")]
        {
            assert_eq!(prefix(given).unwrap(), meant);
        }
        assert!(prefix("/a?b").is_err());
    }

    #[test]
    fn everything_is_one_change() {
        let file =
            Local { file: "f".into(), path: "/a".to_owned(), bytes: 1, sha256: "aa".to_owned() };
        let plan = Plan { put: vec![file], new: 1, unchanged: 3, remove: vec!["/b".to_owned()] };
        let fields = Fields { cache_control: Some("no-cache".to_owned()), ..Fields::default() };
        let expected = json!({
            "put": [{ "path": "/a", "sha256": "aa", "cache_control": "no-cache" }],
            "remove": ["/b"],
        });
        assert_eq!(change(&plan, &fields), expected);
        assert_eq!(summary(&plan), "1 new, 0 changed, 3 unchanged, 1 removed");
    }
}
