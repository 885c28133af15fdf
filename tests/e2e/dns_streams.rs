//! Connections over TCP (RFC 7766): many questions at once, and clients that mean no good while
//! honest ones are answered.

use crate::dns_support::{ZONE, at, config};
use selvedge_tests::dns::{Query, Stream, Udp, kind};
use selvedge_tests::{Node, eventually};
use std::net::Shutdown;
use std::time::Duration;

fn counted(server: &Node, what: &str) -> u64 {
    let name = format!("selvedge_dns_transport_{what}_total");
    server.metrics().sum(&name, &["transport=\"tcp\""]) as u64
}

fn query(number: u16) -> Query {
    let name = if number.is_multiple_of(2) { "www.cdn.test" } else { "shop.cdn.test" };
    Query::new(name, kind::A).id(number)
}

#[test]
fn questions_that_come_together_are_all_answered_on_one_connection() {
    let server = Node::dns(&config());
    let mut stream = Stream::to(at(&server));
    let together: Vec<u8> = (0..100).flat_map(|number| query(number).framed()).collect();
    assert!(stream.send(&together));
    let mut seen: Vec<u16> = (0..100).map(|_| stream.receive().expect("one each").id).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<u16>>());
    for byte in query(777).framed() {
        assert!(stream.send(&[byte]), "one byte after the other");
    }
    assert_eq!(stream.receive().expect("an answer").id, 777);
    assert!(stream.send(&query(778).framed()));
    stream.0.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(stream.receive().expect("an answer to a client that says no more").id, 778);
    assert!(stream.is_closed());
    assert_eq!(counted(&server, "replies"), 102);
}

#[test]
fn who_sends_half_a_question_or_none_is_closed_after_a_time() {
    let server = Node::dns(&config().set("dns", "tcp_idle", "200ms"));
    let mut silent = Stream::to(at(&server));
    let mut half = Stream::to(at(&server));
    assert!(half.send(&query(1).framed()[..9]));
    let mut slow = Stream::to(at(&server));
    assert_eq!(slow.ask(&query(2)).id, 2);
    assert!(silent.is_closed() && half.is_closed() && slow.is_closed());
    assert!(eventually(|| counted(&server, "idle") == 3), "{}", counted(&server, "idle"));
    let mut junk = Stream::to(at(&server));
    assert!(junk.send(&[0, 3, 1, 2, 3]));
    assert!(junk.is_closed(), "three bytes are no question");
    assert_eq!(Stream::to(at(&server)).ask(&query(3)).id, 3);
}

/// More connections than there is room for: those that asked nothing for longest make room, and
/// whoever asks is answered, over TCP and over UDP.
#[test]
fn those_who_only_hold_connections_make_room_for_those_who_ask() {
    let server = Node::dns(&config().set("dns", "tcp_connections_max", 16));
    let mut holders: Vec<Stream> = (0..64).map(|_| Stream::to(at(&server))).collect();
    for holder in &mut holders {
        let _ = holder.send(&[0]);
    }
    for number in 0..50 {
        assert_eq!(Stream::to(at(&server)).ask(&query(number)).id, number);
        assert_eq!(Udp::to(at(&server)).ask(&query(number)).id, number);
    }
    assert_eq!(counted(&server, "replies"), 50);
    let open = server.files_open();
    assert!(open < 100, "{open} files are open");
}

/// A client asks and never reads: its connection ends, the others' do not.
#[test]
fn who_takes_no_answers_is_closed_and_holds_up_nobody() {
    let many: String =
        (0..1000).map(|n| format!("many A 10.0.{}.{}\n", n / 250, n % 250)).collect();
    let zone = ZONE.to_owned() + &many;
    let server = Node::dns(&config().file("cdn.zone", zone).set("dns", "tcp_idle", "500ms"));
    let mut deaf = Stream::to(at(&server));
    let question = Query::new("many.cdn.test", kind::A).framed();
    deaf.0.set_write_timeout(Some(Duration::from_millis(200))).expect("a limit");
    let mut sent = 0;
    while sent < 5000 && deaf.send(&question) {
        sent += 1;
    }
    let mut honest = Stream::to(at(&server));
    let whole = honest.ask(&Query::new("many.cdn.test", kind::A));
    assert_eq!((whole.answer.len(), whole.is_truncated()), (1000, false));
    assert!(eventually(|| counted(&server, "slow") == 1), "{sent} were sent");
    assert!(server.rss_bytes() < 300 << 20, "{}", server.rss_bytes());
    assert_eq!(Udp::to(at(&server)).ask(&query(1)).id, 1);
}
