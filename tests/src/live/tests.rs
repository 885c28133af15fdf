//! The channel is what the product's own parsers take it for, and its answers are those of
//! rfc8216bis 6.2.5.2.

use super::{Ask, Channel, Name, Parts, Plan, Verdict};
use selvedge_media::{Kind, Limits, dash, hls, kind};

fn ask<'a>(target: &'a str) -> Ask<'a> {
    Ask { target, ..Ask::default() }
}

#[track_caller]
fn text(channel: &Channel, target: &str) -> String {
    match channel.ask(&ask(target)) {
        Verdict::Answer(reply) if reply.status == 200 => String::from_utf8(reply.body).unwrap(),
        other => panic!("{target}: {other:?}"),
    }
}

fn status(channel: &Channel, target: &str) -> Option<u16> {
    match channel.ask(&ask(target)) {
        Verdict::Answer(reply) => Some(reply.status),
        Verdict::Wait | Verdict::Grow(_) => None,
    }
}

#[test]
fn the_documents_are_what_our_parsers_understand() {
    let mut channel = Channel::new(Plan::low_latency(), 1_700_000_000);
    channel.finish_part();
    let limits = Limits::default();
    for target in [
        "/live/main.m3u8",
        "/live/v0/index.m3u8",
        "/live/v2/index.m3u8?_HLS_skip=YES",
        "/live/v1/index.m3u8?_HLS_msn=99",
    ] {
        let text = text(&channel, target);
        hls::parse(text.as_bytes(), &limits).unwrap_or_else(|why| panic!("{why:?}: {text}"));
    }
    for target in ["/live/number.mpd", "/live/timeline.mpd"] {
        let text = text(&channel, target);
        dash::parse(text.as_bytes(), &limits).unwrap_or_else(|why| panic!("{why:?}: {text}"));
    }
    let whole = text(&channel, "/live/v0/index.m3u8");
    assert!(whole.contains("URI=\"s100.p0.m4s\"") && whole.contains("PART,URI=\"s100.p1.m4s\""));
    assert!(!whole.contains("EXT-X-SKIP") && whole.contains("MEDIA-SEQUENCE:90\n"));
    let delta = text(&channel, "/live/v0/index.m3u8?_HLS_skip=YES");
    assert!(delta.contains("SKIPPED-SEGMENTS=4\n") && !delta.contains("\ns93.m4s"));
}

#[test]
fn segments_are_known_by_their_bytes_and_made_of_their_parts() {
    let channel = Channel::new(Plan::low_latency(), 0);
    let segment = channel.bytes(Name::Segment(1, 99)).unwrap();
    let kind = |bytes: &[u8]| kind("", "/x", bytes);
    assert!(matches!(kind(&segment), Kind::Segment(_)), "{:?}", kind(&segment));
    assert_eq!(kind(&channel.bytes(Name::Init(1)).unwrap()), Kind::Init);
    let parts: Vec<u8> =
        (0..6).flat_map(|part| channel.bytes(Name::Part(1, 99, part)).unwrap()).collect();
    assert_eq!(parts, segment);
    let place = channel.part_place(1, 99, 3);
    assert_eq!(segment[place], channel.bytes(Name::Part(1, 99, 3)).unwrap());
    assert_ne!(segment, channel.bytes(Name::Segment(1, 98)).unwrap());
    let mut again = channel.clone();
    again.restart(100);
    assert_ne!(segment, again.bytes(Name::Segment(1, 99)).unwrap(), "another take");
}

#[test]
fn who_asks_ahead_waits_is_refused_or_told_that_there_is_nothing() {
    let mut channel = Channel::new(Plan::low_latency(), 0);
    let playlist = "/live/v0/index.m3u8";
    let of = |query: &str| format!("{playlist}?{query}");
    assert_eq!(status(&channel, &of("_HLS_part=1")), Some(400), "a part of what?");
    assert_eq!(status(&channel, &of("_HLS_msn=x")), Some(400));
    assert_eq!(status(&channel, &of("_HLS_msn=102")), Some(400), "too far ahead");
    for query in ["_HLS_msn=101", "_HLS_msn=100", "_HLS_msn=100&_HLS_part=0"] {
        assert_eq!(status(&channel, &of(query)), None, "{query}");
    }
    assert_eq!(status(&channel, "/live/v0/s100.p0.m4s"), None, "hinted");
    assert_eq!(status(&channel, "/live/v0/s100.p1.m4s"), Some(404), "not yet");
    assert_eq!(status(&channel, "/live/v0/s101.m4s"), Some(404));
    channel.make(1);
    assert!(matches!(channel.ask(&ask("/live/v0/s100.p0.m4s")), Verdict::Grow(_)));
    channel.finish_part();
    assert_eq!(status(&channel, &of("_HLS_msn=100&_HLS_part=0")), Some(200));
    assert_eq!(status(&channel, &of("_HLS_msn=99&_HLS_part=6")), Some(200), "the next part");
    assert_eq!(status(&channel, "/live/v0/s100.p0.m4s"), Some(200));
    assert_eq!(status(&channel, &of("_HLS_msn=100")), None, "not the whole segment");
    channel.finish_segment();
    assert_eq!(status(&channel, &of("_HLS_msn=100")), Some(200));
}

#[test]
fn what_grows_is_given_piece_by_piece() {
    let mut channel = Channel::new(Plan { parts: Parts::Ranges, ..Plan::low_latency() }, 0);
    channel.make(1);
    let target = "/live/v0/s100.m4s";
    let Verdict::Grow(mut growing) = channel.ask(&ask(target)) else { panic!("it grows") };
    let mut body = Vec::new();
    loop {
        let (bytes, is_last) = channel.grown(&mut growing).unwrap();
        body.extend_from_slice(&bytes);
        if is_last {
            break;
        }
        channel.make(1);
    }
    assert_eq!(body, channel.bytes(Name::Segment(0, 100)).unwrap());
    channel.make(1);
    let Verdict::Grow(mut growing) = channel.ask(&ask("/live/v0/s101.m4s")) else { panic!() };
    channel.restart(101);
    assert!(channel.grown(&mut growing).is_err(), "the rest would be of another take");
}
