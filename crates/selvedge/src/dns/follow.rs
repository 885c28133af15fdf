//! A DNS server that follows control: the sites and nodes it answers with come from there.

use super::material::Material;
use super::reload::{self, Keeper};
use crate::problem::Problem;
use selvedge_config::{Site, site_from_json};
use selvedge_feed::{Join, Member, State, Target, Tier};
use selvedge_net::{ClientTls, Clock};
use selvedge_node::{
    Changed, Figures, Folder, Following, Identity, Objection, Opened, Part, Settings, Sink,
    Standing,
};
use selvedge_telemetry::process_figures;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What control says, as far as it matters here.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) nodes: Vec<Arc<Member>>,
}

/// What a server that follows control begins with.
pub(crate) struct Beginning {
    pub(crate) standing: Arc<Standing>,
    opened: Opened,
    join: Join,
    target: selvedge_net::Target,
    token_file: Option<PathBuf>,
    told: Told,
    read: Reader,
}

/// Reads sites, each document once.
#[derive(Clone, Default)]
struct Reader {
    known: HashMap<String, (Arc<Value>, Arc<Site>)>,
}

impl Beginning {
    /// Reads what was known; nothing for a server that follows nobody.
    pub(crate) fn open(
        material: &Material,
        join: Join,
        clock: Clock,
    ) -> Result<Option<Self>, Problem> {
        let control = &material.config.control;
        let (Some(url), Some(state)) = (&control.url, &control.state) else { return Ok(None) };
        let mut opened = Folder::open(&material.files.resolve(state)).map_err(Problem::State)?;
        opened.notes.drain(..).for_each(|note| tracing::warn!("{note}"));
        let unusable = || std::io::Error::other(format!("{url} cannot be used"));
        let target = selvedge_net::Target::parse(&url.to_string())
            .ok_or_else(|| Problem::System("control.url", unusable()))?;
        let standing = Arc::new(Standing::new(clock, control.lag_max));
        let mut read = Reader::default();
        let known = opened.known.as_ref().map(|known| known.state.clone()).unwrap_or_default();
        let told = read.told(&known);
        let token_file = control.token_file.as_ref().map(|file| material.files.resolve(file));
        Ok(Some(Self { standing, opened, join, target, token_file, told, read }))
    }

    /// What control said before.
    pub(crate) fn told(&self) -> Told {
        self.told.clone()
    }

    /// Follows control from now on.
    pub(crate) fn follow(
        self,
        keeper: Arc<Mutex<Keeper>>,
        tls: ClientTls,
        clock: Clock,
    ) -> Result<Following, Problem> {
        let Opened { folder, identity, known, .. } = self.opened;
        let standing = Arc::clone(&self.standing);
        let figures = move || {
            let process = process_figures();
            Figures {
                why_not_ready: standing.why_not_ready(),
                cpu_s: process.cpu_s,
                cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                rss_bytes: process.resident_bytes,
                ..Figures::default()
            }
        };
        let settings = Settings {
            control: self.target.with_tls(tls.clone()),
            tls,
            token_file: self.token_file,
            join: self.join,
            folder,
            identity,
            known,
            standing: self.standing,
            figures: Box::new(figures),
            clock,
        };
        let started = selvedge_node::start(settings, Answering { keeper, read: self.read });
        started.map_err(|error| Problem::System("cannot start to follow control", error))
    }
}

impl Reader {
    /// The sites of a state that can be read, and its edges.
    fn told(&mut self, state: &State) -> Told {
        self.known.retain(|name, _| state.sites.contains_key(name));
        let mut sites = Vec::with_capacity(state.sites.len());
        for (name, site) in state.sites.iter().filter(|(_, site)| !site.document.is_null()) {
            match self.site(name, &site.document) {
                Ok(site) => sites.push(site),
                // It was right when it was taken over: by another version of this program.
                Err(reason) => tracing::error!(site = name, reason, "a site is not answered"),
            }
        }
        let edges = state.nodes.values().filter(|node| node.tier == Tier::Edge);
        Told { sites, nodes: edges.cloned().collect() }
    }

    fn site(&mut self, name: &str, document: &Arc<Value>) -> Result<Arc<Site>, String> {
        if let Some((known, site)) = self.known.get(name)
            && Arc::ptr_eq(known, document)
        {
            return Ok(Arc::clone(site));
        }
        let site = site_from_json(name, document).map_err(|faults| faults.to_string())?;
        let site = Arc::new(site);
        self.known.insert(name.to_owned(), (Arc::clone(document), Arc::clone(&site)));
        Ok(site)
    }
}

/// What answers with what control says. There is nothing to purge.
struct Answering {
    keeper: Arc<Mutex<Keeper>>,
    read: Reader,
}

impl Sink for Answering {
    fn identify(&mut self, _: &Identity) {}

    fn check(&mut self, state: &State, changed: &Changed) -> Vec<Objection> {
        let mut objections = Vec::new();
        for name in &changed.sites {
            let Some(site) = state.sites.get(name).filter(|site| !site.document.is_null()) else {
                continue;
            };
            if let Err(reason) = self.read.site(name, &site.document) {
                objections.push(Objection { site: name.clone(), part: Part::Site, reason });
            }
        }
        objections
    }

    fn serve(&mut self, state: &State) -> Result<(), String> {
        let told = self.read.told(state);
        reload::locked(&self.keeper).take(told)
    }

    fn purge(&mut self, _: &[(Target, bool)]) -> Result<(), String> {
        Ok(())
    }

    fn applying(&mut self, _: u64) {}

    fn applied(&mut self, _: u64) {}
}
