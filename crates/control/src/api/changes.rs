//! The stream that nodes follow: what is new after a revision, or everything, and then each change
//! as it is made, with a heartbeat each second.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State as Ext};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use selvedge_feed::Line;
use serde::Deserialize;
use tokio::sync::watch;

use super::App;
use super::caller::{Caller, Who};
use crate::problem::{Problem, ProblemBody};
use crate::state::digest::Digest;
use crate::state::record::Scope;
use crate::stream::Next;

/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// From where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct From {
    /// The revision up to which everything is known; 0 for nothing.
    #[serde(default)]
    since: u64,
    /// The log whose revision that is.
    #[serde(default)]
    log: String,
}

/// Follow the changes.
///
/// Lines of JSON, without end. The first is a `hello`; see the reference of the feed.
#[utoipa::path(get, path = "/v1/changes", tag = "nodes", params(From), responses(
    (status = 200, content_type = "application/x-ndjson", body = String),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn changes(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(from): Query<From>,
) -> Result<Response, Problem> {
    if !matches!(caller.who, Who::Node(_)) {
        caller.may(Scope::Admin, None)?;
    }
    let follower = Follower::begin(app, caller, from);
    let lines = stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(next), follower))
    });
    let kind = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(lines)).into_response())
}

/// One who follows.
struct Follower {
    app: App,
    caller: Caller,
    /// What was known of the secret that it came with.
    secret: Option<Digest>,
    head: watch::Receiver<u64>,
    /// Everything up to here has been sent.
    sent: u64,
    /// What is to be sent before anything else.
    first: Vec<Bytes>,
    /// Whether the next line is a heartbeat: everything has been sent, and this is not said yet.
    untold: bool,
}

impl Follower {
    fn begin(app: App, caller: Caller, from: From) -> Self {
        let head = app.stream.watch();
        let now = app.stream.head();
        let secret = secret(&app, &caller);
        let knows = from.log == app.stream.log() && from.since <= now;
        let whole = !knows || matches!(app.stream.after(from.since), Next::Behind);
        let mut hello = Vec::new();
        Line::Hello {
            log: app.stream.log().to_owned(),
            head: now,
            whole,
            // What lies between is not kept, and may have held purges; who is new has nothing.
            missed_purges: whole && from.since > 0,
        }
        .write(&mut hello);
        let mut first = vec![Bytes::from(hello)];
        let mut sent = from.since;
        if whole {
            let state = app.desk.state();
            let all = app.stream.whole(|| state.for_nodes());
            first.push(all.lines.clone());
            sent = all.revision;
        }
        first.reverse();
        Self { app, caller, secret, head, sent, first, untold: true }
    }

    /// The next bytes. `None` ends the stream: the follower is too slow, or not welcome any more.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop() {
            return Some(first);
        }
        loop {
            self.head.mark_unchanged();
            if self.app.stream.has_ended() || !self.is_welcome() {
                return None;
            }
            match self.app.stream.after(self.sent) {
                Next::Behind => return None,
                Next::Lines(last, lines) => {
                    self.sent = last;
                    return Some(joined(lines));
                }
                Next::Nothing if self.untold => {
                    self.untold = false;
                    return Some(self.heartbeat());
                }
                Next::Nothing => {}
            }
            match tokio::time::timeout(HEARTBEAT, self.head.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return self.is_welcome().then(|| self.heartbeat()),
            }
        }
    }

    fn heartbeat(&self) -> Bytes {
        let mut line = Vec::new();
        Line::Heartbeat { head: self.sent }.write(&mut line);
        line.into()
    }

    /// Whether the token it came with is still worth something.
    fn is_welcome(&self) -> bool {
        self.secret.is_some() && secret(&self.app, &self.caller) == self.secret
    }
}

/// What is known of the secret of a caller now; `None` when it was removed or revoked, or its time
/// is over.
fn secret(app: &App, caller: &Caller) -> Option<Digest> {
    let state = app.desk.state();
    match &caller.who {
        Who::Node(name) => state.nodes.get(name).map(|node| node.secret),
        Who::Api(token) => {
            let token = state.tokens.get(&token.id)?;
            let now_ms = app.clock.now_wall_ms();
            let lasts = token.expires_ms.is_none_or(|expires_ms| expires_ms > now_ms);
            lasts.then_some(token.secret)
        }
        Who::Join(_) => None,
    }
}

fn joined(mut lines: Vec<Bytes>) -> Bytes {
    match lines.len() {
        1 => lines.remove(0),
        _ => lines.concat().into(),
    }
}
