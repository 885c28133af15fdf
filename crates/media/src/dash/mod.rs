//! Media presentation descriptions (ISO/IEC 23009-1 5): what is needed to know how long one
//! holds and which segments there are. XML by a library that expands no entities; a document
//! type is refused, as is what is too deep, too long or too much.

mod addressing;
mod element;
mod read;
mod template;

use std::time::Duration;

pub(crate) use addressing::of_units;
pub use addressing::{Addressing, Entry, Form, ListedUrl, Run, Runs};
pub(crate) use template::fixed;
pub use template::{Pattern, Variable};

use crate::limits::Limits;
use crate::time::UnixMs;
use crate::unreadable::Unreadable;

/// A media presentation description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mpd {
    /// `@type` is `dynamic`
    pub is_dynamic: bool,
    /// `@minimumUpdatePeriod`; none: no new one is expected
    pub minimum_update: Option<Duration>,
    /// `@availabilityStartTime`
    pub availability_start: Option<UnixMs>,
    /// `@availabilityEndTime`
    pub availability_end: Option<UnixMs>,
    /// `@publishTime`
    pub publish_time: Option<UnixMs>,
    /// `@mediaPresentationDuration`
    pub duration: Option<Duration>,
    /// `@timeShiftBufferDepth`
    pub time_shift_depth: Option<Duration>,
    /// `@suggestedPresentationDelay`
    pub suggested_delay: Option<Duration>,
    /// `@maxSegmentDuration`
    pub max_segment: Option<Duration>,
    /// `BaseURL` of the whole, the first of several
    pub base_url: Option<Box<str>>,
    /// `Location`: where the next one is to be had
    pub location: Option<Box<str>>,
    /// The periods in order
    pub periods: Vec<Period>,
}

/// A `Period` (5.3.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Period {
    /// `@id`
    pub id: Option<Box<str>>,
    /// `@start`, or where the one before ends
    pub start: Duration,
    /// `@duration`, or up to the next one or the end of the presentation
    pub duration: Option<Duration>,
    /// `BaseURL`
    pub base_url: Option<Box<str>>,
    /// `AdaptationSet`
    pub sets: Vec<AdaptationSet>,
    has_start: bool,
}

/// An `AdaptationSet` (5.3.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdaptationSet {
    /// `@mimeType`
    pub mime: Option<Box<str>>,
    /// `@contentType`
    pub content_type: Option<Box<str>>,
    /// `BaseURL`
    pub base_url: Option<Box<str>>,
    /// `Representation`
    pub representations: Vec<Representation>,
}

/// A `Representation` (5.3.5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Representation {
    /// `@id`
    pub id: Box<str>,
    /// `@bandwidth`, in bits per second
    pub bandwidth_bps: u64,
    /// `@mimeType`
    pub mime: Option<Box<str>>,
    /// `@codecs`
    pub codecs: Option<Box<str>>,
    /// `BaseURL`
    pub base_url: Option<Box<str>>,
    /// How its segments are addressed; what stands at the set and the period is taken over.
    pub addressing: Addressing,
}

impl Mpd {
    /// The longest segment: as it is said, or as the segments are; none if nothing tells.
    pub fn segment(&self) -> Option<Duration> {
        let all = self.periods.iter().flat_map(|period| &period.sets);
        let all = all.flat_map(|set| &set.representations);
        self.max_segment.or_else(|| all.filter_map(|one| one.addressing.longest()).max())
    }
}

/// Reads an MPD. In time and memory it is bounded by the bytes and by `limits`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Mpd, Unreadable> {
    if bytes.len() > limits.manifest_bytes_max {
        return Err(Unreadable::TooLong);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
    let mut mpd = read::read(text, limits)?;
    place_periods(&mut mpd)?;
    Ok(mpd)
}

/// Where each period begins and ends (5.3.2.1).
fn place_periods(mpd: &mut Mpd) -> Result<(), Unreadable> {
    let mut end = Some(Duration::ZERO);
    for period in &mut mpd.periods {
        if !period.has_start {
            // Without a beginning it is announced early, and nothing of it can be had.
            period.start = end.unwrap_or(crate::time::DURATION_MAX);
        }
        end = period.duration.and_then(|duration| period.start.checked_add(duration));
    }
    let starts: Vec<_> = mpd.periods.iter().skip(1).map(|period| period.start).collect();
    let whole = mpd.duration;
    for (index, period) in mpd.periods.iter_mut().enumerate() {
        let until = starts.get(index).copied().or(whole);
        let length = until.map(|until| until.checked_sub(period.start));
        match (period.duration, length) {
            (None, Some(Some(length))) => period.duration = Some(length),
            (None, Some(None)) if starts.get(index).is_some() => return Err(Unreadable::Time),
            _ => {}
        }
    }
    Ok(())
}
