//! Too few descriptors (threat 43): accepting pauses, what is open is served, and it recovers.

use crate::support::{HOST, edge_config};
use selvedge_tests::{Answer, Client, Node, Origin, eventually};

/// More clients than descriptors. The first one is served all the time, nothing spins, and when
/// the others leave, new ones are served again.
#[test]
fn running_out_of_descriptors_harms_only_those_who_come_too_late() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("hot", 600));
    let edge = Node::edge_with_files(&edge_config(&origin), 64);
    let mut first = Client::http(edge.http());
    assert_eq!(first.get(HOST, "/hot", "").text(), "hot");
    let crowd: Vec<Client> = (0..200).map(|_| Client::http(edge.http())).collect();
    assert!(eventually(|| edge.files_open() >= 62), "{} are open", edge.files_open());
    let before = edge.cpu_ticks();
    for _ in 0..200 {
        assert_eq!(first.get(HOST, "/hot", "").text(), "hot");
    }
    let began = std::time::Instant::now();
    assert!(eventually(|| began.elapsed().as_millis() > 1000));
    let ticks = edge.cpu_ticks() - before;
    assert!(ticks < 60, "{ticks} ticks of processor time: it spins");
    drop(crowd);
    let mut late = Client::http(edge.http());
    assert_eq!(late.get(HOST, "/hot", "").text(), "hot", "it recovers");
    let backoffs = edge.metrics().sum("selvedge_accept_backoffs_total", &[]);
    assert!(backoffs >= 1.0, "{backoffs}");
}

/// The node's own limit of connections: those beyond it wait or are closed, and come in later.
#[test]
fn more_clients_than_connections_allowed_do_not_harm_those_inside() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("hot", 600));
    let edge = Node::edge(&edge_config(&origin).set("limits", "connections", 20));
    let mut first = Client::http(edge.http());
    assert_eq!(first.get(HOST, "/hot", "").text(), "hot");
    let crowd: Vec<Client> = (0..60).map(|_| Client::http(edge.http())).collect();
    for _ in 0..50 {
        assert_eq!(first.get(HOST, "/hot", "").text(), "hot");
    }
    assert!(edge.files_open() < 80, "{} are open", edge.files_open());
    drop(crowd);
    assert!(eventually(|| {
        let mut late = Client::http(edge.http());
        late.try_request(&format!("GET /hot HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).is_ok()
    }));
}
