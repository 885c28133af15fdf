//! What a site says of the pages that are assembled.

use crate::plan::Site;
use http::{HeaderMap, Method, StatusCode, header};
use ipnet::IpNet;
use selvedge_config::UrlScheme;
use selvedge_esi::surrogate::SurrogateControl;
use selvedge_policy::{Scheme, tags};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Which pages are assembled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Those whose `Surrogate-Control` wants it.
    SurrogateControl,
    /// All.
    Always,
}

/// How the pages of a site are assembled.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    /// Media types in lower case.
    pub(crate) types: Vec<String>,
    /// Other servers that fragments may come from.
    pub(crate) others: HashMap<(Scheme, String), Arc<Site>>,
    pub(crate) depth_max: usize,
    pub(crate) fragments_max: usize,
    pub(crate) parallel_max: usize,
    pub(crate) timeout: Duration,
    pub(crate) secret_cookies: Vec<String>,
}

/// What the request for a fragment is made of.
pub(crate) struct Part {
    pub(crate) site: Arc<Site>,
    pub(crate) scheme: Scheme,
    pub(crate) host: Rc<str>,
    pub(crate) path_and_query: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

impl Rules {
    /// Whether a response is a page to be assembled.
    pub(crate) fn wants(&self, method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
        let has_body = !status.is_informational()
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED
            && *method != Method::CONNECT;
        has_body && self.is_type(headers) && self.is_asked_for(headers) && is_readable(headers)
    }

    /// Whether the first line of some fields leaves it open that it is one.
    pub(super) fn may_want<'a>(&self, first: impl Fn(&str) -> Option<&'a [u8]>) -> bool {
        match self.mode {
            Mode::SurrogateControl => first(tags::SURROGATE_CONTROL.as_str()).is_some(),
            Mode::Always => first(header::CONTENT_TYPE.as_str()).is_some_and(|it| self.names(it)),
        }
    }

    fn is_asked_for(&self, headers: &HeaderMap) -> bool {
        self.mode == Mode::Always || {
            let lines = headers.get_all(&tags::SURROGATE_CONTROL).iter();
            SurrogateControl::parse(lines.map(|line| line.as_bytes()), "").wants_esi()
        }
    }

    fn is_type(&self, headers: &HeaderMap) -> bool {
        headers.get(header::CONTENT_TYPE).is_some_and(|value| self.names(value.as_bytes()))
    }

    /// Whether this Content-Type is of a page.
    fn names(&self, content_type: &[u8]) -> bool {
        let Ok(value) = str::from_utf8(content_type) else { return false };
        let essence = value.split(';').next().unwrap_or_default().trim();
        self.types.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => {
                essence.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            }
            None => essence.eq_ignore_ascii_case(wanted),
        })
    }
}

/// Whether its coding, if it has one, can be taken off.
fn is_readable(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => crate::decode::is_known(coding.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// The scheme that a page names for a server.
pub(crate) fn scheme_of(scheme: UrlScheme) -> Scheme {
    match scheme {
        UrlScheme::Http | UrlScheme::H2c => Scheme::Http,
        UrlScheme::Https => Scheme::Https,
    }
}

/// Networks that are nobody's in particular, where a fragment has no business: those that are not
/// globally reachable (RFC 6890), and those that translate to IPv4 (RFC 6052, RFC 8215).
pub(crate) fn private_networks() -> impl Iterator<Item = IpNet> {
    const NETWORKS: [&str; 22] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "::/127",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001:db8::/32",
        "2002::/16",
        "fc00::/7",
        "fe80::/9",
        "ff00::/8",
    ];
    NETWORKS.into_iter().filter_map(|network| network.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn every_network_is_one_and_public_addresses_are_in_none() {
        let networks: Vec<IpNet> = private_networks().collect();
        assert_eq!(networks.len(), 22);
        let is_private = |text: &str| {
            let ip: IpAddr = text.parse().expect("an address");
            networks.iter().any(|network| network.contains(&ip))
        };
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "64:ff9b::a00:1",
            "255.255.255.255",
            "fec0::1",
        ] {
            assert!(is_private(inside), "{inside}");
        }
        for outside in ["1.1.1.1", "8.8.8.8", "100.128.0.1", "2606:4700::1111"] {
            assert!(!is_private(outside), "{outside}");
        }
    }
}
