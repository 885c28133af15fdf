//! Sending a request to an upstream: a place at the gate, a connection from the pool or a new one,
//! the exchange, and the reply with its hold on the connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use crate::body::OutgoingBody;
use crate::clock::Clock;
use crate::connect::{Names, Wire, connect};
use crate::counters::Counters;
use crate::exchange::{Limits, exchange, host_of, prepare, spare};
use crate::pool::{Driver, Gates, Http1, Http2, Pool, Pools, Route, Sent, Stream};
use crate::target::{
    ClientSettings, Deadlines, Reply, Reuse, SendError, SendFailure, Target, UpstreamScheme,
};
use crate::tasks::Tasks;
use crate::tls_client::ClientTls;
use crate::upgrade::Upgraded;
use crate::upstream_body::{Lease, UpstreamBody};

/// Pooled connections that may turn out to be closed before a new one is made for a request.
const STALE_MAX: usize = 3;
/// Receive windows of HTTP/2: what one slow reader, and all of them, may leave with us unread.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Request bytes of one HTTP/2 stream that wait to be sent.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// An HTTP/2 connection with requests in flight is asked whether it is alive this often.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_LIMIT: Duration = Duration::from_secs(10);
/// Smallest read buffer that the HTTP library takes.
const READ_BUFFER_MIN: usize = 8 * 1024;

/// What the clients of all workers share: settings, limits over all workers, resolved names.
#[derive(Debug)]
pub struct ClientShared {
    settings: ClientSettings,
    tls: ClientTls,
    counters: Arc<Counters>,
    clock: Clock,
    names: Names,
    gates: Gates,
}

impl ClientShared {
    /// `tls` serves targets that have no TLS settings of their own.
    #[must_use]
    pub fn new(settings: ClientSettings, tls: ClientTls, counters: Arc<Counters>) -> Arc<Self> {
        let clock = Clock::start();
        let names = Names::new(clock, settings.name_ttl);
        Arc::new(Self { settings, tls, counters, clock, names, gates: Gates::default() })
    }
}

/// The upstream side of one worker: its connection pools. Clones share them. Not `Send`.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    shared: Arc<ClientShared>,
    tasks: Tasks,
    pools: Pools,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("shared", &self.0.shared).finish_non_exhaustive()
    }
}

impl Client {
    /// `tasks` are the worker's: connections are driven there. Call it on the worker.
    #[must_use]
    pub fn new(shared: Arc<ClientShared>, tasks: Tasks) -> Self {
        let inner = Rc::new(Inner { shared, tasks, pools: Pools::default() });
        let weak = Rc::downgrade(&inner);
        let pause = inner.shared.settings.idle_limit / 4;
        let pause = pause.clamp(Duration::from_millis(10), Duration::from_secs(5));
        inner.tasks.spawn_background(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(inner) = weak.upgrade() else { break };
                inner.pools.expire();
            }
        });
        Self(inner)
    }

    /// Sends a request and waits for the final response head.
    ///
    /// The request has a target in origin form (`/path?query`; `*` for OPTIONS). Its Host is what
    /// the upstream is asked for, the target's own name if there is none; the rest is done here as
    /// the protocol of the connection wants it. Hop-by-hop fields must have been removed, but for
    /// `Connection: upgrade` with `Upgrade`, which asks for an HTTP/1.1 connection; then the answer
    /// may be a 101 with [`Reply::upgrade`].
    ///
    /// A pooled connection that the upstream had already closed is replaced here, as long as
    /// nothing of the request was sent. Dropping the future closes what it was using.
    ///
    /// # Errors
    /// See [`SendError`]; the request comes back when nothing of it was used, or when it has no
    /// body.
    pub async fn send(
        &self,
        target: &Target,
        req: Request<OutgoingBody>,
        deadlines: &Deadlines,
        reuse: Reuse,
    ) -> Result<Reply, SendFailure> {
        let inner = &*self.0;
        let (settings, clock) = (&inner.shared.settings, inner.shared.clock);
        let started_us = clock.now_mono_us();
        let since = || Duration::from_micros(clock.now_mono_us().saturating_sub(started_us));
        let fail = |error, request| SendFailure { error, request, connect: since() };
        let authority = match host_of(&req, || target.authority()) {
            Ok(authority) => authority,
            Err(error) => return Err(fail(error, Some(Box::new(req)))),
        };
        let pool = inner.pools.of(target, &inner.shared.gates, settings, clock);
        let place = match pool.gate.enter(settings).await {
            Ok(place) => place,
            Err(error) => {
                Counters::add(&inner.shared.counters.upstream_pool_full);
                return Err(fail(error, Some(Box::new(req))));
            }
        };
        let http1_only = req.headers().contains_key(header::UPGRADE);
        let limits = inner.limits(deadlines.first_byte);
        let spare = spare(&req).map(Box::new);
        let (mut req, mut reuse, mut stale) = (req, reuse, 0);
        loop {
            let found = inner.route(&pool, target, deadlines.connect, reuse, http1_only).await;
            let (mut route, reused) = match found {
                Ok(found) => found,
                Err(error) => return Err(fail(error, Some(Box::new(req)))),
            };
            let connect = since();
            let fail = |error, request| SendFailure { error, request, connect };
            let is_http2 = matches!(route, Route::Http2(_));
            if let Err(error) = prepare(&mut req, target.scheme(), &authority, is_http2) {
                return Err(fail(error, spare));
            }
            inner.count(reused);
            let unanswered = match exchange(&mut route, req, reused, &limits).await {
                Ok(response) => {
                    let (pool, tasks) = (Some(pool), inner.tasks.clone());
                    let lease = Lease { route, place: Some(place), pool, tasks };
                    let reply = inner.reply(response, lease, deadlines, reused, connect).await;
                    return reply.map_err(|error| fail(error, spare));
                }
                Err(unanswered) => unanswered,
            };
            let request = unanswered.request.map(|mut request| {
                // Back to how it was given: this cannot fail for HTTP/1.1.
                let _ = prepare(&mut request, target.scheme(), &authority, false);
                request
            });
            match request {
                Some(request) if reused && unanswered.error.retry_safe() => {
                    stale += 1;
                    if stale >= STALE_MAX {
                        reuse = Reuse::Fresh;
                    }
                    req = *request;
                }
                request => return Err(fail(unanswered.error, request.or(spare))),
            }
        }
    }

    /// Asks whether a target is there: connects and, with a path, sends a GET. Always on a new
    /// connection and past the limit of requests in flight. `None` when only connected.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn probe(
        &self,
        target: &Target,
        host: &str,
        path: Option<&str>,
        limit: Duration,
    ) -> Result<Option<StatusCode>, SendError> {
        let inner = &*self.0;
        let mut route = inner.dial(target, limit, path.is_none()).await?;
        let Some(path) = path else { return Ok(None) };
        let invalid = |error: &dyn std::fmt::Display| SendError::Request(error.to_string());
        let authority = HeaderValue::try_from(host).map_err(|error| invalid(&error))?;
        let mut req = Request::builder()
            .uri(path)
            .header(header::USER_AGENT, "selvedge-probe")
            .body(OutgoingBody::empty())
            .map_err(|error| invalid(&error))?;
        let is_http2 = matches!(route, Route::Http2(_));
        prepare(&mut req, target.scheme(), &authority, is_http2)?;
        let answer = exchange(&mut route, req, false, &inner.limits(limit)).await;
        answer.map(|response| Some(response.status())).map_err(|unanswered| unanswered.error)
    }

    /// Connections kept, idle or shared.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.0.pools.kept()
    }
}

impl Inner {
    fn limits(&self, first_byte: Duration) -> Limits {
        let head_bytes_max = self.shared.settings.head_bytes_max;
        Limits { first_byte, head_bytes_max, clock: self.shared.clock }
    }

    fn count(&self, reused: bool) {
        Counters::add(&self.shared.counters.upstream_requests);
        if reused {
            Counters::add(&self.shared.counters.upstream_reuses);
        }
    }

    /// A connection for one request, and whether it had served before.
    async fn route(
        &self,
        pool: &Rc<Pool>,
        target: &Target,
        limit: Duration,
        reuse: Reuse,
        http1_only: bool,
    ) -> Result<(Route, bool), SendError> {
        let settings = &self.shared.settings;
        let may_be_http2 = || match target.scheme() {
            UpstreamScheme::Http => false,
            UpstreamScheme::Http2Clear => !http1_only,
            UpstreamScheme::Https => !http1_only && pool.speaks_http2.get() != Some(false),
        };
        let pooled = || {
            if reuse == Reuse::Fresh {
                return None;
            }
            if may_be_http2()
                && let Some(stream) = pool.share(settings)
            {
                return Some((Route::Http2(stream), true));
            }
            pool.take_idle().map(|connection| (Route::Http1(connection), true))
        };
        if let Some(found) = pooled() {
            return Ok(found);
        }
        let turn = if may_be_http2() {
            let turn = tokio::time::timeout(limit, pool.turn.acquire()).await;
            if let Some(found) = pooled() {
                return Ok(found);
            }
            match turn {
                Ok(Ok(turn)) if may_be_http2() => Some(turn),
                Ok(_) => None,
                Err(_) => return Err(SendError::ConnectTimeout),
            }
        } else {
            None
        };
        let route = self.dial(target, limit, http1_only).await?;
        if !http1_only {
            pool.speaks_http2.set(Some(matches!(route, Route::Http2(_))));
        }
        if let Route::Http2(stream) = &route {
            pool.add_shared(stream.connection());
        }
        drop(turn);
        Ok((route, false))
    }

    /// A new connection.
    async fn dial(
        &self,
        target: &Target,
        limit: Duration,
        http1_only: bool,
    ) -> Result<Route, SendError> {
        let shared = &self.shared;
        Counters::add(&shared.counters.upstream_connects);
        let connected = connect(target, &shared.tls, &shared.names, http1_only, limit).await;
        let (wire, is_http2) = connected.inspect_err(|_| {
            Counters::add(&shared.counters.upstream_connect_failures);
        })?;
        if is_http2 && !(http1_only && target.scheme() == UpstreamScheme::Http2Clear) {
            self.begin_http2(wire).await
        } else {
            self.begin_http1(wire).await
        }
    }

    async fn begin_http1(&self, wire: Wire) -> Result<Route, SendError> {
        let settings = &self.shared.settings;
        let (sender, connection) = http1::Builder::new()
            .max_headers(settings.fields_max)
            .max_buf_size(settings.head_bytes_max.max(READ_BUFFER_MIN))
            .handshake::<_, Sent>(TokioIo::new(wire))
            .await
            .map_err(|error| SendError::Protocol(error.to_string()))?;
        let driver = self.tasks.spawn_driver(async move {
            // Whoever sent the request gets the error.
            drop(connection.with_upgrades().await);
        });
        Ok(Route::Http1(Http1 { sender, _driver: Driver(driver) }))
    }

    async fn begin_http2(&self, wire: Wire) -> Result<Route, SendError> {
        let head_bytes_max = self.shared.settings.head_bytes_max;
        let (sender, connection) = http2::Builder::new(self.tasks.background())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT)
            .handshake::<_, Sent>(TokioIo::new(wire))
            .await
            .map_err(|error| SendError::Protocol(error.to_string()))?;
        let driver = self.tasks.spawn_driver(async move { drop(connection.await) });
        let connection = Rc::new(Http2::new(sender, Driver(driver)));
        Ok(Route::Http2(Stream::new(connection, self.shared.clock)))
    }

    /// Puts the answer together; after a 101 waits for the byte stream.
    async fn reply(
        &self,
        response: Response<Incoming>,
        mut lease: Lease,
        deadlines: &Deadlines,
        reused: bool,
        connect: Duration,
    ) -> Result<Reply, SendError> {
        let counters = self.shared.counters.clone();
        let is_http1 = matches!(lease.route, Route::Http1(_));
        let mut response = response;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = hyper::upgrade::on(&mut response);
            let upgraded = match tokio::time::timeout(deadlines.first_byte, upgrade).await {
                Ok(Ok(upgraded)) => TokioIo::new(upgraded),
                Ok(Err(error)) => return Err(SendError::Protocol(error.to_string())),
                Err(_) => return Err(SendError::FirstByteTimeout),
            };
            let upgrade = Upgraded::new(Switched { upgraded, _place: lease.place.take() });
            response.extensions_mut().clear();
            return Ok(Reply {
                response: response.map(|_| UpstreamBody::none(counters)),
                reused,
                connect,
                close_delimited: false,
                upgrade: Some(upgrade),
            });
        }
        response.extensions_mut().clear();
        let headers = response.headers();
        let close_delimited = is_http1
            && !response.body().is_end_stream()
            && !headers.contains_key(header::CONTENT_LENGTH)
            && !headers.contains_key(header::TRANSFER_ENCODING);
        let response =
            response.map(|body| UpstreamBody::new(body, lease, deadlines.idle, counters));
        Ok(Reply { response, reused, connect, close_delimited, upgrade: None })
    }
}

/// An upstream's byte stream after a 101, with its place at the gate.
struct Switched {
    upgraded: TokioIo<hyper::upgrade::Upgraded>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Switched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_read(cx, buf)
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.upgraded).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_shutdown(cx)
    }
}
