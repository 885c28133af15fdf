//! Segments that are computed from a template (ISO/IEC 23009-1 5.3.9.4 and 5.3.9.6): nothing is
//! listed, however many there are.

use std::time::Duration;

use super::{Ahead, AheadFrom};
use crate::dash::{Addressing, Mpd, Pattern, Period, Run, Variable, of_units};
use crate::time::UnixMs;

/// The segments of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pattern: Pattern,
    runs: Vec<Run>,
    timescale: u64,
    /// `@presentationTimeOffset` where times count from it, in units
    offset: u64,
    /// When the period began, of a live one
    began: Option<UnixMs>,
    /// `@availabilityTimeOffset`
    earlier: Duration,
    /// How far behind the edge players begin
    delay: Duration,
    /// There is a timeline, and it will go on.
    grows: bool,
}

/// A segment of a run.
#[derive(Clone, Copy)]
struct Place {
    number: u64,
    time: u64,
    duration: u64,
    is_known: bool,
}

impl Counted {
    pub(super) fn new(mpd: &Mpd, period: &Period, how: &Addressing, pattern: Pattern) -> Self {
        let longest = how.longest().unwrap_or_default();
        let began = mpd.is_dynamic.then_some(mpd.availability_start).flatten();
        Self {
            pattern,
            runs: how.runs(period.duration).0,
            timescale: how.timescale,
            offset: if how.timeline.is_some() { how.presentation_offset } else { 0 },
            began: began.map(|began| began.plus(period.start)),
            earlier: how.availability_offset,
            delay: mpd.suggested_delay.unwrap_or(longest * 3),
            grows: mpd.is_dynamic && how.timeline.is_some() && period.duration.is_none(),
        }
    }

    /// None if it is none of them.
    pub(super) fn next(&self, path: &str, count: usize) -> Option<Vec<Ahead>> {
        let place = self.find(path)?;
        Some(self.after(place).take(count).map(|place| self.ahead(place)).collect())
    }

    pub(super) fn start(&self, now: UnixMs, count: usize) -> Vec<Ahead> {
        let Some(place) = self.first(now) else { return Vec::new() };
        let places = std::iter::once(place).chain(self.after(place)).take(count);
        places.filter(|place| place.is_known).map(|place| self.ahead(place)).collect()
    }

    pub(super) fn available_at(&self, path: &str) -> Option<UnixMs> {
        self.find(path).and_then(|place| self.published(place))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    pub(super) const fn weight_bytes(&self) -> usize {
        let pattern = self.pattern.before.len() + self.pattern.after.len();
        pattern + self.runs.capacity() * size_of::<Run>()
    }

    fn find(&self, path: &str) -> Option<Place> {
        let value = self.pattern.value(path)?;
        let index_in = |run: &Run| match self.pattern.variable {
            Variable::Number => run.by_number(value),
            Variable::Time => run.by_time(value),
        };
        let found = self.runs.iter().find_map(|run| place(run, index_in(run)?, true));
        found.or_else(|| {
            // A little beyond the end of a timeline, as it will go on.
            let last = self.runs.last().filter(|_| self.grows)?;
            let run = Run { count: last.count.saturating_add(SOON_MAX), ..*last };
            place(&run, index_in(&run)?, false)
        })
    }

    /// Those after it: as far as they are known, and a few more where more will come.
    fn after(&self, place: Place) -> impl Iterator<Item = Place> {
        std::iter::successors(Some(place), move |place| {
            let number = place.number.checked_add(1)?;
            let known = self.runs.iter().find_map(|run| {
                let index = run.by_number(number)?;
                self::place(run, index, true)
            });
            known.or_else(|| {
                let time = place.time.checked_add(place.duration)?;
                self.grows.then_some(Place { number, time, is_known: false, ..*place })
            })
        })
        .skip(1)
    }

    /// The one with which a player begins.
    fn first(&self, now: UnixMs) -> Option<Place> {
        let Some(began) = self.began else {
            return self.runs.first().and_then(|run| place(run, 0, true));
        };
        let into = now.since(began).saturating_sub(self.delay);
        let time =
            u128::from(self.offset) + into.as_micros() * u128::from(self.timescale) / 1_000_000;
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        let run = self.runs.iter().rev().find(|run| run.time <= time);
        let run = run.or_else(|| self.runs.first())?;
        let index = time.saturating_sub(run.time) / run.duration;
        place(run, index.min(run.count.saturating_sub(1)), true)
    }

    /// When it can be had: as soon as all of it has been produced (A.3.2), or that much earlier.
    fn published(&self, place: Place) -> Option<UnixMs> {
        let end = place.time.saturating_sub(self.offset).saturating_add(place.duration);
        let end = self.began?.plus(of_units(end, self.timescale));
        Some(end.minus(self.earlier))
    }

    fn ahead(&self, place: Place) -> Ahead {
        let value = match self.pattern.variable {
            Variable::Number => place.number,
            Variable::Time => place.time,
        };
        let from = if place.is_known { AheadFrom::Listed } else { AheadFrom::Predicted };
        let available_at = self.published(place);
        Ahead { path: self.pattern.path(value), range: None, from, available_at }
    }
}

fn place(run: &Run, index: u64, is_known: bool) -> Option<Place> {
    let (number, time) = run.at(index)?;
    Some(Place { number, time, duration: run.duration, is_known })
}

/// A segment further ahead is nobody's next one.
const SOON_MAX: u64 = 8;
