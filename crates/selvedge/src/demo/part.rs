//! The parts of the demo: each a child process of this one, and the client's verbs beside them.

use crate::problem::Problem;
use crate::process;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a part may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the demo goes on without a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It ends with it.
    Vital,
    /// It only tells that it is gone.
    Spare,
}

/// A part that runs as a child of this process.
pub(super) struct Part {
    name: &'static str,
    need: Need,
    child: Child,
    is_ready: mpsc::Receiver<()>,
    is_told: bool,
}

impl Part {
    /// Starts a part in a role and does not wait for it.
    pub(super) fn spawn(
        name: &'static str,
        role: &str,
        config: &Path,
        need: Need,
    ) -> Result<Self, Problem> {
        let system = |error| Problem::System("cannot start a part of the demo", error);
        let own = std::env::current_exe().map_err(system)?;
        let mut child = Command::new(own)
            .arg(role)
            .arg("--die-with-starter")
            .arg("--config")
            .arg(config)
            // Ctrl-C is for the demo, which then stops its parts in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(system)?;
        let (ready, is_ready) = mpsc::sync_channel(1);
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || relay(name, BufReader::new(stderr), &ready));
        }
        Ok(Self { name, need, child, is_ready, is_told: false })
    }

    /// Waits until it says that it is ready: it has everything that control says then.
    pub(super) fn await_ready(&mut self) -> Result<(), Problem> {
        let ready = self.is_ready.recv_timeout(PATIENCE);
        ready.map_err(|_| Problem::DemoEnded(self.name))
    }

    /// Starts a part and waits until it is ready.
    pub(super) fn start(name: &'static str, config: &Path) -> Result<Self, Problem> {
        let mut part = Self::spawn(name, name, config, Need::Vital)?;
        part.await_ready()?;
        Ok(part)
    }

    /// Whether the demo goes on without it.
    pub(super) fn is_spare(&self) -> bool {
        self.need == Need::Spare
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Looks whether it has ended by itself, and tells so of one that the demo can do without.
    pub(super) fn look(&mut self) -> Result<(), Problem> {
        let ended = match self.child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => Some(status),
            Err(_) => None,
        };
        if self.need == Need::Vital {
            return Err(Problem::DemoEnded(self.name));
        }
        if !std::mem::replace(&mut self.is_told, true) {
            let how = ended.map(|status: ExitStatus| format!(" ({status})")).unwrap_or_default();
            process::say(&format!("{} has ended{how}; the rest goes on", self.name));
        }
        Ok(())
    }

    /// Asks it to end in good order.
    pub(super) fn ask_to_end(&mut self) {
        // The id is that of our child only as long as nobody has waited for it.
        let runs = matches!(self.child.try_wait(), Ok(None));
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed());
        if let Some(pid) = pid.filter(|_| runs) {
            // It may end at this very moment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    /// Waits until it has ended.
    pub(super) fn wait(&mut self) {
        let _ = self.child.wait();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on what a part says, but for its first lines, which the demo says better.
fn relay(name: &str, lines: impl BufRead, ready: &mpsc::SyncSender<()>) {
    for line in lines.lines().map_while(Result::ok) {
        if line == "selvedge: ready" {
            let _ = ready.try_send(());
        } else if !FIRST_WORDS.iter().any(|first| line.starts_with(first)) {
            process::say(&format!("{name}: {}", line.trim_start_matches("selvedge: ")));
        }
    }
}

/// What the demo says better itself.
const FIRST_WORDS: [&str; 5] = [
    "selvedge: listening",
    "selvedge: a token",
    "selvedge: serving",
    "selvedge: not ready",
    "selvedge: made a key",
];

/// The verbs of the client, as an operator runs them.
pub(super) struct Verbs {
    pub(super) control: SocketAddr,
    pub(super) token_file: PathBuf,
}

impl Verbs {
    pub(super) fn run(&self, verb: &[&str], last: &Path) -> Result<Vec<u8>, Problem> {
        let system = |error| Problem::System("cannot run a verb of the client", error);
        let own = std::env::current_exe().map_err(system)?;
        let output = Command::new(own)
            .args(verb)
            .arg(last)
            .env("SELVEDGE_CONTROL", format!("http://{}", self.control))
            .env("SELVEDGE_TOKEN_FILE", &self.token_file)
            .stdin(Stdio::null())
            .output()
            .map_err(system)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        process::say(String::from_utf8_lossy(&output.stderr).trim_end());
        Err(Problem::DemoEnded("client"))
    }

    /// Has a token made that so many nodes join with.
    pub(super) fn join_token(&self, uses: usize, file: &Path) -> Result<(), Problem> {
        let verb = ["node", "join-token", "--json", "--uses"];
        let made = self.run(&verb, Path::new(&uses.to_string()))?;
        let made: serde_json::Value = serde_json::from_slice(&made).unwrap_or_default();
        let token = made["token"].as_str().unwrap_or_default();
        std::fs::write(file, token)
            .map_err(|error| Problem::System("cannot write the demo's token", error))
    }
}
