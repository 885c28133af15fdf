//! How many connections to one target may be in use at once, over all workers: the gate, with its
//! places. Whoever finds none waits for one, for a limited time among a limited number.
//!
//! What holds a place, and until when:
//!
//! | what | place | until |
//! |---|---|---|
//! | HTTP/1.1 request | one of the connections' | its response has ended and its request too |
//! | HTTP/2 connection | one of the connections' | none of its streams is left |
//! | HTTP/2 stream | one of the streams' (of a worker) | its response has ended |
//! | upgraded connection | one of the tunnels' | it has closed |
//!
//! Idle connections hold none. Streams share the place of their connection, so that a target that
//! speaks HTTP/2 is not held to as many requests as it may have connections; and tunnels, which
//! live for hours, have places of their own, so that they leave the others to ordinary requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::target::{ClientSettings, SendError, Target};

/// Targets for which a gate is remembered.
const GATES_MAX: usize = 65_536;

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A number of places, and those who wait for one.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Places {
    pub(crate) fn new(number: usize, waiting_max: usize) -> Self {
        let free = Arc::new(Semaphore::new(number.clamp(1, Semaphore::MAX_PERMITS)));
        Self { free, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A place, if one is free now.
    pub(crate) fn try_enter(&self) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// A place, waited for no longer than `limit`.
    pub(crate) async fn enter(&self, limit: Duration) -> Result<Place, SendError> {
        if let Some(place) = self.try_enter() {
            return Ok(place);
        }
        /// Counts down even when the wait is dropped.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(SendError::PoolFull);
        }
        match tokio::time::timeout(limit, self.free.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(SendError::PoolFull),
        }
    }

    /// Whether nobody could enter now without waiting.
    pub(crate) fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }
}

/// The places at one target.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) connections: Places,
    pub(crate) tunnels: Places,
}

/// The gates of all targets, the same for all workers.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<Target, Arc<Gate>>>);

impl Gates {
    pub(crate) fn of(&self, target: &Target, settings: &ClientSettings) -> Arc<Gate> {
        // A panic while it is held leaves a map that is whole: inserts are single calls.
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= GATES_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let places = |number| Places::new(number, settings.waiters_max);
        let gate = gates.entry(target.clone()).or_insert_with(|| {
            let connections = places(settings.connections_max);
            Arc::new(Gate { connections, tunnels: places(settings.tunnels_max) })
        });
        gate.clone()
    }
}
