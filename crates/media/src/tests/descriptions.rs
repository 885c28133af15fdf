//! What is read of MPDs, and which are not read.

use super::{LIVE_TIME, LOW_LATENCY_MPD, VOD_BASE, VOD_REPEAT, ms};
use crate::dash::{Addressing, Entry, Form, Mpd, Run, parse};
use crate::time::date;
use crate::{ByteRange, Facts, Limits, Unreadable};

fn mpd(text: &str) -> Mpd {
    parse(text.as_bytes(), &Limits::default()).expect("an MPD")
}

fn refused(text: &str, limits: &Limits) -> Unreadable {
    parse(text.as_bytes(), limits).expect_err("it was read")
}

fn of(text: &str) -> Unreadable {
    refused(text, &Limits::default())
}

#[test]
fn a_live_description_with_a_timeline_is_read() {
    let mpd = mpd(LIVE_TIME);
    assert!(mpd.is_dynamic);
    assert_eq!(mpd.minimum_update, Some(ms(2000)));
    assert_eq!(mpd.availability_start, date("2026-11-23T14:30:00Z"));
    assert_eq!(mpd.publish_time, date("2026-11-23T14:30:13.412Z"));
    assert_eq!(mpd.time_shift_depth, Some(ms(10_000)));
    let one = &mpd.periods[0].sets[0].representations[0];
    assert_eq!((&*one.id, one.bandwidth_bps), ("0", 800_000));
    assert_eq!(one.addressing.form, Form::Template);
    assert_eq!(one.addressing.media.as_deref(), Some("chunk-stream$RepresentationID$-$Time$.m4s"));
    let runs = one.addressing.runs(mpd.periods[0].duration).0;
    let run = |number, time, duration, count| Run { number, time, duration, count };
    assert_eq!(runs, [run(1, 25_600, 25_600, 4), run(5, 128_000, 12_800, 1)]);
    let facts = Facts::of_mpd(&mpd);
    assert!(facts.is_live);
    assert_eq!((facts.segment, facts.window), (ms(2000), Some(ms(10_000))));
}

#[test]
fn what_stands_at_the_set_is_taken_over_by_its_representations() {
    let mpd = mpd(LOW_LATENCY_MPD);
    assert_eq!(mpd.base_url.as_deref(), Some("../media/"));
    assert_eq!(mpd.suggested_delay, Some(ms(3000)));
    for one in &mpd.periods[0].sets[0].representations {
        assert_eq!(one.addressing.availability_offset, ms(1960));
        assert!(!one.addressing.is_available_complete);
        assert_eq!(one.addressing.longest(), Some(ms(2000)));
    }
    assert_eq!(mpd.periods[0].sets[1].base_url.as_deref(), Some("sound/"));
    assert_eq!(mpd.segment(), Some(ms(2000)));
}

#[test]
fn a_single_file_has_its_ranges_and_a_decoded_address() {
    let mpd = mpd(VOD_BASE);
    assert!(!mpd.is_dynamic);
    assert_eq!(mpd.periods[0].duration, Some(ms(10_500)));
    let one = &mpd.periods[0].sets[0].representations[0];
    let url = "https://origin.example/vod/h264_720p.mp4?a=1&b=2";
    assert_eq!(one.base_url.as_deref(), Some(url));
    assert_eq!(one.addressing.form, Form::Base);
    let index = ByteRange { start: 829, length: Some(80) };
    assert_eq!(one.addressing.index_range, Some(index));
    let init = ByteRange { start: 0, length: Some(829) };
    assert_eq!(one.addressing.initialization_range, Some(init));
}

#[test]
fn a_timeline_repeats_to_the_end_of_the_period() {
    let mpd = mpd(VOD_REPEAT);
    assert_eq!(mpd.periods[1].start, ms(12_000));
    assert_eq!(mpd.periods[1].duration, Some(ms(9000)));
    let one = &mpd.periods[0].sets[0].representations[0].addressing;
    let run = Run { number: 10, time: 5000, duration: 4000, count: 3 };
    assert_eq!(one.runs(mpd.periods[0].duration).0, [run]);
    let list = &mpd.periods[1].sets[0].representations[0].addressing;
    assert_eq!((list.form, list.urls.len()), (Form::List, 3));
    assert_eq!(list.initialization.as_deref(), Some("p2/init.mp4"));
}

#[test]
fn a_timeline_that_repeats_beyond_all_numbers_costs_one_entry() {
    let entry = |time, duration, repeat| Entry { time, duration, repeat };
    let of = |entries: Vec<Entry>| {
        let timeline = Some(entries.into());
        Addressing { timeline, ..Addressing::default() }.runs(None).0
    };
    let runs = of(vec![entry(Some(0), 1, i64::MAX), entry(None, 5, 0)]);
    assert_eq!(runs.len(), 2);
    let runs = of(vec![entry(Some(u64::MAX), u64::MAX, i64::MAX), entry(None, 1, -1)]);
    assert_eq!(runs.len(), 1);
    let runs = of(vec![entry(Some(10), 5, -1), entry(Some(22), 5, 0)]);
    assert_eq!(runs[0].count, 3, "up to the next one");
    let runs = of(vec![entry(Some(10), 5, -1), entry(Some(0), 5, 0)]);
    assert_eq!(runs.len(), 1, "what goes back is none");
    assert_eq!(of(vec![entry(Some(0), 1, -1)])[0].count, u64::MAX);
}

#[test]
fn entities_and_document_types_are_refused() {
    let bomb = "<!DOCTYPE MPD [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><MPD>&b;</MPD>";
    assert_eq!(of(bomb), Unreadable::Entity);
    assert_eq!(of("<MPD><BaseURL>&x;</BaseURL></MPD>"), Unreadable::Entity);
    assert_eq!(of("<MPD type='&x;'/>"), Unreadable::Entity);
    assert_eq!(of("<!DOCTYPE html><MPD/>"), Unreadable::Entity);
}

#[test]
fn what_is_odd_is_not_guessed_at() {
    assert_eq!(of(""), Unreadable::NotManifest);
    assert_eq!(of("<html/>"), Unreadable::NotManifest);
    assert_eq!(of("<MPD/><MPD/>"), Unreadable::NotManifest);
    assert_eq!(of("<MPD>"), Unreadable::Xml);
    assert_eq!(of("<MPD></Period>"), Unreadable::Xml);
    assert_eq!(of("<MPD a/>"), Unreadable::Xml);
    assert_eq!(of("<MPD a='1' a='2'/>"), Unreadable::Xml);
    assert_eq!(of("text<MPD/>"), Unreadable::Xml);
    assert_eq!(of("<MPD minimumUpdatePeriod='soon'/>"), Unreadable::Time);
    assert_eq!(of("<MPD minimumUpdatePeriod='P99999999999999Y'/>"), Unreadable::Time);
    assert_eq!(of("<MPD availabilityStartTime='x'/>"), Unreadable::Time);
    assert_eq!(of("<MPD><Period start='PT9S'/><Period start='PT1S'/></MPD>"), Unreadable::Time);
    let with = |inner: &str| {
        of(&format!("<MPD><Period><AdaptationSet>{inner}</AdaptationSet></Period></MPD>"))
    };
    assert_eq!(with("<SegmentTemplate timescale='0'/>"), Unreadable::Number);
    assert_eq!(with("<SegmentTemplate duration='-1'/>"), Unreadable::Number);
    let entry = "<SegmentTemplate><SegmentTimeline><S t='0'/></SegmentTimeline></SegmentTemplate>";
    assert_eq!(with(entry), Unreadable::Missing);
    assert_eq!(with("<SegmentBase indexRange='9-1'/>"), Unreadable::ByteRange);
    assert_eq!(parse(b"<MPD>\xff</MPD>", &Limits::default()), Err(Unreadable::NotText));
}

#[test]
fn a_description_has_bounds() {
    let limits = Limits {
        manifest_bytes_max: 3000,
        line_bytes_max: 100,
        lines_max: 100,
        segments_max: 10,
        variants_max: 10,
        attributes_max: 3,
        depth_max: 8,
        ..Limits::default()
    };
    let of = |text: String| refused(&text, &limits);
    let deep = format!("<MPD>{}{}</MPD>", "<a>".repeat(20), "</a>".repeat(20));
    assert_eq!(of(deep), Unreadable::TooDeep);
    assert_eq!(of(format!("<MPD>{}</MPD>", "<a/>".repeat(100))), Unreadable::TooManyLines);
    assert_eq!(of(format!("<MPD>{}</MPD>", "<Period/>".repeat(11))), Unreadable::TooManyVariants);
    let entries = "<S d='1'/>".repeat(11);
    let text = format!(
        "<MPD><Period><SegmentTemplate><SegmentTimeline>{entries}</SegmentTimeline>\
         </SegmentTemplate></Period></MPD>"
    );
    assert_eq!(of(text), Unreadable::TooManySegments);
    assert_eq!(of("<MPD a='1' b='2' c='3' d='4'/>".to_owned()), Unreadable::TooManyAttributes);
    assert_eq!(of(format!("<MPD a='{}'/>", "x".repeat(100))), Unreadable::LineTooLong);
    let long = format!("<MPD><BaseURL>{}</BaseURL></MPD>", "x".repeat(101));
    assert_eq!(of(long), Unreadable::LineTooLong);
    assert_eq!(of(format!("<MPD>{}</MPD>", " ".repeat(3000))), Unreadable::TooLong);
}

#[test]
fn elements_of_others_are_not_taken_for_ours() {
    let text = "<MPD><Period><EventStream><Period id='no'/><S t='x'/></EventStream></Period></MPD>";
    assert_eq!(mpd(text).periods.len(), 1);
    let prefixed = "<m:MPD xmlns:m='urn:mpeg:dash:schema:mpd:2011' type='dynamic'/>";
    assert!(mpd(prefixed).is_dynamic);
}
