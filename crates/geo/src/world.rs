//! Everything that an answer needs at one moment: immutable, made by [`crate::steering`] each
//! second, swapped by whoever answers.
//!
//! **Scopes.** The table says for how wide a prefix the order of regions holds. When that order is
//! shared by several regions, the hash of the client's network decides which, and the scope is
//! narrowed to a /24 or a /48; when only the nodes differ by network, to a /16 or a /32; never
//! beyond what is known of the client. The hash covers exactly the bits of the scope that is
//! returned, so everybody inside gets the same addresses (RFC 7871 7.2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::address::{Client, Key};
use crate::atlas::{Atlas, Map, Site};
use crate::config::Families;
use crate::flow::RegionLoad;
use crate::health::State;
use crate::ranking::{Ranking, Rule};
use crate::regions::RegionIndex;
use crate::shares::Shares;
use crate::spread::{Chosen, Member, Width, choose};
use crate::table::Found;

/// See the module.
#[derive(Debug)]
pub struct World {
    pub(crate) atlas: Arc<Atlas>,
    /// Of each class.
    shares: Vec<Shares>,
    pub(crate) regions: Vec<RegionView>,
    pub(crate) nodes: Vec<NodeView>,
}

/// A node at one moment.
#[derive(Clone, Copy, Debug)]
pub struct NodeView {
    /// Its state.
    pub state: State,
    /// The worst of its load.
    pub utilisation: f64,
    /// How much of what would come it keeps.
    pub share: f64,
}

/// A region at one moment.
#[derive(Debug)]
pub struct RegionView {
    /// What it can and does carry.
    pub load: RegionLoad,
    /// Nobody has seen a node of it up for long.
    pub(crate) is_dark: bool,
    pub(crate) crew: Crew,
}

/// An answer; reused, so that answering does not allocate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For A.
    pub v4: Vec<Ipv4Addr>,
    /// For AAAA.
    pub v6: Vec<Ipv6Addr>,
    /// How long it may be kept.
    pub ttl_s: u32,
    /// For how many bits of the client's address it holds.
    pub scope: u8,
    /// Whether the site has HTTPS records.
    pub https: bool,
    /// The region and what chose the home region; `None` for a site's fall-back.
    pub reason: Option<(RegionIndex, Rule)>,
}

/// How a client is decided on, short of the nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) ranking: usize,
    pub(crate) region: RegionIndex,
    pub(crate) network: u64,
    pub(crate) scope: u8,
}

impl World {
    pub(crate) fn new(
        atlas: Arc<Atlas>,
        shares: Vec<Shares>,
        regions: Vec<RegionView>,
        nodes: Vec<NodeView>,
    ) -> Self {
        Self { atlas, shares, regions, nodes }
    }

    /// What the world was made of.
    pub fn atlas(&self) -> &Arc<Atlas> {
        &self.atlas
    }

    /// The site of a name in lowercase. Good for this world.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.atlas.find(name)
    }

    /// A node at this moment.
    pub fn node(&self, node: usize) -> Option<&NodeView> {
        self.nodes.get(node)
    }

    /// A region at this moment.
    pub fn region(&self, region: RegionIndex) -> &RegionView {
        &self.regions[region.index()]
    }

    /// Where the clients in a prefix are sent for a site of [`Self::find`].
    #[inline]
    pub fn locate(&self, site: u32, address: IpAddr, prefix: u8, answer: &mut Answer) {
        answer.v4.clear();
        answer.v6.clear();
        (answer.ttl_s, answer.scope, answer.reason) = (0, 0, None);
        let Some(site) = self.atlas.sites.get(site as usize) else { return };
        let client = Client::new(address, prefix);
        let decision = self.decide(site, &client);
        let region = &self.regions[decision.region.index()];
        answer.ttl_s = site.ttl_s;
        answer.scope = decision.scope;
        answer.https = site.https;
        let is_deserted = region.is_dark || region.crew.is_empty();
        if is_deserted && let Some(fallback) = &site.fallback {
            answer.v4.extend_from_slice(&fallback.v4);
            answer.v6.extend_from_slice(&fallback.v6);
            return;
        }
        let rule = self.map(site).rankings[decision.ranking].rule;
        answer.reason = Some((decision.region, rule));
        region.crew.name(site, decision.network, answer);
    }

    /// The ranking of a client and for whom else it holds, without choosing: what the table says.
    #[inline]
    pub fn find_ranking(&self, site: u32, address: IpAddr, prefix: u8) -> Option<Found> {
        let site = self.atlas.sites.get(site as usize)?;
        Some(self.map(site).table.find(&Client::new(address, prefix)))
    }

    pub(crate) fn map(&self, site: &Site) -> &Map {
        &self.atlas.maps[site.map]
    }

    pub(crate) fn shares(&self, site: &Site, ranking: usize) -> &Shares {
        &self.shares[site.classes + ranking]
    }

    pub(crate) fn ranking(&self, site: &Site, decision: &Decision) -> &Ranking {
        &self.map(site).rankings[decision.ranking]
    }

    #[inline]
    pub(crate) fn decide(&self, site: &Site, client: &Client) -> Decision {
        let found = self.map(site).table.find(client);
        let ranking = usize::from(found.ranking);
        let shares = &self.shares[site.classes + ranking];
        let only = shares.pick(0);
        let narrow = if !shares.is_single() {
            if matches!(client.key, Key::V4(_)) { 24 } else { 48 }
        } else if self.regions[only.index()].crew.differs(site.width) {
            if matches!(client.key, Key::V4(_)) { 16 } else { 32 }
        } else {
            0
        };
        let known = client.known + client.carrier;
        let mut scope = found.scope;
        if narrow > 0 {
            scope = scope.max((narrow + client.carrier).min(known));
        }
        let covered = scope.saturating_sub(client.carrier).min(client.known);
        let network = self.atlas.key.network(site.hash, client, covered);
        let region = if shares.is_single() { only } else { shares.pick((network >> 32) as u32) };
        Decision { ranking, region, network, scope }
    }
}

/// The nodes of a region that answers name.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    pub(crate) all: Members,
    /// Those with an address of one family, where not all have both.
    split: Option<(Members, Members)>,
    is_shedding: bool,
}

/// Members and which nodes they are.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
    pub(crate) nodes: Vec<u16>,
    /// Theirs, close together: an answer is made of nothing else.
    addresses: Vec<(Option<Ipv4Addr>, Option<Ipv6Addr>)>,
}

impl Crew {
    pub(crate) fn new(atlas: &Atlas, nodes: &[u16], share: impl Fn(u16) -> f64) -> Self {
        let node = |&place: &u16| &atlas.nodes[usize::from(place)];
        let members = |nodes: Vec<u16>| Members {
            members: nodes
                .iter()
                .map(|place| node(place).member.with_share(share(*place)))
                .collect(),
            addresses: nodes.iter().map(|place| (node(place).v4, node(place).v6)).collect(),
            nodes,
        };
        let only = |wanted: &dyn Fn(&u16) -> bool| {
            members(nodes.iter().copied().filter(|place| wanted(place)).collect())
        };
        let is_mixed =
            nodes.iter().any(|place| node(place).v4.is_none() || node(place).v6.is_none());
        Self {
            all: members(nodes.to_vec()),
            split: is_mixed.then(|| {
                (only(&|place| node(place).v4.is_some()), only(&|place| node(place).v6.is_some()))
            }),
            is_shedding: nodes.iter().any(|&place| share(place) < 1.0),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.nodes.is_empty()
    }

    /// Whether two networks can get different nodes for a site of such a width.
    #[inline]
    fn differs(&self, width: Width) -> bool {
        let choice = usize::from(width.spread).min(self.all.nodes.len());
        self.is_shedding || choice > usize::from(width.answers)
    }

    /// The nodes for a network, in order; of the families apart where they must be. For an
    /// explanation.
    pub(crate) fn chosen(&self, site: &Site, network: u64) -> [(&Members, Chosen); 2] {
        let choose = |members: &[Member]| choose(members, site.hash, network, site.width);
        match &self.split {
            None => [(&self.all, choose(&self.all.members)); 2],
            Some((v4, v6)) => [(v4, choose(&v4.members)), (v6, choose(&v6.members))],
        }
    }

    #[inline]
    fn name(&self, site: &Site, network: u64, answer: &mut Answer) {
        let has_both = site.families == Families::Both;
        let choose = |members: &[Member]| choose(members, site.hash, network, site.width);
        match &self.split {
            None => {
                for &place in choose(&self.all.members).as_slice() {
                    let (v4, v6) = self.all.addresses[usize::from(place)];
                    if let Some(v4) = v4 {
                        answer.v4.push(v4);
                    }
                    if let Some(v6) = v6.filter(|_| has_both) {
                        answer.v6.push(v6);
                    }
                }
            }
            Some((v4, v6)) => {
                for &place in choose(&v4.members).as_slice() {
                    answer.v4.extend(v4.addresses[usize::from(place)].0);
                }
                if has_both {
                    for &place in choose(&v6.members).as_slice() {
                        answer.v6.extend(v6.addresses[usize::from(place)].1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
