//! Pages that are assembled from fragments, over HTTP: which are, and what a tag asks for. The
//! language is tested in its crate.

use crate::support::{HOST, becomes, edge, edge_config, edge_with, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::node::Reload;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, ReadError, Response, Site};

/// A page that wants to be assembled.
pub(crate) fn page(body: &str) -> Answer {
    Answer::cacheable(body, 600)
        .header("content-type", "text/html")
        .header("surrogate-control", "content=\"ESI/1.0\"")
}

/// One that is never stored.
pub(crate) fn live_page(body: &str) -> Answer {
    Answer::uncacheable(body)
        .header("content-type", "text/html")
        .header("surrogate-control", "content=\"ESI/1.0\"")
}

/// How often this was wrong with a page.
pub(crate) fn faults(edge: &Node, word: &str) -> u64 {
    let word = format!("\"{word}\"");
    edge.metrics().sum("selvedge_esi_faults_total", &["site=\"any\"", &word]) as u64
}

/// Puts a page there, asks for it, and asserts what it has become, while it is stored and after.
#[track_caller]
pub(crate) fn shows(origin: &Origin, edge: &Node, path: &str, body: &str, expected: &str) {
    origin.on(path.split('?').next().unwrap_or(path), page(body));
    for round in 0..2 {
        let resp = edge.get(HOST, path);
        assert_eq!(resp.status, 200, "{body}");
        assert_eq!(resp.text(), expected, "round {round} of {body}");
    }
}

/// Asks for a page that breaks off visibly; gives what had come before.
#[track_caller]
pub(crate) fn broken(edge: &Node, path: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    match Client::http(edge.http()).try_request(&request) {
        Err(ReadError::Truncated(resp)) => *resp,
        other => panic!("{path} does not break off: {other:?}"),
    }
}

#[test]
fn a_page_is_assembled_in_the_order_of_its_tags() {
    let (origin, edge) = edge();
    origin.on("/p", page("A<esi:include src=\"/a\"/>B<esi:include src=\"/b\"/>C"));
    origin.on("/a", Answer::cacheable("aa", 600));
    origin.on("/b", Answer::cacheable("bb", 600));
    for _ in 0..2 {
        let resp = edge.get(HOST, "/p");
        assert_eq!(resp.status, 200);
        assert_eq!(resp.text(), "AaaBbbC");
        assert_eq!(resp.header("surrogate-control"), None);
    }
    assert_eq!((origin.fetches("/p"), origin.fetches("/a"), origin.fetches("/b")), (1, 1, 1));
    let hit = edge.get(HOST, "/p");
    assert!(hit.is_hit("edge-1"), "{hit:?}");
    assert_eq!(hit.header("content-length"), Some("7"));
    let etag = hit.header("etag").expect("it is complete").to_owned();
    let same = edge.get_with(HOST, "/p", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(same.status, 304, "{same:?}");
    assert_eq!(edge.metrics().sum("selvedge_esi_pages_total", &[]), 4.0);
    assert_eq!(edge.metrics().sum("selvedge_esi_fragments_total", &[]), 8.0);
}

/// A page without a tag keeps every byte and its own fields, stored and cold.
#[test]
fn a_page_without_tags_is_what_the_origin_sent() {
    let (origin, edge) = edge();
    let body = "<html><!-- esi --><p>$(HTTP_HOST) < esi:include ]]></html>\n";
    origin.on("/plain", page(body).etag("\"v1\""));
    for _ in 0..3 {
        let resp = edge.get(HOST, "/plain");
        assert_eq!((resp.status, resp.text().as_str()), (200, body));
        assert_eq!(resp.header("surrogate-control"), None);
    }
    let hit = edge.get(HOST, "/plain");
    assert_eq!(hit.header("etag"), Some("\"v1\""), "stored as it is, served as it is");
    assert_eq!(origin.fetches("/plain"), 1);
}

/// Only what the origin marks, in a version that is spoken here and a type that is a page.
#[test]
fn tags_stay_where_nobody_asked_for_them_to_be_processed() {
    let (origin, edge) = edge();
    let body = "A<esi:include src=\"/f\"/>B";
    origin.on("/f", Answer::cacheable("X", 600));
    let rows = [
        ("/1.0", "text/html", "content=\"ESI/1.0\"", true),
        ("/case", "Text/HTML; charset=utf-8", "max-age=60, content=\"ESI/1.0\"", true),
        ("/xml", "application/xhtml+xml", "content=\"ESI/1.0 ESI-Inline/1.0\"", true),
        ("/0.8", "text/html", "content=\"ESI/0.8\"", true),
        ("/1.1", "text/html", "content=\"ESI/1.1\"", false),
        ("/other", "text/html", "content=\"ESI/1.0\";other-cdn", false),
        ("/none", "text/html", "max-age=60", false),
        ("/text", "text/plain", "content=\"ESI/1.0\"", false),
        ("/image", "image/png", "content=\"ESI/1.0\"", false),
        ("/json", "application/json", "content=\"ESI/1.0\"", false),
    ];
    for (path, kind, control, is_page) in rows {
        let answer = Answer::cacheable(body, 600).header("content-type", kind);
        origin.on(path, answer.header("surrogate-control", control));
        for _ in 0..2 {
            let resp = edge.get(HOST, path);
            assert_eq!(resp.text(), if is_page { "AXB" } else { body }, "{path}");
            assert_eq!(resp.header("surrogate-control"), None, "{path}");
        }
    }
    origin.on("/bare", Answer::cacheable(body, 600).header("content-type", "text/html"));
    assert_eq!(edge.get(HOST, "/bare").text(), body);
    assert_eq!(origin.fetches("/f"), 1);
    becomes(8, "pages", || site_count(&edge, "esi_pages"));
}

#[test]
fn a_site_can_have_all_its_pages_assembled_or_none() {
    for (mode, expected) in [("always", "AXB"), ("off", "A<esi:include src=\"/f\"/>B")] {
        let (origin, edge) = edge_with(|site| site.set("esi", mode));
        origin.on("/f", Answer::cacheable("X", 600));
        let marked = page("A<esi:include src=\"/f\"/>B");
        let bare = Answer::cacheable("A<esi:include src=\"/f\"/>B", 600);
        origin.on("/marked", marked);
        origin.on("/bare", bare.header("content-type", "text/html"));
        assert_eq!(edge.get(HOST, "/marked").text(), expected, "{mode}");
        assert_eq!(edge.get(HOST, "/bare").text(), expected, "{mode}");
        let told = origin.last("/bare").all("surrogate-capability").count();
        assert_eq!(told, usize::from(mode == "always"), "{mode}: the origin is told so");
    }
}

/// Both forms of a tag, tags side by side, over lines, in either quotes.
#[test]
fn every_form_of_an_include_puts_in_its_fragment_once() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    let rows = [
        ("/empty", "A<esi:include src=\"/f\"/>B", "AXB"),
        ("/space", "A<esi:include src=\"/f\" />B", "AXB"),
        ("/pair", "A<esi:include src=\"/f\"></esi:include>B", "AXB"),
        ("/two", "<esi:include src=\"/f\"/><esi:include src=\"/f\"/>", "XX"),
        ("/lines", "A<esi:include\r\n\tsrc\n=\n\"/f\"\r\n/>B", "AXB"),
        ("/single", "A<esi:include src='/f'/>B", "AXB"),
        ("/bytes", "\u{feff}é<esi:include src=\"/f\"/>ß", "\u{feff}éXß"),
    ];
    for (path, body, expected) in rows {
        shows(&origin, &edge, path, body, expected);
    }
    assert_eq!(origin.fetches("/f"), 1);
}

/// Bytes that are no UTF-8 pass as they are, and the tags between them are found.
#[test]
fn bytes_of_any_charset_are_kept_around_tags() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("", 600).body(b"\xff\x00\xfe".to_vec()));
    let mut body = b"\xef\xbb\xbf\xe9\xff".to_vec();
    body.extend_from_slice(b"<esi:include src=\"/f\"/>\xc3");
    origin.on("/p", page("").body(body));
    for _ in 0..2 {
        assert_eq!(edge.get(HOST, "/p").body, b"\xef\xbb\xbf\xe9\xff\xff\x00\xfe\xc3");
    }
}

/// Wherever the network cuts a page, it becomes the same one.
#[test]
fn a_page_that_comes_in_two_pieces_is_the_same_wherever_it_was_cut() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    let body = "<p>1<esi:include src=\"/f\" onerror='continue'/>2<!--esi <b>3</b>--><esi:remove>no\
                <esi:include src=\"/no\"/></esi:remove><esi:comment text=\"x\"/><esi:vars>\
                $(QUERY_STRING{q}|'d')</esi:vars><esi:choose><esi:when test=\"1==1\">4</esi:when>\
                </esi:choose><!-- <esi:include src=\"/no\"/> -->5</p>";
    let expected = "<p>1X2 <b>3</b>d4<!-- <esi:include src=\"/no\"/> -->5</p>";
    origin.on_fn("/cut", move |req, _| {
        let at = req.target.split("at=").nth(1).and_then(|at| at.parse().ok()).unwrap_or(1);
        let (one, two) = body.split_at(at);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n\
                    Content-Type: text/html\r\nSurrogate-Control: content=\"ESI/1.0\"\r\n\r\n";
        let one = format!("{head}{:x}\r\n{one}\r\n", one.len());
        let two = format!("{:x}\r\n{two}\r\n0\r\n\r\n", two.len());
        Answer::steps(vec![Step::Send(one.into()), Step::Send(two.into())])
    });
    let mut client = Client::http(edge.http());
    for at in 1..body.len() {
        let resp = client.get(HOST, &format!("/cut?at={at}"), "");
        assert_eq!(resp.text(), expected, "cut at {at}");
    }
    assert_eq!((origin.fetches("/f"), origin.fetches("/no")), (1, 0));
    assert_eq!(origin.fetches("/cut"), body.len() - 1);
}

/// RFC 3986 5.2, against the address of the page.
#[test]
fn references_are_resolved_against_the_page_they_stand_in() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::cacheable(&format!("[{}]", req.target), 600));
    let rows = [
        ("body", "/foo/body"),
        ("/root", "/root"),
        ("../up", "/up"),
        ("../../../up", "/up"),
        ("./a/./b/../c", "/foo/a/c"),
        ("?x=1", "/foo/bar?x=1"),
        ("http://www.shop.test/abs?y", "/abs?y"),
        ("http://WWW.Shop.Test:80/abs", "/abs"),
        ("//www.shop.test/same", "/same"),
        ("http://www.shop.test", "/"),
        ("https://www.shop.test/tls", "/tls"),
        ("/a#part", "/a"),
        ("/a?x=1&amp;y=2", "/a?x=1&y=2"),
        ("/a?&lt;&gt;&apos;&quot;", "/a?%3C%3E'%22"),
    ];
    for (src, expected) in rows {
        let body = format!("<esi:include src=\"{src}\"/>");
        origin.on("/foo/bar", live_page(&body));
        let resp = edge.get(HOST, "/foo/bar");
        if expected.starts_with("/foo/bar") {
            // The page itself with another query: a fragment, not a loop.
            assert_eq!(origin.last("/foo/bar").target, expected, "{src}");
            continue;
        }
        assert_eq!(resp.text(), format!("[{expected}]"), "{src}");
        let path = expected.split('?').next().unwrap_or("");
        assert_eq!(origin.last(path).target, expected, "{src}");
        assert_eq!(origin.last(path).header("host"), Some(HOST), "{src}");
    }
}

/// What cannot be asked for is not asked for: the tag fails like one whose fragment is not there.
#[test]
fn a_reference_that_is_none_reaches_no_origin() {
    let (origin, edge) = edge();
    origin.on("/alt", Answer::cacheable("alt", 600));
    let long = format!("/{}", "x".repeat(33_000));
    let middle = format!("/{}", "x".repeat(9_000));
    let rows = [
        ("/space", "/body 2", "src-character"),
        ("/line", "/a\r\nX-Evil: 1", "src-character"),
        ("/slash", "/\\evil.test/", "src-character"),
        ("/long", middle.as_str(), "src-too-long"),
    ];
    for (path, src, word) in rows {
        let tag = format!("A<esi:include src=\"{src}\" alt=\"/alt\"/>B");
        let before = faults(&edge, word);
        shows(&origin, &edge, path, &tag, "AaltB");
        becomes(before + 2, word, || faults(&edge, word));
    }
    for (path, tag, word) in [
        ("/no", "A<esi:include/>B".to_owned(), "missing-attribute"),
        ("/empty", "A<esi:include src=\"\"/>B".to_owned(), "missing-attribute"),
        ("/twice", "A<esi:include src=\"/f\" src=\"/g\"/>B".to_owned(), "duplicate-attribute"),
        ("/vast", format!("A<esi:include src=\"{long}\"/>B"), "tag-too-long"),
    ] {
        let before = faults(&edge, word);
        shows(&origin, &edge, path, &tag, "AB");
        becomes(before + 2, word, || faults(&edge, word));
    }
    assert_eq!(origin.requests().len(), 4 + 1 + 4, "pages, and one alt");
}

/// What is stored is not what decides: a reload does, for what was stored before too.
#[test]
fn a_reload_decides_anew_which_stored_pages_are_assembled() {
    let (origin, edge) = edge();
    let body = "A<esi:include src=\"/f\"/>B";
    origin.on("/f", Answer::cacheable("X", 600));
    origin.on("/p", page(body));
    let off = NodeConfig::new("edge-1").site(Site::any(&origin.url()).set("esi", "off"));
    for (config, expected) in
        [(edge_config(&origin), "AXB"), (off, body), (edge_config(&origin), "AXB")]
    {
        assert_eq!(edge.reload(&config), Reload::Applied);
        for _ in 0..2 {
            assert_eq!(edge.get(HOST, "/p").text(), expected);
        }
    }
    assert_eq!((origin.fetches("/p"), origin.fetches("/f")), (1, 1));
}

/// A fragment is an object like any other: what a client asked for is there for pages, and what
/// pages asked for is there for clients, with everything that was not shown of it.
#[test]
fn a_fragment_is_the_same_object_for_clients_and_for_pages() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600).etag("\"f\"").header("x-kept", "yes"));
    origin.on("/p", page("A<esi:include src=\"/f\"/>B"));
    assert_eq!(edge.get(HOST, "/p").text(), "AXB");
    let direct = edge.get(HOST, "/f");
    assert!(direct.is_hit("edge-1"), "{direct:?}");
    assert_eq!((direct.header("etag"), direct.header("x-kept")), (Some("\"f\""), Some("yes")));
    assert_eq!(edge.get(HOST, "/p").header("x-kept"), None);
    assert_eq!(origin.fetches("/f"), 1);
}
