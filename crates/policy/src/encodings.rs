//! `Accept-Encoding` reduced to what can make a difference (RFC 9110 12.5.3).
//!
//! The thousands of spellings in the wild fall into few sets: which of zstd, br and gzip a client
//! takes, and whether it takes the plain form. That set is what `Vary: Accept-Encoding` is matched
//! by and what the origin is sent; weights are not kept, because they only rank what is in the set.
//! Garbage is an empty set: such a client gets the plain form, from the store.

use crate::list;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// A content coding this node knows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// `br`, RFC 7932.
    Brotli,
    /// `gzip`, RFC 9110 8.4.1.3.
    Gzip,
    /// `zstd`, RFC 8878.
    Zstd,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Zstd];

    /// The name in `Content-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of that name, in any case; `x-gzip` is gzip (RFC 9110 8.4.1.3).
    pub fn from_token(token: &[u8]) -> Option<Self> {
        if token.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| coding.token().as_bytes().eq_ignore_ascii_case(token))
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Brotli => 1,
            Self::Gzip => 2,
            Self::Zstd => 4,
        }
    }
}

/// The codings a client takes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encodings(u8);

const PLAIN_REFUSED: u8 = 8;
const CODINGS: u8 = 7;

impl Encodings {
    /// The plain form only.
    pub const PLAIN: Self = Self(0);

    /// Reads `Accept-Encoding`. Absent means the plain form: RFC 9110 12.5.3 allows any coding
    /// then, but a client that says nothing may not decode one.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut accepted = 0;
        let mut named = 0;
        let mut others = None;
        let mut plain = None;
        for member in list::all_members(headers, ACCEPT_ENCODING) {
            let mut parts = list::parameters(member);
            let Some(name) = parts.next() else { continue };
            let Some(weight) = weight(parts) else { continue };
            if name == b"*" {
                others = Some(weight > 0);
            } else if name.eq_ignore_ascii_case(b"identity") {
                plain = Some(weight > 0);
            } else if let Some(coding) = Coding::from_token(name) {
                named |= coding.bit();
                if weight > 0 {
                    accepted |= coding.bit();
                }
            }
        }
        if others == Some(true) {
            accepted |= CODINGS & !named;
        }
        if plain == Some(false) || (plain.is_none() && others == Some(false)) {
            accepted |= PLAIN_REFUSED;
        }
        Self(accepted)
    }

    /// Whether the client takes this coding.
    pub const fn accepts(self, coding: Coding) -> bool {
        self.0 & coding.bit() != 0
    }

    /// Whether the client takes the plain form.
    pub const fn accepts_plain(self) -> bool {
        self.0 & PLAIN_REFUSED == 0
    }

    /// Whether the client takes no coding.
    pub const fn is_plain_only(self) -> bool {
        self.0 & CODINGS == 0
    }

    /// The set with this coding in it.
    #[must_use]
    pub const fn with(self, coding: Coding) -> Self {
        Self(self.0 | coding.bit())
    }

    /// The set as a byte: equal sets, equal bytes.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// What the origin is sent instead of what the client wrote; `None` means no field.
    pub const fn upstream_value(self) -> Option<HeaderValue> {
        let text = match self.0 {
            0 => return None,
            1 => "br",
            2 => "gzip",
            3 => "br, gzip",
            4 => "zstd",
            5 => "br, zstd",
            6 => "gzip, zstd",
            7 => "br, gzip, zstd",
            8 => "identity;q=0",
            9 => "br, identity;q=0",
            10 => "gzip, identity;q=0",
            11 => "br, gzip, identity;q=0",
            12 => "zstd, identity;q=0",
            13 => "br, zstd, identity;q=0",
            14 => "gzip, zstd, identity;q=0",
            _ => "br, gzip, zstd, identity;q=0",
        };
        Some(HeaderValue::from_static(text))
    }
}

/// The weight of a member in thousandths; `None` if its `q` is broken (RFC 9110 12.4.2).
pub(crate) fn weight<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let mut weight = 1000;
    for parameter in parameters {
        if let [b'q' | b'Q', b'=', value @ ..] = parameter {
            weight = parse_weight(value)?;
        }
    }
    Some(weight)
}

fn parse_weight(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3).fold(u16::from(whole - b'0'), |sum, index| {
        sum * 10 + fraction.get(index).map_or(0, |digit| u16::from(digit - b'0'))
    });
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        let once = Encodings::parse(&headers).upstream_value()?;
        headers.insert(ACCEPT_ENCODING, once.clone());
        assert_eq!(Encodings::parse(&headers).upstream_value(), Some(once.clone()), "{value}");
        Some(once.to_str().unwrap().to_owned())
    }

    #[test]
    fn spellings_of_one_set_become_one() {
        for value in ["gzip, br", "br,gzip", "BR;q=0.5 , X-GZip;q=1.000", "deflate, gzip, br, xz"] {
            assert_eq!(sent(value).as_deref(), Some("br, gzip"), "{value}");
        }
        assert_eq!(sent("*").as_deref(), Some("br, gzip, zstd"));
        assert_eq!(sent("*, gzip;q=0").as_deref(), Some("br, zstd"));
        assert_eq!(sent("gzip;q=0.000"), None);
        assert_eq!(sent("*;q=0").as_deref(), Some("identity;q=0"));
        assert_eq!(sent("identity;q=0, gzip").as_deref(), Some("gzip, identity;q=0"));
        assert_eq!(sent("*;q=0, identity"), None);
    }

    #[test]
    fn garbage_is_the_plain_form() {
        for value in ["", ",", ";;;", "gzip;q=x", "gzip;q=2", "gzip;q=0.0001", "gz ip", "\"gzip\""]
        {
            assert_eq!(sent(value), None, "{value}");
        }
        assert_eq!(Encodings::parse(&HeaderMap::new()), Encodings::PLAIN);
    }
}
