//! What an answer says of what is not there: the SOA (RFC 2308), and where signatures are wanted
//! the NSEC that denies it (RFC 9824).
//!
//! A name that is missing is denied as one that is there without any type, and so the code is
//! NOERROR, unless the asker says with the flag CO that NXDOMAIN will not confuse it
//! (RFC 9824 5.1). Without signatures it is NXDOMAIN.

use crate::answer::{Answer, Step};
use crate::dnssec::Purse;
use crate::kind;
use crate::outcome::Reason;
use crate::wire::rcode;
use crate::writer::{Full, Owner, Records, Section};
use crate::zone::Node;

/// What is not there.
#[derive(Clone, Copy)]
pub(crate) enum Absent<'a> {
    /// The name.
    Name,
    /// The type, under a name with this.
    Kind(&'a Node),
    /// The type, at a site.
    SiteKind,
    /// Addresses of this family at a site with others, here and now.
    SiteFamily {
        /// For so many seconds.
        ttl: u32,
        /// What else is under the name, if the zone's file has it.
        node: Option<&'a Node>,
    },
}

/// What a site answers.
const SITE_KINDS: [u16; 3] = [kind::A, kind::AAAA, kind::HTTPS];

impl<'a> Answer<'a, '_, '_> {
    /// RFC 2308 2 and 3: the SOA says for how long to remember that something is missing.
    pub(crate) fn negative(&mut self, absent: Absent<'a>) -> Result<Step, Full> {
        let (code, reason) = match absent {
            Absent::Name => (self.missing_rcode, Reason::NoName),
            _ => (rcode::NOERROR, Reason::NoData),
        };
        let ttl = match absent {
            Absent::SiteFamily { ttl, .. } => ttl.min(self.zone.negative_ttl()),
            _ => self.zone.negative_ttl(),
        };
        let owner = Owner { name: self.zone.apex().as_wire(), at: None };
        let soa = Records { ttl, ..Records::of(self.zone.soa()) };
        self.writer.put(Section::Authority, owner, &soa)?;
        if self.writer.is_signed() {
            self.put_nsec(Section::Authority, absent, ttl)?;
        }
        Ok(Step::Done(code, reason))
    }

    /// What a signer makes of a name that is there: the NSEC, whose signatures are all that is told
    /// to who asks for RRSIG (little, as RFC 8482 has it for ANY), and at the apex the keys. What
    /// the zone's file has of these types is not what this zone is signed by.
    pub(crate) fn made(&mut self, is: Absent<'a>) -> Result<Option<Step>, Full> {
        let Some(phase) = self.phase else { return Ok(None) };
        match self.kind {
            kind::NSEC => {
                self.put_nsec(Section::Answer, is, self.zone.negative_ttl())?;
            }
            kind::RRSIG if self.writer.is_signed() => {
                self.put_nsec(Section::Answer, is, self.zone.negative_ttl())?;
            }
            kind => match phase.set(kind).filter(|_| self.is_at_apex()) {
                Some(set) => self.put(Section::Answer, &Records::of(set))?,
                None => return self.negative(is).map(Some),
            },
        }
        Ok(Some(Step::Done(rcode::NOERROR, Reason::Answer)))
    }

    /// Says that a delegation is not signed (RFC 4035 3.1.4.1, RFC 9824).
    pub(crate) fn put_no_ds(&mut self, cut: &[u8]) -> Result<(), Full> {
        self.denial.begin();
        self.denial.add(&[kind::NS]);
        let data = self.denial.data(cut, self.zone.apex().as_wire(), kind::DS);
        let records = Records::one(kind::NSEC, self.zone.negative_ttl(), data);
        self.writer.put(Section::Authority, Owner { name: cut, at: None }, &records)
    }

    /// Names that are made up by who asks are signed out of another purse than those there are.
    pub(crate) fn set_purse(&mut self, is_made_up: bool) {
        self.writer.set_purse(match (is_made_up, self.outcome.is_proven) {
            (false, _) => Purse::Standing,
            (true, false) => Purse::Unproven,
            (true, true) => Purse::Proven,
        });
    }

    /// Writes the NSEC of the name that is answered for.
    fn put_nsec(&mut self, section: Section, absent: Absent<'a>, ttl: u32) -> Result<(), Full> {
        self.denial.begin();
        let is_apex = self.is_at_apex();
        match absent {
            Absent::Name => self.denial.add(&[kind::NXNAME]),
            Absent::SiteKind | Absent::SiteFamily { .. } => self.denial.add(&SITE_KINDS),
            Absent::Kind(_) => {}
        }
        let node = match absent {
            Absent::Kind(node) => Some(node),
            Absent::SiteFamily { node, .. } => node,
            Absent::Name | Absent::SiteKind => None,
        };
        if let Some(node) = node {
            if node.site.is_some() {
                self.denial.add(&SITE_KINDS);
            }
            self.denial.add_node(node, !is_apex && node.set(kind::NS).is_some());
        }
        if let Some(phase) = self.phase.filter(|_| is_apex) {
            for kind in [kind::DNSKEY, kind::CDS, kind::CDNSKEY] {
                if phase.set(kind).is_some() {
                    self.denial.add(&[kind]);
                }
            }
        }
        let owner = Owner { name: self.name.as_wire(), at: Some(self.owner_at()) };
        let data = self.denial.data(owner.name, self.zone.apex().as_wire(), self.kind);
        self.writer.put(section, owner, &Records::one(kind::NSEC, ttl, data))
    }

    fn is_at_apex(&self) -> bool {
        self.name.as_wire() == self.zone.apex().as_wire()
    }
}
