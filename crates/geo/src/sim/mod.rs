//! A day of a CDN, to compare ways of sending clients somewhere and to tune ours: regions around
//! the globe, demand that follows the sun, a flash crowd, the loss of a region, resolvers that
//! remember answers for a TTL and some that remember them longer. Seeded: the same day every time.
//!
//! The product has no part in this: it is built for tests and with the feature `simulation`.

mod earth;
mod policy;

use serde::Serialize;

pub use earth::{Earth, Event, Scenario};
pub use policy::Policy;

use earth::Random;
use policy::Steerer;

/// What came of a day under one policy.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The policy.
    pub policy: &'static str,
    /// The most that any region was asked to carry at any second, of what it can.
    pub worst_region: f64,
    /// The most that any node was asked to carry.
    pub worst_node: f64,
    /// How long the worst region was over its capacity, in seconds.
    pub overloaded_s: f64,
    /// Demand beyond what the regions where it went can carry, of all demand.
    pub overflowed: f64,
    /// Demand sent to a region that was gone, of all demand.
    pub lost: f64,
    /// Demand away from its first region while that one could have carried all of its own below the
    /// soft limit, of all demand.
    pub needless: f64,
    /// How often the mean client was given another region than before.
    pub moves: f64,
    /// Hits that became misses since clients met a cache that did not know their objects, of all
    /// requests.
    pub hit_loss: f64,
    /// One for each minute.
    pub series: Vec<Sample>,
}

/// A minute.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Since the beginning.
    pub minute: f64,
    /// The worst region's utilisation.
    pub worst: f64,
    /// All demand, of all capacity.
    pub demand: f64,
    /// Demand away from its first region, of all demand.
    pub away: f64,
    /// Every region's utilisation.
    pub regions: Vec<f64>,
}

/// Of a class's requests, those for what the clients of another region do not ask for.
const OWN_OBJECTS: f64 = 0.4;
/// How fast a cache learns what new clients want, and forgets it, in seconds.
const WARM_S: f64 = 600.0;
const COLD_S: f64 = 4.0 * 3600.0;
/// Clients whose resolvers keep answers far longer than the TTL, and how long, in TTLs.
const STICKY: f64 = 0.05;
const STICKY_TTLS: f64 = 5.0;
/// How exact reports are.
const NOISE: f64 = 0.03;

/// Plays a scenario under a policy.
pub fn run(scenario: &Scenario, policy: Policy) -> Outcome {
    let earth = Earth::new(scenario);
    let mut steerer = Steerer::new(policy, &earth, scenario);
    let mut memory = Memory::new(&earth, scenario.ttl_s);
    let mut random = Random(scenario.seed ^ 0x5eed);
    let mut tally = Tally::new(policy);
    let mut utilisation = vec![0.0; earth.regions.len() * earth.nodes_per_region];
    let mut demands = vec![0.0; earth.classes.len()];
    for second in 0..scenario.seconds {
        let now_s = f64::from(second);
        for (class, demand) in demands.iter_mut().enumerate() {
            *demand = earth.demand(scenario, class, now_s);
        }
        let up: Vec<bool> =
            (0..earth.regions.len()).map(|region| !scenario.is_gone(region, now_s)).collect();
        let flows = memory.flows(&demands);
        earth.node_utilisation(&flows, &up, memory.node_effect(), &mut utilisation);
        tally.second(&earth, scenario, now_s, &demands, &memory, &flows, &up, &utilisation);
        let reports: Vec<f64> =
            utilisation.iter().map(|load| load * (1.0 + NOISE * random.signed())).collect();
        // Monitors need a few seconds to believe that a region is gone.
        let seen: Vec<bool> = (0..earth.regions.len())
            .map(|region| !scenario.is_gone(region, (now_s - 3.0).max(0.0)))
            .collect();
        steerer.step(&earth, &reports, &seen);
        tally.moves(&demands, memory.remember(&steerer.shares, &steerer.node_shares));
    }
    tally.finish(scenario)
}

/// What resolvers remember: where the clients of each class go, by place of the order, and how much
/// the nodes get.
struct Memory {
    ttl: usize,
    at: usize,
    /// The answers of the last TTL, and their sum: a part of the resolvers asks again each second.
    ring: Vec<Vec<f64>>,
    sum: Vec<f64>,
    sticky: Vec<f64>,
    effect: Vec<f64>,
    nodes: Vec<f64>,
    orders: Vec<Vec<usize>>,
    /// Where the shares of each class begin.
    starts: Vec<usize>,
    warm: Vec<f64>,
}

impl Memory {
    fn new(earth: &Earth, ttl_s: f64) -> Self {
        let ttl = ttl_s.max(1.0) as usize;
        let orders = earth.orders.clone();
        let mut starts = Vec::new();
        let mut first = Vec::new();
        for order in &orders {
            starts.push(first.len());
            first.extend((0..order.len()).map(|place| if place == 0 { 1.0 } else { 0.0 }));
        }
        Self {
            ttl,
            at: 0,
            sum: first.iter().map(|share| share * ttl as f64).collect(),
            ring: vec![first.clone(); ttl],
            sticky: first.clone(),
            warm: first.clone(),
            effect: first,
            nodes: vec![1.0; earth.regions.len() * earth.nodes_per_region],
            orders,
            starts,
        }
    }

    fn of(&self, class: usize) -> &[f64] {
        &self.effect[self.starts[class]..][..self.orders[class].len()]
    }

    fn node_effect(&self) -> &[f64] {
        &self.nodes
    }

    /// The demand at every region.
    fn flows(&self, demands: &[f64]) -> Vec<f64> {
        let mut flows = vec![0.0; self.orders[0].len()];
        for (class, demand) in demands.iter().enumerate() {
            for (&region, effect) in self.orders[class].iter().zip(self.of(class)) {
                flows[region] += demand * effect;
            }
        }
        flows
    }

    /// New answers go out; gives how much of each class moved.
    fn remember(&mut self, shares: &[Vec<f64>], node_shares: &[f64]) -> Vec<f64> {
        let mut moved = Vec::with_capacity(shares.len());
        let slot = self.at % self.ttl;
        self.at += 1;
        for (class, shares) in shares.iter().enumerate() {
            let mut change = 0.0;
            for (place, &share) in shares.iter().enumerate() {
                let index = self.starts[class] + place;
                self.sum[index] += share - self.ring[slot][index];
                self.ring[slot][index] = share;
                let sticky = &mut self.sticky[index];
                *sticky += (share - *sticky) / (STICKY_TTLS * self.ttl as f64);
                let now = (1.0 - STICKY) * self.sum[index] / self.ttl as f64 + STICKY * *sticky;
                change += (now - self.effect[index]).abs() / 2.0;
                self.effect[index] = now;
                let warm = &mut self.warm[index];
                *warm += if now > 0.005 { (1.0 - *warm) / WARM_S } else { -*warm / COLD_S };
            }
            moved.push(change);
        }
        for (effect, share) in self.nodes.iter_mut().zip(node_shares) {
            *effect += (share - *effect) / (0.6 * self.ttl as f64);
        }
        moved
    }
}

/// Sums up the day.
struct Tally {
    outcome: Outcome,
    demand: f64,
}

impl Tally {
    fn new(policy: Policy) -> Self {
        Self {
            outcome: Outcome {
                policy: policy.word(),
                worst_region: 0.0,
                worst_node: 0.0,
                overloaded_s: 0.0,
                overflowed: 0.0,
                lost: 0.0,
                needless: 0.0,
                moves: 0.0,
                hit_loss: 0.0,
                series: Vec::new(),
            },
            demand: 0.0,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call, of everything there is")]
    fn second(
        &mut self,
        earth: &Earth,
        scenario: &Scenario,
        now_s: f64,
        demands: &[f64],
        memory: &Memory,
        flows: &[f64],
        up: &[bool],
        nodes: &[f64],
    ) {
        let outcome = &mut self.outcome;
        let regions: Vec<f64> = flows
            .iter()
            .enumerate()
            .map(|(region, flow)| if up[region] { flow / earth.capacities[region] } else { 0.0 })
            .collect();
        let worst = regions.iter().copied().fold(0.0, f64::max);
        outcome.worst_region = outcome.worst_region.max(worst);
        outcome.worst_node = nodes.iter().copied().fold(outcome.worst_node, f64::max);
        outcome.overloaded_s += f64::from(u8::from(worst > 1.0));
        let mut at_home = vec![0.0; flows.len()];
        for (class, demand) in demands.iter().enumerate() {
            at_home[memory.orders[class][0]] += demand;
        }
        for (region, flow) in flows.iter().enumerate() {
            if up[region] {
                outcome.overflowed += (flow - earth.capacities[region]).max(0.0);
            } else {
                outcome.lost += flow;
            }
        }
        let mut away = 0.0;
        for (class, demand) in demands.iter().enumerate() {
            let (home, shares) = (memory.orders[class][0], memory.of(class));
            let gone = demand * (1.0 - shares[0]);
            away += gone;
            if up[home] && at_home[home] <= earth.capacities[home] * scenario.limits.soft {
                outcome.needless += gone;
            }
            let warm = &memory.warm[memory.starts[class]..];
            let cold = shares.iter().zip(warm).skip(1).map(|(share, warm)| share * (1.0 - warm));
            outcome.hit_loss += demand * OWN_OBJECTS * cold.sum::<f64>();
        }
        let demand: f64 = demands.iter().sum();
        self.demand += demand;
        if (now_s as u64).is_multiple_of(60) {
            outcome.series.push(Sample {
                minute: now_s / 60.0,
                worst,
                demand: demand / earth.capacities.iter().sum::<f64>(),
                away: away / demand,
                regions,
            });
        }
    }

    fn moves(&mut self, demands: &[f64], moved: Vec<f64>) {
        let total: f64 = demands.iter().sum();
        let sum: f64 = demands.iter().zip(moved).map(|(demand, moved)| demand * moved).sum();
        self.outcome.moves += sum / total;
    }

    fn finish(self, scenario: &Scenario) -> Outcome {
        let mut outcome = self.outcome;
        debug_assert!(scenario.seconds > 0);
        for sum in [
            &mut outcome.overflowed,
            &mut outcome.lost,
            &mut outcome.needless,
            &mut outcome.hit_loss,
        ] {
            *sum /= self.demand;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_carries_a_flash_crowd_that_topples_the_others() {
        let scenario = Scenario::flash_crowd();
        let [nearest, on_off, ours] = Policy::ALL.map(|policy| run(&scenario, policy));
        assert!(ours.overflowed < 0.5 * on_off.overflowed, "{ours:?} {on_off:?}");
        assert!(ours.overflowed < 0.5 * nearest.overflowed, "{ours:?} {nearest:?}");
        assert!(ours.moves < on_off.moves, "{ours:?} {on_off:?}");
        assert!(ours.needless < 0.02, "{ours:?}");
    }

    #[test]
    fn the_same_seed_is_the_same_day() {
        let scenario = Scenario { seconds: 300, ..Scenario::flash_crowd() };
        let [one, two] = [0, 1].map(|_| run(&scenario, Policy::Ours));
        assert_eq!(one.series.len(), two.series.len());
        assert!(one.series.iter().zip(&two.series).all(|(one, two)| one.regions == two.regions));
    }
}
