//! For how long an answer holds, as a pure function of what it is. The reasons stand at each
//! rule; the table with its sources is in README.md. An error is never believed for longer than
//! a second, a live manifest never for longer than half of what it will be outdated after.

use std::time::Duration;

use crate::directives::Directives;
use crate::facts::Facts;
use crate::kind::{DashForm, HlsForm, Kind};

/// What was answered, to what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What it is; for errors what its name says
    pub kind: Kind,
    /// The status of the answer
    pub status: u16,
    /// Of the manifest itself; for a segment or a multivariant playlist of a media playlist (or
    /// the MPD) of its stream, if one was read; none: nothing is known
    pub facts: Option<&'a Facts>,
    /// Of the request, if it had some
    pub directives: Option<&'a Directives>,
    /// The freshness lifetime that the origin gave (RFC 9111 4.2.1), zero for no-cache; none: it
    /// said nothing
    pub origin: Option<Duration>,
    /// How old it was when it came (RFC 9111 4.2.3)
    pub age: Duration,
    /// How long until the segment is published, where that can be told
    /// ([`Track::available_at`](crate::Track::available_at))
    pub until_published: Option<Duration>,
}

/// What a site says of all this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whose word counts
    pub mode: Mode,
    /// Segments, init segments and keys on demand
    pub vod_segment: Duration,
    /// Manifests on demand
    pub vod_manifest: Duration,
    /// Segments and init segments of a live stream: an encoder that begins anew writes others
    /// under the same names
    pub live_segment: Duration,
    /// At most, for live manifests and where nothing is known of a stream
    pub live_manifest_max: Duration,
    /// Errors at the live edge; above a second it counts as one; zero: they are not kept
    pub negative: Duration,
    /// How much longer segments serve when the origin fails
    pub stale_segment: Duration,
    /// How much longer manifests on demand do; live ones at most a target duration
    pub stale_vod_manifest: Duration,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The origin's; ours where it is silent. Errors at the live edge are ours as well.
    #[default]
    Silent,
    /// The shorter of both; ours where it is silent.
    Shorter,
    /// Ours.
    Ours,
}

/// For how long an answer holds, from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From when it was made, which is what the origin's would be
    pub total: Duration,
    /// What is left of it, the age taken off
    pub left: Duration,
    /// How much longer it may serve when the origin fails (RFC 5861 4)
    pub stale_if_error: Duration,
    /// Why
    pub why: Why,
}

/// Why an answer holds for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The origin said so.
    Origin,
    /// It does not change.
    Vod,
    /// It is listed once and does not change, unless the encoder begins anew.
    LiveSegment,
    /// A new one is written with each segment.
    LiveManifest,
    /// A new one is written with each part.
    LowLatency,
    /// It was asked for by number: it stays the answer to that.
    Blocking,
    /// `@minimumUpdatePeriod`
    UpdatePeriod,
    /// Nothing is known of the stream.
    Unknown,
    /// It is not there, or not yet.
    Negative,
    /// It is refused to directives, or the origin gave up waiting: not kept.
    DirectiveRefused,
}

impl Why {
    /// Its stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Origin => "media-origin",
            Self::Vod => "media-vod",
            Self::LiveSegment => "media-live-segment",
            Self::LiveManifest => "media-live-manifest",
            Self::LowLatency => "media-low-latency",
            Self::Blocking => "media-blocking",
            Self::UpdatePeriod => "media-update-period",
            Self::Unknown => "media-unknown",
            Self::Negative => "media-negative",
            Self::DirectiveRefused => "media-directive-refused",
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            mode: Mode::Silent,
            vod_segment: day * 14,
            vod_manifest: day,
            live_segment: Duration::from_secs(3600),
            live_manifest_max: Duration::from_secs(10),
            negative: SECOND,
            stale_segment: day,
            stale_vod_manifest: day,
        }
    }
}

/// For how long an answer holds; none if nothing here is for it, and the general rules are: what
/// is no part of a stream, redirects, refusals, and what is not there of a stream on demand.
pub fn lifetime(asked: &Asked<'_>, rules: &Rules) -> Option<Lifetime> {
    if asked.kind == Kind::Other {
        return None;
    }
    let ours = match asked.status {
        200 | 206 => Some(success(asked, rules)),
        404 | 410 | 500..=599 | 400 => failure(asked, rules),
        _ => None,
    }?;
    let is_error = matches!(ours.why, Why::Negative | Why::DirectiveRefused);
    let (total, why) = match (asked.origin, rules.mode) {
        // What is not there now may be in a moment, whatever the origin's defaults say.
        (Some(origin), _) if is_error && origin < ours.total => (origin, Why::Origin),
        _ if is_error => (ours.total, ours.why),
        (Some(origin), Mode::Silent) => (origin, Why::Origin),
        (Some(origin), Mode::Shorter) if origin < ours.total => (origin, Why::Origin),
        _ => (ours.total, ours.why),
    };
    Some(Lifetime { total, why, left: total.saturating_sub(asked.age), ..ours })
}

fn success(asked: &Asked<'_>, rules: &Rules) -> Lifetime {
    let live = asked.facts.filter(|facts| facts.is_live);
    let known = asked.facts.is_some_and(|facts| facts.kind != MULTIVARIANT);
    match asked.kind {
        Kind::Init | Kind::Segment(_) | Kind::Key | Kind::Other => {
            let (total, why) = match (live, known) {
                (Some(_), _) => (rules.live_segment.min(rules.vod_segment), Why::LiveSegment),
                (None, true) => (rules.vod_segment, Why::Vod),
                // A stream that nothing is known of may be live.
                (None, false) => (rules.live_segment.min(rules.vod_segment), Why::Unknown),
            };
            of(total, rules.stale_segment, why)
        }
        Kind::Hls(_) | Kind::Dash(_) => match (live, known) {
            (Some(facts), _) => live_manifest(asked, facts, rules),
            (None, true) => of(rules.vod_manifest, rules.stale_vod_manifest, Why::Vod),
            (None, false) => {
                let total = UNKNOWN.min(rules.live_manifest_max);
                of(total, total, Why::Unknown)
            }
        },
    }
}

fn live_manifest(asked: &Asked<'_>, facts: &Facts, rules: &Rules) -> Lifetime {
    let target = if facts.segment.is_zero() { UNKNOWN } else { facts.segment };
    let most = rules.live_manifest_max;
    let stale = target.min(most);
    match asked.kind {
        Kind::Dash(DashForm::Static | DashForm::Dynamic | DashForm::Unknown) => {
            match facts.minimum_update {
                Some(period) => of((period / 2).min(most), stale, Why::UpdatePeriod),
                None => of((target / 2).min(most), stale, Why::LiveManifest),
            }
        }
        Kind::Hls(HlsForm::Multivariant) => of((target / 2).min(most), stale, Why::LiveManifest),
        _ => {
            let half = (target / 2).min(most);
            let blocks = asked.directives.is_some_and(Directives::may_block);
            if blocks && facts.can_block_reload {
                // rfc8216bis B.1 allows six; it is superseded long before.
                return of((target * 6).min(most * 6), stale, Why::Blocking);
            }
            match facts.part {
                // Who polls a list of parts cannot see them without a new list each.
                Some(part) if !facts.can_block_reload => {
                    of(part.min(half).min(SECOND), stale, Why::LowLatency)
                }
                Some(_) => of(half.min(SECOND), stale, Why::LowLatency),
                None => of(half, stale, Why::LiveManifest),
            }
        }
    }
}

fn failure(asked: &Asked<'_>, rules: &Rules) -> Option<Lifetime> {
    let of_directives = asked.directives.is_some() && matches!(asked.status, 400 | 500..=599);
    if of_directives {
        return Some(of(Duration::ZERO, Duration::ZERO, Why::DirectiveRefused));
    }
    let on_demand = asked.facts.is_some_and(|facts| !facts.is_live && facts.kind != MULTIVARIANT);
    if on_demand || asked.status == 400 {
        return None;
    }
    let until = asked.until_published.unwrap_or(SECOND);
    let total = rules.negative.min(SECOND).min(until);
    Some(of(total, Duration::ZERO, Why::Negative))
}

const fn of(total: Duration, stale_if_error: Duration, why: Why) -> Lifetime {
    Lifetime { total, left: total, stale_if_error, why }
}

const MULTIVARIANT: Kind = Kind::Hls(HlsForm::Multivariant);
const SECOND: Duration = Duration::from_secs(1);
/// Of a manifest of which nothing is known, and a target duration that is not.
const UNKNOWN: Duration = Duration::from_secs(2);
