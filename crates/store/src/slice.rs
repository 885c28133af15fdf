//! Slices of bodies that are stored one by one: how a slice is named, and what is kept of it.
//!
//! A body of this form is never held as a whole: each slice of `SLICE_BYTES` has a place of its own
//! in the memory tier and on disk, under a key made from the body and the slice's number. What is
//! present is what is found there; nothing else says what is present, so nothing can lie about it.
//! What is kept of a slice is one contiguous piece, usually all of it: a part of the body may begin
//! or end anywhere (RFC 9110 14), and two pieces that touch become one (RFC 9111 3.4).
//!
//! | bytes of a record | what |
//! |---|---|
//! | 16 | the body, little-endian |
//! | 8 | number of the slice |
//! | 4 | where in the slice the piece begins |
//! | 4 | its length |
//! | n | its bytes |

use bytes::{BufMut, Bytes, BytesMut};
use selvedge_policy::{Key, KeySeed};

use crate::body::SLICE_BYTES;
use crate::disk::{POOLED_BYTES_MIN, POOLED_STEP_BYTES};
use crate::head::{ALLOCATION, BodyId};

/// A slice of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SliceId {
    /// The body.
    pub body: BodyId,
    /// Which slice, from 0.
    pub index: u64,
}

impl SliceId {
    /// The slice that holds a byte of a body.
    pub fn holding(body: BodyId, offset: u64) -> Self {
        Self { body, index: offset / SLICE_BYTES as u64 }
    }

    /// Offset of its first byte in the body.
    pub fn first(self) -> u64 {
        self.index.saturating_mul(SLICE_BYTES as u64)
    }

    /// Under what it is stored. Bodies are named by numbers nobody can foresee, so the hash needs
    /// no secret.
    pub(crate) fn key(self) -> Key {
        let mut name = [0; 24];
        name[..16].copy_from_slice(&self.body.0.to_le_bytes());
        name[16..].copy_from_slice(&self.index.to_le_bytes());
        KeySeed::new(*b"selvedge slices\0").hash(&name)
    }
}

/// What is stored of one slice. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    id: SliceId,
    start: usize,
    bytes: Bytes,
}

/// Length of what a record of a piece begins with, in bytes.
pub(crate) const PIECE_HEADER_BYTES: u32 = 32;

impl Piece {
    /// The bytes from `start` on of a slice; `None` if they are none or go beyond it.
    pub fn new(id: SliceId, start: usize, bytes: Bytes) -> Option<Self> {
        let end = start.checked_add(bytes.len())?;
        (start < end && end <= SLICE_BYTES).then_some(Self { id, start, bytes })
    }

    /// Whose it is.
    pub fn id(&self) -> SliceId {
        self.id
    }

    /// Where in the body it begins.
    pub fn first(&self) -> u64 {
        self.id.first() + self.start as u64
    }

    /// Where in the body it has ended.
    pub fn end(&self) -> u64 {
        self.first() + self.bytes.len() as u64
    }

    /// Its bytes from this offset of the body on; `None` if that one is not in it.
    pub fn from(&self, offset: u64) -> Option<Bytes> {
        let skip = offset.checked_sub(self.first())?;
        let skip = usize::try_from(skip).ok().filter(|skip| *skip < self.bytes.len())?;
        Some(self.bytes.slice(skip..))
    }

    /// Both in one if they touch or overlap (of the bytes that both have, these count); else the
    /// longer one.
    pub(crate) fn merged(self, other: &Self) -> Self {
        if self.id != other.id {
            return self;
        }
        let (mine, theirs) = (self.start + self.bytes.len(), other.start + other.bytes.len());
        if self.start > theirs || other.start > mine {
            return if self.bytes.len() >= other.bytes.len() { self } else { other.clone() };
        }
        if self.start <= other.start && mine >= theirs {
            return self;
        }
        let start = self.start.min(other.start);
        let mut bytes = BytesMut::with_capacity(mine.max(theirs) - start);
        bytes.extend_from_slice(&other.bytes[..self.start.saturating_sub(other.start)]);
        bytes.extend_from_slice(&self.bytes);
        bytes.extend_from_slice(&other.bytes[other.bytes.len() - theirs.saturating_sub(mine)..]);
        Self { start, bytes: bytes.freeze(), ..self }
    }

    /// Memory that it holds.
    pub(crate) fn cost(&self) -> usize {
        // One that was read from disk keeps the buffer that it was read into.
        let room = if self.bytes.len() < POOLED_BYTES_MIN { 0 } else { POOLED_STEP_BYTES };
        size_of::<Self>() + self.bytes.len() + room + 3 * ALLOCATION
    }

    /// What it is written as.
    pub(crate) fn payload(&self) -> Vec<Bytes> {
        vec![self.header(), self.bytes.clone()]
    }

    /// The piece that is written so; `None` if it is not one of this slice.
    pub(crate) fn from_payload(id: SliceId, payload: &[Bytes]) -> Option<Self> {
        let [header, bytes] = payload else { return None };
        let range = Self::read_header(id, header).filter(|range| range.len() == bytes.len())?;
        Self::new(id, range.start, bytes.clone())
    }

    /// The piece that a record holds; `None` if it is not one of this slice.
    pub(crate) fn from_record(id: SliceId, record: &Bytes) -> Option<Self> {
        let header = record.get(..PIECE_HEADER_BYTES as usize)?;
        Self::from_payload(id, &[record.slice_ref(header), record.slice(header.len()..)])
    }

    /// What a record of it begins with.
    pub(crate) fn header(&self) -> Bytes {
        let mut header = BytesMut::with_capacity(PIECE_HEADER_BYTES as usize);
        header.put_u128_le(self.id.body.0);
        header.put_u64_le(self.id.index);
        header.put_u32_le(self.start as u32);
        header.put_u32_le(self.bytes.len() as u32);
        header.freeze()
    }

    /// Which bytes of the slice a record holds, by its header; `None` if it is not about this slice
    /// or makes no sense.
    pub(crate) fn read_header(id: SliceId, header: &[u8]) -> Option<std::ops::Range<usize>> {
        let (body, rest) = header.split_first_chunk::<16>()?;
        let (index, rest) = rest.split_first_chunk::<8>()?;
        let (start, rest) = rest.split_first_chunk::<4>()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        let of =
            SliceId { body: BodyId(u128::from_le_bytes(*body)), index: u64::from_le_bytes(*index) };
        let start = usize::try_from(u32::from_le_bytes(*start)).ok()?;
        let end = start.checked_add(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        (of == id && start < end && end <= SLICE_BYTES).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain() -> Bytes {
        (0..1000_usize).map(|i| (i % 251) as u8).collect::<Vec<_>>().into()
    }

    fn piece(id: SliceId, range: std::ops::Range<usize>) -> Piece {
        Piece::new(id, range.start, plain().slice(range)).expect("inside a slice")
    }

    proptest! {
        /// What two pieces of the same bytes become holds nothing but those bytes in their place,
        /// and all of both if they touch.
        #[test]
        fn pieces_that_touch_become_one(
            a in 0usize..900, b in 1usize..100, c in 0usize..900, d in 1usize..100,
        ) {
            let id = SliceId { body: BodyId::fresh(), index: 7 };
            let (one, other) = (piece(id, a..a + b), piece(id, c..c + d));
            let merged = one.clone().merged(&other);
            let there = merged.start..merged.start + merged.bytes.len();
            prop_assert_eq!(&merged.bytes[..], &plain()[there]);
            if a <= c + d && c <= a + b {
                let (first, end) = (one.first().min(other.first()), one.end().max(other.end()));
                prop_assert_eq!((merged.first(), merged.end()), (first, end));
            } else {
                prop_assert_eq!(merged.bytes.len(), b.max(d));
            }
        }

        #[test]
        fn a_header_is_read_back_and_any_other_bytes_are_bounded(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), start in 0usize..900,
        ) {
            let id = SliceId { body: BodyId::fresh(), index: 3 };
            let piece = piece(id, start..start + 100);
            prop_assert_eq!(Piece::read_header(id, &piece.header()), Some(start..start + 100));
            prop_assert_eq!(Piece::from_payload(id, &piece.payload()), Some(piece.clone()));
            let record = piece.payload().concat().into();
            prop_assert_eq!(Piece::from_record(id, &record), Some(piece.clone()));
            let next = SliceId { index: 4, ..id };
            prop_assert_eq!(Piece::read_header(next, &piece.header()), None);
            let read = Piece::read_header(id, &bytes);
            prop_assert!(read.is_none_or(|range| range.end <= SLICE_BYTES));
        }
    }

    #[test]
    fn a_piece_stays_inside_its_slice_and_gives_what_it_has() {
        let id = SliceId { body: BodyId::fresh(), index: 2 };
        assert_eq!(Piece::new(id, 0, Bytes::new()), None);
        assert_eq!(Piece::new(id, SLICE_BYTES - 9, Bytes::from_static(&[0; 10])), None);
        let piece = piece(id, 100..200);
        let first = 2 * SLICE_BYTES as u64 + 100;
        assert_eq!((piece.first(), piece.end()), (first, first + 100));
        assert_eq!(piece.from(first + 90), Some(plain().slice(190..200)));
        assert_eq!((piece.from(first - 1), piece.from(first + 100)), (None, None));
        assert_eq!(SliceId::holding(id.body, first), id);
    }

    #[test]
    fn every_slice_of_every_body_has_its_own_key() {
        let (one, other) = (BodyId::fresh(), BodyId::fresh());
        let ids = [(one, 0), (one, 1), (other, 0), (other, 1)];
        let mut keys = ids.map(|(body, index)| SliceId { body, index }.key()).to_vec();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 4);
    }
}
