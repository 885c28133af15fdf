//! Purges, in our words and in those of Fastly and Cloudflare.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use selvedge_feed::Target;
use selvedge_policy::tags::TAG_BYTES_MAX;
use selvedge_policy::target::host_name;
use selvedge_policy::{Scheme, normalize_host, normalize_path};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bodies::{self, reply};
use super::caller::Caller;
use super::{App, span_ms};
use crate::desk::Decision;
use crate::problem::{Problem, ProblemBody};
use crate::state::State;
use crate::state::record::{Deed, Scope};

/// Targets of one purge at most.
const TARGETS_MAX: usize = 1_000;
/// Bytes of a URL, tag or prefix at most.
const TEXT_BYTES_MAX: usize = 4_096;
/// How long is waited for acks if it is not said.
const WAIT: &str = "10s";
const WAIT_MS_MAX: i64 = 60_000;
/// How often is looked whether a node that is waited for has fallen silent.
const LOOK: Duration = Duration::from_millis(500);

/// What to purge.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// URLs, with host: all variants of each.
    #[serde(default, alias = "files")]
    urls: Vec<Value>,
    /// Tags of `site`.
    #[serde(default)]
    tags: Vec<String>,
    /// The site of the tags.
    site: Option<String>,
    /// What URLs begin with, with host.
    #[serde(default)]
    prefixes: Vec<String>,
    /// Hosts.
    #[serde(default)]
    hosts: Vec<String>,
    /// Sites.
    #[serde(default)]
    sites: Vec<String>,
    /// Everything of all sites.
    #[serde(default, alias = "purge_everything")]
    everything: bool,
    /// Mark it stale rather than drop it: it may still be served while it is refreshed.
    #[serde(default)]
    soft: bool,
}

/// Whether to wait.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Waiting {
    /// `acks`: answer when every node that may be serving has applied it.
    wait: Option<String>,
    /// How long at most, such as `10s`; 60 s at most.
    timeout: Option<String>,
}

/// A purge that was ordered.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Purged {
    /// Its revision.
    revision: u64,
    /// How many things it covers.
    targets: usize,
    /// Whether it made them stale rather than dropped them.
    soft: bool,
    /// Who has applied it, if that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    acks: Option<Acks>,
}

/// Who has applied a revision.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Acks {
    /// Nodes that have.
    applied: Vec<String>,
    /// Nodes that have not, or that are not heard, and may be serving all the same.
    missing: Vec<String>,
    /// Nodes not heard for so long that they cannot call themselves ready: they apply it before
    /// they do again.
    away: Vec<String>,
}

/// Purge.
///
/// By URL, tag, prefix, host or site. The answer carries the revision; with `wait=acks` it says who
/// has applied it, and is 202 when a node that may be serving has not.
#[utoipa::path(post, path = "/v1/purge", tag = "purge", params(Waiting), request_body = Wish,
    responses(
    (status = 200, body = Purged, description = "Ordered; with `wait=acks`: in force everywhere"),
    (status = 202, body = Purged, description = "Not yet in force everywhere"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn purge(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (wish, bytes): (Wish, _) = bodies::json(&headers, body).await?;
    let soft = wish.soft || is_soft(&headers);
    let targets = targets(wish)?;
    order(&app, &caller, &bytes, targets, soft, &waiting).await
}

/// Which revision to wait for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Awaited {
    /// The revision; the newest if not given.
    revision: Option<u64>,
    /// How long at most, such as `10s`; 60 s at most.
    timeout: Option<String>,
}

/// Wait for acks.
///
/// Answers when every node that may be serving has applied a revision, or when the time is over.
#[utoipa::path(get, path = "/v1/acks", tag = "status", params(Awaited), responses(
    (status = 200, body = Acks, description = "In force everywhere"),
    (status = 202, body = Acks, description = "Not yet in force everywhere"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn wait(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(asked): Query<Awaited>,
) -> Result<Response, Problem> {
    caller.may_read()?;
    let waiting = Waiting { wait: Some("acks".to_owned()), timeout: asked.timeout };
    let limit = limit(&waiting)?.unwrap_or_default();
    let head = app.stream.head();
    let acks = acks(&app, asked.revision.unwrap_or(head).min(head), limit).await;
    let status = if acks.missing.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, axum::Json(acks)).into_response())
}

/// Purge a tag of a site, in Fastly's words.
#[utoipa::path(post, path = "/v1/sites/{site}/purge/{tag}", tag = "purge", params(
    ("site" = String, Path, description = "The name of the site"),
    ("tag" = String, Path, description = "The tag"), Waiting), responses(
    (status = 200, body = Purged), (status = 202, body = Purged),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn purge_tag(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((site, tag)): Path<(String, String)>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wish = Wish { site: Some(site), tags: vec![tag], ..Wish::default() };
    order(&app, &caller, b"", targets(wish)?, is_soft(&headers), &waiting).await
}

/// Purge the tags in `Surrogate-Key`, in Fastly's words.
#[utoipa::path(post, path = "/v1/sites/{site}/purge", tag = "purge", params(
    ("site" = String, Path, description = "The name of the site"), Waiting,
    ("surrogate-key" = String, Header, description = "Tags, a space between them")), responses(
    (status = 200, body = Purged), (status = 202, body = Purged),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn purge_tags(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lines = headers.get_all("surrogate-key").iter().filter_map(|line| line.to_str().ok());
    let tags: Vec<String> =
        lines.flat_map(|line| line.split_ascii_whitespace().map(str::to_owned)).collect();
    let asked = tags.join(" ");
    let wish = Wish { site: Some(site), tags, ..Wish::default() };
    order(&app, &caller, asked.as_bytes(), targets(wish)?, is_soft(&headers), &waiting).await
}

/// Purge everything of a site, in Fastly's words.
#[utoipa::path(post, path = "/v1/sites/{site}/purge_all", tag = "purge", params(
    ("site" = String, Path, description = "The name of the site"), Waiting), responses(
    (status = 200, body = Purged), (status = 202, body = Purged),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn purge_all(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    order(&app, &caller, b"", vec![Target::Site(site)], is_soft(&headers), &waiting).await
}

fn is_soft(headers: &HeaderMap) -> bool {
    let is_set = |name: &str| headers.get(name).is_some_and(|value| value.as_bytes() == b"1");
    is_set("fastly-soft-purge") || is_set("soft-purge")
}

/// What a wish covers; 400 if that is nothing, or not clear.
fn targets(wish: Wish) -> Result<Vec<Target>, Problem> {
    let mut targets = Vec::new();
    for url in wish.urls {
        // Cloudflare's objects with headers name a variant; ours are all purged by their URL.
        let url = match &url {
            Value::Object(file) => file.get("url").and_then(Value::as_str),
            url => url.as_str(),
        };
        let url = url.ok_or_else(|| Problem::invalid("`urls` is a list of URLs"))?;
        targets.push(Target::Url(place("urls", url, false)?));
    }
    for prefix in wish.prefixes {
        targets.push(Target::Prefix(place("prefixes", &prefix, true)?));
    }
    if !wish.tags.is_empty() {
        let site =
            wish.site.ok_or_else(|| Problem::invalid("`tags` needs the `site` they are of"))?;
        let tag = |tag| Target::Tag { site: site.clone(), tag };
        targets.extend(wish.tags.into_iter().map(tag));
    } else if wish.site.is_some() {
        return Err(Problem::invalid("`site` goes with `tags`; to purge a whole site use `sites`"));
    }
    for host in wish.hosts {
        let valid = normalize_host(&host, Scheme::Http);
        let valid = valid.map_err(|_| Problem::invalid(format!("`hosts`: {host:?} is no host")))?;
        targets.push(Target::Host(valid.into_owned()));
    }
    targets.extend(wish.sites.into_iter().map(Target::Site));
    targets.extend(wish.everything.then_some(Target::Everything));
    if targets.is_empty() {
        return Err(Problem::invalid(
            "nothing to purge: name urls, tags, prefixes, hosts or sites",
        ));
    }
    if targets.len() > TARGETS_MAX {
        return Err(Problem::invalid(format!(
            "more than {TARGETS_MAX} targets: ask several times"
        )));
    }
    let fits = |text: &String| {
        (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
    };
    let all_fit = targets.iter().all(|target| match target {
        Target::Url(text) | Target::Prefix(text) | Target::Host(text) | Target::Site(text) => {
            fits(text)
        }
        Target::Tag { site, tag } => {
            fits(site) && fits(tag) && tag.len() <= TAG_BYTES_MAX && !tag.contains([' ', ','])
        }
        Target::Path { .. } | Target::Everything => true,
    });
    if all_fit {
        Ok(targets)
    } else {
        Err(Problem::invalid("a target is empty, too long or no text"))
    }
}

/// A URL, or what URLs begin with, in the form in which nodes read it. What one of them could not
/// read must be refused here: a purge that is answered is carried out.
fn place(field: &str, text: &str, is_prefix: bool) -> Result<String, Problem> {
    let wrong = || {
        let example = if is_prefix { "www.shop.example/a/" } else { "https://www.shop.example/a" };
        Problem::invalid(format!("`{field}`: {text:?} is not such as {example}"))
    };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = whole.parse().map_err(|_| wrong())?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().map(http::uri::Authority::as_str).ok_or_else(wrong)?;
    let host = normalize_host(authority, scheme).map_err(|_| wrong())?;
    let path = normalize_path(uri.path()).map_err(|_| wrong())?;
    let has_path = whole.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if is_prefix && (uri.query().is_some() || !has_path) {
        return Err(wrong());
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("{}://{host}{path}{query}", scheme.as_str()))
}

/// The site a target is of, if it is of one that is there.
fn site_of<'a>(state: &'a State, target: &'a Target) -> Option<&'a str> {
    let owner = |text: &str| {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        state.owner(host_name(host))
    };
    match target {
        Target::Url(text) | Target::Prefix(text) | Target::Host(text) => owner(text),
        Target::Tag { site, .. } | Target::Site(site) | Target::Path { site, .. } => Some(site),
        Target::Everything => None,
    }
}

/// Orders a purge, and waits for acks if that is asked for.
async fn order(
    app: &App,
    caller: &Caller,
    asked: &[u8],
    targets: Vec<Target>,
    soft: bool,
    waiting: &Waiting,
) -> Result<Response, Problem> {
    let limit = limit(waiting)?;
    let (count, asker) = (targets.len(), caller.asker(asked));
    let caller = caller.clone();
    let answer = app.desk.submit(asker, move |state, moment| {
        for target in &targets {
            caller.may(Scope::Purge, site_of(state, target))?;
        }
        let purged = Purged { revision: moment.revision, targets: count, soft, acks: None };
        let answer = reply(StatusCode::OK, &purged);
        Ok(Decision::Do(Deed::Purged { targets, soft }, answer))
    });
    let answer = answer.await?;
    let Some(limit) = limit else { return Ok(answer.into_response()) };
    let wrong = |error| Problem::new(crate::problem::Kind::Internal, format!("{error}"));
    let mut purged: Purged = serde_json::from_str(&answer.body).map_err(wrong)?;
    let acks = acks(app, purged.revision, limit).await;
    let status = if acks.missing.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    purged.acks = Some(acks);
    Ok((status, axum::Json(json!(purged))).into_response())
}

fn limit(waiting: &Waiting) -> Result<Option<Duration>, Problem> {
    match waiting.wait.as_deref() {
        None => Ok(None),
        Some("acks") => {
            let span = span_ms("timeout", waiting.timeout.as_deref().unwrap_or(WAIT))?;
            Ok(Some(Duration::from_millis(span.clamp(0, WAIT_MS_MAX) as u64)))
        }
        Some(_) => Err(Problem::invalid("`wait` can only be `acks`")),
    }
}

/// Waits until every node that may be serving has applied a revision, or the time is over.
pub(crate) async fn acks(app: &App, revision: u64, limit: Duration) -> Acks {
    let mut changed = app.fleet.watch();
    let ends_ms = app.clock.now_mono_ms() + limit.as_millis() as u64;
    loop {
        changed.mark_unchanged();
        let state = app.desk.state();
        let now_ms = app.clock.now_mono_ms();
        let (applied, missing) =
            app.fleet.applied(state.nodes.keys(), app.log.id(), revision, now_ms);
        if missing.is_empty() || now_ms >= ends_ms {
            let lives = |name: &&String| applied.contains(name) || missing.contains(name);
            let away = state.nodes.keys().filter(|name| !lives(name)).cloned().collect();
            return Acks { applied, missing, away };
        }
        let left = Duration::from_millis(ends_ms - now_ms).min(LOOK);
        // Whatever comes first: all are further, the time is over, or one may have fallen silent.
        let _ = tokio::time::timeout(left, changed.changed()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Target>, String> {
        let wish: Wish = serde_json::from_str(text).map_err(|error| error.to_string())?;
        targets(wish).map_err(|problem| problem.detail)
    }

    #[test]
    fn what_is_clear_is_understood_in_each_spelling() {
        let url = Target::Url("https://a.test/x".into());
        assert_eq!(read(r#"{"urls": ["https://a.test/x"]}"#), Ok(vec![url.clone()]));
        assert_eq!(read(r#"{"files": ["https://a.test/x"]}"#), Ok(vec![url.clone()]));
        assert_eq!(read(r#"{"files": [{"url": "https://a.test/x"}]}"#), Ok(vec![url]));
        assert_eq!(read(r#"{"purge_everything": true}"#), Ok(vec![Target::Everything]));
        let tag = Target::Tag { site: "s".into(), tag: "t".into() };
        assert_eq!(read(r#"{"site": "s", "tags": ["t"]}"#), Ok(vec![tag]));
        let prefix = |text: &str| Ok(vec![Target::Prefix(text.into())]);
        assert_eq!(read(r#"{"prefixes": ["A.test./x/"]}"#), prefix("http://a.test/x/"));
        let url = Target::Url("http://a.test/x?q".into());
        assert_eq!(read(r#"{"urls": ["a.test:80/%78?q"]}"#), Ok(vec![url]));
    }

    #[test]
    fn what_is_not_clear_purges_nothing() {
        for text in [
            "{}",
            r#"{"urls": []}"#,
            r#"{"urls": ["/x"]}"#,
            r#"{"urls": ["https:///x"]}"#,
            r#"{"urls": [5]}"#,
            r#"{"tags": ["t"]}"#,
            r#"{"site": "s"}"#,
            r#"{"site": "s", "tags": [""]}"#,
            r#"{"site": "s", "tags": ["a b"]}"#,
            r#"{"hosts": ["a\u0000"]}"#,
            r#"{"hosts": ["http://a.test/x"]}"#,
            r#"{"urls": ["http://a.test/%zz"]}"#,
            r#"{"urls": ["ftp://a.test/"]}"#,
            r#"{"prefixes": ["a.test"]}"#,
            r#"{"prefixes": ["a.test/x?y"]}"#,
            r#"{"host": "a.test"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
