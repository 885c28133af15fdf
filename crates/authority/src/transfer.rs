//! All of a zone as a sequence of messages for one stream (RFC 5936 2.2).
//!
//! The SOA, every other record, the SOA again; as many in a message as fit. What a zone file calls
//! a `SITE` has no record and is left out: a secondary that must answer for sites is another server
//! of ours, not one that takes zones.

use std::sync::Arc;

use crate::compress::Names;
use crate::kind;
use crate::name::Name;
use crate::query::{NameBuffer, Query, Question};
use crate::wire::{flag, rcode};
use crate::writer::{Owner, Records, Section, Writer};
use crate::zone::{Rrset, Zone};

/// Bytes of a message: less than a stream could take, so that pointers reach all of it.
const MESSAGE_BYTES: usize = 16 * 1024;

/// A zone while it is sent.
#[derive(Debug)]
pub struct Transfer {
    zone: Arc<Zone>,
    /// All of them, the apex first.
    names: Vec<Name>,
    id: u16,
    question: Box<[u8]>,
    next: Next,
}

/// What is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    FirstSoa,
    /// The record of a set of a name, by their numbers.
    Record(usize, usize, usize),
    LastSoa,
    End,
}

impl Transfer {
    /// Begins to send a zone to who asked for it with this packet; `None`: that was no query.
    #[must_use]
    pub fn new(zone: Arc<Zone>, packet: &[u8]) -> Option<Self> {
        let query = Query::read(packet, &mut NameBuffer::new()).ok()?;
        let Question { bytes, .. } = query.question?;
        let names = zone.nodes_in_order().into_iter().map(|(name, _)| name.clone()).collect();
        Some(Self { zone, names, id: query.id, question: bytes.into(), next: Next::FirstSoa })
    }

    /// Writes the next message into a buffer of 65,535 bytes, and says how long it is; `None`: that
    /// was all, or the buffer has no room for a record.
    pub fn next_message(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.next == Next::End || out.len() < usize::from(u16::MAX) {
            return None;
        }
        // The first message repeats the question; the others may leave it out (RFC 5936 2.2.1).
        let is_first = self.next == Next::FirstSoa;
        let question: &[u8] = if is_first { &self.question } else { &[] };
        let mut names = Names::new();
        let mut writer = Writer::new(out, MESSAGE_BYTES, question, &mut names);
        let mut records = 0;
        while let Some((name, set, index)) = self.record() {
            let owner = Owner { name: name.as_wire(), at: None };
            let one = Records::one(set.kind, set.ttl, &set.data[index]);
            if writer.put(Section::Answer, owner, &one).is_err() {
                // A record that is longer than our messages are gets one of its own.
                writer.set_limit(usize::from(u16::MAX));
                if records > 0 || writer.put(Section::Answer, owner, &one).is_err() {
                    break;
                }
            }
            records += 1;
            self.next = self.after();
        }
        let flags = flag::QR | flag::AA | rcode::NOERROR;
        (records > 0).then(|| writer.finish(self.id, flags, is_first, &[]))
    }

    /// What is written next; `None`: that was all.
    fn record(&self) -> Option<(&Name, &Rrset, usize)> {
        match self.next {
            Next::FirstSoa | Next::LastSoa => Some((self.zone.apex(), self.zone.soa(), 0)),
            Next::Record(name, set, index) => {
                let name = self.names.get(name)?;
                Some((name, self.zone.node(name.as_wire())?.sets.get(set)?, index))
            }
            Next::End => None,
        }
    }

    /// What comes after what is written next.
    fn after(&self) -> Next {
        let from = match self.next {
            Next::FirstSoa => (0, 0, 0),
            Next::Record(name, set, index) => (name, set, index + 1),
            Next::LastSoa | Next::End => return Next::End,
        };
        let (mut name, mut set, mut index) = from;
        while let Some(owner) = self.names.get(name) {
            let sets = self.zone.node(owner.as_wire()).map_or(&[][..], |node| &node.sets);
            while let Some(candidate) = sets.get(set) {
                let is_soa = candidate.kind == kind::SOA;
                if !is_soa && index < candidate.data.len() {
                    return Next::Record(name, set, index);
                }
                (set, index) = (set + 1, 0);
            }
            (name, set, index) = (name + 1, 0, 0);
        }
        Next::LastSoa
    }
}
