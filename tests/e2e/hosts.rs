//! Which site a request means (RFC 9112 3.2; threats 10, 11, 28): one authority for the key and
//! for the origin, and nothing that two parsers could take for different hosts.

use crate::support::{HOST, edge, refused, shown, talk};
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site};

/// Threat 10: every form of Host that is none.
#[test]
fn a_host_that_is_missing_repeated_or_malformed_is_refused() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let hosts = [
        "",
        " ",
        "a:80:80",
        "a:b",
        "a:-1",
        "a:99999999",
        "user@a",
        "user:pw@a",
        "a b",
        "a\tb",
        "a#b",
        "a/b",
        "a?b",
        "a\\b",
        "http://a",
        "[",
        "]",
        "[]",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:x",
        "[:::1]",
        "[1:2:3]",
        "[::g]",
        "[::1%25eth0]",
        "[v1.x]",
        "a,b",
        "a b.test",
        "a;b",
        "<a>",
        "a\"b",
        "a|b",
        "a^b",
        "a`b",
        "{a}",
        "%zz",
        "a%",
        "%00",
        "a%2fb",
        "a..b",
        "..",
    ];
    for host in hosts {
        let payload = format!("GET /h HTTP/1.1\r\nHost: {host}\r\n\r\n");
        refused(&edge, payload.as_bytes(), &[400]);
    }
    refused(&edge, b"GET /h HTTP/1.1\r\n\r\n", &[400]);
    refused(&edge, b"GET /h HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", &[400]);
    refused(&edge, b"GET /h HTTP/1.1\r\nHost: a.test\r\nhost: b.test\r\n\r\n", &[400]);
    refused(&edge, b"GET /h HTTP/1.1\r\nHost : a.test\r\n\r\n", &[400]);
    assert!(origin.bytes().is_empty(), "{}", shown(&origin.bytes()));
}

/// Hosts that are unusual and right.
#[test]
fn unusual_hosts_that_are_valid_are_served() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::uncacheable(req.header("host").unwrap_or("none")));
    for host in [
        "a",
        "A.Test",
        "1.2.3.4",
        "[::1]",
        "[2001:db8::1]:8080",
        "xn--bcher-kva.test",
        "a_b.test",
        "a-b.test:8080",
    ] {
        let resp = edge.get(host, "/h");
        assert_eq!(resp.status, 200, "{host}: {}", resp.text());
        assert!(resp.text().eq_ignore_ascii_case(host), "{host}: {}", resp.text());
    }
}

/// Threat 11: the absolute form's authority is the one, for the key and for the origin.
#[test]
fn the_authority_of_an_absolute_target_wins_over_host() {
    let origin = Origin::start();
    origin.on_fn("*", |req, _| Answer::cacheable(req.header("host").unwrap_or("none"), 60));
    let hosts = ["good.test", "evil.test"];
    let site = Site::new("any", &hosts, &[&origin.url()]);
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
    let mut client = Client::http(edge.http());
    client.send("GET http://good.test/p HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    match client.read("GET") {
        Ok(resp) if resp.status == 200 => {
            assert_eq!(resp.text(), "good.test");
            let seen = origin.last("/p");
            assert_eq!((seen.target.as_str(), seen.header("host")), ("/p", Some("good.test")));
        }
        Ok(resp) => assert_eq!(resp.status, 400),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(edge.get("evil.test", "/p").text(), "evil.test", "the other host has its own");
    assert_eq!(edge.get("good.test", "/p").text(), "good.test");
}

/// Threat 11, VSV00018: an absolute target without a path is the root, never the previous one.
#[test]
fn an_absolute_target_without_a_path_is_the_root() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::cacheable(&req.target, 60));
    let mut client = Client::http(edge.http());
    for (line, target) in [
        ("GET http://www.shop.test HTTP/1.1", "/"),
        ("GET http://www.shop.test?a=1 HTTP/1.1", "/?a=1"),
        ("GET http://www.shop.test/x HTTP/1.1", "/x"),
        ("GET HTTP://WWW.shop.test/y HTTP/1.1", "/y"),
    ] {
        let resp = client.request(&format!("{line}\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!((resp.status, resp.text().as_str()), (200, target), "{line}");
    }
    assert!(edge.get(HOST, "/x").is_hit("edge-1"), "both forms are one resource");
    for line in [
        "GET ftp://www.shop.test/ HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://user@www.shop.test/ HTTP/1.1",
        "GET http://www.shop.test:80:80/ HTTP/1.1",
        "GET //www.shop.test/ HTTP/9.1",
    ] {
        refused(&edge, format!("{line}\r\nHost: {HOST}\r\n\r\n").as_bytes(), &[400, 505]);
    }
}

/// `https://` asked for on a connection without TLS is another resource than `http://`.
#[test]
fn a_scheme_that_the_connection_does_not_have_never_mixes_keys() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, nth| {
        Answer::cacheable(&format!("{} {nth}", req.header("x-forwarded-proto").unwrap_or("")), 60)
    });
    let mut client = Client::http(edge.http());
    let resp =
        client.try_request("GET https://www.shop.test/s HTTP/1.1\r\nHost: www.shop.test\r\n\r\n");
    if let Ok(resp) = resp
        && resp.status == 200
    {
        assert!(resp.text().starts_with("http "), "the connection is plain: {}", resp.text());
    }
    assert!(edge.get(HOST, "/s").text().starts_with("http "));
}

/// Hosts that mean the same share an object, and no others do (threat 28).
#[test]
fn spellings_of_a_host_share_an_object_and_other_hosts_do_not() {
    let (origin, edge) = edge();
    origin.on_fn("*", |_, nth| Answer::cacheable(&nth.to_string(), 60));
    assert_eq!(edge.get("www.shop.test", "/k").text(), "0");
    for same in ["WWW.SHOP.TEST", "www.shop.test:80", "www.shop.test."] {
        assert_eq!(edge.get(same, "/k").text(), "0", "{same}");
    }
    for (nth, other) in
        ["shop.test", "www.shop.test:8080", "www.shop.tes", "www-shop.test", "ww.wshop.test"]
            .iter()
            .enumerate()
    {
        assert_eq!(edge.get(other, "/k").text(), (nth + 1).to_string(), "{other}");
    }
}

/// A host that no site has is told so; it does not reach any origin.
#[test]
fn an_unknown_host_is_misdirected_and_a_pattern_takes_only_names_below_it() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let hosts = ["shop.test", "*.img.shop.test"];
    let site = Site::new("any", &hosts, &[&origin.url()]);
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
    for (host, status) in [
        ("shop.test", 200),
        ("a.img.shop.test", 200),
        ("a.b.img.shop.test", 200),
        ("SHOP.test:80", 200),
        ("img.shop.test", 421),
        ("xshop.test", 421),
        ("shop.test.evil.test", 421),
        ("ximg.shop.test", 421),
        ("127.0.0.1", 421),
    ] {
        let resp = edge.get(host, "/");
        assert_eq!(resp.status, status, "{host}");
        assert!(resp.header("x-request-id").is_some(), "{host}");
    }
    assert_eq!(origin.fetches("/"), 4);
}

/// Old clients: HTTP/1.0 with Host is served and closed; without, there is no site to mean.
#[test]
fn http_1_0_is_served_when_it_names_a_host() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /old HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
    let resp = client.read("GET").expect("an answer");
    assert_eq!((resp.status, resp.text().as_str()), (200, "reached"));
    assert!(client.is_closed());
    let responses = talk(&edge, b"GET /old HTTP/1.0\r\n\r\n");
    assert!(matches!(responses[0].status, 400 | 421), "{}", responses[0].status);
    assert_eq!(responses.len(), 1);
    assert_eq!(origin.fetches("/old"), 1);
}
