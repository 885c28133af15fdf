//! The listening side against raw bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::tests::rig::{LONG, Rig};
use crate::{Counters, Limits, Settings, Timeouts};

const GET: &str = "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n";

fn rig() -> Rig {
    Rig::start(Settings::default())
}

/// Requests on one connection are answered in order, pipelined or one after the other, however the
/// bytes are cut.
#[test]
fn connections_are_kept_and_pipelined() {
    let rig = rig();
    let mut peer = rig.connect();
    peer.send(GET);
    assert!(peer.until("hello a.test").starts_with("HTTP/1.1 200 OK\r\n"));
    for byte in GET.as_bytes() {
        peer.send([*byte]);
    }
    peer.until("hello a.test");
    peer.send(format!("\r\n{GET}{GET}{LAST}"));
    let rest = peer.rest();
    assert_eq!(rest.matches("hello a.test").count(), 2, "{rest}");
    assert!(rest.ends_with("hello b.test"), "{rest}");
    assert!(!rest.to_ascii_lowercase().contains("server:"), "{rest}");
    assert!(rest.to_ascii_lowercase().contains("\r\ndate: "), "{rest}");
    let counters = rig.counters.clone();
    assert!(rig.stop());
    assert_eq!(counters.requests.load(Ordering::Relaxed), 5);
    assert_eq!(counters.connections_accepted.load(Ordering::Relaxed), 1);
    assert_eq!(counters.connections_active.load(Ordering::Relaxed), 0);
    let sent = 4 * GET.len() + 2 + LAST.len();
    assert_eq!(counters.bytes_in.load(Ordering::Relaxed), sent as u64);
}

/// Fields that were written out are in the head of their own response, whatever its size, what else
/// it says and what stands around it; the library adds no date to theirs.
#[test]
fn lines_are_in_the_head_of_their_response() {
    let rig = rig();
    let mut peer = rig.connect();
    let lined = |length: usize| format!("GET /lines?{length} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let last = "GET /lines?9 HTTP/1.0\r\nHost: a.test\r\n\r\n";
    peer.send(format!("{}{GET}{}{}{GET}{last}", lined(5), lined(0), lined(50_000)));
    let all = peer.rest();
    let responses: Vec<&str> = all.split("HTTP/1.").skip(1).collect();
    assert_eq!(responses.len(), 6, "{all}");
    for (response, length) in responses.iter().zip([5, 12, 0, 50_000, 12, 9]) {
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body.len(), length, "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {length}")), "{head}");
        let is_plain = body.starts_with("hello");
        assert_eq!(head.contains("\r\nage: 7"), !is_plain, "{head}");
        assert_eq!(head.contains("\r\ndate: today"), !is_plain, "{head}");
        assert_eq!(head.matches("date: ").count(), 1, "{head}");
    }
    assert!(rig.stop());
}

/// A refused request is answered in its turn with its word, nothing behind it is executed, and the
/// connection closes without being reset.
#[test]
fn refused_requests_are_answered_in_order_and_close() {
    let rig = rig();
    let mut peer = rig.connect();
    peer.send(format!("{GET}GET /bad HTTP/1.1\r\n\r\n{LAST}{}", "x".repeat(50_000)));
    let all = peer.rest();
    let (first, second) = all.split_once("hello a.test").expect("the first is answered");
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(second.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{second}");
    assert!(second.contains("connection: close"), "{second}");
    assert!(second.ends_with("host-missing"), "{second}");
    assert_eq!(rig.seen(), ["GET /x a.test", "refused host-missing"]);
    let mut count = 0;
    rig.counters.each_refusal(&mut |_, value| count += value);
    assert_eq!(count, 1);
    assert!(rig.stop());
}

/// Each kind of refusal has its status, and the handler never sees the request.
#[test]
fn refusals_have_their_status() {
    let rig = rig();
    let long = "x".repeat(20_000);
    for (bytes, status) in [
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(200)), 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), 501),
        ("POST / HTTP/1.0\r\nHost: a\r\n\r\n".to_owned(), 411),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_owned(), 417),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), 400),
        ("SELVEDGE-REFUSED /1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
    ] {
        let answer = rig.ask(&bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:.60?}: {answer}");
    }
    assert!(rig.seen().iter().all(|line| line.starts_with("refused ")), "{:?}", rig.seen());
    assert_eq!(rig.seen().len(), 11);
    assert!(rig.stop());
}

/// Bodies arrive whole with their safe trailers, and what follows them is the next request.
#[test]
fn bodies_arrive_whole() {
    let rig = rig();
    let mut peer = rig.connect();
    peer.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n\
         6\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 3\r\nHost: evil\r\n\r\n",
    );
    assert!(peer.until("hello world").contains(" 200 OK"));
    peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ");
    assert!(peer.until("GET ").contains(" 200 OK"));
    peer.send(LAST);
    peer.rest();
    assert_eq!(rig.seen(), ["POST /echo echo 11 1", "POST /echo echo 4 0", "GET /last b.test"]);
    assert!(rig.stop());
}

/// A body whose framing breaks fails as a body: it never looks complete, and nothing behind it is
/// taken for a request.
#[test]
fn broken_bodies_never_complete() {
    let rig = rig();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in
        ["5\r\nhelloX", "0x5\r\nhello", "5\r\nhello\r\n0\r\n\nGET /", "5\r\nhello\r\n-1\r\n"]
    {
        let answer = rig.ask(format!("{head}{body}{GET}"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{body:?}: {answer}");
    }
    assert_eq!(rig.seen(), ["POST /echo client-body-malformed"; 4]);
    for head in [head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"] {
        let mut peer = rig.connect();
        peer.send(format!("{head}5\r\nhel"));
        peer.stream.shutdown(std::net::Shutdown::Write).expect("a socket");
        peer.rest();
    }
    assert!(rig.seen().iter().all(|line| !line.contains(" echo ")), "{:?}", rig.seen());
    assert!(rig.stop());
}

/// A body that nobody reads is skipped or the connection closes: its bytes are never a request
/// (CVE-2025-4366).
#[test]
fn unread_bodies_are_not_executed() {
    let rig = rig();
    let inner = "GET /marker HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in [inner.len(), 100_000] {
        let head = format!("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let mut peer = rig.connect();
        peer.send(format!("{head}{inner}"));
        peer.until("hello a");
        peer.send(LAST);
        peer.rest();
    }
    assert!(!rig.seen().iter().any(|line| line.contains("marker")), "{:?}", rig.seen());
    assert!(rig.stop());
}

/// A response body that fails is cut off: the client can see that it is not whole.
#[test]
fn failing_responses_are_cut_off() {
    let rig = rig();
    let answer = rig.ask("GET /fail HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(answer.ends_with("4\r\npart\r\n"), "{answer}");
    assert!(rig.stop());
}

/// `Expect: 100-continue` is answered when the body is wanted.
#[test]
fn expectations_are_met_when_the_body_is_read() {
    let rig = rig();
    let mut peer = rig.connect();
    peer.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(peer.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("ok");
    assert!(peer.until("ok").contains("200 OK"));
    assert!(rig.stop());
}

/// A body above the maximum fails before it is read whole; one that stops coming runs out of time.
#[test]
fn bodies_are_bounded_in_size_and_time() {
    let limits = Limits { body_bytes_max: 10, ..Limits::default() };
    let timeouts = Timeouts { body: Duration::from_millis(30), ..Timeouts::default() };
    let rig = Rig::start(Settings { limits, timeouts, ..Settings::default() });
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    let long = rig.ask(format!("{post}Content-Length: 11\r\n\r\n"));
    assert!(long.ends_with("client-body-too-large"), "{long}");
    let grows = format!("{post}Transfer-Encoding: chunked\r\n\r\nf\r\n0123456789abcde\r\n");
    assert!(rig.ask(grows).ends_with("client-body-too-large"));
    assert!(rig.ask(format!("{post}Content-Length: 5\r\n\r\nab")).ends_with("client-body-timeout"));
    assert!(rig.stop());
}

fn impatient() -> Timeouts {
    let short = Duration::from_millis(60);
    Timeouts { handshake: short, header: short, idle: short, body: LONG, send: short }
}

/// Silent, slow and idle clients are closed, each counted under its name.
#[test]
fn slow_clients_are_closed() {
    let rig = Rig::start(Settings { timeouts: impatient(), ..Settings::default() });
    assert_eq!(rig.ask(""), "");
    assert_eq!(rig.ask("GET / HTTP/1.1\r\nHost: a"), "");
    assert!(rig.ask(GET).ends_with("hello a.test"));
    let counters = rig.counters.clone();
    assert!(rig.stop());
    assert_eq!(counters.timeouts_head.load(Ordering::Relaxed), 2);
    assert_eq!(counters.timeouts_idle.load(Ordering::Relaxed), 1);
}

/// A client that does not read its response is closed, and its memory is ours no longer.
#[test]
fn clients_that_do_not_read_are_closed() {
    let rig = Rig::start(Settings { timeouts: impatient(), ..Settings::default() });
    let mut peer = rig.connect();
    peer.send("GET /big?50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    while rig.counters.timeouts_send.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    assert!(peer.rest().len() < 50_000_000);
    assert!(rig.stop());
}

/// An idle connection is parked and wakes up again, with nothing lost.
#[test]
fn parked_connections_wake_up() {
    let timeouts = Timeouts { idle: Duration::from_secs(1), ..Timeouts::default() };
    let rig = Rig::start(Settings { timeouts, ..Settings::default() });
    let mut peer = rig.connect();
    peer.send(GET);
    peer.until("hello a.test");
    while rig.counters.connections_parked.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    peer.send(&GET[..10]);
    peer.send(&GET[10..]);
    peer.until("hello a.test");
    peer.send(LAST);
    assert!(peer.rest().ends_with("hello b.test"));
    assert!(rig.stop());
}

/// Connections above the maximum are closed at once; when one ends there is room again.
#[test]
fn connections_are_limited() {
    let rig = Rig::start(Settings { connections_max: 1, ..Settings::default() });
    let mut first = rig.connect();
    first.send(GET);
    first.until("hello a.test");
    assert_eq!(rig.ask(GET), "");
    assert_eq!(rig.counters.connections_over_limit.load(Ordering::Relaxed), 1);
    first.send(LAST);
    first.rest();
    drop(first);
    while rig.counters.connections_active.load(Ordering::Relaxed) > 0 {
        std::thread::yield_now();
    }
    assert!(rig.ask(LAST).ends_with("hello b.test"));
    assert!(rig.stop());
}

/// The last request that a connection is allowed says so.
#[test]
fn requests_per_connection_are_limited() {
    let limits = Limits { requests_max: 2, ..Limits::default() };
    let rig = Rig::start(Settings { limits, ..Settings::default() });
    let answers = rig.ask(format!("{GET}{GET}{GET}"));
    assert_eq!(answers.matches("hello").count(), 2, "{answers}");
    assert_eq!(answers.matches("connection: close").count(), 1, "{answers}");
    assert!(rig.stop());
}

/// A drain finishes what runs, closes what is idle, and refuses new connections.
#[test]
fn drain_finishes_what_runs() {
    let rig = rig();
    let mut idle = rig.connect();
    idle.send(GET);
    idle.until("hello a.test");
    let mut busy = rig.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    while rig.script.waiting.available_permits() == 0 {
        std::thread::yield_now();
    }
    rig.running.drain(LONG);
    assert_eq!(idle.rest(), "");
    assert!(!rig.running.is_finished());
    rig.script.gate.add_permits(1);
    let answer = busy.rest();
    assert!(answer.ends_with("waited"), "{answer}");
    let address = rig.address();
    assert!(rig.running.join());
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// A drain that runs out of time drops what is left and says so.
#[test]
fn drain_ends_at_its_limit() {
    let rig = rig();
    let mut busy = rig.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    while rig.script.waiting.available_permits() == 0 {
        std::thread::yield_now();
    }
    rig.running.drain(Duration::from_millis(20));
    assert!(!rig.running.join());
    assert_eq!(busy.rest(), "");
}

/// One worker of three that ends by itself is noticed while the others go on.
#[test]
fn a_lost_worker_is_noticed() {
    let rig = Rig::start_but(Settings { workers: 3, ..Settings::default() }, Some(1));
    while !rig.running.lost_worker() {
        std::thread::yield_now();
    }
    assert!(!rig.running.is_finished());
    rig.running.drain(LONG);
    assert!(!rig.running.lost_worker(), "who is asked to end is not lost");
    assert!(!rig.running.join());
    let whole = Rig::start(Settings { workers: 3, ..Settings::default() });
    assert!(!whole.running.lost_worker());
    assert!(whole.stop());
}

/// All workers share one port, and an address in use is an error at the start.
#[test]
fn workers_share_a_port_and_conflicts_are_errors() {
    let counters = Arc::new(Counters::default());
    let rig = Rig::start(Settings { workers: 3, counters, ..Settings::default() });
    for _ in 0..20 {
        assert!(rig.ask(LAST).ends_with("hello b.test"));
    }
    let again = crate::Server::bind(Settings { http: vec![rig.address()], ..Settings::default() });
    assert!(matches!(again, Err(crate::BindError::Address(..))));
    assert!(rig.stop());
}
