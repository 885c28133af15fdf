//! Where slices of bodies are looked for and kept: memory first, then disk.

use std::collections::hash_map::Entry::Occupied;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use selvedge_policy::KeyParts;

use crate::counters::Counters;
use crate::disk::{Found, PendingRead, ReadError, ReadOutcome};
use crate::head::BodyId;
use crate::lock::lock;
use crate::slice::{PIECE_HEADER_BYTES, Piece, SliceId};
use crate::store::Store;
use crate::tier::site_number;

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
        match self.tier.as_ref().and_then(|tier| tier.disks().find(id.key().0)) {
            Some(found) => SliceFound::Disk(DiskSlice::new(id, found)),
            None => SliceFound::Missing,
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
    /// Which bytes of the body it holds, once its header has been read.
    holds: Option<Range<u64>>,
    pending: Option<PendingRead>,
}

/// Most bytes of one step.
const STEP_BYTES: u64 = 256 << 10;

/// What a step of a reading from disk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskStep {
    /// These bytes, at least one.
    Bytes(Bytes),
    /// It holds other bytes of the body.
    Holds(Range<u64>),
    /// It cannot be read: it counts as not there.
    Lost,
}

impl DiskSlice {
    fn new(id: SliceId, found: Found) -> Self {
        Self { id, found, holds: None, pending: None }
    }

    /// The bytes from this offset of the body on, up to `until` and not more than a step. Until
    /// it is ready it must be asked for the same.
    pub fn poll_step(&mut self, offset: u64, until: u64, cx: &mut Context<'_>) -> Poll<DiskStep> {
        let holds = match &self.holds {
            Some(holds) => holds.clone(),
            None => {
                let header = ready!(self.poll_read(0..PIECE_HEADER_BYTES as u32, cx));
                let range = header.ok().and_then(|bytes| Piece::read_header(self.id, &bytes));
                let Some(range) = range else { return Poll::Ready(DiskStep::Lost) };
                let first = self.id.first();
                let holds = first + range.start as u64..first + range.end as u64;
                self.holds = Some(holds.clone());
                holds
            }
        };
        if !holds.contains(&offset) {
            return Poll::Ready(DiskStep::Holds(holds));
        }
        let end = until.min(holds.end).min(offset + STEP_BYTES);
        // Both are within a slice.
        let at = |place: u64| (place - holds.start) as u32 + PIECE_HEADER_BYTES as u32;
        let wanted = end.saturating_sub(offset);
        let read = ready!(self.poll_read(at(offset)..at(end), cx));
        Poll::Ready(match read {
            Ok(bytes) if bytes.len() as u64 == wanted && wanted > 0 => DiskStep::Bytes(bytes),
            _ => DiskStep::Lost,
        })
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
