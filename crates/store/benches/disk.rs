//! What a hit from disk costs when the page cache has it, and how fast the engine writes beside dd:
//! `cargo bench -p selvedge-store --bench disk [-- --folder PATH] [--json FILE]`.
//!
//! Reads: find and read of a whole record, next to a plain pread of as many bytes into a buffer
//! that is there already, both over what exceeds the CPU's caches, as CPU time. Writes: records of
//! 1 MiB as they come from fills, and dd with blocks of 1 MiB, each until the data is on the disk,
//! in alternating rounds that begin with a disk at rest. Medians count.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use selvedge_store::disk::{
    DiskCounters, DiskPath, DiskSettings, Disks, Kind, ReadOutcome, Record,
};
use support::{Row, Table, folder, key, median, mix, thread_cpu_ns};

#[expect(dead_code, reason = "each benchmark needs only some of it")]
mod support;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const WRITE_ROUNDS: usize = 5;
const WRITE_MIB: u64 = 512;
/// What the store writes, by what dd writes.
const WRITE_PART: f64 = 0.8;

fn open(folder: &Path, size_bytes: u64) -> (Disks, Arc<DiskCounters>) {
    let disks = vec![DiskPath { path: folder.to_path_buf(), size_bytes }];
    let settings = DiskSettings { disks, key_seed: [7; 16], ..DiskSettings::default() };
    let counters = Arc::<DiskCounters>::default();
    (Disks::open(&settings, Arc::clone(&counters)).0, counters)
}

fn put(disks: &Disks, number: u64, payload: &Bytes) {
    let payload = vec![payload.clone()];
    let (kind, site, revision, time_ms) = (Kind::Slice, 1, 1, 1);
    disks.put(Record { key: key(number), kind, site, revision, time_ms, payload });
}

/// Bytes without a pattern.
fn noise(bytes: usize) -> Bytes {
    (0..bytes as u64 / 8).flat_map(|n| mix(n).to_le_bytes()).collect()
}

/// Median of the nanoseconds of CPU that one of `count` calls takes.
fn nanoseconds(count: u64, mut work: impl FnMut(u64)) -> f64 {
    let round = |_| {
        let begun = thread_cpu_ns();
        (0..count).for_each(&mut work);
        (thread_cpu_ns() - begun) as f64 / count as f64
    };
    median((0..ROUNDS).map(round).collect())
}

fn reads(folder: &Path, table: &mut Table) {
    let sizes = [("1 KiB", 1 << 10, 50_000), ("64 KiB", 64 << 10, 2_000), ("1 MiB", 1 << 20, 100)];
    for (size, bytes, count) in sizes {
        let folder = folder.join(bytes.to_string());
        let (disks, _) = open(&folder, 512 << 20);
        let payload = noise(bytes);
        for number in 0..count {
            put(&disks, number, &payload);
            (number % 32 == 0).then(|| disks.flush());
        }
        disks.flush();
        let ours = nanoseconds(count, |number| {
            let found = disks.find(key(number)).expect("it was put");
            let ReadOutcome::Ready(Ok(read)) = found.read(0..u32::MAX) else {
                panic!("it is in the page cache")
            };
            assert_eq!(read.len(), bytes);
        });
        let file = File::create_new(folder.join("plain")).expect("it is not there");
        (0..count).for_each(|n| file.write_all_at(&payload, n * bytes as u64).expect("written"));
        let file = File::open(folder.join("plain")).expect("it is there");
        let mut buffer = vec![0; bytes];
        let plain = nanoseconds(count, |number| {
            // A prime step: as little in order as the keys are.
            let at = number * 7919 % count * bytes as u64;
            file.read_exact_at(&mut buffer, at).expect("it is that long");
        });
        disks.close();
        let row = Row::new(format!("read of {size}"), "cpu_per_read", "ns", ours);
        table.row(&row.beside("pread", plain));
    }
}

/// MB/s at which the engine and dd write; they take turns in going first.
fn writes(folder: &Path, table: &mut Table) {
    let piece = noise(1 << 20);
    let (mut ours, mut dd) = (Vec::new(), Vec::new());
    for round in 0..WRITE_ROUNDS {
        if round % 2 == 0 {
            dd.push(write_with_dd(folder));
        }
        ours.push(write(folder, &piece));
        if round % 2 == 1 {
            dd.push(write_with_dd(folder));
        }
        table.line(&format!("  round {}: {:.0} MB/s, dd {:.0}", round + 1, ours[round], dd[round]));
    }
    let (ours, dd) = (median(ours), median(dd));
    let row = Row::new("fill, 1 MiB records", "write_rate", "MB/s", ours).beside("dd", dd);
    table.row(&row.aim(format!(">= {WRITE_PART} x dd"), ours >= WRITE_PART * dd));
}

fn write(folder: &Path, piece: &Bytes) -> f64 {
    let folder = folder.join("write");
    let (disks, counters) = open(&folder, (WRITE_MIB * 5 / 4) << 20);
    sync(&folder);
    let begun = Instant::now();
    for number in 0..WRITE_MIB {
        put(&disks, number, piece);
        (number % 32 == 31).then(|| disks.flush());
    }
    disks.flush();
    sync(&folder);
    let rate = rate(begun);
    assert!(counters.written_bytes.load(Relaxed) >= WRITE_MIB << 20, "all fit into the queue");
    drop(disks);
    fs::remove_dir_all(&folder).expect("it is ours");
    rate
}

fn write_with_dd(folder: &Path) -> f64 {
    let file = folder.join("dd");
    let (to, count) = (format!("of={}", file.display()), format!("count={WRITE_MIB}"));
    let arguments = ["if=/dev/zero", &to, "bs=1M", &count, "conv=fdatasync", "status=none"];
    sync(folder);
    let begun = Instant::now();
    let status = Command::new("dd").args(arguments).status().expect("dd is there");
    let rate = rate(begun);
    assert!(status.success());
    fs::remove_file(&file).expect("it is ours");
    rate
}

/// Waits until nothing waits for the disk, also not what somebody else has written or removed.
fn sync(folder: &Path) {
    let folder = File::open(folder).expect("it is there");
    rustix::fs::syncfs(folder).expect("it can be synced");
}

fn rate(begun: Instant) -> f64 {
    WRITE_MIB as f64 * 1.048_576 / begun.elapsed().as_secs_f64()
}

fn main() {
    let folder = folder("disk");
    let mut table = Table::default();
    reads(&folder, &mut table);
    writes(&folder, &mut table);
    fs::remove_dir_all(&folder).expect("it is ours");
    table.finish();
}
