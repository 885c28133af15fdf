//! The side door of a DNS server: whether it lives, its counters, what it thinks of the nodes, and
//! why a client is sent where it is.

use super::reload::Keeper;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use selvedge_authority::Name;
use selvedge_dns::service::{Ground, Helm};
use selvedge_net::{Connection, Handler, OutgoingBody, RequestBody};
use selvedge_telemetry::{CONTENT_TYPE, Telemetry};
use serde_json::json;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PATHS: &str =
    "/livez\n/readyz\n/metrics\n/monitor\n/explain?name=NAME&client=ADDRESS[/BITS]\n";

/// See the module.
#[derive(Clone)]
pub(crate) struct Door {
    telemetry: Arc<Telemetry>,
    ground: Arc<Ground>,
    helm: Arc<Helm>,
}

impl Door {
    pub(crate) fn new(telemetry: Arc<Telemetry>, keeper: &Keeper) -> Self {
        Self { telemetry, ground: Arc::clone(&keeper.ground), helm: Arc::clone(&keeper.helm) }
    }

    fn answer(&self, path: &str, query: &str) -> (StatusCode, &'static str, String) {
        match path {
            "/livez" => (StatusCode::OK, TEXT, "alive\n".to_owned()),
            "/readyz" => match self.telemetry.why_not_ready() {
                None => (StatusCode::OK, TEXT, "ready\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
            },
            "/metrics" => (StatusCode::OK, CONTENT_TYPE, self.telemetry.render()),
            "/monitor" => {
                let opinion = serde_json::to_string(&self.helm.opinion()).unwrap_or_default();
                (StatusCode::OK, JSON, format!("{opinion}\n"))
            }
            "/explain" => match self.explain(query) {
                Ok(text) => (StatusCode::OK, JSON, text),
                Err((status, why)) => (status, TEXT, format!("{why}\n")),
            },
            "/" => (StatusCode::OK, TEXT, PATHS.to_owned()),
            _ => (StatusCode::NOT_FOUND, TEXT, "see /\n".to_owned()),
        }
    }

    /// Why the clients of a network are sent where they are.
    fn explain(&self, query: &str) -> Result<String, (StatusCode, String)> {
        let wrong = |why: &str| (StatusCode::BAD_REQUEST, why.to_owned());
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let name = field("name").ok_or_else(|| wrong("give a `name`, such as shop.cdn.example"))?;
        let client = field("client").ok_or_else(|| wrong("give a `client`: an address"))?;
        let (address, prefix) = network(&client).ok_or_else(|| {
            wrong("`client` is not an address, or one and how many bits are known")
        })?;
        let name = Name::from_text(&name, &Name::root())
            .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let (manner, world) = (self.ground.manner(), self.ground.world());
        let site = manner.responder.zones().site_of(&name);
        let site = site.ok_or_else(|| {
            let why = format!("{name} is in no zone here, or the same for everybody");
            (StatusCode::NOT_FOUND, why)
        })?;
        let found = world.find(&site).and_then(|index| world.explain(index, address, prefix));
        let explanation = found.ok_or_else(|| {
            let site = String::from_utf8_lossy(&site).into_owned();
            (StatusCode::NOT_FOUND, format!("there is no site {site:?}"))
        })?;
        let text = json!({ "name": name.to_string(), "explanation": explanation });
        Ok(format!("{text}\n"))
    }
}

/// An address, and how many bits of it are known.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
        None => most,
    };
    Some((address, bits))
}

impl Handler for Door {
    type Body = OutgoingBody;

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        _: Rc<Connection>,
    ) -> Response<OutgoingBody> {
        let is_read = matches!(*req.method(), Method::GET | Method::HEAD);
        let (status, content_type, text) = match selvedge_net::refusal(&req) {
            Some(refusal) => (refusal.status(), TEXT, refusal.help().to_owned()),
            None if !is_read => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned()),
            None => self.answer(req.uri().path(), req.uri().query().unwrap_or("")),
        };
        let is_head = *req.method() == Method::HEAD;
        let mut response = Response::new(OutgoingBody::empty());
        *response.status_mut() = status;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !is_head {
            *response.body_mut() = OutgoingBody::full(Bytes::from(text));
        }
        response
    }
}
