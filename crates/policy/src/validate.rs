//! Validation: conditional requests of clients answered from the store (RFC 9110 13.2.2, RFC 9111
//! 4.3.2), our own ones to the origin (4.3.1), and what a 304 or a HEAD does to a stored response
//! (3.2, 4.3.3 - 4.3.5).
//!
//! A 304 freshens the response whose validators we sent if it names the same validator, or none at
//! all: RFC 9111 4.3.4 lets only responses without validator be freshened by a 304 without one, but
//! a server that leaves out the `ETag` it was asked about has still said that it matched. A 304
//! with another strong validator updates nothing, see [`OddNotModified`].

use crate::date;
use crate::freshness;
use crate::hop;
use crate::list;
use crate::reason::NoStore;
use crate::site::{OddNotModified, SiteRules};
use crate::storable::{self, Exchange, Storable};
use crate::vary::Selecting;
use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_RANGE, DATE, ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// What the conditions of a request come to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// Answer 304 with [`not_modified_headers`].
    NotModified,
    /// Answer 412.
    Failed,
}

/// Evaluates the conditions of a request on a stored response that is about to answer it, in the
/// order of RFC 9110 13.2.2. Free when the request has none. Responses that are not 2xx have no
/// conditions evaluated (RFC 9110 13.2.1).
pub fn precondition(
    method: &Method,
    req_headers: &HeaderMap,
    stored_headers: &HeaderMap,
    status: StatusCode,
) -> Precondition {
    if !status.is_success() || !has_conditions(req_headers) {
        return Precondition::Proceed;
    }
    let reading = *method == Method::GET || *method == Method::HEAD;
    if req_headers.contains_key(IF_MATCH) {
        if !any_tag(req_headers, IF_MATCH, stored_headers, strong_match) {
            return Precondition::Failed;
        }
    } else if let Some(limit) = condition_date(req_headers, IF_UNMODIFIED_SINCE, stored_headers)
        && modified(stored_headers).is_some_and(|modified| modified > limit)
    {
        return Precondition::Failed;
    }
    if req_headers.contains_key(IF_NONE_MATCH) {
        if !any_tag(req_headers, IF_NONE_MATCH, stored_headers, weak_match) {
            return Precondition::Proceed;
        }
        return if reading { Precondition::NotModified } else { Precondition::Failed };
    }
    if let Some(since) = condition_date(req_headers, IF_MODIFIED_SINCE, stored_headers)
        && reading
        && modified(stored_headers).is_some_and(|modified| modified <= since)
    {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// Whether the request has any condition at all.
pub fn has_conditions(req_headers: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| req_headers.contains_key(name))
}

/// Removes the client's conditions, `If-Range` included: before a fetch that is to fill the store,
/// and before [`conditional_headers`] puts in ours.
pub fn strip_conditions(req_headers: &mut HeaderMap) {
    for name in &CONDITIONS {
        req_headers.remove(name);
    }
    req_headers.remove(IF_RANGE);
}

const CONDITIONS: [HeaderName; 4] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

// RFC 9111 4.3.2: without Last-Modified, the Date counts; the judge sees to it that there is one.
fn modified(stored_headers: &HeaderMap) -> Option<i64> {
    freshness::header_date(stored_headers, LAST_MODIFIED, DATE_ANCHOR_S)
        .or_else(|| freshness::header_date(stored_headers, DATE, DATE_ANCHOR_S))
}

// A condition with several values or no date is ignored (RFC 9110 13.1.3).
fn condition_date(headers: &HeaderMap, name: HeaderName, stored: &HeaderMap) -> Option<i64> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let anchor = freshness::header_date(stored, DATE, DATE_ANCHOR_S).unwrap_or(DATE_ANCHOR_S);
    date::parse(line.as_bytes(), anchor)
}

/// 2026, for the century of two-digit years where no better clock is at hand.
const DATE_ANCHOR_S: i64 = 1_767_225_600;

fn any_tag(
    req_headers: &HeaderMap,
    name: HeaderName,
    stored_headers: &HeaderMap,
    matches: fn(&[u8], &[u8]) -> bool,
) -> bool {
    let stored = stored_headers.get(ETAG).map(HeaderValue::as_bytes);
    list::all_members(req_headers, name)
        .any(|tag| tag == b"*" || stored.is_some_and(|stored| matches(tag, stored)))
}

/// Compares two entity tags weakly (RFC 9110 8.8.3.2). Values that are no entity tags match only
/// what is written the same.
pub fn weak_match(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && opaque(a) == opaque(b)
}

/// Compares two entity tags strongly (RFC 9110 8.8.3.2): both must be strong.
pub fn strong_match(a: &[u8], b: &[u8]) -> bool {
    is_strong(a) && a == b
}

fn opaque(tag: &[u8]) -> &[u8] {
    match tag {
        [b'W', b'/', rest @ ..] if is_strong(rest) => rest,
        _ => tag,
    }
}

fn is_strong(tag: &[u8]) -> bool {
    matches!(tag, [b'"', .., b'"'])
}

/// The weak form of an entity tag, for a representation made here from the origin's: another
/// coding of it. `None` if the value is no entity tag.
pub fn weaken(etag: &HeaderValue) -> Option<HeaderValue> {
    match etag.as_bytes() {
        [b'W', b'/', rest @ ..] if is_strong(rest) => Some(etag.clone()),
        strong if is_strong(strong) => HeaderValue::from_bytes(&[b"W/", strong].concat()).ok(),
        _ => None,
    }
}

/// Makes a request conditional on a stored response (RFC 9111 4.3.1); false if that has no
/// validator. The client's own conditions must be off already ([`strip_conditions`]).
pub fn conditional_headers(stored: &HeaderMap, out: &mut HeaderMap) -> bool {
    let mut made = false;
    for (validator, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = stored.get(validator).filter(|value| !value.is_empty()) {
            out.insert(condition, value.clone());
            made = true;
        }
    }
    made
}

/// What a 304 to a client carries of the stored fields (RFC 9110 15.4.5), to which the proxy adds
/// `Age` and its own.
pub fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(8);
    for name in NOT_MODIFIED {
        for value in stored.get_all(&name) {
            out.append(name.clone(), value.clone());
        }
    }
    // Without an entity tag the date is all a client can freshen by.
    if !out.contains_key(ETAG)
        && let Some(value) = stored.get(LAST_MODIFIED)
    {
        out.insert(LAST_MODIFIED, value.clone());
    }
    out
}

const NOT_MODIFIED: [HeaderName; 6] = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];

/// A stored response that is being validated.
#[derive(Copy, Clone, Debug)]
pub struct Stored<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// What selects it.
    pub selecting: &'a Selecting,
    /// The length of its body, if it is known.
    pub body_length: Option<u64>,
}

/// What a 304 makes of the stored response that the request was conditional on.
#[derive(Clone, Debug)]
pub enum Freshened {
    /// It is fresh again with these fields; its body stays. It answers the request.
    Updated(Storable),
    /// It answers this request with these fields and must then be dropped: the 304 brought
    /// `no-store`, `private` or the like.
    LastUse(HeaderMap, NoStore),
    /// The 304 is not about it: fetch again without conditions.
    Refetch,
}

/// Applies a 304 to the stored response that the request was made conditional on (RFC 9111 4.3.4).
/// `x` is that request and the 304. A 304 to a request that we did not make conditional is not for
/// this function: [`crate::judge`] calls it [`NoStore::NotModifiedUnasked`].
pub fn update_on_304(stored: &Stored<'_>, x: &Exchange<'_>, rules: &SiteRules) -> Freshened {
    if !same_validators(stored.headers, x.resp_headers) {
        if rules.odd_not_modified == OddNotModified::Refetch {
            return Freshened::Refetch;
        }
        let waited_ms = x.received_at.mono_ms.saturating_sub(x.requested_at.mono_ms);
        return freshen(stored, stored.headers.clone(), Some(waited_ms), x, rules);
    }
    freshen(stored, merge(stored.headers, x.resp_headers, x.received_at.wall_s), None, x, rules)
}

/// What the answer to a HEAD makes of a stored GET response that could have answered it.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept in numbers")]
pub enum HeadEffect {
    /// It is fresh again with these fields.
    Updated(Storable),
    /// It is not what the origin has now: replace its [`crate::Meta`] by
    /// [`crate::Meta::invalidated`].
    Stale,
    /// The answer says nothing about it.
    Nothing,
}

/// Applies the answer to a HEAD that was passed on unconditionally (RFC 9111 4.3.5).
pub fn update_on_head(stored: &Stored<'_>, x: &Exchange<'_>, rules: &SiteRules) -> HeadEffect {
    if x.status != StatusCode::OK || stored.status != StatusCode::OK {
        return HeadEffect::Nothing;
    }
    let same = |name: HeaderName| {
        x.resp_headers.get(&name).is_none_or(|value| stored.headers.get(&name) == Some(value))
    };
    let stored_length = stored.body_length.map(|length| length.to_string());
    let same_length = x.resp_headers.get(CONTENT_LENGTH).is_none_or(|value| {
        stored_length.as_ref().is_none_or(|length| value.as_bytes() == length.as_bytes())
    });
    if !same(ETAG) || !same(LAST_MODIFIED) || !same_length {
        return HeadEffect::Stale;
    }
    let merged = merge(stored.headers, x.resp_headers, x.received_at.wall_s);
    match freshen(stored, merged, None, x, rules) {
        Freshened::Updated(storable) => HeadEffect::Updated(storable),
        Freshened::LastUse(..) | Freshened::Refetch => HeadEffect::Stale,
    }
}

// RFC 9111 4.3.4, the list of filters; the last one widened as the head of this file says.
fn same_validators(stored: &HeaderMap, resp: &HeaderMap) -> bool {
    match (resp.get(ETAG), stored.get(ETAG)) {
        (Some(new), Some(old)) if is_strong(new.as_bytes()) => {
            return strong_match(new.as_bytes(), old.as_bytes());
        }
        (Some(new), Some(old)) => return weak_match(new.as_bytes(), old.as_bytes()),
        (Some(_), None) => return false,
        (None, _) => {}
    }
    match (resp.get(LAST_MODIFIED), stored.get(LAST_MODIFIED)) {
        (Some(new), Some(old)) => new == old,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

// RFC 9111 3.2: fields of the answer replace stored ones of the same name, except those that the
// stored body depends on. The age starts again from what the answer says.
fn merge(stored: &HeaderMap, resp: &HeaderMap, wall_s: i64) -> HeaderMap {
    let mut new = resp.clone();
    hop::strip_hop_by_hop(&mut new);
    for name in BODY_FIELDS {
        new.remove(name);
    }
    new.remove(CONTENT_MD5);
    if !new.contains_key(DATE) {
        new.insert(DATE, date::format(wall_s));
    }
    let mut merged = stored.clone();
    merged.remove(AGE);
    for name in new.keys() {
        merged.remove(name);
        for value in new.get_all(name) {
            merged.append(name.clone(), value.clone());
        }
    }
    merged
}

const BODY_FIELDS: [HeaderName; 5] =
    [ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG];
const CONTENT_MD5: &str = "content-md5";

fn freshen(
    stored: &Stored<'_>,
    headers: HeaderMap,
    age_ms: Option<u64>,
    x: &Exchange<'_>,
    rules: &SiteRules,
) -> Freshened {
    let judged = Exchange { status: stored.status, resp_headers: &headers, ..*x };
    match storable::rejudge(&judged, age_ms, rules) {
        Ok(mut storable) => {
            storable.keep_variant_of(stored.selecting);
            Freshened::Updated(storable)
        }
        Err(reason) => {
            let mut headers = headers;
            headers.remove(AGE);
            Freshened::LastUse(headers, reason)
        }
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
