//! What changes every second: who is up, who is full, and so who shares whose clients. Takes
//! reports and votes in, gives a [`World`] out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::atlas::Atlas;
use crate::flow::{Flows, RegionLoad};
use crate::health::{Intent, State, verdicts};
use crate::load::{Load, NodeLoad, step_nodes};
use crate::shares::Shares;
use crate::world::{Crew, NodeView, RegionView, World};

/// What has come in since the last step; all lists by the places of [`Atlas::node_names`]. What is
/// missing at the end of a list is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed<'a> {
    /// Of each monitor, what it thinks of each node. No monitors: every node is taken for up.
    pub votes: &'a [Vec<Option<bool>>],
    /// What the nodes said of their load, where they said something.
    pub loads: &'a [Option<Load>],
    /// What operators want of the nodes; online where nothing is said.
    pub intents: &'a [Intent],
    /// Which nodes run, whether they are up or not: those that run all along while they are not up
    /// keep what they have stored.
    pub running: &'a [bool],
}

/// See the module.
#[derive(Debug)]
pub struct Steering {
    atlas: Arc<Atlas>,
    flows: Flows,
    nodes: Vec<NodeState>,
    regions: Vec<RegionState>,
    stepped_at_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct NodeState {
    load: NodeLoad,
    seen_up: Option<bool>,
    serving: Serving,
}

/// What a node has stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    /// Nothing, or what is old.
    Cold,
    /// What it had.
    Warm,
}

/// Whether answers name a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Serving {
    /// Before the first step.
    #[default]
    Unasked,
    /// They did not at the last step.
    No(Store),
    /// They do, since then; one that did at the first step has for ever.
    Since(f64),
}

#[derive(Clone, Debug, Default)]
struct RegionState {
    /// The nodes that served when any did.
    last_good: Vec<u16>,
    /// When anybody saw a node of it up.
    seen_up_at_s: Option<f64>,
}

/// Steps are no longer than this: who slept does not catch up by a leap.
const STEP_MAX_S: f64 = 10.0;

impl Steering {
    /// Nothing is known yet: everybody goes to the first region, every node is taken for up.
    pub fn new(atlas: Arc<Atlas>) -> Self {
        Self {
            flows: Flows::new(atlas.classes(), &Flows::default()),
            nodes: vec![NodeState::default(); atlas.nodes.len()],
            regions: vec![RegionState::default(); atlas.regions.len()],
            atlas,
            stepped_at_s: None,
        }
    }

    /// Goes on with another atlas; what is known of nodes, regions and classes that stay, stays.
    pub fn replace(&mut self, atlas: Arc<Atlas>) {
        if self.atlas.nodes.is_empty() {
            // Nobody has been sent anywhere: regions do not come back, they are there.
            *self = Self::new(atlas);
            return;
        }
        let names: HashMap<_, _> = self.atlas.node_names().zip(&self.nodes).collect();
        let nodes: Vec<_> = atlas
            .node_names()
            .map(|name| names.get(name).map_or_else(NodeState::default, |&&node| node))
            .collect();
        let places: HashMap<_, _> = atlas.node_names().zip(0_u16..).collect();
        let regions = atlas
            .regions
            .all()
            .map(|region| {
                let before = self.atlas.regions.find(atlas.regions.name(region));
                let Some(state) = before.map(|before| &self.regions[before.index()]) else {
                    return RegionState::default();
                };
                let name = |&node: &u16| self.atlas.nodes[usize::from(node)].name.as_str();
                let there = |place: &u16| atlas.nodes[usize::from(*place)].region == region;
                let place = |node| places.get(name(node)).copied().filter(there);
                let last_good = state.last_good.iter().filter_map(place).collect();
                RegionState { last_good, seen_up_at_s: state.seen_up_at_s }
            })
            .collect();
        // The order of regions is told by their places: when those change, flows begin anew.
        let names = |atlas: &Atlas| -> Vec<String> {
            atlas.regions.all().map(|region| atlas.regions.name(region).to_owned()).collect()
        };
        let same = names(&atlas) == names(&self.atlas);
        let before = if same { std::mem::take(&mut self.flows) } else { Flows::default() };
        self.flows = Flows::new(atlas.classes(), &before);
        (self.nodes, self.regions, self.atlas) = (nodes, regions, atlas);
    }

    /// One step at a time of the monotonic clock, in seconds.
    pub fn step(&mut self, now_s: f64, observed: &Observed<'_>) -> World {
        let atlas = Arc::clone(&self.atlas);
        let seconds = self.stepped_at_s.map_or(1.0, |at| (now_s - at).clamp(0.0, STEP_MAX_S));
        self.stepped_at_s = Some(now_s);
        let seen = verdicts(observed.votes, self.nodes.len());
        let mut states = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.seen_up = seen[index].or(node.seen_up);
            if let Some(Some(load)) = observed.loads.get(index) {
                node.load.report(load, seconds, &atlas.law);
            }
            let intent = observed.intents.get(index).copied().unwrap_or_default();
            states.push(State::of(intent, node.seen_up, node.load.is_overloaded()));
        }
        self.join(&states, observed.running, now_s);
        let mut regions = Vec::with_capacity(self.regions.len());
        let mut loads = Vec::with_capacity(self.regions.len());
        for region in 0..self.regions.len() {
            let sighted = observed.votes.is_empty()
                || atlas.nodes_by_region[region]
                    .iter()
                    .any(|&node| seen[usize::from(node)] == Some(true));
            let view = self.step_region(region, &states, sighted, now_s, seconds);
            loads.push(view.load);
            regions.push(view);
        }
        self.flows.step(&loads, seconds, &atlas.limits, &atlas.law);
        let shares = self.flows.all().map(|(order, shares)| shares_of(order, shares, &regions));
        let shares = shares.collect();
        let nodes = self
            .nodes
            .iter()
            .zip(states)
            .map(|(node, state)| NodeView {
                state,
                utilisation: node.load.utilisation(),
                share: node.load.share(),
            })
            .collect();
        World::new(atlas, shares, regions, nodes)
    }

    /// Who serves again begins with little, and those of its region that serve already have the
    /// rest. Not so one that ran all along and only was not up, as one that had lost control. And
    /// when none of them has served for longer than resolvers keep answers, they are as new as it
    /// is: where all were away, those that come back one after the other share alike.
    fn join(&mut self, states: &[State], running: &[bool], now_s: f64) {
        let Self { atlas, nodes, .. } = self;
        for list in &atlas.nodes_by_region {
            let is_settled = |&node: &u16| {
                let serving = nodes[usize::from(node)].serving;
                let since = matches!(serving, Serving::Since(at) if now_s - at > atlas.law.ttl_s);
                since && states[usize::from(node)].serves()
            };
            let is_manned = list.iter().any(is_settled);
            for &node in list {
                let runs = running.get(usize::from(node)).copied().unwrap_or_default();
                let (node, state) = (&mut nodes[usize::from(node)], states[usize::from(node)]);
                let before = node.serving;
                let is_warm = runs && state == State::Down && before != Serving::No(Store::Cold);
                node.serving = match before {
                    _ if !state.serves() && is_warm => Serving::No(Store::Warm),
                    _ if !state.serves() => Serving::No(Store::Cold),
                    Serving::Unasked => Serving::Since(f64::NEG_INFINITY),
                    Serving::No(_) => Serving::Since(now_s),
                    Serving::Since(_) => before,
                };
                match before {
                    Serving::No(Store::Cold) if state.serves() && is_manned => node.load.rejoin(),
                    Serving::No(_) if state.serves() => node.load.restart(),
                    _ => {}
                }
            }
        }
    }

    fn step_region(
        &mut self,
        region: usize,
        states: &[State],
        sighted: bool,
        now_s: f64,
        seconds: f64,
    ) -> RegionView {
        let atlas = &self.atlas;
        let list = &atlas.nodes_by_region[region];
        let in_state = |wanted: &dyn Fn(State) -> bool| -> Vec<u16> {
            list.iter().copied().filter(|&node| wanted(states[usize::from(node)])).collect()
        };
        let serving = in_state(&State::serves);
        let mut loads: Vec<_> = self
            .nodes
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| serving.binary_search(&(*index as u16)).is_ok())
            .map(|(_, node)| &mut node.load)
            .collect();
        step_nodes(&mut loads, seconds, &atlas.limits, &atlas.law);
        let load = self.region_load(region, states, &serving);
        let state = &mut self.regions[region];
        if sighted || state.seen_up_at_s.is_none() {
            state.seen_up_at_s = Some(now_s);
        }
        let is_dark = state.seen_up_at_s.is_some_and(|at| now_s - at > atlas.last_good_s);
        // Those that served last, then those that are down, then those that drain; never those that
        // operators took away.
        let mut crew = serving.clone();
        if serving.is_empty() {
            crew.clone_from(&state.last_good);
            crew.retain(|&node| states[usize::from(node)] == State::Down);
        } else {
            state.last_good = serving;
        }
        for wanted in [State::Down, State::Draining] {
            if crew.is_empty() {
                crew = in_state(&|state| state == wanted);
            }
        }
        let share = |node: u16| self.nodes[usize::from(node)].load.share();
        RegionView { load, is_dark, crew: Crew::new(atlas, &crew, share) }
    }

    /// What a region can and does carry. Nodes that are down carry nothing; those that drain carry
    /// what will have to go elsewhere; those that do not report carry what the others do.
    fn region_load(&self, region: usize, states: &[State], serving: &[u16]) -> RegionLoad {
        let weight = |node: u16| f64::from(self.atlas.nodes[usize::from(node)].weight);
        // The sum of nothing is minus zero.
        let capacity = serving.iter().map(|&node| weight(node)).fold(0.0, |sum, it| sum + it);
        let (mut carried, mut reporting, mut silent) = (0.0, 0.0, 0.0);
        for &node in &self.atlas.nodes_by_region[region] {
            let state = states[usize::from(node)];
            match self.nodes[usize::from(node)].load.traffic() {
                _ if matches!(state, State::Down | State::Offline) => {}
                Some(traffic) => {
                    carried += traffic * weight(node);
                    reporting += weight(node);
                }
                None if state.serves() => silent += weight(node),
                None => {}
            }
        }
        let carried = (reporting > 0.0).then(|| carried * (1.0 + silent / reporting));
        RegionLoad { capacity, carried }
    }
}

/// Shares of regions that somebody is in; when none of the planned is, of the first that is.
fn shares_of(
    order: &[crate::regions::RegionIndex],
    shares: &[f64],
    regions: &[RegionView],
) -> Shares {
    let manned = |place: usize| !regions[order[place].index()].crew.is_empty();
    if (0..order.len()).all(|place| shares[place] <= 0.0 || manned(place)) {
        return Shares::new(order, shares);
    }
    let mut kept: Vec<f64> = shares.to_vec();
    for (place, share) in kept.iter_mut().enumerate() {
        if !manned(place) {
            *share = 0.0;
        }
    }
    if kept.iter().all(|&share| share <= 0.0)
        && let Some(place) = (0..order.len()).find(|&place| manned(place))
    {
        kept[place] = 1.0;
    }
    Shares::new(order, &kept)
}
