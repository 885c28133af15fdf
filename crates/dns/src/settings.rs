//! Plain settings. The crate reads no configuration: whoever starts servers fills these in.

use std::net::SocketAddr;
use std::time::Duration;

use selvedge_net::Certificates;

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses of UDP and TCP alike. With port 0, TCP gets the port that UDP got.
    pub plain: Vec<SocketAddr>,
    /// Addresses of DNS over TLS. Needs `certificates`.
    pub tls: Vec<SocketAddr>,
    /// Addresses of DNS over HTTPS. Needs `certificates`.
    pub https: Vec<SocketAddr>,
    /// Threads for the datagrams of each address. 0 counts as 1.
    pub datagram_workers: usize,
    /// Threads for TCP and TLS together, and as many for HTTPS. 0 counts as 1.
    pub stream_workers: usize,
    /// Bytes of datagrams that may wait in the kernel for each thread, as it counts them: a query
    /// counts for some 800. It gives no more than net.core.rmem_max.
    pub receive_buffer_bytes: Option<usize>,
    /// Certificates for `tls` and `https`.
    pub certificates: Option<Certificates>,
    /// The path of DNS over HTTPS.
    pub https_path: String,
    /// Limits of connections.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plain: Vec::new(),
            tls: Vec::new(),
            https: Vec::new(),
            datagram_workers: 1,
            stream_workers: 1,
            receive_buffer_bytes: Some(1024 * 1024),
            certificates: None,
            https_path: "/dns-query".to_owned(),
            limits: Limits::default(),
        }
    }
}

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a query. One that says it is longer is not waited for.
    pub query_bytes_max: usize,
    /// Most connections of TCP and TLS together. A newcomer displaces the one that asked nothing
    /// for longest. As many again may be open over HTTPS.
    pub connections_max: usize,
    /// Most of them that one client (an IPv4 address, an IPv6 /64) may have with a thread, TCP and
    /// TLS together; its others are closed at once. 0: no limit.
    pub connections_per_client_max: usize,
    /// From one whole query to the next (RFC 7766 6.2.3).
    pub idle: Duration,
    /// For a client to take what it asked for.
    pub send: Duration,
    /// For a whole TLS handshake.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_bytes_max: 4096,
            connections_max: 8192,
            connections_per_client_max: 0,
            idle: Duration::from_secs(10),
            send: Duration::from_secs(10),
            handshake: Duration::from_secs(5),
        }
    }
}
