//! Fields of an HTTP/1.x response that are written out ahead (RFC 9112 5), once for many answers.
//! The HTTP library writes the rest of the head; the guard puts these lines at its end.
//!
//! For a hit the library's way of a dozen fields (clone the map, write each, drop each) took 3500
//! of 18000 instructions, and two atomic operations for each value.
//!
//! Lines are made only of names and values that were checked to be such, so that none can end a
//! head early; fields that frame a message are the library's alone.

use std::io;

use http::header::{HeaderName, HeaderValue};

/// Field lines, each with its line end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldLines(Vec<u8>);

impl FieldLines {
    /// No lines.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No lines yet, for a response with these fields, beside which the library writes
    /// `Content-Length` alone. `None` if they say more about framing, or nothing of the date: then
    /// the library must write them all. Names are in lower case.
    #[must_use]
    pub fn beside_framing<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Self> {
        let (mut length, mut has_date) = (ROOM, false);
        for (name, value) in fields {
            if FRAMING.contains(&name) {
                return None;
            }
            has_date |= name == b"date";
            length += name.len() + value.len() + LINE_BYTES;
        }
        has_date.then(|| Self(Vec::with_capacity(length)))
    }

    /// Adds a line.
    pub fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.line(name.as_str().as_bytes(), value.as_bytes());
    }

    /// Adds a line of a name and a value that were checked to be such elsewhere. One that could end
    /// a line is left out.
    pub fn push_bytes(&mut self, name: &[u8], value: &[u8]) {
        let ends = |bytes: &[u8]| bytes.iter().fold(false, |any, byte| any | ENDS.contains(byte));
        let is_sound = !ends(name) && !ends(value);
        debug_assert!(is_sound, "a value for {}", name.escape_ascii());
        if is_sound {
            self.line(name, value);
        }
    }

    /// Adds the lines of another.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(name != b"content-length" && !FRAMING.contains(&name));
        self.0.reserve(name.len() + value.len() + LINE_BYTES);
        for part in [name, b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all lines.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Room for a few fields more than a response was stored with.
const ROOM: usize = 64;

/// What the library reads when it decides how a response ends.
const FRAMING: [&[u8]; 4] = [b"connection", b"transfer-encoding", b"trailer", b"upgrade"];

/// What a line has beside its name and value.
const LINE_BYTES: usize = 4;

/// What ends a line, for anybody.
const ENDS: [u8; 3] = *b"\r\n\0";

/// Where lines go in what the library writes first after it was given their response: before the
/// empty line that ends it. That is the library's buffer of heads, and the last of them is the
/// response's; a `100 Continue`, or the end of a head that the socket did not take, may stand
/// before it. Bodies are in slices of their own.
pub(crate) fn place(heads: &[u8]) -> io::Result<usize> {
    if heads.ends_with(b"\r\n\r\n") {
        return Ok(heads.len() - 2);
    }
    Err(io::Error::other("a response whose head is not where its fields belong"))
}

#[cfg(test)]
mod tests {
    use http::header::{self, HeaderValue};

    use super::{FieldLines, place};

    /// What decides where a message ends is never written by us.
    #[test]
    fn framing_is_left_to_the_library() {
        let lines = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            FieldLines::beside_framing(fields)
        };
        let plain = [("date", "today"), ("content-length", "5"), ("etag", "\"x\"")];
        assert!(lines(&plain).is_some());
        assert_eq!(lines(&plain[1..]), None);
        for name in ["connection", "transfer-encoding", "trailer", "upgrade"] {
            assert_eq!(lines(&[("date", "today"), (name, "x")]), None, "{name}");
        }
    }

    #[test]
    fn a_line_is_a_name_and_a_value() {
        let mut lines = FieldLines::new();
        lines.push(&header::ETAG, &HeaderValue::from_static("\"x\""));
        lines.push_bytes(b"age", b"5");
        assert_eq!(lines.as_bytes(), b"etag: \"x\"\r\nage: 5\r\n");
    }

    #[test]
    #[should_panic(expected = "a value for x")]
    fn what_would_end_a_line_is_no_value() {
        FieldLines::new().push_bytes(b"x", b"1\r\ny: 2");
    }

    #[test]
    fn lines_go_to_the_end_of_the_last_head() {
        let place_in = |bytes: &[u8]| place(bytes).ok();
        assert_eq!(place_in(b"HTTP/1.0 404 Not Found\r\n\r\n"), Some(24));
        assert_eq!(place_in(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), Some(42));
        for bad in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nbody"] {
            assert_eq!(place_in(bad), None, "{}", bad.escape_ascii());
        }
    }
}
