//! Why a client is sent where it is: for the person who asks.

use serde::Serialize;
use std::net::IpAddr;

use crate::address::Client;
use crate::atlas::Site;
use crate::health::State;
use crate::places::{Coordinates, Place};
use crate::ranking::{Ranker, Rule};
use crate::spread::order;
use crate::world::{Decision, World};

/// All about one client and one site.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The site.
    pub site: String,
    /// The client as it is looked up: without what carried it, zero beyond what is known.
    pub client: IpAddr,
    /// How many bits of that are known.
    pub known: u8,
    /// Where databases put it.
    pub place: PlaceText,
    /// Where the coverage map puts it.
    pub covered: Option<String>,
    /// What chose the home region.
    pub rule: Rule,
    /// The region of the answer.
    pub region: String,
    /// For how many bits of the client's address the answer holds.
    pub scope: u8,
    /// How long it may be kept.
    pub ttl_s: u32,
    /// All regions in the client's order.
    pub regions: Vec<RegionText>,
    /// All nodes of those regions.
    pub nodes: Vec<NodeText>,
}

/// What databases say of a client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceText {
    /// Its country.
    pub country: Option<String>,
    /// Its continent.
    pub continent: Option<String>,
    /// Its coordinates, or its country's.
    pub coordinates: Option<Coordinates>,
    /// Its autonomous system.
    pub asn: Option<u32>,
}

/// A region in a client's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionText {
    /// Its name.
    pub name: String,
    /// How far from the client.
    pub distance_km: Option<u16>,
    /// Its share of the clients with this order.
    pub share: f64,
    /// What its serving nodes can carry, in units of node weight.
    pub capacity: f64,
    /// What it carries of that, as a fraction; `None` when nobody reports, or nothing serves.
    pub utilisation: Option<f64>,
}

/// A node and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeText {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its state.
    pub state: State,
    /// The worst of its load.
    pub utilisation: f64,
    /// What it can carry beside the others.
    pub weight: u16,
    /// How much of what would come it keeps.
    pub share: f64,
    /// Its place among the region's nodes for this site, from 1; `None` when it cannot be named.
    pub turn: Option<usize>,
    /// Whether the answer names it.
    pub is_named: bool,
    /// Why, or why not: `named`, `named-last-good`, `other-region`, `not-spread` (the site is on
    /// others), `shed` (it passes this network on), `other-answers` (the site is on it, and this
    /// network is answered with others), or the state that keeps it out.
    pub why: &'static str,
}

impl World {
    /// Explains the answer to a client; `None` when there is no such site.
    pub fn explain(&self, site: u32, address: IpAddr, prefix: u8) -> Option<Explanation> {
        let site = self.atlas.sites.get(site as usize)?;
        let client = Client::new(address, prefix);
        let decision = self.decide(site, &client);
        let names = |region| self.atlas.regions.name(region).to_owned();
        let place = self.atlas.places.place(&client);
        Some(Explanation {
            site: site.name.to_string(),
            client: client.address(),
            known: client.known,
            place: PlaceText {
                country: place.country.map(|country| country.to_string()),
                continent: place.continent.map(|continent| continent.to_string()),
                coordinates: place.coordinates,
                asn: place.asn,
            },
            covered: self.atlas.coverage.region(&client).map(names),
            rule: self.ranking(site, &decision).rule,
            region: names(decision.region),
            scope: decision.scope,
            ttl_s: site.ttl_s,
            regions: self.region_texts(site, &decision, place),
            nodes: self.node_texts(site, &decision),
        })
    }

    /// The regions of the shared ranking, with the distances of this client.
    fn region_texts(&self, site: &Site, decision: &Decision, place: &Place) -> Vec<RegionText> {
        let (regions, rules) = (&self.atlas.regions, &self.atlas.rules);
        let ranker = Ranker { regions, rules, mapping: &self.map(site).mapping };
        let exact = ranker.rank(None, place);
        let shares = self.shares(site, decision.ranking);
        self.ranking(site, decision)
            .regions
            .iter()
            .map(|ranked| {
                let load = &self.region(ranked.region).load;
                let own = exact.regions.iter().find(|exact| exact.region == ranked.region);
                let share = shares.iter().find(|(region, _)| *region == ranked.region);
                RegionText {
                    name: regions.name(ranked.region).to_owned(),
                    distance_km: own.and_then(|own| own.distance_km),
                    share: share.map_or(0.0, |(_, share)| share),
                    capacity: load.capacity,
                    utilisation: load
                        .carried
                        .filter(|_| load.capacity > 0.0)
                        .map(|carried| carried / load.capacity),
                }
            })
            .collect()
    }

    fn node_texts(&self, site: &Site, decision: &Decision) -> Vec<NodeText> {
        let crew = &self.regions[decision.region.index()].crew;
        let turns = order(&crew.all.members, site.hash);
        let named: Vec<u16> = crew
            .chosen(site, decision.network)
            .iter()
            .flat_map(|(members, chosen)| {
                chosen.as_slice().iter().map(|&place| members.nodes[usize::from(place)])
            })
            .collect();
        let mut texts = Vec::new();
        for ranked in &self.ranking(site, decision).regions {
            for &index in &self.atlas.nodes_by_region[ranked.region.index()] {
                let (node, view) =
                    (&self.atlas.nodes[usize::from(index)], &self.nodes[usize::from(index)]);
                let place = crew.all.nodes.iter().position(|&node| node == index);
                let turn = place.and_then(|place| {
                    turns.iter().position(|&turn| usize::from(turn) == place).map(|turn| turn + 1)
                });
                let keeps =
                    place.is_some_and(|place| crew.all.members[place].keeps(decision.network));
                let is_named = named.contains(&index);
                let why = match (is_named, turn) {
                    (true, _) if view.state.serves() => "named",
                    (true, _) => "named-last-good",
                    (false, _) if ranked.region != decision.region => "other-region",
                    (false, None) => view.state.word(),
                    (false, Some(_)) if !keeps => "shed",
                    (false, Some(turn)) if turn > usize::from(site.width.spread) => "not-spread",
                    (false, Some(_)) => "other-answers",
                };
                texts.push(NodeText {
                    name: node.name.clone(),
                    region: self.atlas.regions.name(ranked.region).to_owned(),
                    state: view.state,
                    utilisation: view.utilisation,
                    weight: node.weight,
                    share: view.share,
                    turn,
                    is_named,
                    why,
                });
            }
        }
        texts
    }
}
