//! Keys are rolled without a gap: at every moment of a roll, whatever a resolver remembers of what
//! it was told before, its validator finds a way from the parent's DS to the data.
//!
//! The resolver here remembers everything it was told, each for as long as it may; a moment is
//! sound if each answer that it may still remember is proved by each set of keys that it may still
//! remember, and that by each DS that it may.

mod common;

use common::signed::validates;
use common::{Ask, Mock, name, settings, zone};
use domain::base::iana::SecurityAlgorithm;
use domain::base::{Message, Rtype};
use domain::rdata::{Dnskey, Rrsig};
use selvedge_authority::{
    Algorithm, KeyRing, KeyState, Next, Reply, Request, Responder, Scratch, SignatureLimits,
    Signatures, Signer, Timing, Transport, Zones, kind,
};
use std::sync::Arc;

/// The parent's DS lives longer than anything here, or shorter.
const TIMINGS: [Timing; 2] = [
    Timing { ttl_max: 500, dnskey_ttl: 100, ds_ttl: 1_000, margin: 10 },
    Timing { ttl_max: 500, dnskey_ttl: 100, ds_ttl: 200, margin: 10 },
];
const START: u32 = 1_800_000_000;
const STEP: usize = 10;
const TEXT: &str = "\
@ 500 SOA ns h 1 1 1 1 500
@ 500 NS ns
ns 500 A 192.0.2.1
";

/// What the parent has.
#[derive(Clone)]
struct Ds {
    tag: u16,
    algorithm: u8,
}

/// A reply that may be remembered until then.
struct Told<T> {
    until: u32,
    what: T,
}

struct Resolver {
    timing: Timing,
    ds: Vec<Told<Ds>>,
    keys: Vec<Told<Vec<u8>>>,
    data: Vec<Told<Vec<u8>>>,
}

fn responder(ring: &KeyRing, timing: &Timing) -> Responder {
    let signatures = Arc::new(Signatures::new(SignatureLimits::default(), &[1; 16]));
    let signer = Arc::new(Signer::new(ring, timing, signatures));
    Responder::new(Zones::new([Arc::new(zone("ex.", false, TEXT))]), settings())
        .with_signers([signer])
}

fn ask(server: &Responder, asked: &str, kind: u16, now: u32) -> Vec<u8> {
    let ask = Ask::new(asked, kind).opt(1232, 0, 0x8000);
    let packet = ask.packet();
    let request = Request { packet: &packet, from: ask.from, transport: Transport::Stream, now };
    let mut out = vec![0; 65_535];
    match server.respond(&request, &Mock, &mut Scratch::new(), &mut out).0 {
        Reply::Bytes(bytes) => out[..bytes].to_vec(),
        _ => panic!("no reply"),
    }
}

/// The keys of a DNSKEY answer.
fn keys(reply: &[u8]) -> Vec<Dnskey<Vec<u8>>> {
    let message = Message::from_octets(reply).expect("a message");
    let answer = message.answer().expect("an answer").limit_to::<Dnskey<_>>();
    answer
        .map(|record| {
            let record = record.expect("a key");
            let (flags, protocol) = (record.data().flags(), record.data().protocol());
            let (algorithm, key) = (record.data().algorithm(), record.data().public_key());
            Dnskey::new(flags, protocol, algorithm, key.to_vec()).expect("a key")
        })
        .collect()
}

/// The algorithms whose signatures an answer has.
fn algorithms(reply: &[u8]) -> Vec<SecurityAlgorithm> {
    let message = Message::from_octets(reply).expect("a message");
    let answer = message.answer().expect("an answer").limit_to::<Rrsig<_, _>>();
    answer.map(|record| record.expect("a signature").data().algorithm()).collect()
}

impl Resolver {
    /// Whether everything that is remembered goes together.
    fn check(&self, now: u32) {
        for keys_told in self.keys.iter().filter(|told| told.until >= now) {
            let set = keys(&keys_told.what);
            for ds in self.ds.iter().filter(|told| told.until >= now) {
                let entry: Vec<_> = set
                    .iter()
                    .filter(|key| key.key_tag() == ds.what.tag)
                    .filter(|key| key.algorithm().to_int() == ds.what.algorithm)
                    .cloned()
                    .collect();
                assert!(validates(&keys_told.what, Rtype::DNSKEY, &entry), "keys at {now}");
            }
            for data in self.data.iter().filter(|told| told.until >= now) {
                assert!(validates(&data.what, Rtype::A, &set), "data at {now}");
                // As the strictest want it (RFC 6840 5.11).
                let signed_by = algorithms(&data.what);
                assert!(set.iter().all(|key| signed_by.contains(&key.algorithm())), "{now}");
            }
        }
    }

    fn learn(&mut self, server: &Responder, ds: &Ds, now: u32) {
        self.ds.push(Told { until: now + self.timing.ds_ttl, what: ds.clone() });
        let dnskey = ask(server, "ex.", kind::DNSKEY, now);
        self.keys.push(Told { until: now + self.timing.dnskey_ttl, what: dnskey });
        let data = ask(server, "ns.ex.", kind::A, now);
        self.data.push(Told { until: now + self.timing.ttl_max, what: data });
        self.ds.retain(|told| told.until >= now);
        self.keys.retain(|told| told.until >= now);
        self.data.retain(|told| told.until >= now);
        // What was told twice is one thing, until the later moment.
        self.ds.dedup_by(|b, a| {
            let is_same = a.what.tag == b.what.tag;
            a.until = if is_same { b.until } else { a.until };
            is_same
        });
        for told in [&mut self.keys, &mut self.data] {
            told.dedup_by(|b, a| {
                let is_same = a.what[12..] == b.what[12..];
                a.until = if is_same { b.until } else { a.until };
                is_same
            });
        }
    }
}

/// The tag and algorithm in a CDS answer.
fn asked_for(server: &Responder, now: u32) -> Option<Ds> {
    let reply = ask(server, "ex.", kind::CDS, now);
    let message = Message::from_octets(&reply[..]).expect("a message");
    let mut cds = message.answer().expect("an answer").limit_to::<domain::rdata::Cds<_>>();
    let record = cds.next()?.expect("a CDS");
    let (tag, algorithm) = (record.data().key_tag(), record.data().algorithm().to_int());
    assert!(cds.next().is_none(), "the DS of one key is asked for");
    Some(Ds { tag, algorithm })
}

/// A roll whose parent takes what CDS says after so many seconds, and whose operator says so after
/// as many more.
fn roll(timing: Timing, from: Algorithm, to: Algorithm, parent_s: u32, operator_s: u32) {
    let mut ring = KeyRing::make(&name("ex."), from, START - 10_000).expect("a key");
    let first = ring.list(&timing, START).0[0];
    assert!(ring.confirm_ds(first.tag, START - 5_000));
    let mut ds = Ds { tag: first.tag, algorithm: from.number() };
    let mut resolver = Resolver { timing, ds: Vec::new(), keys: Vec::new(), data: Vec::new() };
    let mut server = responder(&ring, &timing);
    let (mut seen_other, mut swapped_at, mut told_at) = (None, None, None);
    let mut gone_at = None;
    for now in (START..START + 8_000).step_by(STEP) {
        if now == START + 2_000 {
            ring.roll(to, &timing, now).expect("a roll");
            server = responder(&ring, &timing);
        }
        if let Some(wanted) = asked_for(&server, now)
            && wanted.tag != ds.tag
        {
            let since = *seen_other.get_or_insert(now);
            if now >= since + parent_s {
                ds = wanted;
                swapped_at = Some(now);
            }
        }
        if told_at.is_none() && swapped_at.is_some_and(|at| now >= at + operator_s) {
            assert!(ring.confirm_ds(ds.tag, now));
            server = responder(&ring, &timing);
            told_at = Some(now);
        }
        let (keys, next) = ring.list(&timing, now);
        if keys[0].state == KeyState::Gone && gone_at.is_none() {
            assert_eq!(next, Next::Nothing);
            assert!(ring.prune(&timing, now));
            server = responder(&ring, &timing);
            gone_at = Some(now);
        }
        resolver.learn(&server, &ds, now);
        resolver.check(now);
    }
    assert!(gone_at.is_some_and(|gone| Some(gone) > told_at), "the roll has an end");
    assert_ne!(ds.tag, first.tag);
}

#[test]
fn a_roll_to_a_key_of_the_same_algorithm_has_no_gap() {
    for algorithm in [Algorithm::Ecdsa, Algorithm::Ed25519] {
        for timing in TIMINGS {
            for (parent_s, operator_s) in [(0, 0), (300, 0), (0, 700)] {
                roll(timing, algorithm, algorithm, parent_s, operator_s);
            }
        }
    }
}

#[test]
fn a_roll_to_another_algorithm_has_no_gap() {
    for timing in TIMINGS {
        for (parent_s, operator_s) in [(0, 0), (300, 700)] {
            roll(timing, Algorithm::Ecdsa, Algorithm::Ed25519, parent_s, operator_s);
            roll(timing, Algorithm::Ed25519, Algorithm::Ecdsa, parent_s, operator_s);
        }
    }
}
