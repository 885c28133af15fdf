//! Many fragments and many clients: what a page may cost, whoever asks for it.

use crate::esi::{faults, live_page, page};
use crate::support::{HOST, alone, becomes, edge, edge_config, edge_with};
use rustix::process::Signal;
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Gate, Node, Origin, Site, eventually};

/// A hundred at once, of a page that nobody has yet: the page and its three fragments, once each.
#[test]
fn a_hundred_cold_requests_of_a_page_cost_four_fetches() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let tags = ["/a", "/b", "/c"].map(|src| format!("<esi:include src=\"{src}\"/>"));
    origin.on("/p", page(&tags.concat()).gate(&gate));
    for path in ["/a", "/b", "/c"] {
        origin.on(path, Answer::cacheable(&path[1..], 600));
    }
    std::thread::scope(|scope| {
        let one = || Client::http(edge.http()).get(HOST, "/p", "").text();
        let all: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
        let joins = || edge.metrics().sum("selvedge_store_fill_joins_total", &[]);
        let joined = eventually(|| joins() >= 99.0);
        gate.open();
        assert!(joined, "they wait for one fill: {}", joins());
        for page in all {
            assert_eq!(page.join().expect("an answer"), "abc");
        }
    });
    assert_eq!(edge.get(HOST, "/p").text(), "abc");
    let fetched = ["/p", "/a", "/b", "/c"].map(|path| origin.fetches(path));
    assert_eq!(fetched, [1, 1, 1, 1]);
    becomes(101, "pages", || edge.metrics().sum("selvedge_esi_pages_total", &[]) as u64);
}

/// A client that leaves takes the fetches that were for it alone with it.
#[test]
fn a_client_that_leaves_cancels_what_was_fetched_for_it_alone() {
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let mut body = String::from("A");
    for number in 0..5 {
        // Answered once, so that it is known that nobody can share them.
        let path = format!("/{number}");
        origin.on_each(&path, vec![Answer::uncacheable("x"), Answer::uncacheable("x").gate(&gate)]);
        body.push_str(&format!("<esi:include src=\"{path}\"/>"));
    }
    origin.on("/p", page(&body));
    assert_eq!(edge.get(HOST, "/p").text(), "Axxxxx");
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(5));
    let files = edge.files_open();
    client.reset();
    assert!(eventually(|| edge.files_open() + 5 <= files), "its connections are closed");
    becomes(1, "clients that left", || {
        edge.metrics().sum("selvedge_client_aborted_total", &[]) as u64
    });
    gate.open();
    assert_eq!(edge.get(HOST, "/p").text(), "Axxxxx", "and nothing is left behind");
}

/// Ten thousand tags: the site's limit of fragments, a bounded number at a time, little memory.
#[test]
fn a_page_with_ten_thousand_includes_costs_no_more_than_its_site_allows() {
    let _alone = alone();
    let (origin, edge) = edge_with(|site| site.set("esi_parallel", 4));
    let gate = Gate::shut();
    origin.on("/f", Answer::uncacheable("x").gate(&gate));
    let body: String = (0..10_000).map(|n| format!("<esi:include src=\"/f?{n}\"/>.")).collect();
    origin.on("/p", page(&body));
    origin.on("/live", live_page(&body));
    let before = edge.rss_bytes();
    for path in ["/p", "/live", "/p"] {
        let asked = origin.fetches("/f");
        let mut client = Client::http(edge.http());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        if asked == 0 {
            assert!(gate.reached_by(4));
            assert_eq!(origin.fetches("/f"), 4, "no more than that at a time");
            gate.open();
        }
        let text = client.read("GET").expect("a page").text();
        assert_eq!(text, format!("{}{}", "x.".repeat(256), ".".repeat(9_744)), "{path}");
        assert_eq!(origin.fetches("/f"), asked + 256, "{path}");
    }
    becomes(3 * 9_744, "fragments left out", || faults(&edge, "fragment-too-many"));
    let growth = edge.rss_bytes().saturating_sub(before);
    assert!(growth < 48 << 20, "{growth} bytes");
}

/// Fragments that wait for their turn are not gathered without end.
#[test]
fn large_fragments_behind_a_slow_one_are_not_held_whole() {
    let _alone = alone();
    let (origin, edge) = edge();
    let gate = Gate::shut();
    let big = Answer::new(200).header("cache-control", "no-store");
    origin.on("/warm", big.clone().generate(8 << 20, false));
    origin.on("/big", big.generate(64 << 20, false));
    origin.on("/slow", Answer::uncacheable("slow").gate(&gate));
    let tags: String = (0..15).map(|n| format!("<esi:include src=\"/big?{n}\"/>")).collect();
    origin.on("/p", live_page(&format!("<esi:include src=\"/slow\"/>{tags}")));
    edge.get(HOST, "/warm");
    let before = edge.rss_bytes();
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(1) && eventually(|| origin.fetches("/big") == 15));
    let mut last = 0;
    let mut same = 0;
    assert!(eventually(|| {
        let now = origin.generated();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= 20
    }));
    let growth = edge.rss_bytes().saturating_sub(before);
    assert!(growth < 48 << 20, "{growth} bytes");
    client.reset();
    gate.open();
    assert!(eventually(|| origin.connections_live() <= 2), "the origin is let go");
}

/// A fragment that has begun to come and waits for its turn is one of those asked for at a time.
#[test]
fn fragments_that_wait_for_their_turn_count_as_asked_for() {
    let (origin, edge) = edge_with(|site| site.set("esi_parallel", 4));
    let gate = Gate::shut();
    let big = "0123456789abcdef".repeat((1 << 20) / 16);
    origin.on("/big", Answer::uncacheable(&big));
    origin.on("/slow", Answer::uncacheable("slow").gate(&gate));
    let tags: String = (0..20).map(|n| format!("<esi:include src=\"/big?{n}\"/>")).collect();
    origin.on("/p", live_page(&format!("<esi:include src=\"/slow\"/>{tags}")));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(1) && eventually(|| origin.fetches("/big") >= 3));
    // Another page goes through meanwhile: what would be asked for has been.
    origin.on("/q", live_page(&"<esi:include src=\"/big\"/>".repeat(8)));
    assert_eq!(edge.get(HOST, "/q").body.len(), 8 << 20);
    assert_eq!(origin.fetches("/big"), 3 + 8);
    gate.open();
    let text = client.read("GET").expect("a page").text();
    assert!(text == format!("slow{}", big.repeat(20)), "{}", text.len());
    assert_eq!(origin.fetches("/big"), 20 + 8);
}

/// One that is sent for ever goes to its client for ever, and ends with it.
#[test]
fn a_fragment_without_end_is_passed_on_and_ends_with_its_client() {
    let _alone = alone();
    let (origin, edge) = edge();
    let endless = Answer::new(200).header("cache-control", "no-store").generate(10 << 30, true);
    origin.on("/endless", endless);
    origin.on("/p", live_page("A<esi:include src=\"/endless\"/>B"));
    let before = edge.rss_bytes();
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(client.read_exactly(20 << 20).expect("bytes").len(), 20 << 20);
    let growth = edge.rss_bytes().saturating_sub(before);
    assert!(growth < 32 << 20, "{growth} bytes");
    client.reset();
    assert!(eventually(|| origin.connections_live() <= 1), "the origin is let go");
    // The same within an attempt, of which nothing goes out before all is there.
    let tag = "<esi:include src=\"/endless\"/>";
    origin.on(
        "/try",
        live_page(&format!(
            "A<esi:try><esi:attempt>{tag}</esi:attempt><esi:except>no</esi:except></esi:try>B"
        )),
    );
    assert_eq!(edge.get(HOST, "/try").text(), "AnoB");
    becomes(1, "attempts that were too large", || faults(&edge, "attempt-too-large"));
}

/// Pages that are not kept as templates, and those that are stored in slices.
#[test]
fn large_pages_are_assembled_to_the_last_byte() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    for (path, size) in [("/mid", 3 << 20), ("/large", 20 << 20)] {
        let filling = "0123456789abcdef".repeat(size / 16);
        let tag = "<esi:include src=\"/f\"/>";
        origin.on(path, page(&format!("{tag}{filling}{tag}")).etag("\"v1\""));
        for (fields, status) in [("", 200), ("Range: bytes=5-9\r\n", 200), ("", 200)] {
            let resp = edge.get_with(HOST, path, fields);
            assert_eq!((resp.status, resp.body.len()), (status, size + 2), "{path} {fields}");
            assert!(resp.text() == format!("X{filling}X"), "{path} {fields}");
        }
    }
    assert_eq!(origin.fetches("/f"), 1);
    let large = "fedcba9876543210".repeat((20 << 20) / 16);
    origin.on("/part", Answer::cacheable(&large, 600).etag("\"v1\""));
    origin.on("/p", page("A<esi:include src=\"/part\"/>B"));
    for _ in 0..3 {
        let text = edge.get(HOST, "/p").text();
        assert!(text == format!("A{large}B"), "{}", text.len());
    }
    assert_eq!(origin.fetches("/p"), 1);
}

/// Thousands of tags at an origin that says nothing: so many time limits as a page may have
/// fragments, side by side, and then it is done.
#[test]
fn a_page_full_of_slow_fragments_comes_to_an_end() {
    let set = |site: Site| {
        site.set("esi_timeout", "50ms").set("esi_fragments", 64).set("esi_parallel", 32)
    };
    let (origin, edge) = edge_with(set);
    origin.on("/silent", Answer::steps(vec![Step::Silence]));
    let tag = |n| format!("<esi:include src=\"/silent?{n}\" onerror=\"continue\"/>.");
    let body: String = (0..5_000).map(tag).collect();
    origin.on("/p", live_page(&body));
    let resp = edge.get(HOST, "/p");
    assert_eq!((resp.status, resp.text()), (200, ".".repeat(5_000)));
    becomes(64, "fragments that took too long", || faults(&edge, "fragment-timeout"));
    becomes(5_000 - 64, "fragments left out", || faults(&edge, "fragment-too-many"));
    assert!(origin.fetches("/silent") <= 64);
}

/// A node that is asked to end sends the pages that it has begun to the last byte.
#[test]
fn a_page_is_finished_before_its_node_ends() {
    let (origin, mut edge) = edge();
    let gate = Gate::shut();
    origin.on("/f", Answer::uncacheable("X").gate(&gate));
    origin.on("/p", live_page("A<esi:include src=\"/f\"/>B<esi:include src=\"/f?2\"/>C"));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /p HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(gate.reached_by(2));
    edge.signal(Signal::TERM);
    assert!(eventually(|| edge.admin_get("/readyz").status == 503), "it is draining");
    gate.open();
    assert_eq!(client.read("GET").expect("a page").text(), "AXBXC");
    assert!(edge.wait().success());
}

/// After a kill, page and fragments come from the disk, and the template is made again.
#[test]
fn pages_are_assembled_from_what_is_on_disk() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");
    let disk = serde_json::json!({ "path": path, "size": "64MiB" });
    let config = edge_config(&origin).set("cache", "disk", vec![disk]);
    origin.on("/p", page("A<esi:include src=\"/f\"/>B"));
    origin.on("/f", Answer::cacheable("X", 600));
    let mut edge = Node::edge(&config);
    assert_eq!(edge.get(HOST, "/p").text(), "AXB");
    let figure = |name: &str| edge.metrics().sum(&format!("selvedge_disk_{name}"), &[]) as u64;
    assert!(eventually(|| figure("records") >= 2), "both are taken");
    assert!(eventually(|| figure("unwritten_bytes") == 0), "and are in the files");
    edge.kill();
    let edge = Node::edge(&config);
    for _ in 0..2 {
        assert_eq!(edge.get(HOST, "/p").text(), "AXB");
    }
    assert_eq!((origin.fetches("/p"), origin.fetches("/f")), (1, 1));
}
