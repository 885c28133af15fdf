//! Host names and patterns of them (RFC 1123 2.1, RFC 3986 3.2.2).
//!
//! Underscores are let through: they are not of a host name but are in use.

use std::fmt;

use crate::read::{Cell, Context, printable};
use crate::url::ipv6;
use crate::value::{Empty, Value, string};

/// Longest host name.
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a host name.
const LABEL_BYTES_MAX: usize = 63;

/// Which hosts a site answers for. Names are in lower case and without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: every host that no other pattern matches.
    Any,
    /// `www.shop.test`.
    Exact(String),
    /// `*.shop.test`: every name below; the text is `shop.test`.
    Below(String),
}

impl HostPattern {
    /// Reads a pattern and brings it into its normal form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (pattern, rest): (fn(String) -> Self, &str) = match text.strip_prefix("*.") {
            Some(rest) => (Self::Below, rest),
            None => (Self::Exact, text),
        };
        let checked = if rest.contains('*') {
            Err("has a * in another place than alone or as its whole first part")
        } else if let Some(address) = rest.strip_prefix('[') {
            let address = address.strip_suffix(']').and_then(ipv6);
            address.ok_or("has brackets around what is not an IPv6 address")
        } else if rest.contains(':') {
            Err("has a port or a scheme, which a host pattern does not name")
        } else {
            name(rest)
        };
        match checked? {
            name if text.starts_with("*.") && name.contains(':') => Err("is not a host pattern"),
            name => Ok(pattern(name)),
        }
    }

    /// Whether a name of a certificate, in lower case, is good for any host of the pattern.
    #[must_use]
    pub fn meets(&self, certified: &str) -> bool {
        let is_below = |name: &str, parent: &str| {
            name.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        };
        match (self, certified.strip_prefix("*.")) {
            (Self::Any, _) => true,
            (Self::Exact(host), None) => host == certified,
            (Self::Exact(host), Some(parent)) => {
                host.split_once('.').is_some_and(|(_, above)| above == parent)
            }
            (Self::Below(parent), None) => is_below(certified, parent),
            (Self::Below(parent), Some(above)) => above == parent || is_below(above, parent),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// A host name, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl Empty for HostName {
    fn empty() -> Self {
        Self(String::new())
    }
}

impl HostName {
    /// Its text; an IPv6 address is without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a Host field can hold: a name with an optional port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The name in lower case, or the address without brackets.
    pub host: String,
    /// The port, if it is named.
    pub port: Option<u16>,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Splits `host[:port]` and checks both; the host comes back in lower case, without brackets.
pub(crate) fn split_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("has no closing bracket")?;
        let address = ipv6(address).ok_or("has brackets around what is not an IPv6 address")?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err("has something other than a port after the bracket"),
        };
        (address, port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        (name(host)?, port)
    };
    let port = match port {
        None => None,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = text.parse::<u16>().ok().filter(|port| *port > 0);
            Some(port.ok_or("has a port that is not between 1 and 65535")?)
        }
        Some(_) => return Err("has a port that is not a number"),
    };
    Ok((host, port))
}

/// Checks a host name or an IPv4 address and brings it into its normal form.
pub(crate) fn name(text: &str) -> Result<String, &'static str> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err("has no host");
    }
    if text.len() > NAME_BYTES_MAX {
        return Err("has a host of more than 253 bytes");
    }
    let labels = || text.split('.');
    if labels().any(|label| label.is_empty() || label.len() > LABEL_BYTES_MAX) {
        return Err("has a host with a part that is empty or longer than 63 bytes");
    }
    if !text.is_ascii() {
        return Err("has a host with characters beyond ASCII (write its xn-- form)");
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.bytes().all(known) {
        return Err("has a host with characters a host name cannot have");
    }
    if labels().any(|label| label.starts_with('-') || label.ends_with('-')) {
        return Err("has a host with a part that begins or ends with a hyphen");
    }
    // A last part of digits makes it an IPv4 address to everyone who reads it (RFC 3986 3.2.2).
    let last = labels().next_back().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    if numeric && text.parse::<std::net::Ipv4Addr>().is_err() {
        return Err("has a host that is neither a name nor an IPv4 address");
    }
    Ok(text.to_ascii_lowercase())
}

impl Value for HostName {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        match ipv6(text).map_or_else(|| name(text), Ok) {
            Ok(name) => Some(Self(name)),
            Err(problem) => {
                cx.refuse(cell, format!("\"{}\" {problem}", printable(text)));
                None
            }
        }
    }
}

impl Value for HostPort {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        match split_port(text) {
            Ok((host, port)) => Some(Self { host, port }),
            Err(problem) => {
                cx.refuse(cell, format!("\"{}\" {problem}", printable(text)));
                None
            }
        }
    }
}

impl Value for HostPattern {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        match Self::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(problem) => {
                cx.refuse(cell, format!("\"{}\" {problem}", printable(text)));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_same_however_it_is_written() {
        for (text, pattern) in [
            ("WWW.Shop.test.", "www.shop.test"),
            ("*.SHOP.test.", "*.shop.test"),
            ("[::0]", "::"),
            ("*", "*"),
        ] {
            assert_eq!(HostPattern::parse(text).map(|it| it.to_string()), Ok(pattern.to_owned()));
        }
        assert!(HostPattern::parse("a.*.test").is_err());
        assert!(HostPattern::parse("*.[::1]").is_err());
    }

    #[test]
    fn a_certificate_meets_the_hosts_it_is_good_for() {
        let meets =
            |pattern: &str, name: &str| HostPattern::parse(pattern).expect("one").meets(name);
        for (pattern, name) in [
            ("a.test", "a.test"),
            ("www.a.test", "*.a.test"),
            ("*.a.test", "x.y.a.test"),
            ("*.a.test", "*.a.test"),
            ("*.a.test", "*.y.a.test"),
            ("*", "b.test"),
        ] {
            assert!(meets(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a.test", "b.test"),
            ("x.www.a.test", "*.a.test"),
            ("*.a.test", "a.test"),
            ("*.a.test", "ba.test"),
            ("*.a.test", "*.test"),
            ("a.test", "*.a.test"),
        ] {
            assert!(!meets(pattern, name), "{pattern} {name}");
        }
    }
}
