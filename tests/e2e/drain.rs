//! SIGTERM (threat 50): what runs is finished, what is new goes elsewhere, the process ends well.

use crate::support::{HOST, edge_config};
use selvedge_tests::answer::{Step, pattern_bytes};
use selvedge_tests::h2::{Ending, H2};
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Client, Gate, Node, NodeConfig, Origin, Site, eventually};

const LENGTH: usize = 300_000;

/// Ten answers are on their way when the signal comes; all arrive whole, and then the process ends.
#[test]
fn a_stop_truncates_nothing_and_refuses_new_work() {
    let origin = Origin::start();
    let gate = Gate::shut();
    let body = pattern_bytes(LENGTH);
    origin.on("*", Answer::uncacheable("").body(body.clone()).body_gate(&gate));
    let mut edge = Node::edge(&edge_config(&origin).set("node", "drain_timeout", "60s"));
    let mut idle = Client::http(edge.http());
    let mut running: Vec<Client> = (0..10).map(|_| Client::http(edge.http())).collect();
    for (number, client) in running.iter_mut().enumerate() {
        client.send(format!("GET /run-{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    assert!(gate.reached_by(10));
    assert_eq!(edge.admin_get("/readyz").status, 200);
    edge.signal(rustix::process::Signal::TERM);
    assert!(eventually(|| edge.admin_get("/readyz").status == 503), "not ready while draining");
    assert_eq!(edge.admin_get("/livez").status, 200);
    assert!(idle.is_closed(), "an idle connection is closed");
    assert!(
        eventually(|| Client::try_http(edge.http()).is_err()),
        "nobody accepts new connections"
    );
    gate.open();
    for client in &mut running {
        let resp = client.read("GET").expect("a whole answer");
        assert_eq!(resp.body.len(), LENGTH);
        assert!(resp.body == body, "the bytes are right");
        assert!(client.is_closed(), "and then the connection ends");
    }
    let status = edge.wait();
    assert!(status.success(), "{status:?}");
}

/// HTTP/2 clients are told with GOAWAY, and what they had asked for is still answered.
#[test]
fn http_2_clients_get_a_goaway_and_their_answers() {
    let origin = Origin::start();
    let gate = Gate::shut();
    origin.on("/slow", Answer::uncacheable("at last").body_gate(&gate));
    let authority = Authority::new();
    let config = edge_config(&origin).certificate(&authority.issue(&[HOST]));
    let mut edge = Node::edge(&config.set("node", "drain_timeout", "60s"));
    let mut client = H2::connect(edge.https(), HOST, &authority, &[]);
    client.get(1, HOST, "/slow");
    assert!(gate.reached_by(1));
    edge.signal(rustix::process::Signal::TERM);
    while client.goaway.is_none() {
        assert!(client.read().expect("a frame in time").is_some(), "GOAWAY before the end");
    }
    assert_eq!(client.goaway.map(|(_, code)| code), Some(0), "without an error");
    gate.open();
    assert_eq!(client.ending(1), Ending::Answered(200, b"at last".to_vec()));
    assert!(edge.wait().success());
}

/// Nothing to wait for: it ends at once.
#[test]
fn an_idle_node_stops_at_once_with_exit_code_0() {
    let origin = Origin::start();
    let mut edge = Node::edge(&edge_config(&origin).set("node", "drain_timeout", "60s"));
    let _idle = Client::http(edge.http());
    assert_eq!(edge.terminate().code(), Some(0));
}

/// An answer that never ends does not keep the process: the drain has a limit.
#[test]
fn a_drain_ends_at_its_limit() {
    let origin = Origin::start();
    let gate = Gate::shut();
    origin.on("/never", Answer::uncacheable("never").body_gate(&gate));
    let mut edge = Node::edge(&edge_config(&origin).set("node", "drain_timeout", "300ms"));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /never HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(1));
    let status = edge.terminate();
    assert!(status.code().is_some(), "it ends by itself: {status:?}");
    assert!(client.read("GET").is_err(), "the client can see that its answer broke off");
    gate.open();
}

/// An open tunnel says nothing of when it will be done: a drain does not wait for it to its limit.
#[test]
fn a_tunnel_does_not_hold_up_a_stop() {
    let origin = Origin::start();
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\n\r\n";
    origin.on("/chat", Answer::steps(vec![Step::Send(switch.into()), Step::Echo]));
    let site = Site::any(&origin.url()).set("idle_timeout", "10m");
    let config = NodeConfig::new("edge-1").set("node", "drain_timeout", "10m");
    let mut edge = Node::edge(&config.site(site));
    let mut client = Client::http(edge.http());
    client.send(format!(
        "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    ));
    assert_eq!(client.read("GET").expect("an answer").status, 101);
    client.send("ping");
    assert_eq!(client.read_exactly(4).expect("the echo"), b"ping");
    edge.signal(rustix::process::Signal::TERM);
    assert!(client.is_closed());
    assert!(edge.wait().success());
    assert!(eventually(|| origin.connections_live() == 0));
}

/// Requests that keep coming on open connections while the node drains: each is answered whole or
/// the connection is closed before it is taken.
#[test]
fn requests_on_kept_connections_during_a_stop_are_answered_or_not_taken() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable(&"x".repeat(10_000), 600));
    let mut edge = Node::edge(&edge_config(&origin));
    let addr = edge.http();
    assert_eq!(edge.get(HOST, "/x").status, 200);
    let started = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::http(addr);
                loop {
                    client.send(format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
                    match client.read("GET") {
                        Ok(resp) => assert_eq!(resp.body.len(), 10_000),
                        Err(selvedge_tests::ReadError::Closed) => return,
                        Err(error) => panic!("{error}"),
                    }
                    started.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
        assert!(eventually(|| started.load(std::sync::atomic::Ordering::SeqCst) > 50));
        assert!(edge.terminate().success());
    });
}
