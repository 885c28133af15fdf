//! What HTTP says of a page that is assembled: codings, conditions, ranges, lifetimes, and clients
//! of every version.

use crate::encoding::gzip;
use crate::esi::{broken, faults, live_page, page};
use crate::support::{HOST, becomes, edge, edge_config, edge_with};
use selvedge_tests::h2::{Ending, H2};
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Client, Node, Origin, ReadError, Response};
use std::io::{Read, Write};

fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(bytes),
        "br" => {
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            writer.write_all(bytes).expect("memory takes bytes");
            writer.into_inner()
        }
        "zstd" => zstd::encode_all(bytes, 3).expect("memory takes bytes"),
        _ => bytes.to_vec(),
    }
}

/// Takes the coding off to the last byte: checksums must be right, and nothing may follow.
fn decoded(resp: &Response) -> String {
    let mut plain = Vec::new();
    let body = resp.body.as_slice();
    match resp.header("content-encoding") {
        None => plain.extend_from_slice(body),
        Some("gzip") => {
            let mut decoder = flate2::bufread::GzDecoder::new(body);
            decoder.read_to_end(&mut plain).expect("valid gzip");
            assert!(decoder.into_inner().is_empty(), "one member and nothing behind it");
        }
        Some("br") => {
            brotli::Decompressor::new(body, 4096).read_to_end(&mut plain).expect("valid brotli");
        }
        Some("zstd") => plain = zstd::decode_all(body).expect("valid zstd"),
        Some(other) => panic!("{other} is no coding that was asked for"),
    }
    String::from_utf8(plain).expect("text")
}

/// Pages and fragments in every mixture of codings, for clients that take each, cold and stored.
#[test]
fn codings_of_pages_and_fragments_mix_and_each_client_gets_its_own() {
    let codings = ["identity", "gzip", "br", "zstd"];
    let filling = "<p>woven so that it cannot fray</p>".repeat(60);
    let (origin, edge) = edge();
    for outer in codings {
        for inner in codings {
            let (path, part) = (format!("/{outer}-{inner}"), format!("/f-{outer}-{inner}"));
            let coded = |answer: Answer, coding: &str, text: &str| {
                let answer = answer.body(encoded(coding, text.as_bytes()));
                if coding == "identity" {
                    answer
                } else {
                    answer.header("content-encoding", coding)
                }
            };
            let text = format!("A{filling}<esi:include src=\"{part}\"/>B");
            origin.on(&path, coded(page(""), outer, &text));
            origin.on(&part, coded(Answer::cacheable("", 600), inner, &format!("[{inner}]")));
            let expected = format!("A{filling}[{inner}]B");
            for wanted in codings {
                for round in 0..2 {
                    let fields = format!("Accept-Encoding: {wanted}\r\n");
                    let resp = edge.get_with(HOST, &path, &fields);
                    let got = resp.header("content-encoding").unwrap_or("identity");
                    assert_eq!(got, wanted, "{path} round {round}");
                    assert_eq!(decoded(&resp), expected, "{path} as {wanted} round {round}");
                    assert!(resp.joined("vary").to_ascii_lowercase().contains("accept-encoding"));
                }
            }
            assert_eq!((origin.fetches(&path), origin.fetches(&part)), (1, 1), "{path}");
        }
    }
}

/// Where the origin keeps variants, one page serves all that are assembled from it.
#[test]
fn a_page_that_varies_by_coding_is_fetched_once() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    origin.on_fn("/p", |req, _| {
        let answer = page("").header("vary", "Accept-Encoding");
        let text = b"A<esi:include src=\"/f\"/>B";
        match req.header("accept-encoding").is_some_and(|line| line.contains("gzip")) {
            true => answer.header("content-encoding", "gzip").body(gzip(text)),
            false => answer.body(text.to_vec()),
        }
    });
    for coding in ["gzip", "identity", "br", "zstd", "gzip"] {
        let resp = edge.get_with(HOST, "/p", &format!("Accept-Encoding: {coding}\r\n"));
        assert_eq!(decoded(&resp), "AXB", "{coding}");
    }
    assert_eq!(origin.fetches("/p"), 1);
}

/// A coding that is broken or cut off breaks the page visibly, or counts as a fragment that failed.
#[test]
fn a_broken_coding_never_becomes_a_page() {
    let (origin, edge) = edge();
    let good = gzip(format!("{}<esi:include src=\"/x\"/>", "text ".repeat(500)).as_bytes());
    let cut = good[..good.len() - 12].to_vec();
    let mut wrong = good.clone();
    *wrong.last_mut().expect("bytes") ^= 1;
    origin.on("/x", Answer::cacheable("X", 600));
    for (name, body) in [("cut", cut), ("wrong", wrong), ("none", b"no gzip at all".to_vec())] {
        let path = format!("/{name}");
        origin.on(&path, page("").header("content-encoding", "gzip").body(body.clone()));
        for _ in 0..2 {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
            match Client::http(edge.http()).try_request(&request) {
                Err(ReadError::Truncated(_)) => {}
                Ok(resp) => assert_eq!(resp.status, 502, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        let part = format!("/part-{name}");
        let answer = Answer::uncacheable("").header("content-encoding", "gzip");
        origin.on(&part, answer.body(body));
        let tag = format!("A<esi:include src=\"{part}\" onerror=\"continue\"/>B");
        origin.on("/p", live_page(&tag));
        assert_eq!(edge.get(HOST, "/p").text(), "AB", "{name}");
    }
    becomes(3, "codings that broke", || faults(&edge, "esi-coding"));
}

/// HEAD says what GET would, of a page that is at hand.
#[test]
fn head_has_the_fields_of_the_page_and_no_body() {
    let (origin, edge) = edge();
    origin.on("/p", page("A<esi:include src=\"/f\"/>B"));
    origin.on("/f", Answer::cacheable("XYZ", 600));
    let head = || {
        let request = format!("HEAD /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        Client::http(edge.http()).request(&request)
    };
    let cold = head();
    assert_eq!((cold.status, cold.body.len()), (200, 0));
    assert_ne!(cold.header("content-length"), Some("24"), "that of the page with tags is none");
    assert_eq!((cold.header("etag"), cold.header("surrogate-control")), (None, None));
    assert_eq!(edge.get(HOST, "/p").text(), "AXYZB");
    let get = edge.get(HOST, "/p");
    let warm = head();
    assert_eq!((warm.status, warm.body.len()), (200, 0));
    for name in ["content-length", "etag", "cache-control", "content-type", "vary"] {
        assert_eq!(warm.header(name), get.header(name), "{name}");
    }
    assert_eq!(warm.header("content-length"), Some("5"));
}

/// An old client gets a page that ends with its connection, or whose length it knows. That a page
/// broke off it cannot see otherwise than by what is missing.
#[test]
fn clients_of_http_1_0_get_no_chunks() {
    let (origin, edge) = edge();
    origin.on("/p", page("A<esi:include src=\"/f\"/>B"));
    origin.on("/f", Answer::cacheable("X", 600));
    origin.on("/bad", Answer::new(500));
    origin.on("/broken", live_page("A<esi:include src=\"/bad\"/>B"));
    for _ in 0..2 {
        let mut client = Client::http(edge.http());
        let resp = client.request(&format!("GET /p HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(resp.text(), "AXB");
        assert_eq!(resp.header("transfer-encoding"), None);
    }
    let mut client = Client::http(edge.http());
    client.send(format!("GET /broken HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
    match client.read("GET") {
        Ok(resp) => assert_eq!(resp.text(), "A"),
        Err(error) => assert!(matches!(error, ReadError::Truncated(_)), "{error}"),
    }
}

#[test]
fn clients_of_http_2_get_the_page_and_a_reset_where_it_breaks() {
    let origin = Origin::start();
    origin.on("/p", live_page("A<esi:include src=\"/f\"/>B"));
    origin.on("/f", Answer::cacheable("X", 600));
    origin.on("/bad", Answer::new(500));
    origin.on("/broken", live_page("A<esi:include src=\"/bad\"/>B"));
    let authority = Authority::new();
    let edge = Node::edge(&edge_config(&origin).certificate(&authority.issue(&[HOST])));
    let mut client = H2::connect(edge.https(), HOST, &authority, &[]);
    client.get(1, HOST, "/p");
    assert_eq!(client.ending(1), Ending::Answered(200, b"AXB".to_vec()));
    client.get(3, HOST, "/broken");
    assert!(matches!(client.ending(3), Ending::Reset(_)), "and the connection stays");
    client.get(5, HOST, "/p");
    assert_eq!(client.ending(5), Ending::Answered(200, b"AXB".to_vec()));
}

/// A range of a page with tags would be a range of something else: the page is given whole.
#[test]
fn a_range_of_an_assembled_page_is_the_whole_page() {
    let (origin, edge) = edge();
    let tagged = "0123456789<esi:include src=\"/f\"/>";
    origin.on("/p", page(tagged).etag("\"v1\""));
    origin.on("/live", live_page(tagged));
    origin.on("/f", Answer::cacheable("X", 600));
    for path in ["/p", "/p", "/live"] {
        for range in ["bytes=2-4", "bytes=-3", "bytes=900-", "bytes=0-0,2-2"] {
            let resp = edge.get_with(HOST, path, &format!("Range: {range}\r\n"));
            assert_eq!((resp.status, resp.text().as_str()), (200, "0123456789X"), "{range}");
            assert_eq!(resp.header("content-range"), None);
            assert_eq!(resp.header("accept-ranges").unwrap_or("none"), "none");
        }
    }
    let part = origin.requests_for("/f").into_iter().find(|req| req.header("range").is_some());
    assert!(part.is_none(), "{part:?}");
}

/// The origin's validators are those of the page with tags: they confirm nothing.
#[test]
fn only_the_tag_of_the_assembled_page_confirms_it() {
    let (origin, edge) = edge();
    let date = selvedge_tests::tools::http_date(-1000);
    let body = "A<esi:include src=\"/f\"/>B";
    origin.on("/p", page(body).etag("\"v1\"").header("last-modified", &date));
    origin.on_each("/f", vec![Answer::uncacheable("1"), Answer::uncacheable("2")]);
    let first = edge.get(HOST, "/p");
    assert_eq!((first.header("etag"), first.header("last-modified")), (None, None));
    for field in ["If-None-Match: \"v1\"", "If-None-Match: *", "If-None-Match: W/\"v1\""] {
        let resp = edge.get_with(HOST, "/p", &format!("{field}\r\n"));
        assert_eq!((resp.status, resp.text().as_str()), (200, "A2B"), "{field}");
    }
    let since = format!("If-Modified-Since: {}\r\n", selvedge_tests::tools::http_date(0));
    assert_eq!(edge.get_with(HOST, "/p", &since).status, 200);
    let passed = origin.requests_for("/f");
    let conditional = passed.iter().any(|req| req.header("if-none-match").is_some());
    assert!(!conditional, "the page's condition is none of the fragment");
    origin.on("/g", Answer::cacheable("3", 600));
    origin.on("/q", page("A<esi:include src=\"/g\"/>B").etag("\"v1\""));
    edge.get(HOST, "/q");
    let tag = edge.get(HOST, "/q").header("etag").expect("all is at hand").to_owned();
    let confirm = format!("If-None-Match: {tag}\r\n");
    assert_eq!(edge.get_with(HOST, "/q", &confirm).status, 304);
    let packed = edge.get_with(HOST, "/q", &format!("Accept-Encoding: gzip\r\n{confirm}"));
    assert_eq!(packed.status, 304, "a weak comparison");
    assert_eq!(edge.get_with(HOST, "/q", "If-Match: \"v1\"\r\n").status, 412);
}

/// However its parts came to this node, a page has one tag.
#[test]
fn a_page_has_the_same_tag_wherever_it_is_assembled() {
    let origin = Origin::start();
    let fragment = "fragment ".repeat(4_000);
    origin.on("/p", page("one <esi:include src=\"/f\"/> two"));
    origin.on("/f", Answer::cacheable(&fragment, 600));
    let tag = |edge: &Node| {
        edge.get(HOST, "/p");
        let resp = edge.get(HOST, "/p");
        resp.header("etag").map(str::to_owned).expect("all is at hand")
    };
    let one = tag(&Node::edge(&edge_config(&origin)));
    origin.on("/p", page("o<esi:comment text=\"\"/>ne <esi:include src=\"/f\"/> two").chunked());
    let mut bytes = Vec::new();
    for piece in fragment.as_bytes().chunks(777) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    let head =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=600\r\n\r\n";
    let all = [head.as_bytes(), &bytes, b"0\r\n\r\n"].concat();
    origin.on("/f", Answer::steps(vec![selvedge_tests::answer::Step::Send(all)]));
    assert_eq!(tag(&Node::edge(&edge_config(&origin))), one);
}

/// A client may keep a page as long as the part that lasts least, and shares it if all may be.
#[test]
fn a_page_lasts_as_long_as_its_least_lasting_part() {
    let (origin, edge) = edge();
    let rows = [
        ("max-age=600", "max-age=300", "max-age=300"),
        ("max-age=260", "max-age=300", "max-age=60"),
        ("public, max-age=600", "no-store", "no-store"),
        ("max-age=600", "private, max-age=60", "private, max-age=60"),
        ("max-age=600, s-maxage=900", "max-age=600, no-cache", "max-age=600, no-cache"),
    ];
    for (number, (whole, part, expected)) in rows.into_iter().enumerate() {
        let (path, src) = (format!("/{number}"), format!("/f{number}"));
        let date = selvedge_tests::tools::http_date(-200);
        let answer = Answer::new(200).header("cache-control", whole).header("date", &date);
        let answer = answer.header("content-type", "text/html");
        let answer = answer.header("surrogate-control", "content=\"ESI/1.0\"");
        origin.on(&path, answer.body(format!("A<esi:include src=\"{src}\"/>B")));
        origin.on(&src, Answer::new(200).header("cache-control", part).body("X"));
        edge.get(HOST, &path);
        let resp = edge.get(HOST, &path);
        assert_eq!(resp.text(), "AXB");
        assert_eq!(resp.header("age"), None);
        let date = resp.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
        let age = date.and_then(|date| date.elapsed().ok()).expect("a date that is past");
        assert!(age.as_secs() < 100, "{age:?}: what is left is counted from the answer on");
        let said = resp.header("cache-control").unwrap_or_default();
        let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        let shared = said.split(", ").all(|word| expected.contains(&name(word)));
        let private = said == "private, max-age=0";
        let seconds = |text: &str| {
            let digits = text.split("max-age=").nth(1)?.split(',').next()?;
            digits.parse::<i64>().ok()
        };
        let near = match (seconds(said), seconds(expected)) {
            (Some(said), Some(expected)) => (expected - 20..=expected).contains(&said),
            (said, expected) => said == expected,
        };
        assert!(private || (shared && near), "{whole} and {part}: {said}");
        // What is not kept is not at hand when the head goes out: nobody may keep that page.
        assert!(!private || number > 1, "{whole} and {part}: {said}");
    }
}

/// What depends on who asks may not be kept for another: neither by its cookie nor by `Vary`.
#[test]
fn a_page_that_knows_its_visitor_is_private() {
    let (origin, edge) = edge();
    origin.on("/name", page("<esi:vars>Hello $(HTTP_COOKIE{name})</esi:vars>"));
    origin.on("/host", page("<esi:vars>at $(HTTP_HOST)$(QUERY_STRING)</esi:vars>"));
    let varied = Answer::cacheable("X", 600).header("vary", "User-Agent, Accept-Encoding");
    origin.on("/f", varied);
    origin.on("/agent", page("<esi:include src=\"/f\"/>"));
    origin.on("/g", Answer::cacheable("X", 600).header("vary", "Accept-Encoding"));
    origin.on("/coding", page("<esi:include src=\"/g\"/>"));
    for (path, private) in [("/name", true), ("/host", false), ("/agent", true), ("/coding", false)]
    {
        edge.get_with(HOST, path, "Cookie: name=Ann\r\n");
        let resp = edge.get_with(HOST, path, "Cookie: name=Bob\r\n");
        let said = resp.header("cache-control").unwrap_or_default();
        assert_eq!(said.contains("private"), private, "{path}: {said}");
        assert!(path != "/name" || resp.text() == "Hello Bob");
    }
    assert_eq!(origin.fetches("/name"), 1, "the template serves all");
}

/// A cookie that a fragment sets goes nowhere, and is counted.
#[test]
fn cookies_that_fragments_set_are_dropped() {
    let (origin, edge) = edge();
    origin.on("/p", page("A<esi:include src=\"/f\"/>B"));
    origin.on("/f", Answer::cacheable("X", 600).header("set-cookie", "sid=mine"));
    for _ in 0..3 {
        let resp = edge.get(HOST, "/p");
        assert_eq!(resp.text(), "AXB");
        assert_eq!(resp.header("set-cookie"), None);
        let said = resp.header("cache-control").unwrap_or_default();
        assert!(said.contains("private") || origin.fetches("/f") == 1, "{said}");
    }
    becomes(3, "cookies dropped", || faults(&edge, "set-cookie-dropped"));
}

/// A page whose own text breaks off does so visibly, and is not kept.
#[test]
fn a_page_that_breaks_off_at_the_origin_breaks_off_here() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    origin.on("/p", page("A<esi:include src=\"/f\"/>B").content_length("900"));
    broken(&edge, "/p");
    origin.on("/p", page("A<esi:include src=\"/f\"/>C"));
    assert_eq!(edge.get(HOST, "/p").text(), "AXC");
    assert_eq!(origin.fetches("/p"), 2);
}

/// The trace shows what each fragment cost, to those who may purge and to no one else.
#[test]
fn a_trace_is_for_those_who_may_purge() {
    for (from, allowed) in [("127.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let origin = Origin::start();
        let edge = Node::edge(&edge_config(&origin).set("purge", "from", vec![from]));
        origin.on("/p", page("A<esi:include src=\"/f?---><script>\"/>B"));
        origin.on("/f", Answer::cacheable("X", 600));
        for _ in 0..2 {
            let text = edge.get_with(HOST, "/p", "Selvedge-Esi-Trace: 1\r\n").text();
            assert!(text.starts_with("AXB"), "{text}");
            assert_eq!(text.contains("/f?"), allowed, "{text}");
            let end = text.trim_end().strip_prefix("AXB").expect("checked").trim();
            assert!(end.is_empty() || end.ends_with("-->") && end.matches("-->").count() == 1);
        }
        assert_eq!(edge.get(HOST, "/p").text(), "AXB", "and only where it is asked for");
    }
}

/// Compressed only where the site has it so.
#[test]
fn small_pages_are_not_compressed_where_that_gains_nothing() {
    let (origin, edge) = edge_with(|site| site.set("compress_min", "100B"));
    origin.on("/f", Answer::cacheable("X", 600));
    origin.on("/p", page("A<esi:include src=\"/f\"/>B"));
    let fields = "Accept-Encoding: gzip\r\n";
    edge.get_with(HOST, "/p", fields);
    let resp = edge.get_with(HOST, "/p", fields);
    assert_eq!((resp.header("content-encoding"), resp.text().as_str()), (None, "AXB"));
}
