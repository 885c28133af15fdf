//! The writing end of a fill, owned by the detached task that fetches or encodes.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use selvedge_policy::{Coding, Now, Storable};

use super::gather::{Gather, unpinned};
use super::state::{Phase, Room, State};
use super::{Fill, Matching};
use crate::body::Body;
use crate::counters::Counters;
use crate::error::{FillError, PushError};
use crate::head::{BodyId, Head, kept_trailers};
use crate::lock::lock;
use crate::object::Object;
use crate::store::Store;

/// How a whole body ended up.
#[derive(Clone, Debug)]
pub enum Finished {
    /// It is stored.
    Stored(Arc<Object>),
    /// Its readers have it, but the store refused it: it was invalidated meanwhile, or its source
    /// body is gone.
    Refused,
    /// It went by in a window.
    Passed,
}

/// The writing end. Dropping it before an end fails the fill for all readers.
#[derive(Debug)]
pub struct FillWriter {
    store: Arc<Store>,
    pub(super) fill: Arc<Fill>,
    gather: Gather,
    head: Option<Arc<Head>>,
    received: u64,
    /// What was taken and waits for room in the window.
    rest: Bytes,
    sliding: bool,
    ended: bool,
    /// Empty between calls; kept for its memory.
    wake: Vec<Waker>,
}

impl FillWriter {
    pub(crate) fn new(store: Arc<Store>, fill: Arc<Fill>) -> Self {
        Self {
            store,
            fill,
            gather: Gather::default(),
            head: None,
            received: 0,
            rest: Bytes::new(),
            sliding: false,
            ended: false,
            wake: Vec::new(),
        }
    }

    /// The response may be stored: shows its head to all readers. It must have been judged
    /// with the request fields that `Entry::select` gets too. `length` is the announced length of
    /// the body; any other length fails the fill.
    pub fn head(&mut self, storable: Storable, length: Option<u64>) -> Arc<Head> {
        let tags = self.store.tags(&self.fill.full_key, storable.headers());
        let head = Head::received(storable, length, tags, &self.fill);
        let matching = Matching::Variant(head.selecting.clone());
        self.open(head, Some(matching))
    }

    /// The head of an encoded copy: that of its source with other fields.
    pub fn head_encoded(
        &mut self,
        source: &Head,
        coding: Coding,
        headers: &HeaderMap,
    ) -> Arc<Head> {
        self.open(source.encoded(coding, headers), None)
    }

    fn open(&mut self, head: Head, matching: Option<Matching>) -> Arc<Head> {
        assert!(self.head.is_none(), "a fill has one head");
        if head.length.is_some_and(|length| length > self.store.object_bytes_max()) {
            self.slide();
        } else if let Some(matching) = matching {
            self.store.shard(self.fill.key).narrow(&self.fill, matching);
        }
        let head = Arc::new(head);
        self.head = Some(head.clone());
        self.change(|state| state.phase = Phase::Open(head.clone()));
        head
    }

    /// What it brings is for those who wait for it now: nobody else joins, and it is not stored.
    #[must_use]
    pub fn forsaken(self) -> Self {
        self.store.shard(self.fill.key).remove(&self.fill);
        self.fill.forsake();
        self
    }

    /// Shows bytes to all readers. Waits only if the fill slides and its slowest reader is a
    /// window behind. If the future is dropped, go on with [`FillWriter::pushed`]
    /// to its end before the next push.
    pub async fn push(&mut self, chunk: Bytes) -> Result<(), PushError> {
        self.pushed().await?;
        self.take(chunk)?;
        self.pushed().await
    }

    /// Waits until all bytes that were pushed are shown. The future may be dropped and asked for
    /// again, to look after the readers meanwhile ([`FillWriter::cut_laggards`]).
    pub async fn pushed(&mut self) -> Result<(), PushError> {
        if self.ended {
            return Err(PushError::Closed);
        }
        let window = self.store.window_bytes();
        while !self.rest.is_empty() {
            let (fill, wanted) = (&self.fill, self.rest.len());
            let room = poll_fn(|cx| match lock(&fill.state).room(window, wanted, cx) {
                Room::Bytes(room) => Poll::Ready(Some(room)),
                Room::Nobody => Poll::Ready(None),
                Room::Pending => Poll::Pending,
            });
            let Some(room) = room.await else { return Err(PushError::Abandoned) };
            let piece = unpinned(self.rest.split_to(room));
            self.change(|state| state.append(piece));
        }
        Ok(())
    }

    /// Ends the readers that stand still in a window that others have read to its end: to be
    /// called when a push has waited for as long as those may be made to wait. Who has read a
    /// quarter of the window since the last call, or since it joined, is spared; and one alone is
    /// never cut. How many were.
    pub fn cut_laggards(&mut self) -> usize {
        let window = self.store.window_bytes();
        let mut wake = Vec::new();
        let cut = lock(&self.fill.state).cut_laggards(window, &mut wake);
        wake.into_iter().for_each(Waker::wake);
        self.store.counters().laggards.fetch_add(cut as u64, Relaxed);
        cut
    }

    fn take(&mut self, chunk: Bytes) -> Result<(), PushError> {
        let length = match &self.head {
            Some(head) if !self.ended => head.length,
            _ => return Err(PushError::Closed),
        };
        self.received += chunk.len() as u64;
        if length.is_some_and(|length| self.received > length) {
            self.end(Phase::Failed(FillError::Overrun));
            return Err(PushError::Overrun);
        }
        if !self.sliding && !self.fits(chunk.len()) {
            self.slide();
        }
        if self.sliding {
            self.rest = chunk;
            return Ok(());
        }
        self.grow(chunk);
        if self.fill.revoked() && self.readers() == 0 { Err(PushError::Abandoned) } else { Ok(()) }
    }

    /// Whether `more` bytes may be kept too; if so they are taken from the budget.
    fn fits(&self, more: usize) -> bool {
        self.received <= self.store.object_bytes_max() && lock(&self.fill.state).reserve(more)
    }

    fn grow(&mut self, mut chunk: Bytes) {
        while !chunk.is_empty() {
            let piece = self.gather.push(chunk.split_to(chunk.len().min(self.gather.room())));
            self.change(|state| state.append(piece));
            // Merging copies up to a slice: without the lock.
            while let Some(merge) = self.gather.merge() {
                lock(&self.fill.state).merge(merge);
            }
        }
    }

    /// From now on the fill slides: nobody joins, nothing is stored.
    fn slide(&mut self) {
        self.sliding = true;
        Counters::add(&self.store.counters().windows);
        self.store.shard(self.fill.key).remove(&self.fill);
        self.gather = Gather::default();
        lock(&self.fill.state).slide();
    }

    /// The body is whole: stores it, then tells the readers. A body that differs from its
    /// announced length is an error for all of them.
    pub fn finish(mut self, trailers: Option<HeaderMap>) -> Result<Finished, FillError> {
        let head = match &self.head {
            Some(head) if !self.ended => head.clone(),
            _ => return Err(FillError::Abandoned),
        };
        let is_short = head.length.is_some_and(|length| length != self.received);
        if is_short || !self.rest.is_empty() {
            self.end(Phase::Failed(FillError::Truncated));
            return Err(FillError::Truncated);
        }
        let trailers = kept_trailers(trailers);
        if self.sliding {
            self.end(Phase::Finished { head, trailers, object: None });
            return Ok(Finished::Passed);
        }
        if let Some(merge) = self.gather.finish() {
            lock(&self.fill.state).merge(merge);
        }
        let head = match head.length {
            Some(_) => head,
            None => Arc::new(Head { length: Some(self.received), ..(*head).clone() }),
        };
        let body = Body::from_slices(lock(&self.fill.state).slices());
        let object = Arc::new(Object { head: head.clone(), body, trailers: trailers.clone() });
        let stored = self.store.keep(&self.fill, &object);
        let phase = Phase::Finished { head, trailers, object: Some(object.clone()) };
        self.end(phase);
        if !stored {
            return Ok(Finished::Refused);
        }
        lock(&self.fill.state).discharge();
        Ok(Finished::Stored(object))
    }

    /// The fill failed, for all its readers.
    pub fn fail(mut self, error: FillError) {
        self.end(Phase::Failed(error));
    }

    /// The answer is not for sharing: releases all readers at once. For `remember` the key is
    /// marked so that requests do not wait for each other.
    pub fn pass(mut self, remember: Duration, now: Now) {
        let remember_ms = u64::try_from(remember.as_millis()).unwrap_or(u64::MAX);
        if remember_ms > 0 {
            let until = now.mono_ms.saturating_add(remember_ms);
            self.store.mark_pass(self.fill.key, &self.fill.full_key, until);
        }
        Counters::add(&self.store.counters().passes);
        self.end(Phase::Passed);
    }

    /// The stored response `old` is valid: its renewed head is stored, and all readers get the
    /// object. If `old` was invalidated or replaced meanwhile, the readers get it all the same.
    pub fn refreshed(mut self, old: &Arc<Object>, storable: Storable) -> Arc<Object> {
        let object = self.store.refresh(&self.fill, old, storable);
        self.end(Phase::Answered(object.clone()));
        object
    }

    /// A part of the response has come: it is stored as an object whose slices are stored one by
    /// one, under `body`, and all readers get that. `storable` is of the whole, `length` its
    /// length in bytes.
    pub fn sliced(mut self, storable: Storable, length: u64, body: BodyId) -> Arc<Object> {
        let tags = self.store.tags(&self.fill.full_key, storable.headers());
        let head = Head::received(storable, Some(length), tags, &self.fill);
        let head = Head { body_id: body, ..head };
        let body = Body::apart(body, length);
        let object = Arc::new(Object { head: Arc::new(head), body, trailers: None });
        self.store.keep(&self.fill, &object);
        self.end(Phase::Answered(object.clone()));
        object
    }

    /// Readers that wait or read now.
    pub fn readers(&self) -> usize {
        lock(&self.fill.state).readers.live()
    }

    /// Whether the body can still be stored. If not, and there are no readers, nobody wants it.
    pub fn storing(&self) -> bool {
        !self.sliding && !self.ended && !self.fill.revoked()
    }

    /// Waits until nobody reads and the body cannot be stored. To be selected with the source.
    pub async fn abandoned(&self) {
        poll_fn(|cx| {
            let mut state = lock(&self.fill.state);
            state.writer_waits(cx);
            if state.readers.live() == 0 && !self.storing() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    fn end(&mut self, phase: Phase) {
        self.ended = true;
        if matches!(phase, Phase::Failed(_)) {
            Counters::add(&self.store.counters().failures);
        }
        self.store.shard(self.fill.key).remove(&self.fill);
        self.change(|state| state.phase = phase);
    }

    /// Changes the state, then wakes the waiting readers without the lock.
    fn change(&mut self, change: impl FnOnce(&mut State)) {
        let mut wake = mem::take(&mut self.wake);
        {
            let mut state = lock(&self.fill.state);
            change(&mut state);
            state.readers.take_waiting(&mut wake);
        }
        wake.drain(..).for_each(Waker::wake);
        self.wake = wake;
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Phase::Failed(FillError::Abandoned));
        }
        self.store.counters().fills_active.fetch_sub(1, Relaxed);
    }
}
