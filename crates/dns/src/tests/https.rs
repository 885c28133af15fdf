//! DNS over HTTPS (RFC 8484).

use std::io::{Read, Write};
use std::net::SocketAddr;

use data_encoding::BASE64URL_NOPAD;

use crate::tests::rig::{Field, Rig, echoed, query};
use crate::tests::tls::Identity;
use crate::{Limits, Settings, Transport};

struct Client {
    identity: Identity,
    address: SocketAddr,
}

/// The status, fields in lower case, and body of a response.
struct Response {
    head: String,
    body: Vec<u8>,
}

impl Client {
    fn start(limits: Limits) -> (Rig, Self) {
        let identity = Identity::new();
        let rig = Rig::start(Settings { limits, ..identity.settings() });
        let address = rig.running.addresses().https[0];
        (rig, Self { identity, address })
    }

    /// Sends one request on a connection of its own, and reads all that comes.
    fn ask(&self, line: &str, fields: &str, body: &[u8]) -> Response {
        let mut stream = self.identity.connect(self.address, b"http/1.1");
        let head =
            format!("{line} HTTP/1.1\r\nHost: dns.test\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).expect("an open connection");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a response and a good end");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let body = bytes.split_off(end);
        Response { head: String::from_utf8_lossy(&bytes).to_lowercase(), body }
    }

    fn post(&self, kind: &str, body: &[u8]) -> Response {
        let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        self.ask("POST /dns-query", &fields, body)
    }

    fn get(&self, query: &[u8]) -> Response {
        let dns = BASE64URL_NOPAD.encode(query);
        self.ask(&format!("GET /dns-query?dns={dns}"), "", b"")
    }
}

impl Response {
    #[track_caller]
    fn expect(&self, status: u16, fields: &[&str]) {
        assert!(self.head.starts_with(&format!("http/1.1 {status} ")), "{}", self.head);
        for field in fields {
            assert!(self.head.contains(&format!("\r\n{field}\r\n")), "{field}: {}", self.head);
        }
    }
}

#[test]
fn what_has_changed_holds_for_the_next_request() {
    let (rig, client) = Client::start(Limits::default());
    let looked = || {
        let body = client.get(&query(1, b"R")).body;
        usize::from_be_bytes(*body.last_chunk().expect("a number"))
    };
    let mut last = looked();
    for _ in 0..20 {
        let now = looked();
        assert!(now > last);
        last = now;
    }
    assert!(rig.stop());
}

#[test]
fn get_and_post_carry_the_same_query() {
    let (rig, client) = Client::start(Limits::default());
    let asked = query(0, b"name");
    let kind = "content-type: application/dns-message";
    for response in [client.get(&asked), client.post("application/dns-message", &asked)] {
        response.expect(200, &[kind, "cache-control: max-age=0", "content-length: 16"]);
        assert_eq!(response.body, echoed(&asked));
    }
    let response = client.get(&query(0, b"D"));
    response.expect(200, &[kind, "cache-control: max-age=77"]);
    let dns = BASE64URL_NOPAD.encode(&query(0, b"D"));
    let head = client.ask(&format!("HEAD /dns-query?dns={dns}"), "", b"");
    head.expect(200, &["cache-control: max-age=77"]);
    assert!(head.body.is_empty());
    let sum = |field: Field| rig.counters.sum(Transport::Https, field);
    assert_eq!((sum(|tally| &tally.queries), sum(|tally| &tally.replies)), (4, 4));
    assert!(rig.stop());
}

#[test]
fn wrong_requests_get_the_status_that_says_what_is_wrong() {
    let (rig, client) = Client::start(Limits { query_bytes_max: 600, ..Limits::default() });
    let good = query(0, b"name");
    client.ask("GET /", "", b"").expect(404, &[]);
    client.ask("GET /dns-query", "", b"").expect(400, &[]);
    client.ask("GET /dns-query?dns=AA%3D", "", b"").expect(400, &[]);
    client.get(&good[..11]).expect(400, &[]);
    client.get(&echoed(&good)).expect(400, &[]);
    client.get(&[0; 700]).expect(414, &[]);
    client.ask("DELETE /dns-query", "", b"").expect(405, &["allow: get, head, post"]);
    client.post("text/plain", &good).expect(415, &[]);
    client.ask("POST /dns-query", "Content-Length: 0\r\n", b"").expect(415, &[]);
    client.post("application/dns-message", &[0; 601]).expect(413, &[]);
    client.post("application/dns-message", &[0; 11]).expect(400, &[]);
    client.post("Application/DNS-message", &good).expect(200, &[]);
    assert_eq!(rig.counters.sum(Transport::Https, |tally| &tally.malformed), 11);
    assert!(rig.stop());
}
