//! Requests whose end two parsers could see in different places (RFC 9112 6 and 7.1; threats 1 to
//! 8): refused, closed, and no complete request reaches the origin.

use crate::support::{HOST, edge, refused, shown, talk};
use selvedge_tests::{Answer, Client};

/// Threats 1 to 3: one plain length or one `chunked`, nothing else.
#[test]
fn conflicting_and_malformed_lengths_are_refused_and_reach_nobody() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let framings = [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5, five\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 1e1\r\n",
        "Content-Length: \"5\"\r\n",
        "Content-Length:\r\n",
        "Content-Length: ,5\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: \u{ff15}\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: \r\n chunked\r\n",
    ];
    for framing in framings {
        for method in ["GET", "POST"] {
            let payload =
                format!("{method} /framed HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\n0\r\n\r\n");
            refused(&edge, payload.as_bytes(), &[400, 501]);
        }
    }
    for version in ["0", "1"] {
        let payload = format!(
            "POST /framed HTTP/1.{version}\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\
             Content-Length: 3\r\n\r\n0\r\n\r\n"
        );
        refused(&edge, payload.as_bytes(), &[400]);
    }
    assert!(origin.bytes().is_empty(), "{}", shown(&origin.bytes()));
}

/// Equal lengths may be folded to one or refused, but the origin never sees two.
#[test]
fn a_repeated_equal_length_reaches_the_origin_as_one_or_not_at_all() {
    for length in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n"] {
        let (origin, edge) = edge();
        origin.on("*", Answer::uncacheable("reached"));
        let payload = format!("POST /twice HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\nhello");
        let responses = talk(&edge, payload.as_bytes());
        match origin.requests_for("/twice").first() {
            Some(seen) => {
                assert_eq!(seen.body, b"hello");
                assert_eq!(responses.len(), 2);
            }
            None => assert_eq!(responses[0].status, 400),
        }
    }
}

/// Threat 5: the chunk framing itself. The body starts well, so the origin may have been asked by
/// then; it must never see the end of such a request.
#[test]
fn malformed_chunks_never_become_a_complete_request() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let chunks: Vec<Vec<u8>> = [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello world\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFED\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "0\nX: y\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\r\n\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\n: empty\r\n\r\n",
        "0\r\nX: a\rb\r\n\r\n",
        "0\r\nX: a\0b\r\n\r\n",
    ]
    .iter()
    .map(|chunk| chunk.as_bytes().to_vec())
    .chain([
        [b"5;a=".as_slice(), &[b'x'; 70_000], b"\r\nhello\r\n0\r\n\r\n"].concat(),
        [b"0\r\nX: ".as_slice(), &[b'x'; 70_000], b"\r\n\r\n"].concat(),
    ])
    .collect();
    let head =
        format!("POST /chunky HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in &chunks {
        for good_first in [&b""[..], b"3\r\nabc\r\n"] {
            let payload = [head.as_bytes(), good_first, chunk].concat();
            refused(&edge, &payload, &[400, 431]);
        }
    }
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
    let seen = String::from_utf8_lossy(&origin.bytes()).into_owned();
    assert!(!seen.contains("\r\n0\r\n"), "no last chunk reached the origin: {seen}");
}

/// Chunks as RFC 9112 7.1 allows them, cut anywhere: the origin gets the same bytes.
#[test]
fn well_formed_chunks_arrive_whole_however_they_are_cut() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let payload = format!(
        "POST /cut HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;name=\"a value\"\r\nhello\r\n001\r\n \r\n5;x\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
    let bytes = payload.as_bytes();
    let mut client = Client::http(edge.http());
    for step in [1, 2, 3, 7, 16, 64] {
        let cuts: Vec<usize> = (step..bytes.len()).step_by(step).collect();
        client.send_split(bytes, &cuts);
        let resp = client.read("POST").expect("an answer");
        assert_eq!(resp.text(), "reached");
        let seen = origin.last("/cut");
        assert_eq!(seen.body, b"hello world", "cut every {step} bytes");
    }
    assert_eq!(origin.fetches("/cut"), 6);
}

/// Threats 6 to 8: lines and names that parsers repair in different ways.
#[test]
fn heads_that_parsers_repair_differently_are_refused() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let rows: Vec<(Vec<u8>, &[u16])> = [
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\r\n b\r\n\r\n", &[400][..]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\r\n\tb\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\n X: a\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX : a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX\t: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\n: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nno colon\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\nY: b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\nHost: HOST\n\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\rY: b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\0b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\u{1}b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: a\u{7f}b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX\u{e9}: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX(y): a\r\n\r\n", &[400]),
        ("GET  / HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET /  HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET\t/ HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        (" GET / HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET / HTTP/1.1 \r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET / http/1.1\r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET / HTTP/1.32\r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET / HTTP/9.9\r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET / HTTP/01.1\r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET / HTTP/1.1.1\r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET / HTTP/2.0\r\nHost: HOST\r\n\r\n", &[400, 505]),
        ("GET /\r\n\r\n", &[400, 505]),
        ("GET\r\n\r\n", &[400]),
        ("G=\"x\" / HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET /a b HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET /\u{1}a HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET /a\u{7f} HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET /a#frag HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
        ("GET /a\\b\0 HTTP/1.1\r\nHost: HOST\r\n\r\n", &[400]),
    ]
    .iter()
    .map(|(text, statuses)| (text.replace("HOST", HOST).into_bytes(), *statuses))
    .collect();
    for (payload, statuses) in rows {
        refused(&edge, &payload, statuses);
    }
    assert!(origin.bytes().is_empty(), "{}", shown(&origin.bytes()));
}

/// Threat 9: what is too large is said so, with the status for it.
#[test]
fn heads_beyond_the_limits_are_refused_with_414_and_431() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let long = "x".repeat(100_000);
    let url = format!("GET /{long} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    refused(&edge, url.as_bytes(), &[414]);
    let field = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {}\r\n\r\n", "x".repeat(65_536));
    refused(&edge, field.as_bytes(), &[431]);
    let name = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{}: x\r\n\r\n", "x".repeat(65_536));
    refused(&edge, name.as_bytes(), &[431]);
    let many = "X: y\r\n".repeat(10_000);
    refused(&edge, format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{many}\r\n").as_bytes(), &[431]);
    let few = "X: y\r\n".repeat(150);
    refused(&edge, format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{few}\r\n").as_bytes(), &[431]);
    let before = edge.rss_bytes();
    let huge = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {}\r\n\r\n", "x".repeat(8 << 20));
    let mut client = Client::http(edge.http());
    client.send(huge);
    if let Ok(resp) = client.read("GET") {
        assert_eq!(resp.status, 431);
    }
    assert!(edge.rss_bytes() < before + (16 << 20), "a huge head is not gathered");
    assert!(origin.bytes().is_empty());
    assert_eq!(edge.get(HOST, "/after").text(), "reached");
}
