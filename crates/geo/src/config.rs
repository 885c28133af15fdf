//! What is configured, as plain values; whoever reads files fills them in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::hash::HashKey;
use crate::load::{Law, Limits};
use crate::ranking::RulesConfig;
use crate::regions::RegionConfig;

/// Everything but the maps.
#[derive(Clone, Debug)]
pub struct Config {
    /// All regions.
    pub regions: Vec<RegionConfig>,
    /// The name of the region of those of whom nothing is known.
    pub default_region: String,
    /// Rules by what databases say.
    pub rules: RulesConfig,
    /// All nodes.
    pub nodes: Vec<NodeConfig>,
    /// All sites.
    pub sites: Vec<SiteConfig>,
    /// Where shedding begins and ends.
    pub limits: Limits,
    /// How fast everything follows.
    pub law: Law,
    /// The secret of the installation, the same on all its DNS servers.
    pub key: HashKey,
    /// How long the nodes that were good last are named when none is seen up any more; then the
    /// site's fall-back, if it has one.
    pub last_good_s: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            default_region: String::new(),
            rules: RulesConfig::default(),
            nodes: Vec::new(),
            sites: Vec::new(),
            limits: Limits::default(),
            law: Law::default(),
            key: HashKey::default(),
            last_good_s: 600.0,
        }
    }
}

/// A node.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// The name of its region.
    pub region: String,
    /// For A.
    pub v4: Option<Ipv4Addr>,
    /// For AAAA.
    pub v6: Option<Ipv6Addr>,
    /// What it can carry beside the others; 1 or more.
    pub weight: u16,
}

/// Which addresses a site has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// A and AAAA.
    #[default]
    Both,
    /// A alone.
    V4,
}

/// A site.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Its name in lowercase, as it is asked for.
    pub name: String,
    /// The names of the regions that it may go to; empty for all.
    pub regions: Vec<String>,
    /// The region where everybody goes first.
    pub pinned: Option<String>,
    /// Of how much of its turn a region gets, in percent; 100 where nothing is said.
    pub weights: Vec<(String, u8)>,
    /// How long answers are kept, in seconds.
    pub ttl_s: u32,
    /// Addresses that an answer names, of each family.
    pub answers: u8,
    /// Nodes of a region that the site is on.
    pub spread: u8,
    /// Which addresses it has.
    pub families: Families,
    /// Whether its HTTPS records say that its nodes speak TLS.
    pub https: bool,
    /// What is answered when nothing has been up for long.
    pub fallback: Vec<IpAddr>,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            regions: Vec::new(),
            pinned: None,
            weights: Vec::new(),
            ttl_s: 30,
            answers: 2,
            spread: 4,
            families: Families::Both,
            https: false,
            fallback: Vec::new(),
        }
    }
}
