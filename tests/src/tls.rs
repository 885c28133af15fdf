//! Certificates made for a test, and rustls configured to trust nothing else.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A certificate authority of one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, PEM.
    pub cert: String,
    /// The key, PEM.
    pub key: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes a new authority.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "selvedge test authority");
        let pem = params.self_signed(&key).expect("the authority can sign itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for these names (or addresses).
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("test names are valid");
        let cert = params.signed_by(&key, &self.issuer).expect("the authority signs");
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client configuration that trusts only this authority and offers these protocols.
    #[must_use]
    pub fn client_config(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let cert = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("own PEM");
        roots.add(cert).expect("own certificate is a root");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols(alpn);
        // Every handshake of a test is a whole one, so that it sees today's certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }

    /// Connects, names `sni`, and finishes the handshake.
    pub fn connect(
        &self,
        addr: SocketAddr,
        sni: &str,
        alpn: &[&str],
    ) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(sni.to_owned()).map_err(std::io::Error::other)?;
        let connection =
            ClientConnection::new(self.client_config(alpn), name).map_err(std::io::Error::other)?;
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(crate::PATIENCE))?;
        socket.set_write_timeout(Some(crate::PATIENCE))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

impl Identity {
    /// Writes `NAME.pem` and `NAME.key` into a folder and gives their paths.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> (String, String) {
        let cert = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&cert, &self.cert).expect("the test folder can be written");
        std::fs::write(&key, &self.key).expect("the test folder can be written");
        (cert.display().to_string(), key.display().to_string())
    }

    /// A server configuration with this identity.
    #[must_use]
    pub fn server_config(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("own PEM");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("own PEM");
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .expect("own key fits own certificate");
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
