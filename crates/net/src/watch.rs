//! What one connection is waiting for, written by its IO, its service and its bodies, and read by
//! the worker's tick, which ends connections that ran out of time. There is no timer per request:
//! times are those of the worker's last tick, and a limit is kept to within one tick.
//!
//! ```text
//!   accept --> first head --> in flight --> idle --> next head --> in flight ...
//!      |            |            |            |
//!      +- header ---+            |            +- idle limit: closed, parked after a while
//!                                +- client takes nothing: send limit
//! ```
//!
//! Whether a client takes anything is read from what its kernel acknowledges. Our own writes tell
//! less: a socket is writable again only after much has drained, and a slow client may need longer
//! for that than the limit.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::clock::millis;
use crate::counters::Counters;
use crate::lines::FieldLines;
use crate::settings::Timeouts;
use crate::upgrade::{ClientUpgrade, Upgraded};

/// No time.
const NEVER: u64 = u64::MAX;
/// An idle HTTP/1.x connection gives its buffers back after this, or a quarter of the idle limit.
const PARK_AFTER_MS: u64 = 2_000;
/// How long a connection may take to say goodbye after it was asked to finish while idle.
const GOODBYE_MS: u64 = 1_000;

/// How many times within the send limit a blocked connection is looked at.
const LOOKS: u64 = 4;

/// What the tick, or a drain, wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Wish {
    #[default]
    None,
    /// Give buffers back and wait for the next byte (HTTP/1.x).
    Park,
    /// Finish what runs, then close.
    Finish,
    /// Close now.
    Close(Cause),
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Head,
    Idle,
    Send,
    Flood,
}

/// Where a request to leave HTTP stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum UpgradeStep {
    /// Bytes after the request are held back until it is answered.
    #[default]
    Undecided,
    /// Answered 101: everything is opaque now.
    Accepted,
    /// Answered otherwise, and nothing had come behind the request: HTTP goes on.
    Declined,
    /// Answered otherwise, with bytes behind it that will never be read: closing.
    Closing,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Milliseconds of the worker's last tick.
    now: Rc<Cell<u64>>,
    pub(crate) requests: Cell<u64>,
    requests_counted: Cell<u64>,
    in_flight: Cell<u32>,
    idle_since: Cell<u64>,
    head_since: Cell<u64>,
    /// Since when a write waits and the client has acknowledged nothing.
    blocked_since: Cell<u64>,
    /// Bytes written and not acknowledged at the last look since then, and when to look again.
    unacknowledged: Cell<Option<u32>>,
    look_at: Cell<u64>,
    /// Response bodies (HTTP/2) whose last frame still waits to be sent.
    handed: Cell<u32>,
    handed_progress: Cell<u64>,
    finish_since: Cell<u64>,
    accepted_at: u64,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    parked: Cell<bool>,
    is_http2: Cell<bool>,
    pub(crate) upgrade_step: Cell<UpgradeStep>,
    /// The guard holds bytes behind a request to leave HTTP.
    pub(crate) holds_bytes: Cell<bool>,
    upgrade: RefCell<Option<oneshot::Sender<Upgraded>>>,
    /// For the head of the response that is written next (HTTP/1.x).
    pub(crate) lines: RefCell<FieldLines>,
    /// Whether the present request's response may have lines.
    pub(crate) takes_lines: Cell<bool>,
    wish: Cell<Wish>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    pub(crate) fn new(now: Rc<Cell<u64>>) -> Rc<Self> {
        let at = now.get();
        Rc::new(Self {
            now,
            requests: Cell::new(0),
            requests_counted: Cell::new(0),
            in_flight: Cell::new(0),
            idle_since: Cell::new(at),
            head_since: Cell::new(at),
            blocked_since: Cell::new(NEVER),
            unacknowledged: Cell::new(None),
            look_at: Cell::new(at),
            handed: Cell::new(0),
            handed_progress: Cell::new(at),
            finish_since: Cell::new(NEVER),
            accepted_at: at,
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            parked: Cell::new(false),
            is_http2: Cell::new(false),
            upgrade_step: Cell::new(UpgradeStep::Undecided),
            holds_bytes: Cell::new(false),
            upgrade: RefCell::new(None),
            lines: RefCell::default(),
            takes_lines: Cell::new(false),
            wish: Cell::new(Wish::None),
            waker: RefCell::new(None),
        })
    }

    /// What is wanted of the connection; the task is woken when that changes.
    pub(crate) fn poll_wish(&self, cx: &Context<'_>) -> Wish {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
        self.wish.get()
    }

    fn wish(&self, wish: Wish) {
        self.wish.set(wish);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The time of the worker's last tick.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now.get()
    }

    /// Takes back a wish to park that was followed or overtaken.
    pub(crate) fn clear_park(&self) {
        if self.wish.get() == Wish::Park {
            self.wish.set(Wish::None);
        }
    }

    pub(crate) fn set_http2(&self) {
        self.is_http2.set(true);
    }

    pub(crate) fn set_parked(&self, parked: bool) {
        self.parked.set(parked);
    }

    /// Bytes of an unfinished head are here, or not.
    pub(crate) fn head_partial(&self, is_partial: bool) {
        if !is_partial {
            self.head_since.set(NEVER);
        } else if self.head_since.get() == NEVER {
            self.head_since.set(self.now.get());
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        if self.blocked_since.replace(NEVER) != NEVER {
            self.unacknowledged.set(None);
            self.idle_since.set(self.now.get());
        }
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
    }

    /// Notes what became of a write.
    pub(crate) fn count_write(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(bytes)) => self.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.write_blocked(),
        }
    }

    pub(crate) fn write_blocked(&self) {
        if self.blocked_since.get() == NEVER {
            self.blocked_since.set(self.now.get());
        }
    }

    /// Adds what happened since the last call to the counters.
    pub(crate) fn flush(&self, counters: &Counters) {
        let requests = self.requests.get();
        let fresh = requests - self.requests_counted.replace(requests);
        for (counter, value) in [
            (&counters.requests, fresh),
            (&counters.bytes_in, self.bytes_in.take()),
            (&counters.bytes_out, self.bytes_out.take()),
        ] {
            if value > 0 {
                counter.fetch_add(value, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.in_flight.get() == 0 && self.blocked_since.get() == NEVER
    }

    /// A response body handed out a frame; progress is the asking for the next one.
    pub(crate) fn handed_out(&self) {
        if self.handed.get() == 0 {
            self.handed_progress.set(self.now.get());
        }
        self.handed.set(self.handed.get() + 1);
    }

    pub(crate) fn handed_taken(&self) {
        self.handed.set(self.handed.get().saturating_sub(1));
        self.handed_progress.set(self.now.get());
    }

    /// A flood of control frames: say goodbye, then close.
    pub(crate) fn flooded(&self) {
        if !matches!(self.wish.get(), Wish::Close(_)) {
            self.wish(Wish::Close(Cause::Flood));
        }
    }

    /// Gives memory back while nothing is on its way.
    pub(crate) fn release(&self) {
        if !self.has_lines() {
            self.lines.take();
        }
    }

    /// Whether lines wait for the head that is written next.
    pub(crate) fn has_lines(&self) -> bool {
        !self.lines.borrow().is_empty()
    }

    pub(crate) fn on_upgrade(&self) -> ClientUpgrade {
        let (sender, receiver) = oneshot::channel();
        *self.upgrade.borrow_mut() = Some(sender);
        ClientUpgrade(receiver)
    }

    pub(crate) fn take_upgrade(&self) -> Option<oneshot::Sender<Upgraded>> {
        self.upgrade.borrow_mut().take()
    }

    /// Asks the connection to finish: for a drain. One that just came and has not said anything yet
    /// is left a moment, so that no request already on its way is lost.
    pub(crate) fn drain(&self, grace_ms: u64) {
        if self.wish.get() == Wish::Finish || matches!(self.wish.get(), Wish::Close(_)) {
            return;
        }
        let is_new = self.requests.get() == 0 && self.in_flight.get() == 0;
        if !is_new || self.now.get().saturating_sub(self.accepted_at) > grace_ms {
            self.finish();
        }
    }

    fn finish(&self) {
        self.finish_since.set(self.now.get());
        self.wish(Wish::Finish);
    }

    /// While a write waits, asks what is not acknowledged yet: any change is progress, for nothing
    /// was written meanwhile. Over HTTP/2 it is progress of the frames that wait for the write too.
    fn look(&self, send: u64, unacknowledged: impl FnOnce() -> Option<u32>) {
        let now = self.now.get();
        if self.blocked_since.get() == NEVER || now < self.look_at.get() {
            return;
        }
        self.look_at.set(now.saturating_add(send / LOOKS));
        let found = unacknowledged();
        let before = self.unacknowledged.replace(found);
        if before.is_some() && found.is_some() && before != found {
            self.blocked_since.set(now);
            self.handed_progress.set(now);
        }
    }

    /// The tick: looks at every limit. `tick_ms` is how much older than shown times may be;
    /// `unacknowledged` asks how many bytes the client has yet to acknowledge.
    pub(crate) fn check(
        &self,
        timeouts: &Timeouts,
        tick_ms: u64,
        unacknowledged: impl FnOnce() -> Option<u32>,
    ) {
        let is_http2 = self.is_http2.get();
        if matches!(self.wish.get(), Wish::Close(_)) {
            return;
        }
        let now = self.now.get();
        let over = |since: u64, limit: u64| {
            since != NEVER && now.saturating_sub(since) > limit.saturating_add(tick_ms)
        };
        let send = millis(timeouts.send);
        self.look(send, unacknowledged);
        if over(self.blocked_since.get(), send)
            || (self.handed.get() > 0 && over(self.handed_progress.get(), send))
        {
            return self.wish(Wish::Close(Cause::Send));
        }
        // A response that the library has whole is not in flight any more, but may wait here.
        if self.in_flight.get() > 0 || self.blocked_since.get() != NEVER {
            return;
        }
        if !is_http2 && over(self.head_since.get(), millis(timeouts.header)) {
            return self.wish(Wish::Close(Cause::Head));
        }
        if self.wish.get() == Wish::Finish {
            if over(self.finish_since.get().max(self.idle_since.get()), GOODBYE_MS) {
                self.wish(Wish::Close(Cause::Idle));
            }
            return;
        }
        if over(self.idle_since.get(), millis(timeouts.idle)) {
            if is_http2 {
                self.finish();
            } else {
                self.wish(Wish::Close(Cause::Idle));
            }
        } else if !is_http2
            && !self.parked.get()
            && over(self.idle_since.get(), PARK_AFTER_MS.min(millis(timeouts.idle) / 4))
        {
            self.wish(Wish::Park);
        }
    }
}

/// One thing that keeps a connection from being idle: a request until its response was handed
/// over, and a request body until it was read or dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Rc<Watch>);

impl InFlight {
    pub(crate) fn new(watch: &Rc<Watch>) -> Self {
        watch.in_flight.set(watch.in_flight.get() + 1);
        Self(watch.clone())
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get().saturating_sub(1);
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.idle_since.set(self.0.now.get());
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
