//! Child processes: run one to its end within a time limit, or keep one running and end it by its
//! own id when the handle is dropped.
//!
//! Servers are started through `setpriv --pdeathsig TERM`, so that they also end when this process
//! is killed and no destructor runs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;

/// A command to run, with its time limit.
pub(crate) struct Task {
    command: Command,
    shown: String,
    limit: Duration,
}

impl Task {
    pub(crate) fn new(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let mut shown = program.to_owned();
        for argument in arguments {
            shown.push(' ');
            shown.push_str(argument);
        }
        Self { command, shown, limit: Duration::from_secs(600) }
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs to the end with the output going to the terminal.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let mut child = self.spawn()?;
        let status = self.wait(&mut child)?;
        if status.success() { Ok(()) } else { Err(self.failed(status, "")) }
    }

    /// Runs to the end and gives its standard output; a failure quotes standard error.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().map(read_behind);
        let stderr = child.stderr.take().map(read_behind);
        let status = self.wait(&mut child)?;
        let text = |reader: Option<thread::JoinHandle<String>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (text(stdout), text(stderr));
        if status.success() { Ok(stdout) } else { Err(self.failed(status, &stderr)) }
    }

    fn spawn(&mut self) -> Result<Child, Failure> {
        self.command.spawn().map_err(|error| Failure::new(format!("{}: {error}", self.shown)))
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus, Failure> {
        let status = wait_until(child, self.limit)?;
        status.ok_or_else(|| {
            end(child);
            Failure::new(format!("{}: still running after {:?}", self.shown, self.limit))
        })
    }

    fn failed(&self, status: ExitStatus, stderr: &str) -> Failure {
        let tail: Vec<&str> = stderr.lines().rev().take(12).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Failure::new(format!("{}: {status}\n{}", self.shown, tail.join("\n")).trim_end())
    }
}

/// A server that runs until this handle is dropped.
pub(crate) struct Server {
    child: Child,
    name: String,
}

impl Server {
    /// Starts `program` with its output in `log`, on the processor `core` if one is given.
    pub(crate) fn start(
        name: &str,
        program: &str,
        arguments: &[&str],
        settings: &Settings<'_>,
    ) -> Result<Self, Failure> {
        let log = File::create(settings.log).map_err(Failure::at(settings.log))?;
        let mut command = supervised(program, arguments, settings);
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| Failure::new(format!("{name}: {error}")))?;
        Ok(Self { child, name: name.to_owned() })
    }

    /// Starts `program` and gives the first line of its standard output that `wanted` accepts.
    pub(crate) fn start_and_hear(
        name: &str,
        program: &str,
        arguments: &[&str],
        settings: &Settings<'_>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Self, String), Failure> {
        let log = File::create(settings.log).map_err(Failure::at(settings.log))?;
        let mut command = supervised(program, arguments, settings);
        command.stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let mut server = Self { child, name: name.to_owned() };
        let stdout = server.child.stdout.take();
        let mut lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
        while let Some(Ok(line)) = lines.next() {
            if wanted(&line) {
                // The rest is read and dropped, so that the server never waits for a reader.
                thread::spawn(move || lines.for_each(drop));
                return Ok((server, line));
            }
        }
        Err(Failure::new(format!("{name} ended before it was ready; see {:?}", settings.log)))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if the server has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("{} ended: {status}", self.name))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// How a server is started.
pub(crate) struct Settings<'a> {
    pub(crate) log: &'a Path,
    pub(crate) core: Option<usize>,
    pub(crate) folder: Option<&'a Path>,
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

impl<'a> Settings<'a> {
    pub(crate) fn logging_to(log: &'a Path) -> Self {
        Self { log, core: None, folder: None, variables: &[] }
    }
}

fn supervised(program: &str, arguments: &[&str], settings: &Settings<'_>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if let Some(core) = settings.core {
        command.args(["taskset", "-c", &core.to_string()]);
    }
    command.arg(program).args(arguments).stdin(Stdio::null());
    command.envs(settings.variables.iter().copied());
    if let Some(folder) = settings.folder {
        command.current_dir(folder);
    }
    command
}

/// Asks the child to end, waits a while, then makes it end.
fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The child is ours and not yet waited for: its id cannot belong to another process.
        let _ = kill_process(pid, Signal::TERM);
    }
    if !matches!(wait_until(child, Duration::from_secs(10)), Ok(Some(_))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn wait_until(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn read_behind(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read until an error is what there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Whether a program can be found.
pub(crate) fn is_program(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&folders).chain(usual).any(|folder| folder.join(name).is_file())
}

/// Makes an empty folder.
pub(crate) fn fresh_folder(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(Failure::at(path))?;
    }
    fs::create_dir_all(path).map_err(Failure::at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_given_and_a_failure_quotes_standard_error() {
        assert_eq!(Task::new("sh", &["-c", "echo hello"]).output().unwrap(), "hello\n");
        let failed = Task::new("sh", &["-c", "echo broken >&2; exit 3"]).output().unwrap_err();
        assert!(failed.to_string().contains("broken"), "{failed}");
    }

    #[test]
    fn a_task_beyond_its_limit_is_ended() {
        let task = Task::new("sleep", &["1000"]).limit(Duration::from_millis(1));
        assert!(task.run().unwrap_err().to_string().contains("still running"));
    }

    #[test]
    fn a_dropped_server_has_ended() {
        let log = std::env::temp_dir().join(format!("xtask-server-{}", std::process::id()));
        let script = ["-c", "echo ready; exec sleep 1000"];
        let settings = Settings::logging_to(&log);
        let heard = Server::start_and_hear("s", "sh", &script, &settings, |line| line == "ready");
        let (server, line) = heard.unwrap();
        assert_eq!(line, "ready");
        let process = format!("/proc/{}", server.pid());
        assert!(Path::new(&process).exists());
        drop(server);
        assert!(!Path::new(&process).exists());
        fs::remove_file(log).unwrap();
    }
}
