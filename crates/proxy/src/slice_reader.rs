//! Reading an object whose slices are stored one by one: from memory, from a fetch that runs, and
//! where there is a gap from one that it begins.
//!
//! ```text
//!   Look --- in memory --> Bytes ---.
//!    ^ |---- on disk ----> Disk ----+--> next slice: Look
//!    | `---- a fetch ----> Fill ----|
//!    `---------------------- ended -'
//! ```
//!
//! It holds one slice at a time, however slow its client is. All that it gives is of one version of
//! the object: bytes of another one are found under another name, and no fetch brings them.

use crate::node::Core;
use crate::normalize::Ask;
use crate::rescue::{self, Failure};
use crate::slices::{self, Begun};
use bytes::Bytes;
use selvedge_net::BodyError;
use selvedge_store::{
    DiskSlice, DiskStep, FillError, FillOutcome, FillReader, Object, Piece, Reading, SLICE_BYTES,
    SliceFound, SliceId,
};
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A reader of some bytes of such an object.
pub(crate) struct SliceReader {
    core: Rc<Core>,
    ask: Rc<Ask>,
    object: Arc<Object>,
    reading: Reading,
    next: u64,
    end: u64,
    at: At,
    /// Fetches of this slice that failed.
    failures: u32,
}

/// Where the next bytes come from.
enum At {
    /// Not known yet.
    Look,
    /// Stored bytes.
    Bytes(Bytes),
    /// A slice on disk.
    Disk(DiskSlice),
    /// A fetch that runs, after this many bytes of it.
    Fill(FillReader, u64),
}

/// A fetch that broke off is begun again this often, from where it broke off.
const FAILURES_MAX: u32 = 1;

impl SliceReader {
    /// A reader of these bytes; `None` if the body is held as a whole.
    pub(crate) fn new(
        core: &Rc<Core>,
        ask: &Rc<Ask>,
        object: &Arc<Object>,
        bytes: Range<u64>,
    ) -> Option<Self> {
        let body = object.body.sliced()?;
        let end = bytes.end.min(object.body.len());
        Some(Self {
            core: Rc::clone(core),
            ask: Rc::clone(ask),
            object: Arc::clone(object),
            reading: Reading::of(&core.node.store, body),
            next: bytes.start.min(end),
            end,
            at: At::Look,
            failures: 0,
        })
    }

    /// The object.
    pub(crate) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// The same reader if it is about to read these bytes, else another one of the same object.
    pub(crate) fn of(self, bytes: Range<u64>) -> Self {
        if (self.next, self.end) == (bytes.start, bytes.end) {
            return self;
        }
        let end = bytes.end.min(self.object.body.len());
        Self { next: bytes.start.min(end), end, at: At::Look, failures: 0, ..self }
    }

    /// Another reader of the same object.
    pub(crate) fn another(&self, bytes: Range<u64>) -> Self {
        let fresh = Self {
            core: Rc::clone(&self.core),
            ask: Rc::clone(&self.ask),
            object: Arc::clone(&self.object),
            reading: self.reading.clone(),
            at: At::Look,
            ..*self
        };
        fresh.of(bytes)
    }

    /// Bytes not yet given.
    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.next
    }

    /// Waits until it is certain that the first bytes will come.
    pub(crate) async fn ready(&mut self) -> Result<(), Failure> {
        if matches!(self.at, At::Look) && self.remaining() > 0 {
            self.look()?;
        }
        let At::Fill(reader, _) = &self.at else { return Ok(()) };
        match reader.head().await {
            FillOutcome::Failed(error) => Err(rescue::of_fill(&error)),
            FillOutcome::Head(_) | FillOutcome::Object(_) | FillOutcome::Pass => Ok(()),
        }
    }

    /// The next bytes; `None` when all have been given.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// `next` without a future.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if self.next >= self.end {
                self.at = At::Look;
                return Poll::Ready(None);
            }
            let left = usize::try_from(self.remaining()).unwrap_or(usize::MAX);
            match &mut self.at {
                At::Look => {
                    if let Err(failure) = self.look() {
                        return Poll::Ready(Some(Err(aborted(&failure))));
                    }
                }
                At::Bytes(bytes) => {
                    let given = bytes.split_to(bytes.len().min(left));
                    self.at = At::Look;
                    return self.give(given);
                }
                At::Disk(slice) => {
                    let step = ready!(slice.poll_step(self.next, self.end, cx));
                    if let Some(bytes) = self.took(step) {
                        return match bytes {
                            Ok(bytes) => self.give(bytes),
                            Err(failure) => Poll::Ready(Some(Err(aborted(&failure)))),
                        };
                    }
                }
                At::Fill(reader, skip) => match ready!(reader.poll_chunk(cx)) {
                    Some(Ok(mut bytes)) => {
                        let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(bytes.len());
                        *skip -= skipped as u64;
                        drop(bytes.split_to(skipped));
                        bytes.truncate(left);
                        if !bytes.is_empty() {
                            return self.give(bytes);
                        }
                    }
                    Some(Err(error)) => {
                        if let Err(failure) = self.failed(&error) {
                            return Poll::Ready(Some(Err(aborted(&failure))));
                        }
                    }
                    None => self.at = At::Look,
                },
            }
        }
    }

    fn give(&mut self, bytes: Bytes) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.next += bytes.len() as u64;
        if self.next.is_multiple_of(SLICE_BYTES as u64) {
            self.failures = 0;
        }
        Poll::Ready(Some(Ok(bytes)))
    }

    /// Finds out where the next bytes come from, and has those behind them fetched if so wanted.
    fn look(&mut self) -> Result<(), Failure> {
        let id = SliceId::holding(self.reading.body(), self.next);
        self.look_for(id)?;
        if self.ask.site.read_ahead > 0 {
            slices::read_ahead(&self.core, &self.ask, &self.object, id);
        }
        Ok(())
    }

    fn look_for(&mut self, id: SliceId) -> Result<(), Failure> {
        let slice = self.bounds(id);
        let gap = match self.core.node.store.find_slice(id) {
            SliceFound::Memory(piece) => return self.take_from(&piece),
            SliceFound::Disk(slice) => {
                self.at = At::Disk(slice);
                return Ok(());
            }
            SliceFound::Missing => slice,
        };
        self.fetch(gap)
    }

    /// Reads on in what is at hand of the present slice; what is not is fetched.
    fn take_from(&mut self, piece: &Piece) -> Result<(), Failure> {
        if let Some(bytes) = piece.from(self.next) {
            self.at = At::Bytes(bytes);
            return Ok(());
        }
        let slice = self.bounds(piece.id());
        let is_behind = piece.first() > self.next;
        let gap = if is_behind { slice.start..piece.first() } else { piece.end()..slice.end };
        self.fetch(gap)
    }

    /// The bytes of the body in a slice.
    fn bounds(&self, id: SliceId) -> Range<u64> {
        id.first()..(id.first() + SLICE_BYTES as u64).min(self.object.body.len())
    }

    /// What a step of a reading from disk leads to: bytes, a failure, or another place to read.
    fn took(&mut self, step: DiskStep) -> Option<Result<Bytes, Failure>> {
        let slice = self.bounds(SliceId::holding(self.reading.body(), self.next));
        let gap = match step {
            DiskStep::Bytes(bytes) => return Some(Ok(bytes)),
            DiskStep::Whole(piece) => {
                let taken = self.take_from(&piece);
                self.core.node.store.remember_slice(piece);
                return taken.err().map(Err);
            }
            // The step before was the last one of its slice.
            DiskStep::Holds(range) if range.end <= slice.start => {
                self.at = At::Look;
                return None;
            }
            DiskStep::Holds(range) if range.start > self.next => slice.start..range.start,
            DiskStep::Holds(range) => range.end..slice.end,
            DiskStep::Lost => slice,
        };
        self.fetch(gap).err().map(Err)
    }

    /// Joins or begins the fetch of what is missing.
    fn fetch(&mut self, gap: Range<u64>) -> Result<(), Failure> {
        match slices::begin(&self.core, &self.ask, &self.object, gap, self.end) {
            // What begins behind the place is not for this reader, who looks again at its end.
            Begun::Reader(reader, first) => {
                let skip = self.next.checked_sub(first).unwrap_or(u64::MAX);
                self.at = At::Fill(reader, skip);
            }
            Begun::Stored => self.at = At::Look,
            Begun::Full => return Err(Failure::Fill(slices::FULL)),
        }
        Ok(())
    }

    /// A fetch failed: whether it is begun again. Another version is never asked for twice.
    fn failed(&mut self, error: &FillError) -> Result<(), Failure> {
        let failure = rescue::of_fill(error);
        self.failures += 1;
        self.at = At::Look;
        let is_final = matches!(failure, Failure::Changed) || self.failures > FAILURES_MAX;
        if is_final { Err(failure) } else { Ok(()) }
    }
}

fn aborted(failure: &Failure) -> BodyError {
    BodyError::Aborted(rescue::answer(failure).word)
}
