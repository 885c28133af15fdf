//! What changes only with configuration, coverage maps and databases: regions, nodes, sites, and
//! the tables that say in which order which clients go to them. Built whole or not at all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::config::{Config, Families, NodeConfig, SiteConfig};
use crate::coverage::{Coverage, covered};
use crate::error::{Error, FAULTS_MAX, Fault};
use crate::flow::Class;
use crate::hash::HashKey;
use crate::load::{Law, Limits};
use crate::places::{Place, Places};
use crate::ranking::{Mapping, Ranker, Ranking, Rule, Rules};
use crate::regions::{RegionIndex, Regions};
use crate::sitenames::SiteNames;
use crate::spread::{ANSWERS_MAX, Member, SPREAD_MAX, Width};
use crate::table::{RANKINGS_MAX, Table};

/// See the module.
#[derive(Debug)]
pub struct Atlas {
    pub(crate) regions: Regions,
    pub(crate) rules: Rules,
    pub(crate) coverage: Arc<Coverage>,
    pub(crate) places: Arc<Places>,
    pub(crate) nodes: Vec<Node>,
    /// The nodes of each region, sorted.
    pub(crate) nodes_by_region: Vec<Vec<u16>>,
    pub(crate) sites: Vec<Site>,
    sites_by_name: SiteNames,
    pub(crate) maps: Vec<Map>,
    profiles: Vec<Profile>,
    pub(crate) limits: Limits,
    pub(crate) law: Law,
    pub(crate) key: HashKey,
    pub(crate) last_good_s: f64,
}

/// A node of the atlas.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) region: RegionIndex,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
    pub(crate) weight: u16,
    pub(crate) member: Member,
}

/// A site of the atlas, in one cache line: with many sites each answer finds another one cold.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Site {
    pub(crate) name: Box<str>,
    /// The hash of its name.
    pub(crate) hash: u64,
    pub(crate) map: usize,
    /// The class of its first ranking; those of the others follow.
    pub(crate) classes: usize,
    pub(crate) width: Width,
    pub(crate) ttl_s: u32,
    pub(crate) families: Families,
    pub(crate) https: bool,
    /// What is answered when nothing has been up for long; few have it.
    pub(crate) fallback: Option<Box<Fallback>>,
}

const _: () = assert!(size_of::<Site>() == 64);

/// Addresses for when there are no nodes.
#[derive(Debug)]
pub(crate) struct Fallback {
    pub(crate) v4: Vec<Ipv4Addr>,
    pub(crate) v6: Vec<Ipv6Addr>,
}

impl Fallback {
    fn of(addresses: &[IpAddr]) -> Option<Box<Self>> {
        let v4 = addresses.iter().filter_map(|ip| only_v4(*ip)).collect();
        let v6 = addresses.iter().filter_map(|ip| only_v6(*ip)).collect();
        (!addresses.is_empty()).then(|| Box::new(Self { v4, v6 }))
    }
}

/// The table of a mapping, and the rankings that it tells apart.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) mapping: Mapping,
    pub(crate) table: Table,
    pub(crate) rankings: Vec<Ranking>,
}

/// Sites with the same mapping and weights are loaded alike.
#[derive(Debug, PartialEq)]
struct Profile {
    map: usize,
    /// In percent, by region.
    weights: Vec<u8>,
    classes: usize,
}

/// Nodes at most.
pub const NODES_MAX: usize = 4096;
/// Sites at most.
pub const SITES_MAX: usize = 1_000_000;
/// Different mappings of sites at most: each is a table.
pub const MAPS_MAX: usize = 256;
/// Places nearer to each other than this are one, to begin with.
const CELL_DEGREES: f64 = 0.25;

impl Atlas {
    /// Checks everything and flattens the maps: the long work, away from where queries are
    /// answered.
    pub fn build(
        config: &Config,
        coverage: Arc<Coverage>,
        places: Arc<Places>,
    ) -> Result<Self, Error> {
        let regions = Regions::new(&config.regions, &config.default_region)?;
        let rules = Rules::new(&config.rules, &regions)?;
        let mut faults = Vec::new();
        if Limits::new(config.limits.soft, config.limits.hard).is_none() {
            faults.push(Fault::new("the soft limit must be below the hard one"));
        }
        let nodes = build_nodes(config, &regions, &mut faults);
        let mut atlas = Self {
            nodes_by_region: vec![Vec::new(); regions.len()],
            regions,
            rules,
            coverage,
            places,
            nodes,
            sites: Vec::new(),
            sites_by_name: SiteNames::default(),
            maps: Vec::new(),
            profiles: Vec::new(),
            limits: config.limits,
            law: config.law,
            key: config.key,
            last_good_s: config.last_good_s,
        };
        for (index, node) in atlas.nodes.iter().enumerate() {
            atlas.nodes_by_region[node.region.index()].push(index as u16);
        }
        if config.sites.len() > SITES_MAX {
            faults.push(Fault::new(format!("more than {SITES_MAX} sites")));
        }
        for site in config.sites.iter().take(SITES_MAX) {
            if faults.len() < FAULTS_MAX {
                atlas.add_site(site, &mut faults);
            }
        }
        if faults.is_empty() { Ok(atlas) } else { Err(Error::Config(faults)) }
    }

    /// The names of the regions, in their order.
    pub fn region_names(&self) -> impl Iterator<Item = &str> {
        self.regions.all().map(|region| self.regions.name(region))
    }

    /// The name of a region.
    pub fn region_name(&self, region: RegionIndex) -> &str {
        self.regions.name(region)
    }

    /// The site of a name.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.sites_by_name.find(name)
    }

    /// All regions.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// The names of the nodes; their places are those of reports and votes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The regions of the nodes, in the same order.
    pub fn node_regions(&self) -> impl Iterator<Item = RegionIndex> {
        self.nodes.iter().map(|node| node.region)
    }

    /// The bytes that the tables hold on to, and their ranges.
    pub fn table_sizes(&self) -> (usize, usize) {
        let size = |map: &Map| (map.table.memory_bytes(), map.table.ranges());
        self.maps.iter().map(size).fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }

    /// All classes of clients, in the order in which sites count them.
    pub(crate) fn classes(&self) -> Vec<Class> {
        let mut classes = Vec::new();
        for profile in &self.profiles {
            let map = &self.maps[profile.map];
            let sizes = map.table.weights(map.rankings.len());
            for (ranking, size) in map.rankings.iter().zip(sizes) {
                let order: Vec<_> = ranking.regions.iter().map(|ranked| ranked.region).collect();
                let weight =
                    |region: &RegionIndex| f64::from(profile.weights[region.index()]) / 100.0;
                let weights = order.iter().map(weight).collect();
                // Never nothing, so that a class that no IPv4 client is of can still be learnt.
                classes.push(Class { weights, order, size: (size / 4_294_967_296.0).max(1e-9) });
            }
        }
        classes
    }

    fn add_site(&mut self, config: &SiteConfig, faults: &mut Vec<Fault>) {
        let before = faults.len();
        let mut fault = |text: String| {
            faults.push(Fault::new(format!("site {:?}: {text}", config.name)));
        };
        let mut region = |name: &String| {
            let region = self.regions.find(name);
            if region.is_none() {
                fault(format!("{name:?} is no region"));
            }
            region
        };
        let mut allowed: Vec<_> = config.regions.iter().filter_map(&mut region).collect();
        allowed.sort_unstable();
        allowed.dedup();
        let pinned = config.pinned.as_ref().and_then(&mut region);
        let mut weights = vec![100; self.regions.len()];
        for (name, weight) in &config.weights {
            if let Some(region) = region(name) {
                weights[region.index()] = (*weight).min(100);
            }
        }
        if config.answers == 0 || usize::from(config.answers) > ANSWERS_MAX {
            fault(format!("answers must be 1 to {ANSWERS_MAX}"));
        }
        if config.spread < config.answers || usize::from(config.spread) > SPREAD_MAX {
            fault(format!("spread must be as many as answers, up to {SPREAD_MAX}"));
        }
        if self.sites_by_name.find(config.name.as_bytes()).is_some() {
            fault("there are two of it".into());
        }
        let mapping = Mapping { allowed, pinned };
        let known = self.maps.iter().any(|map| map.mapping == mapping);
        if !known && self.maps.len() >= MAPS_MAX {
            fault(format!("more than {MAPS_MAX} different choices of regions"));
        }
        if faults.len() > before {
            return;
        }
        let map = self.map(mapping);
        let site = Site {
            name: config.name.as_str().into(),
            hash: self.key.name(b's', config.name.as_bytes()),
            map,
            classes: self.profile(map, weights),
            width: Width { spread: config.spread, answers: config.answers },
            ttl_s: config.ttl_s,
            families: config.families,
            https: config.https,
            fallback: Fallback::of(&config.fallback),
        };
        self.sites_by_name.insert(config.name.as_bytes(), self.sites.len() as u32);
        self.sites.push(site);
    }

    /// The map of a mapping, built when it is the first of its kind.
    fn map(&mut self, mapping: Mapping) -> usize {
        if let Some(map) = self.maps.iter().position(|map| map.mapping == mapping) {
            return map;
        }
        let ranker = Ranker { regions: &self.regions, rules: &self.rules, mapping: &mapping };
        let (table, rankings) = if mapping.pinned.is_some() {
            (Table::uniform(0), vec![ranker.rank(None, &Place::default())])
        } else {
            flatten(&ranker, &self.coverage, &self.places)
        };
        self.maps.push(Map { mapping, table, rankings });
        self.maps.len() - 1
    }

    fn profile(&mut self, map: usize, weights: Vec<u8>) -> usize {
        let same = |profile: &&Profile| profile.map == map && profile.weights == weights;
        if let Some(profile) = self.profiles.iter().find(same) {
            return profile.classes;
        }
        let classes = self
            .profiles
            .last()
            .map_or(0, |last| last.classes + self.maps[last.map].rankings.len());
        self.profiles.push(Profile { map, weights, classes });
        classes
    }
}

fn only_v4(ip: std::net::IpAddr) -> Option<Ipv4Addr> {
    if let std::net::IpAddr::V4(ip) = ip { Some(ip) } else { None }
}

fn only_v6(ip: std::net::IpAddr) -> Option<Ipv6Addr> {
    if let std::net::IpAddr::V6(ip) = ip { Some(ip) } else { None }
}

fn build_nodes(config: &Config, regions: &Regions, faults: &mut Vec<Fault>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut names = HashMap::new();
    // None at all is what a server that follows control knows at first.
    if config.nodes.len() > NODES_MAX {
        faults.push(Fault::new(format!("more than {NODES_MAX} nodes")));
    }
    for node in config.nodes.iter().take(NODES_MAX) {
        let NodeConfig { name, region, v4, v6, weight } = node;
        let mut fault = |text: &str| faults.push(Fault::new(format!("node {name:?}: {text}")));
        if names.insert(name, ()).is_some() {
            fault("there are two of it");
        }
        if v4.is_none() && v6.is_none() {
            fault("it has no address");
        }
        if *weight == 0 {
            fault("its weight must be 1 or more");
        }
        let Some(region) = regions.find(region) else {
            fault(&format!("{region:?} is no region"));
            continue;
        };
        let member = Member::new(&config.key, name, *weight);
        let (name, v4, v6, weight) = (name.clone(), *v4, *v6, *weight);
        nodes.push(Node { name, region, v4, v6, weight, member });
    }
    faults.truncate(FAULTS_MAX);
    nodes
}

/// The table of a mapping: coverage and places at once, every ranking once.
fn flatten(ranker: &Ranker<'_>, coverage: &Coverage, places: &Places) -> (Table, Vec<Ranking>) {
    // More orders than can be told apart come only of many cities and many regions: then places
    // that are near each other are made one, in wider and wider cells, until it fits.
    let mut cell_degrees = CELL_DEGREES;
    loop {
        let mut rankings = Rankings::default();
        let mut by_pair = HashMap::new();
        // Of a place no more counts than its cell and the rule that holds for it.
        let mut by_cell = HashMap::new();
        let mut ranking = |region: u32, place: u32| {
            *by_pair.entry((region, place)).or_insert_with(|| {
                let mut place = places.list[place as usize];
                place.coordinates = place.coordinates.map(|at| at.rounded(cell_degrees));
                let at = place.coordinates.map(|at| [at.latitude, at.longitude].map(f64::to_bits));
                *by_cell
                    .entry((region, ranker.rules.region(&place), at))
                    .or_insert_with(|| rankings.number(ranker.rank(covered(region), &place)))
            })
        };
        let nobody = ranking(u32::MAX, 0);
        let v4 = coverage.v4.zip(&places.v4, &mut ranking);
        let v6 = coverage.v6.zip(&places.v6, &mut ranking);
        if rankings.list.len() <= RANKINGS_MAX {
            return (Table::new(v4, v6, nobody as u16), rankings.list);
        }
        cell_degrees *= 2.0;
    }
}

#[derive(Default)]
struct Rankings {
    list: Vec<Ranking>,
    numbers: HashMap<(Rule, Vec<RegionIndex>), u32>,
}

impl Rankings {
    fn number(&mut self, ranking: Ranking) -> u32 {
        let order = ranking.regions.iter().map(|ranked| ranked.region).collect();
        let list = &mut self.list;
        *self.numbers.entry((ranking.rule, order)).or_insert_with(|| {
            list.push(ranking);
            list.len() as u32 - 1
        })
    }
}
