//! Everything a start needs from files, read and checked before a socket is bound: `selvedge check`
//! is this and no more.

use crate::cache;
use crate::cache::Cache;
use crate::problem::Problem;
use crate::role::Role;
use crate::sign_keys::SignKeys;
use selvedge_config::{Config, Profile};
use selvedge_geo::places::Places;
use selvedge_net::{CertificatePem, Certificates, ClientTls, Clock, TlsError};
use selvedge_proxy::{Followed, Node, Parts, Serving, Token, Trust};
use selvedge_store::Store;
use selvedge_telemetry::{AccessLog, AccessSettings, LogTarget, Telemetry};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A configuration whose files have been read.
pub(crate) struct Prepared {
    pub(crate) config: Config,
    pub(crate) certificates: Vec<CertificatePem>,
    pub(crate) purge_token: Option<Token>,
    pub(crate) places: Option<Arc<Places>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) files: Files,
}

/// The folder that relative paths of a configuration begin at.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Where a path of the configuration leads.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

/// What files hold that a reload may not find changed halfway: keys that sign, and the certificates
/// to trust when connecting to next hops, by file. A file that has not changed is
/// the same value in every configuration that names it, so that hops are known again after a
/// reload, and ten thousand sites with one file have one set of roots.
#[derive(Default)]
pub(crate) struct Trusted {
    known: RefCell<HashMap<(PathBuf, Trust), Roots>>,
    pub(crate) sign_keys: SignKeys,
}

/// A file of certificates as it was read, and what was made of it.
struct Roots {
    pem: Vec<u8>,
    tls: ClientTls,
}

impl Trusted {
    /// Reads a file, unless it was read while preparing this configuration.
    pub(crate) fn load(
        &self,
        files: &Files,
        file: &Path,
        trust: Trust,
    ) -> Result<ClientTls, TlsError> {
        let path = files.resolve(file);
        if let Some(roots) = self.known.borrow().get(&(path.clone(), trust)) {
            return Ok(roots.tls.clone());
        }
        let pem = read(&path)?;
        let tls = match trust {
            Trust::Beside => ClientTls::load(std::slice::from_ref(&path))?,
            Trust::Instead => ClientTls::only(&path.display().to_string(), &pem)?,
        };
        self.known.borrow_mut().insert((path, trust), Roots { pem, tls: tls.clone() });
        Ok(tls)
    }

    /// Forgets files that have changed since they were read.
    fn refresh(&self) {
        self.sign_keys.refresh();
        self.known
            .borrow_mut()
            .retain(|(path, _), roots| read(path).is_ok_and(|found| found == roots.pem));
    }
}

/// Reads a configuration and the files it names, and checks that they can serve.
pub(crate) fn prepare(file: &Path, role: Role, trusted: &Trusted) -> Result<Prepared, Problem> {
    trusted.refresh();
    let (config, files) = read_config(file, role.profile())?;
    let certificates = certificates(&config, &files)?;
    let purge_token = config.purge.token_file.as_ref();
    let purge_token = purge_token.map(|file| token(&files.resolve(file))).transpose()?;
    let places = config.node.mmdb.as_ref();
    let places = places.map(|file| read_places(&files.resolve(file))).transpose()?;
    let mut warnings = Vec::new();
    if !certificates.is_empty() {
        let now_wall_s = Clock::start().now_wall_s();
        let (_, found) = Certificates::from_pem(&certificates, now_wall_s)?;
        warnings.extend(found.iter().map(ToString::to_string));
    }
    warnings.extend(cache::doubts(&config, &files));
    if let Some(file) = &config.control.ca_file {
        trusted.load(&files, file, Trust::Beside)?;
    }
    let prepared = Prepared { config, certificates, purge_token, places, warnings, files };
    prepared.try_log()?;
    prepared.try_plan(trusted)?;
    Ok(prepared)
}

/// Reads a configuration file, and says where its relative paths begin.
pub(crate) fn read_config(file: &Path, profile: Profile) -> Result<(Config, Files), Problem> {
    let text =
        selvedge_net::read_text(file).map_err(|error| Problem::Read(file.to_owned(), error))?;
    let config = selvedge_config::parse(&text, &file.display().to_string(), profile)?;
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    Ok((config, Files { folder }))
}

/// Reads a file whole: a regular one, of so many bytes at most.
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Problem> {
    let read = selvedge_net::read_file_up_to(path, bytes_max);
    read.map_err(|error| Problem::Read(path.to_owned(), error))
}

/// Longest database of places that is read.
const PLACES_BYTES_MAX: u64 = 1 << 30;

/// Reads a database of places.
fn read_places(path: &Path) -> Result<Arc<Places>, Problem> {
    let bytes = read_file(path, PLACES_BYTES_MAX)?;
    let wrong = |error: selvedge_geo::Error| Problem::Map(path.to_owned(), error.to_string());
    Places::from_mmdb(&bytes).map(Arc::new).map_err(wrong)
}

/// The certificates that a configuration names.
pub(crate) fn certificates(
    config: &Config,
    files: &Files,
) -> Result<Vec<CertificatePem>, TlsError> {
    config.certificates.iter().map(|pair| certificate(files, pair)).collect()
}

impl Prepared {
    /// Compiles the configuration as a node would, to find what only that finds.
    fn try_plan(&self, trusted: &Trusted) -> Result<(), Problem> {
        let telemetry = Telemetry::new("check");
        let off = AccessSettings { target: LogTarget::Off, ..AccessSettings::default() };
        let parts = Parts {
            store: Store::new(selvedge_store::Settings::default(), Arc::default()),
            access_log: AccessLog::open(off, &telemetry).map_err(Problem::Log)?,
            telemetry,
            clock: Clock::start(),
        };
        self.node(parts, trusted).map(drop)
    }

    /// A node of what the file says.
    pub(crate) fn node(&self, parts: Parts, trusted: &Trusted) -> Result<Arc<Node>, Problem> {
        let load_trust = |file: &Path, trust| trusted.load(&self.files, file, trust);
        let load_key = |name: &str| trusted.sign_keys.load(&self.config, &self.files, name);
        let serving = Serving {
            config: &self.config,
            followed: &Followed::default(),
            load_trust: &load_trust,
            load_key: &load_key,
            purge_token: self.purge_token.as_ref(),
            places: self.places.as_ref(),
        };
        Ok(Node::new(parts, &serving)?)
    }

    /// A node that serves nobody, over the disks of one that does not run.
    pub(crate) fn offline(&self, trusted: &Trusted) -> Result<Arc<Node>, Problem> {
        let telemetry = Telemetry::new(self.config.node.name.as_str());
        let off = AccessSettings { target: LogTarget::Off, ..AccessSettings::default() };
        let (cache, clock) = Cache::open(&self.config, &self.files)?;
        let parts = Parts {
            store: cache.store,
            access_log: AccessLog::open(off, &telemetry).map_err(Problem::Log)?,
            telemetry,
            clock,
        };
        self.node(parts, trusted)
    }

    /// Whether the access log can be opened. Leaves no file behind that was not there.
    fn try_log(&self) -> Result<(), Problem> {
        let selvedge_config::LogTarget::File(path) = &self.config.log.access else { return Ok(()) };
        let path = self.files.resolve(path);
        let is_new = !path.exists();
        std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(Problem::Log)?;
        if is_new {
            std::fs::remove_file(&path).map_err(Problem::Log)?;
        }
        Ok(())
    }

    /// What `check` says of a configuration that is well.
    pub(crate) fn summary(&self) -> String {
        let Config { node, sites, control, .. } = &self.config;
        let mut text = match &control.url {
            Some(url) => format!("{}: valid, follows {url}", node.name),
            None => format!("{}: valid, {} site(s)", node.name, sites.len()),
        };
        for warning in &self.warnings {
            text.push_str("\nwarning: ");
            text.push_str(warning);
        }
        text
    }
}

fn token(file: &Path) -> Result<Token, Problem> {
    let text =
        selvedge_net::read_file(file).map_err(|error| Problem::Read(file.to_owned(), error))?;
    Token::read(&text).ok_or_else(|| Problem::NoToken(file.to_owned()))
}

fn certificate(
    files: &Files,
    pair: &selvedge_config::Certificate,
) -> Result<CertificatePem, TlsError> {
    let (cert, key) = (files.resolve(&pair.cert), files.resolve(&pair.key));
    Ok(CertificatePem {
        cert: read(&cert)?,
        key: read(&key)?,
        cert_name: cert.display().to_string(),
        key_name: key.display().to_string(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    selvedge_net::read_file(path).map_err(|error| TlsError::Read {
        file: path.display().to_string(),
        reason: error.to_string(),
    })
}
