//! Nodes that follow control, with a scripted one: what it says is served, kept and acked, and what
//! was purged never answers once a node is ready.

use crate::support::HOST;
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Client, Control, Node, NodeConfig, Origin, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A node's folder for what control says.
fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn edge_config(control: &Control, state: &TempDir) -> NodeConfig {
    NodeConfig::new("edge-1").following(control, state.path())
}

fn shop(origin: &Origin) -> Value {
    json!({ "hosts": [HOST], "origin": [origin.url()] })
}

/// The body of `/readyz`.
fn readiness(node: &Node) -> (u16, String) {
    let resp = node.admin_get("/readyz");
    (resp.status, resp.text())
}

#[track_caller]
fn becomes_ready(node: &Node) {
    assert!(eventually(|| readiness(node).0 == 200), "{:?}", readiness(node));
}

#[track_caller]
fn becomes_unready(node: &Node, why: &str) {
    let expected = (503, format!("not ready: {why}\n"));
    assert!(eventually(|| readiness(node) == expected), "{:?}", readiness(node));
}

#[test]
fn a_site_appears_changes_and_goes_without_a_restart() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    assert_eq!(edge.get(HOST, "/").status, 421, "nobody knows the host yet");
    let revision = control.put_site("shop", &shop(&origin));
    control.await_ack("edge-1", revision);
    assert_eq!(edge.get(HOST, "/").text(), "here");
    let mut document = shop(&origin);
    document["response_headers"] = json!({ "set": { "x-version": "2" } });
    control.await_ack("edge-1", control.put_site("shop", &document));
    let resp = edge.get(HOST, "/");
    assert_eq!((resp.header("x-version"), origin.fetches("/")), (Some("2"), 1), "still stored");
    control
        .await_ack("edge-1", control.publish(vec![json!({ "is": "site-gone", "name": "shop" })]));
    assert_eq!(edge.get(HOST, "/").status, 421);
    control.await_ack("edge-1", control.put_site("shop", &shop(&origin)));
    edge.get(HOST, "/");
    assert_eq!(origin.fetches("/"), 2, "what a site left behind went with it");
    let joined = &control.joined()[0];
    assert_eq!((&joined["name"], &joined["tier"]), (&json!("edge-1"), &json!("edge")));
    let reports = || control.report("edge-1").is_some_and(|report| report["ready"] == true);
    assert!(eventually(reports), "{:?}", control.report("edge-1"));
}

#[test]
fn a_bad_site_is_refused_and_reported_while_the_rest_goes_on() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.put_site("shop", &shop(&origin));
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    let bad = json!({ "hosts": [HOST], "origin": [origin.url()], "ttl_min": 3 });
    let revision = control.put_site("shop", &bad);
    let taken = json!({ "hosts": ["a.test", HOST], "origin": [origin.url()] });
    control.put_site("thief", &taken);
    let good = json!({ "hosts": ["b.test"], "origin": [origin.url()] });
    let last = control.put_site("good", &good);
    control.await_ack("edge-1", last);
    assert_eq!(edge.get(HOST, "/").status, 200, "its last good form serves");
    assert_eq!(edge.get("b.test", "/").status, 200);
    assert_eq!(edge.get("a.test", "/").status, 421);
    let refused = control.refused("edge-1");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(refused[0]["revision"], revision);
    let reasons: Vec<&str> = refused.iter().filter_map(|it| it["reason"].as_str()).collect();
    assert!(reasons[0].contains("site.ttl_min: 3 has no unit"), "{reasons:?}");
    assert!(reasons[1].contains("belongs to the site shop already"), "{reasons:?}");
    control.await_ack("edge-1", control.put_site("shop", &shop(&origin)));
    assert_eq!(control.refused("edge-1").len(), 1, "one was put right");
}

#[test]
fn a_purge_is_in_force_when_it_is_acked() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600).header("cache-tag", "all"));
    control.put_site("shop", &shop(&origin));
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    let targets = [
        json!({ "url": format!("http://{HOST}/page?q=1") }),
        json!({ "tag": { "site": "shop", "tag": "all" } }),
        json!({ "prefix": format!("{HOST}/pa") }),
        json!({ "host": HOST }),
        json!({ "site": "shop" }),
        json!({ "path": { "site": "shop", "path": "/page" } }),
        json!("everything"),
    ];
    for (at, target) in targets.into_iter().enumerate() {
        let is_stored = || edge.get(HOST, "/page?q=1").is_hit("edge-1");
        assert!(eventually(is_stored), "it is stored");
        assert_eq!(origin.fetches("/page"), at + 1);
        control.await_ack("edge-1", control.purge(&json!([target])));
        edge.get(HOST, "/page?q=1");
        assert_eq!(origin.fetches("/page"), at + 2, "{target}");
    }
}

/// Control is killed and comes back where it was; what happened meanwhile comes with it.
#[test]
fn nodes_go_on_without_control_and_catch_up_when_it_is_back() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.put_site("shop", &shop(&origin));
    let config = edge_config(&control, &state).set("control", "lag_max", "1s");
    let edge = Node::edge(&config);
    becomes_ready(&edge);
    assert!(eventually(|| edge.get(HOST, "/page").is_hit("edge-1")), "it is stored");
    let addr = control.addr().to_string();
    let script = control.die();
    becomes_unready(&edge, "control-lost");
    assert!(edge.get(HOST, "/page").is_hit("edge-1"), "it serves on");
    let revision = script.purge_url(&format!("http://{HOST}/page"));
    let control = Control::start_at(&addr, script);
    becomes_ready(&edge);
    edge.get(HOST, "/page");
    assert_eq!(origin.fetches("/page"), 2, "ready means that the purge is in force");
    control.await_ack("edge-1", revision);
    assert_eq!(control.joined().len(), 1, "it is still the same node");
}

/// A node starts where control cannot be reached: it serves what it last heard, and is not ready.
#[test]
fn a_node_starts_without_control_and_serves_what_it_last_heard() {
    let (control, origin, state, disk) = (Control::start(), Origin::start(), folder(), folder());
    origin.on("*", Answer::cacheable("here", 600).etag("\"1\""));
    control.put_site("shop", &shop(&origin));
    let disk = disk.path().to_string_lossy().into_owned();
    let disks = json!([{ "path": disk, "size": "256MiB" }]);
    let config = edge_config(&control, &state).set("cache", "disk", disks);
    let mut edge = Node::edge(&config);
    becomes_ready(&edge);
    assert!(eventually(|| edge.get(HOST, "/page").is_hit("edge-1")), "it is stored");
    control.await_ack("edge-1", control.purge_url(&format!("http://{HOST}/old")));
    assert!(edge.terminate().success());
    let addr = control.addr().to_string();
    let script = control.die();
    script.purge_url(&format!("http://{HOST}/page"));

    let edge = Node::edge(&config);
    assert_eq!(readiness(&edge).0, 503);
    assert!(edge.get(HOST, "/page").is_hit("edge-1"), "it is not ready, but serves");
    let control = Control::start_at(&addr, script);
    becomes_ready(&edge);
    edge.get(HOST, "/page");
    assert_eq!(origin.fetches("/page"), 2, "what was purged meanwhile answers nobody");
    assert_eq!(control.streams(), 2, "it went on where it was");
    assert_eq!(control.joined().len(), 1);
}

/// A node without anything to serve, and without control, waits for it.
#[test]
fn a_node_that_never_heard_anything_waits_for_control() {
    let (control, state) = (Control::start(), folder());
    let config = edge_config(&control, &state);
    let addr = control.addr().to_string();
    let script = control.die();
    let edge = Node::edge(&config);
    assert_eq!(readiness(&edge), (503, "not ready: catching-up\n".to_owned()));
    assert_eq!(edge.get(HOST, "/").status, 421);
    let control = Control::start_at(&addr, script);
    becomes_ready(&edge);
    let names = ["edge-1"];
    assert!(control.joined().iter().all(|join| names.contains(&join["name"].as_str().unwrap())));
}

/// Another log means that nothing is known of what was purged.
#[test]
fn another_log_replaces_everything() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.put_site("shop", &shop(&origin));
    control.put_site("blog", &json!({ "hosts": ["blog.test"], "origin": [origin.url()] }));
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    assert!(eventually(|| edge.get(HOST, "/page").is_hit("edge-1")), "it is stored");
    let addr = control.addr().to_string();
    let script = control.die();
    let sites = vec![selvedge_tests::control::site("shop", 1, &shop(&origin))];
    script.begin_log("log-2", sites);
    let control = Control::start_at(&addr, script);
    assert!(eventually(|| edge.get("blog.test", "/").status == 421), "it is of the old log");
    control.await_ack("edge-1", 1);
    becomes_ready(&edge);
    edge.get(HOST, "/page");
    assert_eq!(origin.fetches("/page"), 2);
}

#[test]
fn what_was_pushed_comes_from_storage_and_the_rest_from_the_origin() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("of the origin", 600));
    let mut document = shop(&origin);
    document["push"] = json!(true);
    control.put_site("shop", &document);
    control.put_site("files", &json!({ "hosts": ["files.test"], "push": true }));
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    assert_eq!(edge.get(HOST, "/app.js").text(), "of the origin");
    control.await_ack("edge-1", control.push("shop", "/app.js", "pushed"));
    let fields = "Authorization: Basic c2VjcmV0\r\nCookie: a=b\r\nX-Key: 1\r\n";
    let resp = edge.get_with(HOST, "/app.js?v=1", fields);
    assert_eq!(resp.text(), "pushed", "at once, although the origin's was stored");
    assert_eq!(edge.get(HOST, "/other.js").text(), "of the origin");
    assert_eq!(edge.get("files.test", "/none").status, 404);
    control.await_ack("edge-1", control.push("files", "/a", "file"));
    assert_eq!(edge.get("files.test", "/a").text(), "file");
    assert!(eventually(|| edge.get("files.test", "/a").is_hit("edge-1")), "it is stored");

    let fetch = &control.fetches()[0];
    assert_eq!(
        (fetch.target.as_str(), fetch.header("host")),
        ("/app.js", Some("shop.push.selvedge"))
    );
    assert_eq!(fetch.header("authorization"), Some("Bearer token-of-edge-1"));
    for name in ["cookie", "x-key", "x-forwarded-for"] {
        assert_eq!(fetch.header(name), None, "{name}");
    }
    for seen in origin.requests() {
        let told = seen.header("authorization").unwrap_or_default();
        assert!(!told.contains("token-of-"), "{told}");
    }
    control.await_ack("edge-1", control.push("shop", "/app.js", "again"));
    assert_eq!(edge.get(HOST, "/app.js").text(), "again", "what was replaced is purged");
    let gone = json!({ "is": "objects", "site": "shop", "put": [], "gone": ["/app.js"] });
    control.await_ack("edge-1", control.publish(vec![gone]));
    assert_eq!(edge.get(HOST, "/app.js").text(), "of the origin");
}

/// A parent that has not heard of a purge yet does not give an edge that has what was purged.
#[test]
fn an_edge_does_not_get_what_was_purged_from_a_parent_that_is_behind() {
    let (control, origin) = (Control::start(), Origin::start());
    let (parent_state, edge_state) = (folder(), folder());
    origin.on_fn("*", |_, nth| Answer::cacheable(&format!("form {nth}"), 600));
    control.put_site("shop", &shop(&origin));
    let config = NodeConfig::new("parent-1").following(&control, parent_state.path());
    let parent = Node::parent(&config);
    becomes_ready(&parent);
    let config =
        edge_config(&control, &edge_state).set("upstream", "parents", json!([parent.url()]));
    let edge = Node::edge(&config);
    becomes_ready(&edge);
    assert!(eventually(|| edge.get(HOST, "/page").is_hit("edge-1")), "it is stored");
    assert!(eventually(|| parent.get(HOST, "/page").is_hit("parent-1")), "there as well");
    control.hold("parent-1", true);
    let revision = control.purge_url(&format!("http://{HOST}/page"));
    control.await_ack("edge-1", revision);
    let resp = edge.get(HOST, "/page");
    let status = resp.joined("cache-status");
    assert_eq!(resp.text(), "form 1", "past the parent's store: {status}");
    assert!(status.contains("parent-1; fwd=stale") && status.contains("detail=behind"), "{status}");
    assert_eq!(resp.header("selvedge-revision"), None, "that is between nodes");
    assert!(!edge.get(HOST, "/page").is_hit("edge-1"), "and it was not stored");
    assert!(origin.last("/page").header("selvedge-revision").is_none());

    control.hold("parent-1", false);
    control.await_ack("parent-1", revision);
    assert!(eventually(|| edge.get(HOST, "/page").is_hit("edge-1")), "it is stored again");
}

/// HTTPS with what control brings alone: handshakes fail until there is a certificate, one that is
/// no good changes nothing, and it goes with its site.
#[test]
fn certificates_come_from_control() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.put_site("shop", &shop(&origin));
    let config = edge_config(&control, &state).set("listen", "https", json!(["127.0.0.1:0"]));
    let edge = Node::edge(&config);
    becomes_ready(&edge);
    let authority = Authority::new();
    let connect = || authority.connect(edge.https(), HOST, &["http/1.1"]);
    assert!(connect().is_err());
    let (first, second) = (authority.issue(&[HOST]), authority.issue(&["other.test"]));
    control.await_ack("edge-1", control.put_certificate("shop", &first.cert, &first.key));
    let mut client = Client::https(edge.https(), HOST, &authority);
    assert_eq!(client.get(HOST, "/", "").text(), "here");
    let bad = control.put_certificate("shop", &first.cert, &second.key);
    control.await_ack("edge-1", bad);
    let refused = control.refused("edge-1");
    assert_eq!((refused.len(), &refused[0]["revision"]), (1, &json!(bad)));
    assert!(connect().is_ok(), "the good one serves on");
    let gone = json!({ "is": "certificate-gone", "site": "shop" });
    control.await_ack("edge-1", control.publish(vec![gone]));
    assert!(connect().is_err());
}

/// Whoever may change one site cannot take the names of another one, whatever a certificate says.
#[test]
fn a_certificate_answers_for_the_hosts_of_its_site_only() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.put_site("shop", &shop(&origin));
    let config = edge_config(&control, &state).set("listen", "https", json!(["127.0.0.1:0"]));
    let edge = Node::edge(&config);
    becomes_ready(&edge);
    let authority = Authority::new();
    let both = authority.issue(&[HOST, "other.test"]);
    control.await_ack("edge-1", control.put_certificate("shop", &both.cert, &both.key));
    let connect = |host: &str| authority.connect(edge.https(), host, &["http/1.1"]);
    assert!(connect(HOST).is_ok());
    assert!(connect("other.test").is_err(), "it is no host of the site");
    let wider = json!({ "hosts": [HOST, "other.test"], "origin": [origin.url()] });
    control.await_ack("edge-1", control.put_site("shop", &wider));
    assert!(connect("other.test").is_ok(), "now it is one");
    control.await_ack("edge-1", control.put_site("shop", &shop(&origin)));
    assert!(connect("other.test").is_err() && connect(HOST).is_ok());
}

/// What anybody else claims to know is not heeded.
#[test]
fn a_client_cannot_make_a_node_doubt_what_it_has() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.put_site("shop", &shop(&origin));
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    let fields = "Selvedge-Revision: 999\r\n";
    assert!(eventually(|| edge.get_with(HOST, "/page", fields).is_hit("edge-1")), "it is stored");
    assert_eq!(origin.fetches("/page"), 1);
    assert_eq!(origin.last("/page").header("selvedge-revision"), None);
}

#[test]
fn what_the_operator_wants_of_a_node_is_in_its_readiness() {
    let (control, state) = (Control::start(), folder());
    let edge = Node::edge(&edge_config(&control, &state));
    becomes_ready(&edge);
    let intend = |intent: &str| {
        let member = json!({
            "is": "node", "name": "edge-1", "tier": "edge", "region": "default", "urls": [],
            "intent": intent,
        });
        control.publish(vec![member]);
    };
    for intent in ["draining", "offline"] {
        intend(intent);
        becomes_unready(&edge, intent);
    }
    intend("online");
    becomes_ready(&edge);
}

/// A reload of the file and what control says do not undo each other.
#[test]
fn a_reload_keeps_the_sites_of_control() {
    let (control, origin, state) = (Control::start(), Origin::start(), folder());
    origin.on("*", Answer::cacheable("here", 600));
    control.await_ack("edge-1", 0);
    control.put_site("shop", &shop(&origin));
    let config = edge_config(&control, &state);
    let edge = Node::edge(&config);
    becomes_ready(&edge);
    let reloaded = edge.reload(&config.clone().set("limits", "ranges", 1));
    assert_eq!(reloaded, selvedge_tests::node::Reload::Applied);
    assert_eq!(edge.get(HOST, "/").text(), "here");
    let more = json!({ "hosts": ["b.test"], "origin": [origin.url()] });
    control.await_ack("edge-1", control.put_site("more", &more));
    assert_eq!(edge.get("b.test", "/").text(), "here");
}
