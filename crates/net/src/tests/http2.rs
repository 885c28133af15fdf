//! HTTP/2 frame by frame: what a hostile client may try, and an upstream that cuts a body short.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpStream};

use crate::tests::rig::{Peer, Rig, no_tls, with_client};
use crate::{
    BodyError, ClientSettings, Deadlines, Http2Limits, Limits, OutgoingBody, Reuse, SendError,
    Settings, Target, Timeouts,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block without Huffman coding or a dynamic table.
fn block(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x86];
    let literal = |block: &mut Vec<u8>, text: &str| {
        block.push(u8::try_from(text.len()).expect("short") & 0x7f);
        block.extend_from_slice(text.as_bytes());
    };
    for (name, value) in [(":method", method), (":path", path)].iter().chain(fields) {
        block.push(0);
        literal(&mut block, name);
        literal(&mut block, value);
    }
    block
}

/// A connection after its preface and settings.
fn open(rig: &Rig, settings: &[u8]) -> Peer {
    let mut peer = rig.connect();
    peer.send(PREFACE);
    peer.send(frame(SETTINGS, 0, 0, settings));
    peer
}

/// Kinds of the frames received, with stream and payload, until one of `kind` or the end.
fn until(peer: &mut Peer, kind: u8) -> Option<(u32, Vec<u8>)> {
    loop {
        let header = peer.take(9);
        let [a, b, c, found, _, s1, s2, s3, s4] = header[..] else { return None };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = peer.take(length);
        if found == kind {
            return Some((u32::from_be_bytes([s1, s2, s3, s4]), payload));
        }
    }
}

/// Prior knowledge is recognised, cut as it may be; the rules for requests are those of HTTP/1.1.
#[test]
fn prior_knowledge_is_recognised() {
    let rig = Rig::start(Settings::default());
    let mut peer = rig.connect();
    for byte in PREFACE {
        peer.send([*byte]);
    }
    peer.send(frame(SETTINGS, 0, 0, &[]));
    let good = block("GET", "/x", &[(":authority", "a.test")]);
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &good));
    let (stream, body) = until(&mut peer, DATA).expect("an answer");
    assert_eq!((stream, &body[..]), (1, &b"hello a.test"[..]));
    let bad = block("GET", "/x", &[(":authority", "a.test"), ("host", "b.test")]);
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, &bad));
    let (stream, body) = until(&mut peer, DATA).expect("an answer");
    assert_eq!((stream, &body[..]), (3, &b"host-mismatch"[..]));
    drop(peer);
    // What only begins like the preface is HTTP/1.
    assert!(rig.ask("PRI * HTTP/2.0\r\n\r\nXX").starts_with("HTTP/1.1 505 "));
    assert!(rig.ask("PRIX / HTTP/1.0\r\nHost: a\r\n\r\n").contains(" 200 OK"));
    assert_eq!(rig.counters.connections_http2.load(Ordering::Relaxed), 1);
    assert!(rig.stop());
}

/// An upload whose stream is reset with NO_ERROR, or whose length is wrong, is not whole.
#[test]
fn uploads_cut_short_are_not_whole() {
    let rig = Rig::start(Settings::default());
    let mut peer = open(&rig, &[]);
    let head = block("POST", "/echo", &[(":authority", "a.test")]);
    peer.send(frame(HEADERS, END_HEADERS, 1, &head));
    peer.send(frame(DATA, 0, 1, b"part"));
    peer.send(frame(RST_STREAM, 0, 1, &[0; 4]));
    let sized = block("POST", "/echo", &[(":authority", "a.test"), ("content-length", "9")]);
    peer.send(frame(HEADERS, END_HEADERS, 3, &sized));
    peer.send(frame(DATA, END_STREAM, 3, b"part"));
    peer.send(frame(HEADERS, END_HEADERS, 5, &head));
    peer.send(frame(DATA, END_STREAM, 5, b"whole"));
    let (stream, body) = until(&mut peer, DATA).expect("an answer");
    assert_eq!((stream, &body[..]), (5, &b"whole"[..]));
    assert!(!rig.seen().iter().any(|line| line.contains("echo 4")), "{:?}", rig.seen());
    drop(peer);
    assert!(rig.stop());
}

/// A flood of PING ends in GOAWAY, counted; an honest client beside it is served.
#[test]
fn control_floods_end_the_connection() {
    let http2 = Http2Limits { control_frames_max: 100, ..Http2Limits::default() };
    let rig = Rig::start(Settings { http2, ..Settings::default() });
    let mut peer = open(&rig, &[]);
    peer.send(frame(PING, 0, 0, &[0; 8]).repeat(50));
    let mut honest = open(&rig, &[]);
    let mut ping = until(&mut peer, PING);
    assert!(ping.is_some());
    peer.send(frame(PING, 0, 0, &[0; 8]).repeat(10_000));
    while ping.is_some() {
        ping = until(&mut peer, PING);
    }
    assert_eq!(rig.counters.floods.load(Ordering::Relaxed), 1);
    let good = block("GET", "/x", &[(":authority", "a.test")]);
    honest.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &good));
    assert!(until(&mut honest, DATA).is_some());
    drop(honest);
    assert!(rig.stop());
}

/// A client that opens no window is closed after the send limit, although it keeps sending pings.
#[test]
fn closed_windows_are_reaped() {
    let send = Duration::from_millis(80);
    let timeouts = Timeouts { send, ..Timeouts::default() };
    let http2 = Http2Limits { control_frames_max: u32::MAX, ..Http2Limits::default() };
    let rig = Rig::start(Settings { timeouts, http2, ..Settings::default() });
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    let mut peer = open(&rig, &[0, 4, 0, 0, 0, 0]);
    let good = block("GET", "/big?1000000", &[(":authority", "a.test")]);
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &good));
    while rig.counters.timeouts_send.load(Ordering::Relaxed) == 0 {
        peer.send(frame(PING, 0, 0, &[0; 8]));
        if until(&mut peer, PING).is_none() {
            break;
        }
    }
    assert_eq!(until(&mut peer, DATA), None);
    assert_eq!(rig.counters.timeouts_send.load(Ordering::Relaxed), 1);
    assert!(rig.stop());
}

/// Many small fields are counted as fields, and an idle connection is told to go.
#[test]
fn fields_are_counted_and_idle_connections_end() {
    let limits = Limits { fields_max: 20, ..Limits::default() };
    let timeouts = Timeouts { idle: Duration::from_millis(40), ..Timeouts::default() };
    let rig = Rig::start(Settings { limits, timeouts, ..Settings::default() });
    let mut peer = open(&rig, &[]);
    let mut fields = vec![(":authority", "a")];
    fields.resize(30, ("cookie", "a"));
    let bomb = block("GET", "/x", &fields);
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    let (_, body) = until(&mut peer, DATA).expect("an answer");
    assert_eq!(body, b"too-many-fields");
    assert!(until(&mut peer, GOAWAY).is_some());
    drop(peer);
    assert!(rig.stop());
}

/// Plays one HTTP/2 connection as an upstream.
async fn upstream(
    stream: TcpStream,
    answer: impl Fn(h2::server::SendResponse<Bytes>) -> Option<()>,
) {
    let mut connection = h2::server::handshake(stream).await.expect("a client");
    while let Some(Ok((_, respond))) = connection.accept().await {
        answer(respond).expect("the client takes it");
    }
}

/// An upstream's body that ends by RST_STREAM is truncated, NO_ERROR or not; a refused stream was
/// not processed and may be tried again.
#[test]
fn reset_streams_are_not_whole() {
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL, h2::Reason::REFUSED_STREAM] {
        with_client(ClientSettings::default(), no_tls(), |client, _| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let address = listener.local_addr().expect("it is bound");
            tokio::task::spawn_local(async move {
                let (stream, _) = listener.accept().await.expect("a client");
                let answer = |mut respond: h2::server::SendResponse<Bytes>| {
                    if reason == h2::Reason::REFUSED_STREAM {
                        respond.send_reset(reason);
                        return Some(());
                    }
                    let mut body = respond.send_response(Response::new(()), false).ok()?;
                    body.send_data(Bytes::from_static(b"part"), false).ok()?;
                    // The reset must follow the data, not overtake it.
                    tokio::task::spawn_local(async move {
                        body.reserve_capacity(1);
                        tokio::task::yield_now().await;
                        tokio::task::yield_now().await;
                        body.send_reset(reason);
                    });
                    Some(())
                };
                upstream(stream, answer).await;
            });
            let target = Target::parse(&format!("h2c://{address}")).expect("a valid URL");
            let req = Request::get("/x").body(OutgoingBody::empty()).expect("valid parts");
            let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
            if reason == h2::Reason::REFUSED_STREAM {
                let failure = sent.expect_err("the stream is refused");
                assert_eq!(failure.error, SendError::Reset { reused: false, sent: false });
                assert!(failure.request.is_some());
                return;
            }
            match sent {
                Ok(reply) => {
                    let error = reply.response.into_body().collect().await.expect_err("truncated");
                    assert_eq!(error, BodyError::UpstreamTruncated);
                }
                Err(failure) => assert!(!failure.error.retry_safe(), "{failure:?}"),
            }
        });
    }
}
