//! The data of records, between the text of a master file and wire form (RFC 1035 3.3 and 5.1).
//!
//! What a type's data is made of is one row of [`layout`]; reading text, writing text and checking
//! wire all follow it. A type without a row is opaque: its text is the generic `\# 4 c0000201`
//! (RFC 3597 5), which every type may be written in.

mod params;
mod read;
mod stamp;
#[cfg(test)]
mod tests;
mod token;
mod write;

use std::fmt;

use crate::kind;

pub(crate) use read::{from_text, name};
pub(crate) use stamp::seconds;
pub(crate) use token::{Misread, Place, Token};

/// One part of a record's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    U8,
    U16,
    U32,
    /// A time to live or the like: 32 bits, in text with units if liked.
    Seconds,
    /// A moment: 32 bits, in text `YYYYMMDDHHmmSS` (RFC 4034 3.2).
    Moment,
    /// The number or name of a DNSSEC algorithm: 8 bits.
    Algorithm,
    /// The number or name of a certificate's form: 16 bits (RFC 4398 2.1).
    CertificateForm,
    /// The type that a signature covers: 16 bits.
    Kind,
    Name,
    V4,
    V6,
    /// Six or eight bytes, in text `00-00-5e-00-53-2a` (RFC 7043).
    Eui(usize),
    /// A string with its length before it.
    String,
    /// One such string or more, to the end.
    Strings,
    /// Letters and digits with their length before them (RFC 8659 4.1).
    Tag,
    /// A string to the end, without a length (RFC 7553 4.5, RFC 8659 4.1).
    Rest(Emptiness),
    /// Bytes with their length before them, in text hexadecimal, or `-` (RFC 5155 3.3).
    Salt,
    /// Bytes with their length before them, in text base 32 (RFC 5155 3.3).
    Hash,
    /// Types to the end, as bits (RFC 4034 4.1.2).
    Kinds,
    /// Bytes to the end, in text hexadecimal.
    Hex,
    /// Bytes to the end, in text base 64.
    Base64,
    /// The parameters of a service, to the end (RFC 9460 2.2).
    Params,
}

/// Whether something may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emptiness {
    Allowed,
    Refused,
}

/// What the data of a type is made of, in order; `None`: the type is opaque.
pub(crate) fn layout(kind: u16) -> Option<&'static [Field]> {
    use Field::{
        Algorithm, Base64, CertificateForm, Eui, Hash, Hex, Kind, Kinds, Moment, Name, Params,
        Rest, Salt, Seconds, String, Strings, Tag, U8, U16, U32, V4, V6,
    };
    Some(match kind {
        kind::A => &[V4],
        kind::AAAA => &[V6],
        kind::NS | kind::CNAME | kind::PTR | kind::DNAME => &[Name],
        kind::SOA => &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds],
        kind::HINFO => &[String, String],
        kind::MX | kind::AFSDB | kind::KX => &[U16, Name],
        kind::TXT | kind::SPF => &[Strings],
        kind::RP => &[Name, Name],
        kind::SRV => &[U16, U16, U16, Name],
        kind::NAPTR => &[U16, U16, String, String, String, Name],
        kind::CERT => &[CertificateForm, U16, Algorithm, Base64],
        kind::DS | kind::CDS => &[U16, Algorithm, U8, Hex],
        kind::SSHFP => &[U8, U8, Hex],
        kind::RRSIG => &[Kind, Algorithm, U8, U32, Moment, Moment, U16, Name, Base64],
        kind::NSEC => &[Name, Kinds],
        kind::KEY | kind::DNSKEY | kind::CDNSKEY => &[U16, U8, Algorithm, Base64],
        kind::DHCID | kind::OPENPGPKEY => &[Base64],
        kind::NSEC3 => &[U8, U8, U16, Salt, Hash, Kinds],
        kind::NSEC3PARAM => &[U8, U8, U16, Salt],
        kind::TLSA | kind::SMIMEA => &[U8, U8, U8, Hex],
        kind::CSYNC => &[U32, U16, Kinds],
        kind::ZONEMD => &[U32, U8, U8, Hex],
        kind::SVCB | kind::HTTPS => &[U16, Name, Params],
        kind::EUI48 => &[Eui(6)],
        kind::EUI64 => &[Eui(8)],
        kind::URI => &[U16, U16, Rest(Emptiness::Refused)],
        kind::CAA => &[U8, Tag, Rest(Emptiness::Allowed)],
        _ => return None,
    })
}

/// Whether bytes are the data of a record of a type: names whole, lengths right, nothing left.
pub(crate) fn check(kind: u16, data: &[u8]) -> Result<(), &'static str> {
    match layout(kind) {
        Some(layout) => write::fields(layout, data, &mut Nowhere),
        None => Ok(()),
    }
}

/// The data of a record as a master file writes it; in the generic form if it is not as its type
/// has it.
#[must_use]
pub fn data_text(kind: u16, data: &[u8]) -> String {
    if let Some(layout) = layout(kind) {
        let mut text = String::new();
        if write::fields(layout, data, &mut text).is_ok() {
            return text;
        }
    }
    write::generic(data)
}

/// Swallows what is written.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

impl Field {
    /// What is to be written, for a person.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::U8 => "a number up to 255",
            Self::U16 => "a number up to 65535",
            Self::U32 => "a number up to 4294967295",
            Self::Seconds => "seconds, or a time like 1h30m",
            Self::Moment => "a moment, as YYYYMMDDHHmmSS",
            Self::Algorithm => "the number or name of an algorithm",
            Self::CertificateForm => "the number or name of a certificate's form",
            Self::Kind => "a type",
            Self::Name => "a name",
            Self::V4 => "an IPv4 address",
            Self::V6 => "an IPv6 address",
            Self::Eui(6) => "six pairs of hexadecimal digits with - between",
            Self::Eui(_) => "eight pairs of hexadecimal digits with - between",
            Self::String | Self::Strings | Self::Rest(_) => "a string",
            Self::Tag => "a tag of letters and digits",
            Self::Salt => "a salt in hexadecimal, or -",
            Self::Hash => "a hash in base 32",
            Self::Kinds => "types",
            Self::Hex => "hexadecimal digits in pairs",
            Self::Base64 => "base 64",
            Self::Params => "parameters of the service",
        }
    }
}
