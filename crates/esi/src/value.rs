//! What an expression comes to, and whom its text is from: that decides what must be done to it
//! before it stands in a page or an address.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'v> {
    /// There is no such thing.
    Undefined,
    /// True or false.
    Flag(bool),
    /// Text, which may be a number.
    Text(Cow<'v, [u8]>, Origin),
}

/// Whom text is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It stands in the page: whoever wrote that may write anything.
    Page,
    /// It is, or was made of, what a client sent.
    Visitor,
    /// The query, which is encoded already as far as its own characters go.
    Query,
    /// The path, likewise.
    Path,
    /// `$url_encode` has made it harmless.
    UrlEncoded,
    /// `$html_encode` has made it harmless.
    HtmlEncoded,
}

impl Origin {
    /// That of what is made of this and of a value.
    pub(crate) fn and(self, value: &Value<'_>) -> Self {
        match value {
            Value::Text(_, Self::Page) | Value::Flag(_) | Value::Undefined => self,
            Value::Text(..) => Self::Visitor,
        }
    }
}

impl Value<'_> {
    /// As text.
    pub(crate) fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Undefined => Cow::Borrowed(b""),
            Self::Flag(true) => Cow::Borrowed(b"true"),
            Self::Flag(false) => Cow::Borrowed(b"false"),
            Self::Text(text, _) => Cow::Borrowed(text),
        }
    }

    /// Whom it is from.
    pub(crate) fn origin(&self) -> Origin {
        if let Self::Text(_, origin) = self { *origin } else { Origin::Page }
    }

    /// Whether it holds: not what is undefined, empty, or zero.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Undefined => false,
            Self::Flag(flag) => *flag,
            Self::Text(text, _) => {
                let zero = Number::parse(text).is_some_and(|number| number.real() == 0.0);
                !text.is_empty() && !zero
            }
        }
    }

    /// Compares as numbers if both are, else as bytes; nothing is equal to, less or greater than
    /// what is undefined.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        if matches!(self, Self::Undefined) || matches!(other, Self::Undefined) {
            return None;
        }
        let (left, right) = (self.text(), other.text());
        match (Number::parse(&left), Number::parse(&right)) {
            (Some(Number::Whole(left)), Some(Number::Whole(right))) => Some(left.cmp(&right)),
            (Some(left), Some(right)) => left.real().partial_cmp(&right.real()),
            _ => Some(left.cmp(&right)),
        }
    }

    /// One that borrows nothing.
    pub(crate) fn into_owned<'o>(self) -> Value<'o> {
        match self {
            Self::Undefined => Value::Undefined,
            Self::Flag(flag) => Value::Flag(flag),
            Self::Text(text, origin) => Value::Text(text.into_owned().into(), origin),
        }
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    /// Reads `-?digits` with one dot and more digits perhaps.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let plain = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let ends = digits.first()?.is_ascii_digit() && digits.last()?.is_ascii_digit();
        if !plain || !ends || text.len() > NUMBER_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let whole = text.parse().ok().map(Self::Whole);
        whole.or_else(|| text.parse().ok().map(Self::Real))
    }

    fn real(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

/// What is longer is no number but text.
const NUMBER_BYTES_MAX: usize = 32;

/// How much longer text may get.
#[derive(Debug)]
pub(crate) struct Room {
    bytes_max: usize,
    exceeded: bool,
}

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, exceeded: false }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether something did not fit.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.exceeded
    }

    /// Whether anything more fits.
    pub(crate) fn has(&self, out: &[u8]) -> bool {
        !self.exceeded && out.len() < self.bytes_max
    }

    /// Adds what fits; after something did not, nothing does.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, more: &[u8]) {
        if self.exceeded || out.len() + more.len() > self.bytes_max {
            self.exceeded = true;
        } else {
            out.extend_from_slice(more);
        }
    }
}
