//! The data of the HTTPS record of a site: one in service mode for the owner itself
//! (RFC 9460 2.2 and 2.4.3). Written to a reply and signed alike, so made in one place.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::writer::Full;

/// The keys that it has (RFC 9460 14.3.2).
mod service_key {
    pub(super) const ALPN: u16 = 1;
    pub(super) const IPV4HINT: u16 = 4;
    pub(super) const IPV6HINT: u16 = 6;
}

/// Gives priority 1, the owner as target, and the keys in their order, piece by piece. What has no
/// values is no key.
pub(crate) fn put_service(
    alpn: &[u8],
    v4: &[Ipv4Addr],
    v6: &[Ipv6Addr],
    put: &mut impl FnMut(&[u8]) -> Result<(), Full>,
) -> Result<(), Full> {
    put(&[0, 1, 0])?;
    if !alpn.is_empty() {
        put_key(service_key::ALPN, alpn.len(), put)?;
        put(alpn)?;
    }
    if !v4.is_empty() {
        put_key(service_key::IPV4HINT, v4.len() * 4, put)?;
        v4.iter().try_for_each(|address| put(&address.octets()))?;
    }
    if !v6.is_empty() {
        put_key(service_key::IPV6HINT, v6.len() * 16, put)?;
        v6.iter().try_for_each(|address| put(&address.octets()))?;
    }
    Ok(())
}

fn put_key(
    key: u16,
    bytes: usize,
    put: &mut impl FnMut(&[u8]) -> Result<(), Full>,
) -> Result<(), Full> {
    put(&key.to_be_bytes())?;
    put(&u16::try_from(bytes).map_err(|_| Full)?.to_be_bytes())
}
