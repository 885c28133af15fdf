//! Pages that are assembled from fragments, over HTTP; the language is tested in its crate.

use crate::support::{HOST, edge};
use selvedge_tests::Answer;

/// A page that wants to be assembled.
pub(crate) fn page(body: &str) -> Answer {
    Answer::cacheable(body, 600)
        .header("content-type", "text/html")
        .header("surrogate-control", "content=\"ESI/1.0\"")
}

#[test]
fn a_page_is_assembled_in_the_order_of_its_tags() {
    let (origin, edge) = edge();
    origin.on("/p", page("A<esi:include src=\"/a\"/>B<esi:include src=\"/b\"/>C"));
    origin.on("/a", Answer::cacheable("aa", 600));
    origin.on("/b", Answer::cacheable("bb", 600));
    for _ in 0..2 {
        let resp = edge.get(HOST, "/p");
        assert_eq!(resp.status, 200);
        assert_eq!(resp.text(), "AaaBbbC");
        assert_eq!(resp.header("surrogate-control"), None);
    }
    assert_eq!((origin.fetches("/p"), origin.fetches("/a"), origin.fetches("/b")), (1, 1, 1));
    let hit = edge.get(HOST, "/p");
    assert!(hit.is_hit("edge-1"), "{hit:?}");
    assert_eq!(hit.header("content-length"), Some("7"));
    let etag = hit.header("etag").expect("it is complete").to_owned();
    let same = edge.get_with(HOST, "/p", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(same.status, 304, "{same:?}");
    assert_eq!(edge.metrics().sum("selvedge_esi_pages_total", &[]), 4.0);
    assert_eq!(edge.metrics().sum("selvedge_esi_fragments_total", &[]), 8.0);
}
