//! The real binary as a child process: started on free ports, watched, reloaded, ended. Its drop
//! asserts that it has not panicked, whatever the test was about.

use crate::client;
use crate::clock::FakeClock;
use crate::config::NodeConfig;
use crate::log::Lines;
use crate::metrics::Metrics;
use crate::response::Response;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running node.
#[derive(Debug)]
pub struct Node {
    child: Child,
    name: String,
    folder: tempfile::TempDir,
    stdout: Lines,
    stderr: Lines,
    /// Kinds of listeners and where they are.
    listening: Vec<(String, SocketAddr)>,
    ended: Option<ExitStatus>,
}

/// What a node says when it serves: of its own, or what control said last.
const READY: [&str; 2] = ["selvedge: ready", "selvedge: serving, ready with control"];

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration serves.
    Applied,
    /// The old one serves on; this is what the log said.
    Refused(String),
}

/// The binary under test: `SELVEDGE_BIN`, or the one of this build's profile.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SELVEDGE_BIN") {
        return path.into();
    }
    let exe = std::env::current_exe().expect("the test has a path");
    let folder = exe.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps/test");
    let path = folder.join("selvedge");
    assert!(path.exists(), "{} is missing: cargo build -p selvedge", path.display());
    path
}

impl Node {
    /// Starts an edge.
    #[must_use]
    #[track_caller]
    pub fn edge(config: &NodeConfig) -> Self {
        Self::start("edge", config, None)
    }

    /// Starts a parent.
    #[must_use]
    #[track_caller]
    pub fn parent(config: &NodeConfig) -> Self {
        Self::start("parent", config, None)
    }

    /// Starts a control.
    #[must_use]
    #[track_caller]
    pub fn control(config: &NodeConfig) -> Self {
        Self::start("control", config, None)
    }

    /// Starts a DNS server.
    #[must_use]
    #[track_caller]
    pub fn dns(config: &NodeConfig) -> Self {
        Self::start("dns", config, None)
    }

    /// Starts a DNS server whose clock is another one.
    #[must_use]
    #[track_caller]
    pub fn dns_by_clock(config: &NodeConfig, clock: &FakeClock) -> Self {
        let mut node = Self::spawn_with("dns", config, &clock.variables());
        node.await_ready();
        node
    }

    /// Starts a DNS server and does not wait for anything.
    #[must_use]
    #[track_caller]
    pub fn dns_not_awaited(config: &NodeConfig) -> Self {
        Self::spawn("dns", config)
    }

    /// Starts an edge that may hold this many files open.
    #[must_use]
    #[track_caller]
    pub fn edge_with_files(config: &NodeConfig, files_max: u64) -> Self {
        Self::start("edge", config, Some(files_max))
    }

    /// Starts an edge and does not wait for anything: it has no addresses, it can be ended.
    #[must_use]
    #[track_caller]
    pub fn edge_not_awaited(config: &NodeConfig) -> Self {
        Self::spawn("edge", config)
    }

    /// Starts a role and waits until it is ready.
    #[track_caller]
    fn start(verb: &str, config: &NodeConfig, files_max: Option<u64>) -> Self {
        let mut node = Self::spawn(verb, config);
        node.await_ready();
        if let Some(files) = files_max {
            let limit = Rlimit { current: Some(files), maximum: Some(files) };
            prlimit(Some(node.pid()), Resource::Nofile, limit).expect("a lower limit is allowed");
        }
        node
    }

    #[track_caller]
    fn spawn(verb: &str, config: &NodeConfig) -> Self {
        Self::spawn_with(verb, config, &[])
    }

    #[track_caller]
    fn spawn_with(verb: &str, config: &NodeConfig, variables: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("node.toml");
        std::fs::write(&file, config.render(folder.path())).expect("the folder can be written");
        let mut child = Command::new(binary())
            .arg(verb)
            .arg("--config")
            .arg(&file)
            .arg("--die-with-starter")
            .envs(variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = Lines::gather(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::gather(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            name: config.name().to_owned(),
            folder,
            stdout,
            stderr,
            listening: Vec::new(),
            ended: None,
        }
    }

    #[track_caller]
    fn await_ready(&mut self) {
        let child = &mut self.child;
        let stderr = self.stderr.clone();
        let mut ended = None;
        let ready = crate::eventually(|| {
            ended = child.try_wait().expect("the child can be asked");
            ended.is_some() || stderr.all().iter().any(|line| READY.contains(&line.as_str()))
        });
        let lines = self.stderr.all();
        assert!(ready && ended.is_none(), "{} is not ready ({ended:?}): {lines:#?}", self.name);
        for line in &lines {
            let Some(rest) = line.strip_prefix("selvedge: listening ") else { continue };
            let mut words = rest.split_whitespace();
            let kind = words.next().unwrap_or("");
            let addr = words.next().and_then(|addr| addr.parse().ok()).expect("an address");
            self.listening.push((kind.to_owned(), addr));
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of plain HTTP.
    #[must_use]
    #[track_caller]
    pub fn http(&self) -> SocketAddr {
        self.address("http")
    }

    /// The address of HTTPS.
    #[must_use]
    #[track_caller]
    pub fn https(&self) -> SocketAddr {
        self.address("https")
    }

    /// The address of the admin listener.
    #[must_use]
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.address("admin")
    }

    /// The first address of a kind of listener, as the node names it.
    #[must_use]
    #[track_caller]
    pub fn address(&self, kind: &str) -> SocketAddr {
        let found = self.listening.iter().find(|(known, _)| known == kind);
        found.unwrap_or_else(|| panic!("the node does not listen for {kind}")).1
    }

    /// The URL of plain HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http())
    }

    /// One GET over plain HTTP on a connection of its own.
    #[track_caller]
    pub fn get(&self, host: &str, target: &str) -> Response {
        client::get(self.http(), host, target)
    }

    /// One GET with more field lines.
    #[track_caller]
    pub fn get_with(&self, host: &str, target: &str, fields: &str) -> Response {
        client::get_with(self.http(), host, target, fields)
    }

    /// One GET at the admin listener.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> Response {
        client::get(self.admin(), "admin.test", path)
    }

    /// Reads all counters.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let resp = self.admin_get("/metrics");
        assert_eq!(resp.status, 200, "{}", resp.text());
        Metrics::parse(&resp.text())
    }

    /// The access log and whatever else is on standard output.
    #[must_use]
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// The diagnostics.
    #[must_use]
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// The folder of its configuration.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The access-log line of a request, as JSON.
    #[must_use]
    #[track_caller]
    pub fn log_line(&self, request_id: &str) -> serde_json::Value {
        let line = self.stdout.wait(0, |line| line.contains(request_id));
        let line = line.expect("the request is in the access log");
        serde_json::from_str(&line).expect("an access-log line is JSON")
    }

    /// Puts another configuration in place and has it read.
    #[track_caller]
    pub fn reload(&self, config: &NodeConfig) -> Reload {
        self.reload_text(&config.render(self.folder.path()))
    }

    /// Puts this text in place of the configuration and has it read.
    #[track_caller]
    pub fn reload_text(&self, text: &str) -> Reload {
        let file = self.folder.path().join("node.toml");
        std::fs::write(file, text).expect("the folder can be written");
        let before = self.stderr.count();
        self.signal(Signal::HUP);
        let line = self.stderr.wait(before, |line| line.starts_with("selvedge: reload"));
        match line {
            Some(line) if line.starts_with("selvedge: reloaded") => Reload::Applied,
            Some(line) => Reload::Refused(line),
            None => panic!("{} does not report its reload: {:#?}", self.name, self.stderr.all()),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the node runs");
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let child = &mut self.child;
        let mut ended = None;
        crate::eventually(|| {
            ended = child.try_wait().expect("the child can be asked");
            ended.is_some()
        });
        self.ended = ended;
        ended.unwrap_or_else(|| panic!("{} does not end: {:#?}", self.name, self.stderr.all()))
    }

    /// Asks it to end (SIGTERM) and waits.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    /// Resident memory.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let text = text.expect("the node runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("VmRSS is a number of KiB") * 1024
    }

    /// Processor time used so far, in clock ticks (100 a second).
    #[must_use]
    pub fn cpu_ticks(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let text = text.expect("the node runs");
        let rest = text.rsplit(") ").next().unwrap_or("");
        rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }

    /// How many files it holds open.
    #[must_use]
    pub fn files_open(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let early = self.ended.is_none() && self.child.try_wait().ok().flatten().is_some();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let lines = self.stderr.all();
        let panicked = lines.iter().any(|line| line.contains("panicked"));
        if std::thread::panicking() {
            if !lines.is_empty() {
                eprintln_lines(&self.name, &lines);
            }
            return;
        }
        assert!(!panicked, "{} panicked: {lines:#?}", self.name);
        assert!(!early, "{} ended by itself: {lines:#?}", self.name);
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows what its nodes said")]
fn eprintln_lines(name: &str, lines: &[String]) {
    for line in &lines[lines.len().saturating_sub(40)..] {
        eprintln!("{name}: {line}");
    }
}
