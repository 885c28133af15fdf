//! The first step: may this request be served at all, and who sends it.
//!
//! Framing was checked before it came here; what is left are rules about meaning: loops
//! (RFC 8586), methods that a cache does not serve, and whose word about the client is believed.

use crate::carries::Carries;
use crate::plan::Plan;
use crate::rescue::Failure;
use http::{HeaderMap, Method, Request, header};
use selvedge_net::{Connection, RequestBody};
use selvedge_policy::forward::{self, Sender};
use selvedge_policy::{Scheme, cdn_loop};
use std::net::IpAddr;

/// A request that has come through more caches than this is on a detour without end.
const DEPTH_MAX: usize = 8;

/// Who sends a request, and how.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The address it came from.
    pub(crate) address: IpAddr,
    /// The client behind it: another one only if the sender is trusted.
    pub(crate) client: IpAddr,
    /// The scheme the client used.
    pub(crate) scheme: Scheme,
    /// What it says about the client is believed.
    pub(crate) trusted: bool,
    /// It comes from another node, and not from a client.
    pub(crate) from_node: bool,
    /// It comes from an edge of the same region.
    pub(crate) from_peer: bool,
    /// How far the node is that asks, with what control says.
    pub(crate) asked_revision: Option<u64>,
    /// This node is not as far, but only here.
    pub(crate) behind: Option<u64>,
}

impl Arrival {
    /// Learns all there is to know from the connection and, if it is trusted, the fields.
    pub(crate) fn of(
        plan: &Plan,
        headers: &HeaderMap,
        carries: Carries,
        connection: &Connection,
    ) -> Self {
        let address = connection.peer().ip();
        let trusted = !plan.trust.is_empty() && plan.trusts(address);
        let mut scheme = if connection.is_tls() { Scheme::Https } else { Scheme::Http };
        let mut client = address.to_canonical();
        if trusted {
            let sender = Sender { address, scheme, host: "", trusted };
            client = forward::client_address(headers, &sender);
            match headers.get("x-forwarded-proto").map(|value| value.as_bytes()) {
                Some(b"https") => scheme = Scheme::Https,
                Some(b"http") => scheme = Scheme::Http,
                _ => {}
            }
        }
        Self {
            address,
            client,
            scheme,
            trusted,
            from_node: carries.cdn_loop,
            from_peer: carries.cdn_loop && cdn_loop::came_from_peer(headers),
            asked_revision: None,
            behind: None,
        }
    }
}

/// Whether an OPTIONS is meant for this node: it asks about the server as a whole (RFC 9110 9.3.7),
/// or may go no further (RFC 9110 7.6.2).
pub(crate) fn ends_here(req: &Request<RequestBody>) -> bool {
    *req.method() == Method::OPTIONS
        && (req.uri().path() == "*"
            || req.headers().get(header::MAX_FORWARDS).is_some_and(|left| left == "0"))
}

/// Refuses what must not be served.
pub(crate) fn admit(
    node_name: &str,
    req: &Request<RequestBody>,
    carries: Carries,
) -> Result<(), Failure> {
    if let Some(refusal) = selvedge_net::refusal(req) {
        return Err(Failure::Refused(refusal));
    }
    if carries.cdn_loop
        && (cdn_loop::contains(req.headers(), node_name)
            || cdn_loop::depth(req.headers()) >= DEPTH_MAX)
    {
        return Err(Failure::Loop);
    }
    if matches!(*req.method(), Method::CONNECT | Method::TRACE) || req.uri().path() == "*" {
        return Err(Failure::Method);
    }
    Ok(())
}
