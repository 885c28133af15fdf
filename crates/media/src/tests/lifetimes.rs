//! For how long an answer holds.

use std::time::Duration;

use super::{DELTA, LIVE_TIME, LIVE_TS, LOW_LATENCY, VOD_TS, media, ms};
use crate::{
    Asked, Container, DashForm, Directives, Facts, HlsForm, Kind, Lifetime, Limits, Mode, Rules,
    Why, lifetime,
};

const MEDIA: Kind = Kind::Hls(HlsForm::Media);
const SEGMENT: Kind = Kind::Segment(Container::Cmaf);
const DAY: Duration = Duration::from_secs(86_400);

fn asked(kind: Kind, facts: Option<&Facts>) -> Asked<'_> {
    Asked {
        kind,
        status: 200,
        facts,
        directives: None,
        origin: None,
        age: Duration::ZERO,
        until_published: None,
    }
}

fn facts(text: &str) -> Facts {
    Facts::of_media(&media(text))
}

fn of(asked: &Asked<'_>) -> Lifetime {
    lifetime(asked, &Rules::default()).expect("a rule")
}

#[test]
fn on_demand_everything_holds_long() {
    let facts = facts(VOD_TS);
    let found = of(&asked(MEDIA, Some(&facts)));
    assert_eq!((found.total, found.stale_if_error, found.why), (DAY, DAY, Why::Vod));
    for kind in [SEGMENT, Kind::Init, Kind::Key] {
        assert_eq!(of(&asked(kind, Some(&facts))).total, DAY * 14);
    }
    assert_eq!(of(&asked(Kind::Dash(DashForm::Static), Some(&facts))).total, DAY);
}

#[test]
fn a_live_media_playlist_holds_half_a_target_duration() {
    let facts = facts(LIVE_TS);
    let found = of(&asked(MEDIA, Some(&facts)));
    assert_eq!((found.total, found.why), (ms(1000), Why::LiveManifest));
    assert_eq!(found.stale_if_error, ms(2000), "one target duration");
    let multivariant = of(&asked(Kind::Hls(HlsForm::Multivariant), Some(&facts)));
    assert_eq!((multivariant.total, multivariant.stale_if_error), (ms(1000), ms(2000)));
    assert_eq!(of(&asked(SEGMENT, Some(&facts))).why, Why::LiveSegment);
}

#[test]
fn a_low_latency_playlist_holds_a_second() {
    let facts = facts(LOW_LATENCY);
    let found = of(&asked(MEDIA, Some(&facts)));
    assert_eq!((found.total, found.why), (ms(1000), Why::LowLatency));
    let polled = Facts { can_block_reload: false, ..facts };
    assert_eq!(of(&asked(MEDIA, Some(&polled))).total.as_micros(), 333_340, "each part");
}

#[test]
fn the_answer_to_a_number_holds_longer_than_a_plain_one() {
    let facts = facts(LOW_LATENCY);
    let directives = Directives { msn: Some(269), part: Some(1), skip: None };
    let found = of(&Asked { directives: Some(&directives), ..asked(MEDIA, Some(&facts)) });
    assert_eq!((found.total, found.why), (ms(24_000), Why::Blocking));
    assert_eq!(found.stale_if_error, ms(4000));
    let skip = Directives { msn: None, part: None, skip: Some(crate::SkipMode::Segments) };
    let delta = Facts { is_delta: true, ..self::facts(DELTA) };
    let found = of(&Asked { directives: Some(&skip), ..asked(MEDIA, Some(&delta)) });
    assert_eq!(found.total, ms(1000), "a delta without a number is a plain one");
}

#[test]
fn what_is_refused_to_directives_is_not_kept() {
    let facts = facts(LOW_LATENCY);
    let directives = Directives { msn: Some(999), part: None, skip: None };
    for status in [400, 503] {
        let base = asked(MEDIA, Some(&facts));
        let origin = Some(ms(60_000));
        let found = of(&Asked { status, directives: Some(&directives), origin, ..base });
        assert_eq!((found.total, found.why), (ms(0), Why::DirectiveRefused));
    }
}

#[test]
fn a_dynamic_description_holds_at_most_half_its_update_period() {
    let mpd = crate::dash::parse(LIVE_TIME.as_bytes(), &Limits::default()).expect("an MPD");
    let facts = Facts::of_mpd(&mpd);
    let found = of(&asked(facts.kind, Some(&facts)));
    assert_eq!((found.total, found.why), (ms(1000), Why::UpdatePeriod));
    let at_once = Facts { minimum_update: Some(ms(0)), ..facts };
    assert_eq!(of(&asked(facts.kind, Some(&at_once))).total, ms(0));
    let never = Facts { minimum_update: None, ..facts };
    assert_eq!(of(&asked(facts.kind, Some(&never))).total, ms(1000), "half a segment");
    let rare = Facts { minimum_update: Some(ms(500_000)), ..facts };
    assert_eq!(of(&asked(facts.kind, Some(&rare))).total, ms(10_000), "it may end at any time");
}

#[test]
fn nothing_at_the_live_edge_is_believed_for_a_second_at_most() {
    let facts = facts(LIVE_TS);
    for status in [404, 410, 500, 503] {
        let base = Asked { status, ..asked(SEGMENT, Some(&facts)) };
        let found = of(&base);
        assert_eq!((found.total, found.why), (ms(1000), Why::Negative));
        assert_eq!(found.stale_if_error, ms(0));
        let soon = of(&Asked { until_published: Some(ms(300)), ..base });
        assert_eq!(soon.total, ms(300), "never beyond its publication");
        let long = of(&Asked { origin: Some(ms(60_000)), ..base });
        assert_eq!(long.total, ms(1000), "whatever the origin's defaults are");
        let never = of(&Asked { origin: Some(ms(0)), ..base });
        assert_eq!((never.total, never.why), (ms(0), Why::Origin));
    }
    let off = Rules { negative: ms(0), ..Rules::default() };
    let missing = Asked { status: 404, ..asked(SEGMENT, None) };
    assert_eq!(lifetime(&missing, &off).map(|found| found.total), Some(ms(0)));
}

#[test]
fn what_is_not_there_on_demand_is_for_the_general_rules() {
    let facts = facts(VOD_TS);
    let missing = Asked { status: 404, ..asked(SEGMENT, Some(&facts)) };
    assert_eq!(lifetime(&missing, &Rules::default()), None);
    let moved = Asked { status: 302, ..asked(SEGMENT, None) };
    assert_eq!(lifetime(&moved, &Rules::default()), None);
    assert_eq!(lifetime(&asked(Kind::Other, None), &Rules::default()), None);
}

#[test]
fn the_origin_is_honoured_first_unless_the_site_says_otherwise() {
    let facts = facts(LIVE_TS);
    let mut asked = asked(MEDIA, Some(&facts));
    let total = |asked: &Asked<'_>, mode| {
        let found = lifetime(asked, &Rules { mode, ..Rules::default() }).expect("a rule");
        (found.total, found.why)
    };
    asked.origin = Some(ms(60_000));
    assert_eq!(total(&asked, Mode::Silent), (ms(60_000), Why::Origin));
    assert_eq!(total(&asked, Mode::Shorter), (ms(1000), Why::LiveManifest));
    assert_eq!(total(&asked, Mode::Ours), (ms(1000), Why::LiveManifest));
    asked.origin = Some(ms(0));
    assert_eq!(total(&asked, Mode::Shorter), (ms(0), Why::Origin));
    assert_eq!(total(&asked, Mode::Ours), (ms(1000), Why::LiveManifest));
}

#[test]
fn age_is_taken_off() {
    let facts = facts(LIVE_TS);
    let found = of(&Asked { age: ms(700), ..asked(MEDIA, Some(&facts)) });
    assert_eq!((found.total, found.left), (ms(1000), ms(300)));
    let old = of(&Asked { age: ms(7000), ..asked(MEDIA, Some(&facts)) });
    assert_eq!(old.left, ms(0));
}

#[test]
fn of_an_unknown_stream_nothing_is_kept_long() {
    let found = of(&asked(Kind::Hls(HlsForm::Multivariant), None));
    assert_eq!((found.total, found.why), (ms(2000), Why::Unknown));
    assert_eq!(of(&asked(SEGMENT, None)).total, ms(3_600_000));
    let only = Facts { kind: Kind::Hls(HlsForm::Multivariant), ..facts(VOD_TS) };
    assert_eq!(of(&asked(SEGMENT, Some(&only))).why, Why::Unknown, "it does not say");
}
