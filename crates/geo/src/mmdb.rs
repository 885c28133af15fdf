//! Databases of places in the MMDB format (MaxMind DB 2.0), in the schemas that are about:
//!
//! | schema                       | fields that are read                                         |
//! |------------------------------|--------------------------------------------------------------|
//! | GeoIP2, GeoLite2, DB-IP      | `country.iso_code`, `continent.code`, `location.latitude`,   |
//! |                              | `location.longitude`; else `registered_country.iso_code`     |
//! | autonomous systems           | `autonomous_system_number`                                   |
//! | ip-location-db               | `country_code`, `latitude`, `longitude`                      |
//!
//! A database that names only the country puts its clients into the middle of that country's
//! people ([`crate::countries`]). The bytes may be foreign: everything that is used is walked and
//! decoded once, when it is read, and a damaged file is an error and never a panic. The library's
//! own `verify` is not used, since it insists on a description, which the files of ip-location-db
//! lack; what it checks of tree and records is checked here.

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::address::Bits;
use crate::error::Error;
use crate::places::{Continent, Coordinates, Country, Gathered, Place, Places};
use crate::spans::{Network, Spans};

impl Places {
    /// Reads a database.
    pub fn from_mmdb(bytes: &[u8]) -> Result<Self, Error> {
        let reader = Reader::from_source(bytes).map_err(|error| refused(&error))?;
        let nodes = check_layout(&reader, bytes)?;
        let mut visited = 0;
        let mut places = Gathered::default();
        places.place(Place::default());
        let mut places_by_offset = HashMap::new();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let everything = WithinOptions::default().include_networks_without_data();
        for found in reader.networks(everything).map_err(|error| refused(&error))? {
            let found = found.map_err(|error| refused(&error))?;
            visited += 1;
            if visited > nodes.saturating_mul(2).saturating_add(1) {
                return Err(Error::Database("the search tree is not a tree".into()));
            }
            let Some(offset) = found.offset() else { continue };
            let value = match places_by_offset.get(&offset) {
                Some(&value) => value,
                None => {
                    let record: Option<Record<'_>> =
                        found.decode().map_err(|error| refused(&error))?;
                    let value = places.place(record.unwrap_or_default().place());
                    places_by_offset.insert(offset, value);
                    value
                }
            };
            let network = found.network().map_err(|error| refused(&error))?;
            let length = network.prefix();
            match network.ip() {
                IpAddr::V4(ip) => {
                    v4.push(Network { first: ip.to_bits().first(length), length, value });
                }
                IpAddr::V6(ip) => {
                    v6.push(Network { first: ip.to_bits().first(length), length, value });
                }
            }
            if v4.len() + v6.len() > NETWORKS_MAX {
                return Err(Error::Database(format!("more than {NETWORKS_MAX} networks")));
            }
        }
        Ok(Self {
            list: places.list,
            v4: Spans::from_networks(v4, 0),
            v6: Spans::from_networks(v6, 0),
        })
    }
}

/// Networks of a database at most: three times those of the largest one there is.
const NETWORKS_MAX: usize = 20_000_000;

/// Checks what lies between tree and records, and gives the number of the tree's nodes: a walk that
/// meets more ends than a tree of so many has goes in circles, or through shared branches, of which
/// few bytes can make a walk without end.
fn check_layout(reader: &Reader<&[u8]>, bytes: &[u8]) -> Result<usize, Error> {
    let metadata = reader.metadata();
    let nodes = metadata.node_count as usize;
    let begin = nodes.checked_mul(usize::from(metadata.record_size) / 4);
    let separator = begin.and_then(|begin| bytes.get(begin..begin.checked_add(SEPARATOR_BYTES)?));
    match separator {
        Some(separator) if separator.iter().all(|&byte| byte == 0) => Ok(nodes),
        _ => Err(Error::Database("tree and records are not apart".into())),
    }
}

/// Zeros between the tree and the records.
const SEPARATOR_BYTES: usize = 16;

fn refused(error: &MaxMindDbError) -> Error {
    Error::Database(error.to_string())
}

/// The fields of all schemas; a record of a type that we do not expect has none of them.
#[derive(Default, Deserialize)]
struct Record<'a> {
    #[serde(default, borrow)]
    country: Option<Coded<'a>>,
    #[serde(default, borrow)]
    registered_country: Option<Coded<'a>>,
    #[serde(default, borrow)]
    continent: Option<Coded<'a>>,
    #[serde(default)]
    location: Option<Location>,
    #[serde(default, borrow)]
    country_code: Option<&'a str>,
    #[serde(default)]
    latitude: Option<Number>,
    #[serde(default)]
    longitude: Option<Number>,
    #[serde(default)]
    autonomous_system_number: Option<Number>,
}

#[derive(Default, Deserialize)]
struct Coded<'a> {
    #[serde(default, borrow)]
    iso_code: Option<&'a str>,
    #[serde(default, borrow)]
    code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Location {
    #[serde(default)]
    latitude: Option<Number>,
    #[serde(default)]
    longitude: Option<Number>,
}

/// A number of any of the format's types: DB-IP's degrees are single floats, GeoIP2's double ones.
#[derive(Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }
}

impl Record<'_> {
    fn place(&self) -> Place {
        let country = iso_code(&self.country)
            .or(self.country_code)
            .or_else(|| iso_code(&self.registered_country))
            .and_then(Country::parse);
        let continent = self.continent.as_ref().and_then(|continent| continent.code);
        let location = self.location.as_ref();
        let latitude = location.and_then(|location| location.latitude).or(self.latitude);
        let longitude = location.and_then(|location| location.longitude).or(self.longitude);
        Place {
            country,
            continent: continent.and_then(Continent::parse),
            coordinates: latitude
                .zip(longitude)
                .and_then(|(latitude, longitude)| Coordinates::new(latitude.0, longitude.0)),
            asn: self.autonomous_system_number.as_ref().map(|number| number.0 as u32),
        }
        .completed()
    }
}

fn iso_code<'a>(coded: &Option<Coded<'a>>) -> Option<&'a str> {
    coded.as_ref().and_then(|coded| coded.iso_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Client;
    use proptest::prelude::*;

    const FLAT: &[u8] = include_bytes!("../tests/data/country-flat.mmdb");
    const CITY: &[u8] = include_bytes!("../tests/data/city.mmdb");
    const ASN: &[u8] = include_bytes!("../tests/data/asn.mmdb");
    const FLAT_CITY: &[u8] = include_bytes!("../tests/data/city-flat.mmdb");
    const ONLY_V4: &[u8] = include_bytes!("../tests/data/country-v4.mmdb");

    fn place(places: &Places, address: &str) -> Place {
        *places.place(&Client::new(address.parse().expect("an address"), 128))
    }

    fn country(place: Place) -> Option<String> {
        place.country.map(|country| country.to_string())
    }

    #[test]
    fn a_flat_country_database_is_completed_from_the_table_of_countries() {
        let places = Places::from_mmdb(FLAT).expect("whole");
        let client = place(&places, "192.0.2.77");
        assert_eq!(country(client), Some("DE".into()));
        assert_eq!(client.continent, Continent::parse("EU"));
        assert!(client.coordinates.expect("of the country").latitude > 50.0);
        assert_eq!(country(place(&places, "2001:db8:8000::1")), Some("JP".into()));
        assert_eq!(place(&places, "203.0.113.1"), Place::default(), "an empty code is none");
        assert_eq!(place(&places, "203.0.114.1"), Place::default());
    }

    #[test]
    fn a_city_database_has_coordinates_of_its_own() {
        let places = Places::from_mmdb(CITY).expect("whole");
        let client = place(&places, "192.0.2.77");
        assert_eq!(client.coordinates, Coordinates::new(52.52, 13.4));
        assert_eq!(country(place(&places, "203.0.113.1")), Some("AU".into()), "as registered");
    }

    #[test]
    fn a_flat_city_database_of_single_floats_is_read_too() {
        let places = Places::from_mmdb(FLAT_CITY).expect("whole");
        let client = place(&places, "192.0.2.77");
        assert_eq!(client.coordinates, Coordinates::new(52.5, 13.25));
        assert_eq!(country(client), Some("DE".into()));
    }

    #[test]
    fn a_database_of_one_family_and_without_description_leaves_the_other_unknown() {
        let places = Places::from_mmdb(ONLY_V4).expect("whole");
        assert_eq!(country(place(&places, "192.0.2.77")), Some("FR".into()));
        assert_eq!(place(&places, "2001:db8::1"), Place::default());
    }

    #[test]
    fn two_databases_complete_each_other() {
        let cities = Places::from_mmdb(CITY).expect("whole");
        let both = cities.with(&Places::from_mmdb(ASN).expect("whole"));
        let client = place(&both, "192.0.2.77");
        assert_eq!((country(client), client.asn), (Some("DE".into()), Some(64500)));
        let client = place(&both, "192.0.2.200");
        assert_eq!((country(client), client.asn), (Some("DE".into()), None));
        let client = place(&both, "2001:db8:8000::1");
        assert_eq!((country(client), client.asn), (None, Some(64501)));
        assert_eq!(place(&both, "10.0.0.1"), Place::default());
    }

    #[test]
    fn a_tree_whose_branches_are_shared_is_refused_soon() {
        let reader = Reader::from_source(ONLY_V4).expect("whole");
        let nodes = reader.metadata().node_count;
        assert_eq!(reader.metadata().record_size, 24);
        let mut bytes = ONLY_V4.to_vec();
        for node in 0..nodes {
            // Both sides go on to the next node: two to the power of the depth ends.
            let next = &(node + 1).to_be_bytes()[1..];
            let at = node as usize * 6;
            bytes[at..at + 6].copy_from_slice(&[next, next].concat());
        }
        let error = Places::from_mmdb(&bytes).expect_err("no tree");
        assert!(error.to_string().contains("not a tree"), "{error}");
    }

    #[test]
    fn every_way_to_cut_a_database_short_is_an_error() {
        for file in [FLAT, CITY, ASN, ONLY_V4] {
            for length in 0..file.len() {
                let result = Places::from_mmdb(&file[..length]);
                assert_eq!(result.err().map(|error| error.word()), Some("database"), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_databases_never_panic(
            which in 0_usize..4,
            flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = [FLAT, CITY, ASN, ONLY_V4][which].to_vec();
            for (at, with) in flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            // A flip inside a name may leave a database that is whole: then it can be asked.
            if let Ok(places) = Places::from_mmdb(&bytes) {
                place(&places, "192.0.2.77");
                place(&places, "2001:db8::1");
            }
        }

        #[test]
        fn arbitrary_bytes_are_no_database(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
            marked in any::<bool>(),
        ) {
            if marked {
                let at = bytes.len() / 2;
                bytes.splice(at..at, *b"\xab\xcd\xefMaxMind.com");
            }
            let _ = Places::from_mmdb(&bytes);
        }
    }
}
