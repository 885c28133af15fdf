//! Unsafe methods make what is stored invalid (RFC 9111 4.4), and nothing else does.

use crate::support::{HOST, becomes, edge, site_count};
use selvedge_tests::{Answer, Client, Gate, Node};

fn send(edge: &Node, method: &str, path: &str) -> u16 {
    let mut client = Client::http(edge.http());
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\nhi"));
    client.read(method).expect("an answer").status
}

/// A success invalidates the URL and, on the same host, Location and Content-Location.
#[test]
fn an_unsafe_request_that_succeeds_invalidates_what_it_changed() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, nth| match req.method.as_str() {
        "GET" => Answer::cacheable(&nth.to_string(), 600),
        "POST" => Answer::new(201)
            .header("location", "/made")
            .header("content-location", &format!("http://{HOST}/list"))
            .header("cache-control", "no-store"),
        _ => Answer::new(204),
    });
    for path in ["/thing", "/made", "/list", "/else"] {
        assert_eq!(edge.get(HOST, path).status, 200);
        assert!(edge.get(HOST, path).is_hit("edge-1"), "{path}");
    }
    assert_eq!(send(&edge, "POST", "/thing"), 201);
    for path in ["/thing", "/made", "/list"] {
        assert!(!edge.get(HOST, path).is_hit("edge-1"), "{path} is still there");
        assert!(edge.get(HOST, path).is_hit("edge-1"), "{path} is stored again");
    }
    assert!(edge.get(HOST, "/else").is_hit("edge-1"), "other objects stay");
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        assert!(edge.get(HOST, "/thing").is_hit("edge-1"));
        assert_eq!(send(&edge, method, "/thing"), 204);
        assert!(!edge.get(HOST, "/thing").is_hit("edge-1"), "{method}");
    }
    assert!(site_count(&edge, "invalidated") >= 7, "{}", site_count(&edge, "invalidated"));
}

/// Nobody empties a cache with requests that fail or that change nothing.
#[test]
fn failed_and_safe_requests_invalidate_nothing() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| match req.method.as_str() {
        "GET" => Answer::cacheable("kept", 600),
        "POST" => Answer::new(403),
        "PUT" => Answer::new(500),
        _ => Answer::new(200).header("cache-control", "no-store").body("ok"),
    });
    assert_eq!(edge.get(HOST, "/thing").text(), "kept");
    for (method, status) in [("POST", 403), ("PUT", 500), ("OPTIONS", 200), ("PROPFIND", 200)] {
        assert_eq!(send(&edge, method, "/thing"), status);
        if method != "PROPFIND" {
            assert!(edge.get(HOST, "/thing").is_hit("edge-1"), "{method}");
        }
    }
}

/// A Location on another host is not ours to forget.
#[test]
fn an_answer_cannot_invalidate_another_host() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| match req.method.as_str() {
        "GET" => Answer::cacheable("kept", 600),
        _ => Answer::new(201).header("location", "http://other.test/thing"),
    });
    assert_eq!(edge.get("other.test", "/thing").text(), "kept");
    assert_eq!(send(&edge, "POST", "/mine"), 201);
    assert!(edge.get("other.test", "/thing").is_hit("edge-1"));
}

/// Threat 37's cousin: a fill that began before the change must not be stored after it.
#[test]
fn a_fill_that_began_before_an_invalidation_is_not_served_after_it() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let slow = Answer::cacheable("before", 600).body_gate(&gate);
    origin.on_fn("/race", move |req, nth| match (req.method.as_str(), nth) {
        ("GET", 0) => slow.clone(),
        ("GET", _) => Answer::cacheable("after", 600),
        _ => Answer::new(204),
    });
    let mut early = Client::http(edge.http());
    early.send(format!("GET /race HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(1));
    assert_eq!(send(&edge, "DELETE", "/race"), 204);
    gate.open();
    assert_eq!(early.read("GET").expect("an answer").text(), "before");
    for _ in 0..3 {
        assert_eq!(edge.get(HOST, "/race").text(), "after");
    }
    becomes(2, "fetches by GET", || {
        origin.requests_for("/race").iter().filter(|seen| seen.method == "GET").count() as u64
    });
}
