//! Certificates, server names, and both protocols over TLS, with our own client on the other side.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::tests::rig::{Rig, with_client};
use crate::{
    BodyError, CertificatePem, Certificates, ClientSettings, ClientTls, Deadlines, OutgoingBody,
    Reuse, SendError, Settings, Target, Timeouts, TlsError, TlsWarning,
};

/// A certificate authority of the test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn tls(&self) -> ClientTls {
        ClientTls::only("test", self.0.pem().as_bytes()).expect("a certificate")
    }

    fn issue(&self, names: &[&str], year_end: i32) -> CertificatePem {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let label = names.first().cloned().unwrap_or_else(|| "nameless".to_owned());
        let mut params = CertificateParams::new(names).expect("valid names");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year_end, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        CertificatePem {
            cert_name: format!("{label}.pem"),
            cert: cert.pem().into_bytes(),
            key_name: format!("{label}.key"),
            key: key.serialize_pem().into_bytes(),
        }
    }
}

const NOW_WALL_S: i64 = 1_795_000_000;

fn settings(pems: &[CertificatePem]) -> Settings {
    let (certificates, warnings) = Certificates::from_pem(pems, NOW_WALL_S).expect("certificates");
    assert_eq!(warnings, []);
    let https = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    Settings { https, certificates: Some(certificates), ..Settings::default() }
}

/// Asks for `/tls` under each name, and gives what the server saw, or the error.
fn ask(rig: &Rig, tls: ClientTls, names: &[&str]) -> Vec<Result<String, SendError>> {
    let address = rig.address();
    with_client(ClientSettings::default(), tls, |client, _| async move {
        let mut answers = Vec::new();
        for name in names {
            let target = Target::parse(&format!("https://{address}")).expect("a valid URL");
            let target = target.with_verify_name(name);
            let req = Request::get("/tls").header("host", *name);
            let req = req.body(OutgoingBody::empty()).expect("valid parts");
            let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
            answers.push(match sent {
                Ok(reply) => {
                    let body = reply.response.into_body().collect().await.expect("a body");
                    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
                }
                Err(failure) => Err(failure.error),
            });
        }
        answers
    })
}

/// Exact names, wildcards of one level, and the default; verified by the client; HTTP/2 by ALPN.
#[test]
fn certificates_are_chosen_by_name() {
    let authority = Authority::new();
    let rig = Rig::start(settings(&[
        authority.issue(&["default.test"], 2090),
        authority.issue(&["a.test", "*.wild.test"], 2090),
    ]));
    let names = ["default.test", "a.test", "x.wild.test", "x.y.wild.test", "b.test"];
    let answers = ask(&rig, authority.tls(), &names);
    for (name, answer) in names.iter().zip(&answers).take(3) {
        let answer = answer.as_ref().expect("the name is served");
        assert!(answer.contains("Http2") && answer.contains("TLSv1.3"), "{answer}");
        assert!(answer.contains(&format!("{name:?}")), "{answer}");
    }
    assert!(matches!(&answers[3], Err(SendError::Tls(reason)) if reason.contains("not valid")));
    assert!(matches!(&answers[4], Err(SendError::Tls(_))), "{:?}", answers[4]);
    assert!(rig.stop());
}

/// A stranger's certificate is not accepted.
#[test]
fn untrusted_certificates_are_refused() {
    let rig = Rig::start(settings(&[Authority::new().issue(&["a.test"], 2090)]));
    let answers = ask(&rig, Authority::new().tls(), &["a.test"]);
    assert!(matches!(&answers[0], Err(SendError::Tls(_))), "{answers:?}");
    let counters = rig.counters.clone();
    assert!(rig.stop());
    assert_eq!(counters.tls_failed.load(Ordering::Relaxed), 1);
}

/// Certificates change under a running server; a bad set changes nothing.
#[test]
fn certificates_are_replaced_while_running() {
    let (old, new) = (Authority::new(), Authority::new());
    let settings = settings(&[old.issue(&["a.test"], 2090)]);
    let certificates = settings.certificates.clone().expect("set above");
    let rig = Rig::start(settings);
    assert!(ask(&rig, old.tls(), &["a.test"])[0].is_ok());
    assert_eq!(certificates.replace_pem(&[], NOW_WALL_S), Err(TlsError::None));
    assert!(ask(&rig, old.tls(), &["a.test"])[0].is_ok());
    let replaced = certificates.replace_pem(&[new.issue(&["a.test"], 2091)], NOW_WALL_S);
    assert_eq!(replaced, Ok(vec![]));
    assert!(ask(&rig, new.tls(), &["a.test"])[0].is_ok());
    assert!(ask(&rig, old.tls(), &["a.test"])[0].is_err());
    assert!(rig.stop());
}

/// Files that are wrong are named with what is wrong; expired ones are used with a warning.
#[test]
fn wrong_certificates_are_explained() {
    let authority = Authority::new();
    let (one, two) = (authority.issue(&["a.test"], 2090), authority.issue(&["b.test"], 2090));
    let check = |pem: CertificatePem| Certificates::from_pem(&[pem], NOW_WALL_S).map(|(_, w)| w);
    let mixed = CertificatePem { key: two.key.clone(), ..one.clone() };
    let error = check(mixed).expect_err("the key is another's");
    assert_eq!(
        error.to_string(),
        "the key in a.test.key does not belong to the certificate in a.test.pem"
    );
    let empty = CertificatePem { cert: b"no PEM".to_vec(), ..one.clone() };
    assert!(matches!(check(empty), Err(TlsError::Pem { file, .. }) if file == "a.test.pem"));
    let keyless = CertificatePem { key: one.cert.clone(), ..one.clone() };
    assert!(matches!(check(keyless), Err(TlsError::Pem { file, .. }) if file == "a.test.key"));
    let old = authority.issue(&["old.test"], 2021);
    let warnings = check(old.clone()).expect("usable");
    assert!(matches!(&warnings[..], [TlsWarning::Expired { file, .. }] if file == "old.test.pem"));
    let (both, warnings) =
        Certificates::from_pem(&[one, authority.issue(&["a.test"], 2090)], NOW_WALL_S)
            .expect("usable");
    assert!(matches!(&warnings[..], [TlsWarning::NameTaken { name, .. }] if name == "a.test"));
    assert_eq!(both.expiries()[0].name, "a.test");
    assert!(both.expiries()[0].not_after_wall_s > NOW_WALL_S);
}

/// Plain HTTP, garbage and silence on a TLS port are closed and counted, and harm nobody else.
#[test]
fn what_is_not_tls_is_closed() {
    let authority = Authority::new();
    let mut settings = settings(&[authority.issue(&["a.test"], 2090)]);
    settings.timeouts = Timeouts { handshake: Duration::from_millis(50), ..Timeouts::default() };
    let rig = Rig::start(settings);
    let answer = rig.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!answer.contains("HTTP"), "{answer}");
    assert!(!rig.ask([0x16, 3, 1, 0xff, 0xff, 1, 2, 3]).contains("HTTP"));
    let mut peer = rig.connect();
    peer.stream.write_all(&[0x16]).expect("a connection");
    assert_eq!(peer.rest(), "");
    assert!(ask(&rig, authority.tls(), &["a.test"])[0].is_ok());
    let counters = rig.counters.clone();
    assert!(rig.stop());
    assert_eq!(counters.tls_failed.load(Ordering::Relaxed), 2);
    assert_eq!(counters.tls_timeouts.load(Ordering::Relaxed), 1);
    assert_eq!(counters.tls_handshakes.load(Ordering::Relaxed), 1);
}

/// Over TLS, a body without length is whole only if the upstream said goodbye.
#[test]
fn unclean_ends_are_truncations() {
    for is_clean in [false, true] {
        let authority = Authority::new();
        let pem = authority.issue(&["a.test"], 2090);
        with_client(ClientSettings::default(), authority.tls(), |client, _| async move {
            let (certificates, _) =
                Certificates::from_pem(&[pem], NOW_WALL_S).expect("a certificate");
            let mut config = (*certificates.server_config()).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let address = listener.local_addr().expect("it is bound");
            tokio::task::spawn_local(async move {
                let (stream, _) = listener.accept().await.expect("a client");
                let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
                let mut stream = acceptor.accept(stream).await.expect("a client");
                let mut head = [0; 1000];
                assert_ne!(stream.read(&mut head).await.expect("a request"), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\npart").await.expect("a client");
                stream.flush().await.expect("a client");
                if is_clean {
                    stream.shutdown().await.expect("a client");
                }
            });
            let target = Target::parse(&format!("https://{address}")).expect("a valid URL");
            let target = target.with_verify_name("a.test");
            let req = Request::get("/").body(OutgoingBody::empty()).expect("valid parts");
            let sent = client.send(&target, req, &Deadlines::default(), Reuse::Pooled).await;
            let reply = sent.expect("an answer");
            let body = reply.response.into_body().collect().await;
            match (is_clean, body) {
                (true, body) => assert_eq!(body.expect("it is whole").to_bytes(), "part"),
                (false, body) => {
                    assert_eq!(body.expect_err("it is not"), BodyError::UpstreamTruncated);
                }
            }
        });
    }
}

/// Whoever brings certificates may come later, and may take them all away again.
#[test]
fn certificates_may_be_awaited() {
    assert!(matches!(Certificates::from_pem(&[], NOW_WALL_S), Err(TlsError::None)));
    let awaited = Certificates::awaited().expect("settings");
    let pem = Authority::new().issue(&["a.test"], 2100);
    assert_eq!(Certificates::check(&pem), Ok(()));
    assert_eq!(awaited.replace_pem(std::slice::from_ref(&pem), NOW_WALL_S), Ok(vec![]));
    assert_eq!(awaited.expiries().len(), 1);
    assert_eq!(awaited.replace_pem(&[], NOW_WALL_S), Ok(vec![]));
    assert!(awaited.expiries().is_empty());
    let (given, _) = Certificates::from_pem(&[pem], NOW_WALL_S).expect("a certificate");
    assert_eq!(given.replace_pem(&[], NOW_WALL_S), Err(TlsError::None));
}
