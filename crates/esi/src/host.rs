//! What a host in a reference is: a name, or an address in one of the forms that resolvers take.

use std::net::IpAddr;

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostForm {
    /// A name to be resolved.
    Name,
    /// An address, however it was written; those of IPv4 within IPv6 are given as IPv4.
    Address(IpAddr),
    /// A name that means the machine itself: `localhost` and what ends in it.
    Local,
    /// Neither: it looks like an address and is none, has a zone, or characters no host has.
    Odd,
}

/// What a host, without its port, is.
pub fn host_form(host: &str) -> HostForm {
    host.parse().map_or(HostForm::Name, HostForm::Address)
}
