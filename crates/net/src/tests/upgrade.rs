//! Leaving HTTP: only after a real 101, on both sides.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tests::rig::{LONG, Origin, Rig, Step, no_tls, with_client, write};
use crate::{
    ClientSettings, Deadlines, OutgoingBody, Reuse, SendError, Settings, Target, TunnelReason,
    tunnel,
};

const ASK: &str =
    "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: caps\r\nConnection: Upgrade\r\n\r\n";

/// After a 101 the stream is opaque both ways, early bytes included, with half close.
#[test]
fn a_101_opens_the_stream() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    peer.send(format!("{ASK}early\0\n"));
    let head = peer.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(peer.until("\n"), "EARLY\0\n");
    peer.send("GET / HTTP/9\n\n");
    assert_eq!(peer.until("\n\n"), "GET / HTTP/9\n\n");
    peer.stream.shutdown(std::net::Shutdown::Write).expect("a socket");
    assert_eq!(peer.rest(), "");
    assert_eq!(rig.counters.upgrades.load(Ordering::Relaxed), 1);
    assert!(rig.stop());
}

/// Without a 101 nothing is tunnelled: bytes that came early are never read (CVE-2026-2833); when
/// none came, the connection goes on as HTTP.
#[test]
fn without_a_101_there_is_no_tunnel() {
    let rig = Rig::start(Settings::default());
    let declined = ASK.replace("/upgrade", "/declined");
    let early = rig.ask(format!("{declined}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(early.starts_with("HTTP/1.1 200 OK\r\n"), "{early}");
    assert!(early.contains("connection: close"), "{early}");
    assert_eq!(rig.seen(), ["GET /declined a"]);
    let mut peer = rig.connect();
    peer.send(&declined);
    peer.until("hello a");
    peer.send("GET /next HTTP/1.1\r\nHost: b\r\n\r\n");
    peer.until("hello b");
    peer.send(ASK);
    assert!(peer.until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
    drop(peer);
    assert!(rig.stop());
}

fn upgrade() -> Request<OutgoingBody> {
    Request::get("/upgrade")
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "caps")
        .body(OutgoingBody::empty())
        .expect("valid parts")
}

/// The upstream's 101 gives its stream; a tunnel copies both ways and ends when both sides closed.
#[test]
fn tunnels_join_two_streams() {
    let rig = Rig::start(Settings::default());
    let target = Target::parse(&format!("http://{}", rig.address())).expect("a valid URL");
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        let open = async || {
            let sent = client.send(&target, upgrade(), &Deadlines::default(), Reuse::Pooled).await;
            let reply = sent.expect("an answer");
            assert_eq!(reply.response.status(), 101);
            reply.upgrade.expect("a stream")
        };
        let mut stream = open().await;
        stream.write_all(b"hello").await.expect("a stream");
        stream.shutdown().await.expect("a stream");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("a stream");
        assert_eq!(all, b"HELLO");
        let end = tunnel(open().await, open().await, Duration::from_millis(20), LONG).await;
        assert_eq!(end.reason, TunnelReason::Idle);
        let end = tunnel(open().await, open().await, LONG, Duration::from_millis(20)).await;
        assert_eq!(end.reason, TunnelReason::Age);
    });
    assert!(rig.stop());
}

/// Tunnels have places of their own: more of them than there may be connections leave requests
/// unharmed, and they are limited too.
#[test]
fn tunnels_take_no_place_from_requests() {
    let rig = Rig::start(Settings::default());
    let target = Target::parse(&format!("http://{}", rig.address())).expect("a valid URL");
    let settings =
        ClientSettings { connections_max: 2, tunnels_max: 5, ..ClientSettings::default() };
    with_client(settings, no_tls(), |client, counters| async move {
        let impatient = Deadlines { connect: Duration::from_millis(50), ..Deadlines::default() };
        let send = async |req| client.send(&target, req, &impatient, Reuse::Pooled).await;
        let mut open = Vec::new();
        for _ in 0..5 {
            let reply = send(upgrade()).await.expect("an answer");
            open.push(reply.upgrade.expect("a stream"));
        }
        let failure = send(upgrade()).await.expect_err("there are five");
        assert_eq!(failure.error, SendError::PoolFull);
        assert_eq!(counters.upstream_pool_full.load(Ordering::Relaxed), 1);
        for _ in 0..3 {
            let plain = Request::get("/").header(header::HOST, "a").body(OutgoingBody::empty());
            let reply = send(plain.expect("valid parts")).await.expect("an answer");
            let body = reply.response.into_body().collect().await.expect("a body");
            assert_eq!(body.to_bytes(), "hello a");
        }
        drop(open.pop());
        assert!(send(upgrade()).await.expect("an answer").upgrade.is_some());
    });
    assert!(rig.stop());
}

/// A 101 that nobody asked for is an error of the upstream.
#[test]
fn an_unasked_101_is_refused() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let origin = Origin::play(vec![vec![Step::Read, write(switch), Step::Hold]]);
    let target = origin.target();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        let req = Request::new(OutgoingBody::empty());
        let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
        let failure = sent.expect_err("an error");
        assert!(matches!(failure.error, SendError::Protocol(_)), "{failure:?}");
    });
    origin.heads();
}
