//! Orders of regions, rule by rule.

use super::*;
use crate::regions::RegionConfig;
use proptest::prelude::*;

fn regions() -> Regions {
    let config = |name: &str, latitude, longitude, fallback: &[&str]| RegionConfig {
        name: name.into(),
        coordinates: Coordinates::new(latitude, longitude),
        fallback: fallback.iter().map(|&name| name.into()).collect(),
    };
    let list = [
        config("frankfurt", 50.1, 8.7, &[]),
        config("paris", 48.9, 2.4, &["newyork"]),
        config("london", 51.5, -0.1, &[]),
        config("newyork", 40.7, -74.0, &[]),
        config("tokyo", 35.7, 139.7, &[]),
        config("sydney", -33.9, 151.2, &[]),
    ];
    Regions::new(&list, "newyork").expect("whole")
}

fn rules(regions: &Regions) -> Rules {
    let config = RulesConfig {
        asn: vec![(64500, "tokyo".into())],
        country: vec![("ES".into(), "london".into())],
        continent: vec![("oc".into(), "sydney".into()), ("EU".into(), "frankfurt".into())],
    };
    Rules::new(&config, regions).expect("whole")
}

fn place(country: Option<&str>, asn: Option<u32>) -> Place {
    Place { country: country.and_then(Country::parse), asn, ..Place::default() }.completed()
}

fn rank(rules: &Rules, mapping: &Mapping, covered: Option<&str>, place: &Place) -> (Rule, String) {
    let regions = regions();
    let ranker = Ranker { regions: &regions, rules, mapping };
    let ranking = ranker.rank(covered.and_then(|name| regions.find(name)), place);
    let names: Vec<_> =
        ranking.regions.iter().map(|ranked| &regions.name(ranked.region)[..2]).collect();
    (ranking.rule, names.join(" "))
}

fn all() -> Mapping {
    Mapping::default()
}

#[test]
fn the_most_special_rule_chooses() {
    let rules = rules(&regions());
    let rule = |covered, place| rank(&rules, &all(), covered, &place).0;
    assert_eq!(rule(Some("tokyo"), place(Some("ES"), Some(64500))), Rule::Coverage);
    assert_eq!(rule(None, place(Some("ES"), Some(64500))), Rule::Asn);
    assert_eq!(rule(None, place(Some("ES"), Some(1))), Rule::Country);
    assert_eq!(rule(None, place(Some("PT"), None)), Rule::Continent);
    assert_eq!(rule(None, place(Some("US"), None)), Rule::Distance);
    assert_eq!(rule(None, place(None, None)), Rule::Default);
}

#[test]
fn after_the_home_come_its_fallbacks_and_then_the_nearest() {
    let none = Rules::default();
    let spain = place(Some("ES"), None);
    assert_eq!(rank(&none, &all(), None, &spain), (Rule::Distance, "pa ne lo fr to sy".into()));
    let covered = rank(&none, &all(), Some("tokyo"), &spain);
    assert_eq!(covered, (Rule::Coverage, "to pa lo fr sy ne".into()));
    let nowhere = rank(&none, &all(), None, &Place::default());
    assert_eq!(nowhere, (Rule::Default, "ne lo pa fr to sy".into()));
}

#[test]
fn regions_that_are_not_allowed_drop_out_but_their_fallbacks_stay() {
    let regions = regions();
    let allowed = |names: &[&str]| {
        let mut allowed: Vec<_> = names.iter().filter_map(|name| regions.find(name)).collect();
        allowed.sort_unstable();
        Mapping { allowed, pinned: None }
    };
    let none = Rules::default();
    let spain = place(Some("ES"), None);
    let two = allowed(&["frankfurt", "newyork"]);
    assert_eq!(rank(&none, &two, Some("paris"), &spain).1, "ne fr");
    assert_eq!(rank(&none, &two, None, &spain), (Rule::Distance, "fr ne".into()));
    assert_eq!(rank(&none, &allowed(&["sydney"]), None, &Place::default()).1, "sy");
}

#[test]
fn a_pinned_site_has_one_order_for_everybody() {
    let regions = regions();
    let pinned = Mapping { allowed: Vec::new(), pinned: regions.find("tokyo") };
    let rules = rules(&regions);
    let one = rank(&rules, &pinned, Some("paris"), &place(Some("ES"), None));
    assert_eq!(one, rank(&rules, &pinned, None, &place(None, Some(64500))));
    assert_eq!(one.0, Rule::Pinned);
    assert!(one.1.starts_with("to sy"));
}

#[test]
fn broken_rules_are_all_told() {
    let config = RulesConfig {
        asn: vec![(1, "mars".into()), (2, "paris".into()), (2, "paris".into())],
        country: vec![("D".into(), "paris".into())],
        continent: vec![("XX".into(), "paris".into())],
    };
    let Err(Error::Config(faults)) = Rules::new(&config, &regions()) else { panic!("broken") };
    assert_eq!(faults.len(), 4, "{faults:?}");
}

proptest! {
    #[test]
    fn every_allowed_region_is_in_every_order_once(
        latitude in -90.0..90.0_f64,
        longitude in -180.0..180.0_f64,
        covered in proptest::option::of(0_u16..6),
        pinned in proptest::option::of(0_u16..6),
        allowed in proptest::collection::btree_set(0_u16..6, 0..6),
    ) {
        let regions = regions();
        let rules = Rules::default();
        let mapping = Mapping {
            allowed: allowed.iter().map(|&region| RegionIndex(region)).collect(),
            pinned: pinned.map(RegionIndex),
        };
        let ranker = Ranker { regions: &regions, rules: &rules, mapping: &mapping };
        let coordinates = Coordinates::new(latitude, longitude);
        let place = Place { coordinates, ..Place::default() };
        let ranking = ranker.rank(covered.map(RegionIndex), &place);
        let mut seen: Vec<_> = ranking.regions.iter().map(|ranked| ranked.region.0).collect();
        seen.sort_unstable();
        let mut expected: Vec<u16> = if allowed.is_empty() {
            (0..6).collect()
        } else {
            allowed.iter().copied().chain(pinned).collect()
        };
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(seen, expected);
    }
}
