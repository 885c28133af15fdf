//! The API of a control under test, as a program would use it.

use crate::client::Client;
use crate::node::Node;
use crate::response::Response;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct Api {
    addr: SocketAddr,
    token: String,
}

impl Api {
    /// The first token of a control, which may do everything; `data` is its folder.
    #[must_use]
    #[track_caller]
    pub fn in_folder(control: &Node, data: &Path) -> Self {
        let file = data.join("admin.token");
        let token = std::fs::read_to_string(file).expect("control wrote its first token");
        Self { addr: control.http(), token: token.trim().to_owned() }
    }

    /// The same control with another token.
    #[must_use]
    pub fn with(&self, token: &str) -> Self {
        Self { addr: self.addr, token: token.to_owned() }
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// One request with these field lines and body, on a connection of its own.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, fields: &str, body: &[u8]) -> Response {
        let answer = self.try_send(method, path, fields, body);
        answer.unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    /// The same; `None` when there is no whole answer.
    #[must_use]
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: &[u8],
    ) -> Option<Response> {
        let mut client = Client::try_http(self.addr).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: control.test\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n{fields}\r\n",
            self.token,
            body.len()
        );
        client.send(head);
        client.send(body);
        client.read(method).ok()
    }

    /// One request with a JSON body.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Response {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, "Content-Type: application/json\r\n", text.as_bytes())
    }

    /// What a request that must succeed is answered with.
    #[track_caller]
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let resp = self.call(method, path, body);
        assert!((200..300).contains(&resp.status), "{method} {path}: {}", resp.text());
        if resp.text().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&resp.text()).expect("the answer is JSON")
    }

    /// What a GET that must succeed is answered with.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.done("GET", path, &Value::Null)
    }

    /// A token for nodes to join with, so many of them.
    #[track_caller]
    pub fn join_token(&self, uses: u32) -> String {
        let made = self.done("POST", "/v1/join-tokens", &json!({ "uses": uses }));
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Pushes an object.
    #[track_caller]
    pub fn push(&self, site: &str, path: &str, body: &[u8]) -> Response {
        self.send("PUT", &format!("/v1/sites/{site}/objects{path}"), "", body)
    }
}
