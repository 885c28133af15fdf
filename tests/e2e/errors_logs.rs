//! What a client sees when something is wrong, and what the operator finds in the log (threat 62).

use crate::support::{HOST, edge, edge_config};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site};

/// HTML, JSON or text by Accept; the node's name and the request's id in each.
#[test]
fn error_pages_come_in_the_form_that_was_asked_for() {
    let (origin, edge) = edge();
    origin.on("*", Answer::steps(vec![Step::Reset]));
    for (accept, kind) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("text/plain", "text/plain"),
        ("application/json;q=0.5, text/html", "text/html"),
        ("image/png", "text/plain"),
        ("*/*", "text/plain"),
    ] {
        let resp = edge.get_with(HOST, "/e", &format!("Accept: {accept}\r\n"));
        assert_eq!(resp.status, 502);
        let given = resp.header("content-type").unwrap_or("");
        assert!(given.starts_with(kind), "{accept}: {given}");
        let id = resp.header("x-request-id").expect("an id");
        let text = resp.text();
        assert!(text.contains(id) && text.contains("edge-1"), "{text}");
        assert!(text.len() < 1024, "short: {text}");
        if kind == "application/json" {
            let page: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(page["status"], 502);
            assert_eq!(page["request_id"], id);
        }
        assert!(resp.joined("cache-control").contains("no-store"), "{:?}", resp.headers);
    }
}

/// One line a request, with what an operator asks about it.
#[test]
fn each_request_is_one_line_of_json_with_its_id() {
    let (origin, edge) = edge();
    origin.on("/page", Answer::cacheable("0123456789", 600));
    let fields = "User-Agent: test/1\r\nReferer: http://ref.test/\r\nX-Request-Id: mine\r\n";
    let miss = edge.get_with(HOST, "/page?token=secret", fields);
    let hit = edge.get_with(HOST, "/page?token=secret", fields);
    let mut ids = Vec::new();
    for (resp, cache) in [(&miss, "miss"), (&hit, "hit")] {
        let id = resp.header("x-request-id").expect("an id");
        let line = edge.log_line(id);
        assert_eq!(line["id"], id);
        assert_eq!(line["node"], "edge-1");
        assert_eq!(line["site"], "any");
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["host"], HOST);
        assert_eq!(line["path"], "/page", "without the query");
        assert_eq!(line["status"], 200);
        assert_eq!(line["sent_bytes"], 10);
        assert_eq!(line["cache"], cache);
        assert_eq!(line["user_agent"], "test/1");
        assert_eq!(line["completed"], true);
        ids.push(id.to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    let line = edge.log_line(&ids[0]);
    assert!(line["upstream"].is_string() && line["first_byte_us"].is_u64(), "{line}");
    let all = edge.stdout().all().join("\n");
    assert!(!all.contains("secret"), "{all}");
}

/// Threat 62: nothing a client sends makes a second line or an escape sequence.
#[test]
fn what_clients_send_cannot_forge_a_line() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("x"));
    let evil = "a\"}\\ \t{\"status\":1} \u{e9}\u{9b}31m";
    let long = "u".repeat(10_000);
    let mut ids = Vec::new();
    for agent in [evil, long.as_str()] {
        let resp = edge.get_with(HOST, "/p%0a%1b", &format!("User-Agent: {agent}\r\n"));
        ids.push(resp.header("x-request-id").expect("an id").to_owned());
    }
    for id in ids {
        let line = edge.log_line(&id);
        assert_eq!(line["status"], 200);
        assert!(line["user_agent"].as_str().is_some_and(|agent| agent.len() < 5000));
    }
    for line in edge.stdout().all() {
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&line);
        assert!(parsed.is_ok(), "{line}");
    }
}

/// Refused requests are in the log with the word that says why.
#[test]
fn refusals_are_logged_and_counted_with_their_reason() {
    let (_origin, edge) = edge();
    let mut client = Client::http(edge.http());
    client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX : a\r\n\r\n"));
    let resp = client.read("GET").expect("an answer");
    assert_eq!(resp.status, 400);
    let line = edge.log_line(resp.header("x-request-id").expect("an id"));
    assert_eq!((&line["status"], &line["cache"]), (&400.into(), &"local".into()));
    assert_eq!(line["reason"], "field-name");
    let refused = edge.metrics().sum("selvedge_refusals_total", &["reason=\"field-name\""]);
    assert_eq!(refused as u64, 1);
}

/// The format other people's log tools read.
#[test]
fn the_combined_format_is_written_when_asked_for() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("0123456789"));
    let edge = Node::edge(&edge_config(&origin).set("log", "format", "combined"));
    let fields = "User-Agent: te\"st\r\nReferer: http://ref.test/\r\n";
    assert_eq!(edge.get_with(HOST, "/page?q=1", fields).status, 200);
    let line = edge.stdout().wait(0, |line| line.contains("GET /page")).expect("a line");
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains("\"GET /page HTTP/1.1\" 200 10 \"http://ref.test/\" \"te"), "{line}");
    assert!(line.matches(" \"").count() == 3, "quotes of clients are escaped: {line}");
}

/// Threat 63: an origin's absurd head is no answer, and costs no memory.
#[test]
fn an_absurd_head_of_an_origin_is_an_error_or_capped() {
    let (origin, edge) = edge();
    let mut cookies = Answer::cacheable("x", 600);
    for number in 0..10_000 {
        cookies = cookies.header("set-cookie", &format!("c{number}=x"));
    }
    origin.on("/cookies", cookies);
    origin.on("/long", Answer::cacheable("x", 600).header("x-long", &"x".repeat(1 << 20)));
    let before = edge.rss_bytes();
    for path in ["/cookies", "/long"] {
        for _ in 0..3 {
            assert_eq!(edge.get(HOST, path).status, 502, "{path}");
        }
    }
    assert!(edge.rss_bytes() < before + (32 << 20));
}

/// An id from a node we trust is kept, so that one id follows a request through the tiers.
#[test]
fn a_parents_log_can_be_joined_with_the_edges() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("x"));
    let parent = Node::parent(&NodeConfig::new("parent-1").site(Site::any(&origin.url())));
    let config = NodeConfig::new("edge-1").set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&config.site(Site::any(&origin.url())));
    let resp = edge.get(HOST, "/x");
    let id = resp.header("x-request-id").expect("an id").to_owned();
    assert!(!id.contains(','), "one id: {id}");
    assert_eq!(edge.log_line(&id)["status"], 200);
    let line = parent.stdout().wait(0, |line| line.contains("\"path\":\"/x\"")).expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["client"], "127.0.0.1");
}
