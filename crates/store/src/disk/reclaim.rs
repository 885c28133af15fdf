//! Emptying segments, so that they can be used again.
//!
//! The oldest segment of a stream is read from front to back. What nobody asked for goes; what is
//! worth keeping, or was promised to its site, moves to the main stream. Only when that is on disk
//! is the segment marked as free. So a crash at any point loses nothing that was kept.

use super::accounts::bytes_of;
use super::counters::DiskCounters;
use super::header::{HEADER_BYTES, Header, UNIT};
use super::index::{Place, SHARDS};
use super::keep::{Fate, Side};
use super::record::Kind;
use super::scan::Scan;
use super::segment::Stream;
use super::writer::{NoPlace, Writer};
use crate::lock::lock;

/// After so many bytes read, removals that came in meanwhile are done.
const URGENT_EVERY_BYTES: u64 = 2 << 20;

impl Writer {
    /// Empties one segment.
    pub(crate) fn reclaim(&mut self) -> Result<(), NoPlace> {
        let (id, side) = self.victim().ok_or(NoPlace)?;
        self.reclaiming = true;
        self.disk.queue.begin_dropping();
        let emptied = self.empty(id, side);
        if emptied.is_ok() {
            // Else its records stay on disk, and would be found.
            self.disk.queue.end_dropping();
        }
        self.reclaiming = false;
        emptied
    }

    /// The oldest full segment of the stream that has to give way.
    fn victim(&mut self) -> Option<(u32, Side)> {
        let accounts = lock(&self.disk.accounts);
        let [young, main] = Stream::ALL.map(|stream| {
            let mut ids = accounts.oldest_first(Some(stream));
            ids.retain(|id| self.filling.iter().flatten().all(|filling| filling.id != *id));
            ids
        });
        let side = self.keep.victim(young.len(), main.len());
        let (first, other) = match side {
            Side::Young => ((young.first(), side), (main.first(), Side::Main)),
            Side::Main => ((main.first(), side), (young.first(), Side::Young)),
        };
        let (id, side) = if first.0.is_some() { first } else { other };
        Some((*id?, side))
    }

    fn empty(&mut self, id: u32, side: Side) -> Result<(), NoPlace> {
        let disk = self.disk.clone();
        let end = lock(&disk.accounts).segments.get(&id).map(|account| account.end);
        let end = end.ok_or(NoPlace)?;
        let mut scan = Scan::new(&*disk.io, &disk.segments, id, 1, end);
        let mut read = 0;
        loop {
            let (unit, header) = match scan.next() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    disk.read_failed(&error);
                    break;
                }
            };
            let place = Place { segment: id, unit, units: header.units() };
            self.judge(side, place, &header, &mut scan);
            read += bytes_of(place);
            if read >= URGENT_EVERY_BYTES {
                read = 0;
                let urgent = disk.queue.take_urgent();
                self.remove_all(urgent);
            }
        }
        self.flush_all()?;
        self.sweep(id);
        if side == Side::Main {
            self.keep.emptied_main();
            self.disk.index.set_asks_per_record(self.keep.asks_per_record());
        }
        self.disk.asked.faded(self.disk.index.halvings(), SHARDS);
        if let Err(error) = disk.segments.release(id, &*disk.io) {
            self.write_failed(&error);
            return Err(NoPlace);
        }
        lock(&disk.accounts).remove(id);
        self.free.push_back(id);
        DiskCounters::add(&disk.counters.reclaimed);
        Ok(())
    }

    /// Keeps a record or lets it go.
    fn judge(&mut self, side: Side, place: Place, header: &Header, scan: &mut Scan<'_>) {
        let id = place.segment;
        if header.kind == Kind::Tombstone {
            if lock(&self.disk.accounts).has_older(header.sequence, id) {
                self.tombstone(header.key, header.sequence);
            }
            return;
        }
        let Some(uses) = self.disk.index.uses(header.key, place) else { return };
        let promised = self.site_bytes(header.site) <= self.quotas.min(header.site);
        let forced = self.barren > self.disk.segments.all.len();
        let (asked, bytes) = (self.disk.asked.count(header.key), bytes_of(place) as u32);
        let worth_it = self.keep.judge(side, uses, asked, bytes) == Fate::Main;
        if worth_it && side == Side::Young {
            self.disk.index.warm(header.key, place, asked);
            self.disk.asked.settled(header.key);
        }
        if !forced && (promised || worth_it) && self.relocate(place, header, scan) {
            DiskCounters::add(&self.disk.counters.moved);
            return;
        }
        if !self.disk.index.remove_if(header.key, place) {
            return;
        }
        self.disk.asked.dropped(header.key, uses);
        lock(&self.disk.accounts).subtract(place, header.site);
        DiskCounters::add(&self.disk.counters.evictions);
        if header.replaces && lock(&self.disk.accounts).has_older(header.sequence, id) {
            self.tombstone(header.key, header.sequence);
        }
    }

    /// Moves a record to the main stream; false when it is damaged or there is no room.
    fn relocate(&mut self, place: Place, header: &Header, scan: &mut Scan<'_>) -> bool {
        let bytes = match scan.record(place.unit, header) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                DiskCounters::add(&self.disk.counters.corrupt);
                return false;
            }
            Err(error) => {
                self.disk.read_failed(&error);
                return false;
            }
        };
        let moved = Header { sequence: self.next_sequence(), ..*header };
        let rest = &bytes[HEADER_BYTES..place.units as usize * UNIT];
        let appended = self.append(Stream::Main, &moved, |to| to.extend_from_slice(rest));
        let Ok((new, full)) = appended else { return false };
        if self.disk.index.replace_if(header.key, place, new) {
            let mut accounts = lock(&self.disk.accounts);
            accounts.add(new, header.site);
            accounts.subtract(place, header.site);
        }
        if full {
            // What fails stays in the buffer and can be read there.
            let _ = self.flush(Stream::Main);
        }
        true
    }

    /// Forgets records of an emptied segment that reading it did not come upon: their headers are
    /// damaged, or the disk failed. The sums tell whether there are any.
    fn sweep(&self, id: u32) {
        let accounts = lock(&self.disk.accounts);
        let clean = accounts
            .segments
            .get(&id)
            .is_none_or(|account| account.sites.values().all(|sum| sum.records == 0));
        drop(accounts);
        if !clean {
            for shard in 0..SHARDS {
                self.disk.index.retain(shard, |place| place.segment != id);
            }
        }
    }
}
