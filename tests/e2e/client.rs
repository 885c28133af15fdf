//! The client of the control API: what it asks, what it shows, and the exit codes scripts rely on.

use crate::client_support::{Fake, answer, problem, stderr, stdout};
use crate::support::HOST;
use selvedge_tests::answer::Step;
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Node, NodeConfig, Origin, Site};
use serde_json::{Value, json};
use std::fs;

fn status() -> Value {
    json!({
        "name": "control-1", "revision": 12, "log": "abc", "sites": 2, "objects": 3, "bytes": 2048,
        "nodes": { "live": 2, "ready": 2, "current": 1, "total": 3 },
    })
}

#[test]
fn every_trouble_has_its_exit_code() {
    let fake = Fake::start();
    for (code, status) in
        [(77, 401), (77, 403), (66, 404), (64, 422), (75, 429), (75, 503), (69, 507), (70, 500)]
    {
        let details = json!({ "title": "No", "detail": "because", "faults": ["hosts: missing"] });
        fake.control.on("/v1/status", problem(status, &details));
        let output = fake.run(&["status"]);
        assert_eq!(output.status.code(), Some(code), "{status}: {}", stderr(&output));
        assert_eq!(stderr(&output), "selvedge: No: because\n  hosts: missing\n");
        assert!(output.stdout.is_empty());
    }
    let nowhere = fake.command(&["status"]).output().expect("it runs");
    assert_eq!(nowhere.status.code(), Some(64));
    assert!(stderr(&nowhere).contains("--control URL"), "{}", stderr(&nowhere));
    let dead = Origin::start();
    let url = dead.url();
    dead.die();
    let output = fake.command(&["status", "--control", &url]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    let usage = fake.run(&["purge", "--tag", "x"]);
    assert_eq!(usage.status.code(), Some(64));
}

#[test]
fn json_is_what_control_sent_and_a_table_is_for_people() {
    let fake = Fake::start();
    let body = " {\"revision\":12,  \"zz\": 1}";
    fake.control.on("/v1/status", Answer::new(200).body(body));
    assert_eq!(stdout(&fake.run(&["status", "--json"])), format!("{body}\n"));
    fake.control.on("/v1/status", answer(&status()));
    let shown = stdout(&fake.run(&["status"]));
    assert!(shown.contains("nodes     2 live of 3, 2 ready, 1 behind"), "{shown}");
    assert!(shown.contains("pushed    3 objects, 2.0 KiB"), "{shown}");
}

#[test]
fn a_list_is_followed_to_its_end() {
    let fake = Fake::start();
    fake.control.on_fn("/v1/nodes", |req, _| match req.target.contains("after=n1") {
        false => answer(&json!({ "items": [{ "name": "edge-1" }], "next": "n1" })),
        true => answer(&json!({ "items": [{ "name": "edge-2" }], "next": null })),
    });
    let shown = stdout(&fake.run(&["node", "list"]));
    assert!(shown.lines().nth(2).is_some_and(|line| line.starts_with("edge-2")), "{shown}");
    let all: Value =
        serde_json::from_str(&stdout(&fake.run(&["node", "list", "--json"]))).expect("it is JSON");
    assert_eq!(all["items"], json!([{ "name": "edge-1" }, { "name": "edge-2" }]));
}

#[test]
fn a_change_that_broke_is_repeated_under_one_key() {
    let fake = Fake::start();
    let done = answer(&json!({ "revision": 5 }));
    let put_off = problem(429, &json!({ "title": "Later" })).header("retry-after", "0");
    let broken = Answer::steps(vec![Step::Reset]);
    fake.control.on_each("/v1/nodes/edge-1/intent", vec![broken, put_off, done]);
    let output = fake.run(&["node", "drain", "edge-1"]);
    assert_eq!(stdout(&output), "edge-1 shall be draining (revision 5)\n", "{}", stderr(&output));
    let tries = fake.control.requests_for("/v1/nodes/edge-1/intent");
    assert_eq!(tries.len(), 3);
    let keys: Vec<_> = tries.iter().map(|req| req.header("idempotency-key")).collect();
    assert!(keys[0].is_some_and(|key| key.len() == 32) && keys.iter().all(|key| *key == keys[0]));
    assert_eq!(tries[0].body, br#"{"intent":"draining"}"#);
}

#[test]
fn a_purge_can_wait_for_every_node() {
    let fake = Fake::start();
    let acks = |missing: &[&str]| {
        let acks = json!({ "applied": ["edge-1"], "missing": missing, "live": 2 });
        answer(&json!({ "revision": 7, "targets": 1, "soft": false, "acks": acks }))
    };
    fake.control.on_each("/v1/purge", vec![acks(&["edge-2"]), acks(&[])]);
    let purge = ["purge", "--site", "docs", "--tag", "a", "--tag", "b", "--wait=2s"];
    let some = fake.run(&purge);
    assert_eq!(some.status.code(), Some(1), "{}", stderr(&some));
    assert!(stdout(&some).contains("not yet: edge-2"), "{}", stdout(&some));
    let req = fake.control.last("/v1/purge");
    assert_eq!(req.target, "/v1/purge?wait=acks&timeout=2000ms");
    let body: Value = serde_json::from_slice(&req.body).expect("it is JSON");
    assert_eq!(body, json!({ "tags": ["a", "b"], "site": "docs" }));
    assert!(fake.run(&purge).status.success());
}

#[test]
fn a_site_is_put_from_a_file_and_from_standard_input() {
    let fake = Fake::start();
    fake.control
        .on("/v1/sites/shop", answer(&json!({ "name": "shop", "version": 4, "revision": 8 })));
    let file = fake.home.path().join("shop.toml");
    fs::write(&file, "hosts = [\"www.shop.test\"] # mine\n").expect("a file");
    let file = file.display().to_string();
    let put = fake.run(&["site", "put", &file, "--if-match", "v3"]);
    assert_eq!(stdout(&put), "shop is in force, version 4 (revision 8)\n", "{}", stderr(&put));
    let req = fake.control.last("/v1/sites/shop");
    assert_eq!(req.header("content-type"), Some("application/toml"));
    assert_eq!(req.header("if-match"), Some("\"v3\""));
    assert_eq!(req.body, b"hosts = [\"www.shop.test\"] # mine\n");
    let patch = fake.run(&["site", "patch", "shop", "ttl_default=60s", "heuristic="]);
    assert!(patch.status.success(), "{}", stderr(&patch));
    let req = fake.control.last("/v1/sites/shop");
    assert_eq!(req.header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(req.body, br#"{"heuristic":null,"ttl_default":"60s"}"#);
}

#[test]
fn a_prefetch_is_followed_to_its_end() {
    let fake = Fake::start();
    let job = |state: &str, done: u32, failed: u32| {
        answer(&json!({ "id": "p1", "state": state, "total": 3, "done": done, "failed": failed }))
    };
    fake.control.on("/v1/prefetch", answer(&json!({ "id": "p1" })));
    fake.control.on_each("/v1/prefetch/p1", vec![job("running", 1, 0), job("done", 2, 1)]);
    let result = json!({ "url": "http://a/x", "node": "edge-1", "status": 503, "error": "down" });
    fake.control.on("/v1/prefetch/p1/results", answer(&json!({ "items": [result], "next": null })));
    let output = fake.run(&["prefetch", "http://a/x", "--rate", "5", "--wait"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("http://a/x") && stdout(&output).contains("down"));
    assert!(stderr(&output).contains("fetching: 3 of 3"), "{}", stderr(&output));
}

#[test]
fn a_secret_is_alone_on_standard_output() {
    let fake = Fake::start();
    let token = json!({ "id": "t1", "token": "sv_1234", "expires_ms": 1_800_000_000_000_i64 });
    fake.control.on("/v1/tokens", answer(&token));
    fake.control.on("/v1/join-tokens", answer(&token));
    let args = ["token", "create", "--name", "ci", "--scope", "push,purge", "--site", "docs"];
    assert_eq!(stdout(&fake.run(&args)), "sv_1234\n");
    let body: Value =
        serde_json::from_slice(&fake.control.last("/v1/tokens").body).expect("it is JSON");
    assert_eq!(body, json!({ "name": "ci", "scopes": ["push", "purge"], "sites": ["docs"] }));
    assert_eq!(stdout(&fake.run(&["node", "join-token"])), "sv_1234\n");
}

#[test]
fn a_context_says_where_control_is_and_whom_to_trust() {
    let fake = Fake::start();
    let authority = Authority::new();
    let control = Origin::start_tls(&authority.issue(&["127.0.0.1"]));
    control.on("/v1/status", answer(&status()));
    let (ca, token) = (fake.home.path().join("ca.pem"), fake.home.path().join("token"));
    fs::write(&ca, authority.pem()).expect("a file");
    fs::write(&token, "of-file\n").expect("a file");
    let (ca, token) = (ca.display().to_string(), token.display().to_string());
    let run = |arguments: &[&str]| fake.command(arguments).output().expect("it runs");
    let url = control.url();
    let set = ["context", "set", "prod", "--control", &url, "--token-file", &token];
    assert!(run(&set).status.success());
    let untrusted = run(&["status"]);
    assert_eq!(untrusted.status.code(), Some(69), "{}", stderr(&untrusted));
    assert!(run(&["context", "set", "prod", "--ca-file", &ca]).status.success());
    let trusted = run(&["status"]);
    assert!(trusted.status.success(), "{}", stderr(&trusted));
    assert_eq!(control.last("/v1/status").header("authorization"), Some("Bearer of-file"));
    assert!(stdout(&run(&["context", "list"])).contains("*  prod"));
    assert_eq!(run(&["context", "use", "else"]).status.code(), Some(66));
}

/// A control that knows one edge, at these URLs, and the site `any`.
fn knows(fake: &Fake, urls: &[String]) {
    let node = json!({
        "name": "edge-1", "tier": "edge", "region": "eu", "urls": urls, "live": true,
    });
    let site = json!({ "name": "any", "version": 3, "document": { "hosts": ["*"] } });
    fake.control.on("/v1/nodes", answer(&json!({ "items": [node], "next": null })));
    let sites = json!({ "items": [{ "name": "any", "hosts": ["*"] }], "next": null });
    fake.control.on("/v1/sites", answer(&sites));
    fake.control.on("/v1/sites/any", answer(&site));
}

#[test]
fn explain_asks_the_nodes_and_says_what_each_cache_did() {
    let (fake, origin) = (Fake::start(), Origin::start());
    origin.on("/a", Answer::cacheable("hello", 60));
    let edge = Node::edge(&NodeConfig::new("edge-1").site(Site::any(&origin.url())));
    knows(&fake, &[edge.url()]);
    assert_eq!(edge.get(HOST, "/a").status, 200);
    let url = format!("http://{HOST}/a");
    let output = fake.run(&["explain", &url]);
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = stdout(&output);
    for part in [
        "site any, version 3",
        "answered from what it has stored",
        "fresh for another",
        "the answer states its lifetime: cache-control: max-age=60",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let json = explained(&fake, &[&url]);
    assert_eq!(json["nodes"][0]["caches"][0]["cache"], "edge-1");
    assert_eq!(json["nodes"][0]["caches"][0]["hit"], true);
    assert_eq!(origin.fetches("/a"), 1);
    let unknown = fake.run(&["explain", &url, "--node", "edge-9"]);
    assert_eq!(unknown.status.code(), Some(66));
}

fn explained(fake: &Fake, arguments: &[&str]) -> Value {
    let output = fake.run(&[&["explain", "--json"], arguments].concat());
    serde_json::from_str(&stdout(&output)).expect("it is JSON")
}

/// Over TLS a node shows the certificate of the site, not of its own address.
#[test]
fn explain_asks_by_the_scheme_of_the_url() {
    let (fake, origin, authority) = (Fake::start(), Origin::start(), Authority::new());
    origin.on("/a", Answer::cacheable("hello", 60));
    let config = NodeConfig::new("edge-1").certificate(&authority.issue(&[HOST]));
    let edge = Node::edge(&config.site(Site::any(&origin.url())));
    let ca = fake.home.path().join("ca.pem");
    fs::write(&ca, authority.pem()).expect("a file");
    let (ca, url) = (ca.display().to_string(), format!("https://{HOST}/a"));
    knows(&fake, &[edge.url(), format!("https://{}", edge.https())]);
    let json = explained(&fake, &[&url, "--ca-file", &ca]);
    let node = &json["nodes"][0];
    assert_eq!((&node["status"], &node["note"]), (&json!(200), &Value::Null), "{node}");
    assert!(node["url"].as_str().is_some_and(|url| url.starts_with("https://")), "{node}");
    knows(&fake, &[edge.url()]);
    let json = explained(&fake, &[&url]);
    let note = json["nodes"][0]["note"].as_str().unwrap_or_default();
    assert!(note.contains("it has no https:// address"), "{json}");
}

#[test]
fn every_verb_is_completed_and_has_an_example() {
    let fake = Fake::start();
    let script = stdout(&fake.run(&["completions", "bash"]));
    for verb in [
        "site",
        "push",
        "purge",
        "prefetch",
        "node",
        "token",
        "certificate",
        "status",
        "audit",
        "explain",
        "context",
    ] {
        assert!(script.contains(&format!("selvedge,{verb})")), "{verb}");
        let help = stdout(&fake.run(&[verb, "--help"]));
        assert!(help.contains("Example"), "{verb}: {help}");
    }
}

#[test]
fn the_audit_log_is_read_from_its_end() {
    let fake = Fake::start();
    let line = |revision: u64| json!({ "revision": revision, "by": "t1 (ci)", "what": "a purge" });
    fake.control.on_fn("/v1/audit", move |req, _| match req.target.contains("after=8") {
        false => answer(&json!({ "items": [line(9), line(8)], "next": "8" })),
        true => answer(&json!({ "items": [line(7)], "next": null })),
    });
    let output = fake.run(&["audit", "--limit", "3", "--before", "10"]);
    let shown = stdout(&output);
    assert_eq!(shown.lines().count(), 4, "{shown}{}", stderr(&output));
    let first = fake.control.requests_for("/v1/audit").remove(0);
    assert_eq!(first.target, "/v1/audit?after=10&limit=3");
}
