//! What is worth keeping of a manifest with the object it came in: a few words, however long the
//! manifest was.

use std::time::Duration;

use crate::dash::{Form, Mpd};
use crate::hls::{Media, Playlist};
use crate::kind::{DashForm, HlsForm, Kind};

/// What lifetimes, held requests and the view of a stream need to know of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the manifest is, now that it has been read
    pub kind: Kind,
    /// Whether there will be more of it; false for a multivariant playlist, which does not say
    pub is_live: bool,
    /// Target duration (RFC 8216 4.3.3.1), or the longest segment of an MPD; zero: unknown
    pub segment: Duration,
    /// Part target (rfc8216bis 4.4.3.7)
    pub part: Option<Duration>,
    /// `@minimumUpdatePeriod`
    pub minimum_update: Option<Duration>,
    /// An MPD that says nothing new when its live edge moves: that goes by the clock
    pub is_timed: bool,
    /// CAN-BLOCK-RELOAD
    pub can_block_reload: bool,
    /// CAN-SKIP-UNTIL
    pub can_skip_until: Option<Duration>,
    /// It is a delta update: it must never answer for a whole one.
    pub is_delta: bool,
    /// Where it ends, of a media playlist
    pub edge: Option<Edge>,
    /// Parts of the last whole segment, as far as they are listed
    pub last_parts: u32,
    /// EXT-X-DISCONTINUITY-SEQUENCE
    pub discontinuity_sequence: u64,
    /// How much a viewer can go back: all that is listed, or `@timeShiftBufferDepth`
    pub window: Option<Duration>,
}

/// The end of a media playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Number of the segment that comes after the last whole one
    pub next_msn: u64,
    /// Parts of that one that are there
    pub parts: u32,
}

impl Facts {
    /// Of a playlist.
    pub fn of_hls(playlist: &Playlist<'_>) -> Self {
        match playlist {
            Playlist::Multivariant(_) => Self::of(Kind::Hls(HlsForm::Multivariant), false),
            Playlist::Media(media) => Self::of_media(media),
        }
    }

    /// Of a media playlist.
    pub fn of_media(media: &Media<'_>) -> Self {
        let parts = media.open_parts.end.saturating_sub(media.open_parts.start);
        let last = media.segments.last();
        Self {
            segment: media.target,
            part: media.part_target,
            can_block_reload: media.control.can_block_reload,
            can_skip_until: media.control.can_skip_until,
            is_delta: media.skipped.is_some(),
            edge: Some(Edge { next_msn: media.msn(media.segments.len()), parts }),
            last_parts: last.map_or(0, |last| last.parts.end.saturating_sub(last.parts.start)),
            discontinuity_sequence: media.discontinuity_sequence,
            window: Some(media.window()),
            ..Self::of(Kind::Hls(HlsForm::Media), media.is_live())
        }
    }

    /// Of an MPD.
    pub fn of_mpd(mpd: &Mpd) -> Self {
        let form = if mpd.is_dynamic { DashForm::Dynamic } else { DashForm::Static };
        let sets = mpd.periods.iter().flat_map(|period| &period.sets);
        let mut ways = sets.flat_map(|set| &set.representations).map(|one| &one.addressing);
        let is_timed = ways.any(|way| way.form == Form::Template && way.timeline.is_none());
        Self {
            segment: mpd.segment().unwrap_or_default(),
            minimum_update: mpd.minimum_update,
            is_timed: mpd.is_dynamic && is_timed,
            window: if mpd.is_dynamic { mpd.time_shift_depth } else { mpd.duration },
            ..Self::of(Kind::Dash(form), mpd.is_dynamic)
        }
    }

    /// Whether this is from before `other`, both of one playlist: it goes back in time, as an
    /// encoder does that began anew, or an origin that serves old and new in turn.
    pub fn goes_back_from(&self, other: &Self) -> bool {
        match (self.edge, other.edge) {
            (Some(this), Some(that)) => this < that,
            _ => false,
        }
    }

    const fn of(kind: Kind, is_live: bool) -> Self {
        Self {
            kind,
            is_live,
            segment: Duration::ZERO,
            part: None,
            minimum_update: None,
            is_timed: false,
            can_block_reload: false,
            can_skip_until: None,
            is_delta: false,
            edge: None,
            last_parts: 0,
            discontinuity_sequence: 0,
            window: None,
        }
    }
}
