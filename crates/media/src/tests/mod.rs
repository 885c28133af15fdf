//! What the crate says of the manifests under `fixtures/hls` and `fixtures/dash`, and of worse.

mod ahead;
mod descriptions;
mod lifetimes;
mod playlists;
mod properties;
mod recognition;
mod requests;
mod rewriting;
mod times;
mod tokens;

use std::time::Duration;

use crate::hls::{Media, Multivariant, Playlist};
use crate::{Base, Limits, Unreadable};

pub(crate) const VOD_TS: &str = include_str!("../../../../fixtures/hls/vod-ts.m3u8");
pub(crate) const LIVE_TS: &str = include_str!("../../../../fixtures/hls/live-ts.m3u8");
pub(crate) const MULTIVARIANT: &str = include_str!("../../../../fixtures/hls/multivariant.m3u8");
pub(crate) const LOW_LATENCY: &str = include_str!("../../../../fixtures/hls/low-latency.m3u8");
pub(crate) const DELTA: &str = include_str!("../../../../fixtures/hls/delta.m3u8");
pub(crate) const BYTE_RANGES: &str = include_str!("../../../../fixtures/hls/byte-ranges.m3u8");
pub(crate) const LIVE_TIME: &str = include_str!("../../../../fixtures/dash/live-time.mpd");
pub(crate) const LOW_LATENCY_MPD: &str = include_str!("../../../../fixtures/dash/low-latency.mpd");
pub(crate) const VOD_BASE: &str = include_str!("../../../../fixtures/dash/vod-base.mpd");
pub(crate) const VOD_REPEAT: &str = include_str!("../../../../fixtures/dash/vod-repeat.mpd");

/// Where the manifests are found.
pub(crate) const BASE: Base<'_> =
    Base { scheme: "https", authority: "cdn.example", path: "/show/live/main.m3u8" };

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn media(text: &str) -> Media<'_> {
    match crate::hls::parse(text.as_bytes(), &Limits::default()) {
        Ok(Playlist::Media(media)) => *media,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn multivariant(text: &str) -> Multivariant<'_> {
    match crate::hls::parse(text.as_bytes(), &Limits::default()) {
        Ok(Playlist::Multivariant(list)) => list,
        other => panic!("{other:?}"),
    }
}

/// Why a playlist is not read.
pub(crate) fn refused(text: impl AsRef<[u8]>, limits: &Limits) -> Unreadable {
    crate::hls::parse(text.as_ref(), limits).expect_err("it was read")
}

#[test]
fn words_are_told_apart() {
    let mut words: Vec<_> = Unreadable::ALL.iter().map(|why| why.word()).collect();
    words.extend(crate::token::Denied::ALL.iter().map(|why| why.word()));
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count);
}

#[test]
fn what_is_kept_goes_from_thread_to_thread() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<crate::Track>();
    shared::<crate::Facts>();
    shared::<crate::dash::Mpd>();
    shared::<crate::token::Keys>();
}
