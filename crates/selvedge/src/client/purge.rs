//! `selvedge purge`: takes something out of every cache, and can wait until every node has done so.

use super::api::Call;
use super::escape::with_query;
use super::fault::Fault;
use super::table::{cell, count};
use super::{Common, Session};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge purge https://www.shop.test/a https://www.shop.test/b\n  \
    selvedge purge --site shop --tag product-7 --tag product-8 --wait\n  \
    selvedge purge --prefix https://www.shop.test/img/ --soft\n\n\
    With --wait the exit code is 1 if a live node has not applied it in time.";

/// What `purge` needs.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// URLs, with their host
    #[arg(value_name = "URL", group = "what")]
    url: Vec<String>,
    /// Responses of --site with this tag; may be given several times
    #[arg(long, value_name = "TAG", group = "what", requires = "site")]
    tag: Vec<String>,
    /// The site that --tag or --all is about
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// URLs that begin so, with their host; may be given several times
    #[arg(long, value_name = "URL", group = "what")]
    prefix: Vec<String>,
    /// All URLs of a host; may be given several times
    #[arg(long, value_name = "HOST", group = "what")]
    host: Vec<String>,
    /// All of --site
    #[arg(long, group = "what", requires = "site")]
    all: bool,
    /// All of all sites
    #[arg(long, group = "what", conflicts_with_all = ["url", "tag", "prefix", "host", "all"])]
    everything: bool,
    /// Let it become stale rather than gone: it is served while a fresh one is fetched
    #[arg(long)]
    soft: bool,
    /// Wait until every live node has applied it, 60s at most [default: 10s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
          default_missing_value = "10s", value_parser = wait_of)]
    wait: Option<Duration>,
}

/// How long control waits at most.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn wait_of(text: &str) -> Result<Duration, String> {
    match selvedge_config::duration(text)? {
        wait if wait.is_zero() || wait > WAIT_MAX => Err("control waits 1ms to 60s".to_owned()),
        wait => Ok(wait),
    }
}

/// Does what `purge` was asked for.
pub(super) async fn run(session: &Session, args: &PurgeArgs) -> Result<(), Fault> {
    let timeout = args.wait.map(|wait| format!("{}ms", wait.as_millis()));
    let wait = timeout.as_ref().map(|_| "acks");
    let path = with_query("/v1/purge", &[("wait", wait), ("timeout", timeout.as_deref())]);
    let call = Call::new(Method::POST, path).json(body(args)?);
    let call = call.patience(args.wait.unwrap_or_default());
    let answer = session.api.call(&call).await?;
    session.show(&answer, |value| shown(args, value))?;
    let value = answer.json()?;
    if args.wait.is_none() {
        return Ok(());
    }
    let Some(missing) = value.pointer("/acks/missing").and_then(Value::as_array) else {
        return Err(Fault::wrong("control does not say which nodes have applied it"));
    };
    match missing.len() {
        0 => Ok(()),
        number => Err(Fault::wrong(format!("{} did not apply it in time", count(number, "node")))),
    }
}

fn body(args: &PurgeArgs) -> Result<Value, Fault> {
    if args.site.is_some() && args.tag.is_empty() && !args.all {
        return Err(Fault::usage("--site alone says not what: --tag TAG, or --all of it"));
    }
    let mut body = json!({});
    for (name, list) in [
        ("urls", &args.url),
        ("tags", &args.tag),
        ("prefixes", &args.prefix),
        ("hosts", &args.host),
    ] {
        if !list.is_empty() {
            body[name] = json!(list);
        }
    }
    if let Some(site) = &args.site {
        if !args.tag.is_empty() {
            body["site"] = json!(site);
        }
        if args.all {
            body["sites"] = json!([site]);
        }
    }
    if args.everything {
        body["everything"] = json!(true);
    }
    if args.soft {
        body["soft"] = json!(true);
    }
    Ok(body)
}

fn shown(args: &PurgeArgs, value: &Value) -> String {
    let all = usize::from(args.all) + usize::from(args.everything);
    let number = args.url.len() + args.tag.len() + args.prefix.len() + args.host.len() + all;
    let word = if args.soft { "made stale" } else { "purged" };
    let revision = cell(&value["revision"]);
    let mut out = format!("{} {word} (revision {revision})\n", count(number, "target"));
    for (name, list) in [
        ("applied", value.pointer("/acks/applied")),
        ("not yet", value.pointer("/acks/missing")),
        ("away, will do so before it serves", value.pointer("/acks/away")),
    ] {
        if let Some(list) = list.filter(|list| list.as_array().is_none_or(|it| !it.is_empty())) {
            out.push_str(&format!("{name}: {}\n", cell(list)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PurgeArgs,
    }

    fn read(words: &[&str]) -> Result<PurgeArgs, String> {
        let line = Line::try_parse_from([&["purge"], words].concat());
        line.map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn targets_become_one_request() {
        let args = read(&["http://a/b", "--tag", "t", "--site", "s", "--soft"]).unwrap();
        let expected = json!({ "urls": ["http://a/b"], "tags": ["t"], "site": "s", "soft": true });
        assert_eq!(body(&args).unwrap(), expected);
        let args = read(&["--site", "s", "--all"]).unwrap();
        assert_eq!(body(&args).unwrap(), json!({ "sites": ["s"] }));
        let args = read(&["--everything", "--wait"]).unwrap();
        assert_eq!(args.wait, Some(Duration::from_secs(10)));
        assert_eq!(body(&args).unwrap(), json!({ "everything": true }));
        let args = read(&["--wait=2s", "http://a/b"]).unwrap();
        assert_eq!(args.wait, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_could_mean_more_than_was_meant_is_refused() {
        assert!(read(&["--everything", "--wait=2m"]).is_err());
        for words in
            [&[][..], &["--site", "s"], &["--tag", "t"], &["--all"], &["--everything", "http://a/"]]
        {
            let refused = read(words).map_or(true, |args| body(&args).is_err());
            assert!(refused, "{words:?}");
        }
    }
}
