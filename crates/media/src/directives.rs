//! Delivery directives of low-latency HLS (rfc8216bis 6.2.5): a client says in the query which
//! playlist it waits for. They are always part of the cache key: each names another answer.

use std::time::Duration;

use crate::facts::Facts;
use crate::query::only;
use crate::time::integer;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Directives {
    /// `_HLS_msn`: the playlist that has this segment
    pub msn: Option<u64>,
    /// `_HLS_part`: and this part of it, from 0
    pub part: Option<u32>,
    /// `_HLS_skip`
    pub skip: Option<SkipMode>,
}

/// `_HLS_skip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipMode {
    /// `YES`: older segments may be left out.
    Segments,
    /// `v2`: date ranges too.
    SegmentsAndDates,
}

/// Directives that make no sense. What an origin says to them (400) is passed on, never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectivesFault {
    /// A name twice, or a value that is none.
    Value,
    /// `_HLS_part` without `_HLS_msn` (rfc8216bis 6.2.5.2).
    PartWithoutMsn,
}

impl DirectivesFault {
    /// Its stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Value => "directive-value",
            Self::PartWithoutMsn => "directive-part-without-msn",
        }
    }
}

/// How a playlist stands to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It has what was waited for, or is over.
    Yes,
    /// It is older than that.
    NotYet,
    /// It is a delta update and a whole one was asked for, or the origin gives none of the kind.
    Other,
}

impl Directives {
    /// Those of a query (without its question mark); none if there are none.
    pub fn parse(query: &str) -> Result<Option<Self>, DirectivesFault> {
        // A cheap look first: almost no request has them.
        if !query.contains("_HLS_") && !query.contains('%') {
            return Ok(None);
        }
        let take = |name| only(query, name).map_err(|_| DirectivesFault::Value);
        let msn = take("_HLS_msn")?;
        let part = take("_HLS_part")?;
        let skip = take("_HLS_skip")?;
        if msn.is_none() && part.is_none() && skip.is_none() {
            return Ok(None);
        }
        let number = |text: &str| integer(text).ok_or(DirectivesFault::Value);
        let msn = msn.as_deref().map(number).transpose()?;
        let part = part.as_deref().map(number).transpose()?;
        let part = part.map(u32::try_from).transpose().map_err(|_| DirectivesFault::Value)?;
        let skip = match skip.as_deref() {
            None => None,
            Some("YES") => Some(SkipMode::Segments),
            Some("v2") => Some(SkipMode::SegmentsAndDates),
            Some(_) => return Err(DirectivesFault::Value),
        };
        if part.is_some() && msn.is_none() {
            return Err(DirectivesFault::PartWithoutMsn);
        }
        Ok(Some(Self { msn, part, skip }))
    }

    /// What goes into the key beside the rest of the query (which is without
    /// [`Directives::NAMES`]): one form, whatever order and encoding were sent.
    pub fn key(&self) -> String {
        let msn = self.msn.map(|msn| format!("_HLS_msn={msn}"));
        let part = self.part.map(|part| format!("_HLS_part={part}"));
        let skip = self.skip.map(|skip| match skip {
            SkipMode::Segments => "_HLS_skip=YES".to_owned(),
            SkipMode::SegmentsAndDates => "_HLS_skip=v2".to_owned(),
        });
        [msn, part, skip].into_iter().flatten().collect::<Vec<_>>().join("&")
    }

    /// The names of all directives.
    pub const NAMES: [&str; 3] = ["_HLS_msn", "_HLS_part", "_HLS_skip"];

    /// Whether an origin may hold the request back until it has the answer.
    pub const fn may_block(&self) -> bool {
        self.msn.is_some()
    }

    /// For how long the request upstream may take: an origin gives up with 503 after three target
    /// durations (rfc8216bis 6.2.5.2), so that much and `slack`; `unknown` stands for the target
    /// duration where no playlist has been read yet. None if it does not block.
    pub fn hold_max(
        &self,
        facts: Option<&Facts>,
        unknown: Duration,
        slack: Duration,
    ) -> Option<Duration> {
        let target = facts.map(|facts| facts.segment).filter(|target| !target.is_zero());
        let target = target.unwrap_or(unknown).min(TARGET_MAX);
        self.may_block().then(|| target * 3 + slack)
    }

    /// Whether a playlist is what was asked for. A segment's number without a part asks for the
    /// whole segment; a part beyond the last one of a segment is there with the first part of the
    /// next (rfc8216bis 6.2.5.2).
    pub fn answered_by(&self, facts: &Facts) -> Answer {
        let Some(edge) = facts.edge else { return Answer::Other };
        if facts.is_delta && self.skip.is_none() {
            return Answer::Other;
        }
        let there = match (self.msn, self.part) {
            (None, _) => true,
            // Beyond the last part of the last whole segment: the first of the next is meant.
            (Some(msn), Some(part)) if edge.next_msn.checked_sub(1) == Some(msn) => {
                part < facts.last_parts || facts.last_parts == 0 || edge.parts > 0
            }
            (Some(msn), _) if msn < edge.next_msn => true,
            (Some(msn), Some(part)) => msn == edge.next_msn && part < edge.parts,
            (Some(_), None) => false,
        };
        if there || !facts.is_live { Answer::Yes } else { Answer::NotYet }
    }

    /// Whether an origin has to refuse it with 400: further ahead than the segment after next
    /// (rfc8216bis 6.2.5.2).
    pub fn is_too_far_ahead(&self, facts: &Facts) -> bool {
        let Some((msn, edge)) = self.msn.zip(facts.edge) else { return false };
        msn > edge.next_msn.saturating_add(1)
    }
}

/// What a longer target duration counts as.
const TARGET_MAX: Duration = Duration::from_secs(60);
