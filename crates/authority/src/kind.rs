//! Types of records, by number and by name (RFC 1035 3.2.2, and what IANA registered since).
//!
//! A type that has no name here is written `TYPE123` (RFC 3597 5), and one that has may be.

use std::fmt;

/// Declares each type once: the constant, its number, and its name where that is no constant's.
macro_rules! kinds {
    ($($constant:ident $number:literal $text:literal,)*) => {
        $(
            #[doc = concat!("The type `", $text, "`.")]
            pub const $constant: u16 = $number;
        )*

        /// Every type with a name.
        const NAMES: &[(u16, &str)] = &[$(($number, $text),)*];
    };
}

// In the order of the numbers, which `text_of` searches by.
kinds! {
    A 1 "A",
    NS 2 "NS",
    CNAME 5 "CNAME",
    SOA 6 "SOA",
    PTR 12 "PTR",
    HINFO 13 "HINFO",
    MX 15 "MX",
    TXT 16 "TXT",
    RP 17 "RP",
    AFSDB 18 "AFSDB",
    SIG 24 "SIG",
    KEY 25 "KEY",
    AAAA 28 "AAAA",
    LOC 29 "LOC",
    SRV 33 "SRV",
    NAPTR 35 "NAPTR",
    KX 36 "KX",
    CERT 37 "CERT",
    DNAME 39 "DNAME",
    OPT 41 "OPT",
    APL 42 "APL",
    DS 43 "DS",
    SSHFP 44 "SSHFP",
    IPSECKEY 45 "IPSECKEY",
    RRSIG 46 "RRSIG",
    NSEC 47 "NSEC",
    DNSKEY 48 "DNSKEY",
    DHCID 49 "DHCID",
    NSEC3 50 "NSEC3",
    NSEC3PARAM 51 "NSEC3PARAM",
    TLSA 52 "TLSA",
    SMIMEA 53 "SMIMEA",
    HIP 55 "HIP",
    CDS 59 "CDS",
    CDNSKEY 60 "CDNSKEY",
    OPENPGPKEY 61 "OPENPGPKEY",
    CSYNC 62 "CSYNC",
    ZONEMD 63 "ZONEMD",
    SVCB 64 "SVCB",
    HTTPS 65 "HTTPS",
    SPF 99 "SPF",
    EUI48 108 "EUI48",
    EUI64 109 "EUI64",
    NXNAME 128 "NXNAME",
    TKEY 249 "TKEY",
    TSIG 250 "TSIG",
    IXFR 251 "IXFR",
    AXFR 252 "AXFR",
    MAILB 253 "MAILB",
    MAILA 254 "MAILA",
    ANY 255 "ANY",
    URI 256 "URI",
    CAA 257 "CAA",
}

/// A type, to be written as a master file writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u16);

/// The number of the type that a text names, in capitals or not; `None`: there is none.
#[must_use]
pub fn from_text(text: &str) -> Option<u16> {
    if let Some((number, _)) = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        return Some(*number);
    }
    let (prefix, digits) = text.split_at_checked(4)?;
    let is_number = prefix.eq_ignore_ascii_case("TYPE")
        && (1..=5).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Whether a type is asked for or travels in packets only, and so stands in no zone: the reserved
/// zero, OPT, NXNAME, and the range of RFC 6895 3.1 that holds the meta-types and question types.
#[must_use]
pub fn is_meta(kind: u16) -> bool {
    kind == 0 || kind == OPT || (128..=255).contains(&kind) || kind == u16::MAX
}

fn text_of(kind: u16) -> Option<&'static str> {
    let at = NAMES.binary_search_by_key(&kind, |(number, _)| *number).ok()?;
    Some(NAMES[at].1)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text_of(self.0) {
            Some(text) => f.write_str(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read_back_from_what_it_is_written_as() {
        for number in 0..=u16::MAX {
            assert_eq!(from_text(&Kind(number).to_string()), Some(number));
            assert_eq!(from_text(&format!("type{number}")), Some(number));
        }
        assert!(NAMES.is_sorted_by_key(|(number, _)| *number));
    }

    #[test]
    fn what_names_no_type_is_none() {
        for text in ["", "B", "TYPE", "TYPE65536", "TYPE+1", "TYPE-1", "TYPE1x", "TYPé1", "A "] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(from_text("aaaa"), Some(AAAA));
        assert_eq!(from_text("Https"), Some(HTTPS));
    }

    #[test]
    fn what_travels_in_packets_only_stands_in_no_zone() {
        for kind in [0, OPT, NXNAME, TSIG, AXFR, IXFR, ANY, 65_535] {
            assert!(is_meta(kind), "{kind}");
        }
        for kind in [A, SOA, DS, SPF, EUI64, URI, CAA, 1_000, 65_280] {
            assert!(!is_meta(kind), "{kind}");
        }
    }
}
