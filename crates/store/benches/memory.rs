//! The memory tier's candidates on the path of a hit:
//! `cargo bench -p selvedge-store --bench memory [-- --rounds N --json FILE]`.
//!
//! Every thread looks keys up as a server does: a few keys are asked for most of the time, all of
//! them are there, and some share of the operations inserts a new key into the full cache. Rounds
//! of the candidates alternate; the median counts. Printed is CPU time per operation and thread (so
//! that other work on the machine counts for little), and which share of a hit (9 us of CPU) it is.

use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use selvedge_policy::{Exchange, Key, Now, SiteRules, Verdict, judge};
use selvedge_store::{Begin, Settings, Store, Wanted};
use support::{Row, Table, median, mix, number, thread_cpu_ns};

#[expect(dead_code, reason = "each benchmark needs only some of it")]
mod support;

const ENTRIES: u64 = 100_000;
const WEIGHT: u32 = 64;
const OPERATIONS: usize = 1_000_000;
const ROUNDS: u64 = 9;
const HIT_NS: f64 = 9_000.0;

/// The hasher of `memory.rs`: a key is a keyed hash already.
#[derive(Clone, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is written as one u128");
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key as u64) ^ ((key >> 64) as u64);
    }
}

type BuildKeyHasher = BuildHasherDefault<KeyHasher>;
type Value = Arc<[u64; 8]>;

/// What the store asks of a map.
trait Candidate: Sync {
    fn new(capacity: u64) -> Self;
    fn get(&self, key: Key) -> Option<Value>;
    fn put(&self, key: Key, value: Value);
}

struct Moka(moka::sync::Cache<Key, Value, BuildKeyHasher>);

impl Candidate for Moka {
    fn new(capacity: u64) -> Self {
        let builder = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(|_: &Key, _: &Value| WEIGHT)
            .eviction_policy(moka::policy::EvictionPolicy::lru());
        Self(builder.build_with_hasher(BuildKeyHasher::default()))
    }

    fn get(&self, key: Key) -> Option<Value> {
        self.0.get(&key)
    }

    fn put(&self, key: Key, value: Value) {
        self.0.insert(key, value);
    }
}

#[derive(Clone)]
struct Weighter;

impl quick_cache::Weighter<Key, Value> for Weighter {
    fn weight(&self, _: &Key, _: &Value) -> u64 {
        u64::from(WEIGHT)
    }
}

/// With `SHARDS` parts, or as many as it takes by itself when that is 0.
struct Quick<const SHARDS: usize>(quick_cache::sync::Cache<Key, Value, Weighter, BuildKeyHasher>);

impl<const SHARDS: usize> Candidate for Quick<SHARDS> {
    fn new(capacity: u64) -> Self {
        let entries = usize::try_from(capacity / u64::from(WEIGHT)).expect("it fits");
        let mut options = quick_cache::OptionsBuilder::new();
        options.estimated_items_capacity(entries).weight_capacity(capacity).hot_allocation(0.75);
        if SHARDS > 0 {
            options.shards(SHARDS);
        }
        Self(quick_cache::sync::Cache::with_options(
            options.build().expect("both capacities are given"),
            Weighter,
            BuildKeyHasher::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        ))
    }

    fn get(&self, key: Key) -> Option<Value> {
        self.0.get(&key)
    }

    fn put(&self, key: Key, value: Value) {
        self.0.insert(key, value);
    }
}

fn key(number: u64) -> Key {
    Key(support::key(number))
}

/// Numbers of keys, the low ones far more often (a power law like that of real sites).
fn popularity(seed: u64) -> Vec<u64> {
    let draw = |i| {
        let uniform = mix(seed ^ i) as f64 / u64::MAX as f64;
        ((ENTRIES as f64).powf(uniform) - 1.0) as u64
    };
    (0..1 << 16).map(draw).collect()
}

/// Nanoseconds per operation of each thread, when one of `insert_every` operations inserts.
fn round<C: Candidate>(threads: usize, insert_every: usize, salt: u64) -> f64 {
    // Some room beside the resident keys, so that all lookups hit.
    let cache = C::new((ENTRIES + ENTRIES / 4) * u64::from(WEIGHT));
    let value: Value = Arc::new([7; 8]);
    (0..ENTRIES).for_each(|number| cache.put(key(number), value.clone()));
    let barrier = Barrier::new(threads);
    let work = |thread: u64| {
        let numbers = popularity(salt ^ (thread << 32));
        let value: Value = Arc::new([thread; 8]);
        barrier.wait();
        let begun = thread_cpu_ns();
        for i in 0..OPERATIONS {
            if insert_every > 0 && i % insert_every == 0 {
                let number = (thread + 1) << 40 | i as u64;
                cache.put(key(number), value.clone());
            } else {
                black_box(cache.get(key(numbers[i % numbers.len()])));
            }
        }
        (thread_cpu_ns() - begun) as f64 / OPERATIONS as f64
    };
    let spent: f64 = thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads as u64).map(|t| scope.spawn(move || work(t))).collect();
        running.into_iter().map(|t| t.join().expect("a round does not panic")).sum()
    });
    spent / threads as f64
}

/// A stored object is looked up and selected through the store.
struct Whole {
    store: Arc<Store>,
    full_keys: Vec<Vec<u8>>,
}

impl Whole {
    fn new() -> Self {
        let store = Store::new(Settings::default(), Arc::default());
        let (none, rules) = (HeaderMap::new(), SiteRules::default());
        let mut resp_headers = HeaderMap::new();
        resp_headers.insert("cache-control", HeaderValue::from_static("max-age=3600"));
        resp_headers.insert("content-type", HeaderValue::from_static("text/html"));
        let now = Now { mono_ms: 1, wall_s: 1_800_000_000 };
        let full_keys: Vec<_> = (0..ENTRIES / 4).map(|n| n.to_le_bytes().repeat(5)).collect();
        for (number, full_key) in full_keys.iter().enumerate() {
            let wanted = Wanted::Request { headers: &none, rules: &rules, seen: None };
            let begin = store.begin(key(number as u64), full_key, wanted, now);
            let Begin::Lead(mut writer, _) = begin else { panic!("nobody else fills") };
            let exchange = Exchange {
                method: &Method::GET,
                target: None,
                req_headers: &none,
                status: StatusCode::OK,
                resp_headers: &resp_headers,
                requested_at: now,
                received_at: now,
            };
            let Verdict::Store(storable) = judge(&exchange, &rules) else { panic!("storable") };
            writer.head(storable, None);
            writer.finish(None).expect("the body is whole");
        }
        Self { store, full_keys }
    }

    fn round(&self, threads: usize) -> f64 {
        let barrier = Barrier::new(threads);
        let work = |thread: u64| {
            let numbers = popularity(thread << 32);
            let (none, rules) = (HeaderMap::new(), SiteRules::default());
            barrier.wait();
            let begun = thread_cpu_ns();
            for i in 0..OPERATIONS {
                let number = numbers[i % numbers.len()] % self.full_keys.len() as u64;
                let full_key = &self.full_keys[number as usize];
                let entry = self.store.lookup(key(number), full_key).expect("it is stored");
                black_box(entry.select(&none, &rules).expect("it matches").clone());
            }
            (thread_cpu_ns() - begun) as f64 / OPERATIONS as f64
        };
        thread::scope(|scope| {
            let work = &work;
            let running: Vec<_> =
                (0..threads as u64).map(|t| scope.spawn(move || work(t))).collect();
            let spent = running.into_iter().map(|t| t.join().expect("no panic"));
            spent.sum::<f64>() / threads as f64
        })
    }
}

fn main() {
    let mut table = Table::default();
    table.line(
        "| threads | inserts | moka ns/op | of a hit | quick_cache ns/op | of a hit \
         | quick_cache, 2 shards | of a hit |\n|---|---|---|---|---|---|---|---|",
    );
    let rounds = number("--rounds", ROUNDS);
    let share = |ns: f64| ns / HIT_NS * 100.0;
    for threads in [1, 2] {
        for (inserts, every) in [("none", 0), ("1 %", 100), ("10 %", 10)] {
            let (mut moka, mut quick, mut two) = (Vec::new(), Vec::new(), Vec::new());
            for salt in 0..rounds {
                moka.push(round::<Moka>(threads, every, salt));
                quick.push(round::<Quick<0>>(threads, every, salt));
                two.push(round::<Quick<2>>(threads, every, salt));
            }
            let (moka, quick, two) = (median(moka), median(quick), median(two));
            let work = format!("memory map, {threads} threads, inserts {inserts}");
            let row = Row::new(work, "cpu_per_operation", "ns", quick).beside("moka", moka);
            table.record(&row.aim("<= best peer", quick <= moka));
            let mut line = format!("| {threads} | {inserts} |");
            for ns in [moka, quick, two] {
                let _ = write!(line, " {ns:.0} | {:.1} % |", share(ns));
            }
            table.line(&line);
        }
    }
    let whole = Whole::new();
    for threads in [1, 2] {
        let ns = median((0..rounds).map(|_| whole.round(threads)).collect());
        table.line(&format!(
            "Store::lookup and Entry::select, {threads} threads: {ns:.0} ns, {:.1} % of a hit",
            share(ns),
        ));
    }
    table.finish();
}
