//! Sending a request to an upstream: a connection with a place at the gate (`route.rs`), the
//! exchange, and the reply with its hold on the connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::OutgoingBody;
use crate::clock::Clock;
use crate::connect::Names;
use crate::counters::Counters;
use crate::exchange::{Limits, exchange, host_of, prepare, spare};
use crate::gate::{Gates, Place};
use crate::pool::{Pools, Route};
use crate::route::Wish;
use crate::target::{ClientSettings, Deadlines, Reply, Reuse, SendError, SendFailure, Target};
use crate::tasks::Tasks;
use crate::tls_client::ClientTls;
use crate::upgrade::Upgraded;
use crate::upstream_body::{Lease, UpstreamBody};

/// Pooled connections that may turn out to be closed before a new one is made for a request.
const STALE_MAX: usize = 3;
/// What the clients of all workers share: settings, limits over all workers, resolved names.
#[derive(Debug)]
pub struct ClientShared {
    pub(crate) settings: ClientSettings,
    pub(crate) tls: ClientTls,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Clock,
    pub(crate) names: Names,
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

pub(crate) struct Inner {
    pub(crate) shared: Arc<ClientShared>,
    pub(crate) tasks: Tasks,
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
        let http1_only = req.headers().contains_key(header::UPGRADE);
        let wish = Wish { target, limit: deadlines.connect, http1_only };
        let mut tunnel = None;
        if http1_only {
            match pool.gate.tunnels.enter(wish.limit).await {
                Ok(place) => tunnel = Some(place),
                Err(error) => return Err(fail(inner.counted(error), Some(Box::new(req)))),
            }
        }
        let limits = inner.limits(deadlines.first_byte);
        let spare = spare(&req).map(Box::new);
        let (mut req, mut reuse, mut stale) = (req, reuse, 0);
        loop {
            let (mut route, reused) = match inner.route(&pool, &wish, reuse).await {
                Ok(found) => found,
                Err(error) => return Err(fail(inner.counted(error), Some(Box::new(req)))),
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
                    let lease = Lease { route, pool, tasks };
                    let came = Came { lease, tunnel, reused, connect };
                    let reply = inner.reply(response, came, deadlines).await;
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
    /// connection and past the limit of connections in use. `None` when only connected.
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
        let wish = Wish { target, limit, http1_only: path.is_none() };
        let mut route = inner.dial(&wish, None).await?;
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

    /// Connections kept and not closed, idle or shared.
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

    /// Counts what is not the target's doing.
    fn counted(&self, error: SendError) -> SendError {
        if error == SendError::PoolFull {
            Counters::add(&self.shared.counters.upstream_pool_full);
        }
        error
    }

    /// Puts the answer together; after a 101 waits for the byte stream.
    async fn reply(
        &self,
        mut response: Response<Incoming>,
        came: Came,
        deadlines: &Deadlines,
    ) -> Result<Reply, SendError> {
        let counters = self.shared.counters.clone();
        let Came { lease, tunnel, reused, connect } = came;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = hyper::upgrade::on(&mut response);
            let upgraded = match tokio::time::timeout(deadlines.first_byte, upgrade).await {
                Ok(Ok(upgraded)) => TokioIo::new(upgraded),
                Ok(Err(error)) => return Err(SendError::Protocol(error.to_string())),
                Err(_) => return Err(SendError::FirstByteTimeout),
            };
            // The lease ends here: the connection does not come back, its place does.
            let upgrade = Some(Upgraded::new(Switched { upgraded, _place: tunnel }));
            response.extensions_mut().clear();
            let response = response.map(|_| UpstreamBody::none(counters));
            return Ok(Reply { response, reused, connect, upgrade });
        }
        response.extensions_mut().clear();
        let response =
            response.map(|body| UpstreamBody::new(body, lease, deadlines.idle, counters));
        Ok(Reply { response, reused, connect, upgrade: None })
    }
}

/// How an answer came.
struct Came {
    lease: Lease,
    /// The place of the tunnel that it may become.
    tunnel: Option<Place>,
    reused: bool,
    connect: Duration,
}

/// An upstream's byte stream after a 101, with its place among the tunnels.
struct Switched {
    upgraded: TokioIo<hyper::upgrade::Upgraded>,
    _place: Option<Place>,
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
