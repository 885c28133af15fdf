//! Who may purge.
//!
//! An address must be on the list, and where a token is configured it must be brought as well. The
//! address is that of the client as far as it can be believed: a request that says it was relayed,
//! by somebody whose word does not count, has none.

use super::Refused;
use http::{HeaderMap, header};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// The secret that whoever purges must bring.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl Token {
    /// The token in the text of a file: what is left without white space at both ends. `None` if
    /// that is nothing, or has white space or bytes in it that no field can carry.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let valid = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
        valid.then(|| Self(text.into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The rule of one configuration.
#[derive(Debug)]
pub(crate) struct Guard {
    from: Vec<IpNet>,
    token: Option<Token>,
}

impl Guard {
    pub(crate) fn new(from: &[IpNet], token: Option<Token>) -> Self {
        Self { from: from.to_vec(), token }
    }

    /// Whether a request with these fields from this client may purge. `vouched`: the sender is
    /// believed about its client.
    pub(crate) fn admit(
        &self,
        client: IpAddr,
        vouched: bool,
        headers: &HeaderMap,
    ) -> Result<(), Refused> {
        let client = client.to_canonical();
        let relayed = !vouched && RELAYED.iter().any(|name| headers.contains_key(*name));
        // Whatever page a browser shows could otherwise purge by the address of its user.
        let from_page = headers.contains_key(header::ORIGIN);
        if relayed || from_page || !self.from.iter().any(|network| network.contains(&client)) {
            return Err(Refused::Forbidden);
        }
        match &self.token {
            Some(token) if !brings(headers, token) => Err(Refused::Unauthorized),
            _ => Ok(()),
        }
    }
}

/// Fields by which a relay says that it is one.
const RELAYED: [&str; 4] = ["x-forwarded-for", "forwarded", "via", "cdn-loop"];

/// Whether the fields carry this token (RFC 6750 2.1), found out in the same time for all tokens of
/// its length.
fn brings(headers: &HeaderMap, token: &Token) -> bool {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Some((scheme, brought)) = line.as_bytes().split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(brought.trim_ascii().ct_eq(&token.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn guard(token: Option<&str>) -> Guard {
        let from = ["127.0.0.0/8", "2001:db8::/32"].map(|it| it.parse().expect("a network"));
        Guard::new(&from, token.map(|token| Token::read(token.as_bytes()).expect("a token")))
    }

    fn asked(guard: &Guard, client: &str, fields: &[(&'static str, &str)]) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a field value"));
        }
        guard.admit(client.parse().expect("an address"), false, &headers)
    }

    #[test]
    fn only_listed_addresses_may() {
        let guard = guard(None);
        assert_eq!(asked(&guard, "127.8.9.1", &[]), Ok(()));
        assert_eq!(asked(&guard, "::ffff:127.0.0.1", &[]), Ok(()));
        assert_eq!(asked(&guard, "2001:db8::1", &[]), Ok(()));
        assert_eq!(asked(&guard, "192.0.2.1", &[]), Err(Refused::Forbidden));
    }

    #[test]
    fn what_a_stranger_relays_or_a_page_sends_is_refused() {
        let guard = guard(None);
        for name in ["x-forwarded-for", "forwarded", "via", "cdn-loop", "origin"] {
            assert_eq!(asked(&guard, "127.0.0.1", &[(name, "x")]), Err(Refused::Forbidden));
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
        assert_eq!(guard.admit([127, 0, 0, 1].into(), true, &headers), Ok(()));
    }

    #[test]
    fn a_token_is_needed_beside_the_address_where_there_is_one() {
        let guard = guard(Some(" s3cret\n"));
        let brought = |value| asked(&guard, "127.0.0.1", &[("authorization", value)]);
        assert_eq!(brought("Bearer s3cret"), Ok(()));
        assert_eq!(brought("bearer  s3cret"), Ok(()));
        for wrong in ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Basic s3cret"] {
            assert_eq!(brought(wrong), Err(Refused::Unauthorized), "{wrong}");
        }
        assert_eq!(asked(&guard, "127.0.0.1", &[]), Err(Refused::Unauthorized));
        let right = ("authorization", "Bearer s3cret");
        assert_eq!(asked(&guard, "127.0.0.1", &[right, right]), Err(Refused::Unauthorized));
        assert_eq!(asked(&guard, "192.0.2.1", &[right]), Err(Refused::Forbidden));
    }

    #[test]
    fn a_file_holds_one_token_or_none() {
        assert_eq!(Token::read(b"abc\n"), Token::read(b"abc"));
        for text in [&b""[..], b" \n", b"a b", b"a\nb", b"\xff"] {
            assert_eq!(Token::read(text), None);
        }
    }
}
