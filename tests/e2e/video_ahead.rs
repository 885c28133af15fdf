//! What is fetched before a player asks, where that could go wrong: manifests that lead to more
//! manifests, nodes that share objects among them, players that say odd things.

use crate::peers::Region;
use crate::support::{HOST, becomes, edge_with, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Gate, Node, NodeConfig, Origin, Site};
use std::time::{SystemTime, UNIX_EPOCH};

const HLS: &str = "application/vnd.apple.mpegurl";
const TS: &str = "video/mp2t";

fn of(kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::new(200).header("content-type", kind).body(body)
}

fn playlist(names: &[String]) -> String {
    let list: String = names.iter().map(|name| format!("#EXTINF:4,\n{name}\n")).collect();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{list}#EXT-X-ENDLIST\n")
}

/// An origin with a film of twelve segments.
fn film() -> Origin {
    let origin = Origin::start();
    let names: Vec<String> = (0..12).map(|n| format!("v{n}.ts")).collect();
    origin.on("/v/list.m3u8", of(HLS, playlist(&names)));
    for name in names {
        origin.on(&format!("/v/{name}"), of(TS, name.clone()));
    }
    origin
}

/// Plays the film at these nodes, one after the other, and asserts that the origin gave each object
/// once.
#[track_caller]
fn play(origin: &Origin, edges: &[Node], all: &[&Node]) {
    for edge in edges {
        drop(edge.get(HOST, "/v/list.m3u8"));
    }
    let sum = |name: &str| all.iter().map(|node| site_count(node, name)).sum::<u64>();
    for n in 0..12 {
        for edge in edges {
            let answer = edge.get(HOST, &format!("/v/v{n}.ts"));
            assert_eq!((answer.status, answer.text()), (200, format!("v{n}.ts")));
        }
        let settled = || sum("media_prefetches") > 0 && sum("fills") == sum("fills_stored");
        assert!(selvedge_tests::eventually(settled), "fills end");
    }
    for n in 0..12 {
        assert_eq!(origin.fetches(&format!("/v/v{n}.ts")), 1, "v{n}.ts");
    }
}

/// The ring of an edge knows which parent owns what; a parent does not.
#[test]
fn with_several_parents_each_object_is_fetched_once() {
    let origin = film();
    let parent = |name| Node::parent(&NodeConfig::new(name).site(Site::any(&origin.url())));
    let parents = [parent("parent-1"), parent("parent-2")];
    let urls: Vec<String> = parents.iter().map(Node::url).collect();
    let config = NodeConfig::new("edge-1").set("upstream", "parents", urls);
    let edge = Node::edge(&config.site(Site::any(&origin.url())));
    let all = [&edge, &parents[0], &parents[1]];
    play(&origin, std::slice::from_ref(&edge), &all);
}

#[test]
fn among_peers_each_object_is_fetched_once() {
    let region = Region::build(3, |config| config);
    let names: Vec<String> = (0..12).map(|n| format!("v{n}.ts")).collect();
    region.origin.on("/v/list.m3u8", of(HLS, playlist(&names)));
    for name in names {
        region.origin.on(&format!("/v/{name}"), of(TS, name.clone()));
    }
    play(&region.origin, &region.edges, &region.edges.iter().collect::<Vec<_>>());
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

/// An object that is long on its way takes its bytes from the budget as they come.
#[test]
fn what_is_being_fetched_is_taken_from_the_budget() {
    let (origin, edge) =
        edge_with(|site| site.set("media_prefetch", 1).set("media_prefetch_rate", "64KiB"));
    let gate = Gate::shut();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {TS}\r\nContent-Length: 4194304\r\n\r\n");
    let half = Step::Generate { length: 2 << 20, chunked: false };
    let long = [Step::Send(head.into()), half.clone(), Step::Wait(gate.clone()), half];
    origin.on("/v/long.ts", Answer::steps(long.into()));
    for name in ["a", "b", "c"] {
        origin.on(&format!("/v/{name}.ts"), of(TS, name));
    }
    drop(edge.get(HOST, "/v/a.ts?CMCD=nor%3D%22long.ts%22"));
    becomes(2 << 20, "bytes fetched ahead", || site_count(&edge, "media_prefetched_bytes"));
    drop(edge.get(HOST, "/v/b.ts?CMCD=nor%3D%22c.ts%22"));
    becomes(1, "objects beyond the budget", || skipped(&edge, "budget"));
    assert_eq!(origin.fetches("/v/c.ts"), 0);
    gate.open();
}

/// Objects that were not fetched ahead, for this reason.
fn skipped(edge: &Node, reason: &str) -> u64 {
    let label = format!("reason=\"{reason}\"");
    edge.metrics().sum("selvedge_media_prefetch_skipped_total", &[&label]) as u64
}

/// What was too early once is fetched when its time has come, and counts only if it was fetched.
#[test]
fn what_could_not_be_fetched_ahead_may_be_later_and_is_of_no_use_till_then() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 1));
    let mpd = "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
        type=\"dynamic\" availabilityStartTime=\"1990-01-01T00:00:00Z\" minBufferTime=\"PT2S\">\
        <Period start=\"PT0S\"><AdaptationSet><SegmentTemplate timescale=\"1\" \
        duration=\"100000000\" startNumber=\"1\" media=\"d$Number$.m4s\"/><Representation \
        id=\"1\" bandwidth=\"1\"/></AdaptationSet></Period></MPD>";
    origin.on("/d/live.mpd", of("application/dash+xml", mpd));
    drop(edge.get(HOST, "/d/live.mpd"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let last = (now - 631_152_000) / 100_000_000;
    for n in [last, last + 1] {
        origin.on(&format!("/d/d{n}.m4s"), of("video/iso.segment", n.to_string()));
    }
    for count in 1..3 {
        drop(edge.get(HOST, &format!("/d/d{last}.m4s?CMCD=su")));
        becomes(count, "objects of the future", || skipped(&edge, "too-early"));
    }
    drop(edge.get(HOST, &format!("/d/d{}.m4s?CMCD=su", last + 1)));
    becomes(3, "objects of the future", || skipped(&edge, "too-early"));
    assert_eq!(site_count(&edge, "media_prefetch_used"), 0);
}

/// What one site's players ask to be fetched, and does not come, is not in the way of another's.
#[test]
fn a_slow_site_leaves_others_theirs() {
    let (slow, quick, gate) = (Origin::start(), film(), Gate::shut());
    slow.on("*", of(TS, "x").gate(&gate));
    slow.on("/v/a.ts", of(TS, "a"));
    let site = |name: &str, host: &str, origin: &Origin| Site::new(name, &[host], &[&origin.url()]);
    let sites = [site("slow", "slow.test", &slow), site("any", HOST, &quick)];
    let [first, second] = sites;
    let edge = Node::edge(&NodeConfig::new("edge-1").site(first).site(second));
    for n in 0..300 {
        drop(edge.get("slow.test", &format!("/v/a.ts?CMCD=nor%3D%22s{n}.ts%22")));
    }
    becomes(236, "objects of the slow site beyond its share", || {
        let labels = ["site=\"slow\"", "reason=\"busy\""];
        edge.metrics().sum("selvedge_media_prefetch_skipped_total", &labels) as u64
    });
    drop(edge.get(HOST, "/v/list.m3u8"));
    becomes(2, "objects fetched ahead", || site_count(&edge, "media_prefetches"));
    gate.open();
}
