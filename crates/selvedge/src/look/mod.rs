//! `selvedge cache`: what a node has stored and why it is or is not served. A running node is asked
//! at its admin listener; of a stopped one the disks are read.

mod remote;
mod report;
mod serve;
mod show;

use crate::cli::{CacheArgs, CacheCommand, CacheWhere};
use crate::prepare::{Trusted, prepare};
use crate::problem::Problem;
use crate::process;
use crate::role::Role;
use http::{Method, StatusCode};
pub(crate) use remote::Remote;
use report::{Inspection, List, Stat, Verification};
use serde::de::DeserializeOwned;
pub(crate) use serve::{Inspector, PATHS};
pub(crate) use show::bytes;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where an operator's node listens when neither option says so.
const ADMIN: &str = "127.0.0.1:9180";
/// How often a verification is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Does what `selvedge cache` was asked for.
pub(crate) fn run(args: &CacheArgs) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::System("cannot start", error))?;
    let source = Source::open(&args.at)?;
    let done = runtime.block_on(source.run(args));
    source.close();
    done
}

/// Who answers.
enum Source {
    /// A running node.
    Remote(Remote),
    /// The disks of a stopped one.
    Local(Inspector, Arc<selvedge_proxy::Node>),
}

impl Source {
    fn open(at: &CacheWhere) -> Result<Self, Problem> {
        match (&at.admin, &at.config) {
            (Some(address), _) => Ok(Self::Remote(Remote::new(address))),
            (None, Some(file)) => Self::of_config(file),
            (None, None) => Ok(Self::Remote(Remote::new(ADMIN))),
        }
    }

    /// The node of a configuration: itself if it runs, else its disks.
    fn of_config(file: &Path) -> Result<Self, Problem> {
        let trusted = Trusted::default();
        let prepared = prepare(file, Role::Parent, &trusted)?;
        if let Some(address) = prepared.config.admin.listen {
            let remote = Remote::new(&address.to_string());
            if remote.is_there() {
                return Ok(Self::Remote(remote));
            }
        }
        if prepared.config.cache.disk.is_empty() {
            return Err(Problem::NoAnswer(format!(
                "the node of {} does not run, and it has no disk to look at",
                file.display()
            )));
        }
        process::say("the node does not run; looking at its disks");
        let node = prepared.offline(&trusted)?;
        Ok(Self::Local(Inspector::new(Arc::clone(&node)), node))
    }

    async fn run(&self, args: &CacheArgs) -> Result<(), Problem> {
        match &args.command {
            CacheCommand::Stat => {
                let text = self.get("/cache/stat").await?;
                show_one(args.json, &text, |stat: &Stat| show::stat(stat))
            }
            CacheCommand::Inspect { url } => {
                let query = form_urlencoded::byte_serialize(url.as_bytes()).collect::<String>();
                let text = self.get(&format!("/cache/inspect?url={query}")).await?;
                show_one(args.json, &text, |found: &Vec<Inspection>| {
                    found.iter().map(show::inspection).collect::<Vec<_>>().join("\n")
                })
            }
            CacheCommand::List { site, prefix, limit } => {
                self.list(args.json, site.as_deref(), prefix.as_deref(), *limit).await
            }
            CacheCommand::Verify => self.verify(args.json).await,
        }
    }

    /// Page after page, as they come.
    async fn list(
        &self,
        json: bool,
        site: Option<&str>,
        prefix: Option<&str>,
        limit: usize,
    ) -> Result<(), Problem> {
        let mut left = limit;
        let mut from: Option<String> = None;
        loop {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &left.to_string());
            let pairs = [("site", site), ("prefix", prefix), ("from", from.as_deref())];
            for (name, value) in pairs {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            let text = self.get(&format!("/cache/list?{}", query.finish())).await?;
            let page: List = parse(&text)?;
            let mut out = String::new();
            for line in page.entries.iter().take(left) {
                let shown = match json {
                    true => serde_json::to_string(line).unwrap_or_default(),
                    false => show::line(line),
                };
                let _ = writeln!(out, "{shown}");
            }
            if !out.is_empty() {
                process::print(&out);
            }
            left = left.saturating_sub(page.entries.len());
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
            if left == 0 {
                process::say("there is more: a larger --limit shows it");
                return Ok(());
            }
        }
    }

    async fn verify(&self, json: bool) -> Result<(), Problem> {
        let mut state: Verification = parse(&self.ask(&Method::POST, "/cache/verify").await?)?;
        while state.running {
            tokio::time::sleep(LOOK).await;
            state = parse(&self.get("/cache/verify").await?)?;
            process::progress(&show::verification(&state));
        }
        process::progress_ends();
        match json {
            true => process::print(&serde_json::to_string(&state).unwrap_or_default()),
            false => process::print(&show::verification(&state)),
        }
        match state.bad {
            0 => Ok(()),
            bad => Err(Problem::Damaged(bad)),
        }
    }

    async fn get(&self, path: &str) -> Result<String, Problem> {
        self.ask(&Method::GET, path).await
    }

    async fn ask(&self, method: &Method, path_and_query: &str) -> Result<String, Problem> {
        let (status, text) = match self {
            Self::Remote(remote) => remote.ask(method, path_and_query)?,
            Self::Local(inspector, _) => {
                let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
                let answer = inspector.answer(method, path, query).await;
                answer.unwrap_or((StatusCode::NOT_FOUND, String::new()))
            }
        };
        if status.is_success() { Ok(text) } else { Err(refused(status, &text)) }
    }

    /// Lets go of the disks.
    fn close(&self) {
        if let Self::Local(_, node) = self {
            node.store().close();
        }
    }
}

fn show_one<T: DeserializeOwned>(
    json: bool,
    text: &str,
    show: impl FnOnce(&T) -> String,
) -> Result<(), Problem> {
    match json {
        true => process::print(text),
        false => process::print(&show(&parse(text)?)),
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| {
        Problem::NoAnswer(format!("what answered is no admin listener of this version: {error}"))
    })
}

fn refused(status: StatusCode, text: &str) -> Problem {
    let detail = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|fault| fault.get("detail")?.as_str().map(str::to_owned));
    Problem::NoAnswer(detail.unwrap_or_else(|| format!("the node answered {status}")))
}
