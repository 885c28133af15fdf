//! `$GENERATE range owner [ttl] [class] type data`: records in number, as BIND has them.
//!
//! `$` stands for the number, `${offset,width,base}` for the number plus the offset in a base
//! (`d`, `o`, `x`, `X`; `n` and `N`: hexadecimal digits, the last first, with dots between), and
//! `\$` or `$$` for the sign itself. Data of several words may stand in quotes as a whole, which
//! are taken off: a string in such data has `\"` around it.

use std::fmt::Write;

use crate::rdata::{Misread, Token};

/// Records of one `$GENERATE` at most.
const RECORDS_MAX: u32 = 65_536;
/// Characters that a number is filled up to at most.
const WIDTH_MAX: usize = 255;

/// The numbers of a `$GENERATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

/// A token with places for the number.
#[derive(Debug)]
pub(super) struct Template<'file> {
    parts: Vec<Part<'file>>,
}

#[derive(Debug)]
enum Part<'file> {
    Text(&'file str),
    Number { offset: i64, width: usize, base: Base },
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Decimal,
    Octal,
    Hex,
    UpperHex,
    Nibbles,
    UpperNibbles,
}

impl Range {
    /// Reads `start-stop` or `start-stop/step`.
    pub(super) fn from_token(token: &Token<'_>) -> Result<Self, Misread> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= 0x7fff_ffff);
        let read = || {
            let (range, step) = token.text.split_once('/').unwrap_or((token.text, "1"));
            let (start, stop) = range.split_once('-')?;
            let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
            (start <= stop && step > 0).then_some(Self { start, stop, step })
        };
        let range = read().ok_or_else(|| token.wanted("a range like 1-100 or 0-254/2"))?;
        if (range.stop - range.start) / range.step >= RECORDS_MAX {
            return Err(token.fault(format!("divide the range: it has more than {RECORDS_MAX}")));
        }
        Ok(range)
    }

    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (self.start..=self.stop).step_by(self.step as usize)
    }
}

impl<'file> Template<'file> {
    /// Finds the places in a token.
    pub(super) fn from_token(token: &Token<'file>) -> Result<Self, Misread> {
        let mut parts = Vec::new();
        let (mut text_from, mut at) = (0, 0);
        let bytes = token.text.as_bytes();
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 2,
                b'$' => {
                    parts.push(Part::Text(&token.text[text_from..at]));
                    let rest = &token.text[at + 1..];
                    let (part, taken) = match rest.as_bytes().first() {
                        Some(b'$') => (Part::Text("\\$"), 1),
                        Some(b'{') => {
                            let inner = rest[1..].split_once('}').map(|(inner, _)| inner);
                            let part = inner.and_then(modifiers).ok_or_else(|| {
                                token.wanted("${offset,width,base} with a base of d o x X n N")
                            })?;
                            (part, inner.map_or(0, str::len) + 2)
                        }
                        _ => (Part::Number { offset: 0, width: 0, base: Base::Decimal }, 0),
                    };
                    parts.push(part);
                    at += 1 + taken;
                    text_from = at;
                }
                _ => at += 1,
            }
        }
        parts.push(Part::Text(token.text.get(text_from..).unwrap_or_default()));
        Ok(Self { parts })
    }

    /// The text for a number; `None`: an offset takes it below zero.
    pub(super) fn fill(&self, number: u32) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Number { offset, width, base } => {
                    let number = u64::try_from(i64::from(number) + offset).ok()?;
                    base.write(number, *width, &mut text);
                }
            }
        }
        Some(text)
    }
}

impl Base {
    fn write(self, number: u64, width: usize, text: &mut String) {
        let written = match self {
            Self::Decimal => write!(text, "{number:0width$}"),
            Self::Octal => write!(text, "{number:0width$o}"),
            Self::Hex => write!(text, "{number:0width$x}"),
            Self::UpperHex => write!(text, "{number:0width$X}"),
            Self::Nibbles | Self::UpperNibbles => {
                self.write_nibbles(number, width, text);
                Ok(())
            }
        };
        written.expect("a string takes all that is written");
    }

    /// The width counts digits and dots alike, as in BIND.
    fn write_nibbles(self, mut number: u64, width: usize, text: &mut String) {
        let mut width_left = width;
        loop {
            let digit = char::from_digit((number & 15) as u32, 16).unwrap_or('0');
            let is_upper = matches!(self, Self::UpperNibbles);
            text.push(if is_upper { digit.to_ascii_uppercase() } else { digit });
            number >>= 4;
            width_left = width_left.saturating_sub(1);
            if width_left == 0 && number == 0 {
                return;
            }
            text.push('.');
            width_left = width_left.saturating_sub(1);
            if width_left == 0 && number == 0 {
                return;
            }
        }
    }
}

/// Reads `offset`, `offset,width` or `offset,width,base`.
fn modifiers(text: &str) -> Option<Part<'static>> {
    let mut parts = text.split(',');
    let offset = i64::from(parts.next()?.parse::<i32>().ok()?);
    let width = match parts.next() {
        Some(width) => width.parse().ok().filter(|width| *width <= WIDTH_MAX)?,
        None => 0,
    };
    let base = match parts.next() {
        None | Some("d") => Base::Decimal,
        Some("o") => Base::Octal,
        Some("x") => Base::Hex,
        Some("X") => Base::UpperHex,
        Some("n") => Base::Nibbles,
        Some("N") => Base::UpperNibbles,
        Some(_) => return None,
    };
    parts.next().is_none().then_some(Part::Number { offset, width, base })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdata::Place;

    fn token(text: &str) -> Token<'_> {
        Token { text, is_quoted: false, place: Place { line: 1, column: 1 } }
    }

    #[test]
    fn a_range_has_a_start_a_stop_and_a_step() {
        let numbers = |text: &str| {
            let range = Range::from_token(&token(text)).ok()?;
            Some(range.numbers().collect::<Vec<_>>())
        };
        assert_eq!(numbers("1-3"), Some(vec![1, 2, 3]));
        assert_eq!(numbers("0-5/2"), Some(vec![0, 2, 4]));
        assert_eq!(numbers("7-7/9"), Some(vec![7]));
        assert_eq!(numbers("1-65536").map(|numbers| numbers.len()), Some(65_536));
        for text in ["", "1", "3-1", "1-2/0", "a-b", "1-2/", "0-65536", "0-2147483648", "-1-2"] {
            assert_eq!(numbers(text), None, "{text}");
        }
    }

    #[test]
    fn a_template_is_filled_with_a_number() {
        let fill = |text: &str| Template::from_token(&token(text)).ok()?.fill(27);
        for (text, filled) in [
            ("host$", Some("host27")),
            ("$.$", Some("27.27")),
            ("${3}", Some("30")),
            ("${-7,4}", Some("0020")),
            ("${0,4,x}-${0,0,X}-${0,3,o}", Some("001b-1B-033")),
            ("${0,0,n}.ip6", Some("b.1.ip6")),
            ("${0,7,N}.ip6", Some("B.1.0.0.ip6")),
            (r"a\$b", Some(r"a\$b")),
            ("a$$b", Some(r"a\$b")),
            ("none", Some("none")),
            ("", Some("")),
            ("${-28}", None),
            ("${", None),
            ("${}", None),
            ("${1,2,3}", None),
            ("${1,256}", None),
            ("${1,2,d,4}", None),
        ] {
            assert_eq!(fill(text).as_deref(), filled, "{text}");
        }
    }
}
