//! `bench store`: what the disk tier costs and keeps. Servers are compared as in `bench hit`; what
//! has no like elsewhere is measured by the benchmarks of the store's own crate, whose figures are
//! taken over into the same table.
//!
//! Disk space: at most 4 GiB under `target/bench` (10 million entries of `start` take 2 of them),
//! removed at the end, but for logs.

mod cold;
mod engine;
mod fill;
mod hits;
mod visit;

use std::fs;
use std::path::Path;

use super::peers::{Contestant, Stage, Storage, contestants};
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::target;
use crate::packages::{FOR_BENCH, ensure};
use crate::say;

/// The peers that can keep objects on disk.
const PEERS: [&str; 2] = ["nginx", "trafficserver"];

/// Measures all works that are wanted.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    ensure(FOR_BENCH)?;
    if std::thread::available_parallelism()?.get() < 2 {
        return Err(Failure::new("two cores are needed: one for the server, one for the load"));
    }
    let mut rows = Vec::new();
    let folder = target().join("bench").join("store");
    if hits::SETS.iter().any(|set| options.wants(set.name)) || options.wants(cold::NAME) {
        rows.extend(beside_peers(&folder, options)?);
    }
    if fill::NAMES.iter().any(|name| options.wants(name)) {
        rows.extend(fill::run(&folder, options)?);
    }
    rows.extend(engine::run(&folder, options)?);
    Ok(rows)
}

fn beside_peers(folder: &Path, options: &Options) -> Result<Vec<Row>, Failure> {
    let mut files = hits::SETS.map(|set| (set.folder, set.bytes)).to_vec();
    files.sort_unstable();
    files.dedup();
    let mut stage = Stage::new(folder, &files, Storage::Disk)?;
    let mut servers = contestants(options, &stage, &PEERS)?;
    let mut rows = Vec::new();
    for set in hits::SETS.iter().filter(|set| options.wants(set.name)) {
        say(&format!("\n{}", set.name));
        rows.extend(hits::measure(set, options, &mut stage, &mut servers)?);
    }
    if options.wants(cold::NAME) {
        say(&format!("\n{}", cold::NAME));
        rows.extend(cold::measure(options, &mut stage, &mut servers)?);
    }
    let names: Vec<&str> = servers.iter().map(|server| server.name).collect();
    drop(servers);
    drop(stage);
    names.iter().try_for_each(|name| remove_caches(&folder.join(name))).map(|()| rows)
}

/// Removes what a server that has ended kept; its logs and configuration stay.
fn remove_caches(folder: &Path) -> Result<(), Failure> {
    for name in ["disk", "cache"] {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Failure::at(&path))?;
        }
    }
    Ok(())
}

/// A figure of ours alone or beside others.
fn row(work: &str, measure: &str, unit: &str, ours: Option<f64>, aim: Option<Aim>) -> Row {
    let [work, measure, unit] = [work, measure, unit].map(str::to_owned);
    Row { work, measure, unit, ours, peers: std::collections::BTreeMap::new(), aim }
}

/// Asks a server for all of these until nothing of it reaches the origin any more.
fn store_all(stage: &mut Stage, server: &Contestant, paths: &[String]) -> Result<(), Failure> {
    for _ in 0..5 {
        let before = stage.origin_requests()?;
        visit::walk(server.http_port, paths, 4)
            .map_err(|failure| Failure::new(format!("{}: {failure}", server.name)))?;
        if stage.origin_requests()? == before {
            return Ok(());
        }
    }
    Err(Failure::new(format!("{} does not keep {} objects", server.name, paths.len())))
}
