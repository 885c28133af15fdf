//! The one thread that writes the access log.
//!
//! It owns the open target. It sleeps until it is woken or 200 ms have gone by, takes what the
//! buffers hold and writes it. A failed write is counted and reported once until one succeeds.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::access::{Buffers, FLUSH_INTERVAL};
use crate::telemetry::Telemetry;

/// An open target.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout,
    Stderr,
    File(File),
    /// A target of a test.
    #[cfg(test)]
    Test(tests::TestSink),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(bytes),
            Self::File(file) => file.write_all(bytes),
            #[cfg(test)]
            Self::Test(sink) => sink.write_all(bytes),
        }
    }
}

/// The handle to the thread. Dropping it writes what is left and ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Protects the orders to the thread.
    orders: Mutex<Orders>,
    /// Told when there is an order.
    ordered: Condvar,
    /// Told when a round of writing is over.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Orders {
    wake: bool,
    end: bool,
    replacement: Option<Sink>,
    /// Rounds asked for and rounds finished: a flush waits for its number.
    rounds_wanted: u64,
    rounds_done: u64,
}

impl Writer {
    pub(crate) fn start(
        sink: Sink,
        buffers: Arc<Buffers>,
        telemetry: Arc<Telemetry>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let task = Task { sink, buffers, telemetry, torn: false, failing: false };
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || task.run(&theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for a round of writing soon.
    pub(crate) fn wake(&self) {
        self.shared.lock().wake = true;
        self.shared.ordered.notify_one();
    }

    /// Writes to another target from the next round on.
    pub(crate) fn replace(&self, sink: Sink) {
        let mut orders = self.shared.lock();
        orders.replacement = Some(sink);
        orders.wake = true;
        self.shared.ordered.notify_one();
    }

    /// Waits for a round that began after this call. False when `limit` passed first.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let mut orders = self.shared.lock();
        orders.rounds_wanted += 1;
        let mine = orders.rounds_wanted;
        self.shared.ordered.notify_one();
        let waiting = |orders: &mut Orders| orders.rounds_done < mine;
        let waited = self.shared.written.wait_timeout_while(orders, limit, waiting);
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().end = true;
        self.shared.ordered.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to wait for.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task {
    sink: Sink,
    buffers: Arc<Buffers>,
    telemetry: Arc<Telemetry>,
    /// The last write broke off inside a line: the next one begins on a fresh line.
    torn: bool,
    failing: bool,
}

impl Task {
    fn run(mut self, shared: &Shared) {
        let mut spare = Vec::new();
        loop {
            let (round, end) = self.wait(shared);
            let buffers = Arc::clone(&self.buffers);
            buffers.take_each(&mut spare, |lines| self.write(lines));
            shared.lock().rounds_done = round;
            shared.written.notify_all();
            if end {
                return;
            }
        }
    }

    /// Waits for an order or the interval; gives the round that now begins.
    fn wait(&mut self, shared: &Shared) -> (u64, bool) {
        let idle = |orders: &mut Orders| {
            !orders.wake && !orders.end && orders.rounds_done == orders.rounds_wanted
        };
        let waited = shared.ordered.wait_timeout_while(shared.lock(), FLUSH_INTERVAL, idle);
        let (mut orders, _) = waited.unwrap_or_else(PoisonError::into_inner);
        orders.wake = false;
        let replacement = orders.replacement.take();
        let round = (orders.rounds_wanted, orders.end);
        drop(orders);
        if let Some(sink) = replacement {
            self.sink = sink;
            self.torn = false;
        }
        round
    }

    fn write(&mut self, lines: &[u8]) {
        let fresh_line = if self.torn { self.sink.write_all(b"\n") } else { Ok(()) };
        match fresh_line.and_then(|()| self.sink.write_all(lines)) {
            Ok(()) => {
                self.torn = false;
                self.failing = false;
            }
            Err(error) => {
                self.torn = true;
                self.telemetry.node().access_log_errors.inc();
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "the access log cannot be written; lines are lost");
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    /// A target whose writes wait for a permit, and fail when the permit says so.
    #[derive(Debug)]
    pub(crate) struct TestSink {
        pub(crate) permits: Receiver<bool>,
        pub(crate) written: Arc<Mutex<Vec<u8>>>,
    }

    impl TestSink {
        pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
            // No permits left: the test is over, everything may go.
            if !self.permits.recv().unwrap_or(true) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        }
    }
}
