//! How many requests of a site next hops may hold at a time. Each takes a connection until there is
//! what it waits for, and a client can make up as many numbers as it likes.

use super::rules::Rules;
use crate::normalize::Ask;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The place of one held request; none for any other.
pub(crate) struct Held(Option<Arc<Rules>>);

/// There is no place left.
pub(crate) struct Full;

impl Held {
    /// Takes a place, if this request may be held.
    pub(crate) fn enter(ask: &Ask) -> Result<Self, Full> {
        let Some(rules) = ask.site.media.as_ref().filter(|_| ask.media.may_be_held()) else {
            return Ok(Self(None));
        };
        let before = rules.held.fetch_add(1, Relaxed);
        let held = Self(Some(Arc::clone(rules)));
        if before < rules.held_max { Ok(held) } else { Err(Full) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(rules) = &self.0 {
            rules.held.fetch_sub(1, Relaxed);
        }
    }
}
