//! Locking that goes on after a panic elsewhere.
//!
//! Every critical section in this crate leaves its data whole before it can panic, so a poisoned
//! lock says nothing that matters here; one failed task must not stop the cache.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whatever happened to the last holder.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
