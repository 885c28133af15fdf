//! TCP: framing, order, limits of time and the drain (RFC 7766).

use std::io::Read;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::tests::rig::{Field, PART_BYTES, Rig, big, echoed, framed, query};
use crate::{Limits, Settings, Transport};

const SHORT: Duration = Duration::from_millis(50);

fn limits(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

#[test]
fn pipelined_queries_are_answered_in_the_order_of_their_arrival() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    let queries: Vec<_> = (0..500).map(|number| query(number, b"name")).collect();
    let stream: Vec<_> = queries.iter().flat_map(|query| framed(query)).collect();
    peer.send(&stream);
    for query in &queries {
        assert_eq!(peer.next(), Some(echoed(query)));
    }
    let sum = |field: Field| rig.counters.sum(Transport::Tcp, field);
    assert_eq!((sum(|tally| &tally.queries), sum(|tally| &tally.replies)), (500, 500));
    assert_eq!(sum(|tally| &tally.bytes_out), 8000);
    assert!(rig.stop());
}

/// As over UDP: not up to a tenth of a second later.
#[test]
fn what_has_changed_holds_for_the_next_query() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    let mut looked = || {
        let reply = peer.ask(&query(1, b"R")).expect("a reply");
        usize::from_be_bytes(*reply.last_chunk().expect("a number"))
    };
    let mut last = looked();
    for _ in 0..20 {
        let now = looked();
        assert!(now > last);
        last = now;
    }
    assert!(rig.stop());
}

#[test]
fn a_query_may_come_in_any_two_parts_and_byte_by_byte() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    let (one, two) = (framed(&query(1, b"name")), framed(&query(2, b"another")));
    let stream = [one, two].concat();
    for cut in 1..stream.len() {
        peer.send(&stream[..cut]);
        peer.send(&stream[cut..]);
        assert_eq!(peer.next(), Some(echoed(&query(1, b"name"))));
        assert_eq!(peer.next(), Some(echoed(&query(2, b"another"))));
    }
    for byte in &stream {
        peer.send(&[*byte]);
    }
    assert_eq!(peer.next(), Some(echoed(&query(1, b"name"))));
    assert_eq!(peer.next(), Some(echoed(&query(2, b"another"))));
    assert!(rig.stop());
}

#[test]
fn a_client_that_closes_its_half_gets_all_replies_and_then_the_end() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    peer.send(&[framed(&query(1, b"a")), framed(&big(60_000)), vec![0, 100, 1]].concat());
    peer.0.shutdown(Shutdown::Write).expect("an open connection");
    assert_eq!(peer.next(), Some(echoed(&query(1, b"a"))));
    assert_eq!(peer.next(), Some(vec![7; 60_000]));
    assert_eq!(peer.next(), None);
    assert!(rig.stop());
}

#[test]
fn a_connection_without_a_whole_query_is_closed_in_time() {
    let rig = Rig::start(limits(Limits { idle: SHORT, ..Limits::default() }));
    let mut silent = rig.connect();
    let mut trickling = rig.connect();
    trickling.0.set_read_timeout(Some(Duration::from_millis(5))).expect("a positive limit");
    trickling.send(&[0, 200]);
    // A byte now and then does not buy more time.
    let is_closed = |error: &std::io::Error| {
        !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    };
    loop {
        trickling.send(&[7]);
        match trickling.0.read(&mut [0; 1]) {
            Ok(_) => break,
            Err(error) if is_closed(&error) => break,
            Err(_) => {}
        }
    }
    assert_eq!(silent.next(), None);
    rig.wait(Transport::Tcp, |tally| &tally.idle, 2);
    assert!(rig.stop());
}

#[test]
fn what_cannot_hold_a_query_ends_the_connection_after_what_was_asked_before() {
    let rig = Rig::start(limits(Limits { query_bytes_max: 300, ..Limits::default() }));
    let bad = [framed(&[]), framed(&[0; 11]), framed(&[0; 301]), b"GET / HTTP/1.1".to_vec()];
    for wrong in &bad {
        let mut peer = rig.connect();
        assert_eq!(peer.ask(&query(1, b"name")), Some(echoed(&query(1, b"name"))));
        peer.send(&[framed(&query(2, b"name")), wrong[..2].to_vec()].concat());
        assert_eq!(peer.next(), Some(echoed(&query(2, b"name"))));
        assert_eq!(peer.next(), None);
    }
    rig.wait(Transport::Tcp, |tally| &tally.malformed, bad.len() as u64);
    // What gets no reply over UDP leaves nobody waiting here.
    let mut peer = rig.connect();
    peer.send(&[framed(&query(1, b"name")), framed(&echoed(&query(2, b"name")))].concat());
    assert_eq!(peer.next(), Some(echoed(&query(1, b"name"))));
    assert_eq!(peer.next(), None);
    assert_eq!(rig.counters.sum(Transport::Tcp, |tally| &tally.unanswered), 1);
    assert!(rig.stop());
}

#[test]
fn who_does_not_read_is_let_go_and_what_is_too_long_is_never_sent() {
    let rig = Rig::start(limits(Limits { send: SHORT, ..Limits::default() }));
    let mut peer = rig.connect();
    let flood: Vec<_> = (0..1000).flat_map(|_| framed(&big(65_535))).collect();
    peer.send(&flood);
    rig.wait(Transport::Tcp, |tally| &tally.slow, 1);
    // Much less was made than was asked for.
    assert!(rig.counters.sum(Transport::Tcp, |tally| &tally.replies) < 500);
    assert!(rig.stop());
}

#[test]
fn a_transfer_is_many_messages_between_the_others() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    let stream = [framed(&query(1, b"a")), framed(&query(2, b"T\x64")), framed(&query(3, b"b"))];
    peer.send(&stream.concat());
    assert_eq!(peer.next(), Some(echoed(&query(1, b"a"))));
    for number in 0..100 {
        assert_eq!(peer.next(), Some(vec![number; PART_BYTES]));
    }
    assert_eq!(peer.next(), Some(echoed(&query(3, b"b"))));
    assert!(rig.stop());
}

#[test]
fn a_drain_answers_what_has_come_and_closes_the_rest() {
    let rig = Rig::start(Settings::default());
    let mut idle = rig.connect();
    assert_eq!(idle.ask(&query(1, b"name")), Some(echoed(&query(1, b"name"))));
    let mut half = rig.connect();
    half.send(&framed(&query(2, b"name"))[..9]);
    let mut asking = rig.connect();
    asking.send(&framed(&query(3, b"name")));
    let active = rig.counters.tcp_connections.active.clone();
    rig.running.drain(super::rig::LONG);
    assert_eq!(asking.next(), Some(echoed(&query(3, b"name"))));
    for peer in [&mut idle, &mut half, &mut asking] {
        assert_eq!(peer.next(), None);
    }
    assert!(rig.running.join());
    assert_eq!(active.load(Ordering::Relaxed), 0);
}

#[test]
fn a_drain_drops_who_does_not_read_at_its_limit() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    let flood: Vec<_> = (0..1000).flat_map(|_| framed(&big(65_535))).collect();
    peer.send(&flood[..flood.len() / 2]);
    while rig.counters.sum(Transport::Tcp, |tally| &tally.replies) == 0 {
        std::thread::yield_now();
    }
    rig.running.drain(SHORT);
    assert!(!rig.running.join());
}
