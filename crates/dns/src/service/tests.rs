//! What workers answer from what the helm makes of nodes, votes and intents.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use selvedge_authority::{MasterFile, Name, RateLimits, Responder, Settings, Zones};
use selvedge_feed::{Burden, Vitals};
use selvedge_geo::atlas::Atlas;
use selvedge_geo::config::{Config, NodeConfig, SiteConfig};
use selvedge_geo::coverage::Coverage;
use selvedge_geo::health::{Intent, Thresholds};
use selvedge_geo::places::Places;
use selvedge_geo::regions::RegionConfig;
use selvedge_geo::steering::{Observed, Steering};
use selvedge_net::Clock;
use selvedge_telemetry::{AccessLog, AccessSettings, LogTarget, Telemetry};

use super::*;
use crate::{Answer, Transport};

const ZONE: &str = "$TTL 60\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 2 };

/// Two nodes of one region, a site, and a worker.
struct Rig {
    helm: Helm,
    figures: Arc<Figures>,
    worker: Worker,
    now_ms: u64,
}

fn atlas() -> Arc<Atlas> {
    let node = |last: u8| NodeConfig {
        name: format!("edge-{last}"),
        region: "eu".to_owned(),
        v4: Some(Ipv4Addr::new(192, 0, 2, last)),
        v6: None,
        weight: 100,
    };
    let config = Config {
        regions: vec![RegionConfig { name: "eu".to_owned(), ..RegionConfig::default() }],
        default_region: "eu".to_owned(),
        nodes: vec![node(1), node(2)],
        sites: vec![SiteConfig { name: "shop".to_owned(), ..SiteConfig::default() }],
        last_good_s: 3600.0,
        ..Config::default()
    };
    let (coverage, places) = (Arc::new(Coverage::empty()), Arc::new(Places::none()));
    Arc::new(Atlas::build(&config, coverage, places).expect("it fits together"))
}

fn asked(name: &str, intent: Intent) -> NodeAsked {
    NodeAsked { name: name.to_owned(), health: None, intent }
}

fn manner(rates: RateLimits) -> Manner {
    let apex = Name::from_text("cdn.test", &Name::root()).expect("a name");
    let file = MasterFile { apex: &apex, has_sites: true, file: "zone", bytes: ZONE.as_bytes() };
    let zone = file.read(&mut |_| Err("no file".to_owned())).expect("a zone").zone;
    let responder = Responder::new(Zones::new([Arc::new(zone)]), Settings::default());
    Manner { responder: Arc::new(responder), rates: Arc::new(rates), log_share: 0.0 }
}

impl Rig {
    fn new() -> Self {
        Self::with(RateLimits::default())
    }

    fn with(rates: RateLimits) -> Self {
        let atlas = atlas();
        let world = Steering::new(Arc::clone(&atlas)).step(0.0, &Observed::default());
        let ground = Arc::new(Ground::new(manner(rates), Arc::new(world)));
        let nodes = vec![asked("edge-1", Intent::Online), asked("edge-2", Intent::Online)];
        let helm = Helm::new(Arc::clone(&ground), atlas, nodes, THRESHOLDS);
        let telemetry = Telemetry::new("dns-1");
        let off = AccessSettings { target: LogTarget::Off, ..AccessSettings::default() };
        let figures = Arc::new(Figures::default());
        let shop = Workshop {
            ground,
            figures: Arc::clone(&figures),
            log: AccessLog::open(off, &telemetry).expect("no log is opened"),
            clock: Clock::start(),
            rate_key: [7; 16],
        };
        Self { helm, figures, worker: Worker::new(shop), now_ms: 1_000 }
    }

    fn probe(&self, name: &str, vitals: Option<&Vitals>) {
        self.helm.probed(name, vitals, self.now_ms);
    }

    fn step(&mut self) {
        self.now_ms += 1_000;
        self.helm.step(self.now_ms);
        self.worker.refresh();
    }

    /// The last numbers of the addresses that a client gets.
    fn addresses(&mut self) -> Vec<u8> {
        let reply = self.ask(b"\x04shop\x03cdn\x04test\x00", 1);
        assert_eq!(reply[3] & 15, 0, "{reply:?}");
        let count = usize::from(reply[7]);
        let mut found: Vec<u8> = (0..count).map(|at| reply[reply.len() - 1 - at * 16]).collect();
        found.sort_unstable();
        found
    }

    fn ask(&mut self, name: &[u8], kind: u16) -> Vec<u8> {
        let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend_from_slice(name);
        query.extend_from_slice(&kind.to_be_bytes());
        query.extend_from_slice(&[0, 1]);
        let (from, mut out) = (SocketAddr::from(([198, 51, 100, 1], 5353)), Vec::new());
        self.worker.answer(&query, from, Transport::Udp, &mut out);
        out
    }

    fn count(&self, name: &str, label: &str) -> u64 {
        let mut found = 0;
        self.figures.each(&mut |figure| {
            let is_labelled = figure.labels.iter().any(|(_, word)| *word == label);
            if figure.name == name && (label.is_empty() || is_labelled) {
                found += figure.value;
            }
        });
        found
    }
}

fn vitals(why: Option<&str>) -> Vitals {
    let load = Burden::default();
    Vitals { node: "x".to_owned(), ready: why.is_none(), why: why.map(str::to_owned), load }
}

#[test]
fn a_node_that_answers_no_more_leaves_the_answer_and_comes_back() {
    let mut rig = Rig::new();
    assert_eq!(rig.addresses(), [1, 2], "nothing is known yet");
    for name in ["edge-1", "edge-2"] {
        rig.probe(name, Some(&vitals(None)));
    }
    rig.step();
    rig.probe("edge-2", None);
    rig.step();
    assert_eq!(rig.addresses(), [1, 2], "once is not enough");
    rig.probe("edge-2", None);
    rig.step();
    assert_eq!(rig.addresses(), [1]);
    assert!(!rig.helm.opinion().up["edge-2"]);
    for _ in 0..2 {
        rig.probe("edge-2", Some(&vitals(None)));
    }
    rig.step();
    assert!(rig.helm.opinion().up["edge-2"]);
    assert_eq!(rig.count("dns_sent", "eu"), 3);
    assert_eq!(rig.count("dns_queries", "site"), 3);
}

#[test]
fn an_answer_is_never_empty() {
    let mut rig = Rig::new();
    for _ in 0..5 {
        rig.probe("edge-1", None);
        rig.probe("edge-2", None);
        rig.step();
        assert!(!rig.addresses().is_empty());
    }
}

#[test]
fn a_node_that_drains_gets_nobody_new_whoever_wants_it() {
    let mut rig = Rig::new();
    rig.probe("edge-1", Some(&vitals(None)));
    rig.probe("edge-2", Some(&vitals(Some("draining"))));
    rig.step();
    assert_eq!(rig.addresses(), [1], "it says so itself");
    let nodes = vec![asked("edge-1", Intent::Offline), asked("edge-2", Intent::Online)];
    rig.probe("edge-2", Some(&vitals(None)));
    rig.helm.replace(atlas(), nodes, THRESHOLDS, rig.now_ms);
    rig.worker.refresh();
    assert_eq!(rig.addresses(), [2], "operators say so");
}

#[test]
fn without_control_the_nodes_that_still_serve_are_up() {
    let mut rig = Rig::new();
    rig.probe("edge-1", Some(&vitals(None)));
    rig.probe("edge-2", Some(&vitals(Some("control-lost"))));
    rig.step();
    assert_eq!(rig.addresses(), [1], "the other one has what it may lack");
    for _ in 0..2 {
        rig.probe("edge-1", Some(&vitals(Some("control-lost"))));
    }
    rig.step();
    let up: Vec<bool> = rig.helm.opinion().up.values().copied().collect();
    assert_eq!(up, [true, true], "nobody has control any more");
    assert!(rig.addresses().contains(&1));
}

/// Control is gone for a day; in the middle of it every node is dead for two hours, which is longer
/// than those that were up last are known for. Then control is back, for one node after the other.
#[test]
fn a_day_without_control_is_answered_all_day() {
    // The same client asks all day, and it is over at once.
    let mut rig = Rig::with(RateLimits { answers_per_second: 0, ..RateLimits::default() });
    let both = |rig: &Rig, vitals: Option<&Vitals>| {
        ["edge-1", "edge-2"].into_iter().for_each(|name| rig.probe(name, vitals));
    };
    both(&rig, Some(&vitals(None)));
    rig.step();
    let minutes = 24 * 60;
    for minute in 0..minutes {
        let is_dead = (600..720).contains(&minute);
        let lost = vitals(Some("control-lost"));
        rig.now_ms += 60_000 - 1_000;
        both(&rig, if is_dead { None } else { Some(&lost) });
        rig.step();
        assert_eq!(rig.addresses(), [1, 2], "minute {minute}");
    }
    assert_eq!(rig.count("dns_queries", "site"), minutes);
    rig.probe("edge-2", Some(&vitals(None)));
    rig.probe("edge-2", Some(&vitals(None)));
    rig.step();
    assert_eq!(rig.addresses(), [2], "it has all, and at once");
    for _ in 0..2 {
        both(&rig, Some(&vitals(None)));
    }
    rig.step();
    assert_eq!(rig.addresses(), [1, 2]);
}

#[test]
fn a_node_is_down_when_most_of_those_that_see_say_so() {
    let mut rig = Rig::new();
    let opinion = |one: bool, two: bool| Opinion {
        up: [("edge-1".to_owned(), one), ("edge-2".to_owned(), two)].into(),
    };
    for _ in 0..2 {
        rig.probe("edge-1", Some(&vitals(None)));
        rig.probe("edge-2", None);
    }
    rig.helm.heard("dns-2", opinion(true, true), rig.now_ms);
    rig.helm.heard("dns-3", opinion(true, true), rig.now_ms);
    rig.step();
    assert_eq!(rig.addresses(), [1, 2], "only this server cannot see it");
    rig.helm.heard("dns-2", opinion(true, false), rig.now_ms);
    rig.helm.heard("dns-3", opinion(false, false), rig.now_ms);
    rig.step();
    assert_eq!(rig.addresses(), [1], "who sees nothing does not count");
}

#[test]
fn what_is_too_many_is_dropped_or_slipped_and_counted() {
    let rates = RateLimits { answers_per_second: 2, slip: 2, ..RateLimits::default() };
    let mut rig = Rig::with(rates);
    let replies: Vec<Vec<u8>> =
        (0..8).map(|_| rig.ask(b"\x04shop\x03cdn\x04test\x00", 1)).collect();
    let (dropped, slipped) = (rig.count("dns_limited", ""), rig.count("dns_slipped", ""));
    assert!(dropped > 0 && slipped > 0, "{dropped}, {slipped}");
    let silent = replies.iter().filter(|reply| reply.is_empty()).count() as u64;
    let truncated = replies.iter().filter(|reply| reply.get(2).is_some_and(|it| it & 2 > 0));
    assert_eq!((silent, truncated.count() as u64), (dropped, slipped));
}

#[test]
fn what_cannot_be_understood_is_counted_by_its_reason() {
    let mut rig = Rig::new();
    let mut out = Vec::new();
    let from = SocketAddr::from(([198, 51, 100, 1], 5353));
    rig.worker.answer(b"short", from, Transport::Udp, &mut out);
    assert!(out.is_empty());
    assert_eq!(rig.count("dns_queries", "short"), 1);
    let reply = rig.ask(b"\x05other\x04test\x00", 1);
    assert_eq!(reply[3] & 15, 5, "not ours");
    assert_eq!((rig.count("dns_replies", "refused"), rig.count("dns_queries", "not_ours")), (1, 1));
}
