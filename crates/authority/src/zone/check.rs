//! What must hold of a zone as a whole (RFC 1034 4.2, RFC 1912, RFC 2181, RFC 6672).
//!
//! Faults, for which a zone is refused:
//!
//! - the apex has no SOA or no NS;
//! - a CNAME beside other data (RFC 1034 3.6.2), a SITE beside what it answers, a DS without NS;
//! - anything but NS, DS and addresses at a delegation, anything but addresses below one;
//! - anything below a DNAME (RFC 6672 2.4), or a DNAME over the names of the sites;
//! - a name server in the zone that has no address, or its own delegation's without glue;
//! - a target of NS, MX or SRV that is a CNAME, or below a DNAME (RFC 2181 10.3).
//!
//! Warnings: a target of MX or SRV in the zone that has no address.

use super::{Found, Node, Otherwise, Rrset, Zone, ZoneError};
use crate::kind::{self, Kind};
use crate::name::{self, Name};

/// Faults, and warnings, told at most; who has so many is told of the rest when these are gone.
const FINDINGS_MAX: usize = 100;
/// Faults, or warnings, looked for at most. Names are looked at in no order, so there are more than
/// are told: whoever has fewer is told the first.
const FINDINGS_LOOKED_FOR: usize = 10_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<ZoneError>,
    pub(super) warnings: Vec<ZoneError>,
}

/// Looks at all of a zone.
pub(super) fn check(zone: &Zone) -> Findings {
    let mut findings = Findings::default();
    let apex = zone.node(zone.apex.as_wire());
    for (kind, what) in [
        (kind::SOA, "the zone has no SOA: add one at its own name"),
        (kind::NS, "the zone has no NS at its own name: add its name servers"),
    ] {
        if apex.and_then(|apex| apex.set(kind)).is_none() {
            findings.fault(&zone.apex, Some(kind), what);
        }
    }
    // Without an apex nothing can be looked up.
    if apex.is_none() {
        return findings;
    }
    for (name, node) in zone.nodes() {
        check_together(zone, name, node, &mut findings);
        check_above(zone, name, node, &mut findings);
        for set in &node.sets {
            check_targets(zone, name, set, &mut findings);
        }
        if findings.faults.len().max(findings.warnings.len()) >= FINDINGS_LOOKED_FOR {
            break;
        }
    }
    for found in [&mut findings.faults, &mut findings.warnings] {
        found.sort_by(|a, b| a.name.canonical_cmp(&b.name));
        found.truncate(FINDINGS_MAX);
    }
    findings
}

/// What stands beside what under one name.
fn check_together(zone: &Zone, name: &Name, node: &Node, findings: &mut Findings) {
    let has = |kind| node.set(kind).is_some();
    let is_cut = has(kind::NS) && *name != zone.apex;
    let is_of_dnssec = |kind| matches!(kind, kind::RRSIG | kind::NSEC | kind::KEY | kind::SIG);
    if has(kind::CNAME) {
        let is_alone = |set: &Rrset| set.kind == kind::CNAME || is_of_dnssec(set.kind);
        if let Some(other) = node.sets.iter().find(|set| !is_alone(set)) {
            let what = format!("a CNAME stands alone, and {} is beside it", Kind(other.kind));
            findings.fault(name, Some(kind::CNAME), &format!("{what}: delete one of them"));
        }
    }
    if node.site.is_some() {
        for kind in [kind::A, kind::AAAA, kind::CNAME, kind::DNAME, kind::HTTPS] {
            if has(kind) {
                let what = "SITE answers in place of this record: delete one of them";
                findings.fault(name, Some(kind), what);
            }
        }
        if is_cut {
            findings.fault(name, Some(kind::NS), "SITE is at a delegation: delete one of them");
        }
    }
    if has(kind::DS) && !is_cut {
        findings.fault(name, Some(kind::DS), "DS stands at a delegation only: add NS beside it");
    }
    if is_cut {
        let may_stay =
            |kind| matches!(kind, kind::NS | kind::DS | kind::A | kind::AAAA) || is_of_dnssec(kind);
        for set in node.sets.iter().filter(|set| !may_stay(set.kind)) {
            let what = "the name is delegated, so this is never answered: move it to that zone";
            findings.fault(name, Some(set.kind), what);
        }
    }
}

/// What stands below a delegation or a DNAME.
fn check_above(zone: &Zone, name: &Name, node: &Node, findings: &mut Findings) {
    let kind_of = |node: &Node| node.sets.first().map(|set| set.kind);
    if zone.has_sites && *name == zone.apex && node.set(kind::DNAME).is_some() {
        let what = "a DNAME at the zone's own name hides the names of the sites: delete it";
        findings.fault(name, Some(kind::DNAME), what);
    }
    match zone.find(name.as_wire(), kind::ANY) {
        Found::Renamed { owner, .. } if !node.is_empty_non_terminal() => {
            let what = format!("the name is below the DNAME of {}, delete one", Text(owner));
            findings.fault(name, kind_of(node), &what);
        }
        Found::Delegated { cut, .. } if cut != name.as_wire() => {
            let is_glue = |set: &Rrset| matches!(set.kind, kind::A | kind::AAAA);
            let other = node.sets.iter().find(|set| !is_glue(set)).map(|set| set.kind);
            if other.is_some() || node.site.is_some() {
                let what = format!("the name is below the delegation of {}", Text(cut));
                findings.fault(name, other, &format!("{what}: move this to that zone"));
            }
        }
        _ => {}
    }
}

/// Whether the hosts that records point to are there, as far as the zone knows.
fn check_targets(zone: &Zone, name: &Name, set: &Rrset, findings: &mut Findings) {
    let target_at = match set.kind {
        kind::NS => 0,
        kind::MX => 2,
        kind::SRV => 6,
        _ => return,
    };
    for data in &set.data {
        let target = data.get(target_at..).unwrap_or_default();
        let (is_fault, what) = match reach(zone, name, target) {
            Reach::Fine => continue,
            Reach::Alias => (true, "is an alias, and must not be: name what it stands for"),
            Reach::NoGlue if set.kind == kind::NS => (true, "is below and has no glue: add its A"),
            Reach::NoGlue => continue,
            Reach::NoAddress => (set.kind == kind::NS, "has no A or AAAA in this zone: add one"),
        };
        let what = format!("{} {what}", Text(target));
        if is_fault {
            findings.fault(name, Some(set.kind), &what);
        } else {
            findings.warnings.push(ZoneError::new(name, Some(set.kind), what));
        }
    }
}

enum Reach {
    Fine,
    Alias,
    NoGlue,
    NoAddress,
}

/// What the zone knows of a target of a record of `owner`.
fn reach(zone: &Zone, owner: &Name, target: &[u8]) -> Reach {
    let has_address = |node: &Node| {
        node.site.is_some() || node.set(kind::A).or_else(|| node.set(kind::AAAA)).is_some()
    };
    let host = match zone.find(target, kind::A) {
        Found::Outside => return Reach::Fine,
        // `.` says that there is no host (RFC 7505, RFC 2782), whatever the zone.
        _ if target == [0] => return Reach::Fine,
        Found::Renamed { .. } => return Reach::Alias,
        Found::Delegated { cut, .. } => {
            let has_glue = zone.node(target).is_some_and(has_address);
            let needs_glue = cut == owner.as_wire();
            return if has_glue || !needs_glue { Reach::Fine } else { Reach::NoGlue };
        }
        Found::Exact(node)
        | Found::Wildcard { node, .. }
        | Found::BelowSiteName { wildcard: node, .. }
        | Found::SiteName {
            otherwise: Otherwise::EmptyNonTerminal(node) | Otherwise::Wildcard(node),
            ..
        } => node,
        Found::Missing { .. } | Found::SiteName { otherwise: Otherwise::Missing, .. } => {
            return Reach::NoAddress;
        }
    };
    match host {
        host if host.set(kind::CNAME).is_some() => Reach::Alias,
        host if has_address(host) => Reach::Fine,
        _ => Reach::NoAddress,
    }
}

/// A name in wire form, to be shown.
struct Text<'name>(&'name [u8]);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        name::write_wire(self.0, f)
    }
}

impl Findings {
    fn fault(&mut self, name: &Name, kind: Option<u16>, what: &str) {
        self.faults.push(ZoneError::new(name, kind, what));
    }
}
