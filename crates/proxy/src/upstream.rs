//! Next hops: who may be asked for a request, in which order, and what is known of each.
//!
//! ```text
//!   a client asks:  the peer that owns the key -> parents by the ring -> origins, if allowed
//!   a peer asks:                                  parents by the ring -> origins, if allowed
//!   no parents:     the peer that owns the key -> the site's origins, ordered or weighted
//!   a pushed path:  storage in the place of the origins
//! ```
//! A hop outlives reloads: what was learned of its health stays known as long as some configuration
//! names it.

use crate::health::{Health, HealthRules};
use selvedge_net::{Deadlines, Target};
use selvedge_policy::ring::{self, Ring};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What a hop is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    /// An edge of the same region.
    Peer,
    /// A cache nearer to the origin.
    Parent,
    /// The site's own server.
    Origin,
    /// Control, which keeps what was pushed.
    Storage,
}

impl Tier {
    /// The word for labels.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Parent => "parent",
            Self::Origin => "origin",
            Self::Storage => "storage",
        }
    }
}

/// A server this node may ask.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) url: Arc<str>,
    pub(crate) tier: Tier,
    pub(crate) target: Target,
    in_flight: AtomicUsize,
    rules: HealthRules,
    probing: AtomicBool,
    /// Protects the state machine; held for its few instructions only.
    health: Mutex<Health>,
}

/// A request under way to a hop; ends with it.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Hop>);

/// A probe under way: a hop has one at a time.
#[derive(Debug)]
pub(crate) struct ProbeTurn(Arc<Hop>);

impl Hop {
    /// Counts a request to this hop until the value is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// The right to send a probe, unless one is under way.
    pub(crate) fn begin_probe(self: &Arc<Self>) -> Option<ProbeTurn> {
        (!self.probing.swap(true, Ordering::Relaxed)).then(|| ProbeTurn(Arc::clone(self)))
    }

    fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be sent now; may take the one trial of a hop that was down.
    pub(crate) fn admit(&self, now_ms: u64) -> bool {
        self.health().admit(now_ms, &self.rules)
    }

    /// Whether a request could be sent now. Takes nothing.
    pub(crate) fn may_try(&self, now_ms: u64) -> bool {
        self.health().may_try(now_ms, &self.rules)
    }

    /// Whether it is held to be working.
    pub(crate) fn is_up(&self) -> bool {
        self.health().is_up()
    }

    /// A response head arrived.
    pub(crate) fn succeeded(&self) {
        if self.health().succeeded() {
            tracing::info!(hop = %self.url, "next hop is back");
        }
    }

    /// No response head arrived.
    pub(crate) fn failed(&self, now_ms: u64, word: &'static str) {
        if self.health().failed(now_ms, &self.rules) {
            tracing::warn!(hop = %self.url, reason = word, "next hop marked down");
        }
    }

    /// A probe was answered, or was not.
    pub(crate) fn probed(&self, ok: bool) {
        if self.health().probed(ok) {
            if ok {
                tracing::info!(hop = %self.url, "next hop passes its probe again");
            } else {
                tracing::warn!(hop = %self.url, "next hop fails its probe");
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.health().released();
    }
}

impl Drop for ProbeTurn {
    fn drop(&mut self) {
        self.0.probing.store(false, Ordering::Relaxed);
    }
}

/// What makes two hops the same: what is learned of one must hold for the other. Two sites that ask
/// one server different questions about its health have two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HopKey {
    pub(crate) tier: Tier,
    pub(crate) target: Target,
    /// Host and path of its probe, if it has one.
    pub(crate) probe: Option<(String, Option<String>)>,
}

/// All hops any configuration names, so that a reload finds the ones it keeps.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    /// Protects the table; taken when a configuration is compiled or counters are read.
    known: Mutex<HashMap<HopKey, Weak<Hop>>>,
}

impl Hops {
    /// The hop for `key`, the one already known if there is one.
    pub(crate) fn hop(&self, key: HopKey, url: &str, rules: HealthRules) -> Arc<Hop> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, hop| hop.strong_count() > 0);
        if let Some(hop) = known.get(&key).and_then(Weak::upgrade)
            && hop.rules == rules
        {
            return hop;
        }
        let hop = Arc::new(Hop {
            url: Arc::from(url),
            tier: key.tier,
            target: key.target.clone(),
            in_flight: AtomicUsize::new(0),
            rules,
            probing: AtomicBool::new(false),
            health: Mutex::new(Health::new()),
        });
        known.insert(key, Arc::downgrade(&hop));
        hop
    }

    /// Every hop in use.
    pub(crate) fn all(&self) -> Vec<Arc<Hop>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter_map(Weak::upgrade).collect()
    }
}

/// Hops that share the keys among them by a ring.
#[derive(Debug, Default)]
pub(crate) struct Tiered {
    hops: Vec<Arc<Hop>>,
    ring: Ring,
}

impl Tiered {
    pub(crate) fn new(hops: Vec<Arc<Hop>>) -> Self {
        let ring = Ring::new(hops.iter().map(|hop| &*hop.url));
        Self { hops, ring }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// In ring order for the key, members over their load bound last.
    fn order(&self, full_key: &[u8], load_factor: f64) -> impl Iterator<Item = &Arc<Hop>> {
        let mut order = self.ring.order(full_key);
        let loads: Vec<usize> = self.hops.iter().map(|hop| hop.load()).collect();
        ring::bound_load(&mut order, &loads, load_factor);
        order.into_iter().map(|member| &self.hops[member])
    }

    /// The member that owns the key among those that may be asked.
    fn owner(
        &self,
        full_key: &[u8],
        now_ms: u64,
        is_self: impl Fn(&Hop) -> bool,
    ) -> Option<&Arc<Hop>> {
        let order = self.ring.order(full_key);
        let mut members = order.into_iter().map(|member| &self.hops[member]);
        members.find(|hop| is_self(hop) || hop.may_try(now_ms))
    }
}

/// How a site's origins share its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginPolicy {
    /// The first that is up.
    Ordered,
    /// Each fetch to one of them, in proportion to their weights.
    Weighted,
}

/// The origins of a site.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    pub(crate) hops: Vec<(Arc<Hop>, u32)>,
    pub(crate) policy: OriginPolicy,
}

impl Origins {
    /// Best first. `spin` spreads weighted ones: one more for each fetch.
    pub(crate) fn order(&self, spin: u64) -> Vec<Arc<Hop>> {
        let mut order: Vec<Arc<Hop>> = self.hops.iter().map(|(hop, _)| Arc::clone(hop)).collect();
        let total: u64 = self.hops.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if self.policy == OriginPolicy::Weighted && total > 0 {
            let mut at = spin % total;
            for (index, (_, weight)) in self.hops.iter().enumerate() {
                match at.checked_sub(u64::from(*weight)) {
                    Some(rest) => at = rest,
                    None => {
                        order.rotate_left(index);
                        break;
                    }
                }
            }
        }
        order
    }
}

/// The upstream side of a configuration.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) parents: Tiered,
    pub(crate) peers: Tiered,
    /// Which of the peers is this node.
    pub(crate) own_peer: Option<Arc<str>>,
    pub(crate) peer_copy: bool,
    pub(crate) origin_fallback: bool,
    pub(crate) load_factor: f64,
    pub(crate) deadlines: Deadlines,
}

impl Upstream {
    /// The hops to ask for a request, best first; `sources` are those at the end of the way. Who is
    /// down is for the asker to skip.
    pub(crate) fn route(
        &self,
        sources: Vec<Arc<Hop>>,
        full_key: &[u8],
        from_peer: bool,
        now_ms: u64,
    ) -> Vec<Arc<Hop>> {
        let mut hops = Vec::with_capacity(4);
        if !from_peer && let Some(owner) = self.peer_owner(full_key, now_ms) {
            hops.push(Arc::clone(owner));
        }
        if self.parents.is_empty() {
            hops.extend(sources);
        } else {
            hops.extend(self.parents.order(full_key, self.load_factor).cloned());
            if self.origin_fallback {
                hops.extend(sources);
            }
        }
        hops
    }

    /// The peer that owns the key, unless that is this node.
    fn peer_owner(&self, full_key: &[u8], now_ms: u64) -> Option<&Arc<Hop>> {
        let own = self.own_peer.as_deref()?;
        let owner = self.peers.owner(full_key, now_ms, |hop| &*hop.url == own);
        owner.filter(|hop| &*hop.url != own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: HealthRules = HealthRules { fail_count: 1, down_ms: 1_000, down_ms_max: 1_000 };

    fn hop(tier: Tier, url: &str) -> Arc<Hop> {
        let target = Target::parse(url).expect("a URL");
        Hops::default().hop(HopKey { tier, target, probe: None }, url, RULES)
    }

    fn upstream(parents: &[&str], peers: &[&str]) -> Upstream {
        let tier =
            |tier, urls: &[&str]| Tiered::new(urls.iter().map(|url| hop(tier, url)).collect());
        Upstream {
            parents: tier(Tier::Parent, parents),
            peers: tier(Tier::Peer, peers),
            own_peer: peers.first().map(|url| Arc::from(*url)),
            peer_copy: true,
            origin_fallback: true,
            load_factor: 1.25,
            deadlines: Deadlines::default(),
        }
    }

    fn origins(policy: OriginPolicy, spin: u64) -> Vec<Arc<Hop>> {
        let hops = vec![
            (hop(Tier::Origin, "http://127.0.0.1:1"), 1),
            (hop(Tier::Origin, "http://127.0.0.1:2"), 3),
        ];
        Origins { hops, policy }.order(spin)
    }

    fn urls(route: &[Arc<Hop>]) -> Vec<&str> {
        route.iter().map(|hop| &*hop.url).collect()
    }

    #[test]
    fn parents_come_before_the_origin() {
        let upstream = upstream(&["http://127.0.0.1:8", "http://127.0.0.1:9"], &[]);
        let route = upstream.route(origins(OriginPolicy::Ordered, 0), b"key", false, 0);
        let tiers: Vec<Tier> = route.iter().map(|hop| hop.tier).collect();
        assert_eq!(tiers, [Tier::Parent, Tier::Parent, Tier::Origin, Tier::Origin]);
    }

    #[test]
    fn the_owning_peer_is_asked_first_and_a_peers_request_only_goes_up() {
        let upstream =
            upstream(&["http://127.0.0.1:8"], &["http://127.0.0.1:5", "http://127.0.0.1:6"]);
        let mut asked_peer = 0;
        for n in 0..100_u8 {
            let origins = origins(OriginPolicy::Ordered, 0);
            let first = upstream.route(origins.clone(), &[n], false, 0)[0].clone();
            if first.tier == Tier::Peer {
                assert_eq!(&*first.url, "http://127.0.0.1:6", "never itself");
                asked_peer += 1;
            }
            let from_peer = upstream.route(origins, &[n], true, 0);
            assert_eq!(from_peer[0].tier, Tier::Parent);
        }
        assert!((20..80).contains(&asked_peer), "{asked_peer}");
    }

    #[test]
    fn weights_share_requests_and_the_others_stay_as_reserves() {
        let upstream = upstream(&[], &[]);
        let mut first = 0;
        for spin in 0..400 {
            let origins = origins(OriginPolicy::Weighted, spin);
            let route = upstream.route(origins, b"key", false, 0);
            assert_eq!(route.len(), 2);
            first += usize::from(urls(&route)[0] == "http://127.0.0.1:1");
        }
        assert_eq!(first, 100);
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_a_hop() {
        let hops = Hops::default();
        let url = "http://127.0.0.1:1";
        let target = Target::parse(url).expect("a URL");
        let key = HopKey { tier: Tier::Origin, target, probe: None };
        let before = hops.hop(key.clone(), url, RULES);
        before.failed(0, "connect");
        let after = hops.hop(key.clone(), url, RULES);
        assert!(!after.is_up());
        drop((before, after));
        assert!(hops.hop(key, url, RULES).is_up(), "forgotten once unused");
    }

    #[test]
    fn a_peer_that_was_down_is_tried_again_without_probes() {
        let upstream = upstream(&[], &["http://127.0.0.1:5", "http://127.0.0.1:6"]);
        let asked = |now_ms| {
            (0..100_u8).any(|n| {
                let origins = origins(OriginPolicy::Ordered, 0);
                upstream.route(origins, &[n], false, now_ms)[0].tier == Tier::Peer
            })
        };
        upstream.peers.hops[1].failed(0, "connect");
        assert!(!asked(999));
        assert!(asked(1_000));
    }
}
