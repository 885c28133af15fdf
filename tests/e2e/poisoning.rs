//! What one client sends must not shape what others get (threats 28 to 31 and 35).

use crate::support::{HOST, edge, edge_with};
use selvedge_tests::{Answer, Client};

/// Paths and queries that a careless cache takes for one another.
const TARGETS: &[&str] = &[
    "/a",
    "/a/",
    "/A",
    "//a",
    "/./a",
    "/b/../a",
    "/a?",
    "/a?x",
    "/a?x=",
    "/a?x=1",
    "/a?x=1&y=2",
    "/a?y=2&x=1",
    "/a?x=1;y=2",
    "/a?x=1%26y=2",
    "/a%3fx=1",
    "/a%23",
    "/a%2f",
    "/a%2fb",
    "/a/b",
    "/a%00",
    "/a%0a",
    "/a%20",
    "/a+",
    "/a;x",
    "/a;x=1",
    "/a%3bx",
    "/a%5c",
    "/a\\",
    "/a%2e%2e/b",
    "/a/..%2fb",
    "/a.css",
    "/a%25",
    "/a%252f",
    "/a|",
    "/a%7C",
    "/a:80",
    "/a@b",
    "/a,b",
    "/a%",
    "/a%zz",
    "/a?x=%",
    "/a?/../b",
    "/a*",
    "/%61%62",
    "/\u{e9}",
    "/%C3%A9",
];

/// Threat 28: spellings of a path. Whatever shares an object must be the same to every origin, so
/// each of these is asked for by itself.
#[test]
fn one_path_never_answers_for_another() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::cacheable(&req.target, 600));
    for target in TARGETS {
        let mut client = Client::http(edge.http());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        match client.read("GET") {
            Ok(resp) if resp.status == 200 => {
                assert_eq!(normal(&resp.text()), normal(target), "{target}");
            }
            Ok(resp) => assert_eq!(resp.status, 400, "{target}"),
            Err(error) => panic!("{target}: {error}"),
        }
    }
    for target in TARGETS {
        let mut client = Client::http(edge.http());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        if let Ok(resp) = client.read("GET")
            && resp.status == 200
        {
            assert_eq!(normal(&resp.text()), normal(target), "{target} on a hit");
        }
    }
}

/// RFC 3986 6.2.2: the case of hexadecimal digits and escapes of unreserved characters mean
/// nothing; everything else does.
fn normal(target: &str) -> String {
    let bytes = target.as_bytes();
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], escaped) {
            (b'%', Some(byte)) => {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
                at += 3;
            }
            (byte, _) => {
                out.push(char::from(byte));
                at += 1;
            }
        }
    }
    out
}

/// Threat 28, CVE-2026-2836: sites and hosts are part of the key.
#[test]
fn the_key_keeps_sites_hosts_and_queries_apart() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| {
        Answer::cacheable(&format!("{}|{}", req.header("host").unwrap_or(""), req.target), 600)
    });
    for round in 0..2 {
        for (host, target) in [
            ("a.test", "/b"),
            ("a.testb", "/"),
            ("a.test", "/?b"),
            ("ab.test", "/"),
            ("a.test", "/b?c"),
            ("a.test:8080", "/b"),
            ("b.test", "/a.test/b"),
        ] {
            let resp = edge.get(host, target);
            assert_eq!(resp.text(), format!("{host}|{target}"));
            assert_eq!(resp.is_hit("edge-1"), round == 1, "{host}{target}");
        }
    }
}

/// Threat 29: fields outside the key are cut or written anew, so that a reflecting origin cannot
/// be made to poison a page.
#[test]
fn fields_outside_the_key_do_not_reach_the_origin() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::cacheable(&format!("{:?}", req.headers), 600));
    let names = [
        "X-Forwarded-Host",
        "X-Forwarded-Scheme",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Proto",
        "X-Forwarded-For",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-Host",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "X-Cluster-Client-IP",
        "X-Originating-IP",
        "X-Proxy-URL",
        "Proxy",
        "X-Backend-Host",
        "X-Forwarded-Ssl",
        "Front-End-Https",
    ];
    for (number, name) in names.iter().enumerate() {
        let path = format!("/{number}");
        let resp = edge.get_with(HOST, &path, &format!("{name}: poison.test\r\n"));
        assert_eq!(resp.status, 200);
        assert!(!resp.text().contains("poison"), "{name} reaches the origin: {}", resp.text());
        assert!(!edge.get(HOST, &path).text().contains("poison"), "{name}");
    }
}

/// Threat 30: a request that the origin refuses does not make a page unavailable for others.
#[test]
fn an_error_that_one_client_provoked_is_not_served_to_others() {
    let (origin, edge) = edge_with(|site| site.set("ttl_error", "1h"));
    origin.on_fn("/page", |req, _| {
        let size: usize = req.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let meta = req.headers.iter().any(|(_, value)| value.contains('\u{fffd}'));
        if size > 8000 || meta || req.header("x-poison").is_some() {
            return Answer::new(400).body("bad request");
        }
        Answer::cacheable("page", 600)
    });
    let large = format!("X-Large: {}\r\n", "x".repeat(12_000));
    for fields in [large.as_str(), "X-Meta: a\u{ff}\u{fe}\r\n", "X-Poison: 1\r\n"] {
        let resp = edge.get_with(HOST, "/page", fields);
        assert!(matches!(resp.status, 200 | 400 | 431), "{}", resp.status);
    }
    let resp = edge.get(HOST, "/page");
    assert_eq!((resp.status, resp.text().as_str()), (200, "page"));
}

/// Threat 31: names that look static never override what the origin says about sharing.
#[test]
fn private_pages_stay_private_whatever_they_are_called() {
    let (origin, edge) = edge_with(|site| site.set("ttl_default", "1h"));
    for (number, fields) in [
        vec![("cache-control", "private")],
        vec![("cache-control", "no-store")],
        vec![("set-cookie", "session=alice")],
        vec![("set-cookie", "session=alice"), ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")],
    ]
    .into_iter()
    .enumerate()
    {
        for name in ["x.css", ";x.css", "%0a.css", "%23.css", "..%2fstatic.js", "?x.css", "a.png"] {
            let path = format!("/account-{number}/{name}");
            let mut answer = Answer::new(200).body("alice's page");
            for (field, value) in &fields {
                answer = answer.header(field, value);
            }
            origin.on("*", answer);
            assert_eq!(edge.get(HOST, &path).status, 200);
            let other = edge.get(HOST, &path);
            assert!(!other.is_hit("edge-1"), "{path} {fields:?}");
        }
    }
}

/// Threat 35: cookies of one client do not come back to another.
#[test]
fn cookies_are_not_shared_unless_the_origin_says_how_long() {
    let (origin, edge) = edge();
    origin.on_fn("/c", |_, nth| {
        let answer = Answer::new(200).header("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT");
        answer.header("set-cookie", &format!("id={nth}")).body("x")
    });
    let first = edge.get(HOST, "/c");
    let second = edge.get(HOST, "/c");
    assert_eq!(first.header("set-cookie"), Some("id=0"));
    assert_eq!(second.header("set-cookie"), Some("id=1"), "each client its own");
    let (origin, edge) = edge_with(|site| site.set("store_set_cookie", true));
    let answer = Answer::cacheable("x", 600).header("set-cookie", "track=1");
    origin.on("/t", answer);
    assert_eq!(edge.get(HOST, "/t").status, 200);
    let second = edge.get(HOST, "/t");
    assert!(second.is_hit("edge-1"));
    assert_eq!(second.header("set-cookie"), None, "stored without the field");
}

/// A fat GET: its body is part of no key, so it must not decide what is stored.
#[test]
fn a_get_with_a_body_is_never_stored_under_the_plain_url() {
    let (origin, edge) = edge_with(|site| site.set("first_byte_timeout", "2s"));
    origin.on_fn("*", |req, _| {
        Answer::cacheable(&format!("body:{}", String::from_utf8_lossy(&req.body)), 600)
    });
    for (path, framing) in [
        ("/length", "Content-Length: 6\r\n\r\npoison"),
        ("/chunked", "Transfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"),
    ] {
        let mut client = Client::http(edge.http());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{framing}"));
        let resp = client.read("GET").expect("an answer");
        assert!(matches!(resp.status, 200 | 400), "{path}: {}", resp.status);
        for _ in 0..2 {
            assert_eq!(edge.get(HOST, path).text(), "body:", "{path}");
        }
    }
}

/// The same seen from the origin: a length that is announced is sent. An origin that answers first
/// and then skips what was announced would skip the next client's request.
#[test]
fn a_length_of_a_client_is_never_announced_to_the_origin_without_its_body() {
    for method in ["GET", "HEAD"] {
        let (origin, edge) = edge_with(|site| site.set("first_byte_timeout", "2s"));
        origin.on("*", Answer::cacheable("x", 600));
        let mut client = Client::http(edge.http());
        let length = 60;
        let body = "b".repeat(length);
        client.send(format!(
            "{method} /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        let resp = client.read(method).expect("an answer");
        let seen = String::from_utf8_lossy(&origin.bytes()).into_owned();
        let announced = seen.to_ascii_lowercase().contains("content-length: 60");
        assert_eq!(announced, seen.contains(&body), "{method}: {seen}");
        assert!(matches!(resp.status, 200 | 400), "{method}: {}", resp.status);
    }
}

/// Query keys a site ignores are not in the key, and still reach the origin.
#[test]
fn ignored_query_keys_share_an_object_and_others_do_not() {
    let (origin, edge) =
        edge_with(|site| site.set("query_ignore", vec!["utm_*", "fbclid"]).set("query_sort", true));
    origin.on_fn("*", |req, _| Answer::cacheable(&req.target, 600));
    let first = edge.get(HOST, "/p?b=2&utm_source=x&a=1");
    assert!(first.text().contains("a=1") && first.text().contains("b=2"), "{}", first.text());
    for same in ["/p?a=1&b=2", "/p?b=2&a=1&fbclid=9", "/p?utm_a=1&utm_b=2&a=1&b=2"] {
        assert!(edge.get(HOST, same).is_hit("edge-1"), "{same}");
    }
    for other in ["/p?a=1", "/p", "/p?a=1&b=2&c=3", "/p?a=1&b=2&utm=1", "/p?a=2&b=1"] {
        assert!(!edge.get(HOST, other).is_hit("edge-1"), "{other}");
    }
}
