//! Durations and sizes as text: `"30s"`, `"64MiB"`.
//!
//! The parsers are `const`, so the bounds and defaults of the key table are written in the same
//! notation as a configuration file and a misspelt one does not compile. A bare number is never a
//! duration or a size: whoever writes `30` may have meant seconds, minutes or milliseconds.

use std::fmt;
use std::time::Duration;

/// Units of a duration, smallest first, with their length in milliseconds.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Units of a size with their length in bytes: binary ones first, then decimal ones.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of this many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Reads a size as a configuration file has it: `64MiB`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = |error: QuantityError| {
            format!("{}; the units are {}", error.problem(text), size_units())
        };
        parse_size(text).map(Self).map_err(known)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes for an index or a capacity; the largest possible one where it does not
    /// fit.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = &SIZE_UNITS[1..5];
        for (unit, length) in binary.iter().rev() {
            if self.0 >= *length && self.0.is_multiple_of(*length) {
                return write!(f, "{}{unit}", self.0 / length);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Reads a duration as a configuration file has it: `30s`.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let known = |error: QuantityError| {
        format!("{}; the units are {}", error.problem(text), duration_units())
    };
    parse_duration_ms(text).map(Duration::from_millis).map_err(known)
}

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuantityError {
    /// It does not begin with a digit.
    NoNumber,
    /// Digits without a unit.
    NoUnit,
    /// Something follows the digits that is not a unit.
    UnknownUnit,
    /// More than 64 bits hold.
    TooLarge,
}

impl QuantityError {
    /// What to tell the operator about `text`.
    pub(crate) fn problem(self, text: &str) -> String {
        match self {
            Self::NoNumber => format!("{text:?} does not begin with a whole number"),
            Self::NoUnit => format!("{text:?} has no unit"),
            Self::UnknownUnit => format!("{text:?} has a unit that is not known"),
            Self::TooLarge => format!("{text:?} is too large"),
        }
    }
}

/// The names of the units of a duration.
pub(crate) fn duration_units() -> String {
    names(DURATION_UNITS)
}

/// The names of the units of a size.
pub(crate) fn size_units() -> String {
    names(SIZE_UNITS)
}

fn names(units: &[(&str, u64)]) -> String {
    units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Reads `"30s"` as milliseconds.
pub(crate) const fn parse_duration_ms(text: &str) -> Result<u64, QuantityError> {
    parse_quantity(text.as_bytes(), DURATION_UNITS)
}

/// Reads `"64KiB"` as bytes.
pub(crate) const fn parse_size(text: &str) -> Result<u64, QuantityError> {
    parse_quantity(text.as_bytes(), SIZE_UNITS)
}

/// A duration known to be well formed: for the key table.
pub(crate) const fn duration_ms(text: &str) -> u64 {
    match parse_duration_ms(text) {
        Ok(ms) => ms,
        Err(_) => panic!("a bound of the key table is not a duration"),
    }
}

/// A size known to be well formed: for the key table.
pub(crate) const fn size_bytes(text: &str) -> u64 {
    match parse_size(text) {
        Ok(bytes) => bytes,
        Err(_) => panic!("a bound of the key table is not a size"),
    }
}

const fn parse_quantity(text: &[u8], units: &[(&str, u64)]) -> Result<u64, QuantityError> {
    let mut number: u64 = 0;
    let mut at = 0;
    while at < text.len() && text[at].is_ascii_digit() {
        let Some(shifted) = number.checked_mul(10) else { return Err(QuantityError::TooLarge) };
        let Some(sum) = shifted.checked_add((text[at] - b'0') as u64) else {
            return Err(QuantityError::TooLarge);
        };
        number = sum;
        at += 1;
    }
    if at == 0 {
        return Err(QuantityError::NoNumber);
    }
    let (_, unit) = text.split_at(at);
    if unit.is_empty() {
        return Err(QuantityError::NoUnit);
    }
    let mut index = 0;
    while index < units.len() {
        if same(unit, units[index].0.as_bytes()) {
            return match number.checked_mul(units[index].1) {
                Some(product) => Ok(product),
                None => Err(QuantityError::TooLarge),
            };
        }
        index += 1;
    }
    Err(QuantityError::UnknownUnit)
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every unit counts what its name says.
    #[test]
    fn units_are_read() {
        assert_eq!(parse_duration_ms("0s"), Ok(0));
        assert_eq!(parse_duration_ms("500ms"), Ok(500));
        assert_eq!(parse_duration_ms("5m"), Ok(300_000));
        assert_eq!(parse_duration_ms("2h"), Ok(7_200_000));
        assert_eq!(parse_duration_ms("7d"), parse_duration_ms("1w"));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("64kB"), Ok(64_000));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("2TB"), Ok(2_000_000_000_000));
    }

    /// Text that could be read in two ways is refused.
    #[test]
    fn what_is_not_a_quantity_is_refused() {
        assert_eq!(parse_duration_ms("30"), Err(QuantityError::NoUnit));
        assert_eq!(parse_duration_ms("s"), Err(QuantityError::NoNumber));
        assert_eq!(parse_duration_ms("-1s"), Err(QuantityError::NoNumber));
        assert_eq!(parse_duration_ms("1.5s"), Err(QuantityError::UnknownUnit));
        assert_eq!(parse_duration_ms("30 s"), Err(QuantityError::UnknownUnit));
        assert_eq!(parse_duration_ms("99999999999999999999s"), Err(QuantityError::TooLarge));
        assert_eq!(parse_duration_ms("18446744073709551615w"), Err(QuantityError::TooLarge));
        assert_eq!(parse_size("64K"), Err(QuantityError::UnknownUnit));
        assert_eq!(parse_size("64kib"), Err(QuantityError::UnknownUnit));
        assert_eq!(parse_size(""), Err(QuantityError::NoNumber));
    }

    /// Outside a file the same notation holds, and an error says what would do.
    #[test]
    fn quantities_are_read_outside_a_file() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(ByteSize::parse("1MiB"), Ok(ByteSize::new(1 << 20)));
        assert!(duration("10").is_err_and(|why| why.ends_with("ms, s, m, h, d, w")));
        assert!(ByteSize::parse("x").is_err());
    }

    /// A size is shown in the largest binary unit that divides it.
    #[test]
    fn sizes_are_shown_with_a_unit() {
        assert_eq!(ByteSize::new(256 << 20).to_string(), "256MiB");
        assert_eq!(ByteSize::new(1000).to_string(), "1000B");
        assert_eq!(ByteSize::new(0).to_string(), "0B");
    }
}
