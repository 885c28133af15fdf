//! A page on its way: a line of text and fragments in the order of the document. What is in front
//! goes out as soon as it is there; what is behind is asked for meanwhile.

use super::fragment::{self, Failed, Fragment, Task};
use super::head::Life;
use super::limits;
use super::rules::Rules;
use super::text::Text;
use super::trace::Trace;
use super::visitor::View;
use crate::node::Core;
use crate::normalize::Ask;
use bytes::Bytes;
use selvedge_esi::{Evaluator, Faults, Piece, State};
use selvedge_net::BodyError;
use selvedge_policy::Key;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Pieces that wait in line at most; the page is not read farther.
const LINE_MAX: usize = 1_024;
/// Bytes of text that wait in line at most.
const LINE_BYTES_MAX: usize = 4 << 20;
/// Bytes of fragments that a page holds before their turn.
const HELD_BYTES_MAX: usize = 16 << 20;

/// What a page and all its fragments share.
pub(crate) struct Page {
    pub(crate) core: Rc<Core>,
    /// The request of the client.
    pub(crate) ask: Rc<Ask>,
    pub(crate) rules: Arc<Rules>,
    /// Fragments that may still be asked for.
    left: Cell<usize>,
    /// Bytes of fragments that wait for their turn.
    held: Cell<usize>,
    /// How long the least lasting part may be kept.
    pub(crate) life: Cell<Life>,
    pub(crate) trace: Option<RefCell<Trace>>,
}

impl Page {
    pub(super) fn new(core: &Rc<Core>, ask: &Rc<Ask>, rules: Arc<Rules>, life: Life) -> Rc<Self> {
        Rc::new(Self {
            core: Rc::clone(core),
            ask: Rc::clone(ask),
            left: Cell::new(rules.fragments_max),
            held: Cell::new(0),
            life: Cell::new(life),
            trace: Trace::of(core, ask).map(RefCell::new),
            rules,
        })
    }

    /// Counts a fragment; false if there have been enough.
    pub(super) fn take_fragment(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    /// Whether so many more bytes may be held.
    pub(super) fn may_hold(&self, bytes: usize) -> bool {
        self.held.get() + bytes <= HELD_BYTES_MAX
    }

    pub(super) fn hold(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    /// Counts something that is wrong with the page.
    pub(super) fn fault(&self, word: &'static str) {
        self.ask.site.counters.here().esi_faults.inc(word);
    }

    pub(super) fn faults(&self, faults: &Faults) {
        if !faults.is_empty() {
            for (kind, count) in faults.counts() {
                (0..count.min(FAULTS_COUNTED_MAX)).for_each(|_| self.fault(kind.word()));
            }
        }
    }
}

/// A page with a fault in each of thousands of tags is not worth thousands of additions.
const FAULTS_COUNTED_MAX: u32 = 100;

/// The resources that a fragment is within.
pub(crate) struct Lineage {
    key: Key,
    above: Option<Rc<Self>>,
    depth: usize,
}

impl Lineage {
    pub(super) fn new(key: Key, above: Option<&Rc<Self>>) -> Rc<Self> {
        let depth = above.map_or(0, |above| above.depth + 1);
        Rc::new(Self { key, above: above.cloned(), depth })
    }

    /// 0 for the page.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, key: Key) -> bool {
        self.key == key || self.above.as_ref().is_some_and(|above| above.has(key))
    }
}

/// A page, or a fragment that is one itself, while it is assembled.
pub(crate) struct Assembly {
    page: Rc<Page>,
    /// The request for it.
    ask: Rc<Ask>,
    lineage: Rc<Lineage>,
    text: Text,
    /// Of the evaluator; `None` only while that runs.
    state: Option<State>,
    pieces: Vec<Piece>,
    line: VecDeque<Slot>,
    line_bytes: usize,
    waiting: usize,
    /// Asked for, and not all there.
    running: usize,
}

/// A place in line.
enum Slot {
    Text(Bytes),
    /// To be asked for when others have come.
    Waiting(Task),
    Running(Pin<Box<dyn Future<Output = Result<Fragment, Failed>>>>),
    /// All of it, or the beginning: then it still counts as running.
    Come(Fragment),
    Failed,
}

/// The word for a page that a fragment without which it is none has broken.
pub(super) const FRAGMENT: BodyError = BodyError::Aborted("esi-fragment");

impl Assembly {
    pub(super) fn new(page: Rc<Page>, ask: Rc<Ask>, lineage: Rc<Lineage>, text: Text) -> Self {
        Self {
            page,
            ask,
            lineage,
            text,
            state: Some(State::new(limits())),
            pieces: Vec::new(),
            line: VecDeque::new(),
            line_bytes: 0,
            waiting: 0,
            running: 0,
        }
    }

    /// Pieces that are there already, within the page that this one is.
    pub(super) fn of_pieces(
        page: &Rc<Page>,
        ask: &Rc<Ask>,
        lineage: &Rc<Lineage>,
        pieces: Vec<Piece>,
    ) -> Self {
        let (page, ask, lineage) = (Rc::clone(page), Rc::clone(ask), Rc::clone(lineage));
        let mut assembly = Self::new(page, ask, lineage, Text::Ended);
        assembly.pieces = pieces;
        assembly.line_up();
        assembly
    }

    /// The next bytes. After an error nothing more comes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let read = match self.read(cx) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let moved = self.run(cx) | read;
            let running = self.running;
            let front = self.front(cx);
            // One that ended makes room for one that waits.
            let moved = moved | (self.running < running);
            match front {
                Front::Bytes(bytes) => return Poll::Ready(Some(Ok(bytes))),
                Front::Broken(error) => return Poll::Ready(Some(Err(error))),
                Front::Empty if matches!(self.text, Text::Ended) => {
                    if let Some(state) = self.state.take() {
                        self.page.faults(state.faults());
                    }
                    return Poll::Ready(None);
                }
                Front::Empty | Front::NotYet if !moved => return Poll::Pending,
                Front::Empty | Front::NotYet => {}
            }
        }
    }

    /// Reads on in the page as far as there is room in line. Whether something came.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, BodyError> {
        if matches!(self.text, Text::Ended) {
            return Ok(false);
        }
        let Some(state) = self.state.take() else { return Ok(false) };
        let (ask, page) = (Rc::clone(&self.ask), Rc::clone(&self.page));
        let view = View::new(&ask, &page.rules);
        let mut evaluator = Evaluator::resume(&view, state);
        let mut moved = false;
        let mut outcome = Ok(());
        while self.line.len() < LINE_MAX && self.line_bytes < LINE_BYTES_MAX {
            let faults = |faults: &Faults| page.faults(faults);
            match self.text.poll(cx, &mut evaluator, &mut self.pieces, faults) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => {
                    outcome = Err(error);
                    break;
                }
                Poll::Ready(Ok(more)) => {
                    moved = true;
                    self.line_up();
                    if !more {
                        break;
                    }
                }
            }
        }
        self.state = Some(evaluator.into_state());
        if view.is_personal.get() {
            self.page.life.set(self.page.life.get().of_one_visitor());
        }
        outcome.map(|()| moved)
    }

    /// Puts pieces in line.
    fn line_up(&mut self) {
        for piece in self.pieces.drain(..) {
            let slot = match piece {
                Piece::Text(text) => {
                    self.line_bytes += text.len();
                    Slot::Text(text)
                }
                Piece::Include(include) => Slot::Waiting(Task::Include(include)),
                Piece::Try(both) => Slot::Waiting(Task::Try(both)),
            };
            self.waiting += usize::from(matches!(slot, Slot::Waiting(_)));
            self.line.push_back(slot);
        }
    }

    /// Asks for what may be asked for, and sees what has come. Whether something did.
    fn run(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if self.waiting == 0 && self.running == 0 {
            return moved;
        }
        for slot in &mut self.line {
            if self.waiting > 0
                && self.running < self.page.rules.parallel_max
                && matches!(slot, Slot::Waiting(_))
                && let Slot::Waiting(task) = std::mem::replace(slot, Slot::Failed)
            {
                let (page, ask) = (Rc::clone(&self.page), Rc::clone(&self.ask));
                let work = fragment::obtain(page, ask, Rc::clone(&self.lineage), task);
                *slot = Slot::Running(Box::pin(work));
                self.waiting -= 1;
                self.running += 1;
            }
            if let Slot::Running(work) = slot
                && let Poll::Ready(outcome) = work.as_mut().poll(cx)
            {
                let is_open = outcome.as_ref().is_ok_and(Fragment::is_open);
                self.running -= usize::from(!is_open);
                *slot = outcome.map_or(Slot::Failed, Slot::Come);
                moved = true;
            }
        }
        moved
    }

    /// What is in front.
    fn front(&mut self, cx: &mut Context<'_>) -> Front {
        loop {
            let bytes = match self.line.front_mut() {
                None => return Front::Empty,
                Some(Slot::Waiting(_) | Slot::Running(_)) => return Front::NotYet,
                Some(Slot::Failed) => return Front::Broken(FRAGMENT),
                Some(Slot::Text(text)) => {
                    self.line_bytes -= text.len();
                    let text = std::mem::take(text);
                    self.line.pop_front();
                    text
                }
                Some(Slot::Come(fragment)) => match fragment.poll(cx) {
                    Poll::Pending => return Front::NotYet,
                    Poll::Ready(Some(Ok(bytes))) => bytes,
                    Poll::Ready(Some(Err(error))) => return Front::Broken(error),
                    Poll::Ready(None) => {
                        self.running -= usize::from(fragment.is_open());
                        self.line.pop_front();
                        continue;
                    }
                },
            };
            if !bytes.is_empty() {
                return Front::Bytes(bytes);
            }
        }
    }
}

/// What is in front of the line.
enum Front {
    Bytes(Bytes),
    NotYet,
    Empty,
    Broken(BodyError),
}
