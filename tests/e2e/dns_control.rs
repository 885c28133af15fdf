//! A DNS server that follows control: sites and nodes come from there, and stay without it.

use crate::dns_support::{answers, appears, at, bare, is_in_state, watchful};
use selvedge_tests::api::Api;
use selvedge_tests::clock::FakeClock;
use selvedge_tests::dns::{Query, Udp, addresses, kind};
use selvedge_tests::tools::free_port;
use selvedge_tests::{Node, NodeConfig, Origin, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

const NAME: &str = "shop.cdn.test";

/// A control and who follows it; it ends in the order in which it is written here.
struct Rig {
    server: Node,
    edges: Vec<Node>,
    control: Node,
    api: Api,
    origin: Origin,
    config: NodeConfig,
    _folders: Vec<TempDir>,
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn following(config: NodeConfig, control: &Node, token: &str, state: &TempDir) -> NodeConfig {
    let file = state.path().join("join.token");
    std::fs::write(&file, token).expect("the folder can be written");
    config
        .set("control", "url", control.url())
        .set("control", "token_file", file.display().to_string())
        .set("control", "state", state.path().display().to_string())
        .set("control", "lag_max", "1s")
}

/// An edge that says where clients reach it and where it is asked how it is.
fn edge(name: &str, region: &str, address: &str) -> NodeConfig {
    let admin = free_port();
    NodeConfig::new(name)
        .set("admin", "listen", admin.to_string())
        .set("control", "health", format!("http://{admin}"))
        .set("control", "addresses", vec![address])
        .set("control", "region", region)
}

impl Rig {
    /// A control, the DNS server before there is any node, and then two edges.
    fn start() -> Self {
        let mut folders: Vec<_> = (0..4).map(|_| folder()).collect();
        let origin = Origin::start();
        let data = folders[0].path().display().to_string();
        let control = Node::control(&NodeConfig::new("control").set("data", "folder", data));
        let api = Api::in_folder(&control, folders[0].path());
        let token = api.join_token(3);
        let listen = vec![free_port().to_string()];
        let config = watchful(bare()).set("dns", "listen", listen);
        let config = following(config, &control, &token, &folders[1]);
        let server = Node::dns(&config);
        let edges = [("eu-1", "198.18.1.1"), ("eu-2", "198.18.1.2")]
            .into_iter()
            .zip(&mut folders[2..])
            .map(|((name, address), state)| {
                Node::edge(&following(edge(name, "eu", address), &control, &token, state))
            })
            .collect();
        Self { server, edges, control, api, origin, config, _folders: folders }
    }

    fn put(&self, site: &str, more: Value) {
        let mut document =
            json!({ "hosts": [format!("{site}.test")], "origin": [self.origin.url()] });
        for (key, value) in more.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
        self.api.done("PUT", &format!("/v1/sites/{site}"), &document);
    }

    /// The code that a name is answered with comes to be this.
    #[track_caller]
    fn comes_to(&self, name: &str, rcode: u16) {
        let socket = Udp::to(at(&self.server));
        let mut last = 0;
        let right = eventually(|| {
            last = socket.ask(&Query::new(name, kind::A)).rcode();
            last == rcode
        });
        assert!(right, "{name}: {last}, not {rcode}");
    }
}

#[test]
fn sites_and_nodes_of_control_are_answered_and_leave_with_it_saying_so() {
    let rig = Rig::start();
    rig.comes_to(NAME, 3);
    rig.put("shop", json!({}));
    appears(&rig.server, NAME, &["198.18.1.1", "198.18.1.2"]);
    rig.put("quick", json!({ "dns_ttl": "5s", "dns_answers": 1 }));
    rig.comes_to("quick.cdn.test", 0);
    let quick = Udp::to(at(&rig.server)).ask(&Query::new("quick.cdn.test", kind::A));
    assert_eq!((quick.answer.len(), quick.answer[0].ttl), (1, 5));
    let intent = |word: &str| {
        rig.api.done("PUT", "/v1/nodes/eu-1/intent", &json!({ "intent": word }));
    };
    intent("draining");
    answers(&rig.server, NAME, &["198.18.1.2"]);
    assert!(eventually(|| rig.edges[0].admin_get("/health").status == 503));
    let health = rig.edges[0].admin_get("/health");
    let vitals: Value = serde_json::from_str(&health.text()).expect("it is JSON");
    assert_eq!((&vitals["ready"], &vitals["why"]), (&json!(false), &json!("draining")));
    intent("online");
    is_in_state(&rig.server, NAME, "eu-1", "up");
    rig.api.done("DELETE", "/v1/sites/shop", &Value::Null);
    rig.comes_to(NAME, 3);
    rig.api.done("DELETE", "/v1/nodes/eu-1", &Value::Null);
    answers(&rig.server, "quick.cdn.test", &["198.18.1.2"]);
}

/// Control is killed and stays away, and the DNS server is killed too, and started again a day
/// later: it answers what it knew.
#[test]
fn a_server_that_starts_without_control_answers_what_it_knew() {
    let mut rig = Rig::start();
    rig.put("shop", json!({}));
    appears(&rig.server, NAME, &["198.18.1.1", "198.18.1.2"]);
    rig.control.kill();
    let lost = |edge: &Node| edge.admin_get("/health").text().contains("control-lost");
    assert!(
        eventually(|| rig.edges.iter().all(lost)),
        "{}",
        rig.edges[0].admin_get("/health").text()
    );
    for node in ["eu-1", "eu-2"] {
        is_in_state(&rig.server, NAME, node, "up");
    }
    assert!(!addresses(at(&rig.server), NAME).is_empty());
    assert!(eventually(|| rig.server.admin_get("/readyz").status == 503));
    rig.server.kill();
    let tomorrow = FakeClock::right();
    tomorrow.step_to(86_400);
    rig.server = Node::dns_by_clock(&rig.config, &tomorrow);
    answers(&rig.server, NAME, &["198.18.1.1", "198.18.1.2"]);
    rig.edges[0].kill();
    answers(&rig.server, NAME, &["198.18.1.2"]);
}

/// What a DNS server asks edges for.
#[test]
fn an_edge_says_how_it_is() {
    let origin = Origin::start();
    let edge = Node::edge(&crate::support::edge_config(&origin));
    let health = edge.admin_get("/health");
    assert_eq!((health.status, health.header("content-type")), (200, Some("application/json")));
    let vitals: Value = serde_json::from_str(&health.text()).expect("it is JSON");
    assert_eq!((&vitals["node"], &vitals["ready"]), (&json!("edge-1"), &json!(true)), "{vitals}");
    for figure in ["cpu", "bandwidth", "connections", "disk"] {
        let share = vitals["load"][figure].as_f64().expect("a number");
        assert!((0.0..=2.0).contains(&share), "{figure} {share}");
    }
}
