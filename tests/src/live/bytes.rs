//! The bytes of segments: boxes of ISO/IEC 14496-12 around noise that follows from who asks for
//! what. A segment is `styp`, then `moof` and `mdat` for each of its pieces.

use super::plan::Plan;
use std::ops::Range;

/// The bytes of one take of an encoder: the same names have others after it began anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Take<'a> {
    pub(super) plan: &'a Plan,
    pub(super) number: u64,
}

const STYP: &[u8] = b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix";
/// Head of a `moof` with what it is of, and head of the `mdat` behind it.
const CHUNK_HEAD: usize = 8 + 24 + 8;
/// Fewer bytes would not hold the boxes.
const CHUNK_MIN: usize = 64;

impl Take<'_> {
    /// The init segment: the heads of `ftyp` and `moov` that players begin with.
    pub(super) fn init(self, rendition: usize) -> Vec<u8> {
        let mut bytes = b"\0\0\0\x14ftypiso6\0\0\0\0cmfc".to_vec();
        bytes.extend_from_slice(b"\0\0\0\x20moov\0\0\0\x08mvex");
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&(rendition as u64).to_be_bytes());
        bytes
    }

    /// How many bytes a piece has, in `0..segment_chunks`.
    pub(super) fn chunk_bytes(self, rendition: usize, msn: u64, chunk: u64) -> usize {
        let mean = self.plan.segment_bytes[rendition] / self.plan.segment_chunks() as usize;
        let vary = noise(&[self.number, rendition as u64, msn, chunk, 1]) as usize;
        let styp = if chunk == 0 { STYP.len() } else { 0 };
        styp + (mean - mean / 8 + vary % (mean / 4 + 1)).max(CHUNK_MIN)
    }

    /// Where a run of pieces lies in its segment.
    pub(super) fn place(self, rendition: usize, msn: u64, chunks: Range<u64>) -> Range<usize> {
        let sum = |chunks: Range<u64>| -> usize {
            chunks.map(|chunk| self.chunk_bytes(rendition, msn, chunk)).sum()
        };
        let begin = sum(0..chunks.start);
        begin..begin + sum(chunks)
    }

    /// The bytes of a run of pieces of a segment.
    pub(super) fn chunks(self, rendition: usize, msn: u64, chunks: Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.place(rendition, msn, chunks.clone()).len());
        for chunk in chunks {
            self.chunk(rendition, msn, chunk, &mut bytes);
        }
        bytes
    }

    fn chunk(self, rendition: usize, msn: u64, chunk: u64, bytes: &mut Vec<u8>) {
        let mut length = self.chunk_bytes(rendition, msn, chunk);
        if chunk == 0 {
            bytes.extend_from_slice(STYP);
            length -= STYP.len();
        }
        bytes.extend_from_slice(b"\0\0\0\x20moof");
        for word in [rendition as u64, msn, chunk] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        let rest = length - CHUNK_HEAD + 8;
        bytes.extend_from_slice(&(rest as u32).to_be_bytes());
        bytes.extend_from_slice(b"mdat");
        let mut state = noise(&[self.number, rendition as u64, msn, chunk, 2]) | 1;
        let end = bytes.len() + rest - 8;
        while bytes.len() < end {
            state = xorshift(state);
            bytes.extend_from_slice(&state.to_be_bytes());
        }
        bytes.truncate(end);
    }
}

/// A number that follows from these and looks like none of them.
fn noise(words: &[u64]) -> u64 {
    words.iter().fold(0x9e37_79b9_7f4a_7c15, |state, word| {
        xorshift(xorshift(state ^ word.wrapping_mul(0xff51_afd7_ed55_8ccd) | 1))
    })
}

fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ state << 17
}
