//! The judge: whether a response may be stored (RFC 9111 3), and the proof that it may.
//!
//! [`judge`] is asked when the head of a response has arrived. Its yes is a [`Storable`]: fields
//! with everything cut that must not be kept (RFC 9111 3.1), a [`Meta`] with all that later
//! questions need, and a [`Selecting`]. Nobody else can make one, so nothing unjudged is stored.
//!
//! It says no to what could never answer anybody: a response without lifetime left, without
//! validator and without stale window is [`NoStore::Unusable`].

use crate::cache_control::{Qualified, ResponseDirectives};
use crate::freshness::{self, Lifetime, Source};
use crate::hop;
use crate::invalidate;
use crate::meta::Meta;
use crate::reason::NoStore;
use crate::site::{SetCookie, SiteRules};
use crate::target::Target;
use crate::targeted::{self, Effective};
use crate::time::Now;
use crate::vary::{Selecting, VaryKey, VaryPlan};
use crate::{RequestDirectives, date};
use http::header::{AGE, AUTHORIZATION, CONTENT_LOCATION, DATE, ETAG, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use std::time::Duration;

/// A request and the head of its response.
#[derive(Copy, Clone, Debug)]
pub struct Exchange<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where the request went. Needed only to store a POST; without it none is stored.
    pub target: Option<&'a Target<'a>>,
    /// The request fields as forwarded, after [`crate::vary::normalize_request`].
    pub req_headers: &'a HeaderMap,
    /// The status.
    pub status: StatusCode,
    /// The response fields as they arrived.
    pub resp_headers: &'a HeaderMap,
    /// When the request was sent.
    pub requested_at: Now,
    /// When the head of the response was complete.
    pub received_at: Now,
}

/// What the judge says.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept in numbers")]
pub enum Verdict {
    /// It may be stored, like this.
    Store(Storable),
    /// It may not; pass it on.
    Pass(NoStore),
}

/// A response head that may be stored. Only this crate makes one.
#[derive(Clone, Debug)]
pub struct Storable {
    status: StatusCode,
    headers: HeaderMap,
    meta: Meta,
    selecting: Selecting,
}

impl Storable {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields to keep: hop-by-hop fields, `Age` and the fields that `no-cache` or `private`
    /// name are cut; `Date` is there.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What reuse is decided by.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What `Vary` says. Never `*`.
    pub fn vary(&self) -> &VaryPlan {
        self.selecting.plan()
    }

    /// The values of the fields that `Vary` names, in the request it was made for.
    pub fn vary_key(&self) -> &VaryKey {
        self.selecting.key()
    }

    /// Plan and values together: keep it with the response and ask it about requests.
    pub fn selecting(&self) -> &Selecting {
        &self.selecting
    }

    pub(crate) fn keep_variant_of(&mut self, earlier: &Selecting) {
        self.selecting.keep_key_of(earlier);
    }

    /// All of it.
    pub fn into_parts(self) -> (StatusCode, HeaderMap, Meta, Selecting) {
        (self.status, self.headers, self.meta, self.selecting)
    }
}

/// Judges a response (RFC 9111 3).
pub fn judge(x: &Exchange<'_>, rules: &SiteRules) -> Verdict {
    let effective = effective(x, rules);
    let lifetime = freshness::lifetime(x, &effective, rules);
    let age_ms = freshness::initial_age_ms(x, rules.odd_age);
    let answer = method_allows(x, &lifetime, rules)
        .and_then(|()| status_allows(x.status))
        .and_then(|()| assess(x, &effective, lifetime, age_ms, rules));
    match answer {
        Ok(storable) => Verdict::Store(storable),
        Err(reason) => Verdict::Pass(reason),
    }
}

/// Judges what a stored response has become, for a GET that stands behind it.
pub(crate) fn rejudge(
    x: &Exchange<'_>,
    age_ms: Option<u64>,
    rules: &SiteRules,
) -> Result<Storable, NoStore> {
    let effective = effective(x, rules);
    let lifetime = freshness::lifetime(x, &effective, rules);
    let age_ms = age_ms.unwrap_or_else(|| freshness::initial_age_ms(x, rules.odd_age));
    assess(x, &effective, lifetime, age_ms, rules)
}

/// The directives that count.
fn effective(x: &Exchange<'_>, rules: &SiteRules) -> Effective {
    let mut effective = targeted::effective(x.resp_headers);
    if rules.overrides_no_cache {
        let directives = &mut effective.directives;
        directives.no_cache = Qualified::default();
        directives.must_revalidate = false;
        directives.proxy_revalidate = false;
    }
    effective
}

fn method_allows(x: &Exchange<'_>, lifetime: &Lifetime, rules: &SiteRules) -> Result<(), NoStore> {
    if *x.method == Method::GET {
        return Ok(());
    }
    // RFC 9110 9.3.3: explicit lifetime, and a Content-Location that is the target itself.
    let own_location = x.target.is_some_and(|target| {
        let location = x.resp_headers.get(CONTENT_LOCATION);
        location.is_some_and(|location| invalidate::is_target(target, location))
    });
    let storable_post = *x.method == Method::POST
        && rules.store_post
        && lifetime.is_explicit()
        && x.status.is_success()
        && own_location;
    if storable_post { Ok(()) } else { Err(NoStore::Method) }
}

fn status_allows(status: StatusCode) -> Result<(), NoStore> {
    match status.as_u16() {
        101 | 407 => Err(NoStore::HopStatus),
        100..=199 => Err(NoStore::Interim),
        206 | 416 => Err(NoStore::Partial),
        304 => Err(NoStore::NotModifiedUnasked),
        _ => Ok(()),
    }
}

fn assess(
    x: &Exchange<'_>,
    effective: &Effective,
    lifetime: Lifetime,
    age_ms: u64,
    rules: &SiteRules,
) -> Result<Storable, NoStore> {
    let directives = &effective.directives;
    directives_allow(x, directives, rules)?;
    let selecting = Selecting::record(x.resp_headers, x.req_headers, rules);
    if selecting.plan().is_star() {
        return Err(NoStore::VaryStar);
    }
    if selecting.plan().is_wide() {
        return Err(NoStore::VaryWide);
    }
    // RFC 9111 3, last list: something must say that it may be stored.
    let allowed = lifetime.source != Source::Nothing
        || directives.public
        || freshness::is_heuristically_cacheable(x.status);
    if !allowed {
        return Err(NoStore::NoLifetime);
    }
    let headers = kept_headers(x, effective, &lifetime, rules)?;
    let meta = make_meta(x, effective, lifetime, age_ms, &headers, rules);
    if is_unusable(&meta) {
        return Err(NoStore::Unusable);
    }
    Ok(Storable { status: x.status, headers, meta, selecting })
}

fn directives_allow(
    x: &Exchange<'_>,
    directives: &ResponseDirectives,
    rules: &SiteRules,
) -> Result<(), NoStore> {
    if rules.honours_clients() && RequestDirectives::parse(x.req_headers).no_store {
        return Err(NoStore::RequestNoStore);
    }
    // RFC 9111 5.2.2.3: whoever understands the status ignores no-store beside must-understand.
    if directives.must_understand && !is_understood(x.status) {
        return Err(NoStore::MustUnderstand);
    }
    if directives.no_store && !directives.must_understand {
        return Err(NoStore::NoStore);
    }
    if directives.private.is_whole() {
        return Err(NoStore::Private);
    }
    let shareable =
        directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    if x.req_headers.contains_key(AUTHORIZATION) && !shareable {
        return Err(NoStore::Authorization);
    }
    Ok(())
}

/// Statuses whose requirements on caches are known here: those of RFC 9110 and a few beyond.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 307 | 308 | 400..=406 | 408..=415 | 417 | 421 | 422 | 426 | 428
            | 429 | 431 | 451 | 500..=505 | 511
    )
}

fn kept_headers(
    x: &Exchange<'_>,
    effective: &Effective,
    lifetime: &Lifetime,
    rules: &SiteRules,
) -> Result<HeaderMap, NoStore> {
    let directives = &effective.directives;
    let mut headers = x.resp_headers.clone();
    hop::strip_hop_by_hop(&mut headers);
    headers.remove(AGE);
    for name in directives.no_cache.fields().iter().chain(directives.private.fields()) {
        headers.remove(name);
    }
    if headers.contains_key(SET_COOKIE) {
        // What is always validated first would hand one client's cookie to the next after a 304.
        let positive = !directives.no_cache.is_whole() && lifetime.told_s != Some(0);
        let shared = directives.public || directives.s_maxage.is_some() || effective.targeted;
        match rules.set_cookie {
            SetCookie::Strip => drop(headers.remove(SET_COOKIE)),
            SetCookie::WhenExplicit if positive && (lifetime.is_explicit() || shared) => {}
            SetCookie::WhenShared if positive && shared => {}
            _ => return Err(NoStore::SetCookie),
        }
    }
    // RFC 9110 6.6.1: whoever has a clock dates what came undated.
    if !headers.contains_key(DATE) {
        headers.insert(DATE, date::format(x.received_at.wall_s));
    }
    Ok(headers)
}

fn make_meta(
    x: &Exchange<'_>,
    effective: &Effective,
    lifetime: Lifetime,
    age_ms: u64,
    headers: &HeaderMap,
    rules: &SiteRules,
) -> Meta {
    let directives = &effective.directives;
    let no_cache = directives.no_cache.is_whole();
    // RFC 9111 5.2.2.10 gives s-maxage the sense of proxy-revalidate. A response that also names a
    // window permits staleness expressly (RFC 9111 4.2.4), which is how s-maxage is used in
    // practice; site defaults never weaken it. Nor do they apply to a response of which nobody
    // says how long it lives: that may be one client's own page.
    let strict = no_cache || directives.must_revalidate || directives.proxy_revalidate;
    let shared = directives.s_maxage.is_some();
    let silent = shared || lifetime.source == Source::Nothing;
    let millis = |window: Duration| u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let most_ms = rules.stale_max.map_or(u64::MAX, millis);
    let window_ms = |explicit: Option<u32>, site: Duration| match explicit {
        _ if strict => 0,
        Some(seconds) => most_ms.min(u64::from(seconds) * 1000),
        None if silent => 0,
        None => most_ms.min(millis(site)),
    };
    let named_window =
        directives.stale_while_revalidate.is_some() || directives.stale_if_error.is_some();
    let conditional = x.status.is_success() && has_validator(headers);
    let flags = [
        (no_cache, Meta::NO_CACHE),
        (strict || (shared && !named_window), Meta::NO_STALE),
        (directives.immutable, Meta::IMMUTABLE),
        (conditional, Meta::HAS_VALIDATOR),
        (lifetime.source == Source::Heuristic, Meta::HEURISTIC),
        (directives.no_transform, Meta::NO_TRANSFORM),
        (effective.targeted, Meta::TARGETED),
        (shared, Meta::SHARED_MAX_AGE),
    ];
    Meta {
        corrected_initial_age_ms: age_ms,
        received_mono_ms: x.received_at.mono_ms,
        lifetime_ms: lifetime.ms,
        stale_while_revalidate_ms: window_ms(
            directives.stale_while_revalidate,
            rules.stale_while_revalidate,
        ),
        stale_if_error_ms: window_ms(directives.stale_if_error, rules.stale_if_error),
        flags: flags.iter().filter(|(set, _)| *set).fold(0, |sum, (_, flag)| sum | flag),
    }
}

fn has_validator(headers: &HeaderMap) -> bool {
    let present = |name: HeaderName| headers.get(name).is_some_and(|value| !value.is_empty());
    present(ETAG) || present(LAST_MODIFIED)
}

fn is_unusable(meta: &Meta) -> bool {
    if meta.has_validator() {
        return false;
    }
    let window_ms = meta.stale_while_revalidate_ms.max(meta.stale_if_error_ms);
    let life_ms = meta.lifetime_ms.saturating_add(window_ms);
    meta.no_cache() || life_ms <= meta.corrected_initial_age_ms
}

#[cfg(test)]
#[path = "storable_tests.rs"]
mod tests;
