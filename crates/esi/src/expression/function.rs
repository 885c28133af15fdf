//! The functions: text in, text out. None of them knows the time, chance or the network, so that
//! a page comes to the same for the same request.

use std::ops::RangeInclusive;

use data_encoding::BASE64;
use percent_encoding::percent_decode;

use crate::escape;
use crate::value::{Number, Origin, Room, Value};

macro_rules! functions {
    ($($name:ident $word:literal $arguments:expr,)*) => {
        /// A function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function {
            $($name,)*
        }

        impl Function {
            pub(super) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($word => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// How many arguments it takes.
            pub(super) fn arguments(self) -> RangeInclusive<usize> {
                match self {
                    $(Self::$name => $arguments,)*
                }
            }
        }
    };
}

functions! {
    Base64Decode "base64_decode" 1..=1,
    Base64Encode "base64_encode" 1..=1,
    Exists "exists" 1..=1,
    HtmlDecode "html_decode" 1..=1,
    HtmlEncode "html_encode" 1..=1,
    Index "index" 2..=2,
    Int "int" 1..=1,
    IsEmpty "is_empty" 1..=1,
    Len "len" 1..=1,
    Lower "lower" 1..=1,
    Lstrip "lstrip" 1..=1,
    Replace "replace" 3..=4,
    Rstrip "rstrip" 1..=1,
    Strip "strip" 1..=1,
    Substr "substr" 2..=3,
    Trim "trim" 1..=1,
    Upper "upper" 1..=1,
    UrlDecode "url_decode" 1..=1,
    UrlEncode "url_encode" 1..=1,
}

impl Function {
    /// What it comes to. What it makes of text that somebody sent stays text that somebody sent,
    /// unless it has just been made harmless for one place.
    pub(crate) fn call<'v>(self, arguments: &[Value<'v>], room: &mut Room) -> Value<'v> {
        let Some(first) = arguments.first() else { return Value::Undefined };
        match self {
            Self::Exists => return Value::Flag(!matches!(first, Value::Undefined)),
            Self::IsEmpty => return Value::Flag(first.text().is_empty()),
            Self::Len => return number(first.text().len() as i64),
            Self::Int => return integer(first),
            Self::Index => return index(&first.text(), &argument(arguments, 1).text()),
            _ => {}
        }
        if matches!(first, Value::Undefined) {
            return Value::Undefined;
        }
        let origin = arguments.iter().fold(Origin::Page, |origin, value| origin.and(value));
        let text = first.text();
        let (out, origin) = match self {
            Self::UrlEncode => (escape::url(&text, room), Origin::UrlEncoded),
            Self::HtmlEncode => (escape::html(&text, room), Origin::HtmlEncoded),
            Self::UrlDecode => (percent_decode(&text).collect(), origin),
            Self::HtmlDecode => (escape::html_decode(&text), origin),
            Self::Lower => (text.to_ascii_lowercase(), origin),
            Self::Upper => (text.to_ascii_uppercase(), origin),
            Self::Trim | Self::Strip => (text.trim_ascii().to_vec(), origin),
            Self::Lstrip => (text.trim_ascii_start().to_vec(), origin),
            Self::Rstrip => (text.trim_ascii_end().to_vec(), origin),
            Self::Base64Encode => (BASE64.encode(&text).into_bytes(), origin),
            Self::Base64Decode => match BASE64.decode(&text) {
                Ok(decoded) => (decoded, origin),
                Err(_) => return Value::Undefined,
            },
            Self::Substr => (substring(&text, arguments).to_vec(), origin),
            Self::Replace => (replace(&text, arguments, room), origin),
            Self::Exists | Self::IsEmpty | Self::Len | Self::Int | Self::Index => return number(0),
        };
        Value::Text(out.into(), origin)
    }
}

fn argument<'v, 'a>(arguments: &'a [Value<'v>], number: usize) -> &'a Value<'v> {
    arguments.get(number).unwrap_or(&Value::Undefined)
}

fn number<'v>(number: i64) -> Value<'v> {
    Value::Text(number.to_string().into_bytes().into(), Origin::Page)
}

/// The whole part of a number; nothing of what is none.
fn integer<'v>(value: &Value<'v>) -> Value<'v> {
    match Number::parse(value.text().trim_ascii()) {
        Some(Number::Whole(whole)) => number(whole),
        // The cast saturates.
        Some(Number::Real(real)) => number(real as i64),
        None => Value::Undefined,
    }
}

/// Where one text first is in another, or -1.
fn index<'v>(text: &[u8], wanted: &[u8]) -> Value<'v> {
    number(memchr::memmem::find(text, wanted).map_or(-1, |at| at as i64))
}

fn whole(value: &Value<'_>) -> Option<i64> {
    match Number::parse(value.text().trim_ascii())? {
        Number::Whole(whole) => Some(whole),
        Number::Real(_) => None,
    }
}

/// `$substr(text, start, length)`: a negative start counts from the end, a negative length leaves
/// so much off the end.
fn substring<'t>(text: &'t [u8], arguments: &[Value<'_>]) -> &'t [u8] {
    let place = |number: i64, from_end: bool| {
        let base = if from_end { text.len() as i64 } else { 0 };
        base.saturating_add(number).clamp(0, text.len() as i64) as usize
    };
    let Some(start) = whole(argument(arguments, 1)) else { return b"" };
    let start = place(start, start < 0);
    let end = match arguments.get(2) {
        None => text.len(),
        Some(length) => match whole(length) {
            Some(length) if length < 0 => place(length, true),
            Some(length) => place((start as i64).saturating_add(length), false),
            None => start,
        },
    };
    text.get(start..end).unwrap_or(b"")
}

/// `$replace(text, wanted, instead, count)`
fn replace(text: &[u8], arguments: &[Value<'_>], room: &mut Room) -> Vec<u8> {
    let wanted = argument(arguments, 1).text();
    let instead = argument(arguments, 2).text();
    let mut left = match arguments.get(3) {
        None => usize::MAX,
        Some(count) => whole(count).and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
    };
    let (mut out, mut from) = (Vec::new(), 0);
    if !wanted.is_empty() {
        for at in memchr::memmem::find_iter(text, &*wanted) {
            if left == 0 || !room.has(&out) {
                break;
            }
            left -= 1;
            room.push(&mut out, &text[from..at]);
            room.push(&mut out, &instead);
            from = at + wanted.len();
        }
    }
    room.push(&mut out, &text[from..]);
    out
}
