//! The memory tier: a bounded map from key to entry or slice. The only file that knows which map it
//! is (`README.md` says why quick_cache and not moka, with numbers).
//!
//! The map is cut into shards, each with its part of the capacity, and evicts (S3-FIFO) while it
//! inserts, so the weight never exceeds the capacity, not for a moment. An entry that is heavier
//! than the hot part of a shard would be refused without a word, so the shards are few enough that
//! the largest entry fits. A quarter of each shard is for newcomers: a scan cannot push out what
//! is asked for often, and a large object lives long enough to be asked for again.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use selvedge_policy::Key;

use crate::counters::Counters;
use crate::entry::{Entry, MAP_COST};
use crate::settings::Settings;
use crate::slice::{Piece, SliceId};

/// Share of a shard for entries that were asked for again.
const HOT_SHARE: f64 = 0.75;

/// Guess of the mean weight of an entry: sizes the memory of what was evicted lately.
const ENTRY_BYTES_MEAN: u64 = 16 << 10;

/// Fewest entries per shard that the map is told to expect; with fewer it would drop shards.
const SHARD_ENTRIES_MIN: u64 = 64;

/// A key is a keyed hash already: both halves are as good as any hash of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.0 ^= u64::from_ne_bytes(word);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 ^= (key as u64) ^ ((key >> 64) as u64);
    }
}

/// Builds the pass-through hasher.
pub(crate) type BuildKeyHasher = BuildHasherDefault<KeyHasher>;

/// What is in the map. Entries and slices compete for the same memory.
#[derive(Clone, Debug)]
enum Item {
    Entry(Arc<Entry>),
    Slice(Arc<Piece>),
}

#[derive(Clone, Debug)]
struct Cost;

impl Weighter<Key, Item> for Cost {
    fn weight(&self, _: &Key, item: &Item) -> u64 {
        match item {
            Item::Entry(entry) => entry.weight(),
            Item::Slice(piece) => (piece.cost() + MAP_COST) as u64,
        }
    }
}

/// Collects what is evicted, so that it is freed after the shard is unlocked.
#[derive(Clone, Debug)]
struct Evictions(Arc<Counters>);

impl Lifecycle<Key, Item> for Evictions {
    type RequestState = Vec<Item>;

    fn on_evict(&self, evicted: &mut Vec<Item>, _: Key, item: Item) {
        Counters::add(&self.0.evictions);
        evicted.push(item);
    }
}

/// Entries and slices by key, bounded by weight.
#[derive(Debug)]
pub(crate) struct Memory {
    map: Cache<Key, Item, Cost, BuildKeyHasher, Evictions>,
    counters: Arc<Counters>,
}

impl Memory {
    /// An empty map.
    pub(crate) fn new(settings: &Settings, counters: Arc<Counters>) -> Self {
        let shards = settings.memory_shards();
        let entries = (settings.memory_bytes / ENTRY_BYTES_MEAN).max(SHARD_ENTRIES_MIN * shards);
        let options = OptionsBuilder::new()
            .weight_capacity(settings.memory_bytes)
            .estimated_items_capacity(usize::try_from(entries).unwrap_or(usize::MAX))
            .shards(shards as usize)
            .hot_allocation(HOT_SHARE)
            .build()
            .expect("both capacities are given");
        let evictions = Evictions(counters.clone());
        let map = Cache::with_options(options, Cost, BuildKeyHasher::default(), evictions);
        assert!(settings.entry_bytes_max() as f64 <= map.shard_capacity() as f64 * HOT_SHARE);
        Self { map, counters }
    }

    /// The entry of a key. Waits only while another thread changes the same shard.
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Entry>> {
        match self.map.get(&key)? {
            Item::Entry(entry) => Some(entry),
            Item::Slice(_) => None,
        }
    }

    /// The entry of a key, without counting as use.
    pub(crate) fn peek(&self, key: Key) -> Option<Arc<Entry>> {
        match self.map.peek(&key)? {
            Item::Entry(entry) => Some(entry),
            Item::Slice(_) => None,
        }
    }

    /// What is kept of a slice, without counting as use.
    pub(crate) fn peek_slice(&self, id: SliceId) -> Option<Arc<Piece>> {
        match self.map.peek(&id.key())? {
            Item::Slice(piece) if piece.id() == id => Some(piece),
            Item::Slice(_) | Item::Entry(_) => None,
        }
    }

    /// Puts an entry, in the place of the one that was there.
    pub(crate) fn put(&self, key: Key, entry: Arc<Entry>) {
        self.insert(key, Item::Entry(entry));
    }

    /// What is kept of a slice.
    pub(crate) fn slice(&self, id: SliceId) -> Option<Arc<Piece>> {
        match self.map.get(&id.key())? {
            Item::Slice(piece) if piece.id() == id => Some(piece),
            Item::Slice(_) | Item::Entry(_) => None,
        }
    }

    /// Keeps a piece, in the place of the one that was there of its slice.
    pub(crate) fn put_slice(&self, piece: Arc<Piece>) {
        self.insert(piece.id().key(), Item::Slice(piece));
    }

    fn insert(&self, key: Key, item: Item) {
        let mut evicted = Vec::new();
        self.map.insert_with_lifecycle(key, item, &mut evicted);
        drop(evicted);
        self.export();
    }

    /// Every entry. Waits for other threads now and then, never long.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Key, Arc<Entry>)> {
        self.map.iter().filter_map(|(key, item)| match item {
            Item::Entry(entry) => Some((key, entry)),
            Item::Slice(_) => None,
        })
    }

    /// Removes what is under a key.
    pub(crate) fn remove(&self, key: Key) {
        self.map.remove(&key);
        self.export();
    }

    /// Brings the gauges up to date.
    fn export(&self) {
        self.counters.entries.store(self.map.len() as u64, Relaxed);
        self.counters.bytes.store(self.map.weight(), Relaxed);
    }
}
