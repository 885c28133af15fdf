//! DNS over TLS and over HTTPS, asked by kdig and by a browser's way of asking.

use crate::dns_support::{EU, came_to, config};
use selvedge_tests::dns::{Query, Reply, kdig, kind};
use selvedge_tests::node::Reload;
use selvedge_tests::tls::Authority;
use selvedge_tests::tools::{curl, run};
use selvedge_tests::{Client, Node};

/// A server of all transports, and whoever vouches for it.
fn server() -> (Node, Authority) {
    let authority = Authority::new();
    let config = config()
        .set("dns", "tls", vec!["127.0.0.1:0"])
        .certificate(&authority.issue(&["ns1.cdn.test"]));
    (Node::dns(&config), authority)
}

fn replies(server: &Node, transport: &str) -> u64 {
    let label = format!("transport=\"{transport}\"");
    server.metrics().sum("selvedge_dns_transport_replies_total", &[&label]) as u64
}

fn ca_file(server: &Node, authority: &Authority) -> String {
    let file = server.folder().join("ca.pem");
    std::fs::write(&file, authority.pem()).expect("the folder can be written");
    file.display().to_string()
}

#[test]
fn kdig_is_answered_the_same_over_every_transport() {
    let (server, authority) = server();
    let ca = ca_file(&server, &authority);
    let tls = format!("+tls-ca={ca} +tls-hostname=ns1.cdn.test");
    for (transport, kind, args) in [
        ("udp", "dns", String::new()),
        ("tcp", "dns", "+tcp".to_owned()),
        ("tls", "dot", format!("+tls {tls}")),
        ("https", "doh", format!("+https=/dns-query {tls}")),
        ("https", "doh", format!("+https=/dns-query +https-get {tls}")),
    ] {
        let before = replies(&server, transport);
        let reply = kdig(server.address(kind), &format!("{args} shop.cdn.test a"));
        assert_eq!(
            (reply.status.as_str(), reply.data()),
            ("NOERROR", EU.map(str::to_owned).into())
        );
        assert!(reply.has("aa"), "{}", reply.text);
        assert_eq!(replies(&server, transport), before + 1, "{args}");
    }
    assert_eq!(came_to(&server, "site"), 5);
}

/// Names that are not those of the certificate, and certificates of somebody else, are not taken:
/// kdig would say so.
#[test]
fn the_certificate_is_that_of_the_file() {
    let (server, authority) = server();
    let ca = ca_file(&server, &authority);
    let args = format!("+retry=0 +tls +tls-ca={ca} +tls-hostname=ns2.cdn.test shop.cdn.test a");
    let port = server.address("dot").port().to_string();
    let mut all = vec!["@127.0.0.1", "-p", &port];
    all.extend(args.split(' '));
    let output = run("kdig", &all);
    assert!(!output.ok || !output.stdout.contains("198.18."), "{}", output.stdout);
}

/// The message of RFC 8484 4.1 by curl, whole and over HTTP/2.
#[test]
fn a_message_posted_over_https_is_answered_with_how_long_it_holds() {
    let (server, authority) = server();
    let (ca, query) = (ca_file(&server, &authority), server.folder().join("query"));
    let (head, body) = (server.folder().join("head"), server.folder().join("body"));
    std::fs::write(&query, Query::new("shop.cdn.test", kind::A).id(0).bytes()).expect("a file");
    let port = server.address("doh").port();
    let output = curl(&[
        "--cacert",
        &ca,
        "--http2",
        "--resolve",
        &format!("ns1.cdn.test:{port}:127.0.0.1"),
        "-H",
        "Content-Type: application/dns-message",
        "--data-binary",
        &format!("@{}", query.display()),
        "-D",
        &head.display().to_string(),
        "-o",
        &body.display().to_string(),
        &format!("https://ns1.cdn.test:{port}/dns-query"),
    ]);
    assert!(output.ok, "{}", output.stderr);
    let head = std::fs::read_to_string(head).expect("a head").to_ascii_lowercase();
    assert!(head.starts_with("http/2 200"), "{head}");
    assert!(head.contains("content-type: application/dns-message"), "{head}");
    assert!(head.contains("max-age=30"), "{head}");
    let reply = Reply::parse(&std::fs::read(body).expect("a body")).expect("a message");
    assert_eq!((reply.id, reply.answer.len()), (0, 2));
}

#[test]
fn what_is_no_message_is_refused_as_http_does_and_the_next_is_answered() {
    let (server, authority) = server();
    let https = server.address("doh");
    let post = |path: &str, kind: &str, body: &[u8]| {
        let mut client = Client::https(https, "ns1.cdn.test", &authority);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: ns1.cdn.test\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        ));
        client.send(body);
        client.read("POST").expect("an answer").status
    };
    let message = "application/dns-message";
    let query = Query::new("www.cdn.test", kind::A).bytes();
    assert_eq!(post("/dns-query", message, &query), 200);
    assert_eq!(post("/other", message, &query), 404);
    assert_eq!(post("/dns-query", "text/plain", &query), 415);
    let short = post("/dns-query", message, b"short");
    assert!((400..500).contains(&short), "{short}");
    let long = post("/dns-query", message, &[7; 70_000]);
    assert_eq!(long, 413);
    let mut client = Client::https(https, "ns1.cdn.test", &authority);
    for (target, status) in [
        ("/dns-query?dns=AAABAAABAAAAAAAAA3d3dwNjZG4EdGVzdAAAAQAB", 200),
        ("/dns-query?dns=%%%", 400),
        ("/dns-query", 400),
        ("/", 404),
    ] {
        let got = client.get("ns1.cdn.test", target, "").status;
        assert_eq!(got, status, "{target}");
    }
    let methods = "DELETE /dns-query HTTP/1.1\r\nHost: ns1.cdn.test\r\n\r\n";
    assert_eq!(client.request(methods).status, 405);
    assert_eq!(came_to(&server, "answer"), 2);
}

/// New certificates are taken over by a reload, without an end of what runs.
#[test]
fn certificates_are_read_again_with_the_file() {
    let (server, authority) = server();
    let dot = server.address("dot");
    assert!(authority.connect(dot, "ns1.cdn.test", &["dot"]).is_ok());
    let other = Authority::new();
    let identity = other.issue(&["ns1.cdn.test"]);
    let _ = identity.write(server.folder(), "certificate-0");
    let text = std::fs::read_to_string(server.folder().join("node.toml")).expect("its file");
    assert_eq!(server.reload_text(&text), Reload::Applied);
    assert!(other.connect(dot, "ns1.cdn.test", &["dot"]).is_ok());
    assert!(authority.connect(dot, "ns1.cdn.test", &["dot"]).is_err());
    let refused = server.reload_text(&text.replace("certificate-0", "certificate-9"));
    assert!(matches!(refused, Reload::Refused(_)), "{refused:?}");
    assert!(other.connect(dot, "ns1.cdn.test", &["dot"]).is_ok());
}
