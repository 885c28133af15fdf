//! Many viewers of one live channel at two edges behind a parent: whatever they do, the origin is
//! asked once for each object. The full size, with figures, is `cargo xtask bench media`.

use crate::slices::count;
use crate::support::becomes;
use selvedge_tests::live::{LiveOrigin, Name, Plan, Waiting, watch};
use selvedge_tests::{Node, NodeConfig, Site};
use std::time::Duration;

struct House {
    origin: LiveOrigin,
    edges: [Node; 2],
    _parent: Node,
}

fn house(origin: LiveOrigin) -> House {
    let site = || Site::any(&origin.url());
    let parent = Node::parent(&NodeConfig::new("parent-1").site(site()));
    let edges = ["edge-1", "edge-2"].map(|name| {
        let config = NodeConfig::new(name).set("upstream", "parents", vec![parent.url()]);
        Node::edge(&config.site(site()))
    });
    House { origin, edges, _parent: parent }
}

#[test]
fn sixty_viewers_cost_the_origin_one_fetch_for_each_object() {
    let plan = Plan { segment_s: 1, ..Plan::plain() };
    let house = house(LiveOrigin::by_clock(plan));
    let edges = house.edges.each_ref().map(Node::http);
    let seen = watch(&house.origin, &edges, 60, Duration::from_secs(6));
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    let segments = seen.first_bytes.len();
    assert!(segments >= 60 * 3, "{segments} segments");
    assert_eq!(seen.hits + seen.collapsed + seen.forwarded, segments);
    let gets = house.origin.all_gets();
    let is_segment =
        |target: &str| matches!(Name::parse(target), Some(Name::Segment(..) | Name::Init(_)));
    let twice: Vec<_> =
        gets.iter().filter(|(target, count)| is_segment(target) && **count != 1).collect();
    assert!(twice.is_empty(), "not fetched once: {twice:?}");
}

#[test]
fn two_hundred_who_wait_are_all_answered_each_time() {
    let plan = Plan::low_latency();
    let house = house(LiveOrigin::by_hand(plan));
    let mut waiting = Waiting::connect(house.edges[0].http(), 200).expect("connections");
    for part in 0..4 {
        let targets = [0, 1, 2].map(|rendition| {
            format!("{}?_HLS_msn=100&_HLS_part={part}", Name::Playlist(rendition))
        });
        waiting.ask(&targets).expect("all are sent");
        let joins = || count(&house.edges[0], "store_fill_joins_total");
        becomes(197 * (part + 1), "who joined", joins);
        targets.iter().for_each(|target| house.origin.await_held(target, 1));
        let answers = waiting.answers(3, || house.origin.change(|channel| channel.finish_part()));
        let good = answers.iter().filter(|answered| answered.status == 200).count();
        assert_eq!((good, answers.len()), (200, 200));
        assert!(targets.iter().all(|target| house.origin.gets(target) == 1));
    }
}
