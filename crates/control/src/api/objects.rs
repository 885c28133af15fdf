//! Pushed objects, one by one.

use std::ops::Bound;

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use axum::routing;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use selvedge_policy::validate::{self, Precondition};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::metadata::{Metadata, refuse_coding, refuse_part};
use super::pages::{Items, Page, page};
use super::paths::{folder_path, object_path, target};
use super::publishing::{self, Change, Draft, Published, Removal, decision, pushable, room};
use super::sites::may_see;
use super::{App, REVISION, bodies, content, digest_field};
use crate::desk::Reply;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::record::{Object, Scope};
use crate::state::{Site, State};

/// A pushed object.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ObjectLine {
    /// Its path, as it stands in its URL.
    path: String,
    /// Its entity tag, for `If-Match`.
    etag: String,
    /// The SHA-256 of its bytes.
    sha256: String,
    /// Its length.
    bytes: u64,
    /// Its media type.
    content_type: String,
    /// Its own cache rules.
    cache_control: Option<String>,
    /// The tags it can be purged by.
    tags: Vec<String>,
    /// When it was put, in milliseconds since 1970.
    updated_ms: i64,
}

/// What became of an object that was put.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ObjectPut {
    /// Its path, as it stands in its URL.
    path: String,
    /// Its entity tag.
    etag: String,
    /// The SHA-256 of its bytes.
    sha256: String,
    /// Its length.
    bytes: u64,
    /// Its media type.
    content_type: String,
    /// The revision at which it is so.
    revision: u64,
}

/// Below what.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Below {
    /// What the paths begin with.
    prefix: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    let mut router = OpenApiRouter::new()
        .routes(routes!(list, remove_below))
        .routes(routes!(read, put, remove))
        // The path `/` itself, which the pattern leaves out.
        .route("/v1/sites/{site}/objects/", routing::get(read).put(put).delete(remove));
    // The pattern is axum's; OpenAPI has another spelling.
    let paths = &mut router.get_openapi_mut().paths.paths;
    if let Some(item) = paths.remove("/v1/sites/{site}/objects/{*path}") {
        paths.insert("/v1/sites/{site}/objects/{path}".to_owned(), item);
    }
    router
}

/// The pushed objects of a site.
///
/// By path; `after` is a path.
#[utoipa::path(get, path = "/v1/sites/{site}/objects", tag = "objects",
    params(("site" = String, Path, description = "The name of the site"), Below, Page), responses(
    (status = 200, body = Items<ObjectLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(below): Query<Below>,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<ObjectLine>>, Problem> {
    may_see(&caller, &name)?;
    let limit = asked.limit()?;
    let state = app.desk.state();
    let site = state.site(&name).ok_or_else(|| Problem::not_found("site", &name))?;
    let prefix = below.prefix.unwrap_or_default();
    let start = match &asked.after {
        Some(after) if *after >= prefix => Bound::Excluded(after.as_str()),
        _ => Bound::Included(prefix.as_str()),
    };
    let from = site.objects.range::<(Bound<&str>, Bound<&str>), str>((start, Bound::Unbounded));
    let below = from.take_while(|(path, _)| path.starts_with(&prefix));
    Ok(axum::Json(page(below, limit, |(path, _)| path.to_string(), line)))
}

fn line((path, object): (&std::sync::Arc<str>, &std::sync::Arc<Object>)) -> ObjectLine {
    ObjectLine {
        path: path.to_string(),
        etag: object.sha256.etag(),
        sha256: object.sha256.to_string(),
        bytes: object.bytes,
        content_type: object.content_type.clone(),
        cache_control: object.cache_control.clone(),
        tags: object.tags.to_vec(),
        updated_ms: object.at_ms,
    }
}

/// Push an object.
///
/// Any body. `Content-Type` is kept, or guessed from the path; `Content-Digest` (SHA-256) is
/// checked; `Cache-Control` and `Surrogate-Key` or `Cache-Tag` are what the object is served with.
/// `If-Match` and `If-None-Match` refuse to overwrite another object. An `index.html` is published
/// as its folder as well.
#[utoipa::path(put, path = "/v1/sites/{site}/objects/{*path}", tag = "objects",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("site" = String, Path, description = "The name of the site"),
        ("path" = String, Path, description = "The path of the object")), responses(
    (status = 200, body = ObjectPut, description = "Replaced, or so already"),
    (status = 201, body = ObjectPut, description = "Added"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = 507, body = ProblemBody, content_type = "application/problem+json",
        description = "There is no room left")))]
pub(crate) async fn put(
    Ext(app): Ext<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (site, raw) = target(&uri)?;
    caller.may(Scope::Push, Some(site))?;
    if uri.query().is_some() {
        return Err(Problem::invalid("an object has no query: encode the question mark as %3F"));
    }
    let path = object_path(raw)?;
    refuse_coding(&headers)?;
    refuse_part(&headers)?;
    let metadata = Metadata::of_request(&path, &headers)?;
    let expected = digest_field::expected(&headers)?;
    let length = publishing::length(&app, &body)?;
    {
        let state = app.desk.state();
        let known = pushable(&state, site)?.objects.get(path.as_str());
        condition(&headers, known.map(|object| &**object))?;
        let is_known = expected.is_some_and(|digest| state.blobs.contains_key(&digest))
            || known.is_some_and(|object| object.bytes == length);
        room(&state, if is_known { 0 } else { length }, app.settings.bytes_max)?;
    }
    let stored = publishing::receive(&app, body, expected).await?;
    let asked = format!("{} {metadata:?}", stored.digest);
    let (sha256, bytes) = (stored.digest, stored.bytes);
    let draft = Draft { path: path.clone(), sha256, bytes, metadata };
    let (site, bytes_max) = (site.to_owned(), app.settings.bytes_max);
    let now_ms = app.clock.now_wall_ms();
    let asker = caller.asker(asked.as_bytes());
    let reply = publishing::submit(&app, asker, vec![stored], move |state, moment| {
        let known = pushable(state, &site)?.objects.get(path.as_str());
        condition(&headers, known.map(|object| &**object))?;
        let status = if known.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let reply = |published: &Published| was_put(status, &draft, published.revision);
        let change = Change::new(&site, vec![draft.clone()], Removal::Nothing, now_ms);
        let (deed, published) = change.decide(state, moment, bytes_max)?;
        Ok(decision(deed, reply(&published)))
    });
    Ok(reply.await?.into_response())
}

fn was_put(status: StatusCode, draft: &Draft, revision: u64) -> Reply {
    let etag = draft.sha256.etag();
    let put = ObjectPut {
        path: draft.path.clone(),
        etag: etag.clone(),
        sha256: draft.sha256.to_string(),
        bytes: draft.bytes,
        content_type: draft.metadata.content_type.clone(),
        revision,
    };
    let mut reply = bodies::reply(status, &put);
    reply.fields.push((header::ETAG.to_string(), etag));
    reply.fields.push((REVISION.to_string(), revision.to_string()));
    reply
}

/// A pushed object.
///
/// With `Range`, `If-None-Match` and the other conditions, as nodes get it. `HEAD` as well.
#[utoipa::path(get, path = "/v1/sites/{site}/objects/{*path}", tag = "objects",
    params(("site" = String, Path, description = "The name of the site"),
        ("path" = String, Path, description = "The path of the object")), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "It is the object of `If-None-Match`"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (name, raw) = target(&uri)?;
    may_see(&caller, name)?;
    let path = object_path(raw)?;
    let state = app.desk.state();
    let site = state.site(name).ok_or_else(|| Problem::not_found("site", name))?;
    content::serve(&app, object(site, &path)?, &method, &headers).await
}

/// Remove an object.
#[utoipa::path(delete, path = "/v1/sites/{site}/objects/{*path}", tag = "objects",
    params(("site" = String, Path, description = "The name of the site"),
        ("path" = String, Path, description = "The path of the object")), responses(
    (status = 200, body = Published),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Ext(app): Ext<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (site, raw) = target(&uri)?;
    caller.may(Scope::Push, Some(site))?;
    let (site, path) = (site.to_owned(), object_path(raw)?);
    let bytes_max = app.settings.bytes_max;
    let now_ms = app.clock.now_wall_ms();
    let reply = app.desk.submit(caller.asker(b""), move |state, moment| {
        let known = object(pushable(state, &site)?, &path);
        condition(&headers, known.as_ref().ok().copied())?;
        known?;
        let change = Change::new(&site, Vec::new(), Removal::Paths(vec![path]), now_ms);
        let (deed, published) = change.decide(state, moment, bytes_max)?;
        Ok(decision(deed, publishing::reply(&published)))
    });
    Ok(reply.await?.into_response())
}

/// Remove all objects below a folder, at once.
#[utoipa::path(delete, path = "/v1/sites/{site}/objects", tag = "objects",
    params(("site" = String, Path, description = "The name of the site"),
        ("prefix" = String, Query, description = "The path of the folder, with its slash")),
    responses((status = 200, body = Published),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn remove_below(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    Query(below): Query<Below>,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    let prefix = below.prefix.ok_or_else(|| Problem::invalid("say which `prefix` is to go"))?;
    let removal = Removal::Rest(folder_path(&prefix)?);
    let (bytes_max, now_ms) = (app.settings.bytes_max, app.clock.now_wall_ms());
    let reply = app.desk.submit(caller.asker(b""), move |state: &State, moment| {
        let change = Change::new(&site, Vec::new(), removal, now_ms);
        let (deed, published) = change.decide(state, moment, bytes_max)?;
        Ok(decision(deed, publishing::reply(&published)))
    });
    Ok(reply.await?.into_response())
}

fn object<'s>(site: &'s Site, path: &str) -> Result<&'s Object, Problem> {
    let object = site.objects.get(path).map(|object| &**object);
    object.ok_or_else(|| Problem::not_found("object", path))
}

/// Whether the conditions of a change hold for what is there (RFC 9110 13.1).
fn condition(headers: &HeaderMap, known: Option<&Object>) -> Result<(), Problem> {
    let holds = match known {
        None => !headers.contains_key(header::IF_MATCH),
        Some(object) => {
            let fields = content::fields(object);
            let held = validate::precondition(&Method::PUT, headers, &fields, StatusCode::OK);
            held == Precondition::Proceed
        }
    };
    let detail = || match known {
        Some(_) => "the object is another one now: read it again, then change that",
        None => "the object is not there",
    };
    if holds { Ok(()) } else { Err(Problem::new(Kind::PreconditionFailed, detail())) }
}
