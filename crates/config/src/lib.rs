//! The configuration of a node: text in, checked values or a list of faults out.
//!
//! One table (`keys/`) holds every key: its type, bounds, default, whether a reload can change it,
//! and its documentation. The structs below, the parser and `configs/README.md` are made from it.
//!
//! This crate opens no file and knows no clock: certificates and keys are paths here.

mod check;
mod disk;
mod document;
mod fault;
mod header;
mod host;
mod key;
mod keys;
mod kind;
mod media;
mod read;
mod reference;
mod suggest;
mod text;
mod units;
mod url;
mod value;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

pub use disk::Disk;
pub use document::{HostClash, host_clashes, site_from_json, site_from_toml, sites};
pub use fault::{FAULTS_MAX, Fault, Faults};
pub use header::HeaderRules;
pub use host::{HostName, HostPattern, HostPort};
pub use key::{Absence, Apply, Key, Kind, Section, Shape, Side};
pub use keys::SECTIONS;
pub use keys::control::Control;
pub use keys::data::Data;
pub use keys::dns::{Dns, Edge, Health, Region, Zone};
pub use keys::limits::Limits;
pub use keys::node::{Admin, Cache, Certificate, Listen, Log, Node};
pub use keys::purge::Purge;
pub use keys::site::{Site, Timeouts};
pub use keys::upstream::Upstream;
pub use media::{Media, MediaKind, MediaLifetimes, MediaRule, PathPattern};
pub use reference::reference;
pub use text::{
    Admit, ClientCacheControl, Coding, Compress, Continent, Country, Esi, Language, LogFormat,
    LogLevel, LogTarget, MediaType, Name, OriginPolicy, PathPrefix, ProbePath, QueryName, Signed,
    Signing, WebOrigin, Word,
};
pub use units::{ByteSize, duration};
pub use url::{Origin, RegionShare, Url, UrlScheme};

use fault::Finding;
use read::Context;

/// Largest configuration file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Which defaults hold where deployments differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Clients connect directly: nobody's word about a client is taken.
    Facing,
    /// Other nodes connect: those on private networks are believed.
    Inner,
}

/// Everything a configuration file says, and the defaults for what it does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[node]`.
    pub node: Node,
    /// `[listen]`.
    pub listen: Listen,
    /// `[admin]`.
    pub admin: Admin,
    /// `[purge]`.
    pub purge: Purge,
    /// `[cache]`.
    pub cache: Cache,
    /// Each `[[certificate]]`, in the order of the file.
    pub certificates: Vec<Certificate>,
    /// `[upstream]`.
    pub upstream: Upstream,
    /// `[control]`.
    pub control: Control,
    /// `[data]`.
    pub data: Data,
    /// `[dns]`.
    pub dns: Dns,
    /// `[health]`.
    pub health: Health,
    /// Each `[[zone]]`, in the order of the file.
    pub zones: Vec<Zone>,
    /// Each `[[region]]`, in the order of the file.
    pub regions: Vec<Region>,
    /// Each `[[edge]]`, in the order of the file.
    pub edges: Vec<Edge>,
    /// Each `[[site]]`, in the order of the file.
    pub sites: Vec<Arc<Site>>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[log]`.
    pub log: Log,
}

/// Reads a configuration. `origin` is the name of the file, for messages.
///
/// # Errors
/// Everything that is wrong with it, not only the first thing.
pub fn parse(text: &str, origin: &str, profile: Profile) -> Result<Config, Faults> {
    let mut cx = Context::new(text, profile);
    if text.len() > FILE_BYTES_MAX {
        let problem = format!("the file has {} bytes", text.len());
        let allowed = Some(format!("at most {FILE_BYTES_MAX} bytes"));
        cx.report(None, Finding { problem, allowed, ..Finding::default() });
        return Err(cx.into_faults(origin));
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let span: Option<Range<usize>> = error.span();
            let problem = error.message().to_owned();
            cx.report(span.as_ref(), Finding { problem, ..Finding::default() });
        }
        return Err(cx.into_faults(origin));
    }
    let root = document.get_ref();
    read::refuse_unknown_tables(root, &mut cx);
    let config = Config {
        node: read::one(root, &mut cx, &Node::SECTION, Node::read),
        listen: read::one(root, &mut cx, &Listen::SECTION, Listen::read),
        admin: read::one(root, &mut cx, &Admin::SECTION, Admin::read),
        purge: read::one(root, &mut cx, &Purge::SECTION, Purge::read),
        cache: read::one(root, &mut cx, &Cache::SECTION, Cache::read),
        certificates: read::many(root, &mut cx, &Certificate::SECTION, Certificate::read),
        upstream: read::one(root, &mut cx, &Upstream::SECTION, Upstream::read),
        control: read::one(root, &mut cx, &Control::SECTION, Control::read),
        data: read::one(root, &mut cx, &Data::SECTION, Data::read),
        dns: read::one(root, &mut cx, &Dns::SECTION, Dns::read),
        health: read::one(root, &mut cx, &Health::SECTION, Health::read),
        zones: read::many(root, &mut cx, &Zone::SECTION, Zone::read),
        regions: read::many(root, &mut cx, &Region::SECTION, Region::read),
        edges: read::many(root, &mut cx, &Edge::SECTION, Edge::read),
        sites: read::many(root, &mut cx, &Site::SECTION, |table| Arc::new(Site::read(table))),
        limits: read::one(root, &mut cx, &Limits::SECTION, Limits::read),
        log: read::one(root, &mut cx, &Log::SECTION, Log::read),
    };
    check::check(&config, &mut cx);
    cx.finish(config, origin)
}

impl Config {
    /// Whether this is the file of a DNS server.
    #[must_use]
    pub const fn is_dns(&self) -> bool {
        !self.dns.listen.is_empty() || !self.dns.tls.is_empty()
    }

    /// The keys in which `other` differs and that only a start can change: a reload from one to the
    /// other is to be refused, naming them.
    #[must_use]
    pub fn restart_needed(&self, other: &Self) -> Vec<&'static str> {
        let mut needed = Vec::new();
        self.node.restart_needed(&other.node, &mut needed);
        self.listen.restart_needed(&other.listen, &mut needed);
        self.admin.restart_needed(&other.admin, &mut needed);
        self.purge.restart_needed(&other.purge, &mut needed);
        self.cache.restart_needed(&other.cache, &mut needed);
        self.upstream.restart_needed(&other.upstream, &mut needed);
        self.control.restart_needed(&other.control, &mut needed);
        self.data.restart_needed(&other.data, &mut needed);
        self.dns.restart_needed(&other.dns, &mut needed);
        self.health.restart_needed(&other.health, &mut needed);
        self.limits.restart_needed(&other.limits, &mut needed);
        self.log.restart_needed(&other.log, &mut needed);
        for (own, theirs) in self.certificates.iter().zip(&other.certificates) {
            own.restart_needed(theirs, &mut needed);
        }
        for (own, theirs) in self.sites.iter().zip(&other.sites) {
            own.restart_needed(theirs, &mut needed);
        }
        for (own, theirs) in self.zones.iter().zip(&other.zones) {
            own.restart_needed(theirs, &mut needed);
        }
        for (own, theirs) in self.regions.iter().zip(&other.regions) {
            own.restart_needed(theirs, &mut needed);
        }
        for (own, theirs) in self.edges.iter().zip(&other.edges) {
            own.restart_needed(theirs, &mut needed);
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }
}
