//! What players say of themselves (CTA-5004 3): in the query as `CMCD=...`, or in four header
//! fields. It says what will be asked for next and how the viewer fares; it never is part of the
//! key, and nobody has to believe it.

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::query::{only, without};
use crate::track::ByteRange;

/// The name in the query.
pub const QUERY_NAME: &str = "CMCD";
/// The header fields, in lower case.
pub const HEADER_NAMES: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"];
/// No payload is longer: what comes after is not read.
pub const PAYLOAD_BYTES_MAX: usize = 4096;

/// What a player said; each only if it made sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmcd {
    /// `nor`: the next object, relative to the one asked for; decoded. It is a stranger's word:
    /// resolve it by [`crate::resolve`] and check it against a [`crate::Scope`].
    pub next_object: Option<String>,
    /// `nrr`: the range of it, or of the same object if there is no `nor`
    pub next_range: Option<ByteRange>,
    /// `bl`: buffered
    pub buffer: Option<Duration>,
    /// `br`: encoded rate of what is asked for, in kbit/s
    pub bitrate_kbps: Option<u32>,
    /// `bs`: it ran dry since the last request.
    pub starved: bool,
    /// `sid`: at most 64 characters
    pub session: Option<Box<str>>,
    /// `cid`: at most 64 characters
    pub content: Option<Box<str>>,
    /// `st`
    pub stream_type: Option<StreamType>,
    /// `sf`
    pub format: Option<StreamingFormat>,
    /// `mtp`: measured throughput, in kbit/s
    pub throughput_kbps: Option<u32>,
    /// `tb`: rate of the best rendition, in kbit/s
    pub top_bitrate_kbps: Option<u32>,
    /// `su`: it is beginning, seeking or recovering
    pub startup: bool,
}

/// `st`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamType {
    /// `v`
    Vod,
    /// `l`
    Live,
}

/// `sf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamingFormat {
    /// `d`
    Dash,
    /// `h`
    Hls,
    /// `s` or `o`
    Other,
}

impl Cmcd {
    /// Of a query without its question mark; none if it has no `CMCD`, or has it twice.
    pub fn from_query(query: &str) -> Option<Self> {
        if !query.contains(QUERY_NAME) && !query.contains('%') {
            return None;
        }
        let payload = only(query, QUERY_NAME).ok()??;
        let mut cmcd = Self::default();
        cmcd.read(&payload);
        Some(cmcd)
    }

    /// Of header fields: names in any case, others than the four are passed over. None if there
    /// is none of them.
    pub fn from_headers<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let mut found: Option<Self> = None;
        let is_ours = |name: &str| HEADER_NAMES.iter().any(|it| it.eq_ignore_ascii_case(name));
        for (_, value) in fields.into_iter().filter(|(name, _)| is_ours(name)).take(8) {
            let cmcd = found.get_or_insert_default();
            if let Ok(payload) = std::str::from_utf8(value) {
                cmcd.read(payload);
            }
        }
        found
    }

    /// A query without it, for the key and for the origin.
    pub fn strip(query: &str) -> Cow<'_, str> {
        without(query, &[QUERY_NAME])
    }

    fn read(&mut self, payload: &str) {
        let mut end = payload.len().min(PAYLOAD_BYTES_MAX);
        while !payload.is_char_boundary(end) {
            end -= 1;
        }
        let mut rest = &payload[..end];
        while !rest.is_empty() {
            let (key, value, after) = pair(rest);
            self.take(key.trim(), value);
            rest = after;
        }
    }

    fn take(&mut self, key: &str, value: Option<Value<'_>>) {
        match (key, value) {
            ("bs", None) => self.starved = true,
            ("su", None) => self.startup = true,
            ("bl", Some(Value::Plain(text))) => {
                self.buffer = number(text).map(|ms| Duration::from_millis(ms.into()));
            }
            ("br", Some(Value::Plain(text))) => self.bitrate_kbps = number(text),
            ("mtp", Some(Value::Plain(text))) => self.throughput_kbps = number(text),
            ("tb", Some(Value::Plain(text))) => self.top_bitrate_kbps = number(text),
            ("st", Some(Value::Plain(text))) => {
                self.stream_type = match text {
                    "v" => Some(StreamType::Vod),
                    "l" => Some(StreamType::Live),
                    _ => None,
                };
            }
            ("sf", Some(Value::Plain(text))) => {
                self.format = match text {
                    "d" => Some(StreamingFormat::Dash),
                    "h" => Some(StreamingFormat::Hls),
                    "s" | "o" => Some(StreamingFormat::Other),
                    _ => None,
                };
            }
            ("sid", Some(Value::Quoted(text))) => self.session = name(text),
            ("cid", Some(Value::Quoted(text))) => self.content = name(text),
            ("nrr", Some(Value::Quoted(text))) => self.next_range = range(&text),
            ("nor", Some(Value::Quoted(text))) => {
                let decoded = percent_decode_str(&text).decode_utf8().ok();
                let decoded = decoded.filter(|text| !text.is_empty());
                self.next_object = decoded.map(Cow::into_owned);
            }
            _ => {}
        }
    }
}

enum Value<'a> {
    Plain(&'a str),
    Quoted(String),
}

/// The first key of a payload, its value, and what comes after the comma.
fn pair(text: &str) -> (&str, Option<Value<'_>>, &str) {
    let end = text.find(['=', ',']).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix('=') else {
        return (key, None, rest.get(1..).unwrap_or_default());
    };
    let Some(inner) = rest.strip_prefix('"') else {
        let (value, after) = rest.split_once(',').unwrap_or((rest, ""));
        return (key, Some(Value::Plain(value.trim())), after);
    };
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = &inner[at + 1..];
                let after = after.split_once(',').map_or("", |(_, after)| after);
                return (key, Some(Value::Quoted(value)), after);
            }
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    // Without an end it is none.
    (key, None, "")
}

fn number(text: &str) -> Option<u32> {
    crate::time::integer(text).and_then(|number| u32::try_from(number).ok())
}

fn name(text: String) -> Option<Box<str>> {
    let fine = !text.is_empty() && text.chars().take(65).count() <= 64;
    (fine && !text.chars().any(char::is_control)).then(|| text.into())
}

/// `12323-48763`, `123-`, `-500` (which needs the length of the object and is left out).
fn range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.split_once('-')?;
    let start = crate::time::integer(first)?;
    let length = match last {
        "" => None,
        last => Some(crate::time::integer(last)?.checked_sub(start)?.checked_add(1)?),
    };
    Some(ByteRange { start, length })
}
