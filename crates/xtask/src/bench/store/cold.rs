//! Reads that wait for the disk: the page cache is emptied, then every object is asked for once.
//! Meanwhile an honest client asks for one small object again and again: reads that wait must not
//! make those wait that need none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::super::measure::median;
use super::super::peers::{Contestant, OURS, Stage};
use super::super::{Aim, Options, Row};
use super::hits::SETS;
use super::{row, store_all, visit};
use crate::failure::Failure;
use crate::say;

pub(super) const NAME: &str = "64 KiB cold";
const CONNECTIONS: usize = 8;
/// What the honest client asks for.
const HOT: &str = "/1k/hot";
const PAUSE: Duration = Duration::from_micros(500);

/// Measures the 64 KiB objects.
pub(super) fn measure(
    options: &Options,
    stage: &mut Stage,
    servers: &mut [Contestant],
) -> Result<Vec<Row>, Failure> {
    let mut paths = SETS[1].paths(options);
    for server in servers.iter() {
        store_all(stage, server, &paths)?;
        store_all(stage, server, &vec![HOT.to_owned(); 20])?;
    }
    let before = stage.origin_requests()?;
    let (mut reads, mut honest) = (BTreeMap::new(), BTreeMap::new());
    for number in 1..=options.rounds {
        for server in servers.iter_mut() {
            server.server.check()?;
            let way = empty_page_cache(&stage.folder)?;
            let (cold, hot) = visit_cold(server.http_port, &paths)
                .map_err(|failure| Failure::new(format!("{}: {failure}", server.name)))?;
            say(&format!(
                "  round {number} {:14} {cold:>9.0} us p99 {hot:>9.0} us p99 of memory hits, {way}",
                server.name
            ));
            reads.entry(server.name).or_insert_with(Vec::new).push(cold);
            honest.entry(server.name).or_insert_with(Vec::new).push(hot);
        }
        // No server's read-ahead may learn the order.
        let begin = paths.len() / 3;
        paths.rotate_left(begin);
    }
    let through = stage.origin_requests()? - before;
    if through > 0 {
        return Err(Failure::new(format!("{NAME}: {through} requests were no hits")));
    }
    let aim = Some(Aim::PartOf(1.0, "nginx"));
    Ok(vec![of_all("latency_p99", aim, &reads), of_all("memory_hit_p99", None, &honest)])
}

fn of_all(measure: &str, aim: Option<Aim>, figures: &BTreeMap<&str, Vec<f64>>) -> Row {
    let mut row = row(NAME, measure, "us", figures.get(OURS).cloned().map(median), aim);
    let peers = figures.iter().filter(|(name, _)| **name != OURS);
    row.peers = peers.map(|(name, all)| ((*name).to_owned(), median(all.clone()))).collect();
    row
}

/// The 99th percentiles of all cold reads and of the honest client.
fn visit_cold(port: u16, paths: &[String]) -> Result<(f64, f64), Failure> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let honest = scope.spawn(|| {
            visit::on_load_core(|| {
                let mut visitor = visit::Visitor::new(port)?;
                let mut times = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    times.push(visitor.time(HOT)?);
                    thread::sleep(PAUSE);
                }
                Ok(times)
            })
        });
        let cold = visit::walk(port, paths, CONNECTIONS);
        done.store(true, Ordering::Relaxed);
        let honest = honest.join().map_err(|_| Failure::new("the honest client has panicked"))?;
        Ok((visit::p99(cold?), visit::p99(honest?)))
    })
}

/// Writes what is dirty and takes clean pages from the page cache: all of them if this may, else
/// those of the files in the folder. Says which.
pub(super) fn empty_page_cache(folder: &Path) -> Result<&'static str, Failure> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            // A server may have removed it meanwhile, and sockets cannot be opened.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(path);
            } else if let (true, Ok(file)) = (kind.is_file(), File::open(&path)) {
                let _ = rustix::fs::fdatasync(&file);
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            }
        }
    }
    match fs::write("/proc/sys/vm/drop_caches", "1") {
        Ok(()) => Ok("drop_caches"),
        Err(_) => Ok("fadvise"),
    }
}
