//! Which bodies must stay although no object uses them (yet), and which are being removed.
//!
//! ```text
//! hold() -> held --keep()--> kept until ... -> forgotten
//!   |          '--drop----> forgotten, if nobody keeps it
//!   '-- waits while the body is being removed
//! ```
//! A body is removed only while it is neither held nor kept nor used, and nobody can begin to hold
//! it until it is gone: whoever holds a body and then finds it there can rely on that.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::problem::{Kind, Problem};
use crate::state::digest::Digest;

/// Bodies that are held or kept at most.
const PINS_MAX: usize = 1_000_000;

/// The table of what must stay.
#[derive(Default)]
pub(super) struct Pins {
    /// Held for a few instructions.
    table: Mutex<Table>,
    /// Something was removed.
    removed: Notify,
}

#[derive(Default)]
struct Table {
    pins: HashMap<Digest, Pin>,
    going: HashSet<Digest>,
    holds: u64,
}

#[derive(Clone, Copy, Default)]
struct Pin {
    holders: u32,
    /// On the monotonic clock; zero if nobody keeps it.
    until_ms: u64,
    /// The only hold that keeps it, if it is only one.
    by: Option<u64>,
}

impl Pin {
    const fn is_live(&self, now_ms: u64) -> bool {
        self.holders > 0 || self.until_ms > now_ms
    }
}

/// As long as this lives, the body stays.
pub(crate) struct Hold {
    pins: Arc<Pins>,
    digest: Digest,
    number: u64,
}

/// A body that is being removed.
pub(super) struct Going {
    pins: Arc<Pins>,
    digest: Digest,
}

impl Pins {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a body, whether it is there or not.
    pub(super) async fn hold(
        self: &Arc<Self>,
        digest: Digest,
        now_ms: u64,
    ) -> Result<Hold, Problem> {
        loop {
            let removed = self.removed.notified();
            if let Some(hold) = self.try_hold(digest, now_ms)? {
                return Ok(hold);
            }
            removed.await;
        }
    }

    fn try_hold(self: &Arc<Self>, digest: Digest, now_ms: u64) -> Result<Option<Hold>, Problem> {
        let mut table = self.table();
        if table.going.contains(&digest) {
            return Ok(None);
        }
        if table.pins.len() >= PINS_MAX && !table.pins.contains_key(&digest) {
            table.pins.retain(|_, pin| pin.is_live(now_ms));
            if table.pins.len() >= PINS_MAX {
                let detail = "too many bodies wait to be published";
                return Err(Problem::new(Kind::TooMany, detail));
            }
        }
        table.holds += 1;
        let number = table.holds;
        table.pins.entry(digest).or_default().holders += 1;
        Ok(Some(Hold { pins: Arc::clone(self), digest, number }))
    }

    /// Begins to remove a body unless it must stay.
    pub(super) fn take(
        self: &Arc<Self>,
        digest: Digest,
        now_ms: u64,
        is_used: impl FnOnce() -> bool,
    ) -> Option<Going> {
        let mut table = self.table();
        let is_live = table.pins.get(&digest).is_some_and(|pin| pin.is_live(now_ms));
        if is_live || is_used() || !table.going.insert(digest) {
            return None;
        }
        table.pins.remove(&digest);
        Some(Going { pins: Arc::clone(self), digest })
    }

    /// Begins to remove a body that only this hold wants to stay.
    pub(super) fn take_back(&self, hold: &Hold, is_used: impl FnOnce() -> bool) -> Option<Going> {
        let mut table = self.table();
        let pin = table.pins.get(&hold.digest).copied().unwrap_or_default();
        let is_alone = pin.holders == 1 && (pin.until_ms == 0 || pin.by == Some(hold.number));
        if !is_alone || is_used() || !table.going.insert(hold.digest) {
            return None;
        }
        if let Some(pin) = table.pins.get_mut(&hold.digest) {
            (pin.until_ms, pin.by) = (0, None);
        }
        Some(Going { pins: Arc::clone(&hold.pins), digest: hold.digest })
    }

    /// Forgets what need not be kept any more.
    pub(super) fn forget(&self, now_ms: u64) {
        self.table().pins.retain(|_, pin| pin.is_live(now_ms));
    }
}

impl Hold {
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Keeps the body until then, however long this hold lives.
    pub(crate) fn keep(&self, until_ms: u64) {
        let mut table = self.pins.table();
        if let Some(pin) = table.pins.get_mut(&self.digest) {
            pin.by = (pin.until_ms == 0).then_some(self.number);
            pin.until_ms = pin.until_ms.max(until_ms);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.pins.table();
        let Some(pin) = table.pins.get_mut(&self.digest) else { return };
        pin.holders -= 1;
        if pin.holders == 0 && pin.until_ms == 0 {
            table.pins.remove(&self.digest);
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.pins.table().going.remove(&self.digest);
        self.pins.removed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const NOW_MS: u64 = 1_000;

    fn held(pins: &Arc<Pins>, digest: Digest) -> Hold {
        pins.try_hold(digest, NOW_MS).expect("there is room").expect("it is not going")
    }

    fn goes(pins: &Arc<Pins>, digest: Digest, now_ms: u64) -> bool {
        pins.take(digest, now_ms, || false).is_some()
    }

    #[test]
    fn what_is_held_kept_or_used_stays() {
        let (pins, digest) = (Arc::new(Pins::default()), Digest::of(b"a"));
        assert!(pins.take(digest, NOW_MS, || true).is_none());
        assert!(goes(&pins, digest, NOW_MS));
        let hold = held(&pins, digest);
        assert!(!goes(&pins, digest, NOW_MS));
        hold.keep(NOW_MS + 10);
        drop(hold);
        assert!(!goes(&pins, digest, NOW_MS + 9));
        assert!(goes(&pins, digest, NOW_MS + 10));
    }

    #[test]
    fn only_what_nobody_else_wants_is_taken_back() {
        let (pins, digest) = (Arc::new(Pins::default()), Digest::of(b"a"));
        let (one, two) = (held(&pins, digest), held(&pins, digest));
        one.keep(NOW_MS + 10);
        assert!(pins.take_back(&one, || false).is_none(), "two hold it");
        two.keep(NOW_MS + 10);
        drop(two);
        assert!(pins.take_back(&one, || false).is_none(), "two kept it");

        let digest = Digest::of(b"b");
        let hold = held(&pins, digest);
        hold.keep(NOW_MS + 10);
        assert!(pins.take_back(&hold, || true).is_none(), "it is used");
        assert!(pins.take_back(&hold, || false).is_some());
    }

    #[test]
    fn who_wants_to_hold_what_is_going_waits_until_it_is_gone() {
        let (pins, digest) = (Arc::new(Pins::default()), Digest::of(b"a"));
        let going = pins.take(digest, NOW_MS, || false).expect("it goes");
        let mut wanted = Box::pin(pins.hold(digest, NOW_MS));
        assert!(wanted.as_mut().now_or_never().is_none());
        assert!(pins.take(digest, NOW_MS, || false).is_none(), "it goes once");
        drop(going);
        assert!(wanted.now_or_never().is_some());
    }
}
