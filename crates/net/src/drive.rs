//! One client connection from its first byte to its last: which protocol, driven until it ends, is
//! asked to end, or leaves HTTP. An idle HTTP/1.x connection is parked: the library's state and
//! buffers are given back, and made again when the next byte comes.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::connection::{Connection, Protocol, TlsSession};
use crate::cork::Corked;
use crate::counters::Counters;
use crate::frames::FrameMeter;
use crate::guard::{Guard, Opening};
use crate::respond::respond;
use crate::serve::Handler;
use crate::socket::SendQueue;
use crate::upgrade::Upgraded;
use crate::watch::{Cause, UpgradeStep, Watch, Wish};
use crate::worker::{Core, Permit};

/// How long we read on after our last byte, so that the client can read it.
const LINGER: Duration = Duration::from_secs(1);
/// How much we read on.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// What is known of a connection before HTTP begins.
pub(crate) struct Accepted {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tls: Option<TlsSession>,
    /// ALPN chose h2.
    pub(crate) is_http2: bool,
    pub(crate) permit: Permit,
    pub(crate) send_queue: SendQueue,
}

/// Serves a connection to its end.
pub(crate) async fn drive<S, H>(stream: S, accepted: Accepted, core: Rc<Core<H>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Handler,
{
    let Accepted { peer, local, tls, is_http2, permit, send_queue } = accepted;
    let watch = Watch::new(core.now.clone());
    core.register(&watch, send_queue);
    let is_clear = tls.is_none();
    let mut guard =
        Guard::new(stream, core.limits.clone(), watch.clone(), core.desk.clone(), permit);
    let opening = if is_http2 {
        Some(Opening::Http2)
    } else {
        open(&mut guard, &watch, is_clear).await.unwrap_or_else(|cause| {
            core.count(cause);
            None
        })
    };
    let connection = |protocol| {
        let watch = watch.clone();
        Rc::new(Connection { peer, local, tls, protocol, watch })
    };
    match opening {
        Some(Opening::Http1) => http1(guard, connection(Protocol::Http1), &core).await,
        Some(Opening::Http2) => http2(guard, connection(Protocol::Http2), &core).await,
        Some(Opening::Ended) | None => {}
    }
    watch.flush(&core.counters);
}

/// Waits for first bytes. `Ok(None)` when the connection broke or was asked to finish.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    guard: &mut Guard<S>,
    watch: &Watch,
    http2_allowed: bool,
) -> Result<Option<Opening>, Cause> {
    poll_fn(|cx| {
        let opening = guard.poll_opening(cx, http2_allowed);
        match (opening, watch.poll_wish(cx)) {
            (Poll::Ready(result), _) => Poll::Ready(Ok(result.ok())),
            (Poll::Pending, Wish::Close(cause)) => Poll::Ready(Err(cause)),
            (Poll::Pending, Wish::Finish) => Poll::Ready(Ok(None)),
            (Poll::Pending, Wish::None | Wish::Park) => Poll::Pending,
        }
    })
    .await
}

/// How driving a connection ended.
enum End {
    /// The library is done with it, well or badly.
    Done(bool),
    Park,
    Close(Cause),
}

async fn http1<S, H>(mut guard: Guard<S>, connection: Rc<Connection>, core: &Rc<Core<H>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Handler,
{
    let watch = &connection.watch;
    loop {
        let service = service_fn(|req| respond(core.clone(), connection.clone(), req));
        let io = TokioIo::new(guard);
        let mut http = Box::new(core.http1.serve_connection(io, service));
        let mut is_finishing = false;
        let end = poll_fn(|cx| {
            let wish = watch.poll_wish(cx);
            if let Wish::Close(cause) = wish {
                return Poll::Ready(End::Close(cause));
            }
            if let Poll::Ready(result) = Pin::new(&mut *http).poll(cx) {
                return Poll::Ready(End::Done(result.is_ok()));
            }
            if wish == Wish::Finish && !is_finishing {
                is_finishing = true;
                Pin::new(&mut *http).graceful_shutdown();
                return Pin::new(&mut *http).poll(cx).map(|result| End::Done(result.is_ok()));
            }
            if wish == Wish::Park {
                watch.clear_park();
                if watch.is_quiet() {
                    return Poll::Ready(End::Park);
                }
            }
            Poll::Pending
        })
        .await;
        guard = {
            // In a block of its own: buffers must not live on while the connection is parked.
            let http = http;
            let parts = (*http).into_parts();
            let mut guard = parts.io.into_inner();
            guard.unread(&parts.read_buf);
            guard
        };
        match end {
            End::Park => match park(&mut guard, watch, &core.counters).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(cause) => return core.count(cause),
            },
            End::Close(cause) => return core.count(cause),
            End::Done(_) if watch.upgrade_step.get() == UpgradeStep::Accepted => {
                return leave(guard, watch, core);
            }
            End::Done(true) => return linger(guard).await,
            End::Done(false) => return,
        }
    }
}

/// Waits for the next request with as little memory as possible. `false`: the connection ended.
async fn park<S: AsyncRead + AsyncWrite + Unpin>(
    guard: &mut Guard<S>,
    watch: &Watch,
    counters: &Counters,
) -> Result<bool, Cause> {
    Counters::add(&counters.connections_parked);
    guard.release();
    watch.set_parked(true);
    let opening = open(guard, watch, false).await;
    watch.set_parked(false);
    Ok(opening? == Some(Opening::Http1))
}

/// After a 101: gives the byte stream to whoever waits for it.
fn leave<S, H>(mut guard: Guard<S>, watch: &Rc<Watch>, core: &Core<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Handler,
{
    if let Some(waiting) = watch.take_upgrade() {
        core.unregister(watch);
        guard.set_opaque();
        Counters::add(&core.counters.upgrades);
        // Whoever waited may have given up: then the stream is dropped and closes.
        drop(waiting.send(Upgraded::new(guard)));
    }
}

/// Says goodbye, then reads on for a moment: closing with unread bytes would reset the connection,
/// and the client might lose the response it has not read yet (RFC 9112 9.6).
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut guard: Guard<S>) {
    let mut left = LINGER_BYTES_MAX;
    let discard = async {
        if guard.shutdown().await.is_err() {
            return;
        }
        while let Ok(bytes) = poll_fn(|cx: &mut Context<'_>| guard.poll_discard(cx)).await {
            if bytes == 0 || bytes > left {
                break;
            }
            left -= bytes;
        }
    };
    // Out of time means closing anyway.
    drop(tokio::time::timeout(LINGER, discard).await);
}

async fn http2<S, H>(mut guard: Guard<S>, connection: Rc<Connection>, core: &Rc<Core<H>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Handler,
{
    let watch = connection.watch.clone();
    watch.set_http2();
    Counters::add(&core.counters.connections_http2);
    guard.set_http2(FrameMeter::new(core.control_frames_max, core.now.get()));
    // Boxed: the library moves the future of a request five times on its way into a task.
    let service = service_fn(|req| Box::pin(respond(core.clone(), connection.clone(), req)));
    let corked = Corked::new(guard);
    let io = TokioIo::new(corked.clone());
    let mut http = Box::pin(core.http2.serve_connection(io, service));
    let mut is_finishing = false;
    // One turn of the connection: true when it has ended.
    let mut turn = |cx: &mut Context<'_>, finish: bool| {
        if finish {
            http.as_mut().graceful_shutdown();
        }
        let is_done = http.as_mut().poll(cx).is_ready();
        is_done || matches!(corked.poll_turn(cx), Poll::Ready(Err(_)))
    };
    let cause = poll_fn(|cx| {
        let wish = watch.poll_wish(cx);
        if let Wish::Close(cause) = wish {
            if cause == Cause::Flood {
                // One last turn, so that GOAWAY is written.
                turn(cx, true);
            }
            return Poll::Ready(Some(cause));
        }
        if turn(cx, false) {
            return Poll::Ready(None);
        }
        if wish == Wish::Finish && !is_finishing {
            is_finishing = true;
            return if turn(cx, true) { Poll::Ready(None) } else { Poll::Pending };
        }
        watch.clear_park();
        Poll::Pending
    })
    .await;
    if let Some(cause) = cause {
        core.count(cause);
    }
}
