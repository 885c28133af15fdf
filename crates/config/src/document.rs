//! Sites that come by themselves: as JSON documents from control, or as the text of their keys.
//!
//! A document is written out as TOML and read by the rows that read a file, so that both forms have
//! the same keys, bounds, defaults and messages. Only keys that name a file are refused: whoever
//! may change a site has no say in what nodes read from their disks.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Faults, Finding};
use crate::host::HostPattern;
use crate::key::Kind;
use crate::read::{self, Context, printable};
use crate::text::Name;
use crate::{FILE_BYTES_MAX, Profile, Site, check};

/// Tables and lists in each other that a document may have.
const DEPTH_MAX: usize = 16;

/// Reads a site from the keys of its `[[site]]` table, `name` excepted, as JSON.
///
/// # Errors
/// Everything that is wrong with it; lines are those of the document written as TOML.
pub fn site_from_json(name: &str, document: &Value) -> Result<Site, Faults> {
    let mut text = String::new();
    let mut wrong = Vec::new();
    match document {
        Value::Object(keys) => {
            for (key, value) in keys {
                let _ = write!(text, "{} = ", quoted_key(key));
                if let Err(problem) = write_value(&mut text, value, DEPTH_MAX) {
                    wrong.push((format!("site.{}", printable(key)), problem));
                }
                text.push('\n');
            }
        }
        _ => wrong.push(("site".to_owned(), "is not an object of keys")),
    }
    if wrong.is_empty() {
        return read_site(name, &text);
    }
    let mut cx = Context::new("", Profile::Facing);
    for (key, problem) in wrong {
        let finding = Finding { key, problem: problem.to_owned(), ..Finding::default() };
        cx.report(None, finding);
    }
    Err(cx.into_faults(&origin(name)))
}

/// Reads the keys of a `[[site]]` table, `name` excepted, and gives them as a JSON document.
///
/// # Errors
/// Everything that is wrong with it.
pub fn site_from_toml(name: &str, text: &str) -> Result<Value, Faults> {
    read_site(name, text)?;
    let mut document = toml::from_str::<Value>(text).unwrap_or_default();
    if let Some(keys) = document.as_object_mut() {
        keys.remove("name");
    }
    Ok(document)
}

/// Reads all sites: each by itself, and what must hold between them.
///
/// # Errors
/// Everything that is wrong with the first site that is wrong, or that they share hosts.
pub fn sites<'d>(
    documents: impl IntoIterator<Item = (&'d str, &'d Value)>,
) -> Result<Vec<Site>, Faults> {
    let read = |(name, document)| site_from_json(name, document);
    let sites = documents.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let clashes = host_clashes(&sites);
    let Some(first) = clashes.first() else { return Ok(sites) };
    let mut cx = Context::new("", Profile::Facing);
    for clash in &clashes {
        let (key, problem) = ("site.hosts".to_owned(), clash.to_string());
        cx.report(None, Finding { key, problem, ..Finding::default() });
    }
    Err(cx.into_faults(&origin(first.second.as_str())))
}

/// A host that two sites want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostClash {
    /// The host or pattern.
    pub host: HostPattern,
    /// The site that comes first.
    pub first: Name,
    /// The site that comes later.
    pub second: Name,
}

impl fmt::Display for HostClash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} belongs to the site {} already", self.host, self.first)
    }
}

/// Every host that belongs to more than one of these sites.
#[must_use]
pub fn host_clashes<'s>(sites: impl IntoIterator<Item = &'s Site>) -> Vec<HostClash> {
    let mut owners: HashMap<&HostPattern, &Site> = HashMap::new();
    let mut clashes = Vec::new();
    for site in sites {
        for host in &site.hosts {
            let first = owners.entry(host).or_insert(site);
            if first.name != site.name {
                let (first, second) = (first.name.clone(), site.name.clone());
                clashes.push(HostClash { host: host.clone(), first, second });
            }
        }
    }
    clashes
}

fn origin(name: &str) -> String {
    format!("site {}", printable(name))
}

fn read_site(name: &str, text: &str) -> Result<Site, Faults> {
    let mut cx = Context::new(text, Profile::Facing);
    if text.len() > FILE_BYTES_MAX {
        let problem = format!("it has {} bytes", text.len());
        let allowed = Some(format!("at most {FILE_BYTES_MAX} bytes"));
        cx.report(None, Finding { problem, allowed, ..Finding::default() });
        return Err(cx.into_faults(&origin(name)));
    }
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let problem = error.message().to_owned();
            cx.report(error.span().as_ref(), Finding { problem, ..Finding::default() });
        }
        return Err(cx.into_faults(&origin(name)));
    }
    let table = table.get_mut();
    refuse_files(table, &mut cx);
    let value = Spanned::new(0..0, DeValue::String(name.to_owned().into()));
    let given = table.insert(Spanned::new(0..0, "name".into()), value);
    if let Some(given) = given.filter(|given| given.get_ref().as_str() != Some(name)) {
        let finding = Finding {
            key: "site.name".to_owned(),
            problem: "is not the name that this site has".to_owned(),
            allowed: Some(format!("{name:?}, or no name")),
            ..Finding::default()
        };
        cx.report(Some(&given.span()), finding);
    }
    let site = read::entry(table, &mut cx, &Site::SECTION, Site::read);
    check::check_site(&site, &mut cx);
    cx.finish(site, &origin(name))
}

fn refuse_files(table: &DeTable<'_>, cx: &mut Context<'_>) {
    for key in Site::SECTION.keys.iter().filter(|key| matches!(key.kind, Kind::File)) {
        let Some(given) = table.get(key.name) else { continue };
        let finding = Finding {
            key: format!("site.{}", key.name),
            problem: "names a file of nodes, which a site from control may not".to_owned(),
            allowed: Some(format!(
                "no `{0}` here: name the file in the files of the nodes, as `upstream.{0}`",
                key.name
            )),
            ..Finding::default()
        };
        cx.report(Some(&given.span()), finding);
    }
}

/// Writes a value in the notation of the file, on one line.
fn write_value(text: &mut String, value: &Value, depth: usize) -> Result<(), &'static str> {
    if depth == 0 {
        return Err("has too many lists and tables in each other");
    }
    match value {
        Value::Null => return Err("is null: leave the key out instead"),
        Value::Bool(flag) => {
            let _ = write!(text, "{flag}");
        }
        Value::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Value::String(string) => text.push_str(&quoted(string)),
        Value::Array(list) => {
            text.push('[');
            for (at, value) in list.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                write_value(text, value, depth - 1)?;
            }
            text.push(']');
        }
        Value::Object(keys) => {
            text.push('{');
            for (at, (key, value)) in keys.iter().enumerate() {
                let _ = write!(text, "{} {} = ", if at > 0 { "," } else { "" }, quoted_key(key));
                write_value(text, value, depth - 1)?;
            }
            text.push_str(" }");
        }
    }
    Ok(())
}

/// A key, bare where it may be: messages show it.
fn quoted_key(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { quoted(key) }
}

/// A basic string of TOML.
pub(crate) fn quoted(string: &str) -> String {
    let mut text = String::with_capacity(string.len() + 2);
    text.push('"');
    for c in string.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
