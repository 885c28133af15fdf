//! Web pages that play or read what a CDN serves (Fetch standard): the node speaks for the origin,
//! on hits and misses, parts, errors and preflights, and stores one answer for all pages.

use crate::support::{HOST, edge_with};
use selvedge_tests::tools::curl;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Response, Site};

const PAGE: &str = "https://player.example";
const ALLOW: &str = "access-control-allow-origin";

fn from_page(node: &Node, target: &str, fields: &str) -> Response {
    node.get_with(HOST, target, &format!("Origin: {PAGE}\r\n{fields}"))
}

fn listed(site: Site) -> Site {
    site.set("cors", vec![PAGE, "https://other.example:8443"]).set("cors_credentials", true)
}

/// Asserts that an answer may be read by the page, and says that it is for that page.
#[track_caller]
fn is_for_page(resp: &Response, status: u16) {
    assert_eq!(resp.status, status, "{}", resp.text());
    let of = |name| resp.joined(name);
    assert_eq!(of(ALLOW), PAGE, "{:?}", resp.headers);
    assert_eq!(of("access-control-allow-credentials"), "true", "{:?}", resp.headers);
    assert_eq!(of("timing-allow-origin"), PAGE, "{:?}", resp.headers);
    assert!(of("access-control-expose-headers").contains("Content-Range"), "{:?}", resp.headers);
    assert!(of("vary").contains("Origin"), "{:?}", resp.headers);
}

#[test]
fn a_page_may_read_every_kind_of_answer() {
    let (origin, edge) = edge_with(listed);
    let video = Answer::cacheable("0123456789", 600).etag("\"v1\"");
    origin.on("/a", video.header(ALLOW, "https://origin.example"));
    origin.on("/plain", Answer::cacheable("0123456789", 600));
    origin.on("/gone", Answer::new(404).header("cache-control", "max-age=60").body("gone"));
    origin.on("/broken", Answer::raw("nonsense\r\n\r\n"));
    for path in ["/a", "/plain"] {
        let miss = from_page(&edge, path, "");
        assert!(miss.is_stored_miss("edge-1"), "{:?}", miss.headers);
        is_for_page(&miss, 200);
        let hit = from_page(&edge, path, "");
        assert!(hit.is_hit("edge-1"), "{:?}", hit.headers);
        is_for_page(&hit, 200);
        is_for_page(&from_page(&edge, path, "Range: bytes=2-4\r\n"), 206);
        is_for_page(&from_page(&edge, path, "Range: bytes=90-\r\n"), 416);
    }
    is_for_page(&from_page(&edge, "/a", "If-None-Match: \"v1\"\r\n"), 304);
    is_for_page(&from_page(&edge, "/a", "If-Match: \"v2\"\r\n"), 412);
    is_for_page(&from_page(&edge, "/gone", ""), 404);
    is_for_page(&from_page(&edge, "/gone", ""), 404);
    is_for_page(&from_page(&edge, "/broken", ""), 502);
    let head = format!("HEAD /a HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {PAGE}\r\n\r\n");
    let mut client = Client::http(edge.http());
    client.send(head);
    is_for_page(&client.read("HEAD").expect("an answer"), 200);
    assert_eq!(origin.fetches("/a"), 1);
}

/// One stored answer serves all pages, and the origin hears of none.
#[test]
fn pages_make_no_variants_whatever_the_origin_says() {
    let (origin, edge) = edge_with(listed);
    origin.on_fn("*", |req, _| {
        let page = req.header("origin").unwrap_or("none").to_owned();
        Answer::cacheable(&page, 600).header("vary", "Origin").header(ALLOW, &page)
    });
    let first = from_page(&edge, "/x", "");
    assert_eq!(first.text(), "none", "the origin is not told");
    is_for_page(&first, 200);
    let other = edge.get_with(HOST, "/x", "Origin: https://other.example:8443\r\n");
    assert!(other.is_hit("edge-1"), "{:?}", other.headers);
    assert_eq!(other.joined(ALLOW), "https://other.example:8443");
    for fields in ["", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        let resp = edge.get_with(HOST, "/x", fields);
        assert!(resp.is_hit("edge-1"), "{:?}", resp.headers);
        assert_eq!(resp.header(ALLOW), None, "{fields}: {:?}", resp.headers);
        assert!(resp.joined("vary").contains("Origin"), "{:?}", resp.headers);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn any_page_may_read_where_the_site_says_so() {
    let (origin, edge) = edge_with(|site| site.set("cors", vec!["*"]));
    origin.on("/x", Answer::cacheable("x", 600));
    for fields in ["", "Origin: https://a.example\r\n", "Origin: https://b.example\r\n"] {
        let resp = edge.get_with(HOST, "/x", fields);
        assert_eq!(resp.joined(ALLOW), "*");
        assert_eq!(resp.joined("timing-allow-origin"), "*");
        assert_eq!(resp.header("access-control-allow-credentials"), None);
        assert!(!resp.joined("vary").contains("Origin"), "{:?}", resp.headers);
    }
    assert_eq!(origin.fetches("/x"), 1);
}

/// Without the key nothing is touched: pages make variants where the origin wants that.
#[test]
fn a_site_that_says_nothing_leaves_it_to_its_origin() {
    let (origin, edge) = edge_with(|site| site);
    origin.on_fn("*", |req, _| {
        let page = req.header("origin").unwrap_or("none").to_owned();
        Answer::cacheable(&page, 600).header("vary", "Origin").header(ALLOW, &page)
    });
    assert_eq!(from_page(&edge, "/x", "").joined(ALLOW), PAGE);
    assert_eq!(edge.get(HOST, "/x").joined(ALLOW), "none");
    assert_eq!(from_page(&edge, "/x", "").joined(ALLOW), PAGE);
    assert_eq!(origin.fetches("/x"), 2);
}

/// A preflight as browsers send it. The origin answers those for what changes something.
#[test]
fn preflights_for_reading_are_answered_here() {
    let (origin, edge) = edge_with(listed);
    let allows = Answer::new(204).header(ALLOW, "https://origin.example");
    origin.on("*", allows.header("access-control-allow-methods", "PUT"));
    let url = format!("http://{}/live/a.m4s", edge.http());
    let ask = |page: &str, method: &str| {
        let (page, host) = (format!("Origin: {page}"), format!("Host: {HOST}"));
        let method = format!("Access-Control-Request-Method: {method}");
        let names = "Access-Control-Request-Headers: cmcd-request,range";
        let fields = ["-H", &host, "-H", &page, "-H", &method, "-H", names];
        let output = curl(&[&["-i", "-X", "OPTIONS"], &fields[..], &[&url]].concat());
        assert!(output.ok, "{}", output.stderr);
        output.stdout.to_ascii_lowercase()
    };
    let answer = ask(PAGE, "GET");
    for line in [
        "http/1.1 204",
        "access-control-allow-origin: https://player.example\r\n",
        "access-control-allow-credentials: true\r\n",
        "access-control-allow-methods: get, head, options\r\n",
        "access-control-allow-headers: cmcd-request,range\r\n",
        "access-control-max-age: 86400\r\n",
    ] {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    let stranger = ask("https://evil.example", "GET");
    assert!(stranger.contains("204") && !stranger.contains("access-control-allow"), "{stranger}");
    assert_eq!(origin.requests().len(), 0);
    let put = ask(PAGE, "PUT");
    assert!(put.contains("access-control-allow-origin: https://origin.example\r\n"), "{put}");
    assert_eq!(origin.last("/live/a.m4s").header("origin"), Some(PAGE), "it decides by that");
}

/// What a POST means is for the origin to judge, by the field that says which page sends it.
#[test]
fn what_changes_something_goes_on_with_its_origin_field() {
    let (origin, edge) = edge_with(listed);
    origin.on("*", Answer::uncacheable("done"));
    let request =
        format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {PAGE}\r\nContent-Length: 1\r\n\r\nx");
    is_for_page(&Client::http(edge.http()).request(&request), 200);
    assert_eq!(origin.last("/x").header("origin"), Some(PAGE));
    from_page(&edge, "/y", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(origin.last("/y").header("origin"), Some(PAGE), "servers go by it");
    from_page(&edge, "/z", "");
    assert_eq!(origin.last("/z").header("origin"), None);
}

/// A page learns why it got nothing: a refusal for want of a token is readable too, and preflights
/// need none.
#[test]
fn refusals_can_be_read_and_preflights_need_no_token() {
    let origin = Origin::start();
    let site = listed(Site::any(&origin.url())).set("signed", "query");
    let config = NodeConfig::new("edge-1").set("node", "sign_keys", ".");
    let config = config.file("a.key", "00112233445566778899aabbccddeeff");
    let edge = Node::edge(&config.site(site.set("signed_keys", vec!["a"])));
    is_for_page(&from_page(&edge, "/x", ""), 403);
    let fields = format!("Origin: {PAGE}\r\nAccess-Control-Request-Method: GET\r\n");
    let preflight = format!("OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
    assert_eq!(Client::http(edge.http()).request(&preflight).status, 204);
    let resp = edge.get_with("bad host", "/x", &format!("Origin: {PAGE}\r\n"));
    assert_eq!((resp.status, resp.header(ALLOW)), (400, None), "nobody's site");
    assert_eq!(origin.requests().len(), 0);
}

/// A page follows a redirect only if it may read that.
#[test]
fn redirects_to_https_can_be_followed_by_pages() {
    let origin = Origin::start();
    let site = listed(Site::any(&origin.url())).set("https_redirect", true);
    let config = NodeConfig::new("edge-1").set("listen", "trust", vec!["192.0.2.1/32"]);
    let edge = Node::edge(&config.site(site));
    is_for_page(&from_page(&edge, "/x", ""), 308);
    assert_eq!(origin.requests().len(), 0);
}

/// Each node tells its own clients; what an edge stores is as the origin said it.
#[test]
fn tiers_do_not_tell_each_other() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("x", 600));
    let site = || listed(Site::any(&origin.url()));
    let parent = Node::parent(&NodeConfig::new("parent-1").site(site()));
    let edge = NodeConfig::new("edge-1").set("upstream", "parents", vec![parent.url()]);
    let edge = Node::edge(&edge.site(Site::any(&origin.url())));
    let resp = from_page(&edge, "/x", "");
    assert!(resp.joined("cache-status").contains("parent-1"), "{:?}", resp.headers);
    assert_eq!(resp.header(ALLOW), None, "this edge says nothing: {:?}", resp.headers);
    is_for_page(&from_page(&parent, "/x", ""), 200);
    let foreign = from_page(&parent, "/x", "CDN-Loop: othercdn\r\n");
    is_for_page(&foreign, 200);
    assert_eq!(origin.fetches("/x"), 1);
}
