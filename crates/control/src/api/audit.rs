//! What was done by whom, and how it all is.

use axum::extract::{Query, State as Ext};
use http::StatusCode;
use serde::Serialize;

use super::caller::Caller;
use super::pages::{Items, Page};
use super::{App, nodes};
use crate::log::Audited;
use crate::problem::{Problem, ProblemBody};
use crate::state::record::Scope;

/// What answers here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct About {
    /// The name of this control.
    name: String,
    /// The version of its software.
    version: &'static str,
    /// The log its revisions are of.
    log: String,
    /// The newest revision.
    revision: u64,
}

/// How it all is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Status {
    /// The name of this control.
    name: String,
    /// The log its revisions are of.
    log: String,
    /// The newest revision.
    revision: u64,
    /// Nodes.
    nodes: NodeCounts,
    /// Sites.
    sites: usize,
    /// Pushed objects.
    objects: u64,
    /// Bytes of pushed bodies.
    bytes: u64,
}

/// Nodes, counted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct NodeCounts {
    /// All that joined.
    total: usize,
    /// That said something in the last five seconds.
    live: usize,
    /// That take traffic.
    ready: usize,
    /// That live and have applied everything.
    current: usize,
}

/// What answers here.
#[utoipa::path(get, path = "/v1", tag = "status", responses(
    (status = 200, body = About),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn about(
    Ext(app): Ext<App>,
    caller: Caller,
) -> Result<axum::Json<About>, Problem> {
    caller.may_read()?;
    Ok(axum::Json(About {
        name: app.settings.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        log: app.log.id().to_owned(),
        revision: app.stream.head(),
    }))
}

/// How it all is.
#[utoipa::path(get, path = "/v1/status", tag = "status", responses(
    (status = 200, body = Status),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn status(
    Ext(app): Ext<App>,
    caller: Caller,
) -> Result<axum::Json<Status>, Problem> {
    caller.may(Scope::Read, None)?;
    let state = app.desk.state();
    let nodes = nodes::all(&app);
    let count =
        |what: &dyn Fn(&nodes::NodeLine) -> bool| nodes.iter().filter(|node| what(node)).count();
    Ok(axum::Json(Status {
        name: app.settings.name.clone(),
        log: app.log.id().to_owned(),
        revision: app.stream.head(),
        nodes: NodeCounts {
            total: nodes.len(),
            live: count(&|node| node.is_live()),
            ready: count(&|node| node.is_ready()),
            current: count(&|node| node.is_live() && !node.is_behind()),
        },
        sites: state.live_sites().count(),
        objects: state.objects,
        bytes: state.bytes,
    }))
}

/// Who did what, from where.
///
/// Newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "status", params(Page), responses(
    (status = 200, body = Items<Audited>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn audit(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<Audited>>, Problem> {
    caller.may(Scope::Admin, None)?;
    let limit = asked.limit()?;
    let before = match &asked.after {
        None => u64::MAX,
        Some(after) => after.parse().map_err(|_| Problem::invalid("`after` is not a revision"))?,
    };
    let mut items = app.log.audit(before, limit + 1)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|line| line.revision.to_string());
    Ok(axum::Json(Items { items, next }))
}

/// Whether control answers.
pub(crate) async fn alive() -> (StatusCode, &'static str) {
    (StatusCode::OK, "alive\n")
}
