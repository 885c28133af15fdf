//! The flash crowd (threats 25 and 36): ten thousand clients, one cold object, one origin fetch;
//! and when the answer is not for sharing, nobody waits in line.

use crate::support::{HOST, alone, edge};
use selvedge_tests::crowd::{Crowd, CrowdOrigin, runtime, rush};
use selvedge_tests::tools::raise_file_limit;
use selvedge_tests::{Answer, Client, Gate, Node, NodeConfig, Site, eventually};

const REQUEST: &str = "GET /flash HTTP/1.1\r\nHost: www.shop.test\r\nConnection: close\r\n\r\n";
const CLIENTS: usize = 10_000;
/// Descriptors the test process needs beside those of the clients.
const SPARE_FILES: usize = 1000;

/// Two edges, one parent, one origin that speaks to crowds.
struct House {
    edges: [Node; 2],
    parent: Node,
    origin: CrowdOrigin,
}

impl House {
    fn build(origin: CrowdOrigin) -> Self {
        let patient = |name: &str| {
            NodeConfig::new(name)
                .set("log", "access", "off")
                .set("limits", "header_timeout", "5m")
                .set("limits", "keepalive_timeout", "5m")
                .set("upstream", "connections_max", 60_000)
                .set("upstream", "connect_timeout", "2m")
                .set("upstream", "first_byte_timeout", "5m")
                .set("upstream", "idle_timeout", "5m")
                .set("upstream", "health_interval", "0s")
                .site(Site::any(&origin.url()))
        };
        let parent = Node::parent(&patient("parent-1"));
        let edge =
            |name: &str| Node::edge(&patient(name).set("upstream", "parents", vec![parent.url()]));
        Self { edges: [edge("edge-1"), edge("edge-2")], parent, origin }
    }

    fn rush(&self, clients: usize, body: &'static [u8]) -> Crowd {
        let nodes = self.edges.each_ref().map(Node::http);
        runtime().block_on(rush(&nodes, clients, REQUEST, body))
    }

    /// Over both edges.
    fn sum(&self, metric: &str) -> f64 {
        self.edges.iter().map(|edge| edge.metrics().sum(metric, &[])).sum()
    }
}

/// The origin holds its answer until every client waits at an edge: all of them join one fill.
#[test]
fn ten_thousand_clients_on_a_cold_object_cost_one_origin_fetch() {
    let _alone = alone();
    let files = raise_file_limit(65_536) as usize;
    let clients = CLIENTS.min(files.saturating_sub(SPARE_FILES));
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=600\r\n\r\nflash";
    let house = House::build(CrowdOrigin::start(answer, &[], usize::MAX));
    let crowd = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| house.rush(clients, b"flash"));
        let all = (clients - house.edges.len()) as f64;
        let waiting = eventually(|| house.sum("selvedge_store_fill_joins_total") >= all);
        house.origin.open();
        let crowd = crowd.join().expect("the crowd comes home");
        assert!(waiting, "{} joined", house.sum("selvedge_store_fill_joins_total"));
        crowd
    });
    assert_eq!(crowd.good, clients, "{:?}", crowd.bad);
    assert_eq!(house.origin.fetches(), 1);
    assert_eq!(house.sum("selvedge_fills_total") as u64, 2, "one fill at each edge");
    let fills = house.parent.metrics().sum("selvedge_fills_total", &[]);
    assert_eq!(fills as u64, 1, "one fill at the parent");
}

/// The origin answers the first request of each edge, then holds all others until every one of
/// them is there: if anything served them one after the other, the gate would never open.
#[test]
fn nobody_waits_in_line_for_an_answer_that_cannot_be_shared() {
    let _alone = alone();
    let files = raise_file_limit(65_536) as usize;
    // A parent holds two descriptors for each client, and so does this process.
    let clients = CLIENTS.min(files.saturating_sub(SPARE_FILES) / 2);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: no-store\r\n\r\nmine";
    let house = House::build(CrowdOrigin::start(answer, &["edge-1", "edge-2"], clients - 2));
    let crowd = house.rush(clients, b"mine");
    assert_eq!(crowd.good, clients, "{:?}", crowd.bad);
    assert_eq!(house.origin.fetches(), clients);
    assert_eq!(house.origin.held_max(), clients - 2, "all were in flight at the same time");
}

/// A client that leaves does not take the fill with it.
#[test]
fn a_fill_belongs_to_its_object_and_not_to_the_client_that_began_it() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    origin.on("/left", Answer::cacheable("whole", 600).body_gate(&gate));
    let mut first = Client::http(edge.http());
    first.send(format!("GET /left HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(1));
    let mut second = Client::http(edge.http());
    second.send(format!("GET /left HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(eventually(|| edge.metrics().sum("selvedge_store_fill_joins_total", &[]) >= 1.0));
    first.reset();
    gate.open();
    assert_eq!(second.read("GET").expect("an answer").text(), "whole");
    // A reader on another worker may have the last byte a moment before the object is stored.
    assert!(eventually(|| edge.metrics().sum("selvedge_fills_stored_total", &[]) >= 1.0));
    assert!(edge.get(HOST, "/left").is_hit("edge-1"));
    assert_eq!(origin.fetches("/left"), 1);
}

/// The same when nobody is left: what was paid for is kept.
#[test]
fn a_fill_whose_clients_all_left_is_finished_and_stored() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    origin.on("/left", Answer::cacheable("whole", 600).body_gate(&gate));
    let mut only = Client::http(edge.http());
    only.send(format!("GET /left HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(1));
    only.reset();
    gate.open();
    assert!(eventually(|| edge.metrics().sum("selvedge_fills_stored_total", &[]) >= 1.0));
    assert!(edge.get(HOST, "/left").is_hit("edge-1"));
    assert_eq!(origin.fetches("/left"), 1);
}

/// A body is passed on while it arrives, to the first client and to those that join.
#[test]
fn a_body_is_streamed_to_everyone_while_it_arrives() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let steps = vec![
        selvedge_tests::answer::Step::Send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 10\r\n\r\nfirst"
                .into(),
        ),
        selvedge_tests::answer::Step::Wait(gate.clone()),
        selvedge_tests::answer::Step::Send(b"later".into()),
    ];
    origin.on("/slow", Answer::steps(steps));
    let mut clients: Vec<Client> = (0..3).map(|_| Client::http(edge.http())).collect();
    for client in &mut clients {
        client.send(format!("GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        let mut got = String::new();
        while !got.ends_with("first") {
            let piece = client.read_some();
            assert!(!piece.is_empty(), "{got}");
            got.push_str(&String::from_utf8_lossy(&piece));
        }
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read_exactly(5).expect("the rest"), b"later");
    }
    assert_eq!(origin.fetches("/slow"), 1);
}

/// A refused or failing origin meets one attempt for a crowd, not one for each.
#[test]
fn a_crowd_on_a_failing_origin_is_no_stampede() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    origin.on(
        "/bad",
        Answer::steps(vec![
            selvedge_tests::answer::Step::Wait(gate.clone()),
            selvedge_tests::answer::Step::Reset,
        ]),
    );
    let mut clients: Vec<Client> = (0..200).map(|_| Client::http(edge.http())).collect();
    for client in &mut clients {
        client.send(format!("GET /bad HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    let joins = || edge.metrics().sum("selvedge_store_fill_joins_total", &[]);
    assert!(eventually(|| joins() >= 199.0), "{}", joins());
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read("GET").expect("an answer").status, 502);
    }
    assert!(origin.fetches("/bad") <= 4, "{} fetches", origin.fetches("/bad"));
}

/// Clients that come just when a fill ends find what it stored, or join it; none of them begins
/// another one.
#[test]
fn nobody_fetches_again_what_has_just_been_stored() {
    let (origin, edge) = edge();
    origin.on("*", Answer::cacheable("fresh", 600));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::http(edge.http());
                for number in 0..500 {
                    assert_eq!(client.get(HOST, &format!("/o{number}"), "").text(), "fresh");
                }
            });
        }
    });
    let twice: Vec<usize> =
        (0..500).filter(|number| origin.fetches(&format!("/o{number}")) != 1).collect();
    assert!(twice.is_empty(), "fetched more than once: {twice:?}");
}
