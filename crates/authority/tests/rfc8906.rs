//! The probes of RFC 8906 8 (BCP 231), one test each, in its order.

mod common;

use common::{Answered, Ask, server};
use selvedge_authority::{kind, rcode};

const ZONE: &str = "cdn.example.";
const SOA: &str =
    "cdn.example. 900 SOA ns1.cdn.example. hostmaster.cdn.example. 7 3600 600 86400 120";
const BADVERS_OPT: (u8, usize) = (0, 0);

fn ask(kind: u16) -> Ask {
    Ask::new(ZONE, kind)
}

fn answered(ask: &Ask) -> Answered {
    ask.to(&server(|settings| {
        settings.identity = Some(selvedge_authority::ServerText::new("here").expect("a text"));
        settings.cookies = Some(selvedge_authority::CookieSecrets::new(&[1; 16], None));
    }))
}

/// The SOA, with authority, and an OPT record when one was sent.
fn is_soa(answered: &Answered, has_opt: bool) {
    assert_eq!(answered.rcode, rcode::NOERROR);
    assert_eq!(answered.answer, [SOA]);
    assert!(answered.is_authoritative && !answered.is_truncated);
    assert_eq!(answered.opt.as_ref().map(|opt| opt.version), has_opt.then_some(0));
}

fn is_badvers(answered: &Answered) {
    assert_eq!(answered.rcode, rcode::BADVERS);
    assert!(answered.answer.is_empty() && answered.authority.is_empty());
    assert!(!answered.is_authoritative);
    let opt = answered.opt.as_ref().expect("an OPT record");
    assert_eq!((opt.version, opt.options.len()), BADVERS_OPT);
}

fn is_notimp(answered: &Answered) {
    assert_eq!(answered.rcode, rcode::NOTIMP);
    assert!(answered.answer.is_empty() && answered.authority.is_empty());
    assert!(answered.additional.is_empty() && !answered.is_authoritative);
}

#[test]
fn probe_8_1_1_plain_dns_gets_the_soa() {
    is_soa(&answered(&ask(kind::SOA)), false);
}

#[test]
fn probe_8_1_2_an_unknown_type_is_no_data() {
    let answered = answered(&ask(1000));
    assert_eq!((answered.rcode, answered.answer.len()), (rcode::NOERROR, 0));
    assert_eq!(answered.authority, [SOA.replace(" 900 ", " 120 ")]);
    assert!(answered.is_authoritative && answered.opt.is_none());
}

#[test]
fn probe_8_1_3_1_checking_disabled_is_passed_over() {
    is_soa(&answered(&ask(kind::SOA).flags(0x0010)), false);
}

#[test]
fn probe_8_1_3_2_authentic_data_is_passed_over() {
    is_soa(&answered(&ask(kind::SOA).flags(0x0020)), false);
}

#[test]
fn probe_8_1_3_3_the_reserved_bit_is_not_copied() {
    is_soa(&answered(&ask(kind::SOA).flags(0x0040)), false);
}

#[test]
fn probe_8_1_3_4_recursion_desired_is_copied_and_not_available() {
    let answered = answered(&ask(kind::SOA).flags(0x0100));
    is_soa(&answered, false);
    assert_eq!(answered.bytes[2..4], [0x85, 0]);
}

#[test]
fn probe_8_1_4_an_unknown_opcode_is_not_implemented() {
    let mut header_only = ask(0).flags(15 << 11);
    header_only.question = None;
    let reply = answered(&header_only);
    is_notimp(&reply);
    assert_eq!(reply.bytes.len(), 12);
    assert_eq!(reply.bytes[2..4], [0xf8, 4]);
}

#[test]
fn probe_8_1_4_an_unknown_opcode_with_a_question_is_not_implemented() {
    is_notimp(&answered(&ask(kind::SOA).flags(15 << 11)));
}

#[test]
fn probe_8_1_5_a_stream_gets_the_soa() {
    is_soa(&answered(&ask(kind::SOA).tcp()), false);
}

#[test]
fn probe_8_2_1_edns_gets_the_soa_and_edns() {
    is_soa(&answered(&ask(kind::SOA).edns()), true);
}

#[test]
fn probe_8_2_2_a_newer_edns_is_a_bad_version() {
    is_badvers(&answered(&ask(kind::SOA).opt(1232, 1, 0)));
}

#[test]
fn probe_8_2_3_an_unknown_option_is_not_repeated() {
    let answered = answered(&ask(kind::SOA).option(100, b""));
    is_soa(&answered, true);
    assert!(answered.opt.expect("an OPT record").options.is_empty());
}

#[test]
fn probe_8_2_4_unknown_edns_flags_are_not_copied() {
    let answered = answered(&ask(kind::SOA).opt(1232, 0, 0x0040));
    is_soa(&answered, true);
    let opt = answered.bytes.len() - 11;
    assert_eq!(answered.bytes[opt + 7..opt + 9], [0, 0]);
}

#[test]
fn probe_8_2_5_a_newer_edns_with_flags_is_a_bad_version() {
    is_badvers(&answered(&ask(kind::SOA).opt(1232, 1, 0x0040)));
}

#[test]
fn probe_8_2_6_a_newer_edns_with_an_option_is_a_bad_version() {
    is_badvers(&answered(&ask(kind::SOA).opt(1232, 1, 0).option(100, b"x")));
    // The options of another version are not ours to read.
    is_badvers(&answered(&ask(kind::SOA).opt(1232, 1, 0).option(8, b"x")));
}

#[test]
fn probe_8_2_7_a_truncated_reply_keeps_its_opt() {
    let answered = answered(&Ask::new("big.cdn.example.", kind::A).opt(512, 0, 0x8000));
    assert!(answered.is_truncated && answered.is_authoritative);
    assert!(answered.opt.expect("an OPT record").wants_dnssec);
    assert!(answered.bytes.len() <= 512);
}

#[test]
fn probe_8_2_8_dnssec_ok_is_copied() {
    let answered = answered(&ask(kind::SOA).opt(1232, 0, 0x8000));
    is_soa(&answered, true);
    assert!(answered.opt.expect("an OPT record").wants_dnssec);
}

#[test]
fn probe_8_2_9_a_newer_edns_with_dnssec_ok_is_a_bad_version() {
    is_badvers(&answered(&ask(kind::SOA).opt(1232, 1, 0x8000)));
}

#[test]
fn probe_8_2_10_several_options_at_once_get_the_soa() {
    let ask =
        ask(kind::SOA).option(10, b"12345678").option(3, b"").option(9, b"").subnet("0.0.0.0", 0);
    let answered = answered(&ask);
    is_soa(&answered, true);
    assert_eq!(answered.option(3), Some(&b"here"[..]));
    assert_eq!(answered.option(8), Some(&[0, 1, 0, 0][..]));
    assert_eq!(answered.option(10).map(<[u8]>::len), Some(24));
    assert_eq!(answered.option(9), None);
}
