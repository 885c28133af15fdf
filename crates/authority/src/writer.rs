//! Writing a reply into somebody else's buffer (RFC 1035 4.1, RFC 2181 9).
//!
//! Each set of records goes through [`Writer::put`], whole or not at all: what does not fit leaves
//! no trace, and whoever called decides whether that is a truncation. It never writes beyond its
//! limit, and allocates nothing but for a signature that is made.

mod signed;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::compress::Names;
use crate::dnssec::Signing;
use crate::kind;
use crate::name;
use crate::service::put_service;
use crate::wire::{CLASS_IN, HEADER_BYTES};
use crate::zone::Rrset;

/// Bytes of a record between its owner and its data.
const FIXED_BYTES: usize = 10;
/// Bytes of a pointer to a name.
const POINTER_BYTES: usize = 2;

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// Whose records they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    /// The name, in wire form and lowercase: what a signature is made over.
    pub(crate) name: &'a [u8],
    /// Where it stands in the reply already.
    pub(crate) at: Option<u16>,
}

/// All records of one name and type, wherever they come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a> {
    pub(crate) kind: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Data<'a>,
}

/// The data of records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data<'a> {
    Stored(&'a [Box<[u8]>]),
    One(&'a [u8]),
    V4(&'a [Ipv4Addr]),
    V6(&'a [Ipv6Addr]),
    /// One HTTPS record in service mode for the owner itself (RFC 9460 2.4.3).
    Service {
        /// The value of the key, in wire form; empty: no such key.
        alpn: &'a [u8],
        v4: &'a [Ipv4Addr],
        v6: &'a [Ipv6Addr],
    },
}

/// It does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A reply while it is written.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    /// What records may take; the OPT record has its place behind it.
    limit: usize,
    class: u16,
    counts: [u16; 3],
    /// Those of the question too, once one is looked for.
    names: &'a mut Names,
    question_name_bytes: usize,
    /// Where the target of the last name in record data stands.
    target_at: Option<u16>,
    /// How what is put is signed; `None`: it is not.
    signing: Option<Signing<'a>>,
    lacks_signature: bool,
}

impl<'a> Writer<'a> {
    /// Starts with the question as it came; the header is written at the end. The caller's buffer
    /// and limit have room for those.
    #[inline]
    pub(crate) fn new(
        out: &'a mut [u8],
        limit: usize,
        question: &[u8],
        names: &'a mut Names,
    ) -> Self {
        let at = HEADER_BYTES + question.len();
        out[HEADER_BYTES..at].copy_from_slice(question);
        names.forget(0);
        let class = question.last_chunk().map_or(CLASS_IN, |class| u16::from_be_bytes(*class));
        let limit = limit.min(out.len());
        Self {
            out,
            at,
            limit,
            class,
            counts: [0; 3],
            names,
            question_name_bytes: question.len().saturating_sub(4),
            target_at: None,
            signing: None,
            lacks_signature: false,
        }
    }

    /// Writes a set of records that the zone has authority over, with its signatures if those are
    /// wanted; or nothing of it.
    pub(crate) fn put(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        records: &Records<'_>,
    ) -> Result<(), Full> {
        self.put_whole(section, owner, records, Writer::put_signatures)
    }

    /// Writes a set of records that is never signed: of a delegation, or made of what is signed
    /// itself (RFC 4035 2.2, RFC 6672 5.3.1).
    pub(crate) fn put_unsigned(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        records: &Records<'_>,
    ) -> Result<(), Full> {
        self.put_whole(section, owner, records, |_, _, _, _| Ok(()))
    }

    fn put_whole(
        &mut self,
        section: Section,
        mut owner: Owner<'_>,
        records: &Records<'_>,
        put_more: impl FnOnce(&mut Self, Section, &mut Owner<'_>, &Records<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let before = (self.at, self.counts, self.names.mark());
        let put = self
            .put_records(section, &mut owner, records)
            .and_then(|()| put_more(self, section, &mut owner, records));
        if put.is_err() {
            let mark;
            (self.at, self.counts, mark) = before;
            self.names.forget(mark);
        }
        put
    }

    /// Where the name stands that the last CNAME, NS, PTR or DNAME written points to.
    pub(crate) fn target_at(&self) -> Option<u16> {
        self.target_at
    }

    /// Whether this name, lowercase, stands at a place in the reply.
    pub(crate) fn is_name_at(&self, at: u16, name: &[u8]) -> bool {
        Names::is_at(&self.out[..self.at], at, name)
    }

    /// Lets records take more, or less, from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.out.len());
    }

    /// How long it is so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.at
    }

    /// Writes header and OPT record; the reply is as long as what is returned.
    pub(crate) fn finish(self, id: u16, flags: u16, has_question: bool, opt: &[u8]) -> usize {
        let Self { out, at, mut counts, .. } = self;
        let end = at + opt.len();
        out[at..end].copy_from_slice(opt);
        counts[2] += u16::from(!opt.is_empty());
        let words = [id, flags, u16::from(has_question), counts[0], counts[1], counts[2]];
        for (place, word) in out[..HEADER_BYTES].chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        end
    }

    fn put_records(
        &mut self,
        section: Section,
        owner: &mut Owner<'_>,
        records: &Records<'_>,
    ) -> Result<(), Full> {
        match records.data {
            Data::Stored(stored) => {
                for data in stored {
                    self.put_one(section, owner, records, |w| w.put_data(records.kind, data))?;
                }
            }
            Data::One(data) => {
                self.put_one(section, owner, records, |w| w.put_data(records.kind, data))?;
            }
            Data::V4(addresses) => {
                for address in addresses {
                    self.put_address(section, owner, records, address.octets())?;
                }
            }
            Data::V6(addresses) => {
                for address in addresses {
                    self.put_address(section, owner, records, address.octets())?;
                }
            }
            Data::Service { alpn, v4, v6 } => {
                self.put_one(section, owner, records, |w| {
                    put_service(alpn, v4, v6, &mut |bytes| w.put_bytes(bytes))
                })?;
            }
        }
        Ok(())
    }

    /// Writes one record with an address: in one piece where its owner stands already.
    #[inline]
    fn put_address<const BYTES: usize>(
        &mut self,
        section: Section,
        owner: &mut Owner<'_>,
        records: &Records<'_>,
        address: [u8; BYTES],
    ) -> Result<(), Full> {
        let Some(at) = owner.at else {
            return self.put_one(section, owner, records, |w| w.put_bytes(&address));
        };
        let end = self.at + POINTER_BYTES + FIXED_BYTES + BYTES;
        if end > self.limit {
            return Err(Full);
        }
        let out = &mut self.out[self.at..end];
        out[..2].copy_from_slice(&(0xc000 | at).to_be_bytes());
        out[2..4].copy_from_slice(&records.kind.to_be_bytes());
        out[4..6].copy_from_slice(&self.class.to_be_bytes());
        out[6..10].copy_from_slice(&records.ttl.to_be_bytes());
        out[10..12].copy_from_slice(&(BYTES as u16).to_be_bytes());
        out[12..].copy_from_slice(&address);
        self.at = end;
        self.count(section)
    }

    /// Writes one record; `owner` then knows where it stands.
    #[inline]
    fn put_one(
        &mut self,
        section: Section,
        owner: &mut Owner<'_>,
        records: &Records<'_>,
        put_data: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        // A pointer to the owner and the fixed part go in one piece, as they mostly do.
        let mut head = [0; POINTER_BYTES + FIXED_BYTES];
        head[2..4].copy_from_slice(&records.kind.to_be_bytes());
        head[4..6].copy_from_slice(&self.class.to_be_bytes());
        head[6..10].copy_from_slice(&records.ttl.to_be_bytes());
        match owner.at {
            Some(at) => {
                head[..POINTER_BYTES].copy_from_slice(&(0xc000 | at).to_be_bytes());
                self.put_bytes(&head)?;
            }
            None => {
                owner.at = self.put_name(owner.name)?;
                self.put_bytes(&head[POINTER_BYTES..])?;
            }
        }
        let data_at = self.at;
        put_data(self)?;
        let bytes = u16::try_from(self.at - data_at).map_err(|_| Full)?;
        self.out[data_at - 2..data_at].copy_from_slice(&bytes.to_be_bytes());
        self.count(section)
    }

    #[inline]
    fn count(&mut self, section: Section) -> Result<(), Full> {
        let count = &mut self.counts[section as usize];
        *count = count.checked_add(1).ok_or(Full)?;
        Ok(())
    }

    /// Writes the data of a record. Only names in the types of RFC 1035 may be compressed
    /// (RFC 3597 4).
    fn put_data(&mut self, kind: u16, data: &[u8]) -> Result<(), Full> {
        let (before, names) = match kind {
            kind::NS | kind::CNAME | kind::PTR => (0, 1),
            kind::MX => (2, 1),
            kind::SOA => (0, 2),
            _ => return self.put_bytes(data),
        };
        let Some((fixed, mut rest)) = data.split_at_checked(before) else {
            return self.put_bytes(data);
        };
        self.put_bytes(fixed)?;
        for _ in 0..names {
            let Some(bytes) = name::wire_len(rest) else { break };
            let (name, after) = rest.split_at(bytes);
            self.target_at = self.put_name(name)?;
            rest = after;
        }
        self.put_bytes(rest)
    }

    /// Writes a name, its end as a pointer where that stands already; says where the name can be
    /// pointed at.
    fn put_name(&mut self, name: &[u8]) -> Result<Option<u16>, Full> {
        if self.names.mark() == 0 {
            let question = &self.out[HEADER_BYTES..HEADER_BYTES + self.question_name_bytes];
            self.names.remember(question, HEADER_BYTES);
        }
        let (fresh, pointer) = self.names.find(&self.out[..self.at], name);
        let start = self.at;
        self.put_bytes(&name[..fresh])?;
        match pointer {
            Some(at) => self.put_bytes(&(0xc000 | at).to_be_bytes())?,
            None => self.put_bytes(&[0])?,
        }
        self.names.remember_part(name, fresh, start);
        // What is a pointer only is pointed at where it points.
        Ok(if fresh == 0 { pointer } else { Names::pointable(start) })
    }

    #[inline]
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}

impl<'a> Records<'a> {
    /// A set as it stands in a zone.
    pub(crate) fn of(set: &'a Rrset) -> Self {
        Self { kind: set.kind, ttl: set.ttl, data: Data::Stored(&set.data) }
    }

    /// One record.
    pub(crate) fn one(kind: u16, ttl: u32, data: &'a [u8]) -> Self {
        Self { kind, ttl, data: Data::One(data) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03WwW\x02ex\x00\x00\x01\x00\x01";
    const ASKED: Owner<'static> = Owner { name: b"\x03www\x02ex\x00", at: Some(12) };

    #[test]
    fn what_does_not_fit_leaves_no_trace() {
        let mut out = [0; 512];
        let whole = 12 + QUESTION.len() + 16;
        let mut names = Names::new();
        let mut writer = Writer::new(&mut out, whole, QUESTION, &mut names);
        let one = [Ipv4Addr::LOCALHOST];
        let records = |addresses| Records { kind: kind::A, ttl: 5, data: Data::V4(addresses) };
        let two = [Ipv4Addr::LOCALHOST; 2];
        assert_eq!(writer.put(Section::Answer, ASKED, &records(&two)), Err(Full));
        assert_eq!(writer.put(Section::Answer, ASKED, &records(&one)), Ok(()));
        assert_eq!(writer.put(Section::Answer, ASKED, &records(&one)), Err(Full));
        let len = writer.finish(0xabcd, 0x8400, true, &[]);
        assert_eq!(len, whole);
        assert_eq!(out[..12], [0xab, 0xcd, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(out[24..40], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
    }

    #[test]
    fn names_are_compressed_against_what_stands_already() {
        let mut out = [0; 512];
        let mut names = Names::new();
        let mut writer = Writer::new(&mut out, 512, QUESTION, &mut names);
        let cname = Records::one(kind::CNAME, 1, b"\x01a\x02ex\x00");
        assert_eq!(writer.put(Section::Answer, ASKED, &cname), Ok(()));
        let target_at = writer.target_at();
        assert!(writer.is_name_at(target_at.expect("a place"), b"\x01a\x02ex\x00"));
        assert!(!writer.is_name_at(12, b"\x01a\x02ex\x00"));
        let mx = Records::one(kind::MX, 1, b"\x00\x05\x01a\x02ex\x00");
        let owner = Owner { name: b"\x02ex\x00", at: None };
        assert_eq!(writer.put(Section::Answer, owner, &mx), Ok(()));
        let len = writer.finish(0, 0, true, &[]);
        // Pointer, fixed part, `a` and a pointer to `ex` in the question.
        assert_eq!(out[24..40], *b"\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x04\x01a\xc0\x10");
        assert_eq!(out[40..len], *b"\xc0\x10\0\x0f\0\x01\0\0\0\x01\0\x04\0\x05\xc0\x24");
    }

    #[test]
    fn data_that_is_no_name_is_copied() {
        let mut out = [0; 512];
        let mut names = Names::new();
        let mut writer = Writer::new(&mut out, 512, QUESTION, &mut names);
        for data in [&b""[..], b"\x05ab", b"\xc0\x0c", b"\x00junk"] {
            for kind in [kind::MX, kind::SOA, kind::NS] {
                let records = Records::one(kind, 1, data);
                assert_eq!(writer.put(Section::Answer, ASKED, &records), Ok(()));
            }
        }
    }
}
