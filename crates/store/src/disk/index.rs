//! Where each record of a disk lies: key to place, 16 bytes a slot, all in memory.
//!
//! Never reads a disk. It may take one key for another (it keeps 64 bits of each, and its shard is
//! told by 12 more), so whoever reads a record compares the key in the record's header.
//!
//! A shard is a sorted array with gaps:
//!
//! - A slot's home is `fingerprint * homes / 2^64`, so homes rise with fingerprints, and slots are
//!   kept sorted: a search begins at the home and ends at a gap or a greater fingerprint.
//! - To insert, what is greater moves right to the next gap; to remove, what is not at home moves
//!   left. Nothing is ever marked as deleted, so searches do not grow longer with time.
//! - Nothing wraps around: the last ones may lie behind the last home. So growing is one pass in
//!   order, and the number of homes need not be a power of two: it grows by an eighth.
//!
//! A slot is two words, the fingerprint and this one (0 when the slot is empty):
//!
//! | bits | what |
//! |---|---|
//! | 0..4 | how often it was used lately, at most 7 |
//! | 4..20 | units of 64 bytes, less one |
//! | 20..42 | first unit within the segment |
//! | 42..62 | segment |
//! | 63 | the slot is in use |
//!
//! Each shard halves its use counts after so many asks per record it has (`keep.rs`), found or not:
//! so a count tells how often a record is asked for compared with the others, and old fame fades.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::keep::ASKS_PER_RECORD;
use crate::lock::lock;

/// Shards of an index. Shards 0 to this, less one, can be dumped and loaded.
pub(crate) const SHARDS: usize = 4096;

/// The use count goes no higher: what is used more often is safe anyway, and so is forgotten
/// sooner when nobody asks for it any more.
pub(crate) const USES_MAX: u8 = 7;

/// Bytes of a slot in a dump.
pub(crate) const SLOT_BYTES: usize = 16;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The segment, below 2^20.
    pub(crate) segment: u32,
    /// Where in the segment it begins, in units of 64 bytes, below 2^22.
    pub(crate) unit: u32,
    /// How long it is, in units of 64 bytes, 1 to 2^16.
    pub(crate) units: u32,
}

/// A dump that is not one: nothing of it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadDump;

/// Places by key. Each call locks one shard for the time of a search.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[Shard]>,
    len: AtomicUsize,
    slots: AtomicUsize,
    asks_per_record: AtomicUsize,
    halvings: AtomicUsize,
}

impl Index {
    /// An empty index.
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        let (len, slots, halvings) = Default::default();
        Self { shards, len, slots, asks_per_record: AtomicUsize::new(ASKS_PER_RECORD), halvings }
    }

    /// Where the record of a key lies, without counting that as a use.
    pub(crate) fn get(&self, key: u128) -> Option<Place> {
        let (shard, fingerprint) = parts(key);
        let table = lock(&self.shards[shard].table);
        let at = table.find(fingerprint).ok()?;
        Some(table.slots[at].place())
    }

    /// Where the record of a key lies. This is an ask; when the record is there, a use of it.
    pub(crate) fn touch(&self, key: u128) -> Option<Place> {
        let (shard, fingerprint) = parts(key);
        let mut table = lock(&self.shards[shard].table);
        if table.count_ask(self.asks_per_record.load(Relaxed)) {
            self.halvings.fetch_add(1, Relaxed);
        }
        let at = table.find(fingerprint).ok()?;
        let slot = &mut table.slots[at];
        // Most of what is used often is at the top already: do not make its line dirty again.
        if slot.uses() < USES_MAX {
            slot.word += 1;
        }
        Some(slot.place())
    }

    /// Takes a record in and gives the place of the one that it replaces. A new key is unused; one
    /// that was there keeps its use count: it is a newer version of the same thing.
    pub(crate) fn put(&self, key: u128, place: Place) -> Option<Place> {
        let (shard, fingerprint) = parts(key);
        self.change(shard, |table| match table.find(fingerprint) {
            Ok(at) => {
                let old = table.slots[at].place();
                table.slots[at].set_place(place);
                Some(old)
            }
            Err(at) => {
                table.insert(at, Slot::new(fingerprint, place), initial_homes(shard));
                None
            }
        })
    }

    /// Moves a record, if it still lies where it did; it keeps its use count. False if not.
    pub(crate) fn replace_if(&self, key: u128, old: Place, new: Place) -> bool {
        self.with(key, old, |slot| slot.set_place(new)).is_some()
    }

    /// Removes a record, if it still lies there. False if not.
    pub(crate) fn remove_if(&self, key: u128, place: Place) -> bool {
        let (shard, fingerprint) = parts(key);
        self.change(shard, |table| match table.find(fingerprint) {
            Ok(at) if table.slots[at].place() == place => {
                table.remove(at);
                true
            }
            _ => false,
        })
    }

    /// Removes what is under a key, and says where that was.
    pub(crate) fn remove(&self, key: u128) -> Option<Place> {
        let (shard, fingerprint) = parts(key);
        self.change(shard, |table| {
            let at = table.find(fingerprint).ok()?;
            let place = table.slots[at].place();
            table.remove(at);
            Some(place)
        })
    }

    /// How often a record was used lately, to `USES_MAX`; `None` if it does not lie there any more.
    pub(crate) fn uses(&self, key: u128, place: Place) -> Option<u8> {
        self.with(key, place, |slot| slot.uses())
    }

    /// Counts some uses more, if the record still lies there.
    pub(crate) fn warm(&self, key: u128, place: Place, uses: u8) {
        self.with(key, place, |slot| {
            let uses = slot.uses().saturating_add(uses).min(USES_MAX);
            slot.word = slot.word & !USES_MASK | u64::from(uses);
        });
    }

    /// Use counts are to be halved after so many asks for each record.
    pub(crate) fn set_asks_per_record(&self, asks: usize) {
        self.asks_per_record.store(asks, Relaxed);
    }

    /// How many times a shard halved its use counts.
    pub(crate) fn halvings(&self) -> usize {
        self.halvings.load(Relaxed)
    }

    /// Records in the index.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Bytes that the index takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.load(Relaxed) * size_of::<Slot>() + self.shards.len() * size_of::<Shard>()
    }

    /// The slots of a shard, each two little-endian words (fingerprint, place), sorted.
    pub(crate) fn dump(&self, shard: usize) -> Vec<u8> {
        let table = lock(&self.shards[shard].table);
        let mut dump = Vec::with_capacity(table.len * SLOT_BYTES);
        for slot in table.used() {
            dump.extend_from_slice(&slot.fingerprint.to_le_bytes());
            dump.extend_from_slice(&slot.word.to_le_bytes());
        }
        dump
    }

    /// Puts a dump in the place of all that a shard holds, and says how many records it has.
    ///
    /// # Errors
    /// The bytes are no dump (cut off, unsorted, or with bits that mean nothing). The shard stays
    /// as it was.
    pub(crate) fn load(&self, shard: usize, dump: &[u8]) -> Result<usize, BadDump> {
        let (slots, []) = dump.as_chunks::<SLOT_BYTES>() else { return Err(BadDump) };
        let slots: Vec<Slot> = slots.iter().map(Slot::from_bytes).collect();
        let sorted = slots.is_sorted_by(|a, b| a.fingerprint < b.fingerprint);
        if !sorted || !slots.iter().all(Slot::is_sound) {
            return Err(BadDump);
        }
        self.change(shard, |table| table.rebuild(&slots, initial_homes(shard)));
        Ok(slots.len())
    }

    /// Keeps of a shard only what `keep` says, and tells how many records went.
    pub(crate) fn retain(&self, shard: usize, mut keep: impl FnMut(Place) -> bool) -> usize {
        self.change(shard, |table| {
            let before = table.len;
            let kept: Vec<Slot> = table.used().copied().filter(|s| keep(s.place())).collect();
            if kept.len() < before {
                table.rebuild(&kept, initial_homes(shard));
            }
            before - kept.len()
        })
    }

    /// Does something with the slot of a key, if its record lies at `place`.
    fn with<T>(&self, key: u128, place: Place, work: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let (shard, fingerprint) = parts(key);
        let mut table = lock(&self.shards[shard].table);
        let at = table.find(fingerprint).ok()?;
        let slot = &mut table.slots[at];
        (slot.place() == place).then(|| work(slot))
    }

    /// Changes a shard and brings the totals up to date.
    fn change<T>(&self, shard: usize, work: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = lock(&self.shards[shard].table);
        let (len, slots) = (table.len, table.slots.capacity());
        let result = work(&mut table);
        // The totals wrap on the way, and are right once all have added their part.
        if table.len != len {
            self.len.fetch_add(table.len.wrapping_sub(len), Relaxed);
        }
        if table.slots.capacity() != slots {
            self.slots.fetch_add(table.slots.capacity().wrapping_sub(slots), Relaxed);
        }
        result
    }
}

/// Shard and fingerprint of a key. The key is a keyed hash: all its bits are equally good. The low
/// half is the fingerprint (its top bits are the home too, which must follow from the slot alone);
/// the shard is taken from the other half, so that the two together tell keys apart.
fn parts(key: u128) -> (usize, u64) {
    ((key >> 116) as usize % SHARDS, key as u64)
}

/// Homes of a shard's first table. They differ, so that shards, which fill at the same pace, do
/// not all grow at the same time.
fn initial_homes(shard: usize) -> usize {
    32 + shard % 8
}

/// One shard, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    table: Mutex<Table>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    fingerprint: u64,
    word: u64,
}

impl Slot {
    fn new(fingerprint: u64, place: Place) -> Self {
        let mut slot = Self { fingerprint, word: USED };
        slot.set_place(place);
        slot
    }

    fn from_bytes(bytes: &[u8; SLOT_BYTES]) -> Self {
        let both = u128::from_le_bytes(*bytes);
        Self { fingerprint: both as u64, word: (both >> 64) as u64 }
    }

    fn is_used(&self) -> bool {
        self.word != 0
    }

    /// Could `new` have made it?
    fn is_sound(&self) -> bool {
        self.word & (USED | UNKNOWN) == USED && self.uses() <= USES_MAX
    }

    fn uses(&self) -> u8 {
        (self.word & USES_MASK) as u8
    }

    fn place(&self) -> Place {
        Place {
            segment: (self.word >> 42) as u32 & (SEGMENTS_MAX - 1),
            unit: (self.word >> 20) as u32 & (UNIT_MAX - 1),
            units: ((self.word >> 4) as u32 & (UNITS_MAX - 1)) + 1,
        }
    }

    fn set_place(&mut self, place: Place) {
        assert!(place.segment < SEGMENTS_MAX && place.unit < UNIT_MAX, "{place:?}");
        assert!(UNITS_RANGE.contains(&place.units), "{place:?}");
        self.word = USED
            | u64::from(place.segment) << 42
            | u64::from(place.unit) << 20
            | u64::from(place.units - 1) << 4
            | u64::from(self.uses());
    }
}

/// The sorted array with gaps.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    homes: usize,
    len: usize,
    /// Asks since use counts were halved.
    asks: usize,
}

impl Table {
    /// Was it time to halve the use counts?
    fn count_ask(&mut self, asks_per_record: usize) -> bool {
        self.asks += 1;
        let halves = self.asks > self.len.max(AGED_LEN_MIN) * asks_per_record;
        if halves {
            self.asks = 0;
            for slot in &mut self.slots {
                slot.word = slot.word & !USES_MASK | u64::from(slot.uses() / 2);
            }
        }
        halves
    }

    fn home(&self, fingerprint: u64) -> usize {
        ((u128::from(fingerprint) * self.homes as u128) >> 64) as usize
    }

    fn used(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.is_used())
    }

    /// Where a fingerprint is, or (`Err`) where it belongs.
    fn find(&self, fingerprint: u64) -> Result<usize, usize> {
        let home = self.home(fingerprint);
        for (i, slot) in self.slots[home..].iter().enumerate() {
            if !slot.is_used() || slot.fingerprint > fingerprint {
                return Err(home + i);
            }
            if slot.fingerprint == fingerprint {
                return Ok(home + i);
            }
        }
        Err(self.slots.len())
    }

    /// Inserts a slot where `find` said that it belongs.
    fn insert(&mut self, mut at: usize, slot: Slot, initial_homes: usize) {
        if (self.len + 1) * LOAD_MAX.1 > self.homes * LOAD_MAX.0 {
            let homes = (self.homes * 9 / 8).max(self.homes + 8).max(initial_homes);
            self.spread(homes);
            at = self.find(slot.fingerprint).unwrap_or_else(|at| at);
        }
        let gap = self.slots[at..].iter().position(|slot| !slot.is_used());
        let gap = gap.map_or(self.slots.len(), |i| at + i);
        if gap == self.slots.len() {
            push(&mut self.slots, EMPTY);
        }
        self.slots.copy_within(at..gap, at + 1);
        self.slots[at] = slot;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        let away = |(i, slot): (usize, &Slot)| slot.is_used() && self.home(slot.fingerprint) < i;
        let mut end = at + 1;
        while end < self.slots.len() && away((end, &self.slots[end])) {
            end += 1;
        }
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = EMPTY;
        self.len -= 1;
        if self.homes > HOMES_SHRINK_MIN && self.len * 5 < self.homes * 2 {
            self.spread(self.homes / 2);
        }
    }

    /// Replaces everything by sorted slots, with room for some more.
    fn rebuild(&mut self, slots: &[Slot], initial_homes: usize) {
        let homes = slots.len() * 6 / 5;
        self.homes = homes.max(initial_homes);
        self.len = slots.len();
        self.slots = self.layout(slots.iter());
    }

    /// Changes the number of homes.
    fn spread(&mut self, homes: usize) {
        self.homes = homes;
        self.slots = self.layout(self.used());
    }

    /// Sorted slots, each at its home or as near behind it as there is room.
    fn layout<'a>(&self, slots: impl Iterator<Item = &'a Slot>) -> Vec<Slot> {
        let mut laid = Vec::with_capacity(self.homes + OVERHANG);
        for slot in slots {
            let home = self.home(slot.fingerprint);
            if laid.len() < home {
                laid.resize(home, EMPTY);
            }
            push(&mut laid, *slot);
        }
        if laid.len() < self.homes {
            laid.resize(self.homes, EMPTY);
        }
        laid
    }
}

/// Adds a slot behind the last one, without the doubling of `Vec::push`.
fn push(slots: &mut Vec<Slot>, slot: Slot) {
    if slots.len() == slots.capacity() {
        slots.reserve_exact(OVERHANG);
    }
    slots.push(slot);
}

const USES_MASK: u64 = 15;
const EMPTY: Slot = Slot { fingerprint: 0, word: 0 };
const USED: u64 = 1 << 63;
const UNKNOWN: u64 = 1 << 62;
const SEGMENTS_MAX: u32 = 1 << 20;
const UNIT_MAX: u32 = 1 << 22;
const UNITS_MAX: u32 = 1 << 16;
const UNITS_RANGE: RangeInclusive<u32> = 1..=UNITS_MAX;

/// Share of the homes that may be taken. A search passes about seven slots when it is reached, and
/// a table that has just grown by an eighth takes less than 20 bytes an entry.
const LOAD_MAX: (usize, usize) = (12, 13);

/// A shard with fewer records ages as if it had so many.
const AGED_LEN_MIN: usize = 64;

/// Slots that are made ready behind the last home.
const OVERHANG: usize = 16;

/// Smaller tables do not shrink.
const HOMES_SHRINK_MIN: usize = 128;
