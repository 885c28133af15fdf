//! The cache of a node: opened before anything listens, closed when no request runs any more.
//!
//! A disk that cannot be used never stops a node, with one exception: a folder that another process
//! has open is a mistake of whoever started this one, and is said at once.

use crate::prepare::Files;
use crate::problem::Problem;
use rustix::fs::{Access, access, statvfs};
use selvedge_config::{Admit, Config, Disk};
use selvedge_net::Clock;
use selvedge_store::disk::{Admission, DiskCounters, DiskPath, DiskReport, DiskSettings, Quota};
use selvedge_store::{CounterKind, Settings, Store, site_number};
use selvedge_telemetry::{Sample, Telemetry};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The store of a node with what belongs to its disks.
pub(crate) struct Cache {
    pub(crate) store: Arc<Store>,
    disk_counters: Arc<DiskCounters>,
    disks_wanted: usize,
    /// The names of sites by their number on disk.
    sites: Arc<Mutex<HashMap<u32, String>>>,
}

impl Cache {
    /// Opens the disks and reads what is on them. Also gives the clock that everything goes by: it
    /// goes on where the last process ended, so that ages hold across a restart.
    pub(crate) fn open(config: &Config, files: &Files) -> Result<(Self, Clock), Problem> {
        let disk_counters = Arc::<DiskCounters>::default();
        let disks_wanted = config.cache.disk.len();
        let sites = Arc::new(Mutex::new(site_names(config)));
        if disks_wanted == 0 {
            let store = Store::new(settings(config), Arc::default());
            return Ok((Self { store, disk_counters, disks_wanted, sites }, Clock::start()));
        }
        let clock = Clock::start();
        let (store, opened) = Store::open(
            settings(config),
            Arc::default(),
            disk_settings(config, files),
            Arc::clone(&disk_counters),
            clock.now_wall_ms(),
        );
        let took_ms = clock.now_mono_ms();
        for disk in &opened.report.disks {
            if disk.in_use {
                let why = disk.failed.clone().unwrap_or_default();
                return Err(Problem::DiskInUse(disk.path.clone(), why));
            }
            report(disk, took_ms);
        }
        let clock = Clock::start_at(opened.line_ms.saturating_add(clock.now_mono_ms()));
        Ok((Self { store, disk_counters, disks_wanted, sites }, clock))
    }

    /// Takes over what a reload may change.
    pub(crate) fn reload(&self, config: &Config) {
        self.store.set_quotas(&quotas(config));
        *self.sites.lock().unwrap_or_else(PoisonError::into_inner) = site_names(config);
    }

    /// How many disks are in order, and how many there should be.
    pub(crate) fn disks(&self) -> impl Fn() -> (usize, usize) + Send + Sync + use<> {
        let (counters, wanted) = (Arc::clone(&self.disk_counters), self.disks_wanted);
        move || {
            let used = counters.disks.load(Relaxed);
            let read_only = counters.disks_read_only.load(Relaxed);
            (used.saturating_sub(read_only) as usize, wanted)
        }
    }

    /// Makes the figures of the store part of the export.
    pub(crate) fn register(&self, telemetry: &Telemetry) {
        let store = Arc::clone(&self.store);
        telemetry.register_source("store", move |each| {
            store.counters().each_purge(&mut |kind, value| {
                let help = "Purges that were asked for, by kind";
                each(Sample::counter("purges", help, value).label("kind", kind));
            });
            store.counters().each(&mut |name, help, kind, value| {
                each(sample(name, help, kind, value));
            });
        });
        if self.disks_wanted == 0 {
            return;
        }
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.disk_counters));
        let (wanted, sites) = (self.disks_wanted, Arc::clone(&self.sites));
        telemetry.register_source("disk", move |each| {
            let mut used = 0;
            counters.each(&mut |name, help, kind, value| {
                if name == "disk_disks" {
                    used = value;
                }
                each(sample(name, help, kind, value));
            });
            let help = "Disks of the configuration that are not in use: an alarm";
            let missing = (wanted as u64).saturating_sub(used);
            each(Sample::gauge("disk_disks_missing", help, missing as f64));
            let help = "Bytes to be written that are in no file yet: what a crash would cost";
            each(Sample::gauge("disk_unwritten_bytes", help, store.unwritten_bytes() as f64));
            let names = sites.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for site in store.disk_bytes_by_site() {
                let name = names.get(&site.site).map_or("-", String::as_str);
                let help = "Bytes on disk of a site; `-` is no site of the configuration";
                each(Sample::gauge("disk_site_bytes", help, site.bytes as f64).label("site", name));
            }
        });
    }

    /// Writes everything to disk and leaves the disks, within a limit. Whether it was in time;
    /// what is late is found by the next start all the same, as far as it was written.
    pub(crate) async fn close(&self, limit: Duration) -> bool {
        if self.disks_wanted == 0 {
            return true;
        }
        let store = Arc::clone(&self.store);
        let (done, closed) = oneshot::channel();
        std::thread::spawn(move || {
            store.close();
            let _ = done.send(());
        });
        matches!(tokio::time::timeout(limit, closed).await, Ok(Ok(())))
    }
}

fn sample<'a>(name: &'a str, help: &'a str, kind: CounterKind, value: u64) -> Sample<'a> {
    match kind {
        CounterKind::Counter => Sample::counter(name.trim_end_matches("_total"), help, value),
        CounterKind::Gauge => Sample::gauge(name, help, value as f64),
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        memory_bytes: config.cache.memory.bytes(),
        object_bytes_max: config.cache.object_max().bytes(),
        fill_bytes_max: config.cache.fill_max().bytes(),
        fills_max: config.limits.fills,
        variants_max: config.limits.variants,
        purges_max: config.purge.remember,
        ..Settings::default()
    }
}

fn disk_settings(config: &Config, files: &Files) -> DiskSettings {
    let disk =
        |disk: &Disk| DiskPath { path: files.resolve(&disk.path), size_bytes: disk.size.bytes() };
    DiskSettings {
        disks: config.cache.disk.iter().map(disk).collect(),
        admission: match config.cache.admit {
            Admit::Always => Admission::Always,
            Admit::SecondAsk => Admission::SecondAsk,
        },
        sites: quotas(config),
        ..DiskSettings::default()
    }
}

fn quotas(config: &Config) -> Vec<Quota> {
    let limited =
        config.sites.iter().filter(|site| site.cache_min.bytes() > 0 || site.cache_max.is_some());
    // Sites that control names may promise more than this node has: the later ones get less.
    let disks = config.cache.disk.iter().map(|disk| disk.size.bytes()).sum::<u64>();
    let mut left = disks / 10 * 8;
    let quota = |site: &Arc<selvedge_config::Site>| {
        let min_bytes = site.cache_min.bytes().min(left);
        left -= min_bytes;
        Quota {
            site: site_number(site.name.as_str()),
            min_bytes,
            max_bytes: site.cache_max.map_or(u64::MAX, |max| max.bytes()),
        }
    };
    limited.map(quota).collect()
}

fn site_names(config: &Config) -> HashMap<u32, String> {
    let names = config.sites.iter().map(|site| site.name.as_str());
    names.map(|name| (site_number(name), name.to_owned())).collect()
}

/// Says what was found on a disk.
fn report(disk: &DiskReport, took_ms: u64) {
    let path = disk.path.display();
    if let Some(why) = &disk.failed {
        tracing::error!("cache: {path} is not used: {why}; what would be there is fetched again");
        return;
    }
    if let Some(why) = disk.emptied {
        tracing::warn!("cache: {path} was emptied: {why}");
    }
    let how = if disk.snapshot {
        format!("from the snapshot and {} records written after it", disk.records_scanned)
    } else {
        format!("from {} segments, there was no snapshot to use", disk.segments_scanned)
    };
    let (objects, size) = (grouped(disk.records), human(disk.bytes));
    let seconds = took_ms as f64 / 1000.0;
    tracing::info!("cache: {path}: {objects} records ({size}) ready after {seconds:.1} s, {how}");
    for (why, count) in disk.dropped.iter().filter(|(_, count)| *count > 0) {
        tracing::info!("cache: {path}: {} records left out: {why}", grouped(*count));
    }
}

/// `1204331` as `1,204,331`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the unit that a person would use.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// What would keep the disks of a configuration from being used. None of it stops a start.
pub(crate) fn doubts(config: &Config, files: &Files) -> Vec<String> {
    let doubt = |disk: &Disk| {
        let path = files.resolve(&disk.path);
        doubt(&path, disk.size.bytes()).map(|why| format!("cache.disk {}: {why}", path.display()))
    };
    config.cache.disk.iter().filter_map(doubt).collect()
}

fn doubt(path: &Path, size_bytes: u64) -> Option<String> {
    // What is not there is made, in the first folder above that is.
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or_else(|| Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    if !there.is_dir() {
        return Some(format!("{} is no folder", there.display()));
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        return Some(format!("{} cannot be written: {error}", there.display()));
    }
    let system = statvfs(there).ok()?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let room = free.saturating_add(used(&path.join("segments")));
    (room < size_bytes)
        .then(|| format!("has room for {}, and {} are wanted", human(room), human(size_bytes)))
}

/// What the files of a folder take already.
fn used(folder: &PathBuf) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_204_331), "1,204,331");
        assert_eq!(human(17), "17 B");
        assert_eq!(human(51_647_234_662), "48.1 GiB");
        assert_eq!(human(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn a_disk_that_cannot_be_used_is_doubted() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(doubt(&folder.path().join("new/deep"), 1), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("a file");
        assert!(doubt(&file.join("below"), 1).is_some_and(|why| why.contains("is no folder")));
        assert!(doubt(folder.path(), u64::MAX).is_some_and(|why| why.contains("has room for")));
    }
}
