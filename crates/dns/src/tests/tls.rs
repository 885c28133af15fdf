//! DNS over TLS (RFC 7858), with a certificate of our own.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use selvedge_net::{CertificatePem, Certificates};

use crate::tests::rig::{LONG, Peer, Rig, any_port, echoed, framed, query, tcp};
use crate::{Limits, Settings, Transport};

pub(super) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for the server, and what a client needs to believe it.
pub(super) struct Identity {
    certificates: Certificates,
    roots: Arc<RootCertStore>,
}

impl Identity {
    pub(super) fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(vec!["dns.test".to_owned()]);
        let signed = signed.expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(signed.cert.der().clone()).expect("a certificate");
        let pem = CertificatePem {
            cert_name: "cert".to_owned(),
            cert: signed.cert.pem().into_bytes(),
            key_name: "key".to_owned(),
            key: signed.signing_key.serialize_pem().into_bytes(),
        };
        let certificates = Certificates::from_pem(&[pem], 0).expect("a good pair").0;
        Self { certificates, roots: Arc::new(roots) }
    }

    /// TLS and HTTPS on free ports of the loopback.
    pub(super) fn settings(&self) -> Settings {
        let address = any_port(Ipv4Addr::LOCALHOST);
        Settings {
            tls: vec![address],
            https: vec![address],
            certificates: Some(self.certificates.clone()),
            ..Settings::default()
        }
    }

    /// A connection that has not begun its handshake.
    pub(super) fn connect(&self, address: SocketAddr, protocol: &[u8]) -> Tls {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols.push(protocol.to_vec());
        let name = ServerName::try_from("dns.test").expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("good settings");
        StreamOwned::new(session, tcp(address))
    }
}

#[test]
fn tls_carries_what_tcp_does() {
    let identity = Identity::new();
    let rig = Rig::start(identity.settings());
    let mut peer = Peer(identity.connect(rig.running.addresses().tls[0], b"dot"));
    let queries: Vec<_> = (0..100).map(|number| query(number, b"name")).collect();
    peer.send(&queries.iter().flat_map(|query| framed(query)).collect::<Vec<_>>());
    for query in &queries {
        assert_eq!(peer.next(), Some(echoed(query)));
    }
    assert_eq!(peer.0.conn.alpn_protocol(), Some(&b"dot"[..]));
    let counters = &rig.counters.tls_connections;
    assert_eq!(counters.handshakes.load(Ordering::Relaxed), 1);
    assert_eq!(rig.counters.sum(Transport::Tls, |tally| &tally.replies), 100);
    assert_eq!(rig.counters.sum(Transport::Tcp, |tally| &tally.replies), 0);
    // The end of a drain is one that TLS vouches for: rustls fails a read that ends without.
    rig.running.drain(LONG);
    assert_eq!(std::io::Read::read(&mut peer.0, &mut [0; 1]).expect("close_notify"), 0);
    drop(peer);
    assert!(rig.running.join());
}

#[test]
fn who_speaks_another_protocol_or_none_is_refused() {
    let identity = Identity::new();
    let limits = Limits { handshake: std::time::Duration::from_millis(200), ..Limits::default() };
    let rig = Rig::start(Settings { limits, ..identity.settings() });
    let address = rig.running.addresses().tls[0];
    let mut other = identity.connect(address, b"h2");
    assert!(other.conn.complete_io(&mut other.sock).is_err());
    let mut plain = Peer(tcp(address));
    plain.send(b"GET / HTTP/1.1\r\n\r\n");
    while plain.next().is_some() {}
    let mut silent = Peer(tcp(address));
    assert_eq!(silent.next(), None);
    let counters = &rig.counters.tls_connections;
    let counts = || {
        let failed = counters.handshakes_failed.load(Ordering::Relaxed);
        (failed, counters.handshakes_late.load(Ordering::Relaxed))
    };
    while counts() != (2, 1) {
        std::thread::yield_now();
    }
    assert!(rig.stop());
}
