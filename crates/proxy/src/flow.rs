//! The flow of a body from the next hop into slices: a part of an object, or a whole that is too
//! long to be held in one piece.
//!
//! It begins the fills of a few slices ahead of the bytes, so that readers who come there wait for
//! them and do not ask again, and goes on while somebody reads the body. When nobody does it ends
//! with the slice at hand, unless most of the body is there; later readers fetch what is missing.

use crate::node::Core;
use crate::normalize::Ask;
use crate::rescue::{self, Failure};
use crate::slices::{RUN_BYTES_MAX, RUN_SLICES_MAX, SLICE};
use bytes::Bytes;
use http_body::Body as _;
use selvedge_net::UpstreamBody;
use selvedge_store::{BodyId, FillError, Head, PushError, SliceBegin, SliceId, SliceWriter};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

/// Slices that are filled by one answer, in the order of the body.
pub(crate) struct Flow {
    body: BodyId,
    head: Option<Arc<Head>>,
    writers: VecDeque<SliceWriter>,
    /// Where it began.
    first: u64,
    /// Where the next writer begins.
    next: u64,
    /// The end of what the answer brings.
    end: u64,
}

impl Flow {
    /// Begins to fill the slices of these bytes of a body.
    pub(crate) fn begin(core: &Core, body: BodyId, bytes: Range<u64>) -> Self {
        let Range { start, end } = bytes;
        let writers = VecDeque::new();
        let mut flow = Self { body, head: None, writers, first: start, next: start, end };
        flow.reach_ahead(core, &[], start);
        flow
    }

    /// A flow into slices whose fills have begun.
    pub(crate) fn into(body: BodyId, writers: VecDeque<SliceWriter>) -> Self {
        let first = writers.front().map_or(0, |writer| writer.missing().start);
        let end = writers.back().map_or(first, |writer| writer.missing().end);
        Self { body, head: None, writers, first, next: end, end }
    }

    /// What is to be fetched for the fills that have begun.
    pub(crate) fn missing(&self) -> Range<u64> {
        self.first..self.next
    }

    /// The answer brings more than was asked for, up to here: it is taken while somebody reads.
    pub(crate) fn may_go_on_to(&mut self, end: u64) {
        self.end = end;
    }

    /// Confirms to the readers that the slices will come.
    pub(crate) fn open(&mut self, ask: &Ask, head: &Arc<Head>) {
        self.writers.iter_mut().for_each(|writer| writer.open(head, &ask.full_key));
        self.head = Some(Arc::clone(head));
    }

    /// Moves a body whose first byte has the place `place` into the slices.
    pub(crate) async fn run(
        mut self,
        core: &Core,
        ask: &Ask,
        mut body: UpstreamBody,
        mut place: u64,
    ) {
        while !self.writers.is_empty() {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    let count = bytes.len() as u64;
                    ask.site.counters.here().upstream_received.add(count);
                    match self.take(bytes, place) {
                        Ok(0) => {}
                        Ok(_) if !self.is_wanted(core, place + count) => return,
                        Ok(_) => self.reach_ahead(core, &ask.full_key, place + count),
                        Err(error) => {
                            return ask.site.counters.here().fills_failed.inc(error.word());
                        }
                    }
                    place += count;
                }
                Some(Err(error)) => {
                    ask.site.counters.here().upstream_truncated.inc();
                    return self.fail(ask, &Failure::Broken(error));
                }
                None => {
                    let error = FillError::Truncated;
                    ask.site.counters.here().fills_failed.inc(error.word());
                    return self.writers.into_iter().for_each(|writer| writer.fail(error.clone()));
                }
            }
        }
        ask.site.counters.here().fills_stored.inc();
    }

    /// It has failed, for all readers.
    pub(crate) fn fail(self, ask: &Ask, failure: &Failure) {
        ask.site.counters.here().fills_failed.inc(rescue::answer(failure).word);
        for writer in self.writers {
            writer.fail(FillError::Source(Arc::new(failure.clone())));
        }
    }

    /// Gives each of the slices its bytes of a chunk that begins at `place`. How many slices that
    /// completed.
    fn take(&mut self, mut bytes: Bytes, mut place: u64) -> Result<usize, PushError> {
        let before = self.writers.len();
        while let (Some(writer), false) = (self.writers.front_mut(), bytes.is_empty()) {
            let missing = writer.missing();
            if missing.start < place {
                return Err(PushError::Closed);
            }
            let skipped = missing.start.saturating_sub(place).min(bytes.len() as u64);
            drop(bytes.split_to(skipped as usize));
            let count = (missing.end - missing.start).min(bytes.len() as u64);
            let now = bytes.split_to(count as usize);
            place += skipped + count;
            if !now.is_empty() && writer.push(now)? {
                self.writers.pop_front();
            }
        }
        Ok(before - self.writers.len())
    }

    /// Whether it is worth going on beyond `place`.
    fn is_wanted(&self, core: &Core, place: u64) -> bool {
        // Who made it begin may not have begun to read.
        place < self.first.saturating_add(RUN_BYTES_MAX)
            || core.node.store.is_read(self.body)
            || self.end.saturating_sub(place) < self.end / 10
    }

    /// Begins the fills of the slices that come next. What came before `place` when there was no
    /// room for a fill has gone by.
    fn reach_ahead(&mut self, core: &Core, full_key: &[u8], place: u64) {
        let store = &core.node.store;
        self.next = self.next.max(place);
        while self.next < self.end && (self.writers.len() as u64) < RUN_SLICES_MAX {
            let id = SliceId::holding(self.body, self.next);
            let end = (id.first() + SLICE).min(self.end);
            match store.begin_slice(id, self.next..end, core.node.now()) {
                SliceBegin::Lead(mut writer, _) => {
                    if let Some(head) = &self.head {
                        writer.open(head, full_key);
                    }
                    self.writers.push_back(writer);
                }
                SliceBegin::Join(..) | SliceBegin::Stored => {}
                SliceBegin::Full => return,
            }
            self.next = end;
        }
    }
}
