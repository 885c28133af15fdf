//! The probes of RFC 8906 8 (BCP 231), sent by dig to the running server.

use crate::dns_support::{at, came_to, config};
use selvedge_tests::Node;
use selvedge_tests::dns::{Dig, dig};

const SOA: &str = "cdn.test. 900 IN SOA ns1.cdn.test. hostmaster.cdn.test. 7 3600 600 86400 120";
const NEGATIVE: &str =
    "cdn.test. 120 IN SOA ns1.cdn.test. hostmaster.cdn.test. 7 3600 600 86400 120";

/// What all replies have in common: nothing of a resolver.
#[track_caller]
fn is_plain(reply: &Dig) {
    for flag in ["ad", "ra", "tc", "cd"] {
        assert!(!reply.has(flag), "{flag}: {}", reply.text);
    }
    assert!(reply.has("qr"), "{}", reply.text);
    assert!(!reply.text.contains("MBZ"), "{}", reply.text);
    assert!(!reply.text.contains("Warning"), "{}", reply.text);
}

/// The SOA, with authority; with EDNS when it was asked with that.
#[track_caller]
fn is_soa(reply: &Dig, edns: bool) {
    is_plain(reply);
    assert_eq!(reply.status, "NOERROR", "{}", reply.text);
    assert_eq!(reply.answer, [SOA], "{}", reply.text);
    assert!(reply.has("aa"), "{}", reply.text);
    assert_eq!(reply.edns.is_some(), edns, "{}", reply.text);
    if let Some(edns) = &reply.edns {
        assert!(edns.starts_with("version: 0, "), "{edns}");
    }
}

/// A version of EDNS that is not known here: said so, in version 0, and nothing else.
#[track_caller]
fn is_badvers(reply: &Dig) {
    is_plain(reply);
    assert_eq!(reply.status, "BADVERS", "{}", reply.text);
    assert!(reply.answer.is_empty() && reply.authority.is_empty(), "{}", reply.text);
    assert!(!reply.has("aa"), "{}", reply.text);
    assert!(!reply.text.contains("OPT=100"), "{}", reply.text);
    let edns = reply.edns.as_deref().unwrap_or_default();
    assert!(edns.starts_with("version: 0, flags:"), "{}", reply.text);
}

#[test]
fn plain_dns_is_answered_as_rfc_8906_8_1_wants() {
    let server = Node::dns(&config());
    let ask = |args: &str| dig(at(&server), &format!("+noedns +noad +norec {args} cdn.test"));
    is_soa(&ask("soa"), false);
    let unknown = ask("type1000");
    is_plain(&unknown);
    assert_eq!((unknown.status.as_str(), unknown.answer.len()), ("NOERROR", 0));
    assert_eq!(unknown.authority, [NEGATIVE], "{}", unknown.text);
    assert!(unknown.has("aa"));
    is_soa(&ask("+cd soa"), false);
    is_soa(&ask("+ad soa"), false);
    is_soa(&ask("+zflag soa"), false);
    let desired = ask("+rec soa");
    is_soa(&desired, false);
    assert!(desired.has("rd"), "{}", desired.text);
    is_soa(&ask("+tcp soa"), false);
    assert_eq!(came_to(&server, "answer"), 6);
    assert_eq!(came_to(&server, "no_data"), 1);
}

#[test]
fn an_unknown_opcode_is_not_implemented_with_a_question_and_without() {
    let server = Node::dns(&config());
    for args in ["+opcode=15 +header-only", "+opcode=15", "+opcode=1", "+opcode=2", "+opcode=3"] {
        let reply = dig(at(&server), &format!("+noedns +noad +norec {args} cdn.test soa"));
        is_plain(&reply);
        assert_eq!(reply.status, "NOTIMP", "{}", reply.text);
        assert!(!reply.has("aa"), "{}", reply.text);
        let records = reply.answer.len() + reply.authority.len() + reply.additional.len();
        assert_eq!(records, 0, "{}", reply.text);
    }
    assert_eq!(came_to(&server, "unimplemented"), 5);
}

#[test]
fn edns_is_answered_as_rfc_8906_8_2_wants() {
    let server = Node::dns(&config());
    let ask = |args: &str| dig(at(&server), &format!("+noad +norec +nocookie {args} cdn.test"));
    is_soa(&ask("+edns=0 soa"), true);
    let option = ask("+ednsopt=100 soa");
    is_soa(&option, true);
    assert!(!option.text.contains("OPT=100"), "{}", option.text);
    is_soa(&ask("+ednsflags=0x40 soa"), true);
    let signed = ask("+edns=0 +dnssec soa");
    is_soa(&signed, true);
    assert!(signed.edns.as_deref().is_some_and(|edns| edns.contains("do")), "{}", signed.text);
    is_soa(&ask("+edns=0 +cookie +nsid +expire +subnet=0.0.0.0/0 soa"), true);
    let small = ask("+edns=0 +dnssec +bufsize=512 +ignore dnskey");
    assert!(small.status == "NOERROR" && small.edns.is_some(), "{}", small.text);
    assert_eq!(small.authority, [NEGATIVE]);
    for args in ["", "+ednsflags=0x40", "+ednsopt=100", "+dnssec"] {
        is_badvers(&ask(&format!("+edns=1 +noednsneg {args} soa")));
    }
    assert_eq!(came_to(&server, "version"), 4);
}
