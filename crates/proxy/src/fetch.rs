//! Page two of the life of a request: what happens when the store alone cannot answer.
//!
//! ```text
//! obtain -+- begin a fill -> task: exchange -> judge -+- storable -> head to all -> stream -> stored
//!         |                                           +- 304 ------> the stored object, renewed
//!         |                                           +- not for sharing -> release all waiters
//!         |                                           +- failed ----> the same failure to all
//!         +- join the fill that runs, wait for its head
//! pass ---- exchange -> the answer goes by; unsafe methods make stored responses invalid
//! ```
//! A fill runs in a task of its own: the client that caused it may leave, the others stay.

use crate::exchange::{self, Sent, exchange};
use crate::ledger::{Fetched, Ledger};
use crate::node::Core;
use crate::normalize::Ask;
use crate::outgoing::{Counted, Purpose};
use crate::request::{Served, Trail, What};
use crate::rescue::{self, Failure};
use crate::upstream::{InFlight, Tier};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use selvedge_net::{OutgoingBody, Reply, RequestBody, UpstreamBody};
use selvedge_policy::validate::{self, Freshened, HeadEffect, Stored};
use selvedge_policy::{Exchange, NoStore, Storable, Verdict, invalidate, judge};
use selvedge_store::{Begin, FillError, FillOutcome, FillWriter, Finished, Head, Object, Wanted};
use selvedge_telemetry::{CacheResult, StaleReason};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often a request joins a fill that turns out not to be for it before it goes alone.
const JOINS_MAX: usize = 2;

/// What a fill turned out to be, for the request that began it.
enum Led {
    /// It may be shared and is on its way.
    Head(Arc<Head>),
    /// The stored response holds.
    Renewed(Arc<Object>),
    /// It is not for sharing: this is the answer itself.
    Mine(Box<Mine>),
    /// There is none.
    Failed(Failure),
}

/// An answer that is not for sharing.
struct Mine {
    reply: Reply,
    in_flight: InFlight,
    why: NoStore,
}

/// The outcome for the request that began the fill, and what the exchange cost.
type LedBy = (Led, Option<Fetched>);

/// Finds an answer for a request that the store cannot answer by itself: joins the fill that is for
/// it or begins one. `stale` is what is stored and needs validation.
pub(crate) async fn obtain(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    trail: Trail,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    if let Some(object) = stale.as_ref().filter(|object| all_hops_down(core, ask, object)) {
        refresh_behind(core, ask, object);
        return Ok(stand_in(ask, object, StaleReason::UpstreamFailed));
    }
    if ask.method == Method::HEAD {
        return head(core, ask, stale, trail, ledger).await;
    }
    for _ in 0..JOINS_MAX {
        let wanted = Wanted::Request { headers: &ask.headers, rules: &ask.site.rules };
        let now = core.node.now();
        let outcome = match core.node.store.begin(ask.key, &ask.full_key, wanted, now) {
            Begin::Full => break,
            Begin::Lead(writer, reader) => {
                let led = lead(core, ask, stale.clone(), writer, ledger).await;
                ledger.waited();
                return match led {
                    Led::Head(head) => {
                        let what = What::Fill(reader, head);
                        Ok(Served { what, trail: Trail { stored: true, ..trail } })
                    }
                    Led::Renewed(object) => Ok(renewed(object, trail)),
                    Led::Mine(mine) => Ok(mine.served(ask, trail)),
                    Led::Failed(failure) => or_stale(core, ask, stale, failure),
                };
            }
            Begin::Join(reader) => {
                ask.site.counters.here().collapsed.inc();
                let outcome = reader.head().await;
                ledger.waited();
                match outcome {
                    FillOutcome::Head(head) if may_share(core, ask, &head) => {
                        let trail = Trail { collapsed: true, ..trail };
                        return Ok(Served { what: What::Fill(reader, head), trail });
                    }
                    other => other,
                }
            }
        };
        match outcome {
            FillOutcome::Object(object) if may_share(core, ask, &object.head) => {
                return Ok(Served::stored(object, Trail { collapsed: true, ..trail }));
            }
            FillOutcome::Failed(error) => {
                return or_stale(core, ask, stale, rescue::of_fill(&error));
            }
            FillOutcome::Pass => break,
            FillOutcome::Head(head) if !head.meta.is_shareable(core.node.now()) => break,
            FillOutcome::Object(object) if !object.meta.is_shareable(core.node.now()) => break,
            FillOutcome::Head(_) | FillOutcome::Object(_) => {}
        }
    }
    let trail = Trail { cache: CacheResult::HitForMiss, ..trail };
    pass(core, ask, RequestBody::empty(), trail, ledger).await
}

/// Validates or fetches anew behind an answer that was given stale. One at a time for an object.
pub(crate) fn refresh_behind(core: &Rc<Core>, ask: &Rc<Ask>, stale: &Arc<Object>) {
    let now_ms = core.node.clock.now_mono_ms();
    let hops = exchange::route(core, ask).hops;
    if !hops.iter().any(|hop| hop.is_up() || hop.admit(now_ms)) {
        return;
    }
    let wanted = Wanted::Request { headers: &ask.headers, rules: &ask.site.rules };
    let store = &core.node.store;
    if let Some(writer) = store.begin_refresh(ask.key, &ask.full_key, wanted, core.node.now()) {
        ask.site.counters.here().refreshes.inc();
        let (nobody, _) = oneshot::channel();
        spawn_fill(core, ask, Some(Arc::clone(stale)), writer, nobody);
    }
}

/// Passes a request on and its answer back, storing nothing unless the answer turns out to be for
/// sharing after all.
pub(crate) async fn pass(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    mut body: RequestBody,
    trail: Trail,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let bytes_max = ask.site.request_bytes_max;
    if body.length().is_some_and(|bytes| bytes > bytes_max) {
        return Err(Failure::BodyTooLarge);
    }
    body.set_bytes_max(bytes_max);
    let may_store = body.is_end_stream() || ask.method == Method::POST;
    let (body, received) = Counted::new(body);
    ledger.receiving(received);
    let sent = exchange(core, ask, Purpose::Pass, body).await;
    ledger.waited();
    let sent = note(ledger, sent)?;
    if invalidate::invalidates(&ask.method, sent.reply.response.status()) {
        forget(core, ask, sent.reply.response.headers());
    }
    let (verdict, sent) = judge_sent(ask, sent);
    let why = match verdict {
        Verdict::Store(storable) if may_store && is_storable_length(core, &sent) => {
            let now = core.node.now();
            if let Some((writer, reader)) = core.node.store.begin_alone(ask.key, &ask.full_key, now)
            {
                let (writer, body) = begin_body(writer, storable, sent);
                let what = What::Fill(reader, Arc::clone(&body.head));
                spawn_pump(core, ask, writer, body);
                return Ok(Served { what, trail: Trail { stored: true, ..trail } });
            }
            NoStore::Unusable
        }
        Verdict::Store(_) => NoStore::Unusable,
        Verdict::Pass(why) => why,
    };
    Ok(Box::new(Mine { reply: sent.reply, in_flight: sent.in_flight, why }).served(ask, trail))
}

/// A HEAD goes on as it is; its answer may renew what is stored for GET (RFC 9111 4.3.5).
async fn head(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    trail: Trail,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let sent = exchange(core, ask, Purpose::Pass, OutgoingBody::empty()).await;
    ledger.waited();
    let sent = match note(ledger, sent) {
        Ok(sent) => sent,
        Err(failure) => return or_stale(core, ask, stale, failure),
    };
    if let Some(object) = &stale {
        let effect = {
            let x = seen(ask, &sent);
            validate::update_on_head(&stored(object), &x, &ask.site.rules)
        };
        match effect {
            HeadEffect::Updated(storable) => {
                core.node.store.freshen(ask.key, &ask.full_key, object, storable);
            }
            HeadEffect::Stale => {
                core.node.store.expire_one(ask.key, &ask.full_key, object);
            }
            HeadEffect::Nothing => {}
        }
    }
    let why = NoStore::Method;
    Ok(Box::new(Mine { reply: sent.reply, in_flight: sent.in_flight, why }).served(ask, trail))
}

async fn lead(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    writer: FillWriter,
    ledger: &mut Ledger,
) -> Led {
    let (sender, receiver) = oneshot::channel();
    spawn_fill(core, ask, stale, writer, sender);
    match receiver.await {
        Ok((led, fetched)) => {
            ledger.fetched = fetched;
            led
        }
        Err(_) => Led::Failed(Failure::Fill(FillError::Abandoned.word())),
    }
}

fn spawn_fill(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    writer: FillWriter,
    leader: oneshot::Sender<LedBy>,
) {
    ask.site.counters.here().fills.inc();
    let (task_core, ask) = (Rc::clone(core), Rc::clone(ask));
    core.tasks.spawn(async move { fill(&task_core, &ask, stale, writer, leader).await });
}

/// The life of a fill.
async fn fill(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    writer: FillWriter,
    leader: oneshot::Sender<LedBy>,
) {
    let tell = |led, fetched| drop(leader.send((led, fetched)));
    let sent = match exchange_for_fill(core, ask, stale.as_ref()).await {
        Ok(Answered::Fresh(sent)) => *sent,
        Ok(Answered::Holds(freshened, object, fetched)) => {
            let renewed = renew(core, ask, &object, freshened, writer);
            return tell(Led::Renewed(renewed), Some(fetched));
        }
        Err((failure, fetched)) => {
            fail(ask, writer, &failure);
            return tell(Led::Failed(failure), fetched);
        }
    };
    let fetched = Some(sent.fetched.clone());
    let status = sent.reply.response.status();
    if rescue::is_stale_if_error_status(status) && stands_in(core, ask, stale.as_ref()) {
        let failure = Failure::ServerError(status);
        fail(ask, writer, &failure);
        return tell(Led::Failed(failure), fetched);
    }
    let keep = sent.hop.tier != Tier::Peer || ask.plan.upstream.peer_copy;
    let (verdict, sent) = judge_sent(ask, sent);
    match verdict {
        Verdict::Store(storable) if keep && is_storable_length(core, &sent) => {
            let (writer, body) = begin_body(writer, storable, sent);
            tell(Led::Head(Arc::clone(&body.head)), fetched);
            pump(ask, writer, body).await;
        }
        verdict => {
            let (why, remember) = match verdict {
                Verdict::Pass(why) => (why, remember_for(ask, why)),
                Verdict::Store(_) => (NoStore::Unusable, ask.site.rules.hit_for_miss),
            };
            writer.pass(remember, core.node.now());
            let mine = Mine { reply: sent.reply, in_flight: sent.in_flight, why };
            tell(Led::Mine(Box::new(mine)), fetched);
        }
    }
}

/// What came back to a fill.
enum Answered {
    Fresh(Box<Sent>),
    Holds(Freshened, Arc<Object>, Fetched),
}

/// Asks for the whole response or, with a stale one that has a validator, whether that holds; asks
/// again without conditions when the 304 turns out to be about something else.
async fn exchange_for_fill(
    core: &Core,
    ask: &Ask,
    stale: Option<&Arc<Object>>,
) -> Result<Answered, (Failure, Option<Fetched>)> {
    let validated = stale.filter(|object| object.meta.has_validator());
    if let Some(object) = validated {
        ask.site.counters.here().revalidations.inc();
        let purpose = Purpose::Validate(&object.headers);
        let sent = exchange(core, ask, purpose, OutgoingBody::empty()).await?;
        if sent.reply.response.status() != StatusCode::NOT_MODIFIED {
            return Ok(Answered::Fresh(Box::new(sent)));
        }
        let freshened =
            validate::update_on_304(&stored(object), &seen(ask, &sent), &ask.site.rules);
        if !matches!(freshened, Freshened::Refetch) {
            ask.site.counters.here().revalidations_confirmed.inc();
            return Ok(Answered::Holds(freshened, Arc::clone(object), sent.fetched));
        }
    }
    let sent = exchange(core, ask, Purpose::Fill, OutgoingBody::empty()).await?;
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
        Freshened::LastUse(_, why) => {
            writer.pass(remember_for(ask, why), core.node.now());
            core.node.store.remove(ask.key, &ask.full_key, object);
            Arc::clone(object)
        }
        Freshened::Refetch => Arc::clone(object),
    }
}

/// A body that is about to be stored while it streams.
struct Incoming {
    head: Arc<Head>,
    body: UpstreamBody,
    in_flight: InFlight,
}

fn begin_body(mut writer: FillWriter, storable: Storable, sent: Sent) -> (FillWriter, Incoming) {
    let body = sent.reply.response.into_body();
    let head = writer.head(storable, body.size_hint().exact());
    (writer, Incoming { head, body, in_flight: sent.in_flight })
}

fn spawn_pump(core: &Rc<Core>, ask: &Rc<Ask>, writer: FillWriter, incoming: Incoming) {
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
                    if let Err(error) = writer.push(bytes).await {
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

fn fail(ask: &Ask, writer: FillWriter, failure: &Failure) {
    ask.site.counters.here().fills_failed.inc(rescue::answer(failure).word);
    writer.fail(FillError::Source(Arc::new(failure.clone())));
}

/// Drops what an unsafe request has made invalid (RFC 9111 4.4): its target, and what its answer
/// names on the same origin.
fn forget(core: &Core, ask: &Ask, answer: &HeaderMap) {
    let store = &core.node.store;
    let mut dropped = u64::from(store.invalidate(ask.key));
    for other in invalidate::targets(&ask.target(), answer) {
        let key = ask.key_of(&core.node.seed, &other.path, other.query.as_deref());
        dropped += u64::from(store.invalidate(key));
    }
    ask.site.counters.here().invalidated.add(dropped);
}

impl Mine {
    fn served(self: Box<Self>, ask: &Ask, trail: Trail) -> Served {
        let Self { reply, in_flight, why } = *self;
        let word = trail.detail.unwrap_or(why.word());
        ask.site.counters.here().passed.inc(word);
        let status = reply.response.status();
        let cache = match trail.cache {
            CacheResult::Miss => CacheResult::Pass,
            other => other,
        };
        let trail = Trail { cache, detail: Some(word), fwd_status: Some(status.as_u16()), ..trail };
        Served { what: What::Passed(reply.response, in_flight), trail }
    }
}

/// Whether the answer to another client's request may answer this one: it is for the same selecting
/// fields (RFC 9111 4.1), and need not be validated for each request anew.
fn may_share(core: &Core, ask: &Ask, head: &Head) -> bool {
    head.matches(&ask.headers, &ask.site.rules) && head.meta.is_shareable(core.node.now())
}

fn renewed(object: Arc<Object>, trail: Trail) -> Served {
    let trail = Trail {
        cache: CacheResult::Revalidated,
        fwd_status: Some(StatusCode::NOT_MODIFIED.as_u16()),
        ..trail
    };
    Served::stored(object, trail)
}

fn stand_in(ask: &Ask, object: &Arc<Object>, reason: StaleReason) -> Served {
    ask.site.counters.here().stale_served(reason);
    Served::stored(Arc::clone(object), Trail::stale(reason))
}

/// A stale response in the place of a failure, where both allow it.
fn or_stale(
    core: &Core,
    ask: &Ask,
    stale: Option<Arc<Object>>,
    failure: Failure,
) -> Result<Served, Failure> {
    let reason = match failure {
        Failure::ServerError(_) => StaleReason::UpstreamError,
        _ => StaleReason::UpstreamFailed,
    };
    match stale {
        Some(object)
            if rescue::stale_may_stand_in(&failure) && stands_in(core, ask, Some(&object)) =>
        {
            Ok(stand_in(ask, &object, reason))
        }
        _ => Err(failure),
    }
}

fn stands_in(core: &Core, ask: &Ask, stale: Option<&Arc<Object>>) -> bool {
    let now = core.node.now();
    stale.is_some_and(|object| object.meta.usable_on_error(&ask.directives, &ask.site.rules, now))
}

/// Whether there is nobody to ask and the stale response may stand in: then no client waits for a
/// time limit to find out again.
fn all_hops_down(core: &Core, ask: &Ask, object: &Arc<Object>) -> bool {
    stands_in(core, ask, Some(object)) && {
        let hops = exchange::route(core, ask).hops;
        !hops.is_empty() && hops.iter().all(|hop| !hop.is_up())
    }
}

fn note(
    ledger: &mut Ledger,
    sent: Result<Sent, (Failure, Option<Fetched>)>,
) -> Result<Sent, Failure> {
    match sent {
        Ok(sent) => {
            ledger.fetched = Some(sent.fetched.clone());
            Ok(sent)
        }
        Err((failure, fetched)) => {
            ledger.fetched = fetched;
            Err(failure)
        }
    }
}

fn seen<'a>(ask: &'a Ask, sent: &'a Sent) -> Exchange<'a> {
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

fn judge_sent(ask: &Ask, sent: Sent) -> (Verdict, Sent) {
    let target = ask.target();
    let x = Exchange { target: Some(&target), ..seen(ask, &sent) };
    let verdict = judge(&x, &ask.site.rules);
    (verdict, sent)
}

fn stored(object: &Object) -> Stored<'_> {
    Stored {
        status: object.status,
        headers: &object.headers,
        selecting: &object.selecting,
        body_length: Some(object.body.len()),
    }
}

/// Whether the body is not known to be larger than anything the store takes.
fn is_storable_length(core: &Core, sent: &Sent) -> bool {
    let length = sent.reply.response.body().size_hint().exact();
    length.is_none_or(|bytes| bytes <= core.node.store.object_bytes_max())
}

/// For how long requests for this key go on without waiting for each other. What depends on one
/// request says nothing about the next.
fn remember_for(ask: &Ask, why: NoStore) -> Duration {
    match why {
        NoStore::Method | NoStore::RequestNoStore | NoStore::Authorization => Duration::ZERO,
        _ => ask.site.rules.hit_for_miss,
    }
}
