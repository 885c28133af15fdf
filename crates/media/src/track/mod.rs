//! What will be asked for next: the segments of one rendition in order, as a manifest lists them,
//! and beyond its end as they are counted on. Only addresses of the manifest's own origin and
//! below the given path are ever handed out, and only as many as were asked for.

mod listed;
mod pattern;
mod predict;

use std::time::Duration;

use listed::Listed;
use pattern::Counted;

use crate::address::{Base, Scope, Url, resolve};
use crate::dash::{Addressing, Form, Mpd, Pattern, Period, Representation};
use crate::hls::Media;
use crate::time::UnixMs;

/// A part of a resource, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    /// The first
    pub start: u64,
    /// How many; none: to the end
    pub length: Option<u64>,
}

impl ByteRange {
    /// The value of a Range field (RFC 9110 14.2); none for a range without bytes.
    pub fn field(&self) -> Option<String> {
        match self.length {
            None => Some(format!("bytes={}-", self.start)),
            Some(length) => {
                let last = self.start.checked_add(length.checked_sub(1)?)?;
                Some(format!("bytes={}-{last}", self.start))
            }
        }
    }
}

/// What will be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Path and query at the manifest's own origin
    pub path: String,
    /// If only a part will be
    pub range: Option<ByteRange>,
    /// How it is known
    pub from: AheadFrom,
    /// When it will be there; none: it is, or nobody knows
    pub available_at: Option<UnixMs>,
}

/// How it is known what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AheadFrom {
    /// The manifest has it.
    Listed,
    /// EXT-X-PRELOAD-HINT: the origin holds a request for it until it is there.
    Hinted,
    /// It was counted on from the last ones: it may not be there yet, or never.
    Predicted,
}

/// As many are given at most, whatever is asked for.
pub const AHEAD_MAX: usize = 16;

/// The segments of one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What stands in front of the first segment
    init: Option<(String, Option<ByteRange>)>,
    segments: Segments,
    /// Parts of low latency, with the hint at the end
    parts: Option<Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segments {
    Listed(Listed),
    Counted(Counted),
}

impl Track {
    /// Of a media playlist that was found at `base`. Nothing comes of URIs with variables
    /// (`{$name}`), of gaps, and of what is out of `scope`.
    pub fn of_hls(media: &Media<'_>, base: &Base<'_>, scope: &Scope<'_>) -> Self {
        let known = Within::new(base, scope);
        let within = |uri: &str| known.path(uri);
        let init = media.maps.first();
        let init = init.and_then(|map| Some((within(map.uri)?, map.range)));
        let mut segments = Listed::default();
        let mut map = media.segments.first().and_then(|segment| segment.map);
        for segment in &media.segments {
            if segment.map != map {
                map = segment.map;
                let map = map.and_then(|map| media.maps.get(usize::try_from(map).ok()?));
                if let Some((path, map)) = map.and_then(|map| Some((within(map.uri)?, map))) {
                    segments.push(&path, map.range, AheadFrom::Listed);
                }
            }
            if let Some(path) = (!segment.is_gap).then(|| within(segment.uri)).flatten() {
                segments.push(&path, segment.range, AheadFrom::Listed);
            }
        }
        let mut parts = Listed::default();
        for part in media.parts.iter().filter(|part| !part.is_gap) {
            if let Some(path) = within(part.uri) {
                parts.push(&path, part.range, AheadFrom::Listed);
            }
        }
        for hint in media.hints.iter().filter(|hint| !hint.is_map) {
            if let Some(path) = within(hint.uri) {
                let whole = hint.start == 0 && hint.length.is_none();
                let range = ByteRange { start: hint.start, length: hint.length };
                parts.push(&path, (!whole).then_some(range), AheadFrom::Hinted);
            }
        }
        if media.is_live() {
            let back = media.control.hold_back.unwrap_or(media.target * 3);
            segments.start_at(behind(media, back));
            segments.predict();
        }
        segments.finish();
        parts.finish();
        let parts = (!parts.is_empty()).then_some(parts);
        Self { init, segments: Segments::Listed(segments), parts }
    }

    /// Those of an MPD that was found at `base`, one for each representation of each period, as
    /// long as there are no more than `tracks_max`. A single file that its players read by an
    /// index of its own (SegmentBase) has none.
    pub fn of_mpd(mpd: &Mpd, base: &Base<'_>, scope: &Scope<'_>, tracks_max: usize) -> Vec<Self> {
        let mut tracks = Vec::new();
        let Some(root) = below(base, mpd.base_url.as_deref()) else { return tracks };
        for period in &mpd.periods {
            let Some(at) = below(&root.base(), period.base_url.as_deref()) else { continue };
            for set in &period.sets {
                let Some(at) = below(&at.base(), set.base_url.as_deref()) else { continue };
                for one in &set.representations {
                    if tracks.len() == tracks_max {
                        return tracks;
                    }
                    let Some(at) = below(&at.base(), one.base_url.as_deref()) else { continue };
                    tracks.extend(Self::of_representation(mpd, period, one, &at, scope));
                }
            }
        }
        tracks
    }

    fn of_representation(
        mpd: &Mpd,
        period: &Period,
        one: &Representation,
        at: &Url,
        scope: &Scope<'_>,
    ) -> Option<Self> {
        let how = &one.addressing;
        let base = at.base();
        let init = how.initialization.as_deref().and_then(|template| {
            let url = crate::dash::fixed(template, &one.id, one.bandwidth_bps, &base).ok()?;
            scope.check(&url).ok()?;
            Some((url.path_and_query(), how.initialization_range))
        });
        let segments = match how.form {
            Form::Template => {
                let media = how.media.as_deref()?;
                let pattern = Pattern::of(media, &one.id, one.bandwidth_bps, &base, scope)?;
                Segments::Counted(Counted::new(mpd, period, how, pattern))
            }
            Form::List => Segments::Listed(list(how, at, scope)),
            Form::Whole | Form::Base => return None,
        };
        Some(Self { init, segments, parts: None })
    }

    /// What comes after a segment (or part) of this track that was asked for: at most `count`,
    /// and [`AHEAD_MAX`]; nothing if it is none of this track. `range_start` tells segments in
    /// one resource apart.
    pub fn next(&self, path_and_query: &str, range_start: Option<u64>, count: usize) -> Vec<Ahead> {
        let count = count.min(AHEAD_MAX);
        let found = match &self.segments {
            Segments::Listed(list) => list.next(path_and_query, range_start, count),
            Segments::Counted(counted) => counted.next(path_and_query, count),
        };
        found
            .or_else(|| self.parts.as_ref()?.next(path_and_query, range_start, count))
            .unwrap_or_default()
    }

    /// What a player asks for that has just read the manifest: the init segment and the first
    /// `count` segments; live, those with which it should begin (HOLD-BACK, or three target
    /// durations before the end; `@suggestedPresentationDelay` before `now`).
    pub fn start(&self, now: UnixMs, count: usize) -> Vec<Ahead> {
        let count = count.min(AHEAD_MAX);
        let init = self.init.iter().map(|(path, range)| Ahead {
            path: path.clone(),
            range: *range,
            from: AheadFrom::Listed,
            available_at: None,
        });
        let segments = match &self.segments {
            Segments::Listed(list) => list.start(count),
            Segments::Counted(counted) => counted.start(now, count),
        };
        init.chain(segments).collect()
    }

    /// When a segment of this track is published, if that can be told: a 404 for it must not be
    /// believed beyond that.
    pub fn available_at(&self, path_and_query: &str) -> Option<UnixMs> {
        match &self.segments {
            Segments::Listed(_) => None,
            Segments::Counted(counted) => counted.available_at(path_and_query),
        }
    }

    /// Whether an address is one of this track.
    pub fn has(&self, path_and_query: &str) -> bool {
        let in_init = self.init.as_ref().is_some_and(|(path, _)| path == path_and_query);
        in_init
            || match &self.segments {
                Segments::Listed(list) => list.has(path_and_query),
                Segments::Counted(counted) => counted.has(path_and_query),
            }
            || self.parts.as_ref().is_some_and(|parts| parts.has(path_and_query))
    }

    /// Memory that it takes, about, in bytes.
    pub fn weight_bytes(&self) -> usize {
        let segments = match &self.segments {
            Segments::Listed(list) => list.weight_bytes(),
            Segments::Counted(counted) => counted.weight_bytes(),
        };
        let init = self.init.as_ref().map_or(0, |(path, _)| path.len());
        let parts = self.parts.as_ref().map_or(0, Listed::weight_bytes);
        size_of::<Self>() + init + segments + parts
    }
}

/// Resolves references of one manifest, within its scope.
struct Within<'a> {
    base: &'a Base<'a>,
    scope: &'a Scope<'a>,
    /// The manifest's folder, if plain names in it are within the scope
    folder: Option<&'a str>,
}

impl<'a> Within<'a> {
    fn new(base: &'a Base<'a>, scope: &'a Scope<'a>) -> Self {
        let folder = base.path.rfind('/').map(|end| &base.path[..=end]);
        let first = resolve(base, "x").ok().filter(|url| scope.check(url).is_ok());
        let same = first.map(|url| url.path).zip(folder);
        let folder =
            same.and_then(|(path, folder)| (path.strip_suffix('x')? == folder).then_some(folder));
        Self { base, scope, folder }
    }

    fn path(&self, reference: &str) -> Option<String> {
        // Most names are nothing but names: what they mean needs no work.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let plain = reference.len() <= NAME_BYTES_MAX
            && reference.starts_with(|c: char| c.is_ascii_alphanumeric())
            && reference.bytes().all(is_name);
        if let Some(folder) = self.folder.filter(|_| plain) {
            return Some(format!("{folder}{reference}"));
        }
        let url = resolve(self.base, reference).ok()?;
        self.scope.check(&url).ok()?;
        Some(url.path_and_query())
    }
}

/// A longer name is not taken the short way.
const NAME_BYTES_MAX: usize = 255;

/// Where a level of an MPD is: its BaseURL, if it has one, against that around it (5.6.4).
fn below(base: &Base<'_>, reference: Option<&str>) -> Option<Url> {
    match reference.filter(|reference| !reference.is_empty()) {
        Some(reference) => resolve(base, reference).ok(),
        None => Some(Url {
            scheme: base.scheme.to_owned(),
            authority: base.authority.to_owned(),
            path: base.path.to_owned(),
            query: None,
        }),
    }
}

fn list(how: &Addressing, at: &Url, scope: &Scope<'_>) -> Listed {
    let mut list = Listed::default();
    let base = at.base();
    let known = Within::new(&base, scope);
    for url in how.urls.iter() {
        let path = match &url.media {
            Some(media) => known.path(media),
            None => scope.check(at).ok().map(|()| at.path_and_query()),
        };
        if let Some(path) = path {
            list.push(&path, url.range, AheadFrom::Listed);
        }
    }
    list.finish();
    list
}

/// How many segments from the end a player begins that stays `back` behind it.
fn behind(media: &Media<'_>, back: Duration) -> usize {
    let mut sum = Duration::ZERO;
    let mut count = 0;
    for segment in media.segments.iter().rev() {
        if sum >= back {
            break;
        }
        sum = sum.saturating_add(segment.duration);
        count += 1;
    }
    count
}
