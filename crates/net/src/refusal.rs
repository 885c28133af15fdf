//! Every reason for which a request is refused before it means anything, each with the status the
//! client gets and the one word that stands for it in logs, counters and answers.

use http::StatusCode;

macro_rules! refusals {
    ($($name:ident, $status:literal, $word:literal, $help:literal;)*) => {
        /// Why a request was refused. The connection closes after the answer (HTTP/1.x).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $(#[doc = $help] $name,)*
        }

        impl Refusal {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// The stable word used in logs, counters and answers.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// One line for the person who reads the answer.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }

            const fn status_code(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

refusals! {
    LineEnd, 400, "line-end", "A line ended in a bare LF, or a bare CR was found.";
    ControlByte, 400, "control-byte", "A control character was found in the head.";
    RequestLine, 400, "request-line", "The request line is malformed.";
    Method, 400, "method", "The method is not a token.";
    Target, 400, "target", "The request target is malformed.";
    TargetForm, 400, "target-form", "The form of the target does not fit the method.";
    UrlTooLong, 414, "url-too-long", "The request target is too long.";
    Version, 505, "version", "Only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.";
    HeadTooLarge, 431, "head-too-large", "The request head is too large.";
    FieldTooLarge, 431, "field-too-large", "A header field is too large.";
    TooManyFields, 431, "too-many-fields", "There are too many header fields.";
    FieldName, 400, "field-name", "A header field name is not a token.";
    FieldFolded, 400, "field-folded", "A header field is folded over several lines.";
    FieldValue, 400, "field-value", "A header field value is malformed.";
    HostMissing, 400, "host-missing", "The Host field is missing.";
    HostRepeated, 400, "host-repeated", "There is more than one Host field.";
    HostInvalid, 400, "host-invalid", "The Host field is not a valid authority.";
    HostMismatch, 400, "host-mismatch", ":authority and Host disagree.";
    LengthInvalid, 400, "length-invalid", "Content-Length is not one plain number.";
    LengthRepeated, 400, "length-repeated", "There is more than one Content-Length.";
    LengthAndCoding, 400, "length-and-coding", "Content-Length and Transfer-Encoding are both set.";
    LengthRequired, 411, "length-required", "The request needs a Content-Length.";
    CodingUnknown, 501, "coding-unknown", "The only transfer coding understood is chunked.";
    CodingRepeated, 400, "coding-repeated", "There is more than one Transfer-Encoding.";
    CodingVersion, 400, "coding-version", "HTTP/1.0 has no transfer codings.";
    Expectation, 417, "expectation", "The only expectation understood is 100-continue.";
    Connect, 501, "connect", "CONNECT is not offered.";
    ChunkSize, 400, "chunk-size", "A chunk size is malformed.";
    ChunkExtension, 400, "chunk-extension", "A chunk extension is malformed or too long.";
    ChunkEnd, 400, "chunk-end", "A chunk is not followed by CRLF.";
    Trailer, 400, "trailer", "The trailer section is malformed or too large.";
}

impl Refusal {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_code()).unwrap_or(StatusCode::BAD_REQUEST)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.help())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::Refusal;

    /// Words identify refusals, statuses are client or version errors, indexes round-trip.
    #[test]
    fn words_are_unique_and_indexes_round_trip() {
        for (index, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(refusal.index(), index);
            assert_eq!(Refusal::from_index(index), Some(*refusal));
            assert_eq!(Refusal::ALL.iter().filter(|r| r.word() == refusal.word()).count(), 1);
            assert!(matches!(refusal.status().as_u16(), 400..=599));
        }
        assert_eq!(Refusal::from_index(Refusal::COUNT), None);
    }
}
