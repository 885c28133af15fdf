//! That answering allocates nothing, whatever is asked.

mod common;

use common::signed::Signed;
use common::{Ask, Mock, NOW, server};
use selvedge_authority::{Algorithm, CookieSecrets, Request, Scratch, kind};

#[test]
fn once_its_buffers_have_grown_answering_allocates_nothing() {
    let server = server(|settings| {
        settings.cookies = Some(CookieSecrets::new(&[3; 16], None));
    });
    let mut scratch = Scratch::new();
    let mut out = [0; 1232];
    for ask in [
        Ask::new("www.cdn.example.", kind::A),
        Ask::new("shop.cdn.example.", kind::A).subnet("10.1.2.0", 24),
        Ask::new("shop.cdn.example.", kind::HTTPS).option(10, b"12345678"),
        Ask::new("alias2.cdn.example.", kind::A).edns(),
        Ask::new("missing.www.cdn.example.", kind::A),
        Ask::new("x.old.cdn.example.", kind::A),
        Ask::new("x.sub.cdn.example.", kind::A),
        Ask::new("x.wild.cdn.example.", kind::A),
        Ask::new("cdn.example.", kind::NS),
        Ask::new("big.cdn.example.", kind::A),
        Ask::new("elsewhere.invalid.", kind::A).edns(),
        Ask::new("cdn.example.", kind::A).option(8, b"x"),
    ] {
        let packet = ask.packet();
        let (from, transport) = (ask.from, ask.transport);
        let request = Request { packet: &packet, from, transport, now: NOW };
        let mut respond = || {
            server.respond(&request, &Mock, &mut scratch, &mut out);
        };
        respond();
        let info = allocation_counter::measure(respond);
        assert_eq!(info.count_total, 0, "{packet:?}");
    }
}

#[test]
fn an_answer_whose_signatures_are_kept_allocates_nothing() {
    let signed = Signed::new(Algorithm::Ecdsa);
    let mut scratch = Scratch::new();
    let mut out = [0; 1232];
    for (asked, asked_kind) in [
        ("www.cdn.example.", kind::A),
        ("shop.cdn.example.", kind::HTTPS),
        ("shop.cdn.example.", kind::TXT),
        ("missing.www.cdn.example.", kind::A),
        ("x.old.cdn.example.", kind::A),
        ("x.wild.cdn.example.", kind::A),
        ("x.plain.cdn.example.", kind::A),
        ("x.sub.cdn.example.", kind::A),
        ("cdn.example.", kind::DNSKEY),
        ("cdn.example.", kind::SRV),
    ] {
        let ask = Ask::new(asked, asked_kind).opt(1232, 0, 0x8000);
        let packet = ask.packet();
        let (from, transport) = (ask.from, ask.transport);
        let request = Request { packet: &packet, from, transport, now: signed.now };
        let mut respond = || {
            signed.server.respond(&request, &Mock, &mut scratch, &mut out);
        };
        respond();
        let info = allocation_counter::measure(respond);
        assert_eq!(info.count_total, 0, "{asked}");
    }
}
