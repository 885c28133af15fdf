//! What is asked of whoever knows where the nodes are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A site, by its number with whoever answers for sites. Good as long as one query is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteIndex(pub u32);

/// For whom an answer is: the subnet that a resolver told of its client (RFC 7871), or the
/// resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The address; what is beyond the prefix is zero.
    pub address: IpAddr,
    /// How many bits of it are known: those that the resolver told, or all of the resolver's.
    pub prefix: u8,
}

/// Where the clients of a site are sent: what the answer to an [`Asker`] says. Reused, so that no
/// answer allocates.
#[derive(Clone, Debug, Default)]
pub struct Located {
    /// For A, and for the hints of HTTPS and SVCB.
    pub v4: Vec<Ipv4Addr>,
    /// For AAAA, and for the hints of HTTPS and SVCB.
    pub v6: Vec<Ipv6Addr>,
    /// Seconds.
    pub ttl: u32,
    /// Whether it has HTTPS records: they tell clients to use TLS (RFC 9460 9.5).
    pub https: bool,
    /// The answer is the same for all addresses that agree with the asker's in so many bits; 0: for
    /// everybody.
    pub scope: u8,
}

/// Who knows the sites and where their clients are sent.
pub trait Sites {
    /// The site of a name: its label directly below the zone, or what the zone file calls it;
    /// lowercase.
    fn find(&self, site: &[u8]) -> Option<SiteIndex>;

    /// Where to send those who ask for a site; `located` is empty before.
    fn locate(&self, site: SiteIndex, asker: &Asker, located: &mut Located);
}
