//! A zone as a master file.

use std::fmt::Write;

use crate::kind::{self, Kind};
use crate::name::Name;
use crate::rdata;
use crate::zone::{Node, Rrset, Zone};

/// The zone as one master file without directives: reading it again gives the same zone. The names
/// are in canonical order, the SOA first.
#[must_use]
pub fn zone_text(zone: &Zone) -> String {
    let mut text = String::new();
    for (name, node) in zone.nodes_in_order() {
        write_node(name, node, &mut text).expect("a string takes all that is written");
    }
    text
}

fn write_node(name: &Name, node: &Node, text: &mut String) -> std::fmt::Result {
    let (first, others): (Vec<&Rrset>, Vec<&Rrset>) =
        node.sets.iter().partition(|set| set.kind == kind::SOA);
    for set in first.into_iter().chain(others) {
        for data in &set.data {
            let data = rdata::data_text(set.kind, data);
            writeln!(text, "{name} {} IN {} {data}", set.ttl, Kind(set.kind))?;
        }
    }
    match &node.site {
        Some(site) => writeln!(text, "{name} IN SITE {site}"),
        None => Ok(()),
    }
}
