//! What most tests of the DNS server begin with: a zone, three regions and their nodes.

use selvedge_tests::{Answer, Node, NodeConfig, Origin, Site, eventually};
use serde_json::json;
use std::net::SocketAddr;

/// The file of the zone `cdn.test`, of which `shop` is a site.
pub(crate) const ZONE: &str = include_str!("dns.zone");

/// A client that the fixture says is in Berlin; one in Oakland, one in Oakland with an operator of
/// rules of its own, one in Lisbon, and one that nothing is known of.
pub(crate) const BERLIN: &str = "192.0.2.7";
pub(crate) const OAKLAND: &str = "198.51.100.7";
pub(crate) const OPERATOR: &str = "198.18.200.7";
pub(crate) const LISBON: &str = "203.0.113.7";
pub(crate) const NOBODY: &str = "10.9.8.7";

/// Where the fixtures of places are.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/geo/");
    std::fs::read(format!("{file}{name}")).expect("the fixture is there")
}

/// A site that DNS servers know: nothing is fetched in these tests.
pub(crate) fn site(name: &str) -> Site {
    Site::new(name, &[&format!("{name}.test")], &["http://127.0.0.1:9"])
}

/// A server of `cdn.test` with regions in Europe, America and Asia, and no node in them.
pub(crate) fn bare() -> NodeConfig {
    NodeConfig::dns("dns-1")
        .set("dns", "rate", 0)
        .file("cdn.zone", ZONE)
        .table("zone", json!({ "name": "cdn.test", "file": "cdn.zone", "sites": true }))
        .table(
            "region",
            json!({
                "name": "eu", "latitude": 50.1, "longitude": 8.7, "countries": ["DE"],
                "fallback": ["us"],
            }),
        )
        .table(
            "region",
            json!({
                "name": "us", "latitude": 37.3, "longitude": -121.9, "continents": ["NA"],
            }),
        )
        .table(
            "region",
            json!({
                "name": "ap", "latitude": 35.7, "longitude": 139.7, "operators": [64500],
            }),
        )
}

/// The same with nodes that count as up: two in `eu`, two in `us`, one in `ap`.
pub(crate) fn config() -> NodeConfig {
    let node = |config: NodeConfig, name: &str, region: &str, addresses: &[&str]| {
        config.table("edge", json!({ "name": name, "region": region, "addresses": addresses }))
    };
    let config = node(bare(), "eu-1", "eu", &["198.18.1.1", "2001:db8:e::1"]);
    let config = node(config, "eu-2", "eu", &["198.18.1.2", "2001:db8:e::2"]);
    let config = node(config, "us-1", "us", &["198.18.2.1", "2001:db8:a::1"]);
    let config = node(config, "us-2", "us", &["198.18.2.2"]);
    node(config, "ap-1", "ap", &["198.18.3.1"]).site(site("shop").set("dns_https", true))
}

/// The same with the database of the fixture.
pub(crate) fn placed() -> NodeConfig {
    config().set("dns", "mmdb", "clients.mmdb").file("clients.mmdb", fixture("clients.mmdb"))
}

/// All addresses of a region.
pub(crate) const EU: [&str; 2] = ["198.18.1.1", "198.18.1.2"];
pub(crate) const US: [&str; 2] = ["198.18.2.1", "198.18.2.2"];
pub(crate) const AP: [&str; 1] = ["198.18.3.1"];

/// Where a server answers.
pub(crate) fn at(server: &Node) -> SocketAddr {
    server.address("dns")
}

/// A node that is asked how it is and answers what it is told to.
#[derive(Debug)]
pub(crate) struct FakeEdge {
    pub(crate) origin: Origin,
}

impl FakeEdge {
    /// One that is well and idle.
    pub(crate) fn start() -> Self {
        let edge = Self { origin: Origin::start() };
        edge.is_idle();
        edge
    }

    /// It takes traffic and has nothing to do.
    pub(crate) fn is_idle(&self) {
        self.is_busy(0.0);
    }

    /// It takes traffic and is so busy.
    pub(crate) fn is_busy(&self, cpu: f64) {
        let vitals = json!({ "node": "fake", "ready": true, "load": { "cpu": cpu } });
        self.says(200, &vitals.to_string());
    }

    /// It takes none, for this reason.
    pub(crate) fn is_not_ready(&self, why: &str) {
        let load = json!({ "cpu": 0.0 });
        let vitals = json!({ "node": "fake", "ready": false, "why": why, "load": load });
        self.says(503, &vitals.to_string());
    }

    /// It is out of order.
    pub(crate) fn is_ill(&self) {
        self.says(500, "out of order");
    }

    /// Any answer.
    pub(crate) fn says(&self, status: u16, body: &str) {
        self.origin.on("/health", Answer::new(status).body(body));
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.origin.fetches("/health")
    }
}

/// Asked often, changed quickly: tests wait for what follows.
pub(crate) fn watchful(config: NodeConfig) -> NodeConfig {
    config.set("health", "interval", "100ms").set("health", "timeout", "2s")
}

/// Adds a node that is asked.
pub(crate) fn with_edge(
    config: NodeConfig,
    name: &str,
    region: &str,
    address: &str,
    edge: &FakeEdge,
) -> NodeConfig {
    config.table(
        "edge",
        json!({
            "name": name, "region": region, "addresses": [address], "health": edge.origin.url(),
        }),
    )
}

/// What a server thinks of the nodes.
pub(crate) fn opinion(server: &Node, node: &str) -> Option<bool> {
    let text = server.admin_get("/monitor").text();
    let opinion: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    opinion["up"][node].as_bool()
}

/// Waits until a server thinks so of a node.
#[track_caller]
pub(crate) fn thinks(server: &Node, node: &str, up: bool) {
    let thinks = eventually(|| opinion(server, node) == Some(up));
    assert!(thinks, "{node}: {}", server.admin_get("/monitor").text());
}

/// Waits until a site is answered with exactly these addresses, for loopback. Until then it is
/// answered with others, never with none.
#[track_caller]
pub(crate) fn answers(server: &Node, name: &str, expected: &[&str]) {
    let never_none = |last: &[String]| assert!(!last.is_empty(), "an answer is never empty");
    becomes(server, name, expected, never_none);
}

/// The same for a site that may be new.
#[track_caller]
pub(crate) fn appears(server: &Node, name: &str, expected: &[&str]) {
    becomes(server, name, expected, |_| {});
}

#[track_caller]
fn becomes(server: &Node, name: &str, expected: &[&str], check: impl Fn(&[String])) {
    let mut last = Vec::new();
    let right = eventually(|| {
        last = selvedge_tests::dns::addresses(at(server), name);
        check(&last);
        last == expected
    });
    assert!(right, "{name} is {last:?}, not {expected:?}");
}

/// Waits until a server says of a node that it is in a state.
#[track_caller]
pub(crate) fn is_in_state(server: &Node, site: &str, node: &str, state: &str) {
    let path = format!("/explain?name={site}&client=10.0.0.1");
    let is_so = eventually(|| {
        let told = server.admin_get(&path).text();
        let told: serde_json::Value = serde_json::from_str(&told).expect("an explanation is JSON");
        let nodes = told["explanation"]["nodes"].as_array().expect("a list");
        nodes.iter().any(|it| it["name"] == node && it["state"] == state)
    });
    assert!(is_so, "{node} {state}: {}", server.admin_get(&path).text());
}

/// How many queries came to this.
pub(crate) fn came_to(server: &Node, reason: &str) -> u64 {
    let label = format!("reason=\"{reason}\"");
    server.metrics().sum("selvedge_dns_queries_total", &[&label]) as u64
}
