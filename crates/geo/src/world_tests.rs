//! Whole worlds: from configuration, reports and votes to answers.

use super::*;
use crate::config::{Config, NodeConfig, SiteConfig};
use crate::coverage::Coverage;
use crate::hash::HashKey;
use crate::health::Intent;
use crate::load::Load;
use crate::places::{Coordinates, Places};
use crate::regions::RegionConfig;
use crate::steering::{Observed, Steering};
use proptest::prelude::*;

const MAP: &str =
    "10.0.0.0/8,frankfurt\n10.9.0.0/16,tokyo\n2001:db8::/32,paris\n192.0.2.0/28,paris\n";

fn config() -> Config {
    let regions = [("frankfurt", 50.1, 8.7), ("paris", 48.9, 2.4), ("tokyo", 35.7, 139.7)];
    let region = |&(name, latitude, longitude): &(&str, f64, f64)| RegionConfig {
        name: name.into(),
        coordinates: Coordinates::new(latitude, longitude),
        fallback: Vec::new(),
    };
    let node = |(region, number): (usize, u8)| NodeConfig {
        name: format!("{}-{number}", regions[region].0),
        region: regions[region].0.into(),
        v4: Some(Ipv4Addr::new(198, 51, 100, region as u8 * 10 + number)),
        v6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, region as u16, u16::from(number))),
        weight: 100,
    };
    let site = |name: &str, answers, spread| SiteConfig {
        name: name.into(),
        answers,
        spread,
        ..SiteConfig::default()
    };
    Config {
        regions: regions.iter().map(region).collect(),
        default_region: "paris".into(),
        nodes: (0..3)
            .flat_map(|region| (0..5).map(move |number| (region, number)))
            .map(node)
            .collect(),
        sites: vec![
            site("wide", 5, 5),
            site("narrow", 2, 4),
            SiteConfig { pinned: Some("tokyo".into()), ..site("pinned", 2, 2) },
            SiteConfig {
                families: Families::V4,
                regions: vec!["paris".into()],
                ..site("old", 1, 1)
            },
            SiteConfig {
                weights: vec![("frankfurt".into(), 50)],
                fallback: vec![[203, 0, 113, 9].into()],
                ..site("half", 1, 3)
            },
        ],
        key: HashKey([3, 4]),
        last_good_s: 600.0,
        ..Config::default()
    }
}

fn atlas(config: &Config) -> Arc<Atlas> {
    let regions = crate::regions::Regions::new(&config.regions, "paris").expect("whole");
    let coverage = Coverage::from_csv(MAP, &regions).expect("whole");
    let places =
        Places::from_mmdb(include_bytes!("../tests/data/country-flat.mmdb")).expect("whole");
    Arc::new(Atlas::build(config, Arc::new(coverage), Arc::new(places)).expect("whole"))
}

fn ask(world: &World, site: &str, address: IpAddr, prefix: u8) -> Answer {
    let mut answer = Answer::default();
    world.locate(world.find(site.as_bytes()).expect("a site"), address, prefix, &mut answer);
    answer
}

/// The region's name, the rule's word and the scope.
fn reason(world: &World, site: &str, address: &str, prefix: u8) -> (String, &'static str, u8) {
    let answer = ask(world, site, address.parse().expect("an address"), prefix);
    let (region, rule) = answer.reason.expect("no fall-back");
    (world.atlas().regions().name(region).to_owned(), rule.word(), answer.scope)
}

fn calm() -> World {
    Steering::new(atlas(&config())).step(0.0, &Observed::default())
}

fn expect(region: &str, rule: &'static str, scope: u8) -> (String, &'static str, u8) {
    (region.to_owned(), rule, scope)
}

#[test]
fn clients_go_where_map_database_and_default_say() {
    let world = calm();
    assert_eq!(reason(&world, "wide", "10.1.2.3", 24), expect("frankfurt", "coverage", 13));
    assert_eq!(reason(&world, "wide", "10.9.2.3", 24), expect("tokyo", "coverage", 16));
    assert_eq!(reason(&world, "wide", "192.0.2.200", 32), expect("frankfurt", "distance", 25));
    assert_eq!(reason(&world, "wide", "198.51.100.7", 24), expect("tokyo", "distance", 24));
    assert_eq!(reason(&world, "wide", "203.0.113.7", 24).1, "default");
    assert_eq!(reason(&world, "wide", "2001:db8::7", 56), expect("paris", "coverage", 33));
    assert_eq!(reason(&world, "wide", "10.1.2.3", 0), expect("paris", "default", 0));
    assert_eq!(reason(&world, "pinned", "10.1.2.3", 24), expect("tokyo", "pinned", 0));
    assert_eq!(reason(&world, "old", "10.1.2.3", 24).0, "paris");
}

#[test]
fn an_answer_names_as_many_as_the_site_wants_of_its_families() {
    let world = calm();
    let client = [10, 1, 2, 3].into();
    let all = ask(&world, "wide", client, 24);
    assert_eq!((all.v4.len(), all.v6.len(), all.ttl_s), (5, 5, 30));
    let old = ask(&world, "old", client, 24);
    assert_eq!((old.v4.len(), old.v6.len()), (1, 0));
    let few = ask(&world, "narrow", client, 24);
    assert_eq!((few.v4.len(), few.scope), (2, 16), "nodes differ by /16");
}

#[test]
fn nodes_of_one_family_are_named_for_that() {
    let mut config = config();
    for node in &mut config.nodes[..4] {
        node.v4 = None;
    }
    config.nodes[4].v6 = None;
    let world = Steering::new(atlas(&config)).step(0.0, &Observed::default());
    let answer = ask(&world, "old", [10, 1, 2, 3].into(), 24);
    assert_eq!(answer.v4.len(), 1);
    let answer = ask(&world, "wide", [10, 1, 2, 3].into(), 24);
    assert_eq!((answer.v4.len(), answer.v6.len()), (1, 4));
}

#[test]
fn a_region_that_is_down_is_not_named_and_all_down_is_last_good_then_fallback() {
    let mut steering = Steering::new(atlas(&config()));
    let vote = |up: std::ops::Range<usize>| {
        vec![(0..15).map(|node| Some(up.contains(&node))).collect::<Vec<_>>(); 3]
    };
    let first = vote(5..14);
    let world = steering.step(0.0, &Observed { votes: &first, ..Observed::default() });
    assert_ne!(reason(&world, "wide", "10.1.2.3", 24).0, "frankfurt");
    let tokyo = ask(&world, "wide", [10, 9, 2, 3].into(), 24);
    assert_eq!(tokyo.v4.len(), 4, "one of them is down");
    // Nobody sees anything up: the monitors are blind, what was good stays.
    let none = vote(0..0);
    let blind = Observed { votes: &none, ..Observed::default() };
    let world = steering.step(10.0, &blind);
    assert_eq!(ask(&world, "wide", [10, 9, 2, 3].into(), 24), tokyo);
    assert_eq!(
        ask(&world, "half", [10, 9, 2, 3].into(), 24).reason.map(|reason| reason.1),
        Some(Rule::Coverage)
    );
    let world = steering.step(700.0, &blind);
    assert_eq!(ask(&world, "half", [10, 9, 2, 3].into(), 24).v4, [Ipv4Addr::new(203, 0, 113, 9)]);
    assert_eq!(
        ask(&world, "wide", [10, 9, 2, 3].into(), 24).v4.len(),
        4,
        "no fall-back: last good"
    );
}

#[test]
fn intent_takes_nodes_out_and_the_last_resort_is_never_empty() {
    let mut steering = Steering::new(atlas(&config()));
    let mut intents = vec![Intent::Online; 15];
    intents[5] = Intent::Draining;
    intents[6] = Intent::Offline;
    let world = steering.step(0.0, &Observed { intents: &intents, ..Observed::default() });
    let paris = "2001:db8::1".parse().expect("an address");
    assert_eq!(ask(&world, "wide", paris, 56).v4.len(), 3);
    assert_eq!(world.node(5).map(|node| node.state.word()), Some("draining"));
    intents.fill(Intent::Draining);
    intents[6] = Intent::Offline;
    let world = steering.step(1.0, &Observed { intents: &intents, ..Observed::default() });
    assert_eq!(ask(&world, "wide", paris, 56).v4.len(), 4, "better draining than nobody");
    intents[5..10].fill(Intent::Offline);
    let world = steering.step(2.0, &Observed { intents: &intents, ..Observed::default() });
    assert_eq!(ask(&world, "wide", paris, 56).v4.len(), 5, "another region's");
}

#[test]
fn a_node_that_comes_back_starts_with_little_and_gets_all_in_time() {
    let mut steering = Steering::new(atlas(&config()));
    let mut share = |now_s: f64, up| {
        let mut votes = vec![vec![Some(true); 15]];
        votes[0][0] = Some(up);
        let world = steering.step(now_s, &Observed { votes: &votes, ..Observed::default() });
        world.node(0).expect("a node").share
    };
    assert_eq!(share(0.0, true), 1.0, "at the start nobody is new");
    share(1.0, false);
    assert!(share(2.0, true) < 0.2);
    let shares: Vec<_> = (3..1000).map(|second| share(f64::from(second), true)).collect();
    assert!(shares.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(shares.last(), Some(&1.0));
}

/// All of a region were away, and come back at different moments.
#[test]
fn the_first_to_come_back_has_all_and_the_next_share_alike() {
    let mut steering = Steering::new(atlas(&config()));
    let mut shares = |now_s: f64, up: usize| {
        // Elsewhere somebody is up all the time: the monitors are not blind.
        let votes = vec![(0..15).map(|node| Some(node < up || node >= 5)).collect::<Vec<_>>()];
        let world = steering.step(now_s, &Observed { votes: &votes, ..Observed::default() });
        (0..up).map(|node| world.node(node).expect("a node").share).collect::<Vec<_>>()
    };
    assert_eq!(shares(0.0, 5), [1.0; 5]);
    assert_eq!(shares(1.0, 0), [0.0; 0]);
    assert_eq!(shares(2.0, 1), [1.0], "nobody else is up");
    assert_eq!(shares(5.0, 3), [1.0; 3], "who was first is as new as they are");
    let later = shares(40.0, 4);
    assert!(later[..3] == [1.0; 3] && later[3] < 0.2, "{later:?}");
}

#[test]
fn one_that_ran_all_along_comes_back_with_what_it_had() {
    let mut steering = Steering::new(atlas(&config()));
    let mut share = |now_s: f64, is_up: bool, runs: bool, intent: Intent| {
        let votes = vec![(0..15).map(|node| Some(node != 0 || is_up)).collect::<Vec<_>>()];
        let (running, intents) = ([runs], [intent]);
        let observed =
            Observed { votes: &votes, running: &running, intents: &intents, ..Default::default() };
        steering.step(now_s, &observed).node(0).expect("a node").share
    };
    share(0.0, true, true, Intent::Online);
    share(1.0, false, true, Intent::Online);
    share(2.0, false, true, Intent::Online);
    assert_eq!(share(3.0, true, true, Intent::Online), 1.0);
    for runs in [true, false, true] {
        share(4.0, false, runs, Intent::Online);
    }
    assert!(share(5.0, true, true, Intent::Online) < 0.2, "it was gone for a moment");
    share(6.0, true, true, Intent::Draining);
    assert!(share(7.0, true, true, Intent::Online) < 0.2, "what it has may be old");
}

/// A world in which Frankfurt is too busy for long.
fn busy() -> World {
    let mut steering = Steering::new(atlas(&config()));
    let load = |cpu| Some(Load { cpu, ..Load::default() });
    let loads: Vec<_> = (0..15).map(|node| load(if node < 5 { 1.3 } else { 0.2 })).collect();
    let observed = Observed { loads: &loads, ..Observed::default() };
    let mut world = steering.step(0.0, &observed);
    for second in 1..20 {
        world = steering.step(f64::from(second), &observed);
    }
    world
}

#[test]
fn a_region_that_is_too_busy_shares_its_clients_by_network() {
    let world = busy();
    let mut regions = std::collections::BTreeMap::new();
    for network in 0..=255 {
        let (region, rule, scope) = reason(&world, "wide", &format!("10.1.{network}.9"), 24);
        assert_eq!((rule, scope), ("coverage", 24));
        *regions.entry(region).or_insert(0) += 1;
    }
    assert!(regions["frankfurt"] > 80 && regions["frankfurt"] < 200, "{regions:?}");
    assert!(regions["paris"] > 20, "{regions:?}");
    let short = reason(&world, "wide", "10.1.0.0", 20);
    assert_eq!(short.2, 20, "never beyond what is known");
    assert_eq!(world.node(0).map(|node| node.state.word()), Some("overloaded"));
}

#[test]
fn what_was_learnt_outlives_a_new_atlas() {
    let mut steering = Steering::new(atlas(&config()));
    let votes = vec![vec![Some(false), Some(true)]];
    steering.step(0.0, &Observed { votes: &votes, ..Observed::default() });
    let mut changed = config();
    changed.nodes.swap(0, 3);
    changed.sites.truncate(1);
    steering.replace(atlas(&changed));
    let world = steering.step(1.0, &Observed { votes: &[vec![]], ..Observed::default() });
    assert_eq!(world.node(3).map(|node| node.state), Some(State::Down));
    assert_eq!(ask(&world, "wide", [10, 1, 2, 3].into(), 24).v4.len(), 4);
}

#[test]
fn an_explanation_says_what_became_of_every_node() {
    let world = busy();
    let site = world.find(b"narrow").expect("a site");
    let client: IpAddr = [10, 1, 2, 3].into();
    let text = world.explain(site, client, 24).expect("a site");
    let answer = ask(&world, "narrow", client, 24);
    assert_eq!((text.scope, text.rule), (answer.scope, Rule::Coverage));
    assert_eq!(text.covered.as_deref(), Some("frankfurt"));
    assert_eq!(text.regions.len(), 3);
    assert!((text.regions.iter().map(|region| region.share).sum::<f64>() - 1.0).abs() < 1e-6);
    assert_eq!(text.nodes.len(), 15);
    let named = text.nodes.iter().filter(|node| node.why == "named").count();
    assert_eq!(named, answer.v4.len());
    for node in &text.nodes {
        assert_eq!(node.why == "other-region", node.region != text.region, "{node:?}");
    }
    let json = serde_json::to_value(&text).expect("serialisable");
    assert_eq!(json["rule"], "coverage");
    assert_eq!(json["client"], "10.1.2.0");
}

/// What a server that follows control knows before the first node has joined.
#[test]
fn a_world_without_nodes_names_nobody() {
    let mut steering = Steering::new(atlas(&Config { nodes: Vec::new(), ..config() }));
    let world = steering.step(0.0, &Observed::default());
    assert!(ask(&world, "wide", [10, 9, 2, 3].into(), 24).v4.is_empty());
    steering.replace(atlas(&config()));
    let world = steering.step(1.0, &Observed::default());
    assert_eq!(ask(&world, "wide", [10, 9, 2, 3].into(), 24).v4.len(), 5);
}

#[test]
fn a_broken_configuration_is_refused_with_all_its_faults() {
    let mut broken = config();
    broken.nodes[0].region = "mars".into();
    broken.nodes[1].weight = 0;
    broken.sites[1].spread = 1;
    broken.sites[2].pinned = Some("mars".into());
    broken.sites[3].name = "wide".into();
    let places = Arc::new(Places::none());
    let error = Atlas::build(&broken, Arc::new(Coverage::empty()), places).expect_err("broken");
    assert_eq!(error.to_string().lines().count(), 6, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn everybody_inside_a_scope_gets_the_same_answer(
        low in any::<u32>(),
        wide in any::<bool>(),
        prefix in 8_u8..=32,
        other in any::<u32>(),
        site in proptest::sample::select(vec!["wide", "narrow", "pinned", "old", "half"]),
        carried in any::<bool>(),
    ) {
        thread_local! {
            static WORLD: World = busy();
        }
        WORLD.with(|world| {
            let address = if wide { low } else { 0x0a00_0000 | (low & 0xff_ffff) };
            let carry = |bits: u32| -> IpAddr {
                let v4 = Ipv4Addr::from_bits(bits);
                if carried { v4.to_ipv6_mapped().into() } else { v4.into() }
            };
            let front = if carried { 96 } else { 0 };
            let one = ask(world, site, carry(address), prefix + front);
            prop_assert!(!one.v4.is_empty());
            // Longer than told only where what was told is ambiguous: nothing is promised then.
            if one.scope <= prefix + front {
                let bits = one.scope.saturating_sub(front);
                let mask = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                let inside = (address & !mask) | (other & mask);
                let two = ask(world, site, carry(inside), prefix + front);
                prop_assert_eq!(one, two);
            }
            Ok(())
        })?;
    }
}

#[test]
fn nodes_that_come_after_the_beginning_are_taken_at_once() {
    let whole = config();
    let nobody = Config { nodes: Vec::new(), ..config() };
    let mut steering = Steering::new(atlas(&nobody));
    let world = steering.step(0.0, &Observed::default());
    let client = "10.9.1.1".parse().expect("an address");
    let [half, wide] = ["half", "wide"].map(|site| ask(&world, site, client, 32));
    assert_eq!(half.v4, [Ipv4Addr::new(203, 0, 113, 9)], "a site has its fall-back");
    assert_eq!((wide.v4, wide.v6), (vec![], vec![]));
    steering.replace(atlas(&whole));
    let world = steering.step(1.0, &Observed::default());
    assert_eq!(reason(&world, "wide", "10.9.1.1", 32), expect("tokyo", "coverage", 16));
}
