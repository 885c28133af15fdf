//! The ways of sending clients somewhere that are compared.

use super::earth::{Earth, Scenario};
use crate::flow::{Class, Flows, RegionLoad};
use crate::load::{Law, Limits, Load, NodeLoad, step_nodes};
use crate::regions::RegionIndex;

/// A way of sending clients somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// To the nearest region that is up, whatever its load.
    Nearest,
    /// To the nearest region that has room: one that reaches the hard limit gets nobody until it is
    /// below the soft one, and all of its clients go to the next.
    OnOff,
    /// By [`crate::flow`] and [`crate::load`].
    Ours,
}

impl Policy {
    /// All, the simplest first.
    pub const ALL: [Self; 3] = [Self::Nearest, Self::OnOff, Self::Ours];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::OnOff => "on-off",
            Self::Ours => "ours",
        }
    }
}

/// A policy at work.
pub(super) struct Steerer {
    policy: Policy,
    limits: Limits,
    law: Law,
    flows: Flows,
    nodes: Vec<NodeLoad>,
    is_full: Vec<bool>,
    /// Of each class, by place of its order.
    pub(super) shares: Vec<Vec<f64>>,
    pub(super) node_shares: Vec<f64>,
}

impl Steerer {
    pub(super) fn new(policy: Policy, earth: &Earth, scenario: &Scenario) -> Self {
        let classes = earth
            .orders
            .iter()
            .map(|order| Class {
                order: order.iter().map(|&region| RegionIndex(region as u16)).collect(),
                weights: vec![1.0; order.len()],
                size: 1.0,
            })
            .collect();
        let nodes = earth.regions.len() * earth.nodes_per_region;
        let mut first = vec![0.0; earth.regions.len()];
        first[0] = 1.0;
        Self {
            policy,
            limits: scenario.limits,
            law: scenario.law,
            flows: Flows::new(classes, &Flows::default()),
            nodes: vec![NodeLoad::default(); nodes],
            is_full: vec![false; earth.regions.len()],
            shares: vec![first; earth.orders.len()],
            node_shares: vec![1.0; nodes],
        }
    }

    /// A second passes: nodes report how full they are, monitors which regions they see.
    pub(super) fn step(&mut self, earth: &Earth, reports: &[f64], seen: &[bool]) {
        match self.policy {
            Policy::Nearest => self.send_to_first(earth, seen),
            Policy::OnOff => {
                for (region, is_full) in self.is_full.iter_mut().enumerate() {
                    let nodes = &reports[region * earth.nodes_per_region..];
                    let nodes = &nodes[..earth.nodes_per_region];
                    let mean = nodes.iter().sum::<f64>() / nodes.len() as f64;
                    *is_full = mean >= self.limits.hard || (*is_full && mean >= self.limits.soft);
                }
                let open: Vec<_> =
                    seen.iter().zip(&self.is_full).map(|(&seen, &full)| seen && !full).collect();
                self.send_to_first(earth, if open.contains(&true) { &open } else { seen });
            }
            Policy::Ours => self.ours(earth, reports, seen),
        }
    }

    fn send_to_first(&mut self, earth: &Earth, open: &[bool]) {
        for (shares, order) in self.shares.iter_mut().zip(&earth.orders) {
            shares.fill(0.0);
            let first = order.iter().position(|&region| open[region]).unwrap_or(0);
            shares[first] = 1.0;
        }
    }

    fn ours(&mut self, earth: &Earth, reports: &[f64], seen: &[bool]) {
        for (node, &cpu) in self.nodes.iter_mut().zip(reports) {
            node.report(&Load { cpu, ..Load::default() }, 1.0, &self.law);
        }
        let mut regions = Vec::new();
        for (region, nodes) in self.nodes.chunks_mut(earth.nodes_per_region).enumerate() {
            let mut list: Vec<_> = nodes.iter_mut().collect();
            step_nodes(&mut list, 1.0, &self.limits, &self.law);
            let mean = nodes.iter().filter_map(NodeLoad::traffic).sum::<f64>() / nodes.len() as f64;
            let capacity = if seen[region] { earth.capacities[region] } else { 0.0 };
            regions.push(RegionLoad { capacity, carried: Some(mean * earth.capacities[region]) });
        }
        self.flows.step(&regions, 1.0, &self.limits, &self.law);
        for (class, shares) in self.shares.iter_mut().enumerate() {
            shares.copy_from_slice(self.flows.shares(class));
        }
        for (share, node) in self.node_shares.iter_mut().zip(&self.nodes) {
            *share = node.share();
        }
    }
}
