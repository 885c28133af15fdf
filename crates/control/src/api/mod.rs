//! The API: what operators, their programs and nodes ask of control. One file for each kind of
//! thing; `mod.rs` says which path leads where.

mod audit;
mod bodies;
mod caller;
mod certificates;
mod changes;
mod conditions;
mod content;
mod digest_field;
mod docs;
mod door;
mod metadata;
mod nodes;
mod objects;
mod pages;
mod paths;
mod prefetch;
mod publish;
mod publishing;
mod purge;
#[cfg(test)]
mod push_tests;
mod receiving;
mod sites;
mod tarball;
mod tokens;
mod tree;
mod unique;
mod uploads;
mod versions;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use selvedge_feed::SealKey;
use selvedge_net::Clock;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use caller::Prefix;
pub use door::Door;

use crate::blobs::Blobs;
use crate::desk::{Desk, Reply};
use crate::fleet::{Fleet, When};
use crate::log::Log;
use crate::open::Settings;
use crate::prefetch::Jobs;
use crate::problem::{Kind, Problem};
use crate::stream::Stream;

/// What every handler works with.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) desk: Desk,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) fleet: Fleet,
    pub(crate) blobs: Blobs,
    pub(crate) jobs: Jobs,
    pub(crate) seal: SealKey,
    /// The same key as nodes get it when they join.
    pub(crate) seal_text: String,
    pub(crate) clock: Clock,
}

impl App {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Now, on both clocks.
    pub(crate) fn when(&self) -> When {
        When { mono_ms: self.clock.now_mono_ms(), wall_ms: self.clock.now_wall_ms() }
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// A change that was made.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Revised {
    /// Its revision.
    pub(crate) revision: u64,
}

/// Milliseconds of a time such as `10s`, `5m`, `24h` or `30d`.
pub(crate) fn span_ms(field: &str, text: &str) -> Result<i64, Problem> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let number = digits.parse::<u32>().ok().filter(|number| *number > 0);
    match (number, unit) {
        (Some(number), Some(unit)) => Ok(i64::from(number) * unit),
        _ => Err(Problem::invalid(format!("`{field}`: {text:?} is not a time such as 30s or 7d"))),
    }
}

/// Everything under `/v1`, with its description.
fn v1() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(audit::about))
        .routes(routes!(audit::status))
        .routes(routes!(audit::audit))
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(sites::read, sites::replace, sites::patch, sites::remove))
        .routes(routes!(versions::list))
        .routes(routes!(versions::read))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::rollback))
        .routes(routes!(certificates::read, certificates::put, certificates::remove))
        .routes(routes!(purge::wait))
        .routes(routes!(purge::purge))
        .routes(routes!(purge::purge_tag))
        .routes(routes!(purge::purge_tags))
        .routes(routes!(purge::purge_all))
        .routes(routes!(prefetch::list, prefetch::order))
        .routes(routes!(prefetch::read, prefetch::cancel))
        .routes(routes!(prefetch::results))
        .routes(routes!(nodes::list, nodes::join))
        .routes(routes!(nodes::read, nodes::remove))
        .routes(routes!(nodes::intent))
        .routes(routes!(nodes::ack))
        .routes(routes!(nodes::report))
        .routes(routes!(nodes::join_token))
        .routes(routes!(changes::changes))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::read, tokens::revoke))
        .merge(objects::routes())
        .merge(publish::routes())
        .merge(uploads::routes())
        .merge(tree::routes())
}

/// All of it.
pub(crate) fn router(app: App) -> Router {
    let (router, description) = v1().split_for_parts();
    let router = docs::add(router, description);
    let content = content::Content::new(app.clone());
    router
        .fallback(|| async { Problem::new(Kind::NotFound, "see /docs") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "see /docs for what can be done here")
        })
        .layer(axum::middleware::from_fn(plain_errors))
        .with_state(app)
        .layer(axum::middleware::from_fn_with_state(content, content::by_host))
}

/// Makes a problem of what the library refuses in plain text: a query or a path it cannot read.
async fn plain_errors(req: Request, next: Next) -> Response {
    let response = next.run(req).await;
    let status = response.status();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.ends_with("json")));
    if is_json || !status.is_client_error() || status == StatusCode::REQUEST_TIMEOUT {
        return response;
    }
    let is_plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if !is_plain {
        return response;
    }
    match bodies::whole(response.into_body(), 4096).await {
        Ok(text) => Problem::invalid(String::from_utf8_lossy(&text).into_owned()).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// The header field that says which revision a change made.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("selvedge-revision");

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let has_body = !self.body.is_empty();
        let mut response = (status, self.body).into_response();
        let fields = response.headers_mut();
        fields.remove(header::CONTENT_TYPE);
        if has_body {
            let json = HeaderValue::from_static("application/json");
            fields.insert(header::CONTENT_TYPE, json);
        }
        for (name, value) in self.fields {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                fields.append(name, value);
            }
        }
        response
    }
}
