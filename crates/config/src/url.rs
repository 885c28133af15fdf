//! URLs of next hops and origins: a scheme, a host and a port, nothing else.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use toml::de::DeValue;

use crate::host;
use crate::key::{Kind, count};
use crate::keys::site::WEIGHT;
use crate::read::{Cell, Context, article, printable};
use crate::suggest;
use crate::text::Name;
use crate::value::{Value, string};

/// How the next hop is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UrlScheme {
    /// HTTP/1.1 in cleartext.
    Http,
    /// TLS, and HTTP/2 or HTTP/1.1 as negotiated.
    Https,
    /// HTTP/2 in cleartext with prior knowledge.
    H2c,
}

impl UrlScheme {
    /// Its name in a URL.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    /// The port without one in the URL.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

/// Where a next hop or an origin is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// How it is spoken to.
    pub scheme: UrlScheme,
    /// Its name in lower case, or its address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A region, and how much of a site's traffic it is to have beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionShare {
    /// Its name.
    pub region: Name,
    /// In percent of what would come to it.
    pub weight: Option<usize>,
}

/// A URL and its share of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it is.
    pub url: Url,
    /// Its share; `None` where the file does not give one.
    pub weight: Option<usize>,
}

impl Url {
    /// Its address, if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `host` or `host:port` as a Host field has it: without the scheme's own port.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.bracketed();
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// Reads `scheme://host[:port][/]`.
    ///
    /// # Errors
    /// What is wrong, to be put behind the quoted text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => UrlScheme::Http,
            "https" => UrlScheme::Https,
            "h2c" => UrlScheme::H2c,
            _ => return Err("has a scheme that is not known"),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['?', '#']) {
            return Err("has a query or a fragment");
        }
        if authority.contains('/') {
            return Err("has a path");
        }
        if authority.contains('@') {
            return Err("has a user name");
        }
        let (host, port) = host::split_port(authority)?;
        Ok(Self { scheme, host, port: port.unwrap_or_else(|| scheme.default_port()) })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.word(), self.authority())
    }
}

impl Value for Url {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        match Self::parse(text) {
            Ok(url) => Some(url),
            Err(problem) => {
                // A user name is a credential: the text is not repeated then.
                let shown = if text.contains('@') { "the URL".into() } else { quoted(text) };
                cx.refuse(cell, format!("{shown} {problem}"));
                None
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text))
}

impl Value for Origin {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let (url, weight) = weighted(cell, cx, ("url", &Kind::Url), &WEIGHT)?;
        Some(Self { url, weight })
    }
}

impl Value for RegionShare {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let (region, weight) = weighted(cell, cx, ("region", &Kind::Name), &PERCENT)?;
        Some(Self { region, weight })
    }
}

/// Bounds of how much of its turn a region gets.
const PERCENT: Kind = count(1, 100);

/// A text, or a table of that text under this key and a weight.
fn weighted<T: Value>(
    cell: &Cell<'_, '_>,
    cx: &mut Context<'_>,
    (key, kind): (&'static str, &Kind),
    bounds: &Kind,
) -> Option<(T, Option<usize>)> {
    let table = match cell.value.get_ref() {
        DeValue::String(_) => {
            let own = Cell { kind, ..*cell };
            return T::read(&own, cx).map(|value| (value, None));
        }
        DeValue::Table(table) => table,
        other => {
            cx.refuse(cell, format!("is {}", article(other)));
            return None;
        }
    };
    for (name, _) in table {
        let name: &str = name.get_ref();
        if ![key, "weight"].contains(&name) {
            let near = suggest::nearest([key, "weight"].into_iter(), name);
            let near = near.map(|name| format!("`{name}`"));
            cx.refuse_with(cell, format!("has the unknown key {}", quoted(name)), near);
            return None;
        }
    }
    let Some(value) = table.get(key) else {
        cx.refuse(cell, format!("has no {key}"));
        return None;
    };
    let text = T::read(&Cell { path: cell.path, kind, value }, cx);
    let weight = match table.get("weight") {
        Some(value) => Some(usize::read(&Cell { path: cell.path, kind: bounds, value }, cx)?),
        None => None,
    };
    Some((text?, weight))
}

/// An IPv6 address in its canonical form, without brackets.
pub(crate) fn ipv6(text: &str) -> Option<String> {
    text.parse::<Ipv6Addr>().ok().map(|address| address.to_string())
}
