//! The form in which a client gets its answer: conditions (RFC 9110 13), ranges (RFC 9110 14),
//! HEAD, and the fields this node adds.

use crate::body::{Body, Piece, Source};
use crate::cors;
use crate::node::Core;
use crate::normalize::Ask;
use crate::page::{JSON, Page};
use crate::request::{Served, Trail, Visit, What};
use crate::rescue::{self, Failure};
use crate::slice_reader::SliceReader;
use crate::transform;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use selvedge_net::{Connection, FieldLines};
use selvedge_policy::range::{self, Range, Ranges};
use selvedge_policy::validate::{self, Precondition};
use selvedge_policy::{CacheStatus, Now, tags};
use selvedge_store::{FillReader, Head, Object, Question};
use selvedge_telemetry::CacheResult;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The fields that are different in each answer from the store.
const BLANK_FIELDS: [HeaderName; 3] = [header::AGE, X_REQUEST_ID, CACHE_STATUS];
const VARY_BY_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// Gives an answer the form this request asked for.
pub(crate) fn deliver(
    core: &Core,
    ask: &Ask,
    served: Served,
    connection: &Connection,
    mut visit: Visit,
) -> Response<Body> {
    let Served { what, trail } = served;
    (visit.ledger.cache, visit.ledger.reason) = (trail.cache, trail.detail);
    // A hit takes no time worth another look at the clock.
    let now = if trail.cache == CacheResult::Hit { visit.now } else { core.node.now() };
    let ttl;
    let (status, mut headers, source) = match what {
        What::Object(object)
            if !ask.carries.conditions && !ask.carries.range && object.trailers.is_none() =>
        {
            return whole(core, ask, &object, &trail, now, connection, visit);
        }
        What::Object(object) => {
            ttl = Some(object.meta.ttl_s(now));
            shared(now, ask, &object.head, Stored::Object(&object), &mut visit)
        }
        What::Sliced(reader) => {
            let head = Arc::clone(&reader.object().head);
            ttl = Some(head.meta.ttl_s(now));
            shared(now, ask, &head, Stored::Sliced(reader), &mut visit)
        }
        What::Part(reader, place) => {
            ttl = Some(reader.object().head.meta.ttl_s(now));
            part(now, ask, reader, place, &mut visit)
        }
        What::Fill(reader, head) => {
            ttl = Some(head.meta.ttl_s(now));
            shared(now, ask, &head, Stored::Fill(reader), &mut visit)
        }
        What::Passed(passing) => {
            ttl = None;
            let (response, in_flight) = *passing;
            let (head, body) = response.into_parts();
            let source = match ask.method {
                Method::HEAD => Source::Empty,
                _ => Source::Upstream(Box::new((body, in_flight))),
            };
            (head.status, head.headers, source)
        }
        What::Page(sheet) => {
            ttl = sheet.ttl_s;
            (sheet.status, sheet.headers, sheet.source)
        }
        What::Own(own) => {
            ttl = None;
            (own.0, own.1, Source::Empty)
        }
        What::Switch(response) => {
            let head = response.into_parts().0;
            return finish(visit, head.status, head.headers, Source::Empty);
        }
    };
    if hides_tags(ask) {
        tags::hide(&mut headers);
    }
    headers.append(CACHE_STATUS, status_value(core, &trail, ttl, HeaderValue::clone));
    if let Some(reader) = &visit.reader {
        reader.apply(&mut headers);
    }
    if !ask.site.response_rules.is_empty() {
        ask.site.response_rules.apply(&mut headers);
    }
    finish(visit, status, headers, source)
}

/// A part that is that of this Content-Range, whatever was asked for.
fn part(
    now: Now,
    ask: &Ask,
    reader: Box<SliceReader>,
    place: HeaderValue,
    visit: &mut Visit,
) -> (StatusCode, HeaderMap, Source) {
    let head = &reader.object().head;
    let age_s = head.meta.age_s(now);
    visit.ledger.age_s = Some(age_s);
    let mut headers = HeaderMap::clone(&head.headers);
    add_shared(ask, head, age_s, &mut headers);
    headers.insert(header::CONTENT_RANGE, place);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(reader.remaining()));
    (StatusCode::PARTIAL_CONTENT, headers, Source::Sliced(reader, None))
}

/// The fields of an answer that sends the client elsewhere.
pub(crate) fn redirect_fields(location: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers
}

/// All of a stored object: what nearly every hit asks for. Its fields are made once for the head:
/// as lines if they can be written ahead. Otherwise they are copied, and what changes is written in
/// place: building them anew took 3000 instructions more.
fn whole(
    core: &Core,
    ask: &Ask,
    object: &Object,
    trail: &Trail,
    now: Now,
    connection: &Connection,
    mut visit: Visit,
) -> Response<Body> {
    let age_s = object.meta.age_s(now);
    visit.ledger.age_s = Some(age_s);
    let varies = varies_by_encoding(ask, object);
    let hides = hides_tags(ask) && has_hidden(object);
    let make = || whole_lines(object, varies, hides);
    // What the origin says of CORS is among the lines, and to be replaced.
    let is_replaced = |(name, _): (&[u8], _)| cors::is_replaced(name);
    let reader = visit.reader.take();
    if ask.method == Method::GET
        && ask.site.response_rules.is_empty()
        && (reader.is_none() || !object.headers.lines().any(is_replaced))
        && let Some(Some(lines)) = object.memo.lines(varies, hides, make)
        && connection.write_lines(|out| {
            out.extend(lines);
            core.numbers.age(age_s, |age| out.push(&header::AGE, age));
            out.push_bytes(X_REQUEST_ID.as_str().as_bytes(), visit.id.as_bytes());
            let ttl = Some(object.meta.ttl_s(now));
            status_value(core, trail, ttl, |status| out.push(&CACHE_STATUS, status));
            let told = reader.iter().flat_map(cors::Reader::fields);
            told.for_each(|(name, value)| out.push(&name, value));
        })
    {
        let source = Stored::Object(object).whole(&object.head);
        let coding = || object.headers.first("content-encoding");
        visit.ledger.answered(object.status.as_u16(), coding);
        return respond(visit, object.status, HeaderMap::new(), source);
    }
    let mut headers = object.memo.fields(varies, || whole_fields(object, varies)).clone();
    let mut left = BLANK_FIELDS.len();
    for (name, value) in &mut headers {
        if value.is_empty() && BLANK_FIELDS.contains(name) {
            *value = match *name {
                header::AGE => core.numbers.age(age_s, HeaderValue::clone),
                _ if *name == X_REQUEST_ID => visit.id.value(),
                _ => {
                    let ttl = Some(object.meta.ttl_s(now));
                    status_value(core, trail, ttl, HeaderValue::clone)
                }
            };
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    if hides {
        tags::hide(&mut headers);
    }
    if let Some(reader) = &reader {
        reader.apply(&mut headers);
    }
    if !ask.site.response_rules.is_empty() {
        ask.site.response_rules.apply(&mut headers);
        headers.insert(X_REQUEST_ID, visit.id.value());
    }
    let is_head = ask.method == Method::HEAD;
    let source = if is_head { Source::Empty } else { Stored::Object(object).whole(&object.head) };
    send(visit, object.status, headers, source)
}

/// Whether this client is not to see what its answer is tagged with. Other nodes are: they purge by
/// it too.
fn hides_tags(ask: &Ask) -> bool {
    !ask.site.show_tags && !ask.arrival.from_node && !ask.leaves_esi
}

fn has_hidden(head: &Head) -> bool {
    // The same under every configuration.
    head.memo.decided(Question::Hide, 1, || {
        !head.tags.is_empty() || head.headers.lines().any(|(name, _)| tags::is_hidden(name))
    })
}

/// The fields of a whole answer, with blanks for what is different in each. The blanks come first,
/// so that they are found first.
fn whole_fields(object: &Object, varies: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(object.headers.count() + 6);
    // Ours comes after those of caches nearer to the origin.
    for value in nearer_status(object).filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        headers.append(CACHE_STATUS, value);
    }
    for name in BLANK_FIELDS {
        headers.append(name, const { HeaderValue::from_static("") });
    }
    for (name, value) in
        object.headers.iter().filter(|(name, _)| is_same_in_all(name.as_str().as_bytes()))
    {
        headers.append(name, value.clone());
    }
    for (name, value) in added(object, varies) {
        headers.append(name, value);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(object.body.len()));
    headers
}

/// The fields of a whole answer as lines, but for those that are different in each. `None` if they
/// cannot be written ahead. A body of no bytes is left to the library: what it writes of the length
/// depends on the status.
fn whole_lines(object: &Object, varies: bool, hides: bool) -> Option<FieldLines> {
    if object.body.is_empty() {
        return None;
    }
    let mut lines = FieldLines::beside_framing(object.headers.lines())?;
    nearer_status(object)
        .for_each(|value| lines.push_bytes(CACHE_STATUS.as_str().as_bytes(), value));
    for (name, value) in object.headers.lines().filter(|(name, _)| is_same_in_all(name)) {
        if !(hides && tags::is_hidden(name)) {
            lines.push_bytes(name, value);
        }
    }
    added(object, varies).for_each(|(name, value)| lines.push(&name, &value));
    Some(lines)
}

/// What caches nearer to the origin have said.
fn nearer_status(object: &Object) -> impl Iterator<Item = &[u8]> {
    let fields = object.headers.lines();
    fields
        .filter(|(name, value)| *name == CACHE_STATUS.as_str().as_bytes() && !value.is_empty())
        .map(|it| it.1)
}

/// Whether a stored field is the same in all whole answers: no blank, and not the length.
fn is_same_in_all(name: &[u8]) -> bool {
    !matches!(name, b"age" | b"x-request-id" | b"cache-status" | b"content-length")
}

/// What whole answers have beside the stored fields.
fn added(object: &Object, varies: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let fields = || object.headers.lines();
    let says_vary = || fields().any(|(name, value)| name == b"vary" && is_by_encoding(value));
    let vary = (varies && !says_vary()).then_some((header::VARY, VARY_BY_ENCODING));
    let says_ranges = || object.headers.first("accept-ranges").is_some();
    let ranges = (is_divisible(object) && !says_ranges()).then_some((header::ACCEPT_RANGES, BYTES));
    vary.into_iter().chain(ranges)
}

/// Answers an OPTIONS that is meant for this node.
pub(crate) fn options(visit: Visit) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ALLOW, METHODS);
    finish(visit, StatusCode::NO_CONTENT, headers, Source::Empty)
}

/// Answers a purge that was carried out.
pub(crate) fn purged(mut visit: Visit, text: String) -> Response<Body> {
    visit.ledger.reason = Some("purge");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    finish(visit, StatusCode::OK, headers, Source::Whole(Bytes::from(text)))
}

/// What a client may send. Other methods but CONNECT and TRACE are passed on all the same.
const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Answers with a page of this node's own.
pub(crate) fn refuse(core: &Core, failure: &Failure, mut visit: Visit) -> Response<Body> {
    let answer = rescue::answer(failure);
    visit.ledger.cache = match failure {
        Failure::Upstream(_)
        | Failure::NoHop
        | Failure::ServerError(_)
        | Failure::Broken(_)
        | Failure::Fill(_)
        | Failure::Changed
        | Failure::Part
        | Failure::Assembly
        | Failure::Encode => CacheResult::Error,
        _ => CacheResult::Local,
    };
    visit.ledger.refused(answer.word, visit.ledger.cache == CacheResult::Error);
    let mut request = HeaderMap::new();
    if let Some(accept) = visit.accept.take() {
        request.insert(header::ACCEPT, accept);
    }
    let page = Page {
        status: answer.status,
        word: answer.word,
        sentence: answer.sentence,
        node: &core.node.name,
        id: visit.id.as_str(),
    };
    let (body, content_type) = page.render(&request);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let status =
        CacheStatus { cache: &core.node.name, detail: Some(answer.word), ..Default::default() };
    status.append(&mut headers);
    if answer.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, METHODS);
    }
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if answer.close && visit.version != Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(reader) = &visit.reader {
        reader.apply(&mut headers);
    }
    let source = if visit.method == Method::HEAD { Source::Empty } else { Source::Whole(body) };
    finish(visit, answer.status, headers, source)
}

/// Where a shared body is.
enum Stored<'a> {
    Object(&'a Object),
    Sliced(Box<SliceReader>),
    Fill(FillReader),
}

impl Stored<'_> {
    fn length(&self, head: &Head) -> Option<u64> {
        match self {
            Self::Object(object) => Some(object.body.len()),
            Self::Sliced(reader) => Some(reader.object().body.len()),
            Self::Fill(_) => head.length,
        }
    }

    fn whole(self, head: &Head) -> Source {
        match self {
            Self::Object(object) => match (&object.trailers, object.body.single()) {
                (Some(trailers), _) => {
                    Source::Trailed(object.body.all(), Some(Arc::clone(trailers)))
                }
                (None, Some(bytes)) => Source::Whole(bytes.clone()),
                (None, None) => Source::Slices(object.body.all()),
            },
            Self::Sliced(reader) => {
                let trailers = reader.object().trailers.clone();
                let all = 0..reader.object().body.len();
                Source::Sliced(Box::new(reader.of(all)), trailers)
            }
            Self::Fill(reader) => Source::fill(reader, 0, head.length),
        }
    }

    fn part(self, range: Range) -> Source {
        match self {
            Self::Object(object) => Source::Slices(object.body.slices(span(range))),
            Self::Sliced(reader) => Source::Sliced(Box::new(reader.of(span(range))), None),
            Self::Fill(reader) => Source::fill(reader, range.first, Some(range.length())),
        }
    }
}

/// An answer from a response that may be shared.
fn shared(
    now: Now,
    ask: &Ask,
    head: &Arc<Head>,
    stored: Stored<'_>,
    visit: &mut Visit,
) -> (StatusCode, HeaderMap, Source) {
    let age_s = head.meta.age_s(now);
    visit.ledger.age_s = Some(age_s);
    let counters = ask.site.counters.here();
    match condition(ask, head) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            counters.not_modified.inc();
            let mut headers = not_modified(ask, head);
            add_shared(ask, head, age_s, &mut headers);
            return (StatusCode::NOT_MODIFIED, headers, Source::Empty);
        }
        Precondition::Failed => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            return (StatusCode::PRECONDITION_FAILED, headers, Source::Empty);
        }
    }
    let mut headers = HeaderMap::clone(&head.headers);
    add_shared(ask, head, age_s, &mut headers);
    let length = stored.length(head);
    if let Some(length) = length {
        match wanted_ranges(ask, head, length, matches!(stored, Stored::Fill(_))) {
            Ranges::None => {}
            Ranges::Unsatisfiable => {
                headers.remove(header::CONTENT_TYPE);
                headers.insert(header::CONTENT_RANGE, range::content_range_unsatisfied(length));
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                return (StatusCode::RANGE_NOT_SATISFIABLE, headers, Source::Empty);
            }
            Ranges::Satisfiable(ranges) => {
                counters.ranges.inc();
                let source = partial(&ranges, length, stored, &mut headers);
                return (StatusCode::PARTIAL_CONTENT, headers, source);
            }
        }
        add_length(head, length, &mut headers);
    }
    let source = if ask.method == Method::HEAD { Source::Empty } else { stored.whole(head) };
    if let Source::Trailed(..) | Source::Sliced(_, Some(_)) = source {
        headers.remove(header::CONTENT_LENGTH);
    }
    (head.status, headers, source)
}

fn condition(ask: &Ask, head: &Head) -> Precondition {
    if !ask.carries.conditions {
        return Precondition::Proceed;
    }
    validate::precondition(&ask.method, &ask.headers, &head.headers, head.status)
}

/// Which bytes of a stored object the answer to this request begins with; of several ranges, the
/// first. Empty if it has no body.
pub(crate) fn bytes_of(ask: &Ask, object: &Object) -> std::ops::Range<u64> {
    let length = object.body.len();
    if ask.method == Method::HEAD || condition(ask, &object.head) != Precondition::Proceed {
        return 0..0;
    }
    match wanted_ranges(ask, &object.head, length, false) {
        Ranges::None => 0..length,
        Ranges::Unsatisfiable => 0..0,
        Ranges::Satisfiable(ranges) => ranges.first().map_or(0..0, |first| span(*first)),
    }
}

fn span(range: Range) -> std::ops::Range<u64> {
    range.first..range.last.saturating_add(1)
}

/// The fields of a 304. Another node gets them all: what it has stored is to be brought up to date
/// by them (RFC 9110 15.4.5 lets a 304 carry what guides cache updates).
fn not_modified(ask: &Ask, head: &Head) -> HeaderMap {
    if !ask.arrival.from_node {
        return validate::not_modified_headers(&head.headers);
    }
    let mut headers = HeaderMap::clone(&head.headers);
    headers.remove(header::CONTENT_LENGTH);
    headers
}

/// What the Range field comes to. It means something for a GET of a 200 only, and several ranges of
/// a body that still arrives are not worth holding it for: then the whole is sent.
fn wanted_ranges(ask: &Ask, head: &Head, length: u64, arrives: bool) -> Ranges {
    if !ask.carries.range {
        return Ranges::None;
    }
    let Some(wanted) = ask.headers.get(header::RANGE) else { return Ranges::None };
    if ask.method != Method::GET
        || head.status != StatusCode::OK
        || head.derived.is_some()
        || !range::if_range(&ask.headers, &head.headers)
    {
        return Ranges::None;
    }
    let limits = range::Limits { parts_max: ask.plan.ranges_max, ..range::Limits::default() };
    match range::parse(wanted, length, limits) {
        Ranges::Satisfiable(ranges) if ranges.len() > 1 && arrives => Ranges::None,
        ranges => ranges,
    }
}

/// The body of a 206, and the fields that describe it.
fn partial(ranges: &[Range], length: u64, stored: Stored<'_>, headers: &mut HeaderMap) -> Source {
    if let [range] = ranges {
        headers.insert(header::CONTENT_RANGE, range::content_range(*range, length));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.length()));
        return stored.part(*range);
    }
    let boundary = random_boundary();
    let layout = range::multipart(ranges, length, headers, boundary);
    let mut pieces = VecDeque::with_capacity(layout.parts.len() * 2 + 1);
    for part in layout.parts {
        pieces.push_back(Piece::Text(Bytes::from(part.preamble)));
        match &stored {
            Stored::Object(object) => {
                pieces.push_back(Piece::Slices(object.body.slices(span(part.range))));
            }
            Stored::Sliced(reader) => {
                let reader = reader.another(span(part.range));
                pieces.push_back(Piece::Sliced(Box::new(reader)));
            }
            // Asked for several ranges, it is sent whole.
            Stored::Fill(_) => {}
        }
    }
    pieces.push_back(Piece::Text(Bytes::from(layout.closing)));
    headers.insert(header::CONTENT_TYPE, layout.content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(layout.length));
    Source::parts(pieces)
}

/// A number that no client can foresee, so that none can put it into a body.
fn random_boundary() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0_u8));
    half() << 64 | half()
}

/// The fields of every answer made from a response that may be shared.
pub(crate) fn add_shared(ask: &Ask, head: &Head, age_s: u32, headers: &mut HeaderMap) {
    headers.insert(header::AGE, HeaderValue::from(age_s));
    if varies_by_encoding(ask, head) {
        vary_by_encoding(headers);
    }
}

/// The fields of a whole body of a known length.
fn add_length(head: &Head, length: u64, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if is_divisible(head) {
        headers.entry(header::ACCEPT_RANGES).or_insert(BYTES);
    }
}

/// Whether clients may ask for ranges of it.
fn is_divisible(head: &Head) -> bool {
    head.status == StatusCode::OK && head.derived.is_none()
}

fn varies_by_encoding(ask: &Ask, head: &Head) -> bool {
    head.derived.is_some() || transform::is_encodable(ask, head)
}

/// Says that the answer depends on Accept-Encoding, once.
pub(crate) fn vary_by_encoding(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::VARY).iter();
    if !values.any(|value| is_by_encoding(value.as_bytes())) {
        headers.append(header::VARY, VARY_BY_ENCODING);
    }
}

/// Whether a `Vary` names Accept-Encoding.
fn is_by_encoding(vary: &[u8]) -> bool {
    let names = vary.split(|byte| *byte == b',');
    names.map(<[u8]>::trim_ascii).any(|name| name.eq_ignore_ascii_case(b"accept-encoding"))
}

fn status_value<R>(
    core: &Core,
    trail: &Trail,
    ttl: Option<i64>,
    with: impl FnOnce(&HeaderValue) -> R,
) -> R {
    if let (true, Some(ttl_s)) = (*trail == Trail::HIT, ttl) {
        return core.numbers.hit(ttl_s, with);
    }
    let status = CacheStatus {
        cache: &core.node.name,
        hit: matches!(trail.cache, CacheResult::Hit | CacheResult::Stale) && trail.fwd.is_none(),
        fwd: trail.fwd,
        fwd_status: trail.fwd_status,
        ttl,
        stored: trail.stored,
        collapsed: trail.collapsed,
        detail: trail.detail,
    };
    let mut value = status.value();
    // Too changeable for the table of fields of HTTP/2, as request ids are.
    value.set_sensitive(true);
    with(&value)
}

/// The last fields, and the account that goes with the body.
fn finish(
    visit: Visit,
    status: StatusCode,
    mut headers: HeaderMap,
    source: Source,
) -> Response<Body> {
    headers.insert(X_REQUEST_ID, visit.id.value());
    send(visit, status, headers, source)
}

fn send(
    mut visit: Visit,
    status: StatusCode,
    headers: HeaderMap,
    source: Source,
) -> Response<Body> {
    let coding = || headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    visit.ledger.answered(status.as_u16(), coding);
    respond(visit, status, headers, source)
}

fn respond(visit: Visit, status: StatusCode, headers: HeaderMap, source: Source) -> Response<Body> {
    let mut response = Response::new(Body::new(source, visit.ledger));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
