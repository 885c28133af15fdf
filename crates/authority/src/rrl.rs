//! Limiting how often one network is told the same thing, so that we are no good for flooding
//! somebody with replies that he never asked for.
//!
//! A token bucket for each network and kind of answer, in a table whose size never changes. Each
//! worker owns one: no lock, and the limits are a worker's. The hash is keyed, so that nobody can
//! aim at another's bucket. Who proved his address, by TCP or a cookie, is not counted; whoever
//! calls sees to that with [`crate::Outcome::is_proven`].

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::subnet::{AddressSet, network};

/// Buckets that one hash may be in.
const WAYS: usize = 4;
/// Buckets that a table has at most.
const BUCKETS_MAX: usize = 1 << 24;
/// Tokens are counted in thousandths, so that a slow rate fills evenly.
const TOKEN: i64 = 1000;

/// The limits.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// Answers a second about one name to one network; 0: any number.
    pub answers_per_second: u32,
    /// Answers a second that names of one zone do not exist; 0: any number.
    pub nxdomains_per_second: u32,
    /// Errors a second; 0: any number.
    pub errors_per_second: u32,
    /// For how many seconds' worth somebody can be in debt.
    pub window_s: u32,
    /// Every so many-th limited answer becomes an empty one with TC, so that a victim whose
    /// address is abused can still ask by TCP; 0: none does.
    pub slip: u32,
    /// Bits that make an IPv4 network.
    pub v4_bits: u8,
    /// Bits that make an IPv6 network.
    pub v6_bits: u8,
    /// How many buckets there are, rounded up to a power of two.
    pub buckets: usize,
    /// Who is never limited.
    pub exempt: AddressSet,
}

/// What an answer is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClass {
    /// An answer about a name, or that it has no such type; what is made by a wildcard is about
    /// the wildcard.
    Answer,
    /// There is no such name in a zone.
    NoName,
    /// An error.
    Error,
}

/// What is to be done with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateVerdict {
    /// It is sent.
    Send,
    /// An empty one with TC is sent in its stead.
    Slip,
    /// Nothing is sent.
    Drop,
}

/// The table.
#[derive(Debug)]
pub struct RateLimiter {
    limits: RateLimits,
    hasher: SipHasher13,
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The rest of the hash; 0: nobody's.
    tag: u32,
    /// When it was last filled, in milliseconds of a clock that wraps.
    filled_ms: u32,
    /// Thousandths of tokens; below zero is debt.
    tokens: i32,
    /// Answers that were limited.
    limited: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            answers_per_second: 0,
            nxdomains_per_second: 0,
            errors_per_second: 0,
            window_s: 5,
            slip: 2,
            v4_bits: 24,
            v6_bits: 56,
            buckets: 1 << 16,
            exempt: AddressSet::default(),
        }
    }
}

impl RateLimiter {
    /// An empty table. The key is random and nobody else's.
    #[must_use]
    pub fn new(limits: RateLimits, key: &[u8; 16]) -> Self {
        let buckets = limits.buckets.clamp(WAYS, BUCKETS_MAX).next_power_of_two();
        Self {
            limits,
            hasher: SipHasher13::new_with_key(key),
            buckets: vec![Bucket::default(); buckets].into(),
        }
    }

    /// Counts a reply to a client over UDP that did not prove its address. `name` is what the
    /// class speaks of: the name, the wildcard, the zone; lowercase. `now_ms` is monotonic.
    pub fn check(
        &mut self,
        client: IpAddr,
        class: RateClass,
        name: &[u8],
        now_ms: u64,
    ) -> RateVerdict {
        let rate = self.limits.rate(class);
        if rate == 0 || self.limits.exempt.contains(client) {
            return RateVerdict::Send;
        }
        let hash = self.hash(client, class, name);
        let now_ms = now_ms as u32;
        let window_ms = self.limits.window_s.max(1).saturating_mul(1000);
        let bucket = self.bucket(hash, rate, now_ms, window_ms);
        bucket.fill(rate, now_ms);
        let debt_max = i64::from(rate) * i64::from(window_ms);
        let tokens = i64::from(bucket.tokens) - TOKEN;
        bucket.tokens = tokens.max(-debt_max).max(i64::from(i32::MIN)) as i32;
        if tokens >= 0 {
            return RateVerdict::Send;
        }
        bucket.limited = bucket.limited.wrapping_add(1);
        let limited = bucket.limited;
        match self.limits.slip {
            0 => RateVerdict::Drop,
            slip if limited.is_multiple_of(slip) => RateVerdict::Slip,
            _ => RateVerdict::Drop,
        }
    }

    fn hash(&self, client: IpAddr, class: RateClass, name: &[u8]) -> u64 {
        let mut input = [0; 17 + crate::name::NAME_BYTES_MAX];
        input[0] = class as u8;
        match network(client, self.limits.v4_bits, self.limits.v6_bits) {
            // So that no IPv6 network is an IPv4 one's bucket-fellow by its zeros.
            IpAddr::V4(v4) => {
                input[0] |= 0x80;
                input[1..5].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => input[1..17].copy_from_slice(&v6.octets()),
        }
        let name_bytes = name.len().min(crate::name::NAME_BYTES_MAX);
        input[17..17 + name_bytes].copy_from_slice(&name[..name_bytes]);
        self.hasher.hash(&input[..17 + name_bytes])
    }

    /// The bucket of a hash; it takes the place of the one that was longest not asked for.
    fn bucket(&mut self, hash: u64, rate: u32, now_ms: u32, window_ms: u32) -> &mut Bucket {
        let tag = (hash >> 32) as u32 | 1;
        let set = (hash as usize & (self.buckets.len() - 1)) / WAYS * WAYS;
        let ways = &mut self.buckets[set..set + WAYS];
        let idle = |bucket: &Bucket| match bucket.tag {
            0 => u32::MAX,
            _ => now_ms.wrapping_sub(bucket.filled_ms),
        };
        let found = ways.iter().position(|bucket| bucket.tag == tag && idle(bucket) <= window_ms);
        let at = found.unwrap_or_else(|| {
            let at = (0..WAYS).max_by_key(|&at| idle(&ways[at])).unwrap_or(0);
            let tokens = (i64::from(rate) * TOKEN).min(i64::from(i32::MAX)) as i32;
            ways[at] = Bucket { tag, filled_ms: now_ms, tokens, limited: 0 };
            at
        });
        &mut ways[at]
    }
}

impl RateLimits {
    fn rate(&self, class: RateClass) -> u32 {
        match class {
            RateClass::Answer => self.answers_per_second,
            RateClass::NoName => self.nxdomains_per_second,
            RateClass::Error => self.errors_per_second,
        }
    }
}

impl Bucket {
    /// Adds what came in since, up to one second's worth.
    fn fill(&mut self, rate: u32, now_ms: u32) {
        let passed_ms = i64::from(now_ms.wrapping_sub(self.filled_ms));
        let full = (i64::from(rate) * TOKEN).min(i64::from(i32::MAX));
        // A token a second is a thousandth a millisecond.
        self.tokens = (i64::from(self.tokens) + passed_ms * i64::from(rate)).min(full) as i32;
        self.filled_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(change: impl FnOnce(&mut RateLimits)) -> RateLimiter {
        let mut limits = RateLimits { answers_per_second: 10, ..RateLimits::default() };
        change(&mut limits);
        RateLimiter::new(limits, &[7; 16])
    }

    /// How many of these were sent, slipped and dropped.
    fn flood(
        limiter: &mut RateLimiter,
        client: &str,
        name: &[u8],
        times_ms: impl Iterator<Item = u64>,
    ) -> (u32, u32, u32) {
        let client = client.parse().expect("an address");
        let mut counts = (0, 0, 0);
        for now_ms in times_ms {
            match limiter.check(client, RateClass::Answer, name, now_ms) {
                RateVerdict::Send => counts.0 += 1,
                RateVerdict::Slip => counts.1 += 1,
                RateVerdict::Drop => counts.2 += 1,
            }
        }
        counts
    }

    #[test]
    fn a_flood_is_cut_to_the_rate_and_every_second_limited_answer_slips() {
        let mut limiter = limiter(|_| {});
        assert_eq!(flood(&mut limiter, "192.0.2.1", b"a", [0; 110].into_iter()), (10, 50, 50));
        // The debt of the window is paid off before anything is sent again.
        assert_eq!(flood(&mut limiter, "192.0.2.1", b"a", [2_000; 10].into_iter()).0, 0);
        assert_eq!(flood(&mut limiter, "192.0.2.1", b"a", [9_000; 5].into_iter()).0, 5);
    }

    #[test]
    fn who_stays_below_the_rate_is_never_limited() {
        let mut limiter = limiter(|_| {});
        let times = (0..1_000).map(|n| u64::from(u32::MAX) - 50_000 + n * 100);
        assert_eq!(flood(&mut limiter, "192.0.2.1", b"a", times), (1_000, 0, 0));
    }

    #[test]
    fn a_network_is_limited_together_and_others_are_not() {
        let mut limiter = limiter(|_| {});
        flood(&mut limiter, "192.0.2.1", b"a", [0; 100].into_iter());
        flood(&mut limiter, "2001:db8::1", b"a", [0; 100].into_iter());
        assert_eq!(flood(&mut limiter, "192.0.2.255", b"a", [0; 5].into_iter()).0, 0);
        assert_eq!(flood(&mut limiter, "192.0.3.1", b"a", [0; 5].into_iter()).0, 5);
        assert_eq!(flood(&mut limiter, "192.0.2.1", b"b", [0; 5].into_iter()).0, 5);
        assert_eq!(flood(&mut limiter, "2001:db8:0:ff::1", b"a", [0; 5].into_iter()).0, 0);
        assert_eq!(flood(&mut limiter, "2001:db8:0:100::1", b"a", [0; 5].into_iter()).0, 5);
    }

    #[test]
    fn slip_says_how_many_limited_answers_become_empty_ones() {
        for (slip, expected) in [(0, (10, 0, 90)), (1, (10, 90, 0)), (3, (10, 30, 60))] {
            let mut limiter = limiter(|limits| limits.slip = slip);
            let counts = flood(&mut limiter, "192.0.2.1", b"a", [0; 100].into_iter());
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn each_class_has_its_own_rate_and_zero_is_none() {
        let mut limiter = limiter(|limits| limits.errors_per_second = 1);
        let client = "192.0.2.1".parse().expect("an address");
        let mut sent = |class| {
            (0..50).filter(|_| limiter.check(client, class, b"", 0) == RateVerdict::Send).count()
        };
        assert_eq!(sent(RateClass::Error), 1);
        assert_eq!(sent(RateClass::Answer), 10);
        assert_eq!(sent(RateClass::NoName), 50);
    }

    #[test]
    fn who_is_exempt_is_never_limited() {
        let nets = ["192.0.2.0/24".parse().expect("a net")];
        let mut limiter = limiter(|limits| limits.exempt = AddressSet::new(&nets));
        assert_eq!(flood(&mut limiter, "192.0.2.1", b"a", [0; 100].into_iter()).0, 100);
    }

    #[test]
    fn a_flood_of_many_networks_changes_no_size_and_lets_one_of_them_through() {
        let mut limiter = limiter(|limits| limits.buckets = 1_000);
        assert_eq!(limiter.buckets.len(), 1_024);
        for network in 0..100_000u32 {
            let client = IpAddr::V4((network << 8).into());
            limiter.check(client, RateClass::Answer, b"a", 5);
        }
        assert_eq!(limiter.buckets.len(), 1_024);
        assert_eq!(flood(&mut limiter, "200.0.2.1", b"a", [6; 10].into_iter()).0, 10);
    }
}
