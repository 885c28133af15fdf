//! Why a manifest is not understood. Such a one is passed on as it came, and nothing is derived
//! from it: neither a lifetime nor what comes next.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident => $word:literal,)*) => {
        /// Why a manifest is passed on without being understood.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Unreadable {
            $($(#[doc = $doc])* $name,)*
        }

        impl Unreadable {
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

reasons! {
    /// More bytes than [`Limits::manifest_bytes_max`](crate::Limits::manifest_bytes_max).
    TooLong => "manifest-too-long",
    /// Not UTF-8, or control characters within (RFC 8216 4.1).
    NotText => "manifest-not-text",
    /// A playlist that does not begin with `#EXTM3U`, or XML whose root is not `MPD`.
    NotManifest => "manifest-other",
    /// A line longer than it may be.
    LineTooLong => "manifest-line-too-long",
    /// More lines or elements than there may be.
    TooManyLines => "manifest-too-many-lines",
    /// More segments, parts, periods, sets or timeline entries than there may be.
    TooManySegments => "manifest-too-many-segments",
    /// More variants, renditions or representations than there may be.
    TooManyVariants => "manifest-too-many-variants",
    /// More attributes in one tag than there may be.
    TooManyAttributes => "manifest-too-many-attributes",
    /// A number that is none, or that is greater than anybody can mean.
    Number => "manifest-number",
    /// A date or a duration that is none (ISO 8601).
    Time => "manifest-time",
    /// An attribute list that nobody can read, or an attribute twice (RFC 8216 4.2).
    Attributes => "manifest-attributes",
    /// Something without which the manifest means nothing is missing.
    Missing => "manifest-missing",
    /// A tag twice that may be there once, or where it may not be.
    Misplaced => "manifest-misplaced",
    /// Tags of a media and of a multivariant playlist in one (RFC 8216 4.1).
    Mixed => "manifest-mixed",
    /// A byte range without a beginning, or beyond all numbers.
    ByteRange => "manifest-byte-range",
    /// Not well-formed XML.
    Xml => "manifest-xml",
    /// A document type or an entity of its own, which no MPD needs.
    Entity => "manifest-entity",
    /// Elements too deep within each other.
    TooDeep => "manifest-too-deep",
    /// What was rewritten would be longer than it may be.
    RewriteTooLong => "manifest-rewrite-too-long",
}

impl fmt::Display for Unreadable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word())
    }
}

impl std::error::Error for Unreadable {}
