//! The model of a channel: how far it is, and what a request gets now. Pure: whoever has it moves
//! it on, by hand or by a clock.
//!
//! What waits and for what (rfc8216bis 6.2.5.2): a playlist asked for by number, until it has that
//! segment or part; a part that the playlist hints at, until its first bytes are made. Whatever
//! else is not there is 404.

use super::bytes::Take;
use super::name::Name;
use super::plan::{Caching, Parts, Plan};
use super::{mpd, playlist};
use std::collections::HashMap;
use std::ops::Range;

/// A channel at one moment.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(super) plan: Plan,
    /// Pieces made since segment 0.
    made: u64,
    /// How often the encoder began anew.
    take: u64,
    /// Segments before which there is a discontinuity.
    pub(super) discontinuities: Vec<u64>,
    /// When segment 0 began, in seconds since 1970.
    pub(super) began_s: u64,
    /// Documents that are given instead of what the model has.
    put: HashMap<String, (String, Vec<u8>)>,
}

/// What a request says that matters here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// Path and query.
    pub target: &'a str,
    /// Range.
    pub range: Option<&'a str>,
    /// If-Range.
    pub if_range: Option<&'a str>,
    /// If-None-Match.
    pub if_none_match: Option<&'a str>,
}

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// An answer.
    Answer(Reply),
    /// Nothing until the channel has moved on.
    Wait,
    /// What is there, and the rest as it is made.
    Grow(Growing),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The fields that depend on it, each with its CRLF.
    pub fields: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A body that is being made.
#[derive(Clone, Debug)]
pub struct Growing {
    /// The fields of its head, each with its CRLF.
    pub fields: String,
    rendition: usize,
    msn: u64,
    /// What is still to be given, in pieces of the segment.
    left: Range<u64>,
    take: u64,
}

/// The encoder began anew: a body can not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Segments are kept for so many windows.
const KEPT_WINDOWS: u64 = 4;
/// What is said of segments and parts where something is said.
const SEGMENT_LIFETIME_S: u32 = 3600;

impl Channel {
    /// A channel as planned, whose segment 0 began then.
    #[must_use]
    pub fn new(plan: Plan, began_s: u64) -> Self {
        let made = plan.first * plan.segment_chunks();
        let (discontinuities, put) = (Vec::new(), HashMap::new());
        Self { plan, made, take: 0, discontinuities, began_s, put }
    }

    /// How many renditions there are.
    #[must_use]
    pub fn renditions(&self) -> usize {
        self.plan.renditions()
    }

    /// The segment that is being made: all before it are whole.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.made / self.plan.segment_chunks()
    }

    /// Parts of that segment that are whole.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.made % self.plan.segment_chunks() / self.plan.part_chunks
    }

    /// How far it is, in pieces: another number means that something changed.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Makes so many pieces.
    pub fn make(&mut self, chunks: u64) {
        self.made += chunks;
    }

    /// Makes pieces up to the end of the part at hand.
    pub fn finish_part(&mut self) {
        self.made += self.plan.part_chunks - self.made % self.plan.part_chunks;
    }

    /// Makes pieces up to the end of the segment at hand.
    pub fn finish_segment(&mut self) {
        self.made += self.plan.segment_chunks() - self.made % self.plan.segment_chunks();
    }

    /// The encoder begins anew at this segment: the names are the same, the bytes are others.
    pub fn restart(&mut self, at: u64) {
        self.take += 1;
        self.made = at * self.plan.segment_chunks();
        self.discontinuities.clear();
    }

    /// The segment at hand does not go on from the one before it.
    pub fn discontinuity(&mut self) {
        self.discontinuities.push(self.next());
    }

    /// Gives this document at a path from now on.
    pub fn put(&mut self, path: &str, media_type: &str, body: impl Into<Vec<u8>>) {
        self.put.insert(path.to_owned(), (media_type.to_owned(), body.into()));
    }

    /// The first segment that a playlist lists.
    #[must_use]
    pub fn window_start(&self) -> u64 {
        self.next().saturating_sub(self.plan.window)
    }

    /// The bytes that an object has or will have; none for playlists.
    #[must_use]
    pub fn bytes(&self, name: Name) -> Option<Vec<u8>> {
        match name {
            Name::Init(rendition) => Some(self.now().init(rendition)),
            Name::Segment(rendition, msn) => {
                Some(self.now().chunks(rendition, msn, 0..self.plan.segment_chunks()))
            }
            Name::Part(rendition, msn, part) => {
                Some(self.now().chunks(rendition, msn, self.part_chunks(part)))
            }
            _ => None,
        }
    }

    /// Where a part lies in its segment.
    #[must_use]
    pub fn part_place(&self, rendition: usize, msn: u64, part: u64) -> Range<usize> {
        self.now().place(rendition, msn, self.part_chunks(part))
    }

    pub(super) fn part_chunks(&self, part: u64) -> Range<u64> {
        part * self.plan.part_chunks..(part + 1) * self.plan.part_chunks
    }

    fn now(&self) -> Take<'_> {
        Take { plan: &self.plan, number: self.take }
    }

    /// Pieces of a segment that are made.
    fn made_of(&self, msn: u64) -> u64 {
        let begin = msn.saturating_mul(self.plan.segment_chunks());
        self.made.saturating_sub(begin).min(self.plan.segment_chunks())
    }

    /// What a request gets now.
    #[must_use]
    pub fn ask(&self, ask: &Ask<'_>) -> Verdict {
        let (path, query) = ask.target.split_once('?').unwrap_or((ask.target, ""));
        if let Some((media_type, body)) = self.put.get(path) {
            let fields = format!("Content-Type: {media_type}\r\n");
            return Verdict::Answer(Reply { status: 200, fields, body: body.clone() });
        }
        let Some(name) = Name::parse(path) else { return Verdict::Answer(Reply::empty(404)) };
        let body = match name {
            Name::Main => playlist::main(self),
            Name::NumberMpd => mpd::number(self),
            Name::TimelineMpd => mpd::timeline(self),
            Name::Playlist(rendition) if rendition < self.plan.renditions() => {
                return self.playlist(rendition, query);
            }
            Name::Init(rendition) if rendition < self.plan.renditions() => {
                return Verdict::Answer(self.whole(ask, name, self.now().init(rendition)));
            }
            Name::Segment(rendition, msn) if rendition < self.plan.renditions() => {
                return self.segment(ask, rendition, msn);
            }
            Name::Part(rendition, msn, part) if rendition < self.plan.renditions() => {
                return self.part(ask, rendition, msn, part);
            }
            _ => return Verdict::Answer(Reply::empty(404)),
        };
        Verdict::Answer(self.manifest(name, body, 1))
    }

    fn playlist(&self, rendition: usize, query: &str) -> Verdict {
        let Ok(wanted) = Wanted::parse(query) else { return Verdict::Answer(Reply::empty(400)) };
        let offers_waiting = self.plan.parts != Parts::None;
        if let (Some((msn, part)), true) = (wanted.at, offers_waiting) {
            if msn > self.next() + 1 {
                return Verdict::Answer(Reply::empty(400));
            }
            // A part behind the last one is the first of the next segment.
            let is_there = match part {
                None => msn < self.next(),
                Some(part) => (msn, part) < (self.next(), self.parts()),
            };
            let behind = part.is_some_and(|part| part >= self.plan.segment_parts);
            if !is_there || behind && msn + 1 == self.next() && self.parts() == 0 {
                return Verdict::Wait;
            }
        }
        let body = playlist::media(self, rendition, wanted.skip && offers_waiting);
        let lifetime_s = if wanted.at.is_some() { 6 * self.plan.segment_s } else { 1 };
        Verdict::Answer(self.manifest(Name::Playlist(rendition), body, lifetime_s))
    }

    fn segment(&self, ask: &Ask<'_>, rendition: usize, msn: u64) -> Verdict {
        let made = self.made_of(msn);
        let all = self.plan.segment_chunks();
        let too_old = msn + KEPT_WINDOWS * self.plan.window < self.next();
        let is_open = self.plan.growing && msn == self.next();
        let name = Name::Segment(rendition, msn);
        if made == all && !too_old {
            let bytes = self.now().chunks(rendition, msn, 0..all);
            return Verdict::Answer(self.whole(ask, name, bytes));
        }
        if !is_open || too_old {
            return Verdict::Answer(Reply::empty(404));
        }
        // Of what is not whole, a part can be given as soon as its last byte is made.
        let end = self.now().place(rendition, msn, 0..all).end;
        let range = ask.range.and_then(closed_range);
        if let Some((first, Some(last))) = range.filter(|(_, last)| last.is_some_and(|at| at < end))
        {
            let have = self.now().chunks(rendition, msn, 0..made);
            let Some(bytes) = have.get(first..=last) else { return Verdict::Wait };
            let place = format!("Content-Range: bytes {first}-{last}/*\r\n");
            let fields = self.fields(name, SEGMENT_LIFETIME_S) + &place;
            return Verdict::Answer(Reply { status: 206, fields, body: bytes.to_vec() });
        }
        self.grow(name, rendition, msn, 0..all)
    }

    fn part(&self, ask: &Ask<'_>, rendition: usize, msn: u64, part: u64) -> Verdict {
        let chunks = self.part_chunks(part);
        let offered = self.plan.parts == Parts::Files && part < self.plan.segment_parts;
        let too_old = msn + 3 < self.next();
        let name = Name::Part(rendition, msn, part);
        if !offered || too_old || (msn, part) > (self.next(), self.parts()) {
            return Verdict::Answer(Reply::empty(404));
        }
        if self.made_of(msn) >= chunks.end {
            let bytes = self.now().chunks(rendition, msn, chunks);
            return Verdict::Answer(self.whole(ask, name, bytes));
        }
        self.grow(name, rendition, msn, chunks)
    }

    /// Held until the first piece is made, then streamed.
    fn grow(&self, name: Name, rendition: usize, msn: u64, left: Range<u64>) -> Verdict {
        if self.made_of(msn) <= left.start {
            return Verdict::Wait;
        }
        let fields = self.fields(name, SEGMENT_LIFETIME_S);
        Verdict::Grow(Growing { fields, rendition, msn, left, take: self.take })
    }

    /// What was made of a body since it was asked for last; true when that was the last of it.
    pub fn grown(&self, growing: &mut Growing) -> Result<(Vec<u8>, bool), Lost> {
        if growing.take != self.take {
            return Err(Lost);
        }
        let made = self.made_of(growing.msn).min(growing.left.end);
        let ready = growing.left.start..made.max(growing.left.start);
        growing.left.start = ready.end;
        let bytes = self.now().chunks(growing.rendition, growing.msn, ready);
        Ok((bytes, growing.left.is_empty()))
    }

    /// Type, tag and lifetime.
    fn fields(&self, name: Name, lifetime_s: u32) -> String {
        let mut fields = format!("Content-Type: {}\r\n", name.media_type());
        if name.media_type().starts_with("video") {
            fields.push_str(&format!("ETag: {}\r\nAccept-Ranges: bytes\r\n", self.tag(name)));
        }
        if self.plan.caching == Caching::Explicit {
            fields.push_str(&format!("Cache-Control: max-age={lifetime_s}\r\n"));
        }
        fields
    }

    fn tag(&self, name: Name) -> String {
        format!("\"{}{name}\"", self.take)
    }

    fn manifest(&self, name: Name, body: String, lifetime_s: u32) -> Reply {
        Reply { status: 200, fields: self.fields(name, lifetime_s), body: body.into_bytes() }
    }

    /// An object that is whole, or a range of it.
    fn whole(&self, ask: &Ask<'_>, name: Name, bytes: Vec<u8>) -> Reply {
        let fields = self.fields(name, SEGMENT_LIFETIME_S);
        let tag = self.tag(name);
        if ask.if_none_match.is_some_and(|tags| tags.contains(&tag)) {
            return Reply { status: 304, fields, body: Vec::new() };
        }
        let range = ask.range.filter(|_| ask.if_range.is_none_or(|known| known == tag));
        let Some((first, last)) = range.and_then(closed_range) else {
            return Reply { status: 200, fields, body: bytes };
        };
        let end = last.map_or(bytes.len(), |last| bytes.len().min(last + 1));
        let Some(piece) = bytes.get(first..end).filter(|piece| !piece.is_empty()) else {
            let fields = format!("Content-Range: bytes */{}\r\n", bytes.len());
            return Reply { status: 416, fields, body: Vec::new() };
        };
        let place = format!("Content-Range: bytes {first}-{}/{}\r\n", end - 1, bytes.len());
        Reply { status: 206, fields: fields + &place, body: piece.to_vec() }
    }
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, fields: String::new(), body: Vec::new() }
    }
}

/// What delivery directives want.
#[derive(Debug, Default)]
struct Wanted {
    /// A segment, and a part of it.
    at: Option<(u64, Option<u64>)>,
    skip: bool,
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, ()> {
        let (mut msn, mut part, mut skip) = (None, None, false);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "_HLS_msn" => msn = Some(value.parse().map_err(|_| ())?),
                "_HLS_part" => part = Some(value.parse().map_err(|_| ())?),
                "_HLS_skip" => skip = value == "YES",
                _ => {}
            }
        }
        match (msn, part) {
            (None, Some(_)) => Err(()),
            (None, None) => Ok(Self { at: None, skip }),
            (Some(msn), part) => Ok(Self { at: Some((msn, part)), skip }),
        }
    }
}

/// `bytes=2-5`, `bytes=2-`; none for whatever else, which is then not heeded.
fn closed_range(range: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    if last.is_empty() {
        return Some((first, None));
    }
    let last = last.parse().ok()?;
    (first <= last).then_some((first, Some(last)))
}
