//! Opening one disk: what is on it becomes index, sums and the place where the log goes on.
//!
//! 1. What an earlier start has cut off is deleted. Headers of all segments are read.
//! 2. The snapshot is loaded. What it says of segments that were reused since is dropped.
//! 3. Segments that are newer than the snapshot are read header by header, those that were open
//!    then from where they ended. Without a usable snapshot, or with segments beyond the size, all
//!    are.
//! 4. Of several records of a key the one with the highest sequence wins, wherever it lies.
//! 5. Segments beyond the size are read header by header. What they void in those that stay is
//!    written down (`voids.rs`), then they are deleted.
//! 6. Removals, those that were written down too, void what has a lower sequence than theirs.
//! 7. The newest segment of each stream goes on being filled, if it is known where it ends.

use std::collections::{HashMap, VecDeque};
use std::io::Error;
use std::path::PathBuf;

use super::accounts::{Account, Accounts};
use super::header::Header;
use super::index::{Index, Place, SHARDS};
use super::record::Kind;
use super::report::DiskReport;
use super::scan::Scan;
use super::segment::{Adopted, SegmentHeader, Stream};
use super::snapshot::{self, Head};
use super::voids::Voids;
use super::volume::Disk;
use super::writer::{Filling, Writer};
use crate::lock::lock;

/// Recovery of one disk.
#[derive(Debug)]
struct Recovery<'a> {
    disk: &'a Disk,
    report: &'a mut DiskReport,
    accounts: Accounts,
    /// Removals, with the highest sequence of each.
    removed: HashMap<u128, u64>,
    sequence: u64,
    number: u64,
    dropped: HashMap<&'static str, u64>,
    /// Whether a segment could not be read, in part or at all.
    unreadable: bool,
}

/// What the writer has to know of a recovered disk.
#[derive(Debug)]
pub(crate) struct Recovered {
    free: VecDeque<u32>,
    filling: [Option<Filling>; 2],
    sequence: u64,
    number: u64,
}

impl Recovered {
    /// A writer that goes on from here.
    pub(crate) fn writer(self, disk: std::sync::Arc<Disk>) -> Writer {
        let mut writer = Writer::new(disk, self.free, self.sequence, self.number);
        writer.filling = self.filling;
        writer
    }
}

/// Recovers a disk whose index is empty.
///
/// # Errors
/// The folder cannot be read, or not all of what a smaller size cuts off can be taken into account.
pub(crate) fn recover(disk: &Disk, report: &mut DiskReport) -> std::io::Result<Recovered> {
    let mut voids = Voids::load(disk)?;
    voids.finish_cut(disk)?;
    let Adopted { headers, beyond, unreadable } = disk.segments.adopt_files(&*disk.io)?;
    let number = headers.iter().map(|(_, header)| header.number).max().unwrap_or(0) + 1;
    let mut recovery = Recovery {
        disk,
        report,
        accounts: Accounts::default(),
        removed: HashMap::new(),
        // What voided them may be gone, and was the newest: what comes must not be void.
        sequence: voids.keys.values().max().map_or(1, |sequence| sequence + 1),
        number,
        dropped: HashMap::new(),
        unreadable,
    };
    let used: HashMap<u32, SegmentHeader> =
        headers.into_iter().filter(|(_, header)| header.stream.is_some()).collect();
    match snapshot::load(&disk.folder, &*disk.io, &disk.index, disk.segments.identity) {
        Ok(Some(head)) => recovery.take_snapshot(head, &used),
        Ok(None) => {}
        Err(why) => {
            recovery.drop_for(why, 1);
            clear(&disk.index);
        }
    }
    if !beyond.is_empty() {
        // It knows the newest records alone; those cut off may have voided others.
        recovery.accounts = Accounts::default();
    }
    recovery.scan(&used);
    if !beyond.is_empty() {
        recovery.carry(&beyond, &mut voids)?;
        voids.cut(disk)?;
    }
    recovery.apply_removals(&voids);
    if !recovery.unreadable {
        voids.forget_before(recovery.accounts.sequence_min(), disk);
    }
    Ok(recovery.finish())
}

impl Recovery<'_> {
    fn drop_for(&mut self, why: &'static str, count: u64) {
        if count > 0 {
            *self.dropped.entry(why).or_default() += count;
        }
    }

    /// Takes over what the snapshot says of segments that are still what they were.
    fn take_snapshot(&mut self, head: Head, used: &HashMap<u32, SegmentHeader>) {
        self.report.snapshot = true;
        self.sequence = self.sequence.max(head.sequence);
        self.number = self.number.max(head.number);
        self.disk.note_time(head.time_max_ms);
        self.disk.note_revision(head.revision_max);
        for (id, account) in head.segments {
            let same = used.get(&id).is_some_and(|header| {
                header.number == account.number && header.stream == Some(account.stream)
            });
            if same && account.end <= self.disk.segments.units() {
                self.accounts.insert(id, account);
            }
        }
        // Slots that were added while the snapshot was written may be of segments it does not
        // list; if those are still in use they are read in full.
        let (units, known) = (self.disk.segments.units(), &self.accounts.segments);
        let is_known =
            |place: Place| place.unit + place.units <= units && known.contains_key(&place.segment);
        let retain = |shard| self.disk.index.retain(shard, is_known) as u64;
        let gone = (0..SHARDS).map(retain).sum();
        self.drop_for("segment reused since the snapshot", gone);
    }

    /// Reads what the snapshot does not know, oldest segment first.
    fn scan(&mut self, used: &HashMap<u32, SegmentHeader>) {
        let mut order: Vec<(u64, u32)> = used.iter().map(|(id, h)| (h.number, *id)).collect();
        order.sort_unstable();
        for (number, id) in order {
            let known = self.accounts.segments.get(&id);
            if known.is_some_and(|account| account.sealed) {
                continue;
            }
            let from = known.map_or(1, |account| account.end);
            if let Some(stream) = used[&id].stream.filter(|_| known.is_none()) {
                self.accounts.insert(id, Account::new(stream, number));
            }
            self.report.segments_scanned += 1;
            self.scan_segment(id, from);
        }
    }

    fn scan_segment(&mut self, id: u32, from: u32) {
        let disk = self.disk;
        let mut scan = Scan::new(&*disk.io, &disk.segments, id, from, disk.segments.units());
        let mut held = None;
        let (mut end, mut failed) = (from, false);
        loop {
            let next = match scan.next() {
                Ok(next) => next,
                Err(error) => {
                    disk.read_failed(&error);
                    failed = true;
                    None
                }
            };
            // The last one may be cut off behind its header: what a write was at when it ended.
            if let Some((unit, header)) = held {
                let whole = next.is_some() || matches!(scan.record(unit, &header), Ok(Some(_)));
                if whole {
                    end = unit + header.units();
                    self.take(Place { segment: id, unit, units: header.units() }, &header, end);
                } else {
                    self.drop_for("cut off", 1);
                }
            }
            held = next;
            if held.is_none() {
                break;
            }
        }
        // Behind a place that cannot be read there may be more: do not write over it.
        if failed && let Some(account) = self.accounts.segments.get_mut(&id) {
            (account.sealed, account.end) = (true, disk.segments.units());
            // Nor let go of a removal: what it voids may be there.
            account.sequence_min = 0;
            self.unreadable = true;
            self.drop_for("unreadable segment", 1);
        } else if end < disk.segments.units() {
            disk.segments.all[id as usize].set_written(end);
        }
    }

    /// Sees to it that what comes is newer.
    fn note(&mut self, header: &Header) {
        self.report.records_scanned += 1;
        self.sequence = self.sequence.max(header.sequence + 1);
        self.disk.note_time(header.time_ms);
        if header.kind != Kind::Tombstone {
            self.disk.note_revision(header.revision);
        }
    }

    fn take(&mut self, place: Place, header: &Header, end: u32) {
        self.note(header);
        self.accounts.extend(place.segment, end, header);
        if header.kind == Kind::Tombstone {
            let latest = self.removed.entry(header.key).or_default();
            *latest = header.sequence.max(*latest);
            return;
        }
        let old = self.disk.index.get(header.key);
        if old == Some(place) {
            // The snapshot had it already, its sums not.
            return self.accounts.add(place, header.site);
        }
        if let Some(old) = old {
            if self.header_at(old, header.key).is_some_and(|old| old.sequence > header.sequence) {
                return self.drop_for("replaced", 1);
            }
            self.accounts.subtract(old, header.site);
            self.drop_for("replaced", 1);
        }
        self.disk.index.put(header.key, place);
        self.accounts.add(place, header.site);
    }

    /// The header at a place, if it is one of that key.
    fn header_at(&self, place: Place, key: u128) -> Option<Header> {
        self.disk.header_at(place).filter(|header| header.key == key)
    }

    /// Notes what segments beyond the last void in those that stay. All of those were read: what
    /// is not in the index has no record there.
    fn carry(&mut self, beyond: &[PathBuf], voids: &mut Voids) -> std::io::Result<()> {
        if self.unreadable {
            return Err(Error::other("a smaller size, and a segment that cannot be read"));
        }
        let disk = self.disk;
        voids.keys.retain(|key, _| disk.index.get(*key).is_some());
        let mut gone = 0;
        for path in beyond {
            let Some((of, segment)) = disk.segments.beyond(path, &*disk.io)? else { continue };
            self.number = self.number.max(of.number + 1);
            if of.stream.is_none() {
                continue;
            }
            self.report.segments_scanned += 1;
            let mut scan = Scan::of(&*disk.io, &segment, 1, disk.segments.units());
            while let Some((_, header)) = scan.next()? {
                self.note(&header);
                gone += u64::from(header.kind != Kind::Tombstone);
                if self.may_void(&header) {
                    let latest = voids.keys.entry(header.key).or_default();
                    *latest = header.sequence.max(*latest);
                }
            }
        }
        self.drop_for("beyond the size", gone);
        Ok(())
    }

    /// Whether there may be an older record of its key in a segment that stays.
    fn may_void(&self, header: &Header) -> bool {
        let Some(place) = self.disk.index.get(header.key) else { return false };
        let newest = || self.header_at(place, header.key);
        header.kind == Kind::Tombstone
            || header.replaces
            || newest().is_none_or(|newest| newest.sequence < header.sequence)
    }

    fn apply_removals(&mut self, voids: &Voids) {
        let removed = std::mem::take(&mut self.removed);
        for (&key, &sequence) in removed.iter().chain(&voids.keys) {
            let Some(place) = self.disk.index.get(key) else { continue };
            let header = self.header_at(place, key);
            if header.is_none_or(|header| header.sequence < sequence) {
                self.disk.index.remove_if(key, place);
                self.drop_for("removed", 1);
                if let Some(header) = header {
                    self.accounts.subtract(place, header.site);
                }
            }
        }
    }

    fn finish(mut self) -> Recovered {
        let units = self.disk.segments.units();
        let mut filling = [None; 2];
        for stream in Stream::ALL {
            let newest = self.accounts.oldest_first(Some(stream)).pop();
            for (id, account) in &mut self.accounts.segments {
                if account.stream != stream {
                    continue;
                }
                if Some(*id) == newest && !account.sealed && account.end < units {
                    filling[stream as usize] = Some(Filling { id: *id, end: account.end });
                } else {
                    account.sealed = true;
                }
            }
        }
        let count = self.disk.segments.all.len() as u32;
        let free = (0..count).filter(|id| !self.accounts.segments.contains_key(id)).collect();
        self.report.records = self.disk.index.len() as u64;
        self.report.bytes = self.accounts.sites.values().map(|sum| sum.bytes).sum();
        self.report.dropped = self.dropped.into_iter().collect();
        self.report.dropped.sort_unstable();
        *lock(&self.disk.accounts) = self.accounts;
        Recovered { free, filling, sequence: self.sequence, number: self.number }
    }
}

fn clear(index: &Index) {
    for shard in 0..SHARDS {
        index.retain(shard, |_| false);
    }
}
