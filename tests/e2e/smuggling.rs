//! One request hidden in another (threats 4, 14 to 17, 20). The oracle is always the same: the
//! origin sees at most one request with one framing, and nobody executes the hidden one.

use crate::support::{END, HOST, edge, refused, shown, talk};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Gate, Node, Origin};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: www.shop.test\r\n\r\n";

/// Spellings of `Transfer-Encoding: chunked` that some parser somewhere takes for it.
fn transfer_encoding_mutations() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for byte in 0..=255_u8 {
        all.push([b"Transfer-Encoding".as_slice(), &[byte], b": chunked"].concat());
        all.push([b"Transfer-Encoding:".as_slice(), &[byte], b"chunked"].concat());
        all.push([b"Transfer-Encoding: chunked".as_slice(), &[byte]].concat());
        all.push([b"Transfer-Encoding: chun".as_slice(), &[byte], b"ked"].concat());
        all.push([b"Transfer".as_slice(), &[byte], b"Encoding: chunked"].concat());
        all.push([&[byte][..], b"Transfer-Encoding: chunked"].concat());
    }
    let values = [
        "identity",
        "cow",
        "chunked, cow",
        "cow, chunked",
        "chunked;q=1",
        "chunked; foo",
        "\"chunked\"",
        "'chunked'",
        "chunked chunked",
        "chunke",
        "xchunked",
        "chunked\r\n x",
        "\r\n chunked",
        "\r\n\tchunked",
        "gzip\r\n ,chunked",
        "CHUNKED",
        "Chunked",
        "  chunked  ",
        "\tchunked\t",
        "chun\u{212a}ed",
        "ch\u{fc}nked",
        "chunked,,",
        ", ,chunked",
        "deflate, chunked",
        "{chunked}",
        "chunked\r\nTransfer-Encoding: cow",
        "cow\r\nTransfer-Encoding: chunked",
        "x\r\ntransfer-encoding: chunked",
        "chunked\r\nContent-Length : 6",
        "chunked\n",
        "\nchunked",
    ];
    let names =
        ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING", "X-Transfer-Encoding"];
    for name in names {
        all.extend(values.iter().map(|value| format!("{name}: {value}").into_bytes()));
    }
    let lines = [
        "Transfer-Encoding:chunked",
        "Transfer-Encoding :chunked",
        "Transfer-Encoding\r\n: chunked",
        "Foo: bar\r\n\rTransfer-Encoding: chunked",
        "Foo: bar\nTransfer-Encoding: chunked",
        "Foo: bar\rTransfer-Encoding: chunked",
        "Foo: bar\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding chunked",
        "Content-Encoding: chunked",
        "TE: chunked",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
        "Connection: Content-Length",
        "\"Transfer-Encoding\": chunked",
    ];
    all.extend(lines.iter().map(|line| line.as_bytes().to_vec()));
    all
}

/// Threat 4, with a length that covers what a chunked reader would take for the next request. It
/// is refused, or goes on as a body of exactly that length; never as two views.
#[test]
fn no_spelling_of_transfer_encoding_makes_two_requests_of_one() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let mutations = transfer_encoding_mutations();
    assert!(mutations.len() > 1600, "{}", mutations.len());
    let body = format!("0\r\n\r\n{HIDDEN}");
    let mut passed = 0;
    for mutation in &mutations {
        let head =
            format!("POST /te HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n", body.len());
        let payload = [head.as_bytes(), mutation, b"\r\n\r\n", body.as_bytes()].concat();
        let before = origin.fetches("/te");
        let responses = talk(&edge, &payload);
        let got: Vec<u16> = responses.iter().map(|resp| resp.status).collect();
        match got[..] {
            [400 | 431 | 501] => {
                assert_eq!(origin.fetches("/te"), before, "{}", shown(&payload));
            }
            [200, 200] => {
                passed += 1;
                let seen = origin.last("/te");
                assert_eq!(seen.body, body.as_bytes(), "{}", shown(mutation));
                let odd = seen.headers.iter().find(|(name, _)| looks_like_it(name));
                assert_eq!(odd, None, "{}", shown(mutation));
            }
            _ => panic!("{got:?} to {}", shown(&payload)),
        }
        assert_eq!(origin.fetches("/hidden"), 0, "{}", shown(&payload));
    }
    assert!(passed > 0, "names that merely resemble it are no reason to refuse");
}

/// Whether a careless gateway takes a field name for Transfer-Encoding.
fn looks_like_it(name: &str) -> bool {
    name.replace('_', "-") == "transfer-encoding"
}

/// Threat 4 without a length: refused, or the chunks are read as what they are.
#[test]
fn a_chunked_body_arrives_canonical_or_not_at_all() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let mut whole = 0;
    for mutation in transfer_encoding_mutations() {
        let head = format!("POST /te HTTP/1.1\r\nHost: {HOST}\r\n");
        let payload = [head.as_bytes(), &mutation, b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"].concat();
        let before = origin.fetches("/te");
        let responses = talk(&edge, &payload);
        let got: Vec<u16> = responses.iter().map(|resp| resp.status).collect();
        let seen = (origin.fetches("/te") > before).then(|| origin.last("/te").body);
        match (&got[..], seen.as_deref()) {
            ([200, 200], Some(b"hello")) => whole += 1,
            ([400 | 411 | 431 | 501], None) => {}
            // The name was none we know: no body, and what follows is no request.
            ([200, 400], Some(b"")) => {}
            other => panic!("{other:?} to {}", shown(&payload)),
        }
    }
    assert!(whole >= 5, "the plain spellings work: {whole}");
}

/// Threat 14, CVE-2025-4366: the body of a request that is answered from the store is still a body.
#[test]
fn a_body_behind_a_hit_is_not_the_next_request() {
    for chunked in [false, true] {
        let (origin, edge) = edge();
        origin.on("*", Answer::uncacheable("reached"));
        origin.on("/hot", Answer::cacheable("hot", 60));
        assert_eq!(edge.get(HOST, "/hot").text(), "hot");
        for method in ["GET", "HEAD"] {
            let framing = match chunked {
                true => format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n",
                    HIDDEN.len()
                ),
                false => format!("Content-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
            };
            let mut client = Client::http(edge.http());
            client.send(format!("{method} /hot HTTP/1.1\r\nHost: {HOST}\r\n{framing}{END}"));
            let first = client.read(method).expect("an answer to the request");
            assert!(matches!(first.status, 200 | 400), "{}", first.status);
            match client.read("GET") {
                Ok(second) => assert_eq!(second.text(), "reached", "this is the END request"),
                Err(_) => assert!(client.is_closed()),
            }
            assert_eq!(origin.fetches("/hidden"), 0);
        }
    }
}

/// The same on the paths that answer without reading the body: an unknown host, an error page.
#[test]
fn a_body_behind_an_error_page_is_not_the_next_request() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let site = selvedge_tests::Site::new("any", &[HOST], &[&origin.url()]);
    let edge = Node::edge(&selvedge_tests::NodeConfig::new("edge-1").site(site));
    for (line, host) in
        [("POST /x", "unknown.test"), ("TRACE /x", HOST), ("DELETE /x", "unknown.test")]
    {
        let length = HIDDEN.len();
        let payload =
            format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{HIDDEN}");
        let responses = talk(&edge, payload.as_bytes());
        assert!(matches!(responses[0].status, 421 | 405 | 501), "{}", responses[0].status);
        assert!(responses.len() <= 2);
        assert_eq!(origin.fetches("/hidden"), 0, "{line}");
    }
}

/// Threat 15, CVE-2026-2833: nothing is a tunnel before a 101 says so.
#[test]
fn bytes_behind_an_upgrade_that_is_not_granted_are_never_passed_on_blindly() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    origin.on("/hot", Answer::cacheable("hot", 60));
    assert_eq!(edge.get(HOST, "/hot").text(), "hot");
    for path in ["/chat", "/hot"] {
        for protocol in ["websocket", "foo", "h2c", "TLS/1.0"] {
            let payload = format!(
                "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\n\
                 Upgrade: {protocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Version: 13\r\n\r\n"
            );
            let mut client = Client::http(edge.http());
            client.send(payload + "\x01\x02 not http\r\n\r\n" + HIDDEN);
            let first = client.read("GET").expect("an answer");
            assert_eq!(first.status, 200, "{path} {protocol}");
            match client.read("GET") {
                Ok(resp) => assert_eq!(resp.status, 400, "the bytes are no request"),
                Err(_) => assert!(client.is_closed()),
            }
            assert_eq!(origin.fetches("/hidden"), 0, "{path} {protocol}");
        }
    }
    let seen = String::from_utf8_lossy(&origin.bytes()).into_owned();
    assert!(!seen.contains("not http"), "{seen}");
}

/// Threat 16: with an expectation the body may come or not; nobody loses count.
#[test]
fn expectations_keep_both_sides_in_step() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let head = |expect: &str| {
        format!("POST /e HTTP/1.1\r\nHost: {HOST}\r\nExpect: {expect}\r\nContent-Length: 5\r\n\r\n")
    };
    let mut client = Client::http(edge.http());
    client.send(head("100-continue"));
    client.send("hello");
    let resp = client.read("POST").expect("an answer");
    assert_eq!((resp.status, origin.last("/e").body.as_slice()), (200, &b"hello"[..]));
    client.send(head("100-Continue"));
    let mut waited = Client::http(edge.http());
    client.send("world");
    assert_eq!(client.read("POST").expect("an answer").status, 200);
    for odd in ["100-continued", "200-ok", "100-continue, x", "\"100-continue\"", "y 100-continue"]
    {
        refused(&edge, (head(odd) + "hello").as_bytes(), &[417, 400]);
    }
    waited.send(head("100-continue"));
    let interim = waited.read_some();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", shown(&interim));
    drop(waited);
    assert_eq!(origin.fetches("/e"), 2);
}

/// Threat 16: the origin answers before it has the body and the client never sends it.
#[test]
fn a_connection_to_the_origin_whose_request_was_not_finished_is_not_used_again() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let gate = Gate::shut();
    let early = Answer::uncacheable("early").gate(&gate);
    origin.on("/early", early);
    let mut client = Client::http(edge.http());
    client.send(format!("POST /early HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nabc"));
    assert!(selvedge_tests::eventually(|| origin.connections() == 1), "the origin is asked");
    client.reset();
    gate.open();
    for _ in 0..5 {
        assert_eq!(edge.get(HOST, "/next").text(), "reached");
    }
    assert_eq!(origin.requests_for("/early").len(), 0, "an unfinished request stays unfinished");
    assert_eq!(origin.fetches("/next"), 5);
}

/// Threat 17, CVE-2026-2835: a request body never lasts until the connection closes.
#[test]
fn a_request_without_a_length_has_no_body() {
    for version in ["1.0", "1.1"] {
        let (origin, edge) = edge();
        origin.on("*", Answer::uncacheable("reached"));
        let payload = format!(
            "POST /bare HTTP/{version}\r\nHost: {HOST}\r\nConnection: keep-alive\r\n\r\n\
             key=value&{HIDDEN}"
        );
        let responses = talk(&edge, payload.as_bytes());
        assert!(matches!(responses[0].status, 200 | 400 | 411), "{}", responses[0].status);
        assert!(responses.len() <= 2);
        assert_eq!(origin.fetches("/hidden"), 0);
        if let Some(seen) = origin.requests_for("/bare").first() {
            assert!(seen.body.is_empty());
        }
    }
}

/// Threat 20: trailers of a request carry nothing that frames, routes or proves.
#[test]
fn request_trailers_never_reach_the_origin_as_routing_or_framing() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let names = [
        "Content-Length: 9",
        "Transfer-Encoding: chunked",
        "Host: evil.test",
        "Authorization: Basic eDp5",
        "X-Forwarded-For: 6.6.6.6",
        "Cookie: a=b",
        "CDN-Loop: x",
    ];
    for line in names {
        let payload = format!(
            "POST /tr HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n{line}\r\n\r\n"
        );
        let responses = talk(&edge, payload.as_bytes());
        assert!(matches!(responses[0].status, 200 | 400), "{line}: {}", responses[0].status);
    }
    for seen in origin.requests_for("/tr") {
        assert!(seen.trailers.is_empty(), "{:?}", seen.trailers);
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("host"), Some(HOST));
    }
}

/// The next client on the same connection to the origin gets its own answer, not one left over.
#[test]
fn answers_never_slip_by_one_on_a_shared_origin_connection() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::uncacheable(&req.target));
    let mut clients: Vec<Client> = (0..4).map(|_| Client::http(edge.http())).collect();
    for round in 0..25 {
        for (number, client) in clients.iter_mut().enumerate() {
            let target = format!("/r{round}?c={number}");
            client.send(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let resp = client.read("GET").expect("an answer");
            assert_eq!(resp.text(), format!("/r{round}?c={number}"));
        }
    }
    assert!(origin.connections() <= 8, "connections are reused: {}", origin.connections());
}

/// Bytes an origin sends beyond its answer are nobody's answer (threat 21), whether they come with
/// it or right behind it. They are there before the next request is made: the gate tells.
#[test]
fn what_an_origin_sends_unasked_is_not_the_next_answer() {
    let stray = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let right = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\nright";
    for together in [true, false] {
        let (origin, edge) = edge();
        origin.on("*", Answer::uncacheable("reached"));
        for round in 0..50 {
            let gate = Gate::shut();
            let mut steps = match together {
                true => vec![Step::Send(format!("{right}{stray}").into_bytes())],
                false => vec![Step::Send(right.into()), Step::Send(stray.into())],
            };
            steps.extend([Step::Wait(gate.clone()), Step::Close]);
            origin.on("/stray", Answer::steps(steps));
            assert_eq!(edge.get(HOST, "/stray").text(), "right");
            assert!(gate.reached_by(1), "everything is sent");
            let next = edge.get(HOST, "/next");
            assert_eq!(next.text(), "reached", "round {round}, together: {together}");
            gate.open();
        }
        assert_eq!(origin.fetches("/next"), 50);
    }
}
