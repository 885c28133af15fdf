//! Held against http-cache-semantics 3 on the inputs where that crate is right.
//!
//! Left out, because it reads them wrongly or not at all:
//!
//! | input | what it does |
//! |---|---|
//! | directive names with capitals | compares with case: stores `No-Store` and `PRIVATE` |
//! | commas inside quoted strings | splits there |
//! | repeated fields and directives | keeps the last field, turns a conflict into must-revalidate |
//! | field lists of `no-cache`, `private` | takes them for the plain directive |
//! | numbers above 64 bits, odd and huge `Age` | lifetime 0; panics adding durations |
//! | dates that are not IMF-fixdates | does not parse them |
//! | `Date` that is not the time of receipt | has no apparent age, counts `Expires` from it only |
//! | `proxy-revalidate`, `immutable` alone | lifetime 0; a day |
//! | `Set-Cookie`, `Pragma`, `must-understand`, targeted fields, windows | own rules or none |
//! | statuses it does not know, such as 500 with `max-age` | never stores them |
//! | HEAD and POST | stores them without `Content-Location` |
//! | a 304 without validators, or strong where the stored tag is weak | refuses; accepts |
//! | fields that a 304 adds | drops them |
//!
//! The site rules of the test lift our own bounds on lifetimes, which it does not have.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use proptest::prelude::*;
use selvedge_policy::validate::{Freshened, Stored, update_on_304};
use selvedge_policy::*;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-11-22T00:00:00Z.
const START_S: i64 = 1_795_305_600;

#[derive(Clone, Debug)]
struct Case {
    status: u16,
    cache_control: Vec<String>,
    expires_s: Option<i64>,
    modified_tenths_s: Option<i64>,
    age_s: Option<u32>,
    authorized: bool,
    vary: bool,
    first: Vec<String>,
    second: Vec<String>,
    value: (u8, u8),
    later_s: u64,
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1_u32..20, 90_u32..110, 1000_u32..4000]
}

fn response_directives() -> impl Strategy<Value = Vec<String>> {
    let optional =
        |name: &'static str, rarely: f64| proptest::option::weighted(rarely, Just(name.to_owned()));
    let numbered = |name: &'static str| {
        proptest::option::weighted(0.4, number().prop_map(move |n| format!("{name}={n}")))
    };
    (
        numbered("max-age"),
        numbered("s-maxage"),
        optional("no-cache", 0.1),
        optional("no-store", 0.1),
        optional("private", 0.1),
        optional("public", 0.3),
        optional("must-revalidate", 0.3),
        optional("extension=1", 0.3),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| {
            [a, b, c, d, e, f, g, h].into_iter().flatten().collect()
        })
}

fn request_directives() -> impl Strategy<Value = Vec<String>> {
    let numbered = |name: &'static str| {
        proptest::option::weighted(0.2, number().prop_map(move |n| format!("{name}={n}")))
    };
    let optional = |name: &'static str| proptest::option::weighted(0.05, Just(name.to_owned()));
    (numbered("max-age"), numbered("min-fresh"), optional("no-cache"), optional("no-store"))
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect())
}

fn case() -> impl Strategy<Value = Case> {
    let statuses = [200_u16, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
    (
        proptest::sample::select(statuses.to_vec()),
        response_directives(),
        proptest::option::weighted(0.3, -100_i64..4000),
        proptest::option::weighted(0.4, 0_i64..50),
        proptest::option::weighted(0.3, number()),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.3),
        request_directives(),
        request_directives(),
        (0_u8..2, 0_u8..2),
        prop_oneof![0_u64..20, 90_u64..110, 1000_u64..4000],
    )
        .prop_map(
            |(
                status,
                cache_control,
                expires_s,
                modified,
                age_s,
                authorized,
                vary,
                first,
                second,
                value,
                later_s,
            )| Case {
                status,
                cache_control,
                expires_s,
                modified_tenths_s: modified,
                age_s,
                authorized,
                vary,
                first,
                second,
                value,
                later_s,
            },
        )
}

impl Case {
    fn request(directives: &[String], value: u8) -> HeaderMap {
        let mut out = HeaderMap::new();
        if !directives.is_empty() {
            out.insert("cache-control", HeaderValue::try_from(directives.join(", ")).unwrap());
        }
        out.insert("foo", HeaderValue::from(u16::from(value)));
        out
    }

    fn response(&self) -> HeaderMap {
        let mut out = HeaderMap::new();
        out.insert("date", date::format(START_S));
        if !self.cache_control.is_empty() {
            let value = self.cache_control.join(", ");
            out.insert("cache-control", HeaderValue::try_from(value).unwrap());
        }
        if let Some(offset) = self.expires_s {
            out.insert("expires", date::format(START_S + offset));
        }
        // Tenths of these are whole seconds, whatever the rounding.
        if let Some(thousands) = self.modified_tenths_s {
            out.insert("last-modified", date::format(START_S - thousands * 1000));
        }
        if let Some(age) = self.age_s {
            out.insert("age", HeaderValue::from(age));
        }
        if self.vary {
            out.insert("vary", HeaderValue::from_static("foo"));
        }
        out
    }
}

fn rules() -> SiteRules {
    let forever = Duration::from_secs(u64::from(u32::MAX));
    SiteRules {
        ttl_max: forever,
        ttl_failure_max: forever,
        heuristic_max: forever,
        client_directives: ClientDirectives::Honour,
        odd_not_modified: OddNotModified::Refetch,
        ..SiteRules::default()
    }
}

fn at(seconds: u64) -> (Now, SystemTime) {
    let now = Now { mono_ms: 9000 + seconds * 1000, wall_s: START_S + seconds as i64 };
    (now, UNIX_EPOCH + Duration::from_secs(START_S as u64 + seconds))
}

fn plain_request(headers: &HeaderMap) -> Request<()> {
    let mut out = Request::get("http://a.test/").body(()).unwrap();
    out.headers_mut().clone_from(headers);
    out
}

fn plain_response(status: u16, headers: &HeaderMap) -> Response<()> {
    let mut out = Response::builder().status(status).body(()).unwrap();
    out.headers_mut().clone_from(headers);
    out
}

/// Stored tag and that of the 304, without the pairs that the table above leaves out.
const TAGS: [(&str, &str); 8] = [
    ("\"a\"", "\"a\""),
    ("\"a\"", "\"b\""),
    ("\"a\"", "W/\"a\""),
    ("\"a\"", "W/\"b\""),
    ("W/\"a\"", "W/\"a\""),
    ("W/\"a\"", "W/\"b\""),
    ("", ""),
    ("\"b\"", "\"a\""),
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn both_store_and_reuse_the_same(case in case()) {
        let mut first = Case::request(&case.first, case.value.0);
        if case.authorized {
            first.insert("authorization", HeaderValue::from_static("x"));
        }
        let second = Case::request(&case.second, case.value.1);
        let resp = case.response();
        let (stored_at, their_stored_at) = at(0);
        let (asked_at, their_asked_at) = at(case.later_s);

        let theirs = CachePolicy::new_options(
            &plain_request(&first),
            &plain_response(case.status, &resp),
            their_stored_at,
            CacheOptions::default(),
        );
        let before = theirs.before_request(&plain_request(&second), their_asked_at);
        let their_answer = matches!(before, BeforeRequest::Fresh(_)) && theirs.is_storable();

        let rules = rules();
        let x = Exchange {
            method: &Method::GET,
            target: None,
            req_headers: &first,
            status: StatusCode::from_u16(case.status).unwrap(),
            resp_headers: &resp,
            requested_at: stored_at,
            received_at: stored_at,
        };
        let ours = judge(&x, &rules);
        match &ours {
            Verdict::Store(storable) => {
                prop_assert!(theirs.is_storable());
                let meta = storable.meta();
                let age = Duration::from_millis(meta.age_ms(asked_at));
                prop_assert_eq!(age, theirs.age(their_asked_at));
                if !meta.no_cache() {
                    let left = Duration::from_millis(meta.ttl_ms(asked_at).max(0) as u64);
                    prop_assert_eq!(left, theirs.time_to_live(their_asked_at));
                }
            }
            // It does not ask whether what it stores can ever be used.
            Verdict::Pass(reason) => {
                prop_assert!(*reason == NoStore::Unusable || !theirs.is_storable());
            }
        }
        let our_answer = match &ours {
            Verdict::Store(storable) => {
                let directives = RequestDirectives::parse(&second);
                storable.selecting().matches(&second, &rules)
                    && reuse(storable.meta(), &directives, &rules, asked_at) == Reuse::Fresh
            }
            Verdict::Pass(_) => false,
        };
        prop_assert_eq!(our_answer, their_answer);
    }

    #[test]
    fn both_let_the_same_304_freshen(
        (old, new) in proptest::sample::select(TAGS.to_vec()),
        modified in (0_i64..2, 0_i64..2),
    ) {
        let fields = |tag: &'static str, modified: i64| {
            let mut out = HeaderMap::new();
            out.insert("cache-control", HeaderValue::from_static("max-age=5"));
            out.insert("last-modified", date::format(START_S - modified));
            if !tag.is_empty() {
                out.insert("etag", HeaderValue::from_static(tag));
            }
            out
        };
        let stored = fields(old, modified.0);
        let resp = fields(new, modified.1);
        let (now, their_now) = at(10);
        let req = HeaderMap::new();
        let policy = CachePolicy::new_options(
            &plain_request(&req),
            &plain_response(200, &stored),
            at(0).1,
            CacheOptions::default(),
        );
        let after =
            policy.after_response(&plain_request(&req), &plain_response(304, &resp), their_now);
        let theirs = matches!(after, AfterResponse::NotModified(..));
        let rules = rules();
        let selecting = Selecting::record(&stored, &req, &rules);
        let kept = Stored {
            status: StatusCode::OK,
            headers: &stored,
            selecting: &selecting,
            body_length: None,
        };
        let x = Exchange {
            method: &Method::GET,
            target: None,
            req_headers: &req,
            status: StatusCode::NOT_MODIFIED,
            resp_headers: &resp,
            requested_at: now,
            received_at: now,
        };
        let ours = !matches!(update_on_304(&kept, &x, &rules), Freshened::Refetch);
        prop_assert_eq!(ours, theirs);
    }
}
