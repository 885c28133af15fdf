//! A small house and clients that behave badly: those who ask are answered all the same.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;

use crate::tests::rig::{Peer, Rig, big, echoed, framed, query, udp};
use crate::{Limits, Settings, Transport};

/// Most connections at once.
const HOUSE: usize = 16;
/// Ways to behave badly.
const BEHAVIOURS: usize = 10;

/// Opens a connection and behaves badly on it; some give it up at once, most hold on to it.
fn misbehave(rig: &Rig, how: usize) -> Option<Peer<TcpStream>> {
    let mut peer = rig.connect();
    let asked = framed(&query(0, b"bad"));
    match how {
        // Says nothing.
        0 => {}
        // Half a length.
        1 => peer.send(&asked[..1]),
        // A length.
        2 => peer.send(&asked[..2]),
        // All but the last byte of a query.
        3 => peer.send(&asked[..asked.len() - 1]),
        // A length that nothing has.
        4 => peer.send(&[0xff; 600]),
        // Nothing but lengths of nothing.
        5 => peer.send(&[0; 600]),
        // Much is asked for, nothing is read.
        6 => peer.send(&(0..50).flat_map(|_| framed(&big(65_535))).collect::<Vec<_>>()),
        // Closes its half and waits.
        7 => peer.0.shutdown(Shutdown::Write).expect("an open connection"),
        // Another protocol.
        8 => peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        // Goes at once.
        _ => return None,
    }
    Some(peer)
}

#[test]
fn all_honest_queries_are_answered_in_a_house_full_of_bad_clients() {
    let limits = Limits { connections_max: HOUSE, ..Limits::default() };
    let rig = Rig::start(Settings { limits, ..Settings::default() });
    let mut regular = rig.connect();
    let mut held = Vec::new();
    for round in 0..6 * BEHAVIOURS {
        held.extend(misbehave(&rig, round % BEHAVIOURS));
        let number = u16::try_from(round).expect("few");
        // Whoever keeps asking is never shown the door,
        let asked = query(number, b"regular");
        assert_eq!(regular.ask(&asked), Some(echoed(&asked)), "round {round}");
        // and whoever comes to ask finds it open.
        let mut new = rig.connect();
        let asked = [query(number, b"new"), query(number, b"and another")];
        new.send(&[framed(&asked[0]), framed(&asked[1])].concat());
        assert_eq!(new.next(), Some(echoed(&asked[0])), "round {round}");
        assert_eq!(new.next(), Some(echoed(&asked[1])), "round {round}");
        // UDP has nothing to do with it.
        let datagrams = udp(rig.address());
        datagrams.send(&asked[0]).expect("room");
        assert_eq!(super::rig::receive(&datagrams), echoed(&asked[0]));
    }
    let counters = &rig.counters.tcp_connections;
    assert!(counters.active.load(Ordering::Relaxed) <= HOUSE as u64 + 1);
    assert!(counters.displaced.load(Ordering::Relaxed) > 0);
    assert!(rig.counters.sum(Transport::Tcp, |tally| &tally.malformed) > 0);
    drop(held);
    assert!(rig.stop());
}

#[test]
fn a_client_that_has_its_share_is_refused_and_others_are_not() {
    let limits = Limits { connections_per_client_max: 3, ..Limits::default() };
    let rig = Rig::start(Settings { limits, ..Settings::default() });
    let asked = query(1, b"name");
    let mut peers: Vec<_> = (0..3).map(|_| rig.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask(&asked), Some(echoed(&asked)));
    }
    assert_eq!(rig.connect().ask(&asked), None);
    assert_eq!(rig.counters.tcp_connections.over_share.load(Ordering::Relaxed), 1);
    for peer in &mut peers {
        assert_eq!(peer.ask(&asked), Some(echoed(&asked)));
    }
    assert!(rig.stop());
}
