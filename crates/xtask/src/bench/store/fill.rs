//! Taking in what is new: large objects from an origin on loopback, one after another, beside dd
//! on the same disk in alternating rounds; and how many bytes are written for each byte stored,
//! while segments are reclaimed under a skewed load.
//!
//! The first has no aim: origin, client and HTTP both ways share the cores with the node. What the
//! store alone must reach beside dd is judged by its own benchmark, `disk`.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::super::measure::median;
use super::super::peers::{Contestant, OUR_FILL, Stage, Storage};
use super::super::{Options, Row};
use super::visit::{metric, walk};
use super::{remove_caches, row};
use crate::failure::Failure;
use crate::node::text;
use crate::process::Task;
use crate::say;

pub(super) const NAMES: [&str; 2] = ["fill through a node", "write amplification"];
const MIB: u64 = 1 << 20;
const OBJECT_BYTES: u64 = 32 * MIB;
const SMALL_BYTES: u64 = 64 << 10;
/// Rounds of so many large objects.
const OBJECTS: u64 = 24;
const ROUNDS_MAX: u32 = 3;

/// Measures both. Its disk holds 512 MiB, dd's file 768 MiB.
pub(super) fn run(folder: &Path, options: &Options) -> Result<Vec<Row>, Failure> {
    if options.peers_only {
        return Ok(Vec::new());
    }
    let files = [("64k", SMALL_BYTES), ("32m", OBJECT_BYTES)];
    let files = files.map(|(name, bytes)| (name, usize::try_from(bytes).unwrap_or(usize::MAX)));
    let folder = folder.join("fill");
    let mut stage = Stage::new(&folder, &files, Storage::Disk)?;
    let server = stage.start(OUR_FILL)?;
    let mut rows = Vec::new();
    if options.wants(NAMES[0]) {
        say(&format!("\n{}", NAMES[0]));
        rows.extend(fill(options, &stage, &server)?);
    }
    if options.wants(NAMES[1]) {
        say(&format!("\n{}", NAMES[1]));
        rows.extend(amplification(options, &mut stage, &server)?);
    }
    drop(server);
    drop(stage);
    remove_caches(&folder.join(OUR_FILL))?;
    fs::remove_dir_all(folder.join("origin").join("files"))?;
    Ok(rows)
}

fn fill(options: &Options, stage: &Stage, server: &Contestant) -> Result<Vec<Row>, Failure> {
    let objects = if options.quick { 4 } else { OBJECTS };
    let (mut ours, mut theirs, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=options.rounds.min(ROUNDS_MAX) {
        let dd = write_with_dd(&stage.folder, objects * OBJECT_BYTES)?;
        let paths: Vec<String> = (0..objects).map(|n| format!("/32m/{number}-{n}")).collect();
        let before = written(server)?;
        let begun = Instant::now();
        walk(server.http_port, &paths, 2)?;
        let passed = begun.elapsed();
        settle(server, &stage.folder.join(OUR_FILL).join("disk"))?;
        let took = begun.elapsed();
        let bytes = written(server)? - before;
        let stored = bytes.min((objects * OBJECT_BYTES) as f64);
        let rate = stored / 1e6 / took.as_secs_f64();
        let share = 100.0 * stored / (objects * OBJECT_BYTES) as f64;
        let through = (objects * OBJECT_BYTES) as f64 / 1e6 / passed.as_secs_f64();
        say(&format!(
            "  round {number} selvedge {rate:.0} MB/s on disk ({through:.0} MB/s to the clients, \
             {share:.0} % kept), dd {dd:.0} MB/s"
        ));
        ours.push(rate);
        theirs.push(dd);
        kept.push(share);
    }
    let mut rate = row(NAMES[0], "write_rate", "MB/s", Some(median(ours)), None);
    rate.peers.insert("dd".to_owned(), median(theirs));
    Ok(vec![rate, row(NAMES[0], "kept", "%", Some(median(kept)), None)])
}

/// MB/s of dd, which writes through a new file and removes it.
fn write_with_dd(folder: &Path, bytes: u64) -> Result<f64, Failure> {
    let path = folder.join("dd");
    let output = format!("of={}", text(&path)?);
    let count = format!("count={}", bytes / MIB);
    let begun = Instant::now();
    Task::new("dd", &["if=/dev/zero", &output, "bs=1M", &count, "conv=fdatasync"]).output()?;
    let took = begun.elapsed();
    fs::remove_file(&path).map_err(Failure::at(&path))?;
    Ok(bytes as f64 / 1e6 / took.as_secs_f64())
}

fn written(server: &Contestant) -> Result<f64, Failure> {
    metric(server.admin_port, "selvedge_disk_written_bytes_total")
}

/// Waits until all that was stored is in its file, then for the disk, as `conv=fdatasync` does.
fn settle(server: &Contestant, disk: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    while metric(server.admin_port, "selvedge_disk_unwritten_bytes")? > 0.0 {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(Failure::new("the node does not come to rest"));
        }
        // Each look has the node work out the figure: not so often that it is felt.
        thread::sleep(Duration::from_millis(5));
    }
    for entry in fs::read_dir(disk.join("segments")).map_err(Failure::at(disk))?.flatten() {
        let file = File::open(entry.path()).map_err(Failure::at(disk))?;
        let _ = rustix::fs::fdatasync(&file);
    }
    Ok(())
}

/// Requests for 12,000 objects of 64 KiB, those with low numbers more often: 750 MiB for a disk of
/// 512.
fn amplification(
    options: &Options,
    stage: &mut Stage,
    server: &Contestant,
) -> Result<Vec<Row>, Failure> {
    let count = if options.quick { 4_000 } else { 30_000 };
    let draws = super::visit::order(count);
    let paths: Vec<String> = draws
        .iter()
        .map(|draw| {
            let uniform = f64::from(*draw) / f64::from(count);
            format!("/64k/{}", (uniform.powi(2) * 12_000.0) as u32)
        })
        .collect();
    let reclaimed = || metric(server.admin_port, "selvedge_disk_segments_reclaimed_total");
    let (before, emptied, fetched) = (written(server)?, reclaimed()?, stage.origin_requests()?);
    walk(server.http_port, &paths, 8)?;
    settle(server, &stage.folder.join(OUR_FILL).join("disk"))?;
    let stored = (stage.origin_requests()? - fetched) as f64 * SMALL_BYTES as f64;
    let (bytes, emptied) = (written(server)? - before, reclaimed()? - emptied);
    let hits = 100.0 * (1.0 - stored / SMALL_BYTES as f64 / paths.len() as f64);
    say(&format!(
        "  {} requests, {hits:.0} % hits, {:.0} MB stored, {:.0} MB written, {emptied:.0} segments \
         reclaimed",
        paths.len(),
        stored / 1e6,
        bytes / 1e6,
    ));
    let ratio = Some(bytes / stored.max(1.0));
    Ok(vec![row(NAMES[1], "written_to_stored", "ratio", ratio, None)])
}
