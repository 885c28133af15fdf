//! WebSocket and other upgrades: a tunnel after a real 101, through every tier, and only then.

use crate::support::{HOST, becomes, edge, edge_with, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site, eventually};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const ASK: &str = "GET /chat HTTP/1.1\r\nHost: www.shop.test\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn echoing(origin: &Origin) {
    origin.on("/chat", Answer::steps(vec![Step::Send(SWITCH.into()), Step::Echo]));
}

/// Bytes go both ways, through an edge and a parent, whatever they are.
#[test]
fn a_websocket_is_tunnelled_through_two_tiers() {
    let origin = Origin::start();
    echoing(&origin);
    let parent = Node::parent(&NodeConfig::new("parent-1").site(Site::any(&origin.url())));
    let config = NodeConfig::new("edge-1").set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&config.site(Site::any(&origin.url())));
    let mut client = Client::http(edge.http());
    client.send(ASK);
    let resp = client.read("GET").expect("an answer");
    assert_eq!(resp.status, 101);
    assert_eq!(resp.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(resp.header("upgrade"), Some("websocket"));
    let seen = origin.last("/chat");
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(seen.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    for round in 0..50_u8 {
        let bytes: Vec<u8> =
            (0..2000).map(|at| round.wrapping_mul(7).wrapping_add(at as u8)).collect();
        client.send(&bytes);
        assert_eq!(client.read_exactly(bytes.len()).expect("the echo"), bytes);
    }
    drop(client);
    assert!(eventually(|| origin.connections_live() == 0), "the far end learns that it is over");
    becomes(1, "tunnels at the edge", || site_count(&edge, "tunnels"));
    becomes(1, "tunnels at the parent", || site_count(&parent, "tunnels"));
}

/// What the client sends together with its request belongs to the tunnel, once there is one.
#[test]
fn early_bytes_are_delivered_after_the_101_and_not_before() {
    let (origin, edge) = edge();
    echoing(&origin);
    let mut client = Client::http(edge.http());
    client.send([ASK.as_bytes(), b"early"].concat());
    assert_eq!(client.read("GET").expect("an answer").status, 101);
    assert_eq!(client.read_exactly(5).expect("the echo"), b"early");
}

/// An origin that declines is heard, and the connection is still HTTP.
#[test]
fn a_declined_upgrade_is_an_ordinary_answer() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("no").header("upgrade", "websocket"));
    let mut client = Client::http(edge.http());
    client.send(ASK);
    let resp = client.read("GET").expect("an answer");
    assert_eq!((resp.status, resp.text().as_str()), (200, "no"));
    if resp.reusable {
        assert_eq!(client.get(HOST, "/next", "").text(), "no");
    }
    becomes(0, "tunnels", || site_count(&edge, "tunnels"));
}

/// A site may forbid upgrades: the request goes on as an ordinary one.
#[test]
fn a_site_without_upgrades_strips_them() {
    let (origin, edge) = edge_with(|site| site.set("websocket", false));
    origin.on("*", Answer::uncacheable("plain"));
    let mut client = Client::http(edge.http());
    client.send(ASK);
    let resp = client.read("GET").expect("an answer");
    assert_ne!(resp.status, 101);
    for seen in origin.requests() {
        assert_eq!(seen.header("upgrade"), None);
    }
}

/// A tunnel without traffic is closed, so that idle ones cannot pile up.
#[test]
fn an_idle_tunnel_is_closed() {
    let (origin, edge) = edge_with(|site| site.set("idle_timeout", "300ms"));
    echoing(&origin);
    let mut client = Client::http(edge.http());
    client.send(ASK);
    assert_eq!(client.read("GET").expect("an answer").status, 101);
    client.send("ping");
    assert_eq!(client.read_exactly(4).expect("the echo"), b"ping");
    assert!(client.is_closed());
    assert!(eventually(|| origin.connections_live() == 0));
}

/// The origin ends the tunnel: the client sees all bytes and then the end.
#[test]
fn the_end_of_a_tunnel_reaches_the_client_after_its_last_byte() {
    let (origin, edge) = edge();
    let last = Step::Send(b"last words".to_vec());
    origin.on("/chat", Answer::steps(vec![Step::Send(SWITCH.into()), last, Step::Close]));
    let mut client = Client::http(edge.http());
    client.send(ASK);
    assert_eq!(client.read("GET").expect("an answer").status, 101);
    assert_eq!(client.read_exactly(10).expect("the bytes"), b"last words");
    assert!(client.is_closed());
}
