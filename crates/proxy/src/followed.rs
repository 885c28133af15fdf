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

/// Storage, ready to be asked for any site.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) hop: Arc<Hop>,
    authorization: HeaderValue,
}

impl Door {
    pub(crate) fn new(storage: &Storage, hops: &Hops, rules: HealthRules) -> Self {
        let key = HopKey { tier: Tier::Storage, target: storage.target.clone(), probe: None };
        let hop = hops.hop(key, &storage.url, rules);
        Self { hop, authorization: storage.authorization.clone() }
    }

    fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.hop, &other.hop) && self.authorization == other.authorization
    }
}

/// The pushed part of a site.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    paths: OrdSet<Arc<str>>,
    /// There is no origin for the rest.
    is_all: bool,
    pub(crate) door: Option<Door>,
    host: HeaderValue,
}

impl Pushed {
    pub(crate) fn new(
        site: &str,
        is_all: bool,
        paths: Option<&OrdSet<Arc<str>>>,
        door: Option<&Door>,
    ) -> Self {
        // The names of sites are valid in a host.
        let host = HeaderValue::try_from(format!("{site}.push.selvedge"));
        Self {
            paths: paths.cloned().unwrap_or_default(),
            is_all,
            door: door.cloned(),
            host: host.unwrap_or(HeaderValue::from_static("push.selvedge")),
        }
    }

    /// Whether a path, in the form that keys have, is fetched from storage.
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.is_all || self.paths.contains(path)
    }

    /// Whether it serves these paths from this place already.
    pub(crate) fn is_of(&self, paths: Option<&OrdSet<Arc<str>>>, door: Option<&Door>) -> bool {
        let same_paths = match paths {
            Some(paths) => self.paths.ptr_eq(paths),
            None => self.paths.is_empty(),
        };
        let same_door = match (&self.door, door) {
            (Some(one), Some(other)) => one.is_like(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_paths && same_door
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
        if let Some(door) = &self.door {
            kept.insert(header::AUTHORIZATION, door.authorization.clone());
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

    fn door() -> Door {
        let storage = Storage {
            target: Target::parse("http://127.0.0.1:1").expect("a URL"),
            url: "http://127.0.0.1:1".to_owned(),
            authorization: HeaderValue::from_static("Bearer t"),
        };
        let rules = HealthRules { fail_count: 1, down_ms: 1, down_ms_max: 1 };
        Door::new(&storage, &Hops::default(), rules)
    }

    fn paths() -> OrdSet<Arc<str>> {
        ["/a", "/b/c"].into_iter().map(Arc::from).collect()
    }

    fn pushed(is_all: bool) -> Pushed {
        Pushed::new("shop", is_all, Some(&paths()), Some(&door()))
    }

    #[test]
    fn the_paths_that_are_pushed_are_served_or_all_of_them() {
        for (path, is_pushed) in [("/a", true), ("/b/c", true), ("/b", false), ("/a/", false)] {
            assert_eq!(pushed(false).serves(path), is_pushed, "{path}");
            assert!(pushed(true).serves(path));
        }
        let (paths, door) = (paths(), door());
        let one = Pushed::new("shop", false, Some(&paths), Some(&door));
        assert!(one.is_of(Some(&paths), Some(&door)));
        assert!(!one.is_of(Some(&self::paths()), Some(&door)) && !one.is_of(None, Some(&door)));
        assert!(!one.is_of(Some(&paths), Some(&self::door())) && !one.is_of(Some(&paths), None));
        assert!(Pushed::new("shop", false, None, None).is_of(None, None));
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
