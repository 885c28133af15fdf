//! Page two of the life of a request: what happens when the store alone cannot answer.
//!
//! ```text
//! obtain -+- begin a fill (`fill.rs`) -+- its head: read along while it streams
//!         +- join the fill that runs --+- the stored object, renewed
//!                                      +- not for sharing: go alone, and side by side
//!                                      +- failed: something stale, or the failure
//! pass ---- exchange -> the answer goes by; unsafe methods make stored responses invalid
//! ```

use crate::deliver;
use crate::exchange::{self, Sent, exchange};
use crate::fill::{self, Judged, Led, Mine};
use crate::ledger::{Fetched, Ledger};
use crate::media;
use crate::node::Core;
use crate::normalize::Ask;
use crate::outgoing::{Counted, Purpose};
use crate::request::{Served, Trail, What};
use crate::rescue::{self, Failure};
use crate::slice_reader::SliceReader;
use crate::slices::{self, Presence};
use crate::upstream::Hop;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use selvedge_net::{OutgoingBody, RequestBody};
use selvedge_policy::validate::{self, HeadEffect};
use selvedge_policy::{Fwd, NoStore, Verdict, invalidate};
use selvedge_store::{Begin, FillError, FillOutcome, FillReader, FillWriter, Head, Object, Wanted};
use selvedge_telemetry::{CacheResult, StaleReason};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How often a request joins a fill that turns out not to be for it before it goes alone.
const JOINS_MAX: usize = 2;

/// What is stored for a request and does not answer it.
#[derive(Default)]
pub(crate) struct Known {
    /// It needs validation.
    pub(crate) stale: Option<Arc<Object>>,
    /// It lacks parts that nothing could be combined with.
    pub(crate) unfit: Option<Arc<Object>>,
}

/// Finds an answer for a request that the store cannot answer by itself: joins the fill that is for
/// it or begins one.
pub(crate) async fn obtain(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    Known { stale, unfit }: Known,
    trail: Trail,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    if let Some(object) = stale.as_ref().filter(|object| all_hops_down(core, ask, object)) {
        refresh_behind(core, ask, object);
        let reason = StaleReason::UpstreamFailed;
        return Ok(stand_in(ask, object, reason, Trail::stale(reason)));
    }
    if ask.method == Method::HEAD {
        return Box::pin(head(core, ask, stale, trail, ledger)).await;
    }
    if ask.arrival.behind.is_some() {
        // What runs here may have begun before a purge that whoever asks knows of.
        return Box::pin(alone(core, ask, stale, trail, trail, ledger)).await;
    }
    let mut by_itself = Trail { cache: CacheResult::HitForMiss, ..trail };
    for _ in 0..JOINS_MAX {
        let (headers, rules) = (&ask.headers, &ask.site.rules);
        let seen = stale.as_ref().or(unfit.as_ref());
        let wanted = Wanted::Request { headers, rules, seen };
        let now = core.node.now();
        let outcome = match core.node.store.begin(ask.key, &ask.full_key, wanted, now) {
            Begin::Stored(object) => FillOutcome::Object(object),
            Begin::Full => {
                by_itself = Trail { cache: CacheResult::Pass, detail: Some(FILLS_FULL), ..trail };
                break;
            }
            Begin::Lead(writer, reader) => {
                let rest = unfit.as_ref().and_then(|part| slices::rest_of(core, ask, part));
                let leading = fill::Leading { stale: stale.clone(), rest };
                match Box::pin(lead(core, ask, leading, writer, ledger)).await {
                    // The part that was asked for is worth another request, the whole is not.
                    Led::Mine(mine) if ask.carries.range && mine.is_beside_the_point(ask) => {
                        by_itself = Trail { cache: CacheResult::Pass, ..trail };
                        break;
                    }
                    led => return answer_of(core, ask, stale, reader, led, trail),
                }
            }
            Begin::Join(reader) => {
                ask.site.counters.here().collapsed.inc();
                let outcome = reader.head().await;
                ledger.waited();
                if let FillOutcome::Head(head) = &outcome
                    && may_share(core, ask, head)
                {
                    let what = What::Fill(reader, Arc::clone(head));
                    return Ok(Served { what, trail: Trail { collapsed: true, ..trail } });
                }
                outcome
            }
        };
        match outcome {
            FillOutcome::Object(object) if may_share(core, ask, &object.head) => {
                return Ok(Served::stored(object, Trail { collapsed: true, ..trail }));
            }
            FillOutcome::Failed(error) => {
                return or_stale(core, ask, stale, rescue::of_fill(&error), trail);
            }
            FillOutcome::Pass => break,
            FillOutcome::Head(head) if !head.meta.is_shareable(core.node.now()) => break,
            FillOutcome::Object(object) if !object.meta.is_shareable(core.node.now()) => break,
            FillOutcome::Head(_) | FillOutcome::Object(_) => {}
        }
    }
    Box::pin(alone(core, ask, stale, by_itself, trail, ledger)).await
}

/// Asks for one request alone, past what is stored or on its way here. `trail` is for what is stale
/// and stands in when that fails.
async fn alone(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    by_itself: Trail,
    trail: Trail,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    match pass(core, ask, RequestBody::empty(), by_itself, ledger).await {
        Err(failure) => or_stale(core, ask, stale, failure, trail),
        served => served,
    }
}

/// The answer for the request that began a fill.
fn answer_of(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    reader: FillReader,
    led: Led,
    trail: Trail,
) -> Result<Served, Failure> {
    match led {
        Led::Head(head) => {
            let what = What::Fill(reader, head);
            Ok(Served { what, trail: Trail { stored: true, ..trail } })
        }
        Led::Part(object, came) => {
            let trail = Trail { stored: true, ..trail };
            let came = came.and_then(|came| came.what(core, ask, &object));
            Ok(came.map_or_else(|| Served::stored(object, trail), |what| Served { what, trail }))
        }
        Led::Renewed(object) => Ok(renewed(object, trail)),
        Led::Mine(mine) => Ok(mine.served(ask, trail)),
        Led::Failed(failure) => or_stale(core, ask, stale, failure, trail),
    }
}

/// How often an object of which parts are missing is given up for a newer one.
const COMPLETIONS_MAX: usize = 2;

/// Sees to it that the first bytes of an answer from an object that is stored in part will come,
/// before the client is promised any. The rest is fetched while it reads.
pub(crate) async fn complete(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    mut served: Served,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    for _ in 0..COMPLETIONS_MAX {
        let What::Object(object) = &served.what else { return Ok(served) };
        let object = Arc::clone(object);
        let bytes = deliver::bytes_of(ask, &object);
        let Some(mut reader) = SliceReader::new(core, ask, &object, bytes.clone()) else {
            return Ok(served);
        };
        let presence = slices::presence(core, &object, bytes);
        let may_combine = object.can_be_completed();
        if presence == Presence::All || (presence == Presence::Begun && may_combine) {
            let trail = partly(served.trail, presence);
            return Ok(Served { what: What::Sliced(Box::new(reader)), trail });
        }
        let trail = partly(served.trail, presence);
        if may_combine {
            let ready = reader.ready().await;
            ledger.waited();
            match ready {
                Ok(()) => return Ok(Served { what: What::Sliced(Box::new(reader)), trail }),
                Err(Failure::Changed) => {}
                Err(Failure::Fill(slices::FULL)) => break,
                Err(failure) => return Err(failure),
            }
        }
        let known = Known { stale: None, unfit: Some(object) };
        served = obtain(core, ask, known, Trail { stored: false, ..trail }, ledger).await?;
    }
    let trail = partly(served.trail, Presence::Nothing);
    let trail = Trail { cache: CacheResult::Pass, stored: false, ..trail };
    pass(core, ask, RequestBody::empty(), trail, ledger).await
}

/// How an answer is found of which a part is missing.
fn partly(trail: Trail, presence: Presence) -> Trail {
    let is_from_store = matches!(trail.cache, CacheResult::Hit | CacheResult::Stale);
    if presence == Presence::All || !is_from_store {
        return trail;
    }
    let fwd = Some(Fwd::Partial);
    Trail { cache: CacheResult::Miss, fwd, stored: true, ..trail }
}

/// The word for a request that had to go alone because too many fills run.
const FILLS_FULL: &str = "fills-full";

/// Validates or fetches anew behind an answer that was given stale. One at a time for an object.
pub(crate) fn refresh_behind(core: &Rc<Core>, ask: &Rc<Ask>, stale: &Arc<Object>) {
    let now_ms = core.node.clock.now_mono_ms();
    if !exchange::any_hop(core, ask, |hop| hop.may_try(now_ms)) {
        return;
    }
    let (headers, rules) = (&ask.headers, &ask.site.rules);
    let wanted = Wanted::Request { headers, rules, seen: Some(stale) };
    let store = &core.node.store;
    if let Some(writer) = store.begin_refresh(ask.key, &ask.full_key, wanted, core.node.now()) {
        ask.site.counters.here().refreshes.inc();
        let (nobody, _) = oneshot::channel();
        let leading = fill::Leading { stale: Some(Arc::clone(stale)), rest: None };
        fill::spawn(core, ask, leading, writer, nobody);
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
    let (body, received) = Counted::count(body);
    ledger.receiving(received);
    let sent = exchange(core, ask, Purpose::Pass, body).await;
    ledger.waited();
    let sent = note(ledger, sent)?;
    if invalidate::invalidates(&ask.method, sent.reply.response.status()) {
        forget(core, ask, sent.reply.response.headers()).await;
    }
    let mut sent = sent;
    if ask.method == Method::GET {
        media::read(core, ask, &mut sent).await?;
    }
    let not_kept = fill::not_kept(ask, &sent);
    let Judged { verdict, for_waiters, .. } = fill::judge_sent(core, ask, &sent);
    let why = match verdict {
        Verdict::Store(_) if !may_store => REQUEST_BODY,
        Verdict::Store(_) if !fill::is_storable_length(core, &sent) => fill::TOO_LARGE,
        Verdict::Store(_) if for_waiters => FOR_WAITERS,
        Verdict::Store(_) if not_kept.is_some() => not_kept.unwrap_or_default(),
        Verdict::Store(storable) => {
            let now = core.node.now();
            if let Some((writer, reader)) = core.node.store.begin_alone(ask.key, &ask.full_key, now)
            {
                let (writer, body) = fill::begin_body(writer, storable, sent);
                let what = What::Fill(reader, Arc::clone(&body.head));
                fill::spawn_pump(core, ask, writer, body);
                return Ok(Served { what, trail: Trail { stored: true, ..trail } });
            }
            FILLS_FULL
        }
        Verdict::Pass(why) => why.word(),
    };
    Ok(Box::new(Mine { reply: sent.reply, in_flight: sent.in_flight, why }).served(ask, trail))
}

/// The word for a playlist that was waited for in vain.
const FOR_WAITERS: &str = "held-in-vain";

/// The word for an answer to a request whose body is in no key.
pub(crate) const REQUEST_BODY: &str = "request-body";

/// A HEAD goes on as it is; its answer may renew what is stored for GET (RFC 9111 4.3.5).
async fn head(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    stale: Option<Arc<Object>>,
    trail: Trail,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let revision = core.node.store.revision();
    let sent = exchange(core, ask, Purpose::Pass, OutgoingBody::empty()).await;
    ledger.waited();
    let sent = match note(ledger, sent) {
        Ok(sent) => sent,
        Err(failure) => return or_stale(core, ask, stale, failure, trail),
    };
    let status = sent.reply.response.status();
    if rescue::is_stale_if_error_status(status) && fill::stands_in(core, ask, stale.as_ref()) {
        return or_stale(core, ask, stale, Failure::ServerError(status), trail);
    }
    if let Some(object) = &stale {
        let effect = {
            let (x, rules) = (fill::seen(ask, &sent), fill::rules_for(core, ask, object));
            validate::update_on_head(&fill::stored(object), &x, &rules)
        };
        match effect {
            HeadEffect::Updated(storable) => {
                let store = &core.node.store;
                store.freshen(ask.key, &ask.full_key, object, storable, revision);
            }
            HeadEffect::Stale => {
                core.node.store.expire_one(ask.key, &ask.full_key, object);
            }
            HeadEffect::Nothing => {}
        }
    }
    let why = NoStore::Method.word();
    Ok(Box::new(Mine { reply: sent.reply, in_flight: sent.in_flight, why }).served(ask, trail))
}

async fn lead(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    leading: fill::Leading,
    writer: FillWriter,
    ledger: &mut Ledger,
) -> Led {
    let (sender, receiver) = oneshot::channel();
    fill::spawn(core, ask, leading, writer, sender);
    let told = receiver.await;
    ledger.waited();
    match told {
        Ok((led, fetched)) => {
            ledger.fetched = fetched;
            led
        }
        Err(_) => Led::Failed(Failure::Fill(FillError::Abandoned.word())),
    }
}

/// Drops what an unsafe request has made invalid (RFC 9111 4.4): its target, and what its answer
/// names on the same origin.
async fn forget(core: &Core, ask: &Ask, answer: &HeaderMap) {
    let store = &core.node.store;
    let mut dropped = u64::from(store.invalidate(ask.key).await);
    for other in invalidate::targets(&ask.target(), answer) {
        let key = ask.key_of(&core.node.seed, &other.path, other.query.as_deref());
        dropped += u64::from(store.invalidate(key).await);
    }
    ask.site.counters.here().invalidated.add(dropped);
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

fn stand_in(ask: &Ask, object: &Arc<Object>, reason: StaleReason, trail: Trail) -> Served {
    ask.site.counters.here().stale_served(reason);
    Served::stored(Arc::clone(object), trail)
}

/// A stale response in the place of a failure, where both allow it.
fn or_stale(
    core: &Core,
    ask: &Ask,
    stale: Option<Arc<Object>>,
    failure: Failure,
    trail: Trail,
) -> Result<Served, Failure> {
    let (reason, fwd_status) = match failure {
        Failure::ServerError(status) => (StaleReason::UpstreamError, Some(status.as_u16())),
        _ => (StaleReason::UpstreamFailed, None),
    };
    match stale {
        Some(object)
            if rescue::stale_may_stand_in(&failure)
                && fill::stands_in(core, ask, Some(&object)) =>
        {
            // It was forwarded, so it is no hit, though the answer is stored (RFC 9211 2.1).
            let trail = Trail { fwd: trail.fwd, fwd_status, ..Trail::stale(reason) };
            Ok(stand_in(ask, &object, reason, trail))
        }
        _ => Err(failure),
    }
}

/// Whether there is nobody to ask and the stale response may stand in: then no client waits for a
/// time limit to find out again.
fn all_hops_down(core: &Core, ask: &Ask, object: &Arc<Object>) -> bool {
    fill::stands_in(core, ask, Some(object)) && !exchange::any_hop(core, ask, Hop::is_up)
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
