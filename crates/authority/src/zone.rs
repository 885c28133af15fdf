//! A zone: names and what stands under each, ready to be asked (RFC 1034 4.3.2, RFC 4592).
//!
//! A [`Zone`] is only made by [`ZoneBuilder::finish`], which refuses what would be answered
//! wrongly. So whoever holds one need not ask whether the SOA is there, a CNAME is alone, or glue
//! is missing.

mod builder;
mod check;
mod find;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use std::fmt;

use crate::kind::{self, Kind};
use crate::name::Name;

pub(crate) use builder::TTL_MAX;
pub use builder::ZoneBuilder;
pub use find::{Found, Otherwise};

/// All records of a name that have one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rrset {
    /// The number of the type.
    pub kind: u16,
    /// Seconds.
    pub ttl: u32,
    /// The data of each, in wire form, names in it uncompressed. In the order they were added.
    pub data: Vec<Box<[u8]>>,
}

/// A name of a zone. One without sets and site is an empty non-terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// In the order of their types.
    pub sets: Vec<Rrset>,
    /// The name answers A, AAAA and HTTPS as this site does: `SITE name` in a zone file.
    pub site: Option<Box<str>>,
}

/// A zone that was found to be sound.
#[derive(Clone, Debug)]
pub struct Zone {
    apex: Name,
    /// Every name with data, and every empty non-terminal between such a name and the apex: so a
    /// name that is missing here has nothing below it either (RFC 8020).
    // Names come from files alone: nobody outside can make them meet in one bucket.
    nodes: HashMap<Name, Node, RandomState>,
    /// Whether every site answers at its name directly below the apex, unless that is in `nodes`.
    has_sites: bool,
    /// Whether any name of it is a wildcard: most zones need not look for one.
    has_wildcards: bool,
    warnings: Vec<ZoneError>,
}

/// Why a record, or a whole zone, cannot be taken; or what is doubtful about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    /// Of what.
    pub name: Name,
    /// Which of its records, where it is some.
    pub kind: Option<u16>,
    /// What is wrong, for a person.
    pub what: String,
}

impl Zone {
    /// The zone's own name.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Whether every site answers at its name directly below the apex.
    #[must_use]
    pub fn has_sites(&self) -> bool {
        self.has_sites
    }

    /// What stands under a name in wire form, lowercase; `None`: there is no such name. Glue is
    /// found here too: what a query may be told is the business of [`Zone::find`].
    #[must_use]
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The names and what stands under them, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.nodes.iter()
    }

    /// The names and what stands under them, in the order of RFC 4034 6.1: the apex first.
    #[must_use]
    pub fn nodes_in_order(&self) -> Vec<(&Name, &Node)> {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_unstable_by(|(a, _), (b, _)| a.canonical_cmp(b));
        nodes
    }

    /// The start of the zone.
    #[must_use]
    pub fn soa(&self) -> &Rrset {
        let apex = self.nodes.get(&self.apex).and_then(|node| node.set(kind::SOA));
        apex.expect("finish() refuses a zone without a SOA at its apex")
    }

    /// The version of the zone (RFC 1982).
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.soa_number(0)
    }

    /// Seconds for which a resolver may remember that something is missing: the lesser of the SOA's
    /// own time to live and its MINIMUM (RFC 2308 5). The SOA in a negative answer carries it.
    #[must_use]
    pub fn negative_ttl(&self) -> u32 {
        self.soa().ttl.min(self.soa_number(4))
    }

    /// What is sound, but probably not meant.
    #[must_use]
    pub fn warnings(&self) -> &[ZoneError] {
        &self.warnings
    }

    /// One of the five numbers that a SOA ends with (RFC 1035 3.3.13).
    fn soa_number(&self, index: usize) -> u32 {
        let numbers = self.soa().data.first().and_then(|data| data.last_chunk::<20>());
        let numbers = numbers.expect("add() refuses a SOA without its five numbers");
        let bytes = numbers[4 * index..].first_chunk().expect("callers ask for 0 to 4");
        u32::from_be_bytes(*bytes)
    }
}

impl Node {
    /// The records of a type.
    #[must_use]
    pub fn set(&self, kind: u16) -> Option<&Rrset> {
        self.sets.iter().find(|set| set.kind == kind)
    }

    /// Whether nothing stands under the name itself, only below it (RFC 4592 2.2.2).
    #[must_use]
    pub fn is_empty_non_terminal(&self) -> bool {
        self.sets.is_empty() && self.site.is_none()
    }
}

impl ZoneError {
    pub(crate) fn new(name: &Name, kind: Option<u16>, what: impl Into<String>) -> Self {
        Self { name: name.clone(), kind, what: what.into() }
    }
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{} {}: {}", self.name, Kind(kind), self.what),
            None => write!(f, "{}: {}", self.name, self.what),
        }
    }
}

impl std::error::Error for ZoneError {}
