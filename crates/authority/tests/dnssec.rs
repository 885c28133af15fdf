//! Signed zones, as the validator of the `domain` crate sees them (RFC 4035 5, RFC 9824), and what
//! is told to whom.

mod common;

use common::signed::Signed;
use common::{Answered, Ask};
use domain::dnssec::validator::context::ValidationState::{self, Bogus, Insecure, Secure};
use selvedge_authority::{Algorithm, Transport, kind, rcode};

const BOTH: [Algorithm; 2] = [Algorithm::Ecdsa, Algorithm::Ed25519];

/// Below the zone, or its own name.
const ASKED: &[(&str, u16)] = &[
    ("www", kind::A),
    ("wWw", kind::A),
    ("www", kind::AAAA),
    ("www", kind::TXT),
    ("@", kind::SOA),
    ("@", kind::NS),
    ("@", kind::MX),
    ("@", kind::TXT),
    ("@", kind::DNSKEY),
    ("@", kind::CDS),
    ("@", kind::CDNSKEY),
    ("@", kind::A),
    ("@", kind::HTTPS),
    ("@", kind::SRV),
    ("@", kind::NSEC),
    ("shop", kind::A),
    ("sHop", kind::AAAA),
    ("shop", kind::HTTPS),
    ("shop", kind::TXT),
    ("shop", kind::DNSKEY),
    ("v4only", kind::AAAA),
    ("v4only", kind::HTTPS),
    ("hosted", kind::A),
    ("x.many", kind::A),
    ("x.many", kind::AAAA),
    ("x.many", kind::MX),
    ("x.wild", kind::TXT),
    ("x.y.wild", kind::A),
    ("*.wild", kind::A),
    ("*.x.wild", kind::A),
    ("x.wild", kind::MX),
    ("x.wildalias", kind::A),
    ("b.c", kind::A),
    ("c", kind::TXT),
    ("missing.www", kind::A),
    ("x.shop", kind::A),
    ("nosite", kind::HTTPS),
    ("alias2", kind::A),
    ("alias2", kind::AAAA),
    ("alias2", kind::DNSKEY),
    ("dangling", kind::A),
    ("to-site", kind::HTTPS),
    ("x.old", kind::A),
    ("x.old", kind::AAAA),
    ("y.old", kind::A),
    ("old", kind::DNAME),
    ("sub", kind::DS),
    ("plain", kind::DS),
    ("svc", kind::SRV),
    ("static", kind::HTTPS),
    ("odd", 1234),
    ("big", kind::A),
    ("a.child", kind::A),
    ("b.child", kind::A),
    ("child", kind::DNSKEY),
];

/// The types of the records of a section that are of a name.
fn kinds(lines: &[String], owner: &str) -> Vec<String> {
    let of = |line: &String| {
        let mut words = line.split(' ');
        (words.next() == Some(owner)).then(|| words.nth(1).expect("a type").to_owned())
    };
    lines.iter().filter_map(of).collect()
}

/// The bits of the one NSEC of a reply.
fn bits(answered: &Answered) -> String {
    let all = answered.authority.iter().chain(&answered.answer);
    let nsec: Vec<_> = all.filter(|line| line.contains(" NSEC \\000.")).collect();
    assert_eq!(nsec.len(), 1, "{answered:?}");
    nsec[0].split(' ').skip(3).collect::<Vec<_>>().join(" ")
}

fn is_signature(line: &&String) -> bool {
    line.split(' ').nth(2) == Some("RRSIG")
}

fn is(state: ValidationState, expected: &ValidationState) -> bool {
    std::mem::discriminant(&state) == std::mem::discriminant(expected)
}

#[test]
fn what_there_is_and_what_there_is_not_is_secure_to_a_validator() {
    for algorithm in BOTH {
        let signed = Signed::new(algorithm);
        for (asked, asked_kind) in ASKED {
            let asked = match *asked {
                "@" => "cdn.example.".to_owned(),
                name => format!("{name}.cdn.example."),
            };
            let answered = signed.ask(&asked, *asked_kind);
            assert_eq!(answered.rcode, rcode::NOERROR, "{asked}");
            let state = signed.state_of(&answered.bytes);
            // It takes no DS of Ed25519.
            let is_taken = algorithm == Algorithm::Ecdsa || !asked.contains("child.cdn");
            let expected = if is_taken { Secure } else { Insecure };
            assert!(is(state, &expected), "{asked} {asked_kind} {state:?} {answered:#?}");
        }
    }
}

#[test]
fn a_validator_calls_bogus_what_was_changed_on_its_way() {
    let signed = Signed::new(Algorithm::Ecdsa);
    let mut reply = signed.ask("www.cdn.example.", kind::A).bytes;
    let at = reply.windows(4).position(|bytes| bytes == [192, 0, 2, 2]).expect("the address");
    reply[at] = 193;
    assert!(is(signed.state_of(&reply), &Bogus));
}

#[test]
fn what_is_said_to_any_is_signed() {
    let signed = Signed::new(Algorithm::Ecdsa);
    for asked in ["cdn.example.", "www.cdn.example.", "shop.cdn.example.", "x.wild.cdn.example."] {
        let mut reply = signed.ask(asked, kind::ANY).bytes;
        assert_eq!(kinds(&Answered::read(&reply).answer, asked), ["HINFO", "RRSIG"]);
        // As if that was what was asked for.
        let kind_at = reply.windows(4).position(|bytes| bytes == [0, 255, 0, 1]).expect("ANY");
        reply[kind_at + 1] = kind::HINFO as u8;
        assert!(is(signed.state_of(&reply), &Secure), "{asked}");
    }
}

#[test]
fn what_a_delegation_without_ds_leads_to_is_insecure() {
    let signed = Signed::new(Algorithm::Ed25519);
    for (asked, cut) in [("x.plain.cdn.example.", "plain"), ("glued.cdn.example.", "glued")] {
        let answered = signed.ask(asked, kind::A);
        let cut = format!("{cut}.cdn.example.");
        assert!(!answered.is_authoritative && answered.answer.is_empty());
        assert_eq!(kinds(&answered.authority, &cut), ["NS", "NSEC", "RRSIG"]);
        assert_eq!(bits(&answered), "\\000.".to_owned() + &cut + " NS RRSIG NSEC");
        // Glue is the child's, and nobody signs it here.
        assert!(!answered.additional.iter().any(|line| is_signature(&line)));
    }
    let below = signed.ask("a.open.cdn.example.", kind::A);
    assert_eq!(kinds(&below.answer, "a.open.cdn.example."), ["A"]);
    assert!(is(signed.state_of(&below.bytes), &Insecure));
}

#[test]
fn a_signed_delegation_has_its_ds_and_no_nsec() {
    let answered = Signed::new(Algorithm::Ecdsa).ask("x.sub.cdn.example.", kind::A);
    let authority = kinds(&answered.authority, "sub.cdn.example.");
    assert_eq!(authority, ["NS", "NS", "DS", "RRSIG"]);
    assert_eq!(kinds(&answered.additional, "ns.sub.cdn.example."), ["A"]);
    // That one is no glue.
    let ours = kinds(&answered.additional, "ns1.cdn.example.");
    assert_eq!(ours, ["A", "RRSIG", "AAAA", "RRSIG"]);
}

#[test]
fn a_denial_lists_the_types_of_the_name_and_no_more() {
    let signed = Signed::new(Algorithm::Ecdsa);
    for (asked, asked_kind, expected) in [
        ("www", kind::TXT, "A RRSIG NSEC"),
        ("shop", kind::TXT, "A AAAA RRSIG NSEC HTTPS"),
        ("v4only", kind::AAAA, "A RRSIG NSEC HTTPS"),
        ("x.solo", kind::AAAA, "A TXT RRSIG NSEC HTTPS"),
        ("solo", kind::AAAA, "A RRSIG NSEC HTTPS CAA"),
        ("solo", kind::TXT, "A AAAA RRSIG NSEC HTTPS CAA"),
        ("x.many", kind::MX, "A TXT AAAA RRSIG NSEC HTTPS"),
        ("c", kind::A, "RRSIG NSEC"),
        ("nosite", kind::A, "RRSIG NSEC NXNAME"),
        ("alias", kind::NSEC, "CNAME RRSIG NSEC"),
        ("x.wild", kind::MX, "A TXT RRSIG NSEC"),
        ("plain", kind::DS, "NS RRSIG NSEC"),
    ] {
        let asked = format!("{asked}.cdn.example.");
        let answered = signed.ask(&asked, asked_kind);
        assert_eq!(bits(&answered), format!("\\000.{asked} {expected}"));
    }
    let apex = signed.ask("cdn.example.", kind::SRV);
    let expected = "A NS SOA MX TXT AAAA RRSIG NSEC DNSKEY CDS CDNSKEY HTTPS CAA";
    assert_eq!(bits(&apex), format!("\\000.cdn.example. {expected}"));
}

#[test]
fn a_missing_name_is_nxdomain_to_who_wants_no_signatures_or_takes_compact_denial() {
    let signed = Signed::new(Algorithm::Ed25519);
    let ask = |flags: u16| {
        let packet = Ask::new("a.www.cdn.example.", kind::A).opt(1232, 0, flags).packet();
        let reply = signed.send(&packet, Transport::Udp).expect("a reply");
        // The flags of OPT, which is last.
        let flags = u16::from_be_bytes([reply[reply.len() - 4], reply[reply.len() - 3]]);
        (Answered::read(&reply), flags)
    };
    for (sent, code, said) in [
        (0x8000, rcode::NOERROR, 0x8000),
        (0xc000, rcode::NXDOMAIN, 0xc000),
        (0xffff, rcode::NXDOMAIN, 0xc000),
        (0x4000, rcode::NXDOMAIN, 0),
        (0, rcode::NXDOMAIN, 0),
    ] {
        let (answered, flags) = ask(sent);
        assert_eq!((answered.rcode, flags), (code, said), "{sent:x}");
        let has_proof = answered.authority.iter().any(|line| line.contains("NXNAME"));
        assert_eq!(
            (has_proof, answered.authority.len()),
            match sent {
                0x8000.. => (true, 4),
                _ => (false, 1),
            }
        );
    }
    // A denial lives no longer than the SOA says that it does (RFC 9077).
    let ttls = ask(0x8000).0.authority.iter().all(|line| line.contains(". 120 "));
    assert!(ttls);
}

#[test]
fn who_wants_no_signatures_gets_none() {
    let signed = Signed::new(Algorithm::Ecdsa);
    for kind in [kind::A, kind::RRSIG, kind::NSEC, kind::DNSKEY, kind::CDS, kind::ANY, kind::SOA] {
        for asked in
            ["cdn.example.", "www.cdn.example.", "no.www.cdn.example.", "x.sub.cdn.example."]
        {
            for ask in [Ask::new(asked, kind), Ask::new(asked, kind).edns()] {
                let reply = signed.send(&ask.packet(), Transport::Stream).expect("a reply");
                let answered = Answered::read(&reply);
                let lines = [&answered.answer[..], &answered.authority, &answered.additional];
                assert!(!lines.concat().iter().any(|line| is_signature(&line)));
                let is_made = kind == kind::DNSKEY || kind == kind::CDS || kind == kind::NSEC;
                if is_made && asked == "cdn.example." {
                    assert_eq!(answered.answer.len(), 1);
                }
            }
        }
    }
    assert_eq!(signed.signatures.made(), 0);
}

#[test]
fn who_asks_for_signatures_gets_one_and_in_an_unsigned_zone_none() {
    let signed = Signed::new(Algorithm::Ecdsa);
    let answered = signed.ask("www.cdn.example.", kind::RRSIG);
    assert_eq!(kinds(&answered.answer, "www.cdn.example."), ["NSEC", "RRSIG"]);
    let plain = Ask::new("www.cdn.example.", kind::A).opt(1232, 0, 0xc000);
    let plain = plain.to(&common::server(|_| {}));
    assert_eq!((plain.answer.len(), plain.rcode), (2, rcode::NOERROR));
}

#[test]
fn a_cname_that_a_dname_makes_is_not_signed_and_the_dname_is() {
    let answered = Signed::new(Algorithm::Ecdsa).ask("x.old.cdn.example.", kind::A);
    assert_eq!(kinds(&answered.answer, "old.cdn.example."), ["DNAME", "RRSIG"]);
    assert_eq!(kinds(&answered.answer, "x.old.cdn.example."), ["CNAME"]);
    assert_eq!(kinds(&answered.answer, "x.new.cdn.example."), ["A", "RRSIG"]);
}

#[test]
fn signatures_fit_with_what_they_are_of_or_not_at_all() {
    let signed = Signed::new(Algorithm::Ecdsa);
    for asked in ["cdn.example.", "shop.cdn.example.", "alias2.cdn.example.", "x.sub.cdn.example."]
    {
        for kind in [kind::A, kind::NS, kind::MX, kind::HTTPS, kind::ANY, kind::DNSKEY] {
            for bytes in 512..1232 {
                let packet = Ask::new(asked, kind).opt(bytes, 0, 0x8000).packet();
                let reply = signed.send(&packet, Transport::Udp).expect("a reply");
                assert!(reply.len() <= usize::from(bytes));
                let answered = Answered::read(&reply);
                if !answered.is_truncated && !answered.answer.is_empty() {
                    assert!(answered.answer.iter().any(|line| is_signature(&line)));
                }
                // Glue alone has none, and it is asked for in no other case here.
                let signatures = answered.additional.iter().filter(is_signature).count();
                if asked != "x.sub.cdn.example." {
                    let mut sets = answered.additional.clone();
                    sets.dedup_by_key(|line| line.splitn(4, ' ').take(3).collect::<String>());
                    assert_eq!(sets.len(), 2 * signatures, "{answered:#?}");
                }
            }
        }
    }
}

#[test]
fn without_budget_datagrams_are_truncated_and_streams_go_unanswered() {
    let signed = Signed::with(Algorithm::Ed25519, |limits| {
        (limits.unproven_per_second, limits.proven_per_second) = (2, 2);
    });
    let ask = |label: u32, transport| {
        let packet = Ask::new(&format!("n{label}.www.cdn.example."), kind::A);
        signed.send(&packet.opt(1232, 0, 0x8000).packet(), transport)
    };
    let mut made_up = 0;
    // The SOA is there too, and paid for out of another purse only once it is kept.
    signed.ask("www.cdn.example.", kind::TXT);
    for transport in [Transport::Udp, Transport::Stream] {
        for n in 0..10 {
            made_up += 1;
            match ask(made_up, transport) {
                Some(reply) => {
                    let answered = Answered::read(&reply);
                    assert_eq!(answered.rcode, rcode::NOERROR);
                    assert_eq!(answered.is_truncated, n >= 2, "{n}");
                }
                None => assert!(n >= 2 && transport == Transport::Stream),
            }
        }
    }
    // What says only that is as short as it can be.
    let short = ask(made_up + 1, Transport::Udp).expect("a reply");
    assert_eq!(short.len(), 12 + "n21.www.cdn.example.".len() + 1 + 4 + 11);
    assert!(ask(1, Transport::Udp).is_some_and(|reply| !Answered::read(&reply).is_truncated));
    // What is there is signed as ever.
    assert!(!signed.ask("mail.cdn.example.", kind::A).is_truncated);
}

#[test]
fn many_threads_share_what_is_signed() {
    let signed = Signed::new(Algorithm::Ecdsa);
    let asked = ["www", "shop", "mail", "alias", "c", "x.wild", "plain", "sub"];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    for label in asked {
                        let answered = signed.ask(&format!("{label}.cdn.example."), kind::A);
                        assert_eq!(answered.rcode, rcode::NOERROR);
                    }
                }
            });
        }
    });
    // Two may make the same at the same time, but not for long.
    let made = signed.signatures.made();
    assert!((8..80).contains(&made), "{made}");
    assert_eq!((signed.signatures.refused(), signed.signatures.kept() < 20), (0, true));
}
