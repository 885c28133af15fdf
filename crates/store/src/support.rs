//! What the tests of this crate share.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use selvedge_policy::{Exchange, Key, KeySeed, Now, SiteRules, Storable, Verdict, judge};

use crate::{
    Begin, Counters, FillError, FillReader, FillWriter, Finished, Object, Settings, Store, Wanted,
};

/// A resource by name.
pub(crate) struct Resource {
    pub(crate) key: Key,
    pub(crate) full_key: Vec<u8>,
}

pub(crate) fn resource(name: &str) -> Resource {
    let full_key = name.as_bytes().to_vec();
    Resource { key: KeySeed::new([7; 16]).hash(&full_key), full_key }
}

pub(crate) fn now() -> Now {
    at_ms(1_000)
}

pub(crate) fn at_ms(mono_ms: u64) -> Now {
    Now { mono_ms, wall_s: 1_800_000_000 }
}

pub(crate) fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let value = HeaderValue::from_str(value).expect("a test value is valid");
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

/// The proof for a response with these fields to a request with those.
pub(crate) fn storable_for(req: &HeaderMap, resp: &[(&'static str, &str)]) -> Storable {
    let mut resp_headers = fields(resp);
    resp_headers.append("cache-control", HeaderValue::from_static("max-age=60"));
    let exchange = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: req,
        status: StatusCode::OK,
        resp_headers: &resp_headers,
        requested_at: now(),
        received_at: now(),
    };
    match judge(&exchange, &SiteRules::default()) {
        Verdict::Store(storable) => storable,
        Verdict::Pass(reason) => panic!("not storable: {reason:?}"),
    }
}

pub(crate) fn storable() -> Storable {
    storable_for(&HeaderMap::new(), &[])
}

pub(crate) fn store_with(settings: Settings) -> Arc<Store> {
    Store::new(settings, Arc::new(Counters::default()))
}

pub(crate) fn store() -> Arc<Store> {
    store_with(Settings::default())
}

pub(crate) fn begin(store: &Arc<Store>, of: &Resource, req: &HeaderMap) -> Begin {
    let rules = SiteRules::default();
    // As a caller that wants something newer than what is stored.
    let entry = store.entry(of.key, &of.full_key);
    let seen = entry.as_ref().and_then(|entry| entry.select(req, &rules));
    let wanted = Wanted::Request { headers: req, rules: &rules, seen };
    store.begin(of.key, &of.full_key, wanted, now())
}

pub(crate) fn lead(store: &Arc<Store>, of: &Resource) -> (FillWriter, FillReader) {
    lead_for(store, of, &HeaderMap::new())
}

pub(crate) fn lead_for(
    store: &Arc<Store>,
    of: &Resource,
    req: &HeaderMap,
) -> (FillWriter, FillReader) {
    match begin(store, of, req) {
        Begin::Lead(writer, reader) => (writer, reader),
        other => panic!("expected to lead: {other:?}"),
    }
}

pub(crate) fn join(store: &Arc<Store>, of: &Resource) -> FillReader {
    match begin(store, of, &HeaderMap::new()) {
        Begin::Join(reader) => reader,
        other => panic!("expected to join: {other:?}"),
    }
}

/// Polls a future once.
pub(crate) fn once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a future that does not wait.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match once(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("expected not to wait"),
    }
}

/// Everything that is there to read now, and how it ended if it did.
pub(crate) fn drained(reader: &mut FillReader) -> (Vec<u8>, Option<Result<(), FillError>>) {
    let mut all = Vec::new();
    loop {
        match once(reader.chunk()) {
            Poll::Ready(Some(Ok(bytes))) => all.extend_from_slice(&bytes),
            Poll::Ready(Some(Err(error))) => return (all, Some(Err(error))),
            Poll::Ready(None) => return (all, Some(Ok(()))),
            Poll::Pending => return (all, None),
        }
    }
}

pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|i| (i % 251) as u8).collect::<Vec<_>>().into()
}

/// Stores a response for a request with these fields.
pub(crate) fn stored_for(
    store: &Arc<Store>,
    of: &Resource,
    req: &HeaderMap,
    resp: &[(&'static str, &str)],
    body: &Bytes,
) -> Arc<Object> {
    let (mut writer, _) = lead_for(store, of, req);
    writer.head(storable_for(req, resp), None);
    ready(writer.push(body.clone())).expect("the fill takes bytes");
    match writer.finish(None) {
        Ok(Finished::Stored(object)) => object,
        other => panic!("expected to store: {other:?}"),
    }
}

pub(crate) fn stored(store: &Arc<Store>, of: &Resource, body: &Bytes) -> Arc<Object> {
    stored_for(store, of, &HeaderMap::new(), &[], body)
}
