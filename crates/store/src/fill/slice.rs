//! Fills of single slices: a fetch of a part of a body, which others join as they join any fill.
//!
//! A slice is filled by one fetch at a time. What it brings need not be all of the slice; a reader
//! that wants another part of it waits for its end and looks again. A slice is never larger than
//! `SLICE_BYTES`, so its writer waits for nobody: what it holds is taken from the budget of all
//! fills, or is over it by that much for each fetch that runs.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use selvedge_policy::Now;

use super::gather::Gather;
use super::state::{Phase, State};
use super::{Budget, Fill, FillReader};
use crate::body::SLICE_BYTES;
use crate::counters::Counters;
use crate::error::{FillError, PushError};
use crate::head::Head;
use crate::lock::lock;
use crate::slice::{Piece, SliceId};
use crate::slices::SliceFound;
use crate::store::Store;

/// What `Store::begin_slice` says.
#[derive(Debug)]
pub enum SliceBegin {
    /// Nobody fetches it: the caller does, in a detached task, and may read along.
    Lead(SliceWriter, FillReader),
    /// Someone fetches a part of it, that begins at this offset of the body.
    Join(FillReader, u64),
    /// It has been stored since the caller looked.
    Stored,
    /// Too many fills or readers.
    Full,
}

/// The fill of a slice, and which bytes of the body it brings.
type Filling = (Arc<Fill>, Range<u64>);

/// Which slices are being filled.
#[derive(Debug, Default)]
pub(crate) struct SliceTable(Mutex<HashMap<SliceId, Filling>>);

impl SliceTable {
    fn lock(&self) -> MutexGuard<'_, HashMap<SliceId, Filling>> {
        lock(&self.0)
    }

    fn remove(&self, id: SliceId, fill: &Arc<Fill>) {
        if let MapEntry::Occupied(place) = self.lock().entry(id)
            && Arc::ptr_eq(&place.get().0, fill)
        {
            place.remove();
        }
    }
}

impl Store {
    /// Which bytes of the body the running fill of a slice brings, if there is one.
    pub fn filling_slice(&self, id: SliceId) -> Option<Range<u64>> {
        self.slice_fills.lock().get(&id).map(|(_, bytes)| bytes.clone())
    }

    /// Joins the fill of a slice, or begins one of these bytes of the body, which must be bytes of
    /// that slice.
    pub fn begin_slice(self: &Arc<Self>, id: SliceId, bytes: Range<u64>, now: Now) -> SliceBegin {
        let mut running = self.slice_fills.lock();
        if let Some((fill, brought)) = running.get(&id) {
            return match lock(&fill.state).readers.join() {
                Some(reader) => {
                    Counters::add(&self.counters().slice_joins);
                    SliceBegin::Join(FillReader::new(fill.clone(), reader), brought.start)
                }
                None => SliceBegin::Full,
            };
        }
        // A piece is kept before its fill leaves the table: what is in neither place is nowhere.
        if let SliceFound::Memory(piece) = self.find_slice(id)
            && piece.from(bytes.start).is_some()
        {
            return SliceBegin::Stored;
        }
        let end = id.first().saturating_add(SLICE_BYTES as u64);
        assert!(id.first() <= bytes.start && bytes.start < bytes.end && bytes.end <= end);
        if !self.count_fill() {
            return SliceBegin::Full;
        }
        // Its bytes are found by a name that goes with what is purged: no purge is about them.
        let (fill, reader) = Fill::begin(id.key(), &[], 0, now.mono_ms, self.budget.clone());
        running.insert(id, (fill.clone(), bytes.clone()));
        Counters::add(&self.counters().slice_fills);
        let writer = SliceWriter {
            store: self.clone(),
            fill,
            id,
            start: (bytes.start - id.first()) as usize,
            length: (bytes.end - bytes.start) as usize,
            gather: Gather::default(),
            received: 0,
            reserved: Reserved { budget: self.budget.clone(), bytes: 0 },
            head: None,
            full_key: Box::default(),
            ended: false,
        };
        SliceBegin::Lead(writer, reader)
    }
}

/// What was taken from the budget, until it is dropped.
#[derive(Debug)]
struct Reserved {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// The writing end of the fill of a slice. Dropping it before its end fails the fill for all
/// readers; what had come is kept.
#[derive(Debug)]
pub struct SliceWriter {
    store: Arc<Store>,
    fill: Arc<Fill>,
    id: SliceId,
    /// Where in the slice it begins.
    start: usize,
    /// How many bytes it is to bring.
    length: usize,
    gather: Gather,
    received: usize,
    reserved: Reserved,
    head: Option<Arc<Head>>,
    full_key: Box<[u8]>,
    ended: bool,
}

impl SliceWriter {
    /// Which slice it fills.
    pub fn id(&self) -> SliceId {
        self.id
    }

    /// The bytes of the body that are still to come.
    pub fn missing(&self) -> Range<u64> {
        let start = self.id.first() + self.start as u64;
        start + self.received as u64..start + self.length as u64
    }

    /// The source has confirmed that it has these bytes of this version, of what is stored under
    /// this full key: readers learn that.
    pub fn open(&mut self, head: &Arc<Head>, full_key: &[u8]) {
        self.full_key = full_key.into();
        self.head = Some(head.clone());
        self.change(|state| state.phase = Phase::Open(head.clone()));
    }

    /// Shows bytes to all readers. Whether that was all of the slice: then it is stored and the
    /// writer has ended.
    ///
    /// # Errors
    /// When these are more bytes than are missing, it was not opened, or it has ended.
    pub fn push(&mut self, chunk: Bytes) -> Result<bool, PushError> {
        let Some(head) = self.head.clone().filter(|_| !self.ended) else {
            return Err(PushError::Closed);
        };
        if chunk.len() > self.length - self.received {
            self.end(Phase::Failed(FillError::Overrun));
            return Err(PushError::Overrun);
        }
        if self.received == 0 && self.reserved.budget.take(self.length as u64) {
            self.reserved.bytes = self.length as u64;
        }
        if !chunk.is_empty() {
            self.received += chunk.len();
            let piece = self.gather.push(chunk);
            self.change(|state| state.append(piece));
            while let Some(merge) = self.gather.merge() {
                lock(&self.fill.state).merge(merge);
            }
        }
        if self.received < self.length {
            return Ok(false);
        }
        self.end(Phase::Finished { head, trailers: None, object: None });
        Ok(true)
    }

    /// It failed, for all its readers. What had come is kept.
    pub fn fail(mut self, error: FillError) {
        self.end(Phase::Failed(error));
    }

    fn end(&mut self, phase: Phase) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(merge) = self.gather.finish() {
            lock(&self.fill.state).merge(merge);
        }
        let whole = lock(&self.fill.state).slices().pop();
        if let Some(piece) = whole.and_then(|bytes| Piece::new(self.id, self.start, bytes)) {
            let worth = self.worth_a_disk(&piece);
            self.store.keep_slice(piece, worth);
        }
        if matches!(phase, Phase::Failed(_)) {
            Counters::add(&self.store.counters().failures);
        }
        // Before the readers are told, so that those who look again find it stored or missing.
        self.store.slice_fills.remove(self.id, &self.fill);
        self.change(|state| state.phase = phase);
    }

    /// What the disk needs to know of a piece, if it is to have it: what can be completed, and
    /// whole slices. Of others nobody could tell later what is missing.
    fn worth_a_disk(&self, piece: &Piece) -> Option<(&[u8], u64)> {
        let head = self.head.as_ref()?;
        let slice_end = piece.id().first() + SLICE_BYTES as u64;
        let end = head.length.map_or(slice_end, |length| length.min(slice_end));
        let is_whole = piece.first() == piece.id().first() && piece.end() >= end;
        (is_whole || head.can_be_completed()).then_some((&self.full_key, head.revision))
    }

    /// Changes the state, then wakes the waiting readers without the lock.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut wake = Vec::new();
        {
            let mut state = lock(&self.fill.state);
            change(&mut state);
            state.readers.take_waiting(&mut wake);
        }
        wake.into_iter().for_each(std::task::Waker::wake);
    }
}

impl Drop for SliceWriter {
    fn drop(&mut self) {
        self.end(Phase::Failed(FillError::Abandoned));
        self.store.counters().fills_active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
