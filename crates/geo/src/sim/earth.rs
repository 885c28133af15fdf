//! Where the regions and the clients of the simulation are, and how much they want when.

use crate::load::{Law, Limits};
use crate::places::Coordinates;

/// A day, or a part of one.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What chance begins with.
    pub seed: u64,
    /// How long.
    pub seconds: u32,
    /// The hour (UTC) at which it begins.
    pub begins_hour: f64,
    /// How long resolvers keep answers.
    pub ttl_s: f64,
    /// The limits of all nodes.
    pub limits: Limits,
    /// How fast ours follows; its TTL is what ours believes of resolvers.
    pub law: Law,
    /// Demand of a region at its peak, of its capacity.
    pub peak: f64,
    /// A flash crowd: its region's demand is multiplied.
    pub flash: Option<(Event, f64)>,
    /// A region that is gone for a while.
    pub loss: Option<Event>,
}

/// Something that happens to a region.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Which.
    pub region: usize,
    /// When, from the beginning.
    pub begins_s: f64,
    /// For how long.
    pub lasts_s: f64,
}

impl Scenario {
    /// A whole day: a flash crowd on Frankfurt in its evening, New York gone in its own.
    pub fn day() -> Self {
        Self {
            seed: 1,
            seconds: 86_400,
            begins_hour: 0.0,
            ttl_s: 30.0,
            limits: Limits::default(),
            law: Law::default(),
            peak: 0.62,
            flash: Some((Event { region: 0, begins_s: 18.0 * 3600.0, lasts_s: 7200.0 }, 3.0)),
            loss: Some(Event { region: 7, begins_s: 24.0 * 3600.0 - 5400.0, lasts_s: 2400.0 }),
        }
    }

    /// Half an hour of the flash crowd alone.
    pub fn flash_crowd() -> Self {
        let event = Event { region: 0, begins_s: 300.0, lasts_s: 900.0 };
        Self {
            seconds: 1800,
            begins_hour: 18.0,
            flash: Some((event, 3.0)),
            loss: None,
            ..Self::day()
        }
    }

    pub(super) fn is_gone(&self, region: usize, now_s: f64) -> bool {
        self.loss.is_some_and(|loss| loss.region == region && loss.is_at(now_s))
    }
}

impl Event {
    fn is_at(&self, now_s: f64) -> bool {
        (self.begins_s..self.begins_s + self.lasts_s).contains(&now_s)
    }
}

/// Regions, nodes and classes of clients.
#[derive(Clone, Debug)]
pub struct Earth {
    /// Names and places.
    pub regions: Vec<(&'static str, Coordinates)>,
    /// How many nodes each region has.
    pub nodes_per_region: usize,
    /// What each region can carry.
    pub capacities: Vec<f64>,
    /// Of the load of its region, what would come to each node.
    pub node_parts: Vec<f64>,
    /// Home region, longitude, size.
    pub(super) classes: Vec<(usize, f64, f64)>,
    /// The regions of each class, the nearest first.
    pub orders: Vec<Vec<usize>>,
}

const CLASSES_PER_REGION: usize = 3;
/// How long the flash crowd takes to gather and to leave, in seconds.
const FLASH_RISE_S: f64 = 120.0;

const CITIES: [(&str, f64, f64, f64); 20] = [
    ("frankfurt", 50.1, 8.7, 3.0),
    ("london", 51.5, -0.1, 3.0),
    ("paris", 48.9, 2.4, 2.5),
    ("madrid", 40.4, -3.7, 1.5),
    ("stockholm", 59.3, 18.1, 1.0),
    ("warsaw", 52.2, 21.0, 1.2),
    ("milan", 45.5, 9.2, 1.5),
    ("newyork", 40.7, -74.0, 3.0),
    ("chicago", 41.9, -87.6, 2.0),
    ("dallas", 32.8, -96.8, 1.8),
    ("losangeles", 34.1, -118.2, 2.5),
    ("seattle", 47.6, -122.3, 1.2),
    ("miami", 25.8, -80.2, 1.5),
    ("saopaulo", -23.6, -46.6, 2.0),
    ("tokyo", 35.7, 139.7, 2.5),
    ("singapore", 1.4, 103.8, 1.8),
    ("mumbai", 19.1, 72.9, 2.2),
    ("sydney", -33.9, 151.2, 1.2),
    ("johannesburg", -26.2, 28.0, 0.8),
    ("dubai", 25.2, 55.3, 1.0),
];

impl Earth {
    /// The globe of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let mut random = Random(scenario.seed);
        let point = |latitude, longitude| Coordinates { latitude, longitude };
        let regions: Vec<_> = CITIES
            .iter()
            .map(|&(name, latitude, longitude, _)| (name, point(latitude, longitude)))
            .collect();
        let nodes_per_region = 10;
        let mut node_parts = Vec::new();
        let mut classes = Vec::new();
        let mut orders = Vec::new();
        for (region, &(_, latitude, longitude, size)) in CITIES.iter().enumerate() {
            let parts: Vec<f64> =
                (0..nodes_per_region).map(|_| 1.0 + 0.2 * random.signed()).collect();
            let sum: f64 = parts.iter().sum();
            node_parts.extend(parts.iter().map(|part| part / sum));
            for _ in 0..CLASSES_PER_REGION {
                let near =
                    point(latitude + 3.0 * random.signed(), longitude + 3.0 * random.signed());
                let mut order: Vec<_> = (0..regions.len()).collect();
                order.sort_by_key(|&other| (other != region, regions[other].1.distance_km(&near)));
                orders.push(order);
                classes.push((region, longitude, 100.0 * size / CLASSES_PER_REGION as f64));
            }
        }
        let capacities = CITIES.iter().map(|city| 100.0 * city.3 / scenario.peak).collect();
        Self { regions, nodes_per_region, capacities, node_parts, classes, orders }
    }

    /// What a class wants: most in the evening, least before the morning.
    pub(super) fn demand(&self, scenario: &Scenario, class: usize, now_s: f64) -> f64 {
        let (region, longitude, size) = self.classes[class];
        let hour = scenario.begins_hour + now_s / 3600.0 + longitude / 15.0;
        let sun = ((hour - 20.5) / 24.0 * std::f64::consts::TAU).cos();
        let mut demand = size * (0.65 + 0.35 * sun);
        if let Some((event, times)) = scenario.flash
            && event.region == region
        {
            let since = (now_s - event.begins_s) / FLASH_RISE_S;
            let until = (event.begins_s + event.lasts_s - now_s) / FLASH_RISE_S;
            demand *= 1.0 + (times - 1.0) * since.min(until).clamp(0.0, 1.0);
        }
        demand
    }

    /// How full every node is, of what its region gets.
    pub(super) fn node_utilisation(
        &self,
        flows: &[f64],
        up: &[bool],
        effect: &[f64],
        utilisation: &mut [f64],
    ) {
        for (region, flow) in flows.iter().enumerate() {
            let nodes = region * self.nodes_per_region..(region + 1) * self.nodes_per_region;
            let parts: Vec<f64> =
                nodes.clone().map(|node| self.node_parts[node] * effect[node]).collect();
            let sum: f64 = parts.iter().sum();
            let capacity = self.capacities[region] / self.nodes_per_region as f64;
            for (node, part) in nodes.zip(parts) {
                utilisation[node] = if up[region] { flow * part / sum / capacity } else { 0.0 };
            }
        }
    }
}

/// Numbers that look random (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// From -1 to 1.
    pub(super) fn signed(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}
