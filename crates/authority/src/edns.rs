//! The OPT record of a query and its options (RFC 6891 6.1, RFC 7871 6, RFC 7873 4).
//!
//! Options that we do not know are passed over and never repeated (RFC 8906 8.2.3).

use crate::cookie::{self, Cookie};
use crate::subnet::Subnet;
use crate::wire::{COMPACT_OK, DNSSEC_OK, OPT_BYTES, UDP_BYTES_MIN, option, u16_at};

/// What an OPT record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edns<'a> {
    /// How much the asker takes over UDP; at least 512.
    pub(crate) udp_bytes: usize,
    pub(crate) version: u8,
    /// The asker wants signatures.
    pub(crate) wants_dnssec: bool,
    /// The asker takes NXDOMAIN with the proof that denies a name compactly (RFC 9824 5.1).
    pub(crate) takes_compact: bool,
    /// The asker wants to know which server this is.
    pub(crate) wants_nsid: bool,
    pub(crate) subnet: Option<Subnet<'a>>,
    pub(crate) cookie: Option<Cookie<'a>>,
}

impl Edns<'_> {
    /// What the fixed part says.
    pub(crate) fn read(fixed: &[u8; OPT_BYTES]) -> Self {
        let udp_bytes = usize::from(u16::from_be_bytes([fixed[3], fixed[4]]));
        let flags = u16::from_be_bytes([fixed[7], fixed[8]]);
        Self {
            // Less than 512 is 512 (RFC 6891 6.2.5).
            udp_bytes: udp_bytes.max(UDP_BYTES_MIN),
            version: fixed[6],
            wants_dnssec: flags & DNSSEC_OK != 0,
            takes_compact: flags & COMPACT_OK != 0,
            wants_nsid: false,
            subnet: None,
            cookie: None,
        }
    }
}

/// Reads the options; `None`: one is malformed, or runs past the end.
pub(crate) fn read_options<'a>(mut data: &'a [u8], edns: &mut Edns<'a>) -> Option<()> {
    while !data.is_empty() {
        let code = u16_at(data, 0)?;
        let bytes = usize::from(u16_at(data, 2)?);
        let value = data.get(4..4 + bytes)?;
        match code {
            option::NSID => edns.wants_nsid = true,
            option::SUBNET if edns.subnet.is_none() => edns.subnet = Some(Subnet::read(value)?),
            // Two subnets cannot both be repeated.
            option::SUBNET => return None,
            // Only the first counts (RFC 7873 5.2).
            option::COOKIE if edns.cookie.is_none() => edns.cookie = Some(cookie::read(value)?),
            _ => {}
        }
        data = &data[4 + bytes..];
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Option<Edns<'_>> {
        let mut edns = Edns::read(&[0, 0, 41, 4, 0, 0, 0, 0x80, 0, 0, 0]);
        read_options(data, &mut edns).map(|()| edns)
    }

    #[test]
    fn an_option_that_runs_past_the_end_is_malformed() {
        let data = b"\x00\x03\x00\x00\x00\x64\x00\x02ab";
        let edns = read(data).expect("options");
        assert!(edns.wants_nsid && edns.wants_dnssec);
        assert_eq!(edns.udp_bytes, 1024);
        for cut in [1, 2, 3, 5, 6, 7, 8, 9] {
            assert_eq!(read(&data[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_client_that_takes_less_than_512_bytes_takes_512() {
        for bytes in [0u8, 1] {
            let fixed = [0, 0, 41, bytes, 255, 0, 0, 0, 0, 0, 0];
            assert_eq!(Edns::read(&fixed).udp_bytes, 512);
        }
    }

    #[test]
    fn the_first_cookie_counts_and_a_second_subnet_is_malformed() {
        let cookies = b"\x00\x0a\x00\x0812345678\x00\x0a\x00\x01x";
        assert_eq!(read(cookies).and_then(|edns| edns.cookie).map(|c| c.client), Some(b"12345678"));
        let subnet = b"\x00\x08\x00\x04\x00\x01\x00\x00";
        assert!(read(subnet).is_some());
        assert_eq!(read(&subnet.repeat(2)), None);
    }
}
