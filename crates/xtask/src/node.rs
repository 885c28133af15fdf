//! Starting the node under test: the real binary, from a configuration file, until it is ready.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::process::{Server, Settings, Task};
use crate::ready::wait_for_ok;

/// How the binary is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Debug,
    Release,
}

/// Builds the binary and gives its path.
pub(crate) fn build(build: Build) -> Result<PathBuf, Failure> {
    let mut arguments = vec!["build", "--locked", "--package", "selvedge"];
    if build == Build::Release {
        arguments.push("--release");
    }
    Task::new(&cargo(), &arguments).limit(std::time::Duration::from_secs(1800)).run()?;
    let folder = if build == Build::Release { "release" } else { "debug" };
    let binary = target().join(folder).join("selvedge");
    binary.canonicalize().map_err(Failure::at(&binary))
}

/// The cargo that runs this.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// The folder that builds go to.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// A node to start.
pub(crate) struct Node<'a> {
    pub(crate) binary: &'a Path,
    /// The verb: `edge` or `parent`.
    pub(crate) verb: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) configuration: String,
    pub(crate) admin_port: u16,
    pub(crate) core: Option<usize>,
}

impl Node<'_> {
    /// Writes the configuration, starts the node and waits until it is ready.
    pub(crate) fn start(&self, name: &str) -> Result<Server, Failure> {
        let file = self.folder.join(format!("{name}.toml"));
        fs::write(&file, &self.configuration).map_err(Failure::at(&file))?;
        let log = self.folder.join(format!("{name}.log"));
        let settings = Settings { core: self.core, ..Settings::logging_to(&log) };
        let (binary, file) = (text(self.binary)?, text(&file)?);
        let mut server = Server::start(name, binary, &[self.verb, "--config", file], &settings)?;
        wait_for_ok(&mut server, self.admin_port, "/readyz")
            .map_err(|failure| Failure::new(format!("{name}: {failure}; see {}", log.display())))?;
        Ok(server)
    }
}

/// A path as text: all paths here are under the repository, whose name must be text.
pub(crate) fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::new(format!("{}: not UTF-8", path.display())))
}
