//! `bench dns`: what an answer costs that depends on where the client is. Every server reads the
//! same database and the same table of countries, is pinned to one core and has one thread for UDP;
//! the load is on another core.
//!
//! 1. plain: the address that asks decides; it differs from query to query;
//! 2. ecs: each query carries the subnet of another client (RFC 7871);
//! 3. many: ours alone, with 10,000 sites and 200 edges beside one site and 40.

mod agree;
mod database;
mod load;
mod packet;
mod servers;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::measure::{LOAD_CORE, cpu_us, machine_cpu_us, median};
use super::peers::{OURS, taking_part};
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::target;
use crate::packages::{FOR_DNS, ensure};
use crate::process::fresh_folder;
use crate::say;
use database::Countries;
use load::Seen;
use packet::{Query, Subnet};
use servers::{Contestant, Stage};
use world::{World, ZONE};

/// The peers, in the order in which they take turns.
const PEERS: [&str; 2] = ["gdnsd", "knot"];
/// Part of the better peer's CPU per query that ours may take.
const PART: f64 = 0.9;

/// Our own server with many sites and edges.
const OUR_MANY: &str = "selvedge-many";
const MANY: &str = "many";
const SITES: usize = 10_000;
/// In each of the 20 regions.
const EDGES_EACH: u8 = 10;
/// What CPU per query may be with many sites and edges, by that with few.
const MANY_PART: f64 = 1.2;

/// Works that all servers do.
const WORKS: [(&str, Subnet); 2] = [("plain", Subnet::Absent), ("ecs", Subnet::Told)];

/// Measures all works that are wanted.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    ensure(FOR_DNS)?;
    servers::ensure_knot_geoip()?;
    if std::thread::available_parallelism()?.get() < 2 {
        return Err(Failure::new("two cores are needed: one for the server, one for the load"));
    }
    let stage = stage()?;
    let countries = Countries::open(&stage.database)?;
    let mut contestants = Vec::new();
    for name in taking_part(options, &PEERS)? {
        contestants.push(match name {
            "gdnsd" => stage.gdnsd(name)?,
            "knot" => stage.knot(name)?,
            _ => stage.ours(name, 1, None)?,
        });
    }
    agree::check(&contestants.iter().collect::<Vec<_>>(), &countries, &stage.world)?;
    let mut rows = Vec::new();
    for (work, subnet) in WORKS.into_iter().filter(|(work, _)| options.wants(work)) {
        say(&format!("\n{work}"));
        let queries = [Query::new(&format!("www.{ZONE}"), subnet)];
        let mut turns: Vec<_> =
            contestants.iter_mut().map(|contestant| (contestant, &queries[..])).collect();
        let figures = measure(options, &mut turns)?;
        rows.extend(rows_of(work, OURS, &figures, &Aim::PartOfBest(PART)));
    }
    if options.wants(MANY) && !options.peers_only {
        contestants.retain(|contestant| contestant.name == OURS);
        rows.extend(many(options, &stage, &mut contestants)?);
    }
    Ok(rows)
}

/// Makes the folder and the database.
fn stage() -> Result<Stage, Failure> {
    let bench = target().join("bench");
    let folder = bench.join("dns");
    fresh_folder(&folder)?;
    let folder = folder.canonicalize()?;
    let world = World::read(Path::new(servers::TEMPLATES))?;
    let database = folder.join("countries.mmdb");
    // What comes from npm stays for the next run.
    database::make(&bench.join("dns-npm"), &database, &world)?;
    Ok(Stage { folder, database, world })
}

/// Our own server with many sites and edges beside the one with few.
fn many(options: &Options, stage: &Stage, few: &mut [Contestant]) -> Result<Vec<Row>, Failure> {
    say(&format!("\n{MANY}"));
    let sites = if options.quick { SITES / 10 } else { SITES };
    let mut grown = stage.ours(OUR_MANY, sites, Some(EDGES_EACH))?;
    let names = |count: usize| -> Vec<Query> {
        let name = |number| format!("{}.{ZONE}", world::site(number));
        // A step that has no factor in common with the count goes through all, in no order.
        (0..count).map(|at| Query::new(&name(at * 7_919 % count), Subnet::Told)).collect()
    };
    let (one, all) = (names(1), names(sites));
    let mut turns: Vec<_> = few.iter_mut().map(|contestant| (contestant, &one[..])).collect();
    turns.push((&mut grown, &all[..]));
    let figures = measure(options, &mut turns)?;
    Ok(rows_of(MANY, OUR_MANY, &figures, &Aim::PartOf(MANY_PART, OURS)))
}

/// The figures of a round.
#[derive(Debug, Clone, Copy)]
struct Figures {
    cpu_us_per_query: f64,
    queries_per_second: f64,
    p99_us: f64,
    lost_per_million: f64,
    /// Of the generator.
    load_us_per_query: f64,
    /// How much of one core everyone else on this machine has used.
    others_percent: f64,
}

/// Lets the servers take turns at their queries.
fn measure(
    options: &Options,
    turns: &mut [(&mut Contestant, &[Query])],
) -> Result<BTreeMap<&'static str, Vec<Figures>>, Failure> {
    let seconds = if options.quick { 1 } else { options.seconds };
    let mut figures: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    // Round 0 warms up and is not counted.
    for number in 0..=options.rounds {
        for (contestant, queries) in turns.iter_mut() {
            contestant.server.check()?;
            let time = Duration::from_secs(if number == 0 { 1 } else { seconds.into() });
            let found = round(contestant, queries, time)
                .map_err(|failure| Failure::new(format!("{}: {failure}", contestant.name)))?;
            if number > 0 {
                say_round(number, contestant.name, &found);
                figures.entry(contestant.name).or_default().push(found);
            }
        }
    }
    Ok(figures)
}

fn say_round(number: u32, name: &str, found: &Figures) {
    say(&format!(
        "  round {number} {name:14} {:>9.0} queries/s {:>7.2} us CPU {:>6.0} us p99 {:>5.0} ppm \
         lost; load {:.2} us, others {:.0} % of a core",
        found.queries_per_second,
        found.cpu_us_per_query,
        found.p99_us,
        found.lost_per_million,
        found.load_us_per_query,
        found.others_percent,
    ));
}

fn round(contestant: &Contestant, queries: &[Query], time: Duration) -> Result<Figures, Failure> {
    let pid = contestant.server.pid();
    let (machine_us, begun) = (machine_cpu_us()?, Instant::now());
    let before_us = cpu_us(pid)?;
    let seen = load::run(contestant.address, queries, time, Some(LOAD_CORE))?;
    let used_us = cpu_us(pid)?.saturating_sub(before_us);
    let Seen { answered, lost, bad, .. } = seen;
    if bad > 0 || answered == 0 {
        return Err(Failure::new(format!("{bad} of {answered} answers are errors or empty")));
    }
    let others_us = (machine_cpu_us()? - machine_us).saturating_sub(used_us + seen.load_cpu_us);
    let answered = answered as f64;
    Ok(Figures {
        cpu_us_per_query: used_us as f64 / answered,
        queries_per_second: answered / seen.seconds,
        p99_us: seen.p99_us,
        lost_per_million: lost as f64 * 1e6 / (answered + lost as f64),
        load_us_per_query: seen.load_cpu_us as f64 / answered,
        others_percent: others_us as f64 * 100.0 / begun.elapsed().as_micros() as f64,
    })
}

/// A figure of a round, with its name and unit.
type Measure = (&'static str, &'static str, fn(&Figures) -> f64);

/// What a work's aim is about.
const JUDGED: &str = "cpu_per_query";
/// What must never happen, to ours.
const LOST: &str = "lost";

const MEASURES: [Measure; 4] = [
    (JUDGED, "us", |figures| figures.cpu_us_per_query),
    ("queries_rate", "1/s", |figures| figures.queries_per_second),
    ("latency_p99", "us", |figures| figures.p99_us),
    (LOST, "ppm", |figures| figures.lost_per_million),
];

fn rows_of(
    work: &str,
    ours: &str,
    figures: &BTreeMap<&'static str, Vec<Figures>>,
    aim: &Aim,
) -> Vec<Row> {
    let row = |(measure, unit, figure): &Measure| {
        let of = |rounds: &Vec<Figures>| median(rounds.iter().map(figure).collect());
        let others = figures.iter().filter(|(name, _)| **name != ours);
        let peers = others.map(|(name, rounds)| ((*name).to_owned(), of(rounds))).collect();
        Row {
            work: work.to_owned(),
            measure: (*measure).to_owned(),
            unit: (*unit).to_owned(),
            ours: figures.get(ours).map(of),
            peers,
            aim: match *measure {
                JUDGED => Some(aim.clone()),
                LOST => Some(Aim::AtMost(0.0)),
                _ => None,
            },
        }
    };
    MEASURES.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_judged_by_cpu_and_by_what_is_lost() {
        let figures = |cpu_us_per_query, lost_per_million| Figures {
            cpu_us_per_query,
            queries_per_second: 1.0,
            p99_us: 1.0,
            lost_per_million,
            load_us_per_query: 1.0,
            others_percent: 0.0,
        };
        let measured = BTreeMap::from([
            (OURS, vec![figures(3.6, 5.0)]),
            ("gdnsd", vec![figures(4.0, 0.0)]),
            ("knot", vec![figures(5.0, 0.0)]),
        ]);
        let rows = rows_of("plain", OURS, &measured, &Aim::PartOfBest(PART));
        let judged: Vec<_> = rows.iter().map(Row::judged).collect();
        let met = Some(("<= 0.9 x best peer".to_owned(), true));
        let lost = Some(("<= 0".to_owned(), false));
        assert_eq!(judged, [met, None, None, lost]);
    }
}
