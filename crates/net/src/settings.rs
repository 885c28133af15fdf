//! Plain settings of the listening side. The crate reads no configuration: whoever starts a server
//! fills these in. Every default is a safe one for a node that faces the open internet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::counters::Counters;
use crate::tls::Certificates;

/// How to start a [`crate::Server`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the server in its thread names: `edge`, `admin`.
    pub name: String,
    /// Addresses that speak cleartext HTTP/1.x and HTTP/2 with prior knowledge.
    pub http: Vec<SocketAddr>,
    /// Addresses that speak TLS. Needs `certificates`.
    pub https: Vec<SocketAddr>,
    /// Number of worker threads, each with its own listeners. 0 counts as 1.
    pub workers: usize,
    /// Length of the queue of connections that the kernel accepted and we did not yet.
    pub backlog: i32,
    /// Most client connections open at once, over all workers. More are closed at once.
    pub connections_max: usize,
    /// Certificates for the `https` addresses.
    pub certificates: Option<Certificates>,
    /// Limits of one request.
    pub limits: Limits,
    /// Time limits of a connection.
    pub timeouts: Timeouts,
    /// Limits that only HTTP/2 knows.
    pub http2: Http2Limits,
    /// Where events are counted. Give the same to the client side.
    pub counters: Arc<Counters>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "net".to_owned(),
            http: Vec::new(),
            https: Vec::new(),
            workers: 1,
            backlog: 4096,
            connections_max: 65_536,
            certificates: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            http2: Http2Limits::default(),
            counters: Arc::new(Counters::default()),
        }
    }
}

/// Limits of one request, for every protocol version.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the request line and all header fields together.
    pub head_bytes_max: usize,
    /// Bytes of one header line.
    pub field_bytes_max: usize,
    /// Number of header fields.
    pub fields_max: usize,
    /// Bytes of the request target.
    pub url_bytes_max: usize,
    /// Bytes of a request body, unless the handler changes it for a request.
    pub body_bytes_max: u64,
    /// Requests on one HTTP/1.x connection before it is closed in good order.
    pub requests_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            field_bytes_max: 16 * 1024,
            fields_max: 100,
            url_bytes_max: 8 * 1024,
            body_bytes_max: 1024 * 1024 * 1024,
            requests_max: u64::MAX,
        }
    }
}

/// Time limits of a client connection. They are checked by a tick of at most a quarter of a second
/// (an eighth of the shortest of them), so they are kept to that precision.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the whole TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request head to its last, and from accept to the first head.
    pub header: Duration,
    /// Between two requests of a connection, and for an HTTP/2 connection without streams.
    pub idle: Duration,
    /// Between two frames of a request body.
    pub body: Duration,
    /// While a response waits to be read by the client and it acknowledges none of it. Looked at
    /// four times within the limit, so a connection is closed at the latest a quarter after it.
    pub send: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
            send: Duration::from_secs(30),
        }
    }
}

impl Timeouts {
    /// How often a worker looks for connections that ran out of time.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = self.header.min(self.idle).min(self.send);
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(250))
    }
}

/// Limits of HTTP/2 connections: each closes one known way to make a server work for nothing.
#[derive(Clone, Copy, Debug)]
pub struct Http2Limits {
    /// Streams a client may have open at once.
    pub streams_max: u32,
    /// Receive window of one stream in bytes.
    pub stream_window_bytes: u32,
    /// Receive window of the connection in bytes.
    pub connection_window_bytes: u32,
    /// Response bytes buffered for one stream.
    pub send_buffer_bytes: usize,
    /// Streams the client reset before we looked at them (rapid reset, CVE-2023-44487).
    pub reset_streams_max: usize,
    /// Streams we had to reset for the client's errors (CVE-2025-8671).
    pub error_streams_max: usize,
    /// Control frames (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, unknown ones) a client may
    /// send at once; a tenth of the allowance comes back every second.
    pub control_frames_max: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams_max: 100,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 1024 * 1024,
            send_buffer_bytes: 64 * 1024,
            reset_streams_max: 20,
            error_streams_max: 64,
            control_frames_max: 1000,
        }
    }
}
