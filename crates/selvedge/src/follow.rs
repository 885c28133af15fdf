//! A node that follows control serves the base of its file with the sites that control names. Here
//! these are read, checked, and put together with the base; `reload.rs` has them served.
//!
//! Sites are read again only when their document is another one, certificates only when their pair
//! is: of a thousand sites of which one changed, one is read.

use crate::cache::Cache;
use crate::prepare::{Files, Trusted};
use crate::problem::Problem;
use crate::reload::{self, Reloader};
use crate::role::Role;
use http::HeaderValue;
use selvedge_config::{Config, Site, host_clashes, site_from_json};
use selvedge_feed::{CacheFigures, Join, Pair, SealKey, State, Target, Tier};
use selvedge_net::{CertificatePem, Certificates, ClientTls, Clock, Counters, SiteNames};
use selvedge_node::{
    Changed, Figures, Folder, Following, Identity, Objection, Opened, Part, Settings, Sink,
    Standing,
};
use selvedge_proxy::{KeyFault, Node, Storage, Trust};
use selvedge_store::Store;
use selvedge_telemetry::{Telemetry, process_figures};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

/// What control says, as this node serves it.
pub(crate) struct Followed {
    storage: selvedge_net::Target,
    url: String,
    identity: Option<Identity>,
    seal_key: Option<SealKey>,
    state: State,
    sites: HashMap<String, Parsed>,
    pairs: HashMap<String, Unsealed>,
}

/// A site and the document it was read from.
struct Parsed {
    document: Arc<Value>,
    site: Arc<Site>,
}

/// A certificate and what it was opened from.
struct Unsealed {
    pair: Arc<Pair>,
    pem: CertificatePem,
}

impl Followed {
    fn new(storage: selvedge_net::Target, url: String) -> Self {
        Self {
            storage,
            url,
            identity: None,
            seal_key: None,
            state: State::default(),
            sites: HashMap::new(),
            pairs: HashMap::new(),
        }
    }

    /// Control knows this node as this one. Whether that is news.
    pub(crate) fn identify(&mut self, identity: &Identity) -> bool {
        if self.identity.as_ref() == Some(identity) {
            return false;
        }
        self.seal_key = identity.seal_key();
        self.identity = Some(identity.clone());
        self.pairs.clear();
        true
    }

    /// What is served of what control says.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// What of the changed part of a state cannot be served. `has_keys` says whether this node has
    /// the keys of a site.
    pub(crate) fn check(
        &mut self,
        state: &State,
        changed: &Changed,
        has_keys: impl Fn(&Site) -> Result<(), KeyFault>,
    ) -> Vec<Objection> {
        let mut objections = Vec::new();
        let mut object = |site: &str, part, reason: String| {
            objections.push(Objection { site: site.to_owned(), part, reason });
        };
        for name in &changed.sites {
            let Some(site) = state.sites.get(name).filter(|site| !site.document.is_null()) else {
                continue;
            };
            let site = self.site(name, &site.document);
            let keys = |site: Arc<Site>| has_keys(&site).map_err(|fault| fault.to_string());
            if let Err(reason) = site.and_then(keys) {
                object(name, Part::Site, reason);
            }
        }
        for name in &changed.certificates {
            let Some(pair) = state.certificates.get(name) else { continue };
            if let Err(reason) = self.pem(name, pair) {
                object(name, Part::Certificate, reason);
            }
        }
        let bad = objections.iter().filter(|it| it.part == Part::Site);
        let bad: BTreeSet<String> = bad.map(|it| it.site.clone()).collect();
        if !changed.sites.is_empty() {
            let sites = self.sites_of(state, &bad);
            for clash in host_clashes(sites.iter().map(|site| &**site)) {
                let (first, second) = (clash.first.as_str(), clash.second.as_str());
                let is_second = changed.sites.contains(second);
                let (name, owner) = if is_second { (second, first) } else { (first, second) };
                let reason = format!("{} belongs to the site {owner} already", clash.host);
                let (site, part) = (name.to_owned(), Part::Site);
                objections.push(Objection { site, part, reason });
            }
        }
        objections
    }

    /// Takes a state over. Whether its certificates are others than before, or are for others.
    pub(crate) fn take(&mut self, state: &State) -> bool {
        let same = |(one, other): (_, _)| one == other;
        let old = &self.state.certificates;
        let is_same = old.len() == state.certificates.len()
            && old.iter().zip(&state.certificates).all(same)
            && (old.is_empty() || has_same_hosts(&self.state, state));
        self.state = state.clone();
        self.sites.retain(|name, _| state.sites.contains_key(name));
        self.pairs.retain(|name, _| state.certificates.contains_key(name));
        !is_same
    }

    /// The base with all sites whose keys this node has: those of the others were there when they
    /// were taken over.
    pub(crate) fn config(
        &mut self,
        base: &Config,
        has_keys: impl Fn(&Site) -> Result<(), KeyFault>,
    ) -> Config {
        let mut sites = self.served();
        sites.retain(|site| match has_keys(site) {
            Ok(()) => true,
            Err(fault) => {
                tracing::error!(site = %site.name, reason = %fault, "a site is not served");
                false
            }
        });
        Config { sites, ..base.clone() }
    }

    /// The sites that control says.
    pub(crate) fn served(&mut self) -> Vec<Arc<Site>> {
        let state = self.state.clone();
        self.sites_of(&state, &BTreeSet::new())
    }

    /// What control brings beside sites.
    pub(crate) fn beside(&self) -> selvedge_proxy::Followed {
        let bearer = |identity: &Identity| {
            let bearer = HeaderValue::try_from(format!("Bearer {}", identity.joined.token));
            let mut authorization = bearer.ok()?;
            authorization.set_sensitive(true);
            let (target, url) = (self.storage.clone(), self.url.clone());
            Some(Storage { target, url, authorization })
        };
        let pushed = self.state.sites.iter().filter(|(_, site)| !site.pushed.is_empty());
        selvedge_proxy::Followed {
            storage: self.identity.as_ref().and_then(bearer),
            pushed: pushed.map(|(name, site)| (name.clone(), site.pushed.clone())).collect(),
        }
    }

    /// What all sites are in TLS: a site that is not served has no names.
    pub(crate) fn names(&mut self) -> Vec<SiteNames> {
        let state = self.state.clone();
        let sites = self.served();
        let mut names = Vec::with_capacity(sites.len());
        for site in sites {
            let name = site.name.as_str();
            let pem = state.certificates.get(name).map(|pair| self.pem(name, pair));
            let pem = pem.and_then(|pem| {
                pem.inspect_err(|reason| tracing::error!(site = name, reason, "no certificate"))
                    .ok()
            });
            names.push(SiteNames {
                hosts: site.hosts.iter().map(ToString::to_string).collect(),
                pem,
            });
        }
        names
    }

    /// The sites of a state that can be read and are not among the bad ones, by name.
    fn sites_of(&mut self, state: &State, bad: &BTreeSet<String>) -> Vec<Arc<Site>> {
        let mut sites = Vec::with_capacity(state.sites.len());
        for (name, site) in &state.sites {
            if site.document.is_null() || bad.contains(name) {
                continue;
            }
            match self.site(name, &site.document) {
                Ok(site) => sites.push(site),
                // It was right when it was taken over: by another version of this program.
                Err(reason) => tracing::error!(site = name, reason, "a site is not served"),
            }
        }
        sites
    }

    fn site(&mut self, name: &str, document: &Arc<Value>) -> Result<Arc<Site>, String> {
        if let Some(parsed) = self.sites.get(name)
            && Arc::ptr_eq(&parsed.document, document)
        {
            return Ok(Arc::clone(&parsed.site));
        }
        let site = site_from_json(name, document).map_err(|faults| faults.to_string())?;
        let site = Arc::new(site);
        let parsed = Parsed { document: Arc::clone(document), site: Arc::clone(&site) };
        self.sites.insert(name.to_owned(), parsed);
        Ok(site)
    }

    fn pem(&mut self, name: &str, pair: &Arc<Pair>) -> Result<CertificatePem, String> {
        if let Some(opened) = self.pairs.get(name)
            && Arc::ptr_eq(&opened.pair, pair)
        {
            return Ok(opened.pem.clone());
        }
        let seal_key = self.seal_key.as_ref().ok_or("this node has no key to open it with")?;
        let key = seal_key.open(name, &pair.sealed_key).map_err(|error| error.to_string())?;
        let pem = CertificatePem {
            cert_name: format!("certificate of the site {name}"),
            cert: pair.chain.clone().into_bytes(),
            key_name: format!("key of the site {name}"),
            key: key.into_bytes(),
        };
        Certificates::check(&pem).map_err(|error| error.to_string())?;
        let opened = Unsealed { pair: Arc::clone(pair), pem: pem.clone() };
        self.pairs.insert(name.to_owned(), opened);
        Ok(pem)
    }
}

/// What a node tells of itself when it joins.
pub(crate) fn join_of(config: &Config, tier: Tier) -> Join {
    let control = &config.control;
    Join {
        name: config.node.name.to_string(),
        tier,
        region: control.region.to_string(),
        urls: control.urls.iter().map(ToString::to_string).collect(),
        addresses: control.addresses.clone(),
        health: control.health.as_ref().map(ToString::to_string),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Whether the same sites have the same hosts.
fn has_same_hosts(old: &State, new: &State) -> bool {
    let mut both = old.sites.iter().zip(&new.sites);
    old.sites.len() == new.sites.len()
        && both.all(|((old_name, old), (name, site))| {
            old_name == name
                && (Arc::ptr_eq(&old.document, &site.document)
                    || old.document.get("hosts") == site.document.get("hosts"))
        })
}

/// What a node that follows control begins with.
pub(crate) struct Beginning {
    pub(crate) followed: Followed,
    pub(crate) standing: Arc<Standing>,
    opened: Opened,
    join: Join,
    tls: ClientTls,
}

impl Beginning {
    /// Reads what was known; nothing for a node that follows nobody.
    pub(crate) fn open(
        config: &Config,
        files: &Files,
        role: Role,
        trusted: &Trusted,
        clock: Clock,
    ) -> Result<Option<Self>, Problem> {
        let control = &config.control;
        let (Some(url), Some(state)) = (&control.url, &control.state) else { return Ok(None) };
        let mut opened = Folder::open(&files.resolve(state)).map_err(Problem::State)?;
        opened.notes.drain(..).for_each(|note| tracing::warn!("{note}"));
        let tls = match &control.ca_file {
            Some(file) => trusted.load(files, file, Trust::Beside)?,
            None => ClientTls::load(&[])?,
        };
        let unusable = || std::io::Error::other(format!("{url} cannot be used"));
        let target = selvedge_net::Target::parse(&url.to_string())
            .ok_or_else(|| Problem::System("control.url", unusable()))?
            .with_tls(tls.clone());
        let mut followed = Followed::new(target, url.to_string());
        if let Some(identity) = &opened.identity {
            followed.identify(identity);
        }
        let tier = match role {
            Role::Edge => Tier::Edge,
            Role::Parent => Tier::Parent,
        };
        let join = join_of(config, tier);
        let standing = Arc::new(Standing::new(clock, control.lag_max));
        Ok(Some(Self { followed, standing, opened, join, tls }))
    }

    /// What was known.
    pub(crate) fn state(&self) -> State {
        self.opened.known.as_ref().map(|known| known.state.clone()).unwrap_or_default()
    }

    /// Splits off what is served.
    pub(crate) fn split(self) -> (Followed, Start) {
        let Self { followed, standing, opened, join, tls } = self;
        let control = followed.storage.clone();
        (followed, Start { standing, opened, join, tls, control })
    }
}

/// All that the thread that follows begins with.
pub(crate) struct Start {
    pub(crate) standing: Arc<Standing>,
    opened: Opened,
    join: Join,
    tls: ClientTls,
    control: selvedge_net::Target,
}

impl Start {
    /// Follows control from now on.
    pub(crate) fn follow(
        self,
        shared: Arc<Mutex<Reloader>>,
        figures: Box<dyn Fn() -> Figures + Send>,
    ) -> Result<Following, Problem> {
        let Opened { folder, identity, known, .. } = self.opened;
        let (node, clock, token_file) = {
            let reloader = reload::locked(&shared);
            let file = reloader.config.control.token_file.as_ref();
            let token_file = file.map(|file| reloader.files.resolve(file));
            (Arc::clone(&reloader.node), reloader.clock, token_file)
        };
        let settings = Settings {
            control: self.control,
            tls: self.tls,
            token_file,
            join: self.join,
            folder,
            identity,
            known,
            standing: self.standing,
            figures,
            clock,
        };
        let started = selvedge_node::start(settings, Served { shared, node });
        started.map_err(|error| Problem::System("cannot start to follow control", error))
    }
}

/// What serves what control says.
struct Served {
    shared: Arc<Mutex<Reloader>>,
    node: Arc<Node>,
}

impl Sink for Served {
    fn identify(&mut self, identity: &Identity) {
        if let Err(reason) = reload::locked(&self.shared).identify(identity) {
            tracing::error!(reason, "cannot be served under the new name");
        }
    }

    fn check(&mut self, state: &State, changed: &Changed) -> Vec<Objection> {
        reload::locked(&self.shared).check(state, changed)
    }

    fn serve(&mut self, state: &State) -> Result<(), String> {
        reload::locked(&self.shared).follow(state)
    }

    fn purge(&mut self, targets: &[(Target, bool)]) -> Result<(), String> {
        let each = targets.iter().map(|(target, soft)| (target, *soft));
        self.node.purge_targets(each).map(drop).map_err(|error| error.to_string())
    }

    fn applying(&mut self, revision: u64) {
        self.node.set_applying(revision);
    }

    fn applied(&mut self, revision: u64) {
        self.node.set_applied(revision);
    }
}

/// How the node does, for control.
pub(crate) fn figures(
    telemetry: Arc<Telemetry>,
    counters: Arc<Counters>,
    cache: &Cache,
) -> impl Fn() -> Figures + Clone + Send + Sync + use<> {
    let store: Arc<Store> = Arc::clone(&cache.store);
    move || {
        let process = process_figures();
        let requests = counters.requests.load(Relaxed);
        Figures {
            why_not_ready: telemetry.why_not_ready(),
            cpu_s: process.cpu_s,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            rss_bytes: process.resident_bytes,
            connections: counters.connections_active.load(Relaxed),
            requests,
            sent_bytes: counters.bytes_out.load(Relaxed),
            cache: CacheFigures {
                hits: store.counters().hits(),
                requests,
                memory_bytes: store.counters().bytes.load(Relaxed),
                disk_bytes: store.disk_bytes_by_site().iter().map(|site| site.bytes).sum(),
            },
        }
    }
}
