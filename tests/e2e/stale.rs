//! Stale responses: while revalidating and on errors (RFC 5861), and when they are forbidden. An
//! object is made stale by the Age it arrives with, so that no test waits for time to pass.

use crate::support::{HOST, answered, becomes, edge, edge_with, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Gate, eventually};

/// An answer that is stale when it arrives, with these directives.
fn stale(body: &str, directives: &str) -> Answer {
    let control = format!("max-age=10{directives}");
    Answer::new(200).header("cache-control", &control).header("age", "20").body(body)
}

/// One client starts the refresh; nobody waits for it; later clients get the new one.
#[test]
fn a_stale_response_is_served_while_one_refresh_runs_behind_it() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let answers = vec![
        stale("old", ", stale-while-revalidate=600").etag("\"1\""),
        Answer::cacheable("new", 600).etag("\"2\"").gate(&gate),
    ];
    origin.on_each("/swr", answers);
    assert_eq!(edge.get(HOST, "/swr").text(), "old");
    for _ in 0..5 {
        let resp = edge.get(HOST, "/swr");
        assert_eq!(resp.text(), "old", "nobody waits for the refresh");
        assert!(resp.age().is_some_and(|age| age >= 20), "{:?}", resp.headers);
    }
    assert!(gate.reached_by(1), "a refresh runs");
    gate.open();
    assert!(eventually(|| edge.get(HOST, "/swr").text() == "new"));
    assert_eq!(origin.fetches("/swr"), 2, "one refresh for five requests");
    assert_eq!(origin.last("/swr").header("if-none-match"), Some("\"1\""));
    becomes(1, "refreshes", || site_count(&edge, "refreshes"));
    becomes(5, "stale answers", || site_count(&edge, "stale_served").min(5));
}

/// The refresh may say that nothing has changed.
#[test]
fn a_refresh_that_confirms_makes_the_stored_response_fresh_again() {
    let (origin, edge) = edge();
    let fresh = Answer::new(304).header("cache-control", "max-age=600").header("etag", "\"1\"");
    origin
        .on_each("/same", vec![stale("same", ", stale-while-revalidate=600").etag("\"1\""), fresh]);
    assert_eq!(edge.get(HOST, "/same").text(), "same");
    assert_eq!(edge.get(HOST, "/same").text(), "same");
    assert!(eventually(|| edge.get(HOST, "/same").age().is_some_and(|age| age < 10)));
    assert_eq!(origin.fetches("/same"), 2);
    let hit = edge.get(HOST, "/same");
    assert!(hit.is_hit("edge-1"), "{:?}", hit.headers);
    assert_eq!(hit.text(), "same");
}

/// With stale-if-error the site stays up whatever happens to the origin, and recovers by itself.
#[test]
fn a_site_stays_up_on_stale_content_when_its_origin_fails() {
    let faults: Vec<(&str, Answer)> = vec![
        ("500", Answer::new(500)),
        ("502", Answer::new(502)),
        ("503", Answer::new(503).body("busy")),
        ("504", Answer::new(504)),
        ("reset", Answer::steps(vec![Step::Reset])),
        ("close", Answer::steps(vec![Step::Close])),
        ("nonsense", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    ];
    let (origin, edge) = edge();
    for (name, fault) in faults {
        let path = format!("/{name}");
        origin.on(&path, stale("kept", ", stale-if-error=600"));
        assert_eq!(edge.get(HOST, &path).text(), "kept", "{name}");
        origin.on(&path, fault);
        for _ in 0..2 {
            let resp = edge.get(HOST, &path);
            assert_eq!((resp.status, resp.text().as_str()), (200, "kept"), "{name}");
            assert!(resp.age().is_some_and(|age| age >= 20), "{name}");
        }
        origin.on(&path, Answer::cacheable("back", 600));
        assert!(eventually(|| edge.get(HOST, &path).text() == "back"), "{name}: recovery");
    }
    becomes(1, "there were stale answers", || answered(&edge, "stale").min(1));
}

/// A HEAD is answered from what is stored for GET when the origin fails, and the answer says that
/// it was asked: a forwarded request is no hit (RFC 9211 2.1).
#[test]
fn a_head_is_answered_stale_too_and_is_no_hit() {
    let (origin, edge) = edge();
    origin.on("/h", stale("kept", ", stale-if-error=600"));
    assert_eq!(edge.get(HOST, "/h").text(), "kept");
    origin.on("/h", Answer::new(503).body("busy"));
    let mut client = Client::http(edge.http());
    client.send(format!("HEAD /h HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let resp = client.read("HEAD").expect("an answer");
    assert_eq!(resp.status, 200);
    let status = resp.joined("cache-status");
    assert!(!status.contains("hit") && status.contains("fwd=stale; fwd-status=503"), "{status}");
}

/// A dead origin is not a slow one: nothing listens there any more.
#[test]
fn a_site_stays_up_when_nothing_listens_at_its_origin() {
    let (origin, edge) = edge_with(|site| site.set("stale_if_error", "1h"));
    origin.on("/dead", stale("kept", ""));
    origin.on("/cold", Answer::cacheable("never seen", 60));
    assert_eq!(edge.get(HOST, "/dead").text(), "kept");
    let addr = origin.addr().to_string();
    origin.die();
    assert!(eventually(|| std::net::TcpStream::connect(&addr).is_err()));
    assert_eq!(edge.get(HOST, "/dead").text(), "kept");
    let cold = edge.get(HOST, "/cold");
    assert_eq!(cold.status, 502, "{:?}", cold.headers);
    assert!(cold.header("x-request-id").is_some());
    let origin = selvedge_tests::Origin::start_at(&addr, None);
    origin.on("*", Answer::cacheable("back", 60));
    assert!(eventually(|| edge.get(HOST, "/cold").text() == "back"), "recovery by itself");
    assert!(eventually(|| edge.get(HOST, "/dead").text() == "back"), "recovery by itself");
}

/// RFC 9111 5.2.2.2 and 5.2.2.8: some responses must not be served stale, whatever else is said.
#[test]
fn must_revalidate_forbids_stale_answers() {
    let (origin, edge) = edge_with(|site| site.set("stale_if_error", "1h"));
    for (number, directive) in
        [", must-revalidate", ", proxy-revalidate", ", s-maxage=5", ", no-cache"].iter().enumerate()
    {
        let path = format!("/must-{number}");
        let answers = vec![stale("old", directive).etag("\"1\""), Answer::new(503)];
        origin.on_each(&path, answers);
        assert_eq!(edge.get(HOST, &path).text(), "old");
        let resp = edge.get(HOST, &path);
        assert!(matches!(resp.status, 503 | 504), "{directive}: {}", resp.status);
    }
}

/// Without a window, the failure of the origin is what the client sees.
#[test]
fn without_a_stale_window_the_error_is_passed_on() {
    let (origin, edge) = edge();
    origin.on_each("/e", vec![stale("old", "").etag("\"1\""), Answer::new(503).body("down")]);
    assert_eq!(edge.get(HOST, "/e").text(), "old");
    let resp = edge.get(HOST, "/e");
    assert_eq!((resp.status, resp.text().as_str()), (503, "down"));
    assert_eq!(origin.fetches("/e"), 2);
}

/// Threat 26 and 30: an error is not kept beyond what the site allows.
#[test]
fn errors_of_the_origin_are_not_cached_unless_the_site_says_so() {
    for (ttl, fetches) in [("0s", 2), ("1h", 1)] {
        let (origin, edge) = edge_with(|site| site.set("ttl_error", ttl));
        for status in [404, 500, 503] {
            let path = format!("/{status}");
            origin.on(&path, Answer::new(status).body("sorry"));
            assert_eq!(edge.get(HOST, &path).status, status);
            assert_eq!(edge.get(HOST, &path).status, status);
            assert_eq!(origin.fetches(&path), fetches, "{status} with ttl_error {ttl}");
        }
        origin.on("/400", Answer::new(400).body("bad"));
        assert_eq!(edge.get(HOST, "/400").status, 400);
        assert_eq!(edge.get(HOST, "/400").status, 400);
        assert_eq!(origin.fetches("/400"), 2, "400 is never kept without being told to");
    }
}
