//! What an answer to a client tells of its stream: who watches, what was stored, what comes next.
//! A hit looks at what is kept with its head, and counts.

use super::ahead;
use super::lifetimes::content_type;
use super::read;
use super::rules::Rules;
use super::stream::Stream;
use super::streams::Address;
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{Served, What};
use http::{HeaderMap, Method};
use selvedge_media::Kind;
use selvedge_store::{Head, Keep};
use selvedge_telemetry::CacheResult;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The place of an object in its stream, kept with its head.
#[derive(Debug)]
struct Place {
    stream: Arc<Stream>,
    kind: Kind,
    /// When it is looked at again what comes after it.
    look_ms: AtomicU64,
}

/// For how long that is not looked at again.
const LOOK_MS: u64 = 10_000;

/// Counts an answer, if it is of a stream, and fetches what comes next.
pub(crate) fn note(core: &Rc<Core>, ask: &Rc<Ask>, served: &Served) {
    let Some(media) = &ask.site.media else { return };
    if ask.method != Method::GET {
        return;
    }
    let is_hit = matches!(served.trail.cache, CacheResult::Hit | CacheResult::Stale);
    let Some(head) = served.shared_head() else {
        return note_passed(core, ask, media, served);
    };
    let mut is_new = false;
    let make = || {
        is_new = true;
        place_of(core, ask, media, head, served)
    };
    let Some(Some(place)) = head.memo.kept(Keep::Stream, make) else { return };
    let Place { stream, kind, look_ms } = place;
    if is_new && kind.is_manifest() {
        recall(core, ask, stream, *kind, served);
    }
    let now_ms = core.node.clock.now_mono_ms();
    let is_error = head.status.is_client_error() || head.status.is_server_error();
    count(core, ask, stream, *kind, Outcome { is_hit, is_error }, now_ms);
    if is_error || !ahead::is_object(*kind) {
        return;
    }
    let is_due = now_ms >= look_ms.load(Relaxed);
    if ask.carries.range || ask.media.cmcd.is_some() || is_due {
        look_ms.store(now_ms + LOOK_MS, Relaxed);
        look(core, ask, stream, now_ms);
    }
}

/// A manifest that is stored and was never read by this process is read now.
fn recall(core: &Rc<Core>, ask: &Rc<Ask>, stream: &Stream, kind: Kind, served: &Served) {
    if let What::Object(object) = &served.what
        && stream.manifest(ask.plain_path_and_query()).is_none()
    {
        read::recall(core, ask, kind, object);
    }
}

struct Outcome {
    is_hit: bool,
    is_error: bool,
}

/// What was fetched ahead and comes of use is counted, and what comes next is fetched.
fn look(core: &Rc<Core>, ask: &Rc<Ask>, stream: &Arc<Stream>, now_ms: u64) {
    let name = ahead::name_of(core, &ask.path_and_query, ahead::range_start(ask));
    if stream.redeem(name) {
        ask.site.counters.here().media_prefetch_used.inc();
        stream.figures.here().prefetch_used.inc();
    }
    ahead::after_object(core, ask, stream, now_ms);
}

/// An answer that is kept nowhere: its type and name say what it is.
fn note_passed(core: &Rc<Core>, ask: &Rc<Ask>, media: &Rules, served: &Served) {
    let What::Passed(passing) = &served.what else { return };
    let (status, headers) = (passing.0.status(), passing.0.headers());
    let known = media.know(content_type(headers), ask.path(), &[]);
    // Whoever asks for what is not there makes no stream of it.
    let stream = core.node.streams.find(Address::of(ask));
    if let Some(stream) = stream.filter(|_| known.kind != Kind::Other) {
        let is_error = status.is_client_error() || status.is_server_error();
        let now_ms = core.node.clock.now_mono_ms();
        count(core, ask, &stream, known.kind, Outcome { is_hit: false, is_error }, now_ms);
    }
}

fn place_of(core: &Core, ask: &Ask, media: &Rules, head: &Head, served: &Served) -> Option<Place> {
    let line = |name| head.headers.first(name).and_then(|value| str::from_utf8(value).ok());
    let first = match &served.what {
        What::Object(object) if line("content-encoding").is_none() => object.body.all().next(),
        _ => None,
    };
    let first = first.unwrap_or_default();
    let known = media.know(line("content-type").unwrap_or_default(), ask.path(), &first);
    if known.kind == Kind::Other {
        return None;
    }
    let now_ms = core.node.clock.now_mono_ms();
    let streams = &core.node.streams;
    let stream = match streams.find(Address::of(ask)) {
        Some(stream) => stream,
        None if known.is_certain && head.status.is_success() => {
            streams.of(Address::of(ask), now_ms)
        }
        None => return None,
    };
    Some(Place { stream, kind: known.kind, look_ms: AtomicU64::new(0) })
}

fn count(core: &Core, ask: &Ask, stream: &Arc<Stream>, kind: Kind, outcome: Outcome, now_ms: u64) {
    if stream.is_gone.load(Relaxed) {
        core.node.streams.revive(stream);
    }
    let cmcd = ask.media.cmcd.as_deref();
    let session = cmcd.and_then(|cmcd| cmcd.session.as_deref());
    let viewer = match session {
        Some(session) => core.node.streams.hash(session),
        None => core.node.streams.hash(ask.arrival.client),
    };
    stream.seen(viewer, now_ms);
    let (figures, counters) = (stream.figures.here(), ask.site.counters.here());
    figures.requests.inc();
    counters.media_requests.inc();
    let is_segment = matches!(kind, Kind::Segment(_));
    if is_segment {
        figures.segments.inc();
    }
    if outcome.is_error {
        figures.errors.inc();
    }
    if outcome.is_hit {
        figures.hits.inc();
        counters.media_hits.inc();
        if is_segment {
            figures.segment_hits.inc();
        }
    }
    let Some(cmcd) = cmcd else { return };
    figures.reports.inc();
    if cmcd.starved {
        figures.stalls.inc();
        counters.media_stalls.inc();
    }
    if let Some(buffer) = cmcd.buffer {
        figures.buffers.inc();
        figures.buffers_ms.add(u64::try_from(buffer.as_millis()).unwrap_or(u64::MAX));
    }
}

/// Fields of CMCD, which are for this node and nobody else.
pub(crate) fn strip_cmcd(headers: &mut HeaderMap) {
    for name in selvedge_media::cmcd::HEADER_NAMES {
        headers.remove(name);
    }
}
