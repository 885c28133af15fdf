//! Plain byte streams. What TLS and the limits of time do to them is tested where they are used, in
//! DNS; here, who may stay and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tests::rig::{LONG, Peer};
use crate::{
    BindError, ByteStream, Guest, StreamCounters, StreamHandler, StreamServer, StreamSettings,
    StreamsRunning, Tasks,
};

/// Echoes, until the other side has no more to say or the worker drains.
#[derive(Clone)]
struct Echo(Tasks);

impl StreamHandler for Echo {
    async fn serve(&self, mut stream: ByteStream, guest: Guest) {
        let mut bytes = [0; 100];
        loop {
            let read = tokio::select! {
                biased;
                read = stream.read(&mut bytes) => read,
                () = self.0.draining() => return,
            };
            let Ok(count @ 1..) = read else { return };
            guest.seat.touch();
            if stream.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }
}

fn start(connections_max: usize) -> (StreamsRunning, SocketAddr, Arc<StreamCounters>) {
    let plain = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let settings = StreamSettings { plain, connections_max, ..StreamSettings::default() };
    let counters = settings.plain_counters.clone();
    let server = StreamServer::bind(settings).expect("loopback can be bound");
    let address = server.plain_addresses()[0];
    let running = server.run(|worker| Echo(worker.tasks)).expect("a thread");
    (running, address, counters)
}

fn echo(peer: &mut Peer, text: &str) {
    peer.send(text);
    assert_eq!(peer.take(text.len()), text.as_bytes());
}

#[test]
fn a_full_house_lets_go_of_the_connection_that_was_of_no_use_for_longest() {
    let (running, address, counters) = start(3);
    let mut peers: Vec<_> = (0..3).map(|_| Peer::connect(address)).collect();
    for peer in &mut peers {
        echo(peer, "hello");
    }
    // The first is now the last that would have to leave.
    echo(&mut peers[0], "again");
    let mut newcomer = Peer::connect(address);
    echo(&mut newcomer, "let me in");
    assert_eq!(peers[1].rest(), "");
    echo(&mut peers[0], "still here");
    echo(&mut peers[2], "so am I");
    assert_eq!(counters.accepted.load(Ordering::Relaxed), 4);
    assert_eq!(counters.displaced.load(Ordering::Relaxed), 1);
    assert_eq!(counters.active.load(Ordering::Relaxed), 3);
    running.drain(LONG);
    assert!(running.join());
    assert_eq!(counters.active.load(Ordering::Relaxed), 0);
}

#[test]
fn what_waits_in_the_queue_at_a_drain_is_served() {
    for _ in 0..20 {
        let (running, address, counters) = start(100);
        let peers: Vec<_> = (0..10).map(|_| Peer::connect(address)).collect();
        running.drain(LONG);
        assert!(running.join());
        assert_eq!(counters.accepted.load(Ordering::Relaxed), peers.len() as u64);
    }
}

#[test]
fn tls_without_certificates_is_refused() {
    let tls = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let server = StreamServer::bind(StreamSettings { tls, ..StreamSettings::default() });
    assert!(matches!(server, Err(BindError::NoCertificates)));
}
