//! Servers on the loopback, what answers in them, and blocking clients.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::lifetime::tests::reply;
use crate::{Answer, Counters, Running, Servers, Settings, Tally, Transfer, Transport};

/// Longest that anything in a test may take.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// Length of each message of a transfer.
pub(super) const PART_BYTES: usize = 20_000;

/// Does what the byte behind the header of a query says; mostly it echoes it as a reply.
pub(super) struct Echo {
    refreshed: Arc<AtomicUsize>,
    is_lost: bool,
}

impl Answer for Echo {
    fn answer(&mut self, query: &[u8], _: SocketAddr, _: Transport, out: &mut Vec<u8>) {
        assert!(out.is_empty());
        let Some(2..) = query.len().checked_sub(1) else { return };
        // A reply is not replied to.
        if query[2] & 0x80 != 0 {
            return;
        }
        match query.get(12) {
            Some(b'B') => out.resize(usize::from(query[13]) * 256 + usize::from(query[14]), 7),
            Some(b'D') => out.extend_from_slice(&reply(&[300, 77], None)),
            // How often it has looked for what has changed.
            Some(b'R') => {
                out.extend_from_slice(&query[..12]);
                out[2] |= 0x80;
                out.extend_from_slice(&self.refreshed.load(Ordering::Relaxed).to_be_bytes());
            }
            Some(b'P') => {
                out.extend_from_slice(b"half a reply");
                panic!("this query is dropped on purpose")
            }
            Some(b'L') => self.is_lost = true,
            _ => {
                out.extend_from_slice(query);
                out[2] |= 0x80;
            }
        }
    }

    fn transfer(&mut self, query: &[u8], _: SocketAddr, by: Transport) -> Option<Transfer> {
        assert!(matches!(by, Transport::Tcp | Transport::Tls));
        let count = (query.get(12) == Some(&b'T')).then(|| query[13])?;
        Some(Transfer(Box::new((0..count).map(|number| vec![number; PART_BYTES]))))
    }

    fn refresh(&mut self) {
        assert!(!self.is_lost, "this worker is lost on purpose");
        self.refreshed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A query with this number that says this.
pub(super) fn query(number: u16, says: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(says);
    bytes
}

/// How [`Echo`] replies to it.
pub(super) fn echoed(query: &[u8]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2] |= 0x80;
    bytes
}

/// A query that is answered with so many bytes.
pub(super) fn big(bytes: u16) -> Vec<u8> {
    let [high, low] = bytes.to_be_bytes();
    query(0, &[b'B', high, low])
}

/// A message behind its length.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(message.len()).expect("short").to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

/// One of the counters.
pub(super) type Field = fn(&Tally) -> &AtomicU64;

pub(super) struct Rig {
    pub(super) running: Running,
    pub(super) counters: Arc<Counters>,
    /// How often a worker was told to look for what has changed.
    pub(super) refreshed: Arc<AtomicUsize>,
}

impl Rig {
    /// On a free port of the loopback, unless the settings name addresses.
    pub(super) fn start(mut settings: Settings) -> Self {
        if settings.plain.is_empty() && settings.tls.is_empty() && settings.https.is_empty() {
            settings.plain = vec![any_port(Ipv4Addr::LOCALHOST)];
        }
        let refreshed = Arc::<AtomicUsize>::default();
        let shared = refreshed.clone();
        let servers = Servers::bind(settings).expect("loopback can be bound");
        let running = servers
            .run(move || Echo { refreshed: shared.clone(), is_lost: false })
            .expect("threads");
        Self { counters: running.counters().clone(), running, refreshed }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.running.addresses().plain[0]
    }

    pub(super) fn connect(&self) -> Peer<TcpStream> {
        Peer(tcp(self.address()))
    }

    /// Waits until a counter has this value.
    pub(super) fn wait(&self, transport: Transport, field: Field, value: u64) {
        while self.counters.sum(transport, field) != value {
            std::thread::yield_now();
        }
    }

    /// Drains and says whether that was clean.
    pub(super) fn stop(self) -> bool {
        self.running.drain(LONG);
        self.running.join()
    }
}

pub(super) fn any_port(ip: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(ip.into(), 0)
}

pub(super) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(LONG)).expect("a positive limit");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// A socket that has the server for its only peer, and so takes replies from nowhere else.
pub(super) fn udp(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(any_port(Ipv4Addr::LOCALHOST)).expect("loopback");
    socket.connect(server).expect("loopback");
    socket.set_read_timeout(Some(LONG)).expect("a positive limit");
    socket
}

pub(super) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 65_535];
    let length = socket.recv(&mut bytes).expect("a reply");
    bytes[..length].to_vec()
}

/// A connection that speaks in messages.
pub(super) struct Peer<S>(pub(super) S);

impl<S: Read + Write> Peer<S> {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        // The server may have closed by right; then the answer tells.
        let _ = self.0.write_all(bytes);
        let _ = self.0.flush();
    }

    pub(super) fn ask(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        self.send(&framed(query));
        self.next()
    }

    /// The next message; `None` when the connection ends before it is whole.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        self.exact(&mut bytes)?;
        Some(bytes)
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Option<()> {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match self.0.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) => {
                let kinds = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
                assert!(kinds.contains(&error.kind()), "the server says nothing: {error}");
                None
            }
        }
    }
}
