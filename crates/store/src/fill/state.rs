//! The state of one fill: a pure state machine under one lock, held for moments only.
//!
//! ```text
//!                 head()                    finish()
//!   Waiting ------------------> Open ---------------------> Finished
//!      |  |                      | \  too long, or no         ^
//!      |  |                      |  \ memory left             |
//!      |  |  refreshed()         |   `----> Open, sliding ----'
//!      |  `-------> Answered     |                |
//!      |  pass()                 |  fail() or writer dropped
//!      `---------> Passed        `----------------+---------> Failed
//! ```
//!
//! While it grows, a fill keeps every byte from offset 0, so a reader may join at any time. While
//! it slides, each piece counts the readers that have not had it and goes when that is nobody.
//! The slowest reader sets the pace then; one that stands still while others wait is cut.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;

use super::budget::Budget;
use super::gather::{Merge, PIECE_COST};
use super::readers::{ReaderId, Readers};
use crate::error::FillError;
use crate::fields::Fields;
use crate::head::Head;
use crate::object::Object;

#[derive(Debug)]
pub(crate) enum Phase {
    /// No head yet.
    Waiting,
    /// The head is there, bytes come.
    Open(Arc<Head>),
    /// All bytes have come; `object` if they are all kept.
    Finished { head: Arc<Head>, trailers: Option<Arc<Fields>>, object: Option<Arc<Object>> },
    /// A stored object is the answer.
    Answered(Arc<Object>),
    /// The answer is not for sharing.
    Passed,
    /// It ended without a whole body.
    Failed(FillError),
}

#[derive(Debug)]
struct Piece {
    start: u64,
    bytes: Bytes,
    /// Readers that have not had it; counted only while sliding.
    unread: u32,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn cost(&self) -> usize {
        self.bytes.len() + PIECE_COST
    }
}

/// What a reader finds when it asks for bytes.
pub(crate) enum Read {
    Chunk(Bytes),
    End,
    Failed(FillError),
    /// Nothing yet: the waker is registered.
    Pending,
}

/// What the writer may do next while sliding.
pub(crate) enum Room {
    Bytes(usize),
    /// Too little: the waker is registered.
    Pending,
    /// No reader is left.
    Nobody,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) readers: Readers,
    pieces: VecDeque<Piece>,
    sliding: bool,
    /// Bytes that have come.
    end: u64,
    /// What the pieces cost.
    held: usize,
    /// What of it was taken from the budget.
    charged: u64,
    /// The writer, when it waits for room or for the last reader to leave.
    writer: Option<Waker>,
    budget: Arc<Budget>,
}

impl State {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            phase: Phase::Waiting,
            readers: Readers::default(),
            pieces: VecDeque::new(),
            sliding: false,
            end: 0,
            held: 0,
            charged: 0,
            writer: None,
            budget,
        }
    }

    /// Whether the fill still keeps all bytes and has not ended.
    pub(crate) fn joinable(&self) -> bool {
        !self.sliding && matches!(self.phase, Phase::Waiting | Phase::Open(_))
    }

    /// Takes what `bytes` more in one piece will cost from the budget.
    pub(crate) fn reserve(&mut self, bytes: usize) -> bool {
        let cost = (bytes + PIECE_COST) as u64;
        let taken = self.budget.take(cost);
        self.charged += if taken { cost } else { 0 };
        taken
    }

    /// Shows a piece to all readers.
    pub(crate) fn append(&mut self, bytes: Bytes) {
        let unread = if self.sliding { self.readers.live() as u32 } else { 0 };
        let piece = Piece { start: self.end, bytes, unread };
        self.end = piece.end();
        self.held += piece.cost();
        self.pieces.push_back(piece);
    }

    /// Puts one piece in the place of the last ones; readers notice nothing.
    pub(crate) fn merge(&mut self, merge: Merge) {
        assert!(!self.sliding, "only a growing fill merges");
        let first = self.pieces.len() - merge.replaced;
        let start = self.pieces[first].start;
        let replaced: usize = self.pieces.drain(first..).map(|piece| piece.cost()).sum();
        let piece = Piece { start, bytes: merge.merged, unread: 0 };
        assert_eq!(piece.end(), self.end, "a merge changes no length");
        self.held = self.held - replaced + piece.cost();
        self.pieces.push_back(piece);
        self.settle();
    }

    /// From now on only what some reader still wants is held. No reader joins after this.
    pub(crate) fn slide(&mut self) {
        self.sliding = true;
        for piece in &mut self.pieces {
            piece.unread = 0;
        }
        for offset in self.readers.offsets() {
            let first = self.pieces.partition_point(|piece| piece.end() <= offset);
            if let Some(piece) = self.pieces.get_mut(first) {
                piece.unread += 1;
            }
        }
        let mut unread = 0;
        for piece in &mut self.pieces {
            unread += piece.unread;
            piece.unread = unread;
        }
        self.drop_read();
    }

    /// Room for the writer in a window of `window` bytes, of which it wants `wanted` at most.
    pub(crate) fn room(&mut self, window: usize, wanted: usize, cx: &Context<'_>) -> Room {
        if self.readers.live() == 0 {
            return Room::Nobody;
        }
        let room = window.saturating_sub(self.held + PIECE_COST);
        if room >= wanted.min(window / 4) {
            return Room::Bytes(room.min(wanted));
        }
        self.writer = Some(cx.waker().clone());
        Room::Pending
    }

    /// Cuts the readers that stand still where the writer needs room, if another one has had all
    /// there is and waits for them. Who has read a quarter of a window since the last look is slow
    /// but does not stand still. Those that are cut are to be woken by the caller.
    pub(crate) fn cut_laggards(&mut self, window: usize, wake: &mut Vec<Waker>) -> usize {
        let least = window / 4;
        let mut excess = (self.held + PIECE_COST + least).saturating_sub(window);
        let mut limit = 0;
        for piece in &self.pieces {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(piece.cost());
            limit = piece.end();
        }
        let others_wait = self.readers.offsets().any(|next| next == self.end);
        if !self.sliding || !others_wait {
            return 0;
        }
        let pieces = &mut self.pieces;
        let cut = self.readers.cut(limit, least as u64, wake, |offset| {
            let first = pieces.partition_point(|piece| piece.end() <= offset);
            pieces.range_mut(first..).for_each(|piece| piece.unread -= 1);
        });
        // The writer itself is asking: it need not be woken.
        self.drop_read();
        cut
    }

    /// The writer waits for the last reader to leave.
    pub(crate) fn writer_waits(&mut self, cx: &Context<'_>) {
        self.writer = Some(cx.waker().clone());
    }

    /// The waker of a waiting writer.
    pub(crate) fn take_writer(&mut self) -> Option<Waker> {
        self.writer.take()
    }

    /// The next bytes for a reader, and the writer's waker if that made room.
    pub(crate) fn read(&mut self, id: ReaderId, cx: &Context<'_>) -> (Read, Option<Waker>) {
        if self.readers.is_cut(id) {
            return (Read::Failed(FillError::Lagging), None);
        }
        let next = self.readers.next(id);
        if next < self.end {
            let index = self.pieces.partition_point(|piece| piece.end() <= next);
            let piece = &mut self.pieces[index];
            let chunk = piece.bytes.slice((next - piece.start) as usize..);
            let end = piece.end();
            self.readers.advance(id, end);
            if self.sliding {
                piece.unread -= 1;
                return (Read::Chunk(chunk), self.drop_read());
            }
            return (Read::Chunk(chunk), None);
        }
        let read = match &self.phase {
            Phase::Finished { .. } => Read::End,
            Phase::Failed(error) => Read::Failed(error.clone()),
            Phase::Answered(_) | Phase::Passed => Read::End,
            Phase::Waiting | Phase::Open(_) => {
                self.readers.wait(id, cx.waker());
                Read::Pending
            }
        };
        (read, None)
    }

    /// A reader goes, wherever it stood. Returns the writer's waker if the writer should look.
    pub(crate) fn leave(&mut self, id: ReaderId) -> Option<Waker> {
        let offset = self.readers.leave(id)?;
        if self.sliding {
            let first = self.pieces.partition_point(|piece| piece.end() <= offset);
            for piece in self.pieces.range_mut(first..) {
                piece.unread -= 1;
            }
            return self.drop_read().or_else(|| self.writer.take());
        }
        if self.readers.live() == 0 { self.writer.take() } else { None }
    }

    /// The slices of a finished body: merged pieces, each but the last a whole slice.
    pub(crate) fn slices(&self) -> Vec<Bytes> {
        self.pieces.iter().map(|piece| piece.bytes.clone()).collect()
    }

    /// The bytes are accounted for elsewhere now.
    pub(crate) fn discharge(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.charged));
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Drops the pieces that nobody wants; room for the writer if there were any.
    fn drop_read(&mut self) -> Option<Waker> {
        let before = self.held;
        while let Some(piece) = self.pieces.pop_front_if(|piece| piece.unread == 0) {
            self.held -= piece.cost();
        }
        if self.held == before {
            return None;
        }
        self.settle();
        self.writer.take()
    }

    /// Gives back what was taken from the budget and is not held any more.
    fn settle(&mut self) {
        let excess = self.charged.saturating_sub(self.held as u64);
        self.charged -= excess;
        self.budget.give_back(excess);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.discharge();
    }
}
