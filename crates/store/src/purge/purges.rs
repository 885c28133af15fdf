//! The purges of a store: the table, the journals and the number that look-ups compare with.
//!
//! Locks: the journals' is held while a purge is written, the table's only while it is read or
//! changed. Order: journals, then table. Whoever holds the lock of a fill table's shard may take
//! the table's.

use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use selvedge_policy::KeySeed;

use super::journal::{self, Journals};
use super::table::Verdict;
use super::table::{Order, Table, Target};
use super::{Purge, PurgeError};
use crate::entry::Entry;
use crate::lock::lock;

/// Numbers of purges that a second of the store's time line has room for, as a power of two.
const REVISIONS_EACH_S: u32 = 20;

/// Where the numbers of a process begin that starts at this moment of the store's time line: above
/// all that earlier ones have given, even where their journals are lost. They fit into the 53 bits
/// that every reader of JSON can hold.
pub(crate) fn line_revision(line_ms: u64) -> u64 {
    (line_ms / 1000) << REVISIONS_EACH_S
}

#[derive(Debug)]
pub(crate) struct Purges {
    /// The newest purge; look-ups compare with it. Written under the table's lock.
    revision: AtomicU64,
    table: RwLock<Table>,
    pub(super) journals: Mutex<Journals>,
    seed: KeySeed,
    remembered_max: usize,
    /// How many the last round of forgetting left.
    left: AtomicUsize,
}

impl Purges {
    /// No purges, remembered in memory alone.
    pub(crate) fn in_memory(seed: KeySeed, remembered_max: usize) -> Self {
        Self::of(Table::default(), Journals::default(), seed, remembered_max)
    }

    /// No purges, and none that would outlive the process although it has disks: they failed.
    pub(crate) fn undurable(seed: KeySeed, remembered_max: usize) -> Self {
        Self::of(Table::default(), Journals::lost(), seed, remembered_max)
    }

    /// The purges that the journals in these folders tell of; new ones are written there. What
    /// they cannot tell is made up for: everything older must be validated before it answers.
    /// Their numbers begin above all known ones, at `least` or beyond. Returns what was wrong with
    /// which file.
    pub(crate) fn open(
        folders: &[PathBuf],
        least: u64,
        seed: KeySeed,
        remembered_max: usize,
    ) -> (Self, Vec<String>) {
        let mut known = journal::read(folders);
        // Above every number that was ever given, even where a journal is lost.
        let start = (known.revision + 1).max(least);
        let floor = known.floor.unwrap_or(start);
        let (journals, failed) = Journals::create(folders, &known.orders, start, floor);
        known.notes.extend(failed);
        let mut table = Table::new(start, floor);
        known.orders.iter().for_each(|order| table.add(order));
        (Self::of(table, journals, seed, remembered_max), known.notes)
    }

    fn of(table: Table, journals: Journals, seed: KeySeed, remembered_max: usize) -> Self {
        Self {
            revision: AtomicU64::new(table.revision()),
            table: RwLock::new(table),
            journals: Mutex::new(journals),
            seed,
            remembered_max: remembered_max.max(1),
            left: AtomicUsize::new(0),
        }
    }

    /// The newest purge.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Acquire)
    }

    /// How many are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.read().len()
    }

    /// Takes purges down and puts them in force, in this order. Returns the number of the last
    /// one and how many journals failed.
    pub(crate) fn order(
        &self,
        purges: &[Purge<'_>],
        now_ms: u64,
    ) -> (u64, u64, Result<(), PurgeError>) {
        let mut journals = lock(&self.journals);
        let before = self.revision();
        let orders: Vec<Order> = (before + 1..)
            .zip(purges)
            .map(|(revision, purge)| Order {
                kind: purge.scope.kind(),
                strength: purge.strength,
                revision,
                target: Target::of(&purge.scope, &self.seed),
                at_ms: now_ms,
            })
            .collect();
        let (failed, outcome) = match journals.append(&orders, before) {
            Ok(failed) => (failed, Ok(())),
            Err(failed) => (failed, Err(PurgeError::NotDurable)),
        };
        let mut table = self.write();
        if table.len() + orders.len() > self.remembered_max {
            let keep = (self.remembered_max / 4 * 3).saturating_sub(orders.len());
            if let Some(oldest) = table.surplus(keep) {
                table.forget(oldest);
            }
        }
        orders.iter().for_each(|order| table.add(order));
        let revision = table.revision();
        self.revision.store(revision, Release);
        (revision, failed, outcome)
    }

    /// Whether every purge has been asked about an entry, or is now and covers nothing of it.
    pub(crate) fn pass(&self, entry: &Entry) -> bool {
        let checked = entry.checked();
        if checked >= self.revision() {
            return true;
        }
        let table = self.read();
        let on_key = table.on_key(&self.seed, entry.full_key(), checked);
        let clean = entry.objects().all(|object| {
            let since = object.revision.max(checked);
            table.verdict(&on_key, &object.tags, since) == Verdict::Clean
        });
        if clean {
            entry.raise_checked(table.revision());
        }
        clean
    }

    /// What purges leave of an entry, how much they drop and how much they make stale.
    pub(crate) fn sifted(&self, entry: &Entry) -> (Entry, u64, u64) {
        let checked = entry.checked();
        let table = self.read();
        let on_key = table.on_key(&self.seed, entry.full_key(), checked);
        let mut sifted = entry.clone();
        let (dropped, softened) = sifted.sift(table.revision(), |object| {
            table.verdict(&on_key, &object.tags, object.revision.max(checked))
        });
        (sifted, dropped, softened)
    }

    /// Whether a purge covers what was asked for at `since`, whatever comes of it; `None` if that
    /// is a matter of its tags and they are not known.
    pub(crate) fn covers(&self, full_key: &[u8], tags: Option<&[u64]>, since: u64) -> Option<bool> {
        if since >= self.revision() {
            return Some(false);
        }
        let table = self.read();
        let on_key = table.on_key(&self.seed, full_key, since);
        if table.verdict(&on_key, tags.unwrap_or_default(), since) != Verdict::Clean {
            return Some(true);
        }
        let open = tags.is_none() && table.may_tag(&self.seed, full_key, since);
        (!open).then_some(false)
    }

    /// Whether there is anything to gain from [`Purges::forget`].
    pub(crate) fn wants_forgetting(&self) -> bool {
        let remembered = self.remembered();
        let left = self.left.load(Relaxed);
        remembered > left + self.remembered_max / 8 || lock(&self.journals).is_long(remembered)
    }

    /// Forgets the purges up to `revision`, which nothing stored is older than, and writes
    /// journals anew that have grown. How many of them failed.
    pub(crate) fn forget(&self, revision: u64) -> u64 {
        let mut journals = lock(&self.journals);
        self.write().forget(revision);
        let (remembered, floor) = {
            let table = self.read();
            (table.len(), table.floor())
        };
        self.left.store(remembered, Relaxed);
        journals.compact(remembered, floor, |order| self.read().holds(order))
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}
