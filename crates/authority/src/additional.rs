//! What an answer's records speak of: addresses of their targets (RFC 1034 4.3.2 step 6, RFC 2782,
//! RFC 9460 4.1), and glue (RFC 9471).
//!
//! Only what stands in the zone is added. Glue below the cut must fit; all else is left out when
//! there is no room, and that is no truncation (RFC 2181 9).

use crate::answer::{Answer, is_in};
use crate::kind;
use crate::name;
use crate::writer::{Full, Owner, Records, Section};
use crate::zone::{Found, Node, Rrset};

/// Targets that addresses are added of at most.
const TARGETS_MAX: usize = 16;

/// Whose addresses were added.
struct Added<'a> {
    nodes: [Option<&'a Node>; TARGETS_MAX],
    len: usize,
}

impl<'a> Answer<'a, '_, '_> {
    /// Adds the addresses of what a set of the answer points to, as far as there is room.
    pub(crate) fn add_targets(&mut self, set: &'a Rrset) {
        if !matches!(set.kind, kind::NS | kind::MX | kind::SRV | kind::SVCB | kind::HTTPS) {
            return;
        }
        let mut added = Added::new();
        for data in &set.data {
            let Some(target) = target(set.kind, data) else { continue };
            let is_owner = target == [0];
            let asked;
            let (name, at) = if is_owner {
                asked = self.name.clone();
                (asked.as_wire(), Some(self.owner_at()))
            } else {
                (target, None)
            };
            if self.add_addresses(Owner { name, at }, &mut added).is_err() {
                return;
            }
        }
    }

    /// Adds the addresses of name servers: of those below the cut first, which nobody could find
    /// otherwise.
    pub(crate) fn add_glue(&mut self, cut: &[u8], ns: &'a Rrset) -> Result<(), Full> {
        let mut added = Added::new();
        for target in ns.data.iter().filter(|target| is_in(target, cut)) {
            self.add_addresses(Owner { name: target, at: None }, &mut added)?;
        }
        for target in ns.data.iter().filter(|target| !is_in(target, cut)) {
            if self.add_addresses(Owner { name: target, at: None }, &mut added).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Adds A and AAAA of a name in the zone, once.
    fn add_addresses(&mut self, owner: Owner<'_>, added: &mut Added<'a>) -> Result<(), Full> {
        let Some(node) = self.zone.node(owner.name) else { return Ok(()) };
        if !added.push(node) {
            return Ok(());
        }
        let is_glue = self.writer.is_signed()
            && !matches!(self.zone.find(owner.name, kind::A), Found::Exact(_));
        for set in [kind::A, kind::AAAA].into_iter().filter_map(|kind| node.set(kind)) {
            let records = Records::of(set);
            if is_glue {
                self.writer.put_unsigned(Section::Additional, owner, &records)?;
            } else {
                self.writer.put(Section::Additional, owner, &records)?;
            }
        }
        Ok(())
    }
}

impl<'a> Added<'a> {
    const fn new() -> Self {
        Self { nodes: [None; TARGETS_MAX], len: 0 }
    }

    /// False: it is there already, or there are too many.
    #[must_use]
    fn push(&mut self, node: &'a Node) -> bool {
        let is_there = self.nodes[..self.len].iter().flatten().any(|one| std::ptr::eq(*one, node));
        if is_there || self.len == TARGETS_MAX {
            return false;
        }
        self.nodes[self.len] = Some(node);
        self.len += 1;
        true
    }
}

/// The name that data of a type points to; the root stands for the owner. `None`: to nothing.
fn target(kind: u16, data: &[u8]) -> Option<&[u8]> {
    let at = match kind {
        kind::NS => 0,
        kind::MX | kind::SVCB | kind::HTTPS => 2,
        kind::SRV => 6,
        _ => return None,
    };
    let rest = data.get(at..)?;
    let target = &rest[..name::wire_len(rest)?];
    // The root is the owner in service mode only; elsewhere it says that there is nothing.
    let is_service = matches!(kind, kind::SVCB | kind::HTTPS) && data[..2] != [0, 0];
    (target != [0] || is_service).then_some(target)
}
