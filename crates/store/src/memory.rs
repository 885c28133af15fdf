//! The memory tier: a bounded map from key to entry. The only file that knows which map it is.
//!
//! moka evicts when its housekeeping runs, which is every few dozen writes. An insert here may be
//! megabytes, so housekeeping is also run whenever the inserts since the last run add up to a
//! small share of the capacity. Admission by frequency (TinyLFU) is off: it weighs the newcomer's
//! count against the sum over all entries that would have to go, so that a full cache of small
//! objects never admits a large one, however often it is asked for.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use selvedge_policy::Key;

use crate::counters::Counters;
use crate::entry::Entry;

/// The map counts weights in `u32`; in units of this many bytes they reach 256 GiB.
const UNIT_BYTES: u64 = 64;

/// Share of the capacity that may be inserted before housekeeping is forced.
const UNSETTLED_SHARE: u64 = 64;

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

/// Entries by key, bounded by weight.
#[derive(Debug)]
pub(crate) struct Memory {
    map: Cache<Key, Arc<Entry>, BuildKeyHasher>,
    unsettled: AtomicU64,
    unsettled_max: u64,
    counters: Arc<Counters>,
}

impl Memory {
    /// An empty map of at most `capacity_bytes`.
    pub(crate) fn new(capacity_bytes: u64, counters: Arc<Counters>) -> Self {
        let evictions = counters.clone();
        let map = Cache::builder()
            .max_capacity(capacity_bytes / UNIT_BYTES)
            .weigher(|_: &Key, entry: &Arc<Entry>| units(entry))
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    Counters::add(&evictions.evictions);
                }
            })
            .build_with_hasher(BuildKeyHasher::default());
        let unsettled_max = capacity_bytes / UNIT_BYTES / UNSETTLED_SHARE;
        Self { map, unsettled: AtomicU64::new(0), unsettled_max, counters }
    }

    /// The entry of a key. Never waits.
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Entry>> {
        self.map.get(&key)
    }

    /// Puts an entry, in the place of the one that was there.
    pub(crate) fn put(&self, key: Key, entry: Arc<Entry>) {
        let weight = u64::from(units(&entry));
        self.map.insert(key, entry);
        if self.unsettled.fetch_add(weight, Relaxed) + weight > self.unsettled_max {
            self.settle();
        }
        self.export();
    }

    /// Removes what is under a key.
    pub(crate) fn remove(&self, key: Key) {
        self.map.invalidate(&key);
        self.export();
    }

    /// Evicts what is too much.
    pub(crate) fn settle(&self) {
        self.unsettled.store(0, Relaxed);
        self.map.run_pending_tasks();
        self.export();
    }

    /// Bytes that the entries weigh.
    pub(crate) fn bytes(&self) -> u64 {
        self.map.weighted_size() * UNIT_BYTES
    }

    fn export(&self) {
        self.counters.entries.store(self.map.entry_count(), Relaxed);
        self.counters.bytes.store(self.bytes(), Relaxed);
    }
}

fn units(entry: &Entry) -> u32 {
    u32::try_from((entry.cost() as u64).div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}
