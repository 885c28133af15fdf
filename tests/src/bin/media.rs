//! A live channel under load, for `cargo xtask bench media`:
//!
//!     media FILE viewers COUNT SECONDS [SITE_KEY=VALUE]...
//!     media FILE held    COUNT ROUNDS  [SITE_KEY=VALUE]...
//!
//! `viewers` play the channel at two edges behind a parent. `held` requests wait at one edge, whose
//! memory is looked at meanwhile. What was found is written to FILE as JSON, a number for each
//! name. Exit code 1 if an answer was wrong: then the figures would say nothing.

use selvedge_tests::live::{LiveOrigin, Name, Plan, Waiting, watch};
use selvedge_tests::tools::raise_file_limit;
use selvedge_tests::{Node, NodeConfig, Site, eventually};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, work, count, length, keys @ ..] = &arguments[..] else {
        return usage();
    };
    let (Ok(count), Ok(length)) = (count.parse(), length.parse()) else { return usage() };
    let keys: Option<Vec<(&str, &str)>> = keys.iter().map(|key| key.split_once('=')).collect();
    let Some(keys) = keys else { return usage() };
    // Two for each held request, and those of the nodes, which inherit it.
    let _ = raise_file_limit(4 * count as u64 + 1_000);
    let found = match &work[..] {
        "viewers" => viewers(count, Duration::from_secs(length), &keys),
        "held" => held(count, length, &keys),
        _ => return usage(),
    };
    let written = found.and_then(|found| {
        std::fs::write(file, found.to_string()).map_err(|error| format!("{file}: {error}"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            say(&wrong);
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    say("media FILE viewers|held COUNT SECONDS|ROUNDS [SITE_KEY=VALUE]...");
    ExitCode::from(64)
}

fn node(name: &str, origin: &LiveOrigin, keys: &[(&str, &str)]) -> NodeConfig {
    let site = keys.iter().fold(Site::any(&origin.url()), |site, (key, value)| {
        let value = value.parse::<u64>().map_or_else(|_| Value::from(*value), Value::from);
        site.set(key, value)
    });
    NodeConfig::new(name).set("log", "access", "off").site(site)
}

fn viewers(count: usize, time: Duration, keys: &[(&str, &str)]) -> Result<Value, String> {
    let plan = Plan::plain();
    let first = plan.first;
    let origin = LiveOrigin::by_clock(plan);
    let parent = Node::parent(&node("parent-1", &origin, keys));
    let edges = ["edge-1", "edge-2"].map(|name| {
        Node::edge(&node(name, &origin, keys).set("upstream", "parents", vec![parent.url()]))
    });
    let seen = watch(&origin, &edges.each_ref().map(Node::http), count, time);
    if !seen.wrong.is_empty() {
        return Err(seen.wrong.join("\n"));
    }
    let gets = origin.all_gets();
    let named = |wanted: fn(&Name) -> bool| {
        let parse = |(target, gets): (&String, &usize)| Some((Name::parse(target)?, *gets));
        gets.iter().filter_map(parse).filter(move |(name, _)| wanted(name)).map(|(_, gets)| gets)
    };
    let is_object = |name: &Name| matches!(name, Name::Segment(..) | Name::Init(_));
    let is_playlist = |name: &Name| matches!(name, Name::Playlist(_));
    let (versions, renditions) =
        origin.look(|channel| (channel.next() - first + 1, channel.renditions()));
    let segments = seen.first_bytes.len() as f64;
    let cpu_s = edges.iter().map(Node::cpu_ticks).sum::<u64>() as f64 / 100.0;
    let part = |count: usize| 100.0 * count as f64 / segments;
    Ok(json!({
        "segments": segments,
        "hits": part(seen.hits),
        "collapsed": part(seen.collapsed),
        "forwarded": part(seen.forwarded),
        "first_byte_p50": rank_ms(&seen.first_bytes, 50),
        "first_byte_p99": rank_ms(&seen.first_bytes, 99),
        "first_byte_max": rank_ms(&seen.first_bytes, 100),
        "stalls": seen.stalls,
        "origin_objects": named(is_object).count(),
        "origin_fetches_max": named(is_object).max(),
        "playlist_fetches":
            named(is_playlist).sum::<usize>() as f64 / (versions * renditions as u64) as f64,
        "edges_cpu": 100.0 * cpu_s / time.as_secs_f64(),
    }))
}

fn held(count: usize, rounds: u64, keys: &[(&str, &str)]) -> Result<Value, String> {
    let origin = LiveOrigin::by_hand(Plan::low_latency());
    let edge = Node::edge(&node("edge-1", &origin, keys));
    let failed = |error: std::io::Error| error.to_string();
    // Whatever is allocated once is allocated for a few.
    let mut few = Waiting::connect(edge.http(), 20).map_err(failed)?;
    round(&mut few, &origin, &edge, 20)?;
    let before = edge.rss_bytes();
    let mut waiting = Waiting::connect(edge.http(), count).map_err(failed)?;
    let found: Vec<Round> = (0..rounds)
        .map(|_| round(&mut waiting, &origin, &edge, count))
        .collect::<Result<_, String>>()?;
    let all: Vec<Duration> = found.iter().flat_map(|round| round.late.clone()).collect();
    let most = found.iter().map(|round| round.resident_bytes).max().unwrap_or(before);
    let fetched: usize = found.iter().map(|round| round.fetches_max).max().unwrap_or(0);
    Ok(json!({
        "late_p50": rank_ms(&all, 50),
        "late_p99": rank_ms(&all, 99),
        "late_max": rank_ms(&all, 100),
        "memory": most.saturating_sub(before) as f64 / 1024.0 / count as f64,
        "origin_fetches_max": fetched,
    }))
}

/// All of a crowd waiting for one part of each rendition, then answered.
struct Round {
    /// From the origin's answer to the first byte at each client.
    late: Vec<Duration>,
    resident_bytes: u64,
    fetches_max: usize,
}

fn round(
    waiting: &mut Waiting,
    origin: &LiveOrigin,
    edge: &Node,
    count: usize,
) -> Result<Round, String> {
    let (msn, part, renditions) =
        origin.look(|channel| (channel.next(), channel.parts(), channel.renditions()));
    let targets: Vec<String> = (0..renditions)
        .map(|rendition| format!("{}?_HLS_msn={msn}&_HLS_part={part}", Name::Playlist(rendition)))
        .collect();
    let joined = || edge.metrics().sum("selvedge_store_fill_joins_total", &[]) as usize;
    let before = joined();
    waiting.ask(&targets).map_err(|error| error.to_string())?;
    if !eventually(|| joined() - before == count - renditions) {
        return Err(format!("{} of {count} requests joined another one", joined() - before));
    }
    targets.iter().for_each(|target| origin.await_held(target, 1));
    let resident_bytes = edge.rss_bytes();
    let answers = waiting.answers(renditions, || origin.change(|channel| channel.finish_part()));
    let statuses: HashSet<u16> = answers.iter().map(|answered| answered.status).collect();
    if statuses != HashSet::from([200]) {
        return Err(format!("not all were answered with 200: {statuses:?}"));
    }
    let said: Vec<_> = targets.iter().filter_map(|target| origin.answered(target)).collect();
    let late = answers.iter().map(|answered| answered.at.duration_since(said[answered.target]));
    let fetches_max = targets.iter().map(|target| origin.gets(target)).max().unwrap_or(0);
    Ok(Round { late: late.collect(), resident_bytes, fetches_max })
}

/// The smallest that so many of a hundred do not exceed, in milliseconds.
fn rank_ms(durations: &[Duration], percent: usize) -> f64 {
    let mut durations = durations.to_vec();
    durations.sort_unstable();
    let rank = (durations.len() * percent).div_ceil(100).saturating_sub(1);
    durations.get(rank).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

#[expect(clippy::print_stdout, reason = "a program that reports what is wrong")]
fn say(line: &str) {
    println!("{line}");
}
