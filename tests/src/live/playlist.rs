//! The playlists of a channel (RFC 8216 4.3, rfc8216bis 4.4).

use super::channel::Channel;
use super::plan::Parts;
use std::fmt::Write;

/// Segments at the end whose parts are listed.
const WITH_PARTS: u64 = 3;
/// Older segments than so many target durations may be left out.
const SKIP_TARGETS: u64 = 6;

/// The multivariant playlist.
pub(super) fn main(channel: &Channel) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
    for (rendition, bytes) in channel.plan.segment_bytes.iter().enumerate() {
        let bandwidth = bytes * 10 / channel.plan.segment_s as usize;
        let _ = write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"avc1.64001f\"\n\
             v{rendition}/index.m3u8\n"
        );
    }
    text
}

/// The media playlist of a rendition; as a delta update if old segments may be skipped.
pub(super) fn media(channel: &Channel, rendition: usize, skip: bool) -> String {
    let plan = &channel.plan;
    let (start, next) = (channel.window_start(), channel.next());
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{start}\n",
        plan.segment_s
    );
    if !channel.discontinuities.is_empty() {
        let gone = channel.discontinuities.iter().filter(|msn| **msn < start).count();
        let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{gone}");
    }
    if plan.parts != Parts::None {
        let _ = write!(
            text,
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.5},CAN-SKIP-UNTIL={}.0\n\
             #EXT-X-PART-INF:PART-TARGET={:.5}\n",
            plan.part_s() * 3.0 + 0.00005,
            SKIP_TARGETS * u64::from(plan.segment_s),
            plan.part_s() + 0.00001,
        );
    }
    let skipped = if skip { next.saturating_sub(SKIP_TARGETS).saturating_sub(start) } else { 0 };
    if skipped > 0 {
        let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    } else {
        text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    }
    for msn in start + skipped..next {
        segment(channel, rendition, msn, &mut text);
    }
    if plan.parts != Parts::None {
        edge(channel, rendition, &mut text);
    }
    text
}

fn segment(channel: &Channel, rendition: usize, msn: u64, text: &mut String) {
    if channel.discontinuities.contains(&msn) {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if msn + WITH_PARTS >= channel.next() && channel.plan.parts != Parts::None {
        parts(channel, rendition, msn, channel.plan.segment_parts, text);
    }
    let _ = writeln!(text, "#EXTINF:{}.000,\ns{msn}.m4s", channel.plan.segment_s);
}

fn parts(channel: &Channel, rendition: usize, msn: u64, count: u64, text: &mut String) {
    for part in 0..count {
        let _ = write!(text, "#EXT-X-PART:DURATION={:.5},", channel.plan.part_s());
        if channel.plan.parts == Parts::Files {
            let _ = write!(text, "URI=\"s{msn}.p{part}.m4s\"");
        } else {
            let place = channel.part_place(rendition, msn, part);
            let _ =
                write!(text, "URI=\"s{msn}.m4s\",BYTERANGE=\"{}@{}\"", place.len(), place.start);
        }
        text.push_str(if part == 0 { ",INDEPENDENT=YES\n" } else { "\n" });
    }
}

/// What there is of the segment that is being made, what comes next, and where the others are.
fn edge(channel: &Channel, rendition: usize, text: &mut String) {
    let (msn, part) = (channel.next(), channel.parts());
    if channel.discontinuities.contains(&msn) {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    parts(channel, rendition, msn, part, text);
    if channel.plan.parts == Parts::Files {
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s{msn}.p{part}.m4s\"");
    } else {
        let from = channel.part_place(rendition, msn, part).start;
        let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART";
        let _ = writeln!(text, "{hint},URI=\"s{msn}.m4s\",BYTERANGE-START={from}");
    }
    let (last_msn, last_part) = if part > 0 {
        (msn, part - 1)
    } else {
        (msn.saturating_sub(1), channel.plan.segment_parts - 1)
    };
    for other in (0..channel.renditions()).filter(|other| *other != rendition) {
        let _ = writeln!(
            text,
            "#EXT-X-RENDITION-REPORT:URI=\"../v{other}/index.m3u8\",\
             LAST-MSN={last_msn},LAST-PART={last_part}"
        );
    }
}
