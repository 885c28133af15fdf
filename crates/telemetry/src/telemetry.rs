//! The node's registry: sites, node counters, sources of other crates, and their export.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::counters::{SiteCounters, shard_count};
use crate::export::{self, Sample};
use crate::node::NodeCounters;

/// How many sites have counters of their own; further ones share the site `other`.
pub const SITES_MAX: usize = 20_000;

/// The word for a node that starts or ends.
const NOT_SERVING: &str = "not-serving";

/// Calls its argument once for each figure.
type SourceFn = dyn Fn(&mut dyn FnMut(Sample<'_>)) + Send + Sync;

/// A reason not to take traffic although the node serves.
type DoubtFn = dyn Fn() -> Option<&'static str> + Send + Sync;

/// Everything a node counts.
pub struct Telemetry {
    node_name: String,
    node: NodeCounters,
    /// Protects the set of sites: taken when a configuration is loaded and at export.
    sites: Mutex<BTreeMap<String, Arc<SiteCounters>>>,
    /// Protects the list of sources: taken at start and at export.
    sources: Mutex<Vec<(&'static str, Arc<SourceFn>)>>,
    doubt: OnceLock<Box<DoubtFn>>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Telemetry").field("node_name", &self.node_name).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// An empty registry for the node called `node_name`.
    pub fn new(node_name: &str) -> Arc<Self> {
        Arc::new(Self {
            node_name: node_name.to_owned(),
            node: NodeCounters::default(),
            sites: Mutex::default(),
            sources: Mutex::default(),
            doubt: OnceLock::new(),
        })
    }

    /// The name of the node.
    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    /// The counters that belong to no site.
    pub fn node(&self) -> &NodeCounters {
        &self.node
    }

    /// The counters of a site: the same ones whenever asked, so they survive a reload.
    pub fn site(&self, name: &str) -> Arc<SiteCounters> {
        let mut sites = lock(&self.sites);
        if let Some(site) = sites.get(name) {
            return Arc::clone(site);
        }
        let name = if sites.len() < SITES_MAX { name } else { "other" };
        let make = || Arc::new(SiteCounters::new(name, shard_count()));
        Arc::clone(sites.entry(name.to_owned()).or_insert_with(make))
    }

    /// Adds figures kept elsewhere to the export. A later source of the same name replaces it.
    pub fn register_source(
        &self,
        name: &'static str,
        each: impl Fn(&mut dyn FnMut(Sample<'_>)) + Send + Sync + 'static,
    ) {
        let mut sources = lock(&self.sources);
        sources.retain(|(known, _)| *known != name);
        sources.push((name, Arc::new(each)));
    }

    /// Says whether the node takes traffic.
    pub fn set_ready(&self, ready: bool) {
        self.node.ready.store(ready, Relaxed);
    }

    /// Has this asked, too, whenever someone wants to know whether the node takes traffic. Only the
    /// first one counts.
    pub fn register_doubt(&self, doubt: impl Fn() -> Option<&'static str> + Send + Sync + 'static) {
        let _ = self.doubt.set(Box::new(doubt));
    }

    /// Whether the node takes traffic.
    pub fn is_ready(&self) -> bool {
        self.why_not_ready().is_none()
    }

    /// Why the node takes no traffic, in a word.
    pub fn why_not_ready(&self) -> Option<&'static str> {
        if !self.node.ready.load(Relaxed) {
            return Some(NOT_SERVING);
        }
        self.doubt.get().and_then(|doubt| doubt())
    }

    /// Notes that configuration number `revision` runs since `wall_s` (seconds since 1970).
    pub fn config_loaded(&self, revision: u64, wall_s: i64) {
        if self.node.config_loaded_s.swap(wall_s, Relaxed) != 0 {
            self.node.config_reloads.inc();
        }
        self.node.config_revision.store(revision, Relaxed);
        self.node.config_good.store(true, Relaxed);
    }

    /// Notes that a configuration was refused and the previous one keeps running.
    pub fn config_refused(&self) {
        self.node.config_reloads_refused.inc();
        self.node.config_good.store(false, Relaxed);
    }

    /// Everything as OpenMetrics text, to be sent as [`crate::CONTENT_TYPE`].
    pub fn render(self: &Arc<Self>) -> String {
        export::render(self)
    }

    pub(crate) fn sites(&self) -> Vec<Arc<SiteCounters>> {
        lock(&self.sites).values().cloned().collect()
    }

    pub(crate) fn each_sample(&self, each: &mut dyn FnMut(Sample<'_>)) {
        let sources: Vec<_> = lock(&self.sources).iter().map(|(_, fun)| fun.clone()).collect();
        for source in sources {
            source(each);
        }
    }
}

/// A thread that panicked while it held the lock left nothing half done: the maps are usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_in_doubt_is_not_ready_and_says_why() {
        let telemetry = Telemetry::new("edge-1");
        assert_eq!(telemetry.why_not_ready(), Some("not-serving"));
        telemetry.set_ready(true);
        assert!(telemetry.is_ready());
        telemetry.register_doubt(|| Some("catching-up"));
        telemetry.register_doubt(|| None);
        assert_eq!((telemetry.is_ready(), telemetry.why_not_ready()), (false, Some("catching-up")));
    }

    #[test]
    fn a_site_asked_for_twice_keeps_its_counts() {
        let telemetry = Telemetry::new("edge-1");
        telemetry.site("shop").here().fills.inc();
        telemetry.site("blog").here().fills.inc();
        telemetry.site("shop").here().fills.inc();
        assert_eq!(telemetry.site("shop").sum(|shard| shard.fills.get()), 2);
        assert_eq!(telemetry.sites().len(), 2);
    }

    #[test]
    fn sites_beyond_the_maximum_share_one() {
        let telemetry = Telemetry::new("edge-1");
        for number in 0..SITES_MAX + 3 {
            telemetry.site(&format!("s{number}")).here().fills.inc();
        }
        assert_eq!(telemetry.site("other").sum(|shard| shard.fills.get()), 3);
        assert_eq!(telemetry.sites().len(), SITES_MAX + 1);
    }

    #[test]
    fn a_source_registered_again_replaces_the_first() {
        let telemetry = Telemetry::new("edge-1");
        for value in [1.0, 2.0] {
            telemetry.register_source("store", move |each| {
                each(Sample::gauge("store_objects", "Objects held", value));
            });
        }
        let mut values = Vec::new();
        telemetry.each_sample(&mut |sample| values.push(sample.value));
        assert_eq!(values, [2.0]);
    }

    #[test]
    fn the_first_configuration_is_no_reload() {
        let telemetry = Telemetry::new("edge-1");
        telemetry.config_loaded(1, 1_700_000_000);
        assert_eq!(telemetry.node().config_reloads.get(), 0);
        telemetry.config_loaded(2, 1_700_000_009);
        telemetry.config_refused();
        assert_eq!(telemetry.node().config_reloads.get(), 1);
        let text = telemetry.render();
        assert!(text.contains("selvedge_config_revision 2.0\n"), "{text}");
        assert!(text.contains("selvedge_config_last_good 0.0\n"), "{text}");
    }
}
