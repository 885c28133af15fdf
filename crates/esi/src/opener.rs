//! What begins where in a page, and where a tag ends: looked at without knowing what came before.

/// What begins at a `<` or, within `<!--esi`, a `-`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Opener {
    Tag,
    Wrapper,
    WrapperEnd,
    Comment,
    Cdata,
    Nothing,
    /// More bytes will tell.
    Undecided,
}

impl Opener {
    /// How long it is.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Wrapper => 7,
            Self::WrapperEnd => 3,
            Self::Comment => 4,
            Self::Cdata => 9,
            Self::Tag | Self::Nothing | Self::Undecided => 0,
        }
    }
}

/// The most bytes after which it is known what begins.
pub(crate) const OPENER_BYTES_MAX: usize = 9;

/// What begins here.
pub(crate) fn classify(bytes: &[u8], wrapped: bool) -> Opener {
    let mut undecided = false;
    let mut is = |opener: &[u8]| {
        undecided |= bytes.len() < opener.len() && opener.starts_with(bytes);
        bytes.starts_with(opener)
    };
    if is(b"<esi:") || is(b"</esi:") {
        Opener::Tag
    } else if is(b"<!--esi") {
        Opener::Wrapper
    } else if is(b"<![CDATA[") {
        Opener::Cdata
    } else if wrapped && is(b"-->") {
        Opener::WrapperEnd
    } else if undecided {
        Opener::Undecided
    } else if bytes.starts_with(b"<!--") {
        Opener::Comment
    } else {
        Opener::Nothing
    }
}

/// Where the tag begins of which `esi:` was found at `found`, if it is one.
pub(crate) fn tag_start(chunk: &[u8], at: usize, found: usize) -> Option<usize> {
    let before = &chunk[at..found.max(at)];
    if before.ends_with(b"<") {
        Some(found - 1)
    } else if before.ends_with(b"</") {
        Some(found - 2)
    } else {
        None
    }
}

/// Where a tag ends.
pub(crate) enum TagEnd {
    /// After its `>`.
    Ends(usize),
    /// Before a `<` that cannot be a part of it.
    Broken(usize),
    Later,
}

pub(crate) fn tag_end(bytes: &[u8], skip: usize, quote: &mut Option<u8>) -> TagEnd {
    let mut at = skip;
    while let Some(&byte) = bytes.get(at) {
        match (*quote, byte) {
            (Some(mark), _) => {
                let Some(found) = memchr::memchr(mark, &bytes[at..]) else { return TagEnd::Later };
                at += found;
                *quote = None;
            }
            (None, b'"' | b'\'') => *quote = Some(byte),
            (None, b'>') => return TagEnd::Ends(at + 1),
            (None, b'<') => return TagEnd::Broken(at),
            (None, _) => {}
        }
        at += 1;
    }
    TagEnd::Later
}
