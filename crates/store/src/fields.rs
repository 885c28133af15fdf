//! The fields of a stored message: one run of bytes, as small in memory as on disk.
//!
//! Most answers only copy the fields out, and many are read back from disk for one answer alone, so
//! a map is made of them when somebody asks for one. When it was made at once, twice, a hit of
//! 1 KiB from disk took 46,500 instructions, a quarter of them for the maps; now 29,700
//! (callgrind).
//!
//! For each field: 2 bytes length of the name, the name in lower case, 4 bytes length of the value,
//! the value, 1 byte whether it is sensitive. Lengths are little-endian.

use std::ops::Deref;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use selvedge_policy::is_token_byte;

/// What a field takes beside its name and value.
const FIELD_BYTES: usize = 2 + 4 + 1;

/// Fields in memory of their own, apart from the network's buffers. Read as a `HeaderMap`, which is
/// made at the first reading, or as they are by [`Fields::lines`].
#[derive(Debug, Default)]
pub struct Fields {
    raw: Bytes,
    count: usize,
    map: OnceLock<Box<HeaderMap>>,
}

impl Fields {
    /// A copy of these fields. Left out are names that the library takes and RFC 9110 5.1 does not,
    /// and what is too long for this form (64 KiB of name, 4 GiB of value): no such head is read.
    pub(crate) fn of<'a>(
        fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Self {
        let (mut raw, mut count) = (Vec::with_capacity(512), 0);
        for (name, value) in fields {
            let name = name.as_str().as_bytes();
            let lengths = (u16::try_from(name.len()), u32::try_from(value.len()));
            let (Ok(name_length), Ok(value_length)) = lengths else { continue };
            if !is_name(name) {
                continue;
            }
            raw.reserve(FIELD_BYTES + name.len() + value.len());
            raw.extend_from_slice(&name_length.to_le_bytes());
            raw.extend_from_slice(name);
            raw.extend_from_slice(&value_length.to_le_bytes());
            raw.extend_from_slice(value.as_bytes());
            raw.push(u8::from(value.is_sensitive()));
            count += 1;
        }
        // Boxed: without room to spare, and without a counter of its own while nobody shares it.
        Self { raw: raw.into_boxed_slice().into(), count, map: OnceLock::new() }
    }

    /// Takes so many fields from the front of some bytes; `keep` gives them memory. `None` if those
    /// are anything else than what this type writes.
    pub(crate) fn take(
        bytes: &mut &[u8],
        count: usize,
        keep: impl FnOnce(&[u8]) -> Bytes,
    ) -> Option<Self> {
        let mut lines = Lines(bytes);
        for _ in 0..count {
            lines.take().filter(|(name, value, _)| is_name(name) && is_value(value))?;
        }
        let (raw, rest) = bytes.split_at_checked(bytes.len() - lines.0.len())?;
        *bytes = rest;
        Some(Self { raw: keep(raw), count, map: OnceLock::new() })
    }

    /// Their bytes.
    pub(crate) fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Names and values in their order, without a map. Names are in lower case; neither has bytes
    /// that could end a line.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut lines = Lines(&self.raw);
        std::iter::from_fn(move || lines.take().map(|(name, value, _)| (name, value)))
    }

    /// The first value of a field, without a map. The name must be in lower case.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.lines().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }

    /// Memory that they hold, with the map that may be made of them.
    pub(crate) fn cost(&self) -> usize {
        const BUCKET: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 16;
        const INDEX: usize = 8;
        self.raw.len() + self.count * BUCKET + (2 * self.count).next_power_of_two() * INDEX
    }

    /// Bytes of names and values.
    pub(crate) fn text_bytes(&self) -> usize {
        self.raw.len() - self.count * FIELD_BYTES
    }

    fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.count);
        let mut lines = Lines(&self.raw);
        while let Some((name, value, is_sensitive)) = lines.take() {
            let name = HeaderName::from_lowercase(name);
            let value = HeaderValue::from_maybe_shared(self.raw.slice_ref(value));
            // Both were such when they came in, and a map takes more fields than a head may have.
            if let (Ok(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(is_sensitive);
                let _ = map.try_append(name, value);
            }
        }
        map
    }
}

impl Deref for Fields {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        self.map.get_or_init(|| Box::new(self.to_map()))
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone(), count: self.count, map: OnceLock::new() }
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// What is left of fields in their form.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    /// The next field; `None` at the end, or where the bytes are no field.
    fn take(&mut self) -> Option<(&'a [u8], &'a [u8], bool)> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        let (is_sensitive, rest) = rest.split_first()?;
        if *is_sensitive > 1 {
            return None;
        }
        self.0 = rest;
        Some((name, value, *is_sensitive == 1))
    }
}

/// A field name in lower case (RFC 9110 5.1).
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().fold(true, |all, byte| all & NAME_BYTES[usize::from(*byte)])
}

/// A field value (RFC 9110 5.5), as `HeaderValue` takes it.
fn is_value(value: &[u8]) -> bool {
    value.iter().fold(true, |all, byte| all & ((*byte >= b' ' && *byte != 127) | (*byte == b'\t')))
}

const NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        bytes[byte as usize] = is_token_byte(byte) && !byte.is_ascii_uppercase();
        byte += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Heads come as views of a read buffer; what is kept must not pin it.
    #[test]
    fn stored_fields_own_their_memory_and_come_back_the_same() {
        let buffer = Bytes::from(vec![b'v'; 400_000]);
        let mut parsed = HeaderMap::new();
        for (index, name) in ["a", "b", "b", "c"].into_iter().enumerate() {
            let view = buffer.slice(index * 50..(index + 1) * 50);
            let mut value = HeaderValue::from_maybe_shared(view).expect("valid");
            value.set_sensitive(index == 1);
            parsed.append(name, value);
        }
        let kept = Fields::of(&parsed);
        assert_eq!((&*kept, kept.count()), (&parsed, 4));
        for value in kept.values() {
            assert!(!buffer.as_ptr_range().contains(&value.as_bytes().as_ptr()));
        }
        assert!(kept.get_all("b").iter().next().is_some_and(HeaderValue::is_sensitive));
        let names: Vec<&[u8]> = kept.lines().map(|(name, _)| name).collect();
        assert_eq!(names, [b"a", b"b", b"b", b"c"]);
        assert_eq!((kept.first("c"), kept.first("d")), (Some(&buffer[..50]), None));
        let mut rest = &kept.raw()[..];
        assert_eq!(Fields::take(&mut rest, 4, Bytes::copy_from_slice).as_ref(), Some(&kept));
        assert_eq!(rest, b"");
        assert_eq!(Fields::take(&mut &kept.raw()[..], 5, Bytes::copy_from_slice), None);
    }

    proptest! {
        /// What is taken for fields is fields to the library too: a map has all of them.
        #[test]
        fn any_bytes_are_fields_or_none(
            name in proptest::collection::vec(any::<u8>(), 0..4),
            value in proptest::collection::vec(any::<u8>(), 0..4),
            cut in 0usize..16,
        ) {
            let mut raw = vec![name.len() as u8, 0];
            raw.extend_from_slice(&name);
            raw.extend_from_slice(&[value.len() as u8, 0, 0, 0]);
            raw.extend_from_slice(&value);
            raw.push(0);
            let is_field = is_name(&name) && HeaderValue::from_bytes(&value).is_ok();
            prop_assert!(!is_field || HeaderName::from_lowercase(&name).is_ok());
            let read = |raw: &[u8]| Fields::take(&mut &raw[..], 1, Bytes::copy_from_slice);
            let whole = read(&raw);
            prop_assert_eq!(whole.is_some(), is_field);
            prop_assert_eq!(whole.map_or(0, |fields| fields.len()), usize::from(is_field));
            raw.truncate(cut.min(raw.len() - 1));
            prop_assert_eq!(read(&raw), None);
        }
    }
}
