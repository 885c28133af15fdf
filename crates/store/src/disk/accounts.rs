//! How many bytes each site has on a disk, and what is known of each segment.
//!
//! Sums are kept per segment and site: when a segment goes, all that was still counted for it goes
//! too, so a record that got lost without a word (its header was damaged) is not counted for ever.

use std::collections::HashMap;

use super::header::{Header, UNIT};
use super::index::Place;
use super::record::Kind;
use super::segment::Stream;

/// Records and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Sum {
    /// One more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    fn subtract(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// What is known of a segment in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) stream: Stream,
    pub(crate) number: u64,
    /// Units from the front that hold records.
    pub(crate) end: u32,
    /// Whether nothing more will be written.
    pub(crate) sealed: bool,
    /// The lowest sequence of its records, removals left out.
    pub(crate) sequence_min: u64,
    /// The lowest purge revision of its records.
    pub(crate) revision_min: u64,
    pub(crate) sites: HashMap<u32, Sum>,
}

impl Account {
    /// Of a segment without records.
    pub(crate) fn new(stream: Stream, number: u64) -> Self {
        Self {
            stream,
            number,
            end: 1,
            sealed: false,
            sequence_min: u64::MAX,
            revision_min: u64::MAX,
            sites: HashMap::new(),
        }
    }
}

/// All segments in use and the sums over them.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) segments: HashMap<u32, Account>,
    pub(crate) sites: HashMap<u32, Sum>,
}

impl Accounts {
    /// Counts a record that the index knows now.
    pub(crate) fn add(&mut self, place: Place, site: u32) {
        let bytes = bytes_of(place);
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.sites.entry(site).or_default().add(bytes);
            self.sites.entry(site).or_default().add(bytes);
        }
    }

    /// Counts a record no more.
    pub(crate) fn subtract(&mut self, place: Place, site: u32) {
        let Some(segment) = self.segments.get_mut(&place.segment) else { return };
        let Some(here) = segment.sites.get_mut(&site).filter(|sum| sum.records > 0) else { return };
        let sum = Sum { records: 1, bytes: bytes_of(place).min(here.bytes) };
        here.subtract(sum);
        self.subtract_sum(site, sum);
    }

    /// Takes over a segment with all its sums.
    pub(crate) fn insert(&mut self, id: u32, account: Account) {
        for (site, sum) in &account.sites {
            let total = self.sites.entry(*site).or_default();
            total.records += sum.records;
            total.bytes += sum.bytes;
        }
        self.segments.insert(id, account);
    }

    /// Forgets a segment with all that is still counted for it.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(segment) = self.segments.remove(&id) else { return };
        for (site, sum) in segment.sites {
            self.subtract_sum(site, sum);
        }
    }

    /// The segments of a stream, or of both, oldest first.
    pub(crate) fn oldest_first(&self, stream: Option<Stream>) -> Vec<u32> {
        let of_stream = self.segments.iter().filter(|(_, a)| stream.is_none_or(|s| s == a.stream));
        let mut ids: Vec<(u64, u32)> = of_stream.map(|(id, a)| (a.number, *id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The lowest sequence of any record.
    pub(crate) fn sequence_min(&self) -> u64 {
        self.segments.values().map(|account| account.sequence_min).min().unwrap_or(u64::MAX)
    }

    /// Whether a segment but that one may hold a record older than a sequence number.
    pub(crate) fn has_older(&self, sequence: u64, but: u32) -> bool {
        self.segments.iter().any(|(id, account)| *id != but && account.sequence_min < sequence)
    }

    /// Notes what a segment holds more.
    pub(crate) fn extend(&mut self, id: u32, end: u32, header: &Header) {
        let Some(account) = self.segments.get_mut(&id) else { return };
        account.end = end;
        // Removals are nothing that could come back.
        if header.kind != Kind::Tombstone {
            account.sequence_min = account.sequence_min.min(header.sequence);
            account.revision_min = account.revision_min.min(header.revision);
        }
    }

    /// Sets what a site has in a segment, after it was counted.
    pub(crate) fn correct(&mut self, id: u32, site: u32, counted: Sum) {
        let Some(account) = self.segments.get_mut(&id) else { return };
        let before = account.sites.remove(&site).unwrap_or_default();
        self.subtract_sum(site, before);
        if let Some(account) = self.segments.get_mut(&id).filter(|_| counted.records > 0) {
            account.sites.insert(site, counted);
            let total = self.sites.entry(site).or_default();
            total.records += counted.records;
            total.bytes += counted.bytes;
        }
    }

    fn subtract_sum(&mut self, site: u32, sum: Sum) {
        if let Some(total) = self.sites.get_mut(&site) {
            total.subtract(sum);
            if total.records == 0 {
                self.sites.remove(&site);
            }
        }
    }
}

/// Bytes of a record with header and padding.
pub(crate) fn bytes_of(place: Place) -> u64 {
    u64::from(place.units) * UNIT as u64
}
