//! The store's time line: milliseconds that go on from process to process.
//!
//! All times that are kept with stored responses are on this line. While a process runs the line
//! goes with the monotonic clock, so a wall clock that is set forward or back changes nothing. From
//! one process to the next it is the wall clock that says how long the node was down; if that was
//! set back meanwhile, the line goes on where it was, so that what is stored can at worst be taken
//! for as old as it was known to be, never for younger.

/// Where the line begins in this process, in milliseconds. `wall_ms` is the time of the wall clock
/// since 1970; `last_ms` is the latest time of the line that any earlier process has written down.
pub(crate) fn line_start_ms(wall_ms: i64, last_ms: u64) -> u64 {
    u64::try_from(wall_ms).unwrap_or(0).max(last_ms.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::line_start_ms;
    use crate::codec::tests::sample_meta;
    use selvedge_policy::Now;

    const HOUR_MS: u64 = 3_600_000;

    fn age_ms(received_ms: u64, now_ms: u64) -> u64 {
        sample_meta(received_ms).age_ms(Now { mono_ms: now_ms, wall_s: 0 })
    }

    #[test]
    fn the_time_a_node_was_down_counts() {
        let stored = line_start_ms(1_800_000_000_000, 0);
        let again = line_start_ms(1_800_000_000_000 + HOUR_MS as i64, stored + 5);
        assert_eq!(age_ms(stored, again), HOUR_MS);
    }

    #[test]
    fn a_wall_clock_that_went_back_makes_nothing_younger() {
        let stored = line_start_ms(1_800_000_000_000, 0);
        let last = stored + HOUR_MS;
        for wall_ms in [1_800_000_000_000 - 10 * HOUR_MS as i64, 0, -5, i64::MIN] {
            let again = line_start_ms(wall_ms, last);
            assert_eq!(age_ms(stored, again), HOUR_MS + 1, "{wall_ms}");
        }
    }

    #[test]
    fn a_wall_clock_that_went_forward_makes_things_older() {
        let stored = line_start_ms(0, 1_800_000_000_000);
        let again = line_start_ms(1_900_000_000_000, stored);
        assert!(age_ms(stored, again) >= 99_000_000_000);
        assert_eq!(line_start_ms(i64::MAX, u64::MAX), u64::MAX);
    }
}
