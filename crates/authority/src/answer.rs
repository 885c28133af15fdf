//! The answer out of a zone: RFC 1034 4.3.2 from step 3 on, with DNAME (RFC 6672), wildcards
//! (RFC 4592), negative answers (RFC 2308), minimal ANY (RFC 8482), and sites.
//!
//! ```text
//! the name leads to     CNAME there, another type asked ─→ write it, go on with its target ─┐
//!  ▲                    DNAME above ─→ write it and a CNAME, go on with the new name ───────┤
//!  └────────────── in the zone, not been there, at most CHAIN_MAX times ────────────────────┘
//!                       the type is there ─→ records, and what they speak of
//!                       a site is there   ─→ where this asker is sent
//!                       a cut             ─→ who is asked instead
//!                       nothing           ─→ SOA, and NSEC where signatures are wanted
//! ```
//!
//! It never leaves the zone, and it never reads a clock: where a site's clients go is asked of
//! [`Sites`], once for each answer.

use crate::dnssec::{Phase, denial};
use crate::kind;
use crate::lead::{Lead, lead};
use crate::name;
use crate::outcome::{Outcome, Reason};
use crate::proof::Absent;
use crate::query::NameBuffer;
use crate::rrl::RateClass;
use crate::settings::Settings;
use crate::sites::{Asker, Located, SiteIndex, Sites};
use crate::wire::{HEADER_BYTES, rcode};
use crate::writer::{Data, Full, Owner, Records, Section, Writer};
use crate::zone::{Node, Rrset, Zone};

/// Names that one answer leads through at most.
const CHAIN_MAX: usize = 10;
/// What is said to ANY (RFC 8482 4.2): the CPU is "RFC8482" and there is no system.
const ANY_DATA: &[u8] = b"\x07RFC8482\x00";
/// For how long.
pub(crate) const ANY_TTL_S: u32 = 3600;

/// An answer while it is made.
pub(crate) struct Answer<'a, 'w, 'out> {
    pub(crate) zone: &'a Zone,
    pub(crate) sites: &'w dyn Sites,
    pub(crate) settings: &'a Settings,
    pub(crate) asker: Asker,
    pub(crate) kind: u16,
    /// The name that is answered for: the one asked, later the target of a CNAME.
    pub(crate) name: &'w mut NameBuffer,
    pub(crate) located: &'w mut Located,
    pub(crate) writer: &'w mut Writer<'out>,
    pub(crate) outcome: &'w mut Outcome<'a>,
    /// The answer speaks of the zone with authority.
    pub(crate) is_authoritative: bool,
    /// For how many bits of the asker's address it is good.
    pub(crate) scope: u8,
    /// Where the names stand that were answered for, the last one last.
    pub(crate) owners: Owners,
    /// What the keys of the zone say, if it is signed and that is asked for.
    pub(crate) phase: Option<&'a Phase>,
    /// The code of a name that is missing.
    pub(crate) missing_rcode: u16,
    pub(crate) denial: &'w mut denial::Denial,
}

/// Where names stand in the reply.
#[derive(Debug)]
pub(crate) struct Owners {
    at: [u16; CHAIN_MAX],
    len: usize,
}

/// How the answer goes on.
pub(crate) enum Step {
    Done(u16, Reason),
    /// With the name that is now to be answered for.
    Again,
}

impl Owners {
    /// Only the name asked for.
    pub(crate) const fn new() -> Self {
        Self { at: [HEADER_BYTES as u16; CHAIN_MAX], len: 1 }
    }

    fn last(&self) -> u16 {
        self.at[self.len - 1]
    }

    /// False: there are too many.
    #[must_use]
    fn push(&mut self, at: u16) -> bool {
        let is_room = self.len < CHAIN_MAX;
        if is_room {
            self.at[self.len] = at;
            self.len += 1;
        }
        is_room
    }
}

impl<'a> Answer<'a, '_, '_> {
    /// Writes the answer; its code and reason are in the outcome then.
    pub(crate) fn run(&mut self) {
        self.is_authoritative = true;
        let mut is_first = true;
        loop {
            let lead = lead(self.zone, self.sites, self.name.as_wire(), self.kind);
            if is_first {
                self.count_by(&lead);
            }
            let is_wildcard = matches!(lead, Lead::Node { wildcard_bytes: Some(_), .. });
            self.set_purse(is_wildcard || matches!(lead, Lead::Missing));
            let step = match lead {
                Lead::Node { node, .. } => self.at_node(node, is_first),
                Lead::Site(site) => self.at_site(site, None),
                Lead::Renamed { owner_bytes, dname } => self.renamed(owner_bytes, dname),
                Lead::Delegated { cut_bytes, ns, ds } => {
                    self.is_authoritative = !is_first;
                    self.delegated(cut_bytes, ns, ds)
                }
                Lead::Missing => self.negative(Absent::Name),
                // Where a CNAME leads out of the zone, the resolver asks on.
                Lead::Outside => Ok(Step::Done(rcode::NOERROR, Reason::Answer)),
            };
            is_first = false;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Done(code, reason)) => {
                    (self.outcome.rcode, self.outcome.reason) = (code, reason);
                    return;
                }
                Err(Full) => {
                    self.outcome.is_truncated = true;
                    self.outcome.rcode = rcode::NOERROR;
                    let is_sites = self.outcome.site.is_some();
                    self.outcome.reason = if is_sites { Reason::Site } else { Reason::Answer };
                    return;
                }
            }
        }
    }

    /// Where in the reply the name stands that is answered for.
    pub(crate) fn owner_at(&self) -> u16 {
        self.owners.last()
    }

    /// Writes records of the name that is answered for.
    pub(crate) fn put(&mut self, section: Section, records: &Records<'_>) -> Result<(), Full> {
        let owner = Owner { name: self.name.as_wire(), at: Some(self.owners.last()) };
        self.writer.put(section, owner, records)
    }

    fn at_node(&mut self, node: &'a Node, is_first: bool) -> Result<Step, Full> {
        if self.kind == kind::ANY {
            return self.any(node);
        }
        if denial::is_made(self.kind)
            && node.set(kind::CNAME).is_none_or(|_| matches!(self.kind, kind::RRSIG | kind::NSEC))
            && let Some(step) = self.made(Absent::Kind(node))?
        {
            return Ok(step);
        }
        if let Some(set) = node.set(self.kind) {
            self.put(Section::Answer, &Records::of(set))?;
            self.add_targets(set);
            return Ok(Step::Done(rcode::NOERROR, Reason::Answer));
        }
        if let Some(cname) = node.set(kind::CNAME) {
            self.put(Section::Answer, &Records::of(cname))?;
            return Ok(self.follow(cname.data.first().map_or(&[0], |target| target)));
        }
        let is_sites = matches!(self.kind, kind::A | kind::AAAA | kind::HTTPS);
        if let Some(site) = node.site.as_deref().filter(|_| is_sites) {
            return match self.sites.find(site.as_bytes()) {
                Some(site) => self.at_site(site, Some(node)),
                // Another server may know it; so this must not be remembered as no data.
                None => Ok(self.failure(Reason::SiteUnknown, is_first)),
            };
        }
        self.negative(Absent::Kind(node))
    }

    /// One set, or that there is something, but never all there is.
    fn any(&mut self, node: &'a Node) -> Result<Step, Full> {
        if node.is_empty_non_terminal() {
            return self.negative(Absent::Kind(node));
        }
        let records = match node.set(kind::CNAME) {
            Some(cname) => Records::of(cname),
            None => Records::one(kind::HINFO, ANY_TTL_S, ANY_DATA),
        };
        self.put(Section::Answer, &records)?;
        Ok(Step::Done(rcode::NOERROR, Reason::Any))
    }

    /// Where this asker is sent. A, AAAA and the hints come of one asking, and so agree.
    fn at_site(&mut self, site: SiteIndex, node: Option<&'a Node>) -> Result<Step, Full> {
        self.outcome.site = Some(site);
        if self.kind == kind::ANY {
            self.put(Section::Answer, &Records::one(kind::HINFO, ANY_TTL_S, ANY_DATA))?;
            return Ok(Step::Done(rcode::NOERROR, Reason::Any));
        }
        if !matches!(self.kind, kind::A | kind::AAAA | kind::HTTPS) {
            if denial::is_made(self.kind)
                && let Some(step) = self.made(Absent::SiteKind)?
            {
                return Ok(step);
            }
            return self.negative(Absent::SiteKind);
        }
        self.located.v4.clear();
        self.located.v6.clear();
        (self.located.ttl, self.located.scope, self.located.https) = (0, 0, false);
        self.sites.locate(site, &self.asker, self.located);
        self.scope = self.scope.max(self.located.scope);
        let Located { v4, v6, ttl, .. } = &*self.located;
        let ttl = *ttl;
        if v4.is_empty() && v6.is_empty() {
            return Ok(self.failure(Reason::SiteEmpty, self.owners.len == 1));
        }
        let lacking = Absent::SiteFamily { ttl, node };
        let data = match self.kind {
            kind::A if v4.is_empty() => return self.negative(lacking),
            kind::AAAA if v6.is_empty() => return self.negative(lacking),
            kind::HTTPS if !self.located.https => return self.negative(lacking),
            kind::A => Data::V4(v4),
            kind::AAAA => Data::V6(v6),
            _ => Data::Service { alpn: self.settings.alpn.as_wire(), v4, v6 },
        };
        let owner = Owner { name: self.name.as_wire(), at: Some(self.owners.last()) };
        self.writer.put(Section::Answer, owner, &Records { kind: self.kind, ttl, data })?;
        if self.kind == kind::HTTPS {
            // Its target is the name itself (RFC 9460 4.1). What does not fit is not needed.
            for (kind, data) in [(kind::A, Data::V4(v4)), (kind::AAAA, Data::V6(v6))] {
                let records = Records { kind, ttl, data };
                if self.writer.put(Section::Additional, owner, &records).is_err() {
                    break;
                }
            }
        }
        Ok(Step::Done(rcode::NOERROR, Reason::Site))
    }

    /// Goes on with the target of the CNAME that was just written.
    fn follow(&mut self, target: &[u8]) -> Step {
        self.name.set(target);
        let done = Step::Done(rcode::NOERROR, Reason::Answer);
        let Some(at) = self.writer.target_at() else { return done };
        let owners = &self.owners.at[..self.owners.len];
        let has_been = owners.iter().any(|at| self.writer.is_name_at(*at, self.name.as_wire()));
        if has_been || !self.owners.push(at) { done } else { Step::Again }
    }

    /// RFC 6672 3.2: the DNAME, and a CNAME to the name that it makes.
    fn renamed(&mut self, owner_bytes: usize, dname: &'a Rrset) -> Result<Step, Full> {
        let suffix = suffix(self.name.as_wire(), owner_bytes);
        let owner = Owner { name: suffix, at: None };
        self.writer.put(Section::Answer, owner, &Records::of(dname))?;
        let mut target = self.name.clone();
        if !target.replace_suffix(owner_bytes, dname.data.first().map_or(&[0], |target| target)) {
            return Ok(Step::Done(rcode::YXDOMAIN, Reason::LongName));
        }
        let made = Owner { name: self.name.as_wire(), at: Some(self.owners.last()) };
        let cname = Records::one(kind::CNAME, dname.ttl, target.as_wire());
        self.writer.put_unsigned(Section::Answer, made, &cname)?;
        if matches!(self.kind, kind::CNAME | kind::ANY) {
            return Ok(Step::Done(rcode::NOERROR, Reason::Answer));
        }
        Ok(self.follow(target.as_wire()))
    }

    /// Who is asked instead, with what it takes to find them (RFC 9471).
    fn delegated(
        &mut self,
        cut_bytes: usize,
        ns: &'a Rrset,
        ds: Option<&'a Rrset>,
    ) -> Result<Step, Full> {
        let mut cut = NameBuffer::new();
        cut.set(suffix(self.name.as_wire(), cut_bytes));
        let owner = Owner { name: cut.as_wire(), at: None };
        self.writer.put_unsigned(Section::Authority, owner, &Records::of(ns))?;
        match ds {
            Some(ds) if self.outcome.wants_dnssec => {
                self.writer.put(Section::Authority, owner, &Records::of(ds))?;
            }
            None if self.writer.is_signed() => self.put_no_ds(cut.as_wire())?,
            _ => {}
        }
        self.add_glue(cut.as_wire(), ns)?;
        Ok(Step::Done(rcode::NOERROR, Reason::Referral))
    }

    /// We cannot say now. What a chain led through is said still, and is no authority's last word.
    fn failure(&mut self, reason: Reason, is_first: bool) -> Step {
        self.is_authoritative = !is_first;
        self.outcome.count_by(RateClass::Error, 0);
        Step::Done(rcode::SERVFAIL, reason)
    }

    /// What the rate of such answers is counted by: one wildcard, zone or cut is one thing, however
    /// many names are made up for it.
    fn count_by(&mut self, lead: &Lead<'_>) {
        let whole = self.name.as_wire().len();
        match *lead {
            Lead::Node { wildcard_bytes: Some(bytes), .. }
            | Lead::Renamed { owner_bytes: bytes, .. }
            | Lead::Delegated { cut_bytes: bytes, .. } => {
                self.outcome.count_by(RateClass::Answer, bytes);
            }
            Lead::Node { .. } | Lead::Site(_) => self.outcome.count_by(RateClass::Answer, whole),
            Lead::Missing | Lead::Outside => {
                self.outcome.count_by(RateClass::NoName, self.zone.apex().as_wire().len());
            }
        }
    }
}

/// The end of a name that has so many bytes.
fn suffix(name: &[u8], bytes: usize) -> &[u8] {
    &name[name.len().saturating_sub(bytes)..]
}

/// Whether a name is another or below it, both in wire form and lowercase.
pub(crate) fn is_in(name: &[u8], other: &[u8]) -> bool {
    let mut rest = name;
    loop {
        if rest.len() <= other.len() {
            return rest == other;
        }
        match name::parent(rest) {
            Some(up) => rest = up,
            None => return false,
        }
    }
}
