//! Rules that set, add or remove header fields.
//!
//! Fields that frame a message, name its target or stop loops are out of reach of a rule: a rule
//! must not be able to make a message that two parsers read differently.

use http::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::DeValue;

use crate::key::{Kind, Side};
use crate::read::{Cell, Context, article, printable};
use crate::suggest;
use crate::value::Value;

/// Most fields one rule table may name.
const FIELDS_MAX: usize = 64;
/// Longest value of a field.
const VALUE_BYTES_MAX: usize = 4096;

/// Fields no rule may touch, in either direction.
const PROTECTED: &[&str] = &[
    "age",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields of a request no rule may touch: they are computed, or would make the answer another one
/// than the cache believes it has asked for.
const PROTECTED_REQUEST: &[&str] = &[
    "expect",
    "forwarded",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// What happens to header fields. Removal comes first, then `set`, then `add`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRules {
    /// Fields that are removed.
    pub remove: Vec<HeaderName>,
    /// Fields that get this value in place of what they had.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Fields that get this value beside what they had.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRules {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

impl Value for HeaderRules {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let Kind::HeaderRules(side) = *cell.kind else { unreachable!("a row has its type") };
        let Some(table) = cell.value.get_ref().as_table() else {
            cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
            return None;
        };
        let mut rules = Self { remove: Vec::new(), set: Vec::new(), add: Vec::new() };
        let mut whole = true;
        for (name, value) in table {
            let name: &str = name.get_ref();
            let path = format!("{}.{}", cell.path, printable(name));
            let part = Cell { path: &path, kind: cell.kind, value };
            let read = match name {
                "remove" => remove(&part, side, cx).map(|names| rules.remove = names),
                "set" => fields(&part, side, cx).map(|fields| rules.set = fields),
                "add" => fields(&part, side, cx).map(|fields| rules.add = fields),
                _ => {
                    let near = suggest::nearest(["remove", "set", "add"].into_iter(), name);
                    let near = near.map(|name| format!("`{name}`"));
                    cx.refuse_with(&part, "is not a known key", near);
                    None
                }
            };
            whole &= read.is_some();
        }
        whole.then_some(rules)
    }
}

fn remove(cell: &Cell<'_, '_>, side: Side, cx: &mut Context<'_>) -> Option<Vec<HeaderName>> {
    let value: &Spanned<DeValue<'_>> = cell.value;
    let Some(array) = value.get_ref().as_array() else {
        cx.refuse(
            cell,
            format!("is {}; a list of field names is needed", article(value.get_ref())),
        );
        return None;
    };
    if array.len() > FIELDS_MAX {
        cx.refuse(cell, format!("has {} fields; at most {FIELDS_MAX} are allowed", array.len()));
        return None;
    }
    let mut names = Vec::new();
    for value in array.iter() {
        let cell = Cell { value, ..*cell };
        match value.get_ref().as_str() {
            Some(name) => names.extend(field_name(name, side, &cell, cx)),
            None => cx.refuse(&cell, format!("{} is no field name", article(value.get_ref()))),
        }
    }
    (names.len() == array.len()).then_some(names)
}

fn fields(
    cell: &Cell<'_, '_>,
    side: Side,
    cx: &mut Context<'_>,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let value: &Spanned<DeValue<'_>> = cell.value;
    let Some(table) = value.get_ref().as_table() else {
        cx.refuse(cell, format!("is {}; a table of fields is needed", article(value.get_ref())));
        return None;
    };
    if table.len() > FIELDS_MAX {
        cx.refuse(cell, format!("has {} fields; at most {FIELDS_MAX} are allowed", table.len()));
        return None;
    }
    let mut fields: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in table {
        let cell = Cell { value, ..*cell };
        let name = field_name(name.get_ref(), side, &cell, cx);
        let value = field_value(&cell, cx);
        let Some((name, value)) = name.zip(value) else { continue };
        if fields.iter().any(|(known, _)| *known == name) {
            cx.refuse(&cell, format!("{name} is there twice (case does not matter)"));
            continue;
        }
        fields.push((name, value));
    }
    (fields.len() == table.len()).then_some(fields)
}

fn field_name(
    text: &str,
    side: Side,
    cell: &Cell<'_, '_>,
    cx: &mut Context<'_>,
) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        cx.refuse(cell, format!("\"{}\" is not a field name", printable(text)));
        return None;
    };
    let of_request = side == Side::Request && PROTECTED_REQUEST.contains(&name.as_str());
    if of_request || PROTECTED.contains(&name.as_str()) {
        cx.refuse(cell, format!("{name} is not for rules to change"));
        return None;
    }
    Some(name)
}

fn field_value(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<HeaderValue> {
    let value = cell.value.get_ref();
    let Some(text) = value.as_str() else {
        cx.refuse(cell, format!("has a value that is {}", article(value)));
        return None;
    };
    let plain = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
    if text.len() > VALUE_BYTES_MAX || text.trim() != text || !text.chars().all(plain) {
        cx.refuse(cell, "has a value that a field cannot have");
        return None;
    }
    HeaderValue::from_str(text).ok()
}
