//! Waiting without guessing: a gate that a test opens, and polling with a bounded patience.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything in the suite may take before it counts as lost. Long, because a loaded
/// machine is slow; a passing test never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls `fact` until it holds; false when the patience ran out.
pub fn eventually(fact: impl FnMut() -> bool) -> bool {
    eventually_within(PATIENCE, fact)
}

/// Like [`eventually`], with a patience of its own.
pub fn eventually_within(patience: Duration, mut fact: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(200);
    loop {
        if fact() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A door that a test holds shut. Whoever waits at it is counted, so that a test can open it when
/// everyone it expects has arrived.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// A shut gate.
    #[must_use]
    pub fn shut() -> Self {
        Self::default()
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        changed.notify_all();
    }

    /// Waits until the gate is open; false when the patience ran out.
    #[must_use]
    pub fn wait(&self) -> bool {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        changed.notify_all();
        let (mut state, _) = changed
            .wait_timeout_while(state, PATIENCE * 2, |state| !state.open)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.open
    }

    /// Waits until `count` are waiting at the gate; false when the patience ran out.
    #[must_use]
    pub fn reached_by(&self, count: usize) -> bool {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| state.waiting < count)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting >= count
    }
}
