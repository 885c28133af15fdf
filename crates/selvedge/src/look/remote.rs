//! Asking a running node at its admin listener: one short exchange a question.

use crate::problem::Problem;
use http::{Method, StatusCode};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A running node.
pub(crate) struct Remote {
    address: String,
}

impl Remote {
    pub(crate) fn new(address: &str) -> Self {
        let address = address.strip_prefix("http://").unwrap_or(address);
        Self { address: address.trim_end_matches('/').to_owned() }
    }

    /// Whether anybody listens there.
    pub(super) fn is_there(&self) -> bool {
        self.connect().is_ok()
    }

    /// Asks; the status and the text of the answer.
    pub(crate) fn ask(&self, method: &Method, path: &str) -> Result<(StatusCode, String), Problem> {
        self.exchange(method, path).map_err(|error| {
            Problem::NoAnswer(format!(
                "nobody answers at {}: {error}\n\
                 --admin ADDRESS names the [admin] listen of a running node, --config FILE the \
                 configuration of a stopped one",
                self.address
            ))
        })
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()?.collect::<Vec<SocketAddr>>() {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// HTTP/1.0: the answer ends with the connection, so nothing but its head needs reading.
    fn exchange(&self, method: &Method, path: &str) -> io::Result<(StatusCode, String)> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let length = if *method == Method::POST { "Content-Length: 0\r\n" } else { "" };
        let host = &self.address;
        stream.write_all(
            format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n{length}\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(odd)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(odd)?;
        Ok((status, body.to_owned()))
    }
}
