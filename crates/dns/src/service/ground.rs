//! What queries are answered from: swapped whole, seen by workers between two batches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selvedge_authority::{RateLimits, Responder};
use selvedge_geo::world::World;

/// See the module. Each of its parts has a writer of its own.
#[derive(Debug)]
pub struct Ground {
    /// Rises with each change: a worker need not take the lock to see that there is none.
    version: AtomicU64,
    /// Held to copy pointers.
    parts: Mutex<Parts>,
}

/// How queries are answered, beside what is in them.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Zones and settings.
    pub responder: Arc<Responder>,
    /// How often equal replies go to one network.
    pub rates: Arc<RateLimits>,
    /// Share of the queries that are logged.
    pub log_share: f64,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) manner: Manner,
    pub(crate) world: Arc<World>,
}

impl Ground {
    /// The first one.
    #[must_use]
    pub fn new(manner: Manner, world: Arc<World>) -> Self {
        Self { version: AtomicU64::new(1), parts: Mutex::new(Parts { manner, world }) }
    }

    /// From now on queries are answered so.
    pub fn set_manner(&self, manner: Manner) {
        self.parts().manner = manner;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// From now on this is how nodes and regions are.
    pub fn set_world(&self, world: Arc<World>) {
        self.parts().world = world;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// How queries are answered now.
    #[must_use]
    pub fn manner(&self) -> Manner {
        self.parts().manner.clone()
    }

    /// How nodes and regions are now.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.parts().world)
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
