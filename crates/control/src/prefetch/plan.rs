//! Which nodes are asked for a URL. Pure.
//!
//! A parent is chosen as edges choose it: by the ring over the URLs of all parents and the key that
//! the URL has. That holds if edges name their parents as the parents are registered here.

use std::sync::Arc;

use http::Uri;
use selvedge_feed::{Intent, Member, Tier};
use selvedge_policy::ring::Ring;
use selvedge_policy::target::host_name;
use selvedge_policy::{KeyParts, QueryRules, Scheme, normalize_host, normalize_path};

use crate::prefetch::Where;
use crate::state::State;

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) scheme: Scheme,
    /// As it is sent in Host.
    pub(crate) host: String,
    /// Path and query, as they are sent.
    pub(crate) target: String,
    /// What its key is made of.
    pub(crate) full_key: Vec<u8>,
    pub(crate) site: String,
}

/// Takes a URL apart and finds its site.
pub(crate) fn wanted(state: &State, url: &str) -> Result<Wanted, String> {
    let uri: Uri = url.parse().map_err(|_| "is not a URL".to_owned())?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err("must begin with http:// or https://".to_owned()),
    };
    let host = uri.authority().ok_or("has no host")?.as_str();
    if host.contains('@') {
        return Err("must not hold a user".to_owned());
    }
    let host = normalize_host(host, scheme).map_err(|_| "has no valid host")?.into_owned();
    let path = normalize_path(uri.path()).map_err(|_| "has no valid path")?.into_owned();
    let site = state.owner(host_name(&host)).ok_or("belongs to no site here")?;
    let mut rules = query_rules(state, site);
    let target = match rules.apply_to(uri.query()) {
        Some(query) => format!("{path}?{query}"),
        None => path.clone(),
    };
    // A token is sent, and is in no key.
    rules.ignore.extend(token_name(state, site));
    let query = rules.apply_to(uri.query());
    let mut full_key = Vec::new();
    let parts = KeyParts { site, scheme, host: &host, path: &path, query: query.as_deref() };
    parts.bytes(&mut full_key);
    Ok(Wanted { url: url.to_owned(), scheme, target, full_key, site: site.to_owned(), host })
}

fn query_rules(state: &State, site: &str) -> QueryRules {
    let current = state.site(site).and_then(|site| site.current());
    let Some((_, document)) = current else { return QueryRules::default() };
    let ignore = document["query_ignore"].as_array().into_iter().flatten();
    QueryRules {
        ignore: ignore.filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        sort: document["query_sort"].as_bool().unwrap_or(false),
    }
}

/// The name of the token in the query, if the site asks for one.
fn token_name(state: &State, site: &str) -> Option<String> {
    let (_, document) = state.site(site).and_then(|site| site.current())?;
    let is_signed = document["signed"].as_str().is_some_and(|signed| signed != "off");
    let name = document["signed_name"].as_str().unwrap_or("selvedge-token");
    is_signed.then(|| name.to_owned())
}

/// The nodes that take part in a job.
pub(crate) struct Nodes {
    ring: Ring,
    parents: Vec<Arc<Member>>,
    edges: Vec<Arc<Member>>,
}

impl Nodes {
    /// The nodes that are wanted online, live and say where they are reached.
    pub(crate) fn new(
        state: &State,
        lives: impl Fn(&str) -> bool,
        tier: Where,
        region: Option<&str>,
    ) -> Self {
        let online = |member: &&Member| member.intent == Intent::Online && lives(&member.name);
        let of = |tier: Tier| {
            let members = state.nodes.values().map(|node| &node.member);
            members.filter(move |member| member.tier == tier && !member.urls.is_empty())
        };
        let parents: Vec<Arc<Member>> =
            of(Tier::Parent).filter(online).cloned().map(Arc::new).collect();
        let in_region = |member: &&Member| region.is_none_or(|region| member.region == region);
        let edges = if tier == Where::Edges || parents.is_empty() {
            of(Tier::Edge).filter(online).filter(in_region).cloned().map(Arc::new).collect()
        } else {
            Vec::new()
        };
        let ring = Ring::new(parents.iter().map(|parent| parent.urls[0].as_str()));
        Self { ring, parents, edges }
    }

    /// Whom to ask for a URL, in this order: the parent first, so that edges find it there.
    pub(crate) fn of(&self, wanted: &Wanted) -> Vec<Arc<Member>> {
        let order = self.ring.order(&wanted.full_key);
        let parent = order.first().map(|owner| Arc::clone(&self.parents[*owner]));
        parent.into_iter().chain(self.edges.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::digest::Digest;
    use crate::state::record::{Deed, Record};
    use serde_json::json;

    fn state(deeds: Vec<Deed>) -> State {
        let mut state = State::default();
        for (revision, deed) in (1..).zip(deeds) {
            state.apply(&Record {
                revision,
                at_ms: 0,
                by: String::new(),
                from: String::new(),
                request_id: String::new(),
                deed,
                once: None,
            });
        }
        state
    }

    fn node(name: &str, tier: Tier, region: &str) -> Deed {
        let member = Member {
            name: name.to_owned(),
            tier,
            region: region.to_owned(),
            urls: vec![format!("http://{name}")],
            addresses: vec![],
            health: None,
            intent: Intent::Online,
        };
        let (secret, version, join) = (Digest::of(b""), String::new(), String::new());
        Deed::NodeJoined { member: Box::new(member), secret, version, join }
    }

    fn sample() -> State {
        state(vec![
            Deed::SitePut {
                name: "shop".into(),
                document: json!({
                    "hosts": ["www.shop.test", "*.img.test"], "query_ignore": ["utm_*"],
                }),
            },
            node("p1", Tier::Parent, "eu"),
            node("p2", Tier::Parent, "us"),
            node("e1", Tier::Edge, "eu"),
            node("e2", Tier::Edge, "us"),
        ])
    }

    #[test]
    fn a_url_is_taken_apart_as_a_request_for_it_is() {
        let state = sample();
        let found = wanted(&state, "https://WWW.shop.test:443/%62?utm_x=1&q=2").expect("a site");
        assert_eq!((found.host.as_str(), found.target.as_str()), ("www.shop.test", "/b?q=2"));
        assert_eq!(wanted(&state, "http://x.img.test/").expect("a site").site, "shop");
        for url in ["/b", "ftp://www.shop.test/", "http://other.test/", "http://a@www.shop.test/"] {
            assert!(wanted(&state, url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_token_is_sent_and_tells_no_urls_apart() {
        let document = json!({ "hosts": ["a.test"], "signed": "query", "query_sort": true });
        let state = state(vec![Deed::SitePut { name: "a".into(), document }]);
        let of = |url| wanted(&state, url).expect("a site");
        let signed = of("http://a.test/x?selvedge-token=1.a&b=2");
        assert_eq!(signed.target, "/x?b=2&selvedge-token=1.a");
        assert_eq!(signed.full_key, of("http://a.test/x?b=2").full_key);
    }

    #[test]
    fn one_parent_owns_a_url_and_edges_come_after_it() {
        let state = sample();
        let asked = |tier, region, url: &str| {
            let nodes = Nodes::new(&state, |_| true, tier, region);
            let wanted = wanted(&state, url).expect("a site");
            nodes.of(&wanted).iter().map(|it| it.name.clone()).collect::<Vec<_>>()
        };
        let url = |n: u32| format!("http://www.shop.test/{n}");
        let owners: Vec<_> = (0..50).map(|n| asked(Where::Parents, None, &url(n))).collect();
        assert!(owners.iter().all(|owner| owner.len() == 1));
        assert!(owners.iter().any(|owner| owner[0] == "p1"));
        assert!(owners.iter().any(|owner| owner[0] == "p2"));
        assert_eq!(asked(Where::Edges, Some("eu"), &url(1))[1..], ["e1"]);
        assert_eq!(asked(Where::Edges, None, &url(1))[1..], ["e1", "e2"]);
    }
}
