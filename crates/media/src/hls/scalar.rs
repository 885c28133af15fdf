//! Values of attributes and tags (RFC 8216 4.2), each with the word for what is wrong with it.

use std::time::Duration;

use crate::time::{integer, seconds};
use crate::track::ByteRange;
use crate::unreadable::Unreadable;

pub(super) fn number(text: &str) -> Result<u64, Unreadable> {
    integer(text).ok_or(Unreadable::Number)
}

pub(super) fn length(text: &str) -> Result<Duration, Unreadable> {
    seconds(text).ok_or(Unreadable::Number)
}

/// What may be said once.
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Unreadable> {
    if slot.replace(value).is_some() { Err(Unreadable::Misplaced) } else { Ok(()) }
}

/// `YES` or `NO`.
pub(super) fn flag(text: &str) -> bool {
    text == "YES"
}

/// `<n>[@<o>]` (RFC 8216 4.3.2.2), with the offset resolved: without one it follows the range
/// before it of the same resource.
#[derive(Debug, Default)]
pub(super) struct Ranges<'a> {
    last: Option<(&'a str, u64)>,
}

impl<'a> Ranges<'a> {
    pub(super) fn take(&mut self, text: &str, uri: &'a str) -> Result<ByteRange, Unreadable> {
        let (length, start) = match text.split_once('@') {
            Some((length, start)) => (number(length)?, number(start)?),
            None => {
                let (_, end) =
                    self.last.filter(|(of, _)| *of == uri).ok_or(Unreadable::ByteRange)?;
                (number(text)?, end)
            }
        };
        let end = start.checked_add(length).ok_or(Unreadable::ByteRange)?;
        self.last = Some((uri, end));
        Ok(ByteRange { start, length: Some(length) })
    }
}
