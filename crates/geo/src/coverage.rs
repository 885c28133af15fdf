//! The coverage map: which prefixes belong to which region, said by people who know. It comes
//! before every database, and the longest prefix wins.
//!
//! As CSV, a prefix and a region on each line, `#` begins a comment:
//!
//! ```text
//! 192.0.2.0/24,eu-west
//! 2001:db8::/32, us-east   # everything of that provider
//! ```
//!
//! or as TOML, the prefixes of each region:
//!
//! ```toml
//! eu-west = ["192.0.2.0/24"]
//! us-east = ["2001:db8::/32"]
//! ```
//!
//! A map with any fault is refused whole. Prefixes of IPv6 addresses that carry IPv4 addresses
//! (table in [`crate::address`]) mean the IPv4 prefix that they carry; one that is shorter, such as
//! `::/0`, is about native IPv6 only.

use ipnet::IpNet;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use toml::Spanned;

use crate::address::{Bits, CARRIERS, Client, Key};
use crate::error::{Error, FAULTS_MAX, Fault};
use crate::regions::{RegionIndex, Regions};
use crate::spans::{Network, Spans};

/// A map that has been checked.
#[derive(Clone, Debug)]
pub struct Coverage {
    pub(crate) v4: Spans<u32>,
    pub(crate) v6: Spans<u128>,
    entries: usize,
}

/// Entries of a map at most: as many as the whole Internet has routes.
pub const ENTRIES_MAX: usize = 1_000_000;

/// The value of what no entry covers.
pub(crate) const UNCOVERED: u32 = u32::MAX;

impl Coverage {
    /// A map without entries.
    pub fn empty() -> Self {
        Self { v4: Spans::uniform(UNCOVERED), v6: Spans::uniform(UNCOVERED), entries: 0 }
    }

    /// Reads `prefix,region` lines.
    pub fn from_csv(text: &str, regions: &Regions) -> Result<Self, Error> {
        let mut map = Builder::new(regions);
        for (index, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default().trim();
            if said.is_empty() {
                continue;
            }
            match said.split_once(',') {
                Some((prefix, region)) => map.add(index + 1, prefix.trim(), region.trim()),
                None => map.fault(index + 1, "expected a prefix, a comma and a region".into()),
            }
            if map.is_full() {
                break;
            }
        }
        map.finish()
    }

    /// Reads a list of prefixes for each region.
    pub fn from_toml(text: &str, regions: &Regions) -> Result<Self, Error> {
        let mut map = Builder::new(regions);
        match toml::from_str::<BTreeMap<Spanned<String>, Vec<Spanned<String>>>>(text) {
            Ok(said) => {
                let lines = Lines::new(text);
                for (region, prefixes) in &said {
                    if prefixes.is_empty() {
                        map.region(lines.of(region.span().start), region.get_ref());
                    }
                    for prefix in prefixes {
                        let line = lines.of(prefix.span().start);
                        map.add(line, prefix.get_ref().trim(), region.get_ref());
                    }
                }
            }
            Err(error) => {
                let line = error.span().map_or(1, |span| Lines::new(text).of(span.start));
                map.fault(line, error.message().to_owned());
            }
        }
        map.finish()
    }

    /// The region of a client, by the first address of what is known of it.
    pub fn region(&self, client: &Client) -> Option<RegionIndex> {
        let value = match client.key {
            Key::V4(key) => self.v4.at(key),
            Key::V6(key) => self.v6.at(key),
        };
        covered(value)
    }

    /// How many prefixes the map has.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it covers nobody.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

/// The region that a span's value means.
pub(crate) fn covered(value: u32) -> Option<RegionIndex> {
    u16::try_from(value).ok().map(RegionIndex)
}

struct Builder<'a> {
    regions: &'a Regions,
    faults: Vec<Fault>,
    v4: Vec<Network<u32>>,
    v6: Vec<Network<u128>>,
    /// Where each prefix was said first, and its region.
    seen: HashMap<(IpAddr, u8), (usize, RegionIndex)>,
}

impl<'a> Builder<'a> {
    fn new(regions: &'a Regions) -> Self {
        Self { regions, faults: Vec::new(), v4: Vec::new(), v6: Vec::new(), seen: HashMap::new() }
    }

    fn fault(&mut self, line: usize, text: String) {
        self.faults.push(Fault::at(line, text));
    }

    /// Whether there is no use in reading on.
    fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX || self.seen.len() > ENTRIES_MAX
    }

    fn region(&mut self, line: usize, name: &str) -> Option<RegionIndex> {
        let region = self.regions.find(name);
        if region.is_none() {
            self.fault(line, format!("{name:?} is no region"));
        }
        region
    }

    fn add(&mut self, line: usize, prefix: &str, region: &str) {
        if self.is_full() {
            return;
        }
        let region = self.region(line, region);
        let network = match parse(prefix) {
            Ok(network) => network,
            Err(text) => return self.fault(line, text),
        };
        let Some(region) = region else { return };
        let client = Client::new(network.network(), network.prefix_len());
        match self.seen.get(&(client.address(), client.known)) {
            Some(&(before, other)) if other != region => {
                let name = self.regions.name(other);
                let text = format!("{prefix} is of {name:?} already, by line {before}");
                return self.fault(line, text);
            }
            // Said twice, alike: lists that are put together from several have that.
            Some(_) => return,
            None => self.seen.insert((client.address(), client.known), (line, region)),
        };
        let (length, value) = (client.known, u32::from(region.0));
        match client.key {
            Key::V4(first) => self.v4.push(Network { first, length, value }),
            Key::V6(first) => self.v6.push(Network { first, length, value }),
        }
    }

    fn finish(mut self) -> Result<Coverage, Error> {
        if self.seen.len() > ENTRIES_MAX {
            self.faults.push(Fault::new(format!("more than {ENTRIES_MAX} prefixes")));
        }
        if !self.faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.line);
            self.faults.truncate(FAULTS_MAX);
            return Err(Error::Coverage(self.faults));
        }
        Ok(Coverage {
            v4: Spans::from_networks(self.v4, UNCOVERED),
            v6: Spans::from_networks(self.v6, UNCOVERED),
            entries: self.seen.len(),
        })
    }
}

/// A prefix without stray bits; a bare address is a prefix of its full length.
fn parse(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => return Err(format!("{text:?} is no prefix")),
        },
    };
    if network.addr() != network.network() {
        return Err(format!("{text} has bits beyond its length: {} is meant?", network.trunc()));
    }
    if let IpNet::V6(network) = network {
        for (first, length) in CARRIERS {
            let inside = network.network().to_bits().first(length) == first;
            if inside && network.prefix_len() == length {
                return Err(format!("{text} is all of IPv4: say 0.0.0.0/0"));
            }
            if inside && network.prefix_len() > length + u32::WIDTH {
                return Err(format!("{text} is finer than the IPv4 address that it carries"));
            }
        }
    }
    Ok(network)
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn of(&self, at: usize) -> usize {
        self.0.partition_point(|&end| end < at) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regions::RegionConfig;
    use proptest::prelude::*;

    fn regions() -> Regions {
        let config = |name: &str| RegionConfig { name: name.into(), ..RegionConfig::default() };
        Regions::new(&[config("eu"), config("us")], "eu").expect("whole")
    }

    fn region(map: &Coverage, address: &str) -> Option<u16> {
        let client = Client::new(address.parse().expect("an address"), 128);
        map.region(&client).map(|region| region.0)
    }

    fn faults(result: Result<Coverage, Error>) -> Vec<String> {
        match result.expect_err("broken") {
            Error::Coverage(faults) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_longest_prefix_wins_in_either_form() {
        let csv = "# ours\n192.0.2.0/24,eu\n\n192.0.2.128/25 , us # half\n2001:db8::/32,us\n";
        let toml = "eu = [\"192.0.2.0/24\"]\nus = [\n\"192.0.2.128/25\", \"2001:db8::/32\"]\n";
        let maps = [Coverage::from_csv(csv, &regions()), Coverage::from_toml(toml, &regions())];
        for map in maps.map(|map| map.expect("whole")) {
            assert_eq!(map.len(), 3);
            assert_eq!(region(&map, "192.0.2.1"), Some(0));
            assert_eq!(region(&map, "192.0.2.200"), Some(1));
            assert_eq!(region(&map, "192.0.3.1"), None);
            assert_eq!(region(&map, "2001:db8:1::"), Some(1));
        }
    }

    #[test]
    fn corners_of_the_space_can_be_covered() {
        let csv = "0.0.0.0/0,eu\n255.255.255.255,us\n0.0.0.0/32,us\n::/0,us\n";
        let map = Coverage::from_csv(csv, &regions()).expect("whole");
        assert_eq!(region(&map, "0.0.0.0"), Some(1));
        assert_eq!(region(&map, "0.0.0.1"), Some(0));
        assert_eq!(region(&map, "255.255.255.255"), Some(1));
        assert_eq!(region(&map, "2001:db8::"), Some(1));
        assert_eq!(region(&map, "::ffff:1.2.3.4"), Some(0), "IPv4 stays IPv4");
        assert_eq!(region(&map, "2002:102:304::1"), Some(0));
    }

    #[test]
    fn prefixes_that_carry_ipv4_mean_it() {
        let csv = "::ffff:192.0.2.0/120,eu\n2002:c633:6400::/40,us\n";
        let map = Coverage::from_csv(csv, &regions()).expect("whole");
        assert_eq!(region(&map, "192.0.2.9"), Some(0));
        assert_eq!(region(&map, "198.51.100.9"), Some(1));
    }

    #[test]
    fn a_broken_map_is_refused_whole_with_every_line_named() {
        let csv = "192.0.2.0/24,eu\n192.0.2.1/24,eu\n192.0.2.0/33,eu\n10.0.0.0/8,mars\nhello\n\
                   192.0.2.0/24,us\n192.0.2.0/24,eu\n2002::/16,eu\n2002:102:304:5::/64,eu\n";
        let list = faults(Coverage::from_csv(csv, &regions()));
        let lines: Vec<_> = list.iter().map(|text| &text[..7]).collect();
        let expected =
            ["line 2:", "line 3:", "line 4:", "line 5:", "line 6:", "line 8:", "line 9:"];
        assert_eq!(lines, expected, "{list:?}");
        let list =
            faults(Coverage::from_toml("eu = [\n\"x\",\n\"::/129\"]\nmars = []\n", &regions()));
        assert_eq!(list.len(), 3);
        assert!(list[1].starts_with("line 3: "), "{list:?}");
        let list = faults(Coverage::from_toml("eu = [\nus = 3\n", &regions()));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn faults_are_listed_up_to_a_limit() {
        let list = faults(Coverage::from_csv(&"x\n".repeat(10_000), &regions()));
        assert_eq!(list.len(), FAULTS_MAX);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(
            text in "(?s).{0,200}",
            lines in "([0-9a-f:./]{1,20},eu\n){0,9}",
        ) {
            let _ = Coverage::from_csv(&text, &regions());
            let _ = Coverage::from_csv(&lines, &regions());
            let _ = Coverage::from_toml(&text, &regions());
        }
    }
}
