//! Everything a start needs from files, read and checked before a socket is bound: `selvedge check`
//! is this and no more.

use crate::problem::Problem;
use crate::role::Role;
use selvedge_config::Config;
use selvedge_net::{CertificatePem, Certificates, ClientTls, Clock, TlsError};
use selvedge_proxy::{Node, Parts, Trust};
use selvedge_store::Store;
use selvedge_telemetry::{AccessLog, AccessSettings, LogTarget, Telemetry};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A configuration whose files have been read.
pub(crate) struct Prepared {
    pub(crate) config: Config,
    pub(crate) certificates: Vec<CertificatePem>,
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

    /// The certificates to trust when connecting to a next hop.
    pub(crate) fn trust(&self, file: &Path, trust: Trust) -> Result<ClientTls, TlsError> {
        let path = self.resolve(file);
        match trust {
            Trust::Beside => ClientTls::load(&[path]),
            Trust::Instead => ClientTls::only(&path.display().to_string(), &read(&path)?),
        }
    }
}

/// Reads a configuration and the files it names, and checks that they can serve.
pub(crate) fn prepare(file: &Path, role: Role) -> Result<Prepared, Problem> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Problem::Read(file.to_owned(), error))?;
    let config = selvedge_config::parse(&text, &file.display().to_string(), role.profile())?;
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    let files = Files { folder };
    let certificates = config
        .certificates
        .iter()
        .map(|pair| certificate(&files, pair))
        .collect::<Result<Vec<_>, TlsError>>()?;
    let mut warnings = Vec::new();
    if !certificates.is_empty() {
        let now_wall_s = Clock::start().now_wall_s();
        let (_, found) = Certificates::from_pem(&certificates, now_wall_s)?;
        warnings.extend(found.iter().map(ToString::to_string));
    }
    let prepared = Prepared { config, certificates, warnings, files };
    prepared.try_plan()?;
    Ok(prepared)
}

impl Prepared {
    /// Compiles the configuration as a node would, to find what only that finds.
    fn try_plan(&self) -> Result<(), Problem> {
        let telemetry = Telemetry::new("check");
        let off = AccessSettings { target: LogTarget::Off, ..AccessSettings::default() };
        let parts = Parts {
            store: Store::new(selvedge_store::Settings::default(), Arc::default()),
            access_log: AccessLog::open(off, &telemetry).map_err(Problem::Log)?,
            telemetry,
            clock: Clock::start(),
        };
        Node::new(parts, &self.config, &|file, trust| self.files.trust(file, trust))?;
        Ok(())
    }

    /// What `check` says of a configuration that is well.
    pub(crate) fn summary(&self) -> String {
        let Config { node, sites, .. } = &self.config;
        let mut text = format!("{}: valid, {} site(s)", node.name, sites.len());
        for warning in &self.warnings {
            text.push_str("\nwarning: ");
            text.push_str(warning);
        }
        text
    }
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
    std::fs::read(path).map_err(|error| TlsError::Read {
        file: path.display().to_string(),
        reason: error.to_string(),
    })
}
