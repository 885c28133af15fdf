//! Tests of `reuse.rs`.

use super::*;
use crate::site::ClientDirectives;
use crate::{Exchange, Verdict, date, judge};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const WALL: i64 = 1_795_305_600;

fn after(seconds: u64) -> Now {
    Now { mono_ms: 1000 + seconds * 1000, wall_s: WALL }
}

fn store_by(cache_control: &str, rules: &SiteRules) -> Meta {
    let mut resp = HeaderMap::new();
    resp.insert("cache-control", HeaderValue::from_str(cache_control).unwrap());
    resp.insert("etag", HeaderValue::from_static("\"a\""));
    resp.insert("date", date::format(WALL));
    let x = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: &HeaderMap::new(),
        status: StatusCode::OK,
        resp_headers: &resp,
        requested_at: after(0),
        received_at: after(0),
    };
    match judge(&x, rules) {
        Verdict::Store(storable) => *storable.meta(),
        Verdict::Pass(reason) => panic!("{cache_control}: {reason:?}"),
    }
}

fn store(cache_control: &str) -> Meta {
    store_by(cache_control, &SiteRules::default())
}

fn ask(meta: &Meta, request: &str, seconds: u64) -> Reuse {
    let rules = SiteRules { client_directives: ClientDirectives::Honour, ..SiteRules::default() };
    reuse(meta, &directives(request), &rules, after(seconds))
}

fn directives(request: &str) -> RequestDirectives {
    let mut headers = HeaderMap::new();
    if !request.is_empty() {
        headers.insert("cache-control", HeaderValue::from_str(request).unwrap());
    }
    RequestDirectives::parse(&headers)
}

#[test]
fn time_decides_when_nobody_else_does() {
    let rules = SiteRules::default();
    for (stored, seconds, expected) in [
        ("max-age=10", 0, Reuse::Fresh),
        ("max-age=10", 9, Reuse::Fresh),
        ("max-age=10", 10, Reuse::Revalidate(Why::Stale)),
        ("max-age=10, no-cache", 0, Reuse::Revalidate(Why::NoCache)),
        ("max-age=10, no-cache=\"x\"", 0, Reuse::Fresh),
        ("max-age=10, must-revalidate", 9, Reuse::Fresh),
        ("max-age=10, stale-while-revalidate=5", 14, Reuse::StaleWhileRevalidate),
        ("max-age=10, stale-while-revalidate=5", 15, Reuse::Revalidate(Why::Stale)),
        ("s-maxage=10, stale-while-revalidate=5", 14, Reuse::StaleWhileRevalidate),
        (
            "max-age=10, must-revalidate, stale-while-revalidate=5",
            12,
            Reuse::Revalidate(Why::Stale),
        ),
        (
            "max-age=10, proxy-revalidate, stale-while-revalidate=5",
            12,
            Reuse::Revalidate(Why::Stale),
        ),
        ("max-age=10, no-cache, stale-while-revalidate=5", 12, Reuse::Revalidate(Why::NoCache)),
    ] {
        let decision = reuse(&store(stored), &RequestDirectives::default(), &rules, after(seconds));
        assert_eq!(decision, expected, "{stored} after {seconds} s");
    }
}

#[test]
fn client_directives_count_where_they_are_honoured() {
    for (stored, request, seconds, expected) in [
        ("max-age=3600", "max-age=0", 3, Reuse::Revalidate(Why::RequestMaxAge)),
        ("max-age=3600", "max-age=5", 3, Reuse::Fresh),
        ("max-age=3600", "no-cache", 0, Reuse::Revalidate(Why::RequestNoCache)),
        ("max-age=1500", "min-fresh=2000", 0, Reuse::Revalidate(Why::RequestMinFresh)),
        ("max-age=1500", "min-fresh=1500", 0, Reuse::Fresh),
        ("max-age=1", "max-stale=1000", 500, Reuse::Stale),
        ("max-age=1", "max-stale=1000", 1500, Reuse::Revalidate(Why::Stale)),
        ("max-age=1", "max-stale", 1_000_000, Reuse::Stale),
        ("max-age=1, must-revalidate", "max-stale", 5, Reuse::Revalidate(Why::Stale)),
        ("s-maxage=1", "max-stale", 5, Reuse::Revalidate(Why::Stale)),
        ("s-maxage=1, stale-if-error=9", "max-stale", 5, Reuse::Revalidate(Why::Stale)),
        ("max-age=1", "only-if-cached", 0, Reuse::Fresh),
        ("max-age=1", "only-if-cached", 5, Reuse::OnlyIfCachedMiss),
        ("max-age=9, stale-while-revalidate=9", "max-age=60", 12, Reuse::Revalidate(Why::Stale)),
        ("max-age=9, stale-while-revalidate=9", "min-fresh=1", 12, Reuse::Revalidate(Why::Stale)),
    ] {
        assert_eq!(ask(&store(stored), request, seconds), expected, "{stored} / {request}");
    }
}

#[test]
fn client_directives_do_not_count_where_they_are_ignored() {
    let rules = SiteRules::default();
    for request in ["no-cache", "max-age=0", "min-fresh=9999", "only-if-cached"] {
        let decision = reuse(&store("max-age=10"), &directives(request), &rules, after(5));
        assert_eq!(decision, Reuse::Fresh);
        assert!(!directives(request).refuses_fetch(&rules));
    }
    let decision = reuse(&store("max-age=1"), &directives("max-stale"), &rules, after(5));
    assert_eq!(decision, Reuse::Revalidate(Why::Stale));
}

#[test]
fn a_stale_response_answers_for_a_failed_origin_only_inside_its_window() {
    for (stored, request, seconds, usable) in [
        ("max-age=2", "", 1, true),
        ("max-age=2", "", 3, false),
        ("max-age=2, stale-if-error=60", "", 61, true),
        ("max-age=2, stale-if-error=60", "", 62, false),
        ("s-maxage=2, stale-if-error=60", "", 30, true),
        ("max-age=2, must-revalidate, stale-if-error=60", "", 30, false),
        ("max-age=2, proxy-revalidate, stale-if-error=60", "", 30, false),
        ("max-age=2, no-cache, stale-if-error=60", "", 1, false),
        ("max-age=2", "stale-if-error=60", 30, true),
        ("s-maxage=2", "stale-if-error=60", 30, false),
        ("max-age=2, must-revalidate", "stale-if-error=60", 30, false),
    ] {
        let rules =
            SiteRules { client_directives: ClientDirectives::Honour, ..SiteRules::default() };
        let answer = store(stored).usable_on_error(&directives(request), &rules, after(seconds));
        assert_eq!(answer, usable, "{stored} / {request} after {seconds} s");
    }
}

#[test]
fn windows_of_the_site_apply_to_responses_that_do_not_say() {
    let rules = SiteRules {
        stale_while_revalidate: std::time::Duration::from_secs(10),
        stale_if_error: std::time::Duration::from_secs(60),
        ..SiteRules::default()
    };
    let none = RequestDirectives::default();
    let silent = store_by("max-age=2", &rules);
    assert_eq!(reuse(&silent, &none, &rules, after(11)), Reuse::StaleWhileRevalidate);
    assert!(silent.usable_on_error(&none, &rules, after(60)));
    assert_eq!(silent.useless_at_mono_ms(), after(62).mono_ms);
    for stored in ["max-age=2, stale-while-revalidate=0, stale-if-error=0", "s-maxage=2", "public"]
    {
        let meta = store_by(stored, &rules);
        assert_eq!(
            reuse(&meta, &none, &rules, after(3)),
            Reuse::Revalidate(Why::Stale),
            "{stored}"
        );
        assert!(!meta.usable_on_error(&none, &rules, after(3)), "{stored}");
    }
}

#[test]
fn what_is_invalidated_answers_nobody_without_validation() {
    let meta = store("max-age=100, stale-while-revalidate=100, stale-if-error=100").invalidated();
    let rules = SiteRules::default();
    let none = RequestDirectives::default();
    assert_eq!(reuse(&meta, &none, &rules, after(1)), Reuse::Revalidate(Why::Stale));
    assert!(!meta.usable_on_error(&none, &rules, after(1)));
    assert!(!meta.is_fresh(after(1)) && !meta.is_shareable(after(1)));
}

#[test]
fn age_and_time_left_add_up_and_never_go_below_zero() {
    let meta = store("max-age=10");
    assert_eq!((meta.age_s(after(3)), meta.ttl_s(after(3))), (3, 7));
    assert_eq!((meta.age_s(after(15)), meta.ttl_s(after(15))), (15, -5));
    assert_eq!(meta.age_s(Now { mono_ms: 0, wall_s: WALL }), 0);
    let forever = Now { mono_ms: u64::MAX, wall_s: WALL };
    assert_eq!(meta.age_s(forever), 1 << 31);
}

#[test]
fn waiters_share_only_what_is_fresh_and_needs_no_validation() {
    assert!(store("max-age=10").is_shareable(after(0)));
    assert!(!store("max-age=0").is_shareable(after(0)));
    assert!(!store("no-cache, max-age=10").is_shareable(after(0)));
}
