//! HTTP/1.1 as far as the origin of a channel and its players need it, without a thread for each
//! connection. What it does not expect is an error: nothing here is lenient.

use std::io::{Error, ErrorKind, Result};
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

impl Head {
    /// The first line, in words.
    pub(crate) fn word(&self, index: usize) -> &str {
        let line = self.0.split("\r\n").next().unwrap_or("");
        line.split(' ').nth(index).unwrap_or("")
    }

    /// The value of a field, whose name is given in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.split("\r\n").skip(1).find_map(|line| {
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

    /// Reads more; false at the end.
    async fn more(&mut self) -> Result<bool> {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }
}
