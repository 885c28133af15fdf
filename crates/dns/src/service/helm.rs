//! Who is up and how busy, from all that is heard of the nodes: own probes, the votes of other
//! servers, and what operators want. Each second it steers: a new world for the ground.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selvedge_feed::Vitals;
use selvedge_geo::atlas::Atlas;
use selvedge_geo::health::{Intent, State, Tally, Thresholds};
use selvedge_geo::load::Load;
use selvedge_geo::steering::{Observed, Steering};
use selvedge_net::Target;
use serde::{Deserialize, Serialize};

use super::ground::Ground;

/// What was heard longer ago than this is not heard any more.
const HEARD_MS: u64 = 5_000;

/// What a node that has lost control says of itself.
const CONTROL_LOST: &str = "control-lost";

/// A node, as it is asked and wanted.
#[derive(Clone, Debug)]
pub struct NodeAsked {
    /// Its name.
    pub name: String,
    /// Where it is asked how it is; nowhere: it counts as up.
    pub health: Option<Target>,
    /// What operators want of it.
    pub intent: Intent,
}

/// What one server thinks of the nodes: by name, whether it is up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Opinion {
    /// Those it has an opinion on.
    pub up: BTreeMap<String, bool>,
}

/// See the module.
#[derive(Debug)]
pub struct Helm {
    ground: Arc<Ground>,
    /// Held to note something, and for a step.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    steering: Steering,
    /// In the order of the atlas.
    nodes: Vec<NodeAsked>,
    heard: HashMap<String, Heard>,
    /// Of other servers, and when.
    others: HashMap<String, (Opinion, u64)>,
    thresholds: Thresholds,
}

/// What own probes say of a node.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Whether it takes traffic.
    ready: Tally,
    /// Whether it serves at all: it counts when no node is ready, as without control, and for what
    /// it has stored when it is ready again.
    alive: Tally,
    load: Load,
    load_at_ms: Option<u64>,
    /// What it says of itself.
    intent: Intent,
    /// The last that it said: it serves, but has lost control.
    is_control_lost: bool,
}

impl Helm {
    /// Steers these nodes, of which nothing is known yet.
    #[must_use]
    pub fn new(
        ground: Arc<Ground>,
        atlas: Arc<Atlas>,
        nodes: Vec<NodeAsked>,
        thresholds: Thresholds,
    ) -> Self {
        let nodes = in_order(&atlas, nodes);
        let steering = Steering::new(atlas);
        let (heard, others) = (HashMap::new(), HashMap::new());
        Self { ground, inner: Mutex::new(Inner { steering, nodes, heard, others, thresholds }) }
    }

    /// Goes on with other regions, nodes, sites or maps, which are in force on return.
    pub fn replace(
        &self,
        atlas: Arc<Atlas>,
        nodes: Vec<NodeAsked>,
        thresholds: Thresholds,
        now_ms: u64,
    ) {
        {
            let mut inner = self.inner();
            inner.nodes = in_order(&atlas, nodes);
            inner.thresholds = thresholds;
            inner.steering.replace(atlas);
            let Inner { heard, nodes, .. } = &mut *inner;
            heard.retain(|name, _| nodes.iter().any(|node| node.name == *name));
        }
        self.step(now_ms);
    }

    /// The nodes to ask, in the order of the atlas.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeAsked> {
        self.inner().nodes.clone()
    }

    /// A node answered when it was asked how it is, or did not.
    pub fn probed(&self, name: &str, vitals: Option<&Vitals>, now_ms: u64) {
        let mut inner = self.inner();
        let thresholds = inner.thresholds;
        if !inner.nodes.iter().any(|node| node.name == name) {
            return;
        }
        let heard = inner.heard.entry(name.to_owned()).or_default();
        let why = vitals.and_then(|vitals| vitals.why.as_deref());
        heard.intent = match why {
            Some("draining") => Intent::Draining,
            Some("offline") => Intent::Offline,
            _ => Intent::Online,
        };
        heard.is_control_lost = why == Some(CONTROL_LOST);
        let is_wanted_away = heard.intent != Intent::Online;
        let is_ready = vitals.is_some_and(|vitals| vitals.ready || is_wanted_away);
        heard.ready.probed(is_ready, thresholds);
        heard.alive.probed(is_ready || heard.is_control_lost, thresholds);
        if let Some(vitals) = vitals {
            let load = vitals.load;
            heard.load = Load {
                cpu: load.cpu,
                bandwidth: load.bandwidth,
                connections: load.connections,
                disk: load.disk,
            };
            heard.load_at_ms = Some(now_ms);
        }
    }

    /// Another server has told what it thinks.
    pub fn heard(&self, server: &str, opinion: Opinion, now_ms: u64) {
        self.inner().others.insert(server.to_owned(), (opinion, now_ms));
    }

    /// What this server thinks, without what others do.
    #[must_use]
    pub fn opinion(&self) -> Opinion {
        let inner = self.inner();
        let votes = inner.votes();
        let named = inner.nodes.iter().zip(votes);
        Opinion { up: named.filter_map(|(node, up)| Some((node.name.clone(), up?))).collect() }
    }

    /// How many nodes of each region are in each state, by the state's word: those of geo, and
    /// `control-lost` for a node that would be up or down and says so of itself.
    #[must_use]
    pub fn census(&self) -> BTreeMap<(String, &'static str), u64> {
        let world = self.ground.world();
        let (atlas, inner) = (world.atlas(), self.inner());
        let words = State::ALL.map(State::word).into_iter().chain([CONTROL_LOST]);
        let mut census: BTreeMap<_, _> = words
            .flat_map(|word| atlas.region_names().map(move |region| ((region.to_owned(), word), 0)))
            .collect();
        for (place, (name, region)) in atlas.node_names().zip(atlas.node_regions()).enumerate() {
            let Some(node) = world.node(place) else { continue };
            let is_lost = inner.heard.get(name).is_some_and(|heard| heard.is_control_lost);
            let word = match node.state {
                State::Up | State::Down if is_lost => CONTROL_LOST,
                state => state.word(),
            };
            *census.entry((atlas.region_name(region).to_owned(), word)).or_default() += 1;
        }
        census
    }

    /// Takes everything together: what comes out is answered from now on.
    pub fn step(&self, now_ms: u64) {
        let mut inner = self.inner();
        let mut votes = vec![inner.votes()];
        inner.others.retain(|_, (_, at_ms)| now_ms.saturating_sub(*at_ms) <= HEARD_MS);
        for (opinion, _) in inner.others.values() {
            let vote = |node: &NodeAsked| opinion.up.get(&node.name).copied();
            votes.push(inner.nodes.iter().map(vote).collect());
        }
        let heard = |node: &NodeAsked| inner.heard.get(&node.name);
        let load = |node: &NodeAsked| {
            let heard = heard(node)?;
            let at_ms = heard.load_at_ms?;
            (now_ms.saturating_sub(at_ms) <= HEARD_MS).then_some(heard.load)
        };
        let loads: Vec<Option<Load>> = inner.nodes.iter().map(load).collect();
        let intent = |node: &NodeAsked| match node.intent {
            Intent::Online => heard(node).map_or(Intent::Online, |heard| heard.intent),
            wanted => wanted,
        };
        let intents: Vec<Intent> = inner.nodes.iter().map(intent).collect();
        let runs = |node: &NodeAsked| heard(node).is_some_and(|it| it.alive.up() == Some(true));
        let running: Vec<bool> = inner.nodes.iter().map(runs).collect();
        let observed =
            Observed { votes: &votes, loads: &loads, intents: &intents, running: &running };
        let world = inner.steering.step(now_ms as f64 / 1000.0, &observed);
        drop(inner);
        self.ground.set_world(Arc::new(world));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Own votes. Where no node is ready, those that serve without control are up: all of them have
    /// lost it, and an answer from what they know is better than none.
    fn votes(&self) -> Vec<Option<bool>> {
        let of = |tally: fn(&Heard) -> &Tally| -> Vec<Option<bool>> {
            let vote = |node: &NodeAsked| tally(self.heard.get(&node.name)?).up();
            self.nodes.iter().map(vote).collect()
        };
        let ready = of(|heard| &heard.ready);
        if ready.contains(&Some(true)) { ready } else { of(|heard| &heard.alive) }
    }
}

/// The nodes that the atlas has, in its order.
fn in_order(atlas: &Atlas, nodes: Vec<NodeAsked>) -> Vec<NodeAsked> {
    let mut by_name: HashMap<String, NodeAsked> =
        nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    let unknown =
        |name: &str| NodeAsked { name: name.to_owned(), health: None, intent: Intent::Online };
    atlas.node_names().map(|name| by_name.remove(name).unwrap_or_else(|| unknown(name))).collect()
}
