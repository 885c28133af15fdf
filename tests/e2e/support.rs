//! What most tests begin with.

use selvedge_tests::{Client, Node, NodeConfig, Origin, ReadError, Response, Site, eventually};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The host most tests ask for; their site answers for any.
pub(crate) const HOST: &str = "www.shop.test";

/// The configuration of an edge called `edge-1` with one site for any host.
pub(crate) fn edge_config(origin: &Origin) -> NodeConfig {
    NodeConfig::new("edge-1").site(Site::any(&origin.url()))
}

/// An origin, and an edge in front of it.
pub(crate) fn edge() -> (Origin, Node) {
    let origin = Origin::start();
    let edge = Node::edge(&edge_config(&origin));
    (origin, edge)
}

/// An origin, and an edge in front of it whose site has these keys too.
pub(crate) fn edge_with(site: impl FnOnce(Site) -> Site) -> (Origin, Node) {
    let origin = Origin::start();
    let config = NodeConfig::new("edge-1").site(site(Site::any(&origin.url())));
    let edge = Node::edge(&config);
    (origin, edge)
}

/// The value of one of the site's counters, such as `fills`, summed over its labels.
pub(crate) fn site_count(node: &Node, name: &str) -> u64 {
    whole(node.metrics().sum(&format!("selvedge_{name}_total"), &["site=\"any\""]))
}

/// How many requests the cache took part in as this word says.
pub(crate) fn answered(node: &Node, cache: &str) -> u64 {
    let label = format!("cache=\"{cache}\"");
    whole(node.metrics().sum("selvedge_requests_total", &["site=\"any\"", &label]))
}

/// Asserts that a figure comes to be `expected`. Counters move when the last byte has gone, which
/// may be a moment after the client has it.
#[track_caller]
pub(crate) fn becomes(expected: u64, what: &str, mut figure: impl FnMut() -> u64) {
    let mut last = 0;
    let reached = eventually(|| {
        last = figure();
        last == expected
    });
    assert!(reached, "{what} is {last}, not {expected}");
}

/// Keeps the tests that need the whole machine from running beside each other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn whole(value: f64) -> u64 {
    value as u64
}

/// A request that ends the connection; put behind a payload it tells how that was understood.
pub(crate) const END: &str =
    "GET /end HTTP/1.1\r\nHost: www.shop.test\r\nConnection: close\r\n\r\n";

/// Sends a payload with [`END`] behind it and reads every response until the connection closes.
#[track_caller]
pub(crate) fn talk(edge: &Node, payload: &[u8]) -> Vec<Response> {
    let mut client = Client::http(edge.http());
    client.send(payload);
    client.send(END);
    let mut responses = Vec::new();
    loop {
        match client.read("GET") {
            Ok(resp) => responses.push(resp),
            Err(ReadError::Closed) => return responses,
            Err(error) => panic!("after {}: {error}", shown(payload)),
        }
        assert!(responses.len() < 10, "too many responses to {}", shown(payload));
    }
}

/// Asserts that a payload is refused with one of these statuses, that the connection closes and
/// nothing behind the payload is served.
#[track_caller]
pub(crate) fn refused(edge: &Node, payload: &[u8], statuses: &[u16]) {
    let responses = talk(edge, payload);
    let got: Vec<u16> = responses.iter().map(|resp| resp.status).collect();
    let right = matches!(got[..], [status] if statuses.contains(&status));
    assert!(right, "{got:?}, not one of {statuses:?}, for {}", shown(payload));
    assert!(!responses[0].reusable, "says that it closes: {:?}", responses[0].headers);
    assert!(responses[0].header("x-request-id").is_some(), "{:?}", responses[0].headers);
}

/// Bytes for a person.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(600)];
    cut.escape_ascii().to_string()
}
