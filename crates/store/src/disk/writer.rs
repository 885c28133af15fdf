//! The thread that writes a disk: the only one that decides where a record goes.
//!
//! Records are gathered in a block for each stream of segments; a block is written when it is
//! full, when time passed, before a removal is reported, and before a segment is reused.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::accounts::Account;
use super::counters::DiskCounters;
use super::header::{Header, table, units};
use super::index::Place;
use super::io::write_full;
use super::keep::Keep;
use super::queue::Op;
use super::quota::Quotas;
use super::record::{Kind, Record};
use super::segment::Stream;
use super::snapshot::Head;
use super::volume::{Disk, Health};
use crate::lock::lock;

/// Writes that may fail one after another before a disk takes no more.
const WRITE_FAILURES_MAX: u32 = 3;

/// Removals kept for a disk that takes no writes; with more it is given up.
const OWED_MAX: usize = 65_536;

/// Segments kept free, for what reclaim moves.
const FREE_MIN: usize = 1;

/// A record could not be given a place: the disk takes no writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPlace;

/// A segment that is being filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    pub(crate) id: u32,
    /// The next free unit.
    pub(crate) end: u32,
}

/// The writer of one disk.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<Disk>,
    pub(crate) filling: [Option<Filling>; 2],
    pub(crate) free: VecDeque<u32>,
    /// The next record gets this number.
    pub(crate) sequence: u64,
    /// The next use of a segment gets this number.
    pub(crate) number: u64,
    pub(crate) quotas: Quotas,
    pub(crate) keep: Keep,
    pub(crate) reclaiming: bool,
    /// Segments emptied one after another without one more being free.
    pub(crate) barren: usize,
    failures: u32,
    owed: Vec<u128>,
    /// Who waits for removals that found no room while a segment was emptied: told when those that
    /// are owed are written.
    postponed: Vec<oneshot::Sender<bool>>,
    /// Keys removed while records put before were in hand.
    cancelled: HashSet<u128>,
}

/// Has nobody wait for a writer that has ended, whyever it did.
struct Ending(Arc<Disk>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lose("its writer panicked");
        }
        self.0.queue.stop(true);
    }
}

impl Writer {
    /// A writer that goes on where the log ends.
    pub(crate) fn new(disk: Arc<Disk>, free: VecDeque<u32>, sequence: u64, number: u64) -> Self {
        Self {
            disk,
            filling: [None; 2],
            free,
            sequence,
            number,
            quotas: Quotas::default(),
            keep: Keep::new(),
            reclaiming: false,
            barren: 0,
            failures: 0,
            owed: Vec::new(),
            postponed: Vec::new(),
            cancelled: HashSet::new(),
        }
    }

    /// Works until the queue says that it is over.
    pub(crate) fn run(mut self) {
        let _ending = Ending(self.disk.clone());
        while let Some(ops) = self.disk.queue.take() {
            let (removals, others): (Vec<Op>, Vec<Op>) =
                ops.into_iter().partition(|op| matches!(op, Op::Remove { .. }));
            self.remove_all(removals);
            // What comes now was put after those removals.
            self.cancelled.clear();
            for op in others {
                self.work(op);
            }
            self.disk.asked.fit(self.disk.index.len());
            if self.disk.is_owing() {
                self.settle();
            }
            let written = !self.disk.is_owing();
            let postponed = std::mem::take(&mut self.postponed);
            self.answer(postponed, written);
        }
        if !self.disk.queue.is_cut() {
            // What cannot be written has been told.
            let _ = self.flush_all();
        }
    }

    fn work(&mut self, op: Op) {
        match op {
            Op::Put(record, _) => self.put(&record),
            Op::Remove { .. } => self.remove_all(vec![op]),
            Op::Flush(done) => {
                let flushed = self.flush_all().is_ok();
                self.disk.queue.hand_is_empty();
                if let Some(done) = done {
                    // Whoever waited may have gone.
                    let _ = done.send(flushed);
                }
            }
            Op::Retry => self.retry(),
            Op::Position(answer) => {
                let head = self.flush_all().ok().map(|()| self.head());
                let _ = answer.send(head);
            }
            Op::Quotas(quotas) => {
                self.quotas = Quotas::new(&quotas);
                self.enforce_all();
            }
        }
    }

    fn put(&mut self, record: &Record) {
        if self.disk.health() != Health::Sound {
            return DiskCounters::add(&self.disk.counters.refused);
        }
        let payload_bytes = record.payload_bytes();
        let units = units(payload_bytes);
        if self.make_room(Stream::Young, units).is_err() {
            return DiskCounters::add(&self.disk.counters.refused);
        }
        if self.cancelled.contains(&record.key) {
            return;
        }
        let table = table(&record.payload, units);
        let limited = self.quotas.is_limited(record.site);
        let header = Header {
            kind: record.kind,
            replaces: limited || self.disk.index.get(record.key).is_some(),
            key: record.key,
            site: record.site,
            payload_bytes: payload_bytes as u32,
            revision: record.revision,
            sequence: self.next_sequence(),
            time_ms: record.time_ms,
            table_crc: super::header::crc(&table),
        };
        self.disk.note_time(record.time_ms);
        self.disk.note_revision(record.revision);
        let fill = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(&table);
            record.payload.iter().for_each(|part: &Bytes| bytes.extend_from_slice(part));
        };
        let Ok((place, full)) = self.append(Stream::Young, &header, fill) else {
            return DiskCounters::add(&self.disk.counters.refused);
        };
        self.index(record.key, record.site, place);
        if full {
            // What fails stays in the buffer and can be read there.
            let _ = self.flush(Stream::Young);
        }
        self.enforce(record.site);
    }

    fn index(&self, key: u128, site: u32, place: Place) {
        let put = || self.disk.index.put(key, place);
        let Some(old) = self.disk.queue.unless_removed(key, put) else { return };
        let mut accounts = lock(&self.disk.accounts);
        accounts.add(place, site);
        if let Some(old) = old {
            accounts.subtract(old, site);
        }
    }

    /// Writes that keys were removed, and reports it.
    pub(crate) fn remove_all(&mut self, removals: Vec<Op>) {
        let mut waiting = Vec::new();
        let mut written = true;
        for op in removals {
            let Op::Remove { key, place, done } = op else { continue };
            self.cancelled.insert(key);
            let waited = done.is_some();
            // A record that was in hand may have got into the index after the removal. What is not
            // waited for is a record that was bad: a newer one may be there by now, and stays.
            let again = if waited { self.disk.index.remove(key) } else { None };
            for place in place.into_iter().chain(again) {
                self.subtract(place);
            }
            if waited || self.disk.index.get(key).is_none() {
                let sequence = self.next_sequence();
                written &= self.tombstone(key, sequence);
            }
            waiting.extend(done);
        }
        if !waiting.is_empty() {
            written = self.flush_all().is_ok() && written;
        }
        // There will be room when the segment at hand is empty.
        if !written && self.reclaiming && self.disk.health() == Health::Sound {
            self.postponed.extend(waiting);
            return;
        }
        self.answer(waiting, written);
    }

    /// Tells whether removals are on disk. When they are not, the disk is worth nothing to the next
    /// process, and that is on disk before anybody goes on.
    fn answer(&self, waiting: Vec<oneshot::Sender<bool>>, written: bool) {
        if !written && !waiting.is_empty() {
            // Also for what has a place already and is in the buffer.
            self.disk.set_owing(true);
            self.disk.distrust();
        }
        for done in waiting {
            // Whoever waited may have gone.
            let _ = done.send(written);
        }
    }

    /// Takes a record that has left the index out of the sums.
    pub(crate) fn subtract(&self, place: Place) {
        if let Some(header) = self.disk.header_at(place) {
            lock(&self.disk.accounts).subtract(place, header.site);
        }
    }

    /// Notes on disk that what is under a key before a sequence number is void. False: not now.
    pub(crate) fn tombstone(&mut self, key: u128, sequence: u64) -> bool {
        let header = Header {
            kind: Kind::Tombstone,
            replaces: false,
            key,
            site: 0,
            payload_bytes: 0,
            revision: u64::MAX,
            sequence,
            time_ms: self.disk.time_max_ms.load(Relaxed),
            table_crc: super::header::crc(&[]),
        };
        let order = if self.reclaiming { [Stream::Main, Stream::Young] } else { Stream::ALL };
        let written = self.disk.health() == Health::Sound
            && order.into_iter().any(|s| self.append(s, &header, |_| {}).is_ok());
        if !written {
            self.owe(key);
        }
        written
    }

    fn owe(&mut self, key: u128) {
        self.owed.push(key);
        self.disk.set_owing(true);
        if self.owed.len() > OWED_MAX {
            self.disk.lose("too many removals could not be written");
        }
    }

    /// Gives a record a place and puts it into the buffer. True: the buffer wants to be written.
    pub(crate) fn append(
        &mut self,
        stream: Stream,
        header: &Header,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(Place, bool), NoPlace> {
        let units = header.units();
        self.make_room(stream, units)?;
        let filling = self.filling[stream as usize].as_mut().ok_or(NoPlace)?;
        let place = Place { segment: filling.id, unit: filling.end, units };
        filling.end += units;
        let salt = self.disk.segments.all[place.segment as usize].salt();
        let full = self.disk.buffers.append(stream, place, |bytes| {
            bytes.extend_from_slice(&header.encode(salt));
            fill(bytes);
        });
        let end = place.unit + units;
        lock(&self.disk.accounts).extend(place.segment, end, header);
        Ok((place, full))
    }

    /// Sees to it that the open segment of a stream has room.
    fn make_room(&mut self, stream: Stream, units: u32) -> Result<(), NoPlace> {
        let segment_units = self.disk.segments.units();
        if self.filling[stream as usize].is_some_and(|f| f.end + units <= segment_units) {
            return Ok(());
        }
        self.flush(stream)?;
        if let Some(full) = self.filling[stream as usize].take()
            && let Some(account) = lock(&self.disk.accounts).segments.get_mut(&full.id)
        {
            account.sealed = true;
        }
        while !self.reclaiming && self.free.len() <= FREE_MIN {
            let free = self.free.len();
            self.reclaim()?;
            self.barren = if self.free.len() > free { 0 } else { self.barren + 1 };
        }
        // Removals that came in while segments were emptied may have opened one.
        if self.filling[stream as usize].is_some_and(|f| f.end + units <= segment_units) {
            return Ok(());
        }
        let id = *self.free.front().ok_or(NoPlace)?;
        let opened = self.disk.segments.open(id, stream, self.number, &*self.disk.io);
        if let Err(error) = opened {
            self.write_failed(&error);
            return Err(NoPlace);
        }
        self.free.pop_front();
        lock(&self.disk.accounts).insert(id, Account::new(stream, self.number));
        self.number += 1;
        self.filling[stream as usize] = Some(Filling { id, end: 1 });
        Ok(())
    }

    /// Writes what is in the buffer of a stream.
    pub(crate) fn flush(&mut self, stream: Stream) -> Result<(), NoPlace> {
        let disk = self.disk.clone();
        while let Some(block) = disk.buffers.to_write(stream) {
            if disk.health() != Health::Sound {
                return Err(NoPlace);
            }
            let segment = &disk.segments.all[block.segment as usize];
            let Some(file) = segment.file() else { return Err(NoPlace) };
            let at = u64::from(block.unit) * super::header::UNIT as u64;
            if let Err(error) = write_full(&*disk.io, file, &block.bytes, at) {
                self.write_failed(&error);
                continue;
            }
            self.failures = 0;
            disk.counters.written_bytes.fetch_add(block.bytes.len() as u64, Relaxed);
            segment.set_written(block.end());
            disk.buffers.written(stream, block);
        }
        Ok(())
    }

    /// Writes what is in the buffers.
    pub(crate) fn flush_all(&mut self) -> Result<(), NoPlace> {
        let [young, main] = Stream::ALL.map(|stream| self.flush(stream));
        young.and(main)
    }

    /// Notes that a write failed; after too many the disk takes no more.
    pub(crate) fn write_failed(&mut self, error: &std::io::Error) {
        DiskCounters::add(&self.disk.counters.write_errors);
        self.failures += 1;
        let disk = self.disk.folder.display();
        if self.failures == WRITE_FAILURES_MAX {
            self.disk.set_writable(false);
            error!(%disk, %error, "a cache disk takes no writes; it is tried again");
        } else if self.failures > WRITE_FAILURES_MAX {
            self.disk.set_writable(false);
        } else {
            warn!(%disk, %error, "a write to a cache disk failed");
        }
    }

    fn retry(&mut self) {
        if self.disk.health() != Health::ReadOnly {
            return;
        }
        // One more failure is enough to take no more, without another alarm.
        self.failures = WRITE_FAILURES_MAX;
        self.disk.set_writable(true);
        if self.flush_all().is_ok() && self.make_room(Stream::Young, 1).is_ok() {
            self.failures = 0;
            self.settle();
            info!(disk = %self.disk.folder.display(), "a cache disk takes writes again");
        }
    }

    /// Writes the removals that could not be written before.
    fn settle(&mut self) {
        if self.disk.health() != Health::Sound {
            return;
        }
        for key in std::mem::take(&mut self.owed) {
            // What was put since is newer than the removal.
            if self.disk.index.get(key).is_none() {
                let sequence = self.next_sequence();
                self.tombstone(key, sequence);
            }
        }
        if self.flush_all().is_ok() && self.owed.is_empty() {
            self.disk.set_owing(false);
        }
    }

    /// The next number for a record.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    /// Where the log stands.
    fn head(&self) -> Head {
        let accounts = lock(&self.disk.accounts);
        let segments = accounts.segments.iter().map(|(id, a)| (*id, a.clone())).collect();
        Head {
            identity: self.disk.segments.identity,
            sequence: self.sequence,
            number: self.number,
            time_max_ms: self.disk.time_max_ms.load(Relaxed),
            revision_max: self.disk.revision_max.load(Relaxed),
            segments,
        }
    }
}
