//! Where the store asks about purges: at every look-up, and before a fill is stored.
//!
//! Every path to an entry goes through [`Store::entry`] or [`Store::entry_under`], so nothing else
//! in this crate needs to know of purges.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};

use selvedge_policy::{Key, Now};

use super::{Purge, PurgeError};
use crate::entry::Entry;
use crate::fill::{Fill, Shard};
use crate::object::Object;
use crate::store::Store;

impl Store {
    /// Purges: when this returns, nothing that was asked for before answers anybody who asks from
    /// now on, and a restart does not change that. Takes the same time whatever is stored, but
    /// waits for the disks where there are some. Returns the number of the last purge.
    ///
    /// # Errors
    /// When it is in force, but would not outlive the process.
    pub fn purge(&self, purges: &[Purge<'_>], now: Now) -> Result<u64, PurgeError> {
        let (revision, failures, outcome) = self.purges.order(purges, now.mono_ms);
        let counters = self.counters();
        for purge in purges {
            counters.purges[purge.scope.kind() as usize].fetch_add(1, Relaxed);
        }
        counters.journal_failures.fetch_add(failures, Relaxed);
        counters.purge_revision.fetch_max(revision, Relaxed);
        counters.purges_remembered.store(self.purges.remembered() as u64, Relaxed);
        outcome.map(|()| revision)
    }

    /// Whether a purge waits for disks.
    pub fn purges_wait(&self) -> bool {
        self.tier.is_some()
    }

    /// Forgets purges that nothing stored is older than, if many are remembered. It looks at every
    /// entry for that: call it now and then from a thread that answers no requests.
    pub fn tend_purges(&self) {
        if !self.purges.wants_forgetting() {
            return;
        }
        // Fills that begin after this are newer; those that end meanwhile are no older than this.
        let now = self.purges.revision();
        let filled = self.table.oldest_revision();
        let on_disk = self.tier.as_ref().and_then(|tier| tier.disks().min_revision());
        let oldest = [filled, on_disk].into_iter().flatten().fold(now, u64::min);
        for (key, entry) in self.memory.entries() {
            if entry.checked() < oldest {
                self.entry(key, entry.full_key());
            }
        }
        let failures = self.purges.forget(oldest);
        let counters = self.counters();
        counters.journal_failures.fetch_add(failures, Relaxed);
        counters.purges_remembered.store(self.purges.remembered() as u64, Relaxed);
    }

    /// The entry of a key as all purges leave it. For callers without the lock of its shard.
    pub(crate) fn entry(&self, key: Key, full_key: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.unchecked(key, full_key)?;
        if self.purges.pass(&entry) {
            return Some(entry);
        }
        self.entry_under(&self.table.shard(key), key, full_key)
    }

    /// The entry of a key as all purges leave it, for whoever holds the lock of its shard. What
    /// they leave is put in its place at once.
    pub(crate) fn entry_under(
        &self,
        shard: &MutexGuard<'_, Shard>,
        key: Key,
        full_key: &[u8],
    ) -> Option<Arc<Entry>> {
        let entry = self.unchecked(key, full_key)?;
        if self.purges.pass(&entry) {
            return Some(entry);
        }
        let (sifted, dropped, softened) = self.purges.sifted(&entry);
        self.counters().purged.fetch_add(dropped, Relaxed);
        self.counters().softened.fetch_add(softened, Relaxed);
        let sifted = sifted.sealed();
        self.replace(shard, key, Some(&entry), sifted.clone());
        Some(sifted).filter(|entry| !entry.is_empty())
    }

    /// An entry that memory does not hold, as all purges leave it.
    pub(crate) fn clean(&self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        if self.purges.pass(&entry) {
            return Some(entry);
        }
        let (sifted, _, _) = self.purges.sifted(&entry);
        Some(sifted).filter(|entry| !entry.is_empty()).map(Entry::sealed)
    }

    /// Whether a purge since it began covers what a fill has brought. What was encoded here is as
    /// old as its source, and is stored beside that or not at all.
    pub(crate) fn is_purged(&self, fill: &Fill, object: &Object) -> bool {
        object.derived.is_none()
            && self.purges.covers(&fill.full_key, Some(&object.tags), object.revision)
                != Some(false)
    }

    fn unchecked(&self, key: Key, full_key: &[u8]) -> Option<Arc<Entry>> {
        self.memory.get(key).filter(|entry| entry.full_key() == full_key)
    }
}
