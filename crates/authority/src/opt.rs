//! The OPT record of a reply (RFC 6891 6.1).
//!
//! Its options are settled before anything else is written, so that its place is kept whatever the
//! answer takes; only the scope of the subnet is known last. No option is sent that was not sent,
//! but the one that says why there is an error, where there is room (RFC 8914 3).

use crate::cookie::SERVER_BYTES;
use crate::edns::Edns;
use crate::kind;
use crate::wire::{COMPACT_OK, DNSSEC_OK, OPT_BYTES, option};

/// Bytes of an option that says why there is an error, and nothing in words.
pub(crate) const ERROR_BYTES: usize = 6;
/// Bytes that an OPT record of ours takes at most: an identity of 128 bytes, an IPv6 subnet and a
/// cookie, each with its head, and an error.
const BYTES_MAX: usize = OPT_BYTES + 4 + 128 + 4 + 20 + 4 + 8 + SERVER_BYTES + ERROR_BYTES;

/// An OPT record, in wire form.
#[derive(Clone, Debug)]
pub(crate) struct Opt {
    /// What is beyond the record is of records before.
    bytes: [u8; BYTES_MAX],
    len: usize,
    /// Where the scope stands, if a subnet is repeated.
    scope_at: Option<usize>,
}

impl Opt {
    /// No record at all.
    pub(crate) const fn none() -> Self {
        Self { bytes: [0; BYTES_MAX], len: 0, scope_at: None }
    }

    /// Becomes none again.
    pub(crate) fn clear(&mut self) {
        (self.len, self.scope_at) = (0, None);
    }

    /// Becomes a record without options, to who sent one.
    pub(crate) fn begin(&mut self, edns: &Edns<'_>, udp_bytes_max: usize) {
        let [high, low] = u16::try_from(udp_bytes_max).unwrap_or(u16::MAX).to_be_bytes();
        let [_, kind] = kind::OPT.to_be_bytes();
        // Of the flags only this one is copied, and the rest is zero (RFC 6891 6.1.4).
        let flags = if edns.wants_dnssec { (DNSSEC_OK >> 8) as u8 } else { 0 };
        let fixed: [u8; OPT_BYTES] = [0, 0, kind, high, low, 0, 0, flags, 0, 0, 0];
        self.bytes[..OPT_BYTES].copy_from_slice(&fixed);
        (self.len, self.scope_at) = (OPT_BYTES, None);
    }

    /// Says that the code of a name that is missing is NXDOMAIN though its proof is a compact one
    /// (RFC 9824 5.1).
    pub(crate) fn set_compact(&mut self) {
        if self.len > 0 {
            self.bytes[7] |= (COMPACT_OK >> 8) as u8;
        }
    }

    /// Adds which server this is (RFC 5001).
    pub(crate) fn add_identity(&mut self, identity: &[u8]) {
        self.add(option::NSID, &[identity]);
    }

    /// Adds the subnet as it came, with a scope of 0 until the answer is known (RFC 7871 7.2.1).
    pub(crate) fn add_subnet(&mut self, subnet: &[u8]) {
        let value_at = self.len + 4;
        if self.add(option::SUBNET, &[subnet]) {
            self.scope_at = Some(value_at + 3);
        }
    }

    /// Adds a cookie (RFC 7873 5.2).
    pub(crate) fn add_cookie(&mut self, client: &[u8], server: &[u8]) {
        self.add(option::COOKIE, &[client, server]);
    }

    /// Adds why there is an error (RFC 8914 2).
    pub(crate) fn add_error(&mut self, code: u16) {
        self.add(option::ERROR, &[&code.to_be_bytes()]);
    }

    /// Says for whom the answer is.
    pub(crate) fn set_scope(&mut self, scope: u8) {
        if let Some(at) = self.scope_at {
            self.bytes[at] = scope;
        }
    }

    /// Says the upper bits of the code (RFC 6891 6.1.3).
    pub(crate) fn set_rcode(&mut self, rcode: u16) {
        if self.len > 0 {
            self.bytes[5] = (rcode >> 4) as u8;
        }
    }

    /// Takes the options back: who sent garbage gets no more than that.
    pub(crate) fn clear_options(&mut self) {
        self.len = self.len.min(OPT_BYTES);
        self.bytes[9..OPT_BYTES].fill(0);
        self.scope_at = None;
    }

    /// The record; empty when there is none.
    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Adds an option, unless there is no record or no room, which no caller brings about.
    #[inline]
    fn add(&mut self, code: u16, parts: &[&[u8]]) -> bool {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.len == 0 || self.len + 4 + bytes > BYTES_MAX {
            return false;
        }
        let mut at = self.len + 4;
        let ([code_0, code_1], [bytes_0, bytes_1]) =
            (code.to_be_bytes(), (bytes as u16).to_be_bytes());
        self.bytes[self.len..at].copy_from_slice(&[code_0, code_1, bytes_0, bytes_1]);
        for part in parts {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.len = at;
        let options = (self.len - OPT_BYTES) as u16;
        self.bytes[9..OPT_BYTES].copy_from_slice(&options.to_be_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opt() -> Opt {
        let mut opt = Opt::none();
        opt.begin(&Edns::read(&[0, 0, 41, 16, 0, 0, 0, 0xff, 0xff, 0, 0]), 1232);
        opt
    }

    #[test]
    fn the_record_has_our_size_their_flag_and_the_options_in_order() {
        let mut opt = opt();
        assert_eq!(opt.as_wire(), [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0]);
        opt.add_identity(b"a");
        opt.add_subnet(&[0, 1, 8, 0, 10]);
        opt.add_cookie(&[1; 8], &[2; 16]);
        opt.set_scope(6);
        opt.set_rcode(23);
        let wire = opt.as_wire();
        assert_eq!(wire[..11], [0, 0, 41, 4, 0xd0, 1, 0, 0x80, 0, 0, 42]);
        assert_eq!(wire[11..16], [0, 3, 0, 1, b'a']);
        assert_eq!(wire[16..25], [0, 8, 0, 5, 0, 1, 8, 6, 10]);
        assert_eq!(wire[25..33], [0, 10, 0, 24, 1, 1, 1, 1]);
        assert_eq!(wire.len(), 53);
    }

    #[test]
    fn the_longest_options_have_room() {
        let mut opt = opt();
        opt.add_identity(&[b'x'; 128]);
        opt.add_subnet(&[7; 20]);
        opt.add_cookie(&[1; 8], &[2; 16]);
        opt.add_error(20);
        assert_eq!(opt.as_wire().len(), BYTES_MAX);
        assert_eq!(opt.as_wire()[BYTES_MAX - ERROR_BYTES..], [0, 15, 0, 2, 0, 20]);
        // With the longest question this is less than anybody takes.
        const { assert!(12 + 259 + BYTES_MAX < 512) };
        opt.add_cookie(&[1; 8], &[]);
        assert_eq!(opt.as_wire().len(), BYTES_MAX);
    }

    #[test]
    fn who_sent_no_record_gets_none() {
        let mut opt = Opt::none();
        opt.add_cookie(&[1; 8], &[]);
        opt.set_rcode(16);
        opt.set_scope(1);
        assert!(opt.as_wire().is_empty());
    }
}
