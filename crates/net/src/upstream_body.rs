//! The body of an upstream's answer: bounded in time between frames, and never silently short. It
//! holds the connection; at its good end the connection goes back to the pool, and in every other
//! case it closes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::body::{BodyError, remove_unsafe_trailers};
use crate::counters::Counters;
use crate::exchange::IdleTimer;
use crate::pool::{Pool, Route};
use crate::tasks::Tasks;

/// A request's hold on its connection.
pub(crate) struct Lease {
    pub(crate) route: Route,
    /// Where the connection goes back to; none for a connection that is used once.
    pub(crate) pool: Option<Rc<Pool>>,
    pub(crate) tasks: Tasks,
}

impl Lease {
    fn finish(self) {
        if let (Route::Http1(connection), Some(pool)) = (self.route, self.pool) {
            pool.keep(connection, &self.tasks);
        }
    }
}

/// The body of an upstream's answer.
pub struct UpstreamBody {
    incoming: Option<Incoming>,
    lease: Option<Lease>,
    idle: Duration,
    timer: IdleTimer,
    is_http2: bool,
    counters: Arc<Counters>,
    ahead: VecDeque<Result<Frame<Bytes>, BodyError>>,
    ahead_bytes: u64,
}

/// How far a body was read ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAhead {
    /// To its good end.
    Whole,
    /// As far as was asked for; more may come.
    Begun,
    /// It broke off.
    Broken,
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

impl UpstreamBody {
    pub(crate) fn new(
        incoming: Incoming,
        lease: Lease,
        idle: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let is_http2 = matches!(lease.route, Route::Http2(_));
        let timer = IdleTimer::new();
        let (incoming, lease) = (Some(incoming), Some(lease));
        let (ahead, ahead_bytes) = (VecDeque::new(), 0);
        let mut body =
            Self { incoming, lease, idle, timer, is_http2, counters, ahead, ahead_bytes };
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    /// The body of an answer that has none and whose connection is gone.
    pub(crate) fn none(counters: Arc<Counters>) -> Self {
        Self {
            incoming: None,
            lease: None,
            idle: Duration::MAX,
            timer: IdleTimer::new(),
            is_http2: false,
            counters,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
        }
    }

    /// Reads until more than `bytes` are here, or the end. What was read comes again, frame by
    /// frame, to whoever reads the body.
    pub async fn read_ahead(&mut self, bytes: u64) -> ReadAhead {
        while self.ahead_bytes <= bytes {
            match poll_fn(|cx| self.poll_incoming(cx)).await {
                None => return ReadAhead::Whole,
                Some(Ok(frame)) => {
                    self.ahead_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                    self.ahead.push_back(Ok(frame));
                }
                Some(Err(error)) => {
                    self.ahead.push_back(Err(error));
                    return ReadAhead::Broken;
                }
            }
        }
        ReadAhead::Begun
    }

    /// The bytes that were read ahead.
    pub fn ahead(&self) -> impl Iterator<Item = &Bytes> {
        self.ahead.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref())
    }

    /// Why it broke off while it was read ahead, if it did.
    pub fn broken(&self) -> Option<BodyError> {
        self.ahead.back().and_then(|frame| frame.as_ref().err().copied())
    }

    fn finish(&mut self) {
        self.incoming = None;
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.incoming = None;
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }

    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Pending => {
                ready!(this.timer.poll(cx, this.idle));
                this.fail(BodyError::UpstreamTimeout)
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                this.timer.reset();
                if let Some(data) = frame.data_ref() {
                    let bytes = data.len() as u64;
                    this.counters.upstream_bytes_in.fetch_add(bytes, Ordering::Relaxed);
                } else if let Some(trailers) = frame.trailers_mut() {
                    remove_unsafe_trailers(trailers);
                }
                if incoming.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // Over HTTP/2 the library also ends here after RST_STREAM with NO_ERROR: only
            // END_STREAM is a good end.
            Poll::Ready(None) if this.is_http2 && !incoming.is_end_stream() => {
                this.fail(BodyError::UpstreamTruncated)
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => this.fail(BodyError::UpstreamTruncated),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.ahead.pop_front() {
            Some(frame) => {
                let read = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
                self.ahead_bytes -= read as u64;
                Poll::Ready(Some(frame))
            }
            None => self.poll_incoming(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead_bytes;
        let mut hint = match &self.incoming {
            // What broke off has no length.
            None if self.ahead.back().is_some_and(Result::is_err) => return SizeHint::default(),
            None => return SizeHint::with_exact(ahead),
            Some(incoming) => incoming.size_hint(),
        };
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + ahead);
        }
        hint.set_lower(hint.lower() + ahead);
        hint
    }
}
