//! `bench control`: how fast what control says is in force everywhere, and what it costs.
//!
//! 1. purges: 20 edges follow; 100 purges each second, each timed from its request to the ack of
//!    the last edge;
//! 2. sites: 1,000 of them with 100,000 pushed objects; a change is timed to the last of 20 edges,
//!    and an edge that has it all on disk from its start to the moment it serves;
//! 3. push: one large object, beside `cp` and `sha256sum` of the same file, and 10,000 small ones
//!    with the client, to the moment an edge serves the last;
//! 4. followers: the memory of control for 1,000 of them.
//!
//! Everything shares the cores of this machine: control, the edges and the load.

mod ask;
mod push;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::measure::resident_kib;
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::{Build, Node, build, target};
use crate::process::{Server, fresh_folder};
use crate::ready::free_port;
use crate::say;
use ask::Control;

const EDGES: usize = 20;
const PURGES_PER_S: u32 = 100;
/// Purges that may be under way: with fewer, slow ones would slow the pace.
const ASKERS: usize = 16;
const SITES: usize = 1_000;
const OBJECTS: usize = 100_000;
const FOLLOWERS: usize = 1_000;

/// Measures everything that is wanted.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    let binary = build(Build::Release)?;
    let work = target().join("bench").join("control");
    fresh_folder(&work)?;
    let stage = Stage { binary, work: work.canonicalize()? };
    let mut rows = Vec::new();
    if options.wants("purge") || options.wants("sites") {
        fleet(options, &stage, &mut rows)?;
    }
    if options.wants("push") {
        push::measure(options, &stage, &mut rows)?;
    }
    if options.wants("followers") {
        rows.push(followers(options, &stage)?);
    }
    Ok(rows)
}

/// Where it all runs.
pub(super) struct Stage {
    pub(super) binary: PathBuf,
    pub(super) work: PathBuf,
}

impl Stage {
    /// Starts a control with a folder of its own.
    pub(super) fn control(&self, name: &str) -> Result<(Server, Control), Failure> {
        let (http, admin) = (free_port()?, free_port()?);
        let configuration = format!(
            "[node]\nname = \"{name}\"\n[listen]\nhttp = [\"127.0.0.1:{http}\"]\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n[data]\nfolder = \"{name}-data\"\n\
             [log]\nlevel = \"warn\"\n"
        );
        let server = self.start("control", name, configuration, admin)?;
        let token = fs::read_to_string(self.work.join(format!("{name}-data/admin.token")))?;
        Ok((server, Control { port: http, token: token.trim().to_owned() }))
    }

    fn start(
        &self,
        verb: &str,
        name: &str,
        configuration: String,
        admin_port: u16,
    ) -> Result<Server, Failure> {
        let (binary, folder) = (&self.binary, &self.work);
        Node { binary, verb, folder, configuration, admin_port, core: None }.start(name)
    }

    /// Starts an edge that follows a control; gives it and its port for HTTP.
    pub(super) fn edge(&self, name: &str, control: &Control) -> Result<(Server, u16), Failure> {
        let (http, admin) = (free_port()?, free_port()?);
        let configuration = format!(
            "[node]\nname = \"{name}\"\nworkers = 1\n[listen]\nhttp = [\"127.0.0.1:{http}\"]\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n[cache]\nmemory = \"16MiB\"\n\
             [control]\nurl = \"http://127.0.0.1:{}\"\ntoken_file = \"join.token\"\n\
             state = \"{name}-state\"\n[log]\naccess = \"off\"\nlevel = \"warn\"\n",
            control.port
        );
        Ok((self.start("edge", name, configuration, admin)?, http))
    }

    /// Has a token made that so many nodes join with.
    pub(super) fn let_join(&self, control: &Control, uses: usize) -> Result<(), Failure> {
        let made = control.ask("POST", "/v1/join-tokens", &json!({ "uses": uses }))?;
        let token = made["token"].as_str().unwrap_or_default();
        fs::write(self.work.join("join.token"), token)?;
        Ok(())
    }
}

/// One figure that is judged.
pub(super) fn row(work: &str, measure: &str, unit: &str, ours: f64, aim: Option<Aim>) -> Row {
    let [work, measure, unit] = [work, measure, unit].map(str::to_owned);
    Row { work, measure, unit, ours: Some(ours), peers: BTreeMap::new(), aim }
}

/// Purges and changes of sites, with 20 edges.
fn fleet(options: &Options, stage: &Stage, rows: &mut Vec<Row>) -> Result<(), Failure> {
    let (_server, control) = stage.control("control")?;
    stage.let_join(&control, EDGES)?;
    say(&format!("starting {EDGES} edges"));
    let mut edges = Vec::new();
    for number in 0..EDGES {
        edges.push(stage.edge(&format!("edge-{number}"), &control)?.0);
    }
    if options.wants("purge") {
        let seconds = if options.quick { 5 } else { 60 };
        say(&format!("{PURGES_PER_S} purges/s for {seconds} s"));
        let mut spent_ms = purges(&control, seconds)?;
        let (p50, p99) = (percentile(&mut spent_ms, 50), percentile(&mut spent_ms, 99));
        rows.push(row("purge to the last of 20 edges", "p50", "ms", p50, Some(Aim::AtMost(10.0))));
        rows.push(row("purge to the last of 20 edges", "p99", "ms", p99, Some(Aim::AtMost(50.0))));
    }
    if options.wants("sites") {
        sites(options, stage, &control, rows)?;
    }
    Ok(())
}

/// Orders purges at a steady pace; how long each took, to the ack of the last edge.
fn purges(control: &Control, seconds: u32) -> Result<Vec<f64>, Failure> {
    let begun = Instant::now();
    let (results, found) = mpsc::channel();
    let count = PURGES_PER_S * seconds;
    let askers: Vec<_> = (0..ASKERS as u32)
        .map(|asker| {
            let (control, results) = (control.clone(), results.clone());
            thread::spawn(move || {
                let mut connection = control.connect()?;
                for number in (asker..count).step_by(ASKERS) {
                    let due = Duration::from_secs(1) * number / PURGES_PER_S;
                    thread::sleep(due.saturating_sub(begun.elapsed()));
                    let wish = json!({ "urls": [format!("http://www.shop.test/{number}")] });
                    // From when it was due: one that had to wait for its asker waited as well.
                    let answer =
                        connection.ask("POST", "/v1/purge?wait=acks&timeout=10s", &wish)?;
                    let applied = answer["acks"]["applied"].as_array().map_or(0, Vec::len);
                    if applied != EDGES {
                        let why = format!("a purge was applied by {applied} edges: {answer}");
                        return Err(Failure::new(why));
                    }
                    let spent = begun.elapsed().saturating_sub(due);
                    let _ = results.send(spent.as_secs_f64() * 1000.0);
                }
                Ok(())
            })
        })
        .collect();
    drop(results);
    for asker in askers {
        asker.join().map_err(|_| Failure::new("an asker panicked"))??;
    }
    Ok(found.into_iter().collect())
}

/// A change among many sites and objects, and an edge that starts with all of it.
fn sites(
    options: &Options,
    stage: &Stage,
    control: &Control,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let (sites, objects) = if options.quick { (50, 2_000) } else { (SITES, OBJECTS) };
    say(&format!("{sites} sites, {objects} pushed objects"));
    for number in 0..sites {
        let document = json!({
            "hosts": [format!("www-{number}.test")], "origin": ["http://127.0.0.1:1"], "push": true,
        });
        control.ask("PUT", &format!("/v1/sites/site-{number}"), &document)?;
    }
    let body = control.put_blob("site-0", b"an object")?;
    let each = objects / 10;
    for site in 0..10 {
        let put: Vec<Value> = (0..each)
            .map(
                |number| json!({ "path": format!("/folder/object-{number}.html"), "sha256": body }),
            )
            .collect();
        let path = format!("/v1/sites/site-{site}/publish");
        control.ask("POST", &path, &json!({ "put": put, "remove": [] }))?;
    }
    control.ask("GET", "/v1/acks?timeout=60s", &Value::Null)?;
    let mut spent_ms = Vec::new();
    for number in 0..20 {
        let begun = Instant::now();
        let patch = json!({ "ttl_default": format!("{}s", number + 1) });
        control.ask("PATCH", &format!("/v1/sites/site-{}", sites - 1), &patch)?;
        control.ask("GET", "/v1/acks?timeout=30s", &Value::Null)?;
        spent_ms.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let work = format!("{sites} sites, {objects} objects");
    let p50 = percentile(&mut spent_ms, 50);
    rows.push(row(&work, "change, 20 edges", "ms", p50, Some(Aim::AtMost(100.0))));
    rows.push(row(&work, "slowest change", "ms", percentile(&mut spent_ms, 100), None));
    stage.let_join(control, 1)?;
    drop(stage.edge("late", control)?);
    let begun = Instant::now();
    let _edge = stage.edge("late", control)?;
    let boot_ms = begun.elapsed().as_secs_f64() * 1000.0;
    rows.push(row(&work, "boot of an edge", "ms", boot_ms, Some(Aim::AtMost(1000.0))));
    Ok(())
}

/// What a follower costs control, in KiB of resident memory.
fn followers(options: &Options, stage: &Stage) -> Result<Row, Failure> {
    let count = if options.quick { 100 } else { FOLLOWERS };
    let (server, control) = stage.control("followed")?;
    control.ask("GET", "/v1/status", &Value::Null)?;
    let before = resident_kib(server.pid())?;
    let mut streams: Vec<TcpStream> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = control.follow()?;
        let mut first = [0; 64];
        stream.read_exact(&mut first)?;
        streams.push(stream);
    }
    // A purge goes to each of them.
    control.ask("POST", "/v1/purge", &json!({ "everything": true }))?;
    for stream in &mut streams {
        wait_for(stream, "\"everything\"")?;
    }
    let grown = resident_kib(server.pid())?.saturating_sub(before) as f64 / count as f64;
    Ok(row(&format!("{count} followers"), "memory of each", "KiB", grown, Some(Aim::AtMost(64.0))))
}

fn wait_for(stream: &mut TcpStream, text: &str) -> Result<(), Failure> {
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains(text) {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(Failure::new(format!("a stream ended before {text}: {seen}")));
        }
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    Ok(())
}

/// The value that so many in a hundred do not exceed.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The largest resident memory a process has had, in KiB.
pub(super) fn peak_kib(pid: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(Path::new(&path)).map_err(Failure::at(Path::new(&path)))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Failure::new(format!("{path}: no VmHWM")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_rank() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&mut values, percent)),
            [100.0, 198.0, 200.0]
        );
        assert!(percentile(&mut [], 50).is_nan());
    }
}
