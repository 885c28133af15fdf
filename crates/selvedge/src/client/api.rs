//! Asking control: JSON in and out, files as bodies, lists page after page. What may be repeated
//! is repeated here: an exchange whose connection broke, and one that control put off for a short
//! while. A change carries one `Idempotency-Key` through all of its tries.

use super::context::Chosen;
use super::escape::with_query;
use super::fault::{Fault, Kind};
use super::file_body::{FileBody, FilePart};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use selvedge_net::{
    Client, ClientSettings, ClientShared, ClientTls, Counters, Deadlines, OutgoingBody, Reply,
    Reuse, SendError, Target, Tasks, UpstreamScheme,
};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Entries of one page of a list.
const PAGE: usize = 1000;
/// Most pages of a list.
const PAGES_MAX: usize = 10_000;
/// Tries of one exchange.
const TRIES_MAX: u32 = 4;
/// The longest that control may put a request off; beyond that the operator decides.
const PUT_OFF_MAX: Duration = Duration::from_secs(10);
/// What to do when nobody answers.
const WHERE: &str =
    "is control running there? --control URL, SELVEDGE_CONTROL or a context says where it is";
/// How long an answer may take beyond what the request itself asks for.
const ANSWER: Duration = Duration::from_secs(60);

/// Control, and the right to talk to it.
pub(super) struct Api {
    client: Client,
    control: Target,
    authorization: Option<HeaderValue>,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; nothing is like `null`.
    pub(super) fn json(&self) -> Result<Value, Fault> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Fault::new(
                Kind::Unavailable,
                format!("what answered is no control API of this version: {error}"),
            )
        })
    }

    /// A field of its head.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a request carries.
#[derive(Debug, Default, Clone)]
pub(super) enum Payload {
    #[default]
    Nothing,
    Json(Value),
    /// Bytes of a media type.
    Bytes(&'static str, Bytes),
    /// A part of a file.
    File(FilePart),
}

/// A request to control.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    fields: Vec<(HeaderName, String)>,
    payload: Payload,
    limit: Duration,
    /// More than one try is the same as one.
    may_repeat: bool,
}

impl Call {
    /// A request without a body. All but GET and HEAD get an `Idempotency-Key`.
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let mut fields = Vec::new();
        if !method.is_safe() {
            fields.push((HeaderName::from_static("idempotency-key"), idempotency_key()));
        }
        let (path, payload) = (path.into(), Payload::Nothing);
        Self { method, path, fields, payload, limit: ANSWER, may_repeat: true }
    }

    /// With JSON.
    pub(super) fn json(mut self, value: Value) -> Self {
        self.payload = Payload::Json(value);
        self
    }

    /// With this body.
    pub(super) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// With one more field.
    pub(super) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((HeaderName::from_static(name), value.into()));
        self
    }

    /// With a field of the operator's.
    pub(super) fn any_field(mut self, name: &str, value: &str) -> Result<Self, Fault> {
        let bad = |_| Fault::usage(format!("{name:?} is no name of a field"));
        self.fields.push((HeaderName::try_from(name).map_err(bad)?, value.to_owned()));
        Ok(self)
    }

    /// The answer may take this much longer than usual.
    pub(super) fn patience(mut self, more: Duration) -> Self {
        self.limit += more;
        self
    }

    /// One try only: the caller knows better how to go on.
    pub(super) fn once(mut self) -> Self {
        self.may_repeat = false;
        self
    }

    fn request(&self, host: Option<&str>) -> Result<Request<OutgoingBody>, Fault> {
        let bug = |error: http::Error| Fault::usage(format!("{}: {error}", self.path));
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        request = request.header(USER_AGENT, concat!("selvedge/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        if let Some(host) = host {
            request = request.header(http::header::HOST, host);
        }
        let (media_type, body, length) = match &self.payload {
            Payload::Nothing => (None, OutgoingBody::empty(), 0),
            Payload::Json(value) => {
                let text = Bytes::from(value.to_string());
                let length = text.len() as u64;
                (Some("application/json"), OutgoingBody::full(text), length)
            }
            Payload::Bytes(media_type, bytes) => {
                let length = bytes.len() as u64;
                (Some(*media_type), OutgoingBody::full(bytes.clone()), length)
            }
            Payload::File(part) => {
                let body = FileBody::open(part)?;
                (Some("application/octet-stream"), OutgoingBody::boxed(body), part.bytes)
            }
        };
        let is_named = self.fields.iter().any(|(name, _)| *name == CONTENT_TYPE);
        if let Some(media_type) = media_type.filter(|_| !is_named) {
            request = request.header(CONTENT_TYPE, media_type);
        }
        if !self.method.is_safe() {
            request = request.header(CONTENT_LENGTH, length);
        }
        request.body(body).map_err(bug)
    }
}

impl Api {
    /// Prepares to talk to the control that was chosen. Call it on the `LocalSet`.
    pub(super) fn new(chosen: &Chosen) -> Result<Self, Fault> {
        let control = Target::parse(&chosen.control).ok_or_else(|| {
            Fault::usage(format!(
                "--control {:?} is not http://HOST:PORT or https://HOST:PORT",
                chosen.control
            ))
        })?;
        let tls_fault = |error: selvedge_net::TlsError| Fault::usage(error.to_string());
        let files = chosen.ca_file.iter().cloned().collect::<Vec<_>>();
        let tls = ClientTls::load(&files).map_err(tls_fault)?;
        let authorization = match &chosen.token {
            None => None,
            Some(token) => {
                let value = HeaderValue::try_from(format!("Bearer {}", token.read()?));
                let mut value = value.map_err(|error| Fault::usage(error.to_string()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        if authorization.is_some() && is_exposed(&control) {
            crate::process::say(&format!("the token goes to {control} unencrypted"));
        }
        let settings = ClientSettings::default();
        let shared = ClientShared::new(settings, tls, Arc::new(Counters::default()));
        let client = Client::new(shared, Tasks::local());
        Ok(Self { client, control, authorization })
    }

    /// Where control is.
    pub(super) fn control(&self) -> String {
        self.control.to_string()
    }

    /// Gets a JSON document.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.call(&Call::new(Method::GET, path)).await
    }

    /// Gets all of a list, page after page, or `limit` entries of it.
    pub(super) async fn list(
        &self,
        path: &str,
        pairs: &[(&str, Option<&str>)],
        limit: Option<usize>,
    ) -> Result<Vec<Value>, Fault> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let left = limit.map_or(PAGE, |limit| limit.saturating_sub(items.len()).min(PAGE));
            let size = left.to_string();
            let mut pairs = pairs.to_vec();
            pairs.push(("limit", Some(&size)));
            if let Some(after) = &after {
                pairs.retain(|(name, _)| *name != "after");
                pairs.push(("after", Some(after)));
            }
            let page = self.get(&with_query(path, &pairs)).await?.json()?;
            let more = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            items.extend(more);
            after = match page.get("next") {
                Some(Value::String(next)) => Some(next.clone()),
                Some(Value::Number(next)) => Some(next.to_string()),
                _ => None,
            };
            if after.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
                break;
            }
        }
        Ok(items)
    }

    /// Asks control, and again where that may help. An answer that is not 2xx is a fault.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, Fault> {
        let mut tries = 1;
        loop {
            let fault = match self.try_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let wait = match fault.after() {
                Some(after) if after <= PUT_OFF_MAX => Some(after),
                _ if fault.is_broken() => Some(Duration::from_millis(200) * tries),
                _ => None,
            };
            match wait.filter(|_| call.may_repeat && tries < TRIES_MAX) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(fault),
            }
            tries += 1;
        }
    }

    async fn try_once(&self, call: &Call) -> Result<Answer, Fault> {
        let mut request = call.request(None)?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let deadlines = deadlines(call.limit);
        let sent = self.client.send(&self.control, request, &deadlines, Reuse::Pooled).await;
        let reply = sent.map_err(|failure| self.unsent(&failure.error))?;
        let answer = whole(reply).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let after = answer.field(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
        let fault = Fault::of_answer(answer.status, &answer.body, after.map(Duration::from_secs));
        let id = answer.field("x-request-id").filter(|_| answer.status.is_server_error());
        let fault = match id {
            Some(id) => fault.with_hint(&format!("control's log has it as request {id}")),
            None => fault,
        };
        Err(match answer.status {
            StatusCode::UNAUTHORIZED if self.authorization.is_none() => {
                fault.with_hint("give a token: --token-file FILE, SELVEDGE_TOKEN, or a context")
            }
            _ => fault,
        })
    }

    /// Asks a node at one of its URLs as a client would: no token goes there.
    pub(super) async fn ask_node(
        &self,
        node: &str,
        authority: &str,
        host: &str,
        call: &Call,
    ) -> Result<Answer, Fault> {
        let target = Target::parse(node)
            .ok_or_else(|| Fault::wrong(format!("{node:?} is no URL of a node")))?;
        // A node shows the certificate of the host that is asked for.
        let target = target.with_verify_name(host);
        let request = call.request(Some(authority))?;
        let sent = self.client.send(&target, request, &deadlines(call.limit), Reuse::Pooled).await;
        let reply = sent.map_err(|failure| Fault::new(Kind::Unavailable, said(&failure.error)))?;
        whole(reply).await
    }

    fn unsent(&self, error: &SendError) -> Fault {
        let text = format!("{}: {}", self.control(), said(error));
        match error {
            SendError::Reset { .. } => Fault::broken(text),
            SendError::FirstByteTimeout | SendError::PoolFull => Fault::new(Kind::TryAgain, text),
            SendError::RequestBody(_) => {
                Fault::wrong(format!("{text}: a file changed while it was sent"))
            }
            SendError::Request(_) => Fault::new(Kind::Bug, text),
            _ => Fault::new(Kind::Unavailable, text).with_hint(WHERE),
        }
    }
}

fn deadlines(limit: Duration) -> Deadlines {
    Deadlines { connect: Duration::from_secs(5), first_byte: limit, idle: ANSWER }
}

/// In the words of one who asked control, not of a proxy.
fn said(error: &SendError) -> String {
    error.to_string().replace("the upstream", "it").replace("it's", "its")
}

async fn whole(reply: Reply) -> Result<Answer, Fault> {
    let (head, body) = reply.response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| Fault::broken(format!("the answer broke off: {error}")))?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

/// Whether others on the way can read what is sent.
fn is_exposed(control: &Target) -> bool {
    let is_local = control.host().parse::<IpAddr>().map(|ip| ip.is_loopback());
    control.scheme() != UpstreamScheme::Https
        && !is_local.unwrap_or_else(|_| control.host() == "localhost")
}

fn idempotency_key() -> String {
    let mut bytes = [0; 16];
    // Without randomness there is no key, and without a key no repetition is noticed: an empty one
    // is refused by control, which is better than a wrong one.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return String::new();
    }
    super::hex(&bytes)
}
