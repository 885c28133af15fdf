//! Clients that are slow on purpose (threat 44): each kind runs into its time limit, and nobody
//! else notices.

use crate::support::{HOST, becomes, edge_config};
use selvedge_tests::h2::{Ending, H2, kind};
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Client, Node, Origin, eventually};

fn edge(limits: &[(&str, &str)]) -> (Origin, Node) {
    let origin = Origin::start();
    origin.on("/hot", Answer::cacheable("hot", 600));
    let config = limits
        .iter()
        .fold(edge_config(&origin), |config, (key, value)| config.set("limits", key, *value));
    let edge = Node::edge(&config);
    assert_eq!(edge.get(HOST, "/hot").text(), "hot");
    (origin, edge)
}

/// Slowloris: heads that never end are closed, with 408 or without a word.
#[test]
fn heads_that_never_end_are_closed() {
    let (_origin, edge) = edge(&[("header_timeout", "500ms")]);
    let mut clients: Vec<Client> = (0..100).map(|_| Client::http(edge.http())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        match number % 4 {
            0 => {}
            1 => drop(client.send("G")),
            2 => drop(client.send(format!("GET /hot HTTP/1.1\r\nHost: {HOST}\r\n"))),
            _ => drop(client.send(format!("GET /hot HTTP/1.1\r\nHost: {HOST}\r\nX: "))),
        }
    }
    assert_eq!(edge.get(HOST, "/hot").text(), "hot", "others are served");
    for mut client in clients {
        match client.read("GET") {
            Ok(resp) => assert_eq!(resp.status, 408),
            Err(selvedge_tests::ReadError::Closed | selvedge_tests::ReadError::Truncated(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    becomes(0, "connections left", || {
        (edge.metrics().sum("selvedge_connections_active", &[]) as u64).saturating_sub(1)
    });
}

/// The same with a byte now and then: the limit is for the head, not for the pause.
#[test]
fn a_head_that_drips_is_closed_too() {
    let (_origin, edge) = edge(&[("header_timeout", "500ms")]);
    let mut client = Client::http(edge.http());
    client.send(format!("GET /hot HTTP/1.1\r\nHost: {HOST}\r\nX: "));
    assert!(eventually(|| !client.send("x") || !client.send("y")), "it goes on for ever");
}

/// Idle connections are closed after their time.
#[test]
fn idle_connections_are_closed() {
    let (_origin, edge) = edge(&[("keepalive_timeout", "300ms")]);
    let mut client = Client::http(edge.http());
    assert_eq!(client.get(HOST, "/hot", "").text(), "hot");
    assert!(client.is_closed());
}

/// A body that stops: 408, and the origin never sees a complete request.
#[test]
fn a_request_body_that_stops_is_given_up() {
    let (origin, edge) = edge(&[("body_timeout", "300ms")]);
    origin.on("/up", Answer::uncacheable("never"));
    for framing in
        ["Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
    {
        let mut client = Client::http(edge.http());
        client.send(format!("POST /up HTTP/1.1\r\nHost: {HOST}\r\n{framing}"));
        let resp = client.read("POST").expect("an answer");
        assert_eq!(resp.status, 408, "{}", resp.text());
        assert!(!resp.reusable && client.is_closed());
    }
    assert_eq!(origin.fetches("/up"), 0);
    assert!(eventually(|| origin.connections_live() <= 1), "their connections are not kept");
}

/// A client that takes nothing: the connection is closed, and the fetch behind it ends.
#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let (origin, edge) = edge(&[("send_timeout", "500ms")]);
    origin.on("/big", Answer::uncacheable("").generate(1 << 30, false));
    let mut client = Client::http(edge.http());
    client.small_window();
    client.send(format!("GET /big HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(eventually(|| origin.generated() > 0));
    becomes(1, "connections cut", || {
        edge.metrics().sum("selvedge_timeouts_send_total", &[]) as u64
    });
    assert!(eventually(|| origin.connections_live() <= 1), "the origin is let go");
    assert!(origin.generated() < 512 << 20);
}

/// The same on a stored object: the memory of the answer is released.
#[test]
fn a_client_that_takes_nothing_of_a_hit_is_cut_off_too() {
    let (origin, edge) = edge(&[("send_timeout", "500ms")]);
    origin.on("/stored", Answer::cacheable("", 600).generate(7 << 20, false));
    assert_eq!(edge.get(HOST, "/stored").body.len(), 7 << 20);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::http(edge.http())).collect();
    for client in &mut clients {
        client.small_window();
        client.send(format!("GET /stored HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    }
    becomes(5, "connections cut", || {
        edge.metrics().sum("selvedge_timeouts_send_total", &[]) as u64
    });
    assert_eq!(origin.fetches("/stored"), 1);
}

/// An edge that speaks TLS, with an object at `/big`.
fn edge_with_tls(send_timeout: &str) -> (Origin, Node, Authority) {
    let origin = Origin::start();
    origin.on("/big", Answer::cacheable("", 600).generate(BIG as u64, false));
    let authority = Authority::new();
    let config = edge_config(&origin).certificate(&authority.issue(&[HOST]));
    let edge = Node::edge(&config.set("limits", "send_timeout", send_timeout));
    (origin, edge, authority)
}

const BIG: usize = 768 << 10;

/// Over TLS too, where more is written than was to be sent.
#[test]
fn a_client_over_tls_that_takes_nothing_is_cut_off() {
    let (_origin, edge, authority) = edge_with_tls("500ms");
    let mut http1 = Client::https(edge.https(), HOST, &authority);
    http1.small_window();
    http1.send(format!("GET /big HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let mut http2 = H2::connect(edge.https(), HOST, &authority, &[]);
    http2.small_window();
    http2.get(1, HOST, "/big");
    becomes(2, "connections cut", || {
        edge.metrics().sum("selvedge_timeouts_send_total", &[]) as u64
    });
}

/// HTTP/2 with a window of zero that never opens (CVE-2019-9517): reaped.
#[test]
fn an_http_2_stream_whose_window_stays_shut_is_reaped() {
    let origin = Origin::start();
    origin.on("/big", Answer::cacheable("", 600).generate(1 << 20, false));
    let authority = Authority::new();
    let config = edge_config(&origin).certificate(&authority.issue(&[HOST])).set(
        "limits",
        "send_timeout",
        "500ms",
    );
    let edge = Node::edge(&config);
    let mut client = H2::connect(edge.https(), HOST, &authority, &[(4, 0)]);
    client.give_credit = false;
    for stream in 0..50 {
        client.get(stream * 2 + 1, HOST, "/big");
    }
    let ending = client.ending(99);
    assert!(matches!(ending, Ending::Reset(_) | Ending::GoAway(_) | Ending::Closed), "{ending:?}");
    drop(client);
    let mut honest = H2::connect(edge.https(), HOST, &authority, &[]);
    honest.get(1, HOST, "/big");
    assert!(matches!(honest.ending(1), Ending::Answered(200, body) if body.len() == 1 << 20));
    honest.frame(kind::GOAWAY, 0, 0, &[0; 8]);
}

/// A slow client that takes something is not cut off, however little it is: its window is so small
/// that our writes wait for longer than the limit.
#[test]
fn a_slow_client_that_keeps_taking_is_served_to_the_end() {
    let (origin, edge) = edge(&[("send_timeout", "2s")]);
    origin.on("/big", Answer::cacheable("", 600).generate(BIG as u64, false));
    let mut client = Client::http(edge.http());
    client.small_window();
    client.send(format!("GET /big HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"));
    let resp = client.read("GET").expect("the whole answer");
    assert!(resp.body == selvedge_tests::answer::pattern_bytes(BIG));
    becomes(0, "connections cut", || {
        edge.metrics().sum("selvedge_timeouts_send_total", &[]) as u64
    });
}

/// The same over TLS.
#[test]
fn a_slow_client_over_tls_is_served_to_the_end() {
    let (_origin, edge, authority) = edge_with_tls("2s");
    let mut client = Client::https(edge.https(), HOST, &authority);
    client.small_window();
    client.send(format!("GET /big HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"));
    let resp = client.read("GET").expect("the whole answer");
    assert!(resp.body == selvedge_tests::answer::pattern_bytes(BIG));
    becomes(0, "connections cut", || {
        edge.metrics().sum("selvedge_timeouts_send_total", &[]) as u64
    });
}

/// The same over HTTP/2, where frames wait for the connection below.
#[test]
fn a_slow_client_over_http_2_is_served_to_the_end() {
    let (_origin, edge, authority) = edge_with_tls("2s");
    let mut client = H2::connect(edge.https(), HOST, &authority, &[]);
    client.small_window();
    client.get(1, HOST, "/big");
    let pattern = selvedge_tests::answer::pattern_bytes(BIG);
    let ending = client.ending(1);
    assert!(matches!(ending, Ending::Answered(200, body) if body == pattern));
    becomes(0, "connections cut", || {
        edge.metrics().sum("selvedge_timeouts_send_total", &[]) as u64
    });
}
