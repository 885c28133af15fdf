//! The process: what it prints, its limits, its signals.

use crate::problem::Problem;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{IsTerminal, Write};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Tells the operator something, on standard error. A closed pipe is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "selvedge: {text}");
}

/// Has memory taken in small pages. Connections that wait need little of what is set aside for
/// them: with pages of 2 MiB all of it is there. A hit costs the same.
pub(crate) fn take_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        say(&format!("memory is taken in large pages: {error}"));
    }
}

/// Prints what was asked for, on standard output.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// Writes bytes to standard output as they are.
pub(crate) fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Shows how far something is, on a terminal, in one line that changes.
pub(crate) fn progress(text: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{text}");
        let _ = err.flush();
    }
}

/// Takes the line of `progress` away.
pub(crate) fn progress_ends() {
    progress("");
}

/// Lets the process open as many files as the system allows it: connections are files.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
}

/// What the operator asks of a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGTERM or SIGINT: finish what runs, and end.
    Drain,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Listens to signals from now on: none that comes later ends the process unasked.
pub(crate) fn listen(runtime: &tokio::runtime::Runtime) -> Result<Signals, Problem> {
    let _inside = runtime.enter();
    Signals::listen().map_err(|error| Problem::System("cannot listen to signals", error))
}

/// The signals the process listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next wish.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Drain,
            _ = self.interrupt.recv() => Wish::Drain,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
