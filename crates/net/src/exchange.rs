//! One request on one connection: sent, its body watched, its response head waited for and checked.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::sleep;

use crate::body::{BodyError, OutgoingBody};
use crate::clock::{Clock, millis};
use crate::pool::{Route, Sent};
use crate::target::{SendError, UpstreamScheme};

/// How far the request body has come.
#[derive(Debug)]
pub(crate) struct Progress {
    clock: Clock,
    moved_ms: Cell<u64>,
    /// It waits for the client, not for the upstream.
    is_starved: Cell<bool>,
    failed: Cell<Option<BodyError>>,
}

/// A body that tells how far it has come.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    body: B,
    progress: Rc<Progress>,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let progress = &self.progress;
        progress.is_starved.set(frame.is_pending());
        progress.moved_ms.set(progress.clock.now_mono_ms());
        if let Poll::Ready(Some(Err(error))) = &frame {
            progress.failed.set(Some(*error));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that got no answer: why, and the request if the library gave it back.
pub(crate) struct Unanswered {
    pub(crate) error: SendError,
    pub(crate) request: Option<Box<Request<OutgoingBody>>>,
}

/// Limits of one exchange, and the clock to measure them with.
pub(crate) struct Limits {
    pub(crate) first_byte: Duration,
    pub(crate) head_bytes_max: usize,
    pub(crate) clock: Clock,
}

/// Sends a request that [`prepare`] has made ready and waits for the final response head.
pub(crate) async fn exchange(
    route: &mut Route,
    req: Request<OutgoingBody>,
    reused: bool,
    limits: &Limits,
) -> Result<Response<Incoming>, Unanswered> {
    let (limit, clock) = (limits.first_byte, limits.clock);
    let progress = Rc::new(Progress {
        clock,
        moved_ms: Cell::new(clock.now_mono_ms()),
        is_starved: Cell::new(false),
        failed: Cell::new(None),
    });
    let req = req.map(|body| Watched { body, progress: progress.clone() });
    let wants_upgrade = req.headers().contains_key(header::UPGRADE);
    let result = match route {
        Route::Http1(connection) => {
            within(connection.sender.try_send_request(req), &progress, limit).await
        }
        Route::Http2(stream) => {
            let mut sender = stream.sender();
            within(sender.try_send_request(req), &progress, limit).await
        }
    };
    match result {
        Some(Ok(response)) => check(response, wants_upgrade, limits.head_bytes_max),
        Some(Err(mut error)) => {
            let request = error.take_message().map(|req| Box::new(req.map(|watched| watched.body)));
            let is_unsent = request.is_some();
            let error = classify(error.into_error(), &progress, reused, is_unsent);
            Err(Unanswered { error, request })
        }
        None => Err(Unanswered { error: SendError::FirstByteTimeout, request: None }),
    }
}

type Answer = Result<Response<Incoming>, TrySendError<Request<Sent>>>;

/// Waits for the answer. The limit runs anew while the request body moves, and stands still while
/// the body waits for the client, who has a limit of its own. `None` when it is over.
async fn within(
    answer: impl Future<Output = Answer>,
    progress: &Progress,
    limit: Duration,
) -> Option<Answer> {
    let mut answer = std::pin::pin!(answer);
    let mut wait = limit;
    loop {
        if let Ok(answer) = tokio::time::timeout(wait, answer.as_mut()).await {
            return Some(answer);
        }
        if progress.is_starved.get() {
            progress.moved_ms.set(progress.clock.now_mono_ms());
        }
        let passed = progress.clock.now_mono_ms().saturating_sub(progress.moved_ms.get());
        match millis(limit).checked_sub(passed) {
            None | Some(0) => return None,
            Some(left) => wait = Duration::from_millis(left),
        }
    }
}

/// What the library's error means for the request.
fn classify(error: hyper::Error, progress: &Progress, reused: bool, unsent: bool) -> SendError {
    if let Some(failed) = progress.failed.get() {
        return SendError::RequestBody(failed);
    }
    if error.is_parse_too_large() {
        return SendError::HeadTooLarge;
    }
    if error.is_parse() {
        return SendError::Protocol(text(&error));
    }
    if error.is_user() && !error.is_canceled() && !unsent {
        return SendError::Request(text(&error));
    }
    if let Some(h2) = cause::<h2::Error>(&error) {
        let is_refused =
            h2.reason() == Some(h2::Reason::REFUSED_STREAM) || (h2.is_go_away() && h2.is_remote());
        if is_refused || unsent {
            return SendError::Reset { reused, sent: false };
        }
        let is_broken = h2.is_io() || matches!(h2.reason(), None | Some(h2::Reason::NO_ERROR));
        if !is_broken {
            return SendError::Protocol(text(&error));
        }
    }
    SendError::Reset { reused, sent: !unsent }
}

/// The error with its causes, for logs.
fn text(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn cause<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<E>() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

/// What the library lets pass and we do not: a response with two framings (RFC 9112 6.3), and a
/// head that came in one read larger than the limit of its buffer.
fn check(
    mut response: Response<Incoming>,
    wants_upgrade: bool,
    head_bytes_max: usize,
) -> Result<Response<Incoming>, Unanswered> {
    let fail = |reason: &str| {
        let error = SendError::Protocol(reason.to_owned());
        Err(Unanswered { error, request: None })
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !wants_upgrade {
        return fail("101 without a request to switch");
    }
    let headers = response.headers_mut();
    let field_bytes =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if headers.iter().map(field_bytes).sum::<usize>() > head_bytes_max {
        return Err(Unanswered { error: SendError::HeadTooLarge, request: None });
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_LENGTH)
    {
        return fail("both Content-Length and Transfer-Encoding");
    }
    if !fold_lengths(headers) {
        return fail("Content-Length is not one number");
    }
    Ok(response)
}

/// Makes equal Content-Length fields one. `false` if they differ or are no plain number.
fn fold_lengths(headers: &mut HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next().cloned() else { return true };
    let is_one = crate::head::content_length(first.as_bytes()).is_ok()
        && lengths.all(|length| *length == first);
    headers.insert(header::CONTENT_LENGTH, first);
    is_one
}

/// Writes the request as the protocol wants it: origin form and Host for HTTP/1.1; scheme and
/// authority in place of Host for HTTP/2, without the fields that HTTP/2 has no place for.
pub(crate) fn prepare(
    req: &mut Request<OutgoingBody>,
    scheme: UpstreamScheme,
    authority: &HeaderValue,
    is_http2: bool,
) -> Result<(), SendError> {
    let bad = |reason: &dyn std::fmt::Display| SendError::Request(reason.to_string());
    let path = req.uri().path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    if !is_http2 {
        *req.version_mut() = Version::HTTP_11;
        req.headers_mut().insert(header::HOST, authority.clone());
        *req.uri_mut() = Uri::from(path);
        return Ok(());
    }
    *req.version_mut() = Version::HTTP_2;
    *req.uri_mut() = Uri::builder()
        .scheme(scheme.http_scheme())
        .authority(authority.as_bytes())
        .path_and_query(path)
        .build()
        .map_err(|error| bad(&error))?;
    for name in [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        req.headers_mut().remove(name);
    }
    Ok(())
}

/// The Host to send: the one given, or the target's own.
pub(crate) fn host_of(
    req: &Request<OutgoingBody>,
    default: impl Fn() -> String,
) -> Result<HeaderValue, SendError> {
    match req.headers().get(header::HOST) {
        Some(host) => Ok(host.clone()),
        None => {
            HeaderValue::try_from(default()).map_err(|error| SendError::Request(error.to_string()))
        }
    }
}

/// A copy of a request that has no body, to be given back if the original is lost.
pub(crate) fn spare(req: &Request<OutgoingBody>) -> Option<Request<OutgoingBody>> {
    if !req.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(OutgoingBody::empty());
    copy.method_mut().clone_from(req.method());
    copy.uri_mut().clone_from(req.uri());
    copy.headers_mut().clone_from(req.headers());
    Some(copy)
}

/// A timer that a body uses between its frames: made when it first waits.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    is_waiting: bool,
}

impl IdleTimer {
    pub(crate) const fn new() -> Self {
        Self { sleep: None, is_waiting: false }
    }

    /// A frame came.
    pub(crate) const fn reset(&mut self) {
        self.is_waiting = false;
    }

    /// Nothing came: ready when the limit is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        if limit == Duration::MAX {
            return Poll::Pending;
        }
        let timer = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.is_waiting {
            timer.set(sleep(limit));
            self.is_waiting = true;
        }
        timer.as_mut().poll(cx)
    }
}
