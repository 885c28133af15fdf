//! What became of a query: what is counted, limited and logged.
//!
//! It says what the reply said and why; it never decides anything.

use std::net::IpAddr;

use crate::cookie::CookieProof;
use crate::query::Query;
use crate::rrl::RateClass;
use crate::sites::SiteIndex;
use crate::zone::Zone;

/// What became of a query.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// Why the reply is as it is.
    pub reason: Reason,
    /// Its code, with what EDNS adds.
    pub rcode: u16,
    /// What the asker wanted done; 0 is a query.
    pub opcode: u8,
    /// The type asked for; 0 where no question was read.
    pub kind: u16,
    /// The class asked in.
    pub class: u16,
    /// The zone that answered.
    pub zone: Option<&'a Zone>,
    /// The site that the asker was sent to.
    pub site: Option<SiteIndex>,
    /// Something needed did not fit.
    pub is_truncated: bool,
    /// The asker speaks EDNS.
    pub has_edns: bool,
    /// The asker wants signatures.
    pub wants_dnssec: bool,
    /// The subnet that was told and believed.
    pub subnet: Option<SubnetOutcome>,
    /// What the cookie proved.
    pub cookie: CookieProof,
    /// The asker's address is his: by TCP or a cookie. Rates are not limited then.
    pub is_proven: bool,
    /// What the reply is counted as where rates are limited.
    pub rate_class: RateClass,
    /// How much of the end of the name asked for the rate is counted by.
    pub(crate) rate_name_bytes: u8,
    /// Bytes of the question in the reply.
    pub(crate) question_bytes: u16,
    /// Bytes of the OPT record in the reply.
    pub(crate) opt_bytes: u16,
}

/// A client's subnet, and for whom the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubnetOutcome {
    /// The address; `None` where the resolver named no family.
    pub address: Option<IpAddr>,
    /// How many bits were told.
    pub source: u8,
    /// For how many bits the answer is good.
    pub scope: u8,
}

/// Why a reply is as it is, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reply: shorter than a header.
    Short,
    /// No reply: it was a reply itself.
    Reply,
    /// No reply: it came from a port where something answers whatever it is sent.
    Port,
    /// Not formed as the RFCs say.
    Malformed,
    /// EDNS of a version that we do not speak.
    Version,
    /// Something other than a query is wanted, or a type of question that we never answer.
    Unimplemented,
    /// Only a cookie was asked for (RFC 7873 5.4).
    CookieOnly,
    /// It must be asked again with the cookie that was given.
    CookieWanted,
    /// A class that we have nothing in.
    Class,
    /// Which server this is.
    Chaos,
    /// The zone may not be taken by who asks, or not this way.
    TransferRefused,
    /// The zone is sent.
    Transfer,
    /// The name is in no zone of ours.
    NotOurs,
    /// Records of a zone.
    Answer,
    /// Where a site's clients are sent.
    Site,
    /// ANY was asked for, and got little (RFC 8482).
    Any,
    /// The name has nothing of the type.
    NoData,
    /// There is no such name.
    NoName,
    /// Others are to be asked.
    Referral,
    /// A DNAME leads to a name that is too long.
    LongName,
    /// The zone speaks of a site that nobody knows.
    SiteUnknown,
    /// The site has no address at all now.
    SiteEmpty,
    /// No signature could be made in this second: TC over UDP, no reply by a stream.
    Unsigned,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 23] = [
        Self::Short,
        Self::Reply,
        Self::Port,
        Self::Malformed,
        Self::Version,
        Self::Unimplemented,
        Self::CookieOnly,
        Self::CookieWanted,
        Self::Class,
        Self::Chaos,
        Self::TransferRefused,
        Self::Transfer,
        Self::NotOurs,
        Self::Answer,
        Self::Site,
        Self::Any,
        Self::NoData,
        Self::NoName,
        Self::Referral,
        Self::LongName,
        Self::SiteUnknown,
        Self::SiteEmpty,
        Self::Unsigned,
    ];

    /// What who speaks EDNS is told of an error (RFC 8914 4), where it helps: that the resolver was
    /// sent to the wrong server, may not, or should ask another. An answer of nodes that were up
    /// last is none of its stale ones (4.4): its time to live is not over.
    #[must_use]
    pub const fn error_code(self) -> Option<u16> {
        match self {
            // Not Ready: this server lacks what it needs; another may have it.
            Self::SiteUnknown | Self::SiteEmpty => Some(14),
            // Prohibited.
            Self::TransferRefused => Some(18),
            // Not Authoritative.
            Self::NotOurs => Some(20),
            // Not Supported.
            Self::Class => Some(21),
            _ => None,
        }
    }

    /// The stable word, for counters and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Reply => "reply",
            Self::Port => "port",
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Unimplemented => "unimplemented",
            Self::CookieOnly => "cookie_only",
            Self::CookieWanted => "cookie_wanted",
            Self::Class => "class",
            Self::Chaos => "chaos",
            Self::TransferRefused => "transfer_refused",
            Self::Transfer => "transfer",
            Self::NotOurs => "not_ours",
            Self::Answer => "answer",
            Self::Site => "site",
            Self::Any => "any",
            Self::NoData => "no_data",
            Self::NoName => "no_name",
            Self::Referral => "referral",
            Self::LongName => "long_name",
            Self::SiteUnknown => "site_unknown",
            Self::SiteEmpty => "site_empty",
            Self::Unsigned => "unsigned",
        }
    }
}

impl Outcome<'_> {
    /// Nothing was replied.
    pub(crate) const fn silent(reason: Reason) -> Self {
        Self {
            reason,
            rcode: 0,
            opcode: 0,
            kind: 0,
            class: 0,
            zone: None,
            site: None,
            is_truncated: false,
            has_edns: false,
            wants_dnssec: false,
            subnet: None,
            cookie: CookieProof::Absent,
            is_proven: false,
            rate_class: RateClass::Error,
            rate_name_bytes: 0,
            question_bytes: 0,
            opt_bytes: 0,
        }
    }

    /// What is known of a query before it is answered.
    pub(crate) fn of(query: &Query<'_>) -> Self {
        let mut outcome = Self::silent(Reason::Malformed);
        outcome.opcode = query.opcode;
        if let Some(question) = &query.question {
            (outcome.kind, outcome.class) = (question.kind, question.class);
            outcome.question_bytes = question.bytes.len() as u16;
        }
        outcome.has_edns = query.edns.is_some();
        outcome.wants_dnssec = query.edns.as_ref().is_some_and(|edns| edns.wants_dnssec);
        outcome
    }

    /// What rates are counted by, of the name that was asked for.
    pub(crate) fn count_by(&mut self, class: RateClass, name_bytes: usize) {
        self.rate_class = class;
        self.rate_name_bytes = name_bytes.min(usize::from(u8::MAX)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
