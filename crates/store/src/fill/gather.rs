//! How the chunks of a growing body become slices.
//!
//! A chunk is shown to the readers at once, as it came; it often is a small view of a large network
//! buffer. Stored slices must own exactly their bytes, and a million chunks of one byte must not
//! become a million allocations. So the tail of the body (what is not a whole slice yet) is merged
//! like digits of a counter: sixty-four neighbours of one rank become one piece of the next rank,
//! and a tail of `SLICE_BYTES` becomes a slice. Chunks of the usual 8-64 KiB are copied once.

use bytes::Bytes;

use crate::body::SLICE_BYTES;

/// Neighbours of equal rank that are merged.
const RADIX: usize = 64;

/// Chunks shorter than this are copied at once, so that they do not pin a network buffer.
pub(crate) const COPY_BYTES_MAX: usize = 4096;

/// What a piece costs beside its payload.
pub(crate) const PIECE_COST: usize = 96;

#[derive(Debug)]
struct Part {
    bytes: Bytes,
    rank: u8,
    /// The bytes own their allocation alone.
    exact: bool,
}

/// The last `replaced` pieces of the body become the one piece `merged`.
#[derive(Debug)]
pub(crate) struct Merge {
    pub(crate) replaced: usize,
    pub(crate) merged: Bytes,
}

/// The tail of a growing body.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    tail: Vec<Part>,
    tail_bytes: usize,
}

impl Gather {
    /// Bytes that fit into the slice that is growing; a chunk is cut there.
    pub(crate) fn room(&self) -> usize {
        SLICE_BYTES - self.tail_bytes
    }

    /// Takes a chunk that fits; returns the piece to show to the readers.
    pub(crate) fn push(&mut self, chunk: Bytes) -> Bytes {
        assert!(!chunk.is_empty() && chunk.len() <= self.room());
        let exact = chunk.len() < COPY_BYTES_MAX;
        let bytes = unpinned(chunk);
        self.tail_bytes += bytes.len();
        self.tail.push(Part { bytes: bytes.clone(), rank: 0, exact });
        bytes
    }

    /// The merge that is due, if any. Call until there is none.
    pub(crate) fn merge(&mut self) -> Option<Merge> {
        if self.tail_bytes == SLICE_BYTES {
            let merge = self.merge_last(self.tail.len());
            self.tail.clear();
            self.tail_bytes = 0;
            return merge;
        }
        let rank = self.tail.last()?.rank;
        let equal = self.tail.iter().rev().take_while(|part| part.rank == rank).count();
        if equal < RADIX { None } else { self.merge_last(equal) }
    }

    /// Merges what is left into the last slice.
    pub(crate) fn finish(&mut self) -> Option<Merge> {
        self.merge_last(self.tail.len())
    }

    /// One exact piece for the last `count`; nothing to do if that is what there is.
    fn merge_last(&mut self, count: usize) -> Option<Merge> {
        let first = self.tail.len() - count;
        let parts = &self.tail[first..];
        let last = parts.last()?;
        if count == 1 && last.exact {
            return None;
        }
        let rank = last.rank + 1;
        let mut merged = Vec::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
        parts.iter().for_each(|part| merged.extend_from_slice(&part.bytes));
        let merged = Bytes::from(merged);
        self.tail.truncate(first);
        self.tail.push(Part { bytes: merged.clone(), rank, exact: true });
        Some(Merge { replaced: count, merged })
    }
}

/// The same bytes, without a large buffer behind a small view.
pub(crate) fn unpinned(chunk: Bytes) -> Bytes {
    if chunk.len() < COPY_BYTES_MAX { Bytes::copy_from_slice(&chunk) } else { chunk }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(pieces: &mut Vec<Bytes>, merge: Merge) {
        pieces.truncate(pieces.len() - merge.replaced);
        pieces.push(merge.merged);
    }

    fn gathered(chunks: impl Iterator<Item = usize>) -> (Vec<Bytes>, usize) {
        let (mut gather, mut pieces, mut most) = (Gather::default(), Vec::new(), 0);
        for (index, length) in chunks.enumerate() {
            let mut chunk = Bytes::from(vec![index as u8; length]);
            while !chunk.is_empty() {
                let cut = chunk.len().min(gather.room());
                pieces.push(gather.push(chunk.split_to(cut)));
                while let Some(merge) = gather.merge() {
                    apply(&mut pieces, merge);
                }
                let slices = pieces.iter().filter(|p| p.len() == SLICE_BYTES).count();
                most = most.max(pieces.len() - slices);
            }
        }
        if let Some(merge) = gather.finish() {
            apply(&mut pieces, merge);
        }
        (pieces, most)
    }

    #[test]
    fn a_body_of_one_byte_chunks_is_few_pieces_at_any_time() {
        let (pieces, most) = gathered(std::iter::repeat_n(1, SLICE_BYTES + 5));
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [SLICE_BYTES, 5]);
        assert!(most <= 4 * RADIX, "{most} pieces");
    }

    #[test]
    fn a_chunk_longer_than_a_slice_is_cut() {
        let (pieces, _) = gathered([10, 3 * SLICE_BYTES].into_iter());
        let lengths: Vec<_> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [SLICE_BYTES, SLICE_BYTES, SLICE_BYTES, 10]);
    }

    /// A view of a large buffer must not be what is stored.
    #[test]
    fn a_stored_piece_never_pins_a_larger_buffer() {
        let buffer = Bytes::from(vec![7; 300_000]);
        for length in [1, 100, COPY_BYTES_MAX, 200_000] {
            let mut gather = Gather::default();
            let shown = gather.push(buffer.slice(1000..1000 + length));
            let stored = gather.finish().map_or(shown, |merge| merge.merged);
            let inside = buffer.as_ptr_range().contains(&stored.as_ptr());
            assert!(!inside && stored == buffer[1000..1000 + length]);
        }
    }
}
