//! Purges as clients and operators ask for them: the method PURGE on the listeners of clients, and
//! `POST /purge` with JSON on the admin listener. Both are refused alike.

mod guard;
mod wish;

use crate::admit::{self, Arrival};
use crate::body::Body;
use crate::deliver;
use crate::node::{Core, Node};
use crate::page;
use crate::plan::{Plan, Site};
use crate::request::{self, Visit};
use crate::rescue::{self, Failure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use selvedge_feed::Target;
use selvedge_net::{Connection, RequestBody};
use selvedge_policy::target::normalize_path;
use selvedge_store::{Purge, PurgeError, Strength};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use wish::{Wish, Wishes};

pub(crate) use guard::Guard;
pub use guard::Token;

/// Bytes of a JSON text at most.
const JSON_BYTES_MAX: usize = 64 << 10;

/// Why nothing was purged, or not for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not from this address.
    Forbidden,
    /// Not without the token.
    Unauthorized,
    /// It does not say clearly what to purge; this is what is wrong with it.
    Syntax(&'static str),
    /// More than one request may purge.
    TooLarge,
    /// No site of this name, or for this host.
    UnknownSite,
    /// In force, but a restart would undo it.
    NotDurable,
}

/// Site, host, path and query of a URL in the form that keys have.
pub(crate) fn named(
    plan: &Plan,
    url: &str,
) -> Result<(String, String, String, Option<String>), Refused> {
    wish::resource(plan, url)
}

/// Whether a request is one to purge.
pub(crate) fn is_purge(method: &Method) -> bool {
    method.as_str() == "PURGE"
}

/// Answers a PURGE. It is never sent on.
pub(crate) async fn serve(
    core: &Core,
    plan: &Plan,
    arrival: &Arrival,
    req: &Request<RequestBody>,
    connection: &Connection,
    mut visit: Visit,
) -> Response<Body> {
    let wishes = wanted(core, plan, arrival, req, connection, &mut visit);
    let done = match wishes {
        Ok(wishes) => carry_out(&core.node, wishes).await.map_err(Failure::Purge),
        Err(failure) => Err(failure),
    };
    match done {
        Ok(text) => deliver::purged(visit, text),
        Err(failure) => {
            visit.accept = Some(page::JSON);
            deliver::refuse(core, &failure, visit)
        }
    }
}

fn wanted(
    core: &Core,
    plan: &Plan,
    arrival: &Arrival,
    req: &Request<RequestBody>,
    connection: &Connection,
    visit: &mut Visit,
) -> Result<Wishes, Failure> {
    admit::admit(&core.node.name, req, visit.carries)?;
    let (host, site) = request::find_site(core, plan, req, arrival, connection)?;
    visit.ledger.at_site(&site);
    let guarded = plan.purge.admit(arrival.client, arrival.trusted, req.headers());
    guarded.map_err(Failure::Purge)?;
    let own = || own_url(req, host.to_string(), &site);
    wish::of_fields(&site.name, req.headers(), own).map_err(Failure::Purge)
}

fn own_url(req: &Request<RequestBody>, host: String, site: &Site) -> Result<Wish, Refused> {
    let path = normalize_path(req.uri().path());
    let path = path.map_err(|_| Refused::Syntax("The path is not valid."))?.into_owned();
    let query = site.query.apply_to(req.uri().query()).map(std::borrow::Cow::into_owned);
    Ok(Wish::Url { host, path, query })
}

/// Purges, and gives the answer. What a disk must write is written off the worker's thread.
async fn carry_out(node: &Arc<Node>, wishes: Wishes) -> Result<String, Refused> {
    let (kind, soft) = (wishes.kind.word(), wishes.strength == Strength::Soft);
    let count = wishes.list.len();
    let (store, now) = (Arc::clone(&node.store), node.now());
    let waits = store.purges_wait();
    let purge = move || {
        let strength = wishes.strength;
        let each = wishes.list.iter().map(|wish| Purge { scope: wish.scope(), strength });
        store.purge(&each.collect::<Vec<_>>(), now)
    };
    let done = if waits { tokio::task::spawn_blocking(purge).await.ok() } else { Some(purge()) };
    match done {
        Some(Ok(revision)) => {
            tracing::info!(kind, count, soft, revision, "purged");
            let text = serde_json::json!({
                "revision": revision, "kind": kind, "count": count, "soft": soft,
            });
            Ok(format!("{text}\n"))
        }
        Some(Err(error)) => {
            tracing::error!(kind, count, soft, %error, "purged, but not for good");
            Err(Refused::NotDurable)
        }
        None => Err(Refused::NotDurable),
    }
}

impl Node {
    /// Answers a request to purge that came as JSON from an operator: the status and a JSON text.
    pub async fn purge_by_json(
        self: &Arc<Self>,
        client: IpAddr,
        headers: &HeaderMap,
        body: RequestBody,
    ) -> (StatusCode, String) {
        let plan = self.plan();
        let done = match plan.purge.admit(client, false, headers) {
            Ok(()) => self.purge_json(&plan, body).await,
            Err(refused) => Err(Failure::Purge(refused)),
        };
        done.map_or_else(
            |failure| {
                let answer = rescue::answer(&failure);
                let text = serde_json::json!({
                    "status": answer.status.as_u16(),
                    "reason": answer.word,
                    "detail": answer.sentence,
                });
                (answer.status, format!("{text}\n"))
            },
            |text| (StatusCode::OK, text),
        )
    }

    /// Purges what control wants purged. When this returns it is in force; waits for the disks.
    /// Each comes with whether it is soft. Returns how many there were that can cover anything.
    ///
    /// # Errors
    /// When it is in force, but would not outlive the process.
    pub fn purge_targets<'t>(
        &self,
        targets: impl IntoIterator<Item = (&'t Target, bool)>,
    ) -> Result<usize, PurgeError> {
        let plan = self.plan();
        let wish = |(target, soft)| {
            let strength = if soft { Strength::Soft } else { Strength::Hard };
            // Control refuses what nodes cannot read. A purge must never come to less than it says.
            let wish = wish::of_target(&plan, target).unwrap_or_else(|| {
                tracing::error!(?target, "a purge that cannot be read: everything is purged");
                Wish::Everything
            });
            (wish, strength)
        };
        let wishes: Vec<(Wish, Strength)> = targets.into_iter().map(wish).collect();
        if wishes.is_empty() {
            return Ok(0);
        }
        let each = wishes.iter().map(|(wish, strength)| {
            let (scope, strength) = (wish.scope(), *strength);
            Purge { scope, strength }
        });
        let revision = self.store.purge(&each.collect::<Vec<_>>(), self.now())?;
        tracing::info!(count = wishes.len(), revision, "purged for control");
        Ok(wishes.len())
    }

    async fn purge_json(
        self: &Arc<Self>,
        plan: &Plan,
        body: RequestBody,
    ) -> Result<String, Failure> {
        let text = collected(body).await?;
        let wishes = wish::of_json(plan, &text).map_err(Failure::Purge)?;
        carry_out(self, wishes).await.map_err(Failure::Purge)
    }
}

/// A short body.
async fn collected(mut body: RequestBody) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    if body.length().is_some_and(|length| length > JSON_BYTES_MAX as u64) {
        return Err(Failure::Purge(Refused::TooLarge));
    }
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let broken = |_| Failure::Purge(Refused::Syntax("The body did not arrive whole."));
        let frame = frame.map_err(broken)?;
        let data: Bytes = frame.into_data().unwrap_or_default();
        if text.len() + data.len() > JSON_BYTES_MAX {
            return Err(Failure::Purge(Refused::TooLarge));
        }
        text.extend_from_slice(&data);
    }
    Ok(text)
}
