//! Signed URLs where several nodes have a hand in it: parents, peers, control, and what is fetched
//! for no client. Each node checks, and they vouch for what they ask of each other.

use crate::access::{A, Signer, config, is_refused, site, token_of};
use crate::client_support::stdout;
use crate::peers::Region;
use crate::support::HOST;
use selvedge_tests::node::Reload;
use selvedge_tests::{Answer, Control, Gate, Node, NodeConfig, Origin, Site, eventually};
use serde_json::json;

/// A node takes a site of control over when it has its keys, and not before.
#[test]
fn a_site_of_control_without_its_key_is_refused_by_the_node() {
    let (control, origin) = (Control::start(), Origin::start());
    let state = tempfile::tempdir().expect("a temporary folder");
    origin.on("*", Answer::cacheable("here", 600));
    let config = NodeConfig::new("edge-1").following(&control, state.path());
    let config = config.set("node", "sign_keys", ".");
    let edge = Node::edge(&config);
    let site = |keys: &[&str]| {
        json!({
            "hosts": [HOST], "origin": [origin.url()], "signed": "query", "signed_keys": keys,
        })
    };
    let open = json!({ "hosts": [HOST], "origin": [origin.url()] });
    control.await_ack("edge-1", control.put_site("any", &open));
    assert_eq!(edge.get(HOST, "/x").status, 200);
    control.put_site("any", &site(&["a"]));
    assert!(eventually(|| edge.stderr().all().iter().any(|line| line.contains("a.key"))));
    assert_eq!(edge.get(HOST, "/x").status, 200, "what it served goes on");
    std::fs::write(edge.folder().join("a.key"), A).expect("written");
    control.await_ack("edge-1", control.put_site("any", &site(&["a"])));
    assert!(eventually(|| edge.get(HOST, "/x").status == 403));
    let token = Signer::new().token("/");
    assert_eq!(edge.get(HOST, &format!("/x?selvedge-token={token}")).status, 200);
    std::fs::remove_file(edge.folder().join("a.key")).expect("removed");
    match edge.reload(&config) {
        Reload::Refused(line) => assert!(line.contains("a.key"), "{line}"),
        Reload::Applied => panic!("it was taken without the key"),
    }
    assert_eq!(edge.get(HOST, &format!("/x?selvedge-token={token}")).status, 200);
    drop(edge);
    // It knows the site by what it kept, and has no key for it: the site waits, the node does not.
    let again = Node::edge(&config);
    assert_eq!(again.get(HOST, "/x").status, 421);
    assert!(again.stderr().wait(0, |line| line.contains("a site is not served")).is_some());
}

/// Each tier checks; what nodes ask of each other they sign themselves.
#[test]
fn nodes_vouch_for_each_other_and_nobody_else_can() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("secret", 600));
    let parent = Node::parent(&config("parent-1", site(&origin)));
    let edge = config("edge-1", site(&origin)).set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&edge.set("upstream", "origin_fallback", false));
    let token = Signer::new().token("/");
    let through = edge.get(HOST, &format!("/x?selvedge-token={token}"));
    assert_eq!(through.text(), "secret", "{:?}", through.headers);
    assert!(through.joined("cache-status").contains("parent-1"), "{:?}", through.headers);
    let seen = origin.last("/x");
    assert_eq!(seen.target, "/x");
    assert_eq!(seen.header("selvedge-grant"), None);
    let told = seen.all("cdn-loop").collect::<Vec<_>>().join(", ");
    is_refused(&parent, &parent.get(HOST, "/x"), "token-missing");
    for forged in [
        format!("CDN-Loop: {}\r\n", told.replace("-1", "-9")),
        "Selvedge-Grant: 1.a.9999999999.Lw.n.AAAA\r\n".to_owned(),
        "Selvedge-Grant: yes\r\n".to_owned(),
    ] {
        for node in [&parent, &edge] {
            assert_eq!(node.get_with(HOST, "/x", &forged).status, 403, "{forged}");
        }
    }
    let again = parent.get(HOST, &format!("/x?selvedge-token={token}"));
    assert!(again.is_hit("parent-1"), "a client's token is good at each: {:?}", again.headers);
    assert_eq!(origin.requests().len(), 1);
}

/// Edges of one region vouch for what they ask of each other, too.
#[test]
fn peers_take_the_word_of_peers() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("secret", 600));
    let guarded = || {
        let site = Site::new("guarded", &["guarded.test"], &[&origin.url()]);
        site.set("signed", "query").set("signed_keys", vec!["a"])
    };
    let region = Region::build(2, |config| {
        config.set("node", "sign_keys", ".").file("a.key", A).site(guarded())
    });
    let signer = Signer::new();
    let url = ["http://guarded.test/", "--key=a.key", "--site=guarded", "--expires=1h"];
    let token = token_of(stdout(&signer.run(&url)).trim());
    for number in 0..20 {
        for edge in &region.edges {
            let resp = edge.get("guarded.test", &format!("/{number}?selvedge-token={token}"));
            assert_eq!(resp.text(), "secret", "{:?}", resp.headers);
            assert_eq!(edge.get("guarded.test", &format!("/{number}")).status, 403);
        }
    }
    assert_eq!(origin.requests().len(), 20);
    let asked =
        |edge: &Node| edge.metrics().sum("selvedge_peer_requests_total", &["site=\"guarded\""]);
    assert!(region.edges.iter().map(asked).sum::<f64>() >= 20.0);
}

/// What is fetched for no client any more needs none.
#[test]
fn a_refresh_behind_an_answer_needs_no_client() {
    let origin = Origin::start();
    let stale = "max-age=0, stale-while-revalidate=600";
    let (gate, answer) = (Gate::shut(), |body: &str| Answer::new(200).body(body));
    let first = answer("one").header("cache-control", stale);
    let second = answer("two").header("cache-control", "max-age=600").gate(&gate);
    origin.on_each("/x", vec![first, second]);
    let parent = Node::parent(&config("parent-1", site(&origin)));
    let edge = config("edge-1", site(&origin)).set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&edge.set("upstream", "origin_fallback", false));
    let token = Signer::new().token("/");
    let target = format!("/x?selvedge-token={token}");
    assert_eq!(edge.get(HOST, &target).text(), "one");
    assert_eq!(edge.get(HOST, &target).text(), "one", "stale, and a fresh one is on its way");
    assert_eq!(edge.get(HOST, "/x").status, 403);
    gate.open();
    assert!(eventually(|| edge.get(HOST, &target).text() == "two"));
}

/// What is fetched ahead of a player is fetched for no client, and through all tiers.
#[test]
fn segments_are_fetched_ahead_without_a_token() {
    let origin = Origin::start();
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts\n\
                #EXT-X-ENDLIST\n";
    let list = Answer::cacheable(list, 600).header("content-type", "application/x-mpegurl");
    origin.on("/v/list.m3u8", list);
    for path in ["/v/a.ts", "/v/b.ts"] {
        origin.on(path, Answer::cacheable("segment", 600).header("content-type", "video/mp2t"));
    }
    let parent = Node::parent(&config("parent-1", site(&origin)));
    let edge = config("edge-1", site(&origin)).set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&edge.set("upstream", "origin_fallback", false));
    let token = Signer::new().token("/v/");
    let get = |name: &str| edge.get(HOST, &format!("/v/{name}?selvedge-token={token}"));
    assert_eq!(get("list.m3u8").status, 200);
    assert_eq!(get("a.ts").text(), "segment");
    assert!(eventually(|| origin.fetches("/v/b.ts") == 1), "the next one is on its way");
    assert!(eventually(|| get("b.ts").is_hit("edge-1")));
    assert_eq!(edge.get(HOST, "/v/b.ts").status, 403);
    assert_eq!((origin.fetches("/v/a.ts"), origin.fetches("/v/b.ts")), (1, 1));
}
