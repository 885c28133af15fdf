//! NSEC that denies no more than it must: at the name itself, up to the very next name that could
//! be (RFC 4470, RFC 9824).
//!
//! ```text
//! the name is there, the type is not   name NSEC \000.name  its types RRSIG NSEC
//! the name is not there                name NSEC \000.name  RRSIG NSEC NXNAME
//! a delegation without DS              cut  NSEC \000.cut   NS RRSIG NSEC
//! ```
//!
//! One record, and one signature: nobody learns another name of the zone, which a chain of real
//! names would tell, and which sites could not be put into, as whoever knows them only answers for
//! one at a time.

use crate::kind;
use crate::name::{LABEL_BYTES_MAX, NAME_BYTES_MAX};
use crate::zone::Node;

/// Buffers that are used again for each denial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denial {
    kinds: Vec<u16>,
    data: Vec<u8>,
}

impl Denial {
    /// Begins with the types that every name with an NSEC has (RFC 4035 2.3).
    pub(crate) fn begin(&mut self) {
        self.kinds.clear();
        self.kinds.extend_from_slice(&[kind::RRSIG, kind::NSEC]);
    }

    /// Adds types.
    pub(crate) fn add(&mut self, kinds: &[u16]) {
        self.kinds.extend_from_slice(kinds);
    }

    /// Adds what stands under a name; at a cut that is what the parent has authority over.
    pub(crate) fn add_node(&mut self, node: &Node, is_cut: bool) {
        let kinds = node.sets.iter().map(|set| set.kind);
        let may_stay = |kind: &u16| match is_cut {
            true => matches!(*kind, kind::NS | kind::DS),
            false => !is_made(*kind),
        };
        self.kinds.extend(kinds.filter(may_stay));
    }

    /// The data of the NSEC of a name below an apex. Never is the type asked for in it.
    pub(crate) fn data(&mut self, owner: &[u8], apex: &[u8], asked: u16) -> &[u8] {
        self.kinds.retain(|kind| *kind != asked || matches!(*kind, kind::RRSIG | kind::NSEC));
        self.kinds.sort_unstable();
        self.kinds.dedup();
        self.data.clear();
        put_successor(owner, apex, &mut self.data);
        put_bits(&self.kinds, &mut self.data);
        &self.data
    }
}

/// Types that a signer makes: a zone that is signed here answers none out of its file.
pub(crate) fn is_made(kind: u16) -> bool {
    matches!(
        kind,
        kind::RRSIG
            | kind::NSEC
            | kind::DNSKEY
            | kind::CDS
            | kind::CDNSKEY
            | kind::NSEC3
            | kind::NSEC3PARAM
    )
}

/// Writes the first name after another in the order of RFC 4034 6.1, as RFC 4471 3.1.2 has it for
/// names that have no room for another label.
fn put_successor(name: &[u8], apex: &[u8], out: &mut Vec<u8>) {
    if name.len() + 2 <= NAME_BYTES_MAX {
        out.extend_from_slice(&[1, 0]);
        out.extend_from_slice(name);
        return;
    }
    let mut rest = name;
    while rest.len() > apex.len() {
        let (label, above) = rest[1..].split_at(usize::from(rest[0]));
        if rest.len() < NAME_BYTES_MAX && label.len() < LABEL_BYTES_MAX {
            out.push(label.len() as u8 + 1);
            out.extend_from_slice(label);
            out.push(0);
            out.extend_from_slice(above);
            return;
        }
        // What is behind the last byte that can grow goes with what cannot.
        if let Some(at) = label.iter().rposition(|byte| *byte != u8::MAX) {
            out.push(at as u8 + 1);
            out.extend_from_slice(&label[..at]);
            // Capitals are sorted as small letters, and so are no names of their own.
            out.push(if label[at] == b'@' { b'[' } else { label[at] + 1 });
            out.extend_from_slice(above);
            return;
        }
        rest = above;
    }
    out.extend_from_slice(apex);
}

/// Writes types, sorted, as bits (RFC 4034 4.1.2).
fn put_bits(kinds: &[u16], out: &mut Vec<u8>) {
    for window in kinds.chunk_by(|a, b| a >> 8 == b >> 8) {
        let last = window.last().map_or(0, |kind| usize::from(kind & 0xff));
        out.extend_from_slice(&[(window[0] >> 8) as u8, (last / 8 + 1) as u8]);
        let start = out.len();
        out.resize(start + last / 8 + 1, 0);
        for kind in window {
            out[start + usize::from(kind & 0xff) / 8] |= 0x80 >> (kind & 7);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::rdata::data_text;
    use proptest::prelude::*;

    fn successor(name: &[u8], apex: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_successor(name, apex, &mut out);
        out
    }

    #[test]
    fn the_bits_are_the_types_and_never_the_one_asked_for() {
        let mut denial = Denial::default();
        denial.begin();
        denial.add(&[kind::HTTPS, kind::A, kind::AAAA, kind::CAA, kind::A]);
        let data = denial.data(b"\x01a\x00", b"\x00", kind::AAAA);
        assert_eq!(data_text(kind::NSEC, data), r"\000.a. A RRSIG NSEC HTTPS CAA");
        denial.begin();
        denial.add(&[kind::NXNAME]);
        let data = denial.data(b"\x01a\x00", b"\x00", kind::NSEC);
        assert_eq!(data_text(kind::NSEC, data), r"\000.a. RRSIG NSEC NXNAME");
    }

    #[test]
    fn names_without_room_for_a_label_have_a_next_name_too() {
        let apex = b"\x02ex\x00";
        // 3 * 64 + 1 + n + 4.
        let long = |n: u8, first: &[u8]| {
            let mut name = vec![n];
            name.extend_from_slice(first);
            name.resize(1 + usize::from(n), b'x');
            for _ in 0..3 {
                name.push(63);
                name.extend_from_slice(&[b'y'; 63]);
            }
            [&name[..], apex].concat()
        };
        assert_eq!(successor(&long(56, b""), apex).len(), 255);
        let full = successor(&long(57, b""), apex);
        assert_eq!((full.len(), full[0], full[58]), (255, 58, 0));
        let grown = successor(&long(58, b""), apex);
        assert_eq!((grown.len(), grown[58]), (255, b'y'));
        let cut = successor(&long(58, &[&b"a@"[..], &[0xff; 56]].concat()), apex);
        assert_eq!(cut[..3], [2, b'a', b'[']);
        let up = successor(&long(58, &[0xff; 58]), apex);
        assert_eq!((up.len(), up[0], up[63]), (196, 63, b'z'));
    }

    proptest! {
        #[test]
        fn the_next_name_is_a_name_of_the_zone_after_this_one(
            labels in prop::collection::vec(prop::collection::vec(
                prop_oneof![Just(0xff_u8), Just(b'@'), any::<u8>()], 1..64), 1..8),
        ) {
            let apex = Name::from_wire(b"\x02ex\x00").expect("a name");
            let mut name = apex.clone();
            for label in &labels {
                name = name.child(label).unwrap_or(name);
            }
            let next = Name::from_wire(&successor(name.as_wire(), apex.as_wire()))
                .expect("a name");
            prop_assert!(next.is_in(&apex));
            prop_assert!(next == apex || name.canonical_cmp(&next).is_lt());
        }
    }
}
