//! Addresses as the tables know them: whole numbers of a family, IPv4 addresses taken out of the
//! IPv6 addresses that carry them.
//!
//! | prefix        | what                        | bits before the IPv4 address |
//! |---------------|-----------------------------|------------------------------|
//! | ::ffff:0:0/96 | IPv4-mapped, RFC 4291 2.5.5 | 96                           |
//! | 64:ff9b::/96  | NAT64, RFC 6052 2.1         | 96                           |
//! | 2002::/16     | 6to4, RFC 3056 2            | 16                           |
//!
//! A client behind one of these is where its IPv4 address is, so it is looked up as that, and the
//! scope of the answer (RFC 7871) counts the bits in front too. Deliberately not unwrapped: Teredo
//! (the client's bits lie beyond what a resolver tells of a client, and nobody speaks it any more)
//! and the deprecated IPv4-compatible ::/96, which are IPv6 like any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An unsigned number that is an address: `u32` or `u128`.
pub trait Bits: Copy + Ord + std::fmt::Debug {
    /// How many bits it has.
    const WIDTH: u8;
    /// The lowest address.
    const ZERO: Self;
    /// The highest.
    const MAX: Self;

    /// How many leading bits two addresses share.
    fn shared(self, other: Self) -> u8;
    /// The first address of the prefix of `length` bits that holds this one.
    fn first(self, length: u8) -> Self;
    /// The last address of that prefix.
    fn last(self, length: u8) -> Self;
    /// The address after this one; none after the last.
    fn next(self) -> Option<Self>;
    /// The address before this one; none before the first.
    fn before(self) -> Option<Self>;
    /// Trailing zero bits.
    fn trailing_zeros(self) -> u8;
    /// How far it is from `base`, in steps of two to the power of `shift`; `None` below it.
    fn slot(self, base: Self, shift: u8) -> Option<usize>;
    /// How many addresses lie from this one to `last`, as a measure.
    fn measure(self, last: Self) -> f64;
}

macro_rules! bits {
    ($number:ty) => {
        impl Bits for $number {
            const WIDTH: u8 = <$number>::BITS as u8;
            const ZERO: Self = 0;
            const MAX: Self = <$number>::MAX;

            #[inline]
            fn shared(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            #[inline]
            fn first(self, length: u8) -> Self {
                self & !Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
            }

            #[inline]
            fn last(self, length: u8) -> Self {
                self | Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
            }

            #[inline]
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }

            #[inline]
            fn trailing_zeros(self) -> u8 {
                self.trailing_zeros() as u8
            }

            #[inline]
            fn slot(self, base: Self, shift: u8) -> Option<usize> {
                usize::try_from(self.checked_sub(base)? >> shift).ok()
            }

            fn measure(self, last: Self) -> f64 {
                (last - self) as f64 + 1.0
            }
        }
    };
}

bits!(u32);
bits!(u128);

/// An address in its own family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// IPv4, also where it was carried in an IPv6 address.
    V4(u32),
    /// IPv6.
    V6(u128),
}

/// What is known of a client, in the family in which it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Zero beyond what is known.
    pub key: Key,
    /// Bits known of the key.
    pub known: u8,
    /// Bits of the address that stand in front of the key: what a scope is counted from.
    pub carrier: u8,
}

impl Client {
    /// A client of whom the first `prefix` bits are known; bits beyond are ignored, and a prefix
    /// longer than the address is the whole address.
    #[inline]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(address) => {
                let known = prefix.min(u32::WIDTH);
                let key = Key::V4(u32::from(address).first(known));
                Self { key, known, carrier: 0 }
            }
            IpAddr::V6(address) => {
                let known = prefix.min(u128::WIDTH);
                let bits = u128::from(address).first(known);
                match carrier(bits).filter(|&carrier| known >= carrier) {
                    Some(carrier) => {
                        let known = (known - carrier).min(u32::WIDTH);
                        let inner = (bits << carrier >> (u128::WIDTH - u32::WIDTH)) as u32;
                        Self { key: Key::V4(inner.first(known)), known, carrier }
                    }
                    None => Self { key: Key::V6(bits), known, carrier: 0 },
                }
            }
        }
    }

    /// The address without what carried it.
    pub fn address(&self) -> IpAddr {
        match self.key {
            Key::V4(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
            Key::V6(bits) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }
}

/// The prefixes that carry IPv4 addresses: their first address and their length.
pub(crate) const CARRIERS: [(u128, u8); 3] =
    [(0xffff_u128 << 32, 96), (0x0064_ff9b_u128 << 96, 96), (0x2002_u128 << 112, 16)];

#[inline]
fn carrier(bits: u128) -> Option<u8> {
    CARRIERS.iter().find(|&&(first, length)| bits.first(length) == first).map(|&(_, length)| length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str, prefix: u8) -> (String, u8, u8) {
        let client = Client::new(text.parse().expect("an address"), prefix);
        (client.address().to_string(), client.known, client.carrier)
    }

    #[test]
    fn carried_ipv4_addresses_are_taken_out() {
        let inner = || "192.0.2.0".to_owned();
        assert_eq!(client("::ffff:192.0.2.7", 120), (inner(), 24, 96));
        assert_eq!(client("64:ff9b::192.0.2.7", 120), (inner(), 24, 96));
        assert_eq!(client("2002:c000:207::1", 40), (inner(), 24, 16));
        assert_eq!(client("2002:c000:207::1", 128), ("192.0.2.7".to_owned(), 32, 16));
        assert_eq!(client("192.0.2.7", 24), (inner(), 24, 0));
    }

    #[test]
    fn too_little_known_of_a_carrier_leaves_it_as_it_is() {
        assert_eq!(client("2002:c000:207::1", 12), ("2000::".to_owned(), 12, 0));
        assert_eq!(client("::ffff:192.0.2.7", 80), ("::".to_owned(), 80, 0));
    }

    #[test]
    fn teredo_and_compatible_addresses_are_ipv6() {
        assert_eq!(client("2001:0:1::", 48), ("2001:0:1::".to_owned(), 48, 0));
        assert_eq!(client("::192.0.2.7", 128), ("::c000:207".to_owned(), 128, 0));
    }

    #[test]
    fn prefixes_of_all_lengths_have_ends() {
        assert_eq!((7_u32.first(0), 7_u32.last(0)), (0, u32::MAX));
        assert_eq!((7_u32.first(32), 7_u32.last(32)), (7, 7));
        assert_eq!(u128::MAX.first(1), 1 << 127);
    }
}
