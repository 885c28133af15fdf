//! The life of a fill, in a task of its own: ask, judge, show the head to all who wait, stream,
//! store. It ends when the body does, whatever its clients do.
//!
//! ```text
//! exchange -> judge -+- storable ---------> head to all -> stream -> stored
//!                    +- a part of it, or long -> the object to all, the body to its slices
//!                    +- 304 --------------> the stored object, renewed, to all
//!                    +- not for sharing --> all waiters released, the answer to the first
//!                    +- failed -----------> the same failure to all
//! ```

use crate::exchange::{Sent, exchange};
use crate::flow::Flow;
use crate::ledger::Fetched;
use crate::media;
use crate::node::Core;
use crate::normalize::Ask;
use crate::outgoing::Purpose;
use crate::request::{Served, Trail, What};
use crate::rescue::{self, Failure};
use crate::revision::BEHIND;
use crate::slices::{self, Came, Cold};
use crate::upstream::{InFlight, Tier};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use selvedge_net::{OutgoingBody, Reply, UpstreamBody};
use selvedge_policy::part::{self, Part, Wanted};
use selvedge_policy::validate::{self, Freshened, Stored};
use selvedge_policy::{Exchange, NoStore, SiteRules, Storable, Verdict, judge};
use selvedge_store::{BodyId, FillError, FillWriter, Finished, Head, Object, PushError};
use selvedge_telemetry::CacheResult;
use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What a fill turned out to be, for the request that began it.
pub(crate) enum Led {
    /// It may be shared and is on its way.
    Head(Arc<Head>),
    /// A part of it has come, and it may be shared; maybe the answer is this very part.
    Part(Arc<Object>, Option<Came>),
    /// The stored response holds.
    Renewed(Arc<Object>),
    /// It is not for sharing: this is the answer itself.
    Mine(Box<Mine>),
    /// There is none.
    Failed(Failure),
}

/// An answer that is not for sharing.
pub(crate) struct Mine {
    pub(crate) reply: Reply,
    pub(crate) in_flight: InFlight,
    pub(crate) why: &'static str,
}

/// What is known when a fill begins.
pub(crate) struct Leading {
    /// Is stored and needs validation.
    pub(crate) stale: Option<Arc<Object>>,
    /// The part to ask for first, of what is to be had whole.
    pub(crate) rest: Option<Wanted>,
}

/// Begins the life of a fill. `leader` learns what it turned out to be, and what it cost to ask.
pub(crate) fn spawn(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    leading: Leading,
    writer: FillWriter,
    leader: oneshot::Sender<(Led, Option<Fetched>)>,
) {
    ask.site.counters.here().fills.inc();
    let (task_core, ask) = (Rc::clone(core), Rc::clone(ask));
    core.tasks.spawn(async move { fill(&task_core, &ask, leading, writer, leader).await });
}

/// The life of a fill.
async fn fill(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    leading: Leading,
    writer: FillWriter,
    leader: oneshot::Sender<(Led, Option<Fetched>)>,
) {
    let Leading { stale, rest } = leading;
    let tell = |led, fetched| drop(leader.send((led, fetched)));
    let cold = Cold::of(ask).filter(|_| is_worth_a_part(stale.as_ref()));
    let answered = exchange_for_fill(core, ask, stale.as_ref(), cold, rest).await;
    let sent = match understood(core, ask, answered).await {
        Ok(Answered::Fresh(sent)) => *sent,
        Ok(Answered::Holds(freshened, object, fetched)) => {
            let renewed = renew(core, ask, &object, *freshened, writer);
            return tell(Led::Renewed(renewed), Some(fetched));
        }
        Err((failure, fetched)) => {
            fail(ask, writer, &failure);
            return tell(Led::Failed(failure), fetched);
        }
    };
    let (fetched, status) = (Some(sent.fetched.clone()), sent.reply.response.status());
    if rescue::is_stale_if_error_status(status) && stands_in(core, ask, stale.as_ref()) {
        let failure = Failure::ServerError(status);
        fail(ask, writer, &failure);
        return tell(Led::Failed(failure), fetched);
    }
    let not_kept = not_kept(ask, &sent);
    let keep = not_kept.is_none();
    if let (Some(cold), StatusCode::PARTIAL_CONTENT) = (cold, status) {
        return fill_part(core, ask, cold, stale, sent, writer, tell).await;
    }
    let Judged { verdict, for_waiters, hit_for_miss } = judge_sent(core, ask, &sent);
    let length = sent.reply.response.body().size_hint().exact();
    match verdict {
        Verdict::Store(storable) if keep && slices::is_apart(core, &storable, length) => {
            let complete = length.unwrap_or_default();
            let part = Part { storable, first: 0, end: complete, complete };
            let tell = |object, fetched| tell(Led::Part(object, None), fetched);
            fill_slices(core, ask, part, stale, sent, writer, tell).await;
        }
        Verdict::Store(storable) if keep && is_storable_length(core, &sent) => {
            let (writer, body) = begin_body(writer, storable, sent);
            let writer = if for_waiters { writer.forsaken() } else { writer };
            tell(Led::Head(Arc::clone(&body.head)), fetched);
            pump(ask, writer, body).await;
        }
        verdict => {
            let (why, remember) = match (verdict, not_kept) {
                // A range beyond the end says nothing about the object.
                (Verdict::Pass(why @ NoStore::Partial), _) if cold.is_some() => {
                    (why.word(), Duration::ZERO)
                }
                (Verdict::Pass(why), _) => (why.word(), remember_for(why, hit_for_miss)),
                (Verdict::Store(_), Some(why)) => (why, Duration::ZERO),
                (Verdict::Store(_), None) => (TOO_LARGE, hit_for_miss),
            };
            writer.pass(remember, core.node.now());
            // What the origin no longer says to everybody is not said to anybody from here.
            if let Some(object) = stale.filter(|_| !rescue::is_stale_if_error_status(status)) {
                core.node.store.remove(ask.key, &ask.full_key, &object);
            }
            let mine = Mine { reply: sent.reply, in_flight: sent.in_flight, why };
            tell(Led::Mine(Box::new(mine)), fetched);
        }
    }
}

/// The life of a fill that was asked for a part and got one. The whole in one part is stored as a
/// whole; else an object is made of which all but this part is missing.
async fn fill_part(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    cold: Cold,
    stale: Option<Arc<Object>>,
    sent: Sent,
    writer: FillWriter,
    tell: impl FnOnce(Led, Option<Fetched>),
) {
    let fetched = Some(sent.fetched.clone());
    let body_bytes = sent.reply.response.body().size_hint().exact();
    let rules = rules_of(core, ask, &sent);
    let judged = part::judge_part(&seen(ask, &sent), body_bytes, &rules);
    let hit_for_miss = rules.hit_for_miss;
    drop(rules);
    let not_kept = not_kept(ask, &sent);
    let (why, remember) = match judged {
        Ok(part) if not_kept.is_none() && cold.is_answered_by(&part) => {
            if slices::is_whole(&part) && part.complete <= core.node.store.object_bytes_max() {
                let (writer, body) = begin_body(writer, part.storable, sent);
                tell(Led::Head(Arc::clone(&body.head)), fetched);
                return pump(ask, writer, body).await;
            }
            let came = Came::of(ask, cold, &part, sent.reply.response.headers());
            let tell = |object, fetched| tell(Led::Part(object, came), fetched);
            return fill_slices(core, ask, part, stale, sent, writer, tell).await;
        }
        Ok(_) => (not_kept.unwrap_or(slices::MISMATCH), Duration::ZERO),
        Err(why @ NoStore::Partial) => (why.word(), Duration::ZERO),
        Err(why) => (why.word(), remember_for(why, hit_for_miss)),
    };
    writer.pass(remember, core.node.now());
    let mine = Mine { reply: sent.reply, in_flight: sent.in_flight, why };
    tell(Led::Mine(Box::new(mine)), fetched);
}

/// The life of a fill whose body is stored slice by slice: the object is there with its head.
async fn fill_slices(
    core: &Core,
    ask: &Ask,
    part: Part,
    stale: Option<Arc<Object>>,
    sent: Sent,
    writer: FillWriter,
    tell: impl FnOnce(Arc<Object>, Option<Fetched>),
) {
    let Part { storable, first, end, complete } = part;
    let continued = stale.filter(|old| {
        let is_same = part::same_version(&old.headers, storable.headers());
        is_same && old.body.len() == complete
    });
    let known = continued.and_then(|old| old.body.sliced());
    let id = known.unwrap_or_else(BodyId::fresh);
    let mut flow = Flow::begin(core, id, first..end);
    let object = writer.sliced(storable, complete, id);
    flow.open(ask, &object.head);
    tell(object, Some(sent.fetched));
    flow.run(core, ask, sent.reply.response.into_body(), first).await;
    drop(sent.in_flight);
}

/// Whether a part may take the place of what is stored: not of a whole that can be validated.
fn is_worth_a_part(stale: Option<&Arc<Object>>) -> bool {
    stale.is_none_or(|old| old.body.sliced().is_some() || !old.meta.has_validator())
}

/// For how long one reader of a fill that is not kept may make the others wait.
const LAG: Duration = Duration::from_secs(5);

/// The word for an answer that is larger than anything the store takes.
pub(crate) const TOO_LARGE: &str = "too-large";
/// The word for an answer that belongs to a peer, by the configuration.
pub(crate) const NOT_KEPT: &str = "peer-keeps-it";

/// Why this node may not keep what that hop answered, in a word.
pub(crate) fn not_kept(ask: &Ask, sent: &Sent) -> Option<&'static str> {
    if sent.is_behind {
        return Some(BEHIND);
    }
    (sent.hop.tier == Tier::Peer && !ask.plan.upstream.peer_copy).then_some(NOT_KEPT)
}

/// What came back to a fill.
enum Answered {
    Fresh(Box<Sent>),
    Holds(Box<Freshened>, Arc<Object>, Fetched),
}

/// The same, with what it says read if it is a manifest.
async fn understood(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    answered: Result<Answered, (Failure, Option<Fetched>)>,
) -> Result<Answered, (Failure, Option<Fetched>)> {
    let mut sent = match answered? {
        Answered::Fresh(sent) => sent,
        holds @ Answered::Holds(..) => return Ok(holds),
    };
    match media::read(core, ask, &mut sent).await {
        Ok(()) => Ok(Answered::Fresh(sent)),
        Err(failure) => Err((failure, Some(sent.fetched))),
    }
}

/// Asks for the whole response or, with a stale one that has a validator, whether that holds; asks
/// again without conditions when the 304 turns out to be about something else.
async fn exchange_for_fill(
    core: &Core,
    ask: &Ask,
    stale: Option<&Arc<Object>>,
    cold: Option<Cold>,
    rest: Option<Wanted>,
) -> Result<Answered, (Failure, Option<Fetched>)> {
    if let Some(rest) = rest.map(Wanted::value) {
        let sent = exchange(core, ask, Purpose::Part(&rest), OutgoingBody::empty()).await?;
        if sent.reply.response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(Answered::Fresh(Box::new(sent)));
        }
    }
    let range = cold.map(|cold| cold.asked.value());
    let validated = stale.filter(|object| object.meta.has_validator());
    if let Some(object) = validated {
        ask.site.counters.here().revalidations.inc();
        let purpose = Purpose::Validate(&object.headers, range.as_ref());
        let sent = exchange(core, ask, purpose, OutgoingBody::empty()).await?;
        if sent.reply.response.status() != StatusCode::NOT_MODIFIED {
            return Ok(Answered::Fresh(Box::new(sent)));
        }
        let rules = rules_for(core, ask, object);
        let freshened = validate::update_on_304(&stored(object), &seen(ask, &sent), &rules);
        if !matches!(freshened, Freshened::Refetch) {
            ask.site.counters.here().revalidations_confirmed.inc();
            return Ok(Answered::Holds(Box::new(freshened), Arc::clone(object), sent.fetched));
        }
    }
    let purpose = range.as_ref().map_or(Purpose::Fill, Purpose::Part);
    let sent = exchange(core, ask, purpose, OutgoingBody::empty()).await?;
    Ok(Answered::Fresh(Box::new(sent)))
}

/// The stored response holds: keeps it with its new fields, or serves it once more.
fn renew(
    core: &Core,
    ask: &Ask,
    object: &Arc<Object>,
    freshened: Freshened,
    writer: FillWriter,
) -> Arc<Object> {
    match freshened {
        Freshened::Updated(storable) => writer.refreshed(object, storable),
        Freshened::LastUse(headers, why) => {
            let hit_for_miss = rules_for(core, ask, object).hit_for_miss;
            writer.pass(remember_for(why, hit_for_miss), core.node.now());
            core.node.store.remove(ask.key, &ask.full_key, object);
            Arc::new(object.with_fields(&headers))
        }
        Freshened::Refetch => Arc::clone(object),
    }
}

/// A body that is about to be stored while it streams.
pub(crate) struct Incoming {
    pub(crate) head: Arc<Head>,
    body: UpstreamBody,
    in_flight: InFlight,
}

pub(crate) fn begin_body(
    mut writer: FillWriter,
    storable: Storable,
    sent: Sent,
) -> (FillWriter, Incoming) {
    let body = sent.reply.response.into_body();
    let head = writer.head(storable, body.size_hint().exact());
    (writer, Incoming { head, body, in_flight: sent.in_flight })
}

pub(crate) fn spawn_pump(core: &Rc<Core>, ask: &Rc<Ask>, writer: FillWriter, incoming: Incoming) {
    let ask = Rc::clone(ask);
    core.tasks.spawn(async move { pump(&ask, writer, incoming).await });
}

/// Moves the body from the next hop into the fill, to its end or its failure.
async fn pump(ask: &Ask, mut writer: FillWriter, incoming: Incoming) {
    let Incoming { mut body, in_flight, .. } = incoming;
    let mut trailers: Option<HeaderMap> = None;
    loop {
        let frame = tokio::select! {
            biased;
            frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)) => frame,
            () = writer.abandoned() => return,
        };
        match frame {
            None => break,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    ask.site.counters.here().upstream_received.add(bytes.len() as u64);
                    if let Err(error) = push(&mut writer, bytes).await {
                        ask.site.counters.here().fills_failed.inc(error.word());
                        return;
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Some(Err(error)) => {
                ask.site.counters.here().upstream_truncated.inc();
                return fail(ask, writer, &Failure::Broken(error));
            }
        }
    }
    drop(in_flight);
    match writer.finish(trailers) {
        Ok(Finished::Stored(_)) => ask.site.counters.here().fills_stored.inc(),
        Ok(_) => {}
        Err(error) => ask.site.counters.here().fills_failed.inc(error.word()),
    }
}

/// Shows bytes to the readers of a fill. One that stands still is not waited for while others
/// wait: it loses its answer.
pub(crate) async fn push(writer: &mut FillWriter, bytes: Bytes) -> Result<(), PushError> {
    let mut pushed = tokio::time::timeout(LAG, writer.push(bytes)).await;
    loop {
        match pushed {
            Ok(result) => return result,
            Err(_) => writer.cut_laggards(),
        };
        pushed = tokio::time::timeout(LAG, writer.pushed()).await;
    }
}

fn fail(ask: &Ask, writer: FillWriter, failure: &Failure) {
    ask.site.counters.here().fills_failed.inc(rescue::answer(failure).word);
    writer.fail(FillError::Source(Arc::new(failure.clone())));
}

impl Mine {
    /// Whether the request, which wants a part, is better sent as it came: this is a whole that
    /// only its size kept out of the store, or another part.
    pub(crate) fn is_beside_the_point(&self, ask: &Ask) -> bool {
        let is_part = self.reply.response.status() == StatusCode::PARTIAL_CONTENT;
        let is_another = || Cold::of(ask).is_some_and(|cold| cold.asked != cold.wanted);
        self.why == TOO_LARGE || (is_part && is_another())
    }

    pub(crate) fn served(self: Box<Self>, ask: &Ask, trail: Trail) -> Served {
        let Self { reply, in_flight, why } = *self;
        let word = trail.detail.unwrap_or(why);
        ask.site.counters.here().passed.inc(word);
        let status = reply.response.status();
        let cache = match trail.cache {
            CacheResult::Miss => CacheResult::Pass,
            other => other,
        };
        let trail = Trail { cache, detail: Some(word), fwd_status: Some(status.as_u16()), ..trail };
        Served { what: What::Passed(Box::new((reply.response, in_flight))), trail }
    }
}

pub(crate) fn seen<'a>(ask: &'a Ask, sent: &'a Sent) -> Exchange<'a> {
    Exchange {
        method: &ask.method,
        target: None,
        req_headers: &ask.headers,
        status: sent.reply.response.status(),
        resp_headers: sent.reply.response.headers(),
        requested_at: sent.requested_at,
        received_at: sent.received_at,
    }
}

pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// It is for those alone who wait for it now.
    pub(crate) for_waiters: bool,
    /// For how long requests do not wait for each other if it is not for sharing.
    pub(crate) hit_for_miss: Duration,
}

pub(crate) fn judge_sent(core: &Core, ask: &Ask, sent: &Sent) -> Judged {
    let target = ask.target();
    let x = Exchange { target: Some(&target), ..seen(ask, sent) };
    let rules = rules_of(core, ask, sent);
    let for_waiters = media::is_for_waiters(core, ask, &as_seen(sent));
    Judged { verdict: judge(&x, &rules), for_waiters, hit_for_miss: rules.hit_for_miss }
}

/// The rules for an answer that has come.
fn rules_of<'a>(core: &Core, ask: &'a Ask, sent: &Sent) -> Cow<'a, SiteRules> {
    media::rules_for(core, ask, &as_seen(sent))
}

fn as_seen(sent: &Sent) -> media::Seen<'_> {
    let response = &sent.reply.response;
    let first_bytes = response.body().ahead().next().map_or(&[][..], |bytes| bytes);
    let (status, headers) = (response.status(), response.headers());
    media::Seen { status, headers, first_bytes, facts: sent.facts }
}

/// The rules for a stored response that is asked about.
pub(crate) fn rules_for<'a>(core: &Core, ask: &'a Ask, object: &Object) -> Cow<'a, SiteRules> {
    if ask.site.media.is_none() {
        return Cow::Borrowed(&ask.site.rules);
    }
    let first_bytes = object.body.all().next().unwrap_or_default();
    let (status, headers) = (object.status, &object.headers);
    let seen = media::Seen { status, headers, first_bytes: &first_bytes, facts: None };
    media::rules_for(core, ask, &seen)
}

pub(crate) fn stored(object: &Object) -> Stored<'_> {
    Stored {
        status: object.status,
        headers: &object.headers,
        selecting: &object.selecting,
        body_length: Some(object.body.len()),
    }
}

/// Whether the body is not known to be larger than anything the store takes.
pub(crate) fn is_storable_length(core: &Core, sent: &Sent) -> bool {
    let length = sent.reply.response.body().size_hint().exact();
    length.is_none_or(|bytes| bytes <= core.node.store.object_bytes_max())
}

/// For how long requests for this key go on without waiting for each other. What depends on one
/// request says nothing about the next.
fn remember_for(why: NoStore, hit_for_miss: Duration) -> Duration {
    match why {
        NoStore::Method | NoStore::RequestNoStore | NoStore::Authorization => Duration::ZERO,
        _ => hit_for_miss,
    }
}

pub(crate) fn stands_in(core: &Core, ask: &Ask, stale: Option<&Arc<Object>>) -> bool {
    let now = core.node.now();
    stale.is_some_and(|object| object.meta.usable_on_error(&ask.directives, &ask.site.rules, now))
}
