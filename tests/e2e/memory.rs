//! Memory stays bounded whatever passes: bodies are streamed, and the slowest reader sets the pace.

use crate::support::{HOST, alone, edge_config};
use selvedge_tests::answer::pattern;
use selvedge_tests::{Answer, Client, Node, Origin, eventually};

const GIB: u64 = 1 << 30;
const GROWTH_MAX: u64 = 64 << 20;

/// Waits until the origin can hand over no more, because nobody takes it.
fn stalled(origin: &Origin) -> u64 {
    let (mut last, mut same) = (0, 0);
    let still = eventually(|| {
        let now = origin.generated();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same >= 40
    });
    assert!(still, "the origin never stops sending: {last}");
    last
}

/// 10 GiB for a client that takes a little and then nothing: cacheable or not, announced or in
/// chunks. The cache may hold 64 MiB and an object 8 MiB, so this one can only pass.
#[test]
fn a_ten_gib_body_to_a_slow_client_costs_little_memory() {
    let _alone = alone();
    for (path, chunked, control) in [
        ("/length", false, "no-store"),
        ("/chunked", true, "no-store"),
        ("/length-cacheable", false, "max-age=600"),
        ("/chunked-cacheable", true, "max-age=600"),
    ] {
        let origin = Origin::start();
        origin.on("/warm", Answer::cacheable("", 1).generate(4 << 20, true));
        origin.on(
            path,
            Answer::new(200).header("cache-control", control).generate(10 * GIB, chunked),
        );
        let config = edge_config(&origin).set("cache", "memory", "32MiB");
        let edge = Node::edge(&config);
        assert_eq!(edge.get(HOST, "/warm").status, 200);
        let before = edge.rss_bytes();
        let mut client = Client::http(edge.http());
        client.small_window();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        let start = client.read_exactly(100_000).expect("the start");
        assert!(start.starts_with(b"HTTP/1.1 200"));
        let sent = stalled(&origin);
        let growth = edge.rss_bytes().saturating_sub(before);
        assert!(growth < GROWTH_MAX, "{path}: {growth} bytes after {sent}");
        assert!(sent < 128 << 20, "{path}: {sent} bytes were taken from the origin");
        client.reset();
        assert!(eventually(|| origin.connections_live() <= 1), "{path}: the origin is let go");
    }
}

/// At full speed, every byte right, and still little memory.
#[test]
fn a_large_body_at_full_speed_is_right_to_the_last_byte_and_costs_little() {
    let _alone = alone();
    let origin = Origin::start();
    let length = GIB / 4;
    origin.on("/big", Answer::cacheable("", 600).generate(length, true));
    let edge = Node::edge(&edge_config(&origin).set("cache", "memory", "32MiB"));
    let before = edge.rss_bytes();
    let mut client = Client::http(edge.http());
    client.send(format!("GET /big HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let resp = client.read("GET").expect("the whole body");
    assert_eq!(resp.body.len() as u64, length);
    let wrong = resp.body.iter().enumerate().position(|(at, byte)| *byte != pattern(at as u64));
    assert_eq!(wrong, None);
    let growth = edge.rss_bytes().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "{growth}");
}

/// A request body passes through as it comes.
#[test]
fn a_large_upload_is_streamed_and_not_gathered() {
    let _alone = alone();
    let origin = Origin::start();
    origin.on("/up", Answer::uncacheable("taken"));
    let edge = Node::edge(&edge_config(&origin).set("limits", "request_body_max", "1GiB"));
    let before = edge.rss_bytes();
    let mut client = Client::http(edge.http());
    let length = 200_u64 << 20;
    client.send(format!("PUT /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n"));
    let piece = vec![7; 1 << 20];
    for _ in 0..200 {
        assert!(client.send(&piece));
    }
    assert_eq!(client.read("PUT").expect("an answer").text(), "taken");
    assert_eq!(origin.last("/up").body_length, length);
    let growth = edge.rss_bytes().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "{growth}");
}

/// The store has a maximum, and what is asked for most stays.
#[test]
fn a_flood_of_objects_stays_within_the_memory_of_the_cache() {
    let _alone = alone();
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("", 600).generate(200_000, false));
    let edge = Node::edge(&edge_config(&origin).set("cache", "memory", "16MiB"));
    let mut client = Client::http(edge.http());
    for number in 0..1000 {
        let resp = client.get(HOST, &format!("/o{number}"), "");
        assert_eq!(resp.body.len(), 200_000);
        assert_eq!(client.get(HOST, "/hot", "").status, 200);
    }
    let metrics = edge.metrics();
    assert!(metrics.sum("selvedge_store_bytes", &[]) <= f64::from(17 << 20), "over its maximum");
    assert!(metrics.sum("selvedge_store_evictions_total", &[]) >= 800.0);
    assert!(edge.rss_bytes() < 160 << 20, "{}", edge.rss_bytes());
    assert!(origin.fetches("/hot") < 100, "what is hot stays: {}", origin.fetches("/hot"));
}
