//! Where the addresses of a playlist stand, for those who change them: URI lines, and the
//! attribute URI of the tags that have one (RFC 8216 4.3, rfc8216bis 4.4).

use std::ops::Range;

use super::Lines;
use super::attributes::Attributes;
use crate::limits::Limits;
use crate::unreadable::Unreadable;

/// The places in `text`, in order.
pub(crate) fn addresses(text: &str, limits: &Limits) -> Result<Vec<Range<usize>>, Unreadable> {
    let place = |part: &str| {
        // A slice of `text`, so it begins within.
        let start = part.as_ptr().addr() - text.as_ptr().addr();
        start..start + part.len()
    };
    let mut places = Vec::new();
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { rest: body, left: limits.lines_max, limits };
    while let Some(line) = lines.next_line()? {
        let Some(tag) = line.strip_prefix("#EXT-X-") else {
            if !line.starts_with('#') {
                places.push(place(line));
            }
            continue;
        };
        let Some((_, list)) = tag.split_once(':').filter(|(name, _)| TAGS.contains(name)) else {
            continue;
        };
        let mut attributes = Attributes::new(list, limits.attributes_max);
        while let Some((name, value)) = attributes.next_pair()? {
            if name == "URI" {
                places.push(place(value));
            }
        }
    }
    Ok(places)
}

/// Those whose URI leads to a part of the stream.
const TAGS: [&str; 8] = [
    "KEY",
    "MAP",
    "PART",
    "PRELOAD-HINT",
    "RENDITION-REPORT",
    "MEDIA",
    "I-FRAME-STREAM-INF",
    "SESSION-KEY",
];
