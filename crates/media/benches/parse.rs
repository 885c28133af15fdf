//! How fast manifests are read, and what it costs to look at an object.
//! `cargo bench -p selvedge-media`
#![allow(clippy::print_stdout, reason = "a benchmark is for reading")]
#![allow(missing_docs, reason = "a program")]

use std::hint::black_box;
use std::time::Instant;

use selvedge_media::hls::{self, Playlist};
use selvedge_media::token::{Grant, Key, Keys, Shown, sign, verify};
use selvedge_media::{
    Asked, Base, Cmcd, Directives, Facts, Limits, Rules, Scope, Track, dash, kind, lifetime,
};

fn main() {
    let limits = Limits::default();
    let (vod, live) = (playlist(2000), include_str!("../../../fixtures/hls/low-latency.m3u8"));
    time("HLS, 2,000 segments", vod.len(), || {
        black_box(hls::parse(black_box(vod.as_bytes()), &limits).is_ok());
    });
    time("HLS, low latency, 1 KB", live.len(), || {
        black_box(hls::parse(black_box(live.as_bytes()), &limits).is_ok());
    });
    let (long, small) = (description(2000), include_str!("../../../fixtures/dash/live-time.mpd"));
    time("MPD, 2,000 entries", long.len(), || {
        black_box(dash::parse(black_box(long.as_bytes()), &limits).is_ok());
    });
    time("MPD, live, 2 KB", small.len(), || {
        black_box(dash::parse(black_box(small.as_bytes()), &limits).is_ok());
    });
    let head = [&b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix\0\0\0\x10moof"[..], &[0; 4096]].concat();
    time("kind of a segment", 0, || {
        black_box(kind("video/mp4", black_box("/live/video/seg-00017.m4s"), &head));
    });
    time("kind without bytes", 0, || {
        black_box(kind("video/mp4", black_box("/live/video/seg-00017.m4s"), &[]));
    });
    let Ok(Playlist::Media(media)) = hls::parse(vod.as_bytes(), &limits) else { return };
    let base = Base { scheme: "https", authority: "h", path: "/vod/a.m3u8" };
    let track = Track::of_hls(&media, &base, &Scope::folder_of(&base));
    println!("{:36} {:7} B a segment", "a track of 2,000", track.weight_bytes() / 2000);
    time("track of 2,000 segments", 0, || {
        black_box(Track::of_hls(&media, &base, &Scope::folder_of(&base)));
    });
    time("next segment of 2,000", 0, || {
        black_box(track.next(black_box("/vod/segment-00017.m4s"), None, 1));
    });
    let facts = Facts::of_media(&media);
    let kind = kind("", "/vod/segment-00017.m4s", &[]);
    time("lifetime", 0, || {
        let asked = Asked {
            kind,
            status: 200,
            facts: Some(&facts),
            directives: None,
            origin: None,
            age: std::time::Duration::ZERO,
            until_published: None,
        };
        black_box(lifetime(black_box(&asked), &Rules::default()));
    });
    time("directives, none", 0, || {
        black_box(Directives::parse(black_box("a=1&b=2")).is_ok());
    });
    time("CMCD of a query", 0, || {
        black_box(Cmcd::from_query(black_box(
            "CMCD=bl%3D21300%2Cbr%3D3200%2Cnor%3D%22..%252F300kbps%252Fseg35.m4v%22",
        )));
    });
    let Some(current) = Key::new("k1", b"0123456789abcdef0123456789abcdef") else { return };
    let keys = Keys { current, other: None };
    let grant = Grant { audience: "s", expires_s: 100, path_prefix: "/vod/", client: None };
    let Some(token) = sign(&keys, &grant) else { return };
    let client = std::net::Ipv4Addr::LOCALHOST.into();
    let shown = Shown { audience: "s", path: "/vod/segment-00017.m4s", client, now_s: 1 };
    time("token verified", 0, || {
        black_box(verify(&keys, black_box(&token), &shown).is_ok());
    });
}

fn playlist(segments: usize) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n".to_owned();
    text += "#EXT-X-MAP:URI=\"init.mp4\"\n";
    for index in 0..segments {
        text += &format!("#EXTINF:6.006000,\nsegment-{index:05}.m4s\n");
    }
    text + "#EXT-X-ENDLIST\n"
}

fn description(entries: usize) -> String {
    let entry = "<S t=\"1234567890\" d=\"180180\" r=\"2\"/>\n".repeat(entries);
    format!(
        "<MPD type=\"static\" mediaPresentationDuration=\"PT1H\"><Period><AdaptationSet>\
         <SegmentTemplate timescale=\"90000\" media=\"$Time$.m4s\"><SegmentTimeline>{entry}\
         </SegmentTimeline></SegmentTemplate><Representation id=\"a\" bandwidth=\"1\"/>\
         </AdaptationSet></Period></MPD>"
    )
}

/// The median of many short rounds: others use the machine too.
fn time(what: &str, bytes: usize, mut each: impl FnMut()) {
    let mut rounds = Vec::new();
    let repeats = if bytes > 10_000 { 1 } else { 100 };
    for _ in 0..300 {
        let start = Instant::now();
        for _ in 0..repeats {
            each();
        }
        rounds.push(start.elapsed().as_nanos() as f64 / f64::from(repeats));
    }
    rounds.sort_by(f64::total_cmp);
    let median = rounds[rounds.len() / 2];
    if bytes > 0 {
        println!("{what:36} {:7.0} MB/s {median:9.0} ns", bytes as f64 * 1000.0 / median);
    } else {
        println!("{what:36} {median:7.0} ns");
    }
}
