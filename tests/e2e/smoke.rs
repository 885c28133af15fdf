//! The path of the README: curl asks an edge over HTTPS, the edge a parent, the parent nginx.

use crate::support::{answered, becomes, edge};
use selvedge_tests::tls::Authority;
use selvedge_tests::tools::{Nginx, curl};
use selvedge_tests::{Answer, Node, NodeConfig, Site};

/// The first request goes through both tiers to nginx; the second one is answered by the edge.
#[test]
fn curl_gets_a_page_of_nginx_through_two_tiers_and_then_from_the_edge() {
    let Some(nginx) = Nginx::start("expires 1h;") else { return };
    let page = "<!doctype html><title>Selvedge</title>".repeat(8);
    nginx.write("index.html", &page);
    let hosts = ["www.shop.test", "*.shop.test"];
    let shop = Site::new("any", &hosts, &[&nginx.url()]);
    let parent = Node::parent(&NodeConfig::new("parent-1").site(shop));
    let authority = Authority::new();
    let config = NodeConfig::new("edge-1")
        .certificate(&authority.issue(&["www.shop.test"]))
        .set("upstream", "parents", vec![parent.url()])
        .site(Site::new("any", &hosts, &[&nginx.url()]));
    let edge = Node::edge(&config);
    let ca = edge.folder().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("the folder can be written");
    let url = format!("https://www.shop.test:{}/index.html", edge.https().port());
    let resolve = format!("www.shop.test:{}:127.0.0.1", edge.https().port());
    let ca = ca.display().to_string();
    for protocol in ["--http2", "--http1.1"] {
        let args = ["-D", "-", protocol, "--cacert", &ca, "--resolve", &resolve, &url];
        let output = curl(&args);
        assert!(output.ok, "{}", output.stderr);
        let (head, body) = output.stdout.split_once("\r\n\r\n").expect("curl prints the head");
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/2 200") || head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("x-request-id: "), "{head}");
        assert_eq!(body, page);
        let expected = if protocol == "--http2" { "edge-1; fwd=uri-miss" } else { "edge-1; hit" };
        assert!(head.contains(expected), "{head}");
    }
    becomes(1, "hits at the edge", || answered(&edge, "hit"));
    becomes(1, "requests at the parent", || answered(&parent, "miss"));
    assert_eq!(nginx.access(1).len(), 1, "nginx was asked once");
}

/// The smallest thing that can work: one edge, one origin, plain HTTP.
#[test]
fn a_cacheable_page_is_fetched_once_and_served_twice() {
    let (origin, edge) = edge();
    origin.on("/page", Answer::cacheable("hello", 60).header("content-type", "text/plain"));
    let first = edge.get("www.shop.test", "/page");
    assert_eq!((first.status, first.text().as_str()), (200, "hello"));
    assert!(first.is_stored_miss("edge-1"), "{:?}", first.headers);
    let second = edge.get("www.shop.test", "/page");
    assert_eq!((second.status, second.text().as_str()), (200, "hello"));
    assert!(second.is_hit("edge-1"), "{:?}", second.headers);
    assert_eq!(origin.fetches("/page"), 1);
    becomes(1, "hits", || answered(&edge, "hit"));
    becomes(1, "misses", || answered(&edge, "miss"));
}

/// What an operator's tools ask for.
#[test]
fn the_admin_listener_says_that_the_node_lives_and_is_ready_and_what_it_counted() {
    let (_origin, edge) = edge();
    assert_eq!(edge.admin_get("/livez").status, 200);
    assert_eq!(edge.admin_get("/readyz").status, 200);
    assert_eq!(edge.admin_get("/nothing").status, 404);
    let metrics = edge.metrics();
    assert!(metrics.has("selvedge_requests_total") || metrics.has("selvedge_fills_total"));
    let mut client = selvedge_tests::Client::http(edge.http());
    let resp = client.get("edge.test", "/metrics", "");
    assert_ne!(resp.status, 200, "metrics are not on the public side");
}

/// OpenMetrics 1.0: a family is declared once, its samples follow it, and the text has an end. A
/// scraper that reads strictly refuses the whole page otherwise.
#[test]
fn each_metric_is_declared_once_with_its_samples_behind_it() {
    let (origin, edge) = edge();
    origin.on("*", Answer::cacheable("x", 60));
    assert_eq!(edge.get("www.shop.test", "/x").status, 200);
    let text = edge.admin_get("/metrics").text();
    assert!(text.ends_with("# EOF\n"));
    let mut families: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let name = family.split(' ').next().unwrap_or("");
            assert!(!families.contains(&name), "{name} is declared twice");
            families.push(name);
        } else if !line.starts_with('#') {
            let last = families.last().copied().unwrap_or("no family");
            assert!(line.starts_with(last), "{line} stands under {last}");
        }
    }
    assert!(families.len() > 50, "{}", families.len());
}

/// The command line is part of the product.
#[test]
fn a_configuration_can_be_checked_without_starting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = folder.path().join("good.toml");
    let bad = folder.path().join("bad.toml");
    let config = NodeConfig::new("edge-1").site(Site::any("http://127.0.0.1:9"));
    let text = config.render(folder.path());
    std::fs::write(&good, &text).expect("the folder can be written");
    let misspelt = text.replace("memory =", "memroy =");
    std::fs::write(&bad, misspelt).expect("the folder can be written");
    let program = selvedge_tests::node::binary().display().to_string();
    let check = |file: &std::path::Path| {
        selvedge_tests::tools::run(&program, &["check", &file.display().to_string()])
    };
    let output = check(&good);
    assert!(output.ok, "{}{}", output.stdout, output.stderr);
    let output = check(&bad);
    assert!(!output.ok);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains("memroy") && said.contains("memory"), "{said}");
    let line = 1 + text.lines().position(|line| line.starts_with("memory =")).unwrap_or(0);
    assert!(said.contains(&line.to_string()), "names line {line}: {said}");
}
