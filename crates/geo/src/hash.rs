//! Hashes that every machine computes alike: keyed ones for what comes from clients, mixing for
//! what is keyed already, and the logarithm that weighted rendezvous hashing needs, in whole
//! numbers, since floating-point logarithms differ from one machine's library to the next.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use crate::address::{Bits, Client, Key};

/// The secret of an installation: all its DNS servers have the same one, or they would answer
/// differently; strangers do not, or they could choose prefixes that meet on one node.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct HashKey(pub [u64; 2]);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("HashKey")
    }
}

impl HashKey {
    /// Of a name: a node's, a site's.
    pub(crate) fn name(&self, what: u8, name: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        hasher.write_u8(what);
        hasher.write(name);
        hasher.finish()
    }

    /// Of the prefix of `length` bits of a client, for a site.
    #[inline]
    pub(crate) fn network(&self, site: u64, client: &Client, length: u8) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0[0] ^ site, self.0[1]);
        // Each write is a word: no padding, no branches. The family is in the carrier's word.
        match client.key {
            Key::V4(key) => {
                hasher.write_u64(u64::from(key.first(length)) << 8 | u64::from(length));
            }
            Key::V6(key) => {
                let key = key.first(length);
                hasher.write_u64((key >> 64) as u64);
                hasher.write_u64(key as u64);
                hasher.write_u64(u64::from(length) | 1 << 63);
            }
        }
        hasher.finish()
    }
}

/// Two hashes as one: a wide product, folded.
#[inline]
pub(crate) fn mix(one: u64, two: u64) -> u64 {
    let product = u128::from(one ^ 0x9e37_79b9_7f4a_7c15) * u128::from(two ^ 0xd6e8_feb8_6659_fd93);
    let folded = (product >> 64) as u64 ^ product as u64;
    // A second round, since a factor near zero leaves few bits.
    let product = u128::from(folded ^ one.rotate_left(32)) * 0xa076_1d64_78bd_642f_u128;
    (product >> 64) as u64 ^ product as u64
}

/// How surprising a hash is: the negative logarithm to base 2 of it as a fraction of one, in units
/// of 2^-[`SURPRISE_BITS`]; at least 1. It is distributed exponentially, so of several members the
/// least surprise divided by weight is each one's as often as its weight says (Efraimidis and
/// Spirakis 2006; the "logarithm method" of weighted rendezvous hashing).
#[inline]
pub(crate) fn surprise(hash: u64) -> u64 {
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    // What follows the leading one, left-aligned: the fraction f of 1 + f.
    let fraction = (hash << zeros) << 1;
    let at = (fraction >> (64 - TABLE_BITS)) as usize;
    let between = (fraction << TABLE_BITS) >> 40;
    let (low, high) = (LOGARITHMS[at], LOGARITHMS[at + 1]);
    let logarithm = low + (((high - low) * between) >> 24);
    (u64::from(zeros + 1) << SURPRISE_BITS) - logarithm.min((1 << SURPRISE_BITS) - 1)
}

/// The bits of a surprise's fraction.
pub(crate) const SURPRISE_BITS: u32 = 32;

const TABLE_BITS: u32 = 8;

/// log2(1 + i/256) in units of 2^-32, computed by repeated squaring when this is compiled.
const LOGARITHMS: [u64; 257] = logarithms();

const fn logarithms() -> [u64; 257] {
    let mut table = [0; 257];
    let mut at = 0;
    while at < 256 {
        // 1 + i/256 with 62 bits behind the point: it stays below 2, its square below 4.
        let mut value: u128 = (256 + at as u128) << 54;
        let mut logarithm = 0;
        let mut bit = 0;
        while bit < SURPRISE_BITS {
            value = (value * value) >> 62;
            logarithm <<= 1;
            if value >= 1 << 63 {
                value >>= 1;
                logarithm |= 1;
            }
            bit += 1;
        }
        table[at] = logarithm;
        at += 1;
    }
    table[256] = 1 << SURPRISE_BITS;
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_surprise_is_the_logarithm(hash in any::<u64>(), shift in 0_u32..60) {
            let hash = hash >> shift | 1;
            let exact = 64.0 - (hash as f64).log2();
            let ours = surprise(hash) as f64 / f64::from(2_u32).powi(SURPRISE_BITS as i32);
            prop_assert!((exact - ours).abs() < 1e-5, "{exact} {ours}");
        }
    }

    #[test]
    fn surprises_are_never_zero_and_never_overflow() {
        assert_eq!(surprise(u64::MAX).min(1), 1);
        assert_eq!(surprise(0), 64 << SURPRISE_BITS);
    }

    #[test]
    fn mixing_spreads_neighbouring_numbers() {
        let mut buckets = [0_u32; 64];
        for one in 0..64_u64 {
            for two in 0..1000_u64 {
                buckets[(mix(one, two) >> 58) as usize] += 1;
            }
        }
        for count in buckets {
            assert!((850..1150).contains(&count), "{buckets:?}");
        }
    }
}
