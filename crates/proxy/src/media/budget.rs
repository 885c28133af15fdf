//! How many bytes a site may fetch ahead: so many a second, a second's worth at once.

use std::sync::{Mutex, PoisonError};

/// Bytes that may still be fetched ahead.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_per_s: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Below zero after an object that was larger than what was left.
    left: i64,
    filled_ms: u64,
}

impl Budget {
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        let left = i64::try_from(bytes_per_s).unwrap_or(i64::MAX);
        Self { bytes_per_s, state: Mutex::new(State { left, filled_ms: 0 }) }
    }

    /// Whether anything is left.
    pub(crate) fn has_some(&self, now_ms: u64) -> bool {
        self.filled(now_ms, |left| *left > 0)
    }

    /// Takes what was fetched, be it there or not.
    pub(crate) fn take(&self, bytes: u64, now_ms: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.filled(now_ms, |left| *left = left.saturating_sub(bytes));
    }

    fn filled<R>(&self, now_ms: u64, with: impl FnOnce(&mut i64) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = now_ms.saturating_sub(state.filled_ms);
        let more = u128::from(self.bytes_per_s) * u128::from(since_ms) / 1000;
        if more > 0 {
            let most = i64::try_from(self.bytes_per_s).unwrap_or(i64::MAX);
            let more = i64::try_from(more).unwrap_or(i64::MAX);
            state.left = state.left.saturating_add(more).min(most);
            state.filled_ms = now_ms;
        }
        with(&mut state.left)
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn what_is_spent_comes_back_with_time_and_never_more_than_a_second_of_it() {
        let budget = Budget::new(1000);
        assert!(budget.has_some(10_000));
        budget.take(1500, 10_000);
        assert!(!budget.has_some(10_000) && !budget.has_some(10_500));
        assert!(budget.has_some(10_501));
        budget.take(1, 10_501);
        assert!(!budget.has_some(10_501));
        budget.take(1000, 60_000);
        assert!(!budget.has_some(60_000), "a minute of rest is worth a second");
        budget.take(u64::MAX, 60_000);
        assert!(!budget.has_some(61_000));
    }

    #[test]
    fn a_clock_that_stands_gives_nothing_twice() {
        let budget = Budget::new(1);
        budget.take(1, 5_000);
        for _ in 0..10 {
            assert!(!budget.has_some(5_999));
        }
        assert!(budget.has_some(6_000));
    }
}
