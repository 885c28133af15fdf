//! Fragments that fail, what stands in for them, and fragments as what they are: requests with a
//! key, a lifetime and tags of their own.

use crate::esi::{broken, faults, live_page, page, shows};
use crate::support::{HOST, becomes, edge, edge_with, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Gate, eventually};

#[test]
fn the_other_source_is_asked_only_if_the_first_one_fails() {
    let (origin, edge) = edge();
    origin.on("/good", Answer::cacheable("good", 600));
    origin.on("/bad", Answer::new(500).body("broken"));
    origin.on("/alt", Answer::cacheable("alt", 600));
    shows(&origin, &edge, "/1", "A<esi:include src=\"/good\" alt=\"/alt\"/>B", "AgoodB");
    assert_eq!(origin.fetches("/alt"), 0);
    shows(&origin, &edge, "/2", "A<esi:include src=\"/bad\" alt=\"/alt\"/>B", "AaltB");
    assert_eq!((origin.fetches("/alt"), origin.fetches("/bad")), (1, 2));
    becomes(2, "failed fragments", || faults(&edge, "fragment-server-error"));
}

/// Each way in which a fragment can fail leaves a page that says so, or one without it.
#[test]
fn a_fragment_that_fails_is_left_out_or_breaks_the_page_as_its_tag_says() {
    let (origin, edge) = edge();
    let rows: Vec<(&str, Answer, &str)> = vec![
        ("500", Answer::new(500).body("secret"), "fragment-server-error"),
        ("404", Answer::new(404).body("secret"), "fragment-not-found"),
        ("403", Answer::new(403).body("secret"), "fragment-client-error"),
        ("301", Answer::new(301).header("location", "/x").body("secret"), "fragment-redirect"),
        ("302", Answer::new(302).header("location", "/x").body("secret"), "fragment-redirect"),
        ("206", Answer::new(206).body("secret"), "fragment-server-error"),
        ("silent", Answer::steps(vec![Step::Silence]), "fragment-timeout"),
    ];
    for (name, answer, word) in rows {
        let path = format!("/f{name}");
        origin.on(&path, answer);
        let before = faults(&edge, word);
        // A busy machine is no failure; only the one that says nothing is to run out of time.
        let wait = if name == "silent" { 200 } else { 30_000 };
        let tag = format!("<esi:include src=\"{path}\" maxwait=\"{wait}\"");
        origin.on("/mild", live_page(&format!("A{tag} onerror=\"continue\"/>B")));
        let resp = edge.get(HOST, "/mild");
        assert_eq!((resp.status, resp.text().as_str()), (200, "AB"), "{name}");
        origin.on("/strict", live_page(&format!("A{tag}/>B")));
        assert_eq!(broken(&edge, "/strict").text(), "A", "{name}");
        becomes(before + 2, word, || faults(&edge, word));
    }
    assert_eq!(origin.fetches("/x"), 0, "redirects are not followed");
}

/// Before anything was sent the client is told with a status.
#[test]
fn a_fragment_that_is_known_to_be_missing_makes_the_page_an_error() {
    let (origin, edge) = edge_with(|site| site.set("ttl_error", "1h"));
    origin.on("/gone", Answer::new(404).body("secret"));
    origin.on("/p", page("A<esi:include src=\"/gone\"/>B"));
    assert_eq!(broken(&edge, "/p").text(), "A", "the head goes out before it is known");
    for _ in 0..2 {
        let resp = edge.get(HOST, "/p");
        assert_eq!(resp.status, 502, "{}", resp.text());
        assert!(!resp.text().contains("secret"));
        assert_eq!(resp.header("cache-control"), Some("no-store"));
    }
    assert_eq!((origin.fetches("/gone"), origin.fetches("/p")), (1, 1));
}

/// The same where a page begins with the fragment: there is nothing to send before it.
#[test]
fn a_page_that_begins_with_a_fragment_that_fails_is_an_error() {
    let (origin, edge) = edge();
    origin.on("/bad", Answer::new(500).body("secret"));
    let body = "<esi:include src=\"/bad\"/>B";
    let gate = Gate::shut();
    // The second one comes in two parts: its tag is not there when its head is.
    let late = live_page(body).body_gate(&gate);
    for (path, answer) in [("/kept", page(body)), ("/late", late), ("/live", live_page(body))] {
        origin.on(path, answer);
        if path == "/late" {
            let gate = gate.clone();
            std::thread::spawn(move || gate.reached_by(1).then(|| gate.open()));
        }
        for _ in 0..2 {
            let resp = edge.get(HOST, path);
            assert_eq!(resp.status, 502, "{}", resp.text());
            assert!(!resp.text().contains("secret"));
        }
    }
    becomes(6, "failed pages", || {
        edge.metrics().sum("selvedge_errors_total", &["site=\"any\"", "\"esi\""]) as u64
    });
}

/// A fragment that breaks off is as one that failed, and is not kept.
#[test]
fn a_fragment_that_breaks_off_is_replaced_and_not_stored() {
    let (origin, edge) = edge();
    let short = Answer::cacheable("0123456789", 600).content_length("100");
    origin.on("/short", short);
    origin.on("/alt", Answer::cacheable("alt", 600));
    origin.on("/mild", page("A<esi:include src=\"/short\" onerror=\"continue\"/>B"));
    origin.on("/alts", page("A<esi:include src=\"/short\" alt=\"/alt\"/>B"));
    origin.on("/strict", page("A<esi:include src=\"/short\"/>B"));
    assert_eq!(edge.get(HOST, "/mild").text(), "AB");
    assert_eq!(edge.get(HOST, "/alts").text(), "AaltB");
    assert_eq!(broken(&edge, "/strict").text(), "A");
    let asked = origin.fetches("/short");
    origin.on("/short", Answer::cacheable("whole", 600));
    assert_eq!(edge.get(HOST, "/mild").text(), "AwholeB");
    assert_eq!(origin.fetches("/short"), asked + 1);
}

#[test]
fn a_fragment_without_content_leaves_the_page_complete() {
    let (origin, edge) = edge();
    origin.on("/204", Answer::new(204));
    origin.on("/empty", Answer::cacheable("", 600));
    let body = "A<esi:include src=\"/204\"/>B<esi:include src=\"/empty\"/>C";
    shows(&origin, &edge, "/p", body, "ABC");
    assert_eq!(faults(&edge, "fragment-server-error"), 0);
}

/// The tag's own time limit, and one that nobody can wait for.
#[test]
fn a_tag_says_how_long_its_page_waits() {
    let (origin, edge) = edge();
    origin.on("/silent", Answer::steps(vec![Step::Silence]));
    origin.on("/alt", Answer::cacheable("alt", 600));
    assert_eq!(edge.get(HOST, "/alt").text(), "alt", "it is at hand then");
    let tag = "<esi:include src=\"/silent\" alt=\"/alt\" maxwait=\"100\"/>";
    origin.on("/p", live_page(&format!("A{tag}B")));
    assert_eq!(edge.get(HOST, "/p").text(), "AaltB");
    becomes(1, "fragments that took too long", || faults(&edge, "fragment-timeout"));
    let vast = "<esi:include src=\"/alt\" maxwait=\"99999999999999999999\"/>";
    let most = "<esi:include src=\"/alt\" maxwait=\"18446744073709551615\"/>";
    origin.on("/q", live_page(&format!("A{vast}{most}B")));
    assert_eq!(edge.get(HOST, "/q").text(), "AaltaltB");
}

/// Five that cannot be shared, at an origin that answers none before all were asked for.
#[test]
fn fragments_are_fetched_side_by_side_and_sent_in_order() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let mut body = String::from("A");
    let mut expected = String::from("A");
    for number in 0..5 {
        let answer = Answer::uncacheable(&format!("[{number}]")).gate(&gate);
        origin.on(&format!("/{number}"), answer);
        body.push_str(&format!("<esi:include src=\"/{number}\"/>-"));
        expected.push_str(&format!("[{number}]-"));
    }
    origin.on("/p", live_page(&body));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(5), "all are asked for before one has answered");
    gate.open();
    assert_eq!(client.read("GET").expect("a page").text(), expected);
}

/// The first one comes last: nothing behind it goes out before it.
#[test]
fn the_slowest_fragment_keeps_its_place() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    origin.on("/slow", Answer::uncacheable("1").gate(&gate));
    origin.on("/b", Answer::uncacheable("2"));
    origin.on("/c", Answer::uncacheable("3"));
    let tags = ["/slow", "/b", "/c"].map(|src| format!("<esi:include src=\"{src}\"/>"));
    origin.on("/p", live_page(&tags.concat()));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(eventually(|| origin.fetches("/b") + origin.fetches("/c") == 2));
    gate.open();
    assert_eq!(client.read("GET").expect("a page").text(), "123");
}

/// What is in front of a fragment is with the client while that is being made.
#[test]
fn the_head_and_first_text_go_out_before_the_fragment_is_there() {
    for coding in ["identity", "gzip"] {
        let (origin, edge) = edge();
        let gate = Gate::shut();
        origin.on("/f", Answer::uncacheable("late").gate(&gate));
        origin.on("/p", live_page("early<esi:include src=\"/f\"/>."));
        let mut client = Client::http(edge.http());
        let fields = format!("Host: {HOST}\r\nAccept-Encoding: {coding}\r\n");
        client.send(format!("GET /p HTTP/1.1\r\n{fields}\r\n"));
        let mut got = Vec::new();
        let has = |got: &[u8], text: &[u8]| got.windows(text.len()).any(|part| part == text);
        let early: &[u8] = if coding == "gzip" { b"\x1f\x8b" } else { b"early" };
        while !(has(&got, b"\r\n\r\n") && has(&got, early)) {
            let more = client.read_some();
            assert!(!more.is_empty(), "{coding}: {}", got.escape_ascii());
            got.extend(more);
        }
        assert!(got.starts_with(b"HTTP/1.1 200"));
        gate.open();
        while !got.ends_with(b"\r\n0\r\n\r\n") {
            let more = client.read_some();
            assert!(!more.is_empty(), "{coding}: {}", got.escape_ascii());
            got.extend(more);
        }
    }
}

/// A chain of fragments ends at the site's depth, and a page in itself at once.
#[test]
fn fragments_within_fragments_come_to_an_end() {
    let (origin, edge) = edge_with(|site| site.set("esi_depth", 3));
    for level in 0..9 {
        let body = format!("{level}<esi:include src=\"/{}\"/>", level + 1);
        origin.on(&format!("/{level}"), page(&body));
    }
    for _ in 0..2 {
        let resp = edge.get(HOST, "/0");
        assert_eq!((resp.status, resp.text().as_str()), (200, "0123"));
    }
    assert_eq!(origin.fetches("/4"), 0);
    becomes(2, "fragments that are too deep", || faults(&edge, "fragment-too-deep"));
    let me = "<esi:include src=\"/me\"/>";
    shows(&origin, &edge, "/me", &format!("A{me}{me}B"), "AB");
    assert_eq!(origin.fetches("/me"), 1);
    becomes(4, "loops", || faults(&edge, "fragment-loop"));
    origin.on("/x", page("x<esi:include src=\"/y\"/>"));
    origin.on("/y", page("y<esi:include src=\"/x\"/>"));
    assert_eq!(edge.get(HOST, "/x").text(), "xy");
    assert_eq!((origin.fetches("/x"), origin.fetches("/y")), (1, 1));
}

/// A loop that looks like another page each time costs as much as a page may, and no more.
#[test]
fn a_loop_through_query_strings_is_bounded_in_all() {
    let (origin, edge) = edge_with(|site| site.set("esi_fragments", 40).set("esi_depth", 10));
    origin.on_fn("/me", |req, _| {
        let tag = |n| format!("<esi:include src=\"{}{n}\"/>", req.target);
        live_page(&format!("x{}{}", tag(0), tag(1)))
    });
    let resp = edge.get(HOST, "/me?");
    assert_eq!(resp.status, 200);
    assert_eq!(resp.text(), "x".repeat(41));
    assert_eq!(origin.fetches("/me"), 41);
    assert!(faults(&edge, "fragment-too-many") > 0);
}

/// A parent that is kept, and a fragment that never is.
#[test]
fn each_part_has_its_own_lifetime() {
    let (origin, edge) = edge();
    origin.on("/live", Answer::uncacheable("l"));
    origin.on("/hour", Answer::cacheable("h", 3600));
    let brief = Answer::cacheable("b", 1).header("age", "1");
    origin.on("/brief", brief);
    let tags = ["/live", "/hour", "/brief"].map(|src| format!("<esi:include src=\"{src}\"/>"));
    origin.on("/p", page(&tags.concat()));
    for _ in 0..3 {
        assert_eq!(edge.get(HOST, "/p").text(), "lhb");
    }
    let asked = ["/p", "/live", "/hour", "/brief"].map(|path| origin.fetches(path));
    assert_eq!(asked, [1, 3, 1, 3]);
}

/// The template is what was confirmed, the fragments are new.
#[test]
fn a_page_that_the_origin_confirms_is_assembled_from_what_is_kept() {
    let (origin, edge) = edge();
    let stale = Answer::new(200).header("cache-control", "max-age=10").header("age", "20");
    let stale = stale.header("content-type", "text/html").etag("\"1\"");
    let stale = stale.header("surrogate-control", "content=\"ESI/1.0\"");
    origin.on("/p", stale.body("A<esi:include src=\"/f\"/>B"));
    origin.on_each("/f", (1..9).map(|n| Answer::uncacheable(&n.to_string())).collect());
    for number in 1..4 {
        assert_eq!(edge.get(HOST, "/p").text(), format!("A{number}B"));
    }
    assert_eq!(origin.last("/p").header("if-none-match"), Some("\"1\""));
    becomes(2, "confirmations", || site_count(&edge, "revalidations_confirmed"));
}

/// Purged by the tag of one fragment, the page has the new one, and nothing else is fetched.
#[test]
fn purging_one_fragment_changes_every_page_that_shows_it() {
    let (origin, edge) = edge();
    origin.on("/price", Answer::cacheable("10", 600).header("cache-tag", "price"));
    origin.on("/text", Answer::cacheable("t", 600).header("cache-tag", "text"));
    let body = "<esi:include src=\"/text\"/>:<esi:include src=\"/price\"/>";
    origin.on("/p", page(body));
    origin.on("/q", page(body));
    let old = edge.get(HOST, "/p");
    assert_eq!((old.text().as_str(), edge.get(HOST, "/q").text().as_str()), ("t:10", "t:10"));
    let whole = edge.get(HOST, "/p");
    let etag = whole.header("etag").expect("it is complete").to_owned();
    assert_eq!(whole.header("cache-tag"), None);
    origin.on("/price", Answer::cacheable("20", 600).header("cache-tag", "price"));
    let mut client = Client::http(edge.http());
    let purge = format!("PURGE / HTTP/1.1\r\nHost: {HOST}\r\nCache-Tag: price\r\n\r\n");
    assert_eq!(client.request(&purge).status, 200);
    let new = edge.get_with(HOST, "/p", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((new.status, new.text().as_str()), (200, "t:20"), "never a wrong 304");
    assert_eq!(edge.get(HOST, "/q").text(), "t:20");
    let asked = ["/p", "/q", "/text", "/price"].map(|path| origin.fetches(path));
    assert_eq!(asked, [1, 1, 1, 2]);
}

/// With the origin gone, page and fragments are what was there before.
#[test]
fn a_page_stays_up_when_its_origin_is_gone() {
    let (origin, edge) = edge_with(|site| site.set("stale_if_error", "1h"));
    let stale = |answer: Answer| answer.header("age", "700");
    origin.on(
        "/p",
        stale(page("A<esi:include src=\"/f\"/>B<esi:include src=\"/new\" onerror=\"continue\"/>")),
    );
    origin.on("/f", stale(Answer::cacheable("X", 600)));
    origin.on("/new", Answer::uncacheable("!"));
    assert_eq!(edge.get(HOST, "/p").text(), "AXB!");
    let addr = origin.addr().to_string();
    origin.die();
    assert!(eventually(|| std::net::TcpStream::connect(&addr).is_err()));
    for _ in 0..2 {
        let resp = edge.get(HOST, "/p");
        assert_eq!((resp.status, resp.text().as_str()), (200, "AXB"));
    }
    assert!(site_count(&edge, "stale_served") >= 1);
}

/// A fragment that is private to its visitor, in a page that is not: asked for each time, with what
/// that visitor sends, while the page around it is fetched once.
#[test]
fn a_private_fragment_is_each_visitors_own_in_a_page_that_is_shared() {
    let (origin, edge) = edge();
    origin.on_fn("/me", |req, _| {
        let answer = Answer::new(200).header("cache-control", "private, max-age=60");
        answer.body(req.header("cookie").unwrap_or("nobody"))
    });
    origin.on("/p", page("<esi:include src=\"/me\"/>!"));
    let mut tag = String::from("none");
    for name in ["ann", "bob", "ann"] {
        let fields = format!("Cookie: {name}\r\nIf-None-Match: {tag}\r\n");
        let resp = edge.get_with(HOST, "/p", &fields);
        let what = "the tag of another's page confirms nothing";
        assert_eq!((resp.status, resp.text()), (200, format!("{name}!")), "{what}");
        let said = resp.header("cache-control").unwrap_or_default();
        assert!(said.contains("private"), "{said}");
        resp.header("etag").unwrap_or("none").clone_into(&mut tag);
    }
    assert_eq!((origin.fetches("/p"), origin.fetches("/me")), (1, 3));
}

/// Behind a fragment that is refreshed, the page goes out with what is there.
#[test]
fn a_stale_fragment_is_shown_while_it_is_refreshed() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let old = Answer::new(200).header("cache-control", "max-age=10, stale-while-revalidate=600");
    let old = old.header("age", "20").body("old");
    origin.on_each("/f", vec![old, Answer::cacheable("new", 600).gate(&gate)]);
    origin.on("/p", page("<esi:include src=\"/f\"/>"));
    assert_eq!(edge.get(HOST, "/p").text(), "old");
    assert_eq!(edge.get(HOST, "/p").text(), "old", "nobody waits for the refresh");
    assert!(gate.reached_by(1));
    gate.open();
    assert!(eventually(|| edge.get(HOST, "/p").text() == "new"));
    assert_eq!((origin.fetches("/p"), origin.fetches("/f")), (1, 2));
}
