//! Cache keys: a 128-bit keyed hash over length-delimited parts.
//!
//! The parts are site, scheme, host (with a non-default port), path and query. Each is preceded by
//! its length, so no part can run into the next (RFC 9111 2 requires at least method and target
//! URI; only GET is stored, so the method is no part). The hash is SipHash-1-3 with a secret seed:
//! clients cannot choose colliding keys, and the store compares the full key besides.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | scheme: 0 http, 1 https |
//! | 4 + n | site: length little-endian, then bytes |
//! | 4 + n | host |
//! | 4 + n | path |
//! | 1 (+ 4 + n) | query: 0 when absent, else 1 and the query |

use siphasher::sip::SipHasher13 as Sip64;
use siphasher::sip128::SipHasher13;
use std::hash::Hasher;

/// A cache key. Equal keys are almost surely the same resource; the store compares full keys.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

/// The secret of the hash. Nodes that share a ring must share the seed.
#[derive(Copy, Clone)]
pub struct KeySeed([u8; 16]);

impl KeySeed {
    /// A seed of these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The key of a full key made by [`KeyParts::bytes`].
    pub fn hash(&self, full_key: &[u8]) -> Key {
        Key(SipHasher13::new_with_key(&self.0).hash(full_key).as_u128())
    }

    /// A shorter hash of some parts, none of which can run into the next: for what many keys have
    /// in common. The first part should say what kind of thing is meant.
    pub fn hash64(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = Sip64::new_with_key(&self.0);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }
}

impl std::fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySeed(..)")
    }
}

/// The scheme a client used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What a key is made of. Host and path come normalised (see [`crate::target`]), the query after
/// [`crate::QueryRules::apply`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyParts<'a> {
    /// The name of the site: the same URL of two sites never shares a key.
    pub site: &'a str,
    /// The scheme the client used.
    pub scheme: Scheme,
    /// The host, with its port unless that is the default of the scheme.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query without its `?`; `None` and `Some("")` are different keys.
    pub query: Option<&'a str>,
}

impl<'a> KeyParts<'a> {
    /// Reads the parts back out of a full key; `None` if it was not made by [`KeyParts::bytes`].
    pub fn read(full_key: &'a [u8]) -> Option<Self> {
        let (&scheme, mut rest) = full_key.split_first()?;
        let scheme = match scheme {
            0 => Scheme::Http,
            1 => Scheme::Https,
            _ => return None,
        };
        let site = pull_part(&mut rest)?;
        let host = pull_part(&mut rest)?;
        let path = pull_part(&mut rest)?;
        let query = match rest.split_first()? {
            (0, []) => return Some(Self { site, scheme, host, path, query: None }),
            (1, query) => {
                rest = query;
                pull_part(&mut rest)?
            }
            _ => return None,
        };
        rest.is_empty().then_some(Self { site, scheme, host, path, query: Some(query) })
    }

    /// Writes the full key into `out`, which is cleared first and can be reused across requests.
    pub fn bytes(&self, out: &mut Vec<u8>) {
        out.clear();
        let query_bytes = self.query.map_or(0, |query| query.len() + 4);
        out.reserve(14 + self.site.len() + self.host.len() + self.path.len() + query_bytes);
        out.push(match self.scheme {
            Scheme::Http => 0,
            Scheme::Https => 1,
        });
        push_part(out, self.site);
        push_part(out, self.host);
        push_part(out, self.path);
        match self.query {
            None => out.push(0),
            Some(query) => {
                out.push(1);
                push_part(out, query);
            }
        }
    }
}

fn pull_part<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (part, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(part).ok()
}

fn push_part(out: &mut Vec<u8>, part: &str) {
    // A head of a request is limited to far less than 4 GiB, so the length always fits.
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(part.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(parts: KeyParts<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        parts.bytes(&mut out);
        out
    }

    const PARTS: KeyParts<'static> =
        KeyParts { site: "s", scheme: Scheme::Http, host: "h", path: "/p", query: None };

    #[test]
    fn no_part_can_run_into_the_next() {
        let left = KeyParts { host: "ab", path: "/c", ..PARTS };
        let right = KeyParts { host: "a", path: "b/c", ..PARTS };
        assert_ne!(full(left), full(right));
        let left = KeyParts { path: "/p?x", query: None, ..PARTS };
        let right = KeyParts { path: "/p", query: Some("x"), ..PARTS };
        assert_ne!(full(left), full(right));
    }

    #[test]
    fn scheme_and_presence_of_a_query_are_part_of_the_key() {
        assert_ne!(full(PARTS), full(KeyParts { scheme: Scheme::Https, ..PARTS }));
        assert_ne!(full(PARTS), full(KeyParts { query: Some(""), ..PARTS }));
    }

    #[test]
    fn the_seed_changes_the_hash_and_is_not_shown() {
        let bytes = full(PARTS);
        let one = KeySeed::new([1; 16]);
        assert_eq!(one.hash(&bytes), KeySeed::new([1; 16]).hash(&bytes));
        assert_ne!(one.hash(&bytes), KeySeed::new([2; 16]).hash(&bytes));
        assert_eq!(format!("{one:?}"), "KeySeed(..)");
    }

    #[test]
    fn what_was_written_is_read_back_and_nothing_else_is_read() {
        for parts in [
            PARTS,
            KeyParts { scheme: Scheme::Https, query: Some(""), ..PARTS },
            KeyParts { site: "", host: "a:1", path: "", query: Some("b=c&d"), ..PARTS },
        ] {
            let mut bytes = full(parts);
            assert_eq!(KeyParts::read(&bytes), Some(parts));
            assert!((0..bytes.len()).all(|end| KeyParts::read(&bytes[..end]).is_none()));
            bytes.push(0);
            assert_eq!(KeyParts::read(&bytes), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_key_or_none(bytes in proptest::collection::vec(0_u8..3, 0..64)) {
            if let Some(parts) = KeyParts::read(&bytes) {
                proptest::prop_assert_eq!(full(parts), bytes);
            }
        }
    }

    #[test]
    fn the_short_hash_keeps_parts_apart_and_depends_on_the_seed() {
        let seed = KeySeed::new([1; 16]);
        assert_ne!(seed.hash64(&[b"ab", b"c"]), seed.hash64(&[b"a", b"bc"]));
        assert_ne!(seed.hash64(&[b"a"]), KeySeed::new([2; 16]).hash64(&[b"a"]));
    }

    #[test]
    fn the_buffer_is_cleared_before_use() {
        let mut out = b"left over".to_vec();
        PARTS.bytes(&mut out);
        assert_eq!(out, full(PARTS));
    }
}
