//! What players will ask for next is fetched before they do: what the manifest lists after what
//! they asked for, what it hints at, and what they say themselves (CMCD `nor`). The node that they
//! ask does so, by the way on which it would ask for them: so the parent or the peer that owns the
//! object has it too, and no other. Never what is not there yet, and nothing when nobody watches.

use super::rules::Rules;
use super::stream::{At, Manifest, Stream};
use super::words::Words;
use crate::fetch;
use crate::ledger::Ledger;
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{self, What};
use http::header;
use selvedge_media::{Ahead, AheadFrom, Base, ByteRange, Kind, Scope, UnixMs, resolve};
use selvedge_net::RequestBody;
use selvedge_policy::{Reuse, cdn_loop, reuse};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What is fetched ahead at a time, on the whole node.
const RUNNING_MAX: usize = 256;
/// The same for one site: one that is slow leaves the others theirs.
const RUNNING_SITE_MAX: usize = 64;
/// What will be published later than this is left to the next request.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// After it is published: clocks differ a little.
const PUBLISHED: Duration = Duration::from_millis(50);

/// A player asked for an object: fetches what comes after it.
pub(super) fn after_object(core: &Rc<Core>, ask: &Rc<Ask>, stream: &Arc<Stream>, now_ms: u64) {
    let Some(media) = rules_of(ask) else { return };
    let range_start = range_start(ask);
    let mut next = match stream.track_of(&ask.path_and_query) {
        Some((manifest, track)) => {
            let at = At { path: &ask.path_and_query, range_start };
            manifest.next(track, at, media.depth, now_ms)
        }
        None => Vec::new(),
    };
    if let Some(said) = said(ask).filter(|said| next.iter().all(|it| it.path != said.path)) {
        next.insert(0, said);
        next.truncate(media.depth);
    }
    fetch_all(core, ask, stream, next);
}

/// A manifest says something new: fetches what those who watch will ask for next.
pub(super) fn after_manifest(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stream: &Arc<Stream>,
    manifest: &Manifest,
    is_first: bool,
) {
    let Some(media) = rules_of(ask) else { return };
    let now_ms = core.node.clock.now_mono_ms();
    let span = (manifest.facts.segment * 3).max(Duration::from_secs(10));
    let since_ms = now_ms.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let mut next = manifest.watched(since_ms, media.depth);
    if next.is_empty() && is_first {
        next = manifest.start(UnixMs(core.node.clock.now_wall_ms()), media.depth);
    }
    fetch_all(core, ask, stream, next);
}

/// The rules by which more is fetched after this. Nothing is for another node, which knows who owns
/// what comes next and asks that one; and nothing for what was fetched ahead itself: manifests that
/// name manifests would have no end.
fn rules_of(ask: &Ask) -> Option<&Arc<Rules>> {
    let is_for_node = ask.carries.cdn_loop && cdn_loop::came_from_ours(&ask.headers);
    let rules = ask.site.media.as_ref().filter(|media| media.depth > 0);
    rules.filter(|_| !is_for_node && !ask.media.is_ahead)
}

/// What the player says that it will ask for next.
fn said(ask: &Ask) -> Option<Ahead> {
    let cmcd = ask.media.cmcd.as_ref()?;
    let base = Base { scheme: ask.arrival.scheme.as_str(), authority: &ask.host, path: ask.path() };
    let scope = Scope { scheme: base.scheme, authority: base.authority, path_prefix: "/" };
    let path = match &cmcd.next_object {
        Some(next) => {
            let url = resolve(&base, next).ok()?;
            scope.check(&url).ok()?;
            // As it will be in the key: players say it as they will send it.
            let (_, query) = Words::ahead(&ask.site, &url.path, url.query.as_deref());
            match query {
                Some(query) => format!("{}?{query}", url.path),
                None => url.path,
            }
        }
        None => cmcd.next_range.map(|_| ask.path_and_query.clone())?,
    };
    Some(Ahead { path, range: cmcd.next_range, from: AheadFrom::Listed, available_at: None })
}

fn fetch_all(core: &Rc<Core>, ask: &Rc<Ask>, stream: &Arc<Stream>, all: Vec<Ahead>) {
    let Some(rules) = &ask.site.media else { return };
    let skipped = &ask.site.counters.here().media_prefetch_skipped;
    for ahead in all {
        let is_guess = ahead.from == AheadFrom::Predicted && ahead.available_at.is_none();
        let name = name_of(core, &ahead.path, ahead.range.map(|it| it.start));
        if is_guess || !stream.claim(name) {
            continue;
        }
        let Some(running) = Running::enter(core, rules) else {
            stream.release(name);
            skipped.inc("busy");
            return;
        };
        let (task_core, ask, stream) = (Rc::clone(core), Rc::clone(ask), Arc::clone(stream));
        core.tasks.spawn_background(async move {
            if let Err(word) = fetch_one(&task_core, &ask, &stream, ahead, name).await {
                ask.site.counters.here().media_prefetch_skipped.inc(word);
                match word {
                    TOO_EARLY | UNWATCHED | BUDGET => stream.release(name),
                    _ => stream.set_fetched(name, false),
                }
            }
            drop(running);
        });
    }
}

/// Reasons why an object is not fetched now, and may be later.
const TOO_EARLY: &str = "too-early";
const UNWATCHED: &str = "unwatched";
const BUDGET: &str = "budget";

/// How an object is named in the list of those that were fetched ahead.
pub(super) fn name_of(core: &Core, path: &str, range_start: Option<u64>) -> u64 {
    core.node.streams.hash((path, range_start))
}

/// Where the range begins that a request is for.
pub(super) fn range_start(ask: &Ask) -> Option<u64> {
    if !ask.carries.range {
        return None;
    }
    let range = ask.headers.get(header::RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes=")?.split_once('-')?.0.parse().ok()
}

/// Fetches one object. The word says why it was not.
async fn fetch_one(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stream: &Arc<Stream>,
    ahead: Ahead,
    name: u64,
) -> Result<(), &'static str> {
    let Some(media) = &ask.site.media else { return Ok(()) };
    let clock = &core.node.clock;
    if let Some(UnixMs(at)) = ahead.available_at {
        let wait = u64::try_from(at.saturating_sub(clock.now_wall_ms())).unwrap_or(0);
        let wait = Duration::from_millis(wait);
        if wait > WAIT_MAX {
            return Err(TOO_EARLY);
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait + PUBLISHED).await;
        }
    }
    if !stream.is_watched(clock.now_mono_ms()) {
        return Err(UNWATCHED);
    }
    if !media.budget.has_some(clock.now_mono_ms()) {
        return Err(BUDGET);
    }
    let seed = &core.node.seed;
    let Ok(ask) = ask.ahead(seed, &ahead.path, ahead.range.and_then(field)) else {
        return Err("address");
    };
    if is_there(core, &ask) {
        return Err("stored");
    }
    ask.site.counters.here().media_prefetches.inc();
    stream.figures.here().prefetches.inc();
    stream.set_fetched(name, true);
    let mut ledger = Ledger::of_prefetch(core, &ask, clock.now_mono_us());
    let (body, now) = (RequestBody::empty(), core.node.now());
    let answer = request::answer(core, &ask, body, now, &mut ledger);
    let mut served = Box::pin(answer).await.map_err(|_| "failed")?;
    if let What::Object(object) = &served.what
        && object.body.sliced().is_some()
    {
        let complete = fetch::complete(core, &ask, served, &mut ledger);
        served = Box::pin(complete).await.map_err(|_| "failed")?;
    }
    let status = served.shared_head().map(|head| head.status.as_u16());
    // As they come: others begin meanwhile, and know what is left.
    let came = |bytes| {
        ask.site.counters.here().media_prefetched.add(bytes);
        media.budget.take(bytes, clock.now_mono_ms());
    };
    match served.what {
        What::Passed(_) => return Err("not-kept"),
        _ if status.is_some_and(|status| status >= 300) => return Err("not-there"),
        What::Fill(mut reader, _) => {
            while let Some(Ok(chunk)) = reader.chunk().await {
                came(chunk.len() as u64);
            }
        }
        What::Sliced(mut reader) | What::Part(mut reader, _) => {
            while let Some(Ok(chunk)) = std::future::poll_fn(|cx| reader.poll_next(cx)).await {
                came(chunk.len() as u64);
            }
        }
        What::Object(object) => came(object.body.len()),
        What::Page(_) | What::Own(_) | What::Switch(_) => {}
    }
    Ok(())
}

fn field(range: ByteRange) -> Option<http::HeaderValue> {
    http::HeaderValue::try_from(range.field()?).ok()
}

/// Whether it is stored and fresh.
fn is_there(core: &Core, ask: &Ask) -> bool {
    let Some(entry) = core.node.store.lookup(ask.key, &ask.full_key) else { return false };
    let rules = &ask.site.rules;
    let object = entry.select(&ask.headers, rules);
    object.is_some_and(|object| {
        let is_whole = object.body.sliced().is_none();
        is_whole
            && matches!(
                reuse(&object.meta, &ask.directives, rules, core.node.now()),
                Reuse::Fresh | Reuse::Stale
            )
    })
}

/// Whether what an answer says of itself is a segment or what belongs to it.
pub(super) fn is_object(kind: Kind) -> bool {
    matches!(kind, Kind::Segment(_) | Kind::Init | Kind::Key)
}

/// One of those that may be fetched ahead now.
struct Running {
    core: Rc<Core>,
    rules: Arc<Rules>,
}

impl Running {
    fn enter(core: &Rc<Core>, rules: &Arc<Rules>) -> Option<Self> {
        let running = core.node.streams.begin();
        let of_site = rules.running.fetch_add(1, Relaxed);
        let entered = Self { core: Rc::clone(core), rules: Arc::clone(rules) };
        (running < RUNNING_MAX && of_site < RUNNING_SITE_MAX).then_some(entered)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.rules.running.fetch_sub(1, Relaxed);
        self.core.node.streams.end();
    }
}
