//! What is done to the text of values before it stands in a page or in an address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::value::{Origin, Room};

/// All but the unreserved characters of RFC 3986 2.3.
const ALL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A query keeps what may stand in one, percent signs too: it comes from one.
const QUERY: &AsciiSet = &ALL
    .remove(b'%')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b';')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'?')
    .remove(b'!')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');
/// A path keeps its slashes as well; nothing that could name a scheme.
const PATH: &AsciiSet = &ALL
    .remove(b'%')
    .remove(b'/')
    .remove(b'=')
    .remove(b'+')
    .remove(b',')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');
/// Where a host stands, its port may.
const HOST: &AsciiSet = &ALL.remove(b':');

/// Encodes all but unreserved characters.
pub(crate) fn url(text: &[u8], room: &mut Room) -> Vec<u8> {
    let mut out = Vec::new();
    for part in percent_encode(text, ALL) {
        room.push(&mut out, part.as_bytes());
    }
    out
}

/// Replaces what means something in HTML, in text and in attributes with quotes.
pub(crate) fn html(text: &[u8], room: &mut Room) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().min(room.bytes_max()));
    let mut from = 0;
    for (at, byte) in text.iter().enumerate() {
        let entity: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            b'\'' => b"&#39;",
            _ => continue,
        };
        room.push(&mut out, &text[from..at]);
        room.push(&mut out, entity);
        from = at + 1;
    }
    room.push(&mut out, &text[from..]);
    out
}

/// The opposite, for the same five.
pub(crate) fn html_decode(text: &[u8]) -> Vec<u8> {
    const ENTITIES: [(&[u8], u8); 6] = [
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&#39;", b'\''),
        (b"&apos;", b'\''),
    ];
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = memchr::memchr(b'&', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let known = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        let (byte, length) = known.map_or((b'&', 1), |(entity, byte)| (*byte, entity.len()));
        out.push(byte);
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
    out
}

/// An address that is put together of what stands in the page and of values. A value never gets
/// out of the part of the address in which it stands: it cannot name a scheme or a host, nor begin
/// a query, a parameter or a fragment.
#[derive(Debug)]
pub(crate) struct UrlText {
    out: Vec<u8>,
    bytes_max: usize,
}

impl UrlText {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { out: Vec::new(), bytes_max }
    }

    /// Adds text, of the page or of a value.
    pub(crate) fn push_value(&mut self, text: &[u8], origin: Origin) {
        if matches!(origin, Origin::Page | Origin::UrlEncoded) {
            return self.raw(text);
        }
        let set = match (self.part(), origin) {
            (Part::Query, Origin::Query | Origin::Path) => QUERY,
            (Part::Path, Origin::Path) => PATH,
            (Part::Host, _) => HOST,
            _ => ALL,
        };
        let in_path = self.part() == Part::Path;
        for (number, segment) in text.split(|byte| *byte == b'/').enumerate() {
            if number > 0 {
                self.encoded(b"/", set);
            }
            if in_path && segment.iter().all(|byte| *byte == b'.') {
                // No value goes up a folder.
                segment.iter().for_each(|_| self.raw(b"%2E"));
            } else {
                self.encoded(segment, set);
            }
            if self.out.len() > self.bytes_max {
                return;
            }
        }
    }

    fn encoded(&mut self, text: &[u8], set: &'static AsciiSet) {
        for part in percent_encode(text, set) {
            // Two slashes at the beginning would name a host.
            let names_host = part.starts_with('/') && self.out == b"/";
            self.raw(if names_host { b"%2F" } else { part.as_bytes() });
        }
    }

    /// What has come together: longer than it may be, by a byte or by many, if it did not fit.
    pub(crate) fn finish(self) -> String {
        String::from_utf8(self.out)
            .unwrap_or_else(|error| percent_encode(error.as_bytes(), &AsciiSet::EMPTY).to_string())
    }

    fn raw(&mut self, text: &[u8]) {
        let room = (self.bytes_max + 1).saturating_sub(self.out.len());
        self.out.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn part(&self) -> Part {
        let (out, mut from) = (&self.out, 0);
        if memchr::memchr2(b'?', b'#', out).is_some() {
            return Part::Query;
        }
        if out.starts_with(b"//") {
            from = 2;
        } else if let Some(at) = memchr::memmem::find(out, b"://") {
            from = at + 3;
        }
        let in_host = from > 0 && memchr::memchr(b'/', &out[from..]).is_none();
        if in_host { Part::Host } else { Part::Path }
    }
}

/// A part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Host,
    Path,
    Query,
}
