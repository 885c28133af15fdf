//! Attribute lists (RFC 8216 4.2): `NAME=value,NAME="value"`, each name once.

use crate::unreadable::Unreadable;

/// The attributes of one tag.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    rest: &'a str,
    seen: Vec<&'a str>,
    max: usize,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(list: &'a str, max: usize) -> Self {
        Self { rest: list.trim_matches([' ', '\t']), seen: Vec::new(), max }
    }

    /// The next name and value, quotes taken off.
    pub(super) fn next_pair(&mut self) -> Result<Option<(&'a str, &'a str)>, Unreadable> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (name, after) = self.rest.split_once('=').ok_or(Unreadable::Attributes)?;
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        // Some write a space after the comma.
        let name = name.trim_start_matches(' ');
        if name.is_empty() || !name.bytes().all(is_name) || self.seen.contains(&name) {
            return Err(Unreadable::Attributes);
        }
        if self.seen.len() == self.max {
            return Err(Unreadable::TooManyAttributes);
        }
        self.seen.push(name);
        let (value, rest) = match after.strip_prefix('"') {
            Some(after) => after.split_once('"').ok_or(Unreadable::Attributes)?,
            None => {
                let (value, rest) = after.split_at(after.find(',').unwrap_or(after.len()));
                let odd = value.is_empty() || value.contains(['"', ' ', '\t']);
                (if odd { return Err(Unreadable::Attributes) } else { value }, rest)
            }
        };
        self.rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.is_empty() => "",
            None => return Err(Unreadable::Attributes),
        };
        Ok(Some((name, value)))
    }
}
