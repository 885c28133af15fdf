//! Lifetimes and ages (RFC 9111 4.2): how long a response stays fresh and how old it arrived.
//!
//! Everything is computed once, when the response arrives; a hit only adds the time since then.
//! Nothing overflows: seconds are clamped to 2^31 and sums saturate. The difference of one second
//! between `Date` and our clock is the resolution of the field, not an age.

use crate::cache_control::{DELTA_MAX, parse_delta};
use crate::date;
use crate::list;
use crate::site::{OddAge, SiteRules};
use crate::storable::Exchange;
use crate::targeted::Effective;
use http::header::{AGE, COOKIE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, StatusCode};
use std::time::Duration;

/// Where a lifetime comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `s-maxage`.
    SharedMaxAge,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// A tenth of the time since `Last-Modified` (RFC 9111 4.2.2).
    Heuristic,
    /// A default of the site.
    Site,
    /// Nowhere: the lifetime is zero.
    Nothing,
}

/// How long a response stays fresh, and who says so.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The lifetime within the bounds of the site.
    pub ms: u64,
    /// Who says so.
    pub source: Source,
    /// What the response itself says, before the bounds of the site.
    pub told_s: Option<u64>,
}

impl Lifetime {
    /// Whether the response itself says so.
    pub fn is_explicit(&self) -> bool {
        matches!(self.source, Source::SharedMaxAge | Source::MaxAge | Source::Expires)
    }
}

/// The lifetime of a response in a shared cache (RFC 9111 4.2.1), within the site's bounds.
pub fn lifetime(x: &Exchange<'_>, effective: &Effective, rules: &SiteRules) -> Lifetime {
    let (ms, source) = unbounded(x, effective, rules);
    let upper =
        if is_failure(x.status) { rules.ttl_failure_max.min(rules.ttl_max) } else { rules.ttl_max };
    let lower = if source == Source::Nothing { Duration::ZERO } else { rules.ttl_min };
    let mut out = Lifetime { ms: ms.max(millis(lower)).min(millis(upper)), source, told_s: None };
    if out.is_explicit() {
        out.told_s = Some(ms / 1000);
    }
    out
}

/// In milliseconds.
fn unbounded(x: &Exchange<'_>, effective: &Effective, rules: &SiteRules) -> (u64, Source) {
    let directives = &effective.directives;
    if let Some(seconds) = directives.s_maxage {
        return (u64::from(seconds) * 1000, Source::SharedMaxAge);
    }
    if let Some(seconds) = directives.max_age {
        return (u64::from(seconds) * 1000, Source::MaxAge);
    }
    let received_s = x.received_at.wall_s;
    if !effective.targeted
        && let Some(value) = x.resp_headers.get(EXPIRES)
    {
        let expires = date::parse(value.as_bytes(), received_s);
        let sent = header_date(x.resp_headers, DATE, received_s).unwrap_or(received_s);
        let seconds = expires.map_or(0, |expires| difference(expires, sent));
        return (seconds * 1000, Source::Expires);
    }
    guessed(x, effective, rules).unwrap_or((0, Source::Nothing))
}

// RFC 9111 4.2.2: only where no explicit lifetime is given, and only for statuses that allow it.
fn guessed(x: &Exchange<'_>, effective: &Effective, rules: &SiteRules) -> Option<(u64, Source)> {
    if x.req_headers.contains_key(COOKIE) && !rules.cookie_heuristic {
        return None;
    }
    if let Some(ttl) = site_default(x.status, rules) {
        return Some((millis(ttl), Source::Site));
    }
    let allowed = is_heuristically_cacheable(x.status) || effective.directives.public;
    if !rules.heuristic || !allowed {
        return None;
    }
    let received_s = x.received_at.wall_s;
    let modified = header_date(x.resp_headers, LAST_MODIFIED, received_s)?;
    let sent = header_date(x.resp_headers, DATE, received_s).unwrap_or(received_s);
    let tenth = difference(sent, modified) / 10;
    Some((tenth.min(rules.heuristic_max.as_secs()) * 1000, Source::Heuristic))
}

fn site_default(status: StatusCode, rules: &SiteRules) -> Option<Duration> {
    match status.as_u16() {
        200 | 203 | 204 | 300 | 301 | 308 => rules.ttl_default,
        404 | 405 | 410 | 414 | 451 | 501 => rules.ttl_error,
        429 | 500 | 502 | 503 | 504 => rules.ttl_failure,
        _ => None,
    }
}

/// Statuses for which a lifetime may be guessed (RFC 9110 15.1), without 206, which is not stored.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Errors that a client or a bad moment can provoke for everybody.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 400 | 408 | 413 | 414 | 429 | 431)
}

/// How old a response is as it arrives, in milliseconds (RFC 9111 4.2.3,
/// `corrected_initial_age`).
pub fn initial_age_ms(x: &Exchange<'_>, odd: OddAge) -> u64 {
    let received_s = x.received_at.wall_s;
    let sent = header_date(x.resp_headers, DATE, received_s).unwrap_or(received_s);
    let apparent_s = match difference(received_s, sent) {
        1 => 0,
        seconds => seconds,
    };
    let age_s = match age_field(x.resp_headers, odd) {
        AgeField::Absent => 0,
        AgeField::Seconds(seconds) => seconds,
        AgeField::Unknown => DELTA_MAX,
    };
    let delay_ms = x.received_at.mono_ms.saturating_sub(x.requested_at.mono_ms);
    let corrected_ms = (u64::from(age_s) * 1000).saturating_add(delay_ms);
    corrected_ms.max(apparent_s * 1000).min(AGE_MS_MAX)
}

/// What an `Age` field says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum AgeField {
    /// Nothing.
    Absent,
    /// This many seconds.
    Seconds(u32),
    /// Something that is no age.
    Unknown,
}

/// Reads `Age` (RFC 9111 5.1), odd ones as told.
pub fn age_field(headers: &HeaderMap, odd: OddAge) -> AgeField {
    let mut lines = headers.get_all(AGE).iter();
    let Some(line) = lines.next() else { return AgeField::Absent };
    let line = line.as_bytes();
    let (first, rest) = match line.iter().position(|&byte| byte == b',') {
        Some(at) => (list::trim(&line[..at]), Some(&line[at + 1..])),
        None => (list::trim(line), None),
    };
    match (odd, parse_delta(first)) {
        (OddAge::Ignore, Some(seconds)) => AgeField::Seconds(seconds),
        (OddAge::Ignore, None) => AgeField::Absent,
        (OddAge::Stale, None) => AgeField::Unknown,
        (OddAge::Stale, Some(seconds)) => {
            let joined = rest.is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t')));
            if joined || lines.next().is_some() {
                AgeField::Unknown
            } else {
                AgeField::Seconds(seconds)
            }
        }
    }
}

/// The first line of a date field, if it is a date.
pub(crate) fn header_date(headers: &HeaderMap, name: HeaderName, wall_s: i64) -> Option<i64> {
    date::parse(headers.get(name)?.as_bytes(), wall_s)
}

/// `later - earlier` in seconds, not below zero and not above 2^31.
fn difference(later: i64, earlier: i64) -> u64 {
    u64::try_from(later.saturating_sub(earlier)).unwrap_or(0).min(u64::from(DELTA_MAX))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// 2^31 seconds: ages are clamped to it (RFC 9111 1.2.2).
pub(crate) const AGE_MS_MAX: u64 = DELTA_MAX as u64 * 1000;

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
