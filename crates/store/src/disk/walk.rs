//! Going through all records, for lists and checks.

use std::sync::Arc;

use super::accounts::bytes_of;
use super::counters::DiskCounters;
use super::disks::Disks;
use super::header::{Header, UNIT};
use super::index::Place;
use super::record::{Kind, RecordHead};
use super::scan::Scan;
use super::volume::{Disk, Health};
use crate::lock::lock;

/// Where a walk goes on. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) disk: usize,
    pub(crate) segment: u32,
    pub(crate) unit: u32,
}

/// What a verification has read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records whose checksums all matched.
    pub good: u64,
    /// Records that were damaged; they are forgotten.
    pub bad: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl Disks {
    /// Heads of up to `max` records that can be found, and where to go on; `None` at the end.
    /// Blocks the thread for reads. What is put meanwhile may be missed.
    pub fn walk(&self, cursor: Cursor, max: usize) -> (Vec<RecordHead>, Option<Cursor>) {
        self.flush();
        let mut heads = Vec::new();
        let mut at = cursor;
        while let Some(disk) = self.set.disks.get(at.disk) {
            while let Some(end) = segment_end(disk, at.segment) {
                let mut scan =
                    Scan::new(&*disk.io, &disk.segments, at.segment, at.unit, end.unwrap_or(0));
                // What cannot be read is left out of the list.
                while let Ok(Some((unit, header))) = scan.next() {
                    let place = Place { segment: at.segment, unit, units: header.units() };
                    if is_live(disk, &header, place) {
                        if heads.len() == max {
                            return (heads, Some(Cursor { unit, ..at }));
                        }
                        heads.push(head(disk, &header, place));
                    }
                }
                at = Cursor { segment: at.segment + 1, unit: 0, ..at };
            }
            at = Cursor { disk: at.disk + 1, ..Cursor::default() };
        }
        (heads, None)
    }

    /// Reads everything and checks all checksums, blocking the thread. Calls `progress` after every
    /// segment; when that says false, it ends early.
    pub fn verify(&self, progress: &mut dyn FnMut(Verified) -> bool) -> Verified {
        self.flush();
        let mut verified = Verified::default();
        for disk in &self.set.disks {
            for segment in 0..disk.segments.all.len() as u32 {
                let Some(Some(end)) = segment_end(disk, segment) else { continue };
                verify_segment(disk, segment, end, &mut verified);
                if !progress(verified) {
                    return verified;
                }
            }
        }
        verified
    }
}

/// Where the records of a segment end: `None` beyond the last segment, `Some(None)` when unused.
fn segment_end(disk: &Disk, segment: u32) -> Option<Option<u32>> {
    disk.segments.at(segment).filter(|_| disk.health() != Health::Lost)?;
    Some(lock(&disk.accounts).segments.get(&segment).map(|account| account.end))
}

fn is_live(disk: &Disk, header: &Header, place: Place) -> bool {
    header.kind != Kind::Tombstone && disk.index.get(header.key) == Some(place)
}

fn head(disk: &Disk, header: &Header, place: Place) -> RecordHead {
    RecordHead {
        key: header.key,
        kind: header.kind,
        site: header.site,
        revision: header.revision,
        time_ms: header.time_ms,
        sequence: header.sequence,
        payload_bytes: header.payload_bytes,
        disk_bytes: bytes_of(place) as u32,
        disk: disk.number,
    }
}

fn verify_segment(disk: &Arc<Disk>, segment: u32, end: u32, verified: &mut Verified) {
    let mut scan = Scan::new(&*disk.io, &disk.segments, segment, 0, end);
    loop {
        let (unit, header) = match scan.next() {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(error) => {
                verified.bad += 1;
                return disk.read_failed(&error);
            }
        };
        let place = Place { segment, unit, units: header.units() };
        if !is_live(disk, &header, place) {
            continue;
        }
        verified.bytes += u64::from(place.units) * UNIT as u64;
        match scan.record(unit, &header) {
            Ok(Some(_)) => verified.good += 1,
            // Gone meanwhile, not bad.
            Ok(None) if !is_live(disk, &header, place) => {}
            Ok(None) => {
                verified.bad += 1;
                DiskCounters::add(&disk.counters.corrupt);
                disk.forget(header.key, place);
            }
            Err(error) => {
                verified.bad += 1;
                disk.read_failed(&error);
            }
        }
    }
}
