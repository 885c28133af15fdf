//! Running jobs: on one worker of control, with its own connections to nodes.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, header};
use http_body::Body as _;
use selvedge_feed::Member;
use selvedge_net::{Client, Deadlines, OutgoingBody, Reply, Reuse, Target};
use selvedge_policy::Scheme;
use tokio::sync::Semaphore;

use super::expand::{self, Limits, Named};
use super::plan::{Nodes, Wanted, wanted};
use super::{Job, JobState, Outcome, Source, URL_BYTES_MAX, URLS_BYTES_MAX, URLS_MAX};
use crate::api::App;

/// Jobs that run side by side.
const JOBS_TOGETHER: usize = 4;
/// URLs of a job that are asked for side by side.
const URLS_TOGETHER: usize = 16;
/// Documents that are looked into for one job.
const DOCUMENTS_MAX: usize = 200;
/// Bytes of a sitemap or manifest.
const DOCUMENT_BYTES_MAX: usize = 50 << 20;
/// Bytes of one that is read on the worker itself.
const EXPAND_HERE_BYTES: usize = 64 << 10;
/// Time for a node to begin and to go on.
const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(60),
    idle: Duration::from_secs(30),
};

/// Runs the jobs that are ordered, for ever.
pub(crate) async fn run(app: App, client: Client) {
    let Some(mut queue) = app.jobs.take_queue() else { return };
    let places = Rc::new(Semaphore::new(JOBS_TOGETHER));
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                Some(job) => running.push(run_one(&app, &client, job, Rc::clone(&places))),
                None => return,
            },
            Some(()) = running.next() => {}
        }
    }
}

async fn run_one(app: &App, client: &Client, job: Arc<Job>, places: Rc<Semaphore>) {
    let Ok(_place) = places.acquire().await else { return };
    if job.is_cancelled() {
        return;
    }
    job.update(|progress| progress.state = JobState::Running);
    let ended = match urls(app, client, &job).await {
        Err(error) => {
            job.update(|progress| progress.error = Some(error));
            JobState::Failed
        }
        Ok(urls) => {
            ask_all(app, client, &job, urls).await;
            if job.is_cancelled() { JobState::Cancelled } else { JobState::Done }
        }
    };
    job.update(|progress| progress.state = ended);
    job.look(|progress| {
        let (done, failed) = (progress.done, progress.failed);
        tracing::info!(job = %job.id, done, failed, "prefetch ended");
    });
}

/// The URLs of a job; of a sitemap or manifest those that it names.
async fn urls(app: &App, client: &Client, job: &Job) -> Result<Named, String> {
    let mut all = Named::default();
    let (first, is_sitemap) = match &job.source {
        Source::List(urls) => {
            urls.iter().for_each(|url| all.add(url));
            return Ok(all);
        }
        Source::Sitemap(url) => (url, true),
        Source::Manifest(url) => (url, false),
    };
    if !is_sitemap {
        all.add(first);
    }
    let (mut documents, mut at) = (vec![first.clone()], 0);
    while let Some(url) = documents.get(at).cloned() {
        at += 1;
        let text = document(app, client, job, &url).await?;
        let known = all.urls.len() + all.dropped.len();
        let limits = Limits {
            urls: URLS_MAX.saturating_sub(known),
            bytes: URLS_BYTES_MAX.saturating_sub(all.bytes),
        };
        let named = expanded(url.clone(), text, is_sitemap, limits).await;
        let mut named = named.map_err(|error| format!("{url}: {error}"))?;
        all.bytes += named.bytes;
        all.urls.append(&mut named.urls);
        all.dropped.append(&mut named.dropped);
        for url in named.more {
            if !documents.contains(&url) && documents.len() < DOCUMENTS_MAX {
                documents.push(url);
            }
        }
        if job.is_cancelled() {
            break;
        }
    }
    all.urls.sort_unstable();
    all.urls.dedup();
    Ok(all)
}

/// What a document names. A long one is read beside the worker, which has others to serve.
async fn expanded(
    url: String,
    text: String,
    is_sitemap: bool,
    limits: Limits,
) -> Result<Named, String> {
    let is_long = text.len() > EXPAND_HERE_BYTES;
    let expand = move || {
        let expand = if is_sitemap { expand::sitemap } else { expand::manifest };
        expand(&url, &text, limits)
    };
    if !is_long {
        return expand();
    }
    let read = tokio::task::spawn_blocking(expand).await;
    read.map_err(|_| "could not be read".to_owned())?
}

/// The text at a URL, through the first node that is to be asked for it.
async fn document(app: &App, client: &Client, job: &Job, url: &str) -> Result<String, String> {
    let (wanted, nodes) = plan(app, job, url)?;
    let node = nodes.first().ok_or_else(|| format!("{url}: no node can be asked"))?;
    let fail = |error: String| format!("{url}: {error}");
    let mut reply = send(client, node, &wanted).await.map_err(fail)?;
    let status = reply.response.status();
    if !status.is_success() {
        return Err(fail(format!("answered {status}")));
    }
    let mut text = Vec::new();
    while let Some(piece) = next(&mut reply).await {
        text.extend_from_slice(&piece.map_err(fail)?);
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(fail(format!("is longer than {DOCUMENT_BYTES_MAX} bytes")));
        }
    }
    String::from_utf8(text).map_err(|_| fail("is not UTF-8".to_owned()))
}

/// What a URL is and whom to ask for it, if the job may ask for it.
fn plan(app: &App, job: &Job, url: &str) -> Result<(Wanted, Vec<Arc<Member>>), String> {
    let state = app.desk.state();
    let wanted = wanted(&state, url).map_err(|error| format!("{url}: {error}"))?;
    if job.sites.as_ref().is_some_and(|sites| !sites.contains(&wanted.site)) {
        return Err(format!("{url}: the token is not for site {:?}", wanted.site));
    }
    let now_ms = app.clock.now_mono_ms();
    let lives = |name: &str| app.fleet.seen(name).is_some_and(|seen| seen.lives(now_ms));
    let nodes = Nodes::new(&state, lives, job.tier, job.region.as_deref());
    let nodes = nodes.of(&wanted);
    Ok((wanted, nodes))
}

async fn ask_all(app: &App, client: &Client, job: &Arc<Job>, named: Named) {
    let Named { urls, dropped, .. } = named;
    job.update(|progress| {
        progress.total = urls.len() + dropped.len();
        (progress.done, progress.failed) = (dropped.len(), dropped.len());
        let error = format!("is longer than {URL_BYTES_MAX} bytes");
        progress.add(dropped.into_iter().map(|url| Outcome::nothing(url, &error)));
    });
    let mut pace = tokio::time::interval(Duration::from_secs(1) / job.rate.max(1));
    let mut running = FuturesUnordered::new();
    for url in urls {
        pace.tick().await;
        if job.is_cancelled() {
            break;
        }
        while running.len() >= URLS_TOGETHER {
            running.next().await;
        }
        running.push(ask(app, client, job, url));
    }
    while running.next().await.is_some() {}
}

/// Asks every node that is to have a URL, one after the other: the parent first.
async fn ask(app: &App, client: &Client, job: &Job, url: String) {
    let mut outcomes = Vec::new();
    match plan(app, job, &url) {
        Err(error) => outcomes.push(Outcome::nothing(url, &error)),
        Ok((_, nodes)) if nodes.is_empty() => {
            let error = "no node is live, online and reachable";
            outcomes.push(Outcome::nothing(url, error));
        }
        Ok((wanted, nodes)) => {
            for node in nodes {
                outcomes.push(ask_one(app, client, &node, &wanted).await);
            }
        }
    }
    job.update(|progress| {
        progress.done += 1;
        progress.failed += usize::from(outcomes.iter().any(Outcome::is_failure));
        progress.bytes += outcomes.iter().map(|outcome| outcome.bytes).sum::<u64>();
        progress.add(outcomes);
    });
}

async fn ask_one(app: &App, client: &Client, node: &Member, wanted: &Wanted) -> Outcome {
    let began_ms = app.clock.now_mono_ms();
    let mut outcome = Outcome {
        url: wanted.url.clone(),
        node: Some(node.name.clone()),
        status: None,
        cache: None,
        bytes: 0,
        ms: 0,
        error: None,
    };
    match send(client, node, wanted).await {
        Err(error) => outcome.error = Some(error),
        Ok(mut reply) => {
            outcome.status = Some(reply.response.status().as_u16());
            let lines = reply.response.headers().get_all("cache-status").iter();
            let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
            outcome.cache = (!lines.is_empty()).then(|| lines.join(", "));
            while let Some(piece) = next(&mut reply).await {
                match piece {
                    Ok(bytes) => outcome.bytes += bytes.len() as u64,
                    Err(error) => outcome.error = Some(error),
                }
            }
        }
    }
    outcome.ms = app.clock.now_mono_ms().saturating_sub(began_ms);
    outcome
}

/// Asks a node as a client would. A node believes whoever it trusts about the scheme.
async fn send(client: &Client, node: &Member, wanted: &Wanted) -> Result<Reply, String> {
    let url = node.urls.first().ok_or("the node has no URL")?;
    let target = Target::parse(url).ok_or_else(|| format!("{url:?} is no URL of a node"))?;
    let scheme = match wanted.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let req = Request::builder()
        .uri(&wanted.target)
        .header(header::HOST, &wanted.host)
        .header(header::USER_AGENT, "selvedge-prefetch")
        .header("x-forwarded-proto", scheme)
        .body(OutgoingBody::empty())
        .map_err(|error| error.to_string())?;
    let sent = client.send(&target, req, &DEADLINES, Reuse::Pooled).await;
    sent.map_err(|failure| failure.error.to_string())
}

async fn next(reply: &mut Reply) -> Option<Result<bytes::Bytes, String>> {
    let body = reply.response.body_mut();
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await? {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => return Some(Ok(bytes)),
                Err(_trailers) => {}
            },
            Err(error) => return Some(Err(error.to_string())),
        }
    }
}
