//! What the store counts, for others to export.
//!
//! Lookups are counted in stripes, one cache line each, because two cores that count into the same
//! line would pay more for that than for the lookup. All other events are rare: one atomic each.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::purge::PurgeKind;

/// Whether a value only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
}

const STRIPES: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line {
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Lookups([Line; STRIPES]);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}
static STRIPE_NEXT: AtomicUsize = AtomicUsize::new(0);

fn stripe() -> usize {
    STRIPE.with(|cell| {
        if cell.get() == usize::MAX {
            cell.set(STRIPE_NEXT.fetch_add(1, Relaxed) % STRIPES);
        }
        cell.get()
    })
}

macro_rules! counters {
    ($($field:ident $kind:ident $name:literal $help:literal)*) => {
        /// Counters of one store. Reading is always safe and never waits.
        #[derive(Debug, Default)]
        pub struct Counters {
            lookups: Lookups,
            /// Purges that were asked for, by kind.
            pub purges: [AtomicU64; PurgeKind::ALL.len()],
            $(#[doc = $help] pub $field: AtomicU64,)*
        }

        impl Counters {
            /// Calls `f` with name, help, kind and value of every counter, in a fixed order.
            pub fn each(&self, f: &mut dyn FnMut(&'static str, &'static str, CounterKind, u64)) {
                f("store_lookup_hits_total", "Lookups that found an entry.",
                    CounterKind::Counter, self.hits());
                f("store_lookup_misses_total", "Lookups that found no entry.",
                    CounterKind::Counter, self.misses());
                $(f($name, $help, CounterKind::$kind, self.$field.load(Relaxed));)*
            }
        }
    };
}

counters! {
    entries Gauge "store_entries" "Entries and slices in the memory tier."
    bytes Gauge "store_bytes" "Bytes that entries and slices of the memory tier weigh."
    evictions Counter "store_evictions_total" "Entries and slices pushed out for room."
    stored Counter "store_objects_stored_total" "Objects stored by fills."
    refreshed Counter "store_objects_refreshed_total" "Objects whose head was renewed."
    invalidations Counter "store_invalidations_total" "Keys that were invalidated."
    purged Counter "store_objects_purged_total" "Objects dropped by a purge."
    softened Counter "store_objects_softened_total" "Objects made stale by a purge."
    purges_remembered Gauge "store_purges_remembered" "Purges that are remembered."
    purge_revision Gauge "store_purge_revision" "Number of the last purge."
    journal_failures Counter "store_purge_journal_failures_total" "Failed writes of purge journals."
    tags_ignored Counter "store_tags_ignored_total" "Tags left out: too many or too long."
    recalls Counter "store_recalls_total" "Entries brought back from disk into memory."
    recalls_failed Counter "store_recalls_failed_total" "Entries on disk that could not be read."
    behind_overflows Counter "store_behind_overflows_total" "Entries not written: too many waited."
    refused Counter "store_fills_refused_total" "Fills not stored: invalidated meanwhile."
    variants_dropped Counter "store_variants_dropped_total" "Variants dropped by a maximum."
    fills Counter "store_fills_total" "Fills begun."
    fills_active Gauge "store_fills_active" "Fills that run now."
    fill_bytes Gauge "store_fill_bytes" "Bytes that growing fills hold."
    joins Counter "store_fill_joins_total" "Readers that joined a fill another one began."
    passes Counter "store_fill_passes_total" "Fills whose answer was not for sharing."
    windows Counter "store_fill_windows_total" "Fills that turned into a sliding window."
    laggards Counter "store_fill_laggards_total" "Readers cut because others waited for them."
    failures Counter "store_fill_failures_total" "Fills that failed or were dropped."
    slice_fills Counter "store_slice_fills_total" "Slices of bodies whose fetch began."
    slice_joins Counter "store_slice_joins_total" "Readers that joined the fetch of a slice."
    slices_stored Counter "store_slices_stored_total" "Slices, or pieces of them, that were stored."
    full Counter "store_fills_full_total" "Requests sent alone: too many fills or readers."
}

impl Counters {
    /// Lookups that found an entry.
    pub fn hits(&self) -> u64 {
        self.lookups.0.iter().map(|line| line.hits.load(Relaxed)).sum()
    }

    /// Lookups that found no entry.
    pub fn misses(&self) -> u64 {
        self.lookups.0.iter().map(|line| line.misses.load(Relaxed)).sum()
    }

    /// Purges that were asked for, with the word of their kind.
    pub fn each_purge(&self, f: &mut dyn FnMut(&'static str, u64)) {
        for (kind, count) in PurgeKind::ALL.iter().zip(&self.purges) {
            f(kind.word(), count.load(Relaxed));
        }
    }

    pub(crate) fn count_lookup(&self, hit: bool) {
        let line = &self.lookups.0[stripe()];
        if hit { &line.hits } else { &line.misses }.fetch_add(1, Relaxed);
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_listed_once_and_counted_lookups_sum_over_threads() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|i| counters.count_lookup(i % 2 == 0)));
            }
        });
        assert_eq!((counters.hits(), counters.misses()), (200, 200));
        let mut names = Vec::new();
        counters.each(&mut |name, help, _, _| {
            assert!(!help.is_empty());
            names.push(name);
        });
        let listed = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), listed);
    }
}
