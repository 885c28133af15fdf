//! What purges cost:
//! `cargo bench -p selvedge-store --bench purge [-- --objects N --hit-ns N --json FILE]`.
//!
//! CPU time of look-ups of resident objects, asked for in a scattered order, without purges and
//! with ten thousand that are remembered, in alternating rounds of which the median counts. The
//! difference is also given as a share of the CPU time that a whole hit takes, which this cannot
//! measure: `cargo xtask bench hit` prints it, `--hit-ns` tells it. And a purge by tag over all
//! objects: how long the call takes, after which no look-up may find one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use selvedge_policy::{Exchange, Key, KeyParts, Now, Scheme, SiteRules, Storable, Verdict, judge};
use selvedge_store::{Begin, Purge, Scope, Settings, Store, Strength, Wanted};
use support::{Row, Table, median, number, thread_cpu_ns};

#[expect(dead_code, reason = "each benchmark needs only some of it")]
mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OBJECTS: u64 = 1_000_000;
/// CPU time of a hit of 1 KiB over HTTP/1.1.
const HIT_NS: u64 = 7_000;
/// Remembered purges may add so much to it.
const HIT_PERCENT_MAX: f64 = 3.0;
const PURGES: usize = 10_000;
const ROUNDS: usize = 9;
/// A purge that covers any number of objects returns within this.
const PURGE_MS_MAX: f64 = 10.0;
const NOW: Now = Now { mono_ms: 1_000, wall_s: 1_800_000_000 };

struct Page {
    key: Key,
    full_key: Vec<u8>,
}

fn proof(tags: &str) -> Storable {
    let (none, mut fields) = (HeaderMap::new(), HeaderMap::new());
    fields.insert("cache-control", HeaderValue::from_static("max-age=600"));
    fields.insert("surrogate-key", HeaderValue::from_str(tags).expect("a field value"));
    let exchange = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: &none,
        status: StatusCode::OK,
        resp_headers: &fields,
        requested_at: NOW,
        received_at: NOW,
    };
    match judge(&exchange, &SiteRules::default()) {
        Verdict::Store(storable) => storable,
        Verdict::Pass(reason) => panic!("not storable: {reason:?}"),
    }
}

/// A store with these many objects of three tags each, the first of which all have.
fn filled(objects: usize) -> (Arc<Store>, Vec<Page>) {
    let settings = Settings { memory_bytes: 64 << 30, ..Settings::default() };
    let store = Store::new(settings, Arc::default());
    let (seed, none, rules) = (store.key_seed(), HeaderMap::new(), SiteRules::default());
    let wanted = Wanted::Request { headers: &none, rules: &rules, seen: None };
    let page = |n: usize| {
        let path = format!("/folder-{}/page-{n}", n % 1000);
        let parts = KeyParts {
            site: "shop",
            scheme: Scheme::Https,
            host: "a.test",
            path: &path,
            query: None,
        };
        let mut full_key = Vec::new();
        parts.bytes(&mut full_key);
        let page = Page { key: seed.hash(&full_key), full_key };
        match store.begin(page.key, &page.full_key, wanted, NOW) {
            Begin::Lead(mut writer, _) => {
                writer.head(proof(&format!("all kind-{} page-{n}", n % 100)), Some(0));
                writer.finish(None).expect("the body is whole");
            }
            other => panic!("nobody else fills: {other:?}"),
        }
        page
    };
    let pages = (0..objects).map(page).collect();
    (store, pages)
}

/// Nanoseconds of CPU time for each look-up of all pages.
fn look_up(store: &Store, pages: &[Page]) -> f64 {
    let begun = thread_cpu_ns();
    // A step that has no divisor in common with a round number visits each page once.
    let (mut at, step) = (0, 611_953 % pages.len());
    for _ in pages {
        at = (at + step) % pages.len();
        let page = &pages[at];
        assert!(black_box(store.lookup(page.key, &page.full_key)).is_some());
    }
    (thread_cpu_ns() - begun) as f64 / pages.len() as f64
}

/// Purges that cover none of the objects.
fn purge_others(store: &Store, round: usize) {
    let tags: Vec<String> = (0..PURGES).map(|n| format!("other-{round}-{n}")).collect();
    let purge = |tag: &String| {
        let scope = Scope::Tag { site: "shop", tag: tag.as_bytes() };
        store.purge(&[Purge { scope, strength: Strength::Hard }], NOW).expect("in memory");
    };
    tags.iter().for_each(purge);
}

/// What look-ups of these many objects cost without purges, with remembered ones, and just after.
fn look_ups(table: &mut Table, objects: usize) {
    let (plain, purged) = (filled(objects), filled(objects));
    purge_others(&purged.0, ROUNDS);
    look_up(&purged.0, &purged.1);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(look_up(&plain.0, &plain.1));
        with.push(look_up(&purged.0, &purged.1));
    }
    let (without, with) = (median(without), median(with));
    let first = |round| {
        purge_others(&purged.0, round);
        look_up(&purged.0, &purged.1)
    };
    let first = median((0..ROUNDS).map(first).collect());
    let checked = format!("look-up, {PURGES} purges remembered that it was checked for");
    let after = format!("first look-up after {PURGES} purges of other tags");
    for (work, ns) in [("look-up, no purges", without), (&checked, with), (&after, first)] {
        table.row(&Row::new(work, "cpu_per_look_up", "ns", ns));
    }
    let share = 100.0 * (with - without) / number("--hit-ns", HIT_NS) as f64;
    let work = format!("a hit with {PURGES} purges remembered, added");
    table.row(&Row::new(work, "share_of_hit", "%", share).at_most(HIT_PERCENT_MAX));
}

/// How long a purge takes that covers all of these many objects.
fn purge_all(table: &mut Table, objects: usize) {
    let (store, pages) = filled(objects);
    let everyone = Scope::Tag { site: "shop", tag: b"all" };
    let begun = Instant::now();
    store.purge(&[Purge { scope: everyone, strength: Strength::Hard }], NOW).expect("in memory");
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    let found = pages.iter().filter(|page| store.lookup(page.key, &page.full_key).is_some());
    assert_eq!(found.count(), 0, "in force at once");
    let work = format!("purge of a tag that {objects} objects have");
    table.row(&Row::new(work, "time", "ms", ms).at_most(PURGE_MS_MAX));
}

fn main() {
    let objects = usize::try_from(number("--objects", OBJECTS)).expect("they fit into memory");
    let mut table = Table::default();
    look_ups(&mut table, objects.min(25_000));
    purge_all(&mut table, objects);
    table.finish();
}
