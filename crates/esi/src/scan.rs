//! Finds the tags of a page in whatever pieces it comes. Everything that could be a tag begins
//! with `<esi:`, `</esi:` or `<!`: two searches of a library run ahead, and only what they find is
//! looked at. Each byte is searched once for each, however the page is cut and whatever is in it.
//!
//! ```text
//!           `<esi:` `</esi:`                       `>`
//!   Page ----------------------> Tag(quote) -------------------> Page
//!    |  `<!--`, `<![CDATA[`       |  longer than it may be
//!    +--------------> Until       +-----------> Skip -- `>` ---> Page
//!    |                  | `-->`, `]]>`
//!    |                  +--------------------------------------> Page
//!    |  a chunk ends in what may begin one of these
//!    +--------------> Opener -- the next bytes ----------------> any
//! ```

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::builder::Builder;
use crate::faults::FaultKind;
use crate::opener::{OPENER_BYTES_MAX, Opener, TagEnd, classify, tag_end, tag_start};

/// Where in the language the page stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Page,
    /// What is held may become something.
    Opener,
    /// Within a tag that is held; within this quote of it.
    Tag(Option<u8>),
    /// In a comment or CDATA that ends with two of this byte and `>`; so many were just seen.
    Until(u8, u8),
    /// In a tag that is too long: it ends with the next `>`.
    Skip,
}

/// Cuts a page into text and tags.
#[derive(Debug)]
pub(crate) struct Scanner {
    mode: Mode,
    /// What of chunks before may be, or is, a part of a tag.
    held: Vec<u8>,
    /// Where it begins.
    held_offset: u64,
    /// `<!--esi` that have not ended.
    wrappers: u32,
    /// Where the first of them is.
    wrapper_offset: u64,
    /// Where the chunk begins.
    offset: u64,
    tag_bytes_max: usize,
    tags: Finder<'static>,
    bangs: Finder<'static>,
    arrows: Finder<'static>,
    brackets: Finder<'static>,
}

/// The chunk at hand.
struct Cursor {
    chunk: Bytes,
    at: usize,
    /// Text that was not given yet begins here.
    text_from: usize,
    /// The next of each that is known; those behind `at` are to be searched anew.
    next_tag: Option<usize>,
    next_bang: Option<usize>,
    next_arrow: Option<usize>,
}

impl Scanner {
    pub(crate) fn new(tag_bytes_max: usize) -> Self {
        Self {
            mode: Mode::Page,
            held: Vec::new(),
            held_offset: 0,
            wrappers: 0,
            wrapper_offset: 0,
            offset: 0,
            tag_bytes_max: tag_bytes_max.max(16),
            tags: Finder::new("esi:"),
            bangs: Finder::new("<!"),
            arrows: Finder::new("-->"),
            brackets: Finder::new("]]>"),
        }
    }

    pub(crate) fn push(&mut self, chunk: Bytes, builder: &mut Builder) {
        let length = chunk.len();
        let mut cursor = Cursor {
            chunk,
            at: 0,
            text_from: 0,
            next_tag: None,
            next_bang: None,
            next_arrow: None,
        };
        while cursor.at < length {
            match self.mode {
                Mode::Page => self.page(&mut cursor, builder),
                Mode::Opener => self.opener(&mut cursor, builder),
                Mode::Tag(quote) => self.tag(&mut cursor, quote, builder),
                Mode::Until(byte, seen) => self.until(&mut cursor, byte, seen, builder),
                Mode::Skip => self.skip(&mut cursor),
            }
        }
        cursor.flush(matches!(self.mode, Mode::Until(..)), builder);
        self.offset += length as u64;
    }

    /// The page has ended.
    pub(crate) fn finish(&mut self, builder: &mut Builder) {
        match std::mem::replace(&mut self.mode, Mode::Page) {
            Mode::Opener => builder.text(std::mem::take(&mut self.held).into(), false),
            Mode::Tag(_) => {
                self.held.clear();
                builder.fault(FaultKind::UnfinishedTag, self.held_offset);
            }
            Mode::Page | Mode::Until(..) | Mode::Skip => {}
        }
        if self.wrappers > 0 {
            builder.fault(FaultKind::UnclosedBlock, self.wrapper_offset);
        }
    }

    fn page(&mut self, cursor: &mut Cursor, builder: &mut Builder) {
        loop {
            let Some(found) = self.next_candidate(cursor) else {
                return self.hold_tail(cursor, builder);
            };
            match classify(&cursor.chunk[found..], self.wrappers > 0) {
                Opener::Nothing => cursor.at = found + 1,
                Opener::Undecided => return self.hold(cursor, found, builder),
                opener => {
                    cursor.at = found;
                    return self.open(cursor, opener, builder);
                }
            }
        }
    }

    /// Where the next thing is that may be a tag, at or after the cursor.
    fn next_candidate(&self, cursor: &mut Cursor) -> Option<usize> {
        let length = cursor.chunk.len();
        let (chunk, at) = (&cursor.chunk, cursor.at);
        let search = |known: &mut Option<usize>, finder: &Finder<'_>| match *known {
            Some(next) if next >= at => next,
            _ => *known.insert(finder.find(&chunk[at..]).map_or(length, |found| at + found)),
        };
        let mut from = search(&mut cursor.next_tag, &self.tags);
        let tag = loop {
            if from >= length {
                break length;
            }
            if let Some(start) = tag_start(chunk, at, from) {
                break start;
            }
            let next = self.tags.find(&chunk[from + 4..]);
            from = next.map_or(length, |found| from + 4 + found);
            cursor.next_tag = Some(from);
        };
        let mut first = tag.min(search(&mut cursor.next_bang, &self.bangs));
        if self.wrappers > 0 {
            first = first.min(search(&mut cursor.next_arrow, &self.arrows));
        }
        (first < length).then_some(first)
    }

    /// Begins what was found at the cursor, whole in this chunk as far as it was needed to know it.
    fn open(&mut self, cursor: &mut Cursor, opener: Opener, builder: &mut Builder) {
        let offset = self.offset + cursor.at as u64;
        match opener {
            Opener::Tag => {
                cursor.flush(false, builder);
                (self.held_offset, self.mode) = (offset, Mode::Tag(None));
            }
            Opener::Wrapper | Opener::WrapperEnd => {
                cursor.flush(false, builder);
                cursor.skip_to(cursor.at + opener.bytes());
                self.wrapper(opener, offset, builder);
            }
            Opener::Comment | Opener::Cdata => {
                if builder.separates() {
                    cursor.flush(false, builder);
                }
                cursor.at += opener.bytes();
                self.mode = Mode::of(opener);
            }
            Opener::Nothing | Opener::Undecided => cursor.at += 1,
        }
    }

    fn wrapper(&mut self, opener: Opener, offset: u64, builder: &mut Builder) {
        if opener == Opener::WrapperEnd {
            self.wrappers -= 1;
        } else {
            if self.wrappers == 0 {
                self.wrapper_offset = offset;
            }
            self.wrappers = self.wrappers.saturating_add(1);
        }
        self.mode = Mode::Page;
        builder.wrapper();
    }

    /// Nothing more is in this chunk, but its last bytes may begin something.
    fn hold_tail(&mut self, cursor: &mut Cursor, builder: &mut Builder) {
        let length = cursor.chunk.len();
        let from = cursor.at.max(length.saturating_sub(OPENER_BYTES_MAX - 1));
        let wrapped = self.wrappers > 0;
        let undecided =
            |start: &usize| classify(&cursor.chunk[*start..], wrapped) == Opener::Undecided;
        match (from..length).find(undecided) {
            Some(start) => self.hold(cursor, start, builder),
            None => cursor.at = length,
        }
    }

    fn hold(&mut self, cursor: &mut Cursor, start: usize, builder: &mut Builder) {
        cursor.at = start;
        cursor.flush(false, builder);
        self.held.extend_from_slice(&cursor.chunk[start..]);
        (self.held_offset, self.mode) = (self.offset + start as u64, Mode::Opener);
        cursor.skip_to(cursor.chunk.len());
    }

    /// One more byte to what is held.
    fn opener(&mut self, cursor: &mut Cursor, builder: &mut Builder) {
        self.held.push(cursor.chunk[cursor.at]);
        cursor.skip_to(cursor.at + 1);
        match classify(&self.held, self.wrappers > 0) {
            Opener::Undecided => {}
            Opener::Tag => self.mode = Mode::Tag(None),
            opener @ (Opener::Wrapper | Opener::WrapperEnd) => {
                self.held.clear();
                self.wrapper(opener, self.held_offset, builder);
            }
            Opener::Nothing => {
                // What is held but its last byte can begin nothing else, but for a run of dashes.
                let dashes = self.held[0] == b'-' && self.held.ends_with(b"-");
                let given = if dashes { 1 } else { self.held.len() - 1 };
                builder.text(Bytes::copy_from_slice(&self.held[..given]), false);
                if dashes {
                    self.held.remove(0);
                    self.held_offset += 1;
                } else {
                    self.unread(cursor);
                }
            }
            opener @ (Opener::Comment | Opener::Cdata) => {
                self.mode = Mode::of(opener);
                let mut given = self.held.len();
                // A comment is known by the byte after it, but not its end by what is before that.
                if given > opener.bytes() {
                    given -= 1;
                }
                let text = Bytes::copy_from_slice(&self.held[..given]);
                if given > opener.bytes() {
                    self.mode = Mode::Until(b'-', 0);
                }
                let unread = given < self.held.len();
                builder.text(text, true);
                let mode = self.mode;
                if unread {
                    self.unread(cursor);
                }
                self.held.clear();
                self.mode = mode;
            }
        }
    }

    /// Gives the last byte back to the chunk.
    fn unread(&mut self, cursor: &mut Cursor) {
        self.held.clear();
        cursor.skip_to(cursor.at - 1);
        self.mode = Mode::Page;
    }

    /// Within a tag: what is held and the chunk from the cursor on.
    fn tag(&mut self, cursor: &mut Cursor, quote: Option<u8>, builder: &mut Builder) {
        let room = self.tag_bytes_max - self.held.len().min(self.tag_bytes_max);
        let chunk = cursor.chunk.clone();
        let rest = &chunk[cursor.at..];
        let seen = &rest[..rest.len().min(room)];
        // The `<` with which it begins is none that breaks it off.
        let skip = usize::from(self.held.is_empty());
        let mut quote = quote;
        match tag_end(seen, skip, &mut quote) {
            TagEnd::Ends(end) => {
                if self.held.is_empty() {
                    builder.tag(&seen[..end], self.held_offset);
                } else {
                    self.held.extend_from_slice(&seen[..end]);
                    let held = std::mem::take(&mut self.held);
                    builder.tag(&held, self.held_offset);
                }
                self.mode = Mode::Page;
                cursor.skip_to(cursor.at + end);
            }
            TagEnd::Broken(end) => {
                self.held.clear();
                builder.fault(FaultKind::MalformedTag, self.held_offset);
                self.mode = Mode::Page;
                cursor.skip_to(cursor.at + end);
            }
            TagEnd::Later => {
                let taken = seen.len();
                if taken == room {
                    self.held.clear();
                    builder.fault(FaultKind::TagTooLong, self.held_offset);
                    self.mode = Mode::Skip;
                } else {
                    self.held.extend_from_slice(seen);
                    self.mode = Mode::Tag(quote);
                }
                cursor.skip_to(cursor.at + taken);
            }
        }
    }

    fn skip(&mut self, cursor: &mut Cursor) {
        match memchr::memchr(b'>', &cursor.chunk[cursor.at..]) {
            Some(found) => {
                self.mode = Mode::Page;
                cursor.skip_to(cursor.at + found + 1);
            }
            None => cursor.skip_to(cursor.chunk.len()),
        }
    }

    /// Within a comment or CDATA, of which so many of the bytes that end it were just seen.
    fn until(&mut self, cursor: &mut Cursor, byte: u8, mut seen: u8, builder: &mut Builder) {
        let chunk = cursor.chunk.clone();
        while seen > 0 && cursor.at < chunk.len() {
            match chunk[cursor.at] {
                b'>' if seen == 2 => return self.until_ends(cursor, cursor.at + 1, builder),
                next if next == byte => seen = (seen + 1).min(2),
                _ => seen = 0,
            }
            cursor.at += 1;
        }
        if cursor.at < chunk.len() {
            let finder = if byte == b'-' { &self.arrows } else { &self.brackets };
            let rest = &chunk[cursor.at..];
            if let Some(found) = finder.find(rest) {
                return self.until_ends(cursor, cursor.at + found + 3, builder);
            }
            seen = rest.iter().rev().take(2).take_while(|&&last| last == byte).count() as u8;
            cursor.at = chunk.len();
        }
        self.mode = Mode::Until(byte, seen);
    }

    fn until_ends(&mut self, cursor: &mut Cursor, end: usize, builder: &mut Builder) {
        cursor.at = end;
        self.mode = Mode::Page;
        if builder.separates() {
            cursor.flush(true, builder);
        }
    }
}

impl Cursor {
    /// Gives the text before the cursor.
    fn flush(&mut self, opaque: bool, builder: &mut Builder) {
        if self.text_from < self.at {
            builder.text(self.chunk.slice(self.text_from..self.at), opaque);
        }
        self.text_from = self.at;
    }

    /// Goes on elsewhere; what is between is no text.
    fn skip_to(&mut self, at: usize) {
        (self.at, self.text_from) = (at, at);
    }
}

impl Mode {
    /// How what this opens ends. `<!-->` is a whole comment: its dashes count.
    const fn of(opener: Opener) -> Self {
        if matches!(opener, Opener::Cdata) { Self::Until(b']', 0) } else { Self::Until(b'-', 2) }
    }
}
