//! Between the listener and the router: what a connection brings becomes a request of the router,
//! and every answer gets the request's id.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use selvedge_net::{BodyError, Connection, Handler, OutgoingBody, RequestBody};
use send_wrapper::SendWrapper;
use tower::ServiceExt;

use crate::problem::Problem;
use crate::random;

/// The header field of a request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where a request comes from, and its id.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) from: std::net::IpAddr,
    pub(crate) request_id: String,
}

/// Answers the requests of one worker.
#[derive(Clone)]
pub struct Door {
    pub(crate) router: Router,
}

impl Handler for Door {
    type Body = OutgoingBody;

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        connection: Rc<Connection>,
    ) -> Response<OutgoingBody> {
        let request_id = request_id(req.headers().get(REQUEST_ID));
        let response = match selvedge_net::refusal(&req) {
            Some(refusal) => Problem::invalid(refusal.help()).answer_as(refusal.status()),
            None => {
                let from = connection.peer().ip().to_canonical();
                let (mut head, body) = req.into_parts();
                head.extensions.insert(Arrival { from, request_id: request_id.clone() });
                let body = Body::new(Incoming(SendWrapper::new(body)));
                match self.router.clone().oneshot(Request::from_parts(head, body)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        let mut response = response.map(|body| OutgoingBody::boxed(Outgoing(body)));
        if let Ok(id) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// The id that the client gave, if it is one that a log can hold; else a new one.
fn request_id(given: Option<&HeaderValue>) -> String {
    let given = given.and_then(|value| value.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given.filter(is_plain).map_or_else(random::hex::<8>, str::to_owned)
}

/// The body of a request. It stays on the thread of its connection, and so does who reads it: a
/// worker polls the router's futures itself.
struct Incoming(SendWrapper<RequestBody>);

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut *self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The body of an answer.
struct Outgoing(Body);

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        polled.map(|frame| {
            frame.map(|frame| {
                frame.map_err(|error| {
                    tracing::warn!(%error, "an answer was broken off");
                    BodyError::Aborted("control-answer")
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
