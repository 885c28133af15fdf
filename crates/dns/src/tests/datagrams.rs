//! UDP: batches, addresses, what is dropped, and the end of the threads.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;

use crate::tests::rig::{Field, Rig, any_port, big, echoed, query, receive, udp};
use crate::{Servers, Settings, StartError, Transport};

#[test]
fn every_query_of_many_clients_is_answered_by_one_thread_or_another() {
    let rig = Rig::start(Settings { datagram_workers: 2, ..Settings::default() });
    let clients: Vec<_> = (0..300).map(|_| udp(rig.address())).collect();
    for (number, client) in (0u16..).zip(&clients) {
        client.send(&query(number, b"name")).expect("room");
    }
    for (number, client) in (0u16..).zip(&clients) {
        assert_eq!(receive(client), echoed(&query(number, b"name")));
    }
    rig.wait(Transport::Udp, |tally| &tally.replies, 300);
    let sum = |field: Field| rig.counters.sum(Transport::Udp, field);
    assert_eq!(sum(|tally| &tally.queries), 300);
    assert_eq!((sum(|tally| &tally.bytes_in), sum(|tally| &tally.bytes_out)), (4800, 4800));
    let threads = rig.counters.of(Transport::Udp);
    assert_eq!(threads.len(), 2);
    assert!(threads.iter().all(|tally| tally.queries.load(Ordering::Relaxed) > 0));
    assert!(rig.stop());
}

#[test]
fn a_wildcard_address_answers_from_the_address_that_was_asked() {
    let plain = vec![any_port(Ipv4Addr::UNSPECIFIED)];
    let rig = Rig::start(Settings { plain, ..Settings::default() });
    for last in [1, 9, 200] {
        // It is connected, so the kernel shows it nothing from another address.
        let client = udp(SocketAddr::from(([127, 0, 0, last], rig.address().port())));
        client.send(&query(1, b"name")).expect("room");
        assert_eq!(receive(&client), echoed(&query(1, b"name")));
    }
    assert!(rig.stop());
}

#[test]
fn what_is_too_long_or_no_query_gets_no_reply_and_harms_nobody() {
    let rig = Rig::start(Settings::default());
    let client = udp(rig.address());
    for length in [0, 1, 2, 1537, 4096, 65_000] {
        client.send(&vec![0; length]).expect("room");
    }
    client.send(&echoed(&query(1, b"a reply"))).expect("room");
    // Longer than any datagram: it cannot be sent. Longer than a packet: it can.
    client.send(&big(65_535)).expect("room");
    client.send(&big(5000)).expect("room");
    client.send(&query(2, b"name")).expect("room");
    assert_eq!(receive(&client), vec![7; 5000]);
    assert_eq!(receive(&client), echoed(&query(2, b"name")));
    rig.wait(Transport::Udp, |tally| &tally.queries, 10);
    rig.wait(Transport::Udp, |tally| &tally.send_errors, 1);
    let sum = |field: Field| rig.counters.sum(Transport::Udp, field);
    assert_eq!((sum(|tally| &tally.truncated), sum(|tally| &tally.unanswered)), (3, 4));
    assert_eq!(sum(|tally| &tally.replies), 2);
    assert!(rig.stop());
}

#[test]
fn idle_threads_look_for_what_has_changed() {
    let rig = Rig::start(Settings::default());
    let before = rig.refreshed.load(Ordering::Relaxed);
    while rig.refreshed.load(Ordering::Relaxed) < before + 4 {
        std::thread::yield_now();
    }
    assert!(rig.stop());
}

#[test]
fn a_drain_answers_what_has_come_and_ends_the_threads() {
    let rig = Rig::start(Settings { datagram_workers: 3, ..Settings::default() });
    let (address, client) = (rig.address(), udp(rig.address()));
    for number in 0..50 {
        client.send(&query(number, b"name")).expect("room");
    }
    assert!(!rig.running.lost_worker() && !rig.running.is_finished());
    assert!(rig.stop());
    for number in 0..50 {
        assert_eq!(receive(&client), echoed(&query(number, b"name")));
    }
    // Nobody has the address now.
    drop(UdpSocket::bind(address).expect("a free port"));
}

/// By all transports; the threads go on, and nothing of the reply that was begun is sent.
#[test]
fn a_query_that_panics_is_dropped_alone() {
    let rig = Rig::start(Settings::default());
    let client = udp(rig.address());
    for number in 0..3 {
        client.send(&query(9, b"P")).expect("room");
        client.send(&query(number, b"name")).expect("room");
        assert_eq!(receive(&client), echoed(&query(number, b"name")));
        let mut peer = rig.connect();
        assert_eq!(peer.ask(&query(9, b"P")), None, "the connection is closed");
        assert_eq!(
            rig.connect().ask(&query(number, b"name")),
            Some(echoed(&query(number, b"name")))
        );
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        assert_eq!(rig.counters.sum(transport, |tally| &tally.panics), 3, "{transport:?}");
    }
    assert!(!rig.running.lost_worker());
    assert!(rig.stop());
}

#[test]
fn a_lost_thread_is_noticed() {
    let rig = Rig::start(Settings::default());
    udp(rig.address()).send(&query(0, b"L")).expect("room");
    while !rig.running.lost_worker() {
        std::thread::yield_now();
    }
    assert!(!rig.stop());
}

#[test]
fn an_address_that_somebody_has_is_refused() {
    let rig = Rig::start(Settings::default());
    let settings = Settings { plain: vec![rig.address()], ..Settings::default() };
    let refused = Servers::bind(settings);
    assert!(matches!(refused, Err(StartError::Datagrams(address, _)) if address == rig.address()));
    assert!(rig.stop());
}
