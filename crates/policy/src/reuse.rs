//! Whether a stored response may answer a request as it is (RFC 9111 4, 4.2, 4.2.4; RFC 5861).
//!
//! The hit path: a few comparisons of integers, nothing allocated. Key and variant have matched
//! before; what is decided here is time, `no-cache` and the client's wishes where a site honours
//! them.

use crate::cache_control::RequestDirectives;
use crate::meta::Meta;
use crate::reason::Why;
use crate::site::SiteRules;
use crate::time::Now;

/// How a stored response may be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It answers.
    Fresh,
    /// It answers though stale: the client's `max-stale` allows it (RFC 9111 5.2.1.2), honoured.
    Stale,
    /// It answers though stale, and a refresh is started behind it (RFC 5861 3).
    StaleWhileRevalidate,
    /// It must be validated first, or fetched anew.
    Revalidate(Why),
    /// It may not answer, and the client wants no fetch (`only-if-cached`, honoured): 504.
    OnlyIfCachedMiss,
}

/// Decides about a stored response.
pub fn reuse(meta: &Meta, req: &RequestDirectives, rules: &SiteRules, now: Now) -> Reuse {
    let honoured = rules.honours_clients();
    let client = if honoured { *req } else { RequestDirectives::default() };
    match decide(meta, &client, now) {
        Reuse::Revalidate(_) if client.only_if_cached => Reuse::OnlyIfCachedMiss,
        decision => decision,
    }
}

fn decide(meta: &Meta, client: &RequestDirectives, now: Now) -> Reuse {
    if meta.no_cache() {
        return Reuse::Revalidate(Why::NoCache);
    }
    if client.no_cache {
        return Reuse::Revalidate(Why::RequestNoCache);
    }
    if client.max_age.is_some_and(|seconds| meta.age_ms(now) > ms(seconds)) {
        return Reuse::Revalidate(Why::RequestMaxAge);
    }
    let left_ms = meta.ttl_ms(now);
    if meta.is_fresh(now) {
        let wanted_ms = client.min_fresh.map_or(0, ms);
        return match u64::try_from(left_ms) {
            Ok(left_ms) if left_ms >= wanted_ms => Reuse::Fresh,
            _ => Reuse::Revalidate(Why::RequestMinFresh),
        };
    }
    if meta.must_revalidate() {
        return Reuse::Revalidate(Why::Stale);
    }
    let stale_ms = left_ms.unsigned_abs();
    // RFC 9111 5.2.1.1: who bounds the age wants nothing stale, unless max-stale says otherwise.
    let wants_fresh = client.min_fresh.is_some() || client.max_age.is_some();
    if !wants_fresh && stale_ms < meta.stale_while_revalidate_ms {
        return Reuse::StaleWhileRevalidate;
    }
    let bearable_ms = client.max_stale.filter(|_| meta.client_may_take_stale()).map(ms);
    if bearable_ms.is_some_and(|bearable_ms| stale_ms <= bearable_ms) {
        return Reuse::Stale;
    }
    Reuse::Revalidate(Why::Stale)
}

impl Meta {
    /// Whether it may answer though stale because the origin failed: no connection, a time limit,
    /// a broken answer, or 500, 502, 503, 504 (RFC 5861 4). The window is the response's, else the
    /// site's; a client that is honoured can bring its own. Never for `no-cache` and
    /// `must-revalidate` (RFC 9111 4.2.4). A response that is still fresh may always answer.
    pub fn usable_on_error(&self, req: &RequestDirectives, rules: &SiteRules, now: Now) -> bool {
        if self.no_cache() {
            return false;
        }
        if self.is_fresh(now) {
            return true;
        }
        if self.must_revalidate() {
            return false;
        }
        let honoured = rules.honours_clients() && self.client_may_take_stale();
        let client_ms = req.stale_if_error.filter(|_| honoured).map_or(0, ms);
        self.ttl_ms(now).unsigned_abs() < self.stale_if_error_ms.max(client_ms)
    }
}

impl RequestDirectives {
    /// Whether the client wants an answer from the store or 504, and the site honours that: asked
    /// when nothing is stored for its request.
    pub fn refuses_fetch(&self, rules: &SiteRules) -> bool {
        self.only_if_cached && rules.honours_clients()
    }
}

fn ms(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}

#[cfg(test)]
#[path = "reuse_tests.rs"]
mod tests;
