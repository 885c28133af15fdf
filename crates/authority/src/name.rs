//! Domain names, in wire form and lowercase (RFC 1035 3.1, RFC 4343).
//!
//! Zones and questions are compared in this form. How a question was spelled is kept by whoever
//! answers it, in the packet; how a zone file spelled a name is not kept.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// Bytes of a name at most, the root's included.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Bytes of a label at most.
pub(crate) const LABEL_BYTES_MAX: usize = 63;

/// A name: labels with a length before each, ASCII letters lowercase, the root's zero byte last.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

/// Why something is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A label is empty.
    Empty,
    /// A label has more than 63 bytes.
    LongLabel,
    /// The name has more than 255 bytes.
    Long,
    /// A backslash is followed by neither a character nor three digits up to 255.
    Escape,
    /// The bytes are not whole labels that end with the root, or hold a pointer.
    Wire,
}

impl Name {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Reads a name as a master file writes it (RFC 1035 5.1): `\.` and `\DDD` escape, `@` is the
    /// origin, and what does not end with a dot is below the origin.
    pub fn from_text(text: &str, origin: &Self) -> Result<Self, NameError> {
        match text {
            "@" => return Ok(origin.clone()),
            "." => return Ok(Self::root()),
            _ => {}
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label_at = 0;
        wire.push(0);
        let mut bytes = text.bytes();
        let mut is_absolute = false;
        while let Some(byte) = bytes.next() {
            is_absolute = false;
            match byte {
                b'.' => {
                    end_label(&mut wire, label_at)?;
                    label_at = wire.len();
                    wire.push(0);
                    is_absolute = true;
                }
                b'\\' => wire.push(unescape(&mut bytes)?.to_ascii_lowercase()),
                byte => wire.push(byte.to_ascii_lowercase()),
            }
        }
        if !is_absolute {
            end_label(&mut wire, label_at)?;
            wire.extend_from_slice(&origin.0);
        }
        if wire.len() > NAME_BYTES_MAX { Err(NameError::Long) } else { Ok(Self(wire.into())) }
    }

    /// Takes a name in wire form, without pointers; it must be all there is.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        if wire.len() > NAME_BYTES_MAX {
            return Err(NameError::Long);
        }
        let mut at = 0;
        loop {
            match wire.get(at).copied().map(usize::from) {
                Some(0) if at + 1 == wire.len() => {
                    return Ok(Self(wire.to_ascii_lowercase().into()));
                }
                Some(bytes @ 1..=LABEL_BYTES_MAX) => at += 1 + bytes,
                _ => return Err(NameError::Wire),
            }
        }
    }

    /// The wire form.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels, leftmost first, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(&self.0)
    }

    /// The name one label up; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        parent(&self.0).map(|wire| Self(wire.into()))
    }

    /// The name with one more label on its left.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        match label.len() {
            0 => return Err(NameError::Empty),
            1..=LABEL_BYTES_MAX => {}
            _ => return Err(NameError::LongLabel),
        }
        if 1 + label.len() + self.0.len() > NAME_BYTES_MAX {
            return Err(NameError::Long);
        }
        let mut wire = vec![label.len() as u8];
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
        wire.extend_from_slice(&self.0);
        Ok(Self(wire.into()))
    }

    /// Which of two names is first in the order of RFC 4034 6.1: by labels, the root's first.
    #[must_use]
    pub fn canonical_cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (LabelStarts::of(&self.0), LabelStarts::of(&other.0));
        mine.labels_from_root(&self.0).cmp(theirs.labels_from_root(&other.0))
    }

    /// Whether this name is `other` or below it.
    #[must_use]
    pub fn is_in(&self, other: &Self) -> bool {
        let mut rest: &[u8] = &self.0;
        loop {
            if rest == &*other.0 {
                return true;
            }
            match parent(rest) {
                Some(up) => rest = up,
                None => return false,
            }
        }
    }
}

/// Labels of a name at most, the root's not counted.
pub(crate) const LABELS_MAX: usize = 127;

/// Where the labels of a name begin.
struct LabelStarts {
    starts: [u8; LABELS_MAX],
    count: usize,
}

impl LabelStarts {
    /// Of a name in wire form.
    fn of(wire: &[u8]) -> Self {
        let mut found = Self { starts: [0; LABELS_MAX], count: 0 };
        let mut at = 0;
        for (label, start) in labels(wire).zip(&mut found.starts) {
            *start = at as u8;
            at += 1 + label.len();
            found.count += 1;
        }
        found
    }

    fn labels_from_root<'name>(&self, wire: &'name [u8]) -> impl Iterator<Item = &'name [u8]> {
        let starts = self.starts[..self.count].iter().rev();
        starts.map(|start| labels(&wire[usize::from(*start)..]).next().unwrap_or_default())
    }
}

/// The labels of a name in wire form, leftmost first, without the root's.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let bytes = usize::from(*rest.first()?);
        let label = rest.get(1..=bytes).filter(|label| !label.is_empty())?;
        rest = &rest[1 + bytes..];
        Some(label)
    })
}

/// The name one label up, in wire form; `None` for the root.
pub(crate) fn parent(wire: &[u8]) -> Option<&[u8]> {
    match wire.first().copied().map(usize::from) {
        None | Some(0) => None,
        Some(bytes) => wire.get(1 + bytes..),
    }
}

/// The bytes of the name that something in wire form begins with; `None`: it begins with none.
pub(crate) fn wire_len(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match usize::from(*wire.get(at)?) {
            0 => return (at < NAME_BYTES_MAX).then_some(at + 1),
            bytes @ 1..=LABEL_BYTES_MAX => at += 1 + bytes,
            _ => return None,
        }
    }
}

/// Writes a name in wire form as a master file does.
pub(crate) fn write_wire(wire: &[u8], f: &mut impl fmt::Write) -> fmt::Result {
    if wire.len() == 1 {
        return f.write_str(".");
    }
    for label in labels(wire) {
        for byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => {
                    write!(f, "\\{}", *byte as char)?;
                }
                0x21..=0x7e => write!(f, "{}", *byte as char)?,
                other => write!(f, "\\{other:03}")?,
            }
        }
        f.write_str(".")?;
    }
    Ok(())
}

fn end_label(wire: &mut [u8], label_at: usize) -> Result<(), NameError> {
    let bytes = wire.len() - label_at - 1;
    match bytes {
        0 => Err(NameError::Empty),
        1..=LABEL_BYTES_MAX => {
            wire[label_at] = bytes as u8;
            Ok(())
        }
        _ => Err(NameError::LongLabel),
    }
}

/// What stands behind a backslash.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut number = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::Escape)?;
        number = number * 10 + u16::from(digit - b'0');
    }
    u8::try_from(number).map_err(|_| NameError::Escape)
}

/// So that a map of names can be asked with what stands in a packet.
impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_wire(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a label of the name is empty",
            Self::LongLabel => "a label of the name has more than 63 bytes",
            Self::Long => "the name has more than 255 bytes",
            Self::Escape => "a backslash stands before a character or three digits up to 255",
            Self::Wire => "the bytes are no name",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_text(text, &Name::root()).expect("a name")
    }

    #[test]
    fn text_is_read_below_its_origin_and_without_case() {
        let origin = name("CDN.example.");
        assert_eq!(Name::from_text("Shop", &origin), Ok(name("shop.cdn.example.")));
        assert_eq!(Name::from_text("@", &origin), Ok(origin.clone()));
        assert_eq!(Name::from_text("a.b.", &origin), Ok(name("a.b")));
        assert_eq!(Name::from_text(r"a\.b\065", &origin), origin.child(b"a.ba"));
        for (text, error) in [
            ("a..b", NameError::Empty),
            (".a", NameError::Empty),
            (r"a\", NameError::Escape),
            (r"a\300", NameError::Escape),
            (r"a\12", NameError::Escape),
        ] {
            assert_eq!(Name::from_text(text, &origin), Err(error), "{text}");
        }
        assert_eq!(Name::from_text(&"a".repeat(64), &origin), Err(NameError::LongLabel));
        assert_eq!(Name::from_text(&"a.".repeat(128), &origin), Err(NameError::Long));
    }

    #[test]
    fn a_name_is_in_itself_and_in_what_is_above_it() {
        let (zone, below) = (name("cdn.example."), name("a.cdn.example."));
        assert!(zone.is_in(&zone) && below.is_in(&zone) && below.is_in(&Name::root()));
        assert!(!zone.is_in(&below) && !name("xcdn.example.").is_in(&zone));
        assert_eq!(below.parent(), Some(zone));
        assert_eq!(Name::root().parent(), None);
    }

    #[test]
    fn names_are_in_the_order_of_rfc_4034() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        assert!(sorted.map(name).is_sorted_by(|a, b| a.canonical_cmp(b).is_lt()));
        assert_eq!(
            name(&"a.".repeat(127)).canonical_cmp(&name(&"a.".repeat(127))),
            Ordering::Equal
        );
        assert!(Name::root().canonical_cmp(&name("a.")).is_lt());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_name_or_none(wire in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(read) = Name::from_wire(&wire) {
                prop_assert_eq!(Name::from_text(&read.to_string(), &Name::root()), Ok(read));
            }
        }

        #[test]
        fn any_text_is_a_name_or_none(text in ".{0,300}") {
            if let Ok(read) = Name::from_text(&text, &Name::root()) {
                prop_assert_eq!(Name::from_wire(read.as_wire()), Ok(read));
            }
        }
    }
}
