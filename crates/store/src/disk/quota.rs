//! What sites are promised and allowed on one disk.

use std::collections::HashMap;

use super::accounts::{Sum, bytes_of};
use super::counters::DiskCounters;
use super::index::Place;
use super::record::Kind;
use super::scan::Scan;
use super::segment::{SEGMENTS_MIN, Segments};
use super::settings::Quota;
use super::writer::Writer;
use crate::lock::lock;

/// A site that is over its maximum is brought this part below it, so that not every record that
/// comes in has to look for one to go.
const SLACK: u64 = 32;

/// The quotas of one disk.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    sites: HashMap<u32, Quota>,
    /// Where the last search for a site's oldest record ended: number of a segment, and unit.
    cursors: HashMap<u32, (u64, u32)>,
}

impl Quotas {
    /// These quotas.
    pub(crate) fn new(quotas: &[Quota]) -> Self {
        let sites = quotas.iter().map(|quota| (quota.site, *quota)).collect();
        Self { sites, cursors: HashMap::new() }
    }

    /// Whether the site has a maximum.
    pub(crate) fn is_limited(&self, site: u32) -> bool {
        self.max(site).is_some()
    }

    /// Bytes that other sites must leave to the site.
    pub(crate) fn min(&self, site: u32) -> u64 {
        self.sites.get(&site).map_or(0, |quota| quota.min_bytes)
    }

    fn max(&self, site: u32) -> Option<u64> {
        let max = self.sites.get(&site)?.max_bytes;
        (max < u64::MAX).then_some(max)
    }
}

/// The part of the quotas that falls to a disk, when all disks have so many bytes. What is promised
/// to all sites together is kept well below what full segments can hold (those being filled and
/// the free ones do not count), or nothing could be reclaimed.
pub(crate) fn share(quotas: &[Quota], segments: &Segments, all_bytes: u64) -> Vec<Quota> {
    let bytes = segments.capacity_bytes();
    let all = u128::from(all_bytes.max(1));
    let part = |value: u64| (u128::from(value) * u128::from(bytes) / all) as u64;
    let promised: u128 = quotas.iter().map(|quota| u128::from(part(quota.min_bytes))).sum();
    let most = u128::from(bytes - SEGMENTS_MIN * u64::from(segments.bytes)) * 3 / 4;
    let fit = |min: u64| {
        let scaled = u128::from(min) * most / promised.max(1);
        if promised > most { scaled as u64 } else { min }
    };
    let of = |quota: &Quota| Quota {
        site: quota.site,
        min_bytes: fit(part(quota.min_bytes)),
        max_bytes: if quota.max_bytes == u64::MAX { u64::MAX } else { part(quota.max_bytes) },
    };
    quotas.iter().map(of).collect()
}

impl Writer {
    /// Brings all sites below their maxima.
    pub(crate) fn enforce_all(&mut self) {
        let sites: Vec<u32> = self.quotas.sites.keys().copied().collect();
        sites.into_iter().for_each(|site| self.enforce(site));
    }

    /// Brings a site below its maximum: its oldest records go.
    pub(crate) fn enforce(&mut self, site: u32) {
        let Some(max) = self.quotas.max(site) else { return };
        if self.site_bytes(site) <= max || self.flush_all().is_err() {
            return;
        }
        let target = max - max / SLACK;
        self.disk.queue.begin_dropping();
        let segments = lock(&self.disk.accounts).oldest_first(None);
        for id in segments {
            if self.site_bytes(site) <= target {
                break;
            }
            for (key, place) in self.oldest_of(site, id, target) {
                // Room for the removals of others may have had this one moved or dropped.
                if !self.disk.index.remove_if(key, place) {
                    continue;
                }
                lock(&self.disk.accounts).subtract(place, site);
                DiskCounters::add(&self.disk.counters.over_quota);
                // An older one must not come back in its place after a restart.
                let sequence = self.next_sequence();
                self.tombstone(key, sequence);
            }
        }
        if self.flush_all().is_ok() {
            self.disk.queue.end_dropping();
        }
    }

    pub(crate) fn site_bytes(&self, site: u32) -> u64 {
        lock(&self.disk.accounts).sites.get(&site).map_or(0, |sum| sum.bytes)
    }

    /// The oldest records of a site in a segment, as many as are too much.
    fn oldest_of(&mut self, site: u32, id: u32, target: u64) -> Vec<(u128, Place)> {
        let mut excess = self.site_bytes(site).saturating_sub(target);
        let disk = self.disk.clone();
        let known = lock(&disk.accounts)
            .segments
            .get(&id)
            .map(|account| (account.number, account.end, account.sites.contains_key(&site)));
        let Some((number, end, true)) = known else { return Vec::new() };
        let cursor = self.quotas.cursors.get(&site).filter(|(at, _)| *at == number);
        let mut scan = Scan::new(&*disk.io, &disk.segments, id, cursor.map_or(1, |c| c.1), end);
        let (mut victims, mut counted) = (Vec::new(), Sum::default());
        while excess > 0 {
            let (unit, header) = match scan.next() {
                Ok(Some(next)) => next,
                Ok(None) => {
                    // That was all there is of the site: were the sums wrong, they are right now,
                    // and do not have this segment searched again and again.
                    lock(&disk.accounts).correct(id, site, counted);
                    break;
                }
                Err(error) => {
                    disk.read_failed(&error);
                    break;
                }
            };
            let place = Place { segment: id, unit, units: header.units() };
            let live = header.kind != Kind::Tombstone && disk.index.get(header.key) == Some(place);
            if live && header.site == site {
                victims.push((header.key, place));
                counted.add(bytes_of(place));
                excess = excess.saturating_sub(bytes_of(place));
            }
            self.quotas.cursors.insert(site, (number, unit));
        }
        victims
    }
}
