//! The counters of a site, declared once in a table: name, unit, one line of help.
//!
//! `SiteCounters` is a handle that a site keeps for its whole life. It holds one `SiteShard` per
//! core, so that two cores never write one cache line: `here()` picks the shard of the calling
//! thread, and everything on it is a plain relaxed addition. Shards are summed at export.

use std::cell::Cell;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::words::{CacheResult, StaleReason, StatusClass};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the histogram buckets in microseconds; one more bucket takes the rest.
pub(crate) const BOUNDS_US: [u64; 12] = [
    100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
    60_000_000,
];

/// Durations counted in a few buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe_us(&self, duration_us: u64) {
        let bucket = BOUNDS_US.iter().position(|bound| duration_us <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS_US.len())].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(duration_us, Ordering::Relaxed);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn bucket(&self, index: usize) -> u64 {
        self.buckets[index].load(Ordering::Relaxed)
    }

    pub(crate) fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

/// How many different words one `WordCounters` holds; later ones count as `other`.
const WORDS_MAX: usize = 96;

/// Counters by a word from another crate's table of reasons. Not for the hit path: an addition
/// takes a read lock and a short search.
#[derive(Debug, Default)]
pub struct WordCounters {
    /// Protects the list of known words; additions to a known word only read it.
    rows: RwLock<Vec<(&'static str, Counter)>>,
}

impl WordCounters {
    /// Adds one to the counter of `word`.
    pub fn inc(&self, word: &'static str) {
        {
            let rows = self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some((_, counter)) = rows.iter().find(|(known, _)| *known == word) {
                return counter.inc();
            }
        }
        let mut rows = self.rows.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let word = if rows.len() < WORDS_MAX { word } else { "other" };
        match rows.iter().find(|(known, _)| *known == word) {
            Some((_, counter)) => counter.inc(),
            None => rows.push((word, Counter(AtomicU64::new(1)))),
        }
    }

    /// The value of `word` now.
    pub fn get(&self, word: &str) -> u64 {
        let rows = self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        rows.iter().find(|(known, _)| *known == word).map_or(0, |(_, counter)| counter.get())
    }

    /// All words counted so far, sorted.
    pub(crate) fn rows(&self) -> Vec<(&'static str, u64)> {
        let rows = self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut rows: Vec<_> = rows.iter().map(|(word, count)| (*word, count.get())).collect();
        rows.sort_unstable();
        rows
    }
}

/// One row of a counter table, for export.
pub(crate) struct Row<T: 'static, S: 'static> {
    /// Without the `selvedge_` prefix, the unit and `_total`.
    pub(crate) name: &'static str,
    /// `""` or `"bytes"`.
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
    pub(crate) field: fn(&S) -> &T,
}

/// Declares a struct of counters and, from the same rows, the tables that export reads.
macro_rules! counters {
    (
        $(#[$meta:meta])* $name:ident
        plain { $($field:ident, $unit:literal, $help:literal;)* }
        words { $($words:ident, $words_help:literal;)* }
        $(durations { $($duration:ident, $duration_help:literal;)+ })?
        own { $($(#[$own_meta:meta])* $own:ident: $own_type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name {
            $(#[doc = $help] pub $field: $crate::counters::Counter,)*
            $(#[doc = $words_help] pub $words: $crate::counters::WordCounters,)*
            $($(#[doc = $duration_help] pub $duration: $crate::counters::Histogram,)+)?
            $($(#[$own_meta])* pub(crate) $own: $own_type,)*
        }

        impl $name {
            pub(crate) const PLAIN: &'static [$crate::counters::Row<
                $crate::counters::Counter,
                Self,
            >] = &[$($crate::counters::Row {
                name: stringify!($field), unit: $unit, help: $help, field: |shard| &shard.$field,
            },)*];
            pub(crate) const WORDS: &'static [$crate::counters::Row<
                $crate::counters::WordCounters,
                Self,
            >] = &[$($crate::counters::Row {
                name: stringify!($words), unit: "", help: $words_help,
                field: |shard| &shard.$words,
            },)*];
            $(pub(crate) const DURATIONS: &'static [$crate::counters::Row<
                $crate::counters::Histogram,
                Self,
            >] = &[$($crate::counters::Row {
                name: stringify!($duration), unit: "seconds", help: $duration_help,
                field: |shard| &shard.$duration,
            },)+];)?
        }
    };
}
pub(crate) use counters;

counters! {
    /// The counters of one site on one core.
    SiteShard
    plain {
        client_sent, "bytes", "Body bytes sent to clients";
        client_received, "bytes", "Body bytes received from clients";
        upstream_sent, "bytes", "Body bytes sent to the next hop";
        upstream_received, "bytes", "Body bytes received from the next hop";
        upstream_requests, "", "Requests sent to the next hop, retries included";
        upstream_connects, "", "Connections opened to the next hop";
        retries, "", "Requests sent again on a fresh connection or to another next hop";
        failovers, "", "Requests moved to another next hop because the first one failed";
        collapsed, "", "Requests that joined a fill that another request began";
        fills, "", "Fills begun";
        fills_stored, "", "Fills that ended with a stored object";
        refreshes, "", "Background refreshes begun";
        revalidations, "", "Conditional requests sent to the next hop";
        revalidations_confirmed, "", "Conditional requests answered 304";
        not_modified, "", "304 answers made from a stored object";
        ranges, "", "206 answers made from a stored object";
        encoded, "", "Variants encoded on this node";
        invalidated, "", "Objects dropped because an unsafe request went through";
        tunnels, "", "Connections switched to another protocol";
        client_aborted, "", "Answers that the client did not take to the end";
        upstream_truncated, "", "Answers that the next hop did not send to the end";
        peer_requests, "", "Requests that came from a peer";
        esi_pages, "", "Answers assembled from fragments";
        media_manifests, "", "Video manifests that were read";
        media_requests, "", "Requests for objects of video streams";
        media_hits, "", "Requests for objects of video streams that were answered from the store";
        media_prefetches, "", "Objects of streams fetched before a player asked";
        media_prefetch_used, "", "Of these, objects that a player asked for";
        media_prefetched, "bytes", "Bytes of objects fetched before a player asked";
        media_stalls, "", "Times that players said they had run dry (CMCD bs)";
    }
    words {
        passed, "Requests and answers kept out of the cache, by reason";
        refused, "Requests refused, by reason";
        fills_failed, "Fills that ended without a stored object, by reason";
        upstream_errors, "Failed exchanges with the next hop, by reason";
        errors, "Errors that a client saw, by reason";
        esi_fragments, "Fragments of pages, by what became of them";
        esi_faults, "What was wrong with pages that were assembled, by kind";
        media_unread, "Video manifests that were passed on without being read, by reason";
        media_prefetch_skipped, "Objects of streams that were not fetched ahead, by reason";
    }
    durations {
        request, "Time from the request head to the last byte handed to the connection";
        upstream_first_byte, "Time from sending a request to the head of its answer";
    }
    own {
        /// Requests by cache result and status class.
        requests: [[Counter; StatusClass::COUNT]; CacheResult::COUNT],
        /// Stale answers by reason.
        stale: [Counter; StaleReason::COUNT],
    }
}

impl SiteShard {
    /// Counts a finished request.
    pub fn request_done(&self, cache: CacheResult, status: u16, sent_bytes: u64, total_us: u64) {
        self.requests[cache.index()][StatusClass::of(status).index()].inc();
        self.client_sent.add(sent_bytes);
        self.request.observe_us(total_us);
    }

    /// Counts a stale answer.
    pub fn stale_served(&self, reason: StaleReason) {
        self.stale[reason.index()].inc();
    }
}

/// The counters of one site: one shard per core, summed when read.
#[derive(Debug)]
pub struct SiteCounters {
    name: String,
    shards: Sharded<SiteShard>,
}

/// One of something per core, so that two cores never write one cache line.
#[derive(Debug)]
pub struct Sharded<T>(Box<[CacheAligned<T>]>);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self::new(shard_count())
    }
}

impl<T: Default> Sharded<T> {
    fn new(shards: usize) -> Self {
        Self((0..shards.max(1)).map(|_| CacheAligned::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// That of the calling thread.
    pub fn here(&self) -> &T {
        &self.0[thread_index() % self.0.len()].0
    }

    /// The sum of a figure over all of them.
    pub fn sum(&self, figure: impl Fn(&T) -> u64) -> u64 {
        self.all().map(figure).sum()
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// Keeps shards of different cores on different cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheAligned<T>(T);

impl SiteCounters {
    /// Counters of the site called `name`, in `shards` copies (at least one).
    pub(crate) fn new(name: &str, shards: usize) -> Self {
        Self { name: name.to_owned(), shards: Sharded::new(shards) }
    }

    /// The site.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shard of the calling thread.
    pub fn here(&self) -> &SiteShard {
        self.shards.here()
    }

    /// Requests finished with this cache result and status class, over all cores.
    pub fn requests(&self, cache: CacheResult, class: StatusClass) -> u64 {
        self.sum(|shard| shard.requests[cache.index()][class.index()].get())
    }

    /// Stale answers for this reason, over all cores.
    pub fn stale(&self, reason: StaleReason) -> u64 {
        self.sum(|shard| shard.stale[reason.index()].get())
    }

    /// The sum of any figure over all cores: `sum(|shard| shard.fills.get())`.
    pub fn sum(&self, figure: impl Fn(&SiteShard) -> u64) -> u64 {
        self.shards.sum(figure)
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = &SiteShard> {
        self.shards.all()
    }
}

/// A small number for the calling thread, given in the order in which threads first ask.
pub(crate) fn thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    INDEX.with(|index| {
        if index.get() == usize::MAX {
            index.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        index.get()
    })
}

/// How many shards a process uses: one per core, within reason.
pub(crate) fn shard_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_the_sum_of_its_shards() {
        let site = SiteCounters::new("shop", 4);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    site.here().request_done(CacheResult::Hit, 200, 1024, 90);
                    site.here().stale_served(StaleReason::WhileRevalidate);
                });
            }
        });
        assert_eq!(site.requests(CacheResult::Hit, StatusClass::Success), 8);
        assert_eq!(site.requests(CacheResult::Miss, StatusClass::Success), 0);
        assert_eq!(site.stale(StaleReason::WhileRevalidate), 8);
        assert_eq!(site.sum(|shard| shard.client_sent.get()), 8 * 1024);
        assert_eq!(site.sum(|shard| shard.request.count()), 8);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for duration_us in [0, 100, 101, 60_000_000, 60_000_001, 1 << 62] {
            histogram.observe_us(duration_us);
        }
        assert_eq!(histogram.bucket(0), 2);
        assert_eq!(histogram.bucket(1), 1);
        assert_eq!(histogram.bucket(BOUNDS_US.len() - 1), 1);
        assert_eq!(histogram.bucket(BOUNDS_US.len()), 2);
        assert_eq!(histogram.count(), 6);
    }

    #[test]
    fn words_beyond_the_maximum_count_as_other() {
        let counters = WordCounters::default();
        counters.inc("first");
        for number in 0..WORDS_MAX + 10 {
            counters.inc(Box::leak(format!("word_{number}").into_boxed_str()));
        }
        counters.inc("first");
        assert_eq!(counters.get("first"), 2);
        assert_eq!(counters.get("other"), 11);
        assert_eq!(counters.rows().len(), WORDS_MAX + 1);
        assert_eq!(counters.get("never"), 0);
    }

    #[test]
    fn every_row_is_named_once_and_has_help() {
        let mut names = std::collections::BTreeSet::new();
        let plain = SiteShard::PLAIN.iter().map(|row| (row.name, row.help));
        let words = SiteShard::WORDS.iter().map(|row| (row.name, row.help));
        for (name, help) in plain.chain(words) {
            assert!(names.insert(name), "{name} twice");
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}");
        }
    }
}
