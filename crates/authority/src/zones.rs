//! The zones of a server, and which of them a name belongs to (RFC 1034 4.3.2 step 2).

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::kind;
use crate::name::{self, Name};
use crate::zone::{Found, Zone};

/// Zones by their apex.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    zones: HashMap<Name, Arc<Zone>, RandomState>,
    /// The zone, if there is just one: it is compared, not looked up.
    only: Option<Arc<Zone>>,
    /// A bit for each length that an apex has: other parts of a name need no look.
    lengths: [u64; 4],
}

impl Zones {
    /// These zones; of two with one apex, the later.
    pub fn new(zones: impl IntoIterator<Item = Arc<Zone>>) -> Self {
        let zones: HashMap<Name, Arc<Zone>, RandomState> =
            zones.into_iter().map(|zone| (zone.apex().clone(), zone)).collect();
        let mut lengths = [0; 4];
        for bytes in zones.keys().map(|apex| apex.as_wire().len()) {
            // A name has 255 bytes at most.
            lengths[bytes / 64] |= 1 << (bytes % 64);
        }
        let only = zones.values().next().filter(|_| zones.len() == 1).cloned();
        Self { zones, only, lengths }
    }

    /// The zone to answer a question from, for a name in wire form and lowercase: the deepest whose
    /// apex is the name or above it. The DS of an apex is of the zone above, if that is here too
    /// (RFC 4035 3.1.4.1).
    #[must_use]
    pub fn find(&self, name: &[u8], kind: u16) -> Option<&Arc<Zone>> {
        let mut above = self.at_or_above(name);
        let found = above.next()?;
        if kind == kind::DS && found.apex().as_wire() == name {
            return Some(above.next().unwrap_or(found));
        }
        Some(found)
    }

    /// The site that answers at a name, lowercase: its label directly below a zone with sites, or
    /// what the zone's file calls it.
    #[must_use]
    pub fn site_of(&self, name: &Name) -> Option<Vec<u8>> {
        let zone = self.find(name.as_wire(), kind::A)?;
        match zone.find(name.as_wire(), kind::A) {
            Found::Exact(node) | Found::Wildcard { node, .. } => {
                node.site.as_ref().map(|site| site.as_bytes().to_ascii_lowercase())
            }
            Found::SiteName { label, .. } => Some(label.to_vec()),
            _ => None,
        }
    }

    /// Zones below another one here that does not delegate to them, each with that other. Where
    /// that is signed, what it says of their DS makes them bogus: their NS are missing there, and
    /// their DS if they are signed too.
    #[must_use]
    pub fn undelegated(&self) -> Vec<(&Arc<Zone>, &Arc<Zone>)> {
        let above = |zone: &Zone| self.at_or_above(zone.apex().as_wire()).nth(1);
        let pairs = self.zones.values().filter_map(|zone| Some((zone, above(zone)?)));
        let is_cut = |zone: &Zone, above: &Zone| {
            matches!(above.find(zone.apex().as_wire(), kind::A), Found::Delegated { .. })
        };
        pairs.filter(|(zone, above)| !is_cut(zone, above)).collect()
    }

    /// The zone with this apex, in wire form and lowercase.
    #[must_use]
    #[inline]
    pub fn at(&self, apex: &[u8]) -> Option<&Arc<Zone>> {
        match &self.only {
            Some(only) => (only.apex().as_wire() == apex).then_some(only),
            None => self.zones.get(apex),
        }
    }

    /// The zones, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values()
    }

    /// How many zones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The zones whose apex is a name or above it, deepest first.
    fn at_or_above(&self, name: &[u8]) -> impl Iterator<Item = &Arc<Zone>> {
        let is_length = |bytes: usize| {
            self.lengths.get(bytes / 64).is_some_and(|lengths| lengths >> (bytes % 64) & 1 == 1)
        };
        std::iter::successors(Some(name), |rest| name::parent(rest))
            .filter(move |rest| is_length(rest.len()))
            .filter_map(|rest| self.at(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::{name, zone};

    fn zones(apexes: &[&str]) -> Zones {
        Zones::new(apexes.iter().map(|apex| Arc::new(zone(apex, |_| {}))))
    }

    #[test]
    fn a_name_belongs_to_the_deepest_zone_above_it() {
        let zones = zones(&["example.", "cdn.example.", "other."]);
        for (asked, apex) in [
            ("example.", Some("example.")),
            ("a.example.", Some("example.")),
            ("cdn.example.", Some("cdn.example.")),
            ("a.b.c.d.cdn.example.", Some("cdn.example.")),
            ("xcdn.example.", Some("example.")),
            ("com.", None),
            (".", None),
        ] {
            let found = zones.find(name(asked).as_wire(), kind::A).map(|zone| zone.apex().clone());
            assert_eq!(found, apex.map(name), "{asked}");
        }
        assert!(zones.find(b"", kind::A).is_none() && zones.find(b"\x05a", kind::A).is_none());
        assert_eq!((zones.len(), zones.is_empty(), zones.iter().count()), (3, false, 3));
    }

    #[test]
    fn the_ds_of_an_apex_is_of_the_zone_above() {
        let zones = zones(&["example.", "cdn.example."]);
        let apex_of = |asked| zones.find(name(asked).as_wire(), kind::DS).map(|zone| zone.apex());
        assert_eq!(apex_of("cdn.example."), Some(&name("example.")));
        assert_eq!(apex_of("example."), Some(&name("example.")));
        assert_eq!(apex_of("a.cdn.example."), Some(&name("cdn.example.")));
    }

    #[test]
    fn a_zone_that_the_one_above_does_not_know_of_is_found() {
        let parent = zone("example.", |builder| {
            let ns = name("ns.invalid.");
            builder.add(&name("a.example."), kind::NS, 60, ns.as_wire()).expect("a delegation");
        });
        let below = ["a.example.", "b.example.", "other."].map(|apex| zone(apex, |_| {}));
        let zones = Zones::new(below.into_iter().chain([parent]).map(Arc::new));
        let found = zones.undelegated().into_iter();
        let found: Vec<_> = found.map(|(zone, above)| (zone.apex(), above.apex())).collect();
        assert_eq!(found, [(&name("b.example."), &name("example."))]);
    }

    #[test]
    fn the_root_is_a_zone_like_any() {
        let root = zone(".", |builder| {
            builder.add(&name("ns.invalid."), kind::A, 60, &[0; 4]).expect("an address");
        });
        let zones = Zones::new([Arc::new(root)]);
        assert!(zones.find(name("a.b.").as_wire(), kind::A).is_some());
        assert!(zones.at(&[0]).is_some() && zones.at(name("a.").as_wire()).is_none());
    }
}
