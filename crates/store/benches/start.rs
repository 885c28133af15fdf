//! How fast a disk with many small records is ready after a start, and how fast the engine writes:
//! `cargo bench -p selvedge-store --bench start [-- --entries N] [--folder PATH] [--json FILE]`.
//!
//! Fills the engine directly with entries of 100 bytes (10 million by default, 2 GiB on disk),
//! closes it, and opens it with the snapshot and without, the second time as after a kill. Each is
//! done once with the files in the page cache and once without (as after a boot). Everything is
//! removed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use selvedge_store::disk::{DiskCounters, DiskPath, DiskSettings, Disks, Kind, OpenReport, Record};

/// As in the binary: growing tables is the allocator's work too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAYLOAD_BYTES: usize = 100;
/// More than a record of that payload takes on disk, so that none is pushed out.
const DISK_BYTES_EACH: u64 = 320;
/// What a start with a snapshot may take, for 10 million records.
const AIM_MS: f64 = 3_000.0;

/// SplitMix64: spreads a number over 64 bits.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn record(number: u64, kind: Kind, payload: Bytes) -> Record {
    let key = u128::from(mix(number)) << 64 | u128::from(mix(!number));
    Record { key, kind, site: 1, revision: 1, time_ms: number, payload: vec![payload] }
}

/// The value behind an option of the command line.
fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

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
fn fill(disks: &Disks, counters: &DiskCounters, count: u64, of: impl Fn(u64) -> Record) -> f64 {
    let begun = Instant::now();
    let mut bytes = 0;
    for number in 0..count {
        let record = of(number);
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

struct Table(String, Vec<String>);

impl Table {
    /// A row for people and one for programs.
    fn row(&mut self, work: &str, measure: &str, unit: &str, ours: f64, aim: Option<f64>) {
        let (aim_text, met) = match aim {
            Some(aim) => (format!("\"<= {aim:.0}\""), (ours <= aim).to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        self.0 += &format!("{work:44} {measure:12} {ours:>10.1} {unit}\n");
        self.1.push(format!(
            "{{\"work\": \"{work}\", \"measure\": \"{measure}\", \"unit\": \"{unit}\", \"ours\": \
             {ours:.1}, \"peers\": {{}}, \"aim\": {aim_text}, \"met\": {met}}}"
        ));
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
    let aim = (snapshot && entries == 10_000_000).then_some(AIM_MS);
    table.row(&format!("start {entries} {with}, {pages}"), "time", "ms", ms, aim);
}

fn main() {
    let entries = option("--entries").and_then(|count| count.parse().ok()).unwrap_or(10_000_000);
    let folder = option("--folder").map_or_else(
        || std::env::temp_dir().join(format!("selvedge-start-{}", std::process::id())),
        PathBuf::from,
    );
    fs::create_dir_all(&folder).expect("the folder can be made");
    let mut table = Table(String::new(), Vec::new());

    let large = settings(&folder.join("large"), 512 << 20);
    let (disks, _, counters, _) = open(&large);
    let piece = Bytes::from((0..1 << 17).flat_map(|n| mix(n).to_le_bytes()).collect::<Vec<_>>());
    let count = 384;
    let begun = Instant::now();
    fill(&disks, &counters, count, |n| record(n, Kind::Slice, piece.clone()));
    forget_pages(&folder.join("large"));
    let rate = (count << 20) as f64 / 1e6 / begun.elapsed().as_secs_f64();
    disks.close();
    table.row("engine, 1 MiB records", "write_rate", "MB/s", rate, None);
    fs::remove_dir_all(folder.join("large")).expect("it is ours");

    let small = settings(&folder.join("small"), (entries * DISK_BYTES_EACH).max(64 << 20));
    let (disks, _, counters, _) = open(&small);
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let seconds = fill(&disks, &counters, entries, |n| record(n, Kind::Entry, payload.clone()));
    table.row("engine, 100 byte records", "puts", "1/s", entries as f64 / seconds, None);
    let begun = Instant::now();
    disks.close();
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    table.row(&format!("close {entries}"), "time", "ms", ms, None);
    drop(disks);
    for (snapshot, cold) in [(true, false), (true, true), (false, false), (false, true)] {
        start(&mut table, &small, entries, snapshot, cold);
    }
    fs::remove_dir_all(&folder).expect("it is ours");

    // The harness of `cargo bench` reads standard output.
    let _ = std::io::stdout().write_all(table.0.as_bytes());
    if let Some(file) = option("--json") {
        fs::write(file, format!("[{}]\n", table.1.join(",\n"))).expect("the file can be written");
    }
}
