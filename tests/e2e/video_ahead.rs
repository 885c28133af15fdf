//! What is fetched before a player asks, where that could go wrong: manifests that lead to more
//! manifests, nodes that share objects among them, players that say odd things.

use crate::support::{HOST, becomes, edge_with, site_count};
use selvedge_tests::Answer;

const HLS: &str = "application/vnd.apple.mpegurl";

fn of(kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::new(200).header("content-type", kind).body(body)
}

fn playlist(names: &[String]) -> String {
    let list: String = names.iter().map(|name| format!("#EXTINF:4,\n{name}\n")).collect();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{list}#EXT-X-ENDLIST\n")
}

/// Each names the next as its segment: without a viewer there is no end to it.
#[test]
fn what_a_fetched_manifest_names_is_not_fetched_ahead_in_turn() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 2));
    for n in 0..20 {
        let names = [format!("../{}/list.m3u8", n + 1)];
        origin.on(&format!("/{n}/list.m3u8"), of(HLS, playlist(&names)));
    }
    drop(edge.get(HOST, "/0/list.m3u8"));
    becomes(1, "objects fetched ahead", || site_count(&edge, "media_prefetches"));
    becomes(2, "fills", || site_count(&edge, "fills_stored"));
    drop(edge.get(HOST, "/0/list.m3u8"));
    assert_eq!(origin.requests().len(), 2);
}
