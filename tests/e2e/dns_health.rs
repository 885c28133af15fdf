//! Nodes that die, drain, are busy and come back, and what clients are told meanwhile.

use crate::dns_support::{
    FakeEdge, answers, at, bare, is_in_state, opinion, site, thinks, watchful, with_edge,
};
use selvedge_tests::dns::{Query, Udp, addresses, kind};
use selvedge_tests::node::Reload;
use selvedge_tests::{Node, NodeConfig, Origin, eventually};
use std::net::Ipv4Addr;

const NAME: &str = "shop.cdn.test";
/// Sites beside it: of those some come back to a node that begins again with a small share.
const SITES: usize = 100;

/// Two nodes in Europe and one in America, and a server that watches them.
struct Rig {
    eu: [FakeEdge; 2],
    us: FakeEdge,
    server: Node,
}

fn rig_config(eu: &[FakeEdge; 2], us: &FakeEdge) -> NodeConfig {
    let many = (0..SITES).map(|number| site(&format!("site{number}")));
    let config = many.fold(watchful(bare()).site(site("shop")), NodeConfig::site);
    let config = with_edge(config, "eu-1", "eu", "198.18.1.1", &eu[0]);
    let config = with_edge(config, "eu-2", "eu", "198.18.1.2", &eu[1]);
    with_edge(config, "us-1", "us", "198.18.2.1", us)
}

impl Rig {
    fn start(more: impl FnOnce(NodeConfig) -> NodeConfig) -> Self {
        let (eu, us) = ([FakeEdge::start(), FakeEdge::start()], FakeEdge::start());
        let server = Node::dns(&more(rig_config(&eu, &us)));
        for node in ["eu-1", "eu-2", "us-1"] {
            thinks(&server, node, true);
        }
        answers(&server, NAME, &["198.18.1.1", "198.18.1.2"]);
        Self { eu, us, server }
    }
}

/// Waits until a node that was away is named again, for some sites: it begins with a small share.
#[track_caller]
fn is_back(server: &Node, address: &str) {
    let is_named = |number| addresses(at(server), &format!("site{number}.cdn.test"));
    let mut named = (0..SITES).cycle().map(is_named);
    let back = eventually(|| named.next().is_some_and(|it| it.iter().any(|it| it == address)));
    assert!(back, "{address}: {}", server.admin_get("/monitor").text());
}

/// Asks a node a number of times more.
#[track_caller]
fn asked_more(edge: &FakeEdge, times: usize) {
    let before = edge.asked();
    assert!(eventually(|| edge.asked() >= before + times), "{} {times}", edge.asked());
}

#[test]
fn a_node_that_fails_leaves_the_answers_and_comes_back() {
    let rig = Rig::start(|config| config.set("health", "fall", 3).set("health", "rise", 2));
    rig.eu[0].is_ill();
    answers(&rig.server, NAME, &["198.18.1.2"]);
    assert_eq!(opinion(&rig.server, "eu-1"), Some(false));
    rig.eu[0].is_idle();
    thinks(&rig.server, "eu-1", true);
    is_back(&rig.server, "198.18.1.1");
    rig.eu[0].says(200, "{ not the JSON that it should be");
    answers(&rig.server, NAME, &["198.18.1.2"]);
    thinks(&rig.server, "eu-1", false);
}

/// One bad answer between good ones is no failure, nor is one good one a recovery.
#[test]
fn it_takes_as_many_results_in_a_row_as_are_configured() {
    let rig = Rig::start(|config| config.set("health", "fall", 100).set("health", "rise", 100));
    rig.eu[0].is_ill();
    asked_more(&rig.eu[0], 5);
    assert_eq!(opinion(&rig.server, "eu-1"), Some(true), "not yet");
    rig.eu[0].is_idle();
    asked_more(&rig.eu[0], 2);
    assert_eq!(addresses(at(&rig.server), NAME), ["198.18.1.1", "198.18.1.2"]);
}

#[test]
fn a_node_that_dies_is_found_out_and_found_again_where_it_was() {
    let Rig { eu: [first, second], us, server } = Rig::start(|config| config);
    let address = first.origin.addr().to_string();
    first.origin.die();
    answers(&server, NAME, &["198.18.1.2"]);
    let first = FakeEdge { origin: Origin::start_at(&address, None) };
    first.is_idle();
    is_back(&server, "198.18.1.1");
    drop((first, second, us));
}

#[test]
fn a_node_that_drains_gets_nobody_new_and_is_not_taken_for_dead() {
    let rig = Rig::start(|config| config);
    rig.eu[0].is_not_ready("draining");
    answers(&rig.server, NAME, &["198.18.1.2"]);
    assert_eq!(opinion(&rig.server, "eu-1"), Some(true));
    is_in_state(&rig.server, NAME, "eu-1", "draining");
    rig.eu[0].is_idle();
    is_back(&rig.server, "198.18.1.1");
}

#[test]
fn a_region_without_nodes_that_are_up_is_taken_over_by_the_next() {
    let rig = Rig::start(|config| config);
    rig.eu[0].is_ill();
    rig.eu[1].is_not_ready("draining");
    answers(&rig.server, NAME, &["198.18.2.1"]);
    rig.eu[1].is_idle();
    is_in_state(&rig.server, NAME, "eu-2", "up");
}

/// Each node is in one state, and all states are told of each region.
#[test]
fn nodes_are_counted_by_their_states() {
    let rig = Rig::start(|config| config);
    let counted = |region: &str, state: &str, wanted: f64| {
        let labels = [format!("region=\"{region}\""), format!("state=\"{state}\"")];
        let [region, state] = [&*labels[0], &*labels[1]];
        let nodes = || rig.server.metrics().sum("selvedge_dns_nodes", &[region, state]);
        assert!(eventually(|| nodes() == wanted), "{region} {state}: {}", nodes());
    };
    counted("eu", "up", 2.0);
    counted("us", "up", 1.0);
    counted("ap", "up", 0.0);
    rig.eu[0].is_not_ready("control-lost");
    rig.eu[1].is_not_ready("draining");
    rig.us.is_ill();
    counted("eu", "control-lost", 1.0);
    counted("eu", "draining", 1.0);
    counted("us", "down", 1.0);
    counted("eu", "up", 0.0);
    assert_eq!(rig.server.metrics().sum("selvedge_dns_nodes", &[]), 3.0);
    rig.eu[0].is_idle();
    counted("eu", "control-lost", 0.0);
    counted("eu", "up", 1.0);
}

/// For as long as is configured; then where operators say, and back as soon as a node is up.
#[test]
fn when_no_node_has_been_up_for_long_the_fallback_is_answered() {
    let fallback = |config: NodeConfig| {
        config.set("health", "fallback", vec!["192.0.2.80"]).set("health", "last_good", "0s")
    };
    let rig = Rig::start(fallback);
    let edges = [&rig.eu[0], &rig.eu[1], &rig.us];
    edges.into_iter().for_each(FakeEdge::is_ill);
    answers(&rig.server, NAME, &["192.0.2.80"]);
    let config = fallback(rig_config(&rig.eu, &rig.us)).set("health", "last_good", "1h");
    assert_eq!(rig.server.reload(&config), Reload::Applied);
    answers(&rig.server, NAME, &["198.18.1.1", "198.18.1.2"]);
    assert_eq!(rig.server.reload(&fallback(rig_config(&rig.eu, &rig.us))), Reload::Applied);
    answers(&rig.server, NAME, &["192.0.2.80"]);
    edges.into_iter().for_each(FakeEdge::is_idle);
    // All at once: nobody begins with a small share.
    answers(&rig.server, NAME, &["198.18.1.1", "198.18.1.2"]);
}

/// Nobody is up: those who were up last are answered, never nothing. A server that sees nobody is
/// more likely cut off itself.
#[test]
fn when_no_node_is_up_those_that_were_last_are_answered() {
    let rig = Rig::start(|config| config);
    rig.eu[0].is_ill();
    answers(&rig.server, NAME, &["198.18.1.2"]);
    rig.eu[1].is_ill();
    rig.us.is_ill();
    thinks(&rig.server, "eu-2", false);
    thinks(&rig.server, "us-1", false);
    for edge in [&rig.eu[0], &rig.eu[1], &rig.us] {
        asked_more(edge, 3);
    }
    let last = addresses(at(&rig.server), NAME);
    assert!(last == ["198.18.1.2"] || last == ["198.18.2.1"], "{last:?}");
    rig.us.is_idle();
    answers(&rig.server, NAME, &["198.18.2.1"]);
    rig.eu[1].is_idle();
    is_in_state(&rig.server, NAME, "eu-2", "up");
}

/// They serve whoever comes: that is better than nothing.
#[test]
fn nodes_that_all_drain_are_answered_on() {
    let rig = Rig::start(|config| config);
    for (name, edge) in [("eu-1", &rig.eu[0]), ("eu-2", &rig.eu[1]), ("us-1", &rig.us)] {
        edge.is_not_ready("draining");
        is_in_state(&rig.server, NAME, name, "draining");
        assert!(!addresses(at(&rig.server), NAME).is_empty());
    }
}

/// Of how many of 200 client networks a server sends to Europe.
fn in_europe(server: &Node) -> u32 {
    let socket = Udp::to(at(server));
    let to_europe = |client: u32| {
        let client = Ipv4Addr::from_bits(0x0a00_0000 | ((client * 7919) << 8)).to_string();
        let reply = socket.ask(&Query::new(NAME, kind::A).subnet(&client, 24));
        let first = reply.addresses()[0].to_string();
        u32::from(first.starts_with("198.18.1."))
    };
    (0..200).map(to_europe).sum()
}

/// A busy region sheds some of its clients to another, not all, and takes them back.
#[test]
fn a_busy_region_sends_part_of_its_clients_to_the_next() {
    let rig = Rig::start(|config| config);
    assert_eq!(in_europe(&rig.server), 200);
    rig.us.is_busy(0.05);
    for edge in &rig.eu {
        edge.is_busy(0.99);
    }
    let mut stay = 0;
    let shed = eventually(|| {
        stay = in_europe(&rig.server);
        stay <= 190
    });
    assert!(shed && stay > 0, "{stay} of 200 stay: {}", rig.server.admin_get("/monitor").text());
    assert_eq!(opinion(&rig.server, "eu-1"), Some(true), "busy is not down");
}

/// Two servers that watch the same nodes and each other.
#[test]
fn a_server_that_alone_cannot_reach_a_node_does_not_take_it_out() {
    let (eu, us) = ([FakeEdge::start(), FakeEdge::start()], FakeEdge::start());
    let config = rig_config(&eu, &us);
    let other = Node::dns(&config);
    // What this one sees of the first node is out of order: an address that nobody listens at.
    let nobody = FakeEdge::start();
    let blind = watchful(bare()).site(site("shop"));
    let blind = with_edge(blind, "eu-1", "eu", "198.18.1.1", &nobody);
    let blind = with_edge(blind, "eu-2", "eu", "198.18.1.2", &eu[1]);
    let blind = with_edge(blind, "us-1", "us", "198.18.2.1", &us);
    let monitor = format!("http://{}", other.admin());
    let server = Node::dns(&blind.set("dns", "monitors", vec![monitor]));
    thinks(&other, "eu-1", true);
    thinks(&server, "eu-1", true);
    nobody.is_ill();
    thinks(&server, "eu-1", false);
    asked_more(&nobody, 4);
    assert_eq!(addresses(at(&server), NAME), ["198.18.1.1", "198.18.1.2"], "the other sees it");
    eu[0].is_ill();
    answers(&server, NAME, &["198.18.1.2"]);
}

#[test]
fn a_server_that_sees_no_node_at_all_does_not_vote() {
    let (eu, us) = ([FakeEdge::start(), FakeEdge::start()], FakeEdge::start());
    let other = Node::dns(&rig_config(&eu, &us));
    let dead = [FakeEdge::start(), FakeEdge::start(), FakeEdge::start()];
    dead.iter().for_each(FakeEdge::is_ill);
    let [first, second, third] = &dead;
    let blind = watchful(bare()).site(site("shop"));
    let blind = with_edge(blind, "eu-1", "eu", "198.18.1.1", first);
    let blind = with_edge(blind, "eu-2", "eu", "198.18.1.2", second);
    let blind = with_edge(blind, "us-1", "us", "198.18.2.1", third);
    let monitor = format!("http://{}", other.admin());
    let server = Node::dns(&blind.set("dns", "monitors", vec![monitor]));
    for node in ["eu-1", "eu-2", "us-1"] {
        thinks(&server, node, false);
        thinks(&other, node, true);
    }
    answers(&server, NAME, &["198.18.1.1", "198.18.1.2"]);
    eu[0].is_ill();
    answers(&server, NAME, &["198.18.1.2"]);
}
