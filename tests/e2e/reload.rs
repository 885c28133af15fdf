//! A changed configuration (threat 49): all or nothing, and not one request fails.

use crate::support::{HOST, edge, edge_config};
use selvedge_tests::node::Reload;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site, eventually};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What is stored stays, what is new applies.
#[test]
fn a_reload_applies_new_rules_and_keeps_the_cache() {
    let (origin, edge) = edge();
    origin.on("*", Answer::cacheable("kept", 600));
    assert_eq!(edge.get(HOST, "/x").text(), "kept");
    let fields = serde_json::json!({ "set": { "x-new": "yes" } });
    let site = Site::any(&origin.url()).set("response_headers", fields);
    assert_eq!(edge.reload(&NodeConfig::new("edge-1").site(site)), Reload::Applied);
    let resp = edge.get(HOST, "/x");
    assert!(resp.is_hit("edge-1"), "{:?}", resp.headers);
    assert_eq!(resp.header("x-new"), Some("yes"));
    assert_eq!(origin.fetches("/x"), 1);
    assert!(edge.metrics().sum("selvedge_config_reloads_total", &[]) >= 1.0);
}

/// A site is added and another removed.
#[test]
fn sites_come_and_go_with_a_reload() {
    let origin = Origin::start();
    origin.on_fn("*", |req, _| Answer::cacheable(req.header("host").unwrap_or(""), 600));
    let with = |host: &str| {
        NodeConfig::new("edge-1").site(Site::new(
            &host.replace('.', "-"),
            &[host],
            &[&origin.url()],
        ))
    };
    let edge = Node::edge(&with("one.test"));
    assert_eq!(edge.get("one.test", "/").text(), "one.test");
    assert_eq!(edge.get("two.test", "/").status, 421);
    assert_eq!(edge.reload(&with("two.test")), Reload::Applied);
    assert_eq!(edge.get("two.test", "/").text(), "two.test");
    assert_eq!(edge.get("one.test", "/").status, 421);
}

/// Every kind of bad file is refused; the old configuration serves on.
#[test]
fn a_bad_configuration_is_refused_and_the_old_one_serves_on() {
    let (origin, edge) = edge();
    origin.on("*", Answer::cacheable("old", 600));
    assert_eq!(edge.get(HOST, "/x").text(), "old");
    let good = edge_config(&origin).render(edge.folder());
    let bad = [
        String::new(),
        "nonsense".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("[[site]]", "[[sight]]"),
        good.replace("memory = \"64MiB\"", "memory = 64"),
        good.replace("memory = \"64MiB\"", "memory = \"64 bananas\""),
        good.replace("http://", "gopher://"),
        format!("{good}\n[upstream]\nparents = [\"http://user:secret@127.0.0.1:1\"]\n"),
        good.replace("name = \"edge-1\"", "name = \"edge-7\""),
        format!("{good}\n[[site]]\nname = \"twice\"\nhosts = [\"*\"]\norigin = [\"http://a\"]\n"),
        format!("{good}\n[[certificate]]\ncert = \"/nowhere.pem\"\nkey = \"/nowhere.key\"\n"),
    ];
    for text in &bad {
        let outcome = edge.reload_text(text);
        assert!(matches!(outcome, Reload::Refused(_)), "{outcome:?} for {text}");
        assert_eq!(edge.get(HOST, "/x").text(), "old");
    }
    let refused = edge.metrics().sum("selvedge_config_reloads_refused_total", &[]);
    assert_eq!(refused as usize, bad.len());
    assert_eq!(edge.reload_text(&good), Reload::Applied, "the good one is taken again");
    assert_eq!(edge.admin_get("/readyz").status, 200);
}

/// Many reloads under load, new connections and old ones: nothing fails, nothing is mixed.
#[test]
fn many_reloads_under_load_fail_no_request() {
    let origin = Origin::start();
    origin.on("/hit", Answer::cacheable("hit", 600));
    origin.on("/pass", Answer::uncacheable("pass"));
    let config = |number: usize| {
        let fields =
            serde_json::json!({ "set": { "x-a": number.to_string(), "x-b": number.to_string() } });
        NodeConfig::new("edge-1").site(Site::any(&origin.url()).set("response_headers", fields))
    };
    let edge = Node::edge(&config(0));
    let (stop, done) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let addr = edge.http();
    let check = &|client: &mut Client, path: &str, body: &str| {
        let resp = client.get(HOST, path, "");
        assert_eq!((resp.status, resp.text().as_str()), (200, body));
        assert_eq!(resp.header("x-a"), resp.header("x-b"), "one revision for one request");
        assert!(resp.header("x-a").is_some());
        done.fetch_add(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        for (path, body) in [("/hit", "hit"), ("/pass", "pass")] {
            scope.spawn(move || {
                let mut kept = Client::http(addr);
                while !stop.load(Ordering::SeqCst) {
                    check(&mut kept, path, body);
                    check(&mut Client::http(addr), path, body);
                }
            });
        }
        for round in 1..=100 {
            assert_eq!(edge.reload(&config(round)), Reload::Applied);
            let target = done.load(Ordering::SeqCst) + 4;
            assert!(eventually(|| done.load(Ordering::SeqCst) >= target), "load goes on");
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(edge.get(HOST, "/hit").header("x-a"), Some("100"));
    assert_eq!(origin.fetches("/hit"), 1);
    assert_eq!(edge.metrics().sum("selvedge_config_reloads_total", &[]) as u64, 100);
}
