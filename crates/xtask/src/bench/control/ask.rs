//! As much of a client of control as measuring needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;

/// Nothing that is measured may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// A control and the right to ask it.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Control {
    pub(in crate::bench) port: u16,
    pub(in crate::bench) token: String,
}

/// A connection that is used again and again.
pub(in crate::bench) struct Connection {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Control {
    fn stream(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(in crate::bench) fn connect(&self) -> Result<Connection, Failure> {
        Ok(Connection { stream: BufReader::new(self.stream()?), token: self.token.clone() })
    }

    /// One request that must succeed, on a connection of its own.
    pub(in crate::bench) fn ask(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        self.connect()?.ask(method, path, body)
    }

    /// Follows the changes from the beginning; the head of the answer has been read.
    pub(in crate::bench) fn follow(&self) -> Result<TcpStream, Failure> {
        let mut stream = self.stream()?;
        let token = &self.token;
        write!(
            stream,
            "GET /v1/changes?since=0 HTTP/1.1\r\nHost: control\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        )?;
        Ok(stream)
    }

    /// Uploads a body for publishing; gives its digest.
    pub(in crate::bench) fn put_blob(&self, site: &str, body: &[u8]) -> Result<String, Failure> {
        let path = format!("/v1/sites/{site}/objects/first-{}.bin", body.len());
        let mut connection = self.connect()?;
        let put = connection.send("PUT", &path, "application/octet-stream", body)?;
        put["sha256"].as_str().map(str::to_owned).ok_or_else(|| Failure::new(format!("{put}")))
    }
}

impl Connection {
    /// One request that must succeed.
    pub(in crate::bench) fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, "application/json", text.as_bytes())
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<Value, Failure> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: control\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message)?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(|_| Failure::new("a length that is none"))?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        if !status.starts_with("HTTP/1.1 20") {
            return Err(Failure::new(format!("{method} {path}: {} {text}", status.trim_end())));
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}
