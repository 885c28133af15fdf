//! The control plane as a process: from its file to its end.

use crate::cli::RoleArgs;
use crate::prepare::{self, Files};
use crate::problem::Problem;
use crate::process::{self, Signals, Wish};
use crate::start;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use selvedge_config::{Config, Profile};
use selvedge_control::{Control, Settings};
use selvedge_net::{
    CertificatePem, Certificates, Client, ClientSettings, ClientShared, ClientTls, Clock,
    Connection, Counters, Handler, OutgoingBody, RequestBody, Running, Server,
};
use selvedge_telemetry::{CONTENT_TYPE, DiagnosticsFormat, Sample, Telemetry, install_diagnostics};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often a running control looks whether its workers are still there.
const WATCH: Duration = Duration::from_millis(500);

/// A configuration whose files have been read.
struct Prepared {
    config: Config,
    files: Files,
    folder: PathBuf,
    certificates: Vec<CertificatePem>,
}

fn prepare(file: &Path) -> Result<Prepared, Problem> {
    let (config, files) = prepare::read_config(file, Profile::Inner)?;
    let folder = config.data.folder.as_ref();
    let folder = folder.ok_or_else(|| Problem::NotControl(file.to_owned()))?;
    let folder = files.resolve(folder);
    let certificates = prepare::certificates(&config, &files)?;
    if !certificates.is_empty() {
        Certificates::from_pem(&certificates, Clock::start().now_wall_s())?;
    }
    Ok(Prepared { config, files, folder, certificates })
}

/// Whether a file is that of a control plane, as far as can be read.
pub(crate) fn is_control(file: &Path) -> bool {
    let config = prepare::read_config(file, Profile::Inner);
    config.is_ok_and(|(config, _)| config.data.folder.is_some())
}

/// What `check` says of the file of a control plane that is well.
pub(crate) fn check(file: &Path) -> Result<String, Problem> {
    let prepared = prepare(file)?;
    Ok(format!("{}: valid, a control plane", prepared.config.node.name))
}

/// Runs control until it is told to end.
pub(crate) fn run(args: &RoleArgs) -> Result<(), Problem> {
    start::die_with_starter(args)?;
    let runtime = start::runtime()?;
    let signals = process::listen(&runtime)?;
    let prepared = prepare(&args.config)?;
    // Fails only when diagnostics are set up twice, which this process does not do.
    let _ = install_diagnostics(prepared.config.log.level.word(), DiagnosticsFormat::Text);
    process::raise_file_limit();
    let service = Service::start(prepared, args.config.clone())?;
    runtime.block_on(service.watch(signals))
}

/// A control that answers.
struct Service {
    file: PathBuf,
    config: Config,
    control: Arc<Control>,
    certificates: Option<Certificates>,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    answering: Running,
    side_door: Option<Running>,
}

impl Service {
    fn start(prepared: Prepared, file: PathBuf) -> Result<Self, Problem> {
        let Prepared { config, files, folder, certificates } = prepared;
        let clock = Clock::start();
        let certificates = if certificates.is_empty() {
            None
        } else {
            Some(Certificates::from_pem(&certificates, clock.now_wall_s())?.0)
        };
        let telemetry = Telemetry::new(config.node.name.as_str());
        let counters = Arc::new(Counters::default());
        start::register(&telemetry, &counters, certificates.as_ref());
        let side_door = config.admin.listen.map(|address| {
            let server = start::admin_server(address)?;
            let addresses = server.http_addresses();
            addresses.iter().for_each(|it| process::say(&format!("listening admin {it}")));
            let door = SideDoor { telemetry: Arc::clone(&telemetry) };
            Ok::<_, Problem>(server.run(move |_| door.clone())?)
        });
        let side_door = side_door.transpose()?;
        let settings = settings(&config, &files, folder);
        let control = Control::open(settings, clock).map_err(Problem::Control)?;
        if let Some(path) = control.first_token() {
            process::say(&format!("a token with every right is in {}", path.display()));
        }
        let control = Arc::new(control);
        let shown = Arc::clone(&control);
        telemetry.register_source("control", move |each| {
            shown.each_figure(&mut |name, help, value| each(Sample::gauge(name, help, value)));
        });
        let mut net = start::settings(&config, certificates.clone(), &counters);
        net.name = "control".to_owned();
        net.limits.body_bytes_max = config.data.object_max.bytes();
        let server = Server::bind(net)?;
        let (http, https) = (server.http_addresses(), server.https_addresses());
        http.iter().for_each(|address| process::say(&format!("listening http {address}")));
        https.iter().for_each(|address| process::say(&format!("listening https {address}")));
        let trust = ClientTls::load(&[])?;
        let to_nodes = ClientShared::new(ClientSettings::default(), trust, counters);
        let served = Arc::clone(&control);
        let answering = server.run(move |worker| {
            if worker.index == 0 {
                let tended = Arc::clone(&served);
                let client = Client::new(Arc::clone(&to_nodes), worker.tasks.clone());
                worker.tasks.spawn_background(async move { tended.tend(client).await });
            }
            served.door()
        })?;
        telemetry.set_ready(true);
        process::say("ready");
        tracing::info!(node = %config.node.name, revision = control.revision(), "serving");
        Ok(Self { file, config, control, certificates, clock, telemetry, answering, side_door })
    }

    async fn watch(mut self, mut signals: Signals) -> Result<(), Problem> {
        loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Reload => self.reload(),
                    Wish::Drain => break,
                },
                () = tokio::time::sleep(WATCH) => {
                    if self.answering.lost_worker() {
                        return Err(Problem::WorkerLost);
                    }
                }
            }
        }
        self.drain(&mut signals).await
    }

    /// Reads the file again. What can change while control runs are its certificates.
    fn reload(&mut self) {
        let reloaded = prepare(&self.file).and_then(|prepared| {
            let restart = self.config.restart_needed(&prepared.config);
            if !restart.is_empty() {
                return Err(Problem::Restart(restart));
            }
            if let Some(serving) = &self.certificates {
                serving.replace_pem(&prepared.certificates, self.clock.now_wall_s())?;
            }
            self.config = prepared.config;
            Ok(())
        });
        match reloaded {
            Ok(()) => process::say("reloaded"),
            Err(problem) => {
                process::say(&format!("reload refused, what runs goes on: {problem}"));
            }
        }
    }

    /// Takes no more connections, finishes what runs, and ends. A second wish ends it at once.
    async fn drain(self, signals: &mut Signals) -> Result<(), Problem> {
        let limit = self.config.node.drain_timeout;
        process::say(&format!("draining, at most {} s", limit.as_secs()));
        self.telemetry.set_ready(false);
        // Followers never end by themselves.
        self.control.end_followers();
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
        if let Some(side_door) = self.side_door {
            side_door.drain(Duration::ZERO);
            let _ = side_door.join();
        }
        process::say(if clean { "ended" } else { "ended, some requests were cut off" });
        Ok(())
    }
}

fn settings(config: &Config, files: &Files, folder: PathBuf) -> Settings {
    let data = &config.data;
    Settings {
        name: config.node.name.to_string(),
        objects: data.objects.as_ref().map(|objects| files.resolve(objects)),
        folder,
        object_bytes_max: data.object_max.bytes(),
        bytes_max: data.objects_size.bytes(),
        history: data.history as u64,
        snapshot_every: data.snapshot_every as u64,
    }
}

/// Whether control lives, and its counters.
#[derive(Clone)]
struct SideDoor {
    telemetry: Arc<Telemetry>,
}

impl Handler for SideDoor {
    type Body = OutgoingBody;

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        _: Rc<Connection>,
    ) -> Response<OutgoingBody> {
        let is_ready = self.telemetry.is_ready();
        let is_read = matches!(*req.method(), Method::GET | Method::HEAD);
        let (status, text) = match (selvedge_net::refusal(&req), req.uri().path()) {
            (Some(refusal), _) => (refusal.status(), refusal.help().to_owned()),
            _ if !is_read => (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
            (None, "/livez") => (StatusCode::OK, "alive\n".to_owned()),
            (None, "/readyz") if is_ready => (StatusCode::OK, "ready\n".to_owned()),
            (None, "/readyz") => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            (None, "/metrics") => (StatusCode::OK, self.telemetry.render()),
            (None, "/") => (StatusCode::OK, "/livez\n/readyz\n/metrics\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, "see /\n".to_owned()),
        };
        let content_type =
            if req.uri().path() == "/metrics" { CONTENT_TYPE } else { "text/plain; charset=utf-8" };
        let mut response = Response::new(OutgoingBody::full(Bytes::from(text)));
        *response.status_mut() = status;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
