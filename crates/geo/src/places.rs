//! Where the clients are, as far as databases know: every prefix has a place, and few places are
//! many prefixes'.

use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

use crate::address::{Bits, Client, Key};
use crate::countries;
use crate::spans::Spans;

/// A point on the globe, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Coordinates {
    /// North is positive.
    pub latitude: f64,
    /// East is positive.
    pub longitude: f64,
}

impl Coordinates {
    /// `None` for what is no place on the globe.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let inside = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        inside.then_some(Self { latitude, longitude })
    }

    /// The distance along the great circle, in whole kilometres: machines differ in the last bit of
    /// a sine, and must not differ in which region is nearer.
    pub fn distance_km(&self, other: &Self) -> u16 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let across = (other.longitude - self.longitude).to_radians() / 2.0;
        let haversine =
            ((to - from) / 2.0).sin().powi(2) + from.cos() * to.cos() * across.sin().powi(2);
        (2.0 * EARTH_RADIUS_KM * haversine.clamp(0.0, 1.0).sqrt().asin()).round() as u16
    }

    /// The middle of the cell of a grid that the point lies in: near places are one.
    pub(crate) fn rounded(self, cell_degrees: f64) -> Self {
        let round = |degrees: f64| (degrees / cell_degrees).round() * cell_degrees;
        Self {
            latitude: round(self.latitude).clamp(-90.0, 90.0),
            longitude: round(self.longitude).clamp(-180.0, 180.0),
        }
    }
}

const EARTH_RADIUS_KM: f64 = 6371.0;

/// A country by its two capital letters (ISO 3166-1 alpha-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(pub [u8; 2]);

impl Country {
    /// From text of either case.
    pub fn parse(text: &str) -> Option<Self> {
        letters(text).map(Self)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

/// A continent by the two letters that the databases use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Continent(pub [u8; 2]);

impl Continent {
    /// From text of either case; only the seven there are.
    pub fn parse(text: &str) -> Option<Self> {
        let code = letters(text)?;
        [b"AF", b"AN", b"AS", b"EU", b"NA", b"OC", b"SA"].contains(&&code).then_some(Self(code))
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Country(self.0).fmt(out)
    }
}

fn letters(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_alphabetic).then(|| code.map(|letter| letter.to_ascii_uppercase()))
}

/// What is known of where a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Its country.
    pub country: Option<Country>,
    /// Its continent.
    pub continent: Option<Continent>,
    /// Where it is, to a city or at least a country.
    pub coordinates: Option<Coordinates>,
    /// The autonomous system its address belongs to.
    pub asn: Option<u32>,
}

impl Place {
    /// Fills in what follows from the country.
    pub(crate) fn completed(mut self) -> Self {
        if let Some(country) = self.country {
            self.continent = self.continent.or_else(|| countries::continent(country));
            self.coordinates = self.coordinates.or_else(|| countries::coordinates(country));
        }
        self
    }

    /// What this one says, and the other where this one is silent.
    fn or(self, other: &Self) -> Self {
        Self {
            country: self.country.or(other.country),
            continent: self.continent.or(other.continent),
            coordinates: self.coordinates.or(other.coordinates),
            asn: self.asn.or(other.asn),
        }
    }

    /// The bits that make it this place.
    fn identity(&self) -> Identity {
        Identity {
            country: self.country,
            continent: self.continent,
            coordinates: self.coordinates.map(|at| [at.latitude.to_bits(), at.longitude.to_bits()]),
            asn: self.asn,
        }
    }
}

/// A place, to be told from others.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
    country: Option<Country>,
    continent: Option<Continent>,
    coordinates: Option<[u64; 2]>,
    asn: Option<u32>,
}

/// All prefixes and their places.
#[derive(Debug)]
pub struct Places {
    /// The first is the place of those of whom nothing is known.
    pub(crate) list: Vec<Place>,
    pub(crate) v4: Spans<u32>,
    pub(crate) v6: Spans<u128>,
}

impl Places {
    /// Nothing is known of anybody.
    pub fn none() -> Self {
        Self { list: vec![Place::default()], v4: Spans::uniform(0), v6: Spans::uniform(0) }
    }

    /// Both together: what this one says comes first. For a database of autonomous systems beside
    /// one of cities.
    pub fn with(&self, other: &Self) -> Self {
        let mut pairs = Gathered::default();
        let mut pair =
            |one: u32, two: u32| pairs.place(self.list[one as usize].or(&other.list[two as usize]));
        // Of whom neither knows anything stays the first.
        pair(0, 0);
        let v4 = self.v4.zip(&other.v4, &mut pair);
        let v6 = self.v6.zip(&other.v6, &mut pair);
        Self { list: pairs.list, v4, v6 }
    }

    /// The place of a client, by the first address of what is known of it.
    pub fn place(&self, client: &Client) -> &Place {
        let place = match client.key {
            Key::V4(key) => self.v4.at(key.first(client.known)),
            Key::V6(key) => self.v6.at(key.first(client.known)),
        };
        &self.list[place as usize]
    }

    /// How many spans of addresses there are, of both families.
    pub fn spans(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// Places, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) list: Vec<Place>,
    known: HashMap<Identity, u32>,
}

impl Gathered {
    /// The number of a place.
    pub(crate) fn place(&mut self, place: Place) -> u32 {
        let list = &mut self.list;
        *self.known.entry(place.identity()).or_insert_with(|| {
            list.push(place);
            list.len() as u32 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).expect("on the globe")
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let (berlin, sydney) = (point(52.52, 13.41), point(-33.87, 151.21));
        assert!((16_080..16_110).contains(&berlin.distance_km(&sydney)));
        assert_eq!(berlin.distance_km(&berlin), 0);
        assert_eq!(point(0.0, 179.5).distance_km(&point(0.0, -179.5)), 111);
        assert_eq!(point(90.0, 0.0).distance_km(&point(-90.0, 77.0)), 20_015);
    }

    #[test]
    fn what_is_not_on_the_globe_is_no_place() {
        assert_eq!(Coordinates::new(91.0, 0.0), None);
        assert_eq!(Coordinates::new(0.0, f64::NAN), None);
        assert_eq!(Country::parse("D1"), None);
        assert_eq!(Country::parse("de").map(|country| country.to_string()), Some("DE".into()));
        assert_eq!(Continent::parse("XX"), None);
    }
}
