//! Several parents and an origin behind them (threats 46 and 47): one owner for each object,
//! fail-over, fall-back, recovery, and no loops.

use crate::support::{HOST, becomes, edge};
use selvedge_tests::{Answer, Node, NodeConfig, Origin, Site, eventually};

fn parent(name: &str, origin: &Origin) -> Node {
    Node::parent(&NodeConfig::new(name).site(Site::any(&origin.url())))
}

fn child_config(origin: &Origin, parents: &[&Node]) -> NodeConfig {
    let urls: Vec<String> = parents.iter().map(|parent| parent.url()).collect();
    NodeConfig::new("edge-1")
        .set("upstream", "parents", urls)
        .set("upstream", "health_interval", "100ms")
        .set("upstream", "mark_down", "100ms")
        .set("upstream", "mark_down_max", "200ms")
        .set("upstream", "connect_timeout", "500ms")
        .site(Site::any(&origin.url()))
}

/// Which parent answered, by its member of Cache-Status.
fn owner(edge: &Node, path: &str) -> String {
    let resp = edge.get(HOST, path);
    assert_eq!(resp.status, 200, "{path}: {}", resp.text());
    let status = resp.joined("cache-status");
    status.split(';').next().unwrap_or("").to_owned()
}

/// The ring gives each object one parent, the same for every edge, and each parent its share.
#[test]
fn every_object_has_one_parent_that_all_edges_agree_on() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("x", 600));
    let parents = [parent("parent-1", &origin), parent("parent-2", &origin)];
    let config = child_config(&origin, &[&parents[0], &parents[1]]);
    let one = Node::edge(&config);
    let two = Node::edge(&config.clone().set("node", "name", "edge-2"));
    let mut shares = [0, 0];
    for number in 0..60 {
        let path = format!("/object-{number}");
        let first = owner(&one, &path);
        assert_eq!(owner(&two, &path), first, "{path}");
        shares[usize::from(first == "parent-2")] += 1;
    }
    assert_eq!(origin.requests().len(), 60, "each object was fetched once");
    assert!(shares.iter().all(|share| *share >= 12), "{shares:?}");
}

/// A parent that dies costs nobody an answer; when it comes back it gets its objects back.
#[test]
fn when_a_parent_dies_the_other_takes_over_and_it_recovers_by_itself() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("x"));
    let mut first = parent("parent-1", &origin);
    let second = parent("parent-2", &origin);
    let edge = Node::edge(&child_config(&origin, &[&first, &second]));
    let mine = (0..).map(|number| format!("/mine-{number}"));
    let mine = mine.into_iter().find(|path| owner(&edge, path) == "parent-1");
    let mine = mine.expect("one of them owns something");
    let addr = first.http();
    first.kill();
    for _ in 0..20 {
        assert_eq!(owner(&edge, &mine), "parent-2", "no request fails");
    }
    let failovers = edge.metrics().sum("selvedge_failovers_total", &[]);
    assert!(failovers >= 1.0, "{failovers}");
    let config = NodeConfig::new("parent-1").set("listen", "http", vec![addr.to_string()]);
    let again = Node::parent(&config.site(Site::any(&origin.url())));
    assert!(eventually(|| owner(&edge, &mine) == "parent-1"), "it is asked again");
    drop(again);
}

/// All parents down: the origin is asked directly, unless the operator forbade it.
#[test]
fn without_parents_the_origin_is_asked_only_if_that_is_allowed() {
    for (allowed, status) in [(true, 200), (false, 502)] {
        let origin = Origin::start();
        origin.on("*", Answer::uncacheable("direct"));
        let mut only = parent("parent-1", &origin);
        let config = child_config(&origin, &[&only]).set("upstream", "origin_fallback", allowed);
        let edge = Node::edge(&config);
        assert_eq!(owner(&edge, "/x"), "parent-1");
        only.kill();
        for _ in 0..5 {
            let resp = edge.get(HOST, "/x");
            assert_eq!(resp.status, status, "{}", resp.text());
        }
        assert_eq!(origin.fetches("/x"), if allowed { 6 } else { 1 });
    }
}

/// What the origin answers is no failure of the parent: a 404 or 500 marks nobody down.
#[test]
fn statuses_of_the_origin_do_not_mark_a_parent_down() {
    let origin = Origin::start();
    origin.on("*", Answer::new(500).header("cache-control", "no-store").body("broken"));
    let only = parent("parent-1", &origin);
    let edge = Node::edge(&child_config(&origin, &[&only]));
    for _ in 0..10 {
        let resp = edge.get(HOST, "/x");
        assert_eq!((resp.status, resp.text().as_str()), (500, "broken"));
        assert!(resp.joined("cache-status").contains("parent-1"), "{:?}", resp.headers);
    }
    becomes(10, "requests at the parent", || {
        only.metrics().sum("selvedge_requests_total", &["site="]) as u64
    });
}

/// Threat 47: a request that comes back is answered 508 and goes no further.
#[test]
fn a_request_that_has_been_here_is_a_loop() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("reached"));
    let other = edge.get_with(HOST, "/x", "CDN-Loop: othercdn; node=\"edge-1\"\r\n");
    assert_eq!(other.status, 200, "another CDN's word is not ours");
    let seen = origin.last("/x").all("cdn-loop").collect::<Vec<_>>().join(", ");
    assert!(seen.contains("othercdn"), "{seen}");
    let looped = edge.get_with(HOST, "/x", &format!("CDN-Loop: {seen}\r\n"));
    assert_eq!(looped.status, 508, "{seen}");
    assert!(looped.header("x-request-id").is_some());
    assert_eq!(origin.fetches("/x"), 1);
}

/// A node whose parent is itself, or whose two nodes are each other's parents, ends at once.
#[test]
fn nodes_that_are_each_others_parents_answer_508_instead_of_going_round() {
    let origin = Origin::start();
    let site = || Site::any(&origin.url());
    let one = Node::edge(&NodeConfig::new("edge-1").site(site()));
    let two = Node::edge(
        &NodeConfig::new("edge-2").set("upstream", "parents", vec![one.url()]).site(site()),
    );
    let config = NodeConfig::new("edge-1").set("upstream", "origin_fallback", false);
    let config = config.set("upstream", "parents", vec![two.url()]).site(site());
    assert_eq!(one.reload(&config), selvedge_tests::node::Reload::Applied);
    let resp = one.get(HOST, "/x");
    assert!(matches!(resp.status, 508 | 502), "{}", resp.status);
    let requests = one.metrics().sum("selvedge_requests_total", &["site="]);
    assert!(requests <= 8.0, "{requests} requests");
    assert_eq!(origin.fetches("/x"), 0);
}

/// Several origins of a site: in order, the second one when the first is down, and back.
#[test]
fn the_second_origin_answers_while_the_first_is_down() {
    let first = Origin::start();
    let second = Origin::start();
    first.on("*", Answer::uncacheable("first"));
    second.on("*", Answer::uncacheable("second"));
    let site = Site::new("any", &["*"], &[&first.url(), &second.url()]);
    let config = NodeConfig::new("edge-1")
        .set("upstream", "mark_down", "100ms")
        .set("upstream", "mark_down_max", "200ms")
        .site(site);
    let edge = Node::edge(&config);
    assert_eq!(edge.get(HOST, "/x").text(), "first");
    let addr = first.addr().to_string();
    first.die();
    assert!(eventually(|| std::net::TcpStream::connect(&addr).is_err()));
    for _ in 0..10 {
        assert_eq!(edge.get(HOST, "/x").text(), "second", "no request fails");
    }
    let first = Origin::start_at(&addr, None);
    first.on("*", Answer::uncacheable("first"));
    assert!(eventually(|| edge.get(HOST, "/x").text() == "first"), "it is asked again");
}

/// Weighted origins share the requests as they should.
#[test]
fn weighted_origins_get_their_shares() {
    let heavy = Origin::start();
    let light = Origin::start();
    heavy.on("*", Answer::uncacheable("heavy"));
    light.on("*", Answer::uncacheable("light"));
    let origins = serde_json::json!([
        { "url": heavy.url(), "weight": 3 }, { "url": light.url(), "weight": 1 },
    ]);
    let site = Site::any(&heavy.url()).set("origin", origins).set("origin_policy", "weighted");
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
    for number in 0..200 {
        assert_eq!(edge.get(HOST, &format!("/{number}")).status, 200);
    }
    let share = heavy.requests().len();
    assert!((110..=185).contains(&share), "{share} of 200");
}
