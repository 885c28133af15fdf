//! Purges with the real binary: what was purged is fetched again, whatever has happened, and only
//! who may purge can.

use crate::support::{HOST, becomes, edge, edge_config, edge_with, site_count};
use selvedge_tests::{Answer, Client, Gate, Node, NodeConfig, Origin, Response, Site, eventually};
use serde_json::{Value, json};

/// Sends PURGE for a URL of the usual host, with these field lines.
#[track_caller]
fn purge(edge: &Node, target: &str, fields: &str) -> Response {
    let mut client = Client::http(edge.http());
    client.request(&format!("PURGE {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"))
}

/// Posts a text to `/purge` at the admin listener.
#[track_caller]
fn post(edge: &Node, text: &str, fields: &str) -> Response {
    let mut client = Client::http(edge.admin());
    let length = text.len();
    client.request(&format!(
        "POST /purge HTTP/1.1\r\nHost: admin.test\r\nContent-Length: {length}\r\n{fields}\r\n{text}"
    ))
}

#[track_caller]
fn post_json(edge: &Node, json: &Value) -> Value {
    let resp = post(edge, &json.to_string(), "");
    assert_eq!(resp.status, 200, "{json}: {}", resp.text());
    serde_json::from_str(&resp.text()).expect("JSON")
}

fn tagged(body: &str, field: &str, tags: &str) -> Answer {
    Answer::cacheable(body, 600).header(field, tags)
}

/// Has a path fetched and stored, and makes sure that it is.
#[track_caller]
fn warm(edge: &Node, origin: &Origin, path: &str) {
    let before = origin.fetches(path);
    edge.get(HOST, path);
    assert!(eventually(|| edge.get(HOST, path).is_hit("edge-1")), "{path} is stored");
    assert!(origin.fetches(path) <= before + 1);
}

/// Whether the next request for a path goes to the origin.
fn is_gone(edge: &Node, origin: &Origin, path: &str) -> bool {
    let before = origin.fetches(path);
    edge.get(HOST, path);
    origin.fetches(path) > before
}

#[test]
fn a_purged_url_is_fetched_again_in_all_its_forms() {
    let (origin, edge) = edge();
    let text = "x".repeat(4000);
    let page = Answer::cacheable(&text, 600)
        .header("content-type", "text/plain")
        .header("vary", "x-language");
    origin.on("/page", page);
    origin.on("/other", Answer::cacheable("other", 600));
    let english = "X-Language: en\r\n";
    let zipped = "X-Language: en\r\nAccept-Encoding: gzip\r\n";
    let forms = ["", english, zipped];
    for form in forms {
        edge.get_with(HOST, "/page?a=1", form);
        assert!(eventually(|| edge.get_with(HOST, "/page?a=1", form).is_hit("edge-1")));
    }
    warm(&edge, &origin, "/other");
    let resp = purge(&edge, "/page?a=1", "");
    assert_eq!((resp.status, resp.header("content-type")), (200, Some("application/json")));
    let said: Value = serde_json::from_str(&resp.text()).expect("JSON");
    assert_eq!(
        (&said["kind"], &said["soft"], &said["count"]),
        (&json!("url"), &json!(false), &json!(1))
    );
    assert!(said["revision"].as_u64().is_some_and(|revision| revision > 0));
    let line = edge.log_line(resp.header("x-request-id").expect("an id"));
    assert_eq!((&line["method"], &line["status"]), (&json!("PURGE"), &json!(200)), "{line}");
    for form in [english, ""] {
        let before = origin.fetches("/page");
        assert!(!edge.get_with(HOST, "/page?a=1", form).is_hit("edge-1"));
        assert_eq!(origin.fetches("/page"), before + 1);
    }
    assert!(!is_gone(&edge, &origin, "/other"));
    assert!(origin.requests().iter().all(|req| req.method != "PURGE"), "it is never sent on");
    let metrics = edge.metrics();
    assert_eq!(metrics.sum("selvedge_purges_total", &["kind=\"url\""]) as u64, 1);
    assert!(metrics.sum("selvedge_store_objects_purged_total", &[]) as u64 >= 2);
}

#[test]
fn tags_are_purged_whichever_field_they_came_in() {
    let (origin, edge) = edge();
    origin.on("/surrogate", tagged("s", "surrogate-key", "common one"));
    origin.on("/comma", tagged("c", "cache-tag", "two,common"));
    origin.on("/both", tagged("b", "cache-tags", "three, common"));
    origin.on("/none", Answer::cacheable("n", 600));
    let paths = ["/surrogate", "/comma", "/both"];
    let warm_all = || {
        for path in paths.into_iter().chain(["/none"]) {
            warm(&edge, &origin, path);
        }
    };
    warm_all();
    for fields in ["Surrogate-Key: x common\r\n", "Cache-Tag: common\r\n"] {
        assert_eq!(purge(&edge, "/", fields).status, 200);
        assert!(paths.iter().all(|path| is_gone(&edge, &origin, path)), "{fields}");
        assert!(!is_gone(&edge, &origin, "/none"));
        warm_all();
    }
    post_json(&edge, &json!({ "tag": "one" }));
    assert!(is_gone(&edge, &origin, "/surrogate") && !is_gone(&edge, &origin, "/comma"));
    post_json(&edge, &json!({ "tags": ["two", "three"], "site": "any" }));
    assert!(is_gone(&edge, &origin, "/comma") && is_gone(&edge, &origin, "/both"));
    assert!(!is_gone(&edge, &origin, "/none"));
}

#[test]
fn prefixes_hosts_sites_and_everything_are_purged_as_one() {
    let (origin, edge) = edge();
    let paths = ["/img/a", "/img/b", "/css/a"];
    for path in paths {
        origin.on(path, Answer::cacheable("x", 600));
    }
    for (wish, gone) in [
        (json!({ "prefix": format!("{HOST}/img/") }), 2),
        (json!({ "prefix": format!("https://{HOST}/css") }), 1),
        (json!({ "url": format!("https://{HOST}/img/a?") }), 0),
        (json!({ "urls": [format!("https://{HOST}/img/a"), format!("http://{HOST}/img/b")] }), 2),
        (json!({ "host": HOST }), 3),
        (json!({ "host": "other.test" }), 0),
        (json!({ "site": "any" }), 3),
        (json!({ "everything": true }), 3),
    ] {
        for path in paths {
            warm(&edge, &origin, path);
        }
        post_json(&edge, &wish);
        let found = paths.iter().filter(|path| is_gone(&edge, &origin, path)).count();
        assert_eq!(found, gone, "{wish}");
    }
}

#[test]
fn a_soft_purge_serves_stale_once_more_and_refreshes_behind() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let old = Answer::new(200)
        .header("cache-control", "max-age=600, stale-while-revalidate=600")
        .header("surrogate-key", "t")
        .etag("\"1\"")
        .body("old");
    origin.on_each("/soft", vec![old, Answer::cacheable("new", 600).gate(&gate)]);
    warm(&edge, &origin, "/soft");
    assert_eq!(purge(&edge, "/", "Surrogate-Key: t\r\nFastly-Soft-Purge: 1\r\n").status, 200);
    assert_eq!(edge.get(HOST, "/soft").text(), "old", "stale, and a refresh behind it");
    assert!(gate.reached_by(1), "a refresh runs");
    gate.open();
    assert!(eventually(|| edge.get(HOST, "/soft").text() == "new"));
    assert_eq!(origin.last("/soft").header("if-none-match"), Some("\"1\""));
    becomes(1, "refreshes", || site_count(&edge, "refreshes"));
    assert_eq!(edge.metrics().sum("selvedge_store_objects_softened_total", &[]) as u64, 1);
}

/// The origin read its answer before the purge: it must not be stored after it.
#[test]
fn a_fill_that_began_before_a_purge_is_neither_shared_nor_stored() {
    let (origin, edge) = edge();
    for (path, fields) in [("/tag", "Cache-Tag: t\r\n"), ("/url", "")] {
        let gate = Gate::shut();
        let old = tagged("old", "cache-tag", "t").body_gate(&gate);
        origin.on_each(path, vec![old, tagged("new", "cache-tag", "t")]);
        std::thread::scope(|scope| {
            let early = scope.spawn(|| edge.get(HOST, path).text());
            assert!(gate.reached_by(1));
            assert_eq!(purge(&edge, path, fields).status, 200);
            assert_eq!(edge.get(HOST, path).text(), "new", "does not wait for the old one");
            gate.open();
            assert_eq!(early.join().expect("an answer"), "old", "was there before");
        });
        for _ in 0..3 {
            assert_eq!(edge.get(HOST, path).text(), "new");
        }
        assert_eq!(origin.fetches(path), 2);
    }
}

#[test]
fn tags_are_for_caches_unless_the_site_shows_them() {
    let page = || tagged("x", "surrogate-key", "a b").header("cache-tag", "c");
    let (origin, edge) = edge();
    origin.on("/x", page());
    origin.on("/pass", Answer::uncacheable("y").header("cache-tag", "c"));
    for path in ["/x", "/x", "/pass"] {
        let resp = edge.get(HOST, path);
        assert_eq!((resp.header("surrogate-key"), resp.header("cache-tag")), (None, None));
        assert_eq!(edge.get_with(HOST, path, "Range: bytes=0-0\r\n").header("cache-tag"), None);
    }
    let to_node = edge.get_with(HOST, "/x", "CDN-Loop: other\r\n");
    assert_eq!(to_node.header("surrogate-key"), Some("a b"), "other nodes purge by them too");
    let (origin, edge) = edge_with(|site| site.set("show_tags", true));
    origin.on("/x", page());
    for _ in 0..2 {
        assert_eq!(edge.get(HOST, "/x").header("surrogate-key"), Some("a b"));
    }
}

/// Each tier purges what it has.
#[test]
fn tags_reach_an_edge_through_its_parent() {
    let origin = Origin::start();
    let site = Site::any(&origin.url());
    let parent = Node::parent(&NodeConfig::new("parent-1").site(site.clone()));
    let config =
        NodeConfig::new("edge-1").site(site).set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&config);
    origin.on_each("/x", vec![tagged("old", "cache-tag", "t"), tagged("new", "cache-tag", "t")]);
    assert_eq!(edge.get(HOST, "/x").text(), "old");
    assert_eq!(purge(&parent, "/", "Cache-Tag: t\r\n").status, 200);
    assert_eq!(edge.get(HOST, "/x").text(), "old", "the edge was not told");
    assert_eq!(purge(&edge, "/", "Cache-Tag: t\r\n").status, 200);
    assert_eq!(edge.get(HOST, "/x").text(), "new");
}

#[test]
fn only_who_may_purge_can() {
    let (origin, edge) = edge();
    origin.on("/x", Answer::cacheable("x", 600));
    warm(&edge, &origin, "/x");
    for relay in ["X-Forwarded-For: 127.0.0.1\r\n", "Via: 1.1 x\r\n", "Origin: http://a.test\r\n"] {
        let resp = purge(&edge, "/x", relay);
        assert_eq!(resp.status, 403, "{relay}");
        assert!(resp.text().contains("\"purge-forbidden\""), "{}", resp.text());
        assert_eq!(post(&edge, r#"{"everything":true}"#, relay).status, 403);
    }
    let elsewhere = edge_config(&origin).set("purge", "from", vec!["192.0.2.0/24"]);
    let strict = Node::edge(&elsewhere);
    assert_eq!(purge(&strict, "/x", "").status, 403);
    assert_eq!(post(&strict, r#"{"everything":true}"#, "").status, 403);
    assert!(!is_gone(&edge, &origin, "/x"));

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret-token\n").expect("a file");
    let guarded = edge_config(&origin).set("purge", "token_file", file.to_str().expect("a path"));
    let edge = Node::edge(&guarded);
    warm(&edge, &origin, "/x");
    for wrong in ["", "Authorization: Bearer wrong\r\n"] {
        let resp = purge(&edge, "/x", wrong);
        assert_eq!((resp.status, resp.header("www-authenticate")), (401, Some("Bearer")));
        assert!(resp.text().contains("\"purge-unauthorized\""), "{}", resp.text());
        assert_eq!(post(&edge, r#"{"everything":true}"#, wrong).status, 401);
    }
    assert!(!is_gone(&edge, &origin, "/x"));
    let right = "Authorization: Bearer s3cret-token\r\n";
    assert_eq!(purge(&edge, "/x", right).status, 200);
    assert!(is_gone(&edge, &origin, "/x"));
    assert_eq!(post(&edge, r#"{"everything":true}"#, right).status, 200);
    std::fs::write(&file, "another-one").expect("a file");
    edge.reload(&guarded);
    assert_eq!(purge(&edge, "/x", right).status, 401, "read again on a reload");
}

#[test]
fn what_is_not_clear_is_refused_and_purges_nothing() {
    let (origin, edge) = edge();
    origin.on("/x", Answer::cacheable("x", 600));
    warm(&edge, &origin, "/x");
    let long = format!("{{\"urls\": [{:?}]}}", "x".repeat(70_000));
    for (text, status, word) in [
        ("", 400, "purge-syntax"),
        ("{\"everything\": true", 400, "purge-syntax"),
        ("{\"everything\": true, \"else\": 1}", 400, "purge-syntax"),
        ("{\"url\": \"/x\"}", 400, "purge-syntax"),
        ("{\"site\": \"none\"}", 400, "purge-unknown-site"),
        (&long, 413, "purge-too-large"),
    ] {
        let resp = post(&edge, text, "");
        assert_eq!(resp.status, status, "{text:.60}");
        let said: Value = serde_json::from_str(&resp.text()).expect("JSON");
        assert_eq!((&said["reason"], &said["status"]), (&json!(word), &json!(status)));
        assert!(said["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{said}");
    }
    assert_eq!(purge(&edge, "/x", "Cache-Tag: ,\r\n").status, 400);
    assert!(!is_gone(&edge, &origin, "/x"));
    assert_eq!(edge.metrics().sum("selvedge_purges_total", &[]) as u64, 0);
}

/// A purge that was answered holds whatever happens to the process.
#[test]
fn nothing_purged_comes_back_after_a_kill() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let disk = json!({ "path": folder.path().to_str().expect("a path"), "size": "64MiB" });
    let config = edge_config(&origin).set("cache", "disk", vec![disk]);
    let paths: Vec<String> = (0..20).map(|n| format!("/{n}")).collect();
    let mut edge = Node::edge(&config);
    for (n, path) in paths.iter().enumerate() {
        let tags = if n < 10 { "gone" } else { "stays" };
        origin.on(path, tagged("x", "cache-tag", tags));
        warm(&edge, &origin, path);
    }
    let figure = |name: &str| edge.metrics().sum(&format!("selvedge_disk_{name}"), &[]) as u64;
    assert!(eventually(|| figure("records") >= 20), "all is taken");
    assert!(eventually(|| figure("unwritten_bytes") == 0), "and is in the files");
    assert_eq!(purge(&edge, "/", "Cache-Tag: gone\r\n").status, 200);
    assert_eq!(purge(&edge, "/19", "").status, 200);
    edge.kill();
    let edge = Node::edge(&config);
    for (n, path) in paths.iter().enumerate().filter(|(n, _)| *n < 10 || *n == 19) {
        assert!(is_gone(&edge, &origin, path), "{n} is fetched again");
    }
    let kept = paths[10..19].iter().filter(|path| !is_gone(&edge, &origin, path)).count();
    assert_eq!(kept, 9, "what was not purged is still there");
}
