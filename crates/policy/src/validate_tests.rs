//! Tests of `validate.rs`.

use super::*;
use crate::time::Now;

const WALL: i64 = 1_795_305_600;

type Lines<'a> = &'a [(&'static str, &'a str)];

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in lines {
        out.append(*name, HeaderValue::from_str(value).unwrap());
    }
    out
}

fn evaluate(method: &Method, req: Lines<'_>, stored: Lines<'_>) -> Precondition {
    precondition(method, &headers(req), &headers(stored), StatusCode::OK)
}

const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const STORED: Lines<'static> = &[("etag", "\"a\""), ("last-modified", MODIFIED)];

#[test]
fn conditions_are_evaluated_in_the_order_of_rfc_9110_13_2_2() {
    use Precondition::{Failed, NotModified, Proceed};
    for (req, expected) in [
        (&[][..], Proceed),
        (&[("if-none-match", "\"a\"")], NotModified),
        (&[("if-none-match", "W/\"a\"")], NotModified),
        (&[("if-none-match", "\"b\", \"a\" , \"c\"")], NotModified),
        (&[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], NotModified),
        (&[("if-none-match", "*")], NotModified),
        (&[("if-none-match", "a")], Proceed),
        (&[("if-none-match", "\"b\""), ("if-modified-since", NEW)], Proceed),
        (&[("if-none-match", "\"a\""), ("if-modified-since", OLD)], NotModified),
        (&[("if-modified-since", MODIFIED)], NotModified),
        (&[("if-modified-since", NEW)], NotModified),
        (&[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
        (&[("if-modified-since", OLD)], Proceed),
        (&[("if-modified-since", "yesterday")], Proceed),
        (&[("if-modified-since", NEW), ("if-modified-since", NEW)], Proceed),
        (&[("if-match", "\"a\"")], Proceed),
        (&[("if-match", "W/\"a\"")], Failed),
        (&[("if-match", "\"b\"")], Failed),
        (&[("if-match", "*")], Proceed),
        (&[("if-match", "\"a\""), ("if-unmodified-since", OLD)], Proceed),
        (&[("if-unmodified-since", OLD)], Failed),
        (&[("if-unmodified-since", MODIFIED)], Proceed),
        (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified),
    ] {
        assert_eq!(evaluate(&Method::GET, req, STORED), expected, "{req:?}");
    }
}

#[test]
fn only_reading_methods_get_a_304_and_only_successes_have_conditions() {
    let req = &[("if-none-match", "\"a\"")];
    assert_eq!(evaluate(&Method::HEAD, req, STORED), Precondition::NotModified);
    assert_eq!(evaluate(&Method::PUT, req, STORED), Precondition::Failed);
    let found = precondition(&Method::GET, &headers(req), &headers(STORED), StatusCode::NOT_FOUND);
    assert_eq!(found, Precondition::Proceed);
}

#[test]
fn odd_tags_match_what_is_written_the_same() {
    for (asked, stored, same) in [
        ("W/\"a\"", "W/\"a\"", true),
        ("\"a\"", "W/\"a\"", true),
        ("a", "a", true),
        ("a", "\"a\"", false),
        ("\"a\"", "a", false),
        ("w/\"a\"", "w/\"a\"", true),
        ("w/\"a\"", "W/\"a\"", false),
        ("W\"a\"", "W\"a\"", true),
        ("\"a,b\"", "\"a,b\"", true),
    ] {
        let found = evaluate(&Method::GET, &[("if-none-match", asked)], &[("etag", stored)]);
        assert_eq!(found == Precondition::NotModified, same, "{asked} {stored}");
    }
}

#[test]
fn without_last_modified_the_date_counts() {
    let stored = &[("date", MODIFIED)];
    let asked = |since| evaluate(&Method::GET, &[("if-modified-since", since)], stored);
    assert_eq!(asked(NEW), Precondition::NotModified);
    assert_eq!(asked(OLD), Precondition::Proceed);
}

#[test]
fn tags_compare_strongly_and_weakly_as_rfc_9110_8_8_3_2_shows() {
    for (a, b, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        assert_eq!(strong_match(a.as_bytes(), b.as_bytes()), strong, "{a} {b}");
        assert_eq!(weak_match(a.as_bytes(), b.as_bytes()), weak, "{a} {b}");
    }
    let weak = |text| weaken(&HeaderValue::from_static(text));
    assert_eq!(weak("\"a\"").unwrap(), "W/\"a\"");
    assert_eq!(weak("W/\"a\"").unwrap(), "W/\"a\"");
    assert_eq!(weak("a"), None);
    assert_eq!(weak("\""), None);
}

#[test]
fn a_request_is_made_conditional_with_the_stored_validators_as_they_are() {
    let mut req = headers(&[("if-none-match", "\"x\""), ("if-range", "\"x\""), ("a", "1")]);
    strip_conditions(&mut req);
    assert_eq!(req.len(), 1);
    assert!(conditional_headers(&headers(STORED), &mut req));
    assert_eq!(req[IF_NONE_MATCH], "\"a\"");
    assert_eq!(req[IF_MODIFIED_SINCE], MODIFIED);
    assert!(!conditional_headers(&headers(&[("etag", "")]), &mut HeaderMap::new()));
}

#[test]
fn a_304_carries_what_rfc_9110_15_4_5_lists() {
    let stored = headers(&[
        ("etag", "\"a\""),
        ("last-modified", MODIFIED),
        ("vary", "a"),
        ("vary", "b"),
        ("content-type", "text/html"),
        ("content-length", "5"),
        ("set-cookie", "a=b"),
        ("date", MODIFIED),
    ]);
    let sent = not_modified_headers(&stored);
    assert_eq!(sent.len(), 4);
    assert_eq!(sent.get_all(VARY).iter().count(), 2);
    let sent = not_modified_headers(&headers(&[("last-modified", MODIFIED)]));
    assert_eq!(sent[LAST_MODIFIED], MODIFIED);
}

fn apply_304(stored: Lines<'_>, req: Lines<'_>, resp: Lines<'_>, rules: &SiteRules) -> Freshened {
    let headers_stored = headers(stored);
    let selecting = Selecting::record(&headers_stored, &headers(req), rules);
    let stored = Stored {
        status: StatusCode::OK,
        headers: &headers_stored,
        selecting: &selecting,
        body_length: Some(5),
    };
    let x = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: &headers(req),
        status: StatusCode::NOT_MODIFIED,
        resp_headers: &headers(resp),
        requested_at: Now { mono_ms: 100_000, wall_s: WALL },
        received_at: Now { mono_ms: 100_200, wall_s: WALL },
    };
    update_on_304(&stored, &x, rules)
}

fn updated(stored: Lines<'_>, resp: Lines<'_>) -> Storable {
    match apply_304(stored, &[], resp, &SiteRules::default()) {
        Freshened::Updated(storable) => storable,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_304_brings_its_fields_except_those_the_body_depends_on() {
    let stored = updated(
        &[
            ("etag", "\"a\""),
            ("cache-control", "max-age=1"),
            ("date", OLD),
            ("age", "7"),
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("content-md5", "x"),
            ("content-range", "x"),
            ("set-cookie", "a=b"),
            ("kept", "1"),
            ("twice", "1"),
        ],
        &[
            ("etag", "\"a\""),
            ("cache-control", "max-age=3600"),
            ("content-type", "text/plain;charset=utf-8"),
            ("content-length", "10"),
            ("content-encoding", "br"),
            ("content-md5", "y"),
            ("content-range", "y"),
            ("set-cookie", "a=c"),
            ("connection", "named"),
            ("named", "1"),
            ("twice", "2"),
            ("twice", "3"),
            ("new", "1"),
        ],
    );
    let headers = stored.headers();
    for (name, value) in [
        ("cache-control", "max-age=3600"),
        ("content-type", "text/plain;charset=utf-8"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("content-md5", "x"),
        ("content-range", "x"),
        ("set-cookie", "a=c"),
        ("kept", "1"),
        ("new", "1"),
        ("date", "Sun, 22 Nov 2026 00:00:00 GMT"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(headers.get_all("twice").iter().collect::<Vec<_>>(), ["2", "3"]);
    assert!(!headers.contains_key("named") && !headers.contains_key(AGE));
    let now = Now { mono_ms: 100_200, wall_s: WALL };
    assert_eq!((stored.meta().age_ms(now), stored.meta().ttl_s(now)), (200, 3599));
}

#[test]
fn a_304_that_names_the_same_validator_or_none_freshens() {
    for (stored, resp) in [
        (&[("etag", "\"a\"")][..], &[("etag", "\"a\"")][..]),
        (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")]),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")]),
        (&[("etag", "\"a\"")], &[]),
        (&[("last-modified", MODIFIED)], &[("last-modified", MODIFIED)]),
        (&[("etag", "\"a\""), ("last-modified", MODIFIED)], &[("last-modified", MODIFIED)]),
        (
            &[("etag", "\"a\""), ("last-modified", OLD)],
            &[("etag", "\"a\""), ("last-modified", NEW)],
        ),
    ] {
        let resp = [resp, &[("marker", "1"), ("cache-control", "max-age=9")]].concat();
        assert!(updated(stored, &resp).headers().contains_key("marker"), "{stored:?} {resp:?}");
    }
}

#[test]
fn a_304_with_another_validator_updates_no_field() {
    for (stored, resp) in [
        (&[("etag", "\"a\"")][..], &[("etag", "\"b\"")][..]),
        (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")]),
        (&[("etag", "\"a\"")], &[("etag", "W/\"b\"")]),
        (&[("last-modified", MODIFIED)], &[("etag", "\"b\"")]),
        (&[("last-modified", MODIFIED)], &[("last-modified", NEW)]),
    ] {
        let stored = [stored, &[("cache-control", "max-age=5"), ("date", OLD)]].concat();
        let resp = [resp, &[("marker", "1"), ("cache-control", "max-age=900")]].concat();
        let kept = updated(&stored, &resp);
        assert!(!kept.headers().contains_key("marker"), "{stored:?} {resp:?}");
        let now = Now { mono_ms: 100_200, wall_s: WALL };
        assert_eq!(kept.meta().ttl_ms(now), 4800);
        let refetch =
            SiteRules { odd_not_modified: OddNotModified::Refetch, ..SiteRules::default() };
        assert!(matches!(apply_304(&stored, &[], &resp, &refetch), Freshened::Refetch));
    }
}

#[test]
fn a_304_that_forbids_storing_lets_the_response_answer_once_more() {
    let stored = &[("etag", "\"a\""), ("cache-control", "max-age=1")];
    for (cache_control, reason) in [("no-store", NoStore::NoStore), ("private", NoStore::Private)] {
        let resp = &[("etag", "\"a\""), ("cache-control", cache_control)];
        match apply_304(stored, &[], resp, &SiteRules::default()) {
            Freshened::LastUse(headers, found) => {
                assert_eq!(found, reason);
                assert_eq!(headers[CACHE_CONTROL], cache_control);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn freshening_does_not_change_whom_a_variant_was_made_for() {
    let rules = SiteRules::default();
    let stored_headers =
        headers(&[("etag", "\"a\""), ("vary", "Accept-Language"), ("content-language", "de")]);
    let first = headers(&[("accept-language", "en, de")]);
    let selecting = Selecting::record(&stored_headers, &first, &rules);
    let stored = Stored {
        status: StatusCode::OK,
        headers: &stored_headers,
        selecting: &selecting,
        body_length: None,
    };
    let now = Now { mono_ms: 0, wall_s: WALL };
    let x = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: &headers(&[("accept-language", "de")]),
        status: StatusCode::NOT_MODIFIED,
        resp_headers: &headers(&[("cache-control", "max-age=9")]),
        requested_at: now,
        received_at: now,
    };
    match update_on_304(&stored, &x, &rules) {
        Freshened::Updated(storable) => assert!(storable.selecting().matches(&first, &rules)),
        other => panic!("{other:?}"),
    }
}

fn apply_head(stored: Lines<'_>, status: u16, resp: Lines<'_>) -> HeadEffect {
    let stored_headers = headers(stored);
    let selecting = Selecting::default();
    let stored = Stored {
        status: StatusCode::OK,
        headers: &stored_headers,
        selecting: &selecting,
        body_length: Some(5),
    };
    let now = Now { mono_ms: 0, wall_s: WALL };
    let x = Exchange {
        method: &Method::HEAD,
        target: None,
        req_headers: &HeaderMap::new(),
        status: StatusCode::from_u16(status).unwrap(),
        resp_headers: &headers(resp),
        requested_at: now,
        received_at: now,
    };
    update_on_head(&stored, &x, &SiteRules::default())
}

#[test]
fn a_head_that_agrees_freshens() {
    let stored = &[("cache-control", "max-age=2"), ("etag", "\"a\""), ("template", "1")];
    let resp = &[
        ("cache-control", "max-age=1000"),
        ("etag", "\"a\""),
        ("content-length", "5"),
        ("template", "2"),
    ];
    match apply_head(stored, 200, resp) {
        HeadEffect::Updated(storable) => {
            assert_eq!(storable.headers()["template"], "2");
            assert_eq!(storable.meta().lifetime().as_secs(), 1000);
        }
        other => panic!("{other:?}"),
    }
    let resp = &[("cache-control", "max-age=1000")];
    assert!(matches!(apply_head(stored, 200, resp), HeadEffect::Updated(_)));
}

#[test]
fn a_head_that_disagrees_makes_stale_and_an_error_says_nothing() {
    let stored = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];
    for resp in [
        &[("etag", "\"b\"")][..],
        &[("last-modified", NEW)],
        &[("content-length", "6")],
        &[("cache-control", "no-store")],
    ] {
        assert!(matches!(apply_head(stored, 200, resp), HeadEffect::Stale), "{resp:?}");
    }
    for status in [204, 304, 404, 410, 500] {
        assert!(matches!(apply_head(stored, status, &[]), HeadEffect::Nothing), "{status}");
    }
}
