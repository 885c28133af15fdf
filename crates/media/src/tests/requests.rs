//! What requests say: delivery directives and CMCD.

use super::{DELTA, LOW_LATENCY, media, ms};
use crate::cmcd::{StreamType, StreamingFormat};
use crate::query::without;
use crate::{Answer, ByteRange, Cmcd, Directives, DirectivesFault, Facts, SkipMode};

fn directives(query: &str) -> Directives {
    Directives::parse(query).expect("directives").expect("some")
}

#[test]
fn directives_have_one_form_in_the_key() {
    let one = directives("_HLS_msn=273&_HLS_part=2");
    assert_eq!(one, Directives { msn: Some(273), part: Some(2), skip: None });
    let other = directives("x=1&_HLS_part=02&%5fHLS_msn=0273&_HLS_skip=YES");
    assert_eq!(other.key(), "_HLS_msn=273&_HLS_part=2&_HLS_skip=YES");
    assert_eq!(directives("_HLS_skip=v2").skip, Some(SkipMode::SegmentsAndDates));
    assert_eq!(Directives::parse("a=b&c=%20"), Ok(None));
    assert_eq!(without("x=1&_HLS_part=2&y&_HLS_msn=3", &Directives::NAMES), "x=1&y");
}

#[test]
fn a_part_without_its_segment_is_the_origins_to_refuse() {
    assert_eq!(Directives::parse("_HLS_part=2"), Err(DirectivesFault::PartWithoutMsn));
    let odd = [
        "_HLS_msn=",
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_skip=NO",
        "_HLS_msn=18446744073709551616",
        "_HLS_msn=1&_HLS_part=4294967296",
        "_HLS_msn=%ff",
    ];
    for query in odd {
        assert_eq!(Directives::parse(query), Err(DirectivesFault::Value), "{query}");
    }
}

#[test]
fn a_request_is_held_three_target_durations_and_a_little() {
    let facts = Facts::of_media(&media(LOW_LATENCY));
    let held = |query, facts| directives(query).hold_max(facts, ms(6000), ms(500));
    assert_eq!(held("_HLS_msn=1", Some(&facts)), Some(ms(12_500)));
    assert_eq!(held("_HLS_msn=1", None), Some(ms(18_500)));
    assert_eq!(held("_HLS_skip=YES", Some(&facts)), None);
    let odd = Facts { segment: ms(999_999_999), ..facts };
    assert_eq!(held("_HLS_msn=1", Some(&odd)), Some(ms(180_500)), "bounded");
}

#[test]
fn a_playlist_is_the_answer_when_it_has_what_was_waited_for() {
    // Whole up to 268, and parts 0 and 1 of 269.
    let facts = Facts::of_media(&media(LOW_LATENCY));
    let of = |query| directives(query).answered_by(&facts);
    for query in ["_HLS_msn=268", "_HLS_msn=269&_HLS_part=1", "_HLS_msn=268&_HLS_part=99"] {
        assert_eq!(of(query), Answer::Yes, "{query}");
    }
    for query in ["_HLS_msn=269", "_HLS_msn=269&_HLS_part=2", "_HLS_msn=270&_HLS_part=0"] {
        assert_eq!(of(query), Answer::NotYet, "{query}");
    }
    let complete = Facts { edge: Some(crate::Edge { next_msn: 269, parts: 0 }), ..facts };
    let after = directives("_HLS_msn=268&_HLS_part=2");
    assert_eq!(after.answered_by(&complete), Answer::NotYet, "the first part of the next");
    assert_eq!(directives("_HLS_msn=268&_HLS_part=1").answered_by(&complete), Answer::Yes);
    let over = Facts { is_live: false, ..facts };
    assert_eq!(directives("_HLS_msn=999").answered_by(&over), Answer::Yes, "it is over");
    assert!(!directives("_HLS_msn=270").is_too_far_ahead(&facts));
    assert!(directives("_HLS_msn=271").is_too_far_ahead(&facts));
}

#[test]
fn a_delta_is_never_the_answer_to_a_whole() {
    let facts = Facts::of_media(&media(DELTA));
    assert_eq!(directives("_HLS_msn=270").answered_by(&facts), Answer::Other);
    assert_eq!(directives("_HLS_msn=270&_HLS_skip=YES").answered_by(&facts), Answer::Yes);
}

#[test]
fn cmcd_is_read_from_the_query() {
    let query = "a=1&CMCD=bl%3D21300%2Cbr%3D3200%2Cbs%2Ccid%3D%22faec%22%2Cmtp%3D25400%2C\
                 nor%3D%22..%252F300kbps%252Ftrack.m4v%22%2Cnrr%3D%2212323-48763%22%2Csf%3Dh%2C\
                 sid%3D%226e2fb550%22%2Cst%3Dl%2Ctb%3D6000%2Cunknown%3D%22x%5C%22%2Cy%22%2Csu&b=2";
    let cmcd = Cmcd::from_query(query).expect("CMCD");
    assert_eq!(cmcd.buffer, Some(ms(21_300)));
    assert_eq!((cmcd.bitrate_kbps, cmcd.throughput_kbps), (Some(3200), Some(25_400)));
    assert_eq!(cmcd.top_bitrate_kbps, Some(6000));
    assert!(cmcd.starved && cmcd.startup);
    assert_eq!(cmcd.next_object.as_deref(), Some("../300kbps/track.m4v"));
    assert_eq!(cmcd.next_range, Some(ByteRange { start: 12_323, length: Some(36_441) }));
    assert_eq!(
        (cmcd.session.as_deref(), cmcd.content.as_deref()),
        (Some("6e2fb550"), Some("faec"))
    );
    assert_eq!(cmcd.stream_type, Some(StreamType::Live));
    assert_eq!(cmcd.format, Some(StreamingFormat::Hls));
    assert_eq!(Cmcd::strip(query), "a=1&b=2");
    assert_eq!(Cmcd::strip("%43MCD=x"), "");
}

#[test]
fn cmcd_is_read_from_four_fields() {
    let fields: [(&str, &[u8]); 4] = [
        ("Host", b"x"),
        ("CMCD-Request", b"bl=1000, nor=\"seg2.m4s\", mtp=100"),
        ("cmcd-session", b"sid=\"a\",st=v,sf=d"),
        ("CMCD-Status", b"bs"),
    ];
    let cmcd = Cmcd::from_headers(fields).expect("CMCD");
    assert_eq!(cmcd.next_object.as_deref(), Some("seg2.m4s"));
    assert_eq!(cmcd.format, Some(StreamingFormat::Dash));
    assert!(cmcd.starved);
    assert_eq!(Cmcd::from_headers([("host", &b"x"[..])]), None);
}

#[test]
fn cmcd_that_makes_no_sense_is_left_out() {
    assert_eq!(Cmcd::from_query("CMCD=a&CMCD=b"), None, "twice");
    assert_eq!(Cmcd::from_query("x=CMCD"), None);
    let of = |payload: &str| Cmcd::from_headers([("cmcd-request", payload.as_bytes())]);
    let nothing = Some(Cmcd::default());
    let long = format!("sid=\"{}\"", "x".repeat(65));
    let odd = [
        "bl=-1",
        "bl=\"5\"",
        "br=99999999999",
        "sid=plain",
        "nor=\"",
        "nor=\"%ff\"",
        "nrr=\"-5\"",
        "nrr=\"9-1\"",
        "bs=1",
        ",,,=,=\"",
        "sid=\"\"",
        "st=x",
        &long,
        "nrr=\"0-18446744073709551615\"",
    ];
    for payload in odd {
        assert_eq!(of(payload), nothing, "{payload}");
    }
    let huge = format!("{},bs", "x=1,".repeat(2000));
    assert_eq!(of(&huge), nothing, "bounded");
}
