//! What the client side is told: where to connect to, for how long to wait, and what came of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use ipnet::IpNet;

use crate::body::OutgoingBody;
use crate::tls_client::ClientTls;
use crate::upgrade::Upgraded;
use crate::upstream_body::UpstreamBody;

/// Limits of the client side, the same for every target.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Connections in use to one target, over all workers. An HTTP/1.1 connection is in use by one
    /// request, until its response body ended: a slow reader keeps it. An HTTP/2 connection is in
    /// use while it has streams, however many. Idle and upgraded connections do not count.
    pub connections_max: usize,
    /// Upgraded connections to one target, over all workers.
    pub tunnels_max: usize,
    /// Most requests that wait for a place at one target. More fail at once.
    pub waiters_max: usize,
    /// Idle HTTP/1.1 connections kept for one target by one worker.
    pub idle_max: usize,
    /// How long an idle connection is kept.
    pub idle_limit: Duration,
    /// Requests in flight on one HTTP/2 connection before another one is opened, if one may be.
    pub streams_max: usize,
    /// HTTP/2 connections to one target of one worker. With `streams_max` each they bound the
    /// requests in flight.
    pub http2_connections_max: usize,
    /// Bytes of a response head.
    pub head_bytes_max: usize,
    /// Number of fields of a response head.
    pub fields_max: usize,
    /// How long a resolved name is used before it is asked for again.
    pub name_ttl: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            tunnels_max: 1024,
            waiters_max: 4096,
            idle_max: 64,
            idle_limit: Duration::from_secs(30),
            streams_max: 100,
            http2_connections_max: 8,
            head_bytes_max: 64 * 1024,
            fields_max: 256,
            name_ttl: Duration::from_secs(30),
        }
    }
}

/// How to speak to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamScheme {
    /// `http://`: HTTP/1.1 in clear.
    Http,
    /// `https://`: TLS, then HTTP/2 or HTTP/1.1 as the upstream chooses by ALPN.
    Https,
    /// `h2c://`: HTTP/2 in clear with prior knowledge.
    Http2Clear,
}

impl UpstreamScheme {
    /// The scheme of the URL by which the target was configured, without `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Http2Clear => "h2c",
        }
    }

    /// The port when none is given.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Http2Clear => 80,
            Self::Https => 443,
        }
    }

    /// What `:scheme` says.
    pub(crate) const fn http_scheme(self) -> &'static str {
        match self {
            Self::Http | Self::Http2Clear => "http",
            Self::Https => "https",
        }
    }
}

/// An upstream to connect to. Equal targets share connections; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Arc<TargetParts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct TargetParts {
    scheme: UpstreamScheme,
    host: String,
    port: u16,
    verify_name: Option<String>,
    tls: Option<ClientTls>,
    denied: Arc<[IpNet]>,
}

impl Target {
    /// A target by parts. `host` is a DNS name or an address, IPv6 with or without brackets.
    #[must_use]
    pub fn new(scheme: UpstreamScheme, host: &str, port: u16) -> Self {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let host = host.to_ascii_lowercase();
        Self(Arc::new(TargetParts {
            scheme,
            host,
            port,
            verify_name: None,
            tls: None,
            denied: Arc::default(),
        }))
    }

    /// A target from `http://host:port`, `https://host:port` or `h2c://host:port`, with no path
    /// but `/`. `None` when it is anything else.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = match scheme {
            "http" => UpstreamScheme::Http,
            "https" => UpstreamScheme::Https,
            "h2c" => UpstreamScheme::Http2Clear,
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if !crate::authority::is_valid(rest.as_bytes()) {
            return None;
        }
        let uri = http::uri::Authority::try_from(rest).ok()?;
        let port = uri.port_u16().unwrap_or_else(|| scheme.default_port());
        Some(Self::new(scheme, uri.host(), port))
    }

    /// The same target, with another name sent as SNI and looked for in its certificate.
    #[must_use]
    pub fn with_verify_name(self, name: &str) -> Self {
        let mut parts = self.into_parts();
        parts.verify_name = Some(name.to_ascii_lowercase());
        Self(Arc::new(parts))
    }

    /// The same target, with its own TLS settings (an extra certificate authority).
    #[must_use]
    pub fn with_tls(self, tls: ClientTls) -> Self {
        let mut parts = self.into_parts();
        parts.tls = Some(tls);
        Self(Arc::new(parts))
    }

    fn into_parts(self) -> TargetParts {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| TargetParts {
            scheme: shared.scheme,
            host: shared.host.clone(),
            port: shared.port,
            verify_name: shared.verify_name.clone(),
            tls: shared.tls.clone(),
            denied: shared.denied.clone(),
        })
    }

    /// The same target, which is never connected to at an address in these networks, whatever its
    /// name resolves to.
    #[must_use]
    pub fn with_denied(self, networks: Arc<[IpNet]>) -> Self {
        let mut parts = self.into_parts();
        parts.denied = networks;
        Self(Arc::new(parts))
    }

    pub(crate) fn may_be_at(&self, ip: IpAddr) -> bool {
        // An IPv4 address is one in the notation of IPv6 as well (RFC 4291 2.5.5.2).
        let ip = ip.to_canonical();
        !self.0.denied.iter().any(|network| network.contains(&ip))
    }

    /// How it is spoken to.
    #[must_use]
    pub fn scheme(&self) -> UpstreamScheme {
        self.0.scheme
    }

    /// Its name or address, without brackets, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// `host` or `host:port` when the port is not the default: what Host says unless overridden.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.host();
        let brackets = host.contains(':');
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        if self.port() == self.scheme().default_port() {
            format!("{open}{host}{close}")
        } else {
            format!("{open}{host}{close}:{}", self.port())
        }
    }

    pub(crate) fn verify_name(&self) -> &str {
        self.0.verify_name.as_deref().unwrap_or(&self.0.host)
    }

    pub(crate) fn tls(&self) -> Option<&ClientTls> {
        self.0.tls.as_ref()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme().as_str(), self.authority())
    }
}

/// For how long to wait for an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To resolve the name, connect, and finish the TLS handshake: all together. Before that, to
    /// wait for a place at the target: as long again, and then [`SendError::PoolFull`].
    pub connect: Duration,
    /// From the moment the connection is ours to the last byte of the final response head. Interim
    /// responses (1xx) do not extend it. While the request body is still moving it is counted
    /// from the last moving of the body.
    pub first_byte: Duration,
    /// Between two frames of the response body.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}

/// Whether a connection that was used before may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// A pooled connection if there is one.
    Pooled,
    /// A new connection: for the retry after a pooled one failed.
    Fresh,
}

/// An upstream's answer: its final head, and its body to come.
#[derive(Debug)]
pub struct Reply {
    /// The response. Its body keeps the connection; drop it to give the exchange up.
    pub response: Response<UpstreamBody>,
    /// Whether the connection had served a request before.
    pub reused: bool,
    /// Time until the connection was ours: waiting for a place, resolving, connecting, TLS.
    pub connect: Duration,
    /// The opaque stream, if the status is 101.
    pub upgrade: Option<Upgraded>,
}

/// Why there is no answer from an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The name could not be resolved.
    Resolve(String),
    /// No address could be connected to.
    Connect(String),
    /// Resolving, connecting and TLS took longer than allowed.
    ConnectTimeout,
    /// The TLS handshake failed: untrusted, wrong name, expired, no common version.
    Tls(String),
    /// No response head within the time limit.
    FirstByteTimeout,
    /// The connection closed or broke before the response head was complete.
    Reset {
        /// It was a connection that had served before: the upstream may just have closed it.
        reused: bool,
        /// Something of the request may have reached the upstream.
        sent: bool,
    },
    /// What came back is not valid HTTP.
    Protocol(String),
    /// The response head is larger than allowed.
    HeadTooLarge,
    /// As many connections to the target as may be were in use and none became free in time.
    PoolFull,
    /// The request body failed while it was being sent.
    RequestBody(crate::body::BodyError),
    /// The request cannot be sent as it is: a programmer's error of the caller.
    Request(String),
}

impl SendError {
    /// The stable word used in logs and counters.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "upstream-resolve",
            Self::Connect(_) => "upstream-connect",
            Self::ConnectTimeout => "upstream-connect-timeout",
            Self::Tls(_) => "upstream-tls",
            Self::FirstByteTimeout => "upstream-first-byte-timeout",
            Self::Reset { .. } => "upstream-reset",
            Self::Protocol(_) => "upstream-protocol",
            Self::HeadTooLarge => "upstream-head-too-large",
            Self::PoolFull => "upstream-pool-full",
            Self::RequestBody(error) => error.word(),
            Self::Request(_) => "upstream-request-invalid",
        }
    }

    /// Whether the upstream can have seen nothing of the request, so that even an unsafe method
    /// may be tried again.
    #[must_use]
    pub const fn retry_safe(&self) -> bool {
        match self {
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Tls(_)
            | Self::PoolFull
            | Self::Reset { sent: false, .. } => true,
            Self::Reset { sent: true, .. }
            | Self::FirstByteTimeout
            | Self::Protocol(_)
            | Self::HeadTooLarge
            | Self::RequestBody(_)
            | Self::Request(_) => false,
        }
    }

    /// Whether it speaks against the health of the target (and not of the client or ourselves).
    #[must_use]
    pub const fn is_upstream(&self) -> bool {
        !matches!(self, Self::PoolFull | Self::RequestBody(_) | Self::Request(_))
    }
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolve(reason) => write!(f, "cannot resolve the upstream's name: {reason}"),
            Self::Connect(reason) => write!(f, "cannot connect to the upstream: {reason}"),
            Self::ConnectTimeout => f.write_str("connecting to the upstream took too long"),
            Self::Tls(reason) => write!(f, "TLS to the upstream failed: {reason}"),
            Self::FirstByteTimeout => f.write_str("the upstream did not answer in time"),
            Self::Reset { .. } => f.write_str("the upstream closed before it answered"),
            Self::Protocol(reason) => write!(f, "the upstream's answer is not valid: {reason}"),
            Self::HeadTooLarge => f.write_str("the upstream's response head is too large"),
            Self::PoolFull => f.write_str("too many requests to the upstream at once"),
            Self::RequestBody(error) => write!(f, "the request body failed: {error}"),
            Self::Request(reason) => write!(f, "the request cannot be sent: {reason}"),
        }
    }
}

impl std::error::Error for SendError {}

/// A request that failed, with the request itself if nothing of it was used.
#[derive(Debug)]
pub struct SendFailure {
    /// Why.
    pub error: SendError,
    /// The request, unused, to be sent elsewhere. Always there when `error.retry_safe()`, except
    /// that an HTTP/2 upstream that refused a stream may have consumed a part of the body.
    pub request: Option<Box<Request<OutgoingBody>>>,
    /// Time spent until the connection was ours, or until that failed.
    pub connect: Duration,
}
