//! The body of a stored object: slices of one megabyte that many readers share.
//!
//! It is held whole, or its slices are stored one by one under names of their own (`slice.rs`) and
//! the body is but the name they are found by. A body never changes once built. All slices but the
//! last are exactly `SLICE_BYTES` long, so that the slice that holds an offset is found by
//! division, here and on disk. A slice owns its bytes alone: it must never pin the buffer of a
//! connection.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::head::BodyId;

/// Length of every slice of a body but the last, in bytes.
pub const SLICE_BYTES: usize = 1 << 20;

/// What a `Bytes` costs beside its payload: itself, its counter and the allocator's overhead.
const SLICE_COST: usize = size_of::<Bytes>() + 48;

/// A body: all of it in memory, or slices that are stored one by one. Cloning costs one counter.
#[derive(Clone, Debug, Default)]
pub struct Body {
    slices: Slices,
    length: u64,
}

#[derive(Clone, Debug, Default)]
enum Slices {
    #[default]
    Empty,
    One(Bytes),
    Many(Arc<[Bytes]>),
    /// Not held here: each slice is looked for by its name (`slice.rs`).
    Apart(BodyId),
}

impl Body {
    /// A body of ready slices; all but the last must be `SLICE_BYTES` long.
    pub(crate) fn from_slices(slices: Vec<Bytes>) -> Self {
        let (last, full) = match slices.split_last() {
            Some((last, full)) => (last.len(), full),
            None => return Self::default(),
        };
        assert!(full.iter().all(|s| s.len() == SLICE_BYTES) && (1..=SLICE_BYTES).contains(&last));
        let length = (full.len() * SLICE_BYTES + last) as u64;
        let slices = match <[Bytes; 1]>::try_from(slices) {
            Ok([one]) => Slices::One(one),
            Err(many) => Slices::Many(many.into()),
        };
        Self { slices, length }
    }

    /// A body that owns a copy of `bytes`, for callers that have all of it at once.
    pub fn copied(bytes: &[u8]) -> Self {
        Self::from_slices(bytes.chunks(SLICE_BYTES).map(Bytes::copy_from_slice).collect())
    }

    /// A body whose slices are stored one by one; nobody knows which of them are there.
    pub(crate) fn apart(id: BodyId, length: u64) -> Self {
        Self { slices: Slices::Apart(id), length }
    }

    /// By what its slices are looked for, if they are stored one by one.
    pub fn sliced(&self) -> Option<BodyId> {
        match self.slices {
            Slices::Apart(id) => Some(id),
            Slices::Empty | Slices::One(_) | Slices::Many(_) => None,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The whole body when it is one slice: the common small object, without an iterator.
    pub fn single(&self) -> Option<&Bytes> {
        match &self.slices {
            Slices::One(bytes) => Some(bytes),
            Slices::Empty | Slices::Many(_) | Slices::Apart(_) => None,
        }
    }

    /// The bytes of `range` (clamped to the body), in order, cut at slice borders. None of a body
    /// that is not held here: ask [`Body::sliced`] first.
    pub fn slices(&self, range: Range<u64>) -> BodySlices {
        let end = range.end.min(self.length);
        BodySlices { body: self.clone(), next: range.start.min(end), end }
    }

    /// All bytes in order.
    pub fn all(&self) -> BodySlices {
        self.slices(0..self.length)
    }

    /// Memory that this body holds, bookkeeping included.
    pub(crate) fn cost(&self) -> usize {
        self.parts().iter().map(|slice| slice.len() + SLICE_COST).sum()
    }

    pub(crate) fn parts(&self) -> &[Bytes] {
        match &self.slices {
            Slices::Empty | Slices::Apart(_) => &[],
            Slices::One(bytes) => std::slice::from_ref(bytes),
            Slices::Many(slices) => slices,
        }
    }
}

/// The slices of a range of a body, each a cheap view. Owns what it reads.
#[derive(Clone, Debug)]
pub struct BodySlices {
    body: Body,
    next: u64,
    end: u64,
}

impl BodySlices {
    /// Bytes not yet yielded.
    pub fn remaining(&self) -> u64 {
        self.end - self.next
    }
}

impl Iterator for BodySlices {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.next == self.end {
            return None;
        }
        let slice = self.body.parts().get((self.next / SLICE_BYTES as u64) as usize)?;
        let from = (self.next % SLICE_BYTES as u64) as usize;
        let until = slice.len().min(from + usize::try_from(self.remaining()).unwrap_or(usize::MAX));
        self.next += (until - from) as u64;
        Some(slice.slice(from..until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i % 251) as u8).collect()
    }

    fn joined(slices: BodySlices) -> Vec<u8> {
        slices.flat_map(Vec::from).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        /// Any range of any body equals the same range of the plain bytes.
        #[test]
        fn a_range_of_a_body_is_the_same_range_of_its_bytes(
            length in 0usize..3 * SLICE_BYTES + 2, a in 0u64..4 << 20, b in 0u64..4 << 20,
        ) {
            let plain = pattern(length);
            let body = Body::copied(&plain);
            let range = a.min(b)..a.max(b);
            let clamped = (range.start as usize).min(length)..(range.end as usize).min(length);
            prop_assert_eq!(body.slices(range.clone()).remaining(), clamped.len() as u64);
            prop_assert_eq!(&joined(body.slices(range))[..], &plain[clamped]);
        }
    }

    #[test]
    fn an_empty_body_has_no_slices() {
        let body = Body::copied(&[]);
        assert!(body.is_empty() && body.single().is_none());
        assert_eq!(body.all().next(), None);
    }

    #[test]
    fn a_body_of_one_slice_is_given_without_iteration() {
        let body = Body::copied(&pattern(SLICE_BYTES));
        assert_eq!(body.single().map(Bytes::len), Some(SLICE_BYTES));
        assert!(Body::copied(&pattern(SLICE_BYTES + 1)).single().is_none());
    }
}
