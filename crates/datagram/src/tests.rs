//! Batches over real sockets of the loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::{BATCH, Batch, DATAGRAM_BYTES_MAX, Options, Socket, Wait};

/// Longest that anything may take.
const LONG: Duration = Duration::from_secs(20);

fn server(ip: impl Into<IpAddr>) -> Socket {
    let options = Options { patience: LONG, ..Options::default() };
    let mut sockets = Socket::bind(SocketAddr::new(ip.into(), 0), 1, &options).expect("loopback");
    sockets.remove(0)
}

fn client(server: SocketAddr) -> UdpSocket {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let socket = UdpSocket::bind((local, 0)).expect("loopback");
    socket.set_read_timeout(Some(LONG)).expect("a positive limit");
    socket
}

/// Receives one batch and sends everything back.
fn echo(batch: &mut Batch, server: &Socket) -> usize {
    let count = batch.receive(server, Wait::ForOne).expect("a socket");
    for message in batch.messages() {
        assert!(message.reply.is_empty());
        message.reply.extend_from_slice(message.bytes);
    }
    count
}

#[test]
fn what_waits_comes_in_one_batch_and_each_sender_gets_its_own_reply() {
    let server = server(Ipv4Addr::LOCALHOST);
    let clients: Vec<_> = (0..BATCH + 8).map(|_| client(server.address())).collect();
    let mut batch = Batch::new();
    // The first batches are small: headers are prepared for twice what came the last time.
    let mut sizes = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        client.send_to(format!("query {number}").as_bytes(), server.address()).expect("room");
    }
    let mut left = clients.len();
    while left > 0 {
        let count = echo(&mut batch, &server);
        let sent = batch.send(&server);
        assert_eq!((sent.replies, sent.failed), (count as u64, 0));
        assert!(sent.bytes >= 7 * sent.replies);
        sizes.push(count);
        left -= count;
    }
    assert_eq!(sizes, [8, 16, 32, 16]);
    let mut bytes = [0; 100];
    for (number, client) in clients.iter().enumerate() {
        let (length, from) = client.recv_from(&mut bytes).expect("a reply");
        assert_eq!(&bytes[..length], format!("query {number}").as_bytes());
        assert_eq!(from, server.address());
    }
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let server = server(Ipv4Addr::UNSPECIFIED);
    let mut batch = Batch::new();
    let mut bytes = [0; 100];
    for last in [1, 2, 77] {
        let asked = SocketAddr::from(([127, 0, 0, last], server.address().port()));
        let client = client(asked);
        client.send_to(b"query", asked).expect("room");
        assert_eq!(echo(&mut batch, &server), 1);
        assert_eq!(batch.send(&server).replies, 1);
        assert_eq!(client.recv_from(&mut bytes).expect("a reply"), (5, asked));
    }
}

#[test]
fn a_wildcard_socket_answers_over_ipv6_too() {
    let server = server(Ipv6Addr::UNSPECIFIED);
    let asked = SocketAddr::from((Ipv6Addr::LOCALHOST, server.address().port()));
    let (client, mut batch, mut bytes) = (client(asked), Batch::new(), [0; 100]);
    client.send_to(b"query", asked).expect("room");
    assert_eq!(echo(&mut batch, &server), 1);
    assert_eq!(batch.send(&server).replies, 1);
    assert_eq!(client.recv_from(&mut bytes).expect("a reply"), (5, asked));
}

#[test]
fn truncated_datagrams_are_recognised_and_never_shown() {
    let server = server(Ipv4Addr::LOCALHOST);
    let client = client(server.address());
    let mut batch = Batch::new();
    for length in [DATAGRAM_BYTES_MAX + 1, 60_000, DATAGRAM_BYTES_MAX, 0] {
        client.send_to(&vec![7; length], server.address()).expect("room");
    }
    assert_eq!(batch.receive(&server, Wait::ForOne).expect("a socket"), 4);
    assert_eq!(batch.truncated(), 2);
    let lengths: Vec<_> = batch.messages().map(|message| message.bytes.len()).collect();
    assert_eq!(lengths, [DATAGRAM_BYTES_MAX, 0]);
    assert_eq!(batch.send(&server).replies, 0);
}

#[test]
fn a_reply_that_cannot_be_sent_costs_no_other_one() {
    let server = server(Ipv4Addr::LOCALHOST);
    let client = client(server.address());
    let mut batch = Batch::new();
    for length in 1..=4 {
        client.send_to(&vec![7; length], server.address()).expect("room");
    }
    assert_eq!(batch.receive(&server, Wait::ForOne).expect("a socket"), 4);
    for message in batch.messages() {
        // The second says nothing, the third says more than any datagram holds.
        let length = [0, 10, 0, 70_000, 40][message.bytes.len()];
        message.reply.resize(length, 1);
    }
    let sent = batch.send(&server);
    assert_eq!((sent.replies, sent.bytes, sent.failed), (2, 50, 1));
    assert!(sent.error.is_some());
    let mut bytes = [0; 100];
    assert_eq!(client.recv(&mut bytes).expect("a reply"), 10);
    assert_eq!(client.recv(&mut bytes).expect("a reply"), 40);
}

#[test]
fn waiting_in_vain_ends_and_not_waiting_does_not_begin() {
    let options = Options { patience: Duration::from_millis(1), ..Options::default() };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sockets = Socket::bind(address, 2, &options).expect("loopback");
    assert_eq!(sockets[0].address(), sockets[1].address());
    let mut batch = Batch::new();
    for wait in [Wait::ForOne, Wait::Never] {
        assert_eq!(batch.receive(&sockets[0], wait).expect("a socket"), 0);
        assert_eq!(batch.messages().count(), 0);
    }
}

#[test]
fn an_address_that_somebody_has_is_refused() {
    let taken = server(Ipv4Addr::LOCALHOST);
    assert!(Socket::bind(taken.address(), 1, &Options::default()).is_err());
}

#[test]
fn what_the_kernel_dropped_is_known() {
    let options = Options { receive_buffer_bytes: Some(1), ..Options::default() };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Socket::bind(address, 1, &options).expect("loopback").remove(0);
    assert!(server.receive_buffer_bytes().expect("a socket") < 100_000);
    assert_eq!(server.overflows().expect("a socket"), 0);
    let client = client(server.address());
    for _ in 0..200 {
        client.send_to(&[7; 1000], server.address()).expect("room");
    }
    let dropped = server.overflows().expect("a socket");
    assert!(dropped > 0 && dropped < 200, "{dropped}");
}
