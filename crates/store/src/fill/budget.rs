//! The bytes that all growing fills may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::counters::Counters;

/// A shared allowance; `Counters::fill_bytes` is what is used of it.
#[derive(Debug)]
pub(crate) struct Budget {
    counters: Arc<Counters>,
    bytes_max: u64,
}

impl Budget {
    pub(crate) fn new(counters: Arc<Counters>, bytes_max: u64) -> Self {
        Self { counters, bytes_max }
    }

    fn used(&self) -> &AtomicU64 {
        &self.counters.fill_bytes
    }

    /// Takes `bytes`, or nothing if that would exceed the allowance.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let grown = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.used().fetch_update(Relaxed, Relaxed, grown).is_ok()
    }

    /// Gives back bytes that were taken.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.used().fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takers_on_many_threads_never_exceed_the_allowance() {
        let budget = Budget::new(Arc::default(), 1000);
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).filter(|_| budget.take(3)).count()))
                .collect();
            takers.into_iter().map(|t| t.join().expect("a taker does not panic")).sum()
        });
        assert_eq!(taken, 333);
        budget.give_back(999);
        assert!(budget.take(1000) && !budget.take(1));
    }
}
