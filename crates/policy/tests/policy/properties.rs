//! Properties that hold for any bytes.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use selvedge_policy::range::{Limits, Ranges};
use selvedge_policy::*;

const NAMES: [&str; 26] = [
    "age",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "cdn-cache-control",
    "cdn-loop",
    "connection",
    "content-language",
    "content-location",
    "cookie",
    "date",
    "etag",
    "expires",
    "foo",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "location",
    "range",
    "set-cookie",
    "vary",
    "x-forwarded-for",
    "forwarded",
];

const WORDS: [&str; 44] = [
    "max-age",
    "s-maxage",
    "no-cache",
    "no-store",
    "private",
    "public",
    "must-revalidate",
    "stale-while-revalidate",
    "stale-if-error",
    "immutable",
    "must-understand",
    "only-if-cached",
    "max-stale",
    "min-fresh",
    "=",
    "=\"",
    "\"",
    ",",
    ", ",
    ";",
    "; ",
    "q=",
    "0.5",
    "0",
    "1",
    "60",
    "99999999999999999999",
    "-",
    "*",
    "W/",
    "\"a\"",
    "bytes=",
    "0-",
    "gzip",
    "br",
    "de",
    "en",
    "foo",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "selvedge; node=",
    "http://a.test/",
    "\\",
];

fn value() -> impl Strategy<Value = HeaderValue> {
    let noise = proptest::collection::vec(any::<u8>(), 0..24).prop_map(|mut bytes| {
        bytes.retain(|byte| HeaderValue::from_bytes(&[*byte]).is_ok());
        bytes
    });
    let words = proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..8)
        .prop_map(|words| words.concat().into_bytes());
    prop_oneof![1 => noise, 4 => words].prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    proptest::collection::vec((proptest::sample::select(&NAMES[..]), value()), 0..8).prop_map(
        |lines| {
            let mut out = HeaderMap::new();
            for (name, value) in lines {
                out.append(HeaderName::from_static(name), value);
            }
            out
        },
    )
}

fn now() -> impl Strategy<Value = Now> {
    (any::<u64>(), any::<i64>()).prop_map(|(mono_ms, wall_s)| Now { mono_ms, wall_s })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "(/|%[0-9a-fA-F]{2}|%2[eE]|[a-zA-Z.~;]){0,10}".prop_map(|path| format!("/{path}")),
        "[a-zA-Z0-9.:\\[\\]_-]{0,20}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn nothing_panics_and_ages_behave(
        req in headers(),
        resp in headers(),
        status in 100_u16..=999,
        requested_at in now(),
        received_at in now(),
        earlier in now(),
        later_ms in any::<u32>(),
    ) {
        let rules = SiteRules::default();
        let target =
            Target { scheme: Scheme::Http, host: "a.test", path: "/x", query: None };
        let x = Exchange {
            method: &Method::GET,
            target: Some(&target),
            req_headers: &req,
            status: StatusCode::from_u16(status).unwrap(),
            resp_headers: &resp,
            requested_at,
            received_at,
        };
        judge(&Exchange { method: &Method::POST, ..x }, &rules);
        invalidate::targets(&target, &resp);
        if let Verdict::Store(storable) = judge(&x, &rules) {
            let meta = storable.meta();
            let later = Now { mono_ms: earlier.mono_ms.saturating_add(later_ms.into()), ..earlier };
            prop_assert!(meta.age_ms(earlier) <= meta.age_ms(later));
            prop_assert!(meta.age_s(later) <= 1 << 31);
            prop_assert!(meta.ttl_ms(earlier) >= meta.ttl_ms(later));
            let directives = RequestDirectives::parse(&req);
            let decision = reuse(meta, &directives, &rules, later);
            prop_assert_eq!(
                decision == Reuse::Fresh,
                meta.is_fresh(later) && !meta.no_cache()
            );
            meta.usable_on_error(&directives, &rules, later);
            prop_assert!(storable.selecting().matches(&req, &rules));
            for name in ["connection", "age", "transfer-encoding"] {
                prop_assert!(!storable.headers().contains_key(name));
            }
            let stored = validate::Stored {
                status: storable.status(),
                headers: storable.headers(),
                selecting: storable.selecting(),
                body_length: Some(7),
            };
            validate::update_on_304(&stored, &Exchange { resp_headers: &req, ..x }, &rules);
            validate::update_on_head(&stored, &Exchange { resp_headers: &req, ..x }, &rules);
            range::if_range(&req, storable.headers());
        }
    }

    #[test]
    fn what_forbids_is_never_stored(req in headers(), mut resp in headers(), at in now()) {
        resp.remove("cdn-cache-control");
        for forbids in ["no-store", "private", "PRIVATE=\"\"", "x=\"a\", No-Store , y"] {
            let mut resp = resp.clone();
            resp.insert("cache-control", HeaderValue::from_static(forbids));
            let x = Exchange {
                method: &Method::GET,
                target: None,
                req_headers: &req,
                status: StatusCode::OK,
                resp_headers: &resp,
                requested_at: at,
                received_at: at,
            };
            prop_assert!(matches!(judge(&x, &SiteRules::default()), Verdict::Pass(_)));
        }
    }

    #[test]
    fn matching_variants_is_symmetric(a in headers(), b in headers(), resp in headers()) {
        let mut resp = resp;
        resp.remove("content-language");
        for rules in [
            SiteRules::default(),
            SiteRules { vary_languages: vec!["en".into(), "de".into()], ..Default::default() },
        ] {
            let for_a = Selecting::record(&resp, &a, &rules);
            let for_b = Selecting::record(&resp, &b, &rules);
            let forth = for_a.matches(&b, &rules);
            prop_assert_eq!(forth, for_b.matches(&a, &rules));
            if !for_a.plan().is_star() && !for_a.plan().is_wide() {
                prop_assert_eq!(forth, for_a.same_variant(&for_b));
                prop_assert!(for_a.matches(&a, &rules));
                let mut normal = a.clone();
                vary::normalize_request(&mut normal, &rules);
                let kept = Selecting::record(&resp, &normal, &rules);
                let languages = resp.get_all("vary").iter().any(|value| {
                    value.to_str().is_ok_and(|text| text.to_lowercase().contains("accept-"))
                });
                prop_assert!(languages || kept == for_a);
            }
        }
    }

    #[test]
    fn full_keys_are_injective(
        a in (text(), text(), text(), proptest::option::of(text())),
        b in (text(), text(), text(), proptest::option::of(text())),
        cut in 0_usize..12,
    ) {
        let full = |(site, host, path, query): &(String, String, String, Option<String>), scheme| {
            let mut out = Vec::new();
            KeyParts { site, scheme, host, path, query: query.as_deref() }.bytes(&mut out);
            out
        };
        prop_assert_eq!(full(&a, Scheme::Http) == full(&b, Scheme::Http), a == b);
        prop_assert_ne!(full(&a, Scheme::Http), full(&a, Scheme::Https));
        // The same characters cut at another place.
        let joined = format!("{}{}", a.1, a.2);
        let at = (0..=joined.len()).filter(|&at| joined.is_char_boundary(at)).nth(cut);
        if let Some(at) = at {
            let (host, path) = joined.split_at(at);
            let moved = (a.0.clone(), host.to_owned(), path.to_owned(), a.3.clone());
            prop_assert_eq!(full(&a, Scheme::Http) == full(&moved, Scheme::Http), a == moved);
        }
    }

    #[test]
    fn normal_forms_are_stable(text in text(), name in "[ -~]{0,10}") {
        if let Ok(path) = normalize_path(&text) {
            let again = normalize_path(&path);
            prop_assert_eq!(again.as_deref(), Ok(&*path));
            prop_assert!(path.starts_with('/') && path.is_ascii());
        }
        for scheme in [Scheme::Http, Scheme::Https] {
            if let Ok(host) = normalize_host(&text, scheme) {
                let again = normalize_host(&host, scheme);
                prop_assert_eq!(again.as_deref(), Ok(&*host));
                target::host_name(&host);
            }
        }
        let rules = QueryRules { ignore: vec![name, "a*".into()], sort: true };
        let once = rules.apply(&text).into_owned();
        prop_assert_eq!(rules.apply(&once), once.as_str());
    }

    #[test]
    fn ranges_stay_inside_and_do_not_overlap(
        value in prop_oneof![
            value(),
            proptest::collection::vec((0_u64..300, 0_u64..300), 1..12).prop_map(|pairs| {
                let members: Vec<_> =
                    pairs.iter().map(|(a, b)| format!("{a}-{}", a + b)).collect();
                HeaderValue::try_from(format!("bytes={}", members.join(","))).unwrap()
            }),
        ],
        length in prop_oneof![0_u64..400, any::<u64>()],
    ) {
        let limits = Limits { parts_max: 8, gap_bytes: 80 };
        if let Ranges::Satisfiable(ranges) = range::parse(&value, length, limits) {
            prop_assert!(!ranges.is_empty() && ranges.len() <= 8);
            for part in &ranges {
                prop_assert!(part.first <= part.last && part.last < length);
            }
            let sum = ranges.iter().map(|part| u128::from(part.length())).sum::<u128>();
            prop_assert!(sum <= u128::from(length));
            let plan = range::multipart(&ranges, length, &HeaderMap::new(), 1);
            prop_assert!(u128::from(plan.length) <= sum + 200 * 9);
            let mut sorted = ranges.clone();
            sorted.sort_by_key(|part| part.first);
            prop_assert!(sorted.windows(2).all(|pair| pair[0].last < pair[1].first));
        }
    }

    #[test]
    fn request_fields_never_panic(mut req in headers(), node in "[ -~]{0,12}") {
        RequestDirectives::parse(&req);
        let encodings = Encodings::parse(&req);
        if let Some(value) = encodings.upstream_value() {
            let mut again = HeaderMap::new();
            again.insert("accept-encoding", value);
            prop_assert_eq!(Encodings::parse(&again), encodings);
        }
        cdn_loop::depth(&req);
        cdn_loop::came_from_peer(&req);
        let up = cdn_loop::Hop::Up;
        cdn_loop::append(&mut req, &node, up);
        prop_assert!(cdn_loop::contains(&req, &node));
        prop_assert!(!cdn_loop::came_from_peer(&req));
        hop::strip_unkeyed_request_fields(&mut req);
        hop::strip_hop_by_hop(&mut req);
        prop_assert!(!req.contains_key("connection"));
        let sender = forward::Sender {
            address: "192.0.2.1".parse().unwrap(),
            scheme: Scheme::Http,
            host: "a.test",
            trusted: true,
        };
        forward::client_address(&req, &sender);
        forward::set_forwarded(&mut req, &sender);
        prop_assert!(req.contains_key("x-forwarded-for"));
    }

    #[test]
    fn dates_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        wall in any::<i64>(),
    ) {
        date::parse(&bytes, wall);
        let written = date::format(wall);
        prop_assert!(date::parse(written.as_bytes(), wall).is_some());
    }
}
