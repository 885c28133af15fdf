//! A disk as the engine runs it, without the bytes: segments of two streams, records with headers,
//! checksums and padding, and the engine's own rule (`disk/keep.rs`).

use std::collections::VecDeque;

use crate::keep::{ASKS_PER_RECORD, Asked, Fate, Keep, Side};
use crate::peers::Cache;
use crate::support;

/// Segments of a disk: its size divided by this.
const SEGMENTS: u64 = 128;

/// A record is no larger than this share of a segment.
const RECORDS_PER_SEGMENT_MIN: u64 = 2;

/// As in the index.
const USES_MAX: u8 = 7;

const NOWHERE: u32 = u32::MAX;

/// As in `disk/open.rs`.
const RECORD_BYTES_MEAN: u64 = 32 << 10;

#[derive(Clone, Debug, Default)]
struct Segment {
    ids: Vec<u32>,
    bytes: u64,
}

/// The simulated disk.
pub(crate) struct Log<'a> {
    sizes: &'a [u32],
    place: Vec<u32>,
    uses: Vec<u8>,
    segments: Vec<Segment>,
    segment_bytes: u64,
    free: Vec<u32>,
    young: VecDeque<u32>,
    main: VecDeque<u32>,
    keep: Keep,
    asked: Asked,
    live: usize,
    asks: usize,
    halvings: usize,
    asks_per_record: usize,
    new_bytes: u64,
    moved_bytes: u64,
}

impl<'a> Log<'a> {
    pub(crate) fn new(sizes: &'a [u32], capacity: u64) -> Self {
        let largest = u64::from(sizes.iter().copied().max().unwrap_or(0));
        let segment_bytes = (capacity / SEGMENTS).max(largest * RECORDS_PER_SEGMENT_MIN);
        let segments = (capacity / segment_bytes) as u32;
        assert!(segments >= 8, "the cache is too small for objects of this size");
        Self {
            sizes,
            place: vec![NOWHERE; sizes.len()],
            uses: vec![0; sizes.len()],
            segments: vec![Segment::default(); segments as usize],
            segment_bytes,
            free: (2..segments).collect(),
            young: VecDeque::from([0]),
            main: VecDeque::from([1]),
            keep: Keep::new(),
            asked: Asked::new((capacity / RECORD_BYTES_MEAN) as usize),
            live: 0,
            asks: 0,
            halvings: 0,
            asks_per_record: ASKS_PER_RECORD,
            new_bytes: 0,
            moved_bytes: 0,
        }
    }

    /// Bytes written for each byte of a new record.
    pub(crate) fn written_per_new(&self) -> f64 {
        (self.new_bytes + self.moved_bytes) as f64 / self.new_bytes as f64
    }

    /// Header, one checksum per 32 KiB, padding to 64 bytes.
    fn record_bytes(&self, id: u32) -> u64 {
        let body = u64::from(self.sizes[id as usize]);
        (96 + body.div_ceil(32 << 10) * 4 + body).next_multiple_of(64)
    }

    fn append(&mut self, side: Side, id: u32) {
        let bytes = self.record_bytes(id);
        let open = match side {
            Side::Young => self.young.back(),
            Side::Main => self.main.back(),
        };
        let mut open = *open.expect("each stream has an open segment");
        if self.segments[open as usize].bytes + bytes > self.segment_bytes {
            // One segment is always left for what is moved while another is emptied.
            while side == Side::Young && self.free.len() < 2 {
                self.reclaim();
            }
            open = self.free.pop().expect("one is left");
            match side {
                Side::Young => self.young.push_back(open),
                Side::Main => self.main.push_back(open),
            }
        }
        let segment = &mut self.segments[open as usize];
        segment.bytes += bytes;
        segment.ids.push(id);
        self.place[id as usize] = open;
    }

    fn reclaim(&mut self) {
        let side = self.keep.victim(self.young.len() - 1, self.main.len() - 1);
        let oldest = match side {
            Side::Young => self.young.pop_front(),
            Side::Main => self.main.pop_front(),
        };
        let oldest = oldest.expect("there are closed segments");
        for id in std::mem::take(&mut self.segments[oldest as usize].ids) {
            let (uses, bytes) = (self.uses[id as usize], self.record_bytes(id));
            let asked = self.asked.count(key(id));
            match self.keep.judge(side, uses, asked, bytes as u32) {
                Fate::Main => {
                    if side == Side::Young {
                        self.uses[id as usize] = (uses + asked).min(USES_MAX);
                        self.asked.settled(key(id));
                    }
                    self.moved_bytes += bytes;
                    self.append(Side::Main, id);
                }
                Fate::Drop => {
                    self.asked.dropped(key(id), uses);
                    self.place[id as usize] = NOWHERE;
                    self.live -= 1;
                }
            }
        }
        if side == Side::Main {
            self.keep.emptied_main();
            self.asks_per_record = self.keep.asks_per_record();
        }
        self.asked.faded(self.halvings, 1);
        self.segments[oldest as usize].bytes = 0;
        self.free.push(oldest);
    }
}

impl Cache for Log<'_> {
    fn ask(&mut self, id: u32) -> bool {
        // The index does this shard by shard.
        self.asks += 1;
        if self.asks > self.live.max(64) * self.asks_per_record {
            self.asks = 0;
            self.halvings += 1;
            self.uses.iter_mut().for_each(|uses| *uses /= 2);
        }
        let uses = &mut self.uses[id as usize];
        if self.place[id as usize] != NOWHERE {
            *uses = (*uses + 1).min(USES_MAX);
            return true;
        }
        *uses = 0;
        self.asked.missed(key(id));
        self.new_bytes += self.record_bytes(id);
        self.append(Side::Young, id);
        self.live += 1;
        self.asked.fit(self.live);
        false
    }
}

fn key(id: u32) -> u128 {
    support::key(u64::from(id))
}
