//! A response as a strict client reads it. A body that ends early is an error, never a body.

use crate::message::{Recording, Source, read_chunked};
use std::fmt;
use std::io::{self, Read};

/// One whole response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without framing.
    pub body: Vec<u8>,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Interim responses (1xx) that came before it.
    pub interim: Vec<u16>,
    /// Whether the connection can be used again.
    pub reusable: bool,
    /// Whether it is an HTTP/1.0 response.
    pub old: bool,
}

/// Why there is no whole response.
#[derive(Debug)]
pub enum ReadError {
    /// The connection ended before the first byte of a response.
    Closed,
    /// The connection ended inside a response; this much had come.
    Truncated(Box<Response>),
    /// Nothing came for longer than the suite's patience.
    Silent,
    /// What came is not HTTP/1.1.
    Malformed(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Response {
    /// The value of a field, the first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of a field, joined by a comma.
    #[must_use]
    pub fn joined(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        values.collect::<Vec<_>>().join(", ")
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What this node says in Cache-Status (RFC 9211), without its name; empty if nothing.
    #[must_use]
    pub fn cache_status(&self, node: &str) -> String {
        let all = self.joined("cache-status");
        let mut members =
            all.split(", ").map(|member| member.split_once("; ").unwrap_or((member, "")));
        members
            .find(|(name, _)| *name == node)
            .map_or_else(String::new, |(_, rest)| rest.to_owned())
    }

    /// Whether this node answered from its store.
    #[must_use]
    pub fn is_hit(&self, node: &str) -> bool {
        self.cache_status(node).split("; ").any(|part| part == "hit")
    }

    /// Whether this node asked its next hop because it had nothing, and stored the answer.
    #[must_use]
    pub fn is_stored_miss(&self, node: &str) -> bool {
        let status = self.cache_status(node);
        let parts: Vec<&str> = status.split("; ").collect();
        parts.contains(&"fwd=uri-miss") && parts.contains(&"stored")
    }

    /// The Age field as a number.
    #[must_use]
    pub fn age(&self) -> Option<u64> {
        self.header("age")?.parse().ok()
    }
}

/// Reads one final response to a request with this method.
pub fn read_response<R: Read>(
    source: &mut Recording<R>,
    method: &str,
) -> Result<Response, ReadError> {
    let mut interim = Vec::new();
    loop {
        let mut resp = read_head(source)?;
        if (100..200).contains(&resp.status) && resp.status != 101 {
            interim.push(resp.status);
            continue;
        }
        resp.interim = interim;
        return read_body(source, method, resp);
    }
}

fn read_head<R: Read>(source: &mut Recording<R>) -> Result<Response, ReadError> {
    let head = match source.head(1 << 20) {
        Ok(Some(head)) => head,
        Ok(None) => return Err(ReadError::Closed),
        Err(error) if is_timeout(&error) => return Err(ReadError::Silent),
        Err(error) if source.pending().is_empty() && is_end(&error) => {
            return Err(ReadError::Closed);
        }
        Err(error) if is_end(&error) => return Err(ReadError::Truncated(Box::default())),
        Err(error) => return Err(ReadError::Malformed(error.to_string())),
    };
    let text = String::from_utf8_lossy(&head).into_owned();
    let bad = |what: &str| ReadError::Malformed(format!("{what} in {text:?}"));
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err(bad("bare CR, LF or NUL"));
    }
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or("");
    let old = first.starts_with("HTTP/1.0 ");
    let status = first.strip_prefix(if old { "HTTP/1.0 " } else { "HTTP/1.1 " });
    let status = status.ok_or_else(|| bad("version"))?;
    let status = status.get(..3).and_then(|code| code.parse().ok()).ok_or_else(|| bad("status"))?;
    let mut resp = Response { status, old, ..Response::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("field"))?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(bad("field name"));
        }
        resp.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(resp)
}

fn read_body<R: Read>(
    source: &mut Recording<R>,
    method: &str,
    mut resp: Response,
) -> Result<Response, ReadError> {
    let values = |resp: &Response, name: &str| -> Vec<String> {
        resp.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
    };
    let lengths = values(&resp, "content-length");
    let codings = values(&resp, "transfer-encoding");
    let connection = resp.joined("connection").to_ascii_lowercase();
    let close = connection.contains("close") || resp.old && !connection.contains("keep-alive");
    resp.reusable = !close;
    if method == "HEAD" || matches!(resp.status, 101 | 204 | 304) {
        return Ok(resp);
    }
    let mut body = Vec::new();
    let mut sink = |bytes: &[u8]| body.extend_from_slice(bytes);
    let read = match (&lengths[..], &codings[..]) {
        ([length], []) => match length.parse() {
            Ok(length) => source.bytes(length, &mut sink).map(|()| Vec::new()),
            Err(_) => return Err(ReadError::Malformed(format!("Content-Length {length:?}"))),
        },
        ([], [coding]) if coding == "chunked" => read_chunked(source, &mut sink),
        ([], []) if close => read_to_end(source, &mut sink).map(|()| Vec::new()),
        _ => return Err(ReadError::Malformed(format!("framing {:?}", resp.headers))),
    };
    resp.body = body;
    match read {
        Ok(trailers) => {
            resp.trailers = trailers;
            Ok(resp)
        }
        Err(error) if is_timeout(&error) => Err(ReadError::Silent),
        Err(error) if is_end(&error) => Err(ReadError::Truncated(Box::new(resp))),
        Err(error) => Err(ReadError::Malformed(error.to_string())),
    }
}

fn read_to_end<R: Read>(source: &mut Recording<R>, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    loop {
        let pending = source.pending().len() as u64;
        source.bytes(pending, sink)?;
        if !source.fill()? {
            return Ok(());
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
