//! The sending side against an origin that misbehaves by script.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body::Body;
use http_body_util::BodyExt;

use crate::tests::rig::{Failing, Origin, Rig, Step, no_tls, with_client, write};
use crate::{
    BodyError, Client, ClientSettings, Deadlines, OutgoingBody, Reply, Reuse, SendError,
    SendFailure, Settings, Target,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get() -> Request<OutgoingBody> {
    Request::get("/x?y").header("host", "a.test").body(OutgoingBody::empty()).expect("valid parts")
}

fn post() -> Request<OutgoingBody> {
    Request::post("/x").body(OutgoingBody::full(Bytes::from_static(b"body"))).expect("valid parts")
}

fn quick() -> Deadlines {
    let short = Duration::from_millis(150);
    Deadlines { connect: Duration::from_secs(10), first_byte: short, idle: short }
}

async fn send(client: &Client, target: &Target) -> Result<Reply, SendFailure> {
    client.send(target, get(), &Deadlines::default(), Reuse::Pooled).await
}

async fn body(reply: Reply) -> Result<Bytes, BodyError> {
    Ok(reply.response.into_body().collect().await?.to_bytes())
}

/// Sends one request to an origin that plays one connection, and gives the answer's body.
fn outcome(answer: &str, last: Step) -> Result<Result<Bytes, BodyError>, SendError> {
    // Only who waits for nothing is in a hurry.
    let deadlines = if matches!(last, Step::Hold) { quick() } else { Deadlines::default() };
    let origin = Origin::play(vec![vec![Step::Read, write(answer), last]]);
    let target = origin.target();
    let outcome = with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        match client.send(&target, get(), &deadlines, Reuse::Pooled).await {
            Ok(reply) => Ok(body(reply).await),
            Err(failure) => Err(failure.error),
        }
    });
    origin.heads();
    outcome
}

/// However it is written, and whatever name leads to it.
#[test]
fn nobody_is_connected_to_in_a_network_that_is_denied() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let networks = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
    let denied: std::sync::Arc<[ipnet::IpNet]> = networks.into();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "::1"] {
            let target = Target::new(crate::UpstreamScheme::Http, host, port);
            let failure = send(&client, &target.with_denied(denied.clone())).await;
            let error = failure.map(|_| ()).expect_err("it is denied").error;
            assert!(matches!(&error, SendError::Connect(why) if why.contains("denied")), "{error}");
        }
    });
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "nobody came");
}

/// A clean connection is used again, and the request arrives as HTTP/1.1 wants it.
#[test]
fn clean_connections_are_reused() {
    let origin = Origin::play(vec![vec![Step::Read, write(OK), Step::Read, write(OK), Step::Hold]]);
    let target = origin.target();
    with_client(ClientSettings::default(), no_tls(), |client, counters| async move {
        let first = send(&client, &target).await.expect("an answer");
        assert!(!first.reused);
        assert_eq!(body(first).await, Ok(Bytes::from_static(b"ok")));
        let second = send(&client, &target).await.expect("an answer");
        assert!(second.reused);
        assert_eq!(body(second).await, Ok(Bytes::from_static(b"ok")));
        assert_eq!(counters.upstream_connects.load(Ordering::Relaxed), 1);
        assert_eq!(counters.upstream_reuses.load(Ordering::Relaxed), 1);
        assert_eq!(counters.upstream_bytes_in.load(Ordering::Relaxed), 4);
    });
    for head in origin.heads() {
        assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
        assert_eq!(head.matches("host: a.test\r\n").count(), 1, "{head}");
    }
}

/// Bytes behind a response spoil the connection: the next request gets its own answer elsewhere.
#[test]
fn extra_bytes_spoil_the_connection() {
    let evil = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let origin = Origin::play(vec![
        vec![Step::Read, write(&evil), Step::Hold],
        vec![Step::Read, write(OK), Step::Hold],
    ]);
    let target = origin.target();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        for _ in 0..2 {
            let reply = send(&client, &target).await.expect("an answer");
            assert!(!reply.reused);
            assert_eq!(body(reply).await, Ok(Bytes::from_static(b"ok")));
        }
    });
    assert_eq!(origin.heads().len(), 2);
}

/// A connection whose body was not read to its end, or that says close, is not used again.
#[test]
fn unfinished_and_closing_connections_are_not_reused() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::play(vec![
        vec![Step::Read, write(long), Step::Hold],
        vec![Step::Read, write(closing)],
        vec![Step::Read, write(OK), Step::Hold],
    ]);
    let target = origin.target();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        drop(send(&client, &target).await.expect("an answer"));
        for _ in 0..2 {
            let reply = send(&client, &target).await.expect("an answer");
            assert!(!reply.reused);
            assert_eq!(body(reply).await, Ok(Bytes::from_static(b"ok")));
        }
    });
    assert_eq!(origin.heads().len(), 3);
}

/// Threat row 22: a body that ends early is an error, however it was framed.
#[test]
fn truncated_bodies_are_errors() {
    let truncated = Ok(Err(BodyError::UpstreamTruncated));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshortX\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n0\r\n\r\n",
    ] {
        // An empty write ends the script: the origin then closes.
        assert_eq!(outcome(answer, write("")), truncated, "{answer}");
    }
    let endless = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    let whole = Ok(Ok(Bytes::from_static(b"until the end")));
    assert_eq!(outcome(endless, write("")), whole);
}

/// Threat row 21: what is not one plain response is an error, each with its word.
#[test]
fn malformed_answers_are_errors() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for (answer, word) in [
        ("HTTP/1.1 abc OK\r\n\r\n", "upstream-protocol"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            "upstream-protocol",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "upstream-protocol"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok", "upstream-protocol"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "upstream-protocol",
        ),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "upstream-protocol"),
        ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "upstream-protocol"),
        ("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", "upstream-protocol"),
        ("SSH-2.0-OpenSSH\r\n", "upstream-protocol"),
        (&huge, "upstream-head-too-large"),
        (&many, "upstream-head-too-large"),
        ("", "upstream-reset"),
        ("HTTP/1.1 200 OK\r\nX:", "upstream-reset"),
    ] {
        let error = outcome(answer, write("")).expect_err(answer);
        assert_eq!(error.word(), word, "{answer:.80?}: {error:?}");
        assert!(!error.retry_safe() && error.is_upstream());
    }
    let folded = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(outcome(folded, Step::Hold), Ok(Ok(Bytes::from_static(b"ok"))));
}

/// Interim responses are skipped but do not extend the time limit.
#[test]
fn interim_responses_do_not_extend_the_limit() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000);
    assert_eq!(outcome(&format!("{hints}{OK}"), Step::Hold), Ok(Ok(Bytes::from_static(b"ok"))));
    assert_eq!(outcome(&hints, Step::Hold), Err(SendError::FirstByteTimeout));
}

/// Silence runs into the time limit of its step.
#[test]
fn silent_upstreams_run_out_of_time() {
    assert_eq!(outcome("", Step::Hold), Err(SendError::FirstByteTimeout));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
    assert_eq!(outcome(head, Step::Hold), Ok(Err(BodyError::UpstreamTimeout)));
    assert_eq!(outcome(head, Step::Reset), Ok(Err(BodyError::UpstreamTruncated)));
}

/// Nothing listens: nothing was sent, so even a POST comes back to be tried elsewhere.
#[test]
fn failed_connections_are_safe_to_retry() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let target = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    with_client(ClientSettings::default(), no_tls(), |client, counters| async move {
        for url in [target.as_str(), "http://name.invalid"] {
            let target = Target::parse(url).expect("a valid URL");
            let sent = client.send(&target, post(), &Deadlines::default(), Reuse::Pooled).await;
            let failure = sent.expect_err("nobody is there");
            assert!(failure.error.retry_safe(), "{failure:?}");
            let req = failure.request.expect("it comes back");
            assert_eq!(req.body().size_hint().exact(), Some(4));
        }
        assert_eq!(counters.upstream_connect_failures.load(Ordering::Relaxed), 2);
    });
}

/// A pooled connection that closed while idle is replaced without anybody noticing, a POST too.
#[test]
fn stale_connections_are_replaced() {
    let origin =
        Origin::play(vec![vec![Step::Read, write(OK)], vec![Step::Read, write(OK), Step::Hold]]);
    let target = origin.target();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        let first = send(&client, &target).await.expect("an answer");
        assert_eq!(body(first).await, Ok(Bytes::from_static(b"ok")));
        while client.kept() > 0 {
            tokio::task::yield_now().await;
        }
        let sent = client.send(&target, post(), &Deadlines::default(), Reuse::Pooled).await;
        let reply = sent.expect("an answer");
        assert_eq!(body(reply).await, Ok(Bytes::from_static(b"ok")));
    });
    let heads = origin.heads();
    assert_eq!(heads.len(), 2);
    assert!(heads[1].starts_with("POST /x HTTP/1.1\r\n"), "{heads:?}");
}

/// A pooled connection that dies after the request was sent: a request with a body is not sent
/// twice, one without comes back.
#[test]
fn lost_requests_are_not_sent_twice() {
    for has_body in [false, true] {
        let origin = Origin::play(vec![vec![Step::Read, write(OK), Step::Read]]);
        let target = origin.target();
        with_client(ClientSettings::default(), no_tls(), |client, _| async move {
            let first = send(&client, &target).await.expect("an answer");
            assert_eq!(body(first).await, Ok(Bytes::from_static(b"ok")));
            let req = if has_body { post() } else { get() };
            let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
            let failure = sent.expect_err("the origin closes");
            assert_eq!(failure.error, SendError::Reset { reused: true, sent: true });
            assert!(!failure.error.retry_safe());
            assert_eq!(failure.request.is_some(), !has_body);
        });
        assert_eq!(origin.heads().len(), 2);
    }
}

/// A request body that fails is never completed: the upstream sees a cut connection.
#[test]
fn failing_request_bodies_are_never_completed() {
    let origin = Origin::play(vec![vec![Step::Read, Step::Read]]);
    let target = origin.target();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        let req = Request::post("/x").body(OutgoingBody::boxed(Failing::default()));
        let req = req.expect("valid parts");
        let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
        let failure = sent.expect_err("the body fails");
        assert_eq!(failure.error, SendError::RequestBody(BodyError::ClientGone));
        assert!(!failure.error.is_upstream());
    });
    let all = origin.heads().concat();
    assert!(!all.contains("0\r\n\r\n"), "{all}");
}

/// Connections in use to a target are limited, and so is the wait for one: by the deadline of the
/// request.
#[test]
fn connections_in_use_are_limited() {
    let settings = ClientSettings { connections_max: 1, ..ClientSettings::default() };
    let origin = Origin::play(vec![vec![Step::Read, write(OK), Step::Read, write(OK)]]);
    let target = origin.target();
    with_client(settings, no_tls(), |client, counters| async move {
        let first = send(&client, &target).await.expect("an answer");
        // `ok` came with the head, but the place is taken until the body was read.
        let impatient = Deadlines { connect: Duration::from_millis(20), ..Deadlines::default() };
        let sent = client.send(&target, get(), &impatient, Reuse::Pooled).await;
        let failure = sent.expect_err("no place is free");
        assert_eq!(failure.error, SendError::PoolFull);
        assert!(failure.error.retry_safe() && !failure.error.is_upstream());
        assert_eq!(counters.upstream_pool_full.load(Ordering::Relaxed), 1);
        assert_eq!(body(first).await, Ok(Bytes::from_static(b"ok")));
        let second = send(&client, &target).await.expect("an answer");
        assert!(second.reused);
        assert_eq!(body(second).await, Ok(Bytes::from_static(b"ok")));
    });
    origin.heads();
}

/// One HTTP/2 connection is one place, with however many streams; those are limited by themselves.
#[test]
fn http2_streams_share_the_place_of_their_connection() {
    let rig = Rig::start(Settings::default());
    let url = format!("h2c://{}", rig.address());
    let settings = ClientSettings {
        connections_max: 1,
        streams_max: 10,
        http2_connections_max: 4,
        ..ClientSettings::default()
    };
    let script = rig.script.clone();
    with_client(settings, no_tls(), |client, counters| async move {
        let target = Target::parse(&url).expect("a valid URL");
        let ask = move |client: Client, target: Target, deadlines: Deadlines| async move {
            let req = Request::get("/wait").header("host", "a.test");
            let req = req.body(OutgoingBody::empty()).expect("valid parts");
            client.send(&target, req, &deadlines, Reuse::Pooled).await
        };
        let requests: Vec<_> = (0..40)
            .map(|_| ask(client.clone(), target.clone(), Deadlines::default()))
            .map(tokio::task::spawn_local)
            .collect();
        drop(script.waiting.acquire_many(40).await);
        assert_eq!(counters.upstream_connects.load(Ordering::Relaxed), 1);
        let impatient = Deadlines { connect: Duration::from_millis(20), ..Deadlines::default() };
        let failure = ask(client.clone(), target.clone(), impatient).await.expect_err("too many");
        assert_eq!(failure.error, SendError::PoolFull);
        script.gate.add_permits(40);
        for request in requests {
            let reply = request.await.expect("a task").expect("an answer");
            assert_eq!(body(reply).await, Ok(Bytes::from_static(b"waited")));
        }
        // The idle connection has given its place back, and gets it again.
        script.gate.add_permits(1);
        let reply = ask(client, target, impatient).await.expect("an answer");
        assert!(reply.reused);
        assert_eq!(body(reply).await, Ok(Bytes::from_static(b"waited")));
    });
    assert!(rig.stop());
}

/// Idle connections are closed by themselves after their limit.
#[test]
fn idle_connections_expire() {
    let settings =
        ClientSettings { idle_limit: Duration::from_millis(40), ..ClientSettings::default() };
    let origin = Origin::play(vec![vec![Step::Read, write(OK), Step::Hold]]);
    let target = origin.target();
    with_client(settings, no_tls(), |client, _| async move {
        let reply = send(&client, &target).await.expect("an answer");
        assert_eq!(body(reply).await, Ok(Bytes::from_static(b"ok")));
        tokio::task::spawn_blocking(move || origin.heads()).await.expect("the origin sees the end");
        assert_eq!(client.kept(), 0);
    });
}

/// HTTP/2 in clear: many requests share a connection, up to its number of streams.
#[test]
fn http2_connections_are_shared() {
    let rig = Rig::start(Settings::default());
    let url = format!("h2c://{}", rig.address());
    let settings = ClientSettings { streams_max: 10, ..ClientSettings::default() };
    let script = rig.script.clone();
    with_client(settings, no_tls(), |client, counters| async move {
        let target = Target::parse(&url).expect("a valid URL");
        let wait = || Request::get("/wait").header("host", "a.test").body(OutgoingBody::empty());
        let requests = (0..15).map(|_| {
            let (client, target) = (client.clone(), target.clone());
            let req = wait().expect("valid parts");
            tokio::task::spawn_local(async move {
                let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
                body(sent.expect("an answer")).await
            })
        });
        let requests: Vec<_> = requests.collect();
        drop(script.waiting.acquire_many(15).await);
        assert_eq!(counters.upstream_connects.load(Ordering::Relaxed), 2);
        script.gate.add_permits(15);
        for request in requests {
            assert_eq!(request.await.expect("a task"), Ok(Bytes::from_static(b"waited")));
        }
        assert_eq!(client.kept(), 2);
        let req = Request::post("/echo").body(OutgoingBody::full(Bytes::from_static(b"ping")));
        let req = req.expect("valid parts");
        let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
        let reply = sent.expect("an answer");
        assert!(reply.reused);
        assert_eq!(reply.response.version(), http::Version::HTTP_2);
        assert_eq!(body(reply).await, Ok(Bytes::from_static(b"ping")));
        let host = Request::get("/").header(header::HOST, "b.test").body(OutgoingBody::empty());
        let deadlines = Deadlines::default();
        let sent = client.send(&target, host.expect("valid"), &deadlines, Reuse::Fresh);
        let reply = sent.await.expect("an answer");
        assert!(!reply.reused);
        assert_eq!(body(reply).await, Ok(Bytes::from_static(b"hello b.test")));
    });
    assert!(rig.stop());
}

/// A probe tells whether a target listens, and what it answers.
#[test]
fn probes_connect_and_ask() {
    let rig = Rig::start(Settings::default());
    let address = rig.address();
    with_client(ClientSettings::default(), no_tls(), |client, _| async move {
        for scheme in ["http", "h2c"] {
            let target = Target::parse(&format!("{scheme}://{address}")).expect("a valid URL");
            let limit = Duration::from_secs(10);
            assert_eq!(client.probe(&target, "a", None, limit).await, Ok(None));
            let status = client.probe(&target, "a", Some("/health"), limit).await;
            assert_eq!(status, Ok(Some(http::StatusCode::OK)));
        }
    });
    assert!(rig.stop());
}
