//! The request as the next hop gets it: written anew from what was understood, never copied.

use crate::access::SELVEDGE_GRANT;
use crate::carries::SURROGATE_CAPABILITY;
use crate::followed::Pushed;
use crate::normalize::Ask;
use crate::revision::SELVEDGE_REVISION;
use crate::upstream::{Hop, Tier};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::{Body, Frame, SizeHint};
use selvedge_net::{BodyError, OutgoingBody, RequestBody};
use selvedge_policy::forward::{self, Sender};
use selvedge_policy::{cdn_loop, hop, validate, vary};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// What a request is sent for: it decides which conditions and ranges go with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// To be stored whole: the client's conditions and ranges are answered here.
    Fill,
    /// The same, but only this part of it is wanted now.
    Part(&'a HeaderValue),
    /// To fill a gap of an object that is stored in part, if it is still the version that this
    /// validator names.
    Gap { range: &'a HeaderValue, validator: &'a HeaderValue },
    /// To learn whether the stored response with these fields still holds, and if not to get the
    /// new one, or a part of it.
    Validate(&'a HeaderMap, Option<&'a HeaderValue>),
    /// To be passed on as it is.
    Pass,
    /// To switch to another protocol.
    Upgrade(&'a HeaderValue),
}

/// Writes the request for one hop.
pub(crate) fn request(
    ask: &Ask,
    node: &str,
    hop: &Hop,
    purpose: Purpose<'_>,
    body: OutgoingBody,
) -> Request<OutgoingBody> {
    let mut headers = ask.headers.clone();
    hop::strip_hop_by_hop(&mut headers);
    hop::strip_unkeyed_request_fields(&mut headers);
    vary::normalize_request(&mut headers, &ask.site.rules);
    drop_ambiguous_names(&mut headers);
    headers.remove(SELVEDGE_REVISION);
    headers.remove(SELVEDGE_GRANT);
    join_cookies(&mut headers);
    headers.remove(header::EXPECT);
    announce(&mut headers, &ask.method, &body);
    count_down(&mut headers, &ask.method);
    if ask.site.esi.is_some() {
        offer_esi(&mut headers, node);
    }
    let method = adapt(&mut headers, purpose).unwrap_or_else(|| ask.method.clone());
    forward::set_forwarded(
        &mut headers,
        &Sender {
            address: ask.arrival.address,
            scheme: ask.arrival.scheme,
            host: &ask.host,
            trusted: ask.arrival.trusted,
        },
    );
    forward::append_via(&mut headers, ask.version, node);
    let sideways = hop.tier == Tier::Peer;
    cdn_loop::append(
        &mut headers,
        node,
        if sideways { cdn_loop::Hop::Peer } else { cdn_loop::Hop::Up },
    );
    headers.insert("x-request-id", ask.id.value());
    let mut host = HeaderValue::from_str(&ask.host).ok();
    if hop.tier == Tier::Origin {
        if let Some(origin_host) = &ask.site.origin_host {
            host = Some(origin_host.clone());
        }
        ask.site.request_rules.apply(&mut headers);
    }
    if let Some(host) = host {
        headers.insert(header::HOST, host);
    }
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // The normal form of a path and a query is always a valid target.
    *request.uri_mut() = ask.path_and_query.parse().unwrap_or_default();
    if let (Tier::Storage, Some(pushed)) = (hop.tier, &ask.site.pushed) {
        pushed.address(&mut headers);
        *request.uri_mut() = Pushed::uri(ask.path());
    }
    *request.headers_mut() = headers;
    request
}

/// Puts in the conditions and the range that the purpose asks for, in the place of the client's.
/// Returns the method, unless it is the client's.
fn adapt(headers: &mut HeaderMap, purpose: Purpose<'_>) -> Option<Method> {
    match purpose {
        Purpose::Pass => return None,
        Purpose::Upgrade(protocol) => {
            headers.insert(header::UPGRADE, protocol.clone());
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            return None;
        }
        Purpose::Fill | Purpose::Part(_) | Purpose::Gap { .. } | Purpose::Validate(..) => {
            strip_partial(headers);
        }
    }
    if let Purpose::Validate(stored, _) = purpose {
        validate::conditional_headers(stored, headers);
    }
    if let Purpose::Part(range) | Purpose::Gap { range, .. } | Purpose::Validate(_, Some(range)) =
        purpose
    {
        headers.insert(header::RANGE, range.clone());
    }
    if let Purpose::Gap { validator, .. } = purpose {
        headers.insert(header::IF_RANGE, validator.clone());
    }
    Some(Method::GET)
}

/// Drops fields with an underscore in their name: many origins read `content_length` as
/// `Content-Length`, and nothing that was checked here was checked under that name.
fn drop_ambiguous_names(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| name.as_str().contains('_')).cloned() {
        headers.remove(name);
    }
}

/// Joins the crumbs into which HTTP/2 may cut a Cookie (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let rest = std::iter::once(second).chain(crumbs);
        let joined = rest.fold(first.as_bytes().to_vec(), |mut joined, crumb| {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb.as_bytes());
            joined
        });
        if let Ok(joined) = HeaderValue::from_bytes(&joined) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

/// Announces the length of the body that is really sent, and no other: an origin that waits for, or
/// skips, bytes that never come takes the next request for them.
fn announce(headers: &mut HeaderMap, method: &Method, body: &OutgoingBody) {
    headers.remove(header::CONTENT_LENGTH);
    match body.size_hint().exact() {
        Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {}
        Some(bytes) => drop(headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes))),
        None => {}
    }
}

/// One hop less for a request that counts them (RFC 9110 7.6.2).
fn count_down(headers: &mut HeaderMap, method: &Method) {
    if *method == Method::OPTIONS
        && let Some(left) = headers.get(header::MAX_FORWARDS)
        && let Some(left) = left.to_str().ok().and_then(|digits| digits.parse::<u32>().ok())
    {
        headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// Says that this node assembles pages, unless somebody before it does.
fn offer_esi(headers: &mut HeaderMap, node: &str) {
    let mut lines = headers.get_all(SURROGATE_CAPABILITY).iter();
    if lines.any(|line| selvedge_esi::surrogate::capability_has_esi(line.as_bytes())) {
        return;
    }
    if let Ok(capability) = HeaderValue::try_from(selvedge_esi::surrogate::capability(node)) {
        headers.append(SURROGATE_CAPABILITY, capability);
    }
}

/// Takes away what asks for less than the whole.
fn strip_partial(headers: &mut HeaderMap) {
    validate::strip_conditions(headers);
    headers.remove(header::RANGE);
}

/// The client's body on its way to the next hop, counted.
pub(crate) struct Counted {
    body: RequestBody,
    count: Rc<Cell<u64>>,
}

impl Counted {
    /// The body to send, and the count of its bytes as they go.
    pub(crate) fn count(body: RequestBody) -> (OutgoingBody, Rc<Cell<u64>>) {
        let count = Rc::new(Cell::new(0));
        if body.is_end_stream() {
            return (OutgoingBody::empty(), count);
        }
        let counted = Self { body, count: Rc::clone(&count) };
        (OutgoingBody::boxed(counted), count)
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.count.set(self.count.get() + bytes);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
