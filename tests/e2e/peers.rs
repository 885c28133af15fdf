//! Edges of one region as peers: a miss first asks the peer that owns the key, then goes up, and
//! never twice through the same node.

use crate::support::{HOST, becomes, site_count};
use selvedge_tests::node::Reload;
use selvedge_tests::{Answer, Node, NodeConfig, Origin, Site, eventually};

/// Edges that know one another, and what is behind them.
pub(crate) struct Region {
    pub(crate) edges: Vec<Node>,
    pub(crate) origin: Origin,
}

impl Region {
    /// Ports are known only after the start, so the list of peers comes with a reload.
    pub(crate) fn build(count: usize, configure: impl Fn(NodeConfig) -> NodeConfig) -> Self {
        let origin = Origin::start();
        origin.on("*", Answer::cacheable("x", 600));
        let config = |number: usize| {
            let config = NodeConfig::new(&format!("edge-{}", number + 1))
                .set("upstream", "health_interval", "100ms")
                .set("upstream", "mark_down", "100ms")
                .set("upstream", "mark_down_max", "200ms");
            configure(config.site(Site::any(&origin.url())))
        };
        let edges: Vec<Node> = (0..count).map(|number| Node::edge(&config(number))).collect();
        let urls: Vec<String> = edges.iter().map(Node::url).collect();
        for (number, edge) in edges.iter().enumerate() {
            let config = config(number).set("upstream", "peers", urls.clone()).set(
                "upstream",
                "self",
                urls[number].as_str(),
            );
            assert_eq!(edge.reload(&config), Reload::Applied);
        }
        Self { edges, origin }
    }

    /// A path that this edge asks another for.
    fn foreign(&self, asker: usize) -> String {
        let edge = &self.edges[asker];
        (0..1000)
            .map(|number| format!("/probe-{asker}-{number}"))
            .find(|path| {
                let status = edge.get(HOST, path).joined("cache-status");
                status.matches("edge-").count() > 1
            })
            .expect("a peer owns something")
    }
}

/// Whatever edge is asked, the origin is asked once, by the owner.
#[test]
fn a_region_fetches_each_object_once() {
    let region = Region::build(3, |config| config);
    for number in 0..30 {
        for edge in &region.edges {
            assert_eq!(edge.get(HOST, &format!("/o{number}")).status, 200);
        }
    }
    assert_eq!(region.origin.requests().len(), 30);
    let from_peers: u64 = region.edges.iter().map(|edge| site_count(edge, "peer_requests")).sum();
    assert!((30..=60).contains(&from_peers), "{from_peers}");
    for seen in region.origin.requests() {
        let record = seen.all("cdn-loop").collect::<Vec<_>>().join(", ");
        assert!(record.matches("selvedge").count() <= 2, "{record}");
    }
}

/// The asking edge keeps a copy or not, as the setting says.
#[test]
fn whether_the_asking_edge_keeps_a_copy_is_a_setting() {
    for copy in [true, false] {
        let region = Region::build(2, |config| config.set("upstream", "peer_copy", copy));
        let path = region.foreign(0);
        for _ in 0..3 {
            let again = region.edges[0].get(HOST, &path);
            assert_eq!(again.is_hit("edge-1"), copy, "{:?}", again.headers);
            assert!(copy || again.is_hit("edge-2"), "{:?}", again.headers);
        }
        assert_eq!(region.origin.fetches(&path), 1);
    }
}

/// A peer that dies is skipped, and the region goes on.
#[test]
fn a_dead_peer_costs_nobody_an_answer() {
    let mut region = Region::build(2, |config| config);
    let path = region.foreign(0);
    region.edges[1].kill();
    for number in 0..20 {
        let resp = region.edges[0].get(HOST, &format!("/after-{number}"));
        assert_eq!(resp.status, 200, "{}", resp.text());
    }
    assert_eq!(region.edges[0].get(HOST, &path).status, 200);
}

/// An edge that is asked by a peer asks the origin, and no peer again, even when the two disagree
/// about who owns what.
#[test]
fn a_peer_that_is_asked_never_asks_another_peer() {
    let region = Region::build(2, |config| config);
    let hop = "CDN-Loop: selvedge; node=\"edge-9\"; hop=peer\r\n";
    for number in 0..20 {
        let path = format!("/told-{number}");
        let resp = region.edges[0].get_with(HOST, &path, hop);
        assert_eq!(resp.status, 200);
        let status = resp.joined("cache-status");
        assert_eq!(status.split(", ").count(), 1, "only this edge: {status}");
    }
    becomes(0, "requests at the other peer", || site_count(&region.edges[1], "peer_requests"));
}

/// With parents above: peer, then parent, then origin; each at most once.
#[test]
fn a_miss_goes_to_the_peer_then_to_the_parent_then_to_the_origin() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("x", 600));
    let parent = Node::parent(&NodeConfig::new("parent-1").site(Site::any(&origin.url())));
    let parents = vec![parent.url()];
    let region = Region::build(2, |config| config.set("upstream", "parents", parents.clone()));
    let path = region.foreign(0);
    let seen = origin.last(&path).all("cdn-loop").collect::<Vec<_>>().join(", ");
    let order: Vec<usize> = ["edge-1", "edge-2", "parent-1"]
        .iter()
        .map(|name| seen.find(name).unwrap_or(usize::MAX))
        .collect();
    assert!(order.is_sorted() && order[2] != usize::MAX, "{seen}");
    assert!(region.origin.requests().is_empty(), "only the parent asks the origin");
    assert_eq!(origin.fetches(&path), 1);
}

/// Threat 36 in a region: a crowd at every edge is one fetch.
#[test]
fn a_crowd_at_every_peer_is_one_origin_fetch() {
    let region = Region::build(2, |config| config);
    let gate = selvedge_tests::Gate::shut();
    region.origin.on("/crowd", Answer::cacheable("x", 600).gate(&gate));
    let mut clients: Vec<_> = (0..100)
        .map(|number| selvedge_tests::Client::http(region.edges[number % 2].http()))
        .collect();
    for client in &mut clients {
        client.send(format!("GET /crowd HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    let joins = || -> f64 {
        region.edges.iter().map(|e| e.metrics().sum("selvedge_store_fill_joins_total", &[])).sum()
    };
    assert!(eventually(|| joins() >= 98.0), "{}", joins());
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read("GET").expect("an answer").status, 200);
    }
    assert_eq!(region.origin.fetches("/crowd"), 1);
}
