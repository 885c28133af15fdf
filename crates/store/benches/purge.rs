//! What purges cost: `cargo bench -p selvedge-store --bench purge [-- --objects N --json FILE]`.
//!
//! Look-ups of resident objects, asked for in a scattered order, without purges and with ten
//! thousand that are remembered; and a purge by tag over all objects, from the call until the
//! first look-up after it. Rounds repeat; the median counts.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use selvedge_policy::{Exchange, Key, KeyParts, Now, Scheme, SiteRules, Storable, Verdict, judge};
use selvedge_store::{Begin, Purge, Scope, Settings, Store, Strength, Wanted};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OBJECTS: usize = 1_000_000;
const PURGES: usize = 10_000;
const ROUNDS: usize = 9;
/// A purge that covers any number of objects returns within this.
const PURGE_MS_MAX: f64 = 10.0;
const NOW: Now = Now { mono_ms: 1_000, wall_s: 1_800_000_000 };

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

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

/// Nanoseconds for each look-up of all pages.
fn look_up(store: &Store, pages: &[Page]) -> f64 {
    let begun = Instant::now();
    // A step that has no divisor in common with a round number visits each page once.
    let (mut at, step) = (0, 611_953 % pages.len());
    for _ in pages {
        at = (at + step) % pages.len();
        let page = &pages[at];
        assert!(black_box(store.lookup(page.key, &page.full_key)).is_some());
    }
    begun.elapsed().as_nanos() as f64 / pages.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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

struct Table(String, Vec<String>);

impl Table {
    fn row(&mut self, work: &str, measure: &str, unit: &str, ours: f64, aim: Option<f64>) {
        let (aim_text, met) = match aim {
            Some(aim) => (format!("\"<= {aim:.0}\""), (ours <= aim).to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        self.0 += &format!("{work:56} {measure:10} {ours:>10.3} {unit}\n");
        self.1.push(format!(
            "{{\"work\": \"{work}\", \"measure\": \"{measure}\", \"unit\": \"{unit}\", \"ours\": \
             {ours:.3}, \"peers\": {{}}, \"aim\": {aim_text}, \"met\": {met}}}"
        ));
    }
}

fn main() {
    let objects = option("--objects").and_then(|count| count.parse().ok()).unwrap_or(OBJECTS);
    let mut table = Table(String::new(), Vec::new());
    let few = objects.min(25_000);
    let (store, pages) = filled(few);
    let rounds = |store: &Store| median((0..ROUNDS).map(|_| look_up(store, &pages)).collect());
    table.row("look-up, no purges", "time", "ns", rounds(&store), None);
    let first = |round| {
        purge_others(&store, round);
        look_up(&store, &pages)
    };
    let first = median((0..ROUNDS).map(first).collect());
    let work = format!("first look-up after {PURGES} purges of other tags");
    table.row(&work, "time", "ns", first, None);
    let work = format!("look-up, {PURGES} purges remembered that it was checked for");
    table.row(&work, "time", "ns", rounds(&store), None);
    drop((store, pages));

    let (store, pages) = filled(objects);
    let everyone = Scope::Tag { site: "shop", tag: b"all" };
    let begun = Instant::now();
    store.purge(&[Purge { scope: everyone, strength: Strength::Hard }], NOW).expect("in memory");
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    let found = pages.iter().filter(|page| store.lookup(page.key, &page.full_key).is_some());
    assert_eq!(found.count(), 0, "in force at once");
    table.row(
        &format!("purge of a tag that {objects} objects have"),
        "time",
        "ms",
        ms,
        Some(PURGE_MS_MAX),
    );

    // The harness of `cargo bench` reads standard output.
    let _ = std::io::stdout().write_all(table.0.as_bytes());
    if let Some(file) = option("--json") {
        let text = format!("[{}]\n", table.1.join(",\n"));
        std::fs::write(file, text).expect("the file can be written");
    }
}
