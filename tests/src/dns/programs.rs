//! dig, kdig and dnsperf as clients, and what they print in a form that a test can look at.

use crate::tools::{Output, run};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// What dig (or kdig, which prints the same) was answered.
#[derive(Clone, Debug, Default)]
pub struct Dig {
    /// `NOERROR` and the like; empty when there was no answer.
    pub status: String,
    /// `QUERY` and the like.
    pub opcode: String,
    /// `qr aa` and the like.
    pub flags: Vec<String>,
    /// The version of EDNS and its flags, and the bytes that can be taken.
    pub edns: Option<String>,
    /// Records, their parts one space apart.
    pub answer: Vec<String>,
    /// Records, their parts one space apart.
    pub authority: Vec<String>,
    /// Records, their parts one space apart.
    pub additional: Vec<String>,
    /// All that it printed.
    pub text: String,
}

/// Asks with dig. The arguments are told apart by white space.
#[must_use]
#[track_caller]
pub fn dig(server: SocketAddr, args: &str) -> Dig {
    Dig::read(&call("dig", server, &format!("+tries=1 +time=20 {args}")))
}

/// Asks with kdig of Knot DNS.
#[must_use]
#[track_caller]
pub fn kdig(server: SocketAddr, args: &str) -> Dig {
    Dig::read(&call("kdig", server, &format!("+retry=0 +time=20 {args}")))
}

#[track_caller]
fn call(program: &str, server: SocketAddr, args: &str) -> Output {
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let mut all = vec![at.as_str(), "-p", &port];
    all.extend(args.split_whitespace());
    run(program, &all)
}

impl Dig {
    fn read(output: &Output) -> Self {
        let mut dig = Self { text: output.stdout.clone(), ..Self::default() };
        let mut section = "";
        for line in output.stdout.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some(rest) = line.strip_prefix(";; ->>HEADER<<- ") {
                let field = |name: &str| {
                    let found = rest.split([';', ',']).find_map(|part| {
                        part.trim().strip_prefix(name).map(|value| value.trim().to_owned())
                    });
                    found.unwrap_or_default()
                };
                (dig.opcode, dig.status) = (field("opcode:"), field("status:"));
            } else if let Some(rest) =
                line.strip_prefix(";; flags:").or_else(|| line.strip_prefix(";; Flags:"))
            {
                let flags = rest.split(';').next().unwrap_or_default();
                dig.flags = flags.split_whitespace().map(str::to_owned).collect();
            } else if let Some(rest) = line.strip_prefix("; EDNS: ") {
                dig.edns = Some(rest.to_owned());
            } else if line.starts_with(";; ") && line.contains("SECTION") {
                section = words[1];
            } else if !line.starts_with(';') && !words.is_empty() {
                match section {
                    "ANSWER" => dig.answer.push(words.join(" ")),
                    "AUTHORITY" => dig.authority.push(words.join(" ")),
                    "ADDITIONAL" => dig.additional.push(words.join(" ")),
                    _ => {}
                }
            }
        }
        dig
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|set| set == flag)
    }

    /// What the answers say, without name, lifetime, class and type, sorted.
    #[must_use]
    pub fn data(&self) -> Vec<String> {
        let data = |line: &String| line.split(' ').skip(4).collect::<Vec<_>>().join(" ");
        let mut list: Vec<String> = self.answer.iter().map(data).collect();
        list.sort_unstable();
        list
    }
}

/// dnsperf, while it runs.
#[derive(Debug)]
pub struct Perf {
    child: Option<Child>,
    _names: tempfile::NamedTempFile,
}

/// What dnsperf counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerfCounts {
    /// Queries sent.
    pub sent: u64,
    /// Queries answered.
    pub completed: u64,
    /// Queries that were not.
    pub lost: u64,
    /// Queries that had no answer yet when it was told to stop.
    pub interrupted: u64,
    /// Answers that say NOERROR.
    pub noerror: u64,
}

impl Perf {
    /// Begins to ask for these names and types, so many queries a second for so many seconds.
    #[must_use]
    #[track_caller]
    pub fn start(server: SocketAddr, names: &str, rate: u32, seconds: u32) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), names).expect("it can be written");
        let (port, rate) = (server.port().to_string(), rate.to_string());
        let child = Command::new("dnsperf")
            .args(["-s", &server.ip().to_string(), "-p", &port, "-Q", &rate, "-t", "5"])
            .args(["-l", &seconds.to_string(), "-c", "4", "-d"])
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsperf starts (apt install dnsperf)");
        Self { child: Some(child), _names: file }
    }

    /// Whether it still asks.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        let status = self.child.as_mut().map(Child::try_wait);
        matches!(status, Some(Ok(None)))
    }

    /// Has it stop asking, and gives what it counted.
    #[must_use]
    #[track_caller]
    pub fn stop(self) -> PerfCounts {
        if let Some(child) = &self.child {
            // It may have ended by itself.
            let _ = kill_process(Pid::from_child(child), Signal::INT);
        }
        self.finish()
    }

    /// Waits for its end.
    #[must_use]
    #[track_caller]
    pub fn finish(mut self) -> PerfCounts {
        let child = self.child.take().expect("it is finished once");
        let output = child.wait_with_output().expect("dnsperf ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |label: &str| {
            let rest = text.split_once(label).map_or("0", |(_, rest)| rest.trim_start());
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
        };
        PerfCounts {
            sent: number("Queries sent:"),
            completed: number("Queries completed:"),
            lost: number("Queries lost:"),
            interrupted: number("Queries interrupted:"),
            noerror: number("NOERROR "),
        }
    }
}

impl Drop for Perf {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
