//! The limits a store is built with. They are fixed while the process runs.

use crate::body::SLICE_BYTES;

/// Limits of a store. Every value is a maximum; `Store::new` lowers those that contradict another.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for stored objects, heads and bookkeeping included, in bytes.
    pub memory_bytes: u64,
    /// Longest body that is stored, in bytes. At most half of `memory_bytes` is used.
    pub object_bytes_max: u64,
    /// Sum of the bodies that are growing in fills, in bytes; beyond it fills slide.
    pub fill_bytes_max: u64,
    /// What a sliding fill may hold for its slowest reader, in bytes.
    pub window_bytes: usize,
    /// Fills that may run at the same time; beyond it requests go alone.
    pub fills_max: usize,
    /// Variants of one key; beyond it the oldest is dropped.
    pub variants_max: usize,
    /// Purges that are remembered; beyond it what is older than the oldest of them must be
    /// validated before it answers.
    pub purges_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            object_bytes_max: 64 << 20,
            fill_bytes_max: 128 << 20,
            window_bytes: 512 << 10,
            fills_max: 16_384,
            variants_max: 32,
            purges_max: 1_000_000,
        }
    }
}

/// Smallest window that still moves: one small chunk and its bookkeeping.
pub(crate) const WINDOW_BYTES_MIN: usize = 8 << 10;

/// Less is no cache: one entry of a few kilobytes must fit.
const MEMORY_BYTES_MIN: u64 = 64 << 10;

/// Enough that the threads of a machine rarely meet in one.
const MEMORY_SHARDS_MAX: u64 = 64;

impl Settings {
    /// The same limits, made to agree with each other.
    pub(crate) fn settled(mut self) -> Self {
        self.memory_bytes = self.memory_bytes.max(MEMORY_BYTES_MIN);
        self.object_bytes_max = self.object_bytes_max.min(self.memory_bytes / 2);
        self.window_bytes = self.window_bytes.max(WINDOW_BYTES_MIN);
        self.fills_max = self.fills_max.max(1);
        self.variants_max = self.variants_max.max(1);
        self
    }

    /// Parts of the memory tier: as many as leave room for two of the longest bodies in each, and
    /// for two slices of longer ones.
    pub(crate) fn memory_shards(&self) -> u64 {
        let longest = self.object_bytes_max.max(SLICE_BYTES as u64);
        let fitting = self.memory_bytes / (2 * longest);
        1 << fitting.clamp(1, MEMORY_SHARDS_MAX).ilog2()
    }

    /// Most that one entry may weigh with all its variants: it must fit the hot part of a shard.
    pub(crate) fn entry_bytes_max(&self) -> u64 {
        self.memory_bytes / self.memory_shards() / 10 * 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_object_fits_the_smallest_part_of_memory() {
        for memory_bytes in [1 << 20, 100 << 20, 256 << 20, 1 << 40] {
            for object_bytes_max in [0, 1, 1 << 20, 64 << 20, u64::MAX] {
                let settings = Settings { memory_bytes, object_bytes_max, ..Settings::default() };
                let settings = settings.settled();
                assert!(settings.object_bytes_max < settings.entry_bytes_max());
                assert!(settings.memory_shards() >= 1);
            }
        }
    }
}
