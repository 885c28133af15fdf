//! Media playlists (RFC 8216 4.3.2 and 4.3.3, rfc8216bis 4.4.3 to 4.4.5): tags gather until the
//! URI of the segment that they are for.

use std::time::Duration;

use super::attributes::Attributes;
use super::scalar::{Ranges, flag, length, number, once};
use super::{Key, Lines, Map, Media, Part, PlaylistType, PreloadHint, RenditionReport};
use super::{Segment, ServerControl};
use crate::limits::Limits;
use crate::time::{UnixMs, date};
use crate::unreadable::Unreadable;

pub(super) fn read<'a>(mut lines: Lines<'a, '_>, limits: &Limits) -> Result<Media<'a>, Unreadable> {
    let mut reader = Reader::new(limits);
    while let Some(line) = lines.next_line()? {
        match line.strip_prefix("#EXT") {
            Some(tag) => {
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                if !(reader.segment_tag(name, value)? || reader.part_tag(name, value)?) {
                    reader.list_tag(name, value)?;
                }
            }
            None => reader.segment(line)?,
        }
    }
    reader.finish()
}

struct Reader<'a, 'l> {
    limits: &'l Limits,
    media: Media<'a>,
    target: Option<Duration>,
    /// What was said of the segment whose URI is yet to come.
    open: Open<'a>,
    map: Option<u32>,
    key: Option<u32>,
    /// Whether the last tag was a key too: several stand for one segment.
    in_keys: bool,
    ranges: Ranges<'a>,
    part_ranges: Ranges<'a>,
    parts_begin: u32,
}

#[derive(Default)]
struct Open<'a> {
    duration: Option<Duration>,
    range: Option<&'a str>,
    is_discontinuity: bool,
    date: Option<UnixMs>,
    is_gap: bool,
}

impl<'a, 'l> Reader<'a, 'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            media: Media { version: 1, ..Media::default() },
            target: None,
            open: Open::default(),
            map: None,
            key: None,
            in_keys: false,
            ranges: Ranges::default(),
            part_ranges: Ranges::default(),
            parts_begin: 0,
        }
    }

    fn attributes(&self, list: &'a str) -> Attributes<'a> {
        Attributes::new(list, self.limits.attributes_max)
    }

    fn segment(&mut self, uri: &'a str) -> Result<(), Unreadable> {
        let open = std::mem::take(&mut self.open);
        let duration = open.duration.ok_or(Unreadable::Missing)?;
        if self.media.segments.len() == self.limits.segments_max {
            return Err(Unreadable::TooManySegments);
        }
        let range = open.range.map(|range| self.ranges.take(range, uri)).transpose()?;
        let end = index(self.media.parts.len())?;
        let parts = std::mem::replace(&mut self.parts_begin, end)..end;
        self.in_keys = false;
        self.media.segments.push(Segment {
            uri,
            duration,
            range,
            is_discontinuity: open.is_discontinuity,
            map: self.map,
            key: self.key,
            date: open.date,
            is_gap: open.is_gap,
            parts,
        });
        Ok(())
    }

    /// Tags of a segment (RFC 8216 4.3.2); whether it was one.
    fn segment_tag(&mut self, name: &str, value: &'a str) -> Result<bool, Unreadable> {
        match name {
            "INF" => {
                let duration = value.split_once(',').map_or(value, |(duration, _)| duration);
                once(&mut self.open.duration, length(duration.trim_matches(' '))?)?;
            }
            "-X-BYTERANGE" => once(&mut self.open.range, value)?,
            "-X-DISCONTINUITY" => self.open.is_discontinuity = true,
            "-X-GAP" => self.open.is_gap = true,
            "-X-PROGRAM-DATE-TIME" => {
                self.open.date = Some(date(value).ok_or(Unreadable::Time)?);
            }
            "-X-KEY" => self.key(value)?,
            "-X-MAP" => {
                let (uri, range) = self.uri_and_range(value)?;
                let range = range.map(|range| Ranges::default().take(range, uri)).transpose();
                let map = Map { uri, range: range? };
                // Packagers repeat it for each segment.
                if self.media.maps.last() != Some(&map) {
                    self.room(self.media.maps.len())?;
                    self.media.maps.push(map);
                }
                self.map = Some(index(self.media.maps.len())? - 1);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn key(&mut self, value: &'a str) -> Result<(), Unreadable> {
        let (mut method, mut uri) = (None, "");
        let mut attributes = self.attributes(value);
        while let Some((name, value)) = attributes.next_pair()? {
            match name {
                "METHOD" => method = Some(value),
                "URI" => uri = value,
                _ => {}
            }
        }
        let method = method.ok_or(Unreadable::Missing)?;
        if method == "NONE" {
            (self.key, self.in_keys) = (None, false);
            return Ok(());
        }
        if uri.is_empty() {
            return Err(Unreadable::Missing);
        }
        self.room(self.media.keys.len())?;
        self.media.keys.push(Key { method, uri });
        if !std::mem::replace(&mut self.in_keys, true) {
            self.key = Some(index(self.media.keys.len())? - 1);
        }
        Ok(())
    }

    fn uri_and_range(&self, value: &'a str) -> Result<(&'a str, Option<&'a str>), Unreadable> {
        let (mut uri, mut range) = (None, None);
        let mut attributes = self.attributes(value);
        while let Some((name, value)) = attributes.next_pair()? {
            match name {
                "URI" => uri = Some(value),
                "BYTERANGE" => range = Some(value),
                _ => {}
            }
        }
        Ok((uri.ok_or(Unreadable::Missing)?, range))
    }

    /// Tags of low latency; whether it was one.
    fn part_tag(&mut self, name: &str, value: &'a str) -> Result<bool, Unreadable> {
        match name {
            "-X-PART" => self.part(value)?,
            "-X-PART-INF" => {
                let mut attributes = self.attributes(value);
                while let Some((name, value)) = attributes.next_pair()? {
                    if name == "PART-TARGET" {
                        self.media.part_target = Some(length(value)?);
                    }
                }
            }
            "-X-PRELOAD-HINT" => {
                let hint = self.hint(value)?;
                self.room(self.media.hints.len())?;
                self.media.hints.push(hint);
            }
            "-X-RENDITION-REPORT" => {
                let mut report = RenditionReport { uri: "", last_msn: None, last_part: None };
                let mut attributes = self.attributes(value);
                while let Some((name, value)) = attributes.next_pair()? {
                    match name {
                        "URI" => report.uri = value,
                        "LAST-MSN" => report.last_msn = Some(number(value)?),
                        "LAST-PART" => report.last_part = Some(number(value)?),
                        _ => {}
                    }
                }
                self.room(self.media.reports.len())?;
                self.media.reports.push(report);
            }
            "-X-SKIP" => {
                let mut attributes = self.attributes(value);
                while let Some((name, value)) = attributes.next_pair()? {
                    if name == "SKIPPED-SEGMENTS" {
                        self.media.skipped = Some(number(value)?);
                    }
                }
                if self.media.skipped.is_none() || !self.media.segments.is_empty() {
                    return Err(Unreadable::Misplaced);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn part(&mut self, value: &'a str) -> Result<(), Unreadable> {
        let (mut uri, mut duration, mut range) = (None, None, None);
        let (mut is_independent, mut is_gap) = (false, false);
        let mut attributes = self.attributes(value);
        while let Some((name, value)) = attributes.next_pair()? {
            match name {
                "URI" => uri = Some(value),
                "DURATION" => duration = Some(length(value)?),
                "BYTERANGE" => range = Some(value),
                "INDEPENDENT" => is_independent = flag(value),
                "GAP" => is_gap = flag(value),
                _ => {}
            }
        }
        if self.media.parts.len() == self.limits.segments_max {
            return Err(Unreadable::TooManySegments);
        }
        let uri = uri.ok_or(Unreadable::Missing)?;
        let duration = duration.ok_or(Unreadable::Missing)?;
        let range = range.map(|range| self.part_ranges.take(range, uri)).transpose()?;
        self.media.parts.push(Part { uri, duration, range, is_independent, is_gap });
        Ok(())
    }

    fn hint(&self, value: &'a str) -> Result<PreloadHint<'a>, Unreadable> {
        let mut hint = PreloadHint { is_map: false, uri: "", start: 0, length: None };
        let mut attributes = self.attributes(value);
        while let Some((name, value)) = attributes.next_pair()? {
            match name {
                "TYPE" => hint.is_map = value == "MAP",
                "URI" => hint.uri = value,
                "BYTERANGE-START" => hint.start = number(value)?,
                "BYTERANGE-LENGTH" => hint.length = Some(number(value)?),
                _ => {}
            }
        }
        let fits = hint.start.checked_add(hint.length.unwrap_or(0)).is_some();
        match (hint.uri, fits) {
            ("", _) => Err(Unreadable::Missing),
            (_, false) => Err(Unreadable::ByteRange),
            _ => Ok(hint),
        }
    }

    /// Tags of the list (RFC 8216 4.3.3); those that nobody knows are passed over (6.3.1).
    fn list_tag(&mut self, name: &str, value: &'a str) -> Result<(), Unreadable> {
        let media = &mut self.media;
        match name {
            "-X-VERSION" => media.version = number(value)?,
            "-X-TARGETDURATION" => once(&mut self.target, length(value)?)?,
            "-X-MEDIA-SEQUENCE" => media.media_sequence = number(value)?,
            "-X-DISCONTINUITY-SEQUENCE" => media.discontinuity_sequence = number(value)?,
            "-X-ENDLIST" => media.is_ended = true,
            "-X-I-FRAMES-ONLY" => media.is_iframes_only = true,
            "-X-DEFINE" => media.has_variables = true,
            "-X-PLAYLIST-TYPE" => {
                media.playlist_type = Some(match value {
                    "VOD" => PlaylistType::Vod,
                    "EVENT" => PlaylistType::Event,
                    _ => return Err(Unreadable::Misplaced),
                });
            }
            "-X-SERVER-CONTROL" => self.control(value)?,
            "-X-STREAM-INF"
            | "-X-MEDIA"
            | "-X-I-FRAME-STREAM-INF"
            | "-X-SESSION-KEY"
            | "-X-SESSION-DATA" => return Err(Unreadable::Mixed),
            "M3U" => return Err(Unreadable::Misplaced),
            _ => {}
        }
        Ok(())
    }

    fn control(&mut self, value: &'a str) -> Result<(), Unreadable> {
        let mut control = ServerControl::default();
        let mut attributes = self.attributes(value);
        while let Some((name, value)) = attributes.next_pair()? {
            match name {
                "CAN-BLOCK-RELOAD" => control.can_block_reload = flag(value),
                "HOLD-BACK" => control.hold_back = Some(length(value)?),
                "PART-HOLD-BACK" => control.part_hold_back = Some(length(value)?),
                "CAN-SKIP-UNTIL" => control.can_skip_until = Some(length(value)?),
                "CAN-SKIP-DATERANGES" => control.can_skip_dateranges = flag(value),
                _ => {}
            }
        }
        self.media.control = control;
        Ok(())
    }

    const fn room(&self, taken: usize) -> Result<(), Unreadable> {
        if taken < self.limits.extras_max { Ok(()) } else { Err(Unreadable::TooManySegments) }
    }

    fn finish(mut self) -> Result<Media<'a>, Unreadable> {
        let target = self.target.filter(|target| !target.is_zero());
        self.media.target = target.ok_or(Unreadable::Missing)?;
        if self.open.duration.is_some() {
            return Err(Unreadable::Missing);
        }
        let end = index(self.media.parts.len())?;
        self.media.open_parts = self.parts_begin..end;
        let count = index(self.media.segments.len())?;
        let skipped = self.media.skipped.unwrap_or(0);
        let last = self.media.media_sequence.checked_add(skipped);
        last.and_then(|last| last.checked_add(count.into())).ok_or(Unreadable::Number)?;
        Ok(self.media)
    }
}

fn index(length: usize) -> Result<u32, Unreadable> {
    u32::try_from(length).map_err(|_| Unreadable::TooManySegments)
}
