//! Large bodies that arrive in several requests. What has come before a break stays.

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::metadata::refuse_coding;
use super::pages::{Items, Page, page};
use super::publish::BlobBody;
use super::publishing::{pushable, room, room_beside};
use super::receiving::receive;
use super::{App, bodies};
use crate::blobs::{Announced, KEEP_MS, Open, blocking, too_large};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::digest::Digest;
use crate::state::record::Scope;

/// How much of an upload has come.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// What is known of a body before it comes.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Beginning {
    /// Its length.
    bytes: Option<u64>,
    /// Its SHA-256.
    #[schema(value_type = Option<String>)]
    sha256: Option<Digest>,
}

/// The end of an upload.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// The SHA-256 of the body, unless it was given at the beginning.
    #[schema(value_type = Option<String>)]
    sha256: Option<Digest>,
}

/// An upload.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UploadBody {
    /// Its id.
    id: String,
    /// Bytes that have come.
    offset: u64,
    /// Bytes that will come, if that was said.
    bytes: Option<u64>,
    /// All that was announced has come.
    complete: bool,
}

impl UploadBody {
    fn new(id: String, offset: u64, announced: &Announced) -> Self {
        Self { id, offset, bytes: announced.bytes, complete: announced.bytes == Some(offset) }
    }
}

/// An upload in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UploadLine {
    /// Its id.
    id: String,
    /// Bytes that have come: the room it takes.
    offset: u64,
    /// Bytes that will come, if that was said.
    bytes: Option<u64>,
    /// When it last went on, in milliseconds since 1970.
    progress_ms: i64,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(status, append, remove))
        .routes(routes!(finish))
}

/// The uploads that are open.
///
/// By id; what has come of them takes room until they are finished or removed.
#[utoipa::path(get, path = "/v1/sites/{site}/uploads", tag = "uploads",
    params(("site" = String, Path, description = "The name of the site"), Page), responses(
    (status = 200, body = Items<UploadLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<UploadLine>>, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    let limit = asked.limit()?;
    app.desk.state().site(&site).ok_or_else(|| Problem::not_found("site", &site))?;
    let after = asked.after.unwrap_or_default();
    let open = app.blobs.uploads().of_site(&site).into_iter().filter(|open| open.id > after);
    let line = |open: Open| UploadLine {
        id: open.id,
        offset: open.offset,
        bytes: open.announced.bytes,
        progress_ms: open.progress_ms,
    };
    Ok(axum::Json(page(open, limit, |open| open.id.clone(), line)))
}

/// Begin to upload a large body.
///
/// 100 may be open for a site. One that does not go on for 24 hours is removed.
#[utoipa::path(post, path = "/v1/sites/{site}/uploads", tag = "uploads", request_body = Beginning,
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 201, body = UploadBody, description = "`Location` names it"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = 507, body = ProblemBody, content_type = "application/problem+json",
        description = "There is no room left")))]
pub(crate) async fn create(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    pushable(&app.desk.state(), &site)?;
    let is_empty = http_body::Body::is_end_stream(&body);
    let beginning: Beginning =
        if is_empty { Beginning::default() } else { bodies::json(&headers, body).await?.0 };
    let bytes = beginning.bytes.unwrap_or_default();
    if bytes > app.settings.object_bytes_max {
        return Err(too_large(app.settings.object_bytes_max));
    }
    check_room(&app, bytes)?;
    let place = format!("/v1/sites/{site}/uploads/");
    let announced = Announced { site, bytes: beginning.bytes, sha256: beginning.sha256 };
    let uploads = app.blobs.uploads();
    let id = uploads.create(announced.clone(), app.clock.now_wall_ms()).await?;
    let fields = [(header::LOCATION, format!("{place}{id}"))];
    let body = axum::Json(UploadBody::new(id, 0, &announced));
    Ok((StatusCode::CREATED, fields, offset_field(0), body).into_response())
}

/// How far an upload is.
///
/// `Upload-Offset` says it, to `HEAD` as well.
#[utoipa::path(get, path = "/v1/sites/{site}/uploads/{id}", tag = "uploads",
    params(("site" = String, Path, description = "The name of the site"),
        ("id" = String, Path, description = "The id of the upload")), responses(
    (status = 200, body = UploadBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn status(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((site, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    let (offset, announced) = app.blobs.uploads().status(&id, &site).await?;
    let fields = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let body = axum::Json(UploadBody::new(id, offset, &announced));
    Ok((fields, offset_field(offset), body).into_response())
}

/// Go on with an upload.
///
/// `Upload-Offset` must be what has come so far; 409 says in the same field what that is. What
/// comes before a break stays.
#[utoipa::path(patch, path = "/v1/sites/{site}/uploads/{id}", tag = "uploads",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("site" = String, Path, description = "The name of the site"),
        ("id" = String, Path, description = "The id of the upload"),
        ("Upload-Offset" = u64, Header, description = "Bytes that have come")), responses(
    (status = 204, description = "`Upload-Offset` is what has come"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = 507, body = ProblemBody, content_type = "application/problem+json",
        description = "There is no room left")))]
pub(crate) async fn append(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((site, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    refuse_coding(&headers)?;
    pushable(&app.desk.state(), &site)?;
    let wrong = || Problem::invalid("Upload-Offset must say how many bytes have come");
    let offset = headers.get(OFFSET).and_then(|value| value.to_str().ok());
    // A sign is none of its characters, though the library would read it.
    let is_digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = offset.filter(is_digits).and_then(|text| text.parse().ok());
    let offset: u64 = offset.ok_or_else(wrong)?;
    let turn = app.blobs.uploads().take(&id, &site).await?;
    if turn.offset != offset {
        let detail = format!("{} bytes have come, and not {offset}", turn.offset);
        let problem = Problem::new(Kind::OffsetMismatch, detail);
        return Ok((offset_field(turn.offset), problem).into_response());
    }
    let bytes_max = turn.announced.bytes.unwrap_or(app.settings.object_bytes_max);
    let length = http_body::Body::size_hint(&body).lower();
    if offset.saturating_add(length) > bytes_max {
        return Err(too_large(bytes_max));
    }
    check_room(&app, length)?;
    let (reached, received) = receive(&app, &caller, turn, body, bytes_max).await;
    let reached = offset_field(reached);
    Ok(match received {
        Ok(()) => (StatusCode::NO_CONTENT, reached).into_response(),
        Err(problem) => (reached, problem).into_response(),
    })
}

/// End an upload: its body is there for `publish`.
#[utoipa::path(post, path = "/v1/sites/{site}/uploads/{id}/finish", tag = "uploads",
    request_body = End, params(("site" = String, Path, description = "The name of the site"),
        ("id" = String, Path, description = "The id of the upload")), responses(
    (status = 200, body = BlobBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = 507, body = ProblemBody, content_type = "application/problem+json",
        description = "There is no room left")))]
pub(crate) async fn finish(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((site, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<axum::Json<BlobBody>, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    pushable(&app.desk.state(), &site)?;
    let is_empty = http_body::Body::is_end_stream(&body);
    let end: End = if is_empty { End::default() } else { bodies::json(&headers, body).await?.0 };
    let turn = app.blobs.uploads().take(&id, &site).await?;
    let (offset, announced) = (turn.offset, turn.announced.clone());
    if let Some(bytes) = announced.bytes.filter(|bytes| *bytes != offset) {
        let detail = format!("{offset} of {bytes} bytes have come");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let given = [end.sha256, announced.sha256];
    let Some(expected) = given.iter().flatten().next().copied() else {
        return Err(Problem::invalid("give the `sha256` of the body"));
    };
    let (turn, digest) = blocking(move || {
        let mut turn = turn;
        turn.sync()?;
        let digest = turn.digest()?;
        Ok((turn, digest))
    })
    .await?;
    if given.iter().flatten().any(|given| *given != digest) {
        let detail = format!("the body has the SHA-256 {digest}, announced was {expected}");
        return Err(Problem::new(Kind::DigestMismatch, detail));
    }
    room(&app.desk.state(), offset, app.settings.bytes_max)?;
    let hold = app.blobs.hold(digest, app.clock.now_mono_ms()).await?;
    app.blobs.adopt(turn.path(), &hold).await?;
    hold.keep(app.clock.now_mono_ms() + KEEP_MS);
    blocking(move || {
        turn.end();
        Ok(())
    })
    .await?;
    Ok(axum::Json(BlobBody { sha256: digest.to_string(), bytes: offset }))
}

/// Give an upload up.
#[utoipa::path(delete, path = "/v1/sites/{site}/uploads/{id}", tag = "uploads",
    params(("site" = String, Path, description = "The name of the site"),
        ("id" = String, Path, description = "The id of the upload")), responses(
    (status = 204, description = "Nothing is left of it"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((site, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    let turn = app.blobs.uploads().take(&id, &site).await?;
    blocking(move || {
        turn.end();
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether there is room for more bytes beside what has come of all uploads. What was announced
/// for others takes none until it comes.
fn check_room(app: &App, bytes: u64) -> Result<(), Problem> {
    let open = app.blobs.uploads().bytes();
    room_beside(&app.desk.state(), open, bytes, app.settings.bytes_max)
}

fn offset_field(offset: u64) -> [(HeaderName, HeaderValue); 1] {
    [(OFFSET, HeaderValue::from(offset))]
}
