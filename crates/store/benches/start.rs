//! How fast a disk with many small records is filled and ready again after a start:
//! `cargo bench -p selvedge-store --bench start [-- --entries N] [--folder PATH] [--json FILE]`.
//!
//! Fills the engine directly with entries of 100 bytes (10 million by default, 2 GiB on disk),
//! closes it, and opens it with the snapshot and without, the second time as after a kill. Each is
//! done once with the files in the page cache and once without (as after a boot). Everything is
//! removed.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use selvedge_store::disk::{DiskCounters, DiskPath, DiskSettings, Disks, Kind, OpenReport, Record};
use support::{Row, Table, folder, key, number};

#[expect(dead_code, reason = "each benchmark needs only some of it")]
mod support;

/// As in the binary: growing tables is the allocator's work too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAYLOAD_BYTES: usize = 100;
/// More than a record of that payload takes on disk, so that none is pushed out.
const DISK_BYTES_EACH: u64 = 320;
/// What a start with a snapshot may take, for 10 million records.
const AIM_MS: f64 = 3_000.0;

fn settings(folder: &Path, size_bytes: u64) -> DiskSettings {
    let path = folder.to_path_buf();
    let disks = vec![DiskPath { path, size_bytes }];
    DiskSettings { disks, key_seed: [7; 16], ..DiskSettings::default() }
}

fn open(settings: &DiskSettings) -> (Disks, OpenReport, Arc<DiskCounters>, f64) {
    let counters = Arc::<DiskCounters>::default();
    let begun = Instant::now();
    let (disks, report) = Disks::open(settings, Arc::clone(&counters));
    (disks, report, counters, begun.elapsed().as_secs_f64() * 1e3)
}

/// Puts records so fast as they are written, none is dropped. Gives the seconds.
fn fill(disks: &Disks, counters: &DiskCounters, count: u64) -> f64 {
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let (kind, site, revision) = (Kind::Entry, 1, 1);
    let begun = Instant::now();
    let mut bytes = 0;
    for number in 0..count {
        let (key, payload) = (key(number), vec![payload.clone()]);
        let record = Record { key, kind, site, revision, time_ms: number, payload };
        bytes += record.payload_bytes() + 256;
        disks.put(record);
        // Half of what may wait.
        if bytes > 32 << 20 {
            disks.flush();
            bytes = 0;
        }
    }
    disks.flush();
    let dropped = counters.overflowed.load(Relaxed) + counters.refused.load(Relaxed);
    assert_eq!(dropped, 0, "all fit into the queue");
    begun.elapsed().as_secs_f64()
}

/// Writes what is dirty and has the files of a folder leave the page cache.
fn forget_pages(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            forget_pages(&path);
        } else if let Ok(file) = File::open(&path) {
            rustix::fs::fdatasync(&file).expect("the disk takes it");
            let advice = rustix::fs::Advice::DontNeed;
            rustix::fs::fadvise(&file, 0, None, advice).expect("it is a file");
        }
    }
}

/// A start; what it found must be all there is.
fn start(table: &mut Table, settings: &DiskSettings, entries: u64, snapshot: bool, cold: bool) {
    let folder = &settings.disks[0].path;
    if !snapshot {
        fs::remove_file(folder.join("index.snapshot")).expect("it was closed");
    }
    if cold {
        forget_pages(folder);
    }
    let (disks, report, _, ms) = open(settings);
    let found = &report.disks[0];
    assert_eq!((found.snapshot, found.records), (snapshot, entries), "{found:?}");
    disks.close();
    let with = if snapshot { "with snapshot" } else { "without snapshot" };
    let pages = if cold { "cold" } else { "in page cache" };
    let row = Row::new(format!("start {entries} {with}, {pages}"), "time", "ms", ms);
    let judged = snapshot && entries == 10_000_000;
    table.row(&if judged { row.at_most(AIM_MS) } else { row });
}

fn main() {
    let entries = number("--entries", 10_000_000);
    let folder = folder("start");
    let mut table = Table::default();
    let settings = settings(&folder.join("small"), (entries * DISK_BYTES_EACH).max(64 << 20));
    let (disks, _, counters, _) = open(&settings);
    let rate = entries as f64 / fill(&disks, &counters, entries);
    table.row(&Row::new("engine, 100 byte records", "puts", "1/s", rate));
    let begun = Instant::now();
    disks.close();
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    table.row(&Row::new(format!("close {entries}"), "time", "ms", ms));
    drop(disks);
    for (snapshot, cold) in [(true, false), (true, true), (false, false), (false, true)] {
        start(&mut table, &settings, entries, snapshot, cold);
    }
    fs::remove_dir_all(&folder).expect("it is ours");
    table.finish();
}
