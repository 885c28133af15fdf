//! Numbers of the DNS header and of EDNS, and reading them out of a packet (RFC 1035 4.1.1,
//! RFC 6891 6.1).
//!
//! Nothing here trusts a length: whoever reads gets `None` where the packet ends.

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 12;
/// Bytes of an OPT record without options: the root, type, class, TTL, length.
pub(crate) const OPT_BYTES: usize = 11;
/// What a client without EDNS takes over UDP (RFC 1035 4.2.1).
pub(crate) const UDP_BYTES_MIN: usize = 512;

/// The class of the internet.
pub(crate) const CLASS_IN: u16 = 1;
/// The class that servers are asked about themselves in.
pub(crate) const CLASS_CH: u16 = 3;

/// Bits of the second two bytes of a header.
pub(crate) mod flag {
    /// This is a reply.
    pub(crate) const QR: u16 = 0x8000;
    /// The replier has authority over the first name of the answer.
    pub(crate) const AA: u16 = 0x0400;
    /// Something needed did not fit.
    pub(crate) const TC: u16 = 0x0200;
    /// The asker wants recursion; copied, and never granted.
    pub(crate) const RD: u16 = 0x0100;
}

/// What a query wants done.
pub(crate) mod opcode {
    /// A question.
    pub(crate) const QUERY: u8 = 0;
}

/// How it went, with what EDNS adds.
pub mod rcode {
    /// Well.
    pub const NOERROR: u16 = 0;
    /// The query is no query.
    pub const FORMERR: u16 = 1;
    /// We cannot say now.
    pub const SERVFAIL: u16 = 2;
    /// There is no such name.
    pub const NXDOMAIN: u16 = 3;
    /// We never do that.
    pub const NOTIMP: u16 = 4;
    /// We do not do that for you.
    pub const REFUSED: u16 = 5;
    /// A DNAME leads to a name that is too long (RFC 6672 2.2).
    pub const YXDOMAIN: u16 = 6;
    /// EDNS of a version that we do not speak.
    pub const BADVERS: u16 = 16;
    /// Ask again with the cookie that stands here (RFC 7873 8).
    pub const BADCOOKIE: u16 = 23;
}

/// Options of OPT.
pub(crate) mod option {
    /// Which server this is (RFC 5001).
    pub(crate) const NSID: u16 = 3;
    /// The subnet of the client (RFC 7871).
    pub(crate) const SUBNET: u16 = 8;
    /// A cookie (RFC 7873).
    pub(crate) const COOKIE: u16 = 10;
    /// Why an answer is an error (RFC 8914).
    pub(crate) const ERROR: u16 = 15;
}

/// The flag of OPT by which the asker wants signatures (RFC 3225).
pub(crate) const DNSSEC_OK: u16 = 0x8000;
/// The flag of OPT by which the asker takes NXDOMAIN beside a compact denial (RFC 9824 9).
pub(crate) const COMPACT_OK: u16 = 0x4000;

/// The number in two bytes.
pub(crate) fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}
