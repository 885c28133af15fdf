//! HTTP/2 written by hand, frame by frame, for messages no library would send. It reads what comes
//! back as far as a test needs: frame kinds, GOAWAY codes, statuses.

use crate::tls::Authority;
use rustls::{ClientConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The client's preface.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame kinds (RFC 9113 6).
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// PRIORITY.
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM, or ACK.
pub const END_STREAM: u8 = 1;
/// END_HEADERS.
pub const END_HEADERS: u8 = 4;

/// One frame that came.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Kind.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

/// How a stream or the connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A whole response with this status and this body.
    Answered(u16, Vec<u8>),
    /// The stream was reset with this code.
    Reset(u32),
    /// GOAWAY with this code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
    /// Nothing came for longer than the patience.
    Silent,
}

/// A connection.
pub struct H2 {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// The last GOAWAY that came: last stream and code.
    pub goaway: Option<(u32, u32)>,
    /// Whether DATA is acknowledged with WINDOW_UPDATE as it is read.
    pub give_credit: bool,
    /// What has come for each stream that nobody has asked about yet.
    seen: HashMap<u32, Seen>,
}

/// What has come for a stream.
#[derive(Debug, Default)]
struct Seen {
    status: u16,
    body: Vec<u8>,
    ending: Option<Ending>,
}

impl std::fmt::Debug for H2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H2").field("goaway", &self.goaway).finish_non_exhaustive()
    }
}

impl H2 {
    /// Connects, agrees on `h2`, and sends the preface and these settings.
    #[must_use]
    #[track_caller]
    pub fn connect(
        addr: SocketAddr,
        sni: &str,
        authority: &Authority,
        settings: &[(u16, u32)],
    ) -> Self {
        let stream = authority.connect(addr, sni, &["h2"]).expect("the handshake succeeds");
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]), "h2 is offered");
        let mut h2 = Self { stream, goaway: None, give_credit: true, seen: HashMap::new() };
        h2.raw(PREFACE);
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        h2.frame(kind::SETTINGS, 0, 0, &payload);
        h2
    }

    /// Makes the receive window of the connection below small, and those of HTTP/2 so large that
    /// only the former holds anything up.
    pub fn small_window(&mut self) {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream.sock, 4096)
            .expect("a socket option");
        self.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0x40, 0, 0]);
        self.frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0x40, 0, 0]);
    }

    /// Sends bytes; false when the connection takes no more.
    pub fn raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Sends a frame.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.raw(&frame(kind, flags, stream, payload))
    }

    /// Sends HEADERS that end the request.
    pub fn get(&mut self, stream: u32, host: &str, path: &str) -> bool {
        self.frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get_block(host, path))
    }

    /// Reads a frame, acknowledging settings and pings; `None` at the end.
    pub fn read(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 9];
        if let Err(error) = self.stream.read_exact(&mut head) {
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(error),
                _ => Ok(None),
            };
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let mut payload = vec![0; length];
        if self.stream.read_exact(&mut payload).is_err() {
            return Ok(None);
        }
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        match frame.kind {
            kind::SETTINGS if frame.flags & 1 == 0 => {
                self.frame(kind::SETTINGS, 1, 0, &[]);
            }
            kind::PING if frame.flags & 1 == 0 => {
                self.frame(kind::PING, 1, 0, &frame.payload);
            }
            kind::GOAWAY => self.goaway = Some((word(&frame.payload, 0), word(&frame.payload, 4))),
            kind::DATA if self.give_credit && length > 0 => {
                let credit = u32::try_from(length).unwrap_or(0).to_be_bytes();
                self.frame(kind::WINDOW_UPDATE, 0, 0, &credit);
                self.frame(kind::WINDOW_UPDATE, 0, stream, &credit);
            }
            _ => {}
        }
        self.note(&frame);
        Ok(Some(frame))
    }

    /// Reads until this stream, or the whole connection, comes to an end.
    pub fn ending(&mut self, stream: u32) -> Ending {
        loop {
            if let Some(ending) = self.seen.get_mut(&stream).and_then(|seen| seen.ending.take()) {
                return ending;
            }
            let frame = match self.read() {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    return self.goaway.map_or(Ending::Closed, |(_, code)| Ending::GoAway(code));
                }
                Err(_) => return Ending::Silent,
            };
            if frame.kind == kind::GOAWAY {
                let (last, code) = self.goaway.unwrap_or((0, 0));
                if code != 0 || last < stream {
                    return Ending::GoAway(code);
                }
            }
        }
    }

    /// Adds a frame to what is known of its stream.
    fn note(&mut self, frame: &Frame) {
        let seen = self.seen.entry(frame.stream).or_default();
        match frame.kind {
            kind::HEADERS if seen.status == 0 => seen.status = status_of(&frame.payload),
            kind::DATA => seen.body.extend_from_slice(&frame.payload),
            kind::RST_STREAM => seen.ending = Some(Ending::Reset(word(&frame.payload, 0))),
            _ => {}
        }
        if frame.kind <= kind::HEADERS && frame.flags & END_STREAM != 0 {
            seen.ending = Some(Ending::Answered(seen.status, std::mem::take(&mut seen.body)));
        }
    }

    /// Reads until the connection ends; gives the last GOAWAY's code if one came.
    pub fn last_words(&mut self) -> Ending {
        self.ending(u32::MAX)
    }
}

/// A frame as bytes.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a test's frame is small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field as a literal without indexing and without Huffman (RFC 7541 6.2.2).
pub fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    text(block, name);
    text(block, value);
}

/// The header block of a GET.
#[must_use]
pub fn get_block(host: &str, path: &str) -> Vec<u8> {
    request_block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", host),
        (":path", path),
    ])
}

/// A header block of these fields, in this order.
#[must_use]
pub fn request_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        field(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

fn text(block: &mut Vec<u8>, bytes: &[u8]) {
    integer(block, bytes.len(), 7, 0);
    block.extend_from_slice(bytes);
}

/// An HPACK integer with a prefix of `bits` (RFC 7541 5.1).
pub fn integer(block: &mut Vec<u8>, value: usize, bits: u32, pattern: u8) {
    let max = (1_usize << bits) - 1;
    if value < max {
        block.push(pattern | u8::try_from(value).unwrap_or(0));
        return;
    }
    block.push(pattern | u8::try_from(max).unwrap_or(0));
    let mut rest = value - max;
    while rest >= 128 {
        block.push(u8::try_from(rest & 127).unwrap_or(0) | 128);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap_or(0));
}

fn word(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// The status of a response's header block, which by RFC 9113 8.3 comes first: a static index, or
/// a literal named by the static table, with digits in plain or in Huffman code. A table-size
/// update may come before it.
fn status_of(block: &[u8]) -> u16 {
    let block = match block {
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        all => all,
    };
    match block {
        [first @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        [0x08 | 0x18 | 0x48, length, rest @ ..] if length & 0x80 == 0 => {
            let digits = rest.get(..usize::from(*length)).unwrap_or(&[]);
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
        }
        [0x08 | 0x18 | 0x48, length, rest @ ..] => {
            huffman_digits(rest.get(..usize::from(length & 0x7f)).unwrap_or(&[]))
        }
        _ => 0,
    }
}

/// Digits in HPACK's Huffman code: 0-2 are five bits from 00000, 3-9 six bits from 011001.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u16> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |i| u16::from(byte >> i & 1))).collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |sum, bit| sum * 2 + bit);
    let (mut at, mut value) = (0, 0);
    while at + 5 <= bits.len() {
        let five = number(&bits[at..at + 5]);
        if five <= 2 {
            value = value * 10 + five;
            at += 5;
        } else if at + 6 <= bits.len() && (25..=31).contains(&number(&bits[at..at + 6])) {
            value = value * 10 + number(&bits[at..at + 6]) - 25 + 3;
            at += 6;
        } else {
            break;
        }
    }
    value
}
