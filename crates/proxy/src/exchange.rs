//! One exchange with whatever next hop answers: choose, connect, send, and on failure do what
//! `rescue.rs` says, up to its limit.

use crate::access::SELVEDGE_GRANT;
use crate::ledger::Fetched;
use crate::media::{self, Held};
use crate::node::Core;
use crate::normalize::Ask;
use crate::outgoing::{self, Purpose};
use crate::rescue::{self, Attempt, Failure, Step};
use crate::revision::{self, SELVEDGE_REVISION};
use crate::upstream::{Hop, InFlight, Tier};
use http_body::Body as _;
use selvedge_media::Facts;
use selvedge_net::{OutgoingBody, Reply, Reuse, SendFailure};
use selvedge_policy::{Now, forward, hop};
use std::sync::Arc;

/// An answer from a next hop.
pub(crate) struct Sent {
    pub(crate) reply: Reply,
    pub(crate) hop: Arc<Hop>,
    /// The hop's load, until the body has ended.
    pub(crate) in_flight: InFlight,
    pub(crate) fetched: Fetched,
    pub(crate) requested_at: Now,
    pub(crate) received_at: Now,
    /// What the manifest in it says, if it is one that was read.
    pub(crate) facts: Option<Facts>,
    /// The node that answered has not heard yet what this one knows.
    pub(crate) is_behind: bool,
}

/// The hops that have not been asked yet.
struct Choice {
    left: Vec<Arc<Hop>>,
}

impl Choice {
    /// The best hop that may be asked now; if none may, the best of all: a request that has nowhere
    /// better to go is a fair trial.
    fn take(&mut self, now_ms: u64) -> Option<Arc<Hop>> {
        let admitted = self.left.iter().position(|hop| hop.admit(now_ms));
        (!self.left.is_empty()).then(|| self.left.remove(admitted.unwrap_or(0)))
    }
}

fn route(core: &Core, ask: &Ask, spin: u64) -> Vec<Arc<Hop>> {
    let now_ms = core.node.clock.now_mono_ms();
    let sources = ask.sources(spin);
    if ask.site.is_apart {
        return sources;
    }
    ask.plan.upstream.route(sources, &ask.full_key, ask.arrival.from_peer, now_ms)
}

/// Whether some hop for this request passes the question. Asks nobody and decides nothing.
pub(crate) fn any_hop(core: &Core, ask: &Ask, question: impl Fn(&Hop) -> bool) -> bool {
    route(core, ask, 0).iter().any(|hop| question(hop))
}

/// Sends a request to its next hop.
pub(crate) async fn exchange(
    core: &Core,
    ask: &Ask,
    purpose: Purpose<'_>,
    body: OutgoingBody,
) -> Result<Sent, (Failure, Option<Fetched>)> {
    let node = &core.node;
    let bodiless = body.is_end_stream();
    let repeatable = bodiless && ask.method.is_safe();
    let Ok(_held) = Held::enter(ask) else { return Err((Failure::HeldFull, None)) };
    let mut choice = Choice { left: route(core, ask, node.spin()) };
    let Some(mut hop) = choice.take(node.clock.now_mono_ms()) else {
        // What is pushed can be read and no more.
        let is_push = ask.site.pushed.is_some() && !ask.is_for_storage();
        return Err((if is_push { Failure::Method } else { Failure::NoHop }, None));
    };
    let began_us = node.clock.now_mono_us();
    let mut body = Some(body);
    let mut count = 0;
    let mut fresh = false;
    loop {
        count += 1;
        let in_flight = hop.enter();
        let requested_at = node.now();
        let sending = body.take().unwrap_or_else(OutgoingBody::empty);
        let result = send(core, ask, &hop, purpose, sending, fresh).await;
        let fetched = Fetched {
            upstream: Arc::clone(&hop.url),
            attempts: count,
            first_byte_us: node.clock.now_mono_us().saturating_sub(began_us),
        };
        let failure = match result {
            Ok((reply, is_behind)) => {
                hop.succeeded();
                let received_at = node.now();
                return Ok(Sent {
                    reply,
                    hop,
                    in_flight,
                    fetched,
                    requested_at,
                    received_at,
                    facts: None,
                    is_behind,
                });
            }
            Err(failure) => failure,
        };
        let now_ms = node.clock.now_mono_ms();
        note_failure(ask, &hop, &failure, now_ms);
        let whole = bodiless || failure.request.is_some();
        let more_hops = !choice.left.is_empty();
        let attempt = Attempt { count, repeatable, whole, fresh, more_hops };
        match rescue::after(&failure.error, attempt) {
            Step::GiveUp => return Err((Failure::Upstream(failure.error), Some(fetched))),
            Step::Again => fresh = true,
            Step::NextHop => {
                ask.site.counters.here().failovers.inc();
                fresh = false;
                let Some(next) = choice.take(now_ms) else {
                    return Err((Failure::Upstream(failure.error), Some(fetched)));
                };
                hop = next;
            }
        }
        ask.site.counters.here().retries.inc();
        body = failure.request.map(|request| request.into_body());
    }
}

async fn send(
    core: &Core,
    ask: &Ask,
    hop: &Hop,
    purpose: Purpose<'_>,
    body: OutgoingBody,
    fresh: bool,
) -> Result<(Reply, bool), SendFailure> {
    let mut deadlines = match hop.tier {
        Tier::Origin => ask.site.deadlines,
        Tier::Parent | Tier::Peer | Tier::Storage => ask.plan.upstream.deadlines,
    };
    if let Some(held) = media::hold(core, ask) {
        deadlines.first_byte = deadlines.first_byte.max(held);
    }
    let mut request = outgoing::request(ask, &core.node.name, hop, purpose, body);
    // The farthest that anybody on the way here is.
    let applied = core.node.applied.told().max(ask.arrival.asked_revision);
    let is_node = matches!(hop.tier, Tier::Parent | Tier::Peer);
    let told = applied.filter(|_| is_node);
    if let Some(told) = told {
        request.headers_mut().insert(SELVEDGE_REVISION, revision::value(told));
    }
    if is_node
        && let Some(access) = &ask.site.access
        && let Some(grant) = access.grant(ask.path(), core.node.clock.now_wall_s())
    {
        request.headers_mut().insert(SELVEDGE_GRANT, grant);
    }
    let reuse = if fresh { Reuse::Fresh } else { Reuse::Pooled };
    ask.site.counters.here().upstream_requests.inc();
    let sent_us = core.node.clock.now_mono_us();
    let mut reply = core.client.send(&hop.target, request, &deadlines, reuse).await?;
    let counters = ask.site.counters.here();
    counters.upstream_first_byte.observe_us(core.node.clock.now_mono_us().saturating_sub(sent_us));
    if !reply.reused {
        counters.upstream_connects.inc();
    }
    if reply.upgrade.is_none() {
        hop::strip_hop_by_hop(reply.response.headers_mut());
    }
    let version = reply.response.version();
    let headers = reply.response.headers_mut();
    forward::append_via(headers, version, &core.node.name);
    let is_behind = told.is_some_and(|told| revision::read(headers).is_some_and(|it| it < told));
    headers.remove(SELVEDGE_REVISION);
    Ok((reply, is_behind))
}

fn note_failure(ask: &Ask, hop: &Hop, failure: &SendFailure, now_ms: u64) {
    let word = failure.error.word();
    ask.site.counters.here().upstream_errors.inc(word);
    tracing::debug!(hop = %hop.url, site = %ask.site.name, error = %failure.error, "no answer");
    if rescue::speaks_against_hop(&failure.error) {
        hop.failed(now_ms, word);
    }
}
