//! What a hit from disk costs when the page cache has it, and how fast the engine writes beside dd:
//! `cargo bench -p selvedge-store --bench disk [-- --folder PATH]`.
//!
//! Reads: find and read of a whole record, next to a plain pread of as many bytes into a buffer
//! that is there already, both over what exceeds the CPU's caches, as CPU time. Writes: records of
//! 1 MiB as they come from fills, and dd with blocks of 1 MiB, each until the data is on the disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use selvedge_store::disk::{
    DiskCounters, DiskPath, DiskSettings, Disks, Kind, ReadOutcome, Record,
};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const WRITE_MIB: u64 = 512;

fn key(number: u64) -> u128 {
    let mix = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 32 | n);
    u128::from(mix(number + 1)) << 64 | u128::from(mix(!number))
}

fn open(folder: &Path, size_bytes: u64) -> Disks {
    let disks = vec![DiskPath { path: folder.to_path_buf(), size_bytes }];
    let settings = DiskSettings { disks, key_seed: [7; 16], ..DiskSettings::default() };
    Disks::open(&settings, Arc::<DiskCounters>::default()).0
}

fn put(disks: &Disks, number: u64, payload: &Bytes) {
    let payload = vec![payload.clone()];
    let (kind, site, revision, time_ms) = (Kind::Slice, 1, 1, 1);
    disks.put(Record { key: key(number), kind, site, revision, time_ms, payload });
}

/// Bytes without a pattern.
fn noise(bytes: usize) -> Bytes {
    let mut state = 1u64;
    let words = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    });
    words.take(bytes).collect()
}

/// CPU time that this thread has used (Linux: first field of its schedstat).
fn thread_cpu_ns() -> u64 {
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    let first = stat.split_whitespace().next().expect("schedstat has fields");
    first.parse().expect("its fields are numbers")
}

/// Median of the nanoseconds of CPU that one of `count` calls takes.
fn nanoseconds(count: u64, mut work: impl FnMut(u64)) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = thread_cpu_ns();
            (0..count).for_each(&mut work);
            (thread_cpu_ns() - begun) as f64 / count as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn reads(folder: &Path, text: &mut String) {
    for (bytes, count) in [(1 << 10, 50_000u64), (64 << 10, 2_000), (1 << 20, 100)] {
        let folder = folder.join(bytes.to_string());
        let disks = open(&folder, 512 << 20);
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
        *text += &format!("hit of {bytes:>7} bytes {ours:>9.0} ns   plain pread {plain:>9.0} ns\n");
    }
}

fn writes(folder: &Path, text: &mut String) {
    let piece = noise(1 << 20);
    let (mut ours, mut dd) = (Vec::new(), Vec::new());
    let rate = |begun: Instant| WRITE_MIB as f64 * 1.048_576 / begun.elapsed().as_secs_f64();
    for round in 0..3 {
        let folder = folder.join(format!("write{round}"));
        let disks = open(&folder, (WRITE_MIB * 5 / 4) << 20);
        let begun = Instant::now();
        for number in 0..WRITE_MIB {
            put(&disks, number, &piece);
            (number % 32 == 31).then(|| disks.flush());
        }
        disks.flush();
        rustix::fs::syncfs(File::open(&folder).expect("it is there")).expect("it can be synced");
        ours.push(rate(begun));
        drop(disks);
        let file = folder.join("dd");
        let begun = Instant::now();
        let (to, count) = (format!("of={}", file.display()), format!("count={WRITE_MIB}"));
        let arguments = ["if=/dev/zero", &to, "bs=1M", &count, "conv=fdatasync", "status=none"];
        let status = Command::new("dd").args(arguments).status().expect("dd is there");
        assert!(status.success());
        dd.push(rate(begun));
        fs::remove_dir_all(&folder).expect("it is ours");
    }
    for rates in [&mut ours, &mut dd] {
        rates.sort_by(f64::total_cmp);
    }
    let (ours, dd) = (ours[1], dd[1]);
    let share = ours / dd;
    *text += &format!("fill of 1 MiB records {ours:.0} MB/s   dd {dd:.0} MB/s   {share:.2}\n");
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--folder");
    let folder = arguments.nth(1).map_or_else(
        || std::env::temp_dir().join(format!("selvedge-disk-{}", std::process::id())),
        PathBuf::from,
    );
    fs::create_dir_all(&folder).expect("the folder can be made");
    let mut text = String::new();
    reads(&folder, &mut text);
    writes(&folder, &mut text);
    fs::remove_dir_all(&folder).expect("it is ours");
    // The harness of `cargo bench` reads standard output.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
