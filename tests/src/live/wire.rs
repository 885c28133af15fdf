//! HTTP/1.1 as far as the origin of a channel and its players need it, without a thread for each
//! connection. What it does not expect is an error: nothing here is lenient.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head may have so many bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 32 << 10;

/// A connection, and what has come on it and is not yet taken.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    /// What of `input` is not yet taken.
    at: usize,
}

/// The head of a message.
#[derive(Debug)]
pub(crate) struct Head(String);

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: Head,
    /// When its first byte was there.
    pub(crate) first_byte: Instant,
    pub(crate) body: Vec<u8>,
}

impl Head {
    /// The first line, in words.
    pub(crate) fn word(&self, index: usize) -> &str {
        let line = self.0.split("\r\n").next().unwrap_or("");
        line.split(' ').nth(index).unwrap_or("")
    }

    /// The value of a field, of its last line if it has several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.rsplit("\r\n").find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it answers are only slower.
        let _ = stream.set_nodelay(true);
        Self { stream, input: Vec::new(), at: 0 }
    }

    pub(crate) async fn connect(addr: SocketAddr) -> Result<Self> {
        Ok(Self::new(TcpStream::connect(addr).await?))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the connection with a RST.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// The next head; none when the connection ended before it.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        let mut seen = 0;
        loop {
            let have = &self.input[self.at..];
            let from = seen.min(have.len());
            if let Some(end) = have[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&have[..from + end]).into_owned();
                self.at += from + end + 4;
                return Ok(Some(Head(head)));
            }
            if have.len() > HEAD_BYTES_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "a head without an end"));
            }
            seen = have.len().saturating_sub(3);
            if !self.more().await? {
                return if seen == 0 { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Sends a GET and reads the whole answer.
    pub(crate) async fn get(&mut self, host: &str, target: &str, fields: &str) -> Result<Got> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        self.send(request.as_bytes()).await?;
        self.answer().await
    }

    /// Reads an answer.
    pub(crate) async fn answer(&mut self) -> Result<Got> {
        if self.at == self.input.len() && !self.more().await? {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let first_byte = Instant::now();
        let head = self.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
        let status = head.word(1).parse().map_err(|_| bad("status"))?;
        let body = if let Some(length) = head.field("content-length") {
            let length = length.parse().map_err(|_| bad("Content-Length"))?;
            let place = self.take(length).await?;
            self.input[place].to_vec()
        } else if head.field("transfer-encoding") == Some("chunked") {
            self.chunks().await?
        } else {
            return Err(bad("framing"));
        };
        Ok(Got { status, head, first_byte, body })
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut size = 0;
            loop {
                let place = self.take(1).await?;
                let digit = match self.input[place.start] {
                    b'\r' => break,
                    digit => (digit as char).to_digit(16).ok_or_else(|| bad("chunk"))?,
                };
                size = size * 16 + digit as usize;
            }
            self.take(1).await?;
            let place = self.take(size + 2).await?;
            body.extend_from_slice(&self.input[place.start..place.end - 2]);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Where the next so many bytes are.
    async fn take(&mut self, count: usize) -> Result<Range<usize>> {
        while self.input.len() - self.at < count {
            if !self.more().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let begin = self.at;
        self.at += count;
        Ok(begin..self.at)
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> Result<bool> {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }
}

fn bad(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
