//! The request as this node understands it: its key, and the fields as any next hop will see them.
//!
//! What is forwarded is made from the same normal form as the key, so that the two cannot disagree
//! about which resource is meant.

use crate::access::Asked;
use crate::admit::Arrival;
use crate::carries::{Carries, SURROGATE_CAPABILITY};
use crate::esi;
use crate::media;
use crate::plan::{Plan, Site};
use crate::request::Visit;
use crate::request_id::RequestId;
use crate::rescue::Failure;
use crate::upstream::Hop;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use selvedge_net::{Refusal, RequestBody};
use selvedge_policy::target::{self, Target};
use selvedge_policy::{
    Encodings, Key, KeyParts, KeySeed, Now, RequestDirectives, Scheme, cdn_loop, validate,
};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A request, understood. Owns what a fetch needs, so that a fill can outlive its client.
#[derive(Debug, Clone)]
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
    /// Whoever asks assembles pages itself: another node, or a surrogate that is trusted.
    pub(crate) leaves_esi: bool,
    /// The token that its query has, as it stands there, where manifests are to carry it on.
    pub(crate) token: Option<Box<str>>,
    /// What it says of a stream.
    pub(crate) media: media::Words,
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
        let token = site.access.as_ref().and_then(|access| access.token_of(uri.query()?));
        let (words, query) = media::Words::of(&site, carries, req);
        let (full_key, path_and_query) =
            key_and_target(&site, arrival.scheme, &host, &path, query.as_deref());
        let path_bytes = path.len();
        let (method, version) = (req.method().clone(), req.version());
        let mut headers = std::mem::take(req.headers_mut());
        if carries.cmcd && site.media.is_some() {
            media::strip_cmcd(&mut headers);
        }
        let is_heeded = carries.surrogate && heed_capability(&mut headers, &arrival);
        // Nodes ask for pages as they are. Another CDN in front of this one does not.
        let leaves_esi = is_heeded || carries.cdn_loop && cdn_loop::came_from_ours(&headers);
        let upgrade = if carries.upgrade && site.upgrades {
            wanted_upgrade(&method, version, &headers)
        } else {
            None
        };
        if words.may_be_held() {
            headers = copied(&headers);
        }
        if let Some(access) = &site.access {
            access.strip(&mut headers);
        }
        if site.cors.is_some() && upgrade.is_none() && reads(&method) {
            // Its answers are the same for all pages.
            headers.remove(header::ORIGIN);
        }
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
            leaves_esi,
            token,
            media: words,
        }))
    }

    /// The same request for the whole of what it asks for, whatever its conditions.
    pub(crate) fn whole(&self) -> Rc<Self> {
        let mut ask = self.clone();
        validate::strip_conditions(&mut ask.headers);
        ask.headers.remove(header::RANGE);
        (ask.carries.conditions, ask.carries.range) = (false, false);
        Rc::new(ask)
    }

    /// The request for a fragment of what this one asks for. Whoever may have a page may have what
    /// its author put into it; of another site that asks for tokens, only by one in the address.
    pub(crate) fn fragment(
        &self,
        seed: &KeySeed,
        part: esi::Part,
        now: Now,
    ) -> Result<Rc<Self>, Failure> {
        let esi::Part { site, scheme, host, path_and_query, method, headers } = part;
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query.as_str(), None),
        };
        let path = target::normalize_path(path).map_err(|_| Failure::Refused(Refusal::Target))?;
        if let (Some(access), true) = (&site.access, site.name != self.site.name) {
            access.admit(&Asked {
                method: &method,
                path: &path,
                query,
                headers: &headers,
                client: self.arrival.client,
                wall_s: now.wall_s,
            })?;
        }
        let query = site.query.apply_to(query);
        let (full_key, path_and_query) =
            key_and_target(&site, scheme, &host, &path, query.as_deref());
        let carries = Carries::of(&headers);
        let directives = match carries.cache_control {
            true => RequestDirectives::parse(&headers),
            false => RequestDirectives::default(),
        };
        Ok(Rc::new(Self {
            plan: Arc::clone(&self.plan),
            arrival: Arrival { scheme, ..self.arrival.clone() },
            carries,
            id: self.id,
            key: seed.hash(&full_key),
            full_key,
            method,
            version: self.version,
            host,
            path_bytes: path.len(),
            path_and_query,
            headers,
            directives,
            encodings: Encodings::PLAIN,
            upgrade: None,
            leaves_esi: false,
            token: None,
            media: media::Words::default(),
            site,
        }))
    }

    /// The request for another object of the same site and host that a player will ask for, or a
    /// range of it: nothing in it is of one client.
    pub(crate) fn ahead(
        &self,
        seed: &KeySeed,
        path_and_query: &str,
        range: Option<HeaderValue>,
    ) -> Result<Rc<Self>, Failure> {
        let mut ask = self.whole();
        let own = Rc::make_mut(&mut ask);
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let path = target::normalize_path(path).map_err(|_| Failure::Refused(Refusal::Target))?;
        let (words, query) = media::Words::ahead(&self.site, &path, query);
        let scheme = self.arrival.scheme;
        (own.full_key, own.path_and_query) =
            key_and_target(&self.site, scheme, &self.host, &path, query.as_deref());
        (own.key, own.path_bytes) = (seed.hash(&own.full_key), path.len());
        for name in [header::AUTHORIZATION, header::COOKIE, header::CACHE_CONTROL, header::PRAGMA] {
            own.headers.remove(name);
        }
        if let Some(range) = range {
            own.headers.insert(header::RANGE, range);
            own.carries.range = true;
        }
        (own.method, own.directives) = (Method::GET, RequestDirectives::default());
        (own.media, own.token, own.arrival.behind) = (words, None, None);
        Ok(ask)
    }

    /// Path and query without directives of low-latency HLS.
    pub(crate) fn plain_path_and_query(&self) -> &str {
        self.media.plain(&self.path_and_query)
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
            host: &key_host(&self.site, &self.host),
            path,
            query: query.as_deref(),
        }
        .bytes(&mut full_key);
        seed.hash(&full_key)
    }

    /// Whether it reads a path that was pushed.
    pub(crate) fn is_for_storage(&self) -> bool {
        let reads = reads(&self.method) && self.upgrade.is_none();
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
        let reads = reads(&self.method) && self.upgrade.is_none();
        reads && bodiless && self.media.fault.is_none()
    }
}

/// The same fields in memory of their own: as they came they hold the buffer that they were read
/// into.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let mut copies = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let copy = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(mut copy)) = (name, copy) {
            copy.set_sensitive(value.is_sensitive());
            copies.append(name, copy);
        }
    }
    copies
}

/// Whether a method asks for what may be stored.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The host as it is in keys. No client's has this sign: what is asked for under the same name of a
/// site of any host is not what another server says.
fn key_host<'h>(site: &Site, host: &'h str) -> Cow<'h, str> {
    if site.is_apart { format!("{host}!").into() } else { host.into() }
}

/// The full key of a resource, and its path and query as they are sent on.
fn key_and_target(
    site: &Site,
    scheme: Scheme,
    host: &str,
    path: &str,
    query: Option<&str>,
) -> (Vec<u8>, String) {
    let mut full_key = Vec::new();
    let key_host = key_host(site, host);
    KeyParts { site: &site.name, scheme, host: &key_host, path, query }.bytes(&mut full_key);
    let query_bytes = query.map_or(0, |query| query.len() + 1);
    let mut path_and_query = String::with_capacity(path.len() + query_bytes);
    path_and_query.push_str(path);
    if let Some(query) = query {
        path_and_query.push('?');
        path_and_query.push_str(query);
    }
    (full_key, path_and_query)
}

/// Whether a surrogate before this one assembles pages. Only one that is trusted may say so, and
/// nobody else's word goes on to an origin.
fn heed_capability(headers: &mut HeaderMap, arrival: &Arrival) -> bool {
    if !arrival.trusted {
        headers.remove(SURROGATE_CAPABILITY);
        return false;
    }
    let mut lines = headers.get_all(SURROGATE_CAPABILITY).iter();
    lines.any(|line| selvedge_esi::surrogate::capability_has_esi(line.as_bytes()))
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
