//! The smallest parts of expressions: words, strings, numbers, operators.

use super::NAME_BYTES_MAX;

/// A place in an expression.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'t [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes this if it is next.
    pub(super) fn take(&mut self, wanted: &[u8]) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    /// Takes this after space, and the space after it.
    pub(super) fn token(&mut self, wanted: &[u8]) -> bool {
        self.space();
        let found = self.take(wanted);
        if found {
            self.space();
        }
        found
    }

    /// Takes a word if it is this one and nothing of it follows.
    pub(super) fn keyword(&mut self, wanted: &[u8]) -> bool {
        self.space();
        let start = self.at;
        if self.word().is_some_and(|word| word.as_bytes() == wanted) {
            return true;
        }
        self.at = start;
        false
    }

    /// A name of letters, digits and `_` that does not begin with a digit.
    pub(super) fn word(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().take(NAME_BYTES_MAX + 1).take_while(|byte| is_part(byte)).count();
        let first = rest.first()?;
        if first.is_ascii_digit() || !(1..=NAME_BYTES_MAX).contains(&length) {
            return None;
        }
        self.at += length;
        std::str::from_utf8(&rest[..length]).ok()
    }

    /// Digits with one dot among them at most, after a minus perhaps.
    pub(super) fn number(&mut self) -> Option<&'t [u8]> {
        let rest = self.rest();
        let sign = usize::from(rest.first() == Some(&b'-'));
        let mut dots = 0;
        let is_part = |byte: &&u8| match **byte {
            b'.' => {
                dots += 1;
                dots == 1
            }
            byte => byte.is_ascii_digit(),
        };
        let length = sign + rest[sign..].iter().take_while(is_part).count();
        let number = &rest[..length];
        super::super::value::Number::parse(number)?;
        self.at += length;
        Some(number)
    }

    /// A string: `'...'` with `\'` for a quote in it, `'''...'''` as it is, or `"..."`.
    pub(super) fn string(&mut self) -> Option<Box<[u8]>> {
        if self.take(b"'''") {
            let end = memchr::memmem::find(self.rest(), b"'''")?;
            let text = self.rest()[..end].into();
            self.at += end + 3;
            return Some(text);
        }
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"'))?;
        let rest = &self.rest()[1..];
        let mut text = Vec::new();
        let mut from = 0;
        loop {
            let end = from + memchr::memchr(quote, &rest[from..])?;
            let part = &rest[from..end];
            from = end + 1;
            match part.split_last() {
                Some((b'\\', before)) => {
                    text.extend_from_slice(before);
                    text.push(quote);
                }
                _ => {
                    text.extend_from_slice(part);
                    self.at += 1 + from;
                    return Some(text.into());
                }
            }
        }
    }

    /// What stands without quotes up to this byte, which is left; no `$`, quotes or brackets.
    pub(super) fn bare(&mut self, end: u8) -> Option<&'t [u8]> {
        let rest = self.rest();
        let text = &rest[..memchr::memchr(end, rest)?];
        if text.iter().any(|byte| b"$'\"{}()<>|".contains(byte)) {
            return None;
        }
        self.at += text.len();
        Some(text.trim_ascii())
    }
}
