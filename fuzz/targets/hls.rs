//! Any bytes as a playlist: read within bounds, or refused with a word. What comes next stays
//! where it may be fetched from, and what is rewritten can be read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_media::hls::{self, Playlist};
use selvedge_media::{
    Base, Cmcd, Directives, Facts, Kind, Limits, Rewrite, Scope, Track, UnixMs, kind, rewrite,
};

fuzz_target!(|data: &[u8]| {
    // What is rewritten grows: a line near its limit would not be one any more.
    if data.len() > 8192 {
        return;
    }
    let limits = Limits::default();
    let found = kind("application/vnd.apple.mpegurl", "/live/a.m3u8", data);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(Some(directives)) = Directives::parse(text) {
            assert_eq!(Directives::parse(&directives.key()), Ok(Some(directives)));
        }
        Cmcd::from_query(text);
        Cmcd::from_headers([("CMCD-Request", data)]);
        assert_eq!(Cmcd::from_query(&Cmcd::strip(text)), None);
    }
    let Ok(playlist) = hls::parse(data, &limits) else { return };
    assert!(matches!(found, Kind::Hls(_)));
    let facts = Facts::of_hls(&playlist);
    let how = Rewrite { from: &["h"], to: "https://cdn.example", token: Some("t=1") };
    let rewritten = rewrite(found, data, &how, &limits);
    if let Ok(Some(rewritten)) = &rewritten {
        let again = hls::parse(rewritten, &limits).expect("still a playlist");
        assert_eq!(Facts::of_hls(&again), facts);
    }
    let Playlist::Media(media) = &playlist else { return };
    let base = Base { scheme: "https", authority: "h", path: "/live/a.m3u8" };
    let track = Track::of_hls(media, &base, &Scope::folder_of(&base));
    for ahead in track.start(UnixMs(0), 4) {
        assert!(ahead.path.starts_with("/live/"));
        for next in track.next(&ahead.path, ahead.range.map(|range| range.start), 16) {
            assert!(next.path.starts_with("/live/"));
        }
    }
});
