//! Hit ratios of the disk's replacement rule beside those of others:
//! `cargo bench -p selvedge-store --bench ratio`, with, after a `--`, any of
//! `seeds=1 objects=300000 asks=10 sizes=1,5,10,25 --json FILE`.
//!
//! Ours is simulated with its segments, headers and padding, and pays for them; the others keep
//! exact bytes. All get the same budget, a share of the bytes of all objects (those that come back;
//! not what a scan asks for once). What ours remembers of what is not there is sized for the true
//! number of objects, as the sketch of W-TinyLFU is; the engine takes 32 KiB for each.
//!
//! The first third of each trace warms up and is not counted. `asks` is per object. Object sizes
//! are log-normal, 256 bytes to 256 KiB, 19 KiB on average.

use std::fmt::Write as _;

use peers::{Cache, Line, S3Fifo, WTinyLfu};
use support::Table;
use trace::{Trace, Work};

#[path = "../src/disk/ghost.rs"]
mod ghost;
#[path = "../src/disk/keep.rs"]
#[expect(dead_code, reason = "the benchmark needs only some of it")]
mod keep;
#[path = "../src/lock.rs"]
mod lock;
#[path = "ratio/log.rs"]
mod log;
#[path = "ratio/peers.rs"]
mod peers;
#[expect(dead_code, reason = "each benchmark needs only some of it")]
mod support;
#[path = "ratio/trace.rs"]
mod trace;

/// Others, in the order of the table; ours is to be at least as good as the marked ones.
const PEERS: [(&str, bool); 5] = [
    ("lru", true),
    ("wtinylfu", true),
    ("fifo", false),
    ("s3fifo", false),
    ("wtinylfu_sum", false),
];

/// What is run.
struct Plan {
    seeds: u64,
    objects: u32,
    asks: usize,
    percents: Vec<u64>,
}

impl Plan {
    fn from_args() -> Self {
        let percents = vec![1, 5, 10, 25];
        let mut plan = Self { seeds: 1, objects: 300_000, asks: 10, percents };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            if arg == "--json" {
                args.next();
            }
            let Some((name, value)) = arg.split_once('=') else { continue };
            let number = || value.parse().unwrap_or_else(|_| panic!("{arg}: not a number"));
            match name {
                "seeds" => plan.seeds = number(),
                "objects" => plan.objects = number() as u32,
                "asks" => plan.asks = number() as usize,
                "sizes" => plan.percents = value.split(',').flat_map(str::parse).collect(),
                _ => panic!("{arg}: no such argument"),
            }
        }
        plan
    }
}

/// Hit ratios in percent.
#[derive(Clone, Copy, Default)]
struct Ratios {
    objects: f64,
    bytes: f64,
}

/// Asks a cache for everything in a trace.
fn run(cache: &mut dyn Cache, trace: &Trace) -> Ratios {
    let (mut hits, mut hit_bytes, mut bytes) = (0u64, 0u64, 0u64);
    let warm = trace.ids.len() / 3;
    for (i, &id) in trace.ids.iter().enumerate() {
        let hit = cache.ask(id);
        if i >= warm {
            let size = u64::from(trace.sizes[id as usize]);
            bytes += size;
            hits += u64::from(hit);
            hit_bytes += if hit { size } else { 0 };
        }
    }
    Ratios {
        objects: hits as f64 * 100.0 / (trace.ids.len() - warm) as f64,
        bytes: hit_bytes as f64 * 100.0 / bytes as f64,
    }
}

/// One line for people: means over the seeds.
struct Row {
    work: String,
    ours: Ratios,
    peers: [Ratios; PEERS.len()],
    written: f64,
}

impl Row {
    fn run(plan: &Plan, work: &Work, traces: &[Trace], percent: u64) -> Self {
        let mut row = Self {
            work: format!("{} {percent} %", work.name),
            ours: Ratios::default(),
            peers: [Ratios::default(); PEERS.len()],
            written: 0.0,
        };
        let part = 1.0 / traces.len() as f64;
        let add = |sum: &mut Ratios, ratios: Ratios| {
            sum.objects += ratios.objects * part;
            sum.bytes += ratios.bytes * part;
        };
        for trace in traces {
            let (sizes, capacity) = (&trace.sizes[..], trace.footprint_bytes * percent / 100);
            let records = (u64::from(plan.objects) * percent / 100) as usize;
            let mut log = log::Log::new(sizes, capacity);
            add(&mut row.ours, run(&mut log, trace));
            row.written += log.written_per_new() * part;
            let peers: [Box<dyn Cache>; PEERS.len()] = [
                Box::new(Line::lru(sizes, capacity)),
                Box::new(WTinyLfu::new(sizes, capacity, records, false)),
                Box::new(Line::fifo(sizes, capacity)),
                Box::new(S3Fifo::new(sizes, capacity)),
                Box::new(WTinyLfu::new(sizes, capacity, records, true)),
            ];
            for (sum, mut peer) in row.peers.iter_mut().zip(peers) {
                add(sum, run(&mut *peer, trace));
            }
        }
        row
    }

    /// Name, ours and theirs of each measure.
    fn measures(&self) -> [(&'static str, f64, [f64; PEERS.len()]); 2] {
        [
            ("object hit ratio", self.ours.objects, self.peers.map(|peer| peer.objects)),
            ("byte hit ratio", self.ours.bytes, self.peers.map(|peer| peer.bytes)),
        ]
    }

    fn table_line(&self) -> String {
        let mut line = format!("| {} |", self.work);
        for (_, ours, peers) in self.measures() {
            let met = if ours >= aim(&peers) { "" } else { " (less)" };
            let _ = write!(line, " **{ours:.2}**{met} |");
            peers.iter().for_each(|peer| _ = write!(line, " {peer:.2} |"));
        }
        line + &format!(" {:.2} |", self.written)
    }

    /// The same for programs.
    fn record(&self, table: &mut Table) {
        for (measure, ours, theirs) in self.measures() {
            let aim = aim(&theirs);
            let row = support::Row::new(&self.work, measure, "%", ours);
            let row = row.aim(format!(">= {aim:.3}"), ours >= aim);
            let named = PEERS.iter().zip(theirs);
            table.record(&named.fold(row, |row, (peer, ratio)| row.beside(peer.0, ratio)));
        }
    }
}

/// The best of those that ours is to be as good as.
fn aim(peers: &[f64; PEERS.len()]) -> f64 {
    let marked = PEERS.iter().zip(peers).filter(|(peer, _)| peer.1);
    marked.map(|(_, ratio)| *ratio).fold(0.0, f64::max)
}

fn main() {
    let plan = Plan::from_args();
    let names = PEERS.map(|peer| peer.0).join(" | ");
    let mut table = Table::default();
    table.line(&format!(
        "| work, size | objects: ours | {names} | bytes: ours | {names} | written/new |\n|{}",
        "---|".repeat(4 + 2 * PEERS.len()),
    ));
    for work in Work::all(plan.objects) {
        let traces = (1..=plan.seeds).map(|seed| work.trace(seed, plan.objects, plan.asks));
        let traces: Vec<Trace> = traces.collect();
        for &percent in &plan.percents {
            let row = Row::run(&plan, &work, &traces, percent);
            table.line(&row.table_line());
            row.record(&mut table);
        }
    }
    table.finish();
}
