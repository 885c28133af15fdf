//! Tests of the limits of a connection: `watch.rs`.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::{Cause, InFlight, Watch, Wish};
use crate::settings::Timeouts;

fn timeouts() -> Timeouts {
    Timeouts {
        handshake: Duration::from_secs(1),
        header: Duration::from_secs(2),
        idle: Duration::from_secs(10),
        body: Duration::from_secs(1),
        send: Duration::from_secs(5),
    }
}

struct Bench {
    now: Rc<Cell<u64>>,
    unacknowledged: Cell<u32>,
    watch: Rc<Watch>,
}

impl Bench {
    fn new() -> Self {
        let now = Rc::new(Cell::new(1_000));
        let (watch, unacknowledged) = (Watch::new(now.clone()), Cell::new(0));
        Self { now, unacknowledged, watch }
    }

    fn after(&self, ms: u64, is_http2: bool) -> Wish {
        self.now.set(self.now.get() + ms);
        if is_http2 {
            self.watch.set_http2();
        }
        self.watch.check(&timeouts(), 100, || Some(self.unacknowledged.get()));
        self.watch.poll_wish(&Context::from_waker(Waker::noop()))
    }
}

/// A client that says nothing, or half a head, is closed after the header limit.
#[test]
fn heads_must_come_in_time() {
    let bench = Bench::new();
    assert_eq!(bench.after(2_000, false), Wish::None);
    assert_eq!(bench.after(101, false), Wish::Close(Cause::Head));
    let bench = Bench::new();
    bench.watch.head_partial(false);
    assert_eq!(bench.after(2_050, false), Wish::None);
    bench.watch.head_partial(true);
    bench.watch.head_partial(true);
    assert_eq!(bench.after(2_101, false), Wish::Close(Cause::Head));
}

/// A request in flight has no limit here; afterwards the connection parks, then closes.
#[test]
fn idle_connections_park_and_close() {
    let bench = Bench::new();
    bench.watch.head_partial(false);
    let request = InFlight::new(&bench.watch);
    assert_eq!(bench.after(100_000, false), Wish::None);
    drop(request);
    assert_eq!(bench.after(2_101, false), Wish::Park);
    bench.watch.clear_park();
    bench.watch.set_parked(true);
    assert_eq!(bench.after(1_000, false), Wish::None);
    assert_eq!(bench.after(7_000, false), Wish::Close(Cause::Idle));
}

/// HTTP/2 is asked to finish first, and closed if it does not.
#[test]
fn idle_http2_is_finished_then_closed() {
    let bench = Bench::new();
    assert_eq!(bench.after(10_101, true), Wish::Finish);
    assert_eq!(bench.after(1_101, true), Wish::Close(Cause::Idle));
}

/// A blocked write, or a body frame nobody takes, runs into the send limit; progress resets it.
#[test]
fn stalled_readers_are_closed() {
    for is_http2 in [false, true] {
        let bench = Bench::new();
        let _request = InFlight::new(&bench.watch);
        bench.watch.write_blocked();
        assert_eq!(bench.after(4_000, is_http2), Wish::None);
        bench.watch.wrote(1);
        bench.watch.write_blocked();
        assert_eq!(bench.after(4_000, is_http2), Wish::None);
        assert_eq!(bench.after(1_101, is_http2), Wish::Close(Cause::Send));
    }
    let bench = Bench::new();
    let _request = InFlight::new(&bench.watch);
    bench.watch.handed_out();
    assert_eq!(bench.after(4_000, true), Wish::None);
    bench.watch.handed_taken();
    assert_eq!(bench.after(100_000, true), Wish::None);
    bench.watch.handed_out();
    assert_eq!(bench.after(5_101, true), Wish::Close(Cause::Send));
}

/// A client that acknowledges anything within the limit goes on, whether our writes do or not;
/// one that stops is closed a limit after its last look, over HTTP/2 with frames waiting too.
#[test]
fn slow_readers_are_not_stalled() {
    for is_http2 in [false, true] {
        let bench = Bench::new();
        let _request = InFlight::new(&bench.watch);
        bench.unacknowledged.set(500_000);
        bench.watch.handed_out();
        bench.watch.write_blocked();
        for _ in 0..20 {
            assert_eq!(bench.after(2_000, is_http2), Wish::None);
            assert_eq!(bench.after(2_000, is_http2), Wish::None);
            bench.unacknowledged.set(bench.unacknowledged.get() - 1);
        }
        assert_eq!(bench.after(1_250, is_http2), Wish::None);
        assert_eq!(bench.after(5_000, is_http2), Wish::None);
        assert_eq!(bench.after(101, is_http2), Wish::Close(Cause::Send));
    }
}

/// A connection whose last response still waits to be written is not idle, however long that
/// takes; its time begins when the write is done.
#[test]
fn a_connection_that_waits_to_write_is_not_idle() {
    let bench = Bench::new();
    bench.watch.head_partial(false);
    drop(InFlight::new(&bench.watch));
    bench.watch.write_blocked();
    for left in (0..30).rev() {
        bench.unacknowledged.set(left);
        assert_eq!(bench.after(4_000, false), Wish::None);
    }
    bench.watch.wrote(1);
    assert_eq!(bench.after(2_101, false), Wish::Park);
    assert_eq!(bench.after(8_000, false), Wish::Close(Cause::Idle));
}

/// Frames that nothing but a shut window holds back make no progress by what is acknowledged
/// of other frames (CVE-2019-9517).
#[test]
fn a_shut_window_is_not_kept_open_by_acknowledgements() {
    let bench = Bench::new();
    let _request = InFlight::new(&bench.watch);
    bench.watch.handed_out();
    for _ in 0..4 {
        bench.unacknowledged.set(bench.unacknowledged.get() + 17);
        bench.watch.wrote(17);
        assert_eq!(bench.after(1_000, true), Wish::None);
    }
    assert_eq!(bench.after(1_101, true), Wish::Close(Cause::Send));
}

/// A drain leaves a connection that has not spoken yet a moment.
#[test]
fn drain_spares_requests_on_their_way() {
    let bench = Bench::new();
    bench.watch.drain(500);
    assert_eq!(bench.after(0, false), Wish::None);
    bench.now.set(bench.now.get() + 501);
    bench.watch.drain(500);
    assert_eq!(bench.after(0, false), Wish::Finish);
}
