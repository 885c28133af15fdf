//! Tables for people: columns as wide as what is in them, two spaces between, no colours. Pure.

use serde_json::Value;
use std::fmt::Write;

/// A table that is filled row by row.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns whose cells stand at the right.
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; one that begins with `>` has numbers below it.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let first = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned());
        Self { rows: vec![first.collect()], right }
    }

    /// A table of names and what they are, without headings.
    pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
        let rows = pairs.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        Self { rows: rows.collect(), right: vec![false, false] }.text()
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there is nothing below the headings.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The table, a line a row.
    pub(crate) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| columns(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = widths[column].saturating_sub(columns(cell));
                let (before, after) = if self.right[column] { (gap, 0) } else { (0, gap) };
                let _ = write!(line, "{:before$}{}{:after$}  ", "", plain(cell), "");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}

/// Columns of a terminal, near enough: a table never has wide characters of ours.
fn columns(text: &str) -> usize {
    plain(text).chars().count()
}

/// Control characters could move the cursor: they come from elsewhere and are shown as `?`.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A value as a cell: nothing for null, names joined for a list.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A moment in UTC: of `updated` it is the member `updated_ms` or `updated_s`, counted from 1970.
pub(super) fn moment(of: &Value, name: &str) -> String {
    let number = |unit: &str| of.get(format!("{name}_{unit}")).and_then(Value::as_i64);
    let Some(seconds) = number("ms").map(|ms| ms.div_euclid(1000)).or_else(|| number("s")) else {
        return "-".to_owned();
    };
    let mut out = Vec::new();
    selvedge_telemetry::write_rfc3339_ms(&mut out, seconds, 0);
    String::from_utf8_lossy(&out).replace(".000Z", "Z")
}

/// A number of bytes.
pub(super) fn size(value: &Value) -> String {
    value.as_u64().map_or_else(|| cell(value), crate::look::bytes)
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(&["name", ">bytes", "hosts"]);
        table.row(vec!["shop".into(), "5".into(), "a.test".into()]);
        table.row(vec!["än".into(), "12345".into(), String::new()]);
        let text = "name  bytes  hosts\nshop      5  a.test\nän    12345\n";
        assert_eq!(table.text(), text);
        assert!(!table.is_empty() && Table::new(&["a"]).is_empty());
        let pairs = Table::pairs(&[("a", "1".to_owned()), ("long", "2".to_owned())]);
        assert_eq!(pairs, "a     1\nlong  2\n");
    }

    #[test]
    fn what_comes_from_elsewhere_cannot_move_the_cursor() {
        let mut table = Table::new(&["name"]);
        table.row(vec!["a\u{1b}[2Jb\n".into()]);
        assert_eq!(table.text(), "name\na?[2Jb?\n");
    }

    #[test]
    fn values_are_shown_for_people() {
        assert_eq!(cell(&json!(null)), "-");
        assert_eq!(cell(&json!(["a", "b"])), "a,b");
        assert_eq!(cell(&json!(true)), "yes");
        assert_eq!(moment(&json!({ "at_ms": 1999 }), "at"), "1970-01-01T00:00:01Z");
        assert_eq!(moment(&json!({ "at_s": 1_795_000_000 }), "at"), "2026-11-18T11:06:40Z");
        assert_eq!(moment(&json!({ "at_ms": null }), "at"), "-");
        assert_eq!(size(&json!(2048)), "2.0 KiB");
        assert_eq!(count(1, "file") + &count(0, "node"), "1 file0 nodes");
    }
}
