//! `selvedge prefetch`: has the nodes fetch URLs before clients ask, and follows how far they are.

use super::api::{Answer, Call};
use super::escape::segment;
use super::fault::{Fault, Kind};
use super::progress::{Progress, Unit};
use super::table::{Table, cell, moment, size};
use super::{Common, Session};
use crate::process;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge prefetch https://www.shop.test/film.mp4 --region eu --wait\n  \
    selvedge prefetch --sitemap https://www.shop.test/sitemap.xml --rate 50\n  \
    selvedge prefetch list\n\n\
    With --wait the exit code is 1 if something could not be fetched.";

/// How often a job is looked at, and for how long at most.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS_MAX: u32 = 7 * 24 * 3600 * 2;
/// Lines of results that are shown.
const RESULTS_MAX: usize = 100_000;

/// What `prefetch` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct PrefetchArgs {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    command: Option<PrefetchCommand>,
    #[command(flatten)]
    begin: Begin,
}

/// What to fetch, and how.
#[derive(Debug, clap::Args)]
struct Begin {
    /// URLs, with their host
    #[arg(value_name = "URL")]
    url: Vec<String>,
    /// All URLs of a sitemap
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "manifest"])]
    sitemap: Option<String>,
    /// All that an HLS or DASH manifest names
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    manifest: Option<String>,
    /// Only nodes of this region
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Only this tier
    #[arg(long, value_parser = ["parents", "edges"])]
    tier: Option<String>,
    /// Most requests a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Wait for the end, and show what came of each URL
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, clap::Subcommand)]
enum PrefetchCommand {
    /// All jobs
    List,
    /// One job, and what came of each URL
    Show {
        /// The job
        id: String,
    },
    /// End a job
    Cancel {
        /// The job
        id: String,
    },
}

/// Does what `prefetch` was asked for.
pub(super) async fn run(session: &Session, args: &PrefetchArgs) -> Result<(), Fault> {
    if args.command.is_some() && body(&args.begin).is_ok() {
        return Err(Fault::usage("URLs and a verb do not go together"));
    }
    match &args.command {
        None => begin(session, &args.begin).await,
        Some(PrefetchCommand::List) => {
            let items = session.api.list("/v1/prefetch", &[], None).await?;
            session.show_list(&items, jobs, "there are no jobs");
            Ok(())
        }
        Some(PrefetchCommand::Show { id }) => {
            let job = session.api.get(&of(id)).await?;
            report(session, id, &job).await
        }
        Some(PrefetchCommand::Cancel { id }) => {
            let answer = session.api.call(&Call::new(Method::DELETE, of(id))).await?;
            session.done(&answer, &format!("{id} is cancelled"))
        }
    }
}

fn of(id: &str) -> String {
    format!("/v1/prefetch/{}", segment(id))
}

async fn begin(session: &Session, begin: &Begin) -> Result<(), Fault> {
    let call = Call::new(Method::POST, "/v1/prefetch").json(body(begin)?);
    let answer = session.api.call(&call).await?;
    let value = answer.json()?;
    let id = value.get("id").map(cell);
    let id = id.ok_or_else(|| Fault::new(Kind::Unavailable, "control did not name the job"))?;
    if !begin.wait {
        return session.show(&answer, |_| {
            format!("job {id} is begun; `selvedge prefetch show {id}` says how far it is")
        });
    }
    process::say(&format!("job {id} is begun"));
    let job = follow(session, &id).await?;
    report(session, &id, &job).await?;
    let job = job.json()?;
    match (job["failed"].as_u64().unwrap_or(0), job["state"].as_str()) {
        (0, Some("done") | None) => Ok(()),
        (0, Some(state)) => Err(Fault::wrong(format!("the job is {state}"))),
        (failed, _) => Err(Fault::wrong(format!("{failed} could not be fetched"))),
    }
}

fn body(begin: &Begin) -> Result<Value, Fault> {
    let mut body = match (&begin.sitemap, &begin.manifest) {
        (Some(url), _) => json!({ "sitemap": url }),
        (None, Some(url)) => json!({ "manifest": url }),
        (None, None) if begin.url.is_empty() => {
            return Err(Fault::usage("what shall be fetched? URLs, --sitemap URL, --manifest URL"));
        }
        (None, None) => json!({ "urls": begin.url }),
    };
    for (name, value) in [("region", &begin.region), ("tier", &begin.tier)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    if let Some(rate) = begin.rate {
        body["rate"] = json!(rate);
    }
    Ok(body)
}

/// Looks at a job until it ends.
async fn follow(session: &Session, id: &str) -> Result<Answer, Fault> {
    let progress = Progress::new("fetching", 0, Unit::Things);
    for _ in 0..LOOKS_MAX {
        let answer = session.api.get(&of(id)).await?;
        let job = answer.json()?;
        let number = |name: &str| job[name].as_u64().unwrap_or(0);
        progress.at(number("done") + number("failed"), number("total"));
        if job["state"].as_str() != Some("running") {
            progress.end();
            return Ok(answer);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Fault::new(Kind::TryAgain, "the job takes more than a week"))
}

/// The job and its results.
async fn report(session: &Session, id: &str, job: &Answer) -> Result<(), Fault> {
    let path = format!("{}/results", of(id));
    let results = session.api.list(&path, &[], Some(RESULTS_MAX)).await?;
    if session.json {
        let mut job = job.json()?;
        job["results"] = json!(results);
        process::print(&job.to_string());
        return Ok(());
    }
    let mut table = Table::new(&["url", "node", ">status", "cache", ">bytes", ">ms", "error"]);
    for result in &results {
        table.row(vec![
            cell(&result["url"]),
            cell(&result["node"]),
            cell(&result["status"]),
            cell(&result["cache"]),
            size(&result["bytes"]),
            cell(&result["ms"]),
            result["error"].as_str().unwrap_or_default().to_owned(),
        ]);
    }
    if !table.is_empty() {
        process::print(&table.text());
    }
    process::print(&jobs(&[job.json()?]).text());
    Ok(())
}

fn jobs(items: &[Value]) -> Table {
    let mut table = Table::new(&["id", "state", ">total", ">done", ">failed", ">bytes", "begun"]);
    for job in items {
        table.row(vec![
            cell(&job["id"]),
            cell(&job["state"]),
            cell(&job["total"]),
            cell(&job["done"]),
            cell(&job["failed"]),
            size(&job["bytes"]),
            moment(job, "created"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PrefetchArgs,
    }

    #[test]
    fn urls_and_verbs_are_told_apart() {
        let read = |words: &[&str]| {
            Line::try_parse_from([&["prefetch"], words].concat()).map(|line| line.args)
        };
        let args = read(&["http://a/b", "--rate", "5", "--tier", "edges"]).unwrap();
        let expected = json!({ "urls": ["http://a/b"], "rate": 5, "tier": "edges" });
        assert_eq!(body(&args.begin).unwrap(), expected);
        assert!(matches!(read(&["list"]).unwrap().command, Some(PrefetchCommand::List)));
        let args = read(&["--sitemap", "http://a/s.xml"]).unwrap();
        assert_eq!(body(&args.begin).unwrap(), json!({ "sitemap": "http://a/s.xml" }));
        assert!(read(&["--json", "list"]).unwrap().command.is_some());
        assert!(body(&read(&[]).unwrap().begin).is_err());
        assert!(read(&["http://a/b", "--sitemap", "http://a/s.xml"]).is_err());
    }
}
