//! What is said of a query beside its reply: what counters and the log are made of.

mod common;

use common::{Ask, send, server};
use selvedge_authority::{AddressSet, Reason, SiteIndex, kind, rcode};

#[test]
fn each_reply_has_a_reason_and_says_whose_zone_and_site_it_was() {
    let server = server(|settings| {
        let nets = ["192.0.2.0/24".parse().unwrap()];
        settings.transfers_to = AddressSet::new(&nets);
    });
    for (asked, kind, reason, apex, site) in [
        ("www.cdn.example.", kind::A, Reason::Answer, "cdn.example.", None),
        ("shop.cdn.example.", kind::A, Reason::Site, "cdn.example.", Some(0)),
        ("to-site.cdn.example.", kind::HTTPS, Reason::Site, "cdn.example.", Some(0)),
        ("v4only.cdn.example.", kind::AAAA, Reason::NoData, "cdn.example.", Some(1)),
        ("empty.cdn.example.", kind::A, Reason::SiteEmpty, "cdn.example.", Some(2)),
        ("lost.cdn.example.", kind::A, Reason::SiteUnknown, "cdn.example.", None),
        ("www.cdn.example.", kind::MX, Reason::NoData, "cdn.example.", None),
        ("no.www.cdn.example.", kind::A, Reason::NoName, "cdn.example.", None),
        ("x.sub.cdn.example.", kind::A, Reason::Referral, "cdn.example.", None),
        ("cdn.example.", kind::ANY, Reason::Any, "cdn.example.", None),
        ("a.ex.", kind::A, Reason::Answer, "ex.", None),
        ("ex.", kind::AXFR, Reason::Transfer, "ex.", None),
    ] {
        let ask = Ask::new(asked, kind).tcp();
        let (_, outcome) = send(&server, &ask.packet(), ask.from, ask.transport);
        assert_eq!(outcome.reason, reason, "{asked}");
        assert_eq!(outcome.zone.expect("a zone").apex().to_string(), apex);
        assert_eq!((outcome.site, outcome.kind), (site.map(SiteIndex), kind));
        assert!(outcome.is_proven && !outcome.has_edns && !outcome.is_truncated);
    }
}

#[test]
fn what_no_zone_answers_has_a_reason_too() {
    let server = server(|_| {});
    for (ask, reason, code) in [
        (Ask::new("elsewhere.invalid.", kind::A), Reason::NotOurs, rcode::REFUSED),
        (Ask::new("ex.", kind::AXFR), Reason::TransferRefused, rcode::REFUSED),
        (Ask::new("ex.", kind::A).class(4), Reason::Class, rcode::REFUSED),
        (Ask::new("ex.", kind::TXT).class(3), Reason::Chaos, rcode::REFUSED),
        (Ask::new("ex.", kind::A).flags(5 << 11), Reason::Unimplemented, rcode::NOTIMP),
        (Ask::new("ex.", kind::A).opt(512, 9, 0), Reason::Version, rcode::BADVERS),
        (Ask::new("ex.", kind::A).option(8, b""), Reason::Malformed, rcode::FORMERR),
    ] {
        let (_, outcome) = send(&server, &ask.packet(), ask.from, ask.transport);
        assert_eq!((outcome.reason, outcome.rcode), (reason, code));
        assert!(outcome.zone.is_none() && !outcome.is_proven);
    }
}

#[test]
fn the_subnet_is_told_with_its_scope_and_truncation_is() {
    let server = server(|_| {});
    let ask = Ask::new("geo.cdn.example.", kind::A).subnet("10.1.2.0", 24);
    let outcome = send(&server, &ask.packet(), ask.from, ask.transport).1;
    let subnet = outcome.subnet.expect("a subnet");
    assert_eq!(subnet.address.map(|a| a.to_string()).as_deref(), Some("10.1.2.0"));
    assert_eq!((subnet.source, subnet.scope), (24, 24));
    let ask = Ask::new("big.cdn.example.", kind::A).opt(512, 0, 0x8000);
    let outcome = send(&server, &ask.packet(), ask.from, ask.transport).1;
    assert!(outcome.is_truncated && outcome.has_edns && outcome.wants_dnssec);
}
