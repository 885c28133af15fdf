//! Pushed content through the whole API, on a control in a folder of its own.

mod asking;
mod broken;
mod objects;
mod publish;
mod sites;
mod trees;
mod uploads;

use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode, header};
use selvedge_net::Clock;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::App;
use super::bodies;
use super::door::Arrival;
use crate::desk::{Asker, Decision, Reply};
use crate::open::{Control, Settings};
use crate::state::record::{Deed, Scope, Token, TokenKind};

/// A control, and a token that may do everything.
struct Rig {
    folder: tempfile::TempDir,
    control: Control,
    router: Router,
    token: String,
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible"))
    }

    /// The word of a problem, or the status.
    fn word(&self) -> String {
        let word =
            |value: Value| value["type"].as_str()?.strip_prefix("/problems/").map(str::to_owned);
        let problem = self.status.is_client_error() || self.status.is_server_error();
        let word = problem.then(|| word(self.json())).flatten();
        word.unwrap_or_else(|| self.status.as_u16().to_string())
    }
}

impl Rig {
    /// A control with one site, `shop`, that takes pushed content.
    async fn new() -> Self {
        Self::with(1 << 40, 1 << 40).await
    }

    async fn with(object_bytes_max: u64, bytes_max: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let control = open(folder.path(), object_bytes_max, bytes_max);
        let token = std::fs::read_to_string(folder.path().join("admin.token"));
        let token = token.expect("the first token").trim().to_owned();
        let router = control.door().router;
        let rig = Self { folder, control, router, token };
        rig.make(site("shop", true)).await;
        rig
    }

    /// The same after a restart.
    fn again(self) -> Self {
        let Self { folder, control, router, token } = self;
        drop((control, router));
        let control = open(folder.path(), 1 << 40, 1 << 40);
        let router = control.door().router;
        Self { folder, control, router, token }
    }

    fn app(&self) -> &App {
        self.control.app()
    }

    async fn make(&self, deed: Deed) {
        let asker = Asker {
            by: "test".into(),
            from: "test".into(),
            request_id: "test".into(),
            proof: None,
            once: None,
        };
        let made = self.app().desk.submit(asker, |_, _| Ok(Decision::Do(deed, Reply::default())));
        made.await.expect("it is made");
    }

    /// A token for these sites.
    async fn grant(&self, scopes: &[Scope], sites: &[&str]) -> String {
        let id = crate::random::hex::<4>();
        let (text, secret) = super::Prefix::Api.token(&id);
        let sites = Some(sites.iter().map(|site| (*site).to_owned()).collect());
        let kind = TokenKind::Api { scopes: scopes.to_vec(), sites };
        let token = Token { id, name: "t".into(), secret, kind, created_ms: 0, expires_ms: None };
        self.make(Deed::TokenCreated { token }).await;
        text
    }

    async fn send(&self, req: Request<Body>) -> Answer {
        send(self.router.clone(), req).await
    }

    /// A request with the token; `path` comes after `/v1/sites/shop`.
    fn request(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> http::request::Builder {
        let bearer = format!("Bearer {}", self.token);
        let uri = format!("/v1/sites/shop{path}");
        let req = Request::builder().method(method).uri(uri).header(header::HOST, "control.test");
        let req = req.header(header::AUTHORIZATION, bearer);
        fields.iter().fold(req, |req, (name, value)| req.header(*name, *value))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let req = self.request(method, path, fields).body(body.into());
        self.send(req.expect("a request")).await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        self.ask(Method::PUT, &format!("/objects{path}"), &[], body.to_owned()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &format!("/objects{path}"), &[], Body::empty()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let fields = [("content-type", "application/json")];
        self.ask(Method::POST, path, &fields, body.to_string()).await
    }

    /// The paths that are published.
    async fn paths(&self) -> Vec<String> {
        let list = self.ask(Method::GET, "/objects?limit=1000", &[], Body::empty()).await.json();
        let items = list["items"].as_array().expect("a list");
        items.iter().map(|item| item["path"].as_str().expect("a path").to_owned()).collect()
    }

    /// Every file in the storage of bodies.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        files(&self.folder.path().join("objects"), &mut found);
        found
    }
}

fn open(folder: &Path, object_bytes_max: u64, bytes_max: u64) -> Control {
    let settings = Settings {
        name: "control".into(),
        folder: folder.to_owned(),
        objects: None,
        object_bytes_max,
        bytes_max,
        history: 1_000,
        snapshot_every: 1_000,
    };
    // It waits for its first change, which a thread that runs tasks must not.
    let opening = std::thread::spawn(|| Control::open(settings, Clock::start()).expect("it opens"));
    opening.join().expect("it opens")
}

fn site(name: &str, push: bool) -> Deed {
    let document = json!({ "hosts": [format!("{name}.test")], "push": push });
    Deed::SitePut { name: name.to_owned(), document }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

async fn send(router: Router, mut req: Request<Body>) -> Answer {
    let from = [127, 0, 0, 1].into();
    req.extensions_mut().insert(Arrival { from, request_id: "test".into() });
    let response = router.oneshot(req).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = bodies::whole(body, 64 << 20).await.expect("a body");
    Answer { status: head.status, headers: head.headers, body }
}

/// A body that breaks off after this text.
fn torn(text: &'static str) -> Body {
    let pieces = [Ok(Bytes::from_static(text.as_bytes())), Err(std::io::Error::other("gone"))];
    Body::from_stream(stream::iter(pieces))
}

/// Bytes that are alike nowhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
