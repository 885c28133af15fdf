//! Ranges of a stored object (RFC 9110 14): which bytes a `Range` asks for, and how they are sent.
//!
//! A broken field, another unit and more parts than allowed are ignored: the whole object is sent.
//! Parts that overlap, touch or nearly touch become one, so the parts of an answer are disjoint and
//! what is sent is never more than the object and a bounded preamble for each part.

use crate::date;
use crate::freshness;
use crate::list;
use crate::validate::strong_match;
use http::header::{CONTENT_TYPE, DATE, ETAG, IF_RANGE, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

/// Bytes `first` to `last`, both included, always inside the object.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

impl Range {
    /// How many bytes it has: at least one.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a `Range` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Nothing: send the whole object with 200.
    None,
    /// Send these with 206: at least one, disjoint, in the order they were asked for.
    Satisfiable(Vec<Range>),
    /// Send 416 with [`content_range_unsatisfied`].
    Unsatisfiable,
}

/// Bounds on what one request may ask for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// More parts than this make the field ignored.
    pub parts_max: usize,
    /// Parts with at most this many bytes between them are sent as one.
    pub gap_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts_max: 32, gap_bytes: 80 }
    }
}

/// Reads a `Range` against an object of `length` bytes.
pub fn parse(range: &HeaderValue, length: u64, limits: Limits) -> Ranges {
    let Some(set) = range_set(range.as_bytes()) else { return Ranges::None };
    let mut ranges = Vec::new();
    let mut asked = 0_usize;
    for member in set.split(|&byte| byte == b',').map(list::trim) {
        if member.is_empty() {
            continue;
        }
        asked += 1;
        if asked > limits.parts_max {
            return Ranges::None;
        }
        match read(member, length) {
            Ok(Some(range)) => ranges.push(range),
            Ok(None) => {}
            Err(Malformed) => return Ranges::None,
        }
    }
    if asked == 0 {
        return Ranges::None;
    }
    if ranges.is_empty() {
        return Ranges::Unsatisfiable;
    }
    Ranges::Satisfiable(coalesce(ranges, limits.gap_bytes))
}

fn range_set(value: &[u8]) -> Option<&[u8]> {
    let at = value.iter().position(|&byte| byte == b'=')?;
    list::trim(&value[..at]).eq_ignore_ascii_case(b"bytes").then(|| &value[at + 1..])
}

struct Malformed;

/// `None` is well-formed and outside the object.
fn read(member: &[u8], length: u64) -> Result<Option<Range>, Malformed> {
    let at = member.iter().position(|&byte| byte == b'-').ok_or(Malformed)?;
    let (first, last) = (&member[..at], &member[at + 1..]);
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        let range = Range { first: length - suffix, last: length.wrapping_sub(1) };
        return Ok((suffix > 0).then_some(range));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return Err(Malformed);
    }
    let range = Range { first, last: last.min(length.wrapping_sub(1)) };
    Ok((first < length).then_some(range))
}

fn number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(digits
        .iter()
        .fold(0_u64, |sum, &digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

// A joined part takes the place of the earliest one in it.
fn coalesce(ranges: Vec<Range>, gap_bytes: u64) -> Vec<Range> {
    let mut by_start: Vec<(usize, Range)> = ranges.into_iter().enumerate().collect();
    by_start.sort_by_key(|(_, range)| range.first);
    let mut joined: Vec<(usize, Range)> = Vec::with_capacity(by_start.len());
    for (order, range) in by_start {
        match joined.last_mut() {
            Some((earliest, previous))
                if range.first <= previous.last.saturating_add(gap_bytes).saturating_add(1) =>
            {
                previous.last = previous.last.max(range.last);
                *earliest = order.min(*earliest);
            }
            _ => joined.push((order, range)),
        }
    }
    joined.sort_by_key(|(order, _)| *order);
    joined.into_iter().map(|(_, range)| range).collect()
}

/// Whether a `Range` applies as far as `If-Range` goes (RFC 9110 13.1.5): true without one, else
/// if the stored response has exactly that strong entity tag, or that date and the date is strong
/// (RFC 9110 8.8.2.2).
pub fn if_range(req_headers: &HeaderMap, stored_headers: &HeaderMap) -> bool {
    let Some(condition) = req_headers.get(IF_RANGE) else { return true };
    let condition = list::trim(condition.as_bytes());
    if let Some(etag) = stored_headers.get(ETAG)
        && strong_match(condition, etag.as_bytes())
    {
        return true;
    }
    let sent = stored_headers.get(DATE).and_then(|date| date::parse(date.as_bytes(), 0));
    let modified = freshness::header_date(stored_headers, LAST_MODIFIED, 0);
    match (modified, sent) {
        (Some(modified), Some(sent)) => {
            date::parse(condition, sent) == Some(modified) && modified < sent
        }
        _ => false,
    }
}

/// `Content-Range` of one part.
pub fn content_range(range: Range, length: u64) -> HeaderValue {
    ascii(format!("bytes {}-{}/{length}", range.first, range.last))
}

/// `Content-Range` of a 416.
pub fn content_range_unsatisfied(length: u64) -> HeaderValue {
    ascii(format!("bytes */{length}"))
}

// What is built here is ASCII without controls.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A `multipart/byteranges` body (RFC 9110 14.6): each preamble, its bytes, then the closing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    /// `Content-Type` of the answer.
    pub content_type: HeaderValue,
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// What comes after the last part.
    pub closing: String,
    /// The length of the whole body.
    pub length: u64,
}

/// One part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is sent before its bytes.
    pub preamble: Vec<u8>,
    /// Its bytes.
    pub range: Range,
}

/// Lays out a multipart body. `boundary` is a number the client cannot foresee. The part fields
/// repeat the stored `Content-Type`.
pub fn multipart(
    ranges: &[Range],
    length: u64,
    stored_headers: &HeaderMap,
    boundary: u128,
) -> Multipart {
    let content_type = stored_headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let parts: Vec<Part> = ranges
        .iter()
        .map(|&range| {
            let mut preamble = format!("\r\n--{boundary:032x}\r\n").into_bytes();
            if let Some(content_type) = content_type {
                preamble.extend_from_slice(b"Content-Type: ");
                preamble.extend_from_slice(content_type);
                preamble.extend_from_slice(b"\r\n");
            }
            let Range { first, last } = range;
            let field = format!("Content-Range: bytes {first}-{last}/{length}\r\n\r\n");
            preamble.extend_from_slice(field.as_bytes());
            Part { preamble, range }
        })
        .collect();
    let closing = format!("\r\n--{boundary:032x}--\r\n");
    let total = parts.iter().fold(closing.len() as u64, |sum, part| {
        sum.saturating_add(part.preamble.len() as u64).saturating_add(part.range.length())
    });
    let content_type = ascii(format!("multipart/byteranges; boundary={boundary:032x}"));
    Multipart { content_type, parts, closing, length: total }
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
