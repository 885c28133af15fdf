//! TLS towards upstreams: always verified, against the system's roots and the authorities that the
//! operator adds. There is no switch that turns verification off.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;

use crate::tls::{TlsError, parse_chain, provider, read_file};

/// What to trust, and the sessions to resume. Clones are the same settings; two that were made
/// separately are different, and so are the connections made with them.
#[derive(Clone)]
pub struct ClientTls(Arc<Configs>);

struct Configs {
    any: Arc<rustls::ClientConfig>,
    http1: Arc<rustls::ClientConfig>,
    roots: usize,
}

impl ClientTls {
    /// The system's roots and the certificates of these PEM files. A system without roots is not
    /// an error: then only the files are trusted.
    ///
    /// # Errors
    /// Says which file is wrong and how.
    pub fn load(ca_files: &[PathBuf]) -> Result<Self, TlsError> {
        let mut pems = Vec::with_capacity(ca_files.len());
        for file in ca_files {
            pems.push((file.display().to_string(), read_file(file)?));
        }
        Self::build(&pems, true)
    }

    /// Only the certificates of this PEM text, without the system's: for tests and closed networks.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn only(name: &str, pem: &[u8]) -> Result<Self, TlsError> {
        Self::build(&[(name.to_owned(), pem.to_vec())], false)
    }

    fn build(pems: &[(String, Vec<u8>)], system: bool) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        if system {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        for (name, pem) in pems {
            for certificate in parse_chain(name, pem)? {
                roots.add(certificate).map_err(|error| TlsError::Certificate {
                    file: name.clone(),
                    reason: format!("cannot be trusted: {error}"),
                })?;
            }
        }
        let count = roots.len();
        let mut any = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| TlsError::Library(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http1 = any.clone();
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(Configs { any: Arc::new(any), http1: Arc::new(http1), roots: count })))
    }

    /// How many certificate authorities are trusted.
    #[must_use]
    pub fn roots(&self) -> usize {
        self.0.roots
    }

    pub(crate) fn any(&self) -> Arc<rustls::ClientConfig> {
        self.0.any.clone()
    }

    pub(crate) fn http1(&self) -> Arc<rustls::ClientConfig> {
        self.0.http1.clone()
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientTls {}

impl Hash for ClientTls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("roots", &self.0.roots).finish_non_exhaustive()
    }
}
