//! The order of regions for a client, and the rule that chose the first.
//!
//! ```text
//! pinned -> coverage map -> autonomous system -> country -> continent -> distance -> default
//!              the first that says something chooses the home region
//! home -> its configured fall-backs -> nearest to the client -> nearest to the home
//! ```
//!
//! Regions that a site does not allow drop out of the finished order, so that a covered client of a
//! site that is not in its region goes where its region's fall-backs say.
//!
//! Only the first [`EXACT_REGIONS`] are ordered by the distance from the client. Beyond those it
//! hardly matters who is nearer, but every difference there would cut the scopes of answers finer:
//! the rest stand by their distance from the home region.

use serde::Serialize;
use std::collections::HashMap;

use crate::error::{Error, FAULTS_MAX, Fault};
use crate::places::{Continent, Coordinates, Country, Place};
use crate::regions::{RegionIndex, Regions};

/// Regions that are ordered for the client itself.
pub const EXACT_REGIONS: usize = 4;

/// What chose the first region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The site is pinned to it.
    Pinned,
    /// The coverage map says so.
    Coverage,
    /// The rule for the client's autonomous system.
    Asn,
    /// The rule for its country.
    Country,
    /// The rule for its continent.
    Continent,
    /// It is the nearest.
    Distance,
    /// Nothing is known of the client.
    Default,
}

impl Rule {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Coverage => "coverage",
            Self::Asn => "asn",
            Self::Country => "country",
            Self::Continent => "continent",
            Self::Distance => "distance",
            Self::Default => "default",
        }
    }
}

/// A region in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Which.
    pub region: RegionIndex,
    /// How far from the client; in a ranking that many share, from the first of them. `None` when
    /// either is nowhere.
    pub distance_km: Option<u16>,
}

/// An order of regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// What chose the first.
    pub rule: Rule,
    /// Never empty.
    pub regions: Vec<Ranked>,
}

/// Rules as they are configured: what, and the name of the region.
#[derive(Clone, Debug, Default)]
pub struct RulesConfig {
    /// By the number of the autonomous system.
    pub asn: Vec<(u32, String)>,
    /// By the code of the country.
    pub country: Vec<(String, String)>,
    /// By the code of the continent.
    pub continent: Vec<(String, String)>,
}

/// Rules that have been checked.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    asn: HashMap<u32, RegionIndex>,
    country: HashMap<Country, RegionIndex>,
    continent: HashMap<Continent, RegionIndex>,
}

impl Rules {
    /// Checks all rules; all faults are told.
    pub fn new(config: &RulesConfig, regions: &Regions) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let mut rules = Self::default();
        let mut rule = |what: &str, taken: bool, name: &str| {
            let region = regions.find(name);
            if region.is_none() {
                faults.push(Fault::new(format!("the rule for {what} names {name:?}: no region")));
            }
            if taken {
                faults.push(Fault::new(format!("there are two rules for {what}")));
            }
            region
        };
        for (asn, name) in &config.asn {
            let taken = rules.asn.contains_key(asn);
            rules.asn.extend(rule(&asn.to_string(), taken, name).map(|region| (*asn, region)));
        }
        let mut unknown = Vec::new();
        for (code, name) in &config.country {
            match Country::parse(code) {
                Some(country) => {
                    let taken = rules.country.contains_key(&country);
                    rules.country.extend(rule(code, taken, name).map(|region| (country, region)));
                }
                None => unknown.push(Fault::new(format!("{code:?} is no code of a country"))),
            }
        }
        for (code, name) in &config.continent {
            match Continent::parse(code) {
                Some(continent) => {
                    let taken = rules.continent.contains_key(&continent);
                    let region = rule(code, taken, name);
                    rules.continent.extend(region.map(|region| (continent, region)));
                }
                None => unknown.push(Fault::new(format!("{code:?} is no code of a continent"))),
            }
        }
        faults.extend(unknown);
        faults.truncate(FAULTS_MAX);
        if faults.is_empty() { Ok(rules) } else { Err(Error::Config(faults)) }
    }

    /// The region that a rule names for a place, the most special rule first.
    pub(crate) fn region(&self, place: &Place) -> Option<(RegionIndex, Rule)> {
        let asn = place.asn.and_then(|asn| self.asn.get(&asn)).map(|&region| (region, Rule::Asn));
        let country = || place.country.and_then(|country| self.country.get(&country));
        let continent = || place.continent.and_then(|continent| self.continent.get(&continent));
        asn.or_else(|| country().map(|&region| (region, Rule::Country)))
            .or_else(|| continent().map(|&region| (region, Rule::Continent)))
    }
}

/// Which regions a site goes to: sites with the same choice share a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The regions it may go to, sorted; empty for all.
    pub allowed: Vec<RegionIndex>,
    /// Everybody goes there first, whoever asks.
    pub pinned: Option<RegionIndex>,
}

/// What ranks the clients of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Ranker<'a> {
    /// All regions.
    pub regions: &'a Regions,
    /// The rules.
    pub rules: &'a Rules,
    /// The choice of the site.
    pub mapping: &'a Mapping,
}

impl Ranker<'_> {
    /// The order for a client whom the coverage map puts into `covered`, at `place`.
    pub fn rank(&self, covered: Option<RegionIndex>, place: &Place) -> Ranking {
        let from = place.coordinates.as_ref();
        let (home, rule) = self.home(covered, place);
        let mut order = vec![home];
        order.extend_from_slice(self.regions.fallback(home));
        // Pinned sites have one order for everybody: the client's place may not show in it.
        if let Some(from) = from.filter(|_| rule != Rule::Pinned) {
            self.add_nearest(&mut order, EXACT_REGIONS, |region| {
                self.regions.distance_km(region, from)
            });
        }
        self.add_nearest(&mut order, usize::MAX, |region| self.regions.between_km(home, region));
        let mut regions = self.ranked(&order, from);
        regions.retain(|ranked| self.is_allowed(ranked.region));
        if regions.is_empty() {
            // Nothing allowed is known: configuration refuses that, and nobody goes nowhere.
            regions = self.ranked(&order, from);
        }
        Ranking { rule, regions }
    }

    fn home(&self, covered: Option<RegionIndex>, place: &Place) -> (RegionIndex, Rule) {
        if let Some(pinned) = self.mapping.pinned {
            return (pinned, Rule::Pinned);
        }
        if let Some(region) = covered {
            return (region, Rule::Coverage);
        }
        if let Some(found) = self.rules.region(place) {
            return found;
        }
        let nearest = place.coordinates.as_ref().and_then(|from| {
            self.regions
                .all()
                .filter(|&region| self.is_allowed(region))
                .filter_map(|region| Some((self.regions.distance_km(region, from)?, region)))
                .min()
        });
        match nearest {
            Some((_, region)) => (region, Rule::Distance),
            None => (self.regions.default(), Rule::Default),
        }
    }

    /// Adds the regions that are not in the order yet, the nearest first, as long as fewer than
    /// `up_to` of those in it are allowed. Those that are nowhere come last, by their number.
    fn add_nearest(
        &self,
        order: &mut Vec<RegionIndex>,
        up_to: usize,
        distance: impl Fn(RegionIndex) -> Option<u16>,
    ) {
        let mut others: Vec<_> = self
            .regions
            .all()
            .filter(|region| !order.contains(region) && self.is_allowed(*region))
            .map(|region| (distance(region).unwrap_or(u16::MAX), region))
            .collect();
        others.sort_unstable();
        let there = order.iter().filter(|&&region| self.is_allowed(region)).count();
        let wanted = up_to.saturating_sub(there);
        order.extend(others.into_iter().take(wanted).map(|(_, region)| region));
    }

    fn ranked(&self, order: &[RegionIndex], from: Option<&Coordinates>) -> Vec<Ranked> {
        let ranked = |&region: &RegionIndex| Ranked {
            region,
            distance_km: from.and_then(|from| self.regions.distance_km(region, from)),
        };
        order.iter().map(ranked).collect()
    }

    fn is_allowed(&self, region: RegionIndex) -> bool {
        self.mapping.allowed.is_empty()
            || self.mapping.pinned == Some(region)
            || self.mapping.allowed.binary_search(&region).is_ok()
    }
}

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod tests;
