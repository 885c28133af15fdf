//! Keeps what is answered from up to date: another file, other maps, or other sites and nodes from
//! control. Each is taken over whole or not at all, and none undoes another.

use super::counted::Refused;
use super::follow::{Beginning, Told};
use super::keys::Missing;
use super::material::{Maps, Material, node};
use crate::problem::Problem;
use selvedge_dns::service::{Ground, Helm, Manner, NodeAsked, ProbeSettings, Prober};
use selvedge_geo::atlas::Atlas;
use selvedge_geo::config::{NodeConfig, SiteConfig};
use selvedge_geo::health::Intent;
use selvedge_geo::steering::{Observed, Steering};
use selvedge_net::{Certificates, ClientTls, Clock, Target};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module.
pub(crate) struct Keeper {
    pub(crate) ground: Arc<Ground>,
    pub(crate) helm: Arc<Helm>,
    prober: Prober,
    material: Material,
    certificates: Option<Certificates>,
    /// What control says, where it is followed.
    told: Option<Told>,
    /// What was refused.
    pub(crate) refused: Arc<Refused>,
    clock: Clock,
}

/// The one who changes what is answered. A thread that panicked has replaced all or nothing.
pub(crate) fn locked(shared: &Mutex<Keeper>) -> MutexGuard<'_, Keeper> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Begins with what was read, and with what control said before, where it is followed.
    pub(crate) fn start(
        material: Material,
        certificates: Option<Certificates>,
        beginning: Option<&Beginning>,
        tls: &ClientTls,
        clock: Clock,
    ) -> Result<Self, Problem> {
        let told = beginning.map(Beginning::told);
        let (atlas, nodes) = atlas(&material, told.as_ref())?;
        let mut steering = Steering::new(Arc::clone(&atlas));
        let now_ms = clock.now_mono_ms();
        let world = steering.step(now_ms as f64 / 1000.0, &Observed::default());
        let ground = Arc::new(Ground::new(manner(&material), Arc::new(world)));
        let thresholds = material.thresholds();
        let helm = Arc::new(Helm::new(Arc::clone(&ground), atlas, nodes, thresholds));
        let settings = probing(&material);
        let prober = Prober::start(settings, tls.clone(), Arc::clone(&helm), clock)
            .map_err(|error| Problem::System("cannot start to ask nodes how they are", error))?;
        let refused = Arc::default();
        Ok(Self { ground, helm, prober, material, certificates, told, refused, clock })
    }

    /// Reads the file again and answers from what it says. On an error everything stays as it is.
    pub(crate) fn reload(&mut self) -> Result<Vec<String>, Problem> {
        let material =
            Material::read(&self.material.file, &self.material.signatures, Missing::Make);
        let material = material.inspect_err(|problem| self.count_refused(problem))?;
        let restart = self.material.config.restart_needed(&material.config);
        if !restart.is_empty() {
            return Err(Problem::Restart(restart));
        }
        let (atlas, nodes) = atlas(&material, self.told.as_ref())?;
        if let Some(serving) = &self.certificates {
            serving.replace_pem(&material.certificates, self.clock.now_wall_s())?;
        }
        self.helm.replace(atlas, nodes, material.thresholds(), self.clock.now_mono_ms());
        self.ground.set_manner(manner(&material));
        self.prober.set(probing(&material));
        let warnings = material.warnings.clone();
        self.material = material;
        Ok(warnings)
    }

    /// Reads the maps again if a file has changed; one that is broken is refused, and told once.
    pub(crate) fn look_at_maps(&mut self) {
        if !self.material.maps.is_old() {
            return;
        }
        let before = self.material.maps.clone();
        let read = Maps::read(&self.material.config, &self.material.files);
        let taken = read.and_then(|maps| {
            self.material.maps = maps;
            atlas(&self.material, self.told.as_ref())
        });
        match taken {
            Ok((atlas, nodes)) => {
                let thresholds = self.material.thresholds();
                self.helm.replace(atlas, nodes, thresholds, self.clock.now_mono_ms());
                tracing::info!("the maps have been read again");
            }
            Err(problem) => {
                self.material.maps = before;
                self.material.maps.note_as_seen();
                Refused::count(&self.refused.maps);
                tracing::error!(%problem, "a map is refused; the last good one is used");
            }
        }
    }

    fn count_refused(&self, problem: &Problem) {
        match problem {
            Problem::Zones(_) => Refused::count(&self.refused.zones),
            Problem::Map(..) => Refused::count(&self.refused.maps),
            Problem::Keys(..) => Refused::count(&self.refused.keys),
            _ => {}
        }
    }

    /// Control says this now.
    pub(crate) fn take(&mut self, told: Told) -> Result<(), String> {
        let (atlas, nodes) =
            atlas(&self.material, Some(&told)).map_err(|problem| problem.to_string())?;
        let thresholds = self.material.thresholds();
        self.helm.replace(atlas, nodes, thresholds, self.clock.now_mono_ms());
        self.told = Some(told);
        Ok(())
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.material.config.node.drain_timeout
    }
}

fn manner(material: &Material) -> Manner {
    Manner {
        responder: Arc::clone(&material.responder),
        rates: Arc::clone(&material.rates),
        log_share: material.config.dns.log_share,
    }
}

fn probing(material: &Material) -> ProbeSettings {
    let (dns, health) = (&material.config.dns, &material.config.health);
    let target = |url: &selvedge_config::Url| Target::parse(&url.to_string());
    ProbeSettings {
        interval: health.interval,
        timeout: health.timeout,
        monitors: dns.monitors.iter().filter_map(target).collect(),
    }
}

/// The atlas of what the file says and control does, and how its nodes are asked.
pub(crate) fn atlas(
    material: &Material,
    told: Option<&Told>,
) -> Result<(Arc<Atlas>, Vec<NodeAsked>), Problem> {
    let (mut sites, mut nodes, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    let config = &material.config;
    let mut named = HashSet::new();
    let mut add =
        |name: &str, region: &str, addresses: &[_], weight, health: Option<String>, intent| {
            let node: NodeConfig = node(name, region, addresses, weight);
            if node.v4.is_none() && node.v6.is_none() {
                return;
            }
            if !config.regions.iter().any(|known| known.name.as_str() == region) {
                tracing::warn!(
                    node = name,
                    region,
                    "stands in a region that this server does not know"
                );
                return;
            }
            if !named.insert(name.to_owned()) {
                tracing::warn!(node = name, "another node has this name; it is left out");
                return;
            }
            nodes.push(node);
            let health = health.and_then(|url| Target::parse(&url));
            asked.push(NodeAsked { name: name.to_owned(), health, intent });
        };
    for edge in &config.edges {
        let health = edge.health.as_ref().map(ToString::to_string);
        let weight = edge.weight as u16;
        let (name, region) = (edge.name.as_str(), edge.region.as_str());
        add(name, region, &edge.addresses, weight, health, Intent::Online);
    }
    let site = |site: &selvedge_config::Site| -> SiteConfig { material.site(site) };
    sites.extend(config.sites.iter().map(|it| site(it)));
    if let Some(told) = told {
        sites.extend(told.sites.iter().map(|it| site(it)));
        for member in &told.nodes {
            let (name, region) = (&member.name, &member.region);
            let (health, intent) = (member.health.clone(), intent(member.intent));
            add(name, region, &member.addresses, 100, health, intent);
        }
    }
    let geo = material.geo(without_twins(sites), nodes);
    let (coverage, places) =
        (Arc::clone(&material.maps.coverage), Arc::clone(&material.maps.places));
    let atlas = Atlas::build(&geo, coverage, places);
    let atlas = atlas.map_err(|error| Problem::Atlas(error.to_string()))?;
    Ok((Arc::new(atlas), asked))
}

/// In DNS names differ by more than case: of sites that are one there the first is answered, and
/// the others do not keep the rest from being answered.
fn without_twins(mut sites: Vec<SiteConfig>) -> Vec<SiteConfig> {
    let mut named = HashSet::new();
    sites.retain(|site| {
        let is_first = named.insert(site.name.clone());
        if !is_first {
            tracing::warn!(site = site.name, "another site has this name; it is left out");
        }
        is_first
    });
    sites
}

fn intent(intent: selvedge_feed::Intent) -> Intent {
    match intent {
        selvedge_feed::Intent::Online => Intent::Online,
        selvedge_feed::Intent::Draining => Intent::Draining,
        selvedge_feed::Intent::Offline => Intent::Offline,
    }
}
