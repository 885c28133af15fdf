//! What comes next, and where it may not lead.

use super::{BASE, BYTE_RANGES, LIVE_TIME, LIVE_TS, LOW_LATENCY, LOW_LATENCY_MPD};
use super::{VOD_BASE, VOD_REPEAT, VOD_TS, media};
use crate::time::date;
use crate::{Ahead, AheadFrom, Base, Limits, Refusal, Scope, Track, UnixMs, resolve};

fn hls(text: &str) -> Track {
    Track::of_hls(&media(text), &BASE, &Scope::folder_of(&BASE))
}

fn dash(text: &str, prefix: &str) -> Vec<Track> {
    let mpd = crate::dash::parse(text.as_bytes(), &Limits::default()).expect("an MPD");
    let scope = Scope { path_prefix: prefix, ..Scope::folder_of(&BASE) };
    Track::of_mpd(&mpd, &BASE, &scope, 100)
}

fn paths(ahead: &[Ahead]) -> Vec<&str> {
    ahead.iter().map(|one| one.path.as_str()).collect()
}

#[test]
fn the_next_segment_is_the_next_of_the_list() {
    let track = hls(VOD_TS);
    let ahead = track.next("/show/live/clip0.ts", None, 5);
    assert_eq!(paths(&ahead), ["/show/live/clip1.ts", "/show/live/clip2.ts"]);
    assert!(track.next("/show/live/clip2.ts", None, 5).is_empty(), "it ends");
    assert!(track.next("/show/live/other.ts", None, 5).is_empty());
    assert!(track.next("", None, 5).is_empty());
    assert_eq!(paths(&track.start(UnixMs(0), 1)), ["/show/live/clip0.ts"]);
}

#[test]
fn live_the_next_name_is_counted_on() {
    let track = hls(LIVE_TS);
    let ahead = track.next("/show/live/live099.ts", None, 3);
    let names = ["/show/live/live100.ts", "/show/live/live101.ts", "/show/live/live102.ts"];
    assert_eq!(paths(&ahead), names);
    assert_eq!(ahead[0].from, AheadFrom::Listed);
    assert_eq!(ahead[1].from, AheadFrom::Predicted);
    let beyond = track.next("/show/live/live101.ts", None, 1);
    assert_eq!(paths(&beyond), ["/show/live/live102.ts"]);
    assert!(track.next("/show/live/live999.ts", None, 1).is_empty(), "nobody's next");
    let late = track.start(UnixMs(0), 9);
    assert_eq!(late[0].path, "/show/live/live097.ts", "three target durations behind");
}

#[test]
fn names_that_count_over_nine_keep_their_form() {
    let list = |one: &str, two: &str| {
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{one}\n#EXTINF:4,\n{two}\n")
    };
    let next = |one: &str, two: &str| {
        let text = list(one, two);
        let ahead = hls(&text).next(&format!("/show/live/{two}"), None, 1);
        ahead.first().map(|one| one.path.trim_start_matches("/show/live/").to_owned())
    };
    assert_eq!(next("s9.ts", "s10.ts").as_deref(), Some("s11.ts"));
    assert_eq!(next("s09.ts", "s10.ts").as_deref(), Some("s11.ts"));
    assert_eq!(next("s-1-720p.ts", "s-2-720p.ts").as_deref(), Some("s-3-720p.ts"));
    assert_eq!(next("a/1.ts?x=5", "a/2.ts?x=5").as_deref(), Some("a/3.ts?x=5"));
    assert_eq!(next("a.ts?n=1", "a.ts?n=2"), None, "queries are not counted on");
    assert_eq!(next("s5.ts", "s9.ts"), None);
    assert_eq!(next("18446744073709551614.ts", "18446744073709551615.ts"), None);
}

#[test]
fn parts_are_followed_by_parts_and_the_hint() {
    let track = hls(LOW_LATENCY);
    let ahead = track.next("/show/live/filePart269.0.mp4", None, 5);
    assert_eq!(paths(&ahead), ["/show/live/filePart269.1.mp4", "/show/live/filePart269.2.mp4"]);
    assert_eq!(ahead[1].from, AheadFrom::Hinted);
    let start = track.start(UnixMs(0), 2);
    assert_eq!(start[0].path, "/show/live/init.mp4");
    assert_eq!(start.len(), 3);
}

#[test]
fn segments_in_one_file_are_told_apart_by_their_ranges() {
    let track = hls(BYTE_RANGES);
    let ahead = track.next("/show/live/main.mp4", Some(719), 5);
    assert_eq!(ahead.len(), 1, "a gap is not there");
    assert_eq!(ahead[0].range.map(|range| range.start), Some(1_508_719));
    assert!(track.next("/show/live/main.mp4", Some(5), 5).is_empty());
}

#[test]
fn a_template_by_time_goes_on_where_its_timeline_ends() {
    let track = &dash(LIVE_TIME, "/show/live/")[0];
    let ahead = track.next("/show/live/chunk-stream0-102400.m4s", None, 3);
    let names = ["128000", "140800", "153600"];
    let names = names.map(|time| format!("/show/live/chunk-stream0-{time}.m4s"));
    assert_eq!(paths(&ahead), names);
    let from: Vec<_> = ahead.iter().map(|one| one.from).collect();
    assert_eq!(from, [AheadFrom::Listed, AheadFrom::Predicted, AheadFrom::Predicted]);
    assert_eq!(ahead[0].available_at, date("2026-11-23T14:30:11Z"));
    assert!(track.next("/show/live/chunk-stream0-102401.m4s", None, 3).is_empty());
    let start = track.start(UnixMs(1_795_444_211_000), 1);
    let names = ["/show/live/init-stream0.m4s", "/show/live/chunk-stream0-51200.m4s"];
    assert_eq!(paths(&start), names);
}

#[test]
fn a_template_by_number_knows_when_a_segment_is_published() {
    let tracks = dash(LOW_LATENCY_MPD, "/show/");
    assert_eq!(tracks.len(), 3);
    let ahead = tracks[1].next("/show/media/chunk-v1-00007.m4s", None, 1);
    assert_eq!(paths(&ahead), ["/show/media/chunk-v1-00008.m4s"]);
    // The eighth ends after 16 s, and is there 1.96 s earlier.
    assert_eq!(ahead[0].available_at, date("2026-11-23T14:30:14.040Z"));
    assert_eq!(tracks[1].available_at("/show/media/chunk-v1-00008.m4s"), ahead[0].available_at);
    assert!(tracks[1].next("/show/media/chunk-v1-7.m4s", None, 1).is_empty(), "another width");
    assert!(tracks[1].next("/show/media/chunk-v1-000007.m4s", None, 1).is_empty());
    assert_eq!(
        paths(&tracks[2].next("/show/media/sound/128000/9.m4s", None, 1)),
        ["/show/media/sound/128000/10.m4s"]
    );
    let last = format!("/show/media/sound/128000/{}.m4s", u64::MAX - 1);
    assert!(tracks[2].next(&last, None, 9).len() <= 1);
    assert!(dash(LOW_LATENCY_MPD, "/show/live/").is_empty(), "out of the folder");
}

#[test]
fn lists_and_repeats_have_their_tracks() {
    let tracks = dash(VOD_REPEAT, "/show/live/");
    let ahead = tracks[0].next("/show/live/p1/hd/11.m4s", None, 9);
    assert_eq!(paths(&ahead), ["/show/live/p1/hd/12.m4s"], "the period has three");
    let ahead = tracks[1].next("/show/live/p2/a.m4s", None, 9);
    assert_eq!(paths(&ahead), ["/show/live/p2/b.m4s", "/show/live/p2/b.m4s"]);
    assert_eq!(ahead[1].range.and_then(|range| range.field()).as_deref(), Some("bytes=100-199"));
    assert!(dash(VOD_BASE, "/").is_empty(), "another origin, and one file");
}

#[test]
fn nothing_leads_out_of_the_origin_or_the_path() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n";
    let out = [
        "../other/b.ts",
        "/b.ts",
        "//evil.example/show/live/b.ts",
        "https://evil.example/b.ts",
        "http://cdn.example/show/live/b.ts",
        "x/../../b.ts",
        "%2e%2e/b.ts",
        "..%2fb.ts",
        "a\\b.ts",
        "{$x}/b.ts",
        "file:///etc/passwd",
        "data:,x",
        "https://u@cdn.example/show/live/b.ts",
        "https:b.ts",
        "a%b.ts",
        "a b.ts",
        "æ.ts",
        "https://cdn.example:81/show/live/b.ts",
    ];
    for uri in out {
        let text = format!("{text}#EXTINF:4,\n{uri}\n#EXT-X-ENDLIST\n");
        assert!(hls(&text).next("/show/live/a.ts", None, 9).is_empty(), "{uri}");
    }
    let within = ["x/../b.ts", "https://CDN.example/show/live/b.ts", "./b.ts#x", "/show/live/b.ts"];
    for uri in within {
        let text = format!("{text}#EXTINF:4,\n{uri}\n#EXT-X-ENDLIST\n");
        let ahead = hls(&text).next("/show/live/a.ts", None, 9);
        assert_eq!(paths(&ahead), ["/show/live/b.ts"], "{uri}");
    }
}

#[test]
fn references_are_resolved_as_the_standard_has_it() {
    // RFC 3986 5.4, but for what is refused.
    let base = Base { scheme: "http", authority: "a", path: "/b/c/d;p" };
    let of = |reference| resolve(&base, reference).map(|url| url.path_and_query());
    let normal = [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("//g", "/"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("g#s", "/b/c/g"),
        (";x", "/b/c/;x"),
        (".", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/../x", "/b/c/g?y/../x"),
    ];
    for (reference, path) in normal {
        assert_eq!(of(reference).as_deref(), Ok(path), "{reference}");
    }
    assert_eq!(of("http:g"), Err(Refusal::Authority));
    assert_eq!(of("g:h"), Err(Refusal::Scheme));
    assert_eq!(of(""), Err(Refusal::Length));
    assert_eq!(of(&"x".repeat(9000)), Err(Refusal::Length));
}

#[test]
fn a_prefix_without_a_slash_at_its_end_covers_nothing() {
    let url = resolve(&BASE, "a.ts").expect("plain");
    let scope = Scope { path_prefix: "/show/live", ..Scope::folder_of(&BASE) };
    assert_eq!(scope.check(&url), Err(Refusal::Outside));
}

#[test]
fn no_more_is_given_than_was_asked_for() {
    let segments: String = (0..100).map(|at| format!("#EXTINF:4,\n{at}.ts\n")).collect();
    let track = hls(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{segments}"));
    assert_eq!(track.next("/show/live/5.ts", None, 2).len(), 2);
    assert_eq!(track.next("/show/live/5.ts", None, usize::MAX).len(), crate::AHEAD_MAX);
    assert_eq!(track.next("/show/live/99.ts", None, usize::MAX).len(), crate::AHEAD_MAX);
    assert!(track.next("/show/live/5.ts", None, 0).is_empty());
    assert!(track.weight_bytes() < 100 * 60, "{}", track.weight_bytes());
    assert!(track.has("/show/live/5.ts") && !track.has("/show/live/100.ts"));
}
