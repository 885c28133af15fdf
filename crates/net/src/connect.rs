//! From a target to a connection: resolve, connect to the addresses in turn, TLS, and which
//! protocol came out of it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::{Clock, millis};
use crate::target::{SendError, Target, UpstreamScheme};
use crate::tls_client::ClientTls;

/// Names remembered. There are as many as there are upstreams; this only bounds the memory.
const NAMES_MAX: usize = 4096;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// A connection to an upstream, with or without TLS.
pub(crate) enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Connects. Ready with the connection and whether it speaks HTTP/2.
pub(crate) async fn connect(
    target: &Target,
    default_tls: &ClientTls,
    names: &Names,
    http1_only: bool,
    limit: Duration,
) -> Result<(Wire, bool), SendError> {
    let work = async {
        let stream = connect_tcp(target, names, limit).await?;
        match target.scheme() {
            UpstreamScheme::Http => Ok((Wire::Clear(stream), false)),
            UpstreamScheme::Http2Clear => Ok((Wire::Clear(stream), true)),
            UpstreamScheme::Https => {
                let tls = target.tls().unwrap_or(default_tls);
                let config = if http1_only { tls.http1() } else { tls.any() };
                connect_tls(target, config, stream).await
            }
        }
    };
    tokio::time::timeout(limit, work).await.unwrap_or(Err(SendError::ConnectTimeout))
}

/// Tries the addresses in turn, each for its share of the time, so that one that does not answer
/// leaves time for the next.
async fn connect_tcp(
    target: &Target,
    names: &Names,
    limit: Duration,
) -> Result<TcpStream, SendError> {
    let addresses = names.resolve(target.host(), target.port()).await?;
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = SendError::Resolve("the name has no address".to_owned());
    for address in addresses {
        if !target.may_be_at(address.ip()) {
            last = SendError::Connect(format!("{address}: is in a network that is denied"));
            continue;
        }
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it small requests may wait; if it fails they do.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = SendError::Connect(format!("{address}: {error}")),
            Err(_) => last = SendError::ConnectTimeout,
        }
    }
    names.forget(target.host());
    Err(last)
}

async fn connect_tls(
    target: &Target,
    config: Arc<rustls::ClientConfig>,
    stream: TcpStream,
) -> Result<(Wire, bool), SendError> {
    let name = ServerName::try_from(target.verify_name().to_owned())
        .map_err(|_| SendError::Tls(format!("{} is not a name", target.verify_name())))?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| SendError::Tls(error.to_string()))?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Wire::Tls(Box::new(stream)), is_http2))
}

/// Resolved names, kept for a while, shared by all workers.
#[derive(Debug)]
pub(crate) struct Names {
    clock: Clock,
    ttl_ms: u64,
    /// Protects the map only; never held across an await.
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    until_ms: u64,
    addresses: Vec<IpAddr>,
}

impl Names {
    pub(crate) fn new(clock: Clock, ttl: Duration) -> Self {
        Self { clock, ttl_ms: millis(ttl), known: Mutex::new(HashMap::new()) }
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, SendError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let with_port = |addresses: &[IpAddr]| -> Vec<SocketAddr> {
            addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
        };
        let now_ms = self.clock.now_mono_ms();
        if let Some(known) = self.lock().get(host).filter(|known| known.until_ms > now_ms) {
            return Ok(with_port(&known.addresses));
        }
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| SendError::Resolve(format!("{host}: {error}")))?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.take(ADDRESSES_MAX) {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        if addresses.is_empty() {
            return Err(SendError::Resolve(format!("{host}: the name has no address")));
        }
        let result = with_port(&addresses);
        let mut known = self.lock();
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        let until_ms = now_ms.saturating_add(self.ttl_ms);
        known.insert(host.to_owned(), Known { until_ms, addresses });
        Ok(result)
    }

    /// After no address answered: the next attempt asks again.
    fn forget(&self, host: &str) {
        self.lock().remove(host);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        // A panic while it is held leaves a map that is whole: inserts are single calls.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
