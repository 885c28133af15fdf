//! How far a node is, for everybody who asks: readiness, metrics, reports.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::time::Duration;

use selvedge_feed::Intent;
use selvedge_net::Clock;

/// How far a node is with what control says.
#[derive(Debug)]
pub struct Standing {
    clock: Clock,
    /// Everything up to this revision is in force.
    applied: AtomicU64,
    /// Everything that control had when it last spoke is in force.
    current: AtomicBool,
    /// When control was last heard.
    heard_ms: AtomicU64,
    lag_max_ms: AtomicU64,
    intent: AtomicU8,
    /// How often a stream began.
    streams_begun: AtomicU64,
}

impl Standing {
    /// Of a node that starts with everything up to `applied` in force.
    #[must_use]
    pub fn new(clock: Clock, lag_max: Duration) -> Self {
        let standing = Self {
            clock,
            applied: AtomicU64::new(0),
            current: AtomicBool::new(false),
            heard_ms: AtomicU64::new(clock.now_mono_ms()),
            lag_max_ms: AtomicU64::new(0),
            intent: AtomicU8::new(0),
            streams_begun: AtomicU64::new(0),
        };
        standing.set_lag_max(lag_max);
        standing
    }

    /// After this long without a word from control the node is not ready.
    pub fn set_lag_max(&self, lag_max: Duration) {
        let lag_max_ms = u64::try_from(lag_max.as_millis()).unwrap_or(u64::MAX);
        self.lag_max_ms.store(lag_max_ms, Relaxed);
    }

    /// See [`Self::set_lag_max`].
    pub(crate) fn lag_max_ms(&self) -> u64 {
        self.lag_max_ms.load(Relaxed)
    }

    /// Everything up to this revision is in force.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.load(Acquire)
    }

    /// How often the stream began.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams_begun.load(Relaxed)
    }

    /// Why no traffic should come here, in a word.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<&'static str> {
        let silent_ms = self.clock.now_mono_ms().saturating_sub(self.heard_ms.load(Acquire));
        if silent_ms > self.lag_max_ms.load(Relaxed) {
            return Some("control-lost");
        }
        if !self.current.load(Acquire) {
            return Some("catching-up");
        }
        match self.intent.load(Relaxed) {
            0 => None,
            1 => Some(Intent::Draining.word()),
            _ => Some(Intent::Offline.word()),
        }
    }

    /// Control has spoken: its newest revision was `head`. The node is current once that is in
    /// force, and no longer if a new stream shows that it is not.
    pub(crate) fn hear(&self, head: u64) {
        self.current.store(head <= self.applied(), Release);
        self.heard();
    }

    /// A stream begins that tells something else than what is in force, or may.
    pub(crate) fn begin(&self, head: u64, stands: bool) {
        self.streams_begun.fetch_add(1, AcqRel);
        self.current.store(stands && head <= self.applied(), Release);
        self.heard();
    }

    /// Control has said something.
    pub(crate) fn heard(&self) {
        self.heard_ms.store(self.clock.now_mono_ms(), Release);
    }

    pub(crate) fn set_applied(&self, revision: u64) {
        self.applied.store(revision, Release);
    }

    pub(crate) fn set_intent(&self, intent: Intent) {
        let number = match intent {
            Intent::Online => 0,
            Intent::Draining => 1,
            Intent::Offline => 2,
        };
        self.intent.store(number, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_has_caught_up_and_hears_control() {
        let standing = Standing::new(Clock::start(), Duration::from_secs(60));
        assert_eq!(standing.why_not_ready(), Some("catching-up"));
        standing.begin(3, true);
        standing.hear(3);
        assert_eq!(standing.why_not_ready(), Some("catching-up"));
        standing.set_applied(3);
        standing.hear(3);
        assert_eq!(standing.why_not_ready(), None);
        standing.set_intent(Intent::Draining);
        assert_eq!(standing.why_not_ready(), Some("draining"));
        standing.set_intent(Intent::Offline);
        assert_eq!(standing.why_not_ready(), Some("offline"));
        standing.set_intent(Intent::Online);
        standing.begin(3, true);
        assert_eq!(standing.why_not_ready(), None, "nothing was missed");
        standing.begin(4, true);
        assert_eq!(standing.why_not_ready(), Some("catching-up"));
    }

    #[test]
    fn a_node_that_hears_nothing_has_lost_control() {
        let clock = Clock::start_at(1_000);
        let standing = Standing::new(clock, Duration::from_secs(60));
        standing.begin(0, true);
        assert_eq!(standing.why_not_ready(), None);
        standing.heard_ms.store(0, Relaxed);
        standing.set_lag_max(Duration::from_millis(999));
        assert_eq!(standing.why_not_ready(), Some("control-lost"));
        standing.begin(1, true);
        assert_eq!(standing.why_not_ready(), Some("catching-up"), "a purge may have been missed");
        standing.set_applied(1);
        standing.hear(1);
        assert_eq!(standing.why_not_ready(), None);
    }
}
