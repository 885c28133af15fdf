//! What a signature is made over: the head of its own data, and the records in canonical form and
//! order (RFC 4034 3.1.8.1, 6.2 and 6.3).
//!
//! Names in zones are lowercase and whole from when they are read, and so are those asked for; so
//! the canonical form is what is there, and only the order is to be made.

use crate::kind;
use crate::name;
use crate::service::put_service;
use crate::wire::CLASS_IN;
use crate::writer::{Data, Records};

/// Bytes of the head of RRSIG data before the signer's name.
pub(crate) const HEAD_BYTES: usize = 18;

/// What the data of an RRSIG begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: u16,
    pub(crate) algorithm: u8,
    pub(crate) labels: u8,
    pub(crate) ttl: u32,
    pub(crate) expiration: u32,
    pub(crate) inception: u32,
    pub(crate) tag: u16,
}

impl Head {
    pub(crate) fn to_wire(self) -> [u8; HEAD_BYTES] {
        let mut wire = [0; HEAD_BYTES];
        wire[..2].copy_from_slice(&self.kind.to_be_bytes());
        (wire[2], wire[3]) = (self.algorithm, self.labels);
        wire[4..8].copy_from_slice(&self.ttl.to_be_bytes());
        wire[8..12].copy_from_slice(&self.expiration.to_be_bytes());
        wire[12..16].copy_from_slice(&self.inception.to_be_bytes());
        wire[16..].copy_from_slice(&self.tag.to_be_bytes());
        wire
    }
}

/// How many labels a name has for RRSIG: neither the root's nor a star on the left is counted
/// (RFC 4034 3.1.3).
pub(crate) fn labels(owner: &[u8]) -> u8 {
    let star = u8::from(owner.starts_with(b"\x01*"));
    // A name of 255 bytes has 127 labels.
    name::labels(owner).count() as u8 - star
}

/// The bytes that are signed.
pub(crate) fn message(head: Head, signer: &[u8], owner: &[u8], records: &Records<'_>) -> Vec<u8> {
    let mut data = data(records);
    data.sort_unstable();
    data.dedup();
    let mut message = head.to_wire().to_vec();
    message.extend_from_slice(signer);
    for one in &data {
        message.extend_from_slice(owner);
        for word in [head.kind, CLASS_IN] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.extend_from_slice(&head.ttl.to_be_bytes());
        message.extend_from_slice(&(one.len() as u16).to_be_bytes());
        message.extend_from_slice(one);
    }
    message
}

/// The data of each record.
fn data(records: &Records<'_>) -> Vec<Vec<u8>> {
    match records.data {
        Data::Stored(stored) => stored.iter().map(|data| data.to_vec()).collect(),
        Data::One(data) => vec![data.to_vec()],
        Data::V4(addresses) => addresses.iter().map(|one| one.octets().to_vec()).collect(),
        Data::V6(addresses) => addresses.iter().map(|one| one.octets().to_vec()).collect(),
        Data::Service { alpn, v4, v6 } => {
            let mut data = Vec::new();
            let put = put_service(alpn, v4, v6, &mut |bytes| {
                data.extend_from_slice(bytes);
                Ok(())
            });
            debug_assert!(put.is_ok() && records.kind == kind::HTTPS);
            vec![data]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_on_the_left_is_no_label() {
        for (owner, expected) in [
            (&b"\x00"[..], 0),
            (b"\x01a\x00", 1),
            (b"\x01*\x01a\x00", 1),
            (b"\x01*\x00", 0),
            (b"\x01a\x01*\x00", 2),
            (b"\x02*a\x00", 1),
        ] {
            assert_eq!(labels(owner), expected, "{owner:?}");
        }
        assert_eq!(labels(&[&b"\x01a".repeat(127)[..], b"\x00"].concat()), 127);
    }

    #[test]
    fn records_are_signed_in_the_order_of_their_data_and_once_each() {
        let stored = [b"\x02b".to_vec().into(), b"\x01".to_vec().into(), b"\x02b".to_vec().into()];
        let records = Records { kind: 1234, ttl: 5, data: Data::Stored(&stored) };
        let head = Head {
            kind: 1234,
            algorithm: 15,
            labels: 1,
            ttl: 5,
            expiration: 7,
            inception: 6,
            tag: 0x0102,
        };
        let fixed = b"\x01a\x00\x04\xd2\x00\x01\x00\x00\x00\x05";
        let expected = [
            &b"\x04\xd2\x0f\x01\x00\x00\x00\x05\x00\x00\x00\x07\x00\x00\x00\x06\x01\x02\x00"[..],
            fixed,
            b"\x00\x01\x01",
            fixed,
            b"\x00\x02\x02b",
        ];
        assert_eq!(message(head, b"\x00", b"\x01a\x00", &records), expected.concat());
    }
}
