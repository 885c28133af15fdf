//! The target of a request in the one form that key and origin both see.
//!
//! Rule: what is put into the key is what is forwarded, byte for byte. Then two requests with one
//! key are one request to the origin, and no resource can answer for another. Normalising only
//! joins spellings that RFC 3986 6.2.2 calls equivalent and that no origin is known to tell apart:
//!
//! - Host: lower case; one trailing dot, an empty port and the scheme's default port go; an IPv6
//!   literal gets its canonical spelling. Anything that is no host name or address is refused.
//! - Path: the hex digits of escapes become upper case, escaped unreserved bytes are decoded.
//!
//! What stays apart, because origins do tell it apart: `//`, `;`, `%2F`, letter case, a trailing
//! slash. Dot segments stay as they are, and an escaped dot is decoded only where that makes no dot
//! segment: `/a/../b`, `/a/%2E%2E/b` and `/b` have three keys, and the origin sees each as it came.
//!
//! What is refused, because readers disagree on what it means: a path that does not begin with a
//! slash, a `%` without two hex digits (`%4%31` would become `%41`), `%00`, a raw control byte,
//! space, backslash, `#` or non-ASCII byte. Escaped control bytes and `%23` pass as they are.

use crate::key::Scheme;
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a request goes, in normal form: what the origin is asked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The scheme the client used.
    pub scheme: Scheme,
    /// The host as [`normalize_host`] makes it.
    pub host: &'a str,
    /// The path as [`normalize_path`] makes it.
    pub path: &'a str,
    /// The query as it is forwarded.
    pub query: Option<&'a str>,
}

/// Why a host was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostError {
    /// There is nothing in it.
    Empty,
    /// It has a byte that no host name has: space, `@`, `#`, `/`, `%`, a control, non-ASCII ...
    Byte,
    /// The port is no number from 1 to 65535, or there are several.
    Port,
    /// It looks like an IP address and is none.
    Address,
    /// An empty label, a label above 63 or a name above 253 bytes.
    Label,
}

impl HostError {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "host-empty",
            Self::Byte => "host-byte",
            Self::Port => "host-port",
            Self::Address => "host-address",
            Self::Label => "host-label",
        }
    }
}

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::error::Error for HostError {}

/// Why a path was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathError {
    /// It does not begin with a slash (`*`, an authority, nothing).
    NotAbsolute,
    /// A `%` without two hex digits.
    Escape,
    /// `%00`.
    Nul,
    /// A raw byte that no path has: control, space, backslash, `#`, `?`, non-ASCII.
    Byte,
}

impl PathError {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path-not-absolute",
            Self::Escape => "path-escape",
            Self::Nul => "path-nul",
            Self::Byte => "path-byte",
        }
    }
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::error::Error for PathError {}

/// The normal form of `host` or `host:port`, as it stands in `Host`, `:authority` or an absolute
/// target. Borrows when it is normal already. Idempotent.
pub fn normalize_host(host: &str, scheme: Scheme) -> Result<Cow<'_, str>, HostError> {
    let (name, port) = split_port(host)?;
    let port = port.filter(|&port| port != scheme.default_port());
    let name = normalize_name(name)?;
    match (name, port) {
        (Cow::Borrowed(name), None) => Ok(Cow::Borrowed(name)),
        (Cow::Borrowed(name), Some(port)) => {
            let plain = host.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
            let written = plain.is_some_and(|text| !text.starts_with('0'));
            if written { Ok(Cow::Borrowed(host)) } else { Ok(Cow::Owned(format!("{name}:{port}"))) }
        }
        (Cow::Owned(name), None) => Ok(Cow::Owned(name)),
        (Cow::Owned(name), Some(port)) => Ok(Cow::Owned(format!("{name}:{port}"))),
    }
}

/// The name in a normalised host, without its port: what a site is found by.
pub fn host_name(host: &str) -> &str {
    match host.rfind([':', ']']) {
        Some(at) if host.as_bytes()[at] == b':' => &host[..at],
        _ => host,
    }
}

fn split_port(host: &str) -> Result<(&str, Option<u16>), HostError> {
    let (name, port) = if host.starts_with('[') {
        let end = host.find(']').ok_or(HostError::Address)?;
        match &host[end + 1..] {
            "" => (&host[..=end], None),
            rest => (&host[..=end], Some(rest.strip_prefix(':').ok_or(HostError::Byte)?)),
        }
    } else {
        match host.bytes().position(|byte| byte == b':') {
            Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
            None => (host, None),
        }
    };
    let number = match port {
        None | Some("") => None,
        Some(text) if text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = text.parse::<u16>().map_err(|_| HostError::Port)?;
            Some(number).filter(|&number| number > 0).ok_or(HostError::Port)?.into()
        }
        Some(_) => return Err(HostError::Port),
    };
    Ok((name, number))
}

fn normalize_name(name: &str) -> Result<Cow<'_, str>, HostError> {
    if let Some(inner) = name.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(HostError::Address)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Address)?;
        let canonical = format!("[{address}]");
        return Ok(if canonical == name { Cow::Borrowed(name) } else { Cow::Owned(canonical) });
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    // One pass for all questions; a pass for each cost a hit 600 instructions more.
    let (mut label_start, mut upper, mut odd_label) = (0, false, name.len() > 253);
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => upper = true,
            b'.' => {
                odd_label |= !is_label_length(index - label_start);
                label_start = index + 1;
            }
            _ => return Err(HostError::Byte),
        }
    }
    if odd_label || !is_label_length(name.len() - label_start) {
        return Err(HostError::Label);
    }
    // A name that ends in a number is an IPv4 address or a trap (`127.1`, `0x7f.1`, `2130706433`).
    if is_number(&name[label_start..]) && name.parse::<Ipv4Addr>().is_err() {
        return Err(HostError::Address);
    }
    if upper {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

const fn is_label_length(length: usize) -> bool {
    matches!(length, 1..=63)
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The normal form of a path; see the head of this file. Borrows when it is normal already.
/// Idempotent.
pub fn normalize_path(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let bytes = path.as_bytes();
    let mut changes = false;
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        if byte == b'%' {
            let (high, low, value) = escape_at(bytes, index)?;
            changes |=
                high.is_ascii_lowercase() || low.is_ascii_lowercase() || is_unreserved(value);
            index += 3;
        } else if byte <= b' ' || byte >= 0x7f || matches!(byte, b'\\' | b'#' | b'?') {
            return Err(PathError::Byte);
        } else {
            index += 1;
        }
    }
    if !changes {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len());
    for segment in path[1..].split('/') {
        out.push('/');
        push_segment(&mut out, segment);
    }
    Ok(Cow::Owned(out))
}

fn escape_at(bytes: &[u8], index: usize) -> Result<(u8, u8, u8), PathError> {
    let (Some(&high), Some(&low)) = (bytes.get(index + 1), bytes.get(index + 2)) else {
        return Err(PathError::Escape);
    };
    match (hex(high), hex(low)) {
        (Some(0), Some(0)) => Err(PathError::Nul),
        (Some(a), Some(b)) => Ok((high, low, a * 16 + b)),
        _ => Err(PathError::Escape),
    }
}

// Escapes have been checked, and everything is ASCII.
fn push_segment(out: &mut String, segment: &str) {
    let start = out.len();
    push_decoded(out, segment, true);
    if matches!(&out[start..], "." | "..") && segment.contains('%') {
        out.truncate(start);
        push_decoded(out, segment, false);
    }
}

fn push_decoded(out: &mut String, segment: &str, decode_dots: bool) {
    let mut rest = segment;
    while let Some((plain, tail)) = rest.split_once('%') {
        out.push_str(plain);
        let (digits, after) = tail.split_at(2);
        let value = u8::from_str_radix(digits, 16).unwrap_or(0);
        if is_unreserved(value) && (decode_dots || value != b'.') {
            out.push(char::from(value));
        } else {
            out.push('%');
            out.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
        }
        rest = after;
    }
    out.push_str(rest);
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
