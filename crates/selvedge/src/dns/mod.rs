//! The DNS server as a process: from its file to its end.

mod counted;
mod door;
mod follow;
pub(crate) mod keys;
mod material;
mod reload;

use crate::cli::RoleArgs;
use crate::follow::join_of;
use crate::prepare::{self, Trusted};
use crate::problem::Problem;
use crate::process::{self, Signals, Wish};
use crate::start;
use door::Door;
use keys::Missing;
use material::Material;
use reload::Keeper;
use selvedge_authority::{SignatureLimits, Signatures};
use selvedge_config::{Config, Profile};
use selvedge_dns::service::{Figures, Worker, Workshop};
use selvedge_dns::{Limits, Running, Servers, Settings};
use selvedge_feed::Tier;
use selvedge_net::{Certificates, ClientTls, Clock};
use selvedge_node::Following;
use selvedge_telemetry::{AccessLog, DiagnosticsFormat, Telemetry, install_diagnostics};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The path of DNS over HTTPS.
const HTTPS_PATH: &str = "/dns-query";

/// Whether a file is that of a DNS server, as far as can be read.
pub(crate) fn is_dns(file: &Path) -> bool {
    let config = prepare::read_config(file, Profile::Facing);
    config.is_ok_and(|(config, _)| config.is_dns())
}

/// What `check` says of the file of a DNS server that is well.
pub(crate) fn check(file: &Path) -> Result<String, Problem> {
    let signatures = Arc::new(Signatures::new(SignatureLimits::default(), &random_key()?));
    let material = Material::read(file, &signatures, Missing::Leave)?;
    reload::atlas(&material, None)?;
    Ok(material.summary())
}

/// Runs a DNS server until it is told to end.
pub(crate) fn run(args: &RoleArgs) -> Result<(), Problem> {
    start::die_with_starter(args)?;
    let runtime = start::runtime()?;
    let signals = process::listen(&runtime)?;
    let signatures = Arc::new(Signatures::new(SignatureLimits::default(), &random_key()?));
    let material = Material::read(&args.config, &signatures, Missing::Make)?;
    // Fails only when diagnostics are set up twice, which this process does not do.
    let _ = install_diagnostics(material.config.log.level.word(), DiagnosticsFormat::Text);
    process::raise_file_limit();
    material.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let service = Service::start(material)?;
    runtime.block_on(service.watch(signals))
}

/// A server that answers.
struct Service {
    keeper: Arc<Mutex<Keeper>>,
    telemetry: Arc<Telemetry>,
    clock: Clock,
    /// Of the configuration that runs.
    revision: AtomicU64,
    answering: Running,
    side_door: Option<selvedge_net::Running>,
    following: Option<Following>,
}

impl Service {
    fn start(material: Material) -> Result<Self, Problem> {
        let signatures = Arc::clone(&material.signatures);
        let clock = Clock::start();
        let config = material.config.clone();
        let telemetry = Telemetry::new(config.node.name.as_str());
        let certificates = certificates(&material, clock)?;
        let log = AccessLog::open(start::access_settings(&config, &material.files), &telemetry)
            .map_err(Problem::Log)?;
        let servers = Servers::bind(settings(&config, certificates.clone()))?;
        let tls = start_tls(&material)?;
        let beginning = follow::Beginning::open(&material, join_of(&config, Tier::Dns), clock)?;
        let keeper = Keeper::start(material, certificates, beginning.as_ref(), &tls, clock)?;
        let figures = Arc::new(Figures::default());
        let shop = Workshop {
            ground: Arc::clone(&keeper.ground),
            figures: Arc::clone(&figures),
            log: Arc::clone(&log),
            clock,
            rate_key: random_key()?,
        };
        let door = Door::new(Arc::clone(&telemetry), &keeper);
        let side_door = config.admin.listen.map(|address| start::open_side_door(address, door));
        let side_door = side_door.transpose()?;
        let answering = servers.run(move || Worker::new(shop.clone()))?;
        counted::register(&telemetry, &figures, &answering, signatures);
        counted::register_keeping(&telemetry, &keeper);
        say_addresses(&answering);
        let keeper = Arc::new(Mutex::new(keeper));
        let following = match beginning {
            Some(beginning) => {
                let standing = Arc::clone(&beginning.standing);
                telemetry.register_doubt(move || standing.why_not_ready());
                Some(beginning.follow(Arc::clone(&keeper), tls, clock)?)
            }
            None => None,
        };
        telemetry.set_ready(true);
        process::say(if following.is_some() { "serving, ready with control" } else { "ready" });
        tracing::info!(node = %config.node.name, "answering");
        let revision = AtomicU64::new(0);
        let service = Self { keeper, telemetry, clock, revision, answering, side_door, following };
        service.count_load();
        Ok(service)
    }

    /// Notes that another configuration runs.
    fn count_load(&self) {
        let revision = self.revision.fetch_add(1, Relaxed) + 1;
        self.telemetry.config_loaded(revision, self.clock.now_wall_s());
    }

    async fn watch(self, mut signals: Signals) -> Result<(), Problem> {
        // What was said last of whether it is ready; a server that follows nobody said so.
        let mut why_not = self.following.as_ref().map(|_| start::UNTOLD);
        loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Reload => self.reload(),
                    Wish::Drain => break,
                },
                () = tokio::time::sleep(start::pause(why_not)) => {
                    start::say_readiness(self.telemetry.why_not_ready(), &mut why_not);
                    reload::locked(&self.keeper).look_at_maps();
                    let lost = self.following.as_ref().is_some_and(Following::is_lost);
                    if self.answering.lost_worker() || lost {
                        return Err(Problem::WorkerLost);
                    }
                }
            }
        }
        self.drain(&mut signals).await
    }

    fn reload(&self) {
        match reload::locked(&self.keeper).reload() {
            Ok(warnings) => {
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                self.count_load();
                process::say("reloaded");
            }
            Err(problem) => {
                self.telemetry.config_refused();
                process::say(&format!("reload refused, what runs goes on: {problem}"));
            }
        }
    }

    /// Answers what has come, and ends. A second wish ends it at once.
    async fn drain(self, signals: &mut Signals) -> Result<(), Problem> {
        let limit = reload::locked(&self.keeper).drain_timeout();
        process::say(&format!("draining, at most {} s", limit.as_secs()));
        self.telemetry.set_ready(false);
        self.answering.drain(limit);
        while !self.answering.is_finished() {
            tokio::select! {
                wish = signals.next() => {
                    if wish == Wish::Drain {
                        self.answering.drain(Duration::ZERO);
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        let clean = self.answering.join();
        drop(self.following);
        if let Some(side_door) = self.side_door {
            side_door.drain(Duration::ZERO);
            let _ = side_door.join();
        }
        process::say(if clean { "ended" } else { "ended, some connections were cut off" });
        Ok(())
    }
}

fn certificates(material: &Material, clock: Clock) -> Result<Option<Certificates>, Problem> {
    if material.certificates.is_empty() {
        return Ok(None);
    }
    Ok(Some(Certificates::from_pem(&material.certificates, clock.now_wall_s())?.0))
}

/// Whom to trust when nodes, other servers and control are asked.
fn start_tls(material: &Material) -> Result<ClientTls, Problem> {
    match &material.config.control.ca_file {
        Some(file) => {
            Ok(Trusted::default().load(&material.files, file, selvedge_proxy::Trust::Beside)?)
        }
        None => Ok(ClientTls::load(&[])?),
    }
}

fn settings(config: &Config, certificates: Option<Certificates>) -> Settings {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = if config.node.workers == 0 { cores } else { config.node.workers };
    Settings {
        plain: config.dns.listen.clone(),
        tls: config.dns.tls.clone(),
        https: config.listen.https.clone(),
        datagram_workers: workers,
        stream_workers: workers,
        certificates,
        https_path: HTTPS_PATH.to_owned(),
        limits: Limits {
            connections_max: config.dns.tcp_connections_max,
            idle: config.dns.tcp_idle,
            send: config.dns.tcp_idle,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

fn say_addresses(answering: &Running) {
    let addresses = answering.addresses();
    let lists = [("dns", &addresses.plain), ("dot", &addresses.tls), ("doh", &addresses.https)];
    for (word, list) in lists {
        list.iter().for_each(|address| process::say(&format!("listening {word} {address}")));
    }
}

/// A secret of this process.
fn random_key() -> Result<[u8; 16], Problem> {
    let mut key = [0; 16];
    let failed = |_| Problem::System("no randomness", std::io::Error::other("none is to be had"));
    aws_lc_rs::rand::fill(&mut key).map_err(failed).map(|()| key)
}
