//! Signatures that were made, and how many more may be: shared by all zones and all threads.
//!
//! A signature is found by a keyed hash of what it is over (the key, the owner, the type, the time
//! to live, the data) and by nothing else: so whatever of a zone, a site or a key changes, no old
//! signature is ever found, and whatever is as it was keeps its own through every reload.
//!
//! What one moment costs is bounded. New signatures are counted by the second, in three purses that
//! do not empty each other:
//!
//! ```text
//! purse       for                                                      when it is empty
//! Standing    names that are there: there are only so many,            the old signature while
//!             and they are kept                                        that is good, else ↓
//! Unproven    names that are made up by who asks, over UDP             TC: ask by a stream
//! Proven      the same, by a stream or with a good cookie              UDP: TC; stream: nothing
//! ```
//!
//! So a storm of made-up names from forged addresses costs one purse and is sent to TCP, where it
//! cannot come from forged addresses; names that are there go on as before. When a stream is told
//! nothing, the resolver asks the zone's next server, as for any reply that is lost. SERVFAIL is
//! never said for it: resolvers remember that, and a NODATA without proof would be called bogus.

use std::hash::Hasher as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::canonical::{self, Head};
use super::key::{SIGNATURE_BYTES, SigningKey};
use crate::writer::{Data, Records};

/// Addresses of a site that are sorted before they are looked for, so that another order of them
/// is not another signature.
const SORTED_MAX: usize = 16;

/// How many signatures, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureLimits {
    /// Signatures that are kept at most; each takes about 150 bytes.
    pub kept: usize,
    /// New signatures a second over names that are there.
    pub standing_per_second: u32,
    /// New signatures a second over made-up names, for who may be anybody.
    pub unproven_per_second: u32,
    /// New signatures a second over made-up names, for who proved his address.
    pub proven_per_second: u32,
    /// Seconds that a signature is good for; made anew after half of them, a little earlier or
    /// later each, so that not all are at once.
    pub validity_s: u32,
    /// Seconds before it is made that it begins to be good: for clocks that are behind, and for our
    /// own that may be ahead. One of which less than half is left after our clock stepped back is
    /// made anew.
    pub skew_s: u32,
}

/// Who pays for a new signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purse {
    Standing,
    Unproven,
    Proven,
}

/// The signatures.
pub struct Signatures {
    kept: Cache<u128, Signature>,
    hasher: SipHasher13,
    limits: SignatureLimits,
    /// The second, and what was taken in it; of each purse.
    taken: [AtomicU64; 3],
    made: AtomicU64,
    refused: AtomicU64,
}

/// A signature, and when it is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature {
    pub(crate) bytes: [u8; SIGNATURE_BYTES],
    pub(crate) inception: u32,
    pub(crate) expiration: u32,
    refresh_at: u32,
}

impl Default for SignatureLimits {
    fn default() -> Self {
        Self {
            kept: 100_000,
            standing_per_second: 10_000,
            unproven_per_second: 2_000,
            proven_per_second: 5_000,
            validity_s: 7 * 86_400,
            skew_s: 7_200,
        }
    }
}

impl Signatures {
    /// None yet. The key is random and nobody else's.
    #[must_use]
    pub fn new(limits: SignatureLimits, key: &[u8; 16]) -> Self {
        Self {
            kept: Cache::new(limits.kept.max(1)),
            hasher: SipHasher13::new_with_key(key),
            limits,
            taken: Default::default(),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Signatures made since the start.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Signatures not made, for want of budget, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Signatures kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The signature of a key, which is kept or is made; `None`: there is no budget.
    pub(crate) fn signature(
        &self,
        key: &SigningKey,
        signer: &[u8],
        owner: &[u8],
        records: &Records<'_>,
        purse: Purse,
        now: u32,
    ) -> Option<Signature> {
        let hash = self.hash(key, owner, records);
        let kept = self.kept.get(&hash).filter(|kept| kept.is_good(now, 0));
        if let Some(kept) = kept
            && kept.is_good(now, self.limits.skew_s / 2)
            && now < kept.refresh_at
        {
            return Some(kept);
        }
        if !self.take(purse, now) {
            self.refused.fetch_add(1, Relaxed);
            return kept;
        }
        let mut made = self.times(hash, now);
        let head = head(key, owner, records, &made);
        made.bytes = match key.sign(&canonical::message(head, signer, owner, records)) {
            Some(bytes) => bytes,
            None => return kept,
        };
        self.made.fetch_add(1, Relaxed);
        self.kept.insert(hash, made);
        Some(made)
    }

    /// When a signature that is made now is good. What differs between two comes of their hashes.
    fn times(&self, hash: u128, now: u32) -> Signature {
        let validity = self.limits.validity_s;
        let spread = validity / 8 + 1;
        let [early, late] = [hash as u32 % spread, (hash >> 32) as u32 % spread];
        Signature {
            bytes: [0; SIGNATURE_BYTES],
            inception: now.saturating_sub(self.limits.skew_s),
            expiration: now.saturating_add(validity - early),
            refresh_at: now.saturating_add(validity / 2 - late),
        }
    }

    /// Takes one of this second's signatures out of a purse; false: there is none.
    fn take(&self, purse: Purse, now: u32) -> bool {
        let limit = match purse {
            Purse::Standing => self.limits.standing_per_second,
            Purse::Unproven => self.limits.unproven_per_second,
            Purse::Proven => self.limits.proven_per_second,
        };
        let second = u64::from(now) << 32;
        let take = |taken: u64| match taken & !u64::from(u32::MAX) == second {
            true => (taken as u32).checked_add(1).filter(|n| *n <= limit).map(|_| taken + 1),
            false => (limit > 0).then_some(second | 1),
        };
        self.taken[purse as usize].fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    fn hash(&self, key: &SigningKey, owner: &[u8], records: &Records<'_>) -> u128 {
        let mut hasher = self.hasher;
        hasher.write(&key.ident);
        hasher.write(owner);
        let mut head = [0; 6];
        head[..2].copy_from_slice(&records.kind.to_be_bytes());
        head[2..].copy_from_slice(&records.ttl.to_be_bytes());
        hasher.write(&head);
        match records.data {
            Data::Stored(stored) => stored.iter().for_each(|data| write_sized(&mut hasher, data)),
            Data::One(data) => write_sized(&mut hasher, data),
            Data::V4(addresses) => write_v4(&mut hasher, addresses, Order::Any),
            Data::V6(addresses) => write_v6(&mut hasher, addresses, Order::Any),
            Data::Service { alpn, v4, v6 } => {
                write_sized(&mut hasher, alpn);
                hasher.write_u16(v4.len() as u16);
                write_v4(&mut hasher, v4, Order::Told);
                write_v6(&mut hasher, v6, Order::Told);
            }
        }
        hasher.finish128().as_u128()
    }
}

/// Whether addresses in another order are other data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Any,
    Told,
}

fn write_sized(hasher: &mut SipHasher13, data: &[u8]) {
    hasher.write(&(data.len() as u16).to_be_bytes());
    hasher.write(data);
}

fn write_v4(hasher: &mut SipHasher13, addresses: &[Ipv4Addr], order: Order) {
    let mut sorted = [Ipv4Addr::UNSPECIFIED; SORTED_MAX];
    for address in in_order(addresses, &mut sorted, order) {
        hasher.write(&address.octets());
    }
}

fn write_v6(hasher: &mut SipHasher13, addresses: &[Ipv6Addr], order: Order) {
    let mut sorted = [Ipv6Addr::UNSPECIFIED; SORTED_MAX];
    for address in in_order(addresses, &mut sorted, order) {
        hasher.write(&address.octets());
    }
}

fn in_order<'a, T: Copy + Ord>(told: &'a [T], sorted: &'a mut [T], order: Order) -> &'a [T] {
    match sorted.get_mut(..told.len()) {
        Some(sorted) if order == Order::Any => {
            sorted.copy_from_slice(told);
            sorted.sort_unstable();
            sorted
        }
        _ => told,
    }
}

/// What the data of the RRSIG begins with.
pub(super) fn head(
    key: &SigningKey,
    owner: &[u8],
    records: &Records<'_>,
    signature: &Signature,
) -> Head {
    Head {
        kind: records.kind,
        algorithm: key.algorithm.number(),
        labels: canonical::labels(owner),
        ttl: records.ttl,
        expiration: signature.expiration,
        inception: signature.inception,
        tag: key.tag,
    }
}

impl Signature {
    /// Whether it is good now, and was that long ago.
    fn is_good(&self, now: u32, margin_s: u32) -> bool {
        self.inception.saturating_add(margin_s) <= now && now < self.expiration
    }
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} signatures", self.kept.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::key::Algorithm;
    use crate::kind;

    const NOW: u32 = 1_800_000_000;
    const DAY: u32 = 86_400;

    struct Rig {
        signatures: Signatures,
        key: SigningKey,
    }

    impl Rig {
        fn new(change: impl FnOnce(&mut SignatureLimits)) -> Self {
            let mut limits = SignatureLimits::default();
            change(&mut limits);
            let key = SigningKey::make(Algorithm::Ed25519).expect("a key");
            Self { signatures: Signatures::new(limits, &[1; 16]), key }
        }

        fn sign(&self, data: Data<'_>, purse: Purse, now: u32) -> Option<Signature> {
            let records = Records { kind: kind::A, ttl: 60, data };
            self.signatures.signature(&self.key, b"\x00", b"\x01a\x00", &records, purse, now)
        }
    }

    #[test]
    fn a_signature_is_kept_until_half_of_its_time_is_over() {
        let rig = Rig::new(|_| {});
        let at = |now| rig.sign(Data::One(b"abcd"), Purse::Standing, now).expect("budget");
        let first = at(NOW);
        assert_eq!(first.inception, NOW - 7_200);
        assert!((NOW + 6 * DAY..=NOW + 7 * DAY).contains(&first.expiration));
        assert_eq!(at(NOW + 2 * DAY).bytes, first.bytes);
        assert_eq!(rig.signatures.made(), 1);
        assert!(at(NOW + 4 * DAY).inception > NOW);
        // A clock that went back finds none that is good yet.
        assert_eq!(at(NOW).inception, NOW - 7_200);
        assert_eq!((rig.signatures.made(), rig.signatures.kept()), (3, 1));
    }

    /// Ours may be an hour wrong either way, and steps between that; the clocks of those who check
    /// may be half an hour wrong.
    #[test]
    fn a_clock_that_steps_by_an_hour_makes_and_keeps_none_that_is_not_good() {
        const HOUR: u32 = 3_600;
        let turns = [0, 1, 0, -1, 0, -1, 1, -1, 1, 1, 0];
        for turn in 0..turns.len() {
            let rig = Rig::new(|_| {});
            for (n, step) in turns[turn..].iter().chain(&turns[..turn]).enumerate() {
                let now = NOW + 600 * n as u32;
                let ours = now.saturating_add_signed(step * HOUR as i32);
                let signature = rig.sign(Data::One(b"abcd"), Purse::Standing, ours);
                let signature = signature.expect("budget");
                let (from, to) = (signature.inception, signature.expiration);
                assert!(from + HOUR / 2 <= now && now + 2 * DAY < to, "{turn} {n}: {from} {to}");
            }
        }
    }

    #[test]
    fn signatures_made_at_once_are_not_made_anew_at_once() {
        let rig = Rig::new(|_| {});
        let mut times: Vec<_> = (0..100_u32)
            .map(|n| {
                let made = rig.sign(Data::One(&n.to_be_bytes()), Purse::Standing, NOW);
                made.map(|made| (made.refresh_at, made.expiration)).expect("budget")
            })
            .collect();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 90);
        assert!(times.iter().all(|(refresh, end)| refresh + 2 * DAY < *end));
    }

    #[test]
    fn an_empty_purse_makes_none_until_the_next_second_and_empties_no_other() {
        let rig = Rig::new(|limits| limits.unproven_per_second = 2);
        let mut n = 0_u32;
        let mut at = |purse, now| {
            n += 1;
            rig.sign(Data::One(&n.to_be_bytes()), purse, now).is_some()
        };
        let made = [NOW, NOW, NOW, NOW + 1].map(|now| at(Purse::Unproven, now));
        assert_eq!(made, [true, true, false, true]);
        assert!(at(Purse::Unproven, NOW + 1) && !at(Purse::Unproven, NOW + 1));
        assert!(at(Purse::Proven, NOW + 1) && at(Purse::Standing, NOW + 1));
        assert_eq!((rig.signatures.made(), rig.signatures.refused()), (6, 2));
    }

    #[test]
    fn without_budget_an_old_signature_is_used_while_it_is_good() {
        let rig = Rig::new(|limits| limits.standing_per_second = 1);
        let first = rig.sign(Data::One(b"abcd"), Purse::Standing, NOW).expect("budget");
        let later = NOW + 5 * DAY;
        assert!(rig.sign(Data::One(b"dcba"), Purse::Standing, later).is_some());
        let old = rig.sign(Data::One(b"abcd"), Purse::Standing, later).expect("the old one");
        assert_eq!(old.bytes, first.bytes);
        assert!(rig.sign(Data::One(b"efgh"), Purse::Standing, later).is_none());
    }

    #[test]
    fn another_order_of_addresses_is_not_another_signature_and_other_hints_are() {
        let rig = Rig::new(|_| {});
        let [one, two] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
        let sign = |addresses: &[Ipv4Addr], is_hint| {
            let service = Data::Service { alpn: &[], v4: addresses, v6: &[] };
            let data = if is_hint { service } else { Data::V4(addresses) };
            let records =
                Records { kind: if is_hint { kind::HTTPS } else { kind::A }, ttl: 1, data };
            let signatures = &rig.signatures;
            let made = signatures.signature(&rig.key, b"\0", b"\0", &records, Purse::Standing, NOW);
            made.expect("budget").bytes
        };
        assert_eq!(sign(&[one, two], false), sign(&[two, one], false));
        assert_ne!(sign(&[one, two], false), sign(&[one], false));
        assert_ne!(sign(&[one, two], true), sign(&[two, one], true));
    }

    #[test]
    fn no_more_are_kept_than_is_allowed() {
        let rig = Rig::new(|limits| (limits.kept, limits.proven_per_second) = (64, 10_000));
        for n in 0..2_000_u32 {
            assert!(rig.sign(Data::One(&n.to_be_bytes()), Purse::Proven, NOW).is_some());
        }
        assert!(rig.signatures.kept() <= 128, "{}", rig.signatures.kept());
    }
}
