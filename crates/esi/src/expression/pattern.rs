//! Regular expressions, of an engine whose time is linear in the text: what stands in the page is
//! compiled once, with a limit, and knows bytes and ASCII only.

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::Letters;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    letters: Letters,
    regex: Regex,
}

impl Pattern {
    pub(super) fn new(source: &[u8], letters: Letters, bytes_max: usize) -> Option<Self> {
        let regex = RegexBuilder::new(std::str::from_utf8(source).ok()?)
            .unicode(false)
            .case_insensitive(letters == Letters::Same)
            .size_limit(bytes_max)
            .dfa_size_limit(bytes_max)
            .nest_limit(NEST_MAX)
            .build()
            .ok()?;
        Some(Self { letters, regex })
    }

    /// What each group has found, the whole first.
    pub(crate) fn captures<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        self.regex.captures(text)
    }

    /// About what it takes, with the tables that searching fills.
    pub(super) fn heap_bytes(&self) -> usize {
        COMPILED_BYTES + COMPILED_PER_BYTE * self.regex.as_str().len()
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.letters == other.letters && self.regex.as_str() == other.regex.as_str()
    }
}

/// Groups within groups of a pattern.
const NEST_MAX: u32 = 32;

/// A compiled pattern: measured roughly, a small one and each byte more of it.
const COMPILED_BYTES: usize = 16 * 1024;
const COMPILED_PER_BYTE: usize = 128;
