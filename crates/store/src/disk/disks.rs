//! All disks as one map.
//!
//! A key lives on one disk: the one that its rendezvous hash chooses among those that take writes,
//! so a disk that fails moves no keys but its own. A look-up asks the others too, because a key may
//! have been put when the choice was another; what is put elsewhere is removed there first.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::error;

use super::counters::DiskCounters;
use super::found::Found;
use super::io::{Files, Io};
use super::members::Members;
use super::open;
use super::queue::Op;
use super::reader;
use super::record::{Kind, PAYLOAD_BYTES_MAX, Record};
use super::removal::Removal;
use super::report::OpenReport;
use super::settings::{Admission, DiskSettings, Quota};
use super::tick::{self, Set};
use super::volume::{Disk, Health};
use crate::lock::lock;

/// Bytes on disk of one site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteBytes {
    /// The site.
    pub site: u32,
    /// Its records.
    pub records: u64,
    /// Their bytes with headers and padding.
    pub bytes: u64,
}

/// Sums over all disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records that can be found.
    pub records: u64,
    /// Their bytes with headers and padding.
    pub bytes: u64,
    /// Bytes that segments may take.
    pub capacity_bytes: u64,
}

/// All disks as one map. Shared by all threads; every method but the named ones returns at once.
#[derive(Debug)]
pub struct Disks {
    pub(crate) set: Arc<Set>,
    key_seed: Option<[u8; 16]>,
    admission: Admission,
    writers: Mutex<Vec<JoinHandle<()>>>,
    others: Mutex<Vec<JoinHandle<()>>>,
}

impl Disks {
    /// Opens the disks. Never fails as a whole: a disk that cannot be used is left out, with the
    /// reason in the report, which the caller is to log. Blocks while snapshots and logs are read.
    pub fn open(settings: &DiskSettings, counters: Arc<DiskCounters>) -> (Self, OpenReport) {
        let (disks, report) = Self::open_on(settings, counters, Arc::new(Files));
        let set = disks.set.clone();
        if !set.disks.is_empty() {
            let beating = spawn("disk-beat".into(), move || tick::run(&set));
            lock(&disks.others).extend(beating);
        }
        (disks, report)
    }

    /// Opens the disks through other file operations, without the thread that beats.
    pub(crate) fn open_on(
        settings: &DiskSettings,
        counters: Arc<DiskCounters>,
        io: Arc<dyn Io>,
    ) -> (Self, OpenReport) {
        let (ready, report) = open::open(settings, &counters, &io);
        let key_seed = ready.first().map(|ready| ready.block.key_seed);
        let (mut disks, mut blocks) = (Vec::new(), Vec::new());
        let (mut writers, mut others) = (Vec::new(), Vec::new());
        for open::Ready { disk, block, recovered } in ready {
            let writer = recovered.writer(disk.clone());
            writers.extend(spawn(format!("disk{}-write", disk.number), move || writer.run()));
            for _ in 0..settings.readers.max(1) {
                let shared = disk.clone();
                let name = format!("disk{}-read", disk.number);
                others.extend(spawn(name, move || reader::run(&shared)));
            }
            blocks.push((disk.clone(), block));
            disks.push(disk);
        }
        let snapshots = disks.iter().map(|_| AtomicU64::new(0)).collect();
        let members = Mutex::new(Members::new(blocks));
        let stopped = AtomicBool::new(false);
        let set = Arc::new(Set { disks, counters, members, stopped, snapshots });
        let (writers, others) = (Mutex::new(writers), Mutex::new(others));
        let admission = settings.admission;
        let opened = Self { set, key_seed, admission, writers, others };
        opened.set_quotas(&settings.sites);
        opened.set.export();
        (opened, report)
    }

    /// The seed that keys must be made with: that of the settings for new disks, else the one the
    /// disks were first opened with. `None` without a usable disk.
    pub fn key_seed(&self) -> Option<[u8; 16]> {
        self.key_seed
    }

    /// Stores a record in the place of the one under its key. Never blocks and never fails: what
    /// cannot be stored is dropped and counted. It can be found a moment later, when its disk's
    /// writer has taken it.
    pub fn put(&self, record: Record) {
        self.queue(record);
        // Last: what is counted can be seen in `unwritten_bytes`.
        DiskCounters::add(&self.set.counters.puts);
    }

    fn queue(&self, record: Record) {
        let counters = &self.set.counters;
        let home = self.home(record.key, Health::Sound);
        let Some(home) = home.filter(|_| record.payload_bytes() <= PAYLOAD_BYTES_MAX) else {
            // What is there is older than what could not be put.
            drop(self.remove_soon(record.key));
            return DiskCounters::add(&counters.refused);
        };
        if record.kind == Kind::Entry && !self.admits(record.key) {
            return DiskCounters::add(&counters.unadmitted);
        }
        for other in self.others(home) {
            if other.index.get(record.key).is_some() {
                drop(other.queue.remove(&other.index, record.key));
            }
        }
        let key = record.key;
        if !home.queue.put(record) {
            // An older record must not answer in the place of this one.
            drop(self.remove_soon(key));
            DiskCounters::add(&counters.overflowed);
        }
    }

    /// Waits until the disk of a key can take more, for so long at most; blocks the thread.
    pub(crate) fn wait_for_room(&self, key: u128, limit: Duration) {
        if let Some(home) = self.home(key, Health::Sound) {
            home.queue.wait_for_room(limit);
        }
    }

    /// The record under a key, from memory alone. Counts as a use.
    pub fn find(&self, key: u128) -> Option<Found> {
        let home = self.home(key, Health::ReadOnly)?;
        if let Some(place) = home.index.touch(key) {
            return Some(Found::new(home, key, place));
        }
        let elsewhere = self.others(home).find_map(|disk| {
            let place = disk.index.touch(key)?;
            Some(Found::new(disk, key, place))
        });
        if elsewhere.is_none() {
            home.asked.missed(key);
        }
        elsewhere
    }

    /// The payload of a slice that was put and cannot be found yet.
    pub fn on_its_way(&self, key: u128) -> Option<Vec<Bytes>> {
        self.home(key, Health::Sound)?.queue.slice(key)
    }

    /// Whether an entry under a key would be let on. Those who cut a body into slices ask before
    /// they put them, for slices are always let on.
    pub fn admits(&self, key: u128) -> bool {
        match self.admission {
            Admission::Always => true,
            Admission::SecondAsk => {
                let home = self.home(key, Health::Sound);
                home.is_some_and(|disk| disk.asked.is_second(key)) || self.has(key)
            }
        }
    }

    /// The record under a key, from memory alone. Counts no use.
    pub fn peek(&self, key: u128) -> Option<Found> {
        self.find(key)
    }

    /// Whether there is a record under a key. Counts no use.
    pub fn has(&self, key: u128) -> bool {
        self.usable(Health::ReadOnly).any(|disk| disk.index.get(key).is_some())
    }

    /// Removes what is under a key, from the index at once. The future is ready when the removal is
    /// on disk and so outlives the process.
    pub fn remove_soon(&self, key: u128) -> Removal {
        DiskCounters::add(&self.set.counters.removals);
        let disks = self.usable(Health::ReadOnly);
        Removal(disks.filter_map(|disk| disk.queue.remove(&disk.index, key)).collect())
    }

    /// Removes what is under a key and waits until the removal is on disk; blocks the thread for
    /// the write at hand of one writer. Says whether it is on disk (see [`Removal`]).
    pub fn remove(&self, key: u128) -> bool {
        self.remove_soon(key).wait()
    }

    /// Hands over new quotas, from now on in force.
    pub fn set_quotas(&self, sites: &[Quota]) {
        let disks = || self.set.disks.iter();
        let all_bytes = disks().map(|disk| disk.segments.capacity_bytes()).sum();
        for disk in disks() {
            let quotas = super::quota::share(sites, &disk.segments, all_bytes);
            disk.queue.push_urgent(Op::Quotas(quotas));
        }
    }

    /// Tells what time it is on the store's time line; it is kept with snapshots.
    pub fn set_now(&self, now_ms: u64) {
        self.set.disks.iter().for_each(|disk| disk.note_time(now_ms));
    }

    /// The lowest purge revision of what may be on a disk; `None` when nothing is.
    pub fn min_revision(&self) -> Option<u64> {
        let of_disk = |disk: &Arc<Disk>| {
            let waiting = disk.queue.revision_min();
            let accounts = lock(&disk.accounts);
            let stored = accounts.segments.values().map(|account| account.revision_min);
            stored.filter(|revision| *revision < u64::MAX).chain(waiting).min()
        };
        self.usable(Health::ReadOnly).filter_map(of_disk).min()
    }

    /// Sums of all sites that have records, in the order of the site.
    pub fn bytes_by_site(&self) -> Vec<SiteBytes> {
        let mut sites = std::collections::BTreeMap::<u32, SiteBytes>::new();
        for disk in self.usable(Health::ReadOnly) {
            for (site, sum) in &lock(&disk.accounts).sites {
                let all = sites.entry(*site).or_default();
                all.site = *site;
                all.records += sum.records;
                all.bytes += sum.bytes;
            }
        }
        sites.into_values().collect()
    }

    /// Sums over all disks.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for disk in self.usable(Health::ReadOnly) {
            totals.records += disk.index.len() as u64;
            totals.bytes += lock(&disk.accounts).sites.values().map(|sum| sum.bytes).sum::<u64>();
            totals.capacity_bytes += disk.segments.capacity_bytes();
        }
        totals
    }

    /// Bytes that were put and are in no file yet: 0 exactly when there are none; in between, what
    /// moves on meanwhile may be counted twice. A disk that was given up counts no more.
    pub fn unwritten_bytes(&self) -> u64 {
        // In the order in which records go, so that none is missed on its way.
        let of_disk = |disk: &Arc<Disk>| disk.queue.unwritten_bytes() + disk.buffers.bytes();
        self.usable(Health::ReadOnly).map(|disk| of_disk(disk) as u64).sum()
    }

    /// Waits until all that was put before is written; blocks the thread.
    pub fn flush(&self) {
        let ask = |disk: &Arc<Disk>| {
            let (done, flushed) = oneshot::channel();
            disk.queue.push_normal(Op::Flush(Some(done)));
            flushed
        };
        let waiting: Vec<_> = self.set.disks.iter().map(ask).collect();
        for flushed in waiting {
            // A writer that has ended has nothing left to write.
            let _ = flushed.blocking_recv();
        }
        self.set.export();
    }

    /// Writes everything and the snapshots and ends all threads; blocks the thread. After it, all
    /// finds miss and all puts are dropped. Dropping without it is like a crash.
    pub fn close(&self) {
        if !self.set.stopped.load(Ordering::Acquire) {
            lock(&self.set.members).review();
            std::thread::scope(|scope| {
                for at in 0..self.set.disks.len() {
                    scope.spawn(move || self.set.snapshot(at));
                }
            });
        }
        self.stop(false);
    }

    fn stop(&self, at_once: bool) {
        self.set.stopped.store(true, Ordering::Release);
        for disk in &self.set.disks {
            disk.queue.stop(at_once);
            disk.reads.stop();
        }
        let writers = std::mem::take(&mut *lock(&self.writers));
        let others = std::mem::take(&mut *lock(&self.others));
        for thread in writers.into_iter().chain(others) {
            thread.thread().unpark();
            if thread.join().is_err() {
                error!("a thread of a cache disk panicked");
            }
        }
        for disk in &self.set.disks {
            disk.health.store(Health::Lost as u8, Ordering::Release);
            drop(lock(&disk.lock).take());
        }
    }

    /// Disks that are good for at least that.
    fn usable(&self, health: Health) -> impl Iterator<Item = &Arc<Disk>> {
        self.set.disks.iter().filter(move |disk| disk.health() <= health)
    }

    fn others<'a>(&'a self, home: &'a Arc<Disk>) -> impl Iterator<Item = &'a Arc<Disk>> {
        self.usable(Health::ReadOnly).filter(|disk| disk.number != home.number)
    }

    /// The disk of a key among those that are good for that.
    fn home(&self, key: u128, health: Health) -> Option<&Arc<Disk>> {
        if let [disk] = &self.set.disks[..] {
            return (disk.health() <= health).then_some(disk);
        }
        let score = |disk: &Arc<Disk>| score(key, disk);
        self.usable(health).max_by(|a, b| score(a).total_cmp(&score(b)))
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.stop(true);
    }
}

/// How much a disk wants a key: the highest wins, each as often as its size is of all.
fn score(key: u128, disk: &Disk) -> f64 {
    let mixed = (key ^ disk.route).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let bits = (mixed >> 75) as u64;
    let chance = (bits as f64 + 0.5) / (1u64 << 53) as f64;
    disk.segments.capacity_bytes() as f64 / -chance.ln()
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    let spawned = std::thread::Builder::new().name(name).spawn(work);
    spawned.inspect_err(|error| error!(%error, "no thread for a cache disk")).ok()
}
