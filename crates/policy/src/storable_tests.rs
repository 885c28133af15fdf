//! Tests of `storable.rs`: the table of what is stored and what is not.

use super::*;
use crate::key::Scheme;
use crate::site::ClientDirectives;
use http::HeaderValue;

const WALL: i64 = 1_795_305_600;

type Lines<'a> = &'a [(&'static str, &'a str)];

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in lines {
        out.append(*name, HeaderValue::from_str(value).unwrap());
    }
    out
}

fn judge_as(
    method: &str,
    status: u16,
    req: Lines<'_>,
    resp: Lines<'_>,
    rules: &SiteRules,
) -> Result<Storable, NoStore> {
    let now = Now { mono_ms: 1000, wall_s: WALL };
    let target = Target { scheme: Scheme::Http, host: "a.test", path: "/test/x", query: Some("q") };
    let verdict = judge(
        &Exchange {
            method: &Method::from_bytes(method.as_bytes()).unwrap(),
            target: Some(&target),
            req_headers: &headers(req),
            status: StatusCode::from_u16(status).unwrap(),
            resp_headers: &headers(resp),
            requested_at: now,
            received_at: now,
        },
        rules,
    );
    match verdict {
        Verdict::Store(storable) => Ok(storable),
        Verdict::Pass(reason) => Err(reason),
    }
}

fn get(resp: Lines<'_>) -> Result<Storable, NoStore> {
    judge_as("GET", 200, &[], resp, &SiteRules::default())
}

fn reason(resp: Lines<'_>) -> Option<NoStore> {
    get(resp).err()
}

#[test]
fn every_final_status_is_stored_with_an_explicit_lifetime() {
    for status in (200..600).filter(|status| ![206, 304, 407, 416].contains(status)) {
        let resp = &[("cache-control", "max-age=60")];
        assert!(judge_as("GET", status, &[], resp, &SiteRules::default()).is_ok(), "{status}");
    }
}

#[test]
fn parts_interim_answers_and_answers_of_one_hop_are_not_stored() {
    for (status, expected) in [
        (100, NoStore::Interim),
        (103, NoStore::Interim),
        (101, NoStore::HopStatus),
        (407, NoStore::HopStatus),
        (206, NoStore::Partial),
        (416, NoStore::Partial),
        (304, NoStore::NotModifiedUnasked),
    ] {
        let resp = &[("cache-control", "max-age=60, public"), ("etag", "\"a\"")];
        let found = judge_as("GET", status, &[], resp, &SiteRules::default()).err();
        assert_eq!(found, Some(expected), "{status}");
    }
}

#[test]
fn without_a_lifetime_only_what_may_be_guessed_for_is_kept_and_only_to_be_validated() {
    let stored = |status, resp: Lines<'_>| {
        judge_as("GET", status, &[], resp, &SiteRules::default()).map(|s| s.meta().has_validator())
    };
    assert_eq!(stored(200, &[]), Err(NoStore::Unusable));
    assert_eq!(stored(200, &[("etag", "\"a\"")]), Ok(true));
    assert_eq!(stored(403, &[("etag", "\"a\"")]), Err(NoStore::NoLifetime));
    assert_eq!(stored(599, &[("last-modified", "x")]), Err(NoStore::NoLifetime));
    // An error has no conditions evaluated (RFC 9110 13.2.1), so its tag validates nothing.
    assert_eq!(stored(404, &[("etag", "\"a\"")]), Err(NoStore::Unusable));
}

#[test]
fn directives_forbid() {
    let found = |value| reason(&[("cache-control", value), ("etag", "\"a\"")]);
    for (value, expected) in [
        ("no-store", Some(NoStore::NoStore)),
        ("No-StOrE", Some(NoStore::NoStore)),
        ("max-age=10000, no-store", Some(NoStore::NoStore)),
        ("private, max-age=3600", Some(NoStore::Private)),
        ("private=\"\", max-age=3600", Some(NoStore::Private)),
        ("private=\"x\", max-age=3600", None),
        ("no-cache", None),
        ("max-age=3600, must-understand, no-store", None),
        ("max-age=0", None),
    ] {
        assert_eq!(found(value), expected, "{value}");
    }
    assert_eq!(reason(&[("cache-control", "no-cache, max-age=60")]), Some(NoStore::Unusable));
    assert_eq!(reason(&[("cache-control", "max-age=0")]), Some(NoStore::Unusable));
    assert_eq!(reason(&[("cache-control", "max-age=60"), ("age", "60")]), Some(NoStore::Unusable));
    assert_eq!(reason(&[("cache-control", "max-age=0, stale-if-error=9")]), None);
}

#[test]
fn must_understand_forbids_a_status_that_is_not_understood() {
    let resp = &[("cache-control", "max-age=3600, must-understand")];
    let found = judge_as("GET", 599, &[], resp, &SiteRules::default()).err();
    assert_eq!(found, Some(NoStore::MustUnderstand));
}

#[test]
fn a_targeted_field_decides_in_both_directions() {
    let cdn = "cdn-cache-control";
    assert_eq!(reason(&[("cache-control", "no-store"), (cdn, "max-age=9")]), None);
    let found = reason(&[("cache-control", "max-age=9"), (cdn, "no-store")]);
    assert_eq!(found, Some(NoStore::NoStore));
    let found = reason(&[("cache-control", "max-age=9"), (cdn, "private")]);
    assert_eq!(found, Some(NoStore::Private));
    let found = reason(&[("cache-control", "no-store"), (cdn, "max-age=10000, &&&&&")]);
    assert_eq!(found, Some(NoStore::NoStore));
    let found = reason(&[("cache-control", "no-store"), (cdn, "max-age=\"10000\"")]);
    assert_eq!(found, Some(NoStore::Unusable));
    assert!(get(&[(cdn, "max-age=9")]).unwrap().meta().targeted());
}

#[test]
fn an_answer_to_a_request_with_authorization_is_shared_only_by_permission() {
    let found = |value| {
        let resp = &[("cache-control", value)];
        judge_as("GET", 200, &[("authorization", "FOO")], resp, &SiteRules::default()).err()
    };
    assert_eq!(found("max-age=3600"), Some(NoStore::Authorization));
    assert_eq!(found("max-age=3600, proxy-revalidate"), Some(NoStore::Authorization));
    for value in ["max-age=3600, public", "max-age=3600, must-revalidate", "s-maxage=3600"] {
        assert_eq!(found(value), None, "{value}");
    }
}

#[test]
fn set_cookie_is_stored_as_the_site_says() {
    use SetCookie::{Never, Strip, WhenExplicit, WhenShared};
    let refused = Err(NoStore::SetCookie);
    for (rule, resp, expected) in [
        (WhenExplicit, "max-age=3600", Ok(true)),
        (WhenExplicit, "max-age=0", refused),
        (WhenExplicit, "no-cache", refused),
        (WhenExplicit, "no-cache, public, max-age=9", refused),
        (WhenExplicit, "extension", refused),
        (WhenExplicit, "max-age=9, no-cache=\"set-cookie\"", Ok(false)),
        (WhenShared, "max-age=3600", refused),
        (WhenShared, "max-age=3600, public", Ok(true)),
        (WhenShared, "s-maxage=3600", Ok(true)),
        (WhenShared, "s-maxage=0", refused),
        (Strip, "max-age=3600", Ok(false)),
        (Never, "max-age=3600, public", refused),
        (Never, "max-age=9, private=\"set-cookie\"", Ok(false)),
    ] {
        let rules = SiteRules { set_cookie: rule, ..SiteRules::default() };
        let lines = &[("cache-control", resp), ("set-cookie", "a=b"), ("etag", "\"a\"")];
        let found = judge_as("GET", 200, &[], lines, &rules)
            .map(|storable| storable.headers().contains_key(SET_COOKIE));
        assert_eq!(found, expected, "{rule:?} {resp}");
    }
}

#[test]
fn a_site_default_never_shares_a_cookie() {
    let rules = SiteRules { ttl_default: Some(Duration::from_secs(60)), ..SiteRules::default() };
    let judged = |req, resp| judge_as("GET", 200, req, resp, &rules).map(|_| ());
    assert_eq!(judged(&[], &[]), Ok(()));
    assert_eq!(judged(&[], &[("set-cookie", "a=b")]), Err(NoStore::SetCookie));
    assert_eq!(judged(&[("cookie", "a=b")], &[]), Err(NoStore::Unusable));
}

#[test]
fn a_client_that_is_honoured_can_forbid_storing() {
    let rules = SiteRules { client_directives: ClientDirectives::Honour, ..SiteRules::default() };
    let req = &[("cache-control", "no-store")];
    let resp = &[("cache-control", "max-age=60")];
    assert_eq!(judge_as("GET", 200, req, resp, &rules).err(), Some(NoStore::RequestNoStore));
    assert!(judge_as("GET", 200, req, resp, &SiteRules::default()).is_ok());
}

#[test]
fn vary_star_and_a_wide_vary_are_not_stored() {
    let cached = ("cache-control", "max-age=60");
    assert_eq!(reason(&[cached, ("vary", "Foo, *")]), Some(NoStore::VaryStar));
    let many = (0..20).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(reason(&[cached, ("vary", &many)]), Some(NoStore::VaryWide));
}

#[test]
fn what_belongs_to_a_hop_or_is_named_private_is_not_kept() {
    let stored = get(&[
        ("cache-control", "max-age=60, no-cache=\"a, B\", private=\"c\""),
        ("connection", "d, close"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("d", "4"),
        ("e", "5"),
        ("age", "7"),
        ("keep-alive", "1"),
        ("proxy-authenticate", "x"),
        ("proxy-authentication-info", "x"),
        ("proxy-authorization", "x"),
        ("proxy-connection", "x"),
        ("te", "x"),
        ("transfer-encoding", "x"),
        ("upgrade", "x"),
        ("content-range", "x"),
        ("date", "Sun, 22 Nov 2026 00:00:00 GMT"),
    ])
    .unwrap();
    let mut names: Vec<&str> = stored.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "content-range", "date", "e"]);
}

#[test]
fn what_came_undated_is_dated() {
    let stored = get(&[("cache-control", "max-age=60")]).unwrap();
    assert_eq!(stored.headers()[DATE], "Sun, 22 Nov 2026 00:00:00 GMT");
}

#[test]
fn a_post_is_stored_only_for_its_own_url_and_with_an_explicit_lifetime() {
    let found =
        |method, resp: Lines<'_>| judge_as(method, 200, &[], resp, &SiteRules::default()).err();
    let cached = ("cache-control", "max-age=60");
    for own in ["/test/x?q", "http://A.test:80/test/x?q", "x?q", ""] {
        assert_eq!(found("POST", &[cached, ("content-location", own)]), None, "{own}");
    }
    for resp in [
        &[cached][..],
        &[cached, ("content-location", "/test/y?q")],
        &[cached, ("content-location", "https://a.test/test/x?q")],
        &[("etag", "\"a\""), ("content-location", "/test/x?q")],
    ] {
        assert_eq!(found("POST", resp), Some(NoStore::Method), "{resp:?}");
    }
    for method in ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get"] {
        let resp = &[cached, ("content-location", "/test/x?q")];
        assert_eq!(found(method, resp), Some(NoStore::Method), "{method}");
    }
}

#[test]
fn flags_tell_what_the_response_said() {
    let meta = *get(&[
        ("cache-control", "max-age=60, immutable, no-transform, must-revalidate"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ])
    .unwrap()
    .meta();
    assert!(meta.immutable() && meta.no_transform() && meta.must_revalidate());
    assert!(meta.has_validator() && !meta.heuristic() && !meta.no_cache());
    assert_eq!(meta.lifetime(), Duration::from_secs(60));
    let guessed = get(&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]).unwrap();
    assert!(guessed.meta().heuristic());
}

#[test]
fn a_meta_is_small() {
    assert!(size_of::<Meta>() <= 48);
}
