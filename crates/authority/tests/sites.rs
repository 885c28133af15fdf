//! Where the clients of sites are sent, and for whom an answer is good (RFC 7871, RFC 9460).

mod common;

use std::net::Ipv4Addr;

use common::{Answered, Ask, NETS, server};
use proptest::prelude::*;
use selvedge_authority::{AddressSet, SubnetTrust, kind, rcode};

const NEGATIVE: &str = "SOA ns1.cdn.example. hostmaster.cdn.example. 7 3600 600 86400 120";

fn ask(asked: &str, kind: u16) -> Answered {
    Ask::new(asked, kind).to(&server(|_| {}))
}

#[test]
fn a_site_answers_at_its_name_below_the_zone_and_wherever_the_zone_says() {
    for asked in ["shop.cdn.example.", "hosted.cdn.example.", "cdn.example.", "sHOP.cdn.example."] {
        let answered = ask(asked, kind::A);
        assert_eq!((answered.rcode, answered.is_authoritative), (rcode::NOERROR, true));
        let [one, two] =
            ["198.51.100.1", "198.51.100.2"].map(|address| format!("{asked} 30 A {address}"));
        assert_eq!(answered.answer, [one, two]);
        assert_eq!(ask(asked, kind::AAAA).answer, [format!("{asked} 30 AAAA 2001:db8::1")]);
    }
}

#[test]
fn the_apex_has_its_own_records_beside_a_site() {
    assert_eq!(ask("cdn.example.", kind::TXT).answer, ["cdn.example. 300 TXT \"apex\""]);
    for kind in [kind::SOA, kind::NS, kind::MX, kind::CAA] {
        assert_eq!(ask("cdn.example.", kind).answer.len(), if kind == kind::NS { 2 } else { 1 });
    }
    assert!(ask("cdn.example.", kind::CNAME).answer.is_empty());
}

#[test]
fn a_site_has_no_data_of_other_types_and_nothing_below_it() {
    for kind in [kind::TXT, kind::CNAME, kind::MX, kind::SVCB, kind::NS] {
        let answered = ask("shop.cdn.example.", kind);
        assert_eq!((answered.rcode, answered.answer.len()), (rcode::NOERROR, 0));
        assert_eq!(answered.authority, [format!("cdn.example. 120 {NEGATIVE}")]);
    }
    assert_eq!(ask("x.shop.cdn.example.", kind::A).rcode, rcode::NXDOMAIN);
    assert_eq!(ask("nosite.cdn.example.", kind::A).rcode, rcode::NXDOMAIN);
}

#[test]
fn a_cname_may_lead_to_a_site() {
    let answered = Ask::new("to-site.cdn.example.", kind::A).subnet("1.2.3.0", 24);
    let answered = answered.to(&server(|_| {}));
    assert_eq!(answered.answer.len(), 3);
    assert_eq!(answered.answer[1], "shop.cdn.example. 30 A 198.51.100.1");
    assert_eq!(answered.scope(), Some(20));
}

#[test]
fn a_site_with_ipv4_only_has_no_data_for_aaaa_as_long_as_its_answer_lives() {
    let answered = ask("v4only.cdn.example.", kind::AAAA);
    assert_eq!((answered.rcode, answered.answer.len()), (rcode::NOERROR, 0));
    assert_eq!(answered.authority, [format!("cdn.example. 30 {NEGATIVE}")]);
}

/// RFC 8914: only to who speaks EDNS, and only of errors.
#[test]
fn why_there_is_an_error_is_told_to_who_speaks_edns() {
    let told = |ask: Ask| ask.edns().to(&server(|_| {})).option(15).map(<[u8]>::to_vec);
    for asked in ["empty.cdn.example.", "lost.cdn.example."] {
        assert_eq!(told(Ask::new(asked, kind::A)), Some(vec![0, 14]), "{asked}");
        assert!(ask(asked, kind::A).opt.is_none());
    }
    assert_eq!(told(Ask::new("cdn.example.", kind::AXFR).tcp()), Some(vec![0, 18]));
    assert_eq!(told(Ask::new("cdn.example.", kind::A).class(4)), Some(vec![0, 21]));
    for asked in ["shop.cdn.example.", "nosite.cdn.example.", "cdn.example."] {
        assert_eq!(told(Ask::new(asked, kind::A)), None, "{asked}");
    }
}

#[test]
fn a_site_without_addresses_or_unknown_is_a_failure_that_nobody_remembers() {
    for asked in ["empty.cdn.example.", "lost.cdn.example."] {
        for kind in [kind::A, kind::AAAA, kind::HTTPS] {
            let answered = ask(asked, kind);
            assert_eq!((answered.rcode, answered.is_authoritative), (rcode::SERVFAIL, false));
            assert!(answered.answer.is_empty() && answered.authority.is_empty());
        }
    }
    assert_eq!(ask("lost.cdn.example.", kind::TXT).rcode, rcode::NOERROR);
}

#[test]
fn the_hints_of_https_are_the_addresses_that_the_same_asker_gets() {
    let https = ask("shop.cdn.example.", kind::HTTPS);
    let record = &https.answer[0];
    let expected = "shop.cdn.example. 30 HTTPS 1 . alpn=h3,h2 \
                    ipv4hint=198.51.100.1,198.51.100.2 ipv6hint=2001:db8::1";
    assert_eq!(record.replace('"', ""), expected);
    let mut addresses = ask("shop.cdn.example.", kind::A).answer;
    addresses.extend(ask("shop.cdn.example.", kind::AAAA).answer);
    assert_eq!(https.additional, addresses);
    // Without protocols and without IPv6 those keys are not there.
    let server = server(|settings| settings.alpn = selvedge_authority::Alpn::default());
    let short = Ask::new("v4only.cdn.example.", kind::HTTPS).to(&server);
    let expected = "v4only.cdn.example. 30 HTTPS 1 . ipv4hint=198.51.100.3";
    assert_eq!(short.answer, [expected]);
}

#[test]
fn the_subnet_is_repeated_as_it_came_with_the_scope_of_the_answer() {
    for (asked, scope) in [
        ("shop.cdn.example.", 20),
        ("www.cdn.example.", 0),
        ("missing.www.cdn.example.", 0),
        ("elsewhere.invalid.", 0),
        ("x.sub.cdn.example.", 0),
        ("v4only.cdn.example.", 24),
    ] {
        let answered = Ask::new(asked, kind::A).subnet("203.0.113.128", 25).to(&server(|_| {}));
        let expected = [0, 1, 25, scope, 203, 0, 113, 128];
        assert_eq!(answered.option(8), Some(&expected[..]), "{asked}");
    }
    assert_eq!(Ask::new("shop.cdn.example.", kind::A).edns().to(&server(|_| {})).option(8), None);
}

#[test]
fn a_subnet_that_is_malformed_is_a_format_error() {
    for value in [
        &[0, 1, 24, 0, 1, 2][..],
        &[0, 1, 24, 0, 1, 2, 3, 4],
        &[0, 1, 24, 8, 1, 2, 3],
        &[0, 1, 20, 0, 1, 2, 3],
        &[0, 7, 0, 0],
        &[0, 1, 40, 0, 1, 2, 3, 4, 5],
    ] {
        let answered = Ask::new("shop.cdn.example.", kind::A).option(8, value);
        let (packet, answered) = (answered.packet(), answered.to(&server(|_| {})));
        assert_eq!(answered.rcode, rcode::FORMERR, "{value:?}");
        assert!(answered.opt.is_some() && answered.bytes.len() <= packet.len());
    }
}

#[test]
fn who_hides_his_client_gets_the_resolvers_answer_with_scope_0() {
    let ask = Ask::new("geo.cdn.example.", kind::A).from("10.1.2.3:999").subnet("0.0.0.0", 0);
    let answered = ask.to(&server(|_| {}));
    assert_eq!(answered.answer, ["geo.cdn.example. 30 A 203.0.113.4"]);
    assert_eq!(answered.option(8), Some(&[0, 1, 0, 0][..]));
}

#[test]
fn a_resolver_that_is_not_believed_gets_its_own_answer_and_no_subnet() {
    let nets = ["192.0.2.0/24".parse().unwrap()];
    let server = server(|s| s.subnet_trust = SubnetTrust::Of(AddressSet::new(&nets)));
    let ask = Ask::new("geo.cdn.example.", kind::A).subnet("10.1.2.0", 24);
    let believed = ask.clone().to(&server);
    assert_eq!(believed.answer, ["geo.cdn.example. 30 A 203.0.113.4"]);
    assert_eq!(believed.scope(), Some(24));
    // An IPv4 resolver is the same one when it comes over an IPv6 socket.
    assert_eq!(ask.clone().from("[::ffff:192.0.2.9]:5").to(&server).scope(), Some(24));
    let other = ask.from("10.1.0.9:53").to(&server);
    assert_eq!(other.answer, ["geo.cdn.example. 30 A 203.0.113.3"]);
    assert!(other.option(8).is_none() && other.opt.is_some());
}

#[test]
fn a_wildcard_may_be_a_sites() {
    let ask = Ask::new("x.many.cdn.example.", kind::A).subnet("2001:db8:1::", 48);
    let answered = ask.to(&server(|_| {}));
    assert_eq!(answered.answer, ["x.many.cdn.example. 30 A 203.0.113.5"]);
    assert_eq!(answered.scope(), Some(32));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nobody inside the address and scope that come back gets another answer.
    #[test]
    fn an_answer_is_good_for_all_in_its_scope(
        near in 0..NETS.len() - 1,
        low in any::<u32>(),
        bits in 0u32..=32,
        others in prop::collection::vec(any::<u32>(), 16),
    ) {
        let server = server(|_| {});
        let net: ipnet::Ipv4Net = NETS[near].0.parse().expect("a net");
        // An address near a border, so that borders are crossed.
        let mask = u32::MAX.checked_shr(bits).unwrap_or(0);
        let client = Ipv4Addr::from_bits(net.network().to_bits() ^ (low & mask));
        let answer = |client: Ipv4Addr| {
            let ask = Ask::new("geo.cdn.example.", kind::A).subnet(&client.to_string(), 32);
            ask.to(&server)
        };
        let first = answer(client);
        let scope = u32::from(first.scope().expect("a scope"));
        let mask = u32::MAX.checked_shr(scope).unwrap_or(0);
        for other in others {
            let inside = Ipv4Addr::from_bits((client.to_bits() & !mask) | (other & mask));
            prop_assert_eq!(&answer(inside).answer, &first.answer, "{} {}", inside, scope);
        }
    }
}

/// They would lead clients to TLS that nobody speaks there.
#[test]
fn a_site_without_tls_has_no_https_records() {
    let answered = ask("geo.cdn.example.", kind::HTTPS);
    assert_eq!((answered.rcode, answered.answer.len()), (rcode::NOERROR, 0));
    assert_eq!(answered.authority.len(), 1);
}
