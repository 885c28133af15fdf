//! The head of a response that is stored or being stored.
//!
//! Heads are kept small and apart from the network (`fields.rs`).

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
    VARY,
};
use http::{HeaderMap, StatusCode};
use selvedge_policy::{Coding, Meta, Selecting, SiteRules, Storable, VaryPlan, part, tags};

use crate::fields::Fields;
use crate::fill::Fill;
use crate::memo::Memo;

/// Names one body, in this process and in all later ones that find it on disk. It stays when only
/// the head is renewed, so that an encoded copy can say which body it was made from, and slices
/// whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyId(pub(crate) u128);

impl BodyId {
    /// An identity that no other body has: two keyed hashes of a count, with keys from the system.
    pub fn fresh() -> Self {
        static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let count = NEXT.fetch_add(1, Relaxed);
        let keys = KEYS.get_or_init(Default::default);
        let [high, low] = keys.each_ref().map(|key| u128::from(key.hash_one(count)));
        Self(high << 64 | low)
    }
}

/// A body that was made here from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The body it was made from.
    pub source: BodyId,
    /// How it was encoded.
    pub coding: Coding,
}

/// Head of a response, shared by all who deliver it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Status.
    pub status: StatusCode,
    /// Fields that are stored. `Content-Length` is as the source sent it.
    pub headers: Fields,
    /// Ages and lifetimes.
    pub meta: Meta,
    /// The body that belongs to this head.
    pub body_id: BodyId,
    /// Announced length of the body; of a stored object always its length.
    pub length: Option<u64>,
    /// Set if the body was encoded here.
    pub derived: Option<Derived>,
    /// The tags it can be purged by, as keyed hashes, sorted. Empty if its fields carry none.
    pub tags: Arc<[u64]>,
    /// The number of the last purge when the fetch began: a later one may cover this response.
    pub revision: u64,
    /// Monotonic time when the fetch began.
    pub started_mono_ms: u64,
    /// Which requests it answers.
    pub selecting: Selecting,
    /// What deliverers keep with it.
    pub memo: Memo,
}

impl Head {
    /// The response's vary plan.
    pub fn vary(&self) -> &VaryPlan {
        self.selecting.plan()
    }

    /// Whether this response may answer a request with these (normalised) fields. A reader that
    /// joined before the head was known must ask this, and begin again if not.
    pub fn matches(&self, req_headers: &HeaderMap, rules: &SiteRules) -> bool {
        self.selecting.matches(req_headers, rules)
    }

    /// Whether parts of the body that are missing can be fetched and added: it has a strong
    /// validator (RFC 9111 3.4), and was not made here.
    pub fn can_be_completed(&self) -> bool {
        self.derived.is_none() && part::strong_validator(&self.headers).is_some()
    }

    /// The head of a new body.
    pub(crate) fn received(
        storable: Storable,
        length: Option<u64>,
        tags: Arc<[u64]>,
        fill: &Fill,
    ) -> Self {
        let (status, headers, meta, selecting) = storable.into_parts();
        Self {
            status,
            headers: kept(&headers, &tags),
            meta,
            body_id: BodyId::fresh(),
            length,
            derived: None,
            tags,
            revision: fill.revision,
            started_mono_ms: fill.started_mono_ms,
            selecting,
            memo: Memo::default(),
        }
    }

    /// The head of an encoded copy of this head's body.
    pub(crate) fn encoded(&self, coding: Coding, headers: &HeaderMap) -> Self {
        Self {
            headers: Fields::of(headers),
            body_id: BodyId::fresh(),
            length: None,
            derived: Some(Derived { source: self.body_id, coding }),
            ..self.clone()
        }
    }

    /// The head that renews this one; the body stays.
    pub(crate) fn renewed(&self, storable: Storable, tags: Arc<[u64]>, revision: u64) -> Self {
        let (status, headers, meta, selecting) = storable.into_parts();
        let headers = kept(&headers, &tags);
        Self { status, headers, meta, tags, revision, selecting, ..self.clone() }
    }

    /// The same head, to be validated before it answers anybody.
    pub(crate) fn expired(&self) -> Self {
        Self { meta: self.meta.invalidated(), ..self.clone() }
    }

    /// The same head, stale since then at the latest; purges up to `revision` were asked.
    pub(crate) fn stale_since(&self, since_mono_ms: u64, revision: u64) -> Self {
        Self { meta: self.meta.stale_since(since_mono_ms), revision, ..self.clone() }
    }

    /// The head of an encoded copy after its source's head was renewed: what describes the
    /// encoded bytes stays, all else is the source's.
    pub(crate) fn following(&self, source: &Self) -> Self {
        let mut headers = HeaderMap::clone(&source.headers);
        for name in REPRESENTATION {
            headers.remove(&name);
            for value in self.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        Self {
            status: source.status,
            headers: Fields::of(&headers),
            meta: source.meta,
            tags: source.tags.clone(),
            revision: source.revision,
            selecting: source.selecting.clone(),
            ..self.clone()
        }
    }

    /// Whether both heads name the same version of the body.
    pub(crate) fn same_validators(&self, other: &Self) -> bool {
        let equal = |name: &HeaderName| self.headers.get(name) == other.headers.get(name);
        equal(&ETAG) && equal(&LAST_MODIFIED)
    }

    /// Memory that this head holds.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>()
            + ALLOCATION
            + self.headers.cost()
            + 3 * ALLOCATION
            + memo_cost(&self.headers)
            + selecting_cost(&self.selecting)
            + if self.tags.is_empty() { 0 } else { size_of_val(&*self.tags) + ALLOCATION }
    }
}

/// Fields that describe the bytes as they are encoded.
const REPRESENTATION: [HeaderName; 9] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    ETAG,
    VARY,
    ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// The fields to store. Fields for tags that name none would only be in the way.
fn kept(headers: &HeaderMap, tags: &[u64]) -> Fields {
    let is_kept = |name: &HeaderName| !tags.is_empty() || !tags::FIELDS.contains(name);
    Fields::of(headers.iter().filter(|(name, _)| is_kept(name)))
}

/// What the fields and lines in `Memo` cost when they are made: the values of the fields are
/// shared with the head's own.
fn memo_cost(headers: &Fields) -> usize {
    let fields = headers.count() + MEMO_FIELDS;
    let bytes = headers.text_bytes() + 4 * headers.count();
    let lines = bytes + MEMO_LINE_BYTES + 2 * ALLOCATION;
    fields * FIELD_COST + fields.next_power_of_two() * 16 + 2 * ALLOCATION + lines
}

/// Fields that an answer has beside the stored ones.
const MEMO_FIELDS: usize = 6;
/// Bytes of their lines.
const MEMO_LINE_BYTES: usize = 64;

/// What the allocator adds to an allocation, and the counters of an `Arc`.
pub(crate) const ALLOCATION: usize = 32;

/// A bucket of `HeaderMap`: hash, name, value and links.
const FIELD_COST: usize =
    size_of::<HeaderName>() + size_of::<HeaderValue>() + 4 * size_of::<usize>();

fn selecting_cost(selecting: &Selecting) -> usize {
    let fields = size_of_val(selecting.plan().fields());
    let key = selecting.key().as_bytes().len();
    fields + key + if fields == 0 { 0 } else { 2 * ALLOCATION }
}

/// Trailers in memory of their own, if there are any.
pub(crate) fn kept_trailers(trailers: Option<HeaderMap>) -> Option<Arc<Fields>> {
    trailers.filter(|fields| !fields.is_empty()).map(|fields| Arc::new(Fields::of(&fields)))
}
