//! A DNS server under test: clients of our own that send any bytes at all, and other people's
//! programs (dig, kdig, dnsperf).

pub mod packet;
pub mod programs;

pub use packet::{Query, Reply, SUBNET, framed, kind};
pub use programs::{Dig, Perf, dig, kdig};

use crate::wait::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

/// A socket that talks to one server. All that it sends goes to one thread of it, in order.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Udp {
    /// A client of a server.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        socket.connect(server).expect("loopback can be reached");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit can be set");
        Self(socket)
    }

    /// Sends a datagram.
    pub fn send(&self, bytes: &[u8]) {
        self.0.send(bytes).expect("a datagram can be sent");
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// When none comes.
    pub fn receive(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 65_536];
        let length = self.0.recv(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// What a query is answered with.
    #[track_caller]
    pub fn ask(&self, query: &Query) -> Reply {
        self.send(&query.bytes());
        let bytes = self.receive().expect("an answer comes");
        let reply = Reply::parse(&bytes).expect("an answer is well formed");
        assert_eq!(reply.id, query.id, "it is the answer of this query");
        reply
    }

    /// What any bytes are answered with; `None` if with nothing. A query that is sent behind them
    /// tells: its answer comes after theirs.
    #[track_caller]
    pub fn ask_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let fence = Query::new("", kind::NS).id(0xfe0c);
        self.send(bytes);
        self.send(&fence.bytes());
        let first = self.receive().expect("an answer comes");
        if first.starts_with(&fence.id.to_be_bytes()) {
            return None;
        }
        let second = self.receive().expect("another one comes");
        assert!(second.starts_with(&fence.id.to_be_bytes()), "one answer at most");
        Some(first)
    }
}

/// What a name has as addresses (type A) for whoever asks from loopback.
#[track_caller]
pub fn addresses(server: SocketAddr, name: &str) -> Vec<String> {
    texts(&Udp::to(server).ask(&Query::new(name, kind::A)).addresses())
}

/// The same on behalf of a client, of whom so many bits are known.
#[track_caller]
pub fn addresses_for(server: SocketAddr, name: &str, client: &str) -> Vec<String> {
    let bits = if client.contains(':') { 56 } else { 24 };
    texts(&Udp::to(server).ask(&Query::new(name, kind::A).subnet(client, bits)).addresses())
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// A connection over TCP.
#[derive(Debug)]
pub struct Stream(pub TcpStream);

impl Stream {
    /// Connects.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit can be set");
        stream.set_nodelay(true).expect("a socket can be set");
        Self(stream)
    }

    /// Sends bytes as they are; false when the server has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// When the connection ends instead.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut bytes)?;
        Reply::parse(&bytes).map_err(io::Error::other)
    }

    /// What a query is answered with.
    #[track_caller]
    pub fn ask(&mut self, query: &Query) -> Reply {
        assert!(self.send(&query.framed()), "the server takes it");
        self.receive().expect("an answer comes")
    }

    /// Waits for the end of the connection.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0; 1]), Ok(1))
    }
}
