//! The `Cache-Status` member of this node (RFC 9211).
//!
//! Built with plain copies in a buffer on the stack and allocated once, because every answer
//! carries it. Members of caches nearer to the origin come first, so ours is the last line.

use crate::list::is_token_byte;
use http::{HeaderMap, HeaderName, HeaderValue};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went forward (RFC 9211 2.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fwd {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method had to go forward.
    Method,
    /// Nothing is stored for its URL.
    UriMiss,
    /// What is stored is for other request fields.
    VaryMiss,
    /// Nothing stored could answer it.
    Miss,
    /// The client asked for it.
    Request,
    /// What is stored is stale.
    Stale,
    /// Only part of it is stored.
    Partial,
}

impl Fwd {
    /// The token of RFC 9211 2.2.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What this node did with a request.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The name of the node; what goes beyond 64 bytes is left out.
    pub cache: &'a str,
    /// Whether it was answered from the store without going forward.
    pub hit: bool,
    /// Why it went forward. Left out when `hit` is set (RFC 9211 2.2).
    pub fwd: Option<Fwd>,
    /// The status the next hop answered with, if that is not the one sent.
    pub fwd_status: Option<u16>,
    /// What is left of its lifetime, in seconds.
    pub ttl: Option<i64>,
    /// Whether the answer was stored.
    pub stored: bool,
    /// Whether it waited for the request of another client.
    pub collapsed: bool,
    /// A word of our tables.
    pub detail: Option<&'static str>,
}

impl CacheStatus<'_> {
    /// The member as a field value.
    pub fn value(&self) -> HeaderValue {
        let mut out = Buffer { bytes: [0; BUFFER_BYTES], length: 0 };
        push_name(&mut out, self.cache);
        if self.hit {
            out.push(b"; hit");
        } else if let Some(fwd) = self.fwd {
            out.push(b"; fwd=");
            out.push(fwd.word().as_bytes());
        }
        if let Some(status) = self.fwd_status {
            out.push(b"; fwd-status=");
            push_integer(&mut out, status.into());
        }
        if let Some(ttl) = self.ttl {
            out.push(b"; ttl=");
            push_integer(&mut out, ttl);
        }
        if self.stored {
            out.push(b"; stored");
        }
        if self.collapsed {
            out.push(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            out.push(b"; detail=");
            push_name(&mut out, detail);
        }
        HeaderValue::from_bytes(out.written())
            .unwrap_or_else(|_| HeaderValue::from_static("selvedge"))
    }

    /// Appends the member after those of caches nearer to the origin.
    pub fn append(&self, headers: &mut HeaderMap) {
        headers.append(CACHE_STATUS, self.value());
    }
}

const NAME_BYTES_MAX: usize = 64;
/// Two names, escaped and quoted, and all parameters at their longest.
const BUFFER_BYTES: usize = 2 * (2 * NAME_BYTES_MAX + 2) + 100;

struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    length: usize,
}

impl Buffer {
    // What does not fit is left out; nothing is that long.
    fn push(&mut self, text: &[u8]) {
        let end = self.length + text.len();
        if let Some(slot) = self.bytes.get_mut(self.length..end) {
            slot.copy_from_slice(text);
            self.length = end;
        }
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

// A token where it can be one, else a string; bytes that neither can hold are left out.
fn push_name(out: &mut Buffer, name: &str) {
    let name = name.as_bytes();
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    if is_sf_token(name) {
        out.push(name);
        return;
    }
    out.push(b"\"");
    for byte in name.iter().copied().filter(|byte| (b' '..=b'~').contains(byte)) {
        if matches!(byte, b'"' | b'\\') {
            out.push(b"\\");
        }
        out.push(&[byte]);
    }
    out.push(b"\"");
}

// RFC 9651 3.3.4.
fn is_sf_token(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'*')
        && bytes.iter().all(|&byte| is_token_byte(byte) || matches!(byte, b':' | b'/'))
}

// RFC 9651 3.3.1: at most fifteen digits.
fn push_integer(out: &mut Buffer, value: i64) {
    const MAX: u64 = 999_999_999_999_999;
    if value < 0 {
        out.push(b"-");
    }
    let mut rest = value.unsigned_abs().min(MAX);
    let mut digits = [b'0'; 15];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfv::{List, Parser};

    #[test]
    fn a_hit_says_so_and_how_long_it_lasts() {
        let status =
            CacheStatus { cache: "edge-1", hit: true, ttl: Some(35), ..Default::default() };
        assert_eq!(status.value(), "edge-1; hit; ttl=35");
        let status = CacheStatus { fwd: Some(Fwd::Stale), ttl: Some(-412), ..status };
        assert_eq!(status.value(), "edge-1; hit; ttl=-412");
    }

    #[test]
    fn a_forward_says_why_and_what_came_of_it() {
        let status = CacheStatus {
            cache: "edge 1",
            fwd: Some(Fwd::UriMiss),
            fwd_status: Some(304),
            stored: true,
            collapsed: true,
            detail: Some("set-cookie"),
            ..Default::default()
        };
        let expected =
            "\"edge 1\"; fwd=uri-miss; fwd-status=304; stored; collapsed; detail=set-cookie";
        assert_eq!(status.value(), expected);
    }

    #[test]
    fn whatever_the_node_is_called_the_value_is_a_structured_list() {
        let long = "\"".repeat(500);
        for cache in ["", "1", "a\"b\\", "\u{e4}", "a\nb", "*", "a,b;c=d", &long] {
            for ttl in [0, -1, i64::MIN, i64::MAX] {
                let status = CacheStatus {
                    cache,
                    fwd: Some(Fwd::VaryMiss),
                    fwd_status: Some(u16::MAX),
                    ttl: Some(ttl),
                    stored: true,
                    collapsed: true,
                    detail: Some("not-modified-mismatch"),
                    ..Default::default()
                };
                let list = Parser::new(status.value().as_bytes()).parse::<List>();
                assert_eq!(list.unwrap().len(), 1);
            }
        }
    }

    #[test]
    fn our_member_comes_last() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static("parent; hit"));
        CacheStatus { cache: "edge", hit: true, ..Default::default() }.append(&mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(lines, ["parent; hit", "edge; hit"]);
    }
}
