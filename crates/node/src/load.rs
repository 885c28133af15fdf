//! How busy a node is, from figures that only grow.

use selvedge_feed::{Ack, CacheFigures, Load, Report};

/// What a node has done and has now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Why it takes no traffic.
    pub why_not_ready: Option<&'static str>,
    /// User and system time so far, in seconds.
    pub cpu_s: f64,
    /// Cores it may use.
    pub cores: usize,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Client connections now.
    pub connections: u64,
    /// Requests so far.
    pub requests: u64,
    /// Bytes to clients so far.
    pub sent_bytes: u64,
    /// What its cache does.
    pub cache: CacheFigures,
}

impl Figures {
    /// How busy the node was since `before`, so many milliseconds ago.
    #[must_use]
    pub fn load(&self, before: &Self, ms: u64) -> Load {
        let seconds = (ms as f64 / 1000.0).max(0.001);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let cores = self.cores.max(1) as f64;
        let cpu = ((self.cpu_s - before.cpu_s) / seconds / cores).clamp(0.0, 1.0);
        Load {
            cpu,
            rss_bytes: self.rss_bytes,
            connections: self.connections,
            requests_per_s: rate(self.requests, before.requests),
            bytes_per_s: rate(self.sent_bytes, before.sent_bytes),
        }
    }

    /// What to tell of the time since `before`, so many milliseconds ago.
    #[must_use]
    pub(crate) fn report(&self, before: &Self, ms: u64, ack: Ack, lag_max_ms: u64) -> Report {
        Report {
            ack,
            ready: self.why_not_ready.is_none(),
            why: self.why_not_ready.map(str::to_owned),
            lag_max_ms,
            load: self.load(before, ms),
            cache: self.cache,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let before =
            Figures { cpu_s: 1.0, cores: 2, requests: 10, sent_bytes: 100, ..Figures::default() };
        let now = Figures {
            why_not_ready: Some("draining"),
            cpu_s: 2.0,
            requests: 30,
            sent_bytes: 50,
            ..before
        };
        let report = now.report(&before, 2_000, Ack::default(), 10_000);
        assert_eq!((report.ready, report.why.as_deref()), (false, Some("draining")));
        assert_eq!((report.load.cpu, report.load.requests_per_s), (0.25, 10.0));
        assert_eq!(report.load.bytes_per_s, 0.0, "counters never go back");
        assert!(now.report(&before, 0, Ack::default(), 0).load.cpu <= 1.0);
    }
}
