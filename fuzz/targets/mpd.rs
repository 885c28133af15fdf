//! Any bytes as an MPD: read within bounds, or refused with a word. What comes next stays where
//! it may be fetched from, and what is rewritten can be read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_media::{
    Base, Facts, Kind, Limits, Rewrite, Scope, Track, UnixMs, dash, kind, rewrite, time,
};

fuzz_target!(|data: &[u8]| {
    // What is rewritten grows: a line near its limit would not be one any more.
    if data.len() > 8192 {
        return;
    }
    let limits = Limits::default();
    kind("application/dash+xml", "/live/a.mpd", data);
    if let Ok(text) = std::str::from_utf8(data) {
        time::duration(text);
        time::date(text);
    }
    let Ok(mpd) = dash::parse(data, &limits) else { return };
    let facts = Facts::of_mpd(&mpd);
    let how = Rewrite { from: &["h"], to: "https://cdn.example", token: Some("t=1") };
    let found = Kind::Dash(selvedge_media::DashForm::Unknown);
    if let Ok(Some(rewritten)) = rewrite(found, data, &how, &limits) {
        let again = dash::parse(&rewritten, &limits).expect("still an MPD");
        assert_eq!(Facts::of_mpd(&again), facts);
    }
    let base = Base { scheme: "https", authority: "h", path: "/live/a.mpd" };
    let scope = Scope::folder_of(&base);
    for track in Track::of_mpd(&mpd, &base, &scope, 64) {
        for ahead in track.start(UnixMs(1_795_444_200_000), 4) {
            assert!(ahead.path.starts_with("/live/"));
            track.available_at(&ahead.path);
            for next in track.next(&ahead.path, ahead.range.map(|range| range.start), 16) {
                assert!(next.path.starts_with("/live/"));
            }
        }
    }
});
