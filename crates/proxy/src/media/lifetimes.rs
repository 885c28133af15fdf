//! For how long an answer holds, where it is of a stream: the rules of the site with what is known
//! of it put in. `policy` judges by them as by any others.

use super::rules::Known;
use super::stream::is_multivariant;
use super::streams::Address;
use crate::node::Core;
use crate::normalize::Ask;
use http::{HeaderMap, StatusCode, header};
use selvedge_media::{Answer, Asked, Directives, Facts, Kind, Lifetime, Mode, Why, lifetime};
use selvedge_policy::{Now, SiteRules};
use selvedge_store::Object;
use std::borrow::Cow;
use std::time::Duration;

/// What a target duration counts as where no playlist has been read yet.
const TARGET_UNKNOWN: Duration = Duration::from_secs(6);
/// Beside three target durations, for the way there and back.
const SLACK: Duration = Duration::from_secs(5);

/// An answer that is to be judged.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// Of its body, as far as they are at hand.
    pub(crate) first_bytes: &'a [u8],
    /// What it says, if it is a manifest that was read just now.
    pub(crate) facts: Option<Facts>,
}

/// The rules that an answer is to be judged by.
pub(crate) fn rules_for<'a>(core: &Core, ask: &'a Ask, seen: &Seen<'_>) -> Cow<'a, SiteRules> {
    let &Seen { status, headers, first_bytes, facts } = seen;
    let site = &ask.site.rules;
    let Some(media) = &ask.site.media else { return Cow::Borrowed(site) };
    let is_coded = headers.contains_key(header::CONTENT_ENCODING);
    let first_bytes = if is_coded { &[] } else { first_bytes };
    let known = media.know(content_type(headers), ask.path(), first_bytes);
    if known.kind == Kind::Other {
        return Cow::Borrowed(site);
    }
    if let Some(ttl) = known.ttl.filter(|_| status.is_success()) {
        return Cow::Owned(fixed(site, ttl));
    }
    match holds(core, ask, known, status, facts) {
        Holds::Unknown => Cow::Borrowed(site),
        Holds::Never => Cow::Owned(error(site, of_waiters(ask))),
        Holds::For(life, _) if life.why == Why::DirectiveRefused => {
            Cow::Owned(error(site, of_waiters(ask)))
        }
        Holds::For(life, _) if life.why == Why::Negative => Cow::Owned(error(site, life.total)),
        Holds::For(life, is_live) => {
            let mut rules = success(site, life, media.lifetimes.mode, is_live);
            let is_for_all = matches!(known.kind, Kind::Segment(_) | Kind::Init);
            if !is_for_all && media.lifetimes.mode != Mode::Ours {
                // Who gave a cookie for a manifest or a key may have got what others may not.
                rules.cookie_heuristic = site.cookie_heuristic;
            }
            Cow::Owned(rules)
        }
    }
}

/// Whether an answer is for those alone who wait for it now: they were held upstream as one
/// request, and each of them would be held again by itself.
pub(crate) fn is_for_waiters(core: &Core, ask: &Ask, seen: &Seen<'_>) -> bool {
    let waits = ask.media.directives.as_ref().is_some_and(Directives::may_block);
    let Some(media) = ask.site.media.as_ref().filter(|_| waits) else { return false };
    let known = media.know(content_type(seen.headers), ask.path(), &[]);
    known.kind != Kind::Other
        && match holds(core, ask, known, seen.status, seen.facts) {
            Holds::Never => true,
            Holds::For(life, _) => life.why == Why::DirectiveRefused,
            Holds::Unknown => false,
        }
}

/// How long such an answer may take to come to all who waited.
fn of_waiters(ask: &Ask) -> Duration {
    let waits = ask.media.directives.as_ref().is_some_and(Directives::may_block);
    if waits { Duration::from_secs(1) } else { Duration::ZERO }
}

enum Holds {
    /// That is for the general rules.
    Unknown,
    Never,
    /// For so long; and whether it is a manifest that will be outdated.
    For(Lifetime, bool),
}

fn holds(core: &Core, ask: &Ask, known: Known, status: StatusCode, read: Option<Facts>) -> Holds {
    let Some(media) = &ask.site.media else { return Holds::Unknown };
    let at = Address::of(ask);
    let stream = core.node.streams.find(at);
    let directives = ask.media.directives.as_ref();
    if let (Some(directives), Some(facts)) = (directives, &read)
        && directives.answered_by(facts) != Answer::Yes
    {
        return Holds::Never;
    }
    if read.is_some_and(|facts| facts.is_delta && directives.is_none()) {
        return Holds::Never;
    }
    let kept = || {
        let stream = stream.as_ref().filter(|_| known.kind.is_manifest())?;
        Some(stream.manifest(ask.plain_path_and_query())?.facts)
    };
    let own = read.or_else(kept);
    let facts = match &own {
        Some(facts) if is_multivariant(facts) => stream.as_ref().and_then(|it| it.facts()),
        Some(facts) => Some(*facts),
        None if known.kind.is_manifest() => None,
        None => stream.as_ref().and_then(|stream| stream.facts_of(&ask.path_and_query)),
    };
    if facts.is_none() && !known.is_certain {
        return Holds::Unknown;
    }
    let until_published = stream.and_then(|stream| {
        let (manifest, track) = stream.track_of(&ask.path_and_query)?;
        let at = manifest.tracks.get(track)?.available_at(&ask.path_and_query)?;
        let now = core.node.clock.now_wall_ms();
        Some(Duration::from_millis(u64::try_from(at.0.saturating_sub(now)).unwrap_or(0)))
    });
    let kind = own.map_or(known.kind, |facts| facts.kind);
    let asked = Asked {
        kind,
        status: status.as_u16(),
        facts: facts.as_ref(),
        directives,
        // What the origin says, and how old it is, is for `policy` to weigh.
        origin: None,
        age: Duration::ZERO,
        until_published,
    };
    match lifetime(&asked, &media.lifetimes) {
        None => Holds::Unknown,
        Some(life) => Holds::For(life, kind.is_manifest() && life.why != Why::Vod),
    }
}

/// Rules for what holds for so long whatever its origin says.
fn fixed(site: &SiteRules, ttl: Duration) -> SiteRules {
    SiteRules {
        ttl_default: Some(ttl),
        ttl_min: ttl,
        ttl_max: ttl,
        overrides_no_cache: true,
        ..known(site)
    }
}

/// Rules for an error that must not outlive the moment.
fn error(site: &SiteRules, total: Duration) -> SiteRules {
    SiteRules {
        ttl_default: Some(total),
        ttl_error: Some(total),
        ttl_failure: Some(total),
        ttl_min: site.ttl_min.min(total),
        ttl_max: site.ttl_max.min(total),
        stale_max: Some(Duration::ZERO),
        ..known(site)
    }
}

fn success(site: &SiteRules, life: Lifetime, mode: Mode, is_live_manifest: bool) -> SiteRules {
    let total = life.total;
    let mut rules = SiteRules { ttl_default: Some(total), ..known(site) };
    match mode {
        Mode::Silent => {}
        Mode::Shorter => rules.ttl_max = site.ttl_max.min(total),
        Mode::Ours => {
            rules.ttl_max = site.ttl_max.min(total);
            rules.ttl_min = rules.ttl_max;
            rules.overrides_no_cache = true;
        }
    }
    if is_live_manifest {
        // Beyond that players stand still all the same.
        rules.stale_if_error = life.stale_if_error;
        rules.stale_max = Some(life.stale_if_error);
    } else {
        rules.stale_if_error = site.stale_if_error.max(life.stale_if_error);
    }
    rules
}

/// What holds for all that is known of a stream: nothing has to be guessed, and that one answer
/// was not for sharing says nothing about the next.
fn known(site: &SiteRules) -> SiteRules {
    SiteRules {
        heuristic: false,
        cookie_heuristic: true,
        hit_for_miss: Duration::ZERO,
        ..site.clone()
    }
}

/// For how long the next hop may take to answer, if that is longer than others may: it holds the
/// request until there is what it asks for.
pub(crate) fn hold(core: &Core, ask: &Ask) -> Option<Duration> {
    let media = ask.site.media.as_ref()?;
    if let Some(directives) = &ask.media.directives {
        let facts = core.node.streams.find(Address::of(ask)).and_then(|stream| stream.facts());
        return directives.hold_max(facts.as_ref(), TARGET_UNKNOWN, SLACK);
    }
    let known = media.know("", ask.path(), &[]);
    if !matches!(known.kind, Kind::Segment(_) | Kind::Init) {
        return None;
    }
    // A part that was announced is waited for as a playlist is.
    let facts = core.node.streams.find(Address::of(ask))?.facts()?;
    facts.part?;
    held(&facts)
}

fn held(facts: &Facts) -> Option<Duration> {
    let waits = Directives { msn: Some(0), part: None, skip: None };
    waits.hold_max(Some(facts), TARGET_UNKNOWN, SLACK)
}

/// Whether a stored error is outdated: a manifest that came after it names what was not there.
pub(crate) fn is_outdated(core: &Core, ask: &Ask, object: &Object, now: Now) -> bool {
    if !matches!(object.status, StatusCode::NOT_FOUND | StatusCode::GONE)
        || ask.site.media.is_none()
    {
        return false;
    }
    let Some(stream) = core.node.streams.find(Address::of(ask)) else { return false };
    let Some((manifest, track)) = stream.track_of(&ask.path_and_query) else { return false };
    // A template names all numbers at all times: there the lifetime ends with the publication.
    let is_listed =
        manifest.tracks.get(track).is_some_and(|it| it.available_at(&ask.path_and_query).is_none());
    let received_ms = now.mono_ms.saturating_sub(object.meta.age_ms(now));
    is_listed && manifest.changed_ms >= received_ms
}

/// The value of Content-Type; empty: none.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
