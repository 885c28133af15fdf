//! How long an answer takes, from packet to packet: each kind of question, one after the other.

#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark says what it measured")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::signed::Signed;
use common::{Ask, NOW, server};
use selvedge_authority::{
    Algorithm, Asker, CookieSecrets, Located, Request, Responder, Scratch, SignatureLimits,
    SiteIndex, Sites, kind,
};

/// So few, and so often, that some are left alone by what else the machine does.
const ROUNDS: u32 = 5_000;
const REPEATS: u32 = 200;

/// As quick as sites can be: what is measured is the answering.
struct Quick;

impl Sites for Quick {
    fn find(&self, site: &[u8]) -> Option<SiteIndex> {
        (site == b"shop").then_some(SiteIndex(0))
    }

    fn locate(&self, _: SiteIndex, asker: &Asker, located: &mut Located) {
        located.v4.push([198, 51, 100, 1].into());
        located.v4.push([198, 51, 100, 2].into());
        located.v6.push([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into());
        (located.ttl, located.scope, located.https) = (30, asker.prefix.min(24), true);
    }
}

fn main() {
    plain();
    for algorithm in [Algorithm::Ecdsa, Algorithm::Ed25519] {
        signed(algorithm);
    }
}

/// With signatures: those that are kept, and one that is made for each answer.
fn signed(algorithm: Algorithm) {
    let without_end = |limits: &mut SignatureLimits| limits.proven_per_second = u32::MAX;
    let signed = Signed::with(algorithm, without_end);
    println!("\nsigned by {}, kept:", algorithm.word());
    for (what, asked, asked_kind) in [
        ("static A", "www.cdn.example.", kind::A),
        ("site A", "shop.cdn.example.", kind::A),
        ("site HTTPS", "shop.cdn.example.", kind::HTTPS),
        ("site, no TXT", "shop.cdn.example.", kind::TXT),
        ("chain of two", "alias2.cdn.example.", kind::A),
        ("no name", "missing.www.cdn.example.", kind::A),
        ("referral", "x.sub.cdn.example.", kind::A),
        ("DNSKEY", "cdn.example.", kind::DNSKEY),
    ] {
        let ask = Ask::new(asked, asked_kind).opt(1232, 0, 0x8000);
        measure(what, &signed.server, &ask, signed.now);
    }
    let mut scratch = Scratch::new();
    let mut out = [0; 1232];
    let begun = Instant::now();
    for n in 0..ROUNDS {
        let ask = Ask::new(&format!("n{n}.www.cdn.example."), kind::A).opt(1232, 0, 0x8000);
        let (packet, from, transport) = (ask.packet(), ask.from, ask.transport);
        let request = Request { packet: &packet, from, transport, now: signed.now };
        black_box(signed.server.respond(&request, &Quick, &mut scratch, &mut out));
    }
    let each = begun.elapsed().as_secs_f64() / f64::from(ROUNDS) * 1e9;
    println!("{:16} {each:6.0} ns", "no name, made");
}

fn plain() {
    let server = server(|s| s.cookies = Some(CookieSecrets::new(&[3; 16], None)));
    for (what, ask) in [
        ("static A", Ask::new("www.cdn.example.", kind::A)),
        ("static A, EDNS", Ask::new("www.cdn.example.", kind::A).edns()),
        ("site A", Ask::new("shop.cdn.example.", kind::A)),
        ("site A, subnet", Ask::new("shop.cdn.example.", kind::A).subnet("10.1.2.0", 24)),
        ("site A, cookie", Ask::new("shop.cdn.example.", kind::A).option(10, b"12345678")),
        ("site HTTPS", Ask::new("shop.cdn.example.", kind::HTTPS).edns()),
        ("chain of two", Ask::new("alias2.cdn.example.", kind::A).edns()),
        ("wildcard", Ask::new("x.y.wild.cdn.example.", kind::A).edns()),
        ("no name", Ask::new("missing.www.cdn.example.", kind::A).edns()),
        ("referral", Ask::new("x.sub.cdn.example.", kind::A).edns()),
        ("MX", Ask::new("cdn.example.", kind::MX).edns()),
        ("not ours", Ask::new("www.elsewhere.invalid.", kind::A)),
        ("malformed", Ask::new("www.cdn.example.", kind::A).option(8, b"x")),
        ("60 addresses", Ask::new("fit.cdn.example.", kind::A).edns()),
    ] {
        measure(what, &server, &ask, NOW);
    }
}

fn measure(what: &str, server: &Responder, ask: &Ask, now: u32) {
    let mut scratch = Scratch::new();
    let mut out = [0; 1232];
    let packet = ask.packet();
    let (from, transport) = (ask.from, ask.transport);
    let request = Request { packet: &packet, from, transport, now };
    let mut best = f64::MAX;
    for _ in 0..REPEATS {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            black_box(server.respond(black_box(&request), &Quick, &mut scratch, &mut out));
        }
        best = best.min(begun.elapsed().as_secs_f64() / f64::from(ROUNDS) * 1e9);
    }
    println!("{what:16} {best:6.0} ns");
}
