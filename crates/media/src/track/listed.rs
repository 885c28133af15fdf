//! Segments one by one: what their addresses have in common is kept once, and which of them one
//! is is found by halving.

use super::predict::Series;
use super::{Ahead, AheadFrom, ByteRange};

/// The segments of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// What all addresses begin with
    common: String,
    /// The rest of them, one after the other
    rests: String,
    entries: Vec<Entry>,
    /// Entries by address and range
    order: Vec<u32>,
    /// Entries from the end with which a player begins; none: the first
    start_back: Option<usize>,
    series: Option<Series>,
    wants_series: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    start: u32,
    end: u32,
    range: Option<ByteRange>,
    from: AheadFrom,
}

impl Listed {
    pub(super) fn push(&mut self, path: &str, range: Option<ByteRange>, from: AheadFrom) {
        let (Ok(start), Ok(end)) =
            (u32::try_from(self.rests.len()), u32::try_from(self.rests.len() + path.len()))
        else {
            return;
        };
        self.rests.push_str(path);
        self.entries.push(Entry { start, end, range, from });
    }

    pub(super) const fn start_at(&mut self, back: usize) {
        self.start_back = Some(back);
    }

    pub(super) const fn predict(&mut self) {
        self.wants_series = true;
    }

    /// Makes it fit to be asked, once all is in.
    pub(super) fn finish(&mut self) {
        if let (true, [.., one, two]) = (self.wants_series, &self.entries[..])
            && one.range.is_none()
            && two.range.is_none()
        {
            self.series = Series::of(self.rest(one), self.rest(two));
        }
        let first = self.entries.first().map_or("", |entry| self.rest(entry));
        let mut common = first.len();
        for entry in &self.entries {
            let same = first.bytes().zip(self.rest(entry).bytes()).take(common);
            common = same.take_while(|(one, other)| one == other).count();
        }
        // Addresses are ASCII: any byte is a boundary.
        self.common = first[..common].to_owned();
        let mut rests = String::with_capacity(self.rests.len() - common * self.entries.len());
        for entry in &mut self.entries {
            let start = rests.len();
            rests.push_str(&self.rests[entry.start as usize + common..entry.end as usize]);
            // Smaller than before, so it still fits.
            (entry.start, entry.end) = (start as u32, rests.len() as u32);
        }
        self.rests = rests;
        self.entries.shrink_to_fit();
        let mut order: Vec<u32> = (0..).take(self.entries.len()).collect();
        order.sort_by_key(|index| self.key(*index));
        self.order = order;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path, None).is_some()
    }

    /// None if it is none of them.
    pub(super) fn next(
        &self,
        path: &str,
        range_start: Option<u64>,
        count: usize,
    ) -> Option<Vec<Ahead>> {
        let Some(index) = self.find(path, range_start) else {
            // Past the end of the list there are those that are counted on.
            let value = self.series.as_ref().and_then(|series| series.value(path))?;
            return Some(self.predicted(value, count));
        };
        let mut ahead: Vec<_> = self.listed_from(index + 1).take(count).collect();
        if let Some(series) = &self.series {
            let missing = count - ahead.len();
            ahead.extend(self.predicted(series.last, missing));
        }
        Some(ahead)
    }

    pub(super) fn start(&self, count: usize) -> Vec<Ahead> {
        let back = self.start_back.unwrap_or(usize::MAX);
        self.listed_from(self.entries.len().saturating_sub(back)).take(count).collect()
    }

    pub(super) const fn weight_bytes(&self) -> usize {
        self.common.len()
            + self.rests.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.order.capacity() * size_of::<u32>()
    }

    fn predicted(&self, after: u64, count: usize) -> Vec<Ahead> {
        let Some(series) = &self.series else { return Vec::new() };
        let values = (1..).take(count).map_while(|step| after.checked_add(step));
        let ahead = values.map(|value| Ahead {
            path: series.path(value),
            range: None,
            from: AheadFrom::Predicted,
            available_at: None,
        });
        ahead.collect()
    }

    fn listed_from(&self, index: usize) -> impl Iterator<Item = Ahead> {
        self.entries.iter().skip(index).map(|entry| Ahead {
            path: format!("{}{}", self.common, self.rest(entry)),
            range: entry.range,
            from: entry.from,
            available_at: None,
        })
    }

    /// The entry of an address; of several of them the first, or that with the range.
    fn find(&self, path: &str, range_start: Option<u64>) -> Option<usize> {
        let rest = path.strip_prefix(self.common.as_str())?;
        let wanted = (rest, range_start.unwrap_or(0));
        let at = self.order.partition_point(|index| self.key(*index) < wanted);
        let index = *self.order.get(at)?;
        let (found, start) = self.key(index);
        let same = found == rest && range_start.is_none_or(|wanted| wanted == start);
        same.then(|| usize::try_from(index).ok()).flatten()
    }

    fn key(&self, index: u32) -> (&str, u64) {
        let entry = &self.entries[index as usize];
        (self.rest(entry), entry.range.map_or(0, |range| range.start))
    }

    fn rest(&self, entry: &Entry) -> &str {
        &self.rests[entry.start as usize..entry.end as usize]
    }
}
