//! What is read of playlists, and which are not read.

use super::{BYTE_RANGES, DELTA, LIVE_TS, LOW_LATENCY, MULTIVARIANT, VOD_TS};
use super::{media, ms, multivariant, refused};
use crate::hls::PlaylistType;
use crate::time::date;
use crate::{ByteRange, Edge, Facts, Limits, Unreadable};

const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";

#[test]
fn a_playlist_on_demand_is_read_whole() {
    let list = media(VOD_TS);
    assert_eq!((list.version, list.target), (3, ms(6000)));
    assert_eq!(list.playlist_type, Some(PlaylistType::Vod));
    assert!(list.is_ended && !list.is_live());
    assert_eq!(list.segments.len(), 3);
    assert_eq!((list.segments[2].uri, list.segments[2].duration), ("clip2.ts", ms(4004)));
    assert_eq!(list.window(), ms(16_016));
    let facts = Facts::of_media(&list);
    assert_eq!(facts.edge, Some(Edge { next_msn: 3, parts: 0 }));
    assert!(!facts.is_live);
}

#[test]
fn keys_dates_and_discontinuities_belong_to_their_segments() {
    let list = media(LIVE_TS);
    assert!(list.is_live());
    assert_eq!((list.media_sequence, list.discontinuity_sequence), (97, 4));
    let keys: Vec<_> = list.segments.iter().map(|segment| segment.key).collect();
    assert_eq!(keys, [Some(0), Some(0), Some(0), None]);
    assert_eq!((list.keys[0].method, list.keys[0].uri), ("AES-128", "keys/7.key"));
    let at: Vec<_> = list.segments.iter().map(|segment| segment.is_discontinuity).collect();
    assert_eq!(at, [false, false, true, false]);
    assert_eq!(list.segments[2].date, date("2026-11-23T14:30:00.25Z"));
    assert_eq!(list.msn(3), 100);
}

#[test]
fn a_low_latency_playlist_has_parts_hints_and_reports() {
    let list = media(LOW_LATENCY);
    assert!(list.control.can_block_reload);
    assert_eq!(list.control.part_hold_back, Some(ms(1000)));
    assert_eq!(list.control.can_skip_until, Some(ms(24_000)));
    assert_eq!(list.part_target.map(|part| part.as_micros()), Some(333_340));
    assert_eq!(list.segments[2].parts, 0..2);
    assert_eq!(list.segments[0].parts, 0..0);
    assert_eq!(list.open_parts, 2..4);
    assert!(list.parts[2].is_independent && !list.parts[3].is_independent);
    assert_eq!((list.hints[0].uri, list.hints[0].is_map), ("filePart269.2.mp4", false));
    assert_eq!((list.reports[0].last_msn, list.reports[0].last_part), (Some(269), Some(1)));
    assert_eq!(list.maps[0].uri, "init.mp4");
    assert_eq!(Facts::of_media(&list).edge, Some(Edge { next_msn: 269, parts: 2 }));
}

#[test]
fn a_delta_update_counts_what_it_leaves_out() {
    let list = media(DELTA);
    assert_eq!(list.skipped, Some(3));
    assert_eq!(list.msn(0), 269);
    let facts = Facts::of_media(&list);
    assert!(facts.is_delta);
    assert_eq!(facts.edge, Some(Edge { next_msn: 271, parts: 1 }));
}

#[test]
fn a_byte_range_without_offset_follows_the_one_before() {
    let list = media(BYTE_RANGES);
    let ranges: Vec<_> = list.segments.iter().filter_map(|segment| segment.range).collect();
    let range = |start, length| ByteRange { start, length: Some(length) };
    assert_eq!(
        ranges,
        [range(719, 1_508_000), range(1_508_719, 1_510_244), range(9_000_000, 1000)]
    );
    assert_eq!(list.maps[0].range, Some(range(0, 719)));
    assert!(list.segments[2].is_gap);
    assert_eq!(ranges[0].field().as_deref(), Some("bytes=719-1508718"));
    assert_eq!(range(5, 0).field(), None);
}

#[test]
fn a_multivariant_playlist_has_variants_and_renditions() {
    let list = multivariant(MULTIVARIANT);
    let uris: Vec<_> = list.variants.iter().map(|variant| variant.uri).collect();
    assert_eq!(uris[0], "v5/prog_index.m3u8");
    assert_eq!(list.variants[1].resolution, Some((1920, 1080)));
    assert_eq!(list.variants[0].bandwidth_bps, 2_227_464);
    assert_eq!(list.variants[0].audio, Some("aac"));
    assert!(list.variants[2].is_iframe);
    assert_eq!(list.renditions[1].name, "Dansk, for alle");
    assert_eq!(list.renditions[0].uri, Some("audio/en.m3u8"));
    assert_eq!(list.session_keys, ["skd://key65"]);
}

#[test]
fn what_is_odd_is_not_guessed_at() {
    let of = |rest: &str| refused(format!("{HEAD}{rest}"), &Limits::default());
    assert_eq!(of("a.ts\n"), Unreadable::Missing);
    assert_eq!(of("#EXTINF:4,\n"), Unreadable::Missing);
    assert_eq!(of("#EXTINF:4,\n#EXTINF:4,\na.ts\n"), Unreadable::Misplaced);
    assert_eq!(of("#EXTINF:x,\na.ts\n"), Unreadable::Number);
    assert_eq!(of("#EXTINF:-1,\na.ts\n"), Unreadable::Number);
    assert_eq!(of("#EXT-X-TARGETDURATION:5\n"), Unreadable::Misplaced);
    assert_eq!(of("#EXT-X-MEDIA-SEQUENCE:18446744073709551616\n"), Unreadable::Number);
    let last = "#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:1,\na\n";
    assert_eq!(of(last), Unreadable::Number);
    assert_eq!(of("#EXTINF:4,\n#EXT-X-BYTERANGE:5\na.ts\n"), Unreadable::ByteRange);
    let far = "#EXTINF:4,\n#EXT-X-BYTERANGE:5@18446744073709551614\na.ts\n";
    assert_eq!(of(far), Unreadable::ByteRange);
    assert_eq!(of("#EXT-X-PROGRAM-DATE-TIME:soon\n"), Unreadable::Time);
    assert_eq!(of("#EXT-X-KEY:METHOD=AES-128\n"), Unreadable::Missing);
    assert_eq!(of("#EXT-X-KEY:METHOD=NONE,METHOD=NONE\n"), Unreadable::Attributes);
    assert_eq!(of("#EXT-X-MAP:URI=\"a\n"), Unreadable::Attributes);
    assert_eq!(of("#EXT-X-MAP:URI=\"a\"x\n"), Unreadable::Attributes);
    assert_eq!(of("#EXT-X-PLAYLIST-TYPE:LIVE\n"), Unreadable::Misplaced);
    assert_eq!(of("#EXT-X-PRELOAD-HINT:TYPE=PART\n"), Unreadable::Missing);
    assert_eq!(of("a\u{1}b\n"), Unreadable::NotText);
    let mixed = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:1,\nb\n";
    assert_eq!(refused(mixed, &Limits::default()), Unreadable::Mixed);
    assert_eq!(of("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n"), Unreadable::Mixed);
    let no_target = "#EXTM3U\n#EXTINF:1,\na\n";
    assert_eq!(refused(no_target, &Limits::default()), Unreadable::Missing);
    assert_eq!(refused(b"\xff\xfe#EXTM3U", &Limits::default()), Unreadable::NotManifest);
    assert_eq!(refused(b"#EXTM3U\n\xff", &Limits::default()), Unreadable::NotText);
    assert_eq!(refused("#EXTM3U8\n", &Limits::default()), Unreadable::NotManifest);
}

#[test]
fn a_playlist_has_bounds() {
    let limits = Limits {
        manifest_bytes_max: 2000,
        line_bytes_max: 100,
        lines_max: 60,
        segments_max: 10,
        variants_max: 3,
        attributes_max: 2,
        extras_max: 2,
        ..Limits::default()
    };
    let of = |text: String| refused(text, &limits);
    assert_eq!(of(format!("{HEAD}{}", "#EXTINF:1,\na\n".repeat(11))), Unreadable::TooManySegments);
    let part = "#EXT-X-PART:DURATION=1,URI=\"a\"\n";
    assert_eq!(of(format!("{HEAD}{}", part.repeat(11))), Unreadable::TooManySegments);
    assert_eq!(of(format!("{HEAD}{}", "#\n".repeat(61))), Unreadable::TooManyLines);
    assert_eq!(of(format!("{HEAD}#{}\n", "x".repeat(101))), Unreadable::LineTooLong);
    assert_eq!(of(format!("{HEAD}{}", "#\n".repeat(1000))), Unreadable::TooLong);
    let key = "#EXT-X-KEY:METHOD=A,URI=\"a\"\n";
    assert_eq!(of(format!("{HEAD}{}", key.repeat(3))), Unreadable::TooManySegments);
    let many = "#EXT-X-PART-INF:A=1,B=2,C=3\n";
    assert_eq!(of(format!("{HEAD}{many}")), Unreadable::TooManyAttributes);
    let variants = "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n".repeat(5);
    assert_eq!(of(format!("#EXTM3U\n{variants}")), Unreadable::TooManyVariants);
}

#[test]
fn lines_may_end_as_on_windows_and_begin_with_a_mark() {
    let text = format!("\u{feff}{}", VOD_TS.replace('\n', "\r\n"));
    assert_eq!(media(&text).segments, media(VOD_TS).segments);
}

#[test]
fn unknown_tags_and_comments_are_passed_over() {
    let text = format!("{HEAD}#comment\n#EXT-X-NEW:a b,c\n\n#EXTINF:4,title, with comma\na.ts\n");
    assert_eq!(media(&text).segments.len(), 1);
}

#[test]
fn a_playlist_that_goes_back_in_time_is_noticed() {
    let early = Facts::of_media(&media(&format!("{HEAD}#EXTINF:4,\na.ts\n")));
    let late = Facts::of_media(&media(LIVE_TS));
    assert!(early.goes_back_from(&late));
    assert!(!late.goes_back_from(&early));
    assert!(!late.goes_back_from(&late));
}
