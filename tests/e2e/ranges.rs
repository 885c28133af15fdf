//! Ranges (RFC 9110 14; threat 34): cut here from the whole object, and never more than it.

use crate::support::{HOST, becomes, edge, site_count};
use selvedge_tests::answer::pattern_bytes;
use selvedge_tests::{Answer, Client, Node, Response};

const LENGTH: usize = 100_000;

fn ranged(edge: &Node, path: &str, range: &str) -> Response {
    edge.get_with(HOST, path, &format!("Range: {range}\r\n"))
}

/// An origin that does no ranges is asked for a part all the same; its whole object is stored, and
/// the range cut from it.
#[test]
fn a_range_of_a_cold_object_fetches_the_whole_one_once() {
    let (origin, edge) = edge();
    let body = pattern_bytes(LENGTH);
    origin.on("/r", Answer::cacheable("", 600).body(body.clone()).etag("\"v1\""));
    let resp = ranged(&edge, "/r", "bytes=10-19");
    assert_eq!((resp.status, resp.body.as_slice()), (206, &body[10..20]));
    assert_eq!(resp.header("content-range"), Some("bytes 10-19/100000"));
    assert_eq!(resp.header("content-length"), Some("10"));
    assert_eq!(origin.last("/r").header("range"), Some("bytes=0-1048575"));
    let whole = edge.get(HOST, "/r");
    assert_eq!(whole.body, body);
    assert!(edge.get(HOST, "/r").is_hit("edge-1"));
    assert_eq!(origin.fetches("/r"), 1);
}

/// Every form of one range.
#[test]
fn single_ranges_are_cut_exactly() {
    let (origin, edge) = edge();
    let body = pattern_bytes(LENGTH);
    origin.on("/r", Answer::cacheable("", 600).body(body.clone()).etag("\"v1\""));
    assert_eq!(edge.get(HOST, "/r").body, body);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, LENGTH),
        ("bytes=99999-", 99_999, LENGTH),
        ("bytes=99999-99999999", 99_999, LENGTH),
        ("bytes=-1", LENGTH - 1, LENGTH),
        ("bytes=-100", LENGTH - 100, LENGTH),
        ("bytes=-99999999", 0, LENGTH),
        ("bytes=65535-65536", 65_535, 65_537),
        ("BYTES=1-2", 1, 3),
    ] {
        let resp = ranged(&edge, "/r", range);
        assert_eq!(resp.status, 206, "{range}");
        assert_eq!(resp.body, &body[from..to], "{range}");
        let expected = format!("bytes {from}-{}/{LENGTH}", to - 1);
        assert_eq!(resp.header("content-range"), Some(expected.as_str()), "{range}");
        assert!(resp.header("etag").is_some() && resp.is_hit("edge-1"));
    }
    for range in ["bytes=100000-", "bytes=100000-100001", "bytes=-0"] {
        let resp = ranged(&edge, "/r", range);
        assert_eq!(resp.status, 416, "{range}");
        assert_eq!(resp.header("content-range"), Some("bytes */100000"), "{range}");
    }
    assert_eq!(origin.fetches("/r"), 1);
    becomes(9, "206 answers", || site_count(&edge, "ranges"));
}

/// Several ranges come as multipart/byteranges with exact parts.
#[test]
fn several_ranges_come_as_parts() {
    let (origin, edge) = edge();
    let body = pattern_bytes(LENGTH);
    let answer = Answer::cacheable("", 600).body(body.clone()).header("content-type", "video/mp4");
    origin.on("/r", answer.etag("\"v1\""));
    let cold = ranged(&edge, "/r", "bytes=0-9, 50000-50009, -10");
    assert!(cold.status == 206 || cold.body == body, "a body that still arrives comes whole");
    let resp = ranged(&edge, "/r", "bytes=0-9, 50000-50009, -10");
    assert_eq!(resp.status, 206);
    let kind = resp.header("content-type").expect("a type").to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("multipart");
    assert_eq!(resp.header("content-range"), None);
    let length = resp.body.len().to_string();
    assert_eq!(resp.header("content-length"), Some(length.as_str()));
    let mut expected = Vec::new();
    for (from, to) in [(0, 10), (50_000, 50_010), (LENGTH - 10, LENGTH)] {
        let part = format!("bytes {from}-{}/{LENGTH}", to - 1);
        assert!(contains(&resp.body, part.as_bytes()), "{part}");
        assert!(contains(&resp.body, &[b"\r\n\r\n", &body[from..to], b"\r\n"].concat()), "{part}");
        expected.push(part);
    }
    let dashes = resp
        .body
        .windows(boundary.len() + 2)
        .filter(|window| window.starts_with(b"--") && &window[2..] == boundary.as_bytes());
    assert_eq!(dashes.count(), 4, "three parts and the end");
    assert!(resp.body.ends_with(format!("--{boundary}--\r\n").as_bytes()));
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// Ranges that are none, or too many, or would send more than the object: never a multiple of it.
#[test]
fn abusive_ranges_never_send_more_than_the_object() {
    let (origin, edge) = edge();
    let body = pattern_bytes(LENGTH);
    origin.on("/r", Answer::cacheable("", 600).body(body.clone()).etag("\"v1\""));
    let ones = (0..1000).map(|at| format!("{}-{}", at * 2, at * 2)).collect::<Vec<_>>().join(",");
    let same = (0..500).map(|_| "0-").collect::<Vec<_>>().join(",");
    let ranges = [
        format!("bytes={ones}"),
        format!("bytes={same}"),
        "bytes=0-,0-,0-".into(),
        "bytes=0-50000,1-50001,2-50002".into(),
        "bytes=".into(),
        "bytes=-".into(),
        "bytes=5-1".into(),
        "bytes=a-b".into(),
        "bytes=0-18446744073709551616".into(),
        "bytes=18446744073709551615-".into(),
        "bytes=-18446744073709551616".into(),
        "bytes=1-2,,".into(),
        "bytes 1-2".into(),
        "lines=1-2".into(),
        "bytes=0-0,bytes=1-1".into(),
        "=".into(),
    ];
    for range in &ranges {
        let resp = ranged(&edge, "/r", range);
        let shown = &range[..range.len().min(40)];
        assert!(matches!(resp.status, 200 | 206 | 416), "{shown}: {}", resp.status);
        assert!(resp.body.len() <= LENGTH + 8192, "{shown}: {} bytes", resp.body.len());
        if resp.status == 200 {
            assert_eq!(resp.body, body, "{shown}");
        }
    }
    assert_eq!(origin.fetches("/r"), 1);
    for (range, status) in [("bytes=5-1", 200), ("lines=1-2", 200), ("bytes=a-b", 200)] {
        assert_eq!(ranged(&edge, "/r", range).status, status, "{range}");
    }
}

/// RFC 9110 13.1.5: If-Range lets a range through only for the version it names, strongly.
#[test]
fn if_range_falls_back_to_the_whole_object() {
    let (origin, edge) = edge();
    let body = pattern_bytes(1000);
    origin.on("/s", Answer::cacheable("", 600).body(body.clone()).etag("\"v1\""));
    origin.on("/w", Answer::cacheable("", 600).body(body).etag("W/\"v1\""));
    for (path, validator, status) in [
        ("/s", "\"v1\"", 206),
        ("/s", "\"v2\"", 200),
        ("/s", "W/\"v1\"", 200),
        ("/s", "nonsense", 200),
        ("/w", "W/\"v1\"", 200),
        ("/w", "\"v1\"", 200),
    ] {
        let fields = format!("Range: bytes=0-9\r\nIf-Range: {validator}\r\n");
        let resp = edge.get_with(HOST, path, &fields);
        assert_eq!(resp.status, status, "{path} {validator}");
    }
}

/// Uncacheable objects: the range goes to the origin, or the whole comes back; never a wrong piece.
#[test]
fn ranges_of_uncacheable_objects_are_right_too() {
    let (origin, edge) = edge();
    origin.on_fn("/u", |req, _| match req.header("range") {
        Some("bytes=2-4") => Answer::new(206)
            .header("content-range", "bytes 2-4/10")
            .header("cache-control", "no-store")
            .body("234"),
        _ => Answer::uncacheable("0123456789"),
    });
    for _ in 0..3 {
        let resp = ranged(&edge, "/u", "bytes=2-4");
        match resp.status {
            206 => assert_eq!(resp.text(), "234"),
            200 => assert_eq!(resp.text(), "0123456789"),
            other => panic!("{other}"),
        }
        assert!(!resp.is_hit("edge-1"));
    }
    assert_eq!(edge.get(HOST, "/u").text(), "0123456789");
}

/// An origin that sends a part nobody asked for: it is not taken for the whole.
#[test]
fn an_unasked_part_is_never_stored_as_the_object() {
    let (origin, edge) = edge();
    let part = Answer::new(206).header("content-range", "bytes 0-3/10");
    origin.on("/p", part.header("cache-control", "max-age=600").body("part"));
    let first = edge.get(HOST, "/p");
    assert!(matches!(first.status, 206 | 502), "{}", first.status);
    origin.on("/p", Answer::cacheable("whole", 600));
    let second = edge.get(HOST, "/p");
    assert_eq!((second.status, second.text().as_str()), (200, "whole"));
}

/// HEAD and conditions beside a range.
#[test]
fn ranges_beside_head_and_conditions_follow_the_rfc() {
    let (origin, edge) = edge();
    origin.on("/r", Answer::cacheable("0123456789", 600).etag("\"v1\""));
    assert_eq!(edge.get(HOST, "/r").status, 200);
    let resp = edge.get_with(HOST, "/r", "Range: bytes=0-1\r\nIf-None-Match: \"v1\"\r\n");
    assert_eq!(resp.status, 304, "the condition comes first");
    let mut client = Client::http(edge.http());
    let head =
        client.request(&format!("HEAD /r HTTP/1.1\r\nHost: {HOST}\r\nRange: bytes=0-1\r\n\r\n"));
    assert_eq!(head.status, 200, "Range is for GET (RFC 9110 14.2)");
    assert_eq!(origin.fetches("/r"), 1);
}
