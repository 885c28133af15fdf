//! Who assembles a page where several could: the node that clients ask, unless a surrogate in front
//! of it that is trusted says that it does.

use crate::esi::{live_page, page};
use crate::peers::Region;
use crate::support::{HOST, becomes, edge, edge_config, site_count};
use selvedge_tests::{Answer, Node, NodeConfig, Origin, Site};

const TAGGED: &str = "A<esi:include src=\"/f\"/>B";

fn origin() -> Origin {
    let origin = Origin::start();
    origin.on("/p", page(TAGGED));
    origin.on("/live", live_page(TAGGED));
    origin.on("/f", Answer::cacheable("X", 600));
    origin
}

#[test]
fn the_origin_is_told_that_pages_are_assembled_here() {
    let (origin, edge) = edge();
    origin.on("/p", page(TAGGED));
    origin.on("/f", Answer::cacheable("X", 600));
    assert_eq!(edge.get(HOST, "/p").text(), "AXB");
    for path in ["/p", "/f"] {
        let told: Vec<String> =
            origin.last(path).all("surrogate-capability").map(str::to_owned).collect();
        assert_eq!(told, ["edge-1=\"Surrogate/1.0 ESI/1.0\""], "{path}");
    }
}

/// Anybody can send the field; who is not trusted is not heard, and not quoted to the origin.
#[test]
fn a_client_cannot_have_a_page_left_as_it_is() {
    let origin = origin();
    let edge = Node::edge(&edge_config(&origin));
    let fields = "Surrogate-Capability: evil=\"ESI/1.0\"\r\n";
    for path in ["/live", "/p"] {
        assert_eq!(edge.get_with(HOST, path, fields).text(), "AXB");
        let told: Vec<String> =
            origin.last(path).all("surrogate-capability").map(str::to_owned).collect();
        assert_eq!(told, ["edge-1=\"Surrogate/1.0 ESI/1.0\""], "{path}");
    }
}

/// One that is trusted gets the page with its tags, and the field that says what to do with them.
#[test]
fn a_trusted_surrogate_that_assembles_pages_gets_them_whole() {
    let origin = origin();
    let config = edge_config(&origin).set("listen", "trust", vec!["127.0.0.0/8"]);
    let edge = Node::edge(&config);
    for path in ["/live", "/p", "/p"] {
        let fields = "Surrogate-Capability: front=\"ESI/1.0\"\r\n";
        let left = edge.get_with(HOST, path, fields);
        assert_eq!(left.text(), TAGGED, "{path}");
        assert_eq!(left.header("surrogate-control"), Some("content=\"ESI/1.0\""), "{path}");
        let told = origin.last(path).all("surrogate-capability").collect::<Vec<_>>().join(", ");
        assert!(told.contains("front=\"ESI/1.0\""), "{told}");
        let other = edge.get_with(HOST, path, "Surrogate-Capability: front=\"Surrogate/1.0\"\r\n");
        assert_eq!(other.text(), "AXB", "{path}: that one does not");
        assert_eq!(other.header("surrogate-control"), None, "{path}");
    }
    let told = origin.last("/live").all("surrogate-capability").collect::<Vec<_>>().join(", ");
    let both = "front=\"Surrogate/1.0\", edge-1=\"Surrogate/1.0 ESI/1.0\"";
    assert_eq!(told, both, "it is added to what others can");
}

/// A parent passes pages on as they are; the edge asks it for the fragments.
#[test]
fn a_parent_leaves_the_page_to_its_edges() {
    let origin = origin();
    let parent = Node::parent(&NodeConfig::new("parent-1").site(Site::any(&origin.url())));
    let edges = ["edge-1", "edge-2"].map(|name| {
        let config = NodeConfig::new(name).set("upstream", "parents", vec![parent.url()]);
        Node::edge(&config.site(Site::any(&origin.url())))
    });
    for edge in &edges {
        for path in ["/p", "/p", "/live"] {
            let resp = edge.get(HOST, path);
            assert_eq!(resp.text(), "AXB", "{path}");
            assert_eq!(resp.header("surrogate-control"), None, "{path}");
        }
    }
    assert_eq!((origin.fetches("/p"), origin.fetches("/f")), (1, 1), "both through the parent");
    let told = origin.last("/live").all("surrogate-capability").collect::<Vec<_>>().join(", ");
    assert_eq!(
        told, "edge-2=\"Surrogate/1.0 ESI/1.0\"",
        "the parent does not offer what it leaves"
    );
    let count = |node: &Node| node.metrics().sum("selvedge_esi_pages_total", &[]) as u64;
    assert_eq!(count(&parent), 0);
    assert_eq!(edges.each_ref().map(count), [3, 3]);
    // Nobody stands before a parent that is asked by clients.
    assert_eq!(parent.get(HOST, "/p").text(), "AXB");
}

/// An edge that owns a page gives it to its peers with its tags, though it does not trust them.
#[test]
fn peers_pass_pages_on_as_they_are() {
    let region = Region::build(3, |config| config);
    let (origin, pages) = (&region.origin, 12);
    for number in 0..pages {
        origin.on(&format!("/p{number}"), page(&format!("A<esi:include src=\"/f{number}\"/>B")));
        origin.on(&format!("/f{number}"), Answer::cacheable("X", 600));
    }
    for number in 0..pages {
        let path = format!("/p{number}");
        for edge in &region.edges {
            assert_eq!(edge.get(HOST, &path).text(), "AXB", "{path} at {}", edge.name());
        }
        assert_eq!((origin.fetches(&path), origin.fetches(&format!("/f{number}"))), (1, 1));
        let told: Vec<String> =
            origin.last(&path).all("surrogate-capability").map(str::to_owned).collect();
        assert!(told.len() == 1 && told[0].contains("ESI/1.0"), "{told:?}");
    }
    for edge in &region.edges {
        becomes(pages, "pages assembled", || site_count(edge, "esi_pages"));
    }
}
