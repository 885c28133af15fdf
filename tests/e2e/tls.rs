//! TLS towards clients and origins (threats 51 to 55): the right certificate, the right host, the
//! right protocol, and a change of certificates that nobody notices.

use crate::support::HOST;
use selvedge_tests::client::get_with;
use selvedge_tests::node::Reload;
use selvedge_tests::tls::{Authority, Identity};
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, ReadError, Site, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn serving(origin: &Origin, identities: &[&Identity]) -> NodeConfig {
    let config = NodeConfig::new("edge-1").site(Site::any(&origin.url()));
    identities.iter().fold(config, |config, identity| config.certificate(identity))
}

/// The certificate that is presented for a name.
fn presented(authority: &Authority, edge: &Node, sni: &str) -> Vec<u8> {
    let stream = authority.connect(edge.https(), sni, &["http/1.1"]).expect("the handshake");
    let chain = stream.conn.peer_certificates().expect("a certificate");
    chain[0].as_ref().to_vec()
}

/// SNI chooses, exactly or by wildcard; the first certificate serves who names nothing.
#[test]
fn each_name_gets_its_certificate() {
    let origin = Origin::start();
    origin.on_fn("*", |req, _| Answer::uncacheable(req.header("host").unwrap_or("")));
    let authority = Authority::new();
    let first = authority.issue(&["one.test", "127.0.0.1"]);
    let second = authority.issue(&["two.test", "*.two.test"]);
    let edge = Node::edge(&serving(&origin, &[&first, &second]));
    for name in ["one.test", "two.test", "www.two.test"] {
        let mut client = Client::https(edge.https(), name, &authority);
        assert_eq!(client.get(name, "/", "").text(), name);
    }
    assert_eq!(
        presented(&authority, &edge, "two.test"),
        presented(&authority, &edge, "a.two.test")
    );
    assert_ne!(presented(&authority, &edge, "one.test"), presented(&authority, &edge, "two.test"));
    let nameless = presented(&authority, &edge, "127.0.0.1");
    assert_eq!(nameless, presented(&authority, &edge, "one.test"), "an address sends no SNI");
}

/// Threat 52: a name in the handshake and another in the request is domain fronting.
#[test]
fn a_server_name_and_a_host_that_disagree_are_misdirected() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let authority = Authority::new();
    let both = authority.issue(&["one.test", "two.test"]);
    let edge = Node::edge(&serving(&origin, &[&both]));
    let mut client = Client::https(edge.https(), "one.test", &authority);
    assert_eq!(client.get("one.test", "/", "").status, 200);
    assert_eq!(client.get("ONE.test:443", "/", "").status, 200);
    assert_eq!(client.get("two.test", "/", "").status, 421);
    assert_eq!(origin.requests().len(), 2);
}

/// ALPN: h2 where both can, HTTP/1.1 otherwise.
#[test]
fn both_protocols_are_agreed_on_by_alpn() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let authority = Authority::new();
    let edge = Node::edge(&serving(&origin, &[&authority.issue(&[HOST])]));
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = authority.connect(edge.https(), HOST, offered).expect("the handshake");
        let agreed =
            stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(agreed.as_deref(), chosen, "{offered:?}");
    }
    assert!(authority.connect(edge.https(), HOST, &["spdy/3"]).is_err(), "nothing in common");
}

/// A redirect keeps host and URL, and nothing is asked of the origin.
#[test]
fn plain_http_is_redirected_where_the_site_says_so() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let authority = Authority::new();
    let site =
        Site::any(&origin.url()).set("https_redirect", true).set("query_ignore", vec!["utm_*"]);
    let config = NodeConfig::new("edge-1").certificate(&authority.issue(&[HOST])).site(site);
    let edge = Node::edge(&config);
    let resp = get_with(edge.http(), HOST, "/a/b?c=d&utm_x=y", "");
    assert_eq!(resp.status, 308);
    assert_eq!(resp.header("location"), Some("https://www.shop.test/a/b?c=d&utm_x=y"));
    assert!(origin.requests().is_empty());
    let mut client = Client::https(edge.https(), HOST, &authority);
    assert_eq!(client.get(HOST, "/a/b?c=d", "").text(), "reached");
    assert_eq!(origin.last("/a/b").header("x-forwarded-proto"), Some("https"));
}

/// Certificates change under load: no handshake and no request fails.
#[test]
fn certificates_are_replaced_under_load_without_a_failed_handshake() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("page", 600));
    let authority = Authority::new();
    let configs: Vec<NodeConfig> =
        (0..2).map(|_| serving(&origin, &[&authority.issue(&[HOST])])).collect();
    let edge = Node::edge(&configs[0]);
    let before = presented(&authority, &edge, HOST);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let mut client = Client::https(edge.https(), HOST, &authority);
                    assert_eq!(client.get(HOST, "/page", "").text(), "page");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 1..20 {
            let target = done.load(Ordering::SeqCst) + 4;
            assert!(eventually(|| done.load(Ordering::SeqCst) >= target));
            assert_eq!(edge.reload(&configs[round % 2]), Reload::Applied);
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_ne!(presented(&authority, &edge, HOST), before, "the new certificate serves");
    let failed = edge.metrics().sum("selvedge_tls_failed_total", &[]);
    assert_eq!(failed as u64, 0, "failed handshakes");
    assert!(done.load(Ordering::SeqCst) >= 80);
}

/// Threat 51: a key that does not fit, or a file that is none, is refused; the old one serves on.
#[test]
fn a_bad_certificate_is_refused_and_the_old_one_serves_on() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let authority = Authority::new();
    let good = authority.issue(&[HOST]);
    let other = authority.issue(&[HOST]);
    let edge = Node::edge(&serving(&origin, &[&good]));
    let before = presented(&authority, &edge, HOST);
    let crossed = Identity { cert: good.cert.clone(), key: other.key.clone() };
    let nonsense = Identity { cert: "not a certificate".to_owned(), key: other.key.clone() };
    let no_key = Identity { cert: good.cert.clone(), key: String::new() };
    for bad in [crossed, nonsense, no_key] {
        let outcome = edge.reload(&serving(&origin, &[&bad]));
        assert!(matches!(outcome, Reload::Refused(_)), "{outcome:?}");
        assert_eq!(presented(&authority, &edge, HOST), before);
        let mut client = Client::https(edge.https(), HOST, &authority);
        assert_eq!(client.get(HOST, "/", "").text(), "reached");
    }
}

/// Threats 54 and 55: what is no handshake, or an old one, ends without harm.
#[test]
fn garbage_and_old_versions_on_the_tls_port_end_without_harm() {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let authority = Authority::new();
    let edge = Node::edge(&serving(&origin, &[&authority.issue(&[HOST])]));
    let mut old_hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    old_hello.extend_from_slice(&[7; 32]);
    old_hello.extend_from_slice(&[0, 0, 2, 0, 0x2f, 1, 0]);
    let length = u8::try_from(old_hello.len() - 5).expect("short");
    old_hello[4] = length;
    old_hello[8] = length - 4;
    let payloads: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: www.shop.test\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
        vec![0; 5000],
        vec![0xff; 70_000],
        [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat(),
        vec![0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
        vec![0x15, 3, 3, 0, 2, 1, 0],
        vec![0x14, 3, 3, 0, 1, 1],
        old_hello,
    ];
    for payload in payloads {
        let mut stream = TcpStream::connect(edge.https()).expect("the node accepts");
        stream.set_read_timeout(Some(selvedge_tests::PATIENCE)).expect("a socket option");
        let _ = stream.write_all(&payload);
        let mut answer = Vec::new();
        let _ = stream.take(65_536).read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "no answer outside TLS");
        assert!(!answer.windows(2).any(|pair| pair == [0x16, 3]), "no old handshake goes on");
    }
    let mut client = Client::https(edge.https(), HOST, &authority);
    assert_eq!(client.get(HOST, "/", "").text(), "reached");
    assert!(edge.metrics().sum("selvedge_tls_failed_total", &[]) >= 6.0);
}

/// Threat 53: the origin's certificate is verified, by authority and by name.
#[test]
fn an_origin_that_cannot_prove_who_it_is_is_not_believed() {
    let authority = Authority::new();
    let stranger = Authority::new();
    for (identity, status) in [
        (authority.issue(&["127.0.0.1"]), 200),
        (authority.issue(&["other.test"]), 502),
        (stranger.issue(&["127.0.0.1"]), 502),
    ] {
        let origin = Origin::start_tls(&identity);
        origin.on("*", Answer::uncacheable("reached"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).expect("the folder can be written");
        let site = Site::any(&origin.url()).set("ca_file", ca.display().to_string());
        let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
        let resp = edge.get(HOST, "/x");
        assert_eq!(resp.status, status, "{}", resp.text());
        assert_eq!(origin.fetches("/x"), usize::from(status == 200));
    }
}

/// Threat 22 over TLS: an end without close_notify is no end of a body without a length.
#[test]
fn a_tls_connection_cut_without_notice_is_a_truncation() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority.issue(&["127.0.0.1"]));
    origin.on("/cut", Answer::cacheable("part of it", 600).until_close());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("the folder can be written");
    let site = Site::any(&origin.url()).set("ca_file", ca.display().to_string());
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /cut HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    match client.read("GET") {
        Ok(resp) => assert!(resp.status >= 500, "it looks whole: {resp:?}"),
        Err(ReadError::Truncated(_) | ReadError::Closed) => {}
        Err(error) => panic!("{error}"),
    }
    origin.on("/cut", Answer::cacheable("all of it", 600));
    assert!(eventually(|| edge.get(HOST, "/cut").text() == "all of it"), "it was not stored");
}
