//! How the segments of a representation are found (ISO/IEC 23009-1 5.3.9): by template and
//! timeline, by a list, or as one file. Counts are computed, not counted: a timeline that repeats
//! a billion times costs one entry.

use std::sync::Arc;
use std::time::Duration;

use crate::track::ByteRange;

/// Where the segments are; the attributes of all forms, of which each uses some.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressing {
    /// Which element it was
    pub form: Form,
    /// `@timescale`: units a second, at least 1
    pub timescale: u64,
    /// `@duration`, in units
    pub duration: Option<u64>,
    /// `@startNumber`
    pub start_number: u64,
    /// `@endNumber`
    pub end_number: Option<u64>,
    /// `@presentationTimeOffset`, in units
    pub presentation_offset: u64,
    /// `@availabilityTimeOffset`: segments are there that much earlier; INF is
    /// [`DURATION_MAX`](crate::time::DURATION_MAX)
    pub availability_offset: Duration,
    /// `@availabilityTimeComplete`: false when segments may be read while they are made
    pub is_available_complete: bool,
    /// `SegmentTimeline`
    pub timeline: Option<Arc<[Entry]>>,
    /// `@media`
    pub media: Option<Arc<str>>,
    /// `@initialization`, or `@sourceURL` of `Initialization`
    pub initialization: Option<Arc<str>>,
    /// `@range` of `Initialization`
    pub initialization_range: Option<ByteRange>,
    /// `@indexRange`
    pub index_range: Option<ByteRange>,
    /// `SegmentURL`
    pub urls: Arc<[ListedUrl]>,
}

/// Which element it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// None of them: `BaseURL` is the one segment.
    #[default]
    Whole,
    /// `SegmentTemplate`
    Template,
    /// `SegmentList`
    List,
    /// `SegmentBase`
    Base,
}

/// `S` of a timeline, in units of the timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `@t`; none: where the one before ends
    pub time: Option<u64>,
    /// `@d`
    pub duration: u64,
    /// `@r`; less than 0: up to the next one or the end of the period
    pub repeat: i64,
}

/// `SegmentURL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUrl {
    /// `@media`; none: the base address
    pub media: Option<Box<str>>,
    /// `@mediaRange`
    pub range: Option<ByteRange>,
}

/// Segments of one length, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// `$Number$` of the first
    pub number: u64,
    /// `$Time$` of the first
    pub time: u64,
    /// Of each, in units; not 0
    pub duration: u64,
    /// How many; `u64::MAX`: nobody knows
    pub count: u64,
}

/// All segments that a description knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(pub Vec<Run>);

impl Default for Addressing {
    fn default() -> Self {
        Self {
            form: Form::Whole,
            timescale: 1,
            duration: None,
            start_number: 1,
            end_number: None,
            presentation_offset: 0,
            availability_offset: Duration::ZERO,
            is_available_complete: true,
            timeline: None,
            media: None,
            initialization: None,
            initialization_range: None,
            index_range: None,
            urls: Arc::from([]),
        }
    }
}

impl Addressing {
    /// The longest segment.
    pub fn longest(&self) -> Option<Duration> {
        let units = match &self.timeline {
            Some(timeline) => timeline.iter().map(|entry| entry.duration).max(),
            None => self.duration,
        };
        units.map(|units| of_units(units, self.timescale))
    }

    /// The segments in a period of that length (none: open). Sums that overflow end it.
    pub fn runs(&self, period: Option<Duration>) -> Runs {
        let end = period.and_then(|period| to_units(period, self.timescale));
        let last = self.end_number.unwrap_or(u64::MAX);
        let mut runs = Vec::new();
        let Some(timeline) = &self.timeline else {
            if let Some(duration) = self.duration.filter(|duration| *duration > 0) {
                let count = end.map_or(u64::MAX, |end| end.div_ceil(duration));
                let count = count.min(last.saturating_sub(self.start_number).saturating_add(1));
                runs.push(Run { number: self.start_number, time: 0, duration, count });
            }
            return Runs(runs);
        };
        let end = end.and_then(|end| end.checked_add(self.presentation_offset));
        let (mut number, mut time) = (self.start_number, 0_u64);
        for (index, entry) in timeline.iter().enumerate() {
            let start = entry.time.unwrap_or(time);
            if entry.duration == 0 || number > last {
                break;
            }
            let next = timeline.get(index + 1);
            let until = next.map_or(end, |next| next.time);
            let count = match u64::try_from(entry.repeat) {
                Ok(repeat) => repeat.saturating_add(1),
                Err(_) => until
                    .map_or(u64::MAX, |until| until.saturating_sub(start).div_ceil(entry.duration)),
            };
            let count = count.min((last - number).saturating_add(1));
            if count > 0 {
                runs.push(Run { number, time: start, duration: entry.duration, count });
            }
            let length = count.checked_mul(entry.duration);
            let Some(after) = length.and_then(|length| start.checked_add(length)) else { break };
            let Some(following) = number.checked_add(count) else { break };
            (time, number) = (after, following);
        }
        Runs(runs)
    }
}

impl Run {
    /// Number and time of a segment of it.
    pub fn at(&self, index: u64) -> Option<(u64, u64)> {
        let offset = index.checked_mul(self.duration)?;
        Some((self.number.checked_add(index)?, self.time.checked_add(offset)?))
    }

    /// Which of it has that number.
    pub fn by_number(&self, number: u64) -> Option<u64> {
        number.checked_sub(self.number).filter(|index| *index < self.count)
    }

    /// Which of it begins at that time.
    pub fn by_time(&self, time: u64) -> Option<u64> {
        let offset = time.checked_sub(self.time)?;
        let index = offset / self.duration;
        (offset % self.duration == 0 && index < self.count).then_some(index)
    }
}

/// A duration in units; what is longer than a hundred years is a hundred years.
pub(crate) fn of_units(units: u64, timescale: u64) -> Duration {
    let micros = u128::from(units) * 1_000_000 / u128::from(timescale.max(1));
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    Duration::from_micros(micros).min(crate::time::DURATION_MAX)
}

fn to_units(duration: Duration, timescale: u64) -> Option<u64> {
    u64::try_from(duration.as_micros() * u128::from(timescale) / 1_000_000).ok()
}
