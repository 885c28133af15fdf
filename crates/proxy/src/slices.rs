//! Fetching parts of objects whose slices are stored one by one (RFC 9110 14.2, RFC 9111 3.3, 3.4).
//!
//! ```text
//! a reader meets a gap -> run: Range + If-Range -+- 206 of this version -> its slices, in order
//!                                                +- 200 of this version -> the same, behind it
//!                                                +- another version -----> the object is dropped
//!                                                +- failed --------------> the readers are told
//! ```
//!
//! A run is one request for a few missing slices that follow each other. Each of them is a fill
//! that others join. Nothing is kept that does not have the strong validator of the object.

use crate::exchange::{Sent, exchange};
use crate::flow::Flow;
use crate::node::Core;
use crate::normalize::Ask;
use crate::outgoing::Purpose;
use crate::request::What;
use crate::rescue::Failure;
use crate::slice_reader::SliceReader;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use selvedge_net::OutgoingBody;
use selvedge_policy::Storable;
use selvedge_policy::part::{self, Part, Place, Wanted};
use selvedge_store::{FillReader, Object, SLICE_BYTES, SliceBegin, SliceId};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Most slices that one request to the next hop fills.
pub(crate) const RUN_SLICES_MAX: u64 = 8;
/// Length of a slice, in bytes.
pub(crate) const SLICE: u64 = SLICE_BYTES as u64;
/// Most bytes of these.
pub(crate) const RUN_BYTES_MAX: u64 = RUN_SLICES_MAX * SLICE;

/// The word for a reader that met a gap when there was no room for another fetch.
pub(crate) const FULL: &str = "fills-full";
/// The word for a 206 that is not the part it was asked for.
pub(crate) const MISMATCH: &str = "part-mismatch";

/// The part of an object of which nothing is known yet that a request wants, and the one that the
/// next hop is asked for in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cold {
    pub(crate) wanted: Wanted,
    pub(crate) asked: Wanted,
}

impl Cold {
    /// What a request with one range leads to: the whole slices around it, not more than a run.
    /// What is counted from the end is asked for as it came.
    pub(crate) fn of(ask: &Ask) -> Option<Self> {
        if !ask.carries.range || ask.method != Method::GET {
            return None;
        }
        let mut lines = ask.headers.get_all(header::RANGE).iter();
        let wanted = part::single(lines.next()?)?;
        if lines.next().is_some() {
            return None;
        }
        let asked = match wanted {
            Wanted::From(first, last) => {
                let start = first - first % SLICE;
                let most = start + RUN_BYTES_MAX;
                let end = last.map_or(most, |last| (last - last % SLICE + SLICE).min(most));
                Wanted::From(start, Some(end - 1))
            }
            Wanted::Last(0) => return None,
            Wanted::Last(count) if count <= RUN_BYTES_MAX => wanted,
            // The first slice tells the length.
            Wanted::Last(_) => Wanted::From(0, Some(SLICE - 1)),
        };
        Some(Self { wanted, asked })
    }

    /// Whether a part is what was asked for, or at least what is wanted of it. Asked in the
    /// client's own words, any part is the answer.
    pub(crate) fn is_answered_by(self, part: &Part) -> bool {
        match self.asked {
            asked if asked == self.wanted => true,
            Wanted::From(first, _) if part.first == first => true,
            _ => self.wanted.begins_in(part.first, part.end, part.complete),
        }
    }
}

/// Whether the whole object is in this part.
pub(crate) fn is_whole(part: &Part) -> bool {
    part.first == 0 && part.end == part.complete
}

/// A part, as it came.
pub(crate) struct Came {
    bytes: Range<u64>,
    place: HeaderValue,
}

impl Came {
    /// The part that an answer brings, if the client is to get it as it came: it was asked for in
    /// the client's own words, so whatever it is, it is the answer to them.
    pub(crate) fn of(ask: &Ask, cold: Cold, part: &Part, resp_headers: &HeaderMap) -> Option<Self> {
        let is_conditional = ask.carries.conditions || ask.headers.contains_key(header::IF_RANGE);
        let is_as_asked = cold.asked == cold.wanted && !is_conditional;
        let place = resp_headers.get(header::CONTENT_RANGE).filter(|_| is_as_asked)?.clone();
        Some(Self { bytes: part.first..part.end, place })
    }

    /// The answer that it makes.
    pub(crate) fn what(self, core: &Rc<Core>, ask: &Rc<Ask>, object: &Arc<Object>) -> Option<What> {
        let reader = SliceReader::new(core, ask, object, self.bytes)?;
        Some(What::Part(Box::new(reader), self.place))
    }
}

/// What a request for the whole, or for the rest, asks for first of an object of which a little at
/// the beginning is stored and nothing can be combined with it. Who answers like that hardly does
/// ranges and sends the whole; a part that comes is not taken.
pub(crate) fn rest_of(core: &Core, ask: &Ask, object: &Object) -> Option<Wanted> {
    let first = SliceId { body: object.body.sliced()?, index: 0 };
    let piece = core.node.store.slice_in_memory(first)?;
    let is_little = piece.first() == 0 && piece.end() < SLICE.min(object.body.len());
    let rest = Wanted::From(piece.end(), None);
    // Another node may ask for just that.
    let is_wanted = !ask.carries.range || Cold::of(ask).is_some_and(|cold| cold.wanted == rest);
    (is_little && is_wanted).then_some(rest)
}

/// Whether a whole response is stored slice by slice as it comes: too long to be held in one piece,
/// and what a later request misses of it can be added.
pub(crate) fn is_apart(core: &Core, storable: &Storable, length: Option<u64>) -> bool {
    storable.status() == StatusCode::OK
        && length.is_some_and(|length| core.node.store.takes_apart(length))
        && part::strong_validator(storable.headers()).is_some()
}

/// What is at hand of the bytes that an answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// All of them, or they are on their way; of a long answer, as much as is worth a look.
    All,
    /// The first of them.
    Begun,
    /// Not even the first.
    Nothing,
}

/// Most slices that are looked for before an answer begins.
const LOOK_SLICES_MAX: usize = 64;

/// Looks what is at hand of these bytes of a body.
pub(crate) fn presence(core: &Core, object: &Object, bytes: Range<u64>) -> Presence {
    let Some(body) = object.body.sliced() else { return Presence::All };
    let mut next = bytes.start;
    for _ in 0..LOOK_SLICES_MAX {
        if next >= bytes.end {
            break;
        }
        let id = SliceId::holding(body, next);
        let store = &core.node.store;
        let there = match store.slice_in_memory(id) {
            Some(piece) if piece.from(next).is_some() => Some(next..piece.end()),
            // What is on disk is the whole slice, or can be completed.
            None if store.has_slice(id) => Some(next..id.first() + SLICE),
            _ => store.filling_slice(id).filter(|on_its_way| on_its_way.contains(&next)),
        };
        match there {
            Some(there) => next = there.end,
            None if next == bytes.start => return Presence::Nothing,
            None => return Presence::Begun,
        }
    }
    Presence::All
}

/// What a reader that met a gap gets.
pub(crate) enum Begun {
    /// The bytes from this offset on, as they come.
    Reader(FillReader, u64),
    /// They have come meanwhile.
    Stored,
    /// There is no room for another fetch.
    Full,
}

/// Joins the fetch that fills a gap, or begins one: of the gap, and of what else is missing behind
/// it before `until`.
pub(crate) fn begin(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    object: &Arc<Object>,
    gap: Range<u64>,
    until: u64,
) -> Begun {
    let Some(body) = object.body.sliced() else { return Begun::Full };
    let store = &core.node.store;
    let (mut next, first) = (gap.end, gap.start);
    let id = SliceId::holding(body, first);
    let (writer, reader) = match store.begin_slice(id, gap, core.node.now()) {
        SliceBegin::Lead(writer, reader) => (writer, reader),
        SliceBegin::Join(reader, first) => {
            ask.site.counters.here().collapsed.inc();
            return Begun::Reader(reader, first);
        }
        SliceBegin::Stored => return Begun::Stored,
        SliceBegin::Full => return Begun::Full,
    };
    let mut writers = VecDeque::from([writer]);
    while next < until && next % SLICE == 0 && (writers.len() as u64) < RUN_SLICES_MAX {
        let id = SliceId::holding(body, next);
        let end = (next + SLICE).min(object.body.len());
        if store.has_slice(id) {
            break;
        }
        let SliceBegin::Lead(writer, _) = store.begin_slice(id, next..end, core.node.now()) else {
            break;
        };
        writers.push_back(writer);
        next = end;
    }
    ask.site.counters.here().fills.inc();
    let (task_core, ask, object) = (Rc::clone(core), Rc::clone(ask), Arc::clone(object));
    let flow = Flow::into(body, writers);
    core.tasks.spawn(async move { run(&task_core, &ask, &object, flow).await });
    Begun::Reader(reader, first)
}

/// Begins to fetch the slices behind this one that a reader will come to, if they are missing.
pub(crate) fn read_ahead(core: &Rc<Core>, ask: &Rc<Ask>, object: &Arc<Object>, here: SliceId) {
    let length = object.body.len();
    let until = (here.first() + (ask.site.read_ahead + 1) * SLICE).min(length);
    let mut next = here.first() + SLICE;
    while next < until {
        let id = SliceId::holding(here.body, next);
        let end = (next + SLICE).min(length);
        let store = &core.node.store;
        if !store.has_slice(id) && store.filling_slice(id).is_none() {
            // Nobody reads along yet.
            drop(begin(core, ask, object, next..end, until));
            return;
        }
        next = end;
    }
}

/// Fetches missing slices of an object.
async fn run(core: &Core, ask: &Ask, object: &Arc<Object>, mut flow: Flow) {
    match fetch(core, ask, object, flow.missing()).await {
        Ok((sent, from)) => {
            if sent.reply.response.status() == StatusCode::OK {
                flow.may_go_on_to(object.body.len());
            }
            flow.open(ask, &object.head);
            flow.run(core, ask, sent.reply.response.into_body(), from).await;
            drop(sent.in_flight);
        }
        Err(failure) => {
            if matches!(failure, Failure::Changed) {
                core.node.store.remove(ask.key, &ask.full_key, object);
            }
            flow.fail(ask, &failure);
        }
    }
}

/// Asks for these bytes of this version of an object. Returns the answer and the place of its first
/// byte.
async fn fetch(
    core: &Core,
    ask: &Ask,
    object: &Object,
    bytes: Range<u64>,
) -> Result<(Sent, u64), Failure> {
    let complete = object.body.len();
    let validator = part::strong_validator(&object.headers);
    let Some(validator) = validator.filter(|_| object.can_be_completed()) else {
        return Err(Failure::Changed);
    };
    let last = (bytes.end < complete).then(|| bytes.end - 1);
    let range = Wanted::From(bytes.start, last).value();
    let purpose = Purpose::Gap { range: &range, validator };
    let sent = exchange(core, ask, purpose, OutgoingBody::empty()).await;
    let sent = sent.map_err(|(failure, _)| failure)?;
    let response = &sent.reply.response;
    let length = response.body().size_hint().exact();
    let is_same = part::same_version(&object.headers, response.headers());
    match response.status() {
        StatusCode::PARTIAL_CONTENT if is_same => match Place::of(response.headers(), length) {
            Some(place) if place.complete != complete => Err(Failure::Changed),
            Some(place) if place.first == bytes.start => Ok((sent, place.first)),
            _ => Err(Failure::Part),
        },
        // It does not do ranges; what comes before is read and dropped.
        StatusCode::OK if is_same && length == Some(complete) => Ok((sent, 0)),
        StatusCode::OK
        | StatusCode::PARTIAL_CONTENT
        | StatusCode::RANGE_NOT_SATISFIABLE
        | StatusCode::NOT_FOUND
        | StatusCode::GONE => Err(Failure::Changed),
        status => Err(Failure::ServerError(status)),
    }
}
