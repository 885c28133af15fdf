//! Tests of `freshness.rs`.

use super::*;
use crate::targeted;
use crate::time::Now;
use http::{HeaderValue, Method};

/// 2026-11-22T00:00:00Z.
const WALL: i64 = 1_795_305_600;

struct Case {
    req: HeaderMap,
    resp: HeaderMap,
    status: u16,
    rules: SiteRules,
    delay_ms: u64,
}

impl Case {
    fn new(lines: &[(&'static str, &str)]) -> Self {
        let mut resp = HeaderMap::new();
        for (name, value) in lines {
            resp.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Self { req: HeaderMap::new(), resp, status: 200, rules: SiteRules::default(), delay_ms: 0 }
    }

    fn dated(mut self, name: &'static str, offset_s: i64) -> Self {
        self.resp.append(name, date::format(WALL + offset_s));
        self
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            method: &Method::GET,
            target: None,
            req_headers: &self.req,
            status: StatusCode::from_u16(self.status).unwrap(),
            resp_headers: &self.resp,
            requested_at: Now { mono_ms: 5000, wall_s: WALL },
            received_at: Now { mono_ms: 5000 + self.delay_ms, wall_s: WALL },
        }
    }

    fn lifetime(&self) -> Lifetime {
        lifetime(&self.exchange(), &targeted::effective(&self.resp), &self.rules)
    }

    fn seconds(&self) -> (u64, Source) {
        let lifetime = self.lifetime();
        (lifetime.ms / 1000, lifetime.source)
    }

    fn age_ms(&self) -> u64 {
        initial_age_ms(&self.exchange(), self.rules.odd_age)
    }
}

#[test]
fn shared_max_age_goes_before_max_age_before_expires() {
    let case = Case::new(&[("cache-control", "max-age=1, s-maxage=3600")]).dated("expires", -10);
    assert_eq!(case.seconds(), (3600, Source::SharedMaxAge));
    let case = Case::new(&[("cache-control", "max-age=0")]).dated("expires", 3600);
    assert_eq!(case.seconds(), (0, Source::MaxAge));
    let case = Case::new(&[]).dated("expires", 3600).dated("date", -10);
    assert_eq!(case.seconds(), (3610, Source::Expires));
}

#[test]
fn an_expires_that_is_no_date_is_over() {
    for value in ["0", "-1", "", "tomorrow", "Thu, 18 Aug 2050 2:01:18 GMT"] {
        let case = Case::new(&[("expires", value)]).dated("last-modified", -86_400);
        assert_eq!(case.seconds(), (0, Source::Expires), "{value}");
    }
}

#[test]
fn expires_counts_from_receipt_when_the_date_is_none() {
    let case = Case::new(&[("date", "foo")]).dated("expires", 10);
    assert_eq!(case.seconds(), (10, Source::Expires));
    let case = Case::new(&[]).dated("expires", 300).dated("date", 400);
    assert_eq!(case.seconds(), (0, Source::Expires));
}

#[test]
fn a_targeted_field_shuts_out_expires() {
    let case = Case::new(&[("cdn-cache-control", "public")]).dated("expires", 3600);
    assert_eq!(case.seconds(), (0, Source::Nothing));
    let case = Case::new(&[("cdn-cache-control", "max-age=60")]).dated("expires", -3600);
    assert_eq!(case.seconds(), (60, Source::MaxAge));
}

#[test]
fn a_tenth_of_the_time_since_last_modified_is_guessed_where_allowed() {
    for (status, guessed) in [
        (200, true),
        (201, false),
        (202, false),
        (203, true),
        (204, true),
        (300, true),
        (301, true),
        (302, false),
        (307, false),
        (308, true),
        (400, false),
        (403, false),
        (404, true),
        (405, true),
        (410, true),
        (414, true),
        (500, false),
        (501, true),
        (502, false),
        (503, false),
        (504, false),
        (599, false),
    ] {
        let mut case = Case::new(&[]).dated("last-modified", -1000).dated("date", 0);
        case.status = status;
        let expected = if guessed { (100, Source::Heuristic) } else { (0, Source::Nothing) };
        assert_eq!(case.seconds(), expected, "{status}");
    }
}

#[test]
fn public_lets_any_status_be_guessed_for() {
    let mut case = Case::new(&[("cache-control", "public")]).dated("last-modified", -1000);
    case.status = 599;
    assert_eq!(case.seconds(), (100, Source::Heuristic));
}

#[test]
fn a_guess_is_capped_can_be_switched_off_and_is_not_made_for_cookies() {
    let mut case = Case::new(&[]).dated("last-modified", -86_400 * 365);
    assert_eq!(case.seconds(), (86_400, Source::Heuristic));
    case.req.insert(COOKIE, HeaderValue::from_static("a=b"));
    assert_eq!(case.seconds(), (0, Source::Nothing));
    case.rules.cookie_heuristic = true;
    assert_eq!(case.seconds(), (86_400, Source::Heuristic));
    case.rules.heuristic = false;
    assert_eq!(case.seconds(), (0, Source::Nothing));
}

#[test]
fn a_site_default_counts_where_the_origin_is_silent() {
    let seconds = |status, lines: &[(&'static str, &str)]| {
        let mut case = Case::new(lines);
        case.status = status;
        case.rules.ttl_default = Some(Duration::from_secs(7));
        case.rules.ttl_error = Some(Duration::from_secs(8));
        case.rules.ttl_failure = Some(Duration::from_secs(9));
        case.seconds()
    };
    assert_eq!(seconds(200, &[]), (7, Source::Site));
    assert_eq!(seconds(404, &[]), (8, Source::Site));
    assert_eq!(seconds(503, &[]), (9, Source::Site));
    assert_eq!(seconds(403, &[]), (0, Source::Nothing));
    assert_eq!(seconds(200, &[("cache-control", "max-age=1")]), (1, Source::MaxAge));
}

#[test]
fn lifetimes_stay_within_the_bounds_of_the_site() {
    let mut case = Case::new(&[("cache-control", "max-age=99999999999")]);
    assert_eq!(case.seconds().0, 365 * 86_400);
    case.rules.ttl_max = Duration::from_secs(60);
    assert_eq!(case.seconds().0, 60);
    let mut case = Case::new(&[("cache-control", "max-age=0")]);
    case.rules.ttl_min = Duration::from_secs(5);
    assert_eq!(case.seconds().0, 5);
    assert_eq!(case.lifetime().told_s, Some(0));
    let mut case = Case::new(&[("cache-control", "max-age=86400")]);
    case.status = 502;
    assert_eq!(case.seconds().0, 300);
}

#[test]
fn the_age_on_arrival_is_the_larger_of_what_date_and_age_say() {
    assert_eq!(Case::new(&[]).dated("date", -100).age_ms(), 100_000);
    assert_eq!(Case::new(&[("age", "30")]).dated("date", 0).age_ms(), 30_000);
    assert_eq!(Case::new(&[("age", "30")]).dated("date", -100).age_ms(), 100_000);
    assert_eq!(Case::new(&[]).dated("date", 500).age_ms(), 0);
    assert_eq!(Case::new(&[]).dated("date", -1).age_ms(), 0);
    let mut slow = Case::new(&[("age", "30")]).dated("date", 0);
    slow.delay_ms = 1500;
    assert_eq!(slow.age_ms(), 31_500);
}

#[test]
fn huge_ages_are_clamped_and_never_overflow() {
    for value in ["2147483647", "2147483648", "9223372036854775808", "18446744073709551616"] {
        let mut case = Case::new(&[("age", value)]);
        case.delay_ms = u64::MAX - 5000;
        assert!(case.age_ms() <= AGE_MS_MAX);
        case.delay_ms = 0;
        assert!(case.age_ms() >= 2_147_483_647_000, "{value}");
    }
}

#[test]
fn odd_ages_are_unknown_or_ignored_as_the_site_says() {
    let seconds = AgeField::Seconds;
    for (lines, careful, literal) in [
        (&["7"][..], seconds(7), seconds(7)),
        (&["abc"], AgeField::Unknown, AgeField::Absent),
        (&["-7200"], AgeField::Unknown, AgeField::Absent),
        (&["7200.0"], AgeField::Unknown, AgeField::Absent),
        (&[""], AgeField::Unknown, AgeField::Absent),
        (&["7200;foo=bar"], AgeField::Unknown, AgeField::Absent),
        (&["7200,0"], seconds(7200), seconds(7200)),
        (&["0,7200"], seconds(0), seconds(0)),
        (&["0, 0"], AgeField::Unknown, seconds(0)),
        (&["3600, 3600"], AgeField::Unknown, seconds(3600)),
        (&["0", "7200"], AgeField::Unknown, seconds(0)),
        (&["7200", "0"], AgeField::Unknown, seconds(7200)),
    ] {
        let lines: Vec<_> = lines.iter().map(|&value| ("age", value)).collect();
        let headers = Case::new(&lines).resp;
        assert_eq!(age_field(&headers, OddAge::Stale), careful, "{lines:?}");
        assert_eq!(age_field(&headers, OddAge::Ignore), literal, "{lines:?}");
    }
    assert_eq!(age_field(&HeaderMap::new(), OddAge::Stale), AgeField::Absent);
}
