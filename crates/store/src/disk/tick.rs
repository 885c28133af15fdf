//! What has to happen now and then: writing what was gathered, trying failed disks again, and
//! snapshots. One thread for all disks beats; snapshots have threads of their own.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::warn;

use super::counters::DiskCounters;
use super::members::Members;
use super::queue::Op;
use super::snapshot;
use super::volume::{Disk, Health};
use crate::lock::lock;

/// Time between two beats: as long records may stay in the buffer.
const BEAT: Duration = Duration::from_millis(200);

/// Beats between attempts to write to a disk that took no writes: 30 s.
const RETRY_BEATS: u64 = 150;

/// Beats between snapshots: 60 s.
const SNAPSHOT_BEATS: u64 = 300;

/// All disks, as the thread that beats and the public face share them.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) disks: Vec<Arc<Disk>>,
    pub(crate) counters: Arc<DiskCounters>,
    pub(crate) members: Mutex<Members>,
    pub(crate) stopped: AtomicBool,
    /// For each disk, the log's position at its last snapshot.
    pub(crate) snapshots: Vec<AtomicU64>,
}

impl Set {
    /// One beat.
    pub(crate) fn beat(&self) {
        for disk in &self.disks {
            if !disk.buffers.is_empty() {
                disk.queue.tick();
            }
        }
        lock(&self.members).review();
        self.export();
    }

    /// Has disks that take no writes try again.
    pub(crate) fn retry(&self) {
        for disk in self.disks.iter().filter(|disk| disk.health() == Health::ReadOnly) {
            disk.queue.push_urgent(Op::Retry);
        }
    }

    /// Brings the gauges up to date.
    pub(crate) fn export(&self) {
        let used = || self.disks.iter().filter(|disk| disk.health() != Health::Lost);
        let sites = |disk: &Arc<Disk>| -> u64 {
            lock(&disk.accounts).sites.values().map(|sum| sum.bytes).sum()
        };
        let read_only = used().filter(|disk| disk.health() == Health::ReadOnly);
        let sum = |of: &dyn Fn(&Arc<Disk>) -> u64| -> u64 { used().map(of).sum() };
        let counters = &self.counters;
        counters.records.store(sum(&|disk| disk.index.len() as u64), Relaxed);
        counters.bytes.store(sum(&sites), Relaxed);
        counters.capacity_bytes.store(sum(&|disk| disk.segments.capacity_bytes()), Relaxed);
        counters.index_bytes.store(sum(&|disk| disk.index.memory_bytes() as u64), Relaxed);
        counters.queue_bytes.store(sum(&|disk| disk.queue.bytes() as u64), Relaxed);
        counters.disks.store(used().count() as u64, Relaxed);
        counters.disks_read_only.store(read_only.count() as u64, Relaxed);
    }

    /// Writes a snapshot of a disk, if anything changed since the last.
    pub(crate) fn snapshot(&self, at: usize) {
        let disk = &self.disks[at];
        let (answer, position) = oneshot::channel();
        disk.queue.push_normal(Op::Position(answer));
        let Ok(Some(head)) = position.blocking_recv() else { return };
        if self.snapshots[at].load(Relaxed) == head.sequence {
            return;
        }
        match snapshot::write(disk, &head) {
            Ok(()) => {
                DiskCounters::add(&self.counters.snapshots);
                self.snapshots[at].store(head.sequence, Relaxed);
            }
            Err(error) => {
                let disk = disk.folder.display();
                warn!(%disk, %error, "no snapshot of a cache disk; opening it will take longer");
            }
        }
    }
}

/// Beats until the set is stopped.
pub(crate) fn run(set: &Arc<Set>) {
    let mut beats = 0u64;
    let mut writing: Option<JoinHandle<()>> = None;
    while !set.stopped.load(Acquire) {
        std::thread::park_timeout(BEAT);
        beats += 1;
        set.beat();
        if beats.is_multiple_of(RETRY_BEATS) {
            set.retry();
        }
        if beats.is_multiple_of(SNAPSHOT_BEATS)
            && writing.as_ref().is_none_or(JoinHandle::is_finished)
        {
            let set = set.clone();
            let work = move || (0..set.disks.len()).for_each(|at| set.snapshot(at));
            let thread = std::thread::Builder::new().name("disk-snapshot".into()).spawn(work);
            // Without a thread the next time will do.
            writing = thread.ok();
        }
    }
    if let Some(writing) = writing {
        // It only ends early if it panicked, and then there is no snapshot.
        let _ = writing.join();
    }
}
