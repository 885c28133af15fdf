//! Bodies first, then all of their objects at once.

use std::collections::HashSet;

use axum::body::Body;
use axum::extract::{Path, State as Ext};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::metadata::{Metadata, refuse_coding, refuse_part};
use super::paths::object_path;
use super::publishing::{self, Change, Draft, Published, Removal, decision, pushable, room};
use super::{App, bodies, digest_field};
use crate::blobs::{Hold, KEEP_MS};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::digest::Digest;
use crate::state::record::Scope;

/// Bytes of a list at most.
const LIST_BYTES_MAX: usize = 32 << 20;
/// Objects in a list at most.
const LIST_MAX: usize = 100_000;
/// Bodies that are looked for at once.
const LOOKING: usize = 32;

/// A body in storage.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BlobBody {
    /// Its SHA-256.
    pub(crate) sha256: String,
    /// Its length.
    pub(crate) bytes: u64,
}

/// Bodies by their SHA-256.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BlobList {
    /// Which bodies are asked for.
    #[schema(value_type = Vec<String>)]
    sha256: Vec<Digest>,
}

/// Bodies that are not there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct MissingList {
    /// Their SHA-256.
    missing: Vec<String>,
}

/// What to publish and what to remove.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publication {
    /// Objects, 100,000 at most.
    #[serde(default)]
    put: Vec<PublishedObject>,
    /// Paths that are to go, 100,000 at most.
    #[serde(default)]
    remove: Vec<String>,
}

/// An object whose body is in storage.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedObject {
    /// Its path, as it stands in its URL.
    path: String,
    /// The SHA-256 of its body.
    #[schema(value_type = String)]
    sha256: Digest,
    /// Its media type; guessed from the path if not given.
    content_type: Option<String>,
    /// Its own cache rules.
    cache_control: Option<String>,
    /// The tags it can be purged by.
    #[serde(default)]
    tags: Vec<String>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put_blob)).routes(routes!(missing)).routes(routes!(publish))
}

/// Bring a body for an object that is published later.
///
/// It is kept for an hour, and as long as an object uses it.
#[utoipa::path(put, path = "/v1/sites/{site}/blobs/{sha256}", tag = "publish",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("site" = String, Path, description = "The name of the site"),
        ("sha256" = String, Path, description = "The SHA-256 of the body, in hexadecimal")),
    responses((status = 200, body = BlobBody, description = "It was there already"),
    (status = 201, body = BlobBody, description = "It is there now"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = 507, body = ProblemBody, content_type = "application/problem+json",
        description = "There is no room left")))]
pub(crate) async fn put_blob(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((site, sha256)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    let digest: Digest = sha256.parse().map_err(Problem::invalid)?;
    refuse_coding(&headers)?;
    refuse_part(&headers)?;
    if digest_field::expected(&headers)?.is_some_and(|announced| announced != digest) {
        let detail = "another digest was announced than that of the path";
        return Err(Problem::new(Kind::DigestMismatch, detail));
    }
    pushable(&app.desk.state(), &site)?;
    let length = publishing::length(&app, &body)?;
    let now_ms = app.clock.now_mono_ms();
    let hold = app.blobs.hold(digest, now_ms).await?;
    if let Some(bytes) = app.blobs.length(&digest).await? {
        hold.keep(now_ms + KEEP_MS);
        let known = BlobBody { sha256: digest.to_string(), bytes };
        return Ok((StatusCode::OK, axum::Json(known)).into_response());
    }
    room(&app.desk.state(), length, app.settings.bytes_max)?;
    let stored = publishing::receive(&app, body, Some(digest)).await?;
    let may = room(&app.desk.state(), stored.bytes, app.settings.bytes_max);
    if let Err(problem) = caller.must_still_hold(&app).and(may) {
        drop(hold);
        publishing::discard(&app, vec![stored]).await;
        return Err(problem);
    }
    stored.hold.keep(app.clock.now_mono_ms() + KEEP_MS);
    let status = if stored.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let known = BlobBody { sha256: digest.to_string(), bytes: stored.bytes };
    Ok((status, axum::Json(known)).into_response())
}

/// Ask which bodies must be brought.
///
/// The others are kept for an hour, and as long as an object uses them.
#[utoipa::path(post, path = "/v1/sites/{site}/blobs/missing", tag = "publish",
    request_body = BlobList, params(("site" = String, Path, description = "The name of the site")),
    responses((status = 200, body = MissingList),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn missing(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<axum::Json<MissingList>, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    pushable(&app.desk.state(), &site)?;
    let _batch = app.blobs.batch()?;
    let (list, _): (BlobList, _) = bodies::long_json(&headers, body, LIST_BYTES_MAX).await?;
    check_length("sha256", list.sha256.len())?;
    let mut seen = HashSet::new();
    let asked = list.sha256.into_iter().filter(|digest| seen.insert(*digest)).collect();
    let until_ms = app.clock.now_mono_ms() + KEEP_MS;
    let mut missing = Vec::new();
    for (hold, bytes) in find(&app, asked).await? {
        match bytes {
            Some(_) => hold.keep(until_ms),
            None => missing.push(hold.digest().to_string()),
        }
    }
    Ok(axum::Json(MissingList { missing }))
}

/// Publish bodies that were brought, and remove objects, all at once.
///
/// Either all of it happens or nothing; 409 names the bodies that must be brought first. An
/// `index.html` is published and removed as its folder as well.
#[utoipa::path(post, path = "/v1/sites/{site}/publish", tag = "publish",
    request_body = Publication,
    params(("site" = String, Path, description = "The name of the site")),
    responses((status = 200, body = Published),
    (status = 409, body = ProblemBody, content_type = "application/problem+json",
        description = "`missing` names the bodies that must be brought first"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn publish(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    pushable(&app.desk.state(), &site)?;
    let _batch = app.blobs.batch()?;
    let (list, bytes): (Publication, _) = bodies::long_json(&headers, body, LIST_BYTES_MAX).await?;
    let asker = caller.asker(&bytes);
    // What was published once may be gone by now: the answer is the same all the same.
    if let Some(reply) = app.desk.answered(&asker, app.clock.now_wall_ms()) {
        return Ok(reply?.into_response());
    }
    check_length("put", list.put.len())?;
    check_length("remove", list.remove.len())?;
    let remove = list.remove.iter().map(|path| object_path(path));
    let removal = Removal::Paths(remove.collect::<Result<_, _>>()?);
    let (drafts, holds) = drafts(&app, list.put, &removal).await?;
    let until_ms = app.clock.now_mono_ms() + KEEP_MS;
    holds.iter().for_each(|hold| hold.keep(until_ms));
    let change = Change::new(&site, drafts, removal, app.clock.now_wall_ms());
    let bytes_max = app.settings.bytes_max;
    let reply = app.desk.submit(asker, move |state, moment| {
        let (deed, published) = change.decide(state, moment, bytes_max)?;
        Ok(decision(deed, publishing::reply(&published)))
    });
    Ok(reply.await?.into_response())
}

/// The objects of a list, with bodies that are there and stay.
async fn drafts(
    app: &App,
    list: Vec<PublishedObject>,
    removal: &Removal,
) -> Result<(Vec<Draft>, Vec<Hold>), Problem> {
    let (mut drafts, mut paths, mut bodies) = (Vec::new(), HashSet::new(), HashSet::new());
    if let Removal::Paths(removed) = removal {
        paths.extend(removed.iter().cloned());
    }
    for object in list {
        let path = object_path(&object.path)?;
        if !paths.insert(path.clone()) {
            return Err(Problem::invalid(format!("the path {path:?} is named twice")));
        }
        let PublishedObject { sha256, content_type, cache_control, tags, .. } = object;
        let metadata = Metadata::checked(&path, content_type, cache_control, tags)?;
        bodies.insert(sha256);
        drafts.push(Draft { path, sha256, bytes: 0, metadata });
    }
    let found = find(app, bodies.into_iter().collect()).await?;
    let length = |(hold, bytes): &(Hold, Option<u64>)| Some((hold.digest(), (*bytes)?));
    let known: std::collections::HashMap<Digest, u64> = found.iter().filter_map(length).collect();
    if known.len() < found.len() {
        let mut problem = Problem::new(Kind::Missing, "bring the bodies that are missing first");
        let missing = found.iter().filter(|(_, bytes)| bytes.is_none());
        problem.missing = missing.map(|(hold, _)| hold.digest().to_string()).collect();
        return Err(problem);
    }
    for draft in &mut drafts {
        draft.bytes = known.get(&draft.sha256).copied().unwrap_or_default();
    }
    Ok((drafts, found.into_iter().map(|(hold, _)| hold).collect()))
}

/// Holds bodies, and finds out which are there.
async fn find(app: &App, digests: Vec<Digest>) -> Result<Vec<(Hold, Option<u64>)>, Problem> {
    let now_ms = app.clock.now_mono_ms();
    let look = |digest: Digest| async move {
        let hold = app.blobs.hold(digest, now_ms).await?;
        // What an object uses is there.
        let used = app.desk.state().blobs.get(&digest).map(|blob| blob.bytes);
        let bytes = match used {
            Some(bytes) => Some(bytes),
            None => app.blobs.length(&digest).await?,
        };
        Ok((hold, bytes))
    };
    stream::iter(digests.into_iter().map(look)).buffered(LOOKING).try_collect().await
}

fn check_length(name: &str, length: usize) -> Result<(), Problem> {
    if length <= LIST_MAX {
        return Ok(());
    }
    Err(Problem::invalid(format!("`{name}` may have {LIST_MAX} members at most")))
}
