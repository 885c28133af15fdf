//! The only place that reads the operating system's clocks. Everything else is given times as
//! arguments, so that a test can invent them and a step of the wall clock cannot upset an age.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// A handle to the two clocks. Copies agree with each other: make one at start and hand it out.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
    /// What the monotonic clock showed at `base`, in microseconds.
    start_us: u64,
}

impl Clock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// Starts the monotonic clock at this many milliseconds, to go on where another one has ended.
    #[must_use]
    pub fn start_at(mono_ms: u64) -> Self {
        Self { base: Instant::now(), start_us: mono_ms.saturating_mul(1000) }
    }

    /// Milliseconds on the monotonic clock. Never steps back, is not moved by time service.
    #[must_use]
    pub fn now_mono_ms(&self) -> u64 {
        self.now_mono_us() / 1000
    }

    /// Microseconds on the monotonic clock, for durations in logs.
    #[must_use]
    pub fn now_mono_us(&self) -> u64 {
        let elapsed = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.start_us.saturating_add(elapsed)
    }

    /// Seconds since 1970-01-01 UTC. May step; use it only beside dates that others wrote.
    #[must_use]
    pub fn now_wall_s(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Milliseconds since 1970-01-01 UTC, for log lines.
    #[must_use]
    pub fn now_wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// The `Date` field of one worker, written anew each second.
pub(crate) struct DateField {
    clock: Clock,
    known: RefCell<(i64, HeaderValue)>,
}

impl DateField {
    pub(crate) fn new() -> Self {
        let known = RefCell::new((i64::MIN, HeaderValue::from_static("")));
        Self { clock: Clock::start(), known }
    }

    pub(crate) fn value(&self) -> HeaderValue {
        let now_s = self.clock.now_wall_s();
        let mut known = self.known.borrow_mut();
        if known.0 != now_s {
            let since = Duration::from_secs(now_s.clamp(0, DATE_MAX_S).unsigned_abs());
            let text = httpdate::fmt_http_date(UNIX_EPOCH + since);
            let value = HeaderValue::try_from(text);
            *known = (now_s, value.unwrap_or(HeaderValue::from_static("")));
        }
        known.1.clone()
    }
}

/// The last second that the format can say.
const DATE_MAX_S: i64 = 253_402_300_799;

/// A duration in whole milliseconds, saturating.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clock;

    /// Two readings of a copied handle never run backwards.
    #[test]
    fn monotonic_time_does_not_step_back() {
        let clock = Clock::start_at(5_000);
        assert!((5_000..60_000).contains(&clock.now_mono_ms()));
        let copy = clock;
        let first = clock.now_mono_us();
        assert!(copy.now_mono_us() >= first);
        assert!(clock.now_wall_s() > 1_700_000_000);
        assert!(clock.now_wall_ms() / 1000 >= clock.now_wall_s() - 1);
    }
}
