//! Why a command could not do what it was asked, and the exit code that says so.

use crate::client::Fault;
use selvedge_config::Faults;
use selvedge_net::{BindError, TlsError};
use selvedge_node::KeepError;
use selvedge_proxy::{KeyFault, Unready};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What was checked is not as it should be.
const WRONG: u8 = 1;
/// Bad usage or configuration (EX_USAGE).
pub(crate) const USAGE: u8 = 64;
/// A bug of ours (EX_SOFTWARE).
const BUG: u8 = 70;
/// Try again: something outside is in the way (EX_TEMPFAIL).
const TRY_AGAIN: u8 = 75;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The configuration file cannot be read.
    Read(PathBuf, io::Error),
    /// A file of keys cannot be written.
    WriteKeys(PathBuf, io::Error),
    /// A zone has no keys yet.
    NoKeys(PathBuf, String),
    /// The configuration is wrong.
    Config(Faults),
    /// A certificate or key is wrong.
    Tls(TlsError),
    /// The file with the token for purges holds none.
    NoToken(PathBuf),
    /// The file is not that of a control plane.
    NotControl(PathBuf),
    /// The file is not that of a DNS server.
    NotDns(PathBuf),
    /// Zones are wrong: all that is.
    Zones(Vec<String>),
    /// A map of who is where is wrong.
    Map(PathBuf, String),
    /// A file of keys or secrets is wrong, or not there.
    Keys(PathBuf, String),
    /// Regions, nodes and sites do not fit together.
    Atlas(String),
    /// An address of the DNS server cannot be used.
    Dns(selvedge_dns::StartError),
    /// The control plane cannot use its folder.
    Control(selvedge_control::OpenError),
    /// A value can only change with a restart.
    Restart(Vec<&'static str>),
    /// An address is taken or not ours.
    Bind(BindError),
    /// The access log cannot be opened.
    Log(io::Error),
    /// Another process has this folder of the cache.
    DiskInUse(PathBuf, String),
    /// The folder of what control says cannot be used.
    State(KeepError),
    /// Something that should not fail did.
    System(&'static str, io::Error),
    /// `selvedge cache` got no answer.
    NoAnswer(String),
    /// Records on disk do not match their checksums: so many.
    Damaged(u64),
    /// A worker ended although nobody asked it to.
    WorkerLost,
    /// A part of the demo ended.
    DemoEnded(&'static str),
    /// A verb of the client failed.
    Client(Fault),
}

impl Problem {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Read(..) | Self::Config(_) | Self::Tls(_) => USAGE,
            Self::NoToken(_) | Self::Restart(_) | Self::NotControl(_) => USAGE,
            Self::NotDns(_) | Self::Zones(_) | Self::Atlas(_) => USAGE,
            Self::Map(..) | Self::Keys(..) => USAGE,
            Self::Bind(BindError::NoCertificates) => USAGE,
            Self::Bind(_)
            | Self::Log(_)
            | Self::WriteKeys(..)
            | Self::NoKeys(..)
            | Self::DiskInUse(..)
            | Self::Control(_)
            | Self::Dns(_)
            | Self::State(_)
            | Self::System(..)
            | Self::NoAnswer(_)
            | Self::DemoEnded(_) => TRY_AGAIN,
            Self::Damaged(_) => WRONG,
            Self::WorkerLost => BUG,
            Self::Client(fault) => fault.exit_code(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, error) => write!(f, "cannot read {}: {error}", file.display()),
            Self::WriteKeys(file, error) => write!(
                f,
                "cannot write {}: {error}: `dns.keys` must be a folder that the user of the \
                 server may write",
                file.display()
            ),
            Self::NoKeys(file, zone) => write!(
                f,
                "{}: {zone} has no key yet: the server makes one when it starts, or put that of \
                 the zone's other servers there",
                file.display()
            ),
            Self::Config(faults) => write!(f, "the configuration is not valid\n{faults}"),
            Self::Tls(error) => error.fmt(f),
            Self::NoToken(file) => {
                write!(f, "{}: there is no token of printable ASCII in it", file.display())
            }
            Self::NotControl(file) => write!(
                f,
                "{}: there is no `folder` in [data]: a control plane needs one",
                file.display()
            ),
            Self::NotDns(file) => write!(
                f,
                "{}: there is no `listen` in [dns]: a DNS server needs one",
                file.display()
            ),
            Self::Zones(faults) => write!(f, "the zones are not valid\n{}", faults.join("\n")),
            Self::Map(file, why) | Self::Keys(file, why) => write!(f, "{}: {why}", file.display()),
            Self::Atlas(why) => write!(f, "regions, nodes and sites do not fit together: {why}"),
            Self::Dns(error) => error.fmt(f),
            Self::Control(error) => error.fmt(f),
            Self::Restart(keys) => write!(
                f,
                "only a restart can change {}; set it back, or restart the node",
                keys.join(", ")
            ),
            Self::Bind(error) => error.fmt(f),
            Self::Log(error) => write!(f, "cannot open the access log: {error}"),
            Self::DiskInUse(path, why) => write!(
                f,
                "the cache folder {} is {why}; each process needs a folder of its own",
                path.display()
            ),
            Self::State(error) => write!(f, "control.state: {error}"),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::NoAnswer(why) => f.write_str(why),
            Self::Damaged(count) => write!(f, "{count} records were damaged; they are forgotten"),
            Self::WorkerLost => f.write_str("a worker ended by itself: this is a bug"),
            Self::Client(fault) => fault.fmt(f),
            Self::DemoEnded(part) => write!(f, "the {part} of the demo ended by itself"),
        }
    }
}

impl From<selvedge_dns::StartError> for Problem {
    fn from(error: selvedge_dns::StartError) -> Self {
        Self::Dns(error)
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Self::Config(faults)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Client(fault)
    }
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<KeyFault> for Problem {
    fn from(fault: KeyFault) -> Self {
        Self::Keys(fault.file, fault.why)
    }
}

impl From<Unready> for Problem {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Trust(error) => error.into(),
            Unready::Key(fault) => fault.into(),
        }
    }
}

impl From<BindError> for Problem {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What systemd goes by.
    #[test]
    fn a_lost_worker_is_our_bug_and_says_so() {
        assert_eq!(Problem::WorkerLost.exit_code(), 70);
        assert_eq!(Problem::WorkerLost.to_string(), "a worker ended by itself: this is a bug");
    }
}
