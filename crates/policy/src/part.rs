//! Parts of a response: which one to ask for, what a 206 says that it brings, and whether parts may
//! be combined (RFC 9110 14, 15.3.7; RFC 9111 3.3, 3.4).
//!
//! Parts of two answers are combined only if both have the same strong validator: nothing else says
//! that they are of the same bytes. Of a body without one, each part stands alone.

use crate::date;
use crate::freshness;
use crate::list;
use crate::reason::NoStore;
use crate::site::SiteRules;
use crate::storable::{Exchange, Storable, Verdict, judge};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// What a `Range` with one member asks for, before the length of the object is known.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// From the first byte to the last, or to the end.
    From(u64, Option<u64>),
    /// This many bytes at the end.
    Last(u64),
}

/// Reads a `Range` of bytes with one member; `None` if it is anything else.
pub fn single(range: &HeaderValue) -> Option<Wanted> {
    let value = range.as_bytes();
    let at = value.iter().position(|&byte| byte == b'=')?;
    let member = list::trim(&value[at + 1..]);
    if !list::trim(&value[..at]).eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let dash = member.iter().position(|&byte| byte == b'-')?;
    match (&member[..dash], &member[dash + 1..]) {
        ([], last) => number(last).map(Wanted::Last),
        (first, []) => number(first).map(|first| Wanted::From(first, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Wanted::From(first, Some(last)))
        }
    }
}

impl Wanted {
    /// The field that asks for it.
    pub fn value(self) -> HeaderValue {
        let text = match self {
            Self::From(first, Some(last)) => format!("bytes={first}-{last}"),
            Self::From(first, None) => format!("bytes={first}-"),
            Self::Last(count) => format!("bytes=-{count}"),
        };
        // ASCII without controls.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes=0-"))
    }

    /// Whether the first byte that it asks for, of an object of `complete` bytes, is among these.
    pub fn begins_in(self, first: u64, end: u64, complete: u64) -> bool {
        let wanted = match self {
            Self::From(wanted, _) => wanted,
            Self::Last(count) => complete.saturating_sub(count),
        };
        (first..end).contains(&wanted)
    }
}

// Eighteen digits: more than any object has, and no sum of two overflows.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, &digit| sum * 10 + u64::from(digit - b'0')))
}

/// What a 206 brings.
#[derive(Clone, Debug)]
pub struct Part {
    /// The whole response that it is a part of, as a 200 with all its length would say it.
    pub storable: Storable,
    /// The place of its first byte.
    pub first: u64,
    /// The place behind its last byte.
    pub end: u64,
    /// The length of the whole.
    pub complete: u64,
}

/// Judges a 206 (RFC 9111 3.3). `body_bytes` is the announced length of its body.
///
/// # Errors
/// When it may not be stored, or does not say of what it is which part.
pub fn judge_part(
    x: &Exchange<'_>,
    body_bytes: Option<u64>,
    rules: &SiteRules,
) -> Result<Part, NoStore> {
    if x.status != StatusCode::PARTIAL_CONTENT || *x.method != Method::GET {
        return Err(NoStore::Partial);
    }
    let place = Place::of(x.resp_headers, body_bytes).ok_or(NoStore::Partial)?;
    let mut headers = x.resp_headers.clone();
    for name in PART_FIELDS {
        headers.remove(name);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(place.complete));
    let whole = Exchange { status: StatusCode::OK, resp_headers: &headers, ..*x };
    match judge(&whole, rules) {
        Verdict::Store(storable) => {
            let Place { first, end, complete } = place;
            Ok(Part { storable, first, end, complete })
        }
        Verdict::Pass(why) => Err(why),
    }
}

/// Fields of a 206 that are about the part alone.
const PART_FIELDS: [HeaderName; 3] = [
    CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
];

/// Where a part is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place of its first byte.
    pub first: u64,
    /// The place behind its last byte.
    pub end: u64,
    /// The length of the whole.
    pub complete: u64,
}

impl Place {
    /// What the one `Content-Range` of an answer says, if it says all and agrees with the length of
    /// the body. Where it reaches to the end and the body is shorter, the body is believed: the
    /// whole ends where it ends. Some origins reckon the end one too far.
    pub fn of(resp_headers: &HeaderMap, body_bytes: Option<u64>) -> Option<Self> {
        let mut lines = resp_headers.get_all(CONTENT_RANGE).iter();
        let line = lines.next()?.as_bytes();
        let rest = line.strip_prefix(b"bytes ")?;
        let dash = rest.iter().position(|&byte| byte == b'-')?;
        let slash = rest.iter().position(|&byte| byte == b'/')?;
        let first = number(&rest[..dash])?;
        let last = number(rest.get(dash + 1..slash)?)?;
        let complete = number(&rest[slash + 1..])?;
        if lines.next().is_some() || last < first || last >= complete {
            return None;
        }
        let end = last + 1;
        match body_bytes {
            Some(bytes) if bytes != end - first => {
                let ends_early = end == complete && bytes > 0 && bytes < end - first;
                let end = first + bytes;
                ends_early.then_some(Self { first, end, complete: end })
            }
            _ => Some(Self { first, end, complete }),
        }
    }
}

/// The value of `If-Range` that names this version of a body (RFC 9110 13.1.5), if it has a strong
/// validator: its entity tag or, without any, a date of its last change at least a second before
/// it was sent (RFC 9110 8.8.2.2).
pub fn strong_validator(headers: &HeaderMap) -> Option<&HeaderValue> {
    if let Some(etag) = headers.get(ETAG) {
        return Some(etag).filter(|etag| matches!(etag.as_bytes(), [b'"', .., b'"']));
    }
    let modified = headers.get(LAST_MODIFIED)?;
    let modified_s = freshness::header_date(headers, LAST_MODIFIED, 0)?;
    let sent_s = headers.get(DATE).and_then(|date| date::parse(date.as_bytes(), modified_s))?;
    (modified_s < sent_s).then_some(modified)
}

/// Whether two responses are of the same bytes: both have the same strong validator, and the same
/// coding. (Not every server has another entity tag for each coding.)
pub fn same_version(stored: &HeaderMap, received: &HeaderMap) -> bool {
    let is_tagged = stored.contains_key(ETAG);
    is_tagged == received.contains_key(ETAG)
        && stored.get_all(CONTENT_ENCODING).iter().eq(received.get_all(CONTENT_ENCODING))
        && strong_validator(stored).is_some_and(|known| strong_validator(received) == Some(known))
}

#[cfg(test)]
#[path = "part_tests.rs"]
mod tests;
