//! Where a name leads, sites included: what [`Zone::find`] says, once it is known which of the
//! names that may be sites' are.

use crate::sites::{SiteIndex, Sites};
use crate::zone::{Found, Node, Otherwise, Rrset, Zone};

/// Where a name leads. Names are told by how many bytes of the end of the name they are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lead<'zone> {
    /// To what stands under it, or under a wildcard.
    Node {
        node: &'zone Node,
        /// The closest encloser's, if this was made of the wildcard below it.
        wildcard_bytes: Option<usize>,
    },
    Site(SiteIndex),
    Renamed {
        owner_bytes: usize,
        dname: &'zone Rrset,
    },
    Delegated {
        cut_bytes: usize,
        ns: &'zone Rrset,
        ds: Option<&'zone Rrset>,
    },
    Missing,
    /// Not in the zone.
    Outside,
}

/// Where a name in wire form, lowercase, leads.
pub(crate) fn lead<'zone>(
    zone: &'zone Zone,
    sites: &dyn Sites,
    name: &[u8],
    kind: u16,
) -> Lead<'zone> {
    let apex_bytes = zone.apex().as_wire().len();
    let at_apex_wildcard = |node| Lead::Node { node, wildcard_bytes: Some(apex_bytes) };
    match zone.find(name, kind) {
        Found::Exact(node) => Lead::Node { node, wildcard_bytes: None },
        Found::Wildcard { node, encloser } => {
            Lead::Node { node, wildcard_bytes: Some(encloser.len()) }
        }
        Found::Renamed { owner, dname } => Lead::Renamed { owner_bytes: owner.len(), dname },
        Found::Delegated { cut, ns, ds, .. } => Lead::Delegated { cut_bytes: cut.len(), ns, ds },
        Found::SiteName { label, otherwise } => match (sites.find(label), otherwise) {
            (Some(site), _) => Lead::Site(site),
            (None, Otherwise::EmptyNonTerminal(node)) => Lead::Node { node, wildcard_bytes: None },
            (None, Otherwise::Wildcard(node)) => at_apex_wildcard(node),
            (None, Otherwise::Missing) => Lead::Missing,
        },
        // Below a name that is there, the wildcard above it makes nothing (RFC 4592 2.2.1).
        Found::BelowSiteName { label, wildcard } => match sites.find(label) {
            Some(_) => Lead::Missing,
            None => at_apex_wildcard(wildcard),
        },
        Found::Missing { .. } => Lead::Missing,
        Found::Outside => Lead::Outside,
    }
}
