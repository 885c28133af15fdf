//! What holds of every packet: no panic, no reply longer than it may be, garbage never gets more
//! than it is, and what is sent is read by somebody else's parser.

mod common;

use common::signed::Signed;
use common::{Answered, Ask, send, server};
use domain::dnssec::validator::context::ValidationState;
use proptest::prelude::*;
use selvedge_authority::{Algorithm, CookieSecrets, Responder, ServerText, Transport, kind, rcode};

fn told() -> Responder {
    server(|settings| {
        settings.cookies = Some(CookieSecrets::new(&[3; 16], Some(&[4; 16])));
        settings.identity = Some(ServerText::new("pop 7").expect("a text"));
    })
}

/// One of each kind of query.
fn seeds() -> Vec<Vec<u8>> {
    let asks = [
        Ask::new("www.cdn.example.", kind::A),
        Ask::new("WWW.cdn.example.", kind::AAAA).edns(),
        Ask::new("shop.cdn.example.", kind::A).subnet("10.1.2.0", 24),
        Ask::new("shop.cdn.example.", kind::HTTPS).subnet("2001:db8::", 56),
        Ask::new("geo.cdn.example.", kind::A).subnet("0.0.0.0", 0).option(3, b""),
        Ask::new("geo.cdn.example.", kind::AAAA).option(10, b"12345678"),
        Ask::new("cdn.example.", kind::SOA).option(10, &[9; 24]).opt(4096, 0, 0x8000),
        Ask::new("cdn.example.", kind::NS).edns(),
        Ask::new("cdn.example.", kind::ANY),
        Ask::new("cdn.example.", kind::AXFR),
        Ask::new("alias2.cdn.example.", kind::A),
        Ask::new("x.old.cdn.example.", kind::A).edns(),
        Ask::new("loop1.cdn.example.", kind::A),
        Ask::new("x.sub.cdn.example.", kind::A).opt(512, 0, 0x8000),
        Ask::new("big.cdn.example.", kind::A),
        Ask::new("x.wild.cdn.example.", kind::TXT),
        Ask::new("b.c.cdn.example.", kind::A),
        Ask::new("x.y.z.invalid.", kind::A).edns(),
        Ask::new("version.bind.", kind::TXT).class(3),
        Ask::new("cdn.example.", kind::SOA).opt(1232, 1, 0).option(100, b"abc"),
    ];
    asks.iter().map(Ask::packet).collect()
}

/// Sends it by both transports and looks at what comes back.
fn check(server: &Responder, packet: &[u8]) {
    for transport in [Transport::Udp, Transport::Stream] {
        let from = "192.0.2.200:4000".parse().expect("an address");
        let (bytes, outcome) = send(server, packet, from, transport);
        let Some(mut bytes) = bytes else { continue };
        let answered = Answered::read(&bytes);
        assert_eq!(bytes[..2], packet[..2]);
        assert_eq!(answered.rcode, outcome.rcode);
        if matches!(answered.rcode, rcode::FORMERR | rcode::NOTIMP | rcode::BADVERS) {
            assert!(bytes.len() <= packet.len(), "{packet:?}");
        }
        if answered.opt.is_none() && transport == Transport::Udp {
            assert!(bytes.len() <= 512);
        }
        assert!(transport == Transport::Stream || bytes.len() <= 1232);
        let len = Responder::slip(&mut bytes, &outcome);
        assert!(Answered::read(&bytes[..len]).is_truncated);
    }
}

#[test]
fn every_flip_of_every_bit_of_the_seeds_is_survived() {
    let server = told();
    for seed in seeds() {
        check(&server, &seed);
        for bit in 0..seed.len() * 8 {
            let mut packet = seed.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            check(&server, &packet);
        }
    }
}

#[test]
fn every_cut_of_the_seeds_is_survived() {
    let server = told();
    for seed in seeds() {
        for len in 0..seed.len() {
            check(&server, &seed[..len]);
            check(&server, &seed[len..]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(packets in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..300), 1..4,
    )) {
        // One server for several packets: making it is what takes time.
        thread_local!(static SERVER: Responder = told());
        SERVER.with(|server| packets.iter().for_each(|packet| check(server, packet)));
    }

    #[test]
    fn seeds_with_bytes_written_over_are_survived(
        seed in 0usize..20,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        thread_local!(static SERVER: Responder = told());
        let mut packet = seeds().swap_remove(seed);
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        SERVER.with(|server| check(server, &packet));
    }

    /// Questions below the zones, of any type, by any size: what is sent fits.
    #[test]
    fn any_name_of_ours_gets_an_answer_that_fits(
        labels in prop::collection::vec("[a-zA-Z*]{1,9}|www|sub|old|long|wild|ent|shop|spin", 0..5),
        kind in prop_oneof![0u16..300, Just(kind::A), Just(kind::HTTPS), Just(kind::DS)],
        bytes in 0u16..2000,
    ) {
        thread_local!(static SERVER: Responder = told());
        let asked = labels.iter().map(|label| format!("{label}.")).collect::<String>();
        let ask = Ask::new(&format!("{asked}cdn.example."), kind).opt(bytes, 0, 0x8000);
        SERVER.with(|server| {
            let answered = ask.to(server);
            assert!(answered.bytes.len() <= usize::from(bytes).clamp(512, 1232));
            assert_ne!(answered.rcode, if kind == 1 { rcode::FORMERR } else { rcode::BADVERS });
            check(server, &ask.packet());
        });
    }

    /// Questions to a signed zone: what is sent fits, and what was there to be signed is.
    #[test]
    fn any_name_of_a_signed_zone_gets_an_answer_that_fits_and_is_signed(
        labels in prop::collection::vec("[a-zA-Z*]{1,9}|www|plain|old|long|wild|c|shop|spin", 0..4),
        kind in prop_oneof![1u16..66, Just(kind::A), Just(kind::HTTPS), Just(kind::DS)],
        bytes in 0u16..2000,
        flags in any::<u16>(),
    ) {
        thread_local!(static SERVER: Signed = Signed::new(Algorithm::Ed25519));
        let asked = labels.iter().map(|label| format!("{label}.")).collect::<String>();
        let ask = Ask::new(&format!("{asked}cdn.example."), kind).opt(bytes, 0, flags);
        SERVER.with(|signed| {
            let reply = signed.send(&ask.packet(), Transport::Udp).expect("a reply");
            assert!(reply.len() <= usize::from(bytes).clamp(512, 1232));
            let answered = Answered::read(&reply);
            let lines = [answered.answer, answered.authority].concat();
            let signatures = lines.iter().filter(|line| line.split(' ').nth(2) == Some("RRSIG"));
            let has = signatures.count() > 0;
            let wants = flags & 0x8000 != 0 && answered.rcode != rcode::FORMERR;
            assert!(has == wants || answered.is_truncated, "{lines:?}");
        });
    }

    /// What the validator makes of made-up names below everything that there is.
    #[test]
    fn any_name_of_a_signed_zone_is_secure(
        labels in prop::collection::vec(
            prop::collection::vec(1u8..255, 1..5), 0..3),
        below in prop::sample::select(vec![
            "", "www.", "wild.", "old.", "c.", "shop.", "many.", "child.", "*.wild.",
        ]),
        kind in prop::sample::select(vec![
            kind::A, kind::AAAA, kind::HTTPS, kind::TXT, kind::DS, kind::MX, kind::DNSKEY,
        ]),
    ) {
        // That is the parent's to answer.
        prop_assume!(kind != kind::DS || !below.is_empty() || !labels.is_empty());
        // What is delegated there has a DS of a key that nobody has: bogus, and rightly so.
        prop_assume!(!labels.iter().any(|label| label.eq_ignore_ascii_case(b"sub")));
        thread_local!(static SERVER: Signed = Signed::new(Algorithm::Ecdsa));
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        let mut ask = Ask::new(&format!("{below}cdn.example."), kind).opt(1232, 0, 0x8000);
        let question = ask.question.as_mut().expect("a question");
        wire.extend_from_slice(&question.0);
        question.0 = wire;
        SERVER.with(|signed| {
            let reply = signed.send(&ask.packet(), Transport::Stream).expect("a reply");
            let state = signed.state_of(&reply);
            let is_secure = matches!(state, ValidationState::Secure);
            assert!(is_secure, "{state:?} {:#?}", Answered::read(&reply));
        });
    }
}
