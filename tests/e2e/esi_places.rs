//! What pages know of where their clients are.

use crate::dns_support::fixture;
use crate::esi::page;
use crate::support::{HOST, edge_config};
use selvedge_tests::node::Reload;
use selvedge_tests::{Node, Origin};

/// The country of the client behind a trusted proxy; a database that was replaced is in force after
/// a reload, and a broken one is refused while the old one goes on.
#[test]
fn a_page_can_tell_clients_apart_by_where_they_are() {
    let origin = Origin::start();
    origin.on("/p", page("<esi:vars>$(GEO{country_code}|'none') $(GEO{asn}|'-')</esi:vars>"));
    let config = edge_config(&origin)
        .file("places.mmdb", fixture("clients.mmdb"))
        .set("node", "mmdb", "places.mmdb")
        .set("listen", "trust", vec!["127.0.0.0/8"]);
    let edge = Node::edge(&config);
    let seen = |client: &str| {
        let resp = edge.get_with(HOST, "/p", &format!("X-Forwarded-For: {client}\r\n"));
        assert!(resp.header("cache-control").is_some_and(|it| it.contains("private")), "{resp:?}");
        resp.text()
    };
    assert_eq!(seen("192.0.2.7"), "DE -");
    assert_eq!(seen("198.51.100.7"), "US -");
    assert_eq!(seen("9.9.9.9"), "none -");
    let moved = config.clone().file("places.mmdb", fixture("moved.mmdb"));
    assert_eq!(edge.reload(&moved), Reload::Applied);
    assert_eq!(seen("192.0.2.7"), "US -");
    let Reload::Refused(said) = edge.reload(&config.file("places.mmdb", "no database")) else {
        panic!("a broken database was taken");
    };
    assert!(said.contains("places.mmdb"), "{said}");
    assert_eq!(seen("192.0.2.7"), "US -");
    assert_eq!(origin.fetches("/p"), 1);
}
