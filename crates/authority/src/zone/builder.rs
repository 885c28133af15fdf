//! Gathers records into a zone, refusing at once what is wrong with one record alone.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Node, Rrset, Zone, ZoneError, check};
use crate::kind::{self, Kind};
use crate::name::Name;
use crate::rdata;

/// Seconds at most: the highest bit is not set (RFC 2181 8).
pub(crate) const TTL_MAX: u32 = i32::MAX as u32;
/// Records of a zone at most.
pub(crate) const RECORDS_MAX: usize = 1_000_000;
/// Names of a zone at most, empty non-terminals too.
const NODES_MAX: usize = 2_000_000;
/// Bytes that all records of a name and type take in an answer at most: the 65,535 of a message
/// (RFC 1035 4.2.2), less what its header, its question and an OPT record may take.
const RRSET_BYTES_MAX: usize = 65_000;
/// Bytes of a record in an answer before its data: a pointer to the name, and RFC 1035 3.2.1.
const RECORD_HEAD_BYTES: usize = 12;
/// Bytes of a site's name at most: it is one label.
const SITE_BYTES_MAX: usize = 63;
/// Warnings kept at most.
const WARNINGS_MAX: usize = 100;

/// A zone while it is read.
#[derive(Clone, Debug)]
pub struct ZoneBuilder {
    apex: Name,
    nodes: HashMap<Name, Node, RandomState>,
    has_sites: bool,
    records: usize,
    warnings: Vec<ZoneError>,
}

impl ZoneBuilder {
    /// An empty zone.
    #[must_use]
    pub fn new(apex: Name, has_sites: bool) -> Self {
        Self { apex, nodes: HashMap::default(), has_sites, records: 0, warnings: Vec::new() }
    }

    /// The zone's own name.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Takes a record: its data is in wire form, with names uncompressed and lowercase. One that is
    /// there already is dropped (RFC 2181 5). Where the times to live of records of one name and
    /// type differ, the least is taken for all, with a warning (RFC 2181 5.2).
    pub fn add(&mut self, name: &Name, kind: u16, ttl: u32, data: &[u8]) -> Result<(), ZoneError> {
        let fault = |what: String| Err(ZoneError::new(name, Some(kind), what));
        self.check_owner(name, kind)?;
        if kind::is_meta(kind) {
            return fault(format!("{} stands in no zone: delete it", Kind(kind)));
        }
        if ttl > TTL_MAX {
            return fault(format!("{ttl} seconds to live are more than {TTL_MAX}: write fewer"));
        }
        if RECORD_HEAD_BYTES + data.len() > RRSET_BYTES_MAX {
            return fault("the record does not fit into an answer: shorten it".to_owned());
        }
        if let Err(what) = rdata::check(kind, data) {
            return fault(format!("{what}: correct the data"));
        }
        self.count_record(name, kind)?;
        let node = self.nodes.entry(name.clone()).or_default();
        let at = node.sets.partition_point(|set| set.kind < kind);
        if node.sets.get(at).is_none_or(|set| set.kind != kind) {
            node.sets.insert(at, Rrset { kind, ttl, data: Vec::new() });
        }
        let set = &mut node.sets[at];
        if ttl != set.ttl && kind != kind::RRSIG && self.warnings.len() < WARNINGS_MAX {
            let what = format!(
                "records of one name and type live {} and {ttl} seconds, and the lesser is \
                 taken for all: write one time for them",
                set.ttl
            );
            self.warnings.push(ZoneError::new(name, Some(kind), what));
        }
        set.ttl = set.ttl.min(ttl);
        set.push(data).or_else(|what| fault(what.to_owned()))
    }

    /// Lets a name answer A, AAAA and HTTPS as a site does.
    pub fn add_site(&mut self, name: &Name, site: &str) -> Result<(), ZoneError> {
        let fault = |what: &str| Err(ZoneError::new(name, None, what));
        if !name.is_in(&self.apex) {
            return fault("the name is not in the zone: delete it, or move it to its zone's file");
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=SITE_BYTES_MAX).contains(&site.len()) || !site.bytes().all(is_name) {
            return fault("SITE takes the name of a site: letters, digits, - _ . (63 at most)");
        }
        let site = site.to_ascii_lowercase().into_boxed_str();
        let node = self.nodes.entry(name.clone()).or_default();
        match &node.site {
            Some(other) if *other != site => fault("the name has two SITE records: delete one"),
            _ => {
                node.site = Some(site);
                self.count_record(name, kind::A)
            }
        }
    }

    /// The zone, if it is sound as a whole; else why not, in the order of the names. What the
    /// faults are is listed at [`check`].
    pub fn finish(mut self) -> Result<Zone, Vec<ZoneError>> {
        self.add_empty_non_terminals().map_err(|fault| vec![fault])?;
        let is_wildcard = |name: &Name| name.labels().next() == Some(b"*");
        let mut zone = Zone {
            has_wildcards: self.nodes.keys().any(is_wildcard),
            apex: self.apex,
            nodes: self.nodes,
            has_sites: self.has_sites,
            warnings: self.warnings,
        };
        let found = check::check(&zone);
        if !found.faults.is_empty() {
            return Err(found.faults);
        }
        zone.warnings.extend(found.warnings);
        zone.warnings.truncate(WARNINGS_MAX);
        Ok(zone)
    }

    /// What is wrong with a name as the owner of a record.
    fn check_owner(&self, name: &Name, kind: u16) -> Result<(), ZoneError> {
        let is_apex = *name == self.apex;
        let what = match kind {
            _ if !name.is_in(&self.apex) => {
                "the name is not in the zone: delete it, or move it to its zone's file"
            }
            // RFC 4592 4.2 and 4.4, which leave what such a record means undefined.
            kind::NS | kind::DNAME if name.as_wire().starts_with(b"\x01*") => {
                "a wildcard cannot have NS or DNAME: name what is meant"
            }
            kind::SOA if !is_apex => "SOA stands at the zone's own name only: delete it",
            kind::DS if is_apex => "DS stands in the zone above: move it there",
            _ => return Ok(()),
        };
        Err(ZoneError::new(name, Some(kind), what))
    }

    fn count_record(&mut self, name: &Name, kind: u16) -> Result<(), ZoneError> {
        self.records += 1;
        if self.records > RECORDS_MAX {
            let what = format!("the zone has more than {RECORDS_MAX} records: divide it");
            return Err(ZoneError::new(name, Some(kind), what));
        }
        Ok(())
    }

    /// A name exists if one below it does (RFC 4592 2.2.2): so all of them are in the map, up to
    /// the apex.
    fn add_empty_non_terminals(&mut self) -> Result<(), ZoneError> {
        let names: Vec<Name> = self.nodes.keys().cloned().collect();
        for mut name in names {
            while name != self.apex {
                let Some(parent) = name.parent() else { break };
                if self.nodes.contains_key(&parent) {
                    break;
                }
                self.nodes.insert(parent.clone(), Node::default());
                name = parent;
            }
            if self.nodes.len() > NODES_MAX {
                let what = format!("the zone has more than {NODES_MAX} names: divide it");
                return Err(ZoneError::new(&self.apex, None, what));
            }
        }
        Ok(())
    }
}

impl Rrset {
    /// Adds data, unless it is there.
    fn push(&mut self, data: &[u8]) -> Result<(), &'static str> {
        if self.data.iter().any(|other| **other == *data) {
            return Ok(());
        }
        if matches!(self.kind, kind::SOA | kind::CNAME | kind::DNAME) && !self.data.is_empty() {
            return Err("the name has another of this type, and may have only one: delete one");
        }
        let bytes = self.data.iter().map(|data| RECORD_HEAD_BYTES + data.len()).sum::<usize>();
        if bytes + RECORD_HEAD_BYTES + data.len() > RRSET_BYTES_MAX {
            return Err("the records of this name and type do not fit into an answer: delete some");
        }
        self.data.push(data.into());
        Ok(())
    }
}
