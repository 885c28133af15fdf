//! Where slices of bodies are looked for and kept: memory first, then disk.

use std::collections::hash_map::Entry::Occupied;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use selvedge_policy::KeyParts;

use crate::counters::Counters;
use crate::disk::{BLOCK_BYTES, Found, PendingRead, ReadError, ReadOutcome};
use crate::head::BodyId;
use crate::lock::lock;
use crate::slice::{PIECE_HEADER_BYTES, Piece, SliceId};
use crate::store::Store;
use crate::tier::{Tier, site_number};

/// What the store has of a slice.
#[derive(Debug)]
pub enum SliceFound {
    /// This, at hand.
    Memory(Arc<Piece>),
    /// Something on disk.
    Disk(DiskSlice),
    /// Nothing.
    Missing,
}

impl Store {
    /// What is stored of a slice. Never waits.
    pub fn find_slice(&self, id: SliceId) -> SliceFound {
        if let Some(piece) = self.memory.slice(id) {
            return SliceFound::Memory(piece);
        }
        let Some(disks) = self.tier.as_ref().map(Tier::disks) else { return SliceFound::Missing };
        let key = id.key().0;
        if let Some(found) = disks.find(key) {
            return self.on_disk(id, found);
        }
        let queued = disks.on_its_way(key).and_then(|payload| Piece::from_payload(id, &payload));
        // What was on its way may have got there between the two looks.
        match (queued, disks.find(key)) {
            (Some(piece), _) => SliceFound::Memory(Arc::new(piece)),
            (None, Some(found)) => self.on_disk(id, found),
            (None, None) => SliceFound::Missing,
        }
    }

    /// What is in memory of a slice.
    pub fn slice_in_memory(&self, id: SliceId) -> Option<Arc<Piece>> {
        self.memory.slice(id)
    }

    /// Whether anything of a slice is stored. Counts no use.
    pub fn has_slice(&self, id: SliceId) -> bool {
        self.memory.slice(id).is_some()
            || self.tier.as_ref().is_some_and(|tier| tier.disks().has(id.key().0))
    }

    fn on_disk(&self, id: SliceId, found: Found) -> SliceFound {
        let is_whole = self.read_lately.is_again(id.key());
        SliceFound::Disk(DiskSlice::new(id, found, is_whole, self.step_bytes()))
    }

    /// Puts what was read of a slice into memory.
    pub fn remember_slice(&self, piece: Piece) {
        self.memory.put_slice(Arc::new(piece));
    }

    /// How much a reader takes from disk at a time: long steps are fewer writes and wake-ups, but a
    /// client that reads nothing holds one.
    fn step_bytes(&self) -> u32 {
        let readers = self.readers.load(Relaxed).max(1);
        let share = (STEPS_BYTES / readers).clamp(STEP_BYTES.0, STEP_BYTES.1);
        share - share % BLOCK
    }

    /// Whether somebody reads a body slice by slice.
    pub fn is_read(&self, body: BodyId) -> bool {
        lock(&self.readings).contains_key(&body)
    }

    /// Whether a body of this length is stored slice by slice as it comes: too long to be held
    /// whole, and not so long that the disks would hold little else.
    pub fn takes_apart(&self, length: u64) -> bool {
        (self.object_bytes_max() + 1..=self.apart_bytes_max).contains(&length)
    }

    /// Keeps a piece of a slice of which no other is being filled, together with what is stored of
    /// the same slice if the two touch. On disk too, if it is `worth` that: then this is the full
    /// key of its object and the revision it is of.
    pub(crate) fn keep_slice(&self, piece: Piece, worth: Option<(&[u8], u64)>) {
        let piece = match self.memory.slice(piece.id()) {
            Some(other) => piece.merged(&other),
            None => piece,
        };
        if let (Some(tier), Some((full_key, revision))) = (&self.tier, worth)
            && tier.admits(self.key_seed().hash(full_key))
        {
            let site = KeyParts::read(full_key).map_or(0, |parts| site_number(parts.site));
            tier.put_slice(&piece, site, revision);
        }
        self.memory.put_slice(Arc::new(piece));
        Counters::add(&self.counters().slices_stored);
    }
}

/// One who reads a body slice by slice. While there is one, it is worth fetching further.
#[derive(Debug)]
pub struct Reading {
    store: Arc<Store>,
    body: BodyId,
}

impl Reading {
    /// Begins to read a body.
    pub fn of(store: &Arc<Store>, body: BodyId) -> Self {
        store.readers.fetch_add(1, Relaxed);
        *lock(&store.readings).entry(body).or_default() += 1;
        Self { store: store.clone(), body }
    }

    /// Which body.
    pub fn body(&self) -> BodyId {
        self.body
    }
}

impl Clone for Reading {
    fn clone(&self) -> Self {
        Self::of(&self.store, self.body)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.store.readers.fetch_sub(1, Relaxed);
        if let Occupied(mut count) = lock(&self.store.readings).entry(self.body) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What is on disk of one slice, and the reading of it, step by step.
#[derive(Debug)]
pub struct DiskSlice {
    id: SliceId,
    found: Found,
    /// It is read in one step, to be kept in memory.
    is_whole: bool,
    step_bytes: u32,
    /// Which bytes of the body it holds, once its header has been read.
    holds: Option<Range<u64>>,
    pending: Option<PendingRead>,
}

/// Least and most bytes of a step, but for the last one of a slice.
const STEP_BYTES: (u32, u32) = (64 << 10, 512 << 10);

/// What the steps of all readers take together, until they are too many for the shortest.
const STEPS_BYTES: u32 = 64 << 20;

/// A block that is read is checked as a whole.
const BLOCK: u32 = BLOCK_BYTES as u32;

/// What a step of a reading from disk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskStep {
    /// These bytes, at least one.
    Bytes(Bytes),
    /// All that is on disk of a slice that was read before: for memory too.
    Whole(Piece),
    /// It holds other bytes of the body.
    Holds(Range<u64>),
    /// It cannot be read: it counts as not there.
    Lost,
}

impl DiskSlice {
    fn new(id: SliceId, found: Found, is_whole: bool, step_bytes: u32) -> Self {
        Self { id, found, is_whole, step_bytes, holds: None, pending: None }
    }

    /// The bytes from this offset of the body on, up to `until` and about a step at most. Until it
    /// is ready it must be asked for the same.
    pub fn poll_step(&mut self, offset: u64, until: u64, cx: &mut Context<'_>) -> Poll<DiskStep> {
        if self.is_whole {
            let read = ready!(self.poll_read(0..u32::MAX, cx));
            self.is_whole = false;
            let piece = read.ok().and_then(|record| Piece::from_record(self.id, &record));
            return Poll::Ready(piece.map_or(DiskStep::Lost, DiskStep::Whole));
        }
        let Some(holds) = self.holds.clone() else { return self.poll_first(offset, until, cx) };
        if !holds.contains(&offset) {
            return Poll::Ready(DiskStep::Holds(holds));
        }
        // Both are within a slice.
        let at = |place: u64| (place - holds.start) as u32 + PIECE_HEADER_BYTES;
        let wanted = at(offset)..self.step_end(at(offset), at(until.min(holds.end)));
        let length = wanted.len();
        let read = ready!(self.poll_read(wanted, cx));
        Poll::Ready(match read {
            Ok(bytes) if bytes.len() == length && length > 0 => DiskStep::Bytes(bytes),
            _ => DiskStep::Lost,
        })
    }

    /// The first step, with the header if it is near.
    fn poll_first(&mut self, offset: u64, until: u64, cx: &mut Context<'_>) -> Poll<DiskStep> {
        let first = self.id.first();
        let near = if offset - first < u64::from(self.step_bytes) { until - first } else { 0 };
        let near = u32::try_from(near).unwrap_or(u32::MAX).saturating_add(PIECE_HEADER_BYTES);
        let read = ready!(self.poll_read(0..self.step_end(0, near), cx));
        let Ok(bytes) = read else { return Poll::Ready(DiskStep::Lost) };
        let Some(range) = Piece::read_header(self.id, &bytes) else {
            return Poll::Ready(DiskStep::Lost);
        };
        let holds = first + range.start as u64..first + range.end as u64;
        self.holds = Some(holds.clone());
        // What was read beside the header, as far as it is what was asked for.
        let body = bytes.slice(PIECE_HEADER_BYTES as usize..);
        let end = until.min(holds.start + body.len() as u64);
        if holds.contains(&offset) && offset < end {
            let part = (offset - holds.start) as usize..(end - holds.start) as usize;
            return Poll::Ready(DiskStep::Bytes(body.slice(part)));
        }
        self.poll_step(offset, until, cx)
    }

    /// Where in a record a step ends that begins here and is to go no further than `end`: at a
    /// multiple of the step, so that no block is read twice, or at the end if that is near.
    fn step_end(&self, start: u32, end: u32) -> u32 {
        let full = (start / self.step_bytes + 1) * self.step_bytes;
        if end.saturating_sub(full) < BLOCK { end } else { full }
    }

    fn poll_read(
        &mut self,
        range: Range<u32>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, ReadError>> {
        let mut pending = match self.pending.take() {
            Some(pending) => pending,
            None => match self.found.read(range) {
                ReadOutcome::Ready(result) => return Poll::Ready(result),
                ReadOutcome::Pending(pending) => pending,
            },
        };
        let polled = Pin::new(&mut pending).poll(cx);
        if polled.is_pending() {
            self.pending = Some(pending);
        }
        polled
    }
}
