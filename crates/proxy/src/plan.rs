//! A configuration made ready to serve: sites by host, next hops, rules. One revision of it serves
//! a request from its first step to its last.

use crate::access::Access;
use crate::cors::Cors;
use crate::esi;
use crate::followed::{Door, Followed, Pushed};
use crate::health::HealthRules;
use crate::media;
use crate::purge::{Guard, Token};
use crate::route::Routes;
use crate::unready::{KeyFault, Unready};
use crate::upstream::{Hop, HopKey, Hops, OriginPolicy, Origins, Tier, Tiered, Upstream};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use selvedge_config as config;
use selvedge_geo::places::Places;
use selvedge_media::token;
use selvedge_net::{ClientTls, Deadlines, Target, TlsError, UpstreamScheme};
use selvedge_policy::encodings::Coding;
use selvedge_policy::{ClientDirectives, QueryRules, SetCookie, SiteRules};
use selvedge_telemetry::{SiteCounters, Telemetry};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// One revision of the configuration, ready to serve.
#[derive(Debug)]
pub struct Plan {
    pub(crate) revision: u64,
    pub(crate) routes: Routes,
    /// The names of all sites.
    pub(crate) sites: Vec<String>,
    /// What they were made from, in the same order.
    compiled: Vec<Compiled>,
    pub(crate) purge: Guard,
    pub(crate) places: Option<Arc<Places>>,
    pub(crate) upstream: Upstream,
    pub(crate) trust: Vec<IpNet>,
    pub(crate) ranges_max: usize,
    pub(crate) log_query: bool,
    pub(crate) probes: Vec<Probe>,
    /// The port on which clients reach this node over TLS.
    pub(crate) https_port: Option<u16>,
}

/// A site with what it was made from: made again only when that changes.
#[derive(Debug)]
struct Compiled {
    from: Arc<config::Site>,
    site: Arc<Site>,
    probes: Vec<Probe>,
}

/// A site, ready to serve.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) counters: Arc<SiteCounters>,
    pub(crate) rules: SiteRules,
    pub(crate) query: QueryRules,
    pub(crate) origins: Origins,
    /// What of it was pushed to control.
    pub(crate) pushed: Option<Pushed>,
    pub(crate) origin_host: Option<HeaderValue>,
    pub(crate) deadlines: Deadlines,
    pub(crate) request_rules: FieldRules,
    pub(crate) response_rules: FieldRules,
    pub(crate) https_redirect: bool,
    pub(crate) compress: Compress,
    /// Slices that are fetched before a reader gets to them.
    pub(crate) read_ahead: u64,
    pub(crate) upgrades: bool,
    /// Clients see what responses are tagged with.
    pub(crate) show_tags: bool,
    pub(crate) request_bytes_max: u64,
    /// The tokens it asks for, if it does.
    pub(crate) access: Option<Arc<Access>>,
    /// The pages that may read it, if it says so for its origin.
    pub(crate) cors: Option<Arc<Cors>>,
    /// How its pages are assembled, if any are.
    pub(crate) esi: Option<Arc<esi::Rules>>,
    /// What it says of video, if it wants any of it.
    pub(crate) media: Option<Arc<media::Rules>>,
    /// Its origins are asked from here, past other nodes: they do not know it.
    pub(crate) is_apart: bool,
}

/// Header fields to change.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldRules {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

/// What is compressed here, and how.
#[derive(Debug, Default, Clone)]
pub(crate) struct Compress {
    /// The preferred coding first; empty when off.
    pub(crate) codings: Vec<Coding>,
    /// Media types in lower case, sorted.
    types: Vec<String>,
    /// What the names of further types begin with.
    prefixes: Vec<String>,
    bytes_min: u64,
    bytes_max: u64,
}

/// A next hop that is asked now and then whether it is well.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) hop: Arc<Hop>,
    pub(crate) host: String,
    pub(crate) path: Option<String>,
    pub(crate) interval: Duration,
    pub(crate) limit: Duration,
}

/// Which certificates to trust with those of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The system's as well.
    Beside,
    /// No others.
    Instead,
}

/// Reads a file of certificates to trust.
pub type TrustLoader<'a> = dyn Fn(&Path, Trust) -> Result<ClientTls, TlsError> + 'a;

/// Gives a key that signs by its name.
pub type KeyLoader<'a> = dyn Fn(&str) -> Result<token::Key, KeyFault> + 'a;

/// What a configuration is compiled with.
pub(crate) struct Ingredients<'a> {
    pub(crate) hops: &'a Hops,
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) load_trust: &'a TrustLoader<'a>,
    pub(crate) load_key: &'a KeyLoader<'a>,
    /// The content of `purge.token_file`.
    pub(crate) purge_token: Option<&'a Token>,
    /// Where clients are.
    pub(crate) places: Option<&'a Arc<Places>>,
    /// What control brings beside sites.
    pub(crate) followed: &'a Followed,
    /// The plan before this one, if it differs in sites alone.
    pub(crate) before: Option<&'a Plan>,
}

impl Plan {
    /// Makes a configuration ready. Fails, with nothing changed, when a file of
    /// certificates or keys cannot be used.
    pub(crate) fn compile(
        config: &config::Config,
        revision: u64,
        with: &Ingredients<'_>,
    ) -> Result<Self, Unready> {
        let mut probes = Vec::new();
        let upstream = upstream(config, with, &mut probes)?;
        let mut routes = Routes::default();
        let mut compiled = Vec::with_capacity(config.sites.len());
        let storage = with.followed.storage.as_ref();
        let door = storage.map(|it| Door::new(it, with.hops, health_rules(&config.upstream)));
        let door = door.as_ref();
        let before = with.before.map_or(&[][..], |before| &before.compiled[..]);
        let known: HashMap<*const config::Site, &Compiled> =
            before.iter().map(|known| (Arc::as_ptr(&known.from), known)).collect();
        for from in &config.sites {
            let one = match known.get(&Arc::as_ptr(from)) {
                Some(known) => known.with_pushed(with, door),
                None => Compiled::new(config, from, with, door)?,
            };
            for host in &from.hosts {
                routes.add(host, &one.site);
            }
            probes.extend(one.probes.iter().cloned());
            compiled.push(one);
        }
        Ok(Self {
            revision,
            routes,
            sites: config.sites.iter().map(|site| site.name.to_string()).collect(),
            compiled,
            purge: Guard::new(&config.purge.from, with.purge_token.cloned()),
            places: with.places.cloned(),
            upstream,
            trust: config.listen.trust.clone(),
            ranges_max: config.limits.ranges,
            log_query: config.log.query,
            probes,
            https_port: config.listen.https.first().map(SocketAddr::port),
        })
    }

    /// Whether the word of whoever connects from `address` about its client is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trust.iter().any(|network| network.contains(&address))
    }
}

impl Compiled {
    fn new(
        config: &config::Config,
        from: &Arc<config::Site>,
        with: &Ingredients<'_>,
        door: Option<&Door>,
    ) -> Result<Self, Unready> {
        let mut probes = Vec::new();
        let mut site = compile_site(config, from, with, &mut probes)?;
        site.pushed = pushed(from, with, door);
        site.esi = esi::compile(config, from, &site, with)?.map(Arc::new);
        let site = Arc::new(site);
        Ok(Self { from: Arc::clone(from), site, probes })
    }

    /// The same with what is pushed now.
    fn with_pushed(&self, with: &Ingredients<'_>, door: Option<&Door>) -> Self {
        let paths = with.followed.pushed.get(&self.site.name);
        let site = if self.site.pushed.as_ref().is_none_or(|known| known.is_of(paths, door)) {
            Arc::clone(&self.site)
        } else {
            let pushed = pushed(&self.from, with, door);
            Arc::new(Site { pushed, ..(*self.site).clone() })
        };
        Self { from: Arc::clone(&self.from), site, probes: self.probes.clone() }
    }
}

fn pushed(site: &config::Site, with: &Ingredients<'_>, door: Option<&Door>) -> Option<Pushed> {
    let (name, is_all) = (site.name.as_str(), site.origin.is_empty());
    site.push.then(|| Pushed::new(name, is_all, with.followed.pushed.get(name), door))
}

impl Site {
    /// The same site, whose responses are kept so long whatever they say.
    pub(crate) fn with_ttl(&self, ttl: Duration) -> Self {
        let mut site = self.clone();
        let rules = &mut site.rules;
        (rules.ttl_default, rules.ttl_min, rules.ttl_max) = (Some(ttl), ttl, ttl);
        site
    }
}

impl FieldRules {
    fn new(rules: &config::HeaderRules) -> Self {
        Self { remove: rules.remove.clone(), set: rules.set.clone(), add: rules.add.clone() }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Changes the fields: removal first, then what is set, then what is added.
    pub(crate) fn apply(&self, headers: &mut http::HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

impl Compress {
    /// Whether a body of this type, and of this length if it is known, is worth compressing.
    pub(crate) fn wants(&self, content_type: Option<&[u8]>, length: Option<u64>) -> bool {
        if self.codings.is_empty()
            || length.is_some_and(|bytes| !(self.bytes_min..=self.bytes_max).contains(&bytes))
        {
            return false;
        }
        let Some(Ok(content_type)) = content_type.map(str::from_utf8) else { return false };
        let essence = content_type.split(';').next().unwrap_or("").trim();
        let lower;
        let essence = if essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = essence.to_ascii_lowercase();
            &lower
        } else {
            essence
        };
        self.types.binary_search_by(|wanted| wanted.as_str().cmp(essence)).is_ok()
            || self.prefixes.iter().any(|prefix| essence.starts_with(prefix))
    }
}

fn upstream(
    config: &config::Config,
    with: &Ingredients<'_>,
    probes: &mut Vec<Probe>,
) -> Result<Upstream, TlsError> {
    let from = &config.upstream;
    let rules = health_rules(from);
    let deadlines = deadlines(from.timeouts());
    let load = |file| (with.load_trust)(file, Trust::Beside);
    let trust = from.ca_file.as_deref().map(load).transpose()?;
    let own = from.own_peer(&config.listen).and_then(|own| from.peers.get(own));
    let mut tier = |tier, urls: &[config::Url]| {
        let path = from.health_path.as_ref().map(config::ProbePath::as_str);
        let hop = |url: &config::Url| {
            let target = target(url, trust.as_ref(), None);
            let probe = (!from.health_interval.is_zero() && own != Some(url))
                .then(|| (target.authority(), path.map(str::to_owned)));
            let hop = with.hops.hop(
                HopKey { tier, target, probe: probe.clone() },
                &url.to_string(),
                rules,
            );
            if let Some((host, path)) = probe {
                let (hop, interval) = (Arc::clone(&hop), from.health_interval);
                probes.push(Probe { hop, host, path, interval, limit: deadlines.first_byte });
            }
            hop
        };
        Tiered::new(urls.iter().map(hop).collect())
    };
    let parents = tier(Tier::Parent, &from.parents);
    let peers = tier(Tier::Peer, &from.peers);
    let own_peer = own.map(|url| Arc::from(url.to_string()));
    Ok(Upstream {
        parents,
        peers,
        own_peer,
        peer_copy: from.peer_copy,
        origin_fallback: from.origin_fallback,
        load_factor: from.load_factor,
        deadlines,
    })
}

fn compile_site(
    config: &config::Config,
    site: &config::Site,
    with: &Ingredients<'_>,
    probes: &mut Vec<Probe>,
) -> Result<Site, Unready> {
    let name = site.name.to_string();
    let rules = health_rules(&config.upstream);
    let trust = match (&site.ca_file, &config.upstream.ca_file) {
        (Some(file), _) => Some((with.load_trust)(file, Trust::Instead)?),
        (None, Some(file)) => Some((with.load_trust)(file, Trust::Beside)?),
        (None, None) => None,
    };
    let deadlines = deadlines(site.timeouts(&config.upstream));
    let origin_host = site.origin_host.as_ref().map(ToString::to_string);
    let verify_name = site.verify_name.as_ref().map(config::HostName::as_str);
    let denied: Arc<[IpNet]> = config.upstream.origin_deny.as_slice().into();
    let mut hops = Vec::with_capacity(site.origin.len());
    for origin in &site.origin {
        let target = target(&origin.url, trust.as_ref(), verify_name).with_denied(denied.clone());
        let probe = (!site.health_interval.is_zero()).then(|| {
            let path = site.health_path.as_ref().map(|path| path.as_str().to_owned());
            (origin_host.clone().unwrap_or_else(|| target.authority()), path)
        });
        let key = HopKey { tier: Tier::Origin, target, probe: probe.clone() };
        let hop = with.hops.hop(key, &origin.url.to_string(), rules);
        if let Some((host, path)) = probe {
            let (hop, interval) = (Arc::clone(&hop), site.health_interval);
            probes.push(Probe { hop, host, path, interval, limit: deadlines.first_byte });
        }
        hops.push((hop, origin.weight.unwrap_or(1) as u32));
    }
    let policy = match site.origin_policy {
        config::OriginPolicy::Ordered => OriginPolicy::Ordered,
        config::OriginPolicy::Weighted => OriginPolicy::Weighted,
    };
    let access = Access::new(site, with.load_key)?;
    Ok(Site {
        counters: with.telemetry.site(&name),
        name,
        rules: site_rules(site),
        query: query_rules(site),
        origins: Origins { hops, policy },
        pushed: None,
        origin_host: origin_host.and_then(|host| HeaderValue::try_from(host).ok()),
        deadlines,
        request_rules: FieldRules::new(&site.request_headers),
        response_rules: FieldRules::new(&site.response_headers),
        https_redirect: site.https_redirect,
        compress: compress(site),
        read_ahead: site.read_ahead as u64,
        upgrades: site.websocket,
        show_tags: site.show_tags,
        request_bytes_max: site.request_body_max(&config.limits).bytes(),
        access: access.map(Arc::new),
        cors: Cors::new(site).map(Arc::new),
        esi: None,
        media: media::Rules::new(site, config.upstream.connections_max).map(Arc::new),
        is_apart: false,
    })
}

/// What of a query counts. A token does not, whatever it is for.
fn query_rules(site: &config::Site) -> QueryRules {
    let ignored = site.query_ignore.iter().map(config::QueryName::as_str);
    let is_signed = site.signed != config::Signed::Off;
    let token = is_signed.then_some(site.signed_name.as_str());
    QueryRules { ignore: ignored.chain(token).map(str::to_owned).collect(), sort: site.query_sort }
}

fn compress(site: &config::Site) -> Compress {
    let names = site.compress_types.iter().map(|kind| kind.as_str().to_ascii_lowercase());
    let (prefixes, mut types): (Vec<String>, Vec<String>) =
        names.partition(|name| name.ends_with('*'));
    types.sort_unstable();
    Compress {
        codings: site.compress.0.iter().map(coding).collect(),
        types,
        prefixes: prefixes.iter().map(|name| name.trim_end_matches('*').to_owned()).collect(),
        bytes_min: site.compress_min.bytes(),
        bytes_max: site.compress_max.bytes(),
    }
}

fn site_rules(site: &config::Site) -> SiteRules {
    let some = |span: Duration| (!span.is_zero()).then_some(span);
    SiteRules {
        ttl_default: site.ttl_default,
        ttl_error: some(site.ttl_error),
        ttl_failure: some(site.ttl_error),
        ttl_min: site.ttl_min,
        ttl_max: site.ttl_max,
        heuristic: site.heuristic,
        heuristic_max: site.heuristic_max,
        stale_while_revalidate: site.stale_while_revalidate,
        stale_if_error: site.stale_if_error,
        client_directives: match site.client_cache_control {
            config::ClientCacheControl::Honour => ClientDirectives::Honour,
            config::ClientCacheControl::Ignore => ClientDirectives::Ignore,
        },
        vary_languages: site.vary_languages.iter().map(|it| it.as_str().to_owned()).collect(),
        set_cookie: if site.store_set_cookie { SetCookie::Strip } else { SetCookie::WhenExplicit },
        hit_for_miss: site.hit_for_miss,
        ..SiteRules::default()
    }
}

fn coding(coding: &config::Coding) -> Coding {
    match coding {
        config::Coding::Brotli => Coding::Brotli,
        config::Coding::Zstd => Coding::Zstd,
        config::Coding::Gzip => Coding::Gzip,
    }
}

pub(crate) fn target(
    url: &config::Url,
    trust: Option<&ClientTls>,
    verify_name: Option<&str>,
) -> Target {
    let scheme = match url.scheme {
        config::UrlScheme::Http => UpstreamScheme::Http,
        config::UrlScheme::Https => UpstreamScheme::Https,
        config::UrlScheme::H2c => UpstreamScheme::Http2Clear,
    };
    let mut target = Target::new(scheme, &url.host, url.port);
    if let (UpstreamScheme::Https, Some(trust)) = (scheme, trust) {
        target = target.with_tls(trust.clone());
    }
    match verify_name {
        Some(name) => target.with_verify_name(name),
        None => target,
    }
}

fn deadlines(timeouts: config::Timeouts) -> Deadlines {
    Deadlines { connect: timeouts.connect, first_byte: timeouts.first_byte, idle: timeouts.idle }
}

pub(crate) fn health_rules(upstream: &config::Upstream) -> HealthRules {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    HealthRules {
        fail_count: u32::try_from(upstream.fail_count).unwrap_or(u32::MAX),
        down_ms: millis(upstream.mark_down),
        down_ms_max: millis(upstream.mark_down_max),
    }
}
