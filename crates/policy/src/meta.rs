//! What is kept of a judged response for all later questions about time.
//!
//! Fields are read once, when a response arrives; from then on its age, what is left of its
//! lifetime and the windows after it are sums of integers (RFC 9111 4.2.3, RFC 5861). The decision
//! itself is in [`crate::reuse()`].

use crate::freshness::AGE_MS_MAX;
use crate::time::Now;
use std::time::Duration;

/// What is known of a stored response that later decisions need. Small and `Copy`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub(crate) corrected_initial_age_ms: u64,
    pub(crate) received_mono_ms: u64,
    pub(crate) lifetime_ms: u64,
    pub(crate) stale_while_revalidate_ms: u64,
    pub(crate) stale_if_error_ms: u64,
    pub(crate) flags: u16,
}

impl Meta {
    pub(crate) const NO_CACHE: u16 = 1;
    pub(crate) const NO_STALE: u16 = 2;
    pub(crate) const IMMUTABLE: u16 = 4;
    pub(crate) const HAS_VALIDATOR: u16 = 8;
    pub(crate) const HEURISTIC: u16 = 16;
    pub(crate) const NO_TRANSFORM: u16 = 32;
    pub(crate) const INVALIDATED: u16 = 64;
    pub(crate) const TARGETED: u16 = 128;
    pub(crate) const SHARED_MAX_AGE: u16 = 256;

    /// All flags.
    pub(crate) const FLAGS: u16 = 511;

    const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Age in milliseconds (RFC 9111 4.2.3, `current_age`): never negative, never falling while
    /// `mono_ms` grows, at most 2^31 seconds.
    pub fn age_ms(&self, now: Now) -> u64 {
        let resident_ms = now.mono_ms.saturating_sub(self.received_mono_ms);
        self.corrected_initial_age_ms.saturating_add(resident_ms).min(AGE_MS_MAX)
    }

    /// Age in whole seconds, for the `Age` field.
    pub fn age_s(&self, now: Now) -> u32 {
        u32::try_from(self.age_ms(now) / 1000).unwrap_or(u32::MAX)
    }

    /// What is left of its lifetime in milliseconds; negative or zero when it is stale.
    pub fn ttl_ms(&self, now: Now) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(self.lifetime_ms).saturating_sub(signed(self.age_ms(now)))
    }

    /// What is left of its lifetime in whole seconds, rounded down; for `Cache-Status`.
    pub fn ttl_s(&self, now: Now) -> i64 {
        self.ttl_ms(now).div_euclid(1000)
    }

    /// Whether its lifetime is not over (RFC 9111 4.2). It may need validation all the same.
    pub fn is_fresh(&self, now: Now) -> bool {
        self.lifetime_ms > self.age_ms(now) && !self.has(Self::INVALIDATED)
    }

    /// Whether requests that waited for this response may be answered with it although it was made
    /// for another request: it is fresh and may be used without validation. If not, each of them
    /// goes on alone (RFC 9111 4), whatever may be stored.
    pub fn is_shareable(&self, now: Now) -> bool {
        self.is_fresh(now) && !self.no_cache()
    }

    /// The lifetime it got.
    pub fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime_ms)
    }

    /// Whether it says `no-cache`: it answers only after validation.
    pub fn no_cache(&self) -> bool {
        self.has(Self::NO_CACHE)
    }

    /// Whether it must never be used stale: `must-revalidate`, `proxy-revalidate`, `no-cache`, or
    /// `s-maxage` without an explicit stale window (RFC 9111 4.2.4, 5.2.2.10).
    pub fn must_revalidate(&self) -> bool {
        self.has(Self::NO_STALE)
    }

    /// Whether a client may ask for it stale (`max-stale`, `stale-if-error`): not where the origin
    /// forbids it, and `s-maxage` does (RFC 9111 5.2.2.10).
    pub(crate) fn client_may_take_stale(&self) -> bool {
        !self.has(Self::NO_STALE | Self::SHARED_MAX_AGE)
    }

    /// Whether it says `immutable` (RFC 8246).
    pub fn immutable(&self) -> bool {
        self.has(Self::IMMUTABLE)
    }

    /// Whether a conditional request can be made from it: a 2xx with `ETag` or `Last-Modified`.
    pub fn has_validator(&self) -> bool {
        self.has(Self::HAS_VALIDATOR)
    }

    /// Whether its lifetime is a guess from `Last-Modified`.
    pub fn heuristic(&self) -> bool {
        self.has(Self::HEURISTIC)
    }

    /// Whether it must not be transformed (RFC 9111 5.2.2.6); a compressed sibling is a transform.
    pub fn no_transform(&self) -> bool {
        self.has(Self::NO_TRANSFORM)
    }

    /// Whether a targeted field governs it (RFC 9213).
    pub fn targeted(&self) -> bool {
        self.has(Self::TARGETED)
    }

    /// The same, but to be validated before it answers anybody again, whatever windows it had:
    /// what an unsafe method (RFC 9111 4.4) or a HEAD that disagrees (4.3.5) makes of it.
    #[must_use]
    pub fn invalidated(mut self) -> Self {
        self.flags |= Self::INVALIDATED | Self::NO_STALE;
        self
    }

    /// The same, but stale since `since_mono_ms` if it was not before: what a soft purge makes of
    /// it. Its stale windows (RFC 5861) count from there.
    #[must_use]
    pub fn stale_since(mut self, since_mono_ms: u64) -> Self {
        let age_then = i128::from(self.corrected_initial_age_ms) + i128::from(since_mono_ms)
            - i128::from(self.received_mono_ms);
        let age_then = u64::try_from(age_then.max(0)).unwrap_or(u64::MAX);
        self.lifetime_ms = self.lifetime_ms.min(age_then);
        self
    }

    /// When nothing of it is of use any more, in monotonic milliseconds: lifetime and windows are
    /// over. What has a validator may still be worth keeping.
    pub fn useless_at_mono_ms(&self) -> u64 {
        let window_ms = self.stale_while_revalidate_ms.max(self.stale_if_error_ms);
        let window_ms = if self.has(Self::NO_STALE) { 0 } else { window_ms };
        self.received_mono_ms
            .saturating_add(self.lifetime_ms)
            .saturating_sub(self.corrected_initial_age_ms)
            .saturating_add(window_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RequestDirectives, Reuse, SiteRules, reuse};

    const META: Meta = Meta {
        corrected_initial_age_ms: 5_000,
        received_mono_ms: 100_000,
        lifetime_ms: 60_000,
        stale_while_revalidate_ms: 10_000,
        stale_if_error_ms: 20_000,
        flags: 0,
    };

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, wall_s: 1_800_000_000 }
    }

    #[test]
    fn what_is_stale_since_a_moment_counts_its_windows_from_there() {
        let (none, rules) = (RequestDirectives::default(), SiteRules::default());
        let meta = META.stale_since(110_000);
        assert!(META.is_fresh(at(110_000)) && !meta.is_fresh(at(110_000)));
        assert_eq!(reuse(&meta, &none, &rules, at(119_999)), Reuse::StaleWhileRevalidate);
        assert!(matches!(reuse(&meta, &none, &rules, at(120_000)), Reuse::Revalidate(_)));
        assert!(meta.usable_on_error(&none, &rules, at(129_999)));
        assert!(!meta.usable_on_error(&none, &rules, at(130_000)));
        assert_eq!(meta.stale_since(115_000), meta, "the first moment counts");
        assert_eq!(meta.age_s(at(110_000)), META.age_s(at(110_000)));
    }

    #[test]
    fn a_moment_before_it_came_is_no_problem() {
        assert_eq!(META.stale_since(99_000).lifetime_ms, 4_000);
        assert_eq!(META.stale_since(0).lifetime_ms, 0);
        assert_eq!(META.stale_since(u64::MAX), META);
    }
}
