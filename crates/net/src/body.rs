//! Bodies: what a client sends ([`RequestBody`]), what we send to an upstream ([`OutgoingBody`]),
//! and the one error type of all of them. A body error always ends the message unfinished: a
//! truncated body never looks complete to whoever reads it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderName};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::exchange::IdleTimer;
use crate::guard::RefusedBody;
use crate::watch::InFlight;

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The client sent nothing for the body time limit.
    ClientTimeout,
    /// The client sent more than is allowed.
    ClientTooLarge,
    /// The client went away or reset its stream.
    ClientGone,
    /// The client's body is framed wrongly.
    ClientMalformed,
    /// The upstream sent nothing for the idle time limit.
    UpstreamTimeout,
    /// The upstream closed, reset or broke its framing before the end.
    UpstreamTruncated,
    /// We gave up ourselves, for the reason that the word names.
    Aborted(&'static str),
}

impl BodyError {
    /// The stable word used in logs and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClientTimeout => "client-body-timeout",
            Self::ClientTooLarge => "client-body-too-large",
            Self::ClientGone => "client-gone",
            Self::ClientMalformed => "client-body-malformed",
            Self::UpstreamTimeout => "upstream-body-timeout",
            Self::UpstreamTruncated => "upstream-truncated",
            Self::Aborted(word) => word,
        }
    }

    /// Whether the client that sent the body is to blame.
    #[must_use]
    pub const fn is_client(self) -> bool {
        matches!(
            self,
            Self::ClientTimeout | Self::ClientTooLarge | Self::ClientGone | Self::ClientMalformed
        )
    }
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::error::Error for BodyError {}

/// The body of a client's request: bounded in bytes and in time between frames. Trailer fields that
/// would change the meaning of the message are dropped. Dropping it unread is always safe: the
/// connection then skips the rest or closes, and never takes it for a request.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    left: u64,
    idle: Duration,
    timer: IdleTimer,
    is_http2: bool,
    /// Keeps the connection from counting as idle while the body is read.
    _in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Source {
    Ended,
    Full(Bytes),
    Client(Incoming),
}

impl RequestBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::local(Source::Ended)
    }

    /// A body that is already here. For tests and for requests made by the node itself.
    #[must_use]
    pub const fn full(bytes: Bytes) -> Self {
        Self::local(Source::Full(bytes))
    }

    const fn local(source: Source) -> Self {
        Self {
            source,
            left: u64::MAX,
            idle: Duration::MAX,
            timer: IdleTimer::new(),
            is_http2: false,
            _in_flight: None,
        }
    }

    pub(crate) fn client(
        incoming: Incoming,
        bytes_max: u64,
        idle: Duration,
        is_http2: bool,
        in_flight: Option<InFlight>,
    ) -> Self {
        let source =
            if incoming.is_end_stream() { Source::Ended } else { Source::Client(incoming) };
        let (left, _in_flight) = (bytes_max, in_flight);
        Self { source, left, idle, timer: IdleTimer::new(), is_http2, _in_flight }
    }

    /// Changes how many bytes may still come. A known length above it fails at the first read.
    pub const fn set_bytes_max(&mut self, bytes_max: u64) {
        self.left = bytes_max;
    }

    /// Changes how long a frame may take.
    pub const fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// The length, if the client said it.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        ready!(self.timer.poll(cx, self.idle));
        self.source = Source::Ended;
        Poll::Ready(Some(Err(BodyError::ClientTimeout)))
    }

    fn accept(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let Some(data) = frame.data_ref() {
            let bytes = data.len() as u64;
            if bytes > self.left {
                self.source = Source::Ended;
                return Err(BodyError::ClientTooLarge);
            }
            self.left -= bytes;
        } else if let Some(trailers) = frame.trailers_mut() {
            remove_unsafe_trailers(trailers);
        }
        Ok(frame)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match &mut this.source {
            Source::Ended => Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Ended;
                if bytes.is_empty() { Poll::Ready(None) } else { data(bytes) }
            }
            Source::Client(incoming) => {
                if incoming.size_hint().lower() > this.left {
                    this.source = Source::Ended;
                    return Poll::Ready(Some(Err(BodyError::ClientTooLarge)));
                }
                match Pin::new(incoming).poll_frame(cx) {
                    Poll::Pending => this.poll_idle(cx),
                    Poll::Ready(None) => {
                        let is_whole = !this.is_http2 || is_ended(&this.source);
                        this.source = Source::Ended;
                        Poll::Ready((!is_whole).then_some(Err(BodyError::ClientGone)))
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        this.timer.reset();
                        Poll::Ready(Some(this.accept(frame)))
                    }
                    Poll::Ready(Some(Err(error))) => {
                        this.source = Source::Ended;
                        Poll::Ready(Some(Err(client_error(&error))))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ended => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Client(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ended => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Client(incoming) => incoming.size_hint(),
        }
    }
}

/// The body of a request to an upstream.
pub struct OutgoingBody(Outgoing);

enum Outgoing {
    Request(RequestBody),
    Boxed(Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>),
}

impl OutgoingBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Outgoing::Request(RequestBody::empty()))
    }

    /// A body that is already here.
    #[must_use]
    pub const fn full(bytes: Bytes) -> Self {
        Self(Outgoing::Request(RequestBody::full(bytes)))
    }

    /// Any other body.
    pub fn boxed(body: impl Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Self(Outgoing::Boxed(Box::pin(body)))
    }
}

impl From<RequestBody> for OutgoingBody {
    fn from(body: RequestBody) -> Self {
        Self(Outgoing::Request(body))
    }
}

impl std::fmt::Debug for OutgoingBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutgoingBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Outgoing::Request(body) => Pin::new(body).poll_frame(cx),
            Outgoing::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Outgoing::Request(body) => body.is_end_stream(),
            Outgoing::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Outgoing::Request(body) => body.size_hint(),
            Outgoing::Boxed(body) => body.size_hint(),
        }
    }
}

/// Removes what must not come in a trailer section (RFC 9110 6.5.1): framing, routing,
/// authentication, request modifiers and controls. A recipient that merged them would be misled.
pub(crate) fn remove_unsafe_trailers(trailers: &mut HeaderMap) {
    for name in UNSAFE_TRAILERS {
        trailers.remove(name);
    }
}

const UNSAFE_TRAILERS: [HeaderName; 22] = [
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::TRAILER,
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::CACHE_CONTROL,
    header::EXPECT,
    header::MAX_FORWARDS,
    header::RANGE,
    header::IF_RANGE,
    header::VARY,
    header::LOCATION,
    header::AGE,
];

/// Over HTTP/2 the library reports a stream reset with NO_ERROR as a good end. It is one only if
/// END_STREAM was received.
fn is_ended(source: &Source) -> bool {
    match source {
        Source::Client(incoming) => incoming.is_end_stream(),
        Source::Ended | Source::Full(_) => true,
    }
}

fn data(bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

fn client_error(error: &hyper::Error) -> BodyError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && (io.get_ref().is_some_and(|inner| inner.is::<RefusedBody>())
                || io.kind() == std::io::ErrorKind::InvalidInput
                || io.kind() == std::io::ErrorKind::InvalidData)
        {
            return BodyError::ClientMalformed;
        }
        cause = error.source();
    }
    BodyError::ClientGone
}
