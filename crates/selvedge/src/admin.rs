//! The side door: whether the node lives, whether it takes traffic, and its counters.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use selvedge_net::{Connection, Handler, OutgoingBody, RequestBody};
use selvedge_telemetry::{CONTENT_TYPE, Telemetry};
use std::rc::Rc;
use std::sync::Arc;

/// Answers `/livez`, `/readyz` and `/metrics`.
#[derive(Clone)]
pub(crate) struct Admin {
    telemetry: Arc<Telemetry>,
}

impl Admin {
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned());
        }
        match path {
            "/livez" => (StatusCode::OK, TEXT, "alive\n".to_owned()),
            "/readyz" if self.telemetry.is_ready() => (StatusCode::OK, TEXT, "ready\n".to_owned()),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n".to_owned()),
            "/metrics" => (StatusCode::OK, CONTENT_TYPE, self.telemetry.render()),
            "/" => (StatusCode::OK, TEXT, "/livez\n/readyz\n/metrics\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, TEXT, "see /\n".to_owned()),
        }
    }
}

impl Handler for Admin {
    type Body = OutgoingBody;

    fn handle(
        &self,
        req: Request<RequestBody>,
        _connection: Rc<Connection>,
    ) -> impl Future<Output = Response<OutgoingBody>> {
        let (status, content_type, text) = match selvedge_net::refusal(&req) {
            Some(refusal) => (refusal.status(), "text/plain", refusal.help().to_owned()),
            None => self.answer(req.method(), req.uri().path()),
        };
        let mut response = Response::new(OutgoingBody::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if req.method() != Method::HEAD {
            *response.body_mut() = OutgoingBody::full(Bytes::from(text));
        }
        async move { response }
    }
}
