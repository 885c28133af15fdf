//! One disk, as all threads share it: the index, the segments, what waits to be written or read.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

use tracing::error;

use super::accounts::Accounts;
use super::buffers::Buffers;
use super::counters::DiskCounters;
use super::header::{HEADER_BYTES, Header, UNIT};
use super::index::{Index, Place};
use super::io::{Io, read_full};
use super::keep::Asked;
use super::pool::Pool;
use super::queue::{Op, Queue};
use super::reader::ReadQueue;
use super::segment::Segments;
use super::superblock;
use crate::lock::lock;

/// Reads that may fail one after another before a disk is given up.
const READ_FAILURES_MAX: u32 = 16;

/// What a disk is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Health {
    /// Everything.
    Sound,
    /// Reads alone: writes failed.
    ReadOnly,
    /// Nothing.
    Lost,
}

/// One disk.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Which of the disks in the settings it is.
    pub(crate) number: usize,
    /// What decides which keys are its own; it outlives what is stored.
    pub(crate) route: u128,
    pub(crate) folder: PathBuf,
    pub(crate) io: Arc<dyn Io>,
    pub(crate) counters: Arc<DiskCounters>,
    pub(crate) index: Index,
    /// What was asked for and is not here.
    pub(crate) asked: Asked,
    pub(crate) segments: Segments,
    pub(crate) buffers: Buffers,
    pub(crate) queue: Queue,
    pub(crate) reads: ReadQueue,
    pub(crate) pool: Arc<Pool>,
    /// Changed by the writer, read by all.
    pub(crate) accounts: Mutex<Accounts>,
    /// The latest time of the store's time line.
    pub(crate) time_max_ms: AtomicU64,
    /// The highest purge revision of any record.
    pub(crate) revision_max: AtomicU64,
    /// Whether the file system can say what is in the page cache.
    pub(crate) tells_cached: AtomicBool,
    /// Removals that could not be written yet.
    pub(crate) owing: AtomicBool,
    /// Whether the superblock says that the next process may trust what is on this disk. The lock
    /// is held while that is changed.
    pub(crate) vouched: Mutex<bool>,
    pub(crate) read_failures: AtomicU32,
    pub(crate) health: AtomicU8,
    /// Keeps other processes off as long as it is open.
    pub(crate) lock: Mutex<Option<File>>,
}

impl Disk {
    /// What it is good for.
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Acquire) {
            0 => Health::Sound,
            1 => Health::ReadOnly,
            _ => Health::Lost,
        }
    }

    /// Writes work, or do not, unless the disk is lost.
    pub(crate) fn set_writable(&self, writable: bool) {
        let (from, to) = if writable { (1, 0) } else { (0, 1) };
        let _ = self.health.compare_exchange(from, to, AcqRel, Relaxed);
    }

    /// Gives the disk up.
    pub(crate) fn lose(&self, why: &str) {
        if self.health.swap(Health::Lost as u8, AcqRel) != Health::Lost as u8 {
            DiskCounters::add(&self.counters.disks_lost);
            error!(disk = %self.folder.display(), why, "a cache disk is given up");
            self.distrust();
        }
    }

    /// Has the disk emptied when it is opened again, from now on: something that was removed is
    /// still there, or will be. `Members::review` writes the superblock anew.
    pub(crate) fn distrust(&self) {
        let mut vouched = lock(&self.vouched);
        if std::mem::take(&mut *vouched)
            && let Err(error) = superblock::remove(&self.folder, &*self.io)
        {
            let disk = self.folder.display();
            error!(%disk, %error, "a cache disk may come back with what was removed");
        }
    }

    /// Notes that a read worked.
    pub(crate) fn read_worked(&self) {
        if self.read_failures.load(Relaxed) > 0 {
            self.read_failures.store(0, Relaxed);
        }
    }

    /// Notes that a read failed; after too many the disk is lost.
    pub(crate) fn read_failed(&self, error: &std::io::Error) {
        DiskCounters::add(&self.counters.read_errors);
        if self.read_failures.fetch_add(1, Relaxed) + 1 >= READ_FAILURES_MAX {
            self.lose(&format!("reads fail: {error}"));
        }
    }

    /// Forgets a record that turned out bad, for good.
    pub(crate) fn forget(&self, key: u128, place: Place) {
        if self.index.remove_if(key, place) {
            self.queue.push_urgent(Op::Remove { key, place: Some(place), done: None });
        }
    }

    /// The header of a record, from the buffer or the file.
    pub(crate) fn header_at(&self, place: Place) -> Option<Header> {
        let segment = self.segments.at(place.segment)?;
        if place.unit >= segment.written() {
            let decode = |bytes: &[u8]| Header::decode(bytes, segment.salt());
            if let Some(header) = self.buffers.with_record(place, decode) {
                return header;
            }
        }
        let mut bytes = [0; HEADER_BYTES];
        let at = u64::from(place.unit) * UNIT as u64;
        read_full(&*self.io, segment.file()?, &mut bytes, at).ok()?;
        Header::decode(&bytes, segment.salt())
    }

    /// Keeps the latest time.
    pub(crate) fn note_time(&self, now_ms: u64) {
        self.time_max_ms.fetch_max(now_ms, Relaxed);
    }

    /// Keeps the highest purge revision.
    pub(crate) fn note_revision(&self, revision: u64) {
        self.revision_max.fetch_max(revision, Relaxed);
    }

    /// Says whether removals wait that could not be written.
    pub(crate) fn set_owing(&self, owing: bool) {
        self.owing.store(owing, Release);
    }

    /// Whether removals wait that could not be written.
    pub(crate) fn is_owing(&self) -> bool {
        self.owing.load(Acquire)
    }

    /// Whether the next process may trust what is on this disk.
    pub(crate) fn is_trustworthy(&self) -> bool {
        self.health() != Health::Lost && !self.is_owing()
    }
}
