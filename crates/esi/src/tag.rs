//! One tag: its name, and its attributes with the entities of their values decoded. A tag is read
//! whole or not at all: values have quotes, no attribute comes twice.

use std::borrow::Cow;

use crate::faults::FaultKind;

/// How a tag stands in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `<esi:x>`
    Open,
    /// `<esi:x/>`
    Empty,
    /// `</esi:x>`
    End,
}

/// A tag.
#[derive(Debug)]
pub(crate) struct Tag<'t> {
    pub(crate) name: &'t str,
    pub(crate) form: Form,
    attributes: Vec<(&'t str, Cow<'t, str>)>,
}

impl<'t> Tag<'t> {
    /// Reads a tag from its `<` to its `>`.
    pub(crate) fn parse(source: &'t [u8]) -> Result<Self, FaultKind> {
        let source = std::str::from_utf8(source).map_err(|_| FaultKind::NotUtf8)?;
        let inner = source.strip_suffix('>').ok_or(FaultKind::MalformedTag)?;
        if let Some(name) = inner.strip_prefix("</esi:") {
            let tag = Self { name: name.trim_end(), form: Form::End, attributes: Vec::new() };
            return if is_name(tag.name) { Ok(tag) } else { Err(FaultKind::MalformedTag) };
        }
        let inner = inner.strip_prefix("<esi:").ok_or(FaultKind::MalformedTag)?;
        let end = inner.find(|c| !is_name_character(c)).unwrap_or(inner.len());
        let (name, mut rest) = inner.split_at(end);
        if name.is_empty() {
            return Err(FaultKind::MalformedTag);
        }
        let (mut form, mut attributes) = (Form::Open, Vec::new());
        loop {
            let trimmed = rest.trim_start();
            if trimmed.is_empty() {
                break;
            }
            if let Some(after) = trimmed.strip_prefix('/') {
                form = Form::Empty;
                if after.trim_start().is_empty() {
                    break;
                }
                return Err(FaultKind::MalformedTag);
            }
            if trimmed.len() == rest.len() {
                return Err(FaultKind::MalformedTag);
            }
            rest = attribute(trimmed, &mut attributes)?;
        }
        Ok(Self { name, form, attributes })
    }

    /// The value of an attribute.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// The value of an attribute that must be there, and must not be empty.
    pub(crate) fn needs(&self, name: &str) -> Result<&str, FaultKind> {
        self.value(name).filter(|value| !value.is_empty()).ok_or(FaultKind::MissingAttribute)
    }

    /// All of them, in their order.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'t str, &str)> {
        self.attributes.iter().map(|(name, value)| (*name, &**value))
    }
}

/// Reads one attribute, gives what follows.
fn attribute<'t>(
    text: &'t str,
    attributes: &mut Vec<(&'t str, Cow<'t, str>)>,
) -> Result<&'t str, FaultKind> {
    let end = text.find(|c| !is_name_character(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start().strip_prefix('=').ok_or(FaultKind::MalformedTag)?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let quote = quote.ok_or(FaultKind::MalformedTag)?;
    let (value, rest) = rest[1..].split_once(quote).ok_or(FaultKind::MalformedTag)?;
    if name.is_empty() {
        return Err(FaultKind::MalformedTag);
    }
    let again = !MAY_REPEAT.contains(&name) && attributes.iter().any(|(known, _)| *known == name);
    if again || attributes.len() >= ATTRIBUTES_MAX {
        return Err(FaultKind::DuplicateAttribute);
    }
    attributes.push((name, decode(value)));
    Ok(rest)
}

/// Attributes that one tag may have; with more, one would be there twice.
const ATTRIBUTES_MAX: usize = 64;

/// Those that may be there more than once.
const MAY_REPEAT: [&str; 6] =
    ["appendheader", "appendheaders", "setheader", "setheaders", "removeheader", "removeheaders"];

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_character)
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

/// Replaces entities. What is none that XML knows stays as it is: a `&` that was not written as
/// `&amp;` is common in addresses.
fn decode(value: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest is `&#x10ffff;`.
        let end = rest.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((decoded, end)) => {
                out.push(decoded);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

const ENTITY_BYTES_MAX: usize = 12;

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let (digits, radix) = hex.map_or((number, 10), |digits| (digits, 16));
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            char::from_u32(u32::from_str_radix(digits, radix).ok()?)?
        }
    })
}
