//! Conditional requests, from clients (RFC 9110 13) and to the origin (RFC 9111 4.3).

use crate::support::{HOST, becomes, edge, site_count};
use selvedge_tests::tools::http_date;
use selvedge_tests::{Answer, Client, eventually};

/// A client's condition is answered from the store.
#[test]
fn conditions_of_clients_are_answered_from_the_store() {
    let (origin, edge) = edge();
    let modified = http_date(-86_400);
    let later = http_date(-3600);
    let earlier = http_date(-172_800);
    let answer = Answer::cacheable("body", 600).etag("\"v1\"").header("last-modified", &modified);
    origin.on("/c", answer.header("x-big", "only with the body").header("vary", "x-nothing"));
    assert_eq!(edge.get(HOST, "/c").text(), "body");
    let rows: Vec<(String, u16)> = vec![
        ("If-None-Match: \"v1\"".into(), 304),
        ("If-None-Match: W/\"v1\"".into(), 304),
        ("If-None-Match: \"x\", \"v1\"".into(), 304),
        ("If-None-Match: *".into(), 304),
        ("If-None-Match: \"v2\"".into(), 200),
        ("If-None-Match: v1".into(), 200),
        (format!("If-Modified-Since: {modified}"), 304),
        (format!("If-Modified-Since: {later}"), 304),
        (format!("If-Modified-Since: {earlier}"), 200),
        ("If-Modified-Since: yesterday".into(), 200),
        (format!("If-None-Match: \"v2\"\r\nIf-Modified-Since: {later}"), 200),
        (format!("If-None-Match: \"v1\"\r\nIf-Modified-Since: {earlier}"), 304),
        ("If-Match: \"v1\"".into(), 200),
        ("If-Match: \"v2\"".into(), 412),
        (format!("If-Unmodified-Since: {earlier}"), 412),
    ];
    for (field, status) in &rows {
        let resp = edge.get_with(HOST, "/c", &format!("{field}\r\n"));
        assert_eq!(resp.status, *status, "{field}");
        if *status == 304 {
            assert!(resp.body.is_empty());
            assert_eq!(resp.header("etag"), Some("\"v1\""), "{field}");
            assert!(resp.header("cache-control").is_some() && resp.header("date").is_some());
            assert_eq!(resp.header("vary"), Some("x-nothing"), "{field}");
        }
    }
    assert_eq!(origin.fetches("/c"), 1);
    let confirmed = rows.iter().filter(|(_, status)| *status == 304).count() as u64;
    becomes(confirmed, "304 from the store", || site_count(&edge, "not_modified"));
}

/// On a cold object the whole one is fetched and stored, and the 304 is made here: the client's
/// validator must not shape what everyone gets.
#[test]
fn a_condition_on_a_cold_object_still_fills_the_cache() {
    let (origin, edge) = edge();
    origin.on("/cold", Answer::cacheable("body", 600).etag("\"v1\""));
    let resp = edge.get_with(HOST, "/cold", "If-None-Match: \"v1\"\r\n");
    assert_eq!(resp.status, 304);
    assert_eq!(origin.last("/cold").header("if-none-match"), None);
    let full = edge.get(HOST, "/cold");
    assert!(full.is_hit("edge-1"));
    assert_eq!((full.status, full.text().as_str()), (200, "body"));
    assert_eq!(origin.fetches("/cold"), 1);
}

/// What may not be stored is not shaped by us either: the condition goes to the origin.
#[test]
fn conditions_on_uncacheable_objects_reach_the_origin() {
    let (origin, edge) = edge();
    origin.on("/un", Answer::uncacheable("body").etag("\"v1\""));
    assert_eq!(edge.get(HOST, "/un").text(), "body");
    let resp = edge.get_with(HOST, "/un", "If-None-Match: \"v1\"\r\n");
    assert_eq!(resp.status, 304, "{:?}", resp.headers);
    let other = edge.get_with(HOST, "/un", "If-None-Match: \"v0\"\r\n");
    assert_eq!((other.status, other.text().as_str()), (200, "body"));
}

/// An answer that is stale on arrival.
fn stale(body: &str) -> Answer {
    Answer::new(200).header("cache-control", "max-age=10").header("age", "20").body(body)
}

/// RFC 9111 4.3.1 to 4.3.4: a stale object is validated, and its head takes the new fields.
#[test]
fn a_304_of_the_origin_freshens_what_is_stored() {
    let (origin, edge) = edge();
    let modified = http_date(-86_400);
    let first = stale("body")
        .header("etag", "\"v1\"")
        .header("last-modified", &modified)
        .header("x-old", "kept")
        .header("x-both", "first");
    let second = Answer::new(304)
        .header("cache-control", "max-age=600")
        .header("etag", "\"v1\"")
        .header("x-both", "second")
        .header("x-new", "1")
        .header("content-length", "999")
        .header("content-encoding", "gzip");
    origin.on_each("/f", vec![first, second]);
    assert_eq!(edge.get(HOST, "/f").text(), "body");
    let resp = edge.get(HOST, "/f");
    assert_eq!((resp.status, resp.text().as_str()), (200, "body"));
    let asked = origin.last("/f");
    assert_eq!(asked.header("if-none-match"), Some("\"v1\""));
    assert_eq!(asked.header("if-modified-since"), Some(modified.as_str()));
    for _ in 0..2 {
        let resp = edge.get(HOST, "/f");
        assert!(resp.is_hit("edge-1"), "{:?}", resp.headers);
        assert_eq!(resp.text(), "body");
        assert_eq!(resp.header("x-old"), Some("kept"));
        assert_eq!(resp.header("x-both"), Some("second"));
        assert_eq!(resp.header("x-new"), Some("1"));
        assert_eq!(resp.header("content-length"), Some("4"));
        assert_eq!(resp.header("content-encoding"), None);
    }
    assert_eq!(origin.fetches("/f"), 2);
    becomes(1, "confirmed", || site_count(&edge, "revalidations_confirmed"));
}

/// A 200 to our condition replaces the object.
#[test]
fn a_200_to_a_revalidation_replaces_what_is_stored() {
    let (origin, edge) = edge();
    let second = Answer::cacheable("new", 600).etag("\"v2\"");
    origin.on_each("/r", vec![stale("old").etag("\"v1\""), second]);
    assert_eq!(edge.get(HOST, "/r").text(), "old");
    assert_eq!(edge.get(HOST, "/r").text(), "new");
    let hit = edge.get(HOST, "/r");
    assert!(hit.is_hit("edge-1"));
    assert_eq!((hit.text().as_str(), hit.header("etag")), ("new", Some("\"v2\"")));
    assert_eq!(origin.fetches("/r"), 2);
}

/// RFC 9111 4.3.4: a 304 with another strong validator than the stored one updates nothing.
#[test]
fn a_304_for_another_version_never_dresses_the_stored_body_in_its_fields() {
    let (origin, edge) = edge();
    let second = Answer::new(304).header("etag", "\"v2\"").header("x-of", "v2");
    origin.on_fn("/other", move |_, nth| match nth {
        0 => stale("one").etag("\"v1\""),
        1 => second.clone(),
        _ => Answer::cacheable("three", 600),
    });
    assert_eq!(edge.get(HOST, "/other").text(), "one");
    for _ in 0..3 {
        let resp = edge.get(HOST, "/other");
        if resp.text() == "one" {
            assert_eq!(resp.header("etag"), Some("\"v1\""));
            assert_eq!(resp.header("x-of"), None);
        } else {
            assert_eq!(resp.text(), "three");
        }
    }
}

/// A 304 that nobody asked for is no answer for a client without a condition.
#[test]
fn an_unasked_304_is_not_passed_to_a_client_that_has_nothing() {
    let (origin, edge) = edge();
    origin.on("/304", Answer::new(304).header("etag", "\"x\""));
    let resp = edge.get(HOST, "/304");
    assert!(resp.status == 502 || resp.status == 304, "{}", resp.status);
    let again = edge.get(HOST, "/304");
    assert!(!again.is_hit("edge-1"), "{:?}", again.headers);
    origin.on("/304", Answer::cacheable("there", 600));
    assert!(eventually(|| edge.get(HOST, "/304").text() == "there"));
}

/// A late 304: the object was replaced while the validation ran; the old answer changes nothing.
#[test]
fn a_late_304_does_not_bring_an_older_version_back() {
    let (origin, edge) = edge();
    let gate = selvedge_tests::Gate::shut();
    let late = Answer::new(304).header("etag", "\"v1\"").header("cache-control", "max-age=600");
    let late = late.gate(&gate);
    origin.on_fn("/late", move |req, nth| match (nth, req.header("if-none-match")) {
        (0, _) => stale("old").header("cache-control", "stale-while-revalidate=600").etag("\"v1\""),
        (_, Some("\"v1\"")) => late.clone(),
        _ => Answer::cacheable("new", 600).header("etag", "\"v2\""),
    });
    assert_eq!(edge.get(HOST, "/late").text(), "old");
    assert_eq!(edge.get(HOST, "/late").text(), "old");
    assert!(gate.reached_by(1));
    let mut client = Client::http(edge.http());
    client.send(format!("POST /late HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(client.read("POST").expect("an answer").status, 200);
    let fresh = edge.get(HOST, "/late");
    gate.open();
    if fresh.text() == "new" {
        for _ in 0..20 {
            assert_eq!(edge.get(HOST, "/late").text(), "new", "the late 304 brought it back");
        }
    }
}
