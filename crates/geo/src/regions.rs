//! Regions: places where nodes stand together, near each other or far, and where to go when one is
//! full.

use serde::Serialize;
use std::collections::HashMap;

use crate::error::{Error, FAULTS_MAX, Fault};
use crate::places::Coordinates;

/// A region, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RegionIndex(pub u16);

impl RegionIndex {
    /// As an index of a list.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A region as it is configured.
#[derive(Clone, Debug, Default)]
pub struct RegionConfig {
    /// Its name.
    pub name: String,
    /// Where it is; without, it is the last that anybody is sent to by distance.
    pub coordinates: Option<Coordinates>,
    /// Who takes over when it is full or gone, in this order; then the nearest.
    pub fallback: Vec<String>,
}

/// All regions.
#[derive(Clone, Debug)]
pub struct Regions {
    list: Vec<Region>,
    names: HashMap<String, RegionIndex>,
    default: RegionIndex,
}

#[derive(Clone, Debug)]
struct Region {
    name: String,
    coordinates: Option<Coordinates>,
    fallback: Vec<RegionIndex>,
    /// To every region, itself included.
    distances_km: Vec<Option<u16>>,
}

/// Regions at most.
pub const REGIONS_MAX: usize = 256;

impl Regions {
    /// Checks the whole, and knows all distances afterwards. `default` is the name of the region of
    /// those of whom nothing is known.
    pub fn new(configs: &[RegionConfig], default: &str) -> Result<Self, Error> {
        let mut faults = Vec::new();
        if configs.is_empty() || configs.len() > REGIONS_MAX {
            faults.push(Fault::new(format!("there must be 1 to {REGIONS_MAX} regions")));
        }
        let mut names = HashMap::new();
        for (index, config) in configs.iter().enumerate().take(REGIONS_MAX) {
            if names.insert(config.name.clone(), RegionIndex(index as u16)).is_some() {
                faults.push(Fault::new(format!("two regions are named {:?}", config.name)));
            }
            if config
                .coordinates
                .is_some_and(|at| Coordinates::new(at.latitude, at.longitude).is_none())
            {
                faults.push(Fault::new(format!("region {:?} is not on the globe", config.name)));
            }
        }
        let mut list = Vec::new();
        for config in configs.iter().take(REGIONS_MAX) {
            list.push(region(config, configs, &names, &mut faults));
        }
        let found = names.get(default).copied();
        if found.is_none() {
            faults.push(Fault::new(format!("the default region {default:?} is no region")));
        }
        faults.truncate(FAULTS_MAX);
        match found {
            Some(default) if faults.is_empty() => Ok(Self { list, names, default }),
            _ => Err(Error::Config(faults)),
        }
    }

    /// A region by its name.
    pub fn find(&self, name: &str) -> Option<RegionIndex> {
        self.names.get(name).copied()
    }

    /// The name of a region.
    pub fn name(&self, region: RegionIndex) -> &str {
        &self.list[region.index()].name
    }

    /// Where those go of whom nothing is known.
    pub fn default(&self) -> RegionIndex {
        self.default
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Never: there is a default region.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = RegionIndex> + use<> {
        (0..self.list.len() as u16).map(RegionIndex)
    }

    /// The configured fall-backs of a region.
    pub fn fallback(&self, region: RegionIndex) -> &[RegionIndex] {
        &self.list[region.index()].fallback
    }

    /// How far two regions are apart; `None` when either is nowhere.
    pub fn between_km(&self, one: RegionIndex, two: RegionIndex) -> Option<u16> {
        self.list[one.index()].distances_km[two.index()]
    }

    /// How far a region is from a point.
    pub fn distance_km(&self, region: RegionIndex, from: &Coordinates) -> Option<u16> {
        self.list[region.index()].coordinates.map(|place| place.distance_km(from))
    }
}

fn region(
    config: &RegionConfig,
    all: &[RegionConfig],
    names: &HashMap<String, RegionIndex>,
    faults: &mut Vec<Fault>,
) -> Region {
    let mut fallback = Vec::new();
    for name in &config.fallback {
        match names.get(name) {
            Some(_) if *name == config.name => {
                faults.push(Fault::new(format!("region {name:?} falls back to itself")));
            }
            Some(&region) if fallback.contains(&region) => {
                let text = format!("region {:?} falls back to {name:?} twice", config.name);
                faults.push(Fault::new(text));
            }
            Some(&region) => fallback.push(region),
            None => {
                let text = format!("region {:?} falls back to {name:?}: no region", config.name);
                faults.push(Fault::new(text));
            }
        }
    }
    let distances_km = all
        .iter()
        .take(REGIONS_MAX)
        .map(|other| Some(config.coordinates?.distance_km(&other.coordinates?)))
        .collect();
    Region { name: config.name.clone(), coordinates: config.coordinates, fallback, distances_km }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_at_once() {
        let config = |name: &str, fallback: &[&str]| RegionConfig {
            name: name.into(),
            coordinates: None,
            fallback: fallback.iter().map(|&name| name.into()).collect(),
        };
        let error = Regions::new(
            &[config("a", &["a", "b", "b"]), config("b", &["x"]), config("b", &[])],
            "c",
        )
        .expect_err("broken");
        let Error::Config(faults) = error else { panic!("of the configuration") };
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(Regions::new(&[], "a").is_err());
    }
}
