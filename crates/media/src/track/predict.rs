//! Names that count: `seg-00017.m4s` after `seg-00016.m4s`. Only the path is looked at, only the
//! name after its last slash, and only if exactly one number differs, by one.

/// Addresses that differ in a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    before: String,
    after: String,
    width: usize,
    /// The number of the last that is known
    pub(super) last: u64,
}

impl Series {
    /// The series of which two addresses are neighbours.
    pub(super) fn of(one: &str, two: &str) -> Option<Self> {
        let end = two.find('?').unwrap_or(two.len());
        let name = two[..end].rfind('/')? + 1;
        let mut right = end;
        for _ in 0..RUNS_MAX {
            let stop = two[name..right].rfind(|c: char| c.is_ascii_digit())? + name + 1;
            let digits = two[name..stop].rfind(|c: char| !c.is_ascii_digit());
            let start = digits.map_or(name, |at| name + at + 1);
            let last = crate::time::integer(&two[start..stop]);
            if let Some((last, before)) = last.and_then(|last| Some((last, last.checked_sub(1)?))) {
                let padded = two[start..stop].starts_with('0');
                let width = if padded { stop - start } else { 1 };
                let series = Self {
                    before: two[..start].to_owned(),
                    after: two[stop..].to_owned(),
                    width,
                    last,
                };
                // 10 after 09 has no zero in front, and yet its width.
                let wide = Self { width: stop - start, ..series.clone() };
                if let Some(found) = [series, wide].into_iter().find(|it| it.path(before) == one) {
                    return Some(found);
                }
            }
            right = start;
        }
        None
    }

    pub(super) fn path(&self, value: u64) -> String {
        format!("{}{value:0width$}{}", self.before, self.after, width = self.width)
    }

    /// The number of an address of the series that comes soon after the last.
    pub(super) fn value(&self, path: &str) -> Option<u64> {
        let digits = path.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let value = crate::time::integer(digits)?;
        let soon = value > self.last && value - self.last <= SOON_MAX;
        (soon && self.path(value) == path).then_some(value)
    }
}

/// Numbers in a name that are tried, from the right.
const RUNS_MAX: usize = 4;
/// A number further ahead is nobody's next segment.
const SOON_MAX: u64 = 8;
