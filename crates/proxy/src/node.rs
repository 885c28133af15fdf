//! A node: what all its workers share, and what each worker has of its own.

use crate::body::Body;
use crate::followed::Followed;
use crate::media::{StreamView, Streams};
use crate::names::Names;
use crate::numbers::Numbers;
use crate::plan::{Ingredients, KeyLoader, Plan, TrustLoader};
use crate::purge::Token;
use crate::request;
use crate::request_id::RequestIds;
use crate::revision::Applied;
use crate::unready::Unready;
use crate::upstream::Hops;
use arc_swap::ArcSwap;
use http::{Request, Response};
use selvedge_config::Config;
use selvedge_geo::places::Places;
use selvedge_net::{Client, Clock, Connection, RequestBody, Tasks};
use selvedge_policy::{KeySeed, Now};
use selvedge_store::Store;
use selvedge_telemetry::{AccessLog, Sample, Telemetry};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// What a node is made of.
pub struct Parts {
    /// The cache.
    pub store: Arc<Store>,
    /// The counters.
    pub telemetry: Arc<Telemetry>,
    /// The access log.
    pub access_log: Arc<AccessLog>,
    /// The clock all of it goes by.
    pub clock: Clock,
}

/// What a node is to serve.
#[derive(Clone, Copy)]
pub struct Serving<'a> {
    /// The configuration, with all sites.
    pub config: &'a Config,
    /// What control brings beside them.
    pub followed: &'a Followed,
    /// Reads files of certificates.
    pub load_trust: &'a TrustLoader<'a>,
    /// Reads keys that sign.
    pub load_key: &'a KeyLoader<'a>,
    /// The content of `purge.token_file`.
    pub purge_token: Option<&'a Token>,
    /// The content of `node.mmdb`.
    pub places: Option<&'a Arc<Places>>,
}

/// A caching node, edge or parent: which of them is a matter of its configuration.
pub struct Node {
    pub(crate) name: String,
    pub(crate) store: Arc<Store>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) clock: Clock,
    pub(crate) ids: RequestIds,
    pub(crate) seed: KeySeed,
    pub(crate) applied: Applied,
    /// One for each encoding that may run now.
    pub(crate) encoders: Arc<Semaphore>,
    /// What is known of video.
    pub(crate) streams: Streams,
    hops: Hops,
    plan: ArcSwap<Plan>,
    spin: AtomicU64,
}

impl Node {
    /// A node that serves this.
    ///
    /// # Errors
    /// When certificates to trust or keys that sign cannot be read.
    pub fn new(parts: Parts, serving: &Serving<'_>) -> Result<Arc<Self>, Unready> {
        let Parts { store, telemetry, access_log, clock } = parts;
        let hops = Hops::default();
        let config = serving.config;
        let plan = Plan::compile(config, 1, &serving.ingredients(&hops, &telemetry, None))?;
        telemetry.config_loaded(1, clock.now_wall_s());
        let node = Arc::new(Self {
            name: config.node.name.to_string(),
            access_log,
            clock,
            ids: RequestIds::new(),
            seed: store.key_seed(),
            store,
            applied: Applied::default(),
            encoders: Arc::new(Semaphore::new(ENCODERS_PER_CORE * cores())),
            streams: Streams::default(),
            hops,
            plan: ArcSwap::from_pointee(plan),
            spin: AtomicU64::new(0),
            telemetry,
        });
        let weak = Arc::downgrade(&node);
        node.telemetry.register_source("hops", move |each| {
            if let Some(node) = weak.upgrade() {
                node.export_hops(each);
            }
        });
        let weak = Arc::downgrade(&node);
        node.telemetry.register_source("streams", move |each| {
            if let Some(node) = weak.upgrade() {
                crate::media::export(&node.streams(), each);
            }
        });
        Ok(node)
    }

    /// Serves this from now on. Requests that have begun end under what they began with.
    ///
    /// # Errors
    /// When certificates to trust or keys that sign cannot be read; then nothing has changed.
    pub fn reload(&self, serving: &Serving<'_>) -> Result<(), Unready> {
        self.replace(serving, None)
    }

    /// The same where all but the sites is as before: those that are the same values are taken over
    /// as they are.
    ///
    /// # Errors
    /// As [`Node::reload`].
    pub fn change_sites(&self, serving: &Serving<'_>) -> Result<(), Unready> {
        self.replace(serving, Some(&self.plan.load_full()))
    }

    fn replace(&self, serving: &Serving<'_>, before: Option<&Plan>) -> Result<(), Unready> {
        let revision = self.plan.load().revision + 1;
        let with = serving.ingredients(&self.hops, &self.telemetry, before);
        let plan = Plan::compile(serving.config, revision, &with)?;
        self.plan.store(Arc::new(plan));
        self.telemetry.config_loaded(revision, self.clock.now_wall_s());
        Ok(())
    }

    /// What answers the requests of one worker. The worker with `probes` asks next hops whether
    /// they are well, for all of them.
    pub fn handler(self: &Arc<Self>, client: Client, tasks: Tasks, probes: bool) -> Handler {
        let core = Rc::new(Core {
            node: Arc::clone(self),
            client,
            tasks,
            numbers: Numbers::new(&self.name),
            names: Names::default(),
            wall: Cell::new((0, self.clock.now_wall_s())),
        });
        if probes {
            let prober = Rc::clone(&core);
            core.tasks.spawn_background(async move { crate::probe::run(&prober).await });
        }
        Handler(core)
    }

    /// The streams that clients of this node watch, those with most viewers first.
    pub fn streams(&self) -> Vec<StreamView> {
        self.streams.view(self.clock.now_mono_ms())
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    pub(crate) fn log_query(&self) -> bool {
        self.plan.load().log_query
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: self.clock.now_mono_us() / 1000, wall_s: self.clock.now_wall_s() }
    }

    /// A number that is another one for each fetch: it spreads weighted origins.
    pub(crate) fn spin(&self) -> u64 {
        self.spin.fetch_add(1, Ordering::Relaxed)
    }

    fn export_hops(&self, each: &mut dyn FnMut(Sample<'_>)) {
        for hop in self.hops.all() {
            let up = f64::from(u8::from(hop.is_up()));
            let name = format!("{} {}", hop.tier.word(), hop.url);
            let sample = Sample::gauge("hop_up", "Whether a next hop is held to be up", up);
            each(sample.label("hop", &name));
        }
    }
}

impl<'a> Serving<'a> {
    fn ingredients(
        &self,
        hops: &'a Hops,
        telemetry: &'a Telemetry,
        before: Option<&'a Plan>,
    ) -> Ingredients<'a> {
        let Self { followed, load_trust, load_key, purge_token, places, .. } = *self;
        Ingredients { hops, telemetry, load_trust, load_key, purge_token, places, followed, before }
    }
}

/// Encodings that run side by side on each core. They share the cores with everything else, and one
/// holds up to 3 MiB; a request beyond them gets the form that is stored.
const ENCODERS_PER_CORE: usize = 4;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What one worker has: the node, its own upstream connections, its tasks.
pub(crate) struct Core {
    pub(crate) node: Arc<Node>,
    pub(crate) client: Client,
    pub(crate) tasks: Tasks,
    pub(crate) numbers: Numbers,
    pub(crate) names: Names,
    /// When the wall clock was read last, in microseconds of the monotonic clock, and its second.
    wall: Cell<(u64, i64)>,
}

impl Core {
    /// The time at a reading of the monotonic clock that was taken just now. The wall clock is
    /// looked at every hundredth of a second: requests want no more than its second.
    pub(crate) fn at(&self, mono_us: u64) -> Now {
        let (read_us, mut wall_s) = self.wall.get();
        if mono_us.saturating_sub(read_us) >= WALL_US {
            wall_s = self.node.clock.now_wall_s();
            self.wall.set((mono_us, wall_s));
        }
        Now { mono_ms: mono_us / 1000, wall_s }
    }
}

const WALL_US: u64 = 10_000;

/// Answers the requests of one worker.
#[derive(Clone)]
pub struct Handler(Rc<Core>);

impl selvedge_net::Handler for Handler {
    type Body = Body;

    fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        connection: Rc<Connection>,
    ) -> impl Future<Output = Response<Body>> {
        request::serve(Rc::clone(&self.0), req, connection)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::unready::KeyFault;
    use selvedge_config::Profile;
    use selvedge_media::token::Key;

    fn config(sites: &str) -> Config {
        let text = format!("[node]\nname = \"test\"\n[listen]\nhttp = [\"127.0.0.1:0\"]\n{sites}");
        selvedge_config::parse(&text, "test.toml", Profile::Facing)
            .unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn no_key(name: &str) -> Result<Key, KeyFault> {
        unreachable!("no site of this configuration asks for {name}")
    }

    /// Of a thousand sites the one that changes is made ready, not the others.
    #[test]
    fn sites_that_have_not_changed_are_taken_over_as_they_are() {
        let site = |name: &str| {
            format!(
                "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\n\
                 origin = [\"http://127.0.0.1:1\"]\nhealth_interval = \"1s\"\n"
            )
        };
        let mut config = config(&(site("one") + &site("two")));
        Arc::make_mut(&mut config.sites[0]).push = true;
        let (hops, telemetry) = (Hops::default(), Telemetry::new("test"));
        let compile = |config: &Config, followed: &Followed, before: Option<&Plan>| {
            let load_trust = &|_: &_, _| unreachable!("no CA file in this configuration");
            let (load_key, purge_token, places) = (&no_key, None, None);
            let serving = Serving { config, followed, load_trust, load_key, purge_token, places };
            let with = serving.ingredients(&hops, &telemetry, before);
            Plan::compile(config, 1, &with).expect("nothing to read")
        };
        let site = |plan: &Plan, host| Arc::clone(plan.routes.find(host).expect("a site"));
        let is_same = |before: &Plan, after: &Plan, host| {
            Arc::ptr_eq(&site(before, host), &site(after, host))
        };
        let none = Followed::default();
        let first = compile(&config, &none, None);
        config.sites[1] = Arc::new((*config.sites[1]).clone());
        let second = compile(&config, &none, Some(&first));
        assert!(is_same(&first, &second, "one.test") && !is_same(&first, &second, "two.test"));
        assert_eq!(second.probes.len(), 2);
        let path = [Arc::from("/pushed")].into_iter().collect();
        let pushed = [("one".to_owned(), path)].into_iter().collect();
        let followed = Followed { pushed, ..Followed::default() };
        let third = compile(&config, &followed, Some(&second));
        assert!(!is_same(&second, &third, "one.test") && is_same(&second, &third, "two.test"));
        let pushed = |plan: &Plan| site(plan, "one.test").pushed.clone().expect("it has some");
        assert!(pushed(&third).serves("/pushed") && !pushed(&second).serves("/pushed"));
        config.sites.pop();
        let fourth = compile(&config, &followed, Some(&third));
        assert!(is_same(&third, &fourth, "one.test") && fourth.routes.find("two.test").is_none());
        assert!(!is_same(&third, &compile(&config, &followed, None), "one.test"));
    }

    /// A plan for tests of pure parts: the sites of `sites`, and no upstream tier.
    pub(crate) fn plan(sites: &str) -> Plan {
        let config = config(sites);
        let telemetry = Telemetry::new("test");
        let with = Ingredients {
            hops: &Hops::default(),
            telemetry: &telemetry,
            load_trust: &|_, _| unreachable!("no CA file in this configuration"),
            load_key: &no_key,
            purge_token: None,
            places: None,
            followed: &Followed::default(),
            before: None,
        };
        Plan::compile(&config, 1, &with).expect("nothing to read")
    }
}
