//! A role from its configuration file to its end: prepare, bind, serve, reload, drain.

use crate::admin::Admin;
use crate::cache::Cache;
use crate::cli::RoleArgs;
use crate::follow::{self, Beginning, Start};
use crate::prepare::{Prepared, Trusted, prepare};
use crate::problem::Problem;
use crate::process::{self, Signals, Wish};
use crate::reload::{Reloader, locked};
use crate::role::Role;
use crate::vitals::Teller;
use selvedge_config as config;
use selvedge_net::{
    Certificates, Client, ClientSettings, ClientShared, ClientTls, Clock, Counters, Handler,
    Http2Limits, Limits, OutgoingBody, Running, Server, Settings, Timeouts,
};
use selvedge_node::{Following, Standing};
use selvedge_proxy::Parts;
use selvedge_telemetry::{
    AccessLog, AccessSettings, DiagnosticsFormat, LogFormat, LogTarget, Sample, Telemetry,
    install_diagnostics,
};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How often a running node looks whether its workers are still there.
const WATCH: Duration = Duration::from_millis(500);
/// The same while it is not ready: whoever waits for that is told soon.
const WATCH_UNREADY: Duration = Duration::from_millis(50);
/// Least time for the cache on disk to be closed in, however long requests took to end.
const CACHE_CLOSE_MIN: Duration = Duration::from_secs(2);
/// How long the last lines of the access log may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(5);

/// Runs a role until it is told to end.
pub(crate) fn run(role: Role, args: &RoleArgs) -> Result<(), Problem> {
    die_with_starter(args)?;
    let runtime = runtime()?;
    let signals = process::listen(&runtime)?;
    let trusted = Trusted::default();
    let prepared = prepare(&args.config, role, &trusted)?;
    let level = prepared.config.log.level.word();
    // Fails only when diagnostics are set up twice, which this process does not do.
    let _ = install_diagnostics(level, DiagnosticsFormat::Text);
    process::raise_file_limit();
    process::take_small_pages();
    let service = Service::start(role, args, prepared, trusted)?;
    runtime.block_on(service.watch(signals))
}

/// Lets this process end with the one that started it, if that is asked for.
pub(crate) fn die_with_starter(args: &RoleArgs) -> Result<(), Problem> {
    if args.die_with_starter {
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal)
            .map_err(|error| Problem::System("cannot watch the starting process", error.into()))?;
    }
    Ok(())
}

/// What the main thread waits with.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(|error| Problem::System("cannot start", error))
}

/// A node that serves.
struct Service {
    telemetry: Arc<Telemetry>,
    access_log: Arc<AccessLog>,
    traffic: Running,
    side_door: Option<Running>,
    following: Option<Following>,
    reloader: Arc<Mutex<Reloader>>,
    cache: Arc<Cache>,
    clock: Clock,
}

impl Service {
    /// Binds every address, then serves.
    fn start(
        role: Role,
        args: &RoleArgs,
        prepared: Prepared,
        trusted: Trusted,
    ) -> Result<Self, Problem> {
        prepared.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let config = prepared.config.clone();
        let certificates = certificates(&prepared)?;
        let telemetry = Telemetry::new(config.node.name.as_str());
        let counters = Arc::new(Counters::default());
        register(&telemetry, &counters, certificates.as_ref());
        // Whoever asks is told that this node lives and takes no traffic yet, while disks are read.
        let (served, teller) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let admin = Admin::new(Arc::clone(&telemetry), Arc::clone(&served), Arc::clone(&teller));
        let side_door = config.admin.listen.map(|address| open_side_door(address, admin));
        let side_door = side_door.transpose()?;
        let (cache, clock) = Cache::open(&config, &prepared.files)?;
        let (cache, files) = (Arc::new(cache), &prepared.files);
        cache.register(&telemetry);
        let access_log =
            AccessLog::open(access_settings(&config, files), &telemetry).map_err(Problem::Log)?;
        let parts = Parts {
            store: Arc::clone(&cache.store),
            telemetry: Arc::clone(&telemetry),
            access_log: Arc::clone(&access_log),
            clock,
        };
        let node = prepared.node(parts, &trusted)?;
        let _ = served.set(Arc::clone(&node));
        let beginning = Beginning::open(&config, files, role, &trusted, clock)?;
        let Prepared { certificates: own_certificates, purge_token, places, files, .. } = prepared;
        let mut reloader = Reloader {
            file: args.config.clone(),
            role,
            config: config.clone(),
            files,
            purge_token,
            places,
            own_certificates,
            node: Arc::clone(&node),
            cache: Arc::clone(&cache),
            certificates: certificates.clone(),
            trusted,
            access_log: Arc::clone(&access_log),
            clock,
            followed: None,
            is_unserved: false,
            standing: None,
        };
        let start = beginning.map(|beginning| begin(beginning, &mut reloader, &telemetry));
        let reloader = Arc::new(Mutex::new(reloader));
        let figures = follow::figures(Arc::clone(&telemetry), Arc::clone(&counters), &cache);
        let disks = Box::new(cache.disks());
        let _ = teller.set(Teller::new(&config, clock, Box::new(figures.clone()), disks));
        let server = Server::bind(settings(&config, certificates, &counters))?;
        say_addresses(&server);
        let upstream = ClientShared::new(client_settings(&config), ClientTls::load(&[])?, counters);
        let serving = Arc::clone(&node);
        let traffic = server.run(move |worker| {
            let client = Client::new(Arc::clone(&upstream), worker.tasks.clone());
            serving.handler(client, worker.tasks, worker.index == 0)
        })?;
        telemetry.set_ready(true);
        process::say(if start.is_some() { "serving, ready with control" } else { "ready" });
        tracing::info!(node = %config.node.name, role = role.word(), "serving");
        let follow = |start: Start| start.follow(Arc::clone(&reloader), Box::new(figures));
        let following = start.map(follow).transpose()?;
        Ok(Self { telemetry, access_log, traffic, side_door, following, reloader, cache, clock })
    }

    /// Does what signals ask, until one asks for the end.
    async fn watch(self, mut signals: Signals) -> Result<(), Problem> {
        // What was said last of whether it is ready; a node that follows nobody said so.
        let mut why_not = self.following.as_ref().map(|_| UNTOLD);
        loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Reload => self.reload(),
                    Wish::Drain => break,
                },
                () = tokio::time::sleep(pause(why_not)) => {
                    say_readiness(self.telemetry.why_not_ready(), &mut why_not);
                    self.cache.store.set_now(self.clock.now_mono_ms());
                    self.cache.store.tend_purges();
                    let lost = self.following.as_ref().is_some_and(Following::is_lost);
                    if self.traffic.lost_worker() || lost {
                        return Err(Problem::WorkerLost);
                    }
                }
            }
        }
        self.drain(&mut signals).await
    }

    fn reload(&self) {
        match locked(&self.reloader).reload() {
            Ok(warnings) => {
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                process::say("reloaded");
            }
            Err(problem) => {
                self.telemetry.config_refused();
                process::say(&format!("reload refused, what runs goes on: {problem}"));
            }
        }
    }

    /// Takes no more connections, finishes what runs, and ends. A second wish ends it at once.
    async fn drain(self, signals: &mut Signals) -> Result<(), Problem> {
        let limit = locked(&self.reloader).config.node.drain_timeout;
        let clock = self.clock;
        let ends_at_ms = clock.now_mono_ms() + limit.as_millis() as u64;
        process::say(&format!("draining, at most {} s", limit.as_secs()));
        self.telemetry.set_ready(false);
        self.traffic.drain(limit);
        while !self.traffic.is_finished() {
            tokio::select! {
                wish = signals.next() => {
                    if wish == Wish::Drain {
                        self.traffic.drain(Duration::ZERO);
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        let clean = self.traffic.join();
        if let Some(following) = self.following {
            following.stop();
        }
        if let Some(side_door) = self.side_door {
            side_door.drain(Duration::ZERO);
            let _ = side_door.join();
        }
        let left = Duration::from_millis(ends_at_ms.saturating_sub(clock.now_mono_ms()));
        tokio::select! {
            in_time = self.cache.close(left.max(CACHE_CLOSE_MIN)) => if !in_time {
                tracing::warn!("the cache on disk was not closed in time");
            },
            () = second_drain(signals) => tracing::warn!("the cache on disk was not closed"),
        }
        if !self.access_log.flush(LOG_FLUSH) {
            tracing::warn!("the last lines of the access log were not written");
        }
        process::say(if clean { "ended" } else { "ended, some requests were cut off" });
        Ok(())
    }
}

/// The certificates to serve with; control may bring some later.
fn certificates(prepared: &Prepared) -> Result<Option<Certificates>, Problem> {
    let now_wall_s = Clock::start().now_wall_s();
    let own = &prepared.certificates;
    if prepared.config.control.url.is_some() && !prepared.config.listen.https.is_empty() {
        let awaited = Certificates::awaited()?;
        awaited.replace_pem(own, now_wall_s)?;
        return Ok(Some(awaited));
    }
    if own.is_empty() {
        return Ok(None);
    }
    Ok(Some(Certificates::from_pem(own, now_wall_s)?.0))
}

/// Serves what was known of control when the last process ended.
fn begin(beginning: Beginning, reloader: &mut Reloader, telemetry: &Telemetry) -> Start {
    let state = beginning.state();
    let (followed, start) = beginning.split();
    reloader.followed = Some(followed);
    reloader.standing = Some(Arc::clone(&start.standing));
    if let Err(reason) = reloader.follow(&state) {
        tracing::error!(reason, "what control said last cannot be served");
    }
    let (revision, sites) = (state.revision, state.sites.len());
    tracing::info!(revision, sites, "begins with what control said last");
    let standing = Arc::clone(&start.standing);
    telemetry.register_doubt(move || standing.why_not_ready());
    register_standing(telemetry, &start.standing);
    start
}

fn register_standing(telemetry: &Telemetry, standing: &Arc<Standing>) {
    let standing = Arc::clone(standing);
    telemetry.register_source("control", move |each| {
        let help = "Revision of control up to which everything is in force";
        each(Sample::gauge("control_revision", help, standing.applied() as f64));
        let help = "Times the stream of changes began";
        each(Sample::counter("control_streams", help, standing.streams()));
    });
}

fn say_addresses(server: &Server) {
    for address in server.http_addresses() {
        process::say(&format!("listening http {address}"));
    }
    for address in server.https_addresses() {
        process::say(&format!("listening https {address}"));
    }
}

/// Nothing has been said yet.
pub(crate) const UNTOLD: &str = "";

/// How long to wait until the next look at a process of which this was said last.
pub(crate) fn pause(why_not: Option<&'static str>) -> Duration {
    if why_not.is_some() { WATCH_UNREADY } else { WATCH }
}

/// Says whether a node is ready, when that has changed since it was said last.
pub(crate) fn say_readiness(why_not: Option<&'static str>, said: &mut Option<&'static str>) {
    if std::mem::replace(said, why_not) == why_not {
        return;
    }
    match why_not {
        None => process::say("ready"),
        Some(why) => process::say(&format!("not ready: {why}")),
    }
}

/// Opens the side door: before all else, so that readiness can be asked for.
pub(crate) fn open_side_door<H>(address: SocketAddr, door: H) -> Result<Running, Problem>
where
    H: Handler<Body = OutgoingBody> + Clone + Send + Sync + 'static,
{
    let server = admin_server(address)?;
    for address in server.http_addresses() {
        process::say(&format!("listening admin {address}"));
    }
    Ok(server.run(move |_| door.clone())?)
}

/// Waits until someone wants the end for the second time.
async fn second_drain(signals: &mut Signals) {
    while signals.next().await != Wish::Drain {}
}

pub(crate) fn admin_server(address: SocketAddr) -> Result<Server, Problem> {
    let settings = Settings {
        name: "admin".to_owned(),
        http: vec![address],
        connections_max: 256,
        ..Settings::default()
    };
    Ok(Server::bind(settings)?)
}

pub(crate) fn settings(
    config: &config::Config,
    certificates: Option<Certificates>,
    counters: &Arc<Counters>,
) -> Settings {
    let limits = &config.limits;
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Settings {
        name: "worker".to_owned(),
        http: config.listen.http.clone(),
        https: config.listen.https.clone(),
        workers: if config.node.workers == 0 { cores() } else { config.node.workers },
        connections_max: limits.connections,
        certificates,
        limits: Limits {
            head_bytes_max: limits.header_bytes.as_usize(),
            field_bytes_max: limits.header_bytes.as_usize(),
            fields_max: limits.header_count,
            url_bytes_max: limits.url_bytes.as_usize(),
            body_bytes_max: limits.request_body_max.bytes(),
            requests_max: u64::MAX,
        },
        timeouts: Timeouts {
            handshake: limits.tls_handshake_timeout,
            header: limits.header_timeout,
            idle: limits.keepalive_timeout,
            body: limits.body_timeout,
            send: limits.send_timeout,
        },
        http2: Http2Limits {
            streams_max: u32::try_from(limits.streams).unwrap_or(u32::MAX),
            ..Http2Limits::default()
        },
        counters: Arc::clone(counters),
        ..Settings::default()
    }
}

fn client_settings(config: &config::Config) -> ClientSettings {
    ClientSettings {
        connections_max: config.upstream.connections_max,
        tunnels_max: config.upstream.connections_max,
        idle_limit: config.upstream.keepalive,
        waiters_max: config.limits.connections,
        ..ClientSettings::default()
    }
}

pub(crate) fn access_settings(
    config: &config::Config,
    files: &crate::prepare::Files,
) -> AccessSettings {
    AccessSettings {
        target: match &config.log.access {
            config::LogTarget::Off => LogTarget::Off,
            config::LogTarget::Stdout => LogTarget::Stdout,
            config::LogTarget::Stderr => LogTarget::Stderr,
            config::LogTarget::File(path) => LogTarget::File(files.resolve(path)),
        },
        format: match config.log.format {
            config::LogFormat::Json => LogFormat::Json,
            config::LogFormat::Combined => LogFormat::Combined,
        },
        queue_bytes: config.log.buffer.as_usize(),
    }
}

/// Makes the figures of the other crates part of the export.
pub(crate) fn register(
    telemetry: &Arc<Telemetry>,
    counters: &Arc<Counters>,
    certificates: Option<&Certificates>,
) {
    let net = Arc::clone(counters);
    telemetry.register_source("net", move |each| {
        net.each(&mut |name, help, value| {
            // What goes down again is a gauge; the crate names those `_active`.
            let sample = if name.contains("active") {
                Sample::gauge(name, help, value as f64)
            } else {
                Sample::counter(name.trim_end_matches("_total"), help, value)
            };
            each(sample);
        });
        net.each_refusal(&mut |word, value| {
            let help = "Requests refused for their framing or form, by reason";
            each(Sample::counter("malformed_requests", help, value).label("reason", word));
        });
    });
    if let Some(certificates) = certificates.cloned() {
        telemetry.register_source("certificates", move |each| {
            for expiry in certificates.expiries() {
                let help = "When a certificate ends, in seconds since 1970";
                let value = expiry.not_after_wall_s as f64;
                each(
                    Sample::gauge("certificate_not_after_seconds", help, value)
                        .label("file", &expiry.file),
                );
            }
        });
    }
}
