//! What control brings beside sites: which of their paths are pushed, and where those are fetched.
//!
//! A pushed path takes the place of the origin at the end of the way up: peers and parents are
//! asked before it as for any other. Only reading goes there, under a token of this node's own;
//! what a client sends to prove who it is never does.

use crate::health::HealthRules;
use crate::upstream::{Hop, HopKey, Hops, Tier};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use imbl::OrdSet;
use selvedge_net::Target;
use std::collections::HashMap;
use std::sync::Arc;

/// What control brings beside sites.
#[derive(Debug, Clone, Default)]
pub struct Followed {
    /// Where pushed content is; none before this node has joined.
    pub storage: Option<Storage>,
    /// The pushed paths by site, in the form that keys have.
    pub pushed: HashMap<String, OrdSet<Arc<str>>>,
}

/// Where pushed content is fetched.
#[derive(Debug, Clone)]
pub struct Storage {
    /// How it is reached.
    pub target: Target,
    /// Its URL, for logs.
    pub url: String,
    /// What to show there.
    pub authorization: HeaderValue,
}

/// The pushed part of a site.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    paths: OrdSet<Arc<str>>,
    /// There is no origin for the rest.
    is_all: bool,
    pub(crate) hop: Option<Arc<Hop>>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
}

impl Pushed {
    pub(crate) fn new(
        site: &str,
        is_all: bool,
        followed: &Followed,
        hops: &Hops,
        rules: HealthRules,
    ) -> Self {
        let storage = followed.storage.as_ref();
        let hop = storage.map(|storage| {
            let key = HopKey { tier: Tier::Storage, target: storage.target.clone(), probe: None };
            hops.hop(key, &storage.url, rules)
        });
        // The names of sites are valid in a host.
        let host = HeaderValue::try_from(format!("{site}.push.selvedge"));
        Self {
            paths: followed.pushed.get(site).cloned().unwrap_or_default(),
            is_all,
            hop,
            host: host.unwrap_or(HeaderValue::from_static("push.selvedge")),
            authorization: storage.map(|storage| storage.authorization.clone()),
        }
    }

    /// Whether a path, in the form that keys have, is fetched from storage.
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.is_all || self.paths.contains(path)
    }

    /// Whether another one would serve the same from the same place.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.paths.ptr_eq(&other.paths)
            && self.is_all == other.is_all
            && self.authorization == other.authorization
            && match (&self.hop, &other.hop) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
    }

    /// Leaves of the fields of a request those that say what of the object is wanted, and says
    /// which site it is of and who asks.
    pub(crate) fn address(&self, headers: &mut HeaderMap) {
        let mut kept = HeaderMap::with_capacity(8);
        for name in KEPT {
            for value in headers.get_all(&name) {
                kept.append(&name, value.clone());
            }
        }
        kept.insert(header::HOST, self.host.clone());
        if let Some(authorization) = &self.authorization {
            kept.insert(header::AUTHORIZATION, authorization.clone());
        }
        *headers = kept;
    }

    /// Where an object is: at its path, whatever the query is.
    pub(crate) fn uri(path: &str) -> Uri {
        path.parse().unwrap_or_default()
    }
}

/// The fields of a request that storage is to see.
const KEPT: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::VIA,
    HeaderName::from_static("cdn-loop"),
    HeaderName::from_static("x-request-id"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(is_all: bool) -> Pushed {
        let paths: OrdSet<Arc<str>> = ["/a", "/b/c"].into_iter().map(Arc::from).collect();
        let storage = Storage {
            target: Target::parse("http://127.0.0.1:1").expect("a URL"),
            url: "http://127.0.0.1:1".to_owned(),
            authorization: HeaderValue::from_static("Bearer t"),
        };
        let pushed = [("shop".to_owned(), paths)].into_iter().collect();
        let followed = Followed { storage: Some(storage), pushed };
        let rules = HealthRules { fail_count: 1, down_ms: 1, down_ms_max: 1 };
        Pushed::new("shop", is_all, &followed, &Hops::default(), rules)
    }

    #[test]
    fn the_paths_that_are_pushed_are_served_or_all_of_them() {
        for (path, is_pushed) in [("/a", true), ("/b/c", true), ("/b", false), ("/a/", false)] {
            assert_eq!(pushed(false).serves(path), is_pushed, "{path}");
            assert!(pushed(true).serves(path));
        }
        let one = pushed(false);
        assert!(one.is_like(&one.clone()) && !one.is_like(&pushed(false)));
    }

    #[test]
    fn nothing_that_tells_who_a_client_is_goes_to_storage() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "x-forwarded-for", "x-api-key", "accept", "range"] {
            headers.insert(name, HeaderValue::from_static("of the client"));
        }
        pushed(false).address(&mut headers);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "host", "range"]);
        assert_eq!(headers["authorization"], "Bearer t");
        assert_eq!(headers["host"], "shop.push.selvedge");
    }
}
