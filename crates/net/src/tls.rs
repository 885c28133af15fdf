//! TLS towards clients: certificates by server name, replaceable while handshakes run. rustls with
//! aws-lc-rs as the only provider, named explicitly; TLS 1.2 and 1.3; session tickets, no stateful
//! cache and no early data (RFC 8446 8: 0-RTT can be replayed).

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use crate::tls_names::{Names, SiteNames};

/// One certificate chain and its key as PEM text, with names to use in error messages.
#[derive(Clone)]
pub struct CertificatePem {
    /// What to call the chain in messages: its path.
    pub cert_name: String,
    /// The chain, site first.
    pub cert: Vec<u8>,
    /// What to call the key in messages: its path.
    pub key_name: String,
    /// The private key.
    pub key: Vec<u8>,
}

/// Why certificates could not be used. Nothing changes when this is returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The file could not be read.
    Read {
        /// Its path.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// The file is not the PEM that it should be.
    Pem {
        /// Its path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate could not be understood.
    Certificate {
        /// Its path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key does not belong to the certificate.
    KeyMismatch {
        /// Path of the certificate.
        cert: String,
        /// Path of the key.
        key: String,
    },
    /// There is no certificate at all.
    None,
    /// The library refused the settings.
    Library(String),
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read { file, reason } => write!(f, "cannot read {file}: {reason}"),
            Self::Pem { file, reason } | Self::Certificate { file, reason } => {
                write!(f, "{file}: {reason}")
            }
            Self::KeyMismatch { cert, key } => {
                write!(f, "the key in {key} does not belong to the certificate in {cert}")
            }
            Self::None => f.write_str("an https listener needs at least one certificate"),
            Self::Library(reason) => write!(f, "TLS settings refused: {reason}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// Something an operator should know about a certificate that is used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsWarning {
    /// It has expired. It is served, because some clients pin it and a refusal would also take
    /// down the sites whose certificates are good; clients that check will say so.
    Expired {
        /// Path of the certificate.
        file: String,
        /// When, in seconds since 1970.
        not_after_wall_s: i64,
    },
    /// It names no DNS name, so that it is only ever used as the default.
    NoNames {
        /// Path of the certificate.
        file: String,
    },
    /// A name in it is already served by an earlier certificate, which keeps it.
    NameTaken {
        /// Path of the certificate.
        file: String,
        /// The name.
        name: String,
    },
}

impl std::fmt::Display for TlsWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired { file, not_after_wall_s } => {
                write!(f, "{file} has expired (at {not_after_wall_s} seconds since 1970)")
            }
            Self::NoNames { file } => write!(f, "{file} names no DNS name"),
            Self::NameTaken { file, name } => {
                write!(f, "{file}: an earlier certificate already serves {name}")
            }
        }
    }
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Path of the certificate.
    pub file: String,
    /// Its first name, or the path if it has none.
    pub name: String,
    /// NotAfter in seconds since 1970.
    pub not_after_wall_s: i64,
}

/// The certificates of a node: by exact server name, then by a wildcard of one level, then the
/// first one; `tls_names.rs` has the order, and what sites change in it. Unknown and absent server
/// names get the first one. Clones share the content. Without any, every handshake fails.
#[derive(Clone)]
pub struct Certificates {
    shared: Arc<Resolver>,
    config: Arc<rustls::ServerConfig>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.expiries()).finish()
    }
}

impl Certificates {
    /// `now_wall_s` is only used to warn of expired ones.
    ///
    /// # Errors
    /// Says which certificate is wrong and how.
    pub fn from_pem(
        pems: &[CertificatePem],
        now_wall_s: i64,
    ) -> Result<(Self, Vec<TlsWarning>), TlsError> {
        if pems.is_empty() {
            return Err(TlsError::None);
        }
        let (names, warnings) = Names::build(pems, &[], now_wall_s)?;
        Ok((Self::of(names, Absence::Refused)?, warnings))
    }

    /// None yet: they come with [`Certificates::replace_pem`], and all of them may go again.
    ///
    /// # Errors
    /// When the library refuses the settings.
    pub fn awaited() -> Result<Self, TlsError> {
        Self::of(Names::default(), Absence::Allowed)
    }

    fn of(names: Names, absence: Absence) -> Result<Self, TlsError> {
        let shared = Arc::new(Resolver { names: ArcSwap::from_pointee(names), absence });
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| TlsError::Library(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(shared.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
            .map_err(|error| TlsError::Library(error.to_string()))?;
        config.send_tls13_tickets = 2;
        config.max_early_data_size = 0;
        Ok(Self { shared, config: Arc::new(config) })
    }

    /// Puts other certificates in place, all or nothing. Handshakes that run keep what they have.
    ///
    /// # Errors
    /// Says which certificate is wrong and how; the old certificates then stay.
    pub fn replace_pem(
        &self,
        pems: &[CertificatePem],
        now_wall_s: i64,
    ) -> Result<Vec<TlsWarning>, TlsError> {
        self.replace_with_sites(pems, &[], now_wall_s)
    }

    /// The same with certificates that answer for the names of their sites only.
    ///
    /// # Errors
    /// Says which certificate is wrong and how; the old certificates then stay.
    pub fn replace_with_sites(
        &self,
        own: &[CertificatePem],
        sites: &[SiteNames],
        now_wall_s: i64,
    ) -> Result<Vec<TlsWarning>, TlsError> {
        let mut pems = own.iter().chain(sites.iter().filter_map(|site| site.pem.as_ref()));
        if pems.next().is_none() && self.shared.absence == Absence::Refused {
            return Err(TlsError::None);
        }
        let (names, warnings) = Names::build(own, sites, now_wall_s)?;
        self.shared.names.store(Arc::new(names));
        Ok(warnings)
    }

    /// When each certificate ends, in the order they were given.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        self.shared.names.load().expiries.clone()
    }

    /// The names they are for, in order; a wildcard of one level as `*.name`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.shared.names.load().all()
    }

    /// Whether this chain and key could be put in place.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn check(pem: &CertificatePem) -> Result<(), TlsError> {
        Parsed::read(pem).map(drop)
    }

    pub(crate) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        self.config.clone()
    }

    /// The same for another protocol than HTTP, with the same certificates.
    pub(crate) fn server_config_for(&self, protocol: &[u8]) -> Arc<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

/// The provider that every TLS configuration of the process uses.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    crate::file::read_file(path).map_err(|error| TlsError::Read {
        file: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// Certificates of a PEM text, at least one.
pub(crate) fn parse_chain(
    name: &str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::Pem { file: name.to_owned(), reason };
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(format!("not a PEM certificate: {error:?}")))?;
    if chain.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(chain) }
}

struct Resolver {
    names: ArcSwap<Names>,
    absence: Absence,
}

/// Whether there may be no certificate at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    Refused,
    Allowed,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.names.load().resolve(hello.server_name()).cloned()
    }
}

/// A certificate that was read, and can be used.
pub(crate) struct Parsed {
    pub(crate) key: Arc<CertifiedKey>,
    /// Its DNS names in lower case.
    pub(crate) names: Vec<String>,
    pub(crate) not_after_wall_s: i64,
}

impl Parsed {
    pub(crate) fn read(pem: &CertificatePem) -> Result<Self, TlsError> {
        let chain = parse_chain(&pem.cert_name, &pem.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| TlsError::Pem {
            file: pem.key_name.clone(),
            reason: format!("no usable private key in it: {error:?}"),
        })?;
        let (names, not_after_wall_s) = Self::describe(&pem.cert_name, &chain)?;
        let certified = CertifiedKey::from_der(chain, key, &provider());
        let key = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::KeyMismatch { cert: pem.cert_name.clone(), key: pem.key_name.clone() }
            }
            other => TlsError::Certificate {
                file: pem.key_name.clone(),
                reason: format!("the key cannot be used: {other}"),
            },
        })?;
        Ok(Self { key: Arc::new(key), names, not_after_wall_s })
    }

    /// The DNS names of the first certificate in lower case, and its end.
    fn describe(
        file: &str,
        chain: &[CertificateDer<'static>],
    ) -> Result<(Vec<String>, i64), TlsError> {
        let bad = |reason: String| TlsError::Certificate { file: file.to_owned(), reason };
        let first = chain.first().ok_or_else(|| bad("empty chain".to_owned()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(first)
            .map_err(|error| bad(format!("not an X.509 certificate: {error}")))?;
        let san = parsed
            .subject_alternative_name()
            .map_err(|error| bad(format!("bad subject alternative names: {error}")))?;
        let mut names = Vec::new();
        for general in san.iter().flat_map(|san| &san.value.general_names) {
            if let GeneralName::DNSName(name) = general {
                names.push(name.to_ascii_lowercase());
            }
        }
        Ok((names, parsed.validity().not_after.timestamp()))
    }
}
