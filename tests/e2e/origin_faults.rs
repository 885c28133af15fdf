//! What origins send that they should not (threats 21 to 23): the client sees the failure or a
//! clean answer, and nothing broken is ever stored.

use crate::support::{HOST, becomes, edge, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Node, Origin, ReadError, eventually};

/// Asks once; gives the body of a whole 200, or `None` when the client saw a failure: an error
/// status, or an answer that visibly did not end.
fn attempt(edge: &Node, path: &str) -> Option<Vec<u8>> {
    let mut client = Client::http(edge.http());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    match client.read("GET") {
        Ok(resp) if resp.status == 200 => Some(resp.body),
        Ok(resp) => {
            assert!(matches!(resp.status, 502..=504), "{path}: {}", resp.status);
            None
        }
        Err(ReadError::Truncated(_) | ReadError::Closed) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// After a failure the next answer is the whole one, and only that is stored.
#[track_caller]
fn recovers(origin: &Origin, edge: &Node, path: &str) {
    origin.on(path, Answer::cacheable("whole", 600));
    assert!(
        eventually(|| attempt(edge, path).as_deref() == Some(b"whole")),
        "{path}: the broken answer stays"
    );
    let hit = edge.get(HOST, path);
    assert!(hit.is_hit("edge-1") && hit.text() == "whole", "{path}: {:?}", hit.headers);
}

/// Threat 22: whatever way a body ends early, the client can tell and the cache forgets it.
#[test]
fn truncated_bodies_are_visible_to_the_client_and_never_stored() {
    let (origin, edge) = edge();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n";
    let length = format!("{head}Content-Length: 1000\r\n\r\n0123456789");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let send = |text: String| Step::Send(text.into_bytes());
    let rows: Vec<(&str, Vec<Step>)> = vec![
        ("short", vec![send(length.clone()), Step::Close]),
        ("reset", vec![send(length.clone()), Step::Reset]),
        ("no-body", vec![send(format!("{head}Content-Length: 10\r\n\r\n")), Step::Close]),
        ("no-last-chunk", vec![send(format!("{chunked}5\r\nhello\r\n")), Step::Close]),
        ("in-chunk", vec![send(format!("{chunked}5\r\nhel")), Step::Close]),
        ("in-size", vec![send(format!("{chunked}5\r\nhello\r\n1")), Step::Close]),
        ("half-last-chunk", vec![send(format!("{chunked}5\r\nhello\r\n0\r\n")), Step::Close]),
        ("chunk-reset", vec![send(format!("{chunked}5\r\nhello\r\n")), Step::Reset]),
        ("bad-size", vec![send(format!("{chunked}5\r\nhello\r\nxyz\r\n")), Step::Close]),
        ("huge-size", vec![send(format!("{chunked}FFFFFFFFFFFFFFFFF\r\nhello\r\n")), Step::Close]),
        ("no-crlf", vec![send(format!("{chunked}5\r\nhelloworld0\r\n\r\n")), Step::Close]),
        ("half-head", vec![send(head.to_owned()), Step::Close]),
        ("head-reset", vec![send(head.to_owned()), Step::Reset]),
        ("nothing", vec![Step::Close]),
        ("nothing-reset", vec![Step::Reset]),
    ];
    for (name, steps) in rows {
        let path = format!("/{name}");
        origin.on(&path, Answer::steps(steps));
        assert_eq!(attempt(&edge, &path), None, "{name} looks whole");
        recovers(&origin, &edge, &path);
    }
    becomes(15, "stored fills", || site_count(&edge, "fills_stored"));
}

/// The same with many clients that share the fill, while it runs.
#[test]
fn every_client_of_a_shared_fill_sees_that_it_broke() {
    let (origin, edge) = edge();
    let gate = selvedge_tests::Gate::shut();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 1000\r\n\r\nstart";
    let steps = vec![Step::Send(head.into()), Step::Wait(gate.clone()), Step::Reset];
    origin.on("/shared", Answer::steps(steps));
    let mut clients: Vec<Client> = (0..50).map(|_| Client::http(edge.http())).collect();
    for client in &mut clients {
        client.send(format!("GET /shared HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        assert!(!client.read_some().is_empty(), "the start is streamed to all");
    }
    gate.open();
    for client in &mut clients {
        while !client.read_some().is_empty() {}
    }
    assert_eq!(origin.fetches("/shared"), 1, "one fetch for all, also when it fails");
    recovers(&origin, &edge, "/shared");
}

/// Threat 21: heads that are none. A clean 502, and the connection is not used again.
#[test]
fn malformed_heads_of_an_origin_become_a_clean_502() {
    let (origin, edge) = edge();
    let body = "Content-Length: 4\r\nCache-Control: max-age=600\r\n\r\nbody";
    let many = "X: y\r\n".repeat(20_000);
    let long = "x".repeat(2 << 20);
    let rows: Vec<(&str, String)> = vec![
        ("two-lengths", format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{body}")),
        ("list-length", "HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nbody".to_owned()),
        ("bad-length", "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody".to_owned()),
        ("both", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{body}")),
        ("status-word", format!("HTTP/1.1 abc OK\r\n{body}")),
        ("status-99", format!("HTTP/1.1 99 OK\r\n{body}")),
        ("status-1000", format!("HTTP/1.1 1000 OK\r\n{body}")),
        ("no-version", format!("200 OK\r\n{body}")),
        ("version-2", format!("HTTP/2.0 200 OK\r\n{body}")),
        ("nul", format!("HTTP/1.1 200 OK\r\nX: a\0b\r\n{body}")),
        ("bare-cr", format!("HTTP/1.1 200 OK\r\nX: a\rY: b\r\n{body}")),
        ("name-space", format!("HTTP/1.1 200 OK\r\nX : a\r\n{body}")),
        ("no-colon", format!("HTTP/1.1 200 OK\r\nno colon\r\n{body}")),
        ("reason-control", format!("HTTP/1.1 200 O\x01K\r\n{body}")),
        ("many", format!("HTTP/1.1 200 OK\r\n{many}{body}")),
        ("long", format!("HTTP/1.1 200 OK\r\nX: {long}\r\n{body}")),
        (
            "101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into(),
        ),
    ];
    let mut believed = Vec::new();
    for (name, text) in rows {
        let path = format!("/{name}");
        origin.on(&path, Answer::raw(text));
        if attempt(&edge, &path).is_some() {
            believed.push(name);
        }
        recovers(&origin, &edge, &path);
    }
    assert!(believed.is_empty(), "passed on as if nothing were wrong: {believed:?}");
}

/// Threat 21: bodies where there can be none, and bytes beyond the end.
#[test]
fn bodies_where_none_can_be_do_not_shift_the_next_answer() {
    let (origin, edge) = edge();
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    origin.on("/clean", Answer::uncacheable("clean"));
    let mut client = Client::http(edge.http());
    for (method, status) in
        [("GET", "204 No Content"), ("HEAD", "200 OK"), ("GET", "304 Not Modified")]
    {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{poison}", poison.len());
        origin.on("/odd", Answer::steps(vec![Step::Send(text.into_bytes())]));
        let resp = client.try_request(&format!("{method} /odd HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        let resp = resp.unwrap_or_else(|error| panic!("{method} {status}: {error}"));
        assert!(!resp.text().contains("poison"), "{method} {status}");
        if !resp.reusable {
            client = Client::http(edge.http());
        }
        for _ in 0..3 {
            assert_eq!(edge.get(HOST, "/clean").text(), "clean", "after {method} {status}");
        }
    }
}

/// Threat 21: a thousand interim responses are a flood, a few are not.
#[test]
fn a_storm_of_interim_responses_ends_and_costs_nothing() {
    let (origin, edge) = edge();
    let one = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    origin.on("/some", Answer::cacheable("page", 600).before(&one.repeat(10)));
    assert_eq!(edge.get(HOST, "/some").text(), "page");
    let before = edge.rss_bytes();
    origin.on("/storm", Answer::cacheable("page", 600).before(&one.repeat(100_000)));
    let got = attempt(&edge, "/storm");
    assert!(got.is_none() || got.as_deref() == Some(b"page"));
    assert!(edge.rss_bytes() < before + (32 << 20), "{} -> {}", before, edge.rss_bytes());
    if got.is_none() {
        recovers(&origin, &edge, "/storm");
    }
}

/// Threat 23: a length that does not fit a compressed body.
#[test]
fn a_wrong_length_with_a_coding_is_a_truncation_too() {
    let (origin, edge) = edge();
    let packed = crate::encoding::gzip(&"words ".repeat(1000).into_bytes());
    let more = (packed.len() + 10).to_string();
    let answer = |length: &str| {
        let answer = Answer::new(200).header("content-encoding", "gzip");
        answer.header("cache-control", "max-age=600").body(packed.clone()).content_length(length)
    };
    origin.on("/long", answer(&more));
    assert_eq!(attempt(&edge, "/long"), None, "a short body looks whole");
    recovers(&origin, &edge, "/long");
    let less = (packed.len() - 10).to_string();
    origin.on("/short", answer(&less));
    for _ in 0..3 {
        if let Some(body) = attempt(&edge, "/short") {
            assert_eq!(body.len(), packed.len() - 10, "what the origin said is what there is");
        }
    }
    origin.on("/next", Answer::cacheable("next", 600));
    assert_eq!(edge.get(HOST, "/next").text(), "next", "extra bytes are nobody's answer");
}

/// A body that ends with the connection has no end that could be trusted: it is served, and the
/// end of it is only believed when it is an orderly one.
#[test]
fn a_body_without_framing_is_served_to_its_orderly_end() {
    let (origin, edge) = edge();
    origin.on("/close", Answer::cacheable("to the end", 600).until_close());
    assert_eq!(attempt(&edge, "/close").as_deref(), Some(&b"to the end"[..]));
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\npart";
    origin.on("/torn", Answer::steps(vec![Step::Send(head.into()), Step::Reset]));
    assert_eq!(attempt(&edge, "/torn"), None, "a RST is no end");
    recovers(&origin, &edge, "/torn");
}

/// A request that met a connection the origin was closing is sent once more; one that changes
/// something is not.
#[test]
fn a_safe_request_is_retried_once_on_a_fresh_connection_and_an_unsafe_one_never() {
    let (origin, edge) = edge();
    origin.on("/warm", Answer::uncacheable("warm"));
    origin.on_each("/again", vec![Answer::steps(vec![Step::Reset]), Answer::uncacheable("second")]);
    assert_eq!(edge.get(HOST, "/warm").text(), "warm");
    assert_eq!(edge.get(HOST, "/again").text(), "second");
    assert_eq!(origin.fetches("/again"), 2);
    origin.on("/never", Answer::steps(vec![Step::Reset]));
    assert_eq!(attempt(&edge, "/never"), None);
    assert!((2..=4).contains(&origin.fetches("/never")), "{}", origin.fetches("/never"));
    assert_eq!(edge.get(HOST, "/warm").text(), "warm");
    origin.on_each("/post", vec![Answer::steps(vec![Step::Reset]), Answer::uncacheable("twice!")]);
    let mut client = Client::http(edge.http());
    client.send(format!("POST /post HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\nhi"));
    assert_eq!(client.read("POST").expect("an answer").status, 502);
    assert_eq!(origin.fetches("/post"), 1, "an unsafe request is sent once");
}
