//! The request as this node understands it: its key, and the fields as any next hop will see them.
//!
//! What is forwarded is made from the same normal form as the key, so that the two cannot disagree
//! about which resource is meant.

use crate::admit::Arrival;
use crate::carries::Carries;
use crate::plan::{Plan, Site};
use crate::request::Visit;
use crate::request_id::RequestId;
use crate::rescue::Failure;
use crate::upstream::Hop;
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use selvedge_net::{Refusal, RequestBody};
use selvedge_policy::target::{self, Target};
use selvedge_policy::{Encodings, Key, KeyParts, KeySeed, RequestDirectives, Scheme};
use std::rc::Rc;
use std::sync::Arc;

/// A request, understood. Owns what a fetch needs, so that a fill can outlive its client.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) plan: Arc<Plan>,
    pub(crate) site: Arc<Site>,
    pub(crate) arrival: Arrival,
    pub(crate) carries: Carries,
    pub(crate) id: RequestId,
    pub(crate) key: Key,
    pub(crate) full_key: Vec<u8>,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// Host in normal form, with its port unless that is the scheme's.
    pub(crate) host: Rc<str>,
    /// Path and query in normal form, as they are sent on.
    pub(crate) path_and_query: String,
    path_bytes: usize,
    /// The client's fields as they came. What goes on is made from them in `outgoing.rs`.
    pub(crate) headers: HeaderMap,
    pub(crate) directives: RequestDirectives,
    pub(crate) encodings: Encodings,
    /// The protocol the client wants to switch to.
    pub(crate) upgrade: Option<HeaderValue>,
}

impl Ask {
    /// Understands the head of a request for `site`, and takes its fields.
    pub(crate) fn new(
        visit: &Visit,
        plan: Arc<Plan>,
        site: Arc<Site>,
        seed: &KeySeed,
        arrival: Arrival,
        host: Rc<str>,
        req: &mut Request<RequestBody>,
    ) -> Result<Rc<Self>, Failure> {
        let &Visit { id, carries, .. } = visit;
        let uri = req.uri();
        let path =
            target::normalize_path(uri.path()).map_err(|_| Failure::Refused(Refusal::Target))?;
        let query = site.query.apply_to(uri.query());
        let mut full_key = Vec::new();
        KeyParts {
            site: &site.name,
            scheme: arrival.scheme,
            host: &host,
            path: &path,
            query: query.as_deref(),
        }
        .bytes(&mut full_key);
        let path_bytes = path.len();
        let mut path_and_query = path.into_owned();
        if let Some(query) = &query {
            path_and_query.reserve(query.len() + 1);
            path_and_query.push('?');
            path_and_query.push_str(query);
        }
        let (method, version) = (req.method().clone(), req.version());
        let headers = std::mem::take(req.headers_mut());
        let upgrade = if carries.upgrade && site.upgrades {
            wanted_upgrade(&method, version, &headers)
        } else {
            None
        };
        let encodings =
            if carries.accept_encoding { Encodings::parse(&headers) } else { Encodings::PLAIN };
        let directives = if carries.cache_control {
            RequestDirectives::parse(&headers)
        } else {
            RequestDirectives::default()
        };
        Ok(Rc::new(Self {
            plan,
            site,
            arrival,
            carries,
            id,
            key: seed.hash(&full_key),
            full_key,
            directives,
            method,
            version,
            host,
            path_and_query,
            path_bytes,
            headers,
            encodings,
            upgrade,
        }))
    }

    /// The path in normal form.
    pub(crate) fn path(&self) -> &str {
        &self.path_and_query[..self.path_bytes]
    }

    /// The query as it is sent on.
    pub(crate) fn query(&self) -> Option<&str> {
        self.path_and_query.get(self.path_bytes + 1..)
    }

    /// Where the request goes, for policy.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            scheme: self.arrival.scheme,
            host: &self.host,
            path: self.path(),
            query: self.query(),
        }
    }

    /// The key of another resource of the same site and host.
    pub(crate) fn key_of(&self, seed: &KeySeed, path: &str, query: Option<&str>) -> Key {
        let query = self.site.query.apply_to(query);
        let mut full_key = Vec::new();
        KeyParts {
            site: &self.site.name,
            scheme: self.arrival.scheme,
            host: &self.host,
            path,
            query: query.as_deref(),
        }
        .bytes(&mut full_key);
        seed.hash(&full_key)
    }

    /// Whether it reads a path that was pushed.
    pub(crate) fn is_for_storage(&self) -> bool {
        let reads = matches!(self.method, Method::GET | Method::HEAD) && self.upgrade.is_none();
        reads && self.site.pushed.as_ref().is_some_and(|pushed| pushed.serves(self.path()))
    }

    /// Who is asked at the end of the way up, best first. `spin` spreads weighted origins.
    pub(crate) fn sources(&self, spin: u64) -> Vec<Arc<Hop>> {
        match &self.site.pushed {
            Some(pushed) if self.is_for_storage() => {
                pushed.door.iter().map(|door| Arc::clone(&door.hop)).collect()
            }
            _ => self.site.origins.order(spin),
        }
    }

    /// Whether a stored response may answer it. A body is in no key, so a request with one must
    /// neither be answered from the store nor fill it, unless its method says so (RFC 9110 9.3.1).
    pub(crate) fn is_for_cache(&self, bodiless: bool) -> bool {
        matches!(self.method, Method::GET | Method::HEAD) && self.upgrade.is_none() && bodiless
    }
}

/// The protocol to switch to, if the client asks for one in the only way that can be granted.
fn wanted_upgrade(method: &Method, version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(header::UPGRADE)?;
    let nominated = headers.get_all(header::CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|names| {
            names.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade"))
        })
    });
    let bodiless = !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING);
    (method == Method::GET && version == Version::HTTP_11 && nominated && bodiless)
        .then(|| upgrade.clone())
}

/// Where the same request goes over TLS, if the site wants it there and it is not. A client that
/// named a port came past whatever forwards ports, and is sent to the TLS port of this node.
pub(crate) fn https_location<B>(
    plan: &Plan,
    site: &Site,
    arrival: &Arrival,
    host: &str,
    req: &Request<B>,
) -> Option<HeaderValue> {
    if !site.https_redirect || arrival.scheme == Scheme::Https {
        return None;
    }
    let name = target::host_name(host);
    let path_and_query = req.uri().path_and_query()?;
    let location = match plan.https_port {
        Some(port) if port != 443 && name.len() < host.len() => {
            format!("https://{name}:{port}{path_and_query}")
        }
        _ => format!("https://{name}{path_and_query}"),
    };
    HeaderValue::try_from(location).ok()
}
