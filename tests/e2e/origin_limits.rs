//! Slow origins (threat 24): each kind runs into its own time limit, is answered 504 or cut off
//! visibly, and nobody else notices.

use crate::support::{HOST, edge_config, edge_with};
use selvedge_tests::answer::Step;
use selvedge_tests::node::Reload;
use selvedge_tests::{Answer, Client, Gate, Node, NodeConfig, Origin, ReadError, Site, eventually};
use std::net::{SocketAddr, TcpStream};

/// Takes the connection and the request, and says nothing.
#[test]
fn an_origin_that_does_not_answer_is_504() {
    let (origin, edge) = edge_with(|site| site.set("first_byte_timeout", "300ms"));
    origin.on("/silent", Answer::steps(vec![Step::Silence]));
    origin.on("/half", Answer::steps(vec![Step::Send(b"HTTP/1.1 200 O".into()), Step::Silence]));
    origin.on("/fine", Answer::cacheable("fine", 600));
    for path in ["/silent", "/half"] {
        let resp = edge.get(HOST, path);
        assert_eq!(resp.status, 504, "{path}: {}", resp.text());
        assert!(resp.header("x-request-id").is_some());
        assert_eq!(edge.get(HOST, "/fine").text(), "fine");
    }
    origin.on("/silent", Answer::cacheable("speaks", 600));
    assert!(eventually(|| edge.get(HOST, "/silent").text() == "speaks"));
}

/// Whoever may change a site cannot have nodes fetch from what the operator has denied.
#[test]
fn an_origin_in_a_network_that_is_denied_is_not_asked() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("fine", 600));
    let denied = vec!["127.0.0.0/8"];
    let config = edge_config(&origin).set("upstream", "origin_deny", denied);
    let edge = Node::edge(&config);
    let resp = edge.get(HOST, "/a");
    assert_eq!((resp.status, origin.fetches("/a")), (502, 0), "{}", resp.text());
    assert_eq!(edge.reload(&edge_config(&origin)), Reload::Applied);
    assert!(eventually(|| edge.get(HOST, "/a").text() == "fine"));
}

/// Starts a body and stops: the client sees that it broke off, and it is not stored.
#[test]
fn a_body_that_stops_is_cut_off_visibly() {
    let (origin, edge) = edge_with(|site| site.set("idle_timeout", "300ms"));
    for (path, head) in [
        ("/length", "Content-Length: 100\r\n\r\nstart"),
        ("/chunked", "Transfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{head}");
        origin.on(path, Answer::steps(vec![Step::Send(head.into_bytes()), Step::Silence]));
        let mut client = Client::http(edge.http());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        match client.read("GET") {
            Err(ReadError::Truncated(_) | ReadError::Closed) => {}
            Ok(resp) => assert!(resp.status >= 500, "{path}: {resp:?}"),
            Err(error) => panic!("{path}: {error}"),
        }
        origin.on(path, Answer::cacheable("whole", 600));
        assert!(eventually(|| edge.get(HOST, path).text() == "whole"), "{path}");
    }
}

/// A body that drips is slow, not broken: each byte counts as a sign of life.
#[test]
fn a_body_that_drips_is_waited_for() {
    let (origin, edge) = edge_with(|site| site.set("idle_timeout", "2s"));
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 500\r\n\r\n";
    let body = vec![b'x'; 500];
    origin.on("/drip", Answer::steps(vec![Step::Send(head.into()), Step::Dribble(body.clone())]));
    assert_eq!(edge.get(HOST, "/drip").body, body);
    assert!(edge.get(HOST, "/drip").is_hit("edge-1"));
}

/// A listener whose queue is full drops every SYN: the machine is there and does not answer.
struct BlackHole {
    addr: SocketAddr,
    _listener: rustix::fd::OwnedFd,
    _queue: Vec<rustix::fd::OwnedFd>,
}

impl BlackHole {
    fn open() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket};
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        listen(&listener, 0).expect("a bound socket listens");
        let addr = SocketAddr::try_from(getsockname(&listener).expect("bound")).expect("INET");
        let queue = (0..4)
            .map(|_| {
                let kind = rustix::net::SocketFlags::NONBLOCK;
                let client =
                    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, kind, None)
                        .expect("a socket");
                let _ = connect(&client, &addr);
                client
            })
            .collect();
        Self { addr, _listener: listener, _queue: queue }
    }
}

/// No answer to SYN: the limit for connecting holds, and stale content or 504 is the answer.
#[test]
fn an_origin_that_does_not_accept_is_504_within_the_limit() {
    let hole = BlackHole::open();
    let site = Site::any(&format!("http://{}", hole.addr)).set("connect_timeout", "300ms");
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
    let began = std::time::Instant::now();
    let resp = edge.get(HOST, "/x");
    assert_eq!(resp.status, 504, "{}", resp.text());
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

/// A black hole in front of a working origin: the second one answers within the first's limit.
#[test]
fn a_second_origin_answers_when_the_first_does_not_accept() {
    let hole = BlackHole::open();
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("second"));
    let urls = [format!("http://{}", hole.addr), origin.url()];
    let site = Site::new("any", &["*"], &[&urls[0], &urls[1]]).set("connect_timeout", "300ms");
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
    for _ in 0..5 {
        assert_eq!(edge.get(HOST, "/x").text(), "second");
    }
}

/// Many clients of a slow object do not keep anyone from a fast one.
#[test]
fn a_slow_object_does_not_hold_up_another() {
    let (origin, edge) = edge_with(|site| site);
    let gate = Gate::shut();
    origin.on_fn("/slow", {
        let gate = gate.clone();
        move |_, _| Answer::uncacheable("slow").gate(&gate)
    });
    origin.on("/fast", Answer::uncacheable("fast"));
    let mut waiting: Vec<Client> = (0..100).map(|_| Client::http(edge.http())).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        client.send(format!("GET /slow?{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    assert!(gate.reached_by(100));
    for _ in 0..20 {
        assert_eq!(edge.get(HOST, "/fast").text(), "fast");
    }
    gate.open();
    for client in &mut waiting {
        assert_eq!(client.read("GET").expect("an answer").text(), "slow");
    }
}

/// More requests than connections allowed to the origin: they wait for one, within the limit, and
/// what cannot wait longer is told so.
#[test]
fn too_many_requests_for_one_origin_wait_and_then_get_503() {
    let origin = Origin::start();
    let gate = Gate::shut();
    origin.on("/slow", Answer::uncacheable("slow").gate(&gate));
    let config = NodeConfig::new("edge-1")
        .set("node", "workers", 1)
        .set("upstream", "connections_max", 4)
        .set("upstream", "connect_timeout", "400ms")
        .site(Site::any(&origin.url()));
    let edge = Node::edge(&config);
    let mut held: Vec<Client> = (0..4).map(|_| Client::http(edge.http())).collect();
    for (number, client) in held.iter_mut().enumerate() {
        client.send(format!("GET /slow?{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    assert!(gate.reached_by(4));
    assert_eq!(edge.get(HOST, "/slow?more").status, 503);
    assert_eq!(origin.fetches("/slow"), 4);
    gate.open();
    for client in &mut held {
        assert_eq!(client.read("GET").expect("an answer").text(), "slow");
    }
    assert_eq!(edge.get(HOST, "/slow?after").text(), "slow");
    assert!(TcpStream::connect(edge.http()).is_ok());
}
