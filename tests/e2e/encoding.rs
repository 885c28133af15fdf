//! Content codings made here when the origin sent none, and those it sent (RFC 9110 8.4, 12.5.3).

use crate::support::{HOST, becomes, edge, edge_with, site_count};
use selvedge_tests::Answer;
use selvedge_tests::tools::curl;
use std::io::{Read, Write};

/// Bytes in gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("valid gzip");
    plain
}

fn page() -> String {
    "<p>The edge of a cloth, woven so that it cannot fray.</p>\n".repeat(400)
}

/// One fetch, one encoding per coding, right bodies, and fields that tell caches below.
#[test]
fn compressible_pages_are_compressed_once_for_each_coding() {
    let (origin, edge) = edge();
    let page = page();
    let answer = Answer::cacheable(&page, 600).header("content-type", "text/html; charset=utf-8");
    origin.on("/page", answer.etag("\"v1\""));
    for round in 0..3 {
        let plain = edge.get(HOST, "/page");
        assert_eq!(plain.text(), page);
        assert_eq!(plain.header("content-encoding"), None);
        assert!(plain.joined("vary").to_ascii_lowercase().contains("accept-encoding"));
        assert_eq!(plain.header("etag"), Some("\"v1\""));
        let packed = edge.get_with(HOST, "/page", "Accept-Encoding: gzip\r\n");
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "round {round}");
        assert_eq!(gunzip(&packed.body), page.as_bytes());
        assert!(packed.body.len() < page.len() / 4);
        assert_eq!(packed.header("etag"), Some("W/\"v1\""), "another representation");
        assert!(packed.joined("vary").to_ascii_lowercase().contains("accept-encoding"));
        assert_eq!(packed.header("accept-ranges").unwrap_or("none"), "none");
    }
    let url = format!("http://{}/page", edge.http());
    for coding in ["gzip", "br", "zstd", "br, gzip, zstd"] {
        let field = format!("Accept-Encoding: {coding}");
        let output = curl(&["--compressed", "-H", "Host: www.shop.test", "-H", &field, &url]);
        assert!(output.ok, "{coding}: {}", output.stderr);
        assert_eq!(output.stdout, page, "{coding}");
    }
    assert_eq!(origin.fetches("/page"), 1);
    becomes(3, "encodings made", || site_count(&edge, "encoded"));
}

/// What cannot gain or must not be changed is left alone.
#[test]
fn what_must_not_be_compressed_is_not() {
    let (origin, edge) = edge();
    let page = page();
    let html = |answer: Answer| answer.header("content-type", "text/html");
    let rows: Vec<(&str, Answer)> = vec![
        ("/small", html(Answer::cacheable("small", 600))),
        ("/image", Answer::cacheable(&page, 600).header("content-type", "image/png")),
        ("/no-type", Answer::cacheable(&page, 600)),
        (
            "/no-transform",
            html(Answer::new(200).body(page.as_str()))
                .header("cache-control", "max-age=600, no-transform"),
        ),
        (
            "/encoded",
            html(Answer::cacheable("", 600).body(gzip(page.as_bytes())))
                .header("content-encoding", "gzip"),
        ),
    ];
    for (path, answer) in rows {
        origin.on(path, answer);
        for _ in 0..2 {
            let resp = edge.get_with(HOST, path, "Accept-Encoding: br, zstd\r\n");
            assert_eq!(resp.status, 200);
            let coding = resp.header("content-encoding");
            if path == "/encoded" {
                assert_eq!(coding, Some("gzip"), "the origin's choice stays");
                assert_eq!(gunzip(&resp.body), page.as_bytes());
            } else {
                assert_eq!(coding, None, "{path}");
            }
        }
    }
    becomes(0, "encodings made", || site_count(&edge, "encoded"));
}

/// The origin's own variants by Accept-Encoding are kept apart.
#[test]
fn variants_the_origin_encoded_are_given_to_those_who_accept_them() {
    let (origin, edge) = edge();
    let page = page();
    let packed = gzip(page.as_bytes());
    let plain = page.clone();
    origin.on_fn("/v", move |req, _| {
        let answer = Answer::cacheable("", 600).header("vary", "Accept-Encoding");
        let answer = answer.header("content-type", "text/html");
        if req.header("accept-encoding").is_some_and(|field| field.contains("gzip")) {
            answer.header("content-encoding", "gzip").body(packed.clone())
        } else {
            answer.body(plain.as_str())
        }
    });
    for _ in 0..2 {
        let resp = edge.get_with(HOST, "/v", "Accept-Encoding: gzip\r\n");
        assert_eq!(resp.header("content-encoding"), Some("gzip"));
        assert_eq!(gunzip(&resp.body), page.as_bytes());
        let resp = edge.get(HOST, "/v");
        assert_eq!(resp.header("content-encoding"), None);
        assert_eq!(resp.text(), page);
    }
    assert_eq!(origin.fetches("/v"), 2);
}

/// q-values are obeyed, and nobody gets a coding they refused.
#[test]
fn weights_and_refusals_of_codings_are_obeyed() {
    let (origin, edge) = edge();
    let page = page();
    origin.on("/q", Answer::cacheable(&page, 600).header("content-type", "text/html"));
    assert_eq!(edge.get(HOST, "/q").status, 200);
    for (field, coding) in [
        ("gzip;q=0", None),
        ("gzip;q=0, br", Some("br")),
        ("br;q=0.1", Some("br")),
        ("identity", None),
        ("*;q=0", None),
        ("", None),
        ("compress", None),
    ] {
        let resp = edge.get_with(HOST, "/q", &format!("Accept-Encoding: {field}\r\n"));
        assert_eq!(resp.status, 200, "{field}");
        assert_eq!(resp.header("content-encoding"), coding, "{field}");
    }
    assert_eq!(origin.fetches("/q"), 1);
}

/// A range is answered from the identity form, so that pieces fit together.
#[test]
fn ranges_are_cut_from_the_form_without_coding() {
    let (origin, edge) = edge();
    let page = page();
    let answer = Answer::cacheable(&page, 600).header("content-type", "text/html");
    origin.on("/r", answer.etag("\"v1\""));
    let packed = edge.get_with(HOST, "/r", "Accept-Encoding: gzip\r\n");
    assert!(packed.status == 200);
    let part = edge.get_with(HOST, "/r", "Accept-Encoding: gzip\r\nRange: bytes=3-12\r\n");
    assert_eq!((part.status, part.body.as_slice()), (206, &page.as_bytes()[3..13]));
    assert_eq!(part.header("content-encoding"), None);
    assert_eq!(part.header("etag"), Some("\"v1\""));
    assert_eq!(origin.fetches("/r"), 1);
}

/// A coding the client named with a weak tag is confirmed.
#[test]
fn a_client_with_the_compressed_form_is_told_that_it_still_holds() {
    let (origin, edge) = edge();
    let answer = Answer::cacheable(&page(), 600).header("content-type", "text/html");
    origin.on("/c", answer.etag("\"v1\""));
    assert_eq!(edge.get(HOST, "/c").status, 200);
    let packed = edge.get_with(HOST, "/c", "Accept-Encoding: gzip\r\n");
    let tag = packed.header("etag").expect("a tag").to_owned();
    let fields = format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n");
    let resp = edge.get_with(HOST, "/c", &fields);
    assert_eq!(resp.status, 304);
    assert_eq!(resp.header("etag"), Some(tag.as_str()));
}

/// Codings of the site's list only, and none when it says so.
#[test]
fn a_site_chooses_its_codings() {
    for (compress, coding) in
        [(serde_json::json!(["gzip"]), Some("gzip")), (serde_json::json!(false), None)]
    {
        let (origin, edge) = edge_with(|site| site.set("compress", compress));
        origin.on("/s", Answer::cacheable(&page(), 600).header("content-type", "text/html"));
        assert_eq!(edge.get(HOST, "/s").status, 200);
        let resp = edge.get_with(HOST, "/s", "Accept-Encoding: br, gzip, zstd\r\n");
        assert_eq!(resp.header("content-encoding"), coding);
        assert_eq!(origin.fetches("/s"), 1);
    }
}
