//! Who asks for a page, as the page may know it.

use super::rules::Rules;
use crate::normalize::Ask;
use http::header;
use selvedge_esi::{Place, Visitor};
use selvedge_geo::address::Client;
use selvedge_geo::places::Coordinates;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

/// The request for a page, as that page sees it.
pub(super) struct View<'a> {
    ask: &'a Ask,
    rules: &'a Rules,
    /// The page has looked at what tells visitors of the same address apart.
    pub(super) is_personal: Cell<bool>,
    /// Where the client is, once that was asked.
    place: OnceCell<Whereabouts>,
}

impl<'a> View<'a> {
    pub(super) const fn new(ask: &'a Ask, rules: &'a Rules) -> Self {
        Self { ask, rules, is_personal: Cell::new(false), place: OnceCell::new() }
    }
}

/// Where a client is, in the words of a page.
#[derive(Default)]
struct Whereabouts {
    country: Option<String>,
    continent: Option<String>,
    latitude: Option<String>,
    longitude: Option<String>,
    asn: Option<String>,
}

impl Whereabouts {
    fn of(ask: &Ask) -> Self {
        let Some(places) = &ask.plan.places else { return Self::default() };
        let place = places.place(&Client::new(ask.arrival.client, u8::MAX));
        let degrees = |axis: fn(&Coordinates) -> f64| {
            place.coordinates.as_ref().map(|at| format!("{:.4}", axis(at)))
        };
        Self {
            country: place.country.map(|country| country.to_string()),
            continent: place.continent.map(|continent| continent.to_string()),
            latitude: degrees(|at| at.latitude),
            longitude: degrees(|at| at.longitude),
            asn: place.asn.map(|asn| asn.to_string()),
        }
    }
}

impl Visitor for View<'_> {
    fn method(&self) -> &str {
        self.ask.method.as_str()
    }

    fn host(&self) -> &str {
        &self.ask.host
    }

    fn path(&self) -> &str {
        self.ask.path()
    }

    fn query(&self) -> Option<&str> {
        self.ask.query()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.is_personal.set(true);
        let mut lines = self.ask.headers.get_all(name).iter();
        let first = lines.next()?.as_bytes();
        let separator: &[u8] = if name == header::COOKIE.as_str() { b"; " } else { b", " };
        Some(lines.fold(Cow::Borrowed(first), |mut joined, line| {
            let text = joined.to_mut();
            text.extend_from_slice(separator);
            text.extend_from_slice(line.as_bytes());
            joined
        }))
    }

    fn place(&self, what: Place) -> Option<&str> {
        self.is_personal.set(true);
        let place = self.place.get_or_init(|| Whereabouts::of(self.ask));
        match what {
            Place::Country => place.country.as_deref(),
            Place::Continent => place.continent.as_deref(),
            Place::Latitude => place.latitude.as_deref(),
            Place::Longitude => place.longitude.as_deref(),
            Place::Asn => place.asn.as_deref(),
            Place::Region | Place::City | Place::PostalCode | Place::Timezone | Place::Network => {
                None
            }
        }
    }

    fn is_secret_cookie(&self, name: &str) -> bool {
        self.rules.secret_cookies.iter().any(|secret| secret == name)
    }
}
