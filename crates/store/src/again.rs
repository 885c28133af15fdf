//! Which slices were read from disk lately. Memory is for what is asked for again: a slice comes
//! back into it at the second reading, so that one reader of a long object pushes nothing out.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use selvedge_policy::Key;

use crate::body::SLICE_BYTES;

/// Keys read lately, each in a cell of its own or in that of a later one.
#[derive(Debug)]
pub(crate) struct Again(Box<[AtomicU32]>);

/// Cells for each slice that memory has room for.
const CELLS_EACH: u64 = 4;
const CELLS_MAX: u64 = 1 << 20;

impl Again {
    /// Remembers a few times as many slices as fit into memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let slices = memory_bytes / SLICE_BYTES as u64;
        let cells = (slices.saturating_mul(CELLS_EACH)).clamp(64, CELLS_MAX).next_power_of_two();
        Self((0..cells).map(|_| AtomicU32::new(0)).collect())
    }

    /// Notes a reading, and says whether there was another one lately.
    pub(crate) fn is_again(&self, key: Key) -> bool {
        // A key is a hash: any of its bits are as good as any other.
        let cell = &self.0[key.0 as usize & (self.0.len() - 1)];
        let name = (key.0 >> 64) as u32 | 1;
        cell.swap(name, Relaxed) == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_reading_counts_unless_many_others_came_between() {
        let again = Again::new(0);
        let key = |n: u64| Key(u128::from(n) << 65 | u128::from(n));
        assert!(!again.is_again(key(5)));
        assert!(again.is_again(key(5)) && again.is_again(key(5)));
        assert!(!again.is_again(key(6)), "another key");
        assert!((7..7 + 64).all(|n| !again.is_again(key(n))));
        assert!(!again.is_again(key(5)));
    }
}
