//! The cases of the public HTTP cache conformance suite that concern policy, by their names there,
//! and what its newer edition adds on targeted fields, stale windows and large ages.
//!
//! Left out: cases about partial responses (not stored), cases about sockets, and one that
//! contradicts a standard: `conditional-lm-fresh-no-lm` wants 304 for an `If-Modified-Since`
//! before the stored `Date`, where RFC 9111 4.3.2 has the `Date` stand in for a missing
//! `Last-Modified`, so that the response counts as modified since.

use crate::cache::{Cache, From, Line, Origin, Request};
use selvedge_policy::{OddAge, SiteRules};

const FRESH: &[Line<'_>] = &[("expires", "@100000"), ("last-modified", "@0"), ("date", "@0")];
const STALE: &[Line<'_>] = &[("expires", "@-5000"), ("last-modified", "@-100000"), ("date", "@0")];

/// Asks twice with three seconds between; the second answer's origin.
fn twice(
    status: u16,
    first: &[Line<'_>],
    resp: &[Line<'_>],
    second: &[Line<'_>],
    rules: SiteRules,
) -> From {
    let mut cache = Cache::new(rules);
    let answer = cache.get(first, Origin::Answers(status, resp));
    assert_eq!(answer.from, From::Origin);
    cache.wait(3);
    cache.get(second, Origin::Answers(status, &[("second", "1")])).from
}

fn responses(cases: &[(&str, &[Line<'_>], From)]) {
    for (name, resp, expected) in cases {
        let found = twice(200, &[], resp, &[], SiteRules::default());
        assert_eq!(found, *expected, "{name}");
    }
}

use From::{Origin as Fetched, Store as Cached};

#[test]
fn cache_control_freshness() {
    let cc = |value| ("cache-control", value);
    responses(&[
        ("freshness-none", &[], Fetched),
        ("freshness-max-age", &[cc("max-age=3600")], Cached),
        ("freshness-max-age-0", &[cc("max-age=0")], Fetched),
        ("freshness-max-age-max", &[cc("max-age=2147483648")], Cached),
        ("freshness-max-age-max-plus", &[cc("max-age=99999999999")], Cached),
        ("freshness-max-age-age", &[cc("max-age=3600"), ("age", "7200"), ("date", "@0")], Fetched),
        ("freshness-max-age-date", &[("date", "@-7200"), cc("max-age=3600")], Fetched),
        ("freshness-max-age-expires", &[cc("max-age=3600"), ("expires", "@-7200")], Cached),
        ("freshness-max-age-expires-invalid", &[cc("max-age=3600"), ("expires", "0")], Cached),
        ("freshness-max-age-0-expires", &[("expires", "@3600"), cc("max-age=0")], Fetched),
        ("freshness-max-age-extension", &[cc("foobar, max-age=3600")], Cached),
        ("freshness-max-age-case-insenstive", &[cc("MaX-aGe=3600")], Cached),
        ("freshness-max-age-negative", &[cc("max-age=-3600")], Fetched),
        ("freshness-s-maxage-shared", &[cc("s-maxage=3600")], Cached),
        ("s-maxage-shared-longer", &[cc("max-age=3600, s-maxage=1")], Fetched),
        ("s-maxage-shared-longer-reversed", &[cc("s-maxage=1, max-age=3600")], Fetched),
        ("s-maxage-shared-longer-multiple", &[cc("max-age=3600"), cc("s-maxage=1")], Fetched),
        ("s-maxage-shared-shorter", &[cc("max-age=1, s-maxage=3600")], Cached),
        ("s-maxage-shorter-expires", &[("expires", "@-10"), cc("max-age=0, s-maxage=9")], Cached),
        ("freshness-max-age-single-quoted", &[cc("max-age='3600'")], Fetched),
        ("freshness-max-age-ignore-quoted", &[cc("e=\"max-age=3600\", max-age=1")], Fetched),
        ("freshness-max-age-ignore-quoted-rev", &[cc("max-age=1, e=\"max-age=3600\"")], Fetched),
        ("freshness-max-age-leading-zero", &[cc("max-age=003600")], Cached),
        ("cc-resp-private-shared", &[cc("private, max-age=3600")], Fetched),
        ("cc-resp-no-store-case-insensitive", &[cc("No-StOrE")], Fetched),
        ("cc-resp-no-store-fresh", &[cc("max-age=9, no-store"), ("expires", "@9")], Fetched),
        ("cc-resp-no-cache-case-insensitive", &[cc("max-age=9, No-CaChE")], Fetched),
        ("cc-resp-no-cache-revalidate", &[cc("no-cache"), ("etag", "\"a\"")], From::Validation),
        ("cc-resp-must-revalidate-fresh", &[cc("max-age=10000, must-revalidate")], Cached),
        ("other-set-cookie", &[cc("max-age=3600"), ("set-cookie", "a=b")], Cached),
    ]);
}

#[test]
fn expires() {
    let none = ("date", "@0");
    responses(&[
        ("freshness-expires-future", &[("expires", "@2592000"), none], Cached),
        ("freshness-expires-past", &[("expires", "@-2592000"), none], Fetched),
        ("freshness-expires-present", &[("expires", "@0"), none], Fetched),
        ("freshness-expires-old-date", &[("expires", "@300"), ("date", "@400")], Fetched),
        ("freshness-expires-invalid", &[("expires", "0"), none], Fetched),
        ("freshness-expires-invalid-date", &[("date", "foo"), ("expires", "@10")], Cached),
        (
            "freshness-expires-age-slow-date",
            &[("date", "@-10"), ("expires", "@10"), ("age", "25")],
            Fetched,
        ),
        (
            "freshness-expires-age-fast-date",
            &[("date", "@10"), ("expires", "@20"), ("age", "15")],
            Fetched,
        ),
        ("rfc850", &[("expires", "Thursday, 18-Aug-50 02:01:18 GMT"), none], Cached),
        ("ansi-c", &[("expires", "Thu Aug  8 02:01:18 2050"), none], Cached),
        ("wrong-case-month", &[("expires", "Thu, 18 AUG 2050 02:01:18 GMT"), none], Cached),
        ("invalid-aest", &[("expires", "Thu, 18 Aug 2050 02:01:18 AEST"), none], Fetched),
    ]);
}

/// The older edition wants odd ages careful, the newer one to the letter of RFC 9111 5.1.
#[test]
fn age_of_both_editions() {
    for (name, lines, max_age, careful, literal) in [
        ("age-parse-nonnumeric", &["abc"][..], 3600, Fetched, Cached),
        ("age-parse-negative", &["-7200"], 3600, Fetched, Cached),
        ("age-parse-float", &["7200.0"], 3600, Fetched, Cached),
        ("age-parse-suffix", &["7200,0"], 3600, Fetched, Fetched),
        ("age-parse-suffix (newer)", &["7200, 0"], 3600, Fetched, Fetched),
        ("age-parse-prefix", &["0,7200"], 3600, Cached, Cached),
        ("age-parse-suffix-twoline", &["7200", "0"], 3600, Fetched, Fetched),
        ("age-parse-prefix-twoline", &["0", "7200"], 3600, Fetched, Cached),
        ("age-parse-dup-0", &["0, 0"], 3600, Fetched, Cached),
        ("age-parse-dup-0-twoline", &["0", "0"], 3600, Fetched, Cached),
        ("age-parse-dup-old", &["3600, 3600"], 10_000, Fetched, Cached),
        ("age-parse-parameter", &["7200;foo=bar"], 3600, Fetched, Cached),
        ("age-parse-numeric-parameter", &["7200;foo=111"], 3600, Fetched, Cached),
        ("age-parse-large-minus-one", &["2147483647"], 3600, Fetched, Fetched),
        ("age-parse-large", &["2147483648"], 3600, Fetched, Fetched),
        ("age-parse-larger", &["2147483649"], 3600, Fetched, Fetched),
        ("beyond 64 bits", &["18446744073709551616"], 3600, Fetched, Fetched),
    ] {
        let cache_control = format!("max-age={max_age}");
        let mut resp = vec![("date", "@0"), ("cache-control", &*cache_control)];
        resp.extend(lines.iter().map(|&value| ("age", value)));
        for (odd_age, expected) in [(OddAge::Stale, careful), (OddAge::Ignore, literal)] {
            let rules = SiteRules { odd_age, ..SiteRules::default() };
            assert_eq!(twice(200, &[], &resp, &[], rules), expected, "{name} {odd_age:?}");
        }
    }
}

#[test]
fn heuristics_and_statuses() {
    let modified: &[Line<'_>] = &[("last-modified", "@-86400"), ("date", "@0")];
    for status in [200, 203, 204, 404, 405, 410, 414, 501] {
        assert_eq!(twice(status, &[], modified, &[], SiteRules::default()), Cached, "{status}");
    }
    for status in [201, 202, 403, 502, 503, 504, 599] {
        assert_eq!(twice(status, &[], modified, &[], SiteRules::default()), Fetched, "{status}");
    }
    let public = &[("last-modified", "@-86400"), ("cache-control", "public")];
    assert_eq!(twice(599, &[], public, &[], SiteRules::default()), Cached);
    for status in
        [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]
    {
        assert_eq!(twice(status, &[], FRESH, &[], SiteRules::default()), Cached, "{status}");
        let mut cache = Cache::new(SiteRules::default());
        cache.get(&[], Origin::Answers(status, STALE));
        assert_ne!(cache.get(&[], Origin::Answers(200, &[])).from, Cached, "{status}");
    }
}

#[test]
fn authorization_and_pragma() {
    let auth: &[Line<'_>] = &[("authorization", "FOO")];
    for (resp, expected) in [
        (&[("expires", "@2592000"), ("date", "@0")][..], Fetched),
        (&[("cache-control", "max-age=3600, public")], Cached),
        (&[("cache-control", "max-age=3600, must-revalidate")], Cached),
        (&[("cache-control", "s-maxage=3600")], Cached),
    ] {
        assert_eq!(twice(200, auth, resp, &[], SiteRules::default()), expected, "{resp:?}");
    }
    let fresh = &[("cache-control", "max-age=3600"), ("pragma", "no-cache")];
    let pragma = &[("pragma", "no-cache")];
    assert_eq!(twice(200, &[], fresh, pragma, SiteRules::default()), Cached);
    assert_eq!(twice(200, &[], fresh, &[("cookie", "a=b")], SiteRules::default()), Cached);
}

#[test]
fn vary() {
    for (name, vary, first, second, expected) in [
        ("vary-match", "Foo", &[("foo", "1")][..], &[("foo", "1")][..], Cached),
        ("vary-no-match", "Foo", &[("foo", "1")], &[("foo", "2")], Fetched),
        ("vary-omit-stored", "Foo", &[], &[("foo", "1")], Fetched),
        ("vary-omit", "Foo", &[("foo", "1")], &[], Fetched),
        ("vary-cache-key", "Foo", &[("foo", "1"), ("o", "2")], &[("foo", "1"), ("o", "3")], Cached),
        ("vary-2-no-match", "Foo, Bar", &[("foo", "1"), ("bar", "a")], &[("foo", "1")], Fetched),
        ("vary-3-omit", "Foo, Bar, Baz", &[("foo", "1")], &[("foo", "1")], Cached),
        ("vary-star", "*", &[("foo", "1")], &[("foo", "1")], Fetched),
        ("vary-syntax-foo-star", "Foo, *", &[("foo", "1")], &[("foo", "1")], Fetched),
        ("vary-syntax-empty-star", ", *", &[], &[], Fetched),
        ("combine", "Foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")], Cached),
        ("space", "Foo", &[("foo", "1,2")], &[("foo", " 1, 2 ")], Cached),
    ] {
        let resp = [("vary", vary), ("expires", "@5000"), ("date", "@0")];
        assert_eq!(twice(200, first, &resp, second, SiteRules::default()), expected, "{name}");
    }
    for (name, second) in [
        ("vary-normalise-lang-order", "de, en"),
        ("vary-normalise-lang-case", "eN, De"),
        ("vary-normalise-lang-space", " en ,   de"),
        ("vary-normalise-lang-select", "fr;q=0.5, de;q=1.0"),
    ] {
        let resp = [("vary", "Accept-Language"), ("expires", "@5000"), ("content-language", "de")];
        let first = &[("accept-language", "en, de")];
        let second = &[("accept-language", second)];
        assert_eq!(twice(200, first, &resp, second, SiteRules::default()), Cached, "{name}");
    }
}

#[test]
fn vary_keeps_two_variants() {
    let mut cache = Cache::new(SiteRules::default());
    let resp = &[("vary", "Foo"), ("expires", "@5000"), ("date", "@0")];
    cache.get(&[("foo", "1")], Origin::Answers(200, resp));
    cache.get(&[("foo", "2")], Origin::Answers(200, resp));
    assert_eq!(cache.get(&[("foo", "1")], Origin::Fails).from, Cached);
    assert_eq!(cache.get(&[("foo", "2")], Origin::Fails).from, Cached);
}

#[test]
fn conditional_requests_are_answered_from_the_store() {
    for (resp, condition, status) in [
        (&[("etag", "\"a\"")][..], ("if-none-match", "\"a\""), 304),
        (&[("etag", "W/\"a\"")], ("if-none-match", "W/\"a\""), 304),
        (&[("etag", "\"a\"")], ("if-none-match", "\"1\", \"a\", \"2\""), 304),
        (&[("etag", "\"a\"")], ("if-none-match", "\"b\""), 200),
        (&[("last-modified", "@-3000")], ("if-modified-since", "@-3003"), 304),
        (&[("last-modified", "@-3000")], ("if-modified-since", "@-2000"), 304),
        (&[("last-modified", "@-3000")], ("if-modified-since", "@-4000"), 200),
    ] {
        let mut cache = Cache::new(SiteRules::default());
        let resp = [resp, &[("expires", "@100000"), ("date", "@0")]].concat();
        cache.get(&[], Origin::Answers(200, &resp));
        cache.wait(3);
        let answer = cache.get(&[condition], Origin::Fails);
        assert_eq!((answer.from, answer.status), (Cached, status), "{condition:?}");
        assert!(answer.headers.contains_key(resp[0].0));
        assert_eq!(answer.headers["age"], "3");
    }
}

#[test]
fn a_stale_response_is_validated_with_the_fields_vary_names() {
    let mut cache = Cache::new(SiteRules::default());
    let resp = &[("vary", "Abc"), ("expires", "@1"), ("date", "@0"), ("etag", "\"a\"")];
    cache.get(&[("abc", "123")], Origin::Answers(200, resp));
    cache.wait(3);
    let answer = cache.get(&[("abc", "123")], Origin::Answers(200, resp));
    assert_eq!(answer.from, From::Validation);
    let asked = answer.asked.unwrap();
    assert_eq!(
        (&asked["abc"], &asked["if-none-match"]),
        (&"123".parse().unwrap(), &"\"a\"".parse().unwrap())
    );
}

#[test]
fn a_client_gets_its_304_after_validation() {
    let mut cache = Cache::new(SiteRules::default());
    let resp = &[
        ("cache-control", "max-age=2"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("date", "@0"),
    ];
    cache.get(&[], Origin::Answers(200, resp));
    cache.wait(3);
    let since = [("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let answer = cache.get(&since, Origin::Answers(200, resp));
    assert_eq!((answer.from, answer.status), (From::Validation, 304));
}

#[test]
fn fields_of_a_304_update_the_stored_response() {
    for (name, old, new, kept) in [
        ("test-header", "a", "b", "b"),
        ("content-foo", "a", "b", "b"),
        ("cache-control", "max-age=1", "max-age=3600", "max-age=3600"),
        ("content-encoding", "a", "b", "a"),
        ("content-length", "5", "10", "5"),
        ("content-location", "/foo", "/bar", "/bar"),
        ("content-md5", "a", "b", "a"),
        ("content-range", "a", "b", "a"),
        ("content-type", "text/plain", "text/plain;charset=utf-8", "text/plain;charset=utf-8"),
        ("clear-site-data", "cache", "cookies", "cookies"),
        ("etag", "\"abcdef\"", "\"ghijkl\"", "\"abcdef\""),
        ("expires", "Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT", ""),
        ("set-cookie", "a=b", "a=c", "a=c"),
        ("set-cookie2", "a=b", "a=c", "a=c"),
    ] {
        let kept = if kept.is_empty() { new } else { kept };
        let lines = |value| {
            let mut lines = vec![("date", "@0"), (name, value)];
            if name != "cache-control" {
                lines.push(("cache-control", "max-age=2"));
            }
            if name != "etag" {
                lines.push(("etag", "\"v\""));
            }
            lines
        };
        let mut cache = Cache::new(SiteRules::default());
        cache.get(&[], Origin::Answers(200, &lines(old)));
        cache.wait(3);
        let answer = cache.get(&[], Origin::Answers(200, &lines(new)));
        assert_eq!(
            (answer.from, &answer.headers[name]),
            (From::Validation, &kept.parse().unwrap())
        );
        let answer = cache.get(&[], Origin::Fails);
        assert_eq!(
            (answer.from, &answer.headers[name]),
            (Cached, &kept.parse().unwrap()),
            "{name}"
        );
    }
}

#[test]
fn a_304_that_nobody_asked_for_is_passed_on_and_changes_nothing() {
    let mut cache = Cache::new(SiteRules::default());
    let fresh = &[("cache-control", "max-age=100"), ("etag", "\"a\"")];
    assert_eq!(cache.get(&[], Origin::Answers(304, fresh)).status, 304);
    assert_eq!(cache.get(&[], Origin::Answers(200, fresh)).status, 200);
    assert_eq!(cache.get(&[], Origin::Fails).status, 200);
}

#[test]
fn unsafe_methods_invalidate() {
    for method in ["POST", "PUT", "DELETE", "M-SEARCH"] {
        for (status, expected) in [(200, From::Nowhere), (500, Cached)] {
            let mut cache = Cache::new(SiteRules::default());
            cache.get(&[], Origin::Answers(200, FRESH));
            let request = Request { method, path: "/", headers: &[] };
            cache.ask(request, Origin::Answers(status, &[]));
            assert_eq!(cache.get(&[], Origin::Fails).from, expected, "{method} {status}");
        }
        for field in ["location", "content-location"] {
            let mut cache = Cache::new(SiteRules::default());
            let other = Request { method: "GET", path: "/a/b", headers: &[] };
            cache.ask(other, Origin::Answers(200, FRESH));
            let request = Request { method, path: "/a/c", headers: &[] };
            cache.ask(request, Origin::Answers(200, &[(field, "/a/b")]));
            assert_eq!(cache.ask(other, Origin::Fails).from, From::Nowhere, "{method} {field}");
        }
    }
}

#[test]
fn a_post_answers_later_gets() {
    let mut cache = Cache::new(SiteRules::default());
    let request =
        Request { method: "POST", path: "/x", headers: &[("content-type", "text/plain")] };
    let resp = &[("expires", "@2592000"), ("content-location", "/x"), ("date", "@0")];
    assert_eq!(cache.ask(request, Origin::Answers(200, resp)).from, Fetched);
    let get = Request { method: "GET", path: "/x", headers: &[] };
    assert_eq!(cache.ask(get, Origin::Fails).from, Cached);
    assert_eq!(cache.ask(request, Origin::Answers(200, resp)).from, Fetched);
}

#[test]
fn a_head_freshens_or_makes_stale() {
    let head = Request { method: "HEAD", path: "/", headers: &[] };
    for (resp, expected) in [
        (&[("cache-control", "max-age=1000"), ("template-a", "2")][..], Cached),
        (&[("cache-control", "max-age=1000"), ("etag", "\"new\"")], From::Nowhere),
    ] {
        let mut cache = Cache::new(SiteRules::default());
        cache
            .get(&[], Origin::Answers(200, &[("cache-control", "max-age=2"), ("template-a", "1")]));
        cache.wait(3);
        assert_eq!(cache.ask(head, Origin::Answers(200, resp)).from, Fetched);
        let answer = cache.get(&[], Origin::Fails);
        assert_eq!(answer.from, expected);
        if expected == Cached {
            assert_eq!(answer.headers["template-a"], "2");
        }
    }
}

#[test]
fn stale_responses_answer_only_where_it_is_allowed() {
    for (name, value, expected) in [
        ("stale-close", "max-age=2", From::Nowhere),
        ("stale-sie-close", "max-age=2, stale-if-error=60", From::StoreOnError),
        ("must-revalidate", "max-age=2, must-revalidate, stale-if-error=60", From::Nowhere),
        ("proxy-revalidate", "max-age=2, proxy-revalidate, stale-if-error=60", From::Nowhere),
        ("no-cache", "max-age=2, no-cache, stale-if-error=60", From::Nowhere),
        ("s-maxage=2", "max-age=2, s-maxage=2", From::Nowhere),
        ("stale-while-revalidate", "max-age=1, stale-while-revalidate=3600", From::StoreStale),
        ("window passed", "max-age=1, stale-while-revalidate=2", From::Nowhere),
    ] {
        let mut cache = Cache::new(SiteRules::default());
        cache.get(&[], Origin::Answers(200, &[("cache-control", value), ("etag", "\"a\"")]));
        cache.wait(3);
        assert_eq!(cache.get(&[], Origin::Fails).from, expected, "{name}");
    }
}

#[test]
fn targeted_fields_of_the_newer_edition() {
    let (cdn, cc) = ("cdn-cache-control", "cache-control");
    responses(&[
        ("cdn-max-age", &[(cdn, "max-age=3600")], Cached),
        ("cdn-max-age-max", &[(cdn, "max-age=2147483648")], Cached),
        ("cdn-max-age-max-plus", &[(cdn, "max-age=99999999999")], Cached),
        ("cdn-max-age-age", &[(cdn, "max-age=3600"), ("age", "7200")], Fetched),
        ("space-before-equals", &[(cc, "max-age=1"), (cdn, "max-age =100")], Fetched),
        ("space-after-equals", &[(cc, "max-age=1"), (cdn, "max-age= 100")], Fetched),
        ("cdn-max-age-0", &[(cdn, "max-age=0")], Fetched),
        ("cdn-max-age-extension", &[(cdn, "foobar, max-age=3600")], Cached),
        ("cdn-max-age-expires", &[(cdn, "max-age=3600"), ("expires", "@-10000")], Cached),
        ("invalid-expires", &[(cdn, "max-age=3600"), ("expires", "0")], Cached),
        ("cdn-max-age-0-expires", &[(cdn, "max-age=0"), ("expires", "@10000")], Fetched),
        ("cdn-max-age-short-cc-max-age", &[(cc, "max-age=1"), (cdn, "max-age=3600")], Cached),
        ("cdn-max-age-long-cc-max-age", &[(cc, "max-age=3600"), (cdn, "max-age=1")], Fetched),
        ("cdn-private", &[(cdn, "private"), (cc, "max-age=10000")], Fetched),
        ("cdn-no-cache", &[(cdn, "no-cache"), (cc, "max-age=10000")], Fetched),
        ("cdn-no-store-cc-fresh", &[(cdn, "no-store"), (cc, "max-age=10000")], Fetched),
        ("cdn-fresh-cc-nostore", &[(cc, "no-store"), (cdn, "max-age=10000")], Cached),
        ("invalid-type-unknown", &[(cc, "no-store"), (cdn, "max-age=10000, &&&&&")], Fetched),
        ("invalid-type-wrong", &[(cc, "no-store"), (cdn, "max-age=\"10000\"")], Fetched),
    ]);
}
