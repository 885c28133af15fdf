//! What zones answer: RFC 1034 4.3.2, RFC 2308, RFC 4592, RFC 6672, RFC 8482, RFC 9471.

mod common;

use common::{Answered, Ask, NOW, server, zone};
use domain::base::Message;
use selvedge_authority::{Reason, Responder, Settings, Transfer, Transport, Zones, kind, rcode};

const NEGATIVE: &str =
    "cdn.example. 120 SOA ns1.cdn.example. hostmaster.cdn.example. 7 3600 600 86400 120";

fn plain() -> Responder {
    server(|_| {})
}

/// Over a stream, so that everything fits.
fn ask(asked: &str, kind: u16) -> Answered {
    Ask::new(asked, kind).tcp().to(&plain())
}

fn is_no_data(answered: &Answered) {
    assert_eq!((answered.rcode, answered.is_authoritative), (rcode::NOERROR, true));
    assert_eq!((answered.answer.len(), &answered.authority[..]), (0, &[NEGATIVE.to_owned()][..]));
}

fn is_no_name(answered: &Answered) {
    assert_eq!((answered.rcode, answered.is_authoritative), (rcode::NXDOMAIN, true));
    assert_eq!((answered.answer.len(), &answered.authority[..]), (0, &[NEGATIVE.to_owned()][..]));
}

fn is_answer(answered: &Answered, records: &[&str]) {
    assert_eq!((answered.rcode, answered.is_authoritative), (rcode::NOERROR, true));
    assert_eq!(answered.answer, records);
    assert!(!answered.is_truncated);
}

#[test]
fn a_question_is_repeated_in_its_own_case_and_matched_in_any() {
    let answered = ask("wWw.CDN.exAmple.", kind::A);
    assert_eq!(answered.question, b"\x03wWw\x03CDN\x07exAmple\x00\x00\x01\x00\x01");
    let records = ["wWw.CDN.exAmple. 300 A 192.0.2.1", "wWw.CDN.exAmple. 300 A 192.0.2.2"];
    is_answer(&answered, &records);
    assert!(answered.authority.is_empty() && answered.additional.is_empty());
}

#[test]
fn what_is_missing_is_told_with_the_soa_of_the_zone() {
    is_no_name(&ask("missing.www.cdn.example.", kind::A));
    is_no_data(&ask("www.cdn.example.", kind::AAAA));
    // An empty non-terminal is there (RFC 8020).
    is_no_data(&ask("b.c.cdn.example.", kind::A));
    is_no_data(&ask("c.cdn.example.", kind::A));
    is_no_name(&ask("x.c.cdn.example.", kind::A));
    // The SOA's own time to live where that is the lesser.
    let child = ask("missing.child.cdn.example.", kind::A);
    assert_eq!(child.authority, ["child.cdn.example. 60 SOA ns.invalid. h.invalid. 1 1 1 1 1000"]);
}

#[test]
fn a_wildcard_makes_what_is_not_there_and_nothing_else() {
    is_answer(&ask("x.wild.cdn.example.", kind::TXT), &["x.wild.cdn.example. 300 TXT \"wild\""]);
    is_answer(&ask("x.y.wild.cdn.example.", kind::A), &["x.y.wild.cdn.example. 300 A 192.0.2.3"]);
    is_answer(&ask("*.wild.cdn.example.", kind::A), &["*.wild.cdn.example. 300 A 192.0.2.3"]);
    is_no_data(&ask("x.wild.cdn.example.", kind::MX));
    // What is there blocks it, an empty non-terminal too.
    is_no_data(&ask("there.wild.cdn.example.", kind::A));
    is_no_name(&ask("x.there.wild.cdn.example.", kind::A));
    is_no_data(&ask("ent.wild.cdn.example.", kind::A));
    is_no_name(&ask("x.ent.wild.cdn.example.", kind::A));
    // A star asked for below a wildcard is a label like any.
    is_answer(&ask("*.x.wild.cdn.example.", kind::A), &["*.x.wild.cdn.example. 300 A 192.0.2.3"]);
}

#[test]
fn a_cname_at_a_wildcard_leads_on() {
    let records = [
        "x.wildalias.cdn.example. 300 CNAME www.cdn.example.",
        "www.cdn.example. 300 A 192.0.2.1",
        "www.cdn.example. 300 A 192.0.2.2",
    ];
    is_answer(&ask("x.wildalias.cdn.example.", kind::A), &records);
}

#[test]
fn a_chain_is_followed_in_the_zone_and_not_out_of_it() {
    let www = ["www.cdn.example. 300 A 192.0.2.1", "www.cdn.example. 300 A 192.0.2.2"];
    let (first, second) = (
        "alias2.cdn.example. 300 CNAME alias.cdn.example.",
        "alias.cdn.example. 300 CNAME www.cdn.example.",
    );
    is_answer(&ask("alias2.cdn.example.", kind::A), &[first, second, www[0], www[1]]);
    is_answer(&ask("alias2.cdn.example.", kind::CNAME), &[first]);
    let out = "out.cdn.example. 300 CNAME www.elsewhere.invalid.";
    is_answer(&ask("out.cdn.example.", kind::A), &[out]);
}

#[test]
fn a_chain_that_ends_in_nothing_says_so() {
    let missing = ask("dangling.cdn.example.", kind::A);
    assert_eq!(missing.rcode, rcode::NXDOMAIN);
    assert_eq!(missing.answer, ["dangling.cdn.example. 300 CNAME a.www.cdn.example."]);
    assert_eq!(missing.authority, [NEGATIVE]);
    let no_data = ask("alias.cdn.example.", kind::AAAA);
    assert_eq!((no_data.rcode, no_data.answer.len()), (rcode::NOERROR, 1));
    assert_eq!(no_data.authority, [NEGATIVE]);
}

#[test]
fn a_circle_of_cnames_is_walked_once() {
    let records = [
        "loop1.cdn.example. 300 CNAME loop2.cdn.example.",
        "loop2.cdn.example. 300 CNAME loop1.cdn.example.",
    ];
    is_answer(&ask("loop1.cdn.example.", kind::A), &records);
    let spin = ask("a.spin.cdn.example.", kind::A);
    let records = [
        "a.spin.cdn.example. 300 CNAME x.spin.cdn.example.",
        "x.spin.cdn.example. 300 CNAME x.spin.cdn.example.",
    ];
    is_answer(&spin, &records);
}

#[test]
fn a_chain_has_an_end() {
    let mut text = "@ 60 SOA ns.invalid. h.invalid. 1 1 1 1 1\n@ 60 NS ns.invalid.\n".to_owned();
    text.extend((0..100).map(|n| format!("c{n} 60 CNAME c{}\n", n + 1)));
    let zones = Zones::new([std::sync::Arc::new(zone("long.", false, &text))]);
    let answered = Ask::new("c0.long.", kind::A).to(&Responder::new(zones, Settings::default()));
    assert_eq!((answered.rcode, answered.answer.len()), (rcode::NOERROR, 10));
}

#[test]
fn a_delegation_is_referred_without_authority_and_with_glue() {
    for (asked, kind) in [
        ("sub.cdn.example.", kind::A),
        ("sub.cdn.example.", kind::NS),
        ("a.b.sub.cdn.example.", kind::ANY),
        ("ns.sub.cdn.example.", kind::A),
    ] {
        let referral = ask(asked, kind);
        assert_eq!((referral.rcode, referral.is_authoritative), (rcode::NOERROR, false));
        assert!(referral.answer.is_empty());
        let ns = [
            "sub.cdn.example. 300 NS ns.sub.cdn.example.",
            "sub.cdn.example. 300 NS ns1.cdn.example.",
        ];
        assert_eq!(referral.authority, ns);
        let glue = [
            "ns.sub.cdn.example. 300 A 192.0.2.77",
            "ns1.cdn.example. 300 A 192.0.2.53",
            "ns1.cdn.example. 300 AAAA 2001:db8::53",
        ];
        assert_eq!(referral.additional, glue);
    }
}

#[test]
fn the_ds_of_a_delegation_is_the_parents_to_answer() {
    let answered = ask("sub.cdn.example.", kind::DS);
    assert!(
        answered.is_authoritative && answered.answer[0].starts_with("sub.cdn.example. 300 DS 1")
    );
    // And with a zone of ours below, the one above answers: nothing is there.
    is_no_name(&ask("child.cdn.example.", kind::DS));
    // Who wants signatures gets it with the referral.
    let referral = Ask::new("x.sub.cdn.example.", kind::A).opt(1232, 0, 0x8000).to(&plain());
    assert!(referral.authority[2].starts_with("sub.cdn.example. 300 DS "));
}

#[test]
fn a_chain_into_a_delegation_keeps_its_authority_and_refers() {
    let answered = ask("to-sub.cdn.example.", kind::A);
    assert!(answered.is_authoritative);
    assert_eq!(answered.answer, ["to-sub.cdn.example. 300 CNAME www.sub.cdn.example."]);
    assert_eq!((answered.authority.len(), answered.additional.len()), (2, 3));
}

#[test]
fn a_name_of_nobodys_is_refused_in_few_words() {
    for asked in ["www.elsewhere.invalid.", ".", "example.", "xcdn.example."] {
        let refused = Ask::new(asked, kind::A).edns().to(&plain());
        assert_eq!((refused.rcode, refused.is_authoritative), (rcode::REFUSED, false));
        assert!(refused.answer.is_empty() && refused.authority.is_empty());
        // As much as was asked, and why (RFC 8914 4.21: Not Authoritative).
        assert_eq!(refused.option(15), Some(&[0, 20][..]));
        assert_eq!(refused.bytes.len(), Ask::new(asked, kind::A).edns().packet().len() + 6);
        let plainly = ask(asked, kind::A);
        assert_eq!((plainly.rcode, plainly.opt.is_none()), (rcode::REFUSED, true));
        assert_eq!(plainly.bytes.len(), Ask::new(asked, kind::A).packet().len());
    }
}

#[test]
fn a_dname_renames_what_is_below_it() {
    let records = [
        "old.cdn.example. 300 DNAME new.cdn.example.",
        "x.old.cdn.example. 300 CNAME x.new.cdn.example.",
        "x.new.cdn.example. 300 A 192.0.2.10",
    ];
    is_answer(&ask("x.old.cdn.example.", kind::A), &records);
    is_answer(&ask("x.old.cdn.example.", kind::CNAME), &records[..2]);
    is_answer(&ask("old.cdn.example.", kind::DNAME), &records[..1]);
    is_no_data(&ask("old.cdn.example.", kind::A));
    let missing = ask("y.old.cdn.example.", kind::A);
    assert_eq!((missing.rcode, missing.answer.len()), (rcode::NXDOMAIN, 2));
}

#[test]
fn a_dname_to_a_name_too_long_is_yxdomain() {
    let label = "b".repeat(60);
    let long = ask(&format!("{label}.{label}.{label}.long.cdn.example."), kind::A);
    assert_eq!((long.rcode, long.answer.len()), (rcode::YXDOMAIN, 1));
    assert!(long.answer[0].starts_with("long.cdn.example. 300 DNAME "));
}

#[test]
fn any_gets_little() {
    for asked in ["www.cdn.example.", "cdn.example.", "shop.cdn.example.", "x.wild.cdn.example."] {
        let request = Ask::new(asked, kind::ANY);
        let answered = request.to(&plain());
        let hinfo = format!("{asked} 3600 HINFO \"RFC8482\" \"\"");
        is_answer(&answered, &[&hinfo]);
        assert!(answered.bytes.len() <= 2 * request.packet().len());
    }
    is_answer(
        &ask("out.cdn.example.", kind::ANY),
        &["out.cdn.example. 300 CNAME www.elsewhere.invalid."],
    );
    is_no_data(&ask("b.c.cdn.example.", kind::ANY));
    is_no_name(&ask("x.b.c.cdn.example.", kind::ANY));
}

#[test]
fn addresses_of_targets_are_added_when_they_are_ours() {
    let mx = ask("cdn.example.", kind::MX);
    is_answer(&mx, &["cdn.example. 300 MX 10 mail.cdn.example."]);
    assert_eq!(mx.additional, ["mail.cdn.example. 300 A 192.0.2.25"]);
    let srv = ask("svc.cdn.example.", kind::SRV);
    assert_eq!(srv.additional.len(), 2);
    let ns = ask("cdn.example.", kind::NS);
    assert_eq!(ns.additional.len(), 2);
    let https = ask("static.cdn.example.", kind::HTTPS);
    assert_eq!(https.additional, ["static.cdn.example. 300 A 192.0.2.11"]);
    let other = ask("to-static.cdn.example.", kind::HTTPS);
    assert_eq!(other.additional, ["static.cdn.example. 300 A 192.0.2.11"]);
}

#[test]
fn a_target_that_is_the_root_is_nothing() {
    let srv = ask("nothing.cdn.example.", kind::SRV);
    assert_eq!((srv.answer.len(), srv.additional.len()), (1, 0));
    let mx = ask("nomail.cdn.example.", kind::MX);
    is_answer(&mx, &["nomail.cdn.example. 300 MX 0 ."]);
    assert!(mx.additional.is_empty());
}

#[test]
fn a_type_without_a_name_is_answered_as_it_is() {
    is_answer(&ask("odd.cdn.example.", 1234), &["odd.cdn.example. 300 TYPE1234 \\# 3 ab cd ef"]);
    is_answer(&ask("cdn.example.", kind::CAA), &["cdn.example. 300 CAA 0 issue \"ca.invalid\""]);
    assert!(ask("longtxt.cdn.example.", kind::TXT).answer[0].contains("0123456789"));
}

#[test]
fn types_that_are_no_questions_are_refused_each_in_its_way() {
    for (kind, code) in [
        (kind::OPT, rcode::FORMERR),
        (kind::TSIG, rcode::FORMERR),
        (kind::NXNAME, rcode::FORMERR),
        (0, rcode::FORMERR),
        (kind::TKEY, rcode::NOTIMP),
        (kind::MAILA, rcode::NOTIMP),
        (kind::MAILB, rcode::NOTIMP),
        (kind::AXFR, rcode::REFUSED),
        (kind::IXFR, rcode::REFUSED),
    ] {
        assert_eq!(ask("cdn.example.", kind).rcode, code, "{kind}");
        assert_eq!(Ask::new("cdn.example.", kind).to(&plain()).rcode, code, "{kind}");
    }
}

#[test]
fn the_zone_above_and_the_zone_below_are_told_apart() {
    let below = "a.child.cdn.example. 60 A 192.0.2.8";
    is_answer(&ask("a.child.cdn.example.", kind::A), &[below]);
    is_answer(&ask("a.ex.", kind::A), &["a.ex. 60 A 192.0.2.8"]);
}

#[test]
fn a_zone_goes_to_who_may_have_it_over_a_stream() {
    let server = server(|settings| {
        let nets = ["192.0.2.0/24".parse().unwrap()];
        settings.transfers_to = selvedge_authority::AddressSet::new(&nets);
    });
    let packet = Ask::new("cdn.example.", kind::AXFR).packet();
    let reason = |from: &str, transport| {
        common::send(&server, &packet, from.parse().unwrap(), transport).1.reason
    };
    assert_eq!(reason("192.0.2.1:53", Transport::Stream), Reason::Transfer);
    assert_eq!(reason("192.0.2.1:53", Transport::Udp), Reason::TransferRefused);
    assert_eq!(reason("192.0.3.1:53", Transport::Stream), Reason::TransferRefused);
    let other = Ask::new("www.cdn.example.", kind::AXFR).tcp().to(&server);
    assert_eq!(other.rcode, rcode::REFUSED);
    let ask_ixfr = Ask::new("cdn.example.", kind::IXFR).packet();
    let from = "192.0.2.1:53".parse().unwrap();
    let outcome = common::send(&server, &ask_ixfr, from, Transport::Stream).1;
    assert_eq!((outcome.reason, NOW > 0), (Reason::Transfer, true));
}

#[test]
fn a_transfer_holds_every_record_between_two_soas() {
    let mut text = common::CDN.to_owned();
    text.extend((0..3000).map(|n| format!("n{n} TXT \"{}\"\n", "x".repeat(n % 200))));
    text.push_str(&format!("huge TYPE999 \\# 40000 {}\n", "ab".repeat(40_000)));
    let zone = std::sync::Arc::new(zone("cdn.example.", true, &text));
    let records: usize =
        zone.nodes().flat_map(|(_, node)| &node.sets).map(|set| set.data.len()).sum();
    let packet = Ask::new("cdn.example.", kind::AXFR).packet();
    let mut transfer = Transfer::new(zone, &packet).expect("a query");
    let (mut read, mut messages, mut out) = (Vec::new(), 0, vec![0; 65_535]);
    while let Some(len) = transfer.next_message(&mut out) {
        let message = Message::from_octets(&out[..len]).expect("a message");
        assert_eq!(message.header().id(), 0x1234);
        assert_eq!(message.header_counts().qdcount(), u16::from(messages == 0));
        for record in message.answer().expect("an answer") {
            read.push(record.expect("a record").rtype().to_int());
        }
        messages += 1;
    }
    assert_eq!(read.len(), records + 1);
    assert_eq!((read.first(), read.last()), (Some(&kind::SOA), Some(&kind::SOA)));
    assert!(messages > 10);
}

#[test]
fn a_long_answer_is_whole_where_pointers_no_longer_reach() {
    let mut text = "@ 60 SOA ns.invalid. h.invalid. 1 1 1 1 1\n@ 60 NS ns.invalid.\n".to_owned();
    let label = "t".repeat(40);
    text.extend((0..900).map(|n| format!("@ 60 MX {n} {label}{n}.below\n")));
    text.extend((0..900).map(|n| format!("{label}{n}.below 60 A 192.0.2.1\n")));
    let zones = Zones::new([std::sync::Arc::new(zone("long.", false, &text))]);
    let server = Responder::new(zones, Settings::default());
    let answered = Ask::new("long.", kind::MX).tcp().edns().to(&server);
    assert_eq!((answered.answer.len(), answered.is_truncated), (900, false));
    assert!(answered.bytes.len() > 0x4000 && answered.additional.len() == 16);
    assert!(answered.answer.iter().all(|record| record.starts_with("long. 60 MX ")));
    assert!(answered.answer.iter().all(|record| record.ends_with(".below.long.")));
}
