//! What an object is.

use super::{BYTE_RANGES, DELTA, LIVE_TIME, LOW_LATENCY, MULTIVARIANT, VOD_BASE, VOD_TS};
use crate::{Container, DashForm, HlsForm, Kind, kind};

const CMAF: Kind = Kind::Segment(Container::Cmaf);

fn boxes(names: &[(&str, &[u8])]) -> Vec<u8> {
    let one = |(name, body): &(&str, &[u8])| {
        let size = u32::try_from(body.len() + 8).expect("small");
        [&size.to_be_bytes(), name.as_bytes(), body].concat()
    };
    names.iter().flat_map(one).collect()
}

#[test]
fn playlists_are_told_apart_by_what_they_name() {
    let of = |text: &str| kind("application/vnd.apple.mpegurl", "/a", text.as_bytes());
    for text in [VOD_TS, LOW_LATENCY, DELTA, BYTE_RANGES] {
        assert_eq!(of(text), Kind::Hls(HlsForm::Media));
    }
    assert_eq!(of(MULTIVARIANT), Kind::Hls(HlsForm::Multivariant));
    assert_eq!(of("#EXTM3U\n"), Kind::Hls(HlsForm::Unknown));
}

#[test]
fn descriptions_are_told_apart_by_their_type() {
    let of = |text: &str| kind("", "/a", text.as_bytes());
    assert_eq!(of(LIVE_TIME), Kind::Dash(DashForm::Dynamic));
    assert_eq!(of(VOD_BASE), Kind::Dash(DashForm::Static));
    assert_eq!(of("<?xml version='1.0'?><MPD a='b'"), Kind::Dash(DashForm::Unknown));
    assert_eq!(of("<html><MPDX>"), Kind::Other);
}

#[test]
fn without_bytes_type_and_name_are_believed() {
    let of = |content_type, path| kind(content_type, path, b"");
    assert_eq!(of("application/x-mpegURL; charset=UTF-8", "/x"), Kind::Hls(HlsForm::Unknown));
    assert_eq!(of("text/plain", "/live/a.M3U8"), Kind::Hls(HlsForm::Unknown));
    assert_eq!(of("application/dash+xml", "/"), Kind::Dash(DashForm::Unknown));
    assert_eq!(of("video/mp4", "/chunk-1.m4s"), CMAF);
    assert_eq!(of("video/iso.segment", "/chunk-1"), CMAF);
    assert_eq!(of("", "/init-stream0.m4s"), Kind::Init);
    assert_eq!(of("video/mp4", "/video_init.mp4"), Kind::Init);
    assert_eq!(of("video/mp4", "/film.mp4"), Kind::Other, "a file to be played");
    assert_eq!(of("video/MP2T", "/x"), Kind::Segment(Container::Ts));
    assert_eq!(of("", "/a.b/x.aac"), Kind::Segment(Container::Audio));
    assert_eq!(of("text/vtt", "/x"), Kind::Segment(Container::WebVtt));
    assert_eq!(of("application/octet-stream", "/keys/7.key"), Kind::Key);
    assert_eq!(of("text/html", "/"), Kind::Other);
    assert_eq!(of("", "/folder.ts/"), Kind::Other);
}

#[test]
fn an_error_page_under_the_name_of_a_manifest_is_none() {
    let page = b"<!doctype html><h1>404</h1>";
    assert_eq!(kind("text/html", "/a.m3u8", page), Kind::Other);
    assert_eq!(kind("application/dash+xml", "/a.mpd", page), Kind::Other);
}

#[test]
fn segments_are_known_by_their_first_boxes() {
    let of = |bytes: &[u8]| kind("video/mp4", "/a", bytes);
    assert_eq!(of(&boxes(&[("styp", b"msdh"), ("moof", b"")])), CMAF);
    assert_eq!(of(&boxes(&[("prft", b"12345678"), ("moof", b"")])), CMAF);
    assert_eq!(of(&boxes(&[("ftyp", b"iso6"), ("moov", b"mvhdmvex")])), Kind::Init);
    assert_eq!(of(&boxes(&[("ftyp", b"isom"), ("moov", b"mvhdtrak")])), Kind::Other);
    assert_eq!(of(&boxes(&[("ftyp", b"isom"), ("sidx", b"x")])), Kind::Other, "a whole file");
    let mut ts = vec![0x47; 1];
    ts.resize(188, 0);
    ts.push(0x47);
    assert_eq!(kind("", "/x", &ts), Kind::Segment(Container::Ts));
    assert_eq!(kind("", "/x", b"\xef\xbb\xbfWEBVTT\n"), Kind::Segment(Container::WebVtt));
    assert_eq!(kind("audio/aac", "/x", b"\xff\xf1\x50"), Kind::Segment(Container::Audio));
    assert_eq!(kind("image/x", "/x", b"\xff\xf1\x50"), Kind::Other, "two octets are not enough");
    assert_eq!(kind("video/mp2t", "/x", b"encrypted"), Kind::Segment(Container::Ts));
}

#[test]
fn boxes_of_any_size_end() {
    for size in [0_u32, 1, 7, 8, u32::MAX] {
        let bytes = [&size.to_be_bytes()[..], b"free", &size.to_be_bytes(), b"ftyp"].concat();
        kind("", "/x", &bytes);
        let bytes = [&8_u32.to_be_bytes()[..], b"ftyp", &size.to_be_bytes(), b"moov"].concat();
        kind("", "/x", &bytes);
    }
}
