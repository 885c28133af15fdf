//! Opening all disks: who may use them, do they belong together, what is on each.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tracing::warn;

use super::accounts::Accounts;
use super::buffers::Buffers;
use super::counters::DiskCounters;
use super::index::Index;
use super::io::Io;
use super::keep::Asked;
use super::members::{DISTRUSTED, hash_of, identity, route};
use super::queue::Queue;
use super::reader::ReadQueue;
use super::recover::{Recovered, recover};
use super::report::{DiskReport, OpenReport};
use super::segment::{Segments, segment_bytes, segment_count};
use super::settings::DiskSettings;
use super::snapshot;
use super::superblock::{self, Loaded, Refusal, Superblock, take_lock};
use super::voids;
use super::volume::Disk;

/// A guess, of which the memory of what was asked for and is not there begins: it grows when the
/// disk holds more records than that.
const RECORD_BYTES_MEAN: u64 = 32 << 10;

/// A disk that can be used, before it is recovered.
#[derive(Debug)]
struct Candidate {
    number: usize,
    lock: std::fs::File,
    loaded: Loaded,
    block: Superblock,
}

/// A disk that is ready but for its threads.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) disk: Arc<Disk>,
    pub(crate) block: Superblock,
    pub(crate) recovered: Recovered,
}

/// Opens all disks that can be opened.
pub(crate) fn open(
    settings: &DiskSettings,
    counters: &Arc<DiskCounters>,
    io: &Arc<dyn Io>,
) -> (Vec<Ready>, OpenReport) {
    let report = |disk: &super::settings::DiskPath| DiskReport {
        path: disk.path.clone(),
        ..DiskReport::default()
    };
    let mut reports: Vec<DiskReport> = settings.disks.iter().map(report).collect();
    let mut candidates = Vec::new();
    for (number, report) in reports.iter_mut().enumerate() {
        match claim(settings, number) {
            Ok(candidate) => candidates.push(candidate),
            Err(refusal) => {
                report.in_use = refusal.in_use;
                report.failed = Some(refusal.why);
            }
        }
    }
    unite(settings, &mut candidates, &mut reports, &**io);
    let members = candidates.len();
    let mut ready = recover_all(settings, candidates, &mut reports, counters, io);
    ready.sort_by_key(|ready| ready.disk.number);
    if ready.len() < members {
        leave_behind(&mut ready, &**io);
    }
    let mut report = OpenReport { disks: reports, ..OpenReport::default() };
    for ready in &ready {
        let disk = &ready.disk;
        report.time_max_ms = report.time_max_ms.max(disk.time_max_ms.load(Relaxed));
        report.revision_max = report.revision_max.max(disk.revision_max.load(Relaxed));
    }
    (ready, report)
}

/// Takes a folder for this process and reads who it is.
fn claim(settings: &DiskSettings, number: usize) -> Result<Candidate, Refusal> {
    let path = &settings.disks[number].path;
    std::fs::create_dir_all(path).map_err(|error| format!("cannot make the folder: {error}"))?;
    let lock = take_lock(path)?;
    let loaded = Superblock::load(path).map_err(|error| format!("superblock: {error}"))?;
    let block = match loaded {
        Loaded::Sound(block) => block,
        Loaded::New | Loaded::Unusable(_) => Superblock {
            segment_bytes: segment_bytes(settings.disks[number].size_bytes),
            identity: 0,
            key_seed: settings.key_seed,
            created_ms: settings.now_ms,
            epoch: DISTRUSTED,
            members: 0,
        },
    };
    Ok(Candidate { number, lock, loaded, block })
}

/// Makes the disks a set: empties those that do not belong, and gives all the same epoch.
fn unite(
    settings: &DiskSettings,
    candidates: &mut Vec<Candidate>,
    reports: &mut [DiskReport],
    io: &dyn Io,
) {
    let epoch = candidates.iter().map(|candidate| candidate.block.epoch).max().unwrap_or(0);
    let first = candidates.iter().find(|c| c.block.epoch == epoch && epoch != DISTRUSTED);
    let key_seed = first.map_or(settings.key_seed, |candidate| candidate.block.key_seed);
    let mut changed = false;
    candidates.retain_mut(|candidate| {
        let disk = &settings.disks[candidate.number];
        let block = &mut candidate.block;
        let why = match candidate.loaded {
            Loaded::New => None,
            Loaded::Unusable(why) => Some(why),
            _ if block.epoch == DISTRUSTED => Some("removals could not be written"),
            _ if block.epoch < epoch => Some("it missed changes of the other disks"),
            _ if block.key_seed != key_seed => Some("another key seed"),
            _ if segment_count(disk.size_bytes, block.segment_bytes).is_none() => {
                Some("its segments do not suit the size")
            }
            Loaded::Sound(_) => return true,
        };
        changed = true;
        reports[candidate.number].emptied = why;
        block.identity = identity(settings.key_seed, &disk.path, settings.now_ms, epoch + 1);
        block.key_seed = key_seed;
        block.segment_bytes = segment_bytes(disk.size_bytes);
        block.created_ms = settings.now_ms;
        let emptied = empty(&disk.path, io);
        emptied.map_err(|e| reports[candidate.number].failed = Some(e.to_string())).is_ok()
    });
    // One that cannot be written to is left out, and changes the set once more.
    let mut epoch = epoch.max(1);
    loop {
        let members = hash_of(candidates.iter().map(|candidate| candidate.block.identity));
        if !changed && candidates.iter().all(|candidate| candidate.block.members == members) {
            return;
        }
        // Not by counting alone: a disk that was made anew while another was away knows no epoch,
        // and must not be taken for the one that missed something.
        (epoch, changed) = ((epoch + 1).max(settings.now_ms), false);
        let before = candidates.len();
        candidates.retain_mut(|candidate| {
            (candidate.block.epoch, candidate.block.members) = (epoch, members);
            let saved = candidate.block.save(&settings.disks[candidate.number].path, io);
            let failed = &mut reports[candidate.number].failed;
            saved.map_err(|error| *failed = Some(format!("superblock: {error}"))).is_ok()
        });
        if candidates.len() == before {
            return;
        }
    }
}

/// Deletes all that is stored in a folder.
fn empty(path: &Path, io: &dyn Io) -> std::io::Result<()> {
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let segments = std::fs::remove_dir_all(path.join("segments"));
    segments.or_else(|error| if missing(&error) { Ok(()) } else { Err(error) })?;
    io.delete(&path.join(snapshot::NAME))?;
    io.delete(&path.join(voids::NAME))
}

/// Recovers all disks at the same time.
fn recover_all(
    settings: &DiskSettings,
    candidates: Vec<Candidate>,
    reports: &mut [DiskReport],
    counters: &Arc<DiskCounters>,
    io: &Arc<dyn Io>,
) -> Vec<Ready> {
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        let start = |candidate: Candidate| {
            let number = candidate.number;
            let mut report = reports[number].clone();
            let work = move || {
                let ready = recover_one(settings, candidate, &mut report, counters, io);
                (ready, report)
            };
            (number, scope.spawn(work))
        };
        let threads: Vec<_> = candidates.into_iter().map(start).collect();
        for (number, thread) in threads {
            found.push((number, thread.join()));
        }
    });
    let mut ready = Vec::new();
    for (number, result) in found {
        match result {
            Ok((Ok(disk), report)) => {
                reports[number] = report;
                ready.push(disk);
            }
            Ok((Err(error), _)) => reports[number].failed = Some(error.to_string()),
            Err(_) => reports[number].failed = Some("recovery panicked".into()),
        }
        if reports[number].failed.is_some() {
            // It misses what is removed from now on. If this fails, the others' epoch tells.
            let _ = superblock::remove(&settings.disks[number].path, &**io);
        }
    }
    ready
}

/// Gives the disks that are ready a new epoch: another one could not be recovered, and will miss
/// what is removed from now on.
fn leave_behind(ready: &mut [Ready], io: &dyn Io) {
    let members = hash_of(ready.iter().map(|ready| ready.block.identity));
    for Ready { disk, block, .. } in ready {
        (block.epoch, block.members) = (block.epoch + 1, members);
        if let Err(error) = block.save(&disk.folder, io) {
            let disk = disk.folder.display();
            warn!(%disk, %error, "a cache disk will be emptied when it is opened again");
        }
    }
}

/// Recovers a disk. One that cannot be, or of which not all that it has removed can be told, begins
/// anew.
fn recover_one(
    settings: &DiskSettings,
    candidate: Candidate,
    report: &mut DiskReport,
    counters: &Arc<DiskCounters>,
    io: &Arc<dyn Io>,
) -> std::io::Result<Ready> {
    let Candidate { number, lock, block, .. } = candidate;
    let path = &settings.disks[number].path;
    let disk = new_disk(settings, number, &block, counters, io);
    let (disk, recovered) = match recover(&disk, report) {
        Ok(recovered) => (disk, recovered),
        Err(error) => {
            warn!(disk = %path.display(), %error, "a cache disk cannot be recovered");
            drop(disk);
            // Without a superblock the next start does this, should this one not come to its end.
            superblock::remove(path, &**io)?;
            empty(path, &**io)?;
            block.save(path, &**io)?;
            let emptied = Some("not all that it holds could be taken over");
            *report = DiskReport { path: path.clone(), emptied, ..DiskReport::default() };
            let disk = new_disk(settings, number, &block, counters, io);
            let recovered = recover(&disk, report)?;
            (disk, recovered)
        }
    };
    *crate::lock::lock(&disk.lock) = Some(lock);
    Ok(Ready { disk: Arc::new(disk), block, recovered })
}

/// A disk before it is recovered.
fn new_disk(
    settings: &DiskSettings,
    number: usize,
    block: &Superblock,
    counters: &Arc<DiskCounters>,
    io: &Arc<dyn Io>,
) -> Disk {
    let of = &settings.disks[number];
    let count = segment_count(of.size_bytes, block.segment_bytes).unwrap_or(0);
    let segments = Segments::new(&of.path, count, block.segment_bytes, block.identity);
    let records = segments.capacity_bytes() / RECORD_BYTES_MEAN;
    Disk {
        number,
        route: route(&of.path),
        folder: of.path.clone(),
        io: io.clone(),
        counters: counters.clone(),
        index: Index::new(),
        asked: Asked::new(records as usize),
        segments,
        buffers: Buffers::default(),
        queue: Queue::new(settings.queue_bytes_max),
        reads: ReadQueue::default(),
        pool: Arc::default(),
        accounts: Mutex::new(Accounts::default()),
        time_max_ms: AtomicU64::new(0),
        revision_max: AtomicU64::new(0),
        tells_cached: AtomicBool::new(true),
        owing: AtomicBool::new(false),
        vouched: Mutex::new(true),
        read_failures: AtomicU32::new(0),
        health: AtomicU8::new(0),
        lock: Mutex::new(None),
    }
}
