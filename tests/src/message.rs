//! A strict reader of HTTP/1.1 requests for the origin's side: whatever a parser could read in two
//! ways is a violation, so a product that lets one through fails the test that provoked it.

use std::io::{self, Read};

/// One request as the origin saw it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// Method.
    pub method: String,
    /// Request target as written.
    pub target: String,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, at most [`BODY_KEPT_MAX`] bytes of it.
    pub body: Vec<u8>,
    /// Length of the body, kept or not.
    pub body_length: u64,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
}

/// How much of a request body is kept.
pub const BODY_KEPT_MAX: usize = 1 << 20;

impl Request {
    /// The value of a field, the first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Parses a head (without the empty line), strictly. The error names the violation.
pub fn parse_head(head: &[u8]) -> Result<(Request, Framing), String> {
    if let Some(byte) = head.iter().find(|byte| matches!(byte, 0 | 0x7f)) {
        return Err(format!("byte {byte:#x} in the head"));
    }
    let text = String::from_utf8_lossy(head);
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return Err("bare CR or LF in the head".to_owned());
    }
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or("");
    let parts: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else {
        return Err(format!("request line {first:?}"));
    };
    let mut req =
        Request { method: method.to_owned(), target: target.to_owned(), ..Request::default() };
    for line in lines {
        req.headers.push(parse_field(line)?);
    }
    if req.all("host").count() != 1 {
        return Err(format!("{} Host fields", req.all("host").count()));
    }
    if !target.starts_with('/') && target != "*" {
        return Err(format!("target {target:?} is not in origin form"));
    }
    let framing = framing(&req)?;
    Ok((req, framing))
}

fn parse_field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("field name {name:?}"));
    }
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err(format!("control character in {line:?}"));
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn framing(req: &Request) -> Result<Framing, String> {
    let lengths: Vec<&str> = req.all("content-length").collect();
    let codings: Vec<&str> = req.all("transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Framing::None),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| format!("Content-Length {length:?}"))
        }
        ([], ["chunked"]) => Ok(Framing::Chunked),
        _ => Err(format!("framing {lengths:?} {codings:?}")),
    }
}

/// Bytes of a connection, read on demand.
pub trait Source {
    /// Up to and including the next CRLF; the CRLF is not returned. At most 64 KiB.
    fn line(&mut self) -> io::Result<Vec<u8>>;
    /// Exactly this many bytes, handed to `sink` in pieces.
    fn bytes(&mut self, count: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()>;
}

/// A buffered reader that keeps every byte it read in `record`.
#[derive(Debug)]
pub struct Recording<R> {
    inner: R,
    buffer: Vec<u8>,
    at: usize,
    /// Told of every byte that arrives.
    pub record: Vec<u8>,
    /// Most bytes kept in `record`.
    pub record_max: usize,
}

impl<R: Read> Recording<R> {
    /// Wraps a reader.
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new(), at: 0, record: Vec::new(), record_max: 1 << 20 }
    }

    /// Bytes that arrived and nobody has read.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Reads more; false at the end.
    pub fn fill(&mut self) -> io::Result<bool> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        let old = self.buffer.len();
        self.buffer.resize(old + 16_384, 0);
        let read = self.inner.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        let count = read?;
        let room = self.record_max.saturating_sub(self.record.len()).min(count);
        self.record.extend_from_slice(&self.buffer[old..old + room]);
        Ok(count > 0)
    }

    /// The bytes up to the empty line, without it; `None` at a clean end.
    pub fn head(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        loop {
            let end = self.pending().windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.pending()[..end].to_vec();
                self.at += end + 4;
                return Ok(Some(head));
            }
            if self.pending().len() > max {
                return Err(io::Error::other("head too large"));
            }
            if !self.fill()? {
                if self.pending().is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Everything that was read and not used, and the reader.
    pub fn into_parts(self) -> (Vec<u8>, R) {
        (self.buffer[self.at..].to_vec(), self.inner)
    }

    /// The reader itself.
    pub fn inner(&mut self) -> &mut R {
        &mut self.inner
    }
}

impl<R: Read> Source for Recording<R> {
    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let end = self.pending().windows(2).position(|window| window == b"\r\n");
            if let Some(end) = end {
                let line = self.pending()[..end].to_vec();
                self.at += end + 2;
                return Ok(line);
            }
            if self.pending().len() > 65_536 {
                return Err(io::Error::other("line too long"));
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn bytes(&mut self, count: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            if self.pending().is_empty() && !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = self.pending().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&self.pending()[..take]);
            self.at += take;
            left -= take as u64;
        }
        Ok(())
    }
}

/// Reads a chunked body strictly: plain hexadecimal sizes, CRLF everywhere. Gives the trailers.
pub fn read_chunked(
    source: &mut dyn Source,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<Vec<(String, String)>> {
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    loop {
        let line = source.line()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let digits = text.split(';').next().unwrap_or("");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad(format!("chunk size {text:?}")));
        }
        let size = u64::from_str_radix(digits, 16).map_err(|_| bad(format!("size {text:?}")))?;
        if size == 0 {
            break;
        }
        source.bytes(size, sink)?;
        if !source.line()?.is_empty() {
            return Err(bad("no CRLF after the chunk".to_owned()));
        }
    }
    let mut trailers = Vec::new();
    loop {
        let line = source.line()?;
        if line.is_empty() {
            return Ok(trailers);
        }
        let text = String::from_utf8(line).map_err(|_| bad("trailer".to_owned()))?;
        trailers.push(parse_field(&text).map_err(bad)?);
    }
}
