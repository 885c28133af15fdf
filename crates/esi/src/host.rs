//! What a host in a reference is: a name, or an address in one of the forms that resolvers take.
//! `getaddrinfo` reads numbers as inet_aton(3) does: one to four parts, decimal, octal (`0`) or
//! hexadecimal (`0x`), of which the last fills all bytes that are left.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostForm {
    /// A name to be resolved. What it resolves to is another question.
    Name,
    /// An address, however it was written; one of IPv4 that IPv6 carries is given as IPv4.
    Address(IpAddr),
    /// A name that means the machine itself: `localhost` and what ends in it (RFC 6761 6.3).
    Local,
    /// Neither: it looks like an address and is none, has a zone, or characters no host has.
    Odd,
}

impl HostForm {
    /// Whether it is anything but a name.
    pub fn is_address(self) -> bool {
        self != Self::Name
    }
}

/// What a host is. It is without its port; brackets and a dot at the end may be there.
pub fn host_form(host: &str) -> HostForm {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map_or(HostForm::Odd, |address| HostForm::Address(carried(address)));
    }
    if host.contains(':') {
        let address = host.parse::<Ipv6Addr>();
        return address.map_or(HostForm::Odd, |address| HostForm::Address(carried(address)));
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let labels = || host.split('.');
    if host.len() > 253 || !host.bytes().all(is_host) || labels().any(str::is_empty) {
        return HostForm::Odd;
    }
    let last = labels().next_back().unwrap_or("");
    if last == "localhost" || last == "localdomain" {
        return HostForm::Local;
    }
    if !looks_like_number(last) {
        return HostForm::Name;
    }
    number(&host).map_or(HostForm::Odd, |address| HostForm::Address(address.into()))
}

/// No top-level domain is a number (RFC 3696 2), so a host that ends in one is an address.
fn looks_like_number(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Reads an address of IPv4 as inet_aton(3) does.
fn number(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = host.split('.').map(part).collect::<Option<_>>()?;
    let (&last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * first.len() as u32;
    if last >> room != 0 {
        return None;
    }
    let high = first.iter().fold(0, |sum, part| sum << 8 | part);
    let high = high.checked_shl(room).unwrap_or(0);
    u32::try_from(high | last).ok().map(Ipv4Addr::from_bits)
}

fn part(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some("") => ("0", 16),
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    u64::from_str_radix(digits, radix).ok()
}

/// The address of IPv4 that one of IPv6 carries: mapped and compatible (RFC 4291 2.5.5), of NAT64
/// (RFC 6052 2.1, RFC 8215), of 6to4 (RFC 3056).
fn carried(address: Ipv6Addr) -> IpAddr {
    let parts = address.segments();
    let low = || Ipv4Addr::from_bits(address.to_bits() as u32);
    match parts {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => {
            low().into()
        }
        [0, 0, 0, 0, 0xffff, 0, ..] => low().into(),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => low().into(),
        [0x2002, high, low, ..] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => address.into(),
    }
}
