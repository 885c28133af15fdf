//! Low-latency HLS (rfc8216bis 6.2.5) and segments that can be read while they are made: one
//! request waits upstream for all who wait here, and nobody gets another one's answer.

use crate::slices::count;
use crate::support::{HOST, becomes, site_count};
use selvedge_tests::live::{Caching, LiveOrigin, Name, Parts, Plan};
use selvedge_tests::message::Recording;
use selvedge_tests::response::read_response;
use selvedge_tests::{Client, Node, NodeConfig, ReadError, Response, Site, eventually};

/// An origin that says how long things hold, and an edge in front of it.
pub(crate) fn live(plan: Plan) -> (LiveOrigin, Node) {
    let origin = LiveOrigin::by_hand(plan.caching(Caching::Explicit));
    let edge = Node::edge(&NodeConfig::new("edge-1").site(Site::any(&origin.url())));
    (origin, edge)
}

fn playlist(rendition: usize, query: &str) -> String {
    format!("{}?{query}", Name::Playlist(rendition))
}

/// Requests that joined a fetch that was under way.
fn joins(node: &Node) -> u64 {
    count(node, "store_fill_joins_total")
}

/// A client that looks at an answer while it comes.
pub(crate) struct Watcher {
    client: Client,
    bytes: Vec<u8>,
}

impl Watcher {
    pub(crate) fn ask(node: &Node, target: &str, fields: &str) -> Self {
        let mut client = Client::http(node.http());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"));
        Self { client, bytes: Vec::new() }
    }

    /// Reads until these bytes have come.
    #[track_caller]
    pub(crate) fn sees(&mut self, bytes: &[u8]) {
        while !self.bytes.windows(bytes.len()).any(|window| window == bytes) {
            let more = self.client.read_some();
            let end = self.bytes.len();
            assert!(!more.is_empty(), "it ended after {end} bytes without what was waited for");
            self.bytes.extend_from_slice(&more);
        }
    }

    /// Reads to the end.
    pub(crate) fn rest(mut self) -> Result<Response, ReadError> {
        loop {
            let mut have = Recording::new(&self.bytes[..]);
            let outcome = read_response(&mut have, "GET");
            if !matches!(outcome, Err(ReadError::Truncated(_) | ReadError::Closed)) {
                return outcome;
            }
            let more = self.client.read_some();
            if more.is_empty() {
                return outcome;
            }
            self.bytes.extend_from_slice(&more);
        }
    }
}

/// The first bytes of a piece: no other piece of any segment has them.
fn head_of_piece(bytes: &[u8], piece: usize) -> &[u8] {
    let mut heads = bytes.windows(4).enumerate().filter(|(_, four)| four == b"moof");
    let (at, _) = heads.nth(piece).expect("there are so many pieces");
    &bytes[at..at + 28]
}

#[test]
fn one_request_waits_upstream_for_all_who_wait_at_two_edges() {
    let origin = LiveOrigin::by_hand(Plan::low_latency().caching(Caching::Explicit));
    let site = || Site::any(&origin.url());
    let parent = Node::parent(&NodeConfig::new("parent-1").site(site()));
    let edges = ["edge-1", "edge-2"].map(|name| {
        let config = NodeConfig::new(name).set("upstream", "parents", vec![parent.url()]);
        Node::edge(&config.site(site()))
    });
    let targets = [0, 1, 2].map(|rendition| playlist(rendition, "_HLS_msn=100&_HLS_part=0"));
    let mut waiting: Vec<Watcher> = (0..120)
        .map(|number| Watcher::ask(&edges[number % 2], &targets[number / 2 % 3], ""))
        .collect();
    becomes(114, "who joined", || edges.iter().map(joins).sum());
    for target in &targets {
        origin.await_held(target, 1);
    }
    origin.change(|channel| channel.finish_part());
    for (number, watcher) in waiting.drain(..).enumerate() {
        let resp = watcher.rest().expect("an answer");
        assert_eq!(resp.status, 200);
        assert!(resp.text().contains("URI=\"s100.p0.m4s\""), "{number}: {}", resp.text());
    }
    for target in &targets {
        assert_eq!(origin.gets(target), 1, "{target}");
        assert!(edges[0].get(HOST, target).is_hit("edge-1"), "it stays the answer to that");
    }
}

#[test]
fn what_waits_holds_nothing_else_up() {
    let (origin, edge) = live(Plan::low_latency());
    let target = playlist(0, "_HLS_msn=101");
    let waiting: Vec<Watcher> = (0..300).map(|_| Watcher::ask(&edge, &target, "")).collect();
    origin.await_held(&target, 1);
    becomes(299, "who joined", || joins(&edge));
    for name in [Name::Segment(0, 99), Name::Segment(1, 99), Name::Playlist(0), Name::Main] {
        let resp = edge.get(HOST, &name.to_string());
        assert_eq!(resp.status, 200, "{name}");
    }
    origin.change(|channel| {
        channel.finish_segment();
        channel.finish_segment();
    });
    for watcher in waiting {
        assert!(watcher.rest().expect("an answer").text().contains("\ns101.m4s\n"));
    }
    assert_eq!(origin.gets(&target), 1);
}

#[test]
fn a_delta_update_answers_nobody_who_did_not_ask_for_one() {
    let (origin, edge) = live(Plan::low_latency());
    let plain = Name::Playlist(0).to_string();
    let skip = playlist(0, "_HLS_skip=YES");
    for _ in 0..2 {
        for target in [&skip, &plain] {
            let text = edge.get(HOST, target).text();
            assert_eq!(text.contains("EXT-X-SKIP"), *target == skip, "{target}: {text}");
        }
    }
    let both = playlist(0, "_HLS_msn=99&_HLS_skip=YES");
    assert!(edge.get(HOST, &both).text().contains("EXT-X-SKIP"));
    assert!(!edge.get(HOST, &playlist(0, "_HLS_msn=99")).text().contains("EXT-X-SKIP"));
    assert_eq!(origin.gets(&both), 1);
}

#[test]
fn what_the_origin_refuses_is_passed_on_and_not_kept() {
    let (origin, edge) = live(Plan::low_latency());
    for query in ["_HLS_part=1", "_HLS_msn=500", "_HLS_msn=many"] {
        let target = playlist(0, query);
        for asked in 1..=2 {
            assert_eq!(edge.get(HOST, &target).status, 400, "{target}");
            assert_eq!(origin.gets(&target), asked, "{target}");
        }
    }
    assert_eq!(edge.get(HOST, &Name::Playlist(0).to_string()).status, 200);
}

#[test]
fn when_the_origin_gives_up_waiting_so_does_the_edge_and_keeps_nothing() {
    let (origin, edge) = live(Plan::low_latency());
    let target = playlist(0, "_HLS_msn=100");
    let first = Watcher::ask(&edge, &target, "");
    origin.await_held(&target, 1);
    let others = (0..20).map(|_| Watcher::ask(&edge, &target, ""));
    let waiting: Vec<_> = std::iter::once(first).chain(others).collect();
    becomes(20, "requests that wait with the first", || site_count(&edge, "collapsed"));
    origin.give_up();
    for watcher in waiting {
        assert_eq!(watcher.rest().expect("an answer").status, 503);
    }
    assert_eq!(origin.gets(&target), 1, "one answer is for all who waited");
    let again = Watcher::ask(&edge, &target, "");
    origin.await_held(&target, 1);
    origin.change(|channel| channel.finish_segment());
    assert_eq!(again.rest().expect("an answer").status, 200);
    assert_eq!(origin.gets(&target), 2);
}

/// A client can make up as many numbers as it likes: they take half of the connections at most.
#[test]
fn requests_that_are_held_leave_connections_for_what_is_there() {
    let origin = LiveOrigin::by_hand(Plan::low_latency().caching(Caching::Explicit));
    let config = NodeConfig::new("edge-1").site(Site::any(&origin.url()));
    let config = config.set("upstream", "connections_max", 4);
    let edge = Node::edge(&config);
    let ahead = |part: u32| playlist(0, &format!("_HLS_msn=100&_HLS_part={part}"));
    let waiting = [0, 1].map(|part| (Watcher::ask(&edge, &ahead(part), ""), ahead(part)));
    for (_, target) in &waiting {
        origin.await_held(target, 1);
    }
    let refused = edge.get(HOST, &ahead(2));
    let status = refused.cache_status("edge-1");
    assert!(refused.status == 503 && status.contains("held-requests-full"), "{status}");
    assert_eq!(edge.get(HOST, &playlist(0, "")).status, 200);
    origin.change(|channel| channel.finish_segment());
    for (watcher, target) in waiting {
        assert_eq!(watcher.rest().expect("an answer").status, 200, "{target}");
    }
    assert_eq!(edge.get(HOST, &ahead(2)).status, 200);
}

/// Held until its first byte is made, passed on piece by piece, and from byte 0 to who comes later.
#[test]
fn a_part_that_is_hinted_at_is_passed_on_while_it_is_made() {
    let (origin, edge) = live(Plan::low_latency());
    for name in [Name::Part(0, 100, 0), Name::Segment(1, 100)] {
        let (target, body) = (name.to_string(), origin.bytes(name));
        let mut first = Watcher::ask(&edge, &target, "");
        origin.await_held(&target, 1);
        origin.change(|channel| channel.make(1));
        first.sees(head_of_piece(&body, 0));
        let mut second = Watcher::ask(&edge, &target, "");
        second.sees(head_of_piece(&body, 0));
        origin.change(|channel| channel.make(1));
        first.sees(head_of_piece(&body, 1));
        second.sees(head_of_piece(&body, 1));
        origin.change(|channel| channel.finish_segment());
        for watcher in [first, second] {
            let resp = watcher.rest().expect("a whole answer");
            assert_eq!((resp.status, resp.body == body), (200, true), "{name}");
        }
        assert!(eventually(|| edge.get(HOST, &target).is_hit("edge-1")), "{name} is kept");
        assert_eq!(origin.gets(&target), 1, "{name}");
        // The next one is of a segment that has not begun.
        origin.change(|channel| channel.restart(100));
    }
}

#[test]
fn a_body_that_breaks_off_breaks_off_for_everyone_and_is_not_kept() {
    let (origin, edge) = live(Plan::low_latency());
    let name = Name::Segment(0, 100);
    let (target, body) = (name.to_string(), origin.bytes(name));
    let mut watchers = [0, 1].map(|_| Watcher::ask(&edge, &target, ""));
    origin.await_held(&target, 1);
    origin.change(|channel| channel.make(1));
    for watcher in &mut watchers {
        watcher.sees(head_of_piece(&body, 0));
    }
    assert_eq!(origin.gets(&target), 1);
    origin.cut();
    for watcher in watchers {
        let outcome = watcher.rest();
        assert!(matches!(outcome, Err(ReadError::Truncated(_))), "{outcome:?}");
    }
    origin.change(|channel| channel.finish_segment());
    let resp = edge.get(HOST, &target);
    assert!(resp.body == body && !resp.is_hit("edge-1"), "{:?}", resp.headers);
    assert_eq!(origin.gets(&target), 2);
}

/// Of a segment that grows, parts are asked for by their place, and given when they are made.
#[test]
fn parts_that_are_ranges_of_a_growing_segment_have_their_bytes() {
    let (origin, edge) = live(Plan { parts: Parts::Ranges, ..Plan::low_latency() });
    let name = Name::Segment(0, 100);
    let (target, body) = (name.to_string(), origin.bytes(name));
    origin.change(|channel| channel.make(1));
    let mut waiting = Vec::new();
    for part in 0..6 {
        let place = origin.look(|channel| channel.part_place(0, 100, part));
        let fields = format!("Range: bytes={}-{}\r\n", place.start, place.end - 1);
        waiting.push((Watcher::ask(&edge, &target, &fields), place));
        assert!(eventually(|| origin.held(&target) >= 1), "part {part}");
        origin.change(|channel| channel.finish_part());
    }
    for (watcher, place) in waiting {
        let resp = watcher.rest().expect("an answer");
        assert_eq!(resp.status, 206, "{place:?}: {:?}", resp.headers);
        assert!(resp.body == body[place.clone()], "{place:?}: {:?}", resp.headers);
    }
    assert!(edge.get(HOST, &target).body == body);
}

#[test]
fn ranges_of_a_segment_that_is_stored_in_part_have_their_bytes() {
    let (origin, edge) = live(Plan::low_latency());
    let name = Name::Segment(2, 99);
    let (target, body) = (name.to_string(), origin.bytes(name));
    let end = body.len();
    for (first, last) in [(40_000, 49_999), (0, 999), (45_000, 60_000), (end - 10, end - 1)] {
        let resp = edge.get_with(HOST, &target, &format!("Range: bytes={first}-{last}\r\n"));
        assert_eq!(resp.status, 206, "{:?}", resp.headers);
        assert!(resp.body == body[first..=last], "{first}-{last}");
        let place = format!("bytes {first}-{last}/{end}");
        assert_eq!(resp.header("content-range"), Some(&place[..]));
    }
    assert!(edge.get(HOST, &target).body == body);
}
