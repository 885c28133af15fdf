//! Reading one TOML value as a Rust value: numbers, words and lists. Types with a grammar of their
//! own are in `url.rs`, `host.rs`, `header.rs` and `text.rs`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use crate::key::Kind;
use crate::read::{Cell, Context, article, printable};
use crate::suggest;
use crate::units::{ByteSize, QuantityError, parse_duration_ms, parse_size};

/// Longest path of a file.
const FILE_PATH_BYTES_MAX: usize = 4096;

/// A type a key can have.
pub(crate) trait Value: Sized {
    /// Reads it, or reports why it cannot be read.
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self>;
}

/// A type that can be absent.
pub(crate) trait Empty {
    /// What stands for the absence.
    fn empty() -> Self;
}

/// The types that have nothing in them at first.
macro_rules! empty {
    ($($type:ty),*) => { $( impl Empty for $type {
        fn empty() -> Self {
            Self::default()
        }
    } )* };
}
empty!(String, PathBuf, f64);

impl<T> Empty for Vec<T> {
    fn empty() -> Self {
        Self::new()
    }
}

impl<T> Empty for Option<T> {
    fn empty() -> Self {
        None
    }
}

impl<T: Value> Value for Option<T> {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        T::read(cell, cx).map(Some)
    }
}

/// The text of a string, or a fault.
pub(crate) fn string<'v>(cell: &Cell<'v, '_>, cx: &mut Context<'_>) -> Option<&'v str> {
    let text = cell.value.get_ref().as_str();
    if text.is_none() {
        cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
    }
    text
}

/// A quantity with a unit, between its bounds.
fn quantity(
    cell: &Cell<'_, '_>,
    cx: &mut Context<'_>,
    parse: fn(&str) -> Result<u64, QuantityError>,
    bounds: [&'static str; 2],
) -> Option<u64> {
    if let DeValue::Integer(number) = cell.value.get_ref() {
        cx.refuse(cell, format!("{number} has no unit"));
        return None;
    }
    let text = string(cell, cx)?;
    let value = match parse(text) {
        Ok(value) => value,
        Err(error) => {
            cx.refuse(cell, error.problem(&printable(text)));
            return None;
        }
    };
    let [min, max] = bounds.map(|bound| parse(bound).unwrap_or(u64::MAX));
    if value < min {
        cx.refuse(cell, format!("{text:?} is too small"));
        return None;
    }
    if value > max {
        cx.refuse(cell, format!("{text:?} is too large"));
        return None;
    }
    Some(value)
}

impl Value for Duration {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let Kind::Duration { min, max } = *cell.kind else { unreachable!("a row has its type") };
        quantity(cell, cx, parse_duration_ms, [min, max]).map(Self::from_millis)
    }
}

impl Value for ByteSize {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let Kind::Size { min, max } = *cell.kind else { unreachable!("a row has its type") };
        quantity(cell, cx, parse_size, [min, max]).map(Self::new)
    }
}

impl Value for usize {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let Kind::Count { min, max } = *cell.kind else { unreachable!("a row has its type") };
        let DeValue::Integer(number) = cell.value.get_ref() else {
            cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
            return None;
        };
        let Ok(value) = u64::from_str_radix(number.as_str(), number.radix()) else {
            cx.refuse(cell, format!("{} is out of bounds", printable(number.as_str())));
            return None;
        };
        if value < min || value > max {
            let word = if value < min { "small" } else { "large" };
            cx.refuse(cell, format!("{value} is too {word}"));
            return None;
        }
        Self::try_from(value).ok()
    }
}

impl Value for f64 {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let Kind::Decimal { min, max } = *cell.kind else { unreachable!("a row has its type") };
        let text = match cell.value.get_ref() {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            other => {
                cx.refuse(cell, format!("is {}", article(other)));
                return None;
            }
        };
        let value = text.parse::<Self>().ok().filter(|value| value.is_finite());
        let Some(value) = value else {
            cx.refuse(cell, format!("{} is not a number", printable(text)));
            return None;
        };
        if value < min || value > max {
            let word = if value < min { "small" } else { "large" };
            cx.refuse(cell, format!("{value} is too {word}"));
            return None;
        }
        Some(value)
    }
}

impl Value for bool {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let flag = cell.value.get_ref().as_bool();
        if flag.is_none() {
            cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
        }
        flag
    }
}

impl Value for PathBuf {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        if text.is_empty() || text.len() > FILE_PATH_BYTES_MAX || text.chars().any(char::is_control)
        {
            cx.refuse(cell, format!("{:?} is not a path", printable(text)));
            return None;
        }
        Some(Self::from(text))
    }
}

impl Value for SocketAddr {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        let address = text.parse().ok();
        if address.is_none() {
            cx.refuse(cell, format!("{:?} is not an address with a port", printable(text)));
        }
        address
    }
}

impl Value for IpAddr {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        let address = text.parse().ok();
        if address.is_none() {
            cx.refuse(cell, format!("{:?} is not an address", printable(text)));
        }
        address
    }
}

impl Value for IpNet {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        let Ok(network) = text.parse::<Self>() else {
            cx.refuse(cell, format!("{:?} is not a network", printable(text)));
            return None;
        };
        if network != network.trunc() {
            let suggestion = Some(format!("{:?}", network.trunc().to_string()));
            cx.refuse_with(cell, format!("{text:?} has bits set after its prefix"), suggestion);
            return None;
        }
        Some(network)
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let Kind::List { of, max } = *cell.kind else { unreachable!("a row has its type") };
        let value: &Spanned<DeValue<'_>> = cell.value;
        let Some(array) = value.get_ref().as_array() else {
            cx.refuse(cell, format!("is {}", article(value.get_ref())));
            return None;
        };
        if array.len() > max {
            cx.refuse(cell, format!("has {} values", array.len()));
            return None;
        }
        let mut list = Self::with_capacity(array.len());
        for (index, value) in array.iter().enumerate() {
            let path = format!("{}[{index}]", cell.path);
            cx.note(&path, value.span());
            list.extend(T::read(&Cell { path: &path, kind: of, value }, cx));
        }
        (list.len() == array.len()).then_some(list)
    }
}

/// Reads one of a few words.
pub(crate) fn word(
    cell: &Cell<'_, '_>,
    cx: &mut Context<'_>,
    words: &[&'static str],
) -> Option<usize> {
    let text = string(cell, cx)?;
    let found = words.iter().position(|word| *word == text);
    if found.is_none() {
        let near = (!cx.is_full()).then(|| suggest::nearest(words.iter().copied(), text));
        let suggestion = near.flatten().map(|word| format!("{word:?}"));
        cx.refuse_with(cell, format!("{:?} is not a known word", printable(text)), suggestion);
    }
    found
}

/// Declares an enum each of whose values is a word of the file.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$word_meta:meta])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$word_meta])* $variant, )* }

        impl $name {
            /// The words of the file, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[ $( $word ),* ];
            /// All values.
            pub const ALL: &'static [Self] = &[ $( Self::$variant ),* ];

            /// The word of the file.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word ),* }
            }
        }

        impl $crate::value::Value for $name {
            fn read(
                cell: &$crate::read::Cell<'_, '_>,
                cx: &mut $crate::read::Context<'_>,
            ) -> Option<Self> {
                $crate::value::word(cell, cx, Self::WORDS).map(|index| Self::ALL[index])
            }
        }
    };
}
pub(crate) use choice;
