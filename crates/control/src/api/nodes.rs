//! Nodes: who they are, how they are, and what the operator wants of them.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use selvedge_feed as feed;
use selvedge_feed::{Intent, Join, Joined, Member};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bodies::{self, reply};
use super::caller::{Caller, Prefix, Who};
use super::pages::{Items, Page, page};
use super::tokens::{MadeToken, NewSecret, make};
use super::{App, Revised};
use crate::desk::Decision;
use crate::fleet::Seen;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::Node;
use crate::state::record::{Deed, Scope, TokenKind};

/// Nodes there may be.
const NODES_MAX: usize = 10_000;
/// URLs of a node at most.
const URLS_MAX: usize = 16;

/// A node: what is known of it, and what it said last.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct NodeLine {
    /// Its name.
    name: String,
    /// `edge`, `parent` or `dns`.
    tier: &'static str,
    /// Its region.
    region: String,
    /// Where others reach it.
    urls: Vec<String>,
    /// Where clients reach it.
    #[schema(value_type = Vec<String>)]
    addresses: Vec<IpAddr>,
    /// Where DNS servers ask how it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
    /// What the operator wants: `online`, `draining` or `offline`.
    intent: &'static str,
    /// Whether it said something in the last five seconds.
    live: bool,
    /// Whether it takes traffic.
    ready: bool,
    /// Why not, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The revision up to which everything is in force on it.
    applied: u64,
    /// How many revisions it is behind.
    behind: u64,
    /// What it could not take over.
    #[schema(value_type = Vec<Object>)]
    refused: Vec<feed::Refusal>,
    /// How busy it is: `cpu` (0 to 1), `rss_bytes`, `connections`, `requests_per_s`, `bytes_per_s`.
    #[schema(value_type = Object)]
    load: feed::Load,
    /// What its cache does: `hits`, `requests`, `memory_bytes`, `disk_bytes`.
    #[schema(value_type = Object)]
    cache: feed::CacheFigures,
    /// The version of its software.
    version: String,
    /// When it joined, in milliseconds since 1970.
    joined_ms: i64,
    /// When it said something last; null since control started.
    seen_ms: Option<i64>,
}

/// What the operator wants of a node.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `online`, `draining` or `offline`.
    #[schema(value_type = String)]
    intent: Intent,
}

/// A token to join with.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJoinToken {
    /// After which time nobody can join with it any more; `24h` if not given.
    expires: Option<String>,
    /// How many nodes may join with it: 1 to 1000, 1 if not given.
    uses: Option<u32>,
}

impl NodeLine {
    fn new(app: &App, node: &Node, head: u64) -> Self {
        let seen = app.fleet.seen(&node.member.name);
        let live = seen.as_ref().is_some_and(|seen| seen.lives(app.clock.now_mono_ms()));
        let seen_ms = seen.as_ref().map(|seen| seen.at_wall_ms);
        let Seen { report, .. } = seen.unwrap_or_default();
        let applied = if report.ack.log == app.log.id() { report.ack.applied } else { 0 };
        Self {
            name: node.member.name.clone(),
            tier: node.member.tier.word(),
            region: node.member.region.clone(),
            urls: node.member.urls.clone(),
            addresses: node.member.addresses.clone(),
            health: node.member.health.clone(),
            intent: node.member.intent.word(),
            live,
            ready: live && report.ready,
            why: if live { report.why } else { Some("silent".to_owned()) },
            applied,
            behind: head.saturating_sub(applied),
            refused: report.ack.refused,
            load: report.load,
            cache: report.cache,
            version: node.version.clone(),
            joined_ms: node.joined_ms,
            seen_ms,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.behind > 0
    }
}

/// Every node, as the operator sees it.
pub(crate) fn all(app: &App) -> Vec<NodeLine> {
    let state = app.desk.state();
    let head = app.stream.head();
    state.nodes.values().map(|node| NodeLine::new(app, node, head)).collect()
}

/// The nodes.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(Page), responses(
    (status = 200, body = Items<NodeLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<NodeLine>>, Problem> {
    caller.may(Scope::Read, None)?;
    let (limit, after) = (asked.limit()?, asked.after.unwrap_or_default());
    let (state, head) = (app.desk.state(), app.stream.head());
    let nodes = state.nodes.iter().filter(|(name, _)| **name > after);
    let line = |(_, node): (&String, &std::sync::Arc<Node>)| NodeLine::new(&app, node, head);
    Ok(axum::Json(page(nodes, limit, |(name, _)| (*name).clone(), line)))
}

/// A node.
#[utoipa::path(get, path = "/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "The name of the node")), responses(
    (status = 200, body = NodeLine),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<NodeLine>, Problem> {
    caller.may(Scope::Read, None)?;
    let state = app.desk.state();
    let node = state.nodes.get(&name).ok_or_else(|| Problem::not_found("node", &name))?;
    Ok(axum::Json(NodeLine::new(&app, node, app.stream.head())))
}

/// Remove a node.
///
/// Its token is worth nothing from then on. To bring it back, let it join again.
#[utoipa::path(delete, path = "/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "The name of the node")), responses(
    (status = 200, body = Revised),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin, None)?;
    let gone = name.clone();
    let done = app.desk.submit(caller.asker(b""), move |state, moment| {
        state.nodes.get(&name).ok_or_else(|| Problem::not_found("node", &name))?;
        let answer = reply(StatusCode::OK, &Revised { revision: moment.revision });
        Ok(Decision::Do(Deed::NodeRemoved { name }, answer))
    });
    let answer = done.await?;
    app.fleet.forget(&gone);
    Ok(answer.into_response())
}

/// Say what is wanted of a node.
///
/// `draining` and `offline` take it out of service: it says that it is not ready, and goes on
/// serving what still comes.
#[utoipa::path(put, path = "/v1/nodes/{node}/intent", tag = "nodes", request_body = Wanted,
    params(("node" = String, Path, description = "The name of the node")), responses(
    (status = 200, body = Revised),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn intent(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Node, None)?;
    let (Wanted { intent }, bytes): (Wanted, _) = bodies::json(&headers, body).await?;
    let done = app.desk.submit(caller.asker(&bytes), move |state, moment| {
        let node = state.nodes.get(&name).ok_or_else(|| Problem::not_found("node", &name))?;
        if node.member.intent == intent {
            let answer = reply(StatusCode::OK, &Revised { revision: state.revision });
            return Ok(Decision::Nothing(answer));
        }
        let answer = reply(StatusCode::OK, &Revised { revision: moment.revision });
        Ok(Decision::Do(Deed::IntentSet { name, intent }, answer))
    });
    Ok(done.await?.into_response())
}

/// Make a token that nodes join with.
#[utoipa::path(post, path = "/v1/join-tokens", tag = "nodes", request_body = NewJoinToken,
    responses((status = 201, body = MadeToken),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn join_token(
    Ext(app): Ext<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin, None)?;
    let (new, bytes): (NewJoinToken, _) = bodies::json(&headers, body).await?;
    let uses_left = new.uses.unwrap_or(1);
    if !(1..=1000).contains(&uses_left) {
        return Err(Problem::invalid("`uses` must be 1 to 1000"));
    }
    let expires = Some(new.expires.as_deref().unwrap_or("24h"));
    let (name, kind) = ("join".to_owned(), TokenKind::Join { uses_left });
    make(&app, &caller, &bytes, NewSecret { name, kind, expires, prefix: Prefix::Join }).await
}

/// Join, as a node.
///
/// With a token made for that. A node of the same name is replaced: its old token is worth nothing.
#[utoipa::path(post, path = "/v1/nodes", tag = "nodes", request_body = Object, responses(
    (status = 201, body = Object, description = "The node's token, shown once"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn join(
    Ext(app): Ext<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Who::Join(token) = &caller.who else {
        return Err(Problem::new(Kind::Forbidden, "bring a token that is made for joining"));
    };
    let (join, bytes): (Join, _) = bodies::json(&headers, body).await?;
    checked(&join)?;
    let Join { name, tier, region, urls, addresses, health, version } = join;
    let (text, secret) = Prefix::Node.token(&name);
    let joined = Joined {
        name: name.clone(),
        token: text,
        seal_key: app.seal_text.clone(),
        log: app.log.id().to_owned(),
    };
    let join = token.id.clone();
    let mut asker = caller.asker(&bytes);
    // The answer holds a secret, so it is not remembered.
    asker.once = None;
    let done = app.desk.submit(asker, move |state, _| {
        // Two that come at once with a token for one: the second finds it used up.
        if !state.tokens.contains_key(&join) {
            return Err(Problem::new(Kind::Unauthorized, "the token has been used up"));
        }
        let known = state.nodes.get(&name);
        if known.is_none() && state.nodes.len() >= NODES_MAX {
            return Err(Problem::new(Kind::Conflict, "there are too many nodes: remove some"));
        }
        let intent = known.map(|node| node.member.intent).unwrap_or_default();
        let member = Member { name, tier, region, urls, addresses, health, intent };
        let deed = Deed::NodeJoined { member: Box::new(member), secret, version, join };
        Ok(Decision::Do(deed, bodies::reply(StatusCode::CREATED, &Value::Null)))
    });
    done.await?;
    Ok((StatusCode::CREATED, axum::Json(joined)).into_response())
}

fn checked(join: &Join) -> Result<(), Problem> {
    let is_name = |name: &str| {
        (1..=64).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let wrong = |what: &str| Err(Problem::invalid(what));
    if !is_name(&join.name) || !is_name(&join.region) {
        return wrong("`name` and `region` are letters, digits, `-`, `_` and `.`, a letter first");
    }
    if join.urls.len() > URLS_MAX || join.addresses.len() > URLS_MAX || join.version.len() > 64 {
        return wrong("more `urls` or `addresses`, or a longer `version`, than may be");
    }
    for url in join.urls.iter().chain(&join.health) {
        let valid = selvedge_net::Target::parse(url).is_some();
        if !valid || url.len() > 512 {
            return wrong(&format!("{url:?} is not a URL such as https://edge-1.example"));
        }
    }
    Ok(())
}

/// Say how far the node is. For nodes.
#[utoipa::path(post, path = "/v1/nodes/{node}/ack", tag = "nodes", request_body = Object,
    params(("node" = String, Path, description = "The name of the node")), responses(
    (status = 204),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn ack(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    caller.must_be_node(&name)?;
    let (ack, _): (feed::Ack, _) = bodies::json(&headers, body).await?;
    app.fleet.ack(&name, believed(&app, ack), app.when());
    Ok(StatusCode::NO_CONTENT)
}

/// Say how the node is. For nodes.
#[utoipa::path(post, path = "/v1/nodes/{node}/report", tag = "nodes", request_body = Object,
    params(("node" = String, Path, description = "The name of the node")), responses(
    (status = 204),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn report(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    caller.must_be_node(&name)?;
    let (mut report, _): (feed::Report, _) = bodies::json(&headers, body).await?;
    report.ack = believed(&app, report.ack);
    app.fleet.report(&name, report, app.when());
    Ok(StatusCode::NO_CONTENT)
}

/// What a node says of itself, as far as it can be so: nobody has applied what is not there yet.
fn believed(app: &App, ack: feed::Ack) -> feed::Ack {
    let is_beyond = ack.applied > app.desk.state().revision;
    feed::Ack { applied: if is_beyond { 0 } else { ack.applied }, ..ack }
}
