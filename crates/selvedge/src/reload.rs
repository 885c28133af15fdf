//! Taking over another configuration while running: all of it, or nothing.

use crate::prepare::{Prepared, prepare};
use crate::problem::Problem;
use crate::role::Role;
use selvedge_config::Config;
use selvedge_net::{Certificates, Clock};
use selvedge_proxy::Node;
use selvedge_telemetry::AccessLog;
use std::path::PathBuf;
use std::sync::Arc;

/// What a reload changes.
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) node: Arc<Node>,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) clock: Clock,
}

impl Reloader {
    /// Reads the file again and serves what it says. On an error everything stays as it is.
    pub(crate) fn reload(&mut self) -> Result<Vec<String>, Problem> {
        let Prepared { config, certificates, warnings, files } = prepare(&self.file, self.role)?;
        let restart = self.config.restart_needed(&config);
        if !restart.is_empty() {
            return Err(Problem::Restart(restart));
        }
        // Both were tried out while preparing: what fails here would have failed there.
        self.node.reload(&config, &|file, trust| files.trust(file, trust))?;
        if let Some(serving) = &self.certificates {
            serving.replace_pem(&certificates, self.clock.now_wall_s())?;
        }
        self.access_log.reopen().map_err(Problem::Log)?;
        self.config = config;
        Ok(warnings)
    }
}
