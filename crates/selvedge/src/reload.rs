//! Taking over another configuration while running: all of it, or nothing.

use crate::cache::Cache;
use crate::prepare::{Prepared, Trusted, prepare};
use crate::problem::Problem;
use crate::role::Role;
use selvedge_config::Config;
use selvedge_net::{Certificates, Clock};
use selvedge_proxy::Node;
use selvedge_telemetry::AccessLog;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a reload changes.
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) node: Arc<Node>,
    pub(crate) cache: Cache,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) trusted: Trusted,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) clock: Clock,
}

impl Reloader {
    /// What is to be done now and then while the node runs.
    pub(crate) fn tick(&self) {
        self.cache.store.set_now(self.clock.now_mono_ms());
        self.cache.store.tend_purges();
    }

    /// Reads the file again and serves what it says. On an error everything stays as it is.
    pub(crate) fn reload(&mut self) -> Result<Vec<String>, Problem> {
        let Prepared { config, certificates, purge_token, warnings, files } =
            prepare(&self.file, self.role, &self.trusted)?;
        let restart = self.config.restart_needed(&config);
        if !restart.is_empty() {
            return Err(Problem::Restart(restart));
        }
        // In this order nothing can fail once something has changed: a log that is opened anew
        // changes nothing that is served, certificates are put in place whole or not at all, and
        // the rest was compiled while preparing, from files that are not read again.
        self.access_log.reopen().map_err(Problem::Log)?;
        if let Some(serving) = &self.certificates {
            serving.replace_pem(&certificates, self.clock.now_wall_s())?;
        }
        let load_trust = |file: &Path, trust| self.trusted.load(&files, file, trust);
        self.node.reload(&config, &load_trust, purge_token.as_ref())?;
        self.cache.reload(&config);
        self.config = config;
        Ok(warnings)
    }
}
