//! What is wrong with a page. A fault never stops a page: it is counted under one stable word, and
//! the first few are kept with the place where they are.

use std::fmt;

/// Faults that are kept with their place.
const KEPT_MAX: usize = 32;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident => $word:literal,)*) => {
        /// What a fault is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $($(#[doc = $doc])* $name,)*
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$name),*];

            /// Its stable word, for counters and logs.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// A tag that is not what a tag should look like: dropped.
    MalformedTag => "malformed-tag",
    /// A tag, or what stands in an `assign`, is longer than it may be: dropped.
    TagTooLong => "tag-too-long",
    /// The page ended within a tag: dropped.
    UnfinishedTag => "unfinished-tag",
    /// A tag with bytes that are not UTF-8: dropped.
    NotUtf8 => "not-utf8",
    /// An element that this language does not have: the tag is dropped, what it encloses stays.
    UnknownTag => "unknown-tag",
    /// An attribute that the element does not have: not heeded.
    UnknownAttribute => "unknown-attribute",
    /// An attribute that came twice: the tag is dropped.
    DuplicateAttribute => "duplicate-attribute",
    /// An attribute without which the tag means nothing is missing or empty: dropped.
    MissingAttribute => "missing-attribute",
    /// An attribute whose value makes no sense: not heeded, or the tag is dropped.
    BadAttribute => "bad-attribute",
    /// The end of a block that was not begun: dropped.
    StrayEnd => "stray-end",
    /// A block that was not ended: it ends where its parent or the page does.
    UnclosedBlock => "unclosed-block",
    /// An element where it may not be: dropped with what it encloses.
    Misplaced => "misplaced",
    /// Text between the branches of a `choose` or a `try`: dropped.
    StrayText => "stray-text",
    /// A second `otherwise`, `attempt` or `except`: dropped; or a block without a branch it needs.
    BadBranches => "bad-branches",
    /// Blocks too deep within each other: dropped with what they enclose.
    NestingTooDeep => "nesting-too-deep",
    /// More tags than a page may have: dropped.
    TooManyNodes => "too-many-nodes",
    /// An expression that nobody can read: false, or an empty value.
    BadExpression => "bad-expression",
    /// A regular expression that nobody can read, or that is too large: false.
    BadRegex => "bad-regex",
    /// A value grew longer than it may be: cut off, or refused where it stood for an address.
    ValueTooLong => "value-too-long",
    /// All values of the page together grew longer than they may be: nothing in their place.
    PageTooLong => "page-too-long",
    /// More was looked at than one page may ask for: the rest is left out.
    TooManySteps => "too-many-steps",
    /// More variables than a page may assign: not assigned.
    TooManyVariables => "too-many-variables",
    /// A header that a fragment's request may not be given: the change is not made.
    BadHeader => "bad-header",
    /// A fragment of the page that asks for itself: nothing in its place.
    InlineLoop => "inline-loop",
}

impl fmt::Display for FaultKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word())
    }
}

/// One fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// Where in the page the tag begins, in bytes.
    pub offset: u64,
}

/// The faults of a page.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Faults {
    counts: [u32; FaultKind::ALL.len()],
    first: Vec<Fault>,
}

impl Faults {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: FaultKind) -> u32 {
        self.counts[kind as usize]
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The kinds that there are, and how many of each.
    pub fn counts(&self) -> impl Iterator<Item = (FaultKind, u32)> + '_ {
        FaultKind::ALL.into_iter().map(|kind| (kind, self.count(kind))).filter(|(_, n)| *n > 0)
    }

    /// The first few, in the order in which they were found.
    pub fn first(&self) -> &[Fault] {
        &self.first
    }

    /// Takes over those of another part of the same page.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        let room = KEPT_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.iter().take(room).cloned());
    }

    pub(crate) fn add(&mut self, kind: FaultKind, offset: u64) {
        let count = &mut self.counts[kind as usize];
        *count = count.saturating_add(1);
        if self.first.len() < KEPT_MAX {
            self.first.push(Fault { kind, offset });
        }
    }
}

/// The line of an offset, from 1, in a page that is at hand.
pub fn line_of(page: &[u8], offset: u64) -> usize {
    let end = usize::try_from(offset).map_or(page.len(), |offset| offset.min(page.len()));
    memchr::memchr_iter(b'\n', &page[..end]).count() + 1
}
