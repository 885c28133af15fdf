//! Whether a next hop may be asked, learned from what happened to requests (passive) and, where
//! probes are configured, from asking on purpose (active). Pure: time is an argument.
//!
//! ```text
//!            failures in a row >= fail_count
//!      Up ------------------------------------> Down until t (doubling, bounded)
//!      ^                                          |
//!      | success of the trial                     | t has come
//!      |                                          v
//!      +------------------------------------- Trial: one request at a time is let through
//!                     failure of the trial: back to Down for twice as long
//! ```
//! A failed probe holds the hop down on its own until a probe succeeds: both reasons must clear.

/// How many failures, and how long each mark-down lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealthRules {
    /// Failures in a row after which the hop is marked down.
    pub(crate) fail_count: u32,
    /// The first mark-down, in milliseconds.
    pub(crate) down_ms: u64,
    /// The longest mark-down, in milliseconds.
    pub(crate) down_ms_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down { until_ms: u64 },
    Trial { since_ms: u64 },
}

/// The health of one next hop.
#[derive(Debug)]
pub(crate) struct Health {
    state: State,
    failures: u32,
    down_ms: u64,
    probe_failed: bool,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { state: State::Up, failures: 0, down_ms: 0, probe_failed: false }
    }

    /// Whether a request may be sent now: it is up, or its mark-down has run out and nobody is
    /// trying it, or whoever does has not come back for as long as the longest mark-down.
    pub(crate) fn may_try(&self, now_ms: u64, rules: &HealthRules) -> bool {
        !self.probe_failed
            && match self.state {
                State::Up => true,
                State::Down { until_ms } => now_ms >= until_ms,
                State::Trial { since_ms } => now_ms.saturating_sub(since_ms) > rules.down_ms_max,
            }
    }

    /// As [`Health::may_try`], and takes the trial of a hop that is not up: until it is decided or
    /// given back, others are told no.
    pub(crate) fn admit(&mut self, now_ms: u64, rules: &HealthRules) -> bool {
        let admitted = self.may_try(now_ms, rules);
        if admitted && self.state != State::Up {
            self.state = State::Trial { since_ms: now_ms };
        }
        admitted
    }

    /// A request ended. If it was the trial and said nothing about the hop (its client left), the
    /// next one may try.
    pub(crate) fn released(&mut self) {
        if let State::Trial { .. } = self.state {
            self.state = State::Down { until_ms: 0 };
        }
    }

    /// Whether it is held to be working, without taking the trial.
    pub(crate) fn is_up(&self) -> bool {
        !self.probe_failed && self.state == State::Up
    }

    /// A response arrived, whatever its status. True when this brought the hop back.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_down = self.state != State::Up;
        self.state = State::Up;
        self.failures = 0;
        self.down_ms = 0;
        was_down
    }

    /// No response arrived. True when this marked the hop down.
    pub(crate) fn failed(&mut self, now_ms: u64, rules: &HealthRules) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Up if self.failures < rules.fail_count => false,
            State::Down { .. } => false,
            State::Up | State::Trial { .. } => {
                self.down_ms = match self.down_ms {
                    0 => rules.down_ms,
                    before => before.saturating_mul(2).min(rules.down_ms_max),
                };
                self.state = State::Down { until_ms: now_ms.saturating_add(self.down_ms) };
                true
            }
        }
    }

    /// A probe came back. True when this changed whether the hop may be asked.
    pub(crate) fn probed(&mut self, ok: bool) -> bool {
        let changed = self.probe_failed == ok;
        self.probe_failed = !ok;
        if ok && self.state != State::Up {
            self.succeeded();
            return true;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: HealthRules = HealthRules { fail_count: 2, down_ms: 1_000, down_ms_max: 4_000 };

    #[test]
    fn a_hop_goes_down_after_failures_in_a_row_only() {
        let mut health = Health::new();
        assert!(!health.failed(0, &RULES));
        health.succeeded();
        assert!(!health.failed(0, &RULES));
        assert!(health.admit(0, &RULES));
        assert!(health.failed(0, &RULES));
        assert!(!health.admit(999, &RULES));
    }

    #[test]
    fn one_trial_at_a_time_decides_whether_it_comes_back() {
        let mut health = Health::new();
        health.failed(0, &RULES);
        health.failed(0, &RULES);
        assert!(health.admit(1_000, &RULES), "the trial");
        assert!(!health.admit(1_000, &RULES), "nobody else meanwhile");
        assert!(health.failed(1_001, &RULES));
        assert!(!health.admit(3_000, &RULES), "the second mark-down lasts twice as long");
        assert!(health.admit(3_001, &RULES));
        assert!(health.succeeded());
        assert!(health.admit(3_001, &RULES) && health.admit(3_001, &RULES));
    }

    #[test]
    fn mark_downs_grow_to_their_bound() {
        let mut health = Health::new();
        let mut now = 0;
        health.failed(now, &RULES);
        for expected in [1_000, 2_000, 4_000, 4_000] {
            health.failed(now, &RULES);
            assert!(!health.admit(now + expected - 1, &RULES));
            assert!(health.admit(now + expected, &RULES));
            now += expected;
        }
    }

    #[test]
    fn a_trial_nobody_decided_is_given_again() {
        let mut health = Health::new();
        health.failed(0, &RULES);
        health.failed(0, &RULES);
        assert!(health.admit(1_000, &RULES));
        assert!(!health.admit(5_000, &RULES));
        assert!(health.admit(5_001, &RULES));
    }

    #[test]
    fn a_trial_that_decided_nothing_is_given_back() {
        let mut health = Health::new();
        health.failed(0, &RULES);
        health.failed(0, &RULES);
        assert!(health.may_try(1_000, &RULES) && health.may_try(1_000, &RULES), "asking is free");
        assert!(health.admit(1_000, &RULES));
        health.released();
        assert!(health.admit(1_000, &RULES));
    }

    #[test]
    fn a_failed_probe_holds_it_down_until_a_probe_succeeds() {
        let mut health = Health::new();
        assert!(health.probed(false));
        assert!(!health.admit(0, &RULES) && !health.is_up());
        health.succeeded();
        assert!(!health.admit(0, &RULES), "a lucky request does not overrule the probe");
        assert!(health.probed(true));
        assert!(health.admit(0, &RULES));
    }

    #[test]
    fn a_good_probe_ends_a_passive_mark_down() {
        let mut health = Health::new();
        health.failed(0, &RULES);
        health.failed(0, &RULES);
        assert!(health.probed(true));
        assert!(health.admit(1, &RULES));
    }
}
