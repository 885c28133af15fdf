//! Comma-separated lists as HTTP writes them (RFC 9110 5.6.1), on raw bytes.
//!
//! Splits only outside quoted strings, trims optional whitespace, drops empty members. A quoted
//! string that never ends takes the rest of the field line with it, never that of the next one.

use http::{HeaderMap, HeaderName};

/// The members of one field line.
pub(crate) fn members(line: &[u8]) -> Members<'_> {
    Members { rest: line, separator: b',' }
}

/// The parts of one member that are separated by semicolons.
pub(crate) fn parameters(member: &[u8]) -> Members<'_> {
    Members { rest: member, separator: b';' }
}

/// The members of all lines of one field, in order.
pub(crate) fn all_members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).into_iter().flat_map(|value| members(value.as_bytes()))
}

pub(crate) struct Members<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = end_of_member(self.rest, self.separator);
            let member = trim(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

fn end_of_member(bytes: &[u8], separator: u8) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (index, &byte) in bytes.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match byte {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if byte == b'"' {
            quoted = true;
        } else if byte == separator {
            return index;
        }
    }
    bytes.len()
}

/// Without optional whitespace (space and tab) at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The content of a quoted string without its quotes and escapes; `None` if it is not one.
pub(crate) fn unquote(bytes: &[u8]) -> Option<Vec<u8>> {
    let [b'"', inner @ .., b'"'] = bytes else { return None };
    let mut out = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for &byte in inner {
        match byte {
            _ if escaped => {
                out.push(byte);
                escaped = false;
            }
            b'\\' => escaped = true,
            b'"' => return None,
            _ => out.push(byte),
        }
    }
    (!escaped).then_some(out)
}

/// Whether `bytes` is a token (RFC 9110 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a token may have this byte (RFC 9110 5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        members(line.as_bytes()).map(|m| std::str::from_utf8(m).unwrap()).collect()
    }

    #[test]
    fn commas_inside_quotes_do_not_split_and_empty_members_vanish() {
        assert_eq!(split(" a ,, b=\"x, y\" ,c,"), ["a", "b=\"x, y\"", "c"]);
        assert_eq!(split("a=\"x\\\", y\", b"), ["a=\"x\\\", y\"", "b"]);
        assert_eq!(split("a=\"never ends, b"), ["a=\"never ends, b"]);
        assert!(split("").is_empty());
    }

    #[test]
    fn quotes_and_escapes_come_off() {
        assert_eq!(unquote(b"\"a\\\"b\"").as_deref(), Some(&b"a\"b"[..]));
        assert_eq!(unquote(b"\"a"), None);
        assert_eq!(unquote(b"\"a\\\""), None);
        assert_eq!(unquote(b"a"), None);
        assert_eq!(unquote(b"\""), None);
    }
}
