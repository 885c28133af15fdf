//! Load as a weight of nodes: how much of what would come to a node it keeps.
//!
//! ```text
//! share 1 |-------.            u: the worst of CPU, bandwidth and connections, each of its limit
//!         |        \           The ramp: 1 up to soft, down to 0 at hard.
//!       0 |_________\____ u
//!               soft hard
//! ```
//!
//! **The law.** Load answers with the delay of a TTL. A share taken from the ramp as it stands
//! would cut, see nothing happen, cut more, and then find the node empty. So the demand behind the
//! load is estimated first: `d = u / e`, where `e` is what is believed to be in effect of the
//! shares given out, which follows them as resolvers forget (first order, half a TTL: their answers
//! are of all ages up to one). Then the share is set at once to where the ramp and that demand
//! meet, `u = d * ramp(u)`, which is
//!
//! ```text
//! share = hard / (hard - soft + d)      for d > soft, else 1
//! ```
//!
//! so that cutting does not move the goal. What remains of error in `e` is damped: a share falls
//! with [`Law::shed_s`], rises with the longer [`Law::recover_s`], and stands still for changes
//! less than [`Law::deadband`]. Between regions, answers also go ahead of what is wanted while it
//! is not in effect ([`Law::lead`]): those who ask now make up for those who do not ask yet. The
//! defaults are what the simulated day (`sim`) came out best with; it stays steady when the TTL
//! that is believed is a third or three times of the real one.
//!
//! All is relative to the other nodes of the region: when all are full, cutting each gives nothing
//! to anybody, and other regions ([`crate::flow`]) must help.
//!
//! Disk errors do not answer to load: their share is the ramp as it stands.

use serde::Serialize;

/// What a node says of itself, each as a fraction of its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    /// Processors.
    pub cpu: f64,
    /// Bytes sent.
    pub bandwidth: f64,
    /// Connections open.
    pub connections: f64,
    /// Errors of its disks.
    pub disk: f64,
}

impl Load {
    /// The worst of what clients cause.
    pub fn traffic(&self) -> f64 {
        sane(self.cpu).max(sane(self.bandwidth)).max(sane(self.connections))
    }

    /// The worst of all.
    pub fn worst(&self) -> f64 {
        self.traffic().max(sane(self.disk))
    }
}

/// What nodes say is not believed beyond all measure.
fn sane(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 10.0) } else { 0.0 }
}

/// Where shedding begins and where it is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Utilisation up to which nothing is shed.
    pub soft: f64,
    /// Utilisation at which everything is; greater than soft.
    pub hard: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { soft: 0.75, hard: 0.95 }
    }
}

impl Limits {
    /// `None` when they are not in order.
    pub fn new(soft: f64, hard: f64) -> Option<Self> {
        (soft > 0.0 && soft < hard && hard <= 10.0).then_some(Self { soft, hard })
    }

    /// The share at a utilisation: 1 at soft, 0 at hard, straight between.
    pub fn ramp(&self, utilisation: f64) -> f64 {
        ((self.hard - utilisation) / (self.hard - self.soft)).clamp(0.0, 1.0)
    }

    /// The share at which a demand settles: where `u = demand * ramp(u)`.
    pub fn settled(&self, demand: f64) -> f64 {
        (self.hard / (self.hard - self.soft + demand.max(0.0))).min(1.0)
    }
}

/// How fast everything follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// How long resolvers keep answers, in seconds.
    pub ttl_s: f64,
    /// Over how long reports are averaged.
    pub sense_s: f64,
    /// The time constant of giving up a share.
    pub shed_s: f64,
    /// The time constant of taking one back, in TTLs.
    pub recover_ttls: f64,
    /// Changes less than this are not made.
    pub deadband: f64,
    /// How far ahead of what is wanted answers go while it is not in effect, as a multiple of what
    /// is missing.
    pub lead: f64,
}

impl Default for Law {
    fn default() -> Self {
        Self {
            ttl_s: 30.0,
            sense_s: 3.0,
            shed_s: 2.0,
            recover_ttls: 4.0,
            deadband: 0.02,
            lead: 2.0,
        }
    }
}

impl Law {
    /// The same for resolvers that keep answers as long as these sites say, each in seconds. Which
    /// of them causes how much load is not known: it is the middle in proportion, since the law is
    /// steady where a site is so many times above or below. Resolvers keep nothing for less than a
    /// few seconds, or for ever.
    pub fn for_sites(self, ttls_s: impl IntoIterator<Item = u32>) -> Self {
        let sane = |ttl_s: u32| f64::from(ttl_s).clamp(TTL_MIN_S, TTL_MAX_S).ln();
        let (sum, count) = ttls_s
            .into_iter()
            .map(sane)
            .fold((0.0, 0_u32), |(sum, count), it| (sum + it, count + 1));
        let ttl_s = if count > 0 { (sum / f64::from(count)).exp() } else { self.ttl_s };
        Self { ttl_s, ..self }
    }

    /// The time constant of taking a share back, in seconds.
    pub fn recover_s(&self) -> f64 {
        self.recover_ttls * self.ttl_s
    }

    /// The time constant with which load follows what answers say.
    pub(crate) fn lag_s(&self) -> f64 {
        0.5 * self.ttl_s
    }

    /// The part of the way to a goal that is gone in a step.
    pub(crate) fn part(seconds: f64, time_constant_s: f64) -> f64 {
        1.0 - (-seconds / time_constant_s.max(0.1)).exp()
    }
}

/// What is believed of times to live, at least and at most.
const TTL_MIN_S: f64 = 5.0;
const TTL_MAX_S: f64 = 600.0;

/// The load of a node over time, and the share that follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeLoad {
    /// What clients cause, averaged; `None` before the first report.
    traffic: Option<f64>,
    disk: f64,
    share: f64,
    /// What is believed to be in effect of the share.
    effect: f64,
    overloaded: bool,
}

impl Default for NodeLoad {
    fn default() -> Self {
        Self { traffic: None, disk: 0.0, share: 1.0, effect: 1.0, overloaded: false }
    }
}

impl NodeLoad {
    /// Takes in a report.
    pub fn report(&mut self, load: &Load, seconds: f64, law: &Law) {
        let part = Law::part(seconds, law.sense_s);
        let before = self.traffic.unwrap_or_else(|| load.traffic());
        self.traffic = Some(before + (load.traffic() - before) * part);
        self.disk = sane(load.disk);
    }

    /// It serves again beside others: its cache is cold or at least old, so its share grows from a
    /// little.
    pub fn rejoin(&mut self) {
        self.restart();
        (self.share, self.effect) = (REJOIN_SHARE, REJOIN_SHARE);
    }

    /// It serves again where nobody else does for long: it has all that comes.
    pub fn restart(&mut self) {
        *self = Self { disk: self.disk, ..Self::default() };
    }

    /// The averaged utilisation by clients; `None` before the first report.
    pub fn traffic(&self) -> Option<f64> {
        self.traffic
    }

    /// The worst of all that is known.
    pub fn utilisation(&self) -> f64 {
        self.traffic.unwrap_or_default().max(self.disk)
    }

    /// How much of what would come it keeps: 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Whether it is over the hard limit, or was and is not below the soft one yet.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// The share at which it would settle, beside nodes of which `mean_effect` is in effect.
    fn goal(&self, mean_effect: f64, limits: &Limits) -> f64 {
        let relative = (self.effect / mean_effect).max(EFFECT_MIN);
        let demand = self.traffic.unwrap_or_default() / relative;
        limits.settled(demand).min(limits.ramp(self.disk))
    }

    fn follow(&mut self, goal: f64, seconds: f64, limits: &Limits, law: &Law) {
        let falling = goal < self.share;
        let time_constant_s = if falling { law.shed_s } else { law.recover_s() };
        if (goal - self.share).abs() >= law.deadband {
            self.share += (goal - self.share) * Law::part(seconds, time_constant_s);
        } else if goal >= 1.0 {
            self.share = 1.0;
        }
        self.effect += (self.share - self.effect) * Law::part(seconds, law.lag_s());
        let worst = self.utilisation();
        self.overloaded = worst >= limits.hard || (self.overloaded && worst >= limits.soft);
    }
}

/// The share of a node that comes back.
const REJOIN_SHARE: f64 = 0.1;

/// What is in effect of a share is not believed to be less: demand is a quotient.
const EFFECT_MIN: f64 = 0.05;

/// One step of the nodes of a region that serve. The best of them keeps all: what they shed goes to
/// each other, and only the differences matter.
pub fn step_nodes(nodes: &mut [&mut NodeLoad], seconds: f64, limits: &Limits, law: &Law) {
    if nodes.is_empty() {
        return;
    }
    let mean = nodes.iter().map(|node| node.effect).sum::<f64>() / nodes.len() as f64;
    let mean = mean.max(EFFECT_MIN);
    let best = nodes.iter().map(|node| node.goal(mean, limits)).fold(0.0, f64::max);
    for node in nodes {
        let goal = if best > 0.0 { node.goal(mean, limits) / best } else { 1.0 };
        node.follow(goal, seconds, limits, law);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { soft: 0.7, hard: 0.9 };

    fn traffic(cpu: f64) -> Load {
        Load { cpu, ..Load::default() }
    }

    #[test]
    fn the_ramp_falls_smoothly_from_soft_to_hard() {
        assert_eq!(LIMITS.ramp(0.0), 1.0);
        assert_eq!(LIMITS.ramp(0.7), 1.0);
        assert!((LIMITS.ramp(0.8) - 0.5).abs() < 1e-9);
        assert_eq!(LIMITS.ramp(0.9), 0.0);
        assert_eq!(LIMITS.ramp(9.0), 0.0);
        assert!(Limits::new(0.9, 0.8).is_none());
    }

    #[test]
    fn a_demand_settles_where_the_ramp_meets_it() {
        for demand in [0.1, 0.7, 0.9, 1.5, 4.0] {
            let share = LIMITS.settled(demand);
            assert!((LIMITS.ramp(demand * share) - share).abs() < 1e-9, "{demand}");
        }
    }

    #[test]
    fn the_worst_counts_and_nonsense_does_not() {
        let load = Load { cpu: 0.2, bandwidth: 0.6, connections: f64::NAN, disk: 0.9 };
        assert_eq!((load.traffic(), load.worst()), (0.6, 0.9));
    }

    #[test]
    fn the_law_believes_the_times_to_live_of_the_sites() {
        let ttl_s = |ttls: &[u32]| Law::default().for_sites(ttls.iter().copied()).ttl_s.round();
        assert_eq!(ttl_s(&[]), 30.0);
        assert_eq!(ttl_s(&[60, 60]), 60.0);
        assert_eq!(ttl_s(&[10, 90]), 30.0, "three times above and below");
        assert_eq!((ttl_s(&[1]), ttl_s(&[86_400])), (5.0, 600.0));
    }

    #[test]
    fn a_busy_node_does_not_swing_whatever_the_time_to_live_is() {
        for ttl_s in [1, 5, 60, 300, 600] {
            let law = Law::default().for_sites([ttl_s]);
            let seconds = (law.ttl_s * 30.0) as usize;
            let shares = run_by(&law, &[1.1, 0.5, 0.5, 0.5, 0.5], seconds);
            let last = shares[seconds / 2..].iter().map(|shares| shares[0]);
            let (least, most) = last.fold((1.0, 0.0), |(least, most), share| {
                (f64::min(least, share), f64::max(most, share))
            });
            assert!(most - least < 0.04, "{ttl_s}: {least} {most}");
            assert!((0.55..0.9).contains(&least), "{ttl_s}: {least}");
        }
    }

    fn run(demands: &[f64], seconds: usize) -> Vec<Vec<f64>> {
        run_by(&Law::default(), demands, seconds)
    }

    /// Steps nodes whose load follows their effective shares with the delay of a TTL.
    fn run_by(law: &Law, demands: &[f64], seconds: usize) -> Vec<Vec<f64>> {
        let mut nodes = vec![NodeLoad::default(); demands.len()];
        let mut real = vec![1.0; demands.len()];
        let mut shares = Vec::new();
        for _ in 0..seconds {
            let mean = real.iter().sum::<f64>() / real.len() as f64;
            for ((node, real), demand) in nodes.iter_mut().zip(&mut real).zip(demands) {
                *real += (node.share - *real) / (law.ttl_s * 0.6);
                node.report(&traffic(demand * *real / mean), 1.0, law);
            }
            let mut list: Vec<_> = nodes.iter_mut().collect();
            step_nodes(&mut list, 1.0, &LIMITS, law);
            shares.push(nodes.iter().map(|node| node.share).collect());
        }
        shares
    }

    #[test]
    fn a_busy_node_sheds_to_where_it_settles_and_does_not_swing() {
        let shares = run(&[1.1, 0.5, 0.5, 0.5, 0.5], 600);
        let last: Vec<f64> = shares[400..].iter().map(|shares| shares[0]).collect();
        let (least, most) =
            (last.iter().copied().fold(1.0, f64::min), last.iter().copied().fold(0.0, f64::max));
        assert!(most - least < 0.03, "{least} {most}");
        assert!((0.6..0.85).contains(&least), "{least}");
        assert!(shares.iter().all(|shares| shares[1] == 1.0));
    }

    #[test]
    fn nodes_that_are_all_too_busy_keep_their_shares() {
        for shares in run(&[1.4, 1.4, 1.4], 600) {
            assert_eq!(shares, [1.0; 3]);
        }
    }

    #[test]
    fn disk_errors_empty_a_node_whatever_its_load() {
        let law = Law::default();
        let mut nodes = [NodeLoad::default(), NodeLoad::default()];
        for _ in 0..100 {
            nodes[0].report(&Load { disk: 1.0, cpu: 0.1, ..Load::default() }, 1.0, &law);
            nodes[1].report(&traffic(0.2), 1.0, &law);
            let mut list: Vec<_> = nodes.iter_mut().collect();
            step_nodes(&mut list, 1.0, &LIMITS, &law);
        }
        assert!(nodes[0].share() < 0.05 && nodes[0].is_overloaded());
        assert_eq!(nodes[1].share(), 1.0);
    }
}
