//! The store: lookup, fills, invalidation. See `crates/store/README.md` for the whole picture.
//!
//! `lookup` takes no lock of this crate and allocates nothing. Everything that changes a key does
//! so under the lock of its table shard, so an invalidation and the end of a fill cannot cross.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use http::HeaderMap;
use selvedge_policy::{Key, KeyParts, KeySeed, Now, Storable, tags};

use crate::again::Again;
use crate::counters::Counters;
use crate::disk::{DiskCounters, DiskSettings, Disks, OpenReport, Quota, SiteBytes};
use crate::entry::{Entry, EntryLimits};
use crate::fill::slice::SliceTable;
use crate::fill::{Budget, Fill, FillReader, FillWriter, Found, Matching, Shard, Table, Wanted};
use crate::head::BodyId;
use crate::line::line_start_ms;
use crate::memory::Memory;
use crate::object::Object;
use crate::purge::{Purges, line_revision};
use crate::settings::Settings;
use crate::tier::Tier;

/// What `Store::begin` says.
#[derive(Debug)]
pub enum Begin {
    /// Nobody fills this: the caller does, in a detached task, and may read along.
    Lead(FillWriter, FillReader),
    /// Someone fills this already.
    Join(FillReader),
    /// It has been stored since the caller looked: a fill ended in between.
    Stored(Arc<Object>),
    /// Too many fills: go to the next hop alone and store nothing.
    Full,
}

/// How full the memory tier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Keys with an entry.
    pub entries: u64,
    /// Bytes that the entries weigh.
    pub bytes: u64,
    /// Bytes that growing fills hold.
    pub fill_bytes: u64,
    /// Fills that run.
    pub fills: u64,
}

/// What was found on disk.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Disk by disk.
    pub report: OpenReport,
    /// Where the store's time line begins in this process, in milliseconds: the monotonic part of
    /// every `Now` that the store is given must go on from here.
    pub line_ms: u64,
}

/// No body takes more than one part in so many of the disks.
const APART_PART: u64 = 4;

/// A cache shared by all threads of a process.
#[derive(Debug)]
pub struct Store {
    pub(crate) memory: Memory,
    pub(crate) table: Table,
    pub(crate) slice_fills: SliceTable,
    /// How many read a body slice by slice.
    pub(crate) readings: Mutex<HashMap<BodyId, u32>>,
    /// How many those are.
    pub(crate) readers: AtomicU32,
    /// Which slices were read from disk lately.
    pub(crate) read_lately: Again,
    settings: Settings,
    pub(crate) budget: Arc<Budget>,
    counters: Arc<Counters>,
    seed: KeySeed,
    pub(crate) purges: Purges,
    pub(crate) tier: Option<Tier>,
    /// Longest body that is stored slice by slice as it comes, in bytes.
    pub(crate) apart_bytes_max: u64,
}

impl Store {
    /// An empty store in memory.
    pub fn new(settings: Settings, counters: Arc<Counters>) -> Arc<Self> {
        let seed = random_seed();
        let purges = Purges::in_memory(seed, settings.purges_max);
        Self::build(settings, counters, seed, purges, None)
    }

    /// A store with what is on disk. Blocks while indexes are read. `wall_ms` is the time of the
    /// wall clock in milliseconds since 1970.
    pub fn open(
        settings: Settings,
        counters: Arc<Counters>,
        mut disks: DiskSettings,
        disk_counters: Arc<DiskCounters>,
        wall_ms: i64,
    ) -> (Arc<Self>, Opened) {
        disks.key_seed = random_seed_bytes();
        disks.now_ms = line_start_ms(wall_ms, 0);
        let disk_bytes =
            disks.disks.iter().map(|disk| disk.size_bytes).fold(0, u64::saturating_add);
        let (open, report) = Disks::open(&disks, disk_counters);
        let line_ms = line_start_ms(wall_ms, report.time_max_ms);
        let folders: Vec<_> = report.usable().map(|disk| disk.path.clone()).collect();
        let least = line_revision(line_ms).max(report.revision_max + 1);
        let opened = Opened { report, line_ms };
        // Without a disk that can be used it is memory alone.
        let store = match open.key_seed() {
            Some(seed) => {
                let tier = Tier::start(open, counters.clone(), line_ms);
                let seed = KeySeed::new(seed);
                let (purges, notes) = Purges::open(&folders, least, seed, settings.purges_max);
                for note in notes {
                    tracing::error!("cache: a journal of purges cannot be used: {note}");
                }
                Self::build(settings, counters, seed, purges, Some((tier, disk_bytes)))
            }
            None if disks.disks.is_empty() => Self::new(settings, counters),
            None => {
                let seed = random_seed();
                let purges = Purges::undurable(seed, settings.purges_max);
                Self::build(settings, counters, seed, purges, None)
            }
        };
        (store, opened)
    }

    fn build(
        settings: Settings,
        counters: Arc<Counters>,
        seed: KeySeed,
        purges: Purges,
        disk: Option<(Tier, u64)>,
    ) -> Arc<Self> {
        let settings = settings.settled();
        let (tier, disk_bytes) = disk.unzip();
        Arc::new(Self {
            memory: Memory::new(&settings, counters.clone()),
            table: Table::new(),
            slice_fills: SliceTable::default(),
            readings: Mutex::default(),
            readers: AtomicU32::new(0),
            read_lately: Again::new(settings.memory_bytes),
            budget: Arc::new(Budget::new(counters.clone(), settings.fill_bytes_max)),
            settings,
            counters,
            seed,
            purges,
            tier,
            apart_bytes_max: disk_bytes.unwrap_or(0) / APART_PART,
        })
    }

    /// What is stored under a key. The hit path: never waits, no allocation.
    pub fn lookup(&self, key: Key, full_key: &[u8]) -> Option<Arc<Entry>> {
        let found = self.entry(key, full_key);
        self.counters.count_lookup(found.is_some());
        found
    }

    /// Joins the fill that is for this request, or begins one.
    ///
    /// While nothing is known of a resource, all requests wait for its first head. Those that it
    /// does not match begin again; by then the plan is known, so they fill by variant. A resource
    /// that changes its plan with every answer could repeat this: give up after two rounds.
    pub fn begin(
        self: &Arc<Self>,
        key: Key,
        full_key: &[u8],
        wanted: Wanted<'_>,
        now: Now,
    ) -> Begin {
        let begin = self.join_or_lead(key, full_key, wanted, now);
        if matches!(begin, Begin::Join(_)) {
            Counters::add(&self.counters.joins);
        }
        begin
    }

    /// Begins a fill that nobody is waiting for: a refresh behind a stale answer. `None` if one
    /// runs already or too many do.
    pub fn begin_refresh(
        self: &Arc<Self>,
        key: Key,
        full_key: &[u8],
        wanted: Wanted<'_>,
        now: Now,
    ) -> Option<FillWriter> {
        match self.join_or_lead(key, full_key, wanted, now) {
            Begin::Lead(writer, _) => Some(writer),
            Begin::Join(_) | Begin::Stored(_) | Begin::Full => None,
        }
    }

    /// Begins a fill that nobody joins before its head says that it can be stored: for a key whose
    /// entry is `passing`, so that it becomes shared again when its answers allow it.
    pub fn begin_alone(
        self: &Arc<Self>,
        key: Key,
        full_key: &[u8],
        now: Now,
    ) -> Option<(FillWriter, FillReader)> {
        self.lead(&mut self.table.shard(key), key, full_key, Matching::Alone, now)
    }

    /// Removes everything under a key; fills that began before are not stored. It holds at once,
    /// and for later processes when the future is ready, which says whether there was anything.
    pub fn invalidate(&self, key: Key) -> impl Future<Output = bool> + use<> {
        let mut shard = self.table.shard(key);
        let writers = shard.revoke(key);
        let stored =
            self.memory.get(key).is_some() || self.tier.as_ref().is_some_and(|tier| tier.has(key));
        self.memory.remove(key);
        let removal = self.tier.as_ref().map(|tier| tier.remove(key));
        drop(shard);
        Counters::add(&self.counters.invalidations);
        // They may want to give up; wakers run without the lock.
        writers.into_iter().for_each(Waker::wake);
        async move {
            if let Some(removal) = removal {
                // Whether it is written changes nothing here: a disk that cannot write it is
                // emptied when it is opened again, and that is settled before this is ready.
                removal.await;
            }
            stored
        }
    }

    /// One stored response must be validated before it answers again (RFC 9111 4.3.5).
    pub fn expire_one(&self, key: Key, full_key: &[u8], object: &Object) {
        let shard = self.table.shard(key);
        self.update(&shard, key, full_key, |entry| entry.expire(object));
    }

    /// Removes one stored response with its encoded copies. Whether it was there.
    pub fn remove(&self, key: Key, full_key: &[u8], object: &Object) -> bool {
        let shard = self.table.shard(key);
        self.update(&shard, key, full_key, |entry| entry.remove(object))
    }

    /// Renews the head of a stored response (a 304 or a HEAD, outside a fill). The body and, if
    /// the validators are the same, the encoded copies stay. Nothing is stored if `old` is not
    /// what is stored now: it was renewed, replaced, expired or invalidated meanwhile. `revision`
    /// is that of the store when the answer was asked for.
    pub fn freshen(
        &self,
        key: Key,
        full_key: &[u8],
        old: &Arc<Object>,
        storable: Storable,
        revision: u64,
    ) -> Arc<Object> {
        let tags = self.tags(full_key, storable.headers());
        let new = Arc::new(old.with_head(old.renewed(storable, tags, revision)));
        let shard = self.table.shard(key);
        let current = self.entry_under(&shard, key, full_key);
        if current.is_some_and(|entry| entry.variants().iter().any(|kept| Arc::ptr_eq(kept, old))) {
            self.renew(&shard, key, full_key, old, &new);
        }
        new
    }

    /// Marks a key: its answers are not for sharing until `until_mono_ms`.
    pub fn mark_pass(&self, key: Key, full_key: &[u8], until_mono_ms: u64) {
        let shard = self.table.shard(key);
        self.update(&shard, key, full_key, |entry| entry.pass_until(until_mono_ms));
    }

    /// Tells what time it is on the monotonic clock, for what is written down; to be called every
    /// second or so.
    pub fn set_now(&self, mono_ms: u64) {
        if let Some(tier) = &self.tier {
            tier.set_now(mono_ms);
        }
    }

    /// From now on sites have these parts of the disks. They are named by `site_number`.
    pub fn set_quotas(&self, quotas: &[Quota]) {
        if let Some(tier) = &self.tier {
            tier.disks().set_quotas(quotas);
        }
    }

    /// What each site has on disk.
    pub fn disk_bytes_by_site(&self) -> Vec<SiteBytes> {
        self.tier.as_ref().map(|tier| tier.disks().bytes_by_site()).unwrap_or_default()
    }

    /// Bytes that are to be written to disk and are in no file yet, which a crash would cost: 0
    /// exactly when there are none.
    pub fn unwritten_bytes(&self) -> u64 {
        self.tier.as_ref().map_or(0, Tier::unwritten_bytes)
    }

    /// Waits until all that is stored by now is on disk; blocks the thread.
    pub fn flush(&self) {
        if let Some(tier) = &self.tier {
            tier.flush();
        }
    }

    /// Writes all that is to be written, and leaves the disks; blocks the thread. What is stored
    /// from now on is in memory alone.
    pub fn close(&self) {
        if let Some(tier) = &self.tier {
            tier.close();
        }
    }

    /// What is held now.
    pub fn stats(&self) -> Stats {
        Stats {
            entries: self.counters.entries.load(Relaxed),
            bytes: self.counters.bytes.load(Relaxed),
            fill_bytes: self.counters.fill_bytes.load(Relaxed),
            fills: self.counters.fills_active.load(Relaxed),
        }
    }

    /// The secret of all its keys and tags.
    pub fn key_seed(&self) -> KeySeed {
        self.seed
    }

    /// The number of the last purge. What is asked for from now on is newer than that one.
    pub fn revision(&self) -> u64 {
        self.purges.revision()
    }

    /// The counters it was built with.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Longest body that is stored.
    pub fn object_bytes_max(&self) -> u64 {
        self.settings.object_bytes_max
    }

    /// The tags of a response with these fields.
    pub(crate) fn tags(&self, full_key: &[u8], headers: &HeaderMap) -> Arc<[u64]> {
        let site = KeyParts::read(full_key).map_or("", |parts| parts.site);
        let (tags, ignored) = tags::hashes(&self.seed, site, headers);
        self.counters.tags_ignored.fetch_add(ignored, Relaxed);
        tags
    }

    pub(crate) fn window_bytes(&self) -> usize {
        self.settings.window_bytes
    }

    pub(crate) fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        self.table.shard(key)
    }

    /// Stores what a fill has brought, unless the key was invalidated since it began. From here on
    /// nobody joins it.
    pub(crate) fn keep(&self, fill: &Arc<Fill>, object: &Arc<Object>) -> bool {
        let limits = EntryLimits {
            variants_max: self.settings.variants_max,
            bytes_max: self.settings.entry_bytes_max(),
        };
        let mut shard = self.table.shard(fill.key);
        shard.remove(fill);
        // A copy whose source is not here any more says nothing about what may be on disk.
        let is_orphan = object.derived.is_some()
            && self.entry_under(&shard, fill.key, &fill.full_key).is_none();
        let kept = !fill.revoked()
            && !is_orphan
            && !self.is_purged(fill, object)
            && self.update(&shard, fill.key, &fill.full_key, |entry| {
                if object.derived.is_some() {
                    return entry.put_encoded(object.clone(), limits);
                }
                let dropped = entry.put(object.clone(), limits);
                self.counters.variants_dropped.fetch_add(dropped, Relaxed);
                true
            });
        Counters::add(if kept { &self.counters.stored } else { &self.counters.refused });
        kept
    }

    /// Renews the head of a stored response by what a fill has brought.
    pub(crate) fn refresh(
        &self,
        fill: &Arc<Fill>,
        old: &Arc<Object>,
        storable: Storable,
    ) -> Arc<Object> {
        let tags = self.tags(&fill.full_key, storable.headers());
        let mut head = old.renewed(storable, tags, fill.revision);
        head.started_mono_ms = fill.started_mono_ms;
        let new = Arc::new(old.with_head(head));
        let shard = self.table.shard(fill.key);
        if !fill.revoked() {
            self.renew(&shard, fill.key, &fill.full_key, old, &new);
        }
        new
    }

    fn renew(
        &self,
        shard: &MutexGuard<'_, Shard>,
        key: Key,
        full_key: &[u8],
        old: &Object,
        new: &Arc<Object>,
    ) {
        // What memory has dropped meanwhile may be on disk: it is renewed another time.
        let is_here = self.entry_under(shard, key, full_key).is_some();
        if is_here && self.update(shard, key, full_key, |entry| entry.renew(old, new)) {
            Counters::add(&self.counters.refreshed);
        }
    }

    fn join_or_lead(
        self: &Arc<Self>,
        key: Key,
        full_key: &[u8],
        wanted: Wanted<'_>,
        now: Now,
    ) -> Begin {
        let mut shard = self.table.shard(key);
        let plan = match shard.find(key, full_key, &wanted, &self.purges) {
            Found::Join(reader) => return Begin::Join(reader),
            Found::Full => {
                Counters::add(&self.counters.full);
                return Begin::Full;
            }
            Found::Nothing { plan } => {
                // A fill leaves the table and is stored under this lock: what is in neither place
                // has not been fetched by anybody.
                let entry = self.entry_under(&shard, key, full_key);
                if let Some(object) = entry.as_ref().and_then(|entry| wanted.arrived(entry)) {
                    return Begin::Stored(object);
                }
                plan.or_else(|| entry?.vary().cloned())
            }
        };
        match self.lead(&mut shard, key, full_key, Matching::expected(&wanted, plan), now) {
            Some((writer, reader)) => Begin::Lead(writer, reader),
            None => Begin::Full,
        }
    }

    fn lead(
        self: &Arc<Self>,
        shard: &mut MutexGuard<'_, Shard>,
        key: Key,
        full_key: &[u8],
        matching: Matching,
        now: Now,
    ) -> Option<(FillWriter, FillReader)> {
        if !self.count_fill() {
            return None;
        }
        Counters::add(&self.counters.fills);
        let (fill, reader) =
            Fill::begin(key, full_key, self.revision(), now.mono_ms, self.budget.clone());
        let writer = FillWriter::new(self.clone(), fill.clone());
        shard.add(fill, matching);
        Some((writer, reader))
    }

    /// Counts one more running fill, unless there are too many. Its writer counts it out.
    pub(crate) fn count_fill(&self) -> bool {
        let fills_max = self.settings.fills_max as u64;
        let one_more = |active| Some(active + 1).filter(|sum| *sum <= fills_max);
        let counted = self.counters.fills_active.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        if !counted {
            Counters::add(&self.counters.full);
        }
        counted
    }

    /// Changes the entry of a key: copy, change, put. The shard's lock makes it one step.
    fn update<R>(
        &self,
        shard: &MutexGuard<'_, Shard>,
        key: Key,
        full_key: &[u8],
        change: impl FnOnce(&mut Entry) -> R,
    ) -> R {
        // `old` is held to the end, so that what it alone holds is not freed under the map's lock.
        let old = self.entry_under(shard, key, full_key);
        let mut entry = match &old {
            Some(old) => Entry::clone(old),
            None => Entry::new(full_key),
        };
        let result = change(&mut entry);
        self.replace(shard, key, old.as_deref(), entry.sealed());
        result
    }

    /// Puts an entry in the place of `old`, in memory and on disk; an empty one removes it.
    pub(crate) fn replace(
        &self,
        _shard: &MutexGuard<'_, Shard>,
        key: Key,
        old: Option<&Entry>,
        entry: Arc<Entry>,
    ) {
        if !entry.is_empty() {
            self.memory.put(key, entry.clone());
        } else if old.is_some() {
            self.memory.remove(key);
        }
        if let Some(tier) = &self.tier {
            if !entry.variants().is_empty() {
                tier.put(key, &entry);
            } else if old.is_some_and(|old| !old.variants().is_empty()) || tier.has(key) {
                drop(tier.remove(key));
            }
        }
    }
}

/// A seed that clients cannot know. What memory holds ends with the process, and so may its keys.
fn random_seed() -> KeySeed {
    KeySeed::new(random_seed_bytes())
}

fn random_seed_bytes() -> [u8; 16] {
    let mut seed = [0; 16];
    for half in seed.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(0_u8).to_le_bytes());
    }
    seed
}
