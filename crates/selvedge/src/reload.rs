//! Taking over something else while running, whole or not at all: another configuration file, or
//! other sites from control. Both meet here, so that one never undoes the other.

use crate::cache::Cache;
use crate::follow::Followed;
use crate::prepare::{Files, Prepared, Trusted, prepare};
use crate::problem::Problem;
use crate::role::Role;
use selvedge_config::{Config, Site};
use selvedge_feed::State;
use selvedge_geo::places::Places;
use selvedge_net::{CertificatePem, Certificates, Clock, TlsError};
use selvedge_node::{Changed, Identity, Objection, Standing};
use selvedge_proxy::{KeyFault, Node, Serving, Token, Unready};
use selvedge_telemetry::AccessLog;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a reload changes.
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) role: Role,
    /// What the file says.
    pub(crate) config: Config,
    pub(crate) files: Files,
    pub(crate) purge_token: Option<Token>,
    pub(crate) places: Option<Arc<Places>>,
    /// The certificates that the file names.
    pub(crate) own_certificates: Vec<CertificatePem>,
    pub(crate) node: Arc<Node>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) trusted: Trusted,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) clock: Clock,
    /// What control says, where one is followed.
    pub(crate) followed: Option<Followed>,
    /// What control says could not be served to its end: next time nothing counts as unchanged.
    pub(crate) is_unserved: bool,
    pub(crate) standing: Option<Arc<Standing>>,
}

/// Which sites are made ready anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anew {
    All,
    Changed,
}

/// The one who changes what is served. A thread that panicked has replaced all or nothing.
pub(crate) fn locked(shared: &Mutex<Reloader>) -> MutexGuard<'_, Reloader> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reloader {
    /// Reads the file again and serves what it says. On an error everything stays as it is.
    pub(crate) fn reload(&mut self) -> Result<Vec<String>, Problem> {
        let Prepared { config, certificates, purge_token, places, warnings, files } =
            prepare(&self.file, self.role, &self.trusted)?;
        let restart = self.config.restart_needed(&config);
        if !restart.is_empty() {
            return Err(Problem::Restart(restart));
        }
        self.check_keys(&config, &files)?;
        // In this order nothing can fail once something has changed: a log that is opened anew
        // changes nothing that is served, certificates are put in place whole or not at all, and
        // the rest was compiled while preparing, from files that are not read again.
        self.access_log.reopen().map_err(Problem::Log)?;
        self.put_certificates(&certificates)?;
        let extras = (purge_token.as_ref(), places.as_ref());
        self.serve(&config, &files, extras, Anew::All)?;
        if let Some(standing) = &self.standing {
            standing.set_lag_max(config.control.lag_max);
        }
        (self.config, self.files) = (config, files);
        (self.purge_token, self.places) = (purge_token, places);
        self.own_certificates = certificates;
        Ok(warnings)
    }

    /// Serves what control says.
    pub(crate) fn follow(&mut self, state: &State) -> Result<(), String> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        let are_others = followed.take(state);
        let was_unserved = std::mem::replace(&mut self.is_unserved, true);
        if are_others || was_unserved {
            let own = std::mem::take(&mut self.own_certificates);
            let put = self.put_certificates(&own);
            self.own_certificates = own;
            put.map_err(|error| error.to_string())?;
        }
        let (config, files) = (self.config.clone(), self.files.clone());
        let (purge_token, places) = (self.purge_token.clone(), self.places.clone());
        let extras = (purge_token.as_ref(), places.as_ref());
        let anew = if was_unserved { Anew::All } else { Anew::Changed };
        self.serve(&config, &files, extras, anew).map_err(|error| error.to_string())?;
        self.is_unserved = false;
        Ok(())
    }

    /// Control knows this node as this one from now on.
    pub(crate) fn identify(&mut self, identity: &Identity) -> Result<(), String> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        if !followed.identify(identity) {
            return Ok(());
        }
        let state = followed.state().clone();
        self.follow(&state)
    }

    /// What of the changed part of a state cannot be served.
    pub(crate) fn check(&mut self, state: &State, changed: &Changed) -> Vec<Objection> {
        let Some(followed) = &mut self.followed else { return Vec::new() };
        let keys = &self.trusted.sign_keys;
        followed.check(state, changed, |site| keys.check(&self.config, &self.files, site))
    }

    /// Whether the sites that are served now have their keys under another configuration. Those of
    /// its own were looked at while it was prepared.
    fn check_keys(&mut self, config: &Config, files: &Files) -> Result<(), KeyFault> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        let keys = &self.trusted.sign_keys;
        followed.served().iter().try_for_each(|site| keys.check(config, files, site))
    }

    fn put_certificates(&mut self, own: &[CertificatePem]) -> Result<(), TlsError> {
        let Some(serving) = &self.certificates else { return Ok(()) };
        let sites = self.followed.as_mut().map(Followed::names).unwrap_or_default();
        serving.replace_with_sites(own, &sites, self.clock.now_wall_s())?;
        Ok(())
    }

    fn serve(
        &mut self,
        base: &Config,
        files: &Files,
        (purge_token, places): (Option<&Token>, Option<&Arc<Places>>),
        anew: Anew,
    ) -> Result<(), Unready> {
        let load_trust = |file: &Path, trust| self.trusted.load(files, file, trust);
        let keys = &self.trusted.sign_keys;
        let load_key = |name: &str| keys.load(base, files, name);
        let has_keys = |site: &Site| keys.check(base, files, site);
        let config = self.followed.as_mut().map(|followed| followed.config(base, has_keys));
        let followed = self.followed.as_ref().map(Followed::beside).unwrap_or_default();
        let config = config.as_ref().unwrap_or(base);
        let (followed, load_trust, load_key) = (&followed, &load_trust, &load_key);
        let serving = Serving { config, followed, load_trust, load_key, purge_token, places };
        match anew {
            Anew::All => self.node.reload(&serving)?,
            Anew::Changed => self.node.change_sites(&serving)?,
        }
        self.cache.reload(config);
        Ok(())
    }
}
