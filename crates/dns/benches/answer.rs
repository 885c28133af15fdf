//! What a worker takes for an answer, from packet to packet, with the world of `cargo xtask bench
//! dns`: 20 regions and a map of the whole IPv4 space, one site or 10,000. Queries come by the
//! batch, as from a socket. Where the time is too noisy, instructions are counted:
//!
//! ```sh
//! cargo bench -p selvedge-dns --bench answer -- [plain|ecs|many]
//! valgrind --tool=callgrind --toggle-collect='*answer_batch*' \
//!     target/release/deps/answer-* ecs once
//! ```
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use selvedge_authority::{
    CookieSecrets, MasterFile, Name, RateLimits, Responder, Settings, SubnetTrust, Zones,
};
use selvedge_dns::service::{Figures, Ground, Manner, Worker, Workshop};
use selvedge_dns::{Answer, Transport};
use selvedge_geo::atlas::Atlas;
use selvedge_geo::config::{Config, NodeConfig, SiteConfig};
use selvedge_geo::coverage::Coverage;
use selvedge_geo::hash::HashKey;
use selvedge_geo::places::Places;
use selvedge_geo::regions::{RegionConfig, Regions};
use selvedge_geo::steering::{Observed, Steering};
use selvedge_net::Clock;
use selvedge_telemetry::{AccessLog, AccessSettings, LogTarget, Telemetry};

const REGIONS: usize = 20;
/// Networks on the map, each with a region of its own.
const NETWORKS: usize = 200_000;
/// As many as come together under load.
const BATCH: usize = 18;
/// Different queries.
const QUERIES: usize = BATCH << 10;
const REPEATS: usize = 20;
const ZONE: &str = "$TTL 3600\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";

/// A query, and who sends it.
type Query = (Vec<u8>, SocketAddr);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_once = words.iter().any(|word| word == "once");
    let works: [(&str, usize, usize, bool); 3] =
        [("plain", 1, 2, false), ("ecs", 1, 2, true), ("many", 10_000, 10, true)];
    for (what, sites, nodes_each, has_subnet) in works {
        let named = |word: &String| works.iter().any(|(name, ..)| word == name);
        if words.iter().any(named) && !words.iter().any(|word| word == what) {
            continue;
        }
        let mut worker = worker(sites, nodes_each);
        let queries = queries(sites, has_subnet);
        let mut out = vec![Vec::new(); BATCH];
        let mut best = f64::MAX;
        for _ in 0..if is_once { 1 } else { REPEATS } {
            let begun = Instant::now();
            for batch in queries.chunks(BATCH) {
                answer_batch(&mut worker, batch, &mut out);
            }
            best = best.min(begun.elapsed().as_secs_f64() / QUERIES as f64 * 1e9);
        }
        assert!(out.iter().all(|reply| reply[3] == 0 && reply[7] == 2), "{out:?}");
        println!("{what:8} {best:6.0} ns");
    }
}

#[inline(never)]
fn answer_batch(worker: &mut Worker, queries: &[Query], out: &mut [Vec<u8>]) {
    worker.refresh();
    for ((packet, from), reply) in queries.iter().zip(out) {
        reply.clear();
        worker.answer(black_box(packet), *from, Transport::Udp, reply);
    }
}

fn worker(sites: usize, nodes_each: usize) -> Worker {
    let telemetry = Telemetry::new("dns-1");
    let off = AccessSettings { target: LogTarget::Off, ..AccessSettings::default() };
    Worker::new(Workshop {
        ground: Arc::new(ground(sites, nodes_each)),
        figures: Arc::new(Figures::default()),
        log: AccessLog::open(off, &telemetry).expect("no log is opened"),
        clock: Clock::start(),
        rate_key: [7; 16],
    })
}

fn ground(sites: usize, nodes_each: usize) -> Ground {
    let region = |name| RegionConfig { name, ..RegionConfig::default() };
    let regions: Vec<_> = (0..REGIONS).map(|number| region(format!("r{number}"))).collect();
    let table = Regions::new(&regions, "r0").expect("whole");
    let mut random = 7;
    let mut networks = std::collections::BTreeMap::new();
    for _ in 0..NETWORKS {
        let bits = next(&mut random);
        networks.insert(bits >> 40 << 8, bits % REGIONS as u64);
    }
    let line = |(network, region): (&u64, &u64)| {
        format!("{}/24,r{region}\n", Ipv4Addr::from_bits(*network as u32))
    };
    let map: String = networks.iter().map(line).collect();
    let coverage = Coverage::from_csv(&map, &table).expect("whole");
    let node = |number: usize| NodeConfig {
        name: format!("n{number}"),
        region: format!("r{}", number / nodes_each),
        v4: Some(Ipv4Addr::from_bits(number as u32)),
        v6: None,
        weight: 100,
    };
    let config = Config {
        regions,
        default_region: "r0".to_owned(),
        nodes: (0..REGIONS * nodes_each).map(node).collect(),
        sites: (0..sites)
            .map(|number| SiteConfig { name: site(number), ..SiteConfig::default() })
            .collect(),
        key: HashKey([1, 2]),
        last_good_s: 600.0,
        ..Config::default()
    };
    let atlas = Atlas::build(&config, Arc::new(coverage), Arc::new(Places::none()));
    let world = Steering::new(Arc::new(atlas.expect("whole"))).step(0.0, &Observed::default());
    Ground::new(manner(), Arc::new(world))
}

fn manner() -> Manner {
    let apex = Name::from_text("bench.test", &Name::root()).expect("a name");
    let file = MasterFile { apex: &apex, has_sites: true, file: "zone", bytes: ZONE.as_bytes() };
    let zone = file.read(&mut |_| Err("no file".to_owned())).expect("a zone").zone;
    let settings = Settings {
        subnet_trust: SubnetTrust::Everybody,
        cookies: Some(CookieSecrets::new(&[3; 16], None)),
        ..Settings::default()
    };
    let responder = Responder::new(Zones::new([Arc::new(zone)]), settings);
    let rates = RateLimits { answers_per_second: 0, ..RateLimits::default() };
    Manner { responder: Arc::new(responder), rates: Arc::new(rates), log_share: 0.0 }
}

fn site(number: usize) -> String {
    if number == 0 { "www".to_owned() } else { format!("site-{number}") }
}

/// For A, with EDNS; from anywhere, or on behalf of anybody.
fn queries(sites: usize, has_subnet: bool) -> Vec<Query> {
    let mut random = 11;
    let query = |at: usize| {
        let name = site(at * 7_919 % sites);
        let client = Ipv4Addr::from_bits(next(&mut random) as u32).octets();
        let mut packet = vec![at as u8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in [name.as_str(), "bench", "test"] {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label.as_bytes());
        }
        packet.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0]);
        let mut from = client;
        if has_subnet {
            packet.extend_from_slice(&[11, 0, 8, 0, 7, 0, 1, 24, 0]);
            packet.extend_from_slice(&client[..3]);
            from = [127, 0, 0, 1];
        } else {
            packet.push(0);
        }
        (packet, SocketAddr::from((from, 5353)))
    };
    (0..QUERIES).map(query).collect()
}

/// Numbers that look random (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
