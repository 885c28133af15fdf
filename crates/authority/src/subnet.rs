//! The subnet that a resolver tells of its client, and who is believed (RFC 7871 6, 7.2, 11).
//!
//! A subnet decides where a site's clients are sent and nothing else: never who is limited, let
//! in, or written to a log as the asker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::wire::u16_at;

/// The option as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet<'a> {
    /// As it is repeated in the reply, but for the fourth byte: the scope.
    pub(crate) bytes: &'a [u8],
    /// The address, zeros beyond the prefix; `None` where no family is named.
    pub(crate) address: Option<IpAddr>,
    /// How many bits of it are told.
    pub(crate) source: u8,
}

/// A set of addresses, asked for one in the time of a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// Disjoint and in order.
    nets: Vec<IpNet>,
}

/// Whose word is taken for where a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubnetTrust {
    /// Nobody's: the option is passed over as if we had never heard of it.
    #[default]
    Nobody,
    /// Everybody's.
    Everybody,
    /// That of these resolvers.
    Of(AddressSet),
}

impl<'a> Subnet<'a> {
    /// Reads the option of a query; `None`: malformed (RFC 7871 7.1.1, 7.1.2).
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let family = u16_at(bytes, 0)?;
        let source = *bytes.get(2)?;
        let scope = *bytes.get(3)?;
        let octets = &bytes[4..];
        // As many octets as the prefix needs, and a scope is only for replies.
        if scope != 0 || octets.len() != usize::from(source).div_ceil(8) {
            return None;
        }
        let address = match family {
            // What `dig +subnet=0` may send: no family, no prefix, no address.
            0 if source == 0 => None,
            1 if source <= 32 => Some(IpAddr::V4(Ipv4Addr::from(padded::<4>(octets)))),
            2 if source <= 128 => Some(IpAddr::V6(Ipv6Addr::from(padded::<16>(octets)))),
            _ => return None,
        };
        let spare_bits = octets.len() as u32 * 8 - u32::from(source);
        let is_clean = octets.last().is_none_or(|last| last.trailing_zeros() >= spare_bits);
        is_clean.then_some(Self { bytes, address, source })
    }
}

impl SubnetTrust {
    /// Whether what this resolver says is taken.
    #[must_use]
    pub fn is_given_to(&self, resolver: IpAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Of(resolvers) => resolvers.contains(resolver),
        }
    }
}

impl AddressSet {
    /// The addresses of these networks.
    #[must_use]
    pub fn new(nets: &[IpNet]) -> Self {
        let mut nets = IpNet::aggregate(&nets.to_vec());
        nets.sort_by_key(IpNet::network);
        Self { nets }
    }

    /// Whether an address is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let after = self.nets.partition_point(|net| net.network() <= address);
        after > 0 && self.nets[after - 1].contains(&address)
    }
}

/// The network that a client answers for: what limits are counted by.
pub(crate) fn network(address: IpAddr, v4_bits: u8, v6_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Net::new(v4, v4_bits.min(32)).map_or(address, |n| n.network().into()),
        IpAddr::V6(v6) => {
            Ipv6Net::new(v6, v6_bits.min(128)).map_or(address, |n| n.network().into())
        }
    }
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut address = [0; N];
    address[..octets.len()].copy_from_slice(octets);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_read_when_its_octets_are_just_those_of_its_prefix() {
        for (bytes, address, source) in [
            (&[0, 1, 24, 0, 192, 0, 2][..], "192.0.2.0", 24),
            (&[0, 1, 0, 0], "0.0.0.0", 0),
            (&[0, 1, 32, 0, 1, 2, 3, 4], "1.2.3.4", 32),
            (&[0, 1, 9, 0, 10, 128], "10.128.0.0", 9),
            (&[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0xff], "2001:db8:0:ff00::", 56),
            (&[0, 2, 0, 0], "::", 0),
        ] {
            let subnet = Subnet::read(bytes).expect("a subnet");
            assert_eq!(subnet.address, Some(address.parse().expect("an address")));
            assert_eq!((subnet.source, subnet.bytes), (source, bytes));
        }
        assert_eq!(Subnet::read(&[0, 0, 0, 0]).map(|subnet| subnet.address), Some(None));
    }

    #[test]
    fn a_subnet_that_says_too_much_or_too_little_is_malformed() {
        for bytes in [
            &[][..],
            &[0],
            &[0, 1, 0],
            &[0, 1, 24, 0, 192, 0],
            &[0, 1, 24, 0, 192, 0, 2, 0],
            &[0, 1, 0, 0, 1],
            &[0, 1, 33, 0, 1, 2, 3, 4, 0],
            &[0, 1, 24, 1, 192, 0, 2],
            &[0, 1, 23, 0, 192, 0, 1],
            &[0, 2, 129, 0],
            &[0, 3, 0, 0],
            &[0, 3, 8, 0, 1],
            &[0, 0, 8, 0, 1],
            &[1, 1, 0, 0],
        ] {
            assert_eq!(Subnet::read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_resolver_is_believed_when_its_network_is_listed() {
        let nets = ["192.0.2.0/24", "192.0.2.128/25", "10.0.0.1/32", "2001:db8::/32", "0.0.0.0/8"];
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().expect("a net")).collect();
        let trust = SubnetTrust::Of(AddressSet::new(&nets));
        for (address, is_believed) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("0.0.0.0", true),
            ("2001:db8:1::", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(trust.is_given_to(address), is_believed, "{address}");
            assert!(SubnetTrust::Everybody.is_given_to(address));
            assert!(!SubnetTrust::Nobody.is_given_to(address));
        }
        assert!(!AddressSet::default().contains(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
