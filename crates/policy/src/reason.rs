//! The stable words for why a response is not stored and why a stored one is not reused as it is.
//!
//! One word per reason, in `Cache-Status` (detail), log and counter alike. Words are lower-case
//! tokens with hyphens and never change their meaning; new reasons get new words.

/// Why a response was not stored.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum NoStore {
    /// The method is not GET, nor a POST that may be stored.
    Method,
    /// The status is not final: 1xx.
    Interim,
    /// 206 or 416: part of an object, or the refusal of a part.
    Partial,
    /// A 304 that answers nothing we asked: no stored response was being validated.
    NotModifiedUnasked,
    /// 304: its validators are not those of the stored response.
    NotModifiedMismatch,
    /// 407 or 101: belongs to one hop.
    HopStatus,
    /// `no-store` in the response.
    NoStore,
    /// `no-store` in the request, honoured.
    RequestNoStore,
    /// `private` in the response.
    Private,
    /// The request had `Authorization` and the response does not allow sharing (RFC 9111 3.5).
    Authorization,
    /// `Set-Cookie`, not allowed by the site's rule.
    SetCookie,
    /// `must-understand` with a status whose caching rules we do not know.
    MustUnderstand,
    /// `Vary: *`, or a `Vary` that is no list of names.
    VaryStar,
    /// `Vary` names more fields than are kept.
    VaryWide,
    /// No lifetime, and a status that may not be guessed for (RFC 9111 3).
    NoLifetime,
    /// No lifetime left and nothing to validate with: it could never answer anybody.
    Unusable,
}

impl NoStore {
    /// Every reason, for tables of counters.
    pub const ALL: [Self; 16] = [
        Self::Method,
        Self::Interim,
        Self::Partial,
        Self::NotModifiedUnasked,
        Self::NotModifiedMismatch,
        Self::HopStatus,
        Self::NoStore,
        Self::RequestNoStore,
        Self::Private,
        Self::Authorization,
        Self::SetCookie,
        Self::MustUnderstand,
        Self::VaryStar,
        Self::VaryWide,
        Self::NoLifetime,
        Self::Unusable,
    ];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Interim => "interim",
            Self::Partial => "partial",
            Self::NotModifiedUnasked => "not-modified-unasked",
            Self::NotModifiedMismatch => "not-modified-mismatch",
            Self::HopStatus => "hop-status",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::MustUnderstand => "must-understand",
            Self::VaryStar => "vary-star",
            Self::VaryWide => "vary-wide",
            Self::NoLifetime => "no-lifetime",
            Self::Unusable => "unusable",
        }
    }
}

/// Why a stored response must be validated before it answers.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its lifetime is over and no window covers it.
    Stale,
    /// It says `no-cache`.
    NoCache,
    /// The client says `no-cache`, honoured.
    RequestNoCache,
    /// The client's `max-age` is less than its age, honoured.
    RequestMaxAge,
    /// The client's `min-fresh` is more than what is left, honoured.
    RequestMinFresh,
}

impl Why {
    /// Every reason, for tables of counters.
    pub const ALL: [Self; 5] = [
        Self::Stale,
        Self::NoCache,
        Self::RequestNoCache,
        Self::RequestMaxAge,
        Self::RequestMinFresh,
    ];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NoCache => "no-cache",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::RequestMinFresh => "request-min-fresh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_own_word_and_every_word_is_a_token() {
        let words: Vec<&str> = NoStore::ALL
            .iter()
            .map(|reason| reason.word())
            .chain(Why::ALL.iter().map(|why| why.word()))
            .collect();
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        for word in words {
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{word}");
        }
    }
}
