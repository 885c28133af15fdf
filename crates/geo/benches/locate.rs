//! How long a lookup and a whole decision take, and how long a map takes to build. With a country
//! database: `SELVEDGE_MMDB=country.mmdb cargo bench -p selvedge-geo`; else a random coverage map
//! of as many prefixes.
#![allow(clippy::print_stdout, reason = "a benchmark is for reading")]
#![allow(missing_docs, reason = "a program")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use selvedge_geo::atlas::Atlas;
use selvedge_geo::config::{Config, NodeConfig, SiteConfig};
use selvedge_geo::coverage::Coverage;
use selvedge_geo::hash::HashKey;
use selvedge_geo::load::Load;
use selvedge_geo::places::{Coordinates, Places};
use selvedge_geo::regions::{RegionConfig, Regions};
use selvedge_geo::spread::{Member, Width, choose};
use selvedge_geo::steering::{Observed, Steering};
use selvedge_geo::world::{Answer, World};

const REGIONS: usize = 20;
const NODES: usize = 10;
const QUERIES: usize = 1 << 16;

fn main() {
    choosing();
    let config = config();
    let regions = Regions::new(&config.regions, "r0").expect("whole");
    let mut random = 7;
    let (coverage, places) = match std::env::var("SELVEDGE_MMDB") {
        Ok(path) => {
            let bytes = std::fs::read(path).expect("readable");
            let start = Instant::now();
            let places = Places::from_mmdb(&bytes).expect("whole");
            println!("read {} spans in {:?}", places.spans(), start.elapsed());
            (Coverage::empty(), places)
        }
        Err(_) => {
            let mut text = String::new();
            for _ in 0..200_000 {
                let bits = next(&mut random);
                let address = Ipv4Addr::from_bits((bits >> 40 << 8) as u32);
                text.push_str(&format!("{address}/24,r{}\n", bits % REGIONS as u64));
            }
            // A prefix may come twice for different regions: the first counts here.
            let mut seen = std::collections::HashSet::new();
            let kept: Vec<_> = text
                .lines()
                .filter(|line| seen.insert(line.split(',').next().map(str::to_owned)))
                .collect();
            (Coverage::from_csv(&kept.join("\n"), &regions).expect("whole"), Places::none())
        }
    };
    let start = Instant::now();
    let atlas = Atlas::build(&config, Arc::new(coverage), Arc::new(places)).expect("whole");
    let (bytes, ranges) = atlas.table_sizes();
    println!("built {ranges} ranges, {} KiB in {:?}", bytes / 1024, start.elapsed());
    let mut steering = Steering::new(Arc::new(atlas));
    let world = steering.step(0.0, &Observed::default());
    measure("calm", &world);
    let load = |node| Load { cpu: if node % 3 == 0 { 1.2 } else { 0.5 }, ..Load::default() };
    let loads: Vec<_> = (0..REGIONS * NODES).map(|node| Some(load(node / NODES))).collect();
    let mut world = world;
    let start = Instant::now();
    for second in 1..61 {
        let observed = Observed { loads: &loads, ..Observed::default() };
        world = steering.step(f64::from(second), &observed);
    }
    println!("a step takes {:?}", start.elapsed() / 60);
    measure("busy", &world);
}

/// The choice among ten nodes alone.
fn choosing() {
    let key = HashKey([1, 2]);
    let members: Vec<_> =
        (0..NODES).map(|node| Member::new(&key, &format!("n{node}"), 100)).collect();
    let mut random = 5;
    let addresses = vec![IpAddr::from([0, 0, 0, 0]); QUERIES];
    for (spread, answers) in [(10, 4), (3, 1)] {
        time(&format!("choose {answers} of {spread} of 10"), &addresses, |_| {
            let width = Width { spread, answers };
            black_box(choose(black_box(&members), 7, next(&mut random), width));
        });
    }
}

fn config() -> Config {
    let mut random = 3;
    let mut degrees = |most: u64| (next(&mut random) % (2 * most * 10)) as f64 / 10.0 - most as f64;
    let regions = (0..REGIONS)
        .map(|region| RegionConfig {
            name: format!("r{region}"),
            coordinates: Coordinates::new(degrees(60), degrees(180)),
            fallback: Vec::new(),
        })
        .collect();
    let nodes = (0..REGIONS * NODES)
        .map(|node| NodeConfig {
            name: format!("n{node}"),
            region: format!("r{}", node / NODES),
            v4: Some(Ipv4Addr::from_bits(node as u32)),
            v6: Some(Ipv6Addr::from_bits(node as u128)),
            weight: 100,
        })
        .collect();
    let site = |name: &str, answers, spread| SiteConfig {
        name: name.into(),
        answers,
        spread,
        ..SiteConfig::default()
    };
    Config {
        regions,
        nodes,
        default_region: "r0".into(),
        sites: vec![site("wide", 4, 10), site("narrow", 1, 3)],
        key: HashKey([1, 2]),
        last_good_s: 600.0,
        ..Config::default()
    }
}

fn measure(what: &str, world: &World) {
    let mut random = 11;
    let v4: Vec<IpAddr> =
        (0..QUERIES).map(|_| Ipv4Addr::from_bits(next(&mut random) as u32).into()).collect();
    let v6: Vec<IpAddr> = (0..QUERIES)
        .map(|_| {
            let bits = u128::from(next(&mut random)) << 64;
            Ipv6Addr::from_bits(bits >> 4 & !(0xd << 124) | 2 << 124).into()
        })
        .collect();
    let map = world.find(b"wide").expect("a site");
    for (family, addresses, prefix) in [("v4", &v4, 24), ("v6", &v6, 56)] {
        time(&format!("{what} {family} lookup"), addresses, |address| {
            black_box(world.find_ranking(map, address, prefix));
        });
        for site in ["wide", "narrow"] {
            let number = world.find(site.as_bytes()).expect("a site");
            let mut answer = Answer::default();
            time(&format!("{what} {family} locate {site}"), addresses, |address| {
                world.locate(number, address, prefix, &mut answer);
                black_box(&answer);
            });
        }
    }
}

/// The median of many short rounds: others use the machine too.
fn time(what: &str, addresses: &[IpAddr], mut each: impl FnMut(IpAddr)) {
    let mut rounds = Vec::new();
    for _ in 0..5 {
        for chunk in addresses.chunks(256) {
            let start = Instant::now();
            for &address in chunk {
                each(address);
            }
            rounds.push(start.elapsed().as_nanos() as f64 / chunk.len() as f64);
        }
    }
    rounds.sort_by(f64::total_cmp);
    println!("{what:24} {:7.1} ns", rounds[rounds.len() / 2]);
}

/// Numbers that look random (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
