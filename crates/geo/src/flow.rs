//! Load as a weight of regions: how the clients of each order of regions are shared among them.
//!
//! Clients with the same order of regions are a **class**. Each second:
//!
//! 1. **Estimate** how much load each class is. Regions report what they carry, not from whom; what
//!    a region carries is put down to the classes in the proportion in which they are believed to
//!    send there (one step of expectation maximisation, which loses and invents no load), and what
//!    is believed to be in effect follows the shares given out with the delay of a TTL, as in
//!    [`crate::load`].
//! 2. **Plan.** Every class gets its first region up to the soft limit. What does not fit spreads
//!    over the next [`SPILL_REGIONS`] of its order that have room, in proportion to their room, and
//!    further on when they fill up; nobody is pushed over its soft limit while anybody else of the
//!    order has room: no dominoes. Then all rise together from soft to hard; then what still
//!    remains is shared by capacity. Nobody is ever sent nowhere.
//! 3. **Follow** the plan: fast when a region sheds, slowly when it takes back, not at all for what
//!    is less than the deadband, and at once when a region is gone; and answer ahead of it while it
//!    is not in effect.

use std::collections::HashMap;

use crate::load::{Law, Limits};
use crate::regions::RegionIndex;

/// Regions that a class's overflow is spread over at a time.
pub const SPILL_REGIONS: usize = 3;

/// What a region can do, and does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RegionLoad {
    /// What its nodes that serve could carry at a utilisation of one; 0 when it is gone.
    pub capacity: f64,
    /// What it carries, in the same unit; `None` when nobody reports.
    pub carried: Option<f64>,
}

/// Clients with one order of regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Their regions, the best first.
    pub order: Vec<RegionIndex>,
    /// For each of those, how much of its turn it may take: 0 to 1.
    pub weights: Vec<f64>,
    /// How many clients there are beside the others', as long as load has not said.
    pub size: f64,
}

/// The shares of all classes over time.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    classes: Vec<Class>,
    states: Vec<ClassState>,
    /// Whether load has been seen.
    is_seeded: bool,
}

/// All by the place of a region in the class's order.
#[derive(Clone, Debug, Default)]
struct ClassState {
    demand: f64,
    /// What the plan is followed to so far.
    shares: Vec<f64>,
    /// What is given out: the shares, and ahead of them as long as they are not in effect.
    given: Vec<f64>,
    effect: Vec<f64>,
    plan: Vec<f64>,
}

impl Flows {
    /// Everybody goes to the first region of the order; unless `before` knows better of a class.
    pub fn new(classes: Vec<Class>, before: &Self) -> Self {
        let known: HashMap<_, _> = before
            .classes
            .iter()
            .zip(&before.states)
            .map(|(class, state)| (class.order.as_slice(), state))
            .collect();
        let states = classes
            .iter()
            .map(|class| {
                known.get(class.order.as_slice()).map_or_else(
                    || {
                        let mut shares = vec![0.0; class.order.len()];
                        shares[0] = 1.0;
                        ClassState {
                            demand: 0.0,
                            effect: shares.clone(),
                            plan: shares.clone(),
                            given: shares.clone(),
                            shares,
                        }
                    },
                    |&state| state.clone(),
                )
            })
            .collect();
        Self { classes, states, is_seeded: before.is_seeded }
    }

    /// How the clients of a class are shared among the regions of its order; sums up to 1.
    pub fn shares(&self, class: usize) -> &[f64] {
        &self.states[class].given
    }

    /// The order of every class and its shares.
    pub fn all(&self) -> impl Iterator<Item = (&[RegionIndex], &[f64])> {
        let shares = self.states.iter().map(|state| state.given.as_slice());
        self.classes.iter().map(|class| class.order.as_slice()).zip(shares)
    }

    /// One step, after so many seconds.
    pub fn step(&mut self, regions: &[RegionLoad], seconds: f64, limits: &Limits, law: &Law) {
        self.estimate(regions, seconds, law);
        self.plan(regions, limits);
        for (class, state) in self.classes.iter().zip(&mut self.states) {
            state.follow(class, regions, seconds, law);
        }
    }

    fn estimate(&mut self, regions: &[RegionLoad], seconds: f64, law: &Law) {
        if !self.is_seeded {
            return self.seed(regions);
        }
        let mut expected = vec![0.0; regions.len()];
        for (class, state) in self.classes.iter().zip(&self.states) {
            for (region, effect) in class.order.iter().zip(&state.effect) {
                expected[region.index()] += state.demand * effect;
            }
        }
        // Of a region that is gone or silent nothing is learnt: its clients' load is elsewhere.
        let ratios: Vec<f64> = regions
            .iter()
            .zip(&expected)
            .map(|(region, &expected)| match region.carried {
                Some(carried) if region.capacity > 0.0 && expected > 0.0 => {
                    (carried / expected).clamp(0.2, 5.0)
                }
                _ => 1.0,
            })
            .collect();
        let part = Law::part(seconds, law.sense_s);
        let total: f64 = regions.iter().filter_map(|region| region.carried).sum();
        for (class, state) in self.classes.iter().zip(&mut self.states) {
            let factor: f64 = class
                .order
                .iter()
                .zip(&state.effect)
                .map(|(region, effect)| effect * ratios[region.index()])
                .sum();
            state.demand *= 1.0 + (factor - 1.0) * part;
            state.demand = state.demand.max(total * class.size * DEMAND_MIN);
        }
    }

    /// The first load that is seen belongs to those whose first region carries it.
    fn seed(&mut self, regions: &[RegionLoad]) {
        let mut sizes = vec![0.0; regions.len()];
        for class in &self.classes {
            sizes[class.order[0].index()] += class.size + DEMAND_MIN;
        }
        for (class, state) in self.classes.iter().zip(&mut self.states) {
            let home = class.order[0].index();
            let carried = regions[home].carried.unwrap_or_default();
            self.is_seeded |= carried > 0.0;
            state.demand = carried * (class.size + DEMAND_MIN) / sizes[home];
        }
        for state in &mut self.states {
            state.demand = state.demand.max(f64::MIN_POSITIVE.sqrt());
        }
    }

    fn plan(&mut self, regions: &[RegionLoad], limits: &Limits) {
        let mut room: Vec<f64> =
            regions.iter().map(|region| region.capacity * limits.soft).collect();
        let mut at_home = vec![0.0; regions.len()];
        for (class, state) in self.classes.iter().zip(&self.states) {
            at_home[class.order[0].index()] += state.demand * class.weights[0];
        }
        let kept: Vec<f64> = room
            .iter()
            .zip(&at_home)
            .map(|(&room, &demand)| if demand > room { room / demand } else { 1.0 })
            .collect();
        let mut remaining = Vec::with_capacity(self.classes.len());
        for (class, state) in self.classes.iter().zip(&mut self.states) {
            let home = class.order[0].index();
            let taken = state.demand * class.weights[0] * kept[home];
            state.plan.fill(0.0);
            state.plan[0] = taken;
            remaining.push(state.demand - taken);
        }
        for (room, (&demand, &kept)) in room.iter_mut().zip(at_home.iter().zip(&kept)) {
            *room = (*room - demand * kept).max(0.0);
        }
        // The first has had its turn: what is left of its room is not for what its weight refused.
        self.spill(1, &mut remaining, &mut room);
        for (room, region) in room.iter_mut().zip(regions) {
            *room += region.capacity * (limits.hard - limits.soft);
        }
        self.spill(0, &mut remaining, &mut room);
        for ((class, state), &rest) in self.classes.iter().zip(&mut self.states).zip(&remaining) {
            state.add_by_capacity(class, regions, rest);
        }
    }

    /// Spreads what remains of each class over the next of its regions that have room, again and
    /// again while either lasts; from a place of the order on.
    fn spill(&mut self, from: usize, remaining: &mut [f64], room: &mut [f64]) {
        let least: Vec<f64> = room.iter().map(|room| room * ROOM_MIN).collect();
        for _ in 0..ROUNDS_MAX {
            let mut offered = vec![0.0; room.len()];
            let mut offers: Vec<(usize, usize, f64)> = Vec::new();
            for (index, class) in self.classes.iter().enumerate() {
                if remaining[index] <= self.states[index].demand * REMAINING_MIN {
                    continue;
                }
                let open =
                    class.order.iter().enumerate().skip(from).filter_map(|(place, region)| {
                        let room = room[region.index()];
                        let weighed = room * class.weights[place];
                        (room > least[region.index()] && weighed > 0.0).then_some((place, weighed))
                    });
                let open: Vec<_> = open.take(SPILL_REGIONS).collect();
                let total: f64 = open.iter().map(|&(_, weighed)| weighed).sum();
                for (place, weighed) in open {
                    let offer = remaining[index] * weighed / total;
                    offered[class.order[place].index()] += offer;
                    offers.push((index, place, offer));
                }
            }
            if offers.is_empty() {
                return;
            }
            for (index, place, offer) in offers {
                let region = self.classes[index].order[place].index();
                let granted = offer * (room[region] / offered[region]).min(1.0);
                self.states[index].plan[place] += granted;
                remaining[index] -= granted;
            }
            for (room, offered) in room.iter_mut().zip(&offered) {
                *room = (*room - offered).max(0.0);
            }
        }
    }
}

impl ClassState {
    /// Where there is no room at all: by capacity; and where there is no capacity, to the first.
    fn add_by_capacity(&mut self, class: &Class, regions: &[RegionLoad], rest: f64) {
        let weighed = |(place, region): (usize, &RegionIndex)| {
            regions[region.index()].capacity * (class.weights[place] + WEIGHT_MIN)
        };
        let total: f64 = class.order.iter().enumerate().map(weighed).sum();
        if total > 0.0 {
            for (place, region) in class.order.iter().enumerate() {
                self.plan[place] += rest * weighed((place, region)) / total;
            }
        } else {
            self.plan[0] += rest;
        }
    }

    fn follow(&mut self, class: &Class, regions: &[RegionLoad], seconds: f64, law: &Law) {
        let total: f64 = self.plan.iter().sum();
        if total <= 0.0 {
            return;
        }
        for goal in &mut self.plan {
            *goal /= total;
        }
        let is_gone = |region: &RegionIndex| regions[region.index()].capacity <= 0.0;
        let lost =
            class.order.iter().zip(&self.shares).any(|(r, &share)| share > 0.0 && is_gone(r));
        let changes = self.plan.iter().zip(&self.shares).map(|(goal, share)| (goal - share).abs());
        let part = if lost {
            1.0
        } else if changes.fold(0.0, f64::max) < law.deadband {
            0.0
        } else if self.plan[0] < self.shares[0] {
            Law::part(seconds, law.shed_s)
        } else {
            Law::part(seconds, law.recover_s())
        };
        for (share, goal) in self.shares.iter_mut().zip(&self.plan) {
            *share += (goal - *share) * part;
        }
        if self.plan[0] > 1.0 - 1e-9 && self.shares[0] > 1.0 - law.deadband {
            // What little is elsewhere would cost everybody the wide scope of a single region.
            self.shares.fill(0.0);
            self.shares[0] = 1.0;
        }
        self.lead(law);
        let part = Law::part(seconds, law.lag_s());
        for (effect, share) in self.effect.iter_mut().zip(&self.given) {
            *effect += (share - *effect) * part;
        }
    }

    /// Those who ask now make up for those who do not ask yet.
    fn lead(&mut self, law: &Law) {
        let mut sum = 0.0;
        for (given, (share, effect)) in
            self.given.iter_mut().zip(self.shares.iter().zip(&self.effect))
        {
            let behind = share - effect;
            let ahead = if behind.abs() < law.deadband { 0.0 } else { law.lead * behind };
            // A region that has no share gets nobody, whatever is still on its way there.
            *given = if *share > 0.0 { (share + ahead).max(0.0) } else { 0.0 };
            sum += *given;
        }
        if sum > 0.0 {
            for given in &mut self.given {
                *given /= sum;
            }
        } else {
            self.given.clone_from(&self.shares);
        }
    }
}

/// Demand of a class is not believed to be less than this part of all for its size: what is
/// multiplied must not be stuck at nothing.
const DEMAND_MIN: f64 = 1e-6;
/// A region whose room is less than this part of what it was counts as full.
const ROOM_MIN: f64 = 0.02;
/// What remains of a class is not worth another round below this part of it.
const REMAINING_MIN: f64 = 0.001;
/// Rounds of spilling; each fills a region or places all that remains, nearly.
const ROUNDS_MAX: usize = 64;
/// A region that a site gives no weight still counts when nobody has room.
const WEIGHT_MIN: f64 = 1e-3;

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
