//! What the index of a disk costs:
//! `cargo bench -p selvedge-store --bench index [-- ENTRIES... --json FILE]`.
//!
//! Fills it to each number of entries (10 million by default, and steps up to it: a table is at its
//! largest, per entry, just after it grew), prints the growth of the process's resident memory per
//! entry, and the CPU time of the calls on random keys by one thread. That is mostly fetching from
//! memory; beside it stands what that costs without an index. The memory is judged at 10 million.

use std::hint::black_box;

use index::{Index, Place};
use support::{Row, Table, key, mix, thread_cpu_ns};

#[path = "../src/disk/ghost.rs"]
mod ghost;
#[path = "../src/disk/index.rs"]
#[expect(dead_code, reason = "the benchmark needs only some of it")]
mod index;
#[path = "../src/disk/keep.rs"]
#[expect(dead_code, reason = "the benchmark needs only some of it")]
mod keep;
#[path = "../src/lock.rs"]
mod lock;
#[expect(dead_code, reason = "each benchmark needs only some of it")]
mod support;

/// As in the binary: how much memory stays resident is the allocator's doing too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OPERATIONS: u64 = 2_000_000;

/// A record of a small object may take 48 bytes of memory, a slice of a large one 24. The index
/// does not tell them apart, so the smaller figure holds for both.
const BYTES_EACH_MAX: f64 = 24.0;

/// So many entries are asked for when they are to be in the caches of the CPU.
const HOT: u64 = 4_096;

fn place(n: u64) -> Place {
    Place { segment: n as u32 % 128, unit: n as u32 % (1 << 22), units: n as u32 % 1000 + 1 }
}

/// Bytes of this process that are in memory (Linux: second field of statm, in pages of 4 KiB).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm.split_whitespace().nth(1).expect("statm has seven fields");
    pages.parse::<u64>().expect("they are numbers") * 4096
}

/// Nanoseconds of CPU time of each of `count` calls.
fn time(count: u64, call: impl FnMut(u64)) -> f64 {
    let begun = thread_cpu_ns();
    (0..count).for_each(call);
    (thread_cpu_ns() - begun) as f64 / count as f64
}

/// What a read of a random word costs in a table of this many entries: no index can do better.
fn memory_ns(entries: u64) -> f64 {
    let table = vec![[1u64; 2]; entries as usize];
    time(OPERATIONS, |n| {
        let key = key(mix(n) % entries);
        black_box(table[((key as u64 as u128 * u128::from(entries)) >> 64) as usize]);
    })
}

/// One line for people.
fn measure(index: &Index, entries: u64, bytes: f64, put: f64) -> String {
    let any = |n: u64| key(mix(n) % entries);
    let get = time(OPERATIONS, |n| assert!(black_box(index.get(any(n))).is_some()));
    let touch = time(OPERATIONS, |n| assert!(black_box(index.touch(any(n))).is_some()));
    let hot = time(OPERATIONS, |n| {
        assert!(black_box(index.touch(key(mix(n) % HOT))).is_some());
    });
    let miss = time(OPERATIONS, |n| assert!(black_box(index.get(key(!n))).is_none()));
    let again = time(OPERATIONS, |n| assert!(index.put(any(n), place(n)).is_some()));
    let swap = time(OPERATIONS, |n| {
        assert!(index.remove(any(n)).is_some());
        index.put(any(n), place(n));
    });
    assert_eq!(index.len() as u64, entries);
    let memory = memory_ns(entries);
    format!(
        "| {entries} | {bytes:.1} | {put:.0} | {get:.0} | {touch:.0} | {hot:.0} | {miss:.0} \
         | {again:.0} | {swap:.0} | {memory:.0} |",
    )
}

fn main() {
    let given: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let steps = if given.is_empty() {
        vec![1_000_000, 7_000_000, 7_500_000, 8_000_000, 8_500_000, 9_000_000, 10_000_000]
    } else {
        given
    };
    let mut table = Table::default();
    table.line(
        "| entries | RSS bytes/entry | put new ns | get ns | touch ns | touch hot ns | miss ns \
         | put again ns | remove + put ns | bare memory ns |\n\
         |---|---|---|---|---|---|---|---|---|---|",
    );
    let before = resident_bytes();
    let index = Index::new();
    let mut filled = 0;
    for entries in steps {
        let put = time(entries - filled, |n| _ = index.put(key(filled + n), place(n)));
        filled = entries;
        let bytes = (resident_bytes() - before) as f64 / entries as f64;
        table.line(&measure(&index, entries, bytes, put));
        let row = Row::new(format!("index of {entries} entries"), "memory", "B/entry", bytes);
        let judged = entries == 10_000_000;
        table.record(&if judged { row.at_most(BYTES_EACH_MAX) } else { row });
    }
    table.finish();
}
