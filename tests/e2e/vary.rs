//! Variants (RFC 9111 4.1; threats 32 and 33): the right one, and not too many.

use crate::support::{HOST, edge, edge_with};
use selvedge_tests::Answer;

/// The chosen fields choose; a response without its request's fields never answers.
#[test]
fn requests_get_the_variant_that_was_made_for_their_fields() {
    let (origin, edge) = edge();
    origin.on_fn("/v", |req, _| {
        Answer::cacheable(req.header("x-device").unwrap_or("none"), 600).header("vary", "X-Device")
    });
    for device in ["phone", "desk", "phone", "desk"] {
        let resp = edge.get_with(HOST, "/v", &format!("X-Device: {device}\r\n"));
        assert_eq!(resp.text(), device);
        assert_eq!(resp.header("vary"), Some("X-Device"));
    }
    assert_eq!(edge.get(HOST, "/v").text(), "none");
    assert_eq!(edge.get_with(HOST, "/v", "X-Device: \r\n").text().as_str(), "");
    assert!(edge.get_with(HOST, "/v", "X-Device: phone\r\n").is_hit("edge-1"));
    assert!(origin.fetches("/v") <= 4, "{}", origin.fetches("/v"));
}

/// `Vary: *` is never reused, and a Vary that is none does no harm.
#[test]
fn an_unusable_vary_is_never_a_hit_and_never_a_crash() {
    let (origin, edge) = edge();
    let wide = (0..400).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(",");
    for (number, vary) in
        ["*", "accept, *", "\"x\"", "a b", ",", &wide, &"x".repeat(9000)].iter().enumerate()
    {
        let path = format!("/{number}");
        origin.on(&path, Answer::cacheable("x", 600).header("vary", vary));
        assert_eq!(edge.get(HOST, &path).status, 200, "{vary}");
        let second = edge.get(HOST, &path);
        assert_eq!(second.status, 200, "{vary}");
        if vary.contains('*') {
            assert!(!second.is_hit("edge-1"), "{vary}");
        }
    }
}

/// Threat 32: the number of variants of one URL has a maximum, and so has what they cost.
#[test]
fn an_explosion_of_variants_is_capped() {
    let (origin, edge) = edge();
    origin.on("/ua", Answer::cacheable(&"x".repeat(1000), 600).header("vary", "User-Agent"));
    origin.on("/other", Answer::cacheable("other", 600));
    assert_eq!(edge.get(HOST, "/other").text(), "other");
    let mut client = selvedge_tests::Client::http(edge.http());
    for number in 0..3000 {
        let resp = client.get(HOST, "/ua", &format!("User-Agent: agent/{number}\r\n"));
        assert_eq!(resp.status, 200);
    }
    let dropped = edge.metrics().sum("selvedge_store_variants_dropped_total", &[]);
    assert!(dropped >= 2900.0, "{dropped} variants were dropped");
    assert!(client.get(HOST, "/other", "").is_hit("edge-1"), "others keep their place");
    let newest = client.get(HOST, "/ua", "User-Agent: agent/2999\r\n");
    assert!(newest.is_hit("edge-1"), "the newest ones stay");
}

/// Threat 33, CVE-2024-35296: odd Accept-Encoding fields share the object.
#[test]
fn accept_encoding_is_reduced_to_what_it_means() {
    let (origin, edge) = edge_with(|site| site.set("compress", false));
    origin.on_fn("/ae", |req, _| {
        let body = req.header("accept-encoding").unwrap_or("").to_owned();
        Answer::cacheable(&body, 600).header("vary", "Accept-Encoding")
    });
    let fields = [
        "gzip",
        " gzip ",
        "GZIP",
        "gzip;q=1",
        "gzip;q=0.5, foo",
        "gzip, gzip",
        "x-gzip",
        "gzip;q=1.000",
        "sdch, gzip",
        "gzip, br;q=0",
    ];
    for field in fields {
        let resp = edge.get_with(HOST, "/ae", &format!("Accept-Encoding: {field}\r\n"));
        assert_eq!(resp.status, 200);
    }
    assert!(origin.fetches("/ae") <= 2, "{} fetches for one meaning", origin.fetches("/ae"));
    let garbage = [",,,", ";", "gzip;q=x", "\"", "gzip;;q=0", "*;q=0", "deflate;q=-1", "\t"];
    for field in garbage {
        let line = format!("Accept-Encoding: {field}\r\n");
        assert_eq!(edge.get_with(HOST, "/ae", &line).status, 200, "{field}");
        assert!(edge.get_with(HOST, "/ae", &line).is_hit("edge-1"), "{field} bypasses the cache");
    }
    assert!(origin.fetches("/ae") <= 6, "{}", origin.fetches("/ae"));
}

/// Languages a site has: thousands of fields, as many variants as languages.
#[test]
fn accept_language_is_reduced_to_the_languages_of_the_site() {
    let (origin, edge) = edge_with(|site| site.set("vary_languages", vec!["en", "de", "fr"]));
    origin.on_fn("/l", |req, _| {
        let field = req.header("accept-language").unwrap_or("en");
        let language = if field.starts_with("de") { "de" } else { "en" };
        let answer = Answer::cacheable(language, 600).header("content-language", language);
        answer.header("vary", "Accept-Language")
    });
    for (field, language) in [
        ("de", "de"),
        ("de-CH", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("de;q=1.0, it;q=0.2", "de"),
        ("en", "en"),
        ("en-GB,en;q=0.5", "en"),
        ("it,en;q=0.5", "en"),
    ] {
        let resp = edge.get_with(HOST, "/l", &format!("Accept-Language: {field}\r\n"));
        assert_eq!(resp.text(), language, "{field}");
    }
    assert!(origin.fetches("/l") <= 3, "{}", origin.fetches("/l"));
}
