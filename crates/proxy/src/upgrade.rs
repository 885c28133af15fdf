//! Requests that ask to leave HTTP: WebSocket and others (RFC 9110 7.8). The tunnel opens only
//! after the next hop has really answered 101; any other answer goes back as it is, and not a byte
//! that the client sent behind its request has reached anybody by then.

use crate::exchange::exchange;
use crate::ledger::Ledger;
use crate::node::Core;
use crate::normalize::Ask;
use crate::outgoing::Purpose;
use crate::request::{Served, Trail, What};
use crate::rescue::Failure;
use http::{HeaderValue, Response, header};
use selvedge_net::{Connection, OutgoingBody, tunnel};
use selvedge_telemetry::CacheResult;
use std::rc::Rc;
use std::time::Duration;

/// A tunnel that has carried traffic without a pause is closed at this age all the same, so that
/// drains and certificates reach every client in the end.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a tunnel goes on when the node drains. Nobody knows when one is done, so that the drain
/// would wait for its whole limit; and clients of a tunnel connect anew when it ends.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// Passes the wish on and, if it is granted, joins the two connections.
pub(crate) async fn switch(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    connection: &Connection,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let Some(protocol) = &ask.upgrade else { return Err(Failure::Method) };
    let purpose = Purpose::Upgrade(protocol);
    let sent = match exchange(core, ask, purpose, OutgoingBody::empty()).await {
        Ok(sent) => sent,
        Err((failure, fetched)) => {
            ledger.fetched = fetched;
            return Err(failure);
        }
    };
    ledger.fetched = Some(sent.fetched);
    ledger.waited();
    let Some(upstream) = sent.reply.upgrade else {
        let trail = Trail { cache: CacheResult::Pass, ..Trail::TUNNEL };
        let what = What::Passed(Box::new((sent.reply.response, sent.in_flight)));
        return Ok(Served { what, trail });
    };
    ask.site.counters.here().tunnels.inc();
    let client = connection.on_upgrade();
    let idle = ask.site.deadlines.idle;
    let in_flight = sent.in_flight;
    let tasks = core.tasks.clone();
    core.tasks.spawn(async move {
        let Some(client) = client.wait().await else { return };
        let drained = async {
            tasks.draining().await;
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        tokio::select! {
            _ = tunnel(client, upstream, idle, AGE_MAX) => {}
            () = drained => {}
        }
        drop(in_flight);
    });
    let (mut head, _) = sent.reply.response.into_parts();
    let agreed = head.headers.get(header::UPGRADE).unwrap_or(protocol).clone();
    selvedge_policy::hop::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(header::UPGRADE, agreed);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    let response = Box::new(Response::from_parts(head, ()));
    Ok(Served { what: What::Switch(response), trail: Trail::TUNNEL })
}
