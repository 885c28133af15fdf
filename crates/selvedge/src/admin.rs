//! The side door: whether the node lives and takes traffic, its counters, purges, and what it has
//! stored.

use crate::look::{self, Inspector};
use crate::vitals::Teller;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use selvedge_net::{Connection, Handler, OutgoingBody, RequestBody};
use selvedge_proxy::Node;
use selvedge_telemetry::{CONTENT_TYPE, Telemetry};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// Answers `/livez`, `/readyz`, `/health`, `/metrics`, `/streams` and `POST /purge`.
#[derive(Clone)]
pub(crate) struct Admin {
    telemetry: Arc<Telemetry>,
    /// The node, once it is there.
    node: Arc<OnceLock<Arc<Node>>>,
    inspector: Arc<OnceLock<Inspector>>,
    /// Who says how the node is, once it serves.
    teller: Arc<OnceLock<Teller>>,
}

impl Admin {
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        node: Arc<OnceLock<Arc<Node>>>,
        teller: Arc<OnceLock<Teller>>,
    ) -> Self {
        Self { telemetry, node, inspector: Arc::default(), teller }
    }

    /// Answers what is asked about the cache.
    async fn look(&self, req: &Request<RequestBody>) -> (StatusCode, &'static str, String) {
        let Some(node) = self.node.get() else {
            return (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n".to_owned());
        };
        let inspector = self.inspector.get_or_init(|| Inspector::new(Arc::clone(node)));
        let (path, query) = (req.uri().path(), req.uri().query().unwrap_or(""));
        match inspector.answer(req.method(), path, query).await {
            Some((status, text)) => (status, "application/json", text),
            None => (StatusCode::NOT_FOUND, "text/plain", "see /\n".to_owned()),
        }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            let text = "GET only, and POST of /purge\n".to_owned();
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
        }
        match path {
            "/livez" => (StatusCode::OK, TEXT, "alive\n".to_owned()),
            "/readyz" => match self.telemetry.why_not_ready() {
                None => (StatusCode::OK, TEXT, "ready\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
            },
            "/health" => {
                let Some(vitals) = self.teller.get().map(Teller::tell) else {
                    return (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n".to_owned());
                };
                let ready = vitals.ready;
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let text = serde_json::to_string(&vitals).unwrap_or_default();
                (status, "application/json", format!("{text}\n"))
            }
            "/streams" => match self.node.get() {
                Some(node) => {
                    let text = serde_json::to_string(&node.streams()).unwrap_or_default();
                    (StatusCode::OK, "application/json", format!("{text}\n"))
                }
                None => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n".to_owned()),
            },
            "/metrics" => (StatusCode::OK, CONTENT_TYPE, self.telemetry.render()),
            "/" => {
                const OWN: &str = "/livez\n/readyz\n/health\n/metrics\n/streams\nPOST /purge\n";
                let paths = format!("{OWN}{}", look::PATHS);
                (StatusCode::OK, TEXT, paths)
            }
            _ => (StatusCode::NOT_FOUND, TEXT, "see /\n".to_owned()),
        }
    }
}

impl Handler for Admin {
    type Body = OutgoingBody;

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        connection: Rc<Connection>,
    ) -> Response<OutgoingBody> {
        let is_head = *req.method() == Method::HEAD;
        let (status, content_type, text) = match selvedge_net::refusal(&req) {
            Some(refusal) => (refusal.status(), "text/plain", refusal.help().to_owned()),
            None if *req.method() == Method::POST && req.uri().path() == "/purge" => {
                let (head, body) = req.into_parts();
                let client = connection.peer().ip();
                match self.node.get() {
                    Some(node) => {
                        let (status, text) = node.purge_by_json(client, &head.headers, body).await;
                        (status, "application/json", text)
                    }
                    None => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n".into()),
                }
            }
            None if req.uri().path().starts_with("/cache/") => self.look(&req).await,
            None => self.answer(req.method(), req.uri().path()),
        };
        let mut response = Response::new(OutgoingBody::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if !is_head {
            *response.body_mut() = OutgoingBody::full(Bytes::from(text));
        }
        response
    }
}
