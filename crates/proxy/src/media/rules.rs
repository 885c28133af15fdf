//! What a site says of video.

use super::budget::Budget;
use super::rewrite::Rewriting;
use selvedge_config as config;
use selvedge_media::{HlsForm, Kind, Mode};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// What a site says of video.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Whether type, name and content count where no rule does.
    auto: bool,
    listed: Vec<config::MediaRule>,
    pub(super) lifetimes: selvedge_media::Rules,
    /// Segments that are fetched ahead.
    pub(super) depth: usize,
    pub(super) budget: Budget,
    /// Requests that next hops hold now, and the most of them: the rest of the connections are for
    /// what is there.
    pub(super) held: AtomicUsize,
    pub(super) held_max: usize,
    /// Objects that are fetched ahead now.
    pub(super) running: AtomicUsize,
    pub(super) rewriting: Option<Rewriting>,
}

/// What an object is, by all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) kind: Kind,
    /// It holds for so long: the configuration says so.
    pub(super) ttl: Option<Duration>,
    /// More than its name says what it is.
    pub(super) is_certain: bool,
}

impl Rules {
    /// `None` when the site wants none of it.
    pub(crate) fn new(site: &config::Site, connections_max: usize) -> Option<Self> {
        if site.media == config::Media::Off {
            return None;
        }
        Some(Self {
            auto: site.media == config::Media::Auto,
            listed: site.media_rules.clone(),
            lifetimes: selvedge_media::Rules {
                mode: match site.media_lifetimes {
                    config::MediaLifetimes::Silent => Mode::Silent,
                    config::MediaLifetimes::Shorter => Mode::Shorter,
                    config::MediaLifetimes::Ours => Mode::Ours,
                },
                vod_segment: site.media_ttl,
                live_segment: site.media_live_ttl,
                live_manifest_max: site.media_live_manifest_max,
                ..selvedge_media::Rules::default()
            },
            depth: site.media_prefetch,
            budget: Budget::new(site.media_prefetch_rate.bytes()),
            held: AtomicUsize::new(0),
            held_max: (connections_max / 2).max(1),
            running: AtomicUsize::new(0),
            rewriting: Rewriting::new(site),
        })
    }

    /// Whether it may be a playlist, by all that is known before it is there: one by its name, or
    /// of a name that says nothing.
    pub(super) fn may_be_playlist(&self, path: &str) -> bool {
        match self.know("", path, &[]).kind {
            Kind::Hls(_) => true,
            Kind::Other => self.auto && !path.rsplit('/').next().unwrap_or_default().contains('.'),
            _ => false,
        }
    }

    /// What an object is. `first_bytes` are those of its body without a coding, if they are known.
    pub(super) fn know(&self, content_type: &str, path: &str, first_bytes: &[u8]) -> Known {
        if let Some(rule) = self.listed.iter().find(|rule| rule.path.matches(path)) {
            let kind = listed_kind(rule.kind, content_type, path, first_bytes);
            return Known { kind, ttl: rule.ttl, is_certain: true };
        }
        if !self.auto {
            return Known { kind: Kind::Other, ttl: None, is_certain: true };
        }
        let kind = selvedge_media::kind(content_type, path, first_bytes);
        let nameless = || selvedge_media::kind(content_type, "", first_bytes) != Kind::Other;
        // Whole films have these types as well; with the name of a segment it is one.
        let is_film =
            |kind: &str| content_type.get(..6).is_some_and(|it| it.eq_ignore_ascii_case(kind));
        let is_certain = kind.is_manifest() || nameless() || is_film("video/") || is_film("audio/");
        Known { kind, ttl: None, is_certain }
    }
}

fn listed_kind(kind: config::MediaKind, content_type: &str, path: &str, bytes: &[u8]) -> Kind {
    let found = || selvedge_media::kind(content_type, path, bytes);
    match kind {
        config::MediaKind::Playlist => match found() {
            known @ Kind::Hls(_) => known,
            _ => Kind::Hls(HlsForm::Unknown),
        },
        config::MediaKind::Mpd => match found() {
            known @ Kind::Dash(_) => known,
            _ => Kind::Dash(selvedge_media::DashForm::Unknown),
        },
        config::MediaKind::Init => Kind::Init,
        config::MediaKind::Segment => match found() {
            known @ Kind::Segment(_) => known,
            _ => Kind::Segment(selvedge_media::Container::Cmaf),
        },
        config::MediaKind::Key => Kind::Key,
        config::MediaKind::Other => Kind::Other,
    }
}
