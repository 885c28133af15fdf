//! Keys that were asked for and not there, or that had to go: what the disk remembers of what it
//! does not have. Six bytes for each record that the disk may hold; when it turns out to hold more,
//! there is room for twice as many.
//!
//! A line is 32 cells, the one asked for last in front. A cell is 12 bits of the key and a count
//! of asks (1 to 15; 0 is empty). To make room, the hindmost cell goes; but one that was asked for
//! more than once loses one ask and moves to the front instead. So a key asked for once is
//! remembered for about three times as many others as the disk has records, and one asked for often
//! for longer. Counts are halved when those of the index are, so that the two can be compared.
//! A key may be taken for another, about once in 130 times: a count is a hint, never a promise.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::lock::lock;

/// A key's count goes no higher.
pub(crate) const ASKS_MAX: u8 = 15;

/// Some lines of cells under one lock.
type Part = Mutex<Box<[[u16; CELLS]]>>;

/// Counts of asks, by key.
#[derive(Debug)]
pub(crate) struct Ghost {
    parts: Box<[Part]>,
    /// Records it has room for.
    records: AtomicUsize,
    /// Parts halved since the start, over and over.
    halved: AtomicUsize,
}

impl Ghost {
    /// Remembers about three times as many keys as there may be `records` on the disk.
    pub(crate) fn new(records: usize) -> Self {
        let lines = (records * CELLS_PER_RECORD / CELLS / PARTS).max(1);
        let part = || Mutex::new(vec![[0; CELLS]; lines].into_boxed_slice());
        Self {
            parts: (0..PARTS).map(|_| part()).collect(),
            records: AtomicUsize::new(lines * PARTS * CELLS / CELLS_PER_RECORD),
            halved: AtomicUsize::new(0),
        }
    }

    /// Makes room for so many records on the disk. For one thread.
    ///
    /// A cell does not tell in which half of its line's keys its key is. So both get a copy of the
    /// line; of each pair one is never asked for again, and goes like all that is not.
    pub(crate) fn fit(&self, records: usize) {
        while records > self.records.load(Relaxed) {
            for part in &self.parts {
                let mut lines = lock(part);
                *lines = lines.iter().flat_map(|line| [*line, *line]).collect();
            }
            self.records.fetch_add(self.records.load(Relaxed), Relaxed);
        }
    }

    /// How often a key was noted lately, 0 to 15.
    pub(crate) fn count(&self, key: u128) -> u8 {
        let (part, hash, tag) = places(key);
        let lines = lock(&self.parts[part]);
        let cells = &lines[line(hash, lines.len())];
        cells.iter().find(|&&cell| is_of(cell, tag)).map_or(0, |&cell| asks(cell) as u8)
    }

    /// Notes `times` (at least 1) asks for a key, and says how many were known before.
    pub(crate) fn note(&self, key: u128, times: u8) -> u8 {
        let (part, hash, tag) = places(key);
        let mut lines = lock(&self.parts[part]);
        let at = line(hash, lines.len());
        let cells = &mut lines[at];
        let (at, known) = match cells.iter().position(|&cell| is_of(cell, tag)) {
            Some(at) => (at, asks(cells[at])),
            None => {
                make_room(cells);
                (CELLS - 1, 0)
            }
        };
        cells.copy_within(0..at, 1);
        cells[0] = tag | (known + u16::from(times.max(1))).min(u16::from(ASKS_MAX));
        known as u8
    }

    /// Forgets a key.
    pub(crate) fn forget(&self, key: u128) {
        let (part, hash, tag) = places(key);
        let mut lines = lock(&self.parts[part]);
        let at = line(hash, lines.len());
        let cells = &mut lines[at];
        if let Some(at) = cells.iter().position(|&cell| is_of(cell, tag)) {
            cells[at] = 0;
            cells[at..].rotate_left(1);
        }
    }

    /// Halves all counts in part after part, until all were halved `times` (a number that rises
    /// from call to call) since the start; a fraction `of` a time halves as many of the parts.
    pub(crate) fn halve(&self, times: usize, of: usize) {
        let until = times * PARTS / of;
        let from = self.halved.swap(until, Relaxed).max(until.saturating_sub(HALVINGS_MAX * PARTS));
        for part in from..until {
            let part = &self.parts[part % PARTS];
            let lines = lock(part).len();
            for first in (0..lines).step_by(LINES_AT_ONCE) {
                let end = lines.min(first + LINES_AT_ONCE);
                for cell in lock(part)[first..end].as_flattened_mut() {
                    *cell = *cell & !u16::from(ASKS_MAX) | (asks(*cell) / 2);
                }
            }
        }
    }
}

/// Makes the hindmost cell one that may go.
fn make_room(cells: &mut [u16; CELLS]) {
    for _ in 0..CELLS {
        if asks(cells[CELLS - 1]) <= 1 {
            return;
        }
        cells[CELLS - 1] -= 1;
        cells.rotate_right(1);
    }
}

/// Part, a hash for the line, and tag of a key: the key is a keyed hash, its bits are all good.
fn places(key: u128) -> (usize, u64, u16) {
    ((key >> 32) as usize % PARTS, (key >> 40) as u64, (key as u16) << COUNT_BITS)
}

fn line(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

fn asks(cell: u16) -> u16 {
    cell & u16::from(ASKS_MAX)
}

fn is_of(cell: u16, tag: u16) -> bool {
    cell & !u16::from(ASKS_MAX) == tag && asks(cell) > 0
}

const CELLS: usize = 32;
const CELLS_PER_RECORD: usize = 3;
const COUNT_BITS: u32 = 4;

/// Parts with a lock each.
const PARTS: usize = 64;

/// Nothing is left of any count after so many.
const HALVINGS_MAX: usize = COUNT_BITS as usize;

/// Lines halved before others may have the lock (256 KiB).
const LINES_AT_ONCE: usize = 4096;
