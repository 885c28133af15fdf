//! Where a question leads in a zone: steps 3a to 3c of RFC 1034 4.3.2 as RFC 4592 3.3.1 and
//! RFC 6672 3.2 have them, in one walk from the apex down. Allocates nothing.
//!
//! ```text
//! from the apex down, label by label          found
//!   the name above has DNAME .............. → Renamed         RFC 6672 3.2
//!   the name is missing
//!     one below the apex, zone has sites .. → SiteName        (or what it says otherwise)
//!     `*.encloser` is there ............... → Wildcard        RFC 4592 3.3.1
//!     else ................................ → Missing
//!   the name has NS and is not the apex ... → Delegated       RFC 1034 4.3.2 step 3b
//! all labels matched ...................... → Exact           an empty non-terminal: no data
//! ```

use super::{Node, Rrset, Zone};
use crate::kind;
use crate::name::{self, LABELS_MAX};

/// Where a question leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'zone, 'name> {
    /// The name is there, if only as an empty non-terminal; at a cut, for DS alone.
    Exact(&'zone Node),
    /// The name is made of a wildcard's data (RFC 4592 3.3).
    Wildcard {
        /// What stands under the wildcard; it may be an empty non-terminal.
        node: &'zone Node,
        /// The closest encloser: the wildcard's name is `*` below it.
        encloser: &'name [u8],
    },
    /// The name is at or below a cut: who is asked instead (RFC 1034 4.3.2 step 3b).
    Delegated {
        /// The name of the cut.
        cut: &'name [u8],
        /// Who is asked. Glue is found with [`Zone::node`].
        ns: &'zone Rrset,
        /// The delegation is signed (RFC 4035 3.1.4).
        ds: Option<&'zone Rrset>,
        /// All that stands at the cut.
        node: &'zone Node,
    },
    /// A name above is renamed with all that is below it (RFC 6672 3.2).
    Renamed {
        /// Where the DNAME stands.
        owner: &'name [u8],
        /// The DNAME.
        dname: &'zone Rrset,
    },
    /// The name may be a site's: that is known to who knows the sites.
    SiteName {
        /// The name's leftmost label: the site's name.
        label: &'name [u8],
        /// What the name is if there is no such site.
        otherwise: Otherwise<'zone>,
    },
    /// The name is below what may be a site's. If there is such a site, then this name is missing,
    /// with the site's as closest encloser; else it is made of the apex's wildcard.
    BelowSiteName {
        /// The site's name.
        label: &'name [u8],
        /// What stands under `*` below the apex.
        wildcard: &'zone Node,
    },
    /// There is no such name (RFC 8020).
    Missing {
        /// The longest existing name above (RFC 4592 3.3.1).
        encloser: &'name [u8],
    },
    /// The name is not in the zone, or no name in wire form.
    Outside,
}

/// What a name directly below the apex is when it is no site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise<'zone> {
    /// Names are below it, and nothing is under it.
    EmptyNonTerminal(&'zone Node),
    /// It is made of the wildcard below the apex.
    Wildcard(&'zone Node),
    /// It is missing; its closest encloser is the apex.
    Missing,
}

impl Zone {
    /// Where a question for a name, in wire form and lowercase, leads.
    ///
    /// The type matters only at a cut: the DS there is the parent's to answer (RFC 4035 3.1.4.1).
    #[must_use]
    pub fn find<'name>(&self, name: &'name [u8], kind: u16) -> Found<'_, 'name> {
        if let Some(found) = self.site_name(name) {
            return found;
        }
        let Some(path) = Path::of(name, self.apex.as_wire().len()) else { return Found::Outside };
        let mut encloser = &name[path.apex_at..];
        if encloser != self.apex.as_wire() {
            return Found::Outside;
        }
        let Some(mut node) = self.nodes.get(encloser) else { return Found::Outside };
        for (index, start) in path.below_apex().enumerate() {
            if let Some(dname) = node.set(kind::DNAME) {
                return Found::Renamed { owner: encloser, dname };
            }
            let below = &name[start..];
            let Some(next) = self.nodes.get(below) else {
                return self.beyond(below, encloser, index, start == 0);
            };
            let is_ds_of_cut = kind == kind::DS && start == 0;
            if let Some(ns) = next.set(kind::NS).filter(|_| !is_ds_of_cut) {
                return Found::Delegated { cut: below, ns, ds: next.set(kind::DS), node: next };
            }
            (encloser, node) = (below, next);
        }
        match first_label(name) {
            Some(label)
                if self.has_sites
                    && path.count == 1
                    && node.is_empty_non_terminal()
                    && label != b"*" =>
            {
                Found::SiteName { label, otherwise: Otherwise::EmptyNonTerminal(node) }
            }
            _ => Found::Exact(node),
        }
    }

    /// What most are asked for: a name directly below the apex that may be a site's and is nothing
    /// else. No apex of a zone with sites has a DNAME ([`super::check`]).
    fn site_name<'name>(&self, name: &'name [u8]) -> Option<Found<'_, 'name>> {
        let label = name.get(1..1 + usize::from(*name.first()?))?;
        let is_below_apex = self.has_sites
            && (1..=name::LABEL_BYTES_MAX).contains(&label.len())
            && name[1 + label.len()..] == *self.apex.as_wire();
        if !is_below_apex || self.nodes.contains_key(name) {
            return None;
        }
        let wildcard = self.wildcard(self.apex.as_wire());
        let otherwise = wildcard.map_or(Otherwise::Missing, Otherwise::Wildcard);
        Some(Found::SiteName { label, otherwise })
    }

    /// What is made of a name that is missing: `missing` is the name, or the first above that is.
    fn beyond<'name>(
        &self,
        missing: &'name [u8],
        encloser: &'name [u8],
        depth: usize,
        is_whole: bool,
    ) -> Found<'_, 'name> {
        let wildcard = self.wildcard(encloser);
        if let Some(label) = first_label(missing).filter(|_| self.has_sites && depth == 0) {
            match wildcard {
                _ if is_whole => {
                    let otherwise = wildcard.map_or(Otherwise::Missing, Otherwise::Wildcard);
                    return Found::SiteName { label, otherwise };
                }
                Some(wildcard) => return Found::BelowSiteName { label, wildcard },
                None => {}
            }
        }
        match wildcard {
            Some(node) => Found::Wildcard { node, encloser },
            None => Found::Missing { encloser },
        }
    }

    /// What stands under `*` below a name in wire form.
    fn wildcard(&self, encloser: &[u8]) -> Option<&Node> {
        if !self.has_wildcards {
            return None;
        }
        let mut wire = [0; name::NAME_BYTES_MAX];
        let wire = wire.get_mut(..2 + encloser.len())?;
        wire[..2].copy_from_slice(b"\x01*");
        wire[2..].copy_from_slice(encloser);
        self.nodes.get(&*wire)
    }
}

/// Where the labels of a name begin.
struct Path {
    /// Of the labels below the apex, leftmost first.
    starts: [u8; LABELS_MAX],
    count: usize,
    /// Where the part begins that is as long as the apex.
    apex_at: usize,
}

impl Path {
    /// `None`: the name has no part that is as long as the apex, or is no name.
    fn of(name: &[u8], apex_bytes: usize) -> Option<Self> {
        let apex_at = name.len().checked_sub(apex_bytes)?;
        if name.len() > name::NAME_BYTES_MAX {
            return None;
        }
        let mut path = Self { starts: [0; LABELS_MAX], count: 0, apex_at };
        let mut at = 0;
        while at < apex_at {
            let bytes = usize::from(name[at]);
            if !(1..=name::LABEL_BYTES_MAX).contains(&bytes) {
                return None;
            }
            *path.starts.get_mut(path.count)? = at as u8;
            path.count += 1;
            at += 1 + bytes;
        }
        (at == apex_at).then_some(path)
    }

    /// Where the labels begin, from the one directly below the apex to the leftmost.
    fn below_apex(&self) -> impl Iterator<Item = usize> {
        self.starts[..self.count].iter().rev().map(|start| usize::from(*start))
    }
}

fn first_label(name: &[u8]) -> Option<&[u8]> {
    name::labels(name).next()
}
