//! What packets get, whatever is in them: header bits, malformed ones, sizes, cookies, classes
//! (RFC 1035 4.1, RFC 6891, RFC 7873, RFC 4892).

mod common;

use common::{Answered, Ask, NOW, send, server};
use selvedge_authority::{
    CookiePolicy, CookieProof, CookieSecrets, RateClass, RateLimiter, RateLimits, RateVerdict,
    Reason, Responder, ServerText, Transport, kind, rcode,
};

fn plain() -> Responder {
    server(|_| {})
}

/// What a packet over UDP gets.
fn reply(packet: &[u8]) -> Option<Vec<u8>> {
    let from = "192.0.2.200:4000".parse().expect("an address");
    send(&plain(), packet, from, Transport::Udp).0
}

/// The packet with one number of its header changed.
fn with_word(mut packet: Vec<u8>, at: usize, word: u16) -> Vec<u8> {
    packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
    packet
}

fn www() -> Ask {
    Ask::new("www.cdn.example.", kind::A)
}

#[test]
fn what_is_shorter_than_a_header_gets_nothing_and_a_bare_header_an_error() {
    let packet = www().packet();
    for len in 0..12 {
        assert_eq!(reply(&packet[..len]), None, "{len}");
    }
    for len in 12..packet.len() {
        let answered = Answered::read(&reply(&packet[..len]).unwrap());
        assert_eq!((answered.rcode, answered.bytes.len()), (rcode::FORMERR, 12), "{len}");
    }
}

#[test]
fn a_reply_gets_no_reply() {
    for flags in [0x8000, 0x8180, 0xffff, 0x8001] {
        assert_eq!(reply(&www().flags(flags).packet()), None);
    }
}

#[test]
fn ports_that_answer_anything_get_nothing_over_udp() {
    for port in [0, 7, 13, 17, 19] {
        let from = format!("192.0.2.1:{port}").parse().unwrap();
        let server = plain();
        let (bytes, outcome) = send(&server, &www().packet(), from, Transport::Udp);
        assert_eq!((bytes, outcome.reason), (None, Reason::Port));
        assert!(send(&server, &www().packet(), from, Transport::Stream).0.is_some());
    }
    assert_eq!(www().from("192.0.2.1:53").to(&plain()).answer.len(), 2);
}

#[test]
fn of_the_header_bits_only_recursion_desired_comes_back() {
    // Answered::read looks at the others.
    for flags in 0..128u16 {
        let answered = www().flags(flags << 4 & 0x07f0).to(&plain());
        let has_rd = flags << 4 & 0x0100 != 0;
        assert_eq!(answered.bytes[2], 0x84 | u8::from(has_rd), "{flags}");
        assert_eq!((answered.bytes[3], answered.answer.len()), (0, 2));
    }
}

#[test]
fn every_other_opcode_is_not_implemented() {
    for opcode in 1..16u16 {
        for ask in [www(), www().edns(), www().option(10, b"123")] {
            let ask = ask.flags(opcode << 11);
            let (len, answered) = (ask.packet().len(), ask.to(&plain()));
            assert_eq!(answered.rcode, rcode::NOTIMP, "{opcode}");
            assert_eq!(answered.bytes[2] >> 3, 0x10 | opcode as u8);
            assert!(answered.bytes.len() <= len && !answered.is_authoritative);
        }
    }
}

#[test]
fn questions_none_or_two_are_a_format_error() {
    for count in [0, 2, 3, 65_535] {
        let answered = Answered::read(&reply(&with_word(www().packet(), 4, count)).unwrap());
        assert_eq!((answered.rcode, answered.bytes.len()), (rcode::FORMERR, 12), "{count}");
    }
}

#[test]
fn a_packet_cut_anywhere_is_a_format_error_no_longer_than_it() {
    let whole = www().subnet("192.0.2.0", 24).option(10, b"12345678").packet();
    for len in 12..whole.len() {
        let answered = Answered::read(&reply(&whole[..len]).unwrap());
        assert_eq!(answered.rcode, rcode::FORMERR, "{len}");
        assert!(answered.bytes.len() <= len, "{len}");
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(Answered::read(&reply(&longer).unwrap()).rcode, rcode::FORMERR);
}

#[test]
fn counts_that_lie_are_a_format_error() {
    for at in [6, 8, 10] {
        for count in [2, 9, 65_535] {
            let packet = with_word(www().edns().packet(), at, count);
            assert_eq!(Answered::read(&reply(&packet).unwrap()).rcode, rcode::FORMERR);
        }
    }
}

#[test]
fn an_option_of_a_wrong_length_is_a_format_error() {
    for len in (0..8).chain(9..16).chain([41, 64]) {
        let answered = www().option(10, &vec![7; len]).to(&plain());
        assert_eq!(answered.rcode, rcode::FORMERR, "{len}");
        assert!(!answered.is_authoritative && answered.opt.unwrap().options.is_empty());
    }
    for len in [8, 16, 24, 40] {
        assert_eq!(www().option(10, &vec![7; len]).to(&plain()).rcode, rcode::NOERROR, "{len}");
    }
}

#[test]
fn a_datagram_is_never_longer_than_the_asker_or_the_server_takes() {
    for (asked, limit) in [(None, 512), (Some(0), 512), (Some(511), 512), (Some(600), 600)] {
        let mut ask = Ask::new("big.cdn.example.", kind::A);
        if let Some(bytes) = asked {
            ask = ask.opt(bytes, 0, 0);
        }
        let answered = ask.to(&plain());
        assert!(answered.is_truncated && answered.is_authoritative);
        assert!(answered.bytes.len() <= limit && answered.opt.is_some() == asked.is_some());
    }
    for bytes in [1232, 4096, 65_535] {
        let answered = Ask::new("big.cdn.example.", kind::A).opt(bytes, 0, 0).to(&plain());
        assert!(answered.is_truncated && answered.bytes.len() <= 1232);
    }
    let whole = Ask::new("big.cdn.example.", kind::A).tcp().to(&plain());
    assert_eq!((whole.answer.len(), whole.is_truncated), (300, false));
}

#[test]
fn an_answer_that_just_fits_is_whole_and_one_byte_less_is_none() {
    let ask = |bytes| Ask::new("fit.cdn.example.", kind::A).opt(bytes, 0, 0).to(&plain());
    let whole = ask(1232);
    assert!(!whole.is_truncated);
    let len = whole.bytes.len() as u16;
    assert_eq!(ask(len).bytes, whole.bytes);
    let less = ask(len - 1);
    assert!(less.is_truncated && less.answer.is_empty());
}

#[test]
fn what_is_only_additional_is_left_out_without_truncation() {
    let ask = |bytes| Ask::new("shop.cdn.example.", kind::HTTPS).opt(bytes, 0, 0);
    let long = format!("{}.many.cdn.example.", vec!["a".repeat(60); 3].join("."));
    let whole = Ask::new(&long, kind::HTTPS).to(&plain());
    assert!(!whole.is_truncated && whole.bytes.len() <= 512);
    assert_eq!(ask(1232).to(&plain()).additional.len(), 3);
}

#[test]
fn a_wrong_cookie_is_answered_with_a_good_one() {
    let server = server(|s| s.cookies = Some(CookieSecrets::new(&[3; 16], None)));
    let first = www().option(10, b"12345678").to(&server);
    let cookie = first.option(10).unwrap().to_vec();
    assert_eq!((first.answer.len(), cookie.len(), &cookie[..8]), (2, 24, &b"12345678"[..]));
    let proof = |ask: Ask| {
        let outcome = send(&server, &ask.packet(), ask.from, ask.transport).1;
        (outcome.cookie, outcome.is_proven)
    };
    assert_eq!(proof(www()), (CookieProof::Absent, false));
    assert_eq!(proof(www().option(10, b"12345678")), (CookieProof::Unproven, false));
    assert_eq!(proof(www().option(10, &cookie)), (CookieProof::Good, true));
    let elsewhere = www().option(10, &cookie).from("192.0.2.201:4000");
    assert_eq!(proof(elsewhere.clone()), (CookieProof::Wrong, false));
    let answered = elsewhere.to(&server);
    assert_eq!(answered.answer.len(), 2);
    assert_ne!(answered.option(10).unwrap(), cookie);
    assert_eq!(www().option(10, &cookie).to(&server).option(10).unwrap(), cookie);
}

#[test]
fn where_cookies_are_wanted_a_wrong_one_is_badcookie_over_udp() {
    let server = server(|settings| {
        settings.cookies = Some(CookieSecrets::new(&[3; 16], None));
        settings.cookie_policy = CookiePolicy::Wanted;
    });
    let first = www().option(10, b"12345678").to(&server);
    assert_eq!((first.rcode, first.answer.len()), (rcode::BADCOOKIE, 0));
    assert!(!first.is_authoritative);
    let again = www().option(10, first.option(10).unwrap()).to(&server);
    assert_eq!((again.rcode, again.answer.len()), (rcode::NOERROR, 2));
    assert_eq!(www().option(10, b"12345678").tcp().to(&server).rcode, rcode::NOERROR);
    assert_eq!(www().to(&server).rcode, rcode::NOERROR);
}

#[test]
fn who_asks_for_a_cookie_alone_gets_one() {
    let mut ask = www().option(10, b"12345678");
    ask.question = None;
    assert_eq!(ask.to(&plain()).rcode, rcode::FORMERR);
    let server = server(|s| s.cookies = Some(CookieSecrets::new(&[3; 16], None)));
    let answered = ask.to(&server);
    assert_eq!((answered.rcode, answered.option(10).unwrap().len()), (rcode::NOERROR, 24));
}

#[test]
fn other_classes_are_refused_and_chaos_says_what_it_was_told_to() {
    for class in [0, 2, 4, 254, 255] {
        let answered = www().class(class).to(&plain());
        assert_eq!((answered.rcode, answered.is_authoritative), (rcode::REFUSED, false));
    }
    let told = server(|settings| {
        settings.version = Some(ServerText::new("none of yours").unwrap());
        settings.identity = Some(ServerText::new("pop 7").unwrap());
    });
    for (asked, text) in [
        ("version.bind.", "none of yours"),
        ("VERSION.server.", "none of yours"),
        ("id.server.", "pop 7"),
        ("hostname.bind.", "pop 7"),
    ] {
        let ask = Ask::new(asked, kind::TXT).class(3);
        assert_eq!(ask.to(&plain()).rcode, rcode::REFUSED);
        let answered = ask.to(&told);
        assert_eq!(answered.answer, [format!("{asked} 0 TXT \"{text}\"")]);
        assert_eq!(Ask::new(asked, kind::A).class(3).to(&told).rcode, rcode::REFUSED);
    }
    assert_eq!(Ask::new("authors.bind.", kind::TXT).class(3).to(&told).rcode, rcode::REFUSED);
}

#[test]
fn who_asks_which_server_this_is_hears_it_when_it_was_told() {
    let told = server(|s| s.identity = Some(ServerText::new("pop 7").unwrap()));
    assert_eq!(www().option(3, b"").to(&told).option(3), Some(&b"pop 7"[..]));
    assert_eq!(www().edns().to(&told).option(3), None);
    assert_eq!(www().option(3, b"").to(&plain()).option(3), None);
}

#[test]
fn a_slipped_reply_is_empty_with_tc_and_aa_and_edns() {
    let server = plain();
    for ask in [www(), www().edns(), Ask::new("x.www.cdn.example.", kind::A).edns()] {
        let (bytes, outcome) = send(&server, &ask.packet(), ask.from, ask.transport);
        let mut bytes = bytes.unwrap();
        let len = Responder::slip(&mut bytes, &outcome);
        let slipped = Answered::read(&bytes[..len]);
        assert!(slipped.is_truncated && slipped.is_authoritative && slipped.answer.is_empty());
        assert_eq!(slipped.opt.is_some(), ask.opt.is_some());
        assert_eq!(len, ask.packet().len());
    }
}

#[test]
fn made_up_names_are_counted_as_one() {
    let server = plain();
    let limits =
        RateLimits { answers_per_second: 5, nxdomains_per_second: 5, ..RateLimits::default() };
    for (suffix, class) in [
        ("wild.cdn.example.", RateClass::Answer),
        ("sub.cdn.example.", RateClass::Answer),
        ("old.cdn.example.", RateClass::Answer),
        ("www.cdn.example.", RateClass::NoName),
    ] {
        let mut limiter = RateLimiter::new(limits.clone(), &[9; 16]);
        let mut sent = 0;
        for number in 0..50 {
            let packet = Ask::new(&format!("n{number}.{suffix}"), kind::A).packet();
            let from: std::net::SocketAddr = "192.0.2.200:4000".parse().unwrap();
            let transport = Transport::Udp;
            let request =
                selvedge_authority::Request { packet: &packet, from, transport, now: NOW };
            let mut scratch = selvedge_authority::Scratch::new();
            let mut out = [0; 1232];
            let (_, outcome) = server.respond(&request, &common::Mock, &mut scratch, &mut out);
            assert_eq!(outcome.rate_class, class, "{suffix}");
            let name = scratch.rate_name(&outcome);
            let verdict = limiter.check(from.ip(), outcome.rate_class, name, 1_000);
            sent += u32::from(verdict == RateVerdict::Send);
        }
        assert_eq!(sent, 5, "{suffix}");
    }
}
