//! Reading the headers of a segment one after another.
//!
//! Where no record begins, it looks at the next unit: so what is damaged costs itself alone. It
//! reads ahead while records are small, and only headers when they are long.

use std::io::Result;

use super::header::{HEADER_BYTES, Header, UNIT, is_whole};
use super::io::{Io, read_full};
use super::segment::{Segment, Segments};

const WINDOW_BYTES_MIN: usize = 4 << 10;
const WINDOW_BYTES_MAX: usize = 1 << 20;

/// A pass over one segment.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    io: &'a dyn Io,
    segment: &'a Segment,
    number: u64,
    salt: u32,
    unit: u32,
    end: u32,
    window: Vec<u8>,
    window_at: u64,
    window_bytes: usize,
}

impl<'a> Scan<'a> {
    /// A pass from one unit to another, which ends early when the segment is reused.
    pub(crate) fn new(
        io: &'a dyn Io,
        segments: &'a Segments,
        id: u32,
        from: u32,
        end: u32,
    ) -> Self {
        Self::of(io, &segments.all[id as usize], from, end)
    }

    /// The same for a segment that need not be one of the disk's any more.
    pub(crate) fn of(io: &'a dyn Io, segment: &'a Segment, from: u32, end: u32) -> Self {
        let (number, salt) = (segment.number(), segment.salt());
        let (window, window_bytes) = (Vec::new(), WINDOW_BYTES_MIN);
        let (unit, window_at) = (from.max(1), 0);
        Self { io, segment, number, salt, unit, end, window, window_at, window_bytes }
    }

    /// The next record: where it begins, and its header.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Header)>> {
        while self.unit < self.end {
            let (unit, salt) = (self.unit, self.salt);
            let Some(bytes) = self.bytes(unit, HEADER_BYTES)? else { return Ok(None) };
            let header = Header::decode(bytes, salt);
            match header.filter(|header| header.units() <= self.end - unit) {
                Some(header) => {
                    self.unit += header.units();
                    return Ok(Some((unit, header)));
                }
                None => self.unit += 1,
            }
        }
        Ok(None)
    }

    /// All bytes of a record that [`Self::next`] gave; `None` when they are damaged.
    pub(crate) fn record(&mut self, unit: u32, header: &Header) -> Result<Option<&[u8]>> {
        let bytes = self.bytes(unit, header.units() as usize * UNIT)?;
        Ok(bytes.filter(|bytes| is_whole(header, bytes)))
    }

    /// Bytes of the file; `None` when it ends before.
    fn bytes(&mut self, unit: u32, bytes: usize) -> Result<Option<&[u8]>> {
        let at = u64::from(unit) * UNIT as u64;
        let window_end = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + bytes as u64 > window_end {
            if self.segment.number() != self.number {
                return Ok(None);
            }
            // One that ran to the end of its window will want more; one that jumped, less.
            let on = at >= self.window_at && at <= window_end;
            let grown = if on { self.window_bytes * 2 } else { WINDOW_BYTES_MIN };
            self.window_bytes = grown.min(WINDOW_BYTES_MAX);
            let left = (self.end - unit) as usize * UNIT;
            let wanted = self.window_bytes.max(bytes).min(left);
            self.window.resize(wanted, 0);
            self.window_at = at;
            let Some(file) = self.segment.file() else { return Ok(None) };
            let read = read_full(self.io, file, &mut self.window, at)?;
            self.window.truncate(read);
        }
        let from = (at - self.window_at) as usize;
        Ok(self.window.get(from..from + bytes))
    }
}
