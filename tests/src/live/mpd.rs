//! The MPDs of a channel (ISO/IEC 23009-1 5): the same segments as of the playlists, counted or
//! listed. Where segments can be asked for while they are made, they are offered as soon as their
//! first piece is there (`@availabilityTimeOffset`).

use super::channel::Channel;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Segments are counted from the beginning.
pub(super) fn number(channel: &Channel) -> String {
    let duration = format!(" duration=\"{}\" startNumber=\"0\"/>", channel.plan.segment_s);
    mpd(channel, &duration)
}

/// Segments of the window are listed.
pub(super) fn timeline(channel: &Channel) -> String {
    let (start, plan) = (channel.window_start(), &channel.plan);
    let count = channel.next() - start;
    let line = format!(
        " startNumber=\"{start}\"><SegmentTimeline><S t=\"{}\" d=\"{}\" r=\"{}\"/>\
         </SegmentTimeline></SegmentTemplate>",
        start * u64::from(plan.segment_s),
        plan.segment_s,
        count.saturating_sub(1)
    );
    mpd(channel, &line)
}

fn mpd(channel: &Channel, template: &str) -> String {
    let plan = &channel.plan;
    let since = |seconds| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        iso(time)
    };
    let published = channel.began_s + channel.next() * u64::from(plan.segment_s);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"dynamic\" \
         availabilityStartTime=\"{}\" publishTime=\"{}\" \
         minimumUpdatePeriod=\"PT{}S\" timeShiftBufferDepth=\"PT{}S\" minBufferTime=\"PT2S\">\n\
         <Period id=\"1\" start=\"PT0S\"><AdaptationSet contentType=\"video\" \
         mimeType=\"video/mp4\" segmentAlignment=\"true\">\n",
        since(channel.began_s),
        since(published),
        plan.segment_s,
        plan.window * u64::from(plan.segment_s),
    );
    let offset = if plan.growing {
        let ahead = f64::from(plan.segment_s) - plan.chunk().as_secs_f64();
        format!(" availabilityTimeOffset=\"{ahead:.3}\" availabilityTimeComplete=\"false\"")
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "<SegmentTemplate timescale=\"1\" media=\"$RepresentationID$/s$Number$.m4s\" \
         initialization=\"$RepresentationID$/init.mp4\"{offset}{template}"
    );
    for (rendition, bytes) in plan.segment_bytes.iter().enumerate() {
        let bandwidth = bytes * 8 / plan.segment_s as usize;
        let _ = writeln!(
            text,
            "<Representation id=\"v{rendition}\" bandwidth=\"{bandwidth}\" codecs=\"avc1.64001f\" \
             width=\"640\" height=\"360\"/>"
        );
    }
    text.push_str("</AdaptationSet></Period></MPD>\n");
    text
}

/// `2026-01-02T03:04:05Z`
fn iso(time: SystemTime) -> String {
    let http = httpdate::fmt_http_date(time);
    let words: Vec<&str> = http.split(' ').collect();
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == words[2]).unwrap_or(0) + 1;
    format!("{}-{month:02}-{}T{}Z", words[3], words[1], words[4])
}
