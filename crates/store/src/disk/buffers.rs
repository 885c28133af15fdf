//! What has a place in a segment already but is not in its file yet. It can be read from here.
//!
//! Each stream fills one block while another is being written. The lock covers both; it is held to
//! copy bytes in or out, never during a system call.

use std::sync::{Arc, Mutex};

use super::header::UNIT;
use super::index::Place;
use super::segment::Stream;
use crate::lock::lock;

/// A block of so many bytes is written without waiting for more.
pub(crate) const BLOCK_FULL_BYTES: usize = 2 << 20;

/// Bytes for one stretch of a segment.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) segment: u32,
    pub(crate) unit: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Block {
    /// The unit behind it.
    pub(crate) fn end(&self) -> u32 {
        self.unit + (self.bytes.len() / UNIT) as u32
    }

    fn record(&self, place: Place) -> Option<&[u8]> {
        if self.segment != place.segment || place.unit < self.unit {
            return None;
        }
        let from = (place.unit - self.unit) as usize * UNIT;
        self.bytes.get(from..from + place.units as usize * UNIT)
    }
}

#[derive(Debug, Default)]
struct Side {
    filling: Option<Block>,
    writing: Option<Arc<Block>>,
    spare: Vec<u8>,
}

/// The blocks of both streams.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    sides: Mutex<[Side; 2]>,
}

impl Buffers {
    /// Lets `read` see the bytes of a record, if they are here.
    pub(crate) fn with_record<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let sides = lock(&self.sides);
        let filling = sides.iter().filter_map(|side| side.filling.as_ref());
        let writing = sides.iter().filter_map(|side| side.writing.as_deref());
        let record = filling.chain(writing).find_map(|block| block.record(place));
        record.map(read)
    }

    /// Appends a record at its place, which is behind the one before. True: time to write.
    pub(crate) fn append(
        &self,
        stream: Stream,
        place: Place,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let mut sides = lock(&self.sides);
        let side = &mut sides[stream as usize];
        let spare = &mut side.spare;
        let block = side.filling.get_or_insert_with(|| Block {
            segment: place.segment,
            unit: place.unit,
            bytes: std::mem::take(spare),
        });
        assert_eq!((block.segment, block.end()), (place.segment, place.unit));
        let end = block.bytes.len() + place.units as usize * UNIT;
        block.bytes.reserve(end - block.bytes.len());
        fill(&mut block.bytes);
        block.bytes.resize(end, 0);
        end >= BLOCK_FULL_BYTES
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.sides).iter().all(|side| side.filling.is_none() && side.writing.is_none())
    }

    /// Bytes that are not in a file yet.
    pub(crate) fn bytes(&self) -> usize {
        let of = |side: &Side| {
            let filling = side.filling.as_ref().map_or(0, |block| block.bytes.len());
            filling + side.writing.as_ref().map_or(0, |block| block.bytes.len())
        };
        lock(&self.sides).iter().map(of).sum()
    }

    /// The block to write now: the one that was not written yet, else what was filled so far.
    pub(crate) fn to_write(&self, stream: Stream) -> Option<Arc<Block>> {
        let mut sides = lock(&self.sides);
        let side = &mut sides[stream as usize];
        if side.writing.is_none() {
            side.writing = side.filling.take().map(Arc::new);
        }
        side.writing.clone()
    }

    /// The block is in the file.
    pub(crate) fn written(&self, stream: Stream, block: Arc<Block>) {
        let mut sides = lock(&self.sides);
        let side = &mut sides[stream as usize];
        side.writing = None;
        if let Ok(mut block) = Arc::try_unwrap(block) {
            block.bytes.clear();
            block.bytes.shrink_to(2 * BLOCK_FULL_BYTES);
            side.spare = block.bytes;
        }
    }
}
