//! Methods, forms of the target, and what `Connection` may take away (threats 12 and 13).

use crate::support::{HOST, edge, refused, shown};
use selvedge_tests::{Answer, Client};

/// Threat 12: forms that do not fit the method, and methods that are not for a cache.
#[test]
fn targets_that_do_not_fit_the_method_are_refused() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    for (line, statuses) in [
        ("GET * HTTP/1.1", &[400][..]),
        ("GET x HTTP/1.1", &[400]),
        ("GET www.shop.test/x HTTP/1.1", &[400]),
        ("GET ?a=b HTTP/1.1", &[400]),
        ("POST www.shop.test:80 HTTP/1.1", &[400]),
        ("CONNECT www.shop.test:80 HTTP/1.1", &[400, 405, 501]),
        ("CONNECT / HTTP/1.1", &[400, 405, 501]),
    ] {
        refused(&edge, format!("{line}\r\nHost: {HOST}\r\n\r\n").as_bytes(), statuses);
    }
    let mut client = Client::http(edge.http());
    client.send(format!("TRACE /x HTTP/1.1\r\nHost: {HOST}\r\nCookie: secret\r\n\r\n"));
    let resp = client.read("TRACE").expect("an answer");
    assert!(matches!(resp.status, 405 | 501), "{}", resp.status);
    assert!(!resp.text().contains("secret"));
    assert!(origin.bytes().is_empty(), "{}", shown(&origin.bytes()));
}

/// Other methods go to the origin whole and are never stored.
#[test]
fn other_methods_are_passed_on_with_their_bodies() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, nth| {
        let body = String::from_utf8_lossy(&req.body).into_owned();
        Answer::cacheable(&format!("{} {body} {nth}", req.method), 60)
    });
    for (nth, method) in
        ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"].iter().enumerate()
    {
        for (again, body) in ["one", "two"].iter().enumerate() {
            let mut client = Client::http(edge.http());
            let length = body.len();
            client.send(format!(
                "{method} /m HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
            let resp = client.read(method).expect("an answer");
            let text = format!("{method} {body} {}", nth * 2 + again);
            assert_eq!((resp.status, resp.text()), (200, text), "{method}");
            assert!(!resp.is_hit("edge-1"));
        }
    }
    assert_eq!(origin.fetches("/m"), 14);
}

/// RFC 9110 9.3.7: `OPTIONS *` is about the server, not about a resource.
#[test]
fn options_asterisk_is_answered_or_refused_and_never_becomes_a_path() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let mut client = Client::http(edge.http());
    client.send(format!("OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let resp = client.read("OPTIONS").expect("an answer");
    assert_eq!(resp.status, 204);
    assert!(resp.header("allow").is_some_and(|methods| methods.contains("GET")));
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
}

/// RFC 9110 7.6.2: an OPTIONS counts its hops, and ends where the count does.
#[test]
fn max_forwards_is_counted_down_and_kept_to() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let ask = |left: u32| {
        let mut client = Client::http(edge.http());
        client.send(format!("OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\nMax-Forwards: {left}\r\n\r\n"));
        client.read("OPTIONS").expect("an answer").status
    };
    assert_eq!(ask(0), 204);
    assert_eq!(origin.fetches("/x"), 0);
    assert_eq!(ask(5), 200);
    assert_eq!(origin.last("/x").header("max-forwards"), Some("4"));
}

/// Threat 13: `Connection` removes hop-by-hop fields, not those that others rely on.
#[test]
fn connection_cannot_remove_what_the_origin_relies_on() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let mut client = Client::http(edge.http());
    client.send(format!(
        "POST /c HTTP/1.1\r\nHost: {HOST}\r\n\
         Connection: Host, Content-Length, X-Forwarded-For, X-Forwarded-Proto, Cookie, Via, \
         CDN-Loop, Authorization, X-Hop\r\n\
         Cookie: a=b\r\nAuthorization: Basic eDp5\r\nX-Hop: gone\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\nContent-Length: 5\r\n\r\nhello"
    ));
    let resp = client.read("POST").expect("an answer");
    if resp.status == 400 {
        assert!(origin.bytes().is_empty());
        return;
    }
    let seen = origin.last("/c");
    assert_eq!(seen.header("host"), Some(HOST));
    assert_eq!(seen.header("cookie"), Some("a=b"));
    assert_eq!(seen.header("authorization"), Some("Basic eDp5"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.body, b"hello");
    for gone in ["x-hop", "keep-alive", "proxy-connection", "te", "connection", "upgrade"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert!(seen.header("cdn-loop").is_some() && seen.header("via").is_some(), "{seen:?}");
}

/// The other way round: hop-by-hop fields of the origin stay on its side, in a stored object too.
#[test]
fn hop_by_hop_fields_of_the_origin_do_not_reach_clients() {
    let (origin, edge) = edge();
    let answer = Answer::cacheable("x", 60)
        .header("connection", "x-hop, keep-alive, cache-control, content-length")
        .header("x-hop", "gone")
        .header("keep-alive", "timeout=5")
        .header("proxy-authenticate", "Basic")
        .header("x-stays", "1");
    origin.on("/c", answer);
    for _ in 0..2 {
        let resp = edge.get(HOST, "/c");
        assert_eq!((resp.status, resp.text().as_str()), (200, "x"));
        for gone in ["x-hop", "keep-alive"] {
            assert_eq!(resp.header(gone), None, "{gone}");
        }
        assert_eq!(resp.header("x-stays"), Some("1"));
        assert_eq!(resp.header("cache-control"), Some("max-age=60"));
    }
    assert_eq!(origin.fetches("/c"), 1);
}

/// Pipelined requests are answered in their order.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::cacheable(&req.target, 60));
    let mut client = Client::http(edge.http());
    let mut bytes = String::new();
    for number in 0..20 {
        bytes.push_str(&format!("GET /p{} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", number % 7));
    }
    client.send(bytes);
    for number in 0..20 {
        let resp = client.read("GET").expect("an answer");
        assert_eq!(resp.text(), format!("/p{}", number % 7));
    }
    assert_eq!(origin.requests().len(), 7);
}

/// Fields a site adds, sets and removes, on both sides.
#[test]
fn a_site_changes_header_fields_in_both_directions() {
    let rules = serde_json::json!({ "set": { "x-cdn": "selvedge" }, "remove": ["x-debug"] });
    let back = serde_json::json!({
        "set": { "x-frame-options": "DENY" }, "add": { "x-more": "2" }, "remove": ["server"],
    });
    let (origin, edge) = crate::support::edge_with(|site| {
        site.set("request_headers", rules).set("response_headers", back)
    });
    let answer = Answer::cacheable("x", 60).header("server", "secret/1").header("x-more", "1");
    origin.on("/f", answer);
    for _ in 0..2 {
        let resp = edge.get_with(HOST, "/f", "X-Debug: 1\r\nX-CDN: fake\r\n");
        assert_eq!(resp.header("x-frame-options"), Some("DENY"));
        assert_eq!(resp.joined("x-more"), "1, 2");
        assert_eq!(resp.header("server"), None);
    }
    let seen = origin.last("/f");
    assert_eq!(seen.header("x-cdn"), Some("selvedge"));
    assert_eq!(seen.header("x-debug"), None);
}
