//! A channel whose origin says nothing of lifetimes, as most do: the node knows by itself what
//! holds for how long, waits for what will be there, and fetches what players will ask for.

use crate::low_latency::Watcher;
use crate::support::{HOST, becomes, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::live::{LiveOrigin, Name, Plan};
use selvedge_tests::{Answer, Node, NodeConfig, Origin, Response, Site, eventually};

/// A silent origin, and an edge whose site has these keys too.
fn silent(plan: Plan, site: impl FnOnce(Site) -> Site) -> (LiveOrigin, Node) {
    let origin = LiveOrigin::by_hand(plan);
    let edge = Node::edge(&NodeConfig::new("edge-1").site(site(Site::any(&origin.url()))));
    (origin, edge)
}

fn get(edge: &Node, name: Name) -> Response {
    edge.get(HOST, &name.to_string())
}

#[test]
fn each_object_holds_for_as_long_as_it_is_true() {
    let (origin, edge) = silent(Plan::low_latency(), |site| site.set("media_prefetch", 0));
    // What a segment belongs to is known when its playlist was read.
    for (name, ttl_s) in [
        (Name::Playlist(0), 1),
        (Name::Main, 1),
        (Name::Init(0), 3600),
        (Name::Segment(0, 90), 3600),
        (Name::NumberMpd, 1),
    ] {
        let resp = get(&edge, name);
        let status = resp.cache_status("edge-1");
        // The second of its Date may be over when it comes.
        let ttls = [ttl_s, ttl_s - 1].map(|ttl_s| format!("ttl={ttl_s}"));
        assert!(
            status.split("; ").any(|part| ttls.iter().any(|ttl| ttl == part)),
            "{name}: {status}"
        );
        assert!(resp.is_stored_miss("edge-1"), "{name}: {status}");
    }
    for name in [Name::Init(0), Name::Segment(0, 90)] {
        let resp = get(&edge, name);
        assert!(resp.is_hit("edge-1") && resp.age().is_some(), "{name}: {:?}", resp.headers);
        assert_eq!(origin.gets(&name.to_string()), 1, "{name}");
    }
}

#[test]
fn without_media_nothing_is_known_of_it() {
    let (origin, edge) = silent(Plan::plain(), |site| site.set("media", "off"));
    for asked in 1..=2 {
        get(&edge, Name::Playlist(0));
        get(&edge, Name::Segment(0, 90));
        assert_eq!(origin.gets(&Name::Segment(0, 90).to_string()), asked);
    }
    assert_eq!(site_count(&edge, "media_requests"), 0);
}

#[test]
fn an_encoder_that_goes_back_in_time_is_followed() {
    let (origin, edge) = silent(Plan::plain(), |site| site);
    assert!(get(&edge, Name::Playlist(0)).text().contains("SEQUENCE:90\n"));
    origin.change(|channel| channel.restart(50));
    assert!(eventually(|| get(&edge, Name::Playlist(0)).text().contains("SEQUENCE:40\n")));
}

#[test]
fn what_a_player_says_of_itself_makes_no_other_object() {
    let (origin, edge) = silent(Plan::plain(), |site| site.set("media_prefetch", 0));
    get(&edge, Name::Playlist(0));
    let name = Name::Segment(0, 90);
    for buffer in [0, 1000, 2000] {
        let target = format!("{name}?CMCD=bl%3D{buffer}%2Csid%3D%22{buffer}%22");
        let resp = edge.get_with(HOST, &target, &format!("CMCD-Request: bl={buffer}\r\n"));
        assert!(resp.body == origin.bytes(name));
    }
    assert_eq!(origin.gets(&name.to_string()), 1);
    assert_eq!(origin.all_gets().len(), 2, "{:?}", origin.all_gets());
}

/// The next ones of the same rendition that are there, and no other; then the newest as soon as a
/// playlist names it.
#[test]
fn what_comes_next_is_there_before_a_player_asks() {
    let (origin, edge) = silent(Plan::plain(), |site| site);
    let gets = |msn: u64| origin.gets(&Name::Segment(0, msn).to_string());
    get(&edge, Name::Playlist(0));
    get(&edge, Name::Segment(0, 96));
    for msn in [97, 98] {
        becomes(1, "fetches", || gets(msn) as u64);
        assert!(eventually(|| get(&edge, Name::Segment(0, msn)).is_hit("edge-1")), "{msn}");
    }
    get(&edge, Name::Segment(0, 99));
    assert_eq!((gets(100), gets(101)), (0, 0), "not there yet");
    origin.change(|channel| channel.finish_segment());
    assert!(eventually(|| get(&edge, Name::Playlist(0)).text().contains("\ns100.m4s\n")));
    becomes(1, "fetches of the newest", || gets(100) as u64);
    assert!(eventually(|| get(&edge, Name::Segment(0, 100)).is_hit("edge-1")));
    let elsewhere: Vec<String> =
        origin.all_gets().into_keys().filter(|target| !target.starts_with("/live/v0/")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!((96..=100).all(|msn| gets(msn) == 1));
}

#[test]
fn what_a_player_says_it_will_ask_for_is_fetched() {
    let (origin, edge) = silent(Plan::plain(), |site| site.set("media_prefetch", 1));
    get(&edge, Name::Playlist(0));
    let said = "CMCD-Request: nor=\"s95.m4s\"\r\n";
    edge.get_with(HOST, &Name::Segment(0, 90).to_string(), said);
    becomes(1, "fetches", || origin.gets(&Name::Segment(0, 95).to_string()) as u64);
    assert_eq!(origin.gets(&Name::Segment(0, 91).to_string()), 0, "one at a time");
}

/// Another site with the same patience shows that it has run out.
#[test]
fn a_request_may_be_held_for_longer_than_others() {
    let live = LiveOrigin::by_hand(Plan::low_latency());
    let mute = Origin::start();
    mute.on("*", Answer::steps(vec![Step::Silence]));
    let site = |name: &str, host: &str, url: String| {
        Site::new(name, &[host], &[&url]).set("first_byte_timeout", "1s")
    };
    let config = NodeConfig::new("edge-1").site(site("live", HOST, live.url())).site(site(
        "mute",
        "mute.test",
        mute.url(),
    ));
    let edge = Node::edge(&config);
    let target = format!("{}?_HLS_msn=100", Name::Playlist(0));
    let held = Watcher::ask(&edge, &target, "");
    live.await_held(&target, 1);
    assert_eq!(edge.get("mute.test", "/").status, 504);
    live.change(|channel| channel.finish_segment());
    assert_eq!(held.rest().expect("an answer").status, 200);
    assert_eq!(live.gets(&target), 1);
}
