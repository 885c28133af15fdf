//! From a TOML document to values: finds each key's row, reads its value, notes where it was, and
//! reports everything that does not fit.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::Profile;
use crate::fault::{FAULTS_MAX, Fault, Faults, Finding};
use crate::key::{Absence, Key, Kind, Section, Shape};
use crate::keys::SECTIONS;
use crate::suggest;
use crate::value::{Empty, Value};

/// What reading one file collects.
pub(crate) struct Context<'t> {
    text: &'t str,
    profile: Profile,
    faults: Vec<Fault>,
    omitted: usize,
    /// Where each value is, by its path (`site[0].hosts[1]`).
    places: HashMap<String, Range<usize>>,
    /// Paths whose value has a fault: what depends on them is not judged.
    faulty: HashSet<String>,
}

/// A value and what is known about it.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'v, 't> {
    /// Its path, for the places.
    pub(crate) path: &'v str,
    /// What it must be.
    pub(crate) kind: &'v Kind,
    /// What it is.
    pub(crate) value: &'v Spanned<DeValue<'t>>,
}

impl<'t> Context<'t> {
    pub(crate) fn new(text: &'t str, profile: Profile) -> Self {
        Self {
            text,
            profile,
            faults: Vec::new(),
            omitted: 0,
            places: HashMap::new(),
            faulty: HashSet::new(),
        }
    }

    /// Reports a fault at a place of the text.
    pub(crate) fn report(&mut self, span: Option<&Range<usize>>, finding: Finding) {
        if self.is_full() {
            self.omitted += 1;
        } else {
            self.faults.push(finding.at(self.text, span));
        }
    }

    /// Whether further faults are only counted: what is costly to say need not be worked out then.
    pub(crate) const fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    /// Reports what is wrong with a value; its type says what is allowed.
    pub(crate) fn refuse(&mut self, cell: &Cell<'_, '_>, problem: impl Into<String>) {
        self.refuse_with(cell, problem, None);
    }

    /// Like [`Self::refuse`], with a word that may have been meant.
    pub(crate) fn refuse_with(
        &mut self,
        cell: &Cell<'_, '_>,
        problem: impl Into<String>,
        suggestion: Option<String>,
    ) {
        let finding = Finding {
            key: shown(cell.path),
            problem: problem.into(),
            allowed: Some(cell.kind.to_string()),
            suggestion,
            secret: matches!(cell.kind, Kind::HeaderRules(_)),
        };
        self.mark_faulty(cell.path);
        self.report(Some(&cell.value.span()), finding);
    }

    /// Reports what is wrong between values: at the first path that the file mentions. Says nothing
    /// when one of them already has a fault of its own.
    pub(crate) fn conflict(&mut self, paths: &[&str], problem: String, allowed: &str) {
        if paths.iter().any(|path| self.faulty.contains(*path)) {
            return;
        }
        let place = paths.iter().find_map(|path| self.places.get(*path)).cloned();
        let key = paths.first().map(|path| shown(path)).unwrap_or_default();
        let allowed = (!allowed.is_empty()).then(|| allowed.to_owned());
        self.report(place.as_ref(), Finding { key, problem, allowed, ..Finding::default() });
    }

    /// The line a path is on, from 1.
    pub(crate) fn line(&self, path: &str) -> usize {
        let start = self.places.get(path).map_or(0, |span| span.start.min(self.text.len()));
        self.text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Whether the value at this path has a fault.
    pub(crate) fn is_faulty(&self, path: &str) -> bool {
        self.faulty.contains(path)
    }

    /// Whether the file mentions this path.
    pub(crate) fn mentions(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Remembers where a value is.
    pub(crate) fn note(&mut self, path: &str, span: Range<usize>) {
        self.places.insert(path.to_owned(), span);
    }

    fn mark_faulty(&mut self, path: &str) {
        // What holds a faulty value is faulty as well: `site[0].hosts[1]`, then `site[0].hosts`.
        self.faulty.insert(path.to_owned());
        if let Some(parent) = path.strip_suffix(']').and_then(|rest| rest.rfind('[')) {
            self.faulty.insert(path[..parent].to_owned());
        }
    }

    /// The result: the value, if nothing was wrong.
    pub(crate) fn finish<T>(self, value: T, origin: &str) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.into_faults(origin)) }
    }

    /// What was wrong, in the order of the lines.
    pub(crate) fn into_faults(mut self, origin: &str) -> Faults {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        Faults { origin: origin.to_owned(), list: self.faults, omitted: self.omitted }
    }
}

/// A path without its indices: `site.hosts`, as the documentation names it.
fn shown(path: &str) -> String {
    let mut shown = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if !inside => shown.push(c),
            _ => {}
        }
    }
    shown
}

/// One table of the file, being read.
pub(crate) struct TableReader<'c, 't> {
    cx: &'c mut Context<'t>,
    section: &'static Section,
    /// `node`, `site[3]`.
    path: String,
    /// `None` when the file does not have it.
    table: Option<&'c DeTable<'t>>,
    span: Option<Range<usize>>,
}

impl<'t> TableReader<'_, 't> {
    /// The value of a key whose default is a value.
    pub(crate) fn field<T: Value>(&mut self, name: &'static str) -> T {
        let key = self.section.key(name);
        if let Some(value) = self.given(key) {
            return value;
        }
        let literal = match key.default {
            Absence::Toml(literal) => literal,
            Absence::ByProfile { facing, .. } if self.cx.profile == Profile::Facing => facing,
            Absence::ByProfile { inner, .. } => inner,
            Absence::Required | Absence::Absent(_) => "",
        };
        default_value(literal, key).expect("a test reads every default of the key table")
    }

    /// The value of a key that is required, or may be absent.
    pub(crate) fn field_or_empty<T: Value + Empty>(&mut self, name: &'static str) -> T {
        let key = self.section.key(name);
        if let Some(value) = self.given(key) {
            return value;
        }
        let path = format!("{}.{name}", self.path);
        if key.default == Absence::Required && !self.cx.mentions(&path) {
            let problem = format!("is missing: {}", key.line);
            let allowed = Some(key.kind.to_string());
            let key = shown(&path);
            self.cx.faulty.insert(path);
            let span = self.span.clone();
            let finding = Finding { key, problem, allowed, ..Finding::default() };
            self.cx.report(span.as_ref(), finding);
        }
        T::empty()
    }

    /// The value the file gives for a key, if it gives a right one.
    fn given<T: Value>(&mut self, key: &'static Key) -> Option<T> {
        let value = self.table?.get(key.name)?;
        let path = format!("{}.{}", self.path, key.name);
        self.cx.note(&path, value.span());
        T::read(&Cell { path: &path, kind: &key.kind, value }, self.cx)
    }

    /// Reports every key that has no row.
    pub(crate) fn refuse_unknown(&mut self) {
        let Some(table) = self.table else { return };
        for (name, _) in table {
            let name_text: &str = name.get_ref();
            if self.section.keys.iter().any(|key| key.name == name_text) {
                continue;
            }
            let keys: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
            let finding = Finding {
                allowed: Some(keys.join(", ")),
                key: shown(&format!("{}.{}", self.section.name, printable(name_text))),
                problem: "is not a known key".to_owned(),
                suggestion: (!self.cx.is_full())
                    .then(|| suggest::key(self.section, name_text))
                    .flatten(),
                ..Finding::default()
            };
            self.cx.report(Some(&name.span()), finding);
        }
    }
}

/// Reads a default, which is written in the notation of the file.
pub(crate) fn default_value<T: Value>(literal: &'static str, key: &'static Key) -> Option<T> {
    let value = DeValue::parse(literal).ok()?;
    let mut scratch = Context::new(literal, Profile::Facing);
    let cell = Cell { path: key.name, kind: &key.kind, value: &value };
    let read = T::read(&cell, &mut scratch)?;
    scratch.faults.is_empty().then_some(read)
}

/// Reads `[name]`.
pub(crate) fn one<'t, T>(
    root: &DeTable<'t>,
    cx: &mut Context<'t>,
    section: &'static Section,
    read: impl FnOnce(&mut TableReader<'_, 't>) -> T,
) -> T {
    let found = root.get(section.name);
    let table = found.and_then(|value| value.get_ref().as_table());
    if let (Some(value), None) = (found, table) {
        wrong_shape(cx, section, value);
    }
    let span = found.map(Spanned::span);
    let path = section.name.to_owned();
    if let Some(span) = &span {
        cx.note(&path, span.clone());
    }
    read(&mut TableReader { cx, section, path, table, span })
}

/// Reads one entry of a repeated table whose keys are all of `table`.
pub(crate) fn entry<'t, T>(
    table: &DeTable<'t>,
    cx: &mut Context<'t>,
    section: &'static Section,
    read: impl FnOnce(&mut TableReader<'_, 't>) -> T,
) -> T {
    let path = format!("{}[0]", section.name);
    let span = Some(0..0);
    cx.note(&path, 0..0);
    read(&mut TableReader { cx, section, path, table: Some(table), span })
}

/// Reads every `[[name]]`.
pub(crate) fn many<'t, T>(
    root: &DeTable<'t>,
    cx: &mut Context<'t>,
    section: &'static Section,
    mut read: impl FnMut(&mut TableReader<'_, 't>) -> T,
) -> Vec<T> {
    let Some(found) = root.get(section.name) else { return Vec::new() };
    let Some(array) = found.get_ref().as_array() else {
        wrong_shape(cx, section, found);
        return Vec::new();
    };
    let most = if let Shape::Many(most) = section.shape { most } else { 1 };
    if let Some(first_too_many) = array.get(most) {
        let problem = format!("appears {} times", array.len());
        let allowed = Some(format!("at most {most} times"));
        let key = section.name.to_owned();
        let finding = Finding { key, problem, allowed, ..Finding::default() };
        cx.report(Some(&first_too_many.span()), finding);
    }
    let mut list = Vec::new();
    for (index, value) in array.iter().enumerate().take(most) {
        let Some(table) = value.get_ref().as_table() else {
            wrong_shape(cx, section, value);
            return Vec::new();
        };
        let path = format!("{}[{index}]", section.name);
        cx.note(&path, value.span());
        let (table, span) = (Some(table), Some(value.span()));
        list.push(read(&mut TableReader { cx, section, path, table, span }));
    }
    list
}

/// Reports a table that is written as something else.
fn wrong_shape(cx: &mut Context<'_>, section: &Section, value: &Spanned<DeValue<'_>>) {
    let name = section.name;
    let right = match section.shape {
        Shape::One => format!("one table, headed [{name}]"),
        Shape::Many(_) => format!("tables, each headed [[{name}]]"),
    };
    let finding = Finding {
        key: name.to_owned(),
        problem: format!("is written as {}", article(value.get_ref())),
        allowed: Some(right),
        ..Finding::default()
    };
    cx.mark_faulty(name);
    cx.report(Some(&value.span()), finding);
}

/// Reports every table of the file that has no section.
pub(crate) fn refuse_unknown_tables(root: &DeTable<'_>, cx: &mut Context<'_>) {
    for (name, value) in root {
        let name: &Spanned<DeString<'_>> = name;
        let name_text: &str = name.get_ref();
        if SECTIONS.iter().any(|section| section.name == name_text) {
            continue;
        }
        let what = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => "is not a known table",
            _ => "is not a known key outside a table",
        };
        let tables: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
        let finding = Finding {
            allowed: Some(format!("the tables {}", tables.join(", "))),
            key: printable(name_text),
            problem: what.to_owned(),
            suggestion: (!cx.is_full()).then(|| suggest::table(name_text)).flatten(),
            ..Finding::default()
        };
        cx.report(Some(&name.span()), finding);
    }
}

/// What a value is, for a message.
pub(crate) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A name from the file, short and without characters a terminal would act on.
pub(crate) fn printable(name: &str) -> String {
    let mut shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    if name.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}
