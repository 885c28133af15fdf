//! Between the HTTP library and the handler: every request is marked with its refusal if it has
//! one, every response is watched until the client has taken it.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::authority;
use crate::body::{BodyError, RequestBody};
use crate::connection::{Connection, Protocol};
use crate::guard::poisoned;
use crate::head::{content_length, is_valid_path_and_query};
use crate::refusal::Refusal;
use crate::serve::Handler;
use crate::settings::Limits;
use crate::watch::{InFlight, UpgradeStep, Watch};
use crate::worker::Core;

/// Frames of an HTTP/2 response are cut to this, so that the client shows progress by asking for
/// the next one, and streams take turns.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Hands one request to the handler and prepares its answer for the connection. The request is
/// boxed before the future begins, which would otherwise hold and move several copies of it.
pub(crate) fn respond<H: Handler>(
    core: Rc<Core<H>>,
    connection: Rc<Connection>,
    req: Request<Incoming>,
) -> impl Future<Output = Result<Response<Tracked<H::Body>>, Infallible>> {
    let (watch, limits) = (&connection.watch, &core.limits);
    let in_flight = InFlight::new(watch);
    watch.requests.set(watch.requests.get() + 1);
    let is_http2 = connection.protocol == Protocol::Http2;
    let refusal = if is_http2 { check_http2(&req, limits) } else { poisoned(&req) };
    let is_upgrade = !is_http2 && wants_upgrade(&req);
    let body_max = limits.body_bytes_max;
    let mut req = Box::new(req.map(|body| {
        let token = (!body.is_end_stream()).then(|| InFlight::new(watch));
        RequestBody::client(body, body_max, core.body_idle, is_http2, token)
    }));
    // The end of a request's body can let the next request begin while the answer to this one waits
    // for the socket: then it would not be known whose head lines are for.
    watch.takes_lines.set(!is_http2 && req.body().is_end_stream());
    if let Some(refusal) = refusal {
        core.counters.refuse(refusal);
        req.extensions_mut().insert(refusal);
    }
    async move {
        let mut response = core.handler.handle(req, connection.clone()).await;
        if !is_http2 {
            finish_http1(&mut response, &connection.watch, is_upgrade, &core);
        }
        Ok(response.map(|body| Tracked {
            body,
            rest: Bytes::new(),
            state: State { in_flight, is_cut: is_http2, is_handed: false },
        }))
    }
}

/// Settles what becomes of the connection after an HTTP/1.x response.
fn finish_http1<B, H>(response: &mut Response<B>, watch: &Watch, is_upgrade: bool, core: &Core<H>) {
    // Fields that were written out have a date; the library could not know.
    if !watch.has_lines() {
        response.headers_mut().entry(header::DATE).or_insert_with(|| core.date.value());
    }
    let mut is_last = watch.requests.get() >= core.limits.requests_max;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let step = if is_upgrade { UpgradeStep::Accepted } else { UpgradeStep::Closing };
        watch.upgrade_step.set(step);
        return;
    }
    if is_upgrade {
        drop(watch.take_upgrade());
        let holds = watch.holds_bytes.get();
        watch.upgrade_step.set(if holds { UpgradeStep::Closing } else { UpgradeStep::Declined });
        is_last |= holds;
    }
    if is_last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// As `head.rs` has it: both must agree on which requests the guard holds bytes behind.
fn wants_upgrade<B>(req: &Request<B>) -> bool {
    req.headers().keys().any(|name| *name == header::UPGRADE)
        && req.version() == Version::HTTP_11
        && req.headers().get_all(header::CONNECTION).iter().any(|value| {
            let mut tokens = value.as_bytes().split(|&byte| byte == b',');
            tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        })
}

/// What the HTTP/2 library does not check (RFC 9113 8.3.1, 8.1.1): the same rules as for HTTP/1.x.
fn check_http2<B>(req: &Request<B>, limits: &Limits) -> Option<Refusal> {
    if req.method() == Method::CONNECT {
        return Some(Refusal::Connect);
    }
    let target = req.uri().path_and_query().map_or("", |target| target.as_str());
    if target.len() > limits.url_bytes_max {
        return Some(Refusal::UrlTooLong);
    }
    if req.headers().len() > limits.fields_max {
        return Some(Refusal::TooManyFields);
    }
    match authority::authority(req) {
        Err(refusal) => return Some(refusal),
        Ok(name) if !authority::is_valid(name.as_bytes()) => return Some(Refusal::HostInvalid),
        Ok(_) => {}
    }
    if target == "*" {
        return (req.method() != Method::OPTIONS).then_some(Refusal::TargetForm);
    }
    if !target.starts_with('/') || !is_valid_path_and_query(target.as_bytes()) {
        return Some(Refusal::Target);
    }
    check_http2_fields(req.headers(), limits)
}

fn check_http2_fields(headers: &HeaderMap, limits: &Limits) -> Option<Refusal> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() {
            return Some(Refusal::LengthRepeated);
        }
        if let Err(refusal) = content_length(length.as_bytes()) {
            return Some(refusal);
        }
    }
    if headers
        .get_all(header::EXPECT)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Some(Refusal::Expectation);
    }
    let is_large = |(name, value): (&header::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() > limits.field_bytes_max
    };
    headers.iter().any(is_large).then_some(Refusal::FieldTooLarge)
}

pin_project! {
    /// A response body on its way to the client.
    pub(crate) struct Tracked<B> {
        #[pin]
        body: B,
        // What is left of a frame that was cut.
        rest: Bytes,
        state: State,
    }
}

/// The part of [`Tracked`] that tells the watch.
struct State {
    in_flight: InFlight,
    is_cut: bool,
    is_handed: bool,
}

impl State {
    fn taken(&mut self) {
        if self.is_handed {
            self.is_handed = false;
            self.in_flight.watch().handed_taken();
        }
    }

    fn hand(&mut self, mut bytes: Bytes, rest: &mut Bytes) -> Frame<Bytes> {
        if self.is_cut {
            if bytes.len() > FRAME_BYTES_MAX {
                *rest = bytes.split_off(FRAME_BYTES_MAX);
            }
            self.is_handed = true;
            self.in_flight.watch().handed_out();
        }
        Frame::data(bytes)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.taken();
    }
}

impl<B: Body<Data = Bytes, Error = BodyError>> Body for Tracked<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        this.state.taken();
        if !this.rest.is_empty() {
            let bytes = std::mem::take(this.rest);
            return Poll::Ready(Some(Ok(this.state.hand(bytes, this.rest))));
        }
        this.body.poll_frame(cx).map(|frame| {
            frame.map(|frame| {
                frame.map(|frame| match frame.into_data() {
                    Ok(bytes) => this.state.hand(bytes, this.rest),
                    Err(other) => other,
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::check_http2;
    use crate::refusal::Refusal;
    use crate::settings::Limits;

    /// HTTP/2 requests obey the rules of HTTP/1.x ones.
    #[test]
    fn http2_requests_are_checked() {
        let limits = Limits { fields_max: 4, url_bytes_max: 40, ..Limits::default() };
        let long = format!("https://a/{}", "x".repeat(50));
        for (method, uri, fields, refusal) in [
            ("GET", "https://a.test/x?y", vec![], None),
            ("GET", "https://a.test/", vec![("host", "A.test")], None),
            ("OPTIONS", "*", vec![("host", "a")], None),
            ("GET", "/x", vec![("host", "a")], None),
            ("POST", "https://a/", vec![("content-length", "5")], None),
            ("GET", "/x", vec![], Some(Refusal::HostMissing)),
            ("GET", "https://a/", vec![("host", "b")], Some(Refusal::HostMismatch)),
            ("GET", "https://u@a/", vec![], Some(Refusal::HostInvalid)),
            ("GET", "*", vec![("host", "a")], Some(Refusal::TargetForm)),
            ("CONNECT", "a:443", vec![], Some(Refusal::Connect)),
            ("GET", &long, vec![], Some(Refusal::UrlTooLong)),
            ("GET", "https://a/\\", vec![], Some(Refusal::Target)),
            ("POST", "https://a/", vec![("content-length", "+5")], Some(Refusal::LengthInvalid)),
            ("GET", "https://a/", vec![("expect", "x")], Some(Refusal::Expectation)),
            ("GET", "https://a/", vec![("cookie", "a=b"); 5], Some(Refusal::TooManyFields)),
            (
                "POST",
                "https://a/",
                vec![("content-length", "5"), ("content-length", "5")],
                Some(Refusal::LengthRepeated),
            ),
        ] {
            let mut req = Request::builder().version(Version::HTTP_2).method(method).uri(uri);
            for (name, value) in fields {
                req = req.header(name, value);
            }
            let req = req.body(()).expect("a valid request");
            assert_eq!(check_http2(&req, &limits), refusal, "{method} {uri}");
        }
    }
}
