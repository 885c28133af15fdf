//! Tests of `vary.rs`.

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in lines {
        out.append(*name, HeaderValue::from_str(value).unwrap());
    }
    out
}

fn plan(lines: &[&str]) -> VaryPlan {
    let lines: Vec<_> = lines.iter().map(|&value| ("vary", value)).collect();
    VaryPlan::parse(&headers(&lines))
}

/// Whether a response made for the first request may answer the second, both ways round.
fn same(vary: &str, a: &[(&'static str, &str)], b: &[(&'static str, &str)]) -> bool {
    let rules = SiteRules::default();
    let resp = headers(&[("vary", vary)]);
    let (a, b) = (headers(a), headers(b));
    let forth = Selecting::record(&resp, &a, &rules).matches(&b, &rules);
    let back = Selecting::record(&resp, &b, &rules).matches(&a, &rules);
    assert_eq!(forth, back);
    let plan = VaryPlan::parse(&resp);
    assert_eq!(forth, plan.secondary(&a, &rules) == plan.secondary(&b, &rules));
    forth
}

#[test]
fn a_star_anywhere_matches_nothing() {
    for lines in [
        &["*"][..],
        &["*, *"],
        &["*", "*"],
        &[", *"],
        &["", "*"],
        &["*, Foo"],
        &["Foo, *"],
        &["Foo", "*"],
        &["a b"],
        &["\"foo\""],
        &["f\u{e4}"],
    ] {
        let plan = plan(lines);
        assert!(plan.is_star() && !plan.is_none(), "{lines:?}");
        let selecting = Selecting { plan, ..Selecting::default() };
        assert!(!selecting.matches(&HeaderMap::new(), &SiteRules::default()));
    }
}

#[test]
fn names_are_a_set_without_case_or_order() {
    assert_eq!(plan(&["Foo, bar", "BAR"]), plan(&["bar,foo"]));
    assert!(plan(&["", " , "]).is_none());
    let many = (0..=FIELDS_MAX).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
    assert!(plan(&[&many]).is_wide());
}

#[test]
fn values_must_be_the_same_and_absence_is_a_value() {
    assert!(same("Foo", &[("foo", "1")], &[("foo", "1"), ("other", "2")]));
    assert!(!same("Foo", &[("foo", "1")], &[("foo", "2")]));
    assert!(!same("Foo", &[("foo", "1")], &[]));
    assert!(!same("Foo", &[("foo", "")], &[]));
    assert!(same("Foo, Bar, Baz", &[("foo", "1"), ("baz", "7")], &[("foo", "1"), ("baz", "7")]));
    assert!(!same("Foo, Bar", &[("foo", "1")], &[("bar", "1")]));
    assert!(!same("Foo", &[("foo", "a")], &[("foo", "A")]));
}

#[test]
fn lines_are_joined_and_space_around_commas_goes() {
    assert!(same("Foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
    assert!(same("Foo", &[("foo", "1,2")], &[("foo", " 1, 2 ")]));
    assert!(!same("Foo", &[("foo", "\"1,2\"")], &[("foo", "\"1, 2\"")]));
    assert!(!same("Foo", &[("foo", "1 2")], &[("foo", "1,2")]));
}

#[test]
fn cookies_are_joined_by_semicolons() {
    assert!(same("Cookie", &[("cookie", "a=1; b=2")], &[("cookie", "a=1"), ("cookie", "b=2")]));
    assert!(!same("Cookie", &[("cookie", "a=1,b")], &[("cookie", "a=1, b")]));
}

#[test]
fn encodings_are_a_set() {
    assert!(same(
        "Accept-Encoding",
        &[("accept-encoding", "gzip;q=0.8, br")],
        &[("accept-encoding", "BR,gzip, deflate")],
    ));
    assert!(same("Accept-Encoding", &[("accept-encoding", "\u{e4};;")], &[]));
    assert!(!same("Accept-Encoding", &[("accept-encoding", "gzip")], &[]));
}

#[test]
fn languages_are_in_normal_form() {
    let language = |value: &'static str| [("accept-language", value)];
    assert!(same("Accept-Language", &language("en, de"), &language("dE ,  eN")));
    assert!(!same("Accept-Language", &language("en, de"), &language("en, de;q=0.5")));
    assert!(!same("Accept-Language", &language("en"), &[]));
}

#[test]
fn a_site_that_names_its_languages_has_that_many_variants() {
    let rules = SiteRules { vary_languages: vec!["en".into(), "de".into()], ..Default::default() };
    let plan = plan(&["Accept-Language"]);
    let key = |value| plan.secondary(&headers(&[("accept-language", value)]), &rules);
    assert_eq!(key("de-AT, en;q=0.5"), key("de"));
    assert_ne!(key("en-GB"), key("de"));
    assert_eq!(key("fr"), plan.secondary(&HeaderMap::new(), &rules));
}

#[test]
fn the_one_language_a_client_likes_best_may_answer_it() {
    let rules = SiteRules::default();
    let resp = headers(&[("vary", "Accept-Language"), ("content-language", "de")]);
    let stored = Selecting::record(&resp, &headers(&[("accept-language", "en, de")]), &rules);
    let asks = |value, rules| stored.matches(&headers(&[("accept-language", value)]), rules);
    assert!(asks("fr;q=0.5, de;q=1.0", &rules));
    assert!(!asks("fr, de", &rules));
    assert!(!asks("de-AT", &rules));
    let strict = SiteRules { vary_content_language: false, ..SiteRules::default() };
    assert!(!asks("fr;q=0.5, de;q=1.0", &strict));
}

#[test]
fn without_vary_everything_matches() {
    let selecting =
        Selecting::record(&HeaderMap::new(), &headers(&[("foo", "1")]), &SiteRules::default());
    assert!(selecting.plan().is_none() && selecting.key().as_bytes().is_empty());
    assert!(selecting.matches(&HeaderMap::new(), &SiteRules::default()));
}

#[test]
fn a_request_is_forwarded_in_the_form_variants_are_told_apart_by() {
    let rules = SiteRules { vary_languages: vec!["en".into(), "de".into()], ..Default::default() };
    let mut req = headers(&[
        ("accept-encoding", "gzip;q=0.5, zstd, br;q=0"),
        ("accept-language", "fr, de-AT;q=0.5"),
    ]);
    normalize_request(&mut req, &rules);
    assert_eq!(req[ACCEPT_ENCODING], "gzip, zstd");
    assert_eq!(req[ACCEPT_LANGUAGE], "de");
    let mut req = headers(&[("accept-encoding", "identity"), ("accept-language", "fr")]);
    normalize_request(&mut req, &rules);
    assert!(req.is_empty());
}
