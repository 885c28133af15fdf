//! The one place where an error becomes something: a retry, another hop, a stale answer, a status,
//! a closed connection. Everything else passes failures on.

use crate::purge::Refused;
use crate::slices;
use http::StatusCode;
use selvedge_media::token::Denied;
use selvedge_net::{BodyError, Refusal, SendError};
use selvedge_store::FillError;
use std::error::Error;
use std::fmt;

/// Why a request could not be answered as it should. Cloned to every waiter of a fill.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The request itself is not acceptable.
    Refused(Refusal),
    /// No site is served under this host here.
    UnknownHost,
    /// The TLS server name and the host disagree.
    Misdirected,
    /// The request has been here before, or has come through too many nodes.
    Loop,
    /// The method is not served.
    Method,
    /// It brings no token that is good for it.
    Denied(Denied),
    /// The request body is larger than the site takes.
    BodyTooLarge,
    /// The client wanted a stored answer or none (RFC 9111 5.2.1.7).
    OnlyIfCached,
    /// The site has no next hop that this node may ask.
    NoHop,
    /// As many requests for playlists are held by next hops as a site may have.
    HeldFull,
    /// Every hop that was asked failed; this is how the last one did.
    Upstream(SendError),
    /// The next hop answered with this error, and a stale response was to stand in for it.
    ServerError(StatusCode),
    /// The next hop's answer broke off before it could be passed on.
    Broken(BodyError),
    /// The fill this request had joined ended.
    Fill(&'static str),
    /// What the origin has is another version than the one that is stored in part.
    Changed,
    /// The origin answered with another part than it was asked for.
    Part,
    /// An encoder failed: memory, or a bug.
    Encode,
    /// A fragment without which a page is none did not come, or the page itself is broken.
    Assembly,
    /// A purge was refused, or did not do all it should.
    Purge(Refused),
}

/// What to do with a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The same hop on a fresh connection.
    Again,
    /// The next hop that may be asked.
    NextHop,
    /// Nothing more.
    GiveUp,
}

/// What is known of a failed attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// Attempts made for this request, this one included.
    pub(crate) count: u32,
    /// The method is safe and there is no body: asking twice does no harm (RFC 9110 9.2.1).
    pub(crate) repeatable: bool,
    /// The request can be sent once more: it has no body, or none of it was used.
    pub(crate) whole: bool,
    /// A fresh connection to the same hop was tried already.
    pub(crate) fresh: bool,
    /// Another hop has not been asked yet.
    pub(crate) more_hops: bool,
}

/// No request is sent more often than this, whatever happens.
pub(crate) const ATTEMPTS_MAX: u32 = 4;

/// What follows a failed attempt.
pub(crate) fn after(error: &SendError, attempt: Attempt) -> Step {
    let may_repeat = attempt.whole && (error.retry_safe() || attempt.repeatable);
    if attempt.count >= ATTEMPTS_MAX || !may_repeat {
        return Step::GiveUp;
    }
    match error {
        // An idle connection that the hop had closed says nothing about the hop.
        SendError::Reset { reused: true, .. } if !attempt.fresh => Step::Again,
        SendError::PoolFull | SendError::RequestBody(_) | SendError::Request(_) => Step::GiveUp,
        SendError::Reset { .. } if !attempt.more_hops && !attempt.fresh => Step::Again,
        SendError::Reset { .. }
        | SendError::Resolve(_)
        | SendError::Connect(_)
        | SendError::ConnectTimeout
        | SendError::Tls(_)
        | SendError::FirstByteTimeout
        | SendError::Protocol(_)
        | SendError::HeadTooLarge => {
            if attempt.more_hops {
                Step::NextHop
            } else {
                Step::GiveUp
            }
        }
    }
}

/// What the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) word: &'static str,
    pub(crate) sentence: &'static str,
    /// The connection is not used again (HTTP/1.x).
    pub(crate) close: bool,
}

/// The answer for a failure. One arm a variant: this table is the error policy.
pub(crate) fn answer(failure: &Failure) -> Answer {
    let say = |status, word, sentence| Answer { status, word, sentence, close: false };
    match failure {
        Failure::Refused(refusal) => Answer {
            status: refusal.status(),
            word: refusal.word(),
            sentence: refusal.help(),
            close: true,
        },
        Failure::UnknownHost => say(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown-host",
            "No site with this host name is served here.",
        ),
        Failure::Misdirected => say(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "The TLS server name and the host of the request disagree.",
        ),
        Failure::Loop => say(
            StatusCode::LOOP_DETECTED,
            "loop",
            "The request came back to a node that had already handled it.",
        ),
        Failure::Method => say(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", METHOD),
        Failure::Denied(denied) => say(StatusCode::FORBIDDEN, denied.word(), denial(*denied)),
        Failure::BodyTooLarge => Answer {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            word: "body-too-large",
            sentence: "The request body is larger than this site takes.",
            close: true,
        },
        Failure::OnlyIfCached => say(
            StatusCode::GATEWAY_TIMEOUT,
            "only-if-cached",
            "Nothing usable is stored, and the request allows no other answer.",
        ),
        Failure::NoHop => {
            say(StatusCode::BAD_GATEWAY, "no-hop", "There is no server to ask for this site.")
        }
        Failure::HeldFull => say(StatusCode::SERVICE_UNAVAILABLE, "held-requests-full", HELD),
        Failure::Purge(refused) => purge(*refused),
        Failure::Upstream(error) => upstream(error),
        Failure::ServerError(status) => {
            say(*status, "upstream-status", "The origin answered with an error.")
        }
        Failure::Broken(error) => say(
            StatusCode::BAD_GATEWAY,
            error.word(),
            "The origin's answer broke off before its end.",
        ),
        Failure::Fill(word) => {
            say(StatusCode::BAD_GATEWAY, word, "The origin's answer broke off before its end.")
        }
        Failure::Changed => say(StatusCode::BAD_GATEWAY, "version-changed", CHANGED),
        Failure::Part => say(StatusCode::BAD_GATEWAY, slices::MISMATCH, OTHER_PART),
        Failure::Encode => {
            say(StatusCode::INTERNAL_SERVER_ERROR, "encode", "The answer could not be encoded.")
        }
        Failure::Assembly => say(
            StatusCode::BAD_GATEWAY,
            "esi",
            "A part of the page did not come, and nothing may stand in for it.",
        ),
    }
}

const HELD: &str = "Too many playlists of this site are being waited for.";
const METHOD: &str = "This method is not served here.";

const fn denial(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "This needs a token, and the request brings none.",
        Denied::Malformed => "The token is not whole, or was sent twice.",
        Denied::UnknownKey => "The token was signed with a key that is not known here.",
        Denied::Signature => "The token is for another site or client, or was changed.",
        Denied::Expired => "The token is over.",
        Denied::Path => "The token is for other paths.",
    }
}

fn purge(refused: Refused) -> Answer {
    let (status, word, sentence) = match refused {
        Refused::Forbidden => {
            (StatusCode::FORBIDDEN, "purge-forbidden", "This client may not purge.")
        }
        Refused::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            "purge-unauthorized",
            "Whoever purges must bring the token: Authorization: Bearer ...",
        ),
        Refused::Syntax(sentence) => (StatusCode::BAD_REQUEST, "purge-syntax", sentence),
        Refused::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "purge-too-large",
            "One request purges 1000 things at most, in 64 KiB.",
        ),
        Refused::UnknownSite => (
            StatusCode::BAD_REQUEST,
            "purge-unknown-site",
            "There is no site of this name or for this host here.",
        ),
        Refused::NotDurable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "purge-not-durable",
            "The purge is in force, but no disk could take it down: a restart would undo it.",
        ),
    };
    Answer { status, word, sentence, close: false }
}

const CHANGED: &str = "The content changed at the origin while it was being sent.";
const OTHER_PART: &str = "The origin answered with another part than it was asked for.";

fn upstream(error: &SendError) -> Answer {
    let (status, sentence, close) = match error {
        SendError::Resolve(_) | SendError::Connect(_) | SendError::Tls(_) => {
            (StatusCode::BAD_GATEWAY, "The origin could not be reached.", false)
        }
        SendError::ConnectTimeout | SendError::FirstByteTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, "The origin did not answer in time.", false)
        }
        SendError::Reset { .. } => {
            (StatusCode::BAD_GATEWAY, "The origin closed the connection without an answer.", false)
        }
        SendError::Protocol(_) | SendError::HeadTooLarge => {
            (StatusCode::BAD_GATEWAY, "The origin's answer was not valid.", false)
        }
        SendError::PoolFull => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many requests for this site at once.", false)
        }
        SendError::RequestBody(BodyError::ClientTooLarge) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "The request body is larger than this site takes.",
            true,
        ),
        SendError::RequestBody(BodyError::ClientTimeout) => {
            (StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time.", true)
        }
        SendError::RequestBody(_) => {
            (StatusCode::BAD_REQUEST, "The request body did not arrive whole.", true)
        }
        SendError::Request(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "The request could not be passed on.", false)
        }
    };
    Answer { status, word: error.word(), sentence, close }
}

/// Whether a failed attempt speaks against the hop that was asked.
pub(crate) fn speaks_against_hop(error: &SendError) -> bool {
    error.is_upstream()
}

/// Whether a stored response that may be used on error (RFC 5861 4) stands in for this failure: for
/// what is the origin's fault, never for the client's.
pub(crate) fn stale_may_stand_in(failure: &Failure) -> bool {
    match failure {
        Failure::NoHop | Failure::ServerError(_) | Failure::Broken(_) | Failure::Fill(_) => true,
        Failure::Changed | Failure::Part => true,
        Failure::Upstream(error) => error.is_upstream() || *error == SendError::PoolFull,
        Failure::Refused(_)
        | Failure::UnknownHost
        | Failure::Misdirected
        | Failure::Loop
        | Failure::Method
        | Failure::Denied(_)
        | Failure::BodyTooLarge
        | Failure::OnlyIfCached
        | Failure::HeldFull
        | Failure::Purge(_)
        | Failure::Assembly
        | Failure::Encode => false,
    }
}

/// Whether this status is an error for which RFC 5861 4 lets a stale response stand in.
pub(crate) fn is_stale_if_error_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// A fill's end as this request's failure.
pub(crate) fn of_fill(error: &FillError) -> Failure {
    match error.source_as::<Failure>() {
        Some(failure) => failure.clone(),
        None => Failure::Fill(error.word()),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(answer(self).sentence)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Upstream(error) => Some(error),
            Self::Broken(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: Attempt =
        Attempt { count: 1, repeatable: true, whole: true, fresh: false, more_hops: true };

    fn reset(reused: bool, sent: bool) -> SendError {
        SendError::Reset { reused, sent }
    }

    #[test]
    fn a_stale_pooled_connection_is_replaced_by_a_fresh_one() {
        assert_eq!(after(&reset(true, true), SAFE), Step::Again);
        let fresh = Attempt { fresh: true, ..SAFE };
        assert_eq!(after(&reset(true, true), fresh), Step::NextHop);
    }

    #[test]
    fn an_unsafe_request_that_may_have_arrived_is_not_sent_twice() {
        let post = Attempt { repeatable: false, ..SAFE };
        assert_eq!(after(&reset(true, true), post), Step::GiveUp);
        assert_eq!(after(&SendError::FirstByteTimeout, post), Step::GiveUp);
        assert_eq!(after(&SendError::ConnectTimeout, post), Step::NextHop);
        let begun = Attempt { whole: false, ..post };
        assert_eq!(after(&SendError::ConnectTimeout, begun), Step::GiveUp);
    }

    #[test]
    fn attempts_are_bounded() {
        let last = Attempt { count: ATTEMPTS_MAX, ..SAFE };
        assert_eq!(after(&SendError::ConnectTimeout, last), Step::GiveUp);
    }

    #[test]
    fn a_lone_hop_gets_one_fresh_connection() {
        let lone = Attempt { more_hops: false, ..SAFE };
        assert_eq!(after(&reset(false, true), lone), Step::Again);
        assert_eq!(after(&reset(false, true), Attempt { fresh: true, ..lone }), Step::GiveUp);
        assert_eq!(after(&SendError::FirstByteTimeout, lone), Step::GiveUp);
    }

    #[test]
    fn time_limits_are_504_and_broken_origins_502() {
        for (failure, status) in [
            (Failure::Upstream(SendError::FirstByteTimeout), 504),
            (Failure::Upstream(SendError::ConnectTimeout), 504),
            (Failure::Upstream(SendError::Connect(String::new())), 502),
            (Failure::Upstream(reset(false, true)), 502),
            (Failure::Upstream(SendError::PoolFull), 503),
            (Failure::UnknownHost, 421),
            (Failure::Loop, 508),
            (Failure::OnlyIfCached, 504),
            (Failure::Denied(Denied::Expired), 403),
        ] {
            assert_eq!(answer(&failure).status.as_u16(), status, "{failure:?}");
        }
    }

    #[test]
    fn stale_content_hides_the_origins_failures_only() {
        assert!(stale_may_stand_in(&Failure::Upstream(SendError::ConnectTimeout)));
        assert!(!stale_may_stand_in(&Failure::Loop));
        let clients = SendError::RequestBody(BodyError::ClientGone);
        assert!(!stale_may_stand_in(&Failure::Upstream(clients)));
    }
}
