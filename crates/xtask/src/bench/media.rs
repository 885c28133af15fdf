//! `bench media`: a live channel of three renditions in segments of two seconds, from a synthetic
//! origin (`tests/src/live/`).
//!
//! 1. viewers: simulated players, half at each of two edges behind a parent. How often the origin
//!    was asked for an object, what the edges had, how long first bytes took, who had to stop.
//! 2. held: requests that wait at one edge for the next part of a low-latency playlist, each on a
//!    connection of its own. How late each was answered after the origin had, and the memory of
//!    the edge while they wait.
//! 3. segment hit: what a hit costs with and without anything understood of video, as in `bench
//!    hit`: one worker on one core, wrk on another, in turns.
//!
//! Origin, nodes and players share the cores of this machine. A wrong byte or status fails the run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::measure::{Load, median, round};
use super::peers::{OUR_PLAIN, OURS, Stage, Storage};
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::{Build, build, cargo, target, text};
use crate::packages::{FOR_BENCH, ensure};
use crate::process::{Task, fresh_folder};
use crate::say;

/// Requests that wait.
const HELD: u32 = 2_000;
/// The same for a quick run, and viewers and seconds of one.
const QUICK: (u32, u32, u32) = (200, 60, 10);

/// A figure of the program: its name there and here, its unit, what it should reach.
type Figure = (&'static str, &'static str, &'static str, Option<Bound>);

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const VIEWERS: [Figure; 11] = [
    ("segments", "segments", "", None),
    ("origin_objects", "objects", "", None),
    ("origin_fetches_max", "fetches_object", "", Some(Bound::AtMost(1.0))),
    ("playlist_fetches", "fetches_version", "", None),
    ("hits", "segment_hits", "%", Some(Bound::AtLeast(95.0))),
    ("collapsed", "segment_collapsed", "%", None),
    ("first_byte_p50", "first_byte_p50", "ms", None),
    ("first_byte_p99", "first_byte_p99", "ms", Some(Bound::AtMost(20.0))),
    ("first_byte_max", "first_byte_max", "ms", None),
    ("stalls", "stalls", "", Some(Bound::AtMost(0.0))),
    ("edges_cpu", "cpu_both_edges", "%", None),
];

const HELD_FIGURES: [Figure; 5] = [
    ("origin_fetches_max", "fetches_key", "", Some(Bound::AtMost(1.0))),
    ("late_p50", "late_p50", "ms", None),
    ("late_p99", "late_p99", "ms", None),
    ("late_max", "late_max", "ms", Some(Bound::AtMost(50.0))),
    ("memory", "memory_request", "KiB", Some(Bound::AtMost(20.0))),
];

/// Measures everything that is wanted.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    let binary = build(Build::Release)?;
    let folder = target().join("bench").join("media");
    fresh_folder(&folder)?;
    let folder = folder.canonicalize()?;
    let (held, viewers, watch) =
        if options.quick { QUICK } else { (HELD, options.viewers, options.watch) };
    let mut rows = Vec::new();
    for (how, key) in [("", None), (", no prefetch", Some("media_prefetch=0"))] {
        let name = format!("{viewers} viewers{how}");
        if options.wants(&name) {
            let (count, seconds) = (viewers.to_string(), watch.to_string());
            let mut program = vec!["viewers", &count, &seconds];
            program.extend(key);
            // Without it, nothing is promised of hits.
            let is_judged = |figure: &&Figure| key.is_none() || figure.0 != "hits";
            let figures: Vec<Figure> = VIEWERS.iter().filter(is_judged).copied().collect();
            rows.extend(measure(&name, &figures, &program, &binary, &folder)?);
        }
    }
    let name = format!("{held} held");
    if options.wants(&name) {
        let (count, rounds) = (held.to_string(), options.rounds.to_string());
        let program = ["held", &count, &rounds];
        rows.extend(measure(&name, &HELD_FIGURES, &program, &binary, &folder)?);
    }
    if options.wants(HIT) {
        rows.push(hit(options)?);
    }
    Ok(rows)
}

/// Has the program measure a work, and reads what it found.
fn measure(
    work: &str,
    figures: &[Figure],
    program: &[&str],
    binary: &Path,
    folder: &Path,
) -> Result<Vec<Row>, Failure> {
    say(&format!("\n{work}"));
    let found = folder.join(format!("{}.json", program[0]));
    let mut arguments = vec!["run", "--locked", "--quiet", "--release"];
    arguments.extend(["--package", "selvedge-tests", "--bin", "media", "--", text(&found)?]);
    arguments.extend(program);
    Task::new(&cargo(), &arguments)
        .variable("SELVEDGE_BIN", binary)
        .limit(Duration::from_secs(3_600 * 2))
        .run()?;
    let found = fs::read_to_string(&found).map_err(Failure::at(&found))?;
    rows(work, figures, &serde_json::from_str(&found)?)
}

const HIT: &str = "segment hit";
const SEGMENT: (&str, usize) = ("s100.m4s", 64 << 10);
const PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n\
                        #EXTINF:2.0,\ns100.m4s\n";
const LOAD: Load = Load::Http1 { connections: 50 };

/// What understanding adds to a hit.
fn hit(options: &Options) -> Result<Row, Failure> {
    ensure(FOR_BENCH)?;
    let stage = Stage::new(&target().join("bench").join("media-hit"), &[SEGMENT], Storage::Memory)?;
    fs::write(stage.folder.join("origin").join("files").join("index.m3u8"), PLAYLIST)?;
    let mut servers = [stage.start(OURS)?, stage.start(OUR_PLAIN)?];
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    say(&format!("\n{HIT}"));
    for server in &servers {
        for name in ["index.m3u8", SEGMENT.0, SEGMENT.0] {
            let url = format!("http://127.0.0.1:{}/{name}", server.http_port);
            Task::new("curl", &["--silent", "--fail", "--output", "/dev/null", &url]).output()?;
        }
        let url = format!("http://127.0.0.1:{}/metrics", server.admin_port);
        let metrics = Task::new("curl", &["--silent", "--fail", &url]).output()?;
        let reads = metrics.contains("selvedge_media_manifests_total{site=\"files\"} 1");
        if reads != (server.name == OURS) {
            return Err(Failure::new(format!("{}: manifests read: {reads}", server.name)));
        }
    }
    // Round 0 warms up and is not counted.
    for number in 0..=options.rounds {
        for server in &mut servers {
            server.server.check()?;
            let url = format!("http://127.0.0.1:{}/{}", server.http_port, SEGMENT.0);
            let seconds = if number == 0 { 1 } else { options.seconds };
            let figures = round(LOAD, &url, seconds, server.server.pid(), &stage.folder)?;
            if number > 0 {
                let cpu_us = figures.cpu_us_per_request;
                say(&format!("  round {number} {:14} {cpu_us:>8.2} us CPU", server.name));
                found.entry(server.name).or_default().push(cpu_us);
            }
        }
    }
    let of = |name| median(found.get(name).cloned().unwrap_or_default());
    Ok(Row {
        work: HIT.to_owned(),
        measure: "cpu_per_request".to_owned(),
        unit: "us".to_owned(),
        ours: Some(of(OURS)),
        peers: BTreeMap::from([(OUR_PLAIN.to_owned(), of(OUR_PLAIN))]),
        aim: Some(Aim::PartOf(1.03, OUR_PLAIN)),
    })
}

fn rows(work: &str, figures: &[Figure], found: &Value) -> Result<Vec<Row>, Failure> {
    let row = |(name, measure, unit, bound): &Figure| {
        let value = found[*name].as_f64();
        let value = value.ok_or_else(|| Failure::new(format!("{work}: no figure {name}")))?;
        let aim = bound.map(|bound| match bound {
            Bound::AtMost(most) => Aim::AtMost(most),
            Bound::AtLeast(least) => Aim::Judged(format!(">= {least}"), value >= least),
        });
        let [work, measure, unit] = [work, measure, unit].map(|text| (*text).to_owned());
        Ok(Row { work, measure, unit, ours: Some(value), peers: BTreeMap::new(), aim })
    };
    figures.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_judged_and_none_may_be_missing() {
        let figures = [VIEWERS[2], VIEWERS[4]];
        let met = |found: Value| {
            let rows = rows("w", &figures, &found).unwrap();
            rows.iter().map(|row| row.judged().unwrap().1).collect::<Vec<_>>()
        };
        assert_eq!(met(json!({ "origin_fetches_max": 1, "hits": 95.0 })), [true, true]);
        assert_eq!(met(json!({ "origin_fetches_max": 2, "hits": 94.9 })), [false, false]);
        assert!(rows("w", &figures, &json!({ "hits": 95.0 })).is_err());
    }
}
