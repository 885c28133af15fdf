//! Single packets: how long replies are, what EDNS brings, and bytes that are no query.

use crate::dns_support::{ZONE, at, came_to, config};
use selvedge_tests::dns::{Query, Reply, Stream, Udp, dig, kind, packet};
use selvedge_tests::{Node, NodeConfig};

/// The server with a name of so many addresses.
fn with_many(name: &str, count: u16) -> NodeConfig {
    let lines = (0..count).map(|n| format!("{name} A 10.0.{}.{}\n", n / 256, n % 256));
    config().file("cdn.zone", ZONE.to_owned() + &lines.collect::<String>())
}

/// Bytes of a reply without EDNS: the header, the question and each address.
fn plain_bytes(name: &str, count: usize) -> usize {
    12 + packet::wire_name(name).len() + 4 + 16 * count
}

#[test]
fn a_reply_without_edns_has_512_bytes_at_most() {
    let server = Node::dns(&with_many("fit", 29));
    let socket = Udp::to(at(&server));
    let name = "fit.cdn.test";
    assert!(plain_bytes(name, 30) <= 512);
    let reply = socket.ask(&Query::new(name, kind::A));
    assert_eq!((reply.length, reply.answer.len()), (plain_bytes(name, 29), 29));
    let server = Node::dns(&with_many("fit", 31));
    for query in [Query::new(name, kind::A), Query::new(name, kind::A).edns(100)] {
        let reply = Udp::to(at(&server)).ask(&query);
        assert!(reply.is_truncated() && reply.length <= 512, "{reply:?}");
        assert!(reply.is_authoritative());
        let whole = Stream::to(at(&server)).ask(&query);
        assert!(!whole.is_truncated() && whole.answer.len() == 31);
    }
    let told = server.metrics().value("selvedge_dns_truncated_total");
    assert_eq!(told, 2.0);
}

/// The reply has exactly as many bytes as are allowed, and one more.
#[test]
fn a_reply_fits_to_the_byte() {
    let name = "fit.cdn.test";
    let (count, opt) = (70, 11);
    let bytes = plain_bytes(name, count) + opt;
    let server = Node::dns(&with_many("fit", count as u16));
    let socket = Udp::to(at(&server));
    let fits = socket.ask(&Query::new(name, kind::A).edns(bytes as u16));
    assert_eq!((fits.length, fits.answer.len(), fits.is_truncated()), (bytes, count, false));
    let over = socket.ask(&Query::new(name, kind::A).edns(bytes as u16 - 1));
    assert!(over.is_truncated() && over.length < bytes, "{over:?}");
    assert!(over.opt.is_some(), "EDNS is kept");
}

#[test]
fn however_much_a_client_takes_no_reply_over_udp_is_longer_than_1232_bytes() {
    let name = "fit.cdn.test";
    let most = (1232 - 11 - plain_bytes(name, 0)) / 16;
    for (count, truncated) in [(most, false), (most + 1, true)] {
        let server = Node::dns(&with_many("fit", count as u16));
        let reply = Udp::to(at(&server)).ask(&Query::new(name, kind::A).edns(4096));
        assert_eq!(reply.is_truncated(), truncated, "{count}");
        assert!(reply.length <= 1232);
        let retried = dig(at(&server), "+nocookie +noad +norec +bufsize=4096 fit.cdn.test a");
        assert_eq!(retried.answer.len(), count, "dig asks again over TCP");
        assert_eq!(retried.text.contains("(TCP)"), truncated, "{}", retried.text);
    }
    let server = Node::dns(&with_many("fit", 100).set("dns", "udp_bytes_max", 4096));
    let reply = Udp::to(at(&server)).ask(&Query::new(name, kind::A).edns(4096));
    assert!(!reply.is_truncated() && reply.answer.len() == 100);
}

#[test]
fn the_subnet_of_a_client_comes_back_with_how_far_the_answer_holds() {
    let config = config()
        .set("dns", "coverage", "coverage.csv")
        .file("coverage.csv", "192.0.2.0/24,us\n192.0.2.128/26,eu\n2001:db8:7::/48,us\n");
    let server = Node::dns(&config);
    let socket = Udp::to(at(&server));
    let ask = |name: &str, client: &str, bits: u8| {
        socket.ask(&Query::new(name, kind::A).subnet(client, bits))
    };
    for (client, bits, scope) in
        [("192.0.2.0", 24, 26), ("192.0.2.128", 26, 26), ("2001:db8:7::", 56, 48)]
    {
        let reply = ask("shop.cdn.test", client, bits);
        let sent = Query::new("", kind::A).subnet(client, bits).bytes();
        let option = reply.option(8).expect("it is repeated");
        let address = &sent[sent.len() - (option.len() - 4)..];
        assert_eq!((&option[4..], option[2]), (address, bits), "{client}");
        assert_eq!(option[3], scope, "{client}/{bits}");
    }
    assert_eq!(ask("shop.cdn.test", "0.0.0.0", 0).scope(), Some(0), "nobody wants to be told");
    assert_eq!(ask("www.cdn.test", "192.0.2.0", 24).scope(), Some(0), "the same for everybody");
    assert_eq!(ask("no.cdn.test", "192.0.2.0", 24).scope(), Some(0));
    assert!(socket.ask(&Query::new("shop.cdn.test", kind::A)).option(8).is_none());
    for wrong in [
        &[0, 1, 24, 0, 192, 0][..],
        &[0, 1, 24, 0, 192, 0, 2, 9],
        &[0, 1, 23, 0, 192, 0, 3],
        &[0, 1, 33, 0, 192, 0, 2, 1, 1],
        &[0, 1, 24, 24, 192, 0, 2],
        &[0, 9, 24, 0, 192, 0, 2],
        &[0, 1],
    ] {
        let reply = socket.ask(&Query::new("shop.cdn.test", kind::A).option(8, wrong));
        assert_eq!(reply.rcode(), 1, "FORMERR: {wrong:?}");
    }
}

#[test]
fn a_subnet_is_believed_only_of_those_who_are_trusted() {
    let config = config()
        .set("dns", "ecs", vec!["192.0.2.0/24"])
        .set("dns", "coverage", "coverage.csv")
        .file("coverage.csv", "192.0.2.0/24,us\n");
    let server = Node::dns(&config);
    let reply =
        Udp::to(at(&server)).ask(&Query::new("shop.cdn.test", kind::A).subnet("192.0.2.7", 24));
    let first = reply.addresses()[0].to_string();
    assert!(first.starts_with("198.18.1."), "loopback decides: {first}");
    assert!(matches!(reply.scope(), None | Some(0)), "{reply:?}");
    assert_eq!(server.metrics().value("selvedge_dns_subnets_total"), 0.0);
}

#[test]
fn a_client_with_a_cookie_of_ours_is_known_by_all_servers_of_one_secret() {
    let secret = "000102030405060708090a0b0c0d0e0f\n";
    let config = config().set("dns", "cookie_secret_file", "cookie").file("cookie", secret);
    let servers = [Node::dns(&config), Node::dns(&config)];
    let reply = dig(at(&servers[0]), "+cookie +noad +norec www.cdn.test a");
    assert!(reply.text.contains("(good)"), "{}", reply.text);
    let ask = |server: &Node, cookie: &[u8]| {
        Udp::to(at(server)).ask(&Query::new("www.cdn.test", kind::A).option(10, cookie))
    };
    let cookie = ask(&servers[0], b"12345678").option(10).expect("a cookie");
    assert_eq!((cookie.len(), &cookie[..8]), (24, &b"12345678"[..]));
    let again = ask(&servers[1], &cookie);
    assert_eq!((again.rcode(), again.answer.len()), (0, 1));
    assert_eq!(again.option(10).expect("a cookie")[8..], cookie[8..], "both make the same");
    for length in [1, 7, 9, 15, 41] {
        assert_eq!(ask(&servers[0], &vec![7; length]).rcode(), 1, "{length}");
    }
    let wrong = ask(&servers[0], &[7; 24]);
    assert!(matches!(wrong.rcode(), 0 | 23), "{wrong:?}");
    assert_ne!(wrong.option(10).expect("a fresh one")[8..], [7; 16]);
    let named = dig(at(&servers[0]), "+nsid +noad +norec www.cdn.test a");
    assert!(!named.text.contains("NSID:"), "it has no name: {}", named.text);
}

#[test]
fn a_server_says_its_name_to_those_who_ask_for_it() {
    let server = Node::dns(&config().set("dns", "nsid", "paris-2"));
    let named = dig(at(&server), "+nsid +noad +norec www.cdn.test a");
    assert!(named.text.contains("(\"paris-2\")"), "{}", named.text);
    let not = dig(at(&server), "+noad +norec www.cdn.test a");
    assert!(!not.text.contains("NSID"), "{}", not.text);
}

/// Packets that are no query, and what they come to: `None` is silence.
fn malformed() -> Vec<(&'static str, Vec<u8>, Option<u16>)> {
    let whole = Query::new("www.cdn.test", kind::A).bytes();
    let header = |counts: [u8; 4]| {
        let mut bytes = whole.clone();
        for (at, count) in [5, 7, 9, 11].into_iter().zip(counts) {
            bytes[at] = count;
        }
        bytes
    };
    let body = |name: &[u8]| [&whole[..12], name, &[0, 1, 0, 1]].concat();
    let reply = Query::new("www.cdn.test", kind::A).flags(0x8000).bytes();
    let opt = |data: &[u8]| [&header([1, 0, 0, 1])[..], data].concat();
    let two = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0][..]; 2].concat();
    let long = [&[63; 64][..]; 4].concat();
    vec![
        ("nothing", Vec::new(), None),
        ("part of a header", whole[..11].to_vec(), None),
        ("a reply", reply, None),
        ("no question", header([0, 0, 0, 0]), Some(1)),
        ("two questions", header([2, 0, 0, 0]), Some(1)),
        ("an answer in a query", header([1, 1, 0, 0]), Some(1)),
        ("a question cut off", whole[..20].to_vec(), Some(1)),
        ("a name without an end", whole[..whole.len() - 5].to_vec(), Some(1)),
        ("a pointer to itself", body(&[192, 12]), Some(1)),
        ("a label of a reserved kind", body(&[65, 1, 0]), Some(1)),
        ("a name of 257 bytes", body(&[&long[..], &[0]].concat()), Some(1)),
        ("OPT cut off", opt(&[0, 0, 41, 4]), Some(1)),
        ("OPT of a name", opt(&[1, b'a', 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]), Some(1)),
        ("OPT longer than the packet", opt(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 9]), Some(1)),
        (
            "an option longer than OPT",
            opt(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 9, 0, 9]),
            Some(1),
        ),
        ("OPT twice", [&header([1, 0, 0, 2])[..], &two].concat(), Some(1)),
    ]
}

#[test]
fn bytes_that_are_no_query_are_answered_briefly_or_not_at_all() {
    let server = Node::dns(&config());
    let socket = Udp::to(at(&server));
    for (what, bytes, expected) in malformed() {
        let reply = socket.ask_bytes(&bytes);
        let code = reply.as_deref().map(|reply| Reply::parse(reply).expect("well formed").rcode());
        assert_eq!(code, expected, "{what}");
        let length = reply.map_or(0, |reply| reply.len());
        assert!(length <= bytes.len().max(12) + 11, "{what}: {length} bytes");
    }
    assert_eq!(came_to(&server, "short"), 2);
    assert_eq!(came_to(&server, "reply"), 1);
    assert_eq!(came_to(&server, "malformed"), 13);
}

/// Each byte of some queries is turned into others: the server answers what follows, grows by
/// nothing, and never answers more than it should.
#[test]
fn no_changed_byte_of_a_query_hurts_the_server() {
    let server = Node::dns(&config());
    let socket = Udp::to(at(&server));
    let seeds = [
        Query::new("www.cdn.test", kind::A).bytes(),
        Query::new("shop.cdn.test", kind::AAAA).subnet("192.0.2.7", 24).bytes(),
        Query::new("x.wild.cdn.test", kind::TXT).option(10, b"12345678").option(3, b"").bytes(),
    ];
    let _ = change_all(&socket, &seeds[2]);
    let before = server.rss_bytes();
    let sent: usize = seeds.iter().map(|seed| change_all(&socket, seed)).sum();
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for {sent} packets");
}

/// Sends a query with each byte changed in several ways, and cut off there.
fn change_all(socket: &Udp, seed: &[u8]) -> usize {
    let mut sent = 0;
    for at in 2..seed.len() {
        for change in [0x01, 0x40, 0x80, 0xff] {
            let mut bytes = seed.to_vec();
            bytes[at] ^= change;
            if let Some(reply) = socket.ask_bytes(&bytes) {
                Reply::parse(&reply).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
            }
            sent += 1;
        }
        let _ = socket.ask_bytes(&seed[..at]);
    }
    sent
}
