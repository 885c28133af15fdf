//! Random streams of requests, cut at random points, on many connections: every answer is the one
//! that was asked for, in order, and the origin sees only well-formed messages.

use crate::support::{HOST, edge};
use selvedge_tests::{Answer, Client};

/// A small reproducible source of chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// One random request: its bytes, its method and the body its answer must have.
fn request(chance: &mut Chance) -> (Vec<u8>, &'static str, String) {
    let path = format!("/{}{}", ["hit", "pass"][chance.below(2)], chance.below(5));
    let padding = "p".repeat(chance.below(300));
    let head = |method: &str, framing: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Pad: {padding}\r\n{framing}\r\n")
    };
    let body: String =
        (0..chance.below(200)).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    match chance.below(5) {
        0 | 1 => (head("GET", "").into_bytes(), "GET", format!("GET {path} ")),
        2 => (head("HEAD", "").into_bytes(), "HEAD", String::new()),
        3 => {
            let framing = format!("Content-Length: {}\r\n", body.len());
            let bytes = head("POST", &framing) + &body;
            (bytes.into_bytes(), "POST", format!("POST {path} {body}"))
        }
        _ => {
            let mut bytes = head("POST", "Transfer-Encoding: chunked\r\n");
            let mut rest = body.as_str();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(1 + chance.below(rest.len()));
                let name = ["", ";x", ";a=\"b\""][chance.below(3)];
                bytes.push_str(&format!("{:x}{name}\r\n{piece}\r\n", piece.len()));
                rest = more;
            }
            bytes.push_str("0\r\n\r\n");
            (bytes.into_bytes(), "POST", format!("POST {path} {body}"))
        }
    }
}

/// Two hundred streams of up to thirty requests each.
#[test]
fn random_pipelines_cut_at_random_points_are_answered_in_order() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| {
        let body = String::from_utf8_lossy(&req.body).into_owned();
        let method = if req.method == "POST" { "POST" } else { "GET" };
        let text = format!("{method} {} {body}", req.path());
        let cacheable = req.method != "POST" && req.path().starts_with("/hit");
        let answer =
            if cacheable { Answer::cacheable(&text, 600) } else { Answer::uncacheable(&text) };
        if req.path().ends_with('3') { answer.chunked() } else { answer }
    });
    for seed in 0..200 {
        let mut chance = Chance(seed);
        let requests: Vec<_> = (0..1 + chance.below(30)).map(|_| request(&mut chance)).collect();
        let bytes: Vec<u8> = requests.iter().flat_map(|(bytes, ..)| bytes.clone()).collect();
        let mut cuts: Vec<usize> =
            (0..chance.below(60)).map(|_| chance.below(bytes.len())).collect();
        cuts.sort_unstable();
        let mut client = Client::http(edge.http());
        client.send_split(&bytes, &cuts);
        for (number, (_, method, body)) in requests.iter().enumerate() {
            let resp = client.read(method).unwrap_or_else(|error| {
                panic!("seed {seed}, request {number} of {}: {error}", requests.len())
            });
            assert_eq!((resp.status, &resp.text()), (200, body), "seed {seed}, request {number}");
        }
    }
}

/// The same bytes with one of them changed: refused or answered, never a crash, never a message at
/// the origin that could be read in two ways (the origin's own check).
#[test]
fn random_damage_to_requests_is_refused_or_harmless() {
    let (origin, edge) = edge();
    origin.on("*", Answer::uncacheable("x"));
    for seed in 0..1500 {
        let mut chance = Chance(seed ^ 0xdead_beef);
        let mut bytes: Vec<u8> =
            (0..1 + chance.below(3)).flat_map(|_| request(&mut chance).0).collect();
        for _ in 0..1 + chance.below(3) {
            let at = chance.below(bytes.len());
            match chance.below(4) {
                0 => bytes[at] = chance.below(256) as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, chance.below(256) as u8),
                _ => bytes.insert(at, b"\r\n\0 :,;\t"[chance.below(8)]),
            }
        }
        let mut client = Client::http(edge.http());
        client.send(&bytes);
        client.finish();
        while !client.read_some().is_empty() {}
    }
    assert_eq!(edge.get(HOST, "/after").text(), "x");
}
