//! The limits a store is built with. They are fixed while the process runs.

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
        }
    }
}

/// Smallest window that still moves: one small chunk and its bookkeeping.
pub(crate) const WINDOW_BYTES_MIN: usize = 8 << 10;

impl Settings {
    /// The same limits, made to agree with each other.
    pub(crate) fn settled(mut self) -> Self {
        self.object_bytes_max = self.object_bytes_max.min(self.memory_bytes / 2);
        self.window_bytes = self.window_bytes.max(WINDOW_BYTES_MIN);
        self.fills_max = self.fills_max.max(1);
        self.variants_max = self.variants_max.max(1);
        self
    }

    /// Most that one entry may weigh with all its variants.
    pub(crate) fn entry_bytes_max(&self) -> u64 {
        self.memory_bytes / 4 * 3
    }
}
