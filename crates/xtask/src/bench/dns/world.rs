//! The world as all servers are told it: regions with two addresses each, and the region that
//! answers for each country. Written out in the words of each server's configuration.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::failure::Failure;

/// The zone that every server answers for.
pub(super) const ZONE: &str = "bench.test";
/// Seconds that an answer may be kept.
pub(super) const TTL: u32 = 30;

/// A place with edges.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Region {
    pub(super) name: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// In the order of addresses.
    pub(super) addresses: Vec<Ipv4Addr>,
}

/// Where a country is and who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Country {
    pub(super) continent: String,
    /// Index of its region.
    pub(super) region: usize,
}

/// All regions and countries.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// The first answers for clients of no known country.
    pub(super) regions: Vec<Region>,
    /// By code of ISO 3166-1.
    pub(super) countries: BTreeMap<String, Country>,
}

impl World {
    /// Reads `regions.txt` and `countries.txt` of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(Failure::at(&path))
        };
        Self::parse(&text("regions.txt")?, &text("countries.txt")?)
    }

    fn parse(regions: &str, countries: &str) -> Result<Self, Failure> {
        let bad = |line: &[&str]| Failure::new(format!("the world has a bad line: {line:?}"));
        let mut world = Self { regions: Vec::new(), countries: BTreeMap::new() };
        for (line, index) in lines(regions).zip(0_u8..) {
            let [name, latitude, longitude] = line[..] else { return Err(bad(&line)) };
            // Of 198.51.100.0/24, a network for documentation (RFC 5737).
            let addresses = [1, 2].map(|last| Ipv4Addr::new(198, 51, 100, 2 * index + last));
            world.regions.push(Region {
                name: name.to_owned(),
                latitude: latitude.parse().map_err(|_| bad(&line))?,
                longitude: longitude.parse().map_err(|_| bad(&line))?,
                addresses: addresses.to_vec(),
            });
        }
        for line in lines(countries) {
            let [code, continent, region] = line[..] else { return Err(bad(&line)) };
            let region = world.regions.iter().position(|known| known.name == region);
            let region = region.ok_or_else(|| bad(&line))?;
            let country = Country { continent: continent.to_owned(), region };
            world.countries.insert(code.to_owned(), country);
        }
        Ok(world)
    }

    /// What every server should answer to a client of this country.
    pub(super) fn addresses(&self, country: Option<&str>) -> &[Ipv4Addr] {
        let country = country.and_then(|country| self.countries.get(country));
        &self.regions[country.map_or(0, |country| country.region)].addresses
    }

    /// gdnsd: the names of all datacenters.
    pub(super) fn gdnsd_datacenters(&self) -> String {
        let names: Vec<&str> = self.regions.iter().map(|region| region.name.as_str()).collect();
        names.join(", ")
    }

    /// gdnsd: continent, country, datacenter.
    pub(super) fn gdnsd_map(&self) -> String {
        let mut continents: BTreeMap<&str, String> = BTreeMap::new();
        for (code, country) in &self.countries {
            let region = &self.regions[country.region].name;
            let entry = continents.entry(&country.continent).or_default();
            let _ = write!(entry, " {code} => [{region}]");
        }
        let default = &self.regions[0].name;
        continents.iter().fold(format!("default => [{default}]"), |mut map, (name, countries)| {
            let _ = write!(map, "\n{name} => {{{countries} }}");
            map
        })
    }

    /// gdnsd: the addresses of each datacenter.
    pub(super) fn gdnsd_addresses(&self) -> String {
        let line = |region: &Region| format!("{} => [{}]\n", region.name, join(&region.addresses));
        self.regions.iter().map(line).collect()
    }

    /// Knot: each country with its answer.
    pub(super) fn knot_map(&self) -> String {
        let line = |(code, country): (&String, &Country)| {
            let addresses = join(&self.regions[country.region].addresses);
            format!("  - geo: \"{code}\"\n    A: [{addresses}]\n")
        };
        self.countries.iter().map(line).collect()
    }

    /// For a zone file: the addresses of clients of no known country.
    pub(super) fn default_records(&self) -> String {
        let line = |address: &Ipv4Addr| format!("www {TTL} A {address}\n");
        self.regions[0].addresses.iter().map(line).collect()
    }

    /// Selvedge: the regions, each with its countries.
    pub(super) fn our_regions(&self) -> String {
        let mut text = String::new();
        for (index, Region { name, latitude, longitude, .. }) in self.regions.iter().enumerate() {
            let countries: Vec<String> = self
                .countries
                .iter()
                .filter(|(_, country)| country.region == index)
                .map(|(code, _)| format!("\"{code}\""))
                .collect();
            let countries = countries.join(", ");
            let _ = write!(
                text,
                "[[region]]\nname = \"{name}\"\nlatitude = {latitude:?}\n\
                 longitude = {longitude:?}\ncountries = [{countries}]\n\n"
            );
        }
        text
    }

    /// Selvedge: the edges, one for each address of each region.
    pub(super) fn our_edges(&self) -> String {
        let mut text = String::new();
        for region in &self.regions {
            let name = &region.name;
            for (number, address) in region.addresses.iter().enumerate() {
                let _ = write!(
                    text,
                    "[[edge]]\nname = \"{name}-{number}\"\nregion = \"{name}\"\n\
                     addresses = [\"{address}\"]\n\n"
                );
            }
        }
        text
    }

    /// The same world with so many edges in each region.
    pub(super) fn with_edges(&self, each: u8) -> Self {
        let mut grown = self.clone();
        for (region, third) in grown.regions.iter_mut().zip(0_u8..) {
            // Of 198.18.0.0/15, a network for benchmarks (RFC 2544).
            let address = |last| Ipv4Addr::new(198, 18, third, last);
            region.addresses = (1..=each).map(address).collect();
        }
        grown
    }
}

/// Selvedge: so many sites.
pub(super) fn our_sites(count: usize) -> String {
    let mut text = String::new();
    for name in (0..count).map(site) {
        let _ = write!(
            text,
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.{ZONE}\"]\ndns_ttl = \"{TTL}s\"\n\n"
        );
    }
    text
}

/// The name of a site: the first is the one that every server knows.
pub(super) fn site(number: usize) -> String {
    if number == 0 { "www".to_owned() } else { format!("www-{number}") }
}

fn join(addresses: &[Ipv4Addr]) -> String {
    addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ")
}

/// The words of each line that is not a comment.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGIONS: &str = "# Comment\neast 1.0 2.0\nwest -1.5 0\n";

    #[test]
    fn each_country_has_the_addresses_of_its_region() {
        let world = World::parse(REGIONS, "DE EU west\nJP AS east\n").unwrap();
        let addresses = |country| join(world.addresses(country));
        assert_eq!(addresses(Some("DE")), "198.51.100.3, 198.51.100.4");
        assert_eq!(addresses(Some("JP")), "198.51.100.1, 198.51.100.2");
        assert_eq!(addresses(Some("ZZ")), addresses(Some("JP")));
        assert_eq!(addresses(None), addresses(Some("JP")));
        assert_eq!(
            world.gdnsd_map(),
            "default => [east]\nAS => { JP => [east] }\nEU => { DE => [west] }"
        );
        assert_eq!(world.with_edges(5).our_edges().matches("[[edge]]").count(), 10);
        assert!(World::parse(REGIONS, "DE EU north\n").is_err());
        assert!(World::parse("east 1.0\n", "").is_err());
    }

    #[test]
    fn the_world_of_the_benchmark_has_20_regions_that_all_answer_for_someone() {
        let folder = crate::repository().unwrap().join("tests/bench/dns");
        let world = World::read(&folder).unwrap();
        assert_eq!(world.regions.len(), 20);
        for index in 0..world.regions.len() {
            assert!(world.countries.values().any(|country| country.region == index));
        }
    }
}
