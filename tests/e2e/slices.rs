//! Objects that are stored in part: what a range of a cold object fetches, what later requests add
//! to it, and that bytes of two versions never meet in one answer (RFC 9111 3.3, 3.4).

use crate::support::{HOST, becomes, edge, edge_with};
use selvedge_tests::answer::pattern_bytes;
use selvedge_tests::message::Request;
use selvedge_tests::{
    Answer, Client, Gate, Node, NodeConfig, Origin, ReadError, Response, Site, eventually,
};

pub(crate) const MIB: usize = 1 << 20;

/// One version of an object at an origin that does ranges.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) body: Vec<u8>,
    pub(crate) validator: Option<(&'static str, &'static str)>,
}

impl Version {
    pub(crate) fn tagged(body: Vec<u8>, etag: &'static str) -> Self {
        Self { body, validator: Some(("etag", etag)) }
    }

    fn dress(&self, answer: Answer) -> Answer {
        let answer = answer.header("cache-control", "max-age=600");
        match self.validator {
            Some(("etag", tag)) => answer.etag(tag),
            Some((name, value)) => answer.header(name, value),
            None => answer,
        }
    }

    /// As a well-behaved origin answers.
    pub(crate) fn answer(&self, req: &Request) -> Answer {
        let length = self.body.len();
        let whole = || self.dress(Answer::new(200).body(self.body.clone()));
        let holds = req
            .header("if-range")
            .is_none_or(|tag| self.validator.is_some_and(|(_, value)| value == tag));
        let Some(range) = req.header("range").filter(|_| holds) else { return whole() };
        let (first, last) = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
            .expect("one range of bytes");
        let (from, to) = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(from), Ok(last)) => (from, length.min(last + 1)),
            (Ok(from), Err(_)) => (from, length),
            (Err(_), Ok(count)) => (length.saturating_sub(count), length),
            _ => return whole(),
        };
        if from >= length {
            return Answer::new(416).header("content-range", &format!("bytes */{length}"));
        }
        let place = format!("bytes {from}-{}/{length}", to - 1);
        let part = Answer::new(206).header("content-range", &place);
        self.dress(part.body(self.body[from..to].to_vec()))
    }

    pub(crate) fn serve(self, origin: &Origin, path: &str) {
        origin.on_fn(path, move |req, _| self.answer(req));
    }
}

pub(crate) fn ranged(node: &Node, path: &str, range: &str) -> Response {
    node.get_with(HOST, path, &format!("Range: {range}\r\n"))
}

/// The ranges that the origin was asked for, in order.
pub(crate) fn asked(origin: &Origin, path: &str) -> Vec<String> {
    let range = |req: &Request| req.header("range").unwrap_or("whole").to_owned();
    origin.requests_for(path).iter().map(range).collect()
}

#[track_caller]
pub(crate) fn is_part(resp: &Response, body: &[u8], from: usize, to: usize) {
    assert_eq!(resp.status, 206, "{:?}", resp.headers);
    let place = format!("bytes {from}-{}/{}", to - 1, body.len());
    assert_eq!(resp.header("content-range"), Some(place.as_str()));
    assert!(resp.body == body[from..to], "the bytes {from}..{to}");
}

pub(crate) fn count(node: &Node, name: &str) -> u64 {
    node.metrics().sum(&format!("selvedge_{name}"), &[]) as u64
}

/// A cold object costs the slices that were asked for and no more; what is stored is not asked for
/// again; the whole costs what is missing.
#[test]
fn only_what_is_missing_is_fetched() {
    let (origin, edge) = edge();
    let body = pattern_bytes(5 * MIB + 1000);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/big");

    let resp = ranged(&edge, "/big", "bytes=100-199");
    is_part(&resp, &body, 100, 200);
    assert!(resp.is_stored_miss("edge-1"), "{}", resp.cache_status("edge-1"));
    becomes(1, "slices", || count(&edge, "store_slices_stored_total"));

    let resp = ranged(&edge, "/big", "bytes=500-99999");
    is_part(&resp, &body, 500, 100_000);
    assert!(resp.is_hit("edge-1"), "{}", resp.cache_status("edge-1"));

    // One slice is there, two are not.
    let resp = ranged(&edge, "/big", "bytes=1000000-3000000");
    is_part(&resp, &body, 1_000_000, 3_000_001);
    let status = resp.cache_status("edge-1");
    assert!(status.contains("fwd=partial") && !resp.is_hit("edge-1"), "{status}");
    assert_eq!(asked(&origin, "/big"), ["bytes=0-1048575", "bytes=1048576-3145727"]);
    assert_eq!(origin.last("/big").header("if-range"), Some("\"v1\""));

    let whole = edge.get(HOST, "/big");
    assert!(whole.status == 200 && whole.body == body);
    assert_eq!(asked(&origin, "/big")[2..], ["bytes=3145728-"]);
    becomes(6, "slices", || count(&edge, "store_slices_stored_total"));
    let whole = edge.get(HOST, "/big");
    assert!(whole.is_hit("edge-1") && whole.body == body);
    assert_eq!(origin.fetches("/big"), 3);
}

/// An origin whose whole object fits one answer: it is stored as a whole.
#[test]
fn a_part_that_is_the_whole_is_stored_as_the_whole() {
    let (origin, edge) = edge();
    let body = pattern_bytes(100_000);
    // Without validator: parts of it could never be combined.
    Version { body: body.clone(), validator: None }.serve(&origin, "/small");
    is_part(&ranged(&edge, "/small", "bytes=10-19"), &body, 10, 20);
    assert!(eventually(|| edge.get(HOST, "/small").is_hit("edge-1")));
    assert_eq!(edge.get(HOST, "/small").body, body);
    is_part(&ranged(&edge, "/small", "bytes=-10"), &body, 99_990, 100_000);
    assert_eq!(asked(&origin, "/small"), ["bytes=0-1048575"]);
}

/// Open and suffix ranges: the first in runs, the second as it came.
#[test]
fn open_and_suffix_ranges_fetch_what_they_need() {
    let (origin, edge) = edge();
    let body = pattern_bytes(11 * MIB + 7);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/suffix");
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/open");
    is_part(&ranged(&edge, "/suffix", "bytes=-1000"), &body, body.len() - 1000, body.len());
    let again = ranged(&edge, "/suffix", "bytes=-500");
    is_part(&again, &body, body.len() - 500, body.len());
    assert!(again.is_hit("edge-1"));
    // What lies before the piece in its slice.
    let more = ranged(&edge, "/suffix", "bytes=-2000");
    is_part(&more, &body, body.len() - 2000, body.len());
    let gap = format!("bytes={}-{}", 10 * MIB, body.len() - 1001);
    assert_eq!(asked(&origin, "/suffix"), ["bytes=-1000", gap.as_str()]);

    is_part(&ranged(&edge, "/open", "bytes=1048577-"), &body, MIB + 1, body.len());
    assert_eq!(asked(&origin, "/open"), ["bytes=1048576-9437183", "bytes=9437184-"]);
}

/// Two clients at once: one fetch of each slice.
#[test]
fn clients_at_once_share_the_fetch_of_a_slice() {
    let (origin, edge) = edge();
    let body = pattern_bytes(4 * MIB);
    let version = Version::tagged(body.clone(), "\"v1\"");
    let (cold, warm) = (Gate::shut(), Gate::shut());
    let gates = [cold.clone(), warm.clone()];
    origin.on_fn("/s", move |req, nth| version.answer(req).gate(&gates[nth.min(1)]));
    for (gate, first, joins) in
        [(cold, 0, "store_fill_joins_total"), (warm, 2 * MIB, "store_slice_joins_total")]
    {
        std::thread::scope(|scope| {
            let before = count(&edge, joins);
            let clients: Vec<_> = (0..5)
                .map(|at| {
                    let range = format!("bytes={}-{}", first + at, first + 1000);
                    let edge = &edge;
                    scope.spawn(move || (at, ranged(edge, "/s", &range)))
                })
                .collect();
            let joined = eventually(|| count(&edge, joins) >= before + 4);
            gate.open();
            for client in clients {
                let (at, resp) = client.join().unwrap();
                is_part(&resp, &body, first + at, first + 1001);
            }
            assert!(joined, "{} {joins}", count(&edge, joins));
        });
    }
    assert_eq!(asked(&origin, "/s"), ["bytes=0-1048575", "bytes=2097152-3145727"]);
}

/// Another version appears between two fetches of one answer: the client is cut off, and the next
/// one gets the new version and nothing of the old.
#[test]
fn versions_are_never_mixed() {
    let (origin, edge) = edge();
    let old = pattern_bytes(12 * MIB);
    let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
    let versions = [Version::tagged(old.clone(), "\"v1\""), Version::tagged(new.clone(), "\"v2\"")];
    origin.on_fn("/v", move |req, nth| versions[nth.min(1)].answer(req));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /v HTTP/1.1\r\nHost: {HOST}\r\nRange: bytes=0-\r\n\r\n"));
    match client.read("GET") {
        Err(ReadError::Truncated(resp)) => {
            assert_eq!(resp.header("etag"), Some("\"v1\""));
            assert!(resp.body.len() <= 8 * MIB && resp.body == old[..resp.body.len()]);
        }
        other => panic!("{:?}", other.map(|resp| resp.status)),
    }
    let resp = ranged(&edge, "/v", "bytes=10-20");
    is_part(&resp, &new, 10, 21);
    assert_eq!(resp.header("etag"), Some("\"v2\""));
    let whole = edge.get(HOST, "/v");
    assert!(whole.body == new, "the new version alone");
}

/// Another version, found before anything was sent: the client gets it and notices nothing.
#[test]
fn a_gap_of_an_older_version_is_answered_by_the_new_one() {
    let (origin, edge) = edge();
    let old = pattern_bytes(3 * MIB);
    let new: Vec<u8> = old[..2 * MIB + 5].iter().map(|byte| !byte).collect();
    Version::tagged(old.clone(), "\"v1\"").serve(&origin, "/v");
    is_part(&ranged(&edge, "/v", "bytes=0-9"), &old, 0, 10);
    Version::tagged(new.clone(), "\"v2\"").serve(&origin, "/v");
    is_part(&ranged(&edge, "/v", "bytes=1048576-1048586"), &new, MIB, MIB + 11);
    is_part(&ranged(&edge, "/v", "bytes=0-9"), &new, 0, 10);
}

/// Without a strong validator a part answers what lies in it, and is never completed.
#[test]
fn parts_without_strong_validator_stand_alone() {
    let (origin, edge) = edge();
    let body = pattern_bytes(3 * MIB);
    for (path, validator) in [("/none", None), ("/weak", Some(("etag", "W/\"v1\"")))] {
        Version { body: body.clone(), validator }.serve(&origin, path);
        is_part(&ranged(&edge, path, "bytes=0-9"), &body, 0, 10);
        let again = ranged(&edge, path, "bytes=5-1000");
        is_part(&again, &body, 5, 1001);
        assert!(again.is_hit("edge-1"), "{path}");
        is_part(&ranged(&edge, path, "bytes=1048570-1048579"), &body, MIB - 6, MIB + 4);
        let whole = edge.get(HOST, path);
        assert!(whole.status == 200 && whole.body == body, "{path}");
        let expected = ["bytes=0-1048575", "bytes=0-2097151", "whole"];
        assert_eq!(asked(&origin, path), expected, "{path}");
        for req in origin.requests_for(path) {
            assert_eq!(req.header("if-range"), None, "{path}");
        }
    }
}

/// Last-Modified is a strong validator where it is older than the Date.
#[test]
fn a_strong_date_lets_parts_be_combined() {
    let (origin, edge) = edge();
    let body = pattern_bytes(2 * MIB);
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    Version { body: body.clone(), validator: Some(modified) }.serve(&origin, "/d");
    is_part(&ranged(&edge, "/d", "bytes=0-9"), &body, 0, 10);
    let whole = edge.get(HOST, "/d");
    assert!(whole.body == body);
    assert_eq!(asked(&origin, "/d"), ["bytes=0-1048575", "bytes=1048576-"]);
    assert_eq!(origin.last("/d").header("if-range"), Some(modified.1));
}

/// An origin that ignores ranges: one whole fetch, and the range is cut from it.
#[test]
fn an_origin_without_ranges_is_asked_once() {
    let (origin, edge) = edge();
    let body = pattern_bytes(3 * MIB);
    origin.on("/n", Answer::cacheable("", 600).body(body.clone()).etag("\"v1\""));
    is_part(&ranged(&edge, "/n", "bytes=2000000-2000099"), &body, 2_000_000, 2_000_100);
    assert!(eventually(|| edge.get(HOST, "/n").is_hit("edge-1")));
    assert_eq!(origin.fetches("/n"), 1);
}

/// An origin that stops doing ranges in between: the same version is read on from its whole.
#[test]
fn a_whole_of_the_same_version_fills_a_gap() {
    let (origin, edge) = edge();
    let body = pattern_bytes(3 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/n");
    is_part(&ranged(&edge, "/n", "bytes=0-9"), &body, 0, 10);
    origin.on("/n", Answer::cacheable("", 600).body(body.clone()).etag("\"v1\""));
    is_part(&ranged(&edge, "/n", "bytes=1048576-"), &body, MIB, body.len());
    let again = ranged(&edge, "/n", "bytes=0-");
    is_part(&again, &body, 0, body.len());
    assert!(again.is_hit("edge-1"));
    assert_eq!(origin.fetches("/n"), 2);
}

/// Beyond the end: 416, from the origin first and then from here, and nothing is remembered that
/// would keep the object out of the store.
#[test]
fn a_range_beyond_the_end_is_416() {
    let (origin, edge) = edge();
    let body = pattern_bytes(2 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/e");
    let resp = ranged(&edge, "/e", "bytes=99999999-");
    assert_eq!(resp.status, 416);
    assert_eq!(resp.header("content-range"), Some("bytes */2097152"));
    is_part(&ranged(&edge, "/e", "bytes=0-9"), &body, 0, 10);
    assert!(ranged(&edge, "/e", "bytes=0-9").is_hit("edge-1"));
    let resp = ranged(&edge, "/e", "bytes=2097152-");
    assert_eq!(resp.status, 416);
    assert_eq!(resp.header("content-range"), Some("bytes */2097152"));
    assert_eq!(origin.fetches("/e"), 2);
}

/// 206 answers that are not the part that was asked for are never taken for it.
#[test]
fn parts_that_nobody_asked_for_are_refused() {
    let (origin, edge) = edge();
    let body = pattern_bytes(3 * MIB);
    let version = Version::tagged(body.clone(), "\"v1\"");
    let lie = |place: &str| {
        let place = place.to_owned();
        let version = version.clone();
        move |req: &Request, _: usize| match req.header("if-range") {
            Some(_) => Answer::new(206)
                .header("content-range", &place)
                .header("cache-control", "max-age=600")
                .body("0123456789")
                .etag("\"v1\""),
            None => version.answer(req),
        }
    };
    for (number, place) in [
        "bytes 0-9/3145728",
        "bytes 1048577-1048586/3145728",
        "bytes 1048576-1048999/3145728",
        "bytes 1048576-1048585/*",
        "nonsense",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/lie-{number}");
        origin.on_fn(&path, lie(place));
        is_part(&ranged(&edge, &path, "bytes=0-9"), &body, 0, 10);
        let resp = ranged(&edge, &path, "bytes=1048576-1048585");
        assert_eq!(resp.status, 502, "{place}");
        // What is stored answers on.
        assert!(ranged(&edge, &path, "bytes=0-9").is_hit("edge-1"), "{place}");
    }
    // A length that is another one is another version.
    origin.on_fn("/longer", lie("bytes 1048576-1048585/3145729"));
    is_part(&ranged(&edge, "/longer", "bytes=0-9"), &body, 0, 10);
    is_part(&ranged(&edge, "/longer", "bytes=1048576-1048585"), &body, MIB, MIB + 10);
    // Cold: another part than was asked for is not stored; the client gets what the origin says.
    origin.on(
        "/other",
        Answer::new(206)
            .header("content-range", "bytes 500-509/1000")
            .header("cache-control", "max-age=600")
            .body("0123456789"),
    );
    for _ in 0..2 {
        let resp = ranged(&edge, "/other", "bytes=0-9");
        assert_eq!((resp.status, resp.header("content-range")), (206, Some("bytes 500-509/1000")));
        assert!(!resp.is_hit("edge-1"));
    }
}

/// An origin that breaks off inside a slice: what came is kept, and the rest is asked for.
#[test]
fn a_fetch_that_breaks_off_goes_on_from_there() {
    let (origin, edge) = edge();
    let body = pattern_bytes(2 * MIB);
    let version = Version::tagged(body.clone(), "\"v1\"");
    let half = body[..MIB / 2].to_vec();
    origin.on_fn("/b", move |req, nth| match nth {
        0 => Answer::new(206)
            .header("content-range", "bytes 0-1048575/2097152")
            .header("cache-control", "max-age=600")
            .header("etag", "\"v1\"")
            .body(half.clone())
            .content_length("1048576"),
        _ => version.answer(req),
    });
    is_part(&ranged(&edge, "/b", "bytes=0-999999"), &body, 0, 1_000_000);
    assert_eq!(asked(&origin, "/b"), ["bytes=0-1048575", "bytes=524288-1048575"]);
    assert!(ranged(&edge, "/b", "bytes=0-1048575").is_hit("edge-1"));
}

/// The origin fails before anything was sent: the failure is told, and what is stored stays.
#[test]
fn a_gap_that_cannot_be_filled_is_a_failure_before_the_first_byte() {
    let (origin, edge) = edge();
    let body = pattern_bytes(3 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/f");
    is_part(&ranged(&edge, "/f", "bytes=0-9"), &body, 0, 10);
    origin.on("/f", Answer::new(503).header("cache-control", "no-store"));
    assert_eq!(ranged(&edge, "/f", "bytes=1048576-1048586").status, 503);
    assert!(ranged(&edge, "/f", "bytes=0-9").is_hit("edge-1"));
    origin.on("/f", Answer::new(404).header("cache-control", "no-store"));
    assert_eq!(ranged(&edge, "/f", "bytes=1048576-1048586").status, 404);
    assert!(!ranged(&edge, "/f", "bytes=0-9").is_hit("edge-1"), "it is gone");
}

/// Conditions, HEAD and If-Range of clients are answered from the head, without a fetch.
#[test]
fn conditions_and_head_need_no_slices() {
    let (origin, edge) = edge();
    let body = pattern_bytes(3 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/c");
    is_part(&ranged(&edge, "/c", "bytes=0-9"), &body, 0, 10);
    assert_eq!(edge.get_with(HOST, "/c", "If-None-Match: \"v1\"\r\n").status, 304);
    assert_eq!(edge.get_with(HOST, "/c", "If-Match: \"v2\"\r\n").status, 412);
    let mut client = Client::http(edge.http());
    let head = client.request(&format!("HEAD /c HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("3145728")));
    assert!(head.is_hit("edge-1"));
    let same = edge.get_with(HOST, "/c", "Range: bytes=0-9\r\nIf-Range: \"v1\"\r\n");
    assert!(same.is_hit("edge-1"));
    is_part(&same, &body, 0, 10);
    assert_eq!(origin.fetches("/c"), 1);
    let other = edge.get_with(HOST, "/c", "Range: bytes=0-9\r\nIf-Range: \"v0\"\r\n");
    assert!(other.status == 200 && other.body == body, "another version: the whole");
    assert_eq!(asked(&origin, "/c")[1..], ["bytes=1048576-"]);
}

/// Several ranges with gaps between what is stored.
#[test]
fn several_ranges_are_made_from_slices() {
    let (origin, edge) = edge();
    let body = pattern_bytes(4 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/m");
    is_part(&ranged(&edge, "/m", "bytes=0-9"), &body, 0, 10);
    let resp = ranged(&edge, "/m", "bytes=5-14, 2097152-2097161");
    assert_eq!(resp.status, 206);
    assert_eq!(resp.header("content-length"), Some(resp.body.len().to_string().as_str()));
    for (from, to) in [(5, 15), (2 * MIB, 2 * MIB + 10)] {
        let part = [
            format!("bytes {from}-{}/4194304\r\n\r\n", to - 1).as_bytes(),
            &body[from..to],
            b"\r\n",
        ]
        .concat();
        assert!(resp.body.windows(part.len()).any(|window| window == part), "{from}");
    }
    assert_eq!(asked(&origin, "/m"), ["bytes=0-1048575", "bytes=2097152-3145727"]);
}

/// What is stale is validated, and its slices stay: of the new version nothing is mixed in.
#[test]
fn a_renewed_object_keeps_its_slices() {
    let (origin, short) = edge_with(|site| site.set("ttl_max", "1s"));
    let body = pattern_bytes(2 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/r");
    is_part(&ranged(&short, "/r", "bytes=0-9"), &body, 0, 10);
    let renewed = || {
        let resp = ranged(&short, "/r", "bytes=0-9");
        is_part(&resp, &body, 0, 10);
        !resp.is_hit("edge-1")
    };
    assert!(eventually(renewed), "it becomes stale");
    let last = origin.last("/r");
    assert_eq!(last.header("if-none-match"), Some("\"v1\""));
    assert_eq!(last.header("range"), Some("bytes=0-1048575"), "and if it is another, a part of it");
    assert!(ranged(&short, "/r", "bytes=0-1048575").body == body[..MIB]);
    let parts =
        origin.requests_for("/r").iter().filter(|r| r.header("if-none-match").is_none()).count();
    assert_eq!(parts, 1, "the bytes came once");
}

/// Slices ahead of a client are fetched before it gets to them, where a site wants that.
#[test]
fn a_site_may_read_ahead() {
    let (origin, edge) = edge_with(|site| site.set("read_ahead", 2));
    let body = pattern_bytes(6 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/a");
    is_part(&ranged(&edge, "/a", "bytes=0-9"), &body, 0, 10);
    becomes(3, "slices", || count(&edge, "store_slices_stored_total"));
    let next = ranged(&edge, "/a", "bytes=1048576-1048577");
    assert!(next.is_hit("edge-1"));
    becomes(4, "slices", || count(&edge, "store_slices_stored_total"));
    let expected = ["bytes=0-1048575", "bytes=1048576-3145727", "bytes=3145728-4194303"];
    assert_eq!(asked(&origin, "/a"), expected);
}

/// An unsafe request drops the object with its parts.
#[test]
fn an_unsafe_request_drops_what_is_stored_in_part() {
    let (origin, edge) = edge();
    let body = pattern_bytes(2 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/u");
    is_part(&ranged(&edge, "/u", "bytes=0-9"), &body, 0, 10);
    assert!(ranged(&edge, "/u", "bytes=0-9").is_hit("edge-1"));
    let mut client = Client::http(edge.http());
    let delete = format!("DELETE /u HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    assert_eq!(client.request(&delete).status, 200);
    let resp = ranged(&edge, "/u", "bytes=0-9");
    assert!(resp.is_stored_miss("edge-1"), "{}", resp.cache_status("edge-1"));
}

/// Edge and parent ask for the same slices, and each stores them.
#[test]
fn two_tiers_fetch_the_same_slices() {
    let origin = Origin::start();
    let body = pattern_bytes(4 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/t");
    let parent = Node::parent(&NodeConfig::new("parent-1").site(Site::any(&origin.url())));
    let edges = ["edge-1", "edge-2"].map(|name| {
        let config = NodeConfig::new(name).set("upstream", "parents", vec![parent.url()]);
        Node::edge(&config.site(Site::any(&origin.url())))
    });
    for edge in &edges {
        is_part(&ranged(edge, "/t", "bytes=1048600-1048700"), &body, MIB + 24, MIB + 125);
    }
    assert_eq!(asked(&origin, "/t"), ["bytes=1048576-2097151"]);
    let whole = edges[0].get(HOST, "/t");
    assert!(whole.body == body);
    assert_eq!(asked(&origin, "/t")[1..], ["bytes=0-1048575", "bytes=2097152-"]);
    let whole = edges[1].get(HOST, "/t");
    assert!(whole.body == body);
    assert_eq!(origin.fetches("/t"), 3, "the parent had it all");
}

/// Variants have slices of their own.
#[test]
fn variants_do_not_share_slices() {
    let (origin, edge) = edge_with(|site| site.set("compress", false));
    let bodies = [pattern_bytes(2 * MIB), pattern_bytes(2 * MIB).iter().map(|b| !b).collect()];
    let [one, two] = bodies.clone().map(|body| Version::tagged(body, "\"same\""));
    origin.on_fn("/v", move |req, _| {
        let version = if req.header("x-kind") == Some("two") { &two } else { &one };
        version.answer(req).header("vary", "x-kind")
    });
    for (kind, body) in [("one", &bodies[0]), ("two", &bodies[1])] {
        let fields = format!("Range: bytes=0-9\r\nX-Kind: {kind}\r\n");
        is_part(&edge.get_with(HOST, "/v", &fields), body, 0, 10);
    }
    for (kind, body) in [("one", &bodies[0]), ("two", &bodies[1])] {
        let fields = format!("X-Kind: {kind}\r\n");
        let whole = edge.get_with(HOST, "/v", &fields);
        assert!(whole.body == *body, "{kind}");
    }
}
