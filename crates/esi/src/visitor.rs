//! What a page may know of who asks for it.

use std::borrow::Cow;

/// Who asks. All bytes are as the client sent them; what is done to them so that they harm nobody
/// is this crate's to do.
pub trait Visitor {
    /// The method of the request.
    fn method(&self) -> &str;
    /// The host that was asked, with its port if the client named one.
    fn host(&self) -> &str;
    /// The path, with its percent signs, without the query.
    fn path(&self) -> &str;
    /// The query, without the question mark.
    fn query(&self) -> Option<&str>;
    /// A field of the request by its name in lower case. Several lines are joined by `, `, those
    /// of Cookie by `; `.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// Where the client is, if that is known.
    fn place(&self, what: Place) -> Option<&str>;
    /// Whether a cookie is kept from pages.
    fn is_secret_cookie(&self, name: &str) -> bool;
}

/// What may be known of where a client is: the keys of `$(GEO{...})`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `continent`, `continent_code`: two letters
    Continent,
    /// `country`, `country_code`: ISO 3166-1, two letters
    Country,
    /// `region`, `region_code`: ISO 3166-2 without the country
    Region,
    /// `city`: a name
    City,
    /// `zip`, `postal_code`
    PostalCode,
    /// `lat`, `latitude`: degrees
    Latitude,
    /// `long`, `longitude`: degrees
    Longitude,
    /// `timezone`: as in the tz database
    Timezone,
    /// `asn`, `asnum`: a number
    Asn,
    /// `network_type`, `network`: a word of the operator's
    Network,
}

impl Place {
    /// What a key of `GEO` asks for.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"continent" | b"continent_code" => Self::Continent,
            b"country" | b"country_code" => Self::Country,
            b"region" | b"region_code" => Self::Region,
            b"city" => Self::City,
            b"zip" | b"postal_code" => Self::PostalCode,
            b"lat" | b"latitude" => Self::Latitude,
            b"long" | b"longitude" => Self::Longitude,
            b"timezone" => Self::Timezone,
            b"asn" | b"asnum" => Self::Asn,
            b"network" | b"network_type" => Self::Network,
            _ => return None,
        })
    }
}
