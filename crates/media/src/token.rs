//! Signed addresses and cookies: who has the token may read what is below a path, until it
//! expires. HMAC-SHA-256 (RFC 2104), compared in constant time by the library. What a token
//! allows is in it and signed; nothing is stored.
//!
//! ```text
//! 1.KEY.EXPIRES.PREFIX.CLIENT.MAC
//! | |   |       |      |      base64url of 32 bytes, without padding (RFC 4648 5)
//! | |   |       |      `a` bound to the client's address, `n` not
//! | |   |       path prefix in base64url
//! | |   seconds since 1970, decimal
//! | name of the key: letters, digits, `_`, `-`
//! version
//! ```
//! Signed is `selvedge-token`, 0, the audience, 0, all in front of the last dot, 0, and the 16
//! bytes of the address (IPv4 mapped, RFC 4291 2.5.5.2) if it is bound to one.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

use crate::address::is_plain_path;
use crate::time::integer;

/// The name in the query and of the cookie where nothing else is configured.
pub const NAME: &str = "selvedge-token";
/// No token is longer.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// No path prefix is longer.
pub const PREFIX_BYTES_MAX: usize = 512;
/// No secret is shorter.
pub const SECRET_BYTES_MIN: usize = 16;

/// A secret with its name.
pub struct Key {
    id: Box<str>,
    secret: hmac::Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Key({})", self.id)
    }
}

impl Key {
    /// None for a name with other characters or more than 32 of them, and for a secret of less
    /// than [`SECRET_BYTES_MIN`].
    pub fn new(id: &str, secret: &[u8]) -> Option<Self> {
        let fine = is_key_name(id) && secret.len() >= SECRET_BYTES_MIN;
        fine.then(|| Self { id: id.into(), secret: hmac::Key::new(hmac::HMAC_SHA256, secret) })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The keys that are believed: one that signs, and one that did before or will next.
#[derive(Debug)]
pub struct Keys {
    /// The one that signs
    pub current: Key,
    /// The other one
    pub other: Option<Key>,
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// For whom it is: the site's name. A token of another site is none.
    pub audience: &'a str,
    /// Up to and without this second since 1970
    pub expires_s: u64,
    /// With a slash at the end all that is below, without one this one path
    pub path_prefix: &'a str,
    /// Only for this address
    pub client: Option<IpAddr>,
}

/// Who shows a token, for what.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The site's name
    pub audience: &'a str,
    /// Of the request, without the query, as it was sent
    pub path: &'a str,
    /// Who asks; an address within a proxy's field only where that is trusted
    pub client: IpAddr,
    /// Seconds since 1970
    pub now_s: u64,
}

/// Why a token is not believed; each is a 403. What is signed is looked at only after the
/// signature was found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denied {
    /// There is none.
    Missing,
    /// It is not of this form, is too long, or was sent twice.
    Malformed,
    /// Nobody knows a key of that name.
    UnknownKey,
    /// It was not signed by that key, for this site and this client.
    Signature,
    /// It is over.
    Expired,
    /// It is for another path, or the path could be read in more than one way.
    Path,
}

impl Denied {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Malformed,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::Path,
    ];

    /// Its stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "token-missing",
            Self::Malformed => "token-malformed",
            Self::UnknownKey => "token-unknown-key",
            Self::Signature => "token-signature",
            Self::Expired => "token-expired",
            Self::Path => "token-path",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word())
    }
}

impl std::error::Error for Denied {}

/// A token, by the current key. None for a path prefix that is not plain or too long, and for an
/// audience that is empty or has a zero byte.
pub fn sign(keys: &Keys, grant: &Grant<'_>) -> Option<String> {
    let prefix = grant.path_prefix;
    let audience = grant.audience;
    if !is_plain_path(prefix)
        || prefix.len() > PREFIX_BYTES_MAX
        || audience.is_empty()
        || audience.contains('\0')
    {
        return None;
    }
    let binding = if grant.client.is_some() { 'a' } else { 'n' };
    let prefix = BASE64URL_NOPAD.encode(prefix.as_bytes());
    let (id, expires) = (&keys.current.id, grant.expires_s);
    let claims = format!("1.{id}.{expires}.{prefix}.{binding}");
    let mac = hmac::sign(&keys.current.secret, &signed(audience, &claims, grant.client));
    Some(format!("{claims}.{}", BASE64URL_NOPAD.encode(mac.as_ref())))
}

/// Whether a token allows what is asked; when it does, the second at which it expires.
pub fn verify(keys: &Keys, token: &str, shown: &Shown<'_>) -> Result<u64, Denied> {
    if token.is_empty() {
        return Err(Denied::Missing);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Denied::Malformed);
    }
    let (claims, mac) = token.rsplit_once('.').ok_or(Denied::Malformed)?;
    let ["1", id, expires, prefix, binding @ ("a" | "n")] = *claims.split('.').collect::<Vec<_>>()
    else {
        return Err(Denied::Malformed);
    };
    let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let mac = decode(mac).ok_or(Denied::Malformed)?;
    let prefix = decode(prefix).and_then(|bytes| String::from_utf8(bytes).ok());
    let prefix = prefix.ok_or(Denied::Malformed)?;
    let expires = integer(expires).ok_or(Denied::Malformed)?;
    let known = [Some(&keys.current), keys.other.as_ref()];
    let key = known.into_iter().flatten().find(|key| &*key.id == id);
    let key = key.ok_or(Denied::UnknownKey)?;
    let client = (binding == "a").then_some(shown.client);
    let message = signed(shown.audience, claims, client);
    hmac::verify(&key.secret, &message, &mac).map_err(|_| Denied::Signature)?;
    if shown.now_s >= expires {
        return Err(Denied::Expired);
    }
    let covers = match prefix.ends_with('/') {
        true => shown.path.starts_with(&prefix),
        false => shown.path == prefix,
    };
    if covers && is_plain_path(shown.path) { Ok(expires) } else { Err(Denied::Path) }
}

/// The token of a request: of its query (without the question mark), or else of its Cookie
/// fields. One that is there twice is malformed: two readers would not take the same.
pub fn find<'a>(
    name: &str,
    query: &'a str,
    cookies: impl IntoIterator<Item = &'a str>,
) -> Result<&'a str, Denied> {
    let in_query = crate::query::pairs(query).filter(|(known, _)| *known == name);
    let mut found = in_query.map(|(_, value)| value).take(2).collect::<Vec<_>>();
    if found.is_empty() {
        let pairs = cookies.into_iter().flat_map(|field| field.split(';')).take(1000);
        let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        found = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).take(2).collect();
    }
    match *found {
        [] => Err(Denied::Missing),
        [token] => Ok(token),
        _ => Err(Denied::Malformed),
    }
}

fn signed(audience: &str, claims: &str, client: Option<IpAddr>) -> Vec<u8> {
    let mut message = Vec::with_capacity(64 + audience.len() + claims.len());
    message.extend_from_slice(b"selvedge-token\0");
    message.extend_from_slice(audience.as_bytes());
    message.push(0);
    message.extend_from_slice(claims.as_bytes());
    message.push(0);
    if let Some(client) = client {
        let octets = match client.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        message.extend_from_slice(&octets);
    }
    message
}

fn is_key_name(id: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=32).contains(&id.len()) && id.bytes().all(fine)
}
