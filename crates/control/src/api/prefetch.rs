//! Prefetches: ordered, watched and cancelled.

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::App;
use super::bodies;
use super::caller::{Caller, Who};
use super::pages::{Items, Page, page};
use crate::prefetch::{Job, JobState, Outcome, Source, URL_BYTES_MAX, URLS_MAX, Where, Wish};
use crate::problem::{Problem, ProblemBody};
use crate::state::record::{Scope, TokenKind};
use std::sync::Arc;

/// URLs each second if it is not said.
const RATE: u32 = 20;
const RATE_MAX: u32 = 10_000;

/// What to prefetch: exactly one of `urls`, `sitemap` and `manifest`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPrefetch {
    /// URLs.
    urls: Option<Vec<String>>,
    /// The URL of a sitemap, or of an index of them.
    sitemap: Option<String>,
    /// The URL of an HLS playlist, a JSON list of URLs, or a text with a URL on each line.
    manifest: Option<String>,
    /// Only nodes of this region.
    region: Option<String>,
    /// `parents`: the parent that owns each URL. `edges`: that one, then the edges.
    #[serde(default)]
    tier: Where,
    /// URLs each second: 1 to 10000, 20 if not given.
    rate: Option<u32>,
}

/// How far a prefetch is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PrefetchLine {
    /// Its id.
    id: String,
    /// Where it stands.
    state: JobState,
    /// URLs in all; 0 until a sitemap or manifest has been read.
    total: usize,
    /// URLs that are done, failed ones included.
    done: usize,
    /// URLs that failed at some node.
    failed: usize,
    /// Bytes that nodes have sent.
    bytes: u64,
    /// Why it could not be begun.
    error: Option<String>,
    /// The token that ordered it.
    by: String,
    /// When, in milliseconds since 1970.
    created_ms: i64,
}

impl PrefetchLine {
    fn new(job: &Job) -> Self {
        job.look(|progress| Self {
            id: job.id.clone(),
            state: progress.state,
            total: progress.total,
            done: progress.done,
            failed: progress.failed,
            bytes: progress.bytes,
            error: progress.error.clone(),
            by: job.by.clone(),
            created_ms: job.created_ms,
        })
    }
}

/// Order a prefetch.
///
/// The answer comes at once; look at the job for what became of it.
#[utoipa::path(post, path = "/v1/prefetch", tag = "prefetch", request_body = NewPrefetch,
    responses((status = 202, body = PrefetchLine, description = "`Location` names the job"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn order(
    Ext(app): Ext<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let sites = limits(&caller)?;
    let (new, bytes): (NewPrefetch, _) = bodies::json(&headers, body).await?;
    let asker = caller.asker(&bytes);
    let source = match (new.urls, new.sitemap, new.manifest) {
        (Some(urls), None, None) if urls.is_empty() || urls.len() > URLS_MAX => {
            return Err(Problem::invalid(format!("`urls` must have 1 to {URLS_MAX} of them")));
        }
        (Some(urls), None, None) => Source::List(urls),
        (None, Some(url), None) | (None, None, Some(url)) if url.len() > URL_BYTES_MAX => {
            let detail = format!("a URL may have {URL_BYTES_MAX} bytes at most");
            return Err(Problem::invalid(detail));
        }
        (None, Some(url), None) => Source::Sitemap(url),
        (None, None, Some(url)) => Source::Manifest(url),
        _ => return Err(Problem::invalid("give one of `urls`, `sitemap` and `manifest`")),
    };
    let rate = new.rate.unwrap_or(RATE);
    if !(1..=RATE_MAX).contains(&rate) {
        return Err(Problem::invalid(format!("`rate` must be 1 to {RATE_MAX}")));
    }
    let job = app.jobs.order(Wish {
        source,
        tier: new.tier,
        region: new.region,
        rate,
        sites,
        by: asker.by,
        now_ms: app.clock.now_wall_ms(),
        once: asker.once,
    })?;
    let place = format!("/v1/prefetch/{}", job.id);
    let line = axum::Json(PrefetchLine::new(&job));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], line).into_response())
}

/// The prefetches, newest first.
#[utoipa::path(get, path = "/v1/prefetch", tag = "prefetch", params(Page), responses(
    (status = 200, body = Items<PrefetchLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<PrefetchLine>>, Problem> {
    let limit = asked.limit()?;
    let own = limits(&caller)?;
    let is_before = |job: &Arc<Job>| asked.after.as_ref().is_none_or(|after| job.id < *after);
    let jobs = app.jobs.newest_first();
    let jobs = jobs.iter().filter(|job| is_before(job) && may_look(job, own.as_deref()));
    Ok(axum::Json(page(jobs, limit, |job| job.id.clone(), |job| PrefetchLine::new(job))))
}

/// A prefetch.
#[utoipa::path(get, path = "/v1/prefetch/{id}", tag = "prefetch",
    params(("id" = String, Path, description = "The id of the job")), responses(
    (status = 200, body = PrefetchLine),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<PrefetchLine>, Problem> {
    Ok(axum::Json(PrefetchLine::new(&*find(&app, &caller, &id)?)))
}

/// What came of each URL of a prefetch.
#[utoipa::path(get, path = "/v1/prefetch/{id}/results", tag = "prefetch",
    params(("id" = String, Path, description = "The id of the job"), Page), responses(
    (status = 200, body = Items<Outcome>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn results(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<Outcome>>, Problem> {
    let (job, limit) = (find(&app, &caller, &id)?, asked.limit()?);
    let first = match &asked.after {
        None => 0,
        Some(after) => after.parse().map_err(|_| Problem::invalid("`after` is not a number"))?,
    };
    let items = job.look(|progress| {
        let all = progress.results.iter().enumerate().skip(first);
        page(all, limit, |(at, _)| (at + 1).to_string(), |(_, outcome)| outcome.clone())
    });
    Ok(axum::Json(items))
}

/// Cancel a prefetch.
///
/// What is under way is finished, nothing more is asked for.
#[utoipa::path(delete, path = "/v1/prefetch/{id}", tag = "prefetch",
    params(("id" = String, Path, description = "The id of the job")), responses(
    (status = 200, body = PrefetchLine),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn cancel(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<PrefetchLine>, Problem> {
    let job = find(&app, &caller, &id)?;
    job.cancel();
    Ok(axum::Json(PrefetchLine::new(&job)))
}

fn find(app: &App, caller: &Caller, id: &str) -> Result<Arc<Job>, Problem> {
    let own = limits(caller)?;
    let job = app.jobs.find(id).filter(|job| may_look(job, own.as_deref()));
    job.ok_or_else(|| Problem::not_found("prefetch", id))
}

/// The sites that a caller who may prefetch is limited to.
fn limits(caller: &Caller) -> Result<Option<Vec<String>>, Problem> {
    if let Who::Api(token) = &caller.who
        && let TokenKind::Api { sites: Some(sites), .. } = &token.kind
    {
        // Each of them counts: the URLs are looked at one by one.
        let first = sites.first().map_or("", String::as_str);
        caller.may(Scope::Purge, Some(first))?;
        return Ok(Some(sites.clone()));
    }
    caller.may(Scope::Purge, None)?;
    Ok(None)
}

/// Who is limited to sites sees the jobs that were limited to those.
fn may_look(job: &Job, own: Option<&[String]>) -> bool {
    match (own, &job.sites) {
        (None, _) => true,
        (Some(own), Some(sites)) => sites.iter().all(|site| own.contains(site)),
        (Some(_), None) => false,
    }
}
