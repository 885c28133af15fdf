//! All that is stored under one key: the variants of a response and the marker that it is not for
//! sharing. An entry never changes; every update makes a new one, so a reader needs no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderMap;
use selvedge_policy::{Coding, Now, SiteRules, VaryPlan};

use crate::head::{ALLOCATION, Head};
use crate::object::Object;
use crate::purge::Verdict;

/// What is stored under a key. Cheap to hold; what it holds stays alive while it is held.
#[derive(Clone, Debug)]
pub struct Entry {
    full_key: Arc<[u8]>,
    /// As received, newest first.
    variants: Vec<Arc<Object>>,
    /// Encoded here from one of `variants`.
    encoded: Vec<Arc<Object>>,
    pass_until_mono_ms: u64,
    checked: Checked,
    /// Memory that its objects keep beside what they know of.
    beside_bytes: usize,
    /// What it weighs in the map; set when it is put there.
    weight: u64,
}

/// What an item costs in the map, beside itself.
pub(crate) const MAP_COST: usize = 96;

impl Entry {
    pub(crate) fn new(full_key: &[u8]) -> Self {
        Self {
            full_key: full_key.into(),
            variants: Vec::new(),
            encoded: Vec::new(),
            pass_until_mono_ms: 0,
            checked: Checked(AtomicU64::new(u64::MAX)),
            beside_bytes: 0,
            weight: 0,
        }
    }

    /// An entry that comes back from disk, whose objects keep that memory beside what they know of.
    pub(crate) fn recalled(
        full_key: &[u8],
        variants: Vec<Arc<Object>>,
        encoded: Vec<Arc<Object>>,
        beside_bytes: usize,
    ) -> Self {
        let mut entry = Self { variants, encoded, beside_bytes, ..Self::new(full_key) };
        let oldest = entry.objects().map(|object| object.revision).min();
        entry.lower_checked(oldest.unwrap_or(u64::MAX));
        entry
    }

    /// Drops the objects for which `keep` says no.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Object) -> bool) {
        self.variants.retain(|object| keep(object));
        self.encoded.retain(|object| keep(object));
        self.drop_orphans();
    }

    /// Whether every encoded copy has the body it was made from.
    pub(crate) fn has_all_sources(&self) -> bool {
        self.encoded.iter().all(|copy| {
            let source = copy.derived.map(|derived| derived.source);
            self.variants.iter().any(|object| Some(object.body_id) == source)
        })
    }

    /// The entry as it is put into the map: it does not change any more, so it is weighed once.
    pub(crate) fn sealed(mut self) -> Arc<Self> {
        self.weight = self.cost() as u64;
        Arc::new(self)
    }

    /// Bytes that the entry holds with all its objects.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The bytes that the key was made from.
    pub fn full_key(&self) -> &[u8] {
        &self.full_key
    }

    /// Stored responses as received, newest first.
    pub fn variants(&self) -> &[Arc<Object>] {
        &self.variants
    }

    /// Copies encoded here, newest first.
    pub fn encoded_copies(&self) -> &[Arc<Object>] {
        &self.encoded
    }

    /// The plan that the newest response brought.
    pub fn vary(&self) -> Option<&VaryPlan> {
        self.variants.first().map(|object| object.vary())
    }

    /// Whether the last answer was not for sharing, not long ago: do not wait for others.
    pub fn passing(&self, now: Now) -> bool {
        now.mono_ms < self.pass_until_mono_ms
    }

    /// The newest stored response that may answer a request with these fields (RFC 9111 4.1).
    /// Whether it is fresh is not asked here.
    pub fn select(&self, req_headers: &HeaderMap, rules: &SiteRules) -> Option<&Arc<Object>> {
        self.variants.iter().find(|object| object.matches(req_headers, rules))
    }

    /// The copy of `source` that was encoded here with `coding`.
    pub fn encoded(&self, source: &Head, coding: Coding) -> Option<&Arc<Object>> {
        self.encoded.iter().find(|object| {
            object.derived.is_some_and(|d| d.source == source.body_id && d.coding == coding)
        })
    }

    /// Everything that is stored here: variants, then encoded copies.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.variants.iter().chain(&self.encoded)
    }

    /// Every purge up to this one has been asked about everything that is stored here.
    pub(crate) fn checked(&self) -> u64 {
        self.checked.0.load(Relaxed)
    }

    /// Purges up to `revision` cover nothing that is stored here.
    pub(crate) fn raise_checked(&self, revision: u64) {
        self.checked.0.fetch_max(revision, Relaxed);
    }

    /// What has come in was asked about purges up to `revision` only.
    fn lower_checked(&mut self, revision: u64) {
        let checked = self.checked.0.get_mut();
        *checked = revision.min(*checked);
    }

    /// Does to each object what purges up to `revision` make of it. How many were dropped, and
    /// how many made stale.
    pub(crate) fn sift(
        &mut self,
        revision: u64,
        verdict: impl Fn(&Object) -> Verdict,
    ) -> (u64, u64) {
        let (mut dropped, mut softened) = (0, 0);
        let mut sift = |object: &Arc<Object>| {
            let head = match verdict(object) {
                Verdict::Clean => return Some(object.clone()),
                Verdict::Gone => {
                    dropped += 1;
                    return None;
                }
                Verdict::Stale(since_mono_ms) => object.stale_since(since_mono_ms, revision),
                Verdict::Validate => Head { revision, ..object.expired() },
            };
            softened += 1;
            Some(Arc::new(object.with_head(head)))
        };
        self.variants = self.variants.iter().filter_map(&mut sift).collect();
        self.encoded = self.encoded.iter().filter_map(&mut sift).collect();
        self.drop_orphans();
        self.checked = Checked(AtomicU64::new(revision));
        (dropped, softened)
    }

    fn cost(&self) -> usize {
        let objects = self.variants.iter().chain(&self.encoded);
        let lists = (self.variants.capacity() + self.encoded.capacity()) * size_of::<usize>();
        let fixed = size_of::<Self>() + self.full_key.len() + 4 * ALLOCATION + MAP_COST;
        fixed + lists + self.beside_bytes + objects.map(|object| object.cost()).sum::<usize>()
    }

    /// Whether nothing is left to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.variants.is_empty() && self.pass_until_mono_ms == 0
    }

    /// Puts a received response first, in the place of those that it supersedes. The resource can
    /// be shared again. Returns how many variants the maxima pushed out.
    pub(crate) fn put(&mut self, object: Arc<Object>, limits: EntryLimits) -> u64 {
        self.pass_until_mono_ms = 0;
        self.lower_checked(object.revision);
        self.variants.retain(|old| !supersedes(&object, old));
        self.variants.insert(0, object);
        self.variants.shrink_to_fit();
        self.drop_orphans();
        self.shrink(limits)
    }

    /// Adds a copy encoded here. Refused if its source is gone.
    pub(crate) fn put_encoded(&mut self, object: Arc<Object>, limits: EntryLimits) -> bool {
        let Some(derived) = object.derived else { return false };
        let mut sources = self.variants.iter();
        let Some(source) = sources.find(|source| source.body_id == derived.source) else {
            return false;
        };
        // The source may have been renewed while the copy was made.
        let object = match source.meta == object.meta {
            true => object,
            false => Arc::new(object.with_head(object.following(source))),
        };
        self.encoded.retain(|old| old.derived != Some(derived));
        self.encoded.insert(0, object);
        if self.cost() as u64 > limits.bytes_max {
            self.encoded.remove(0);
            return false;
        }
        true
    }

    /// Replaces the head of a variant; its encoded copies follow if they still tell the truth.
    pub(crate) fn renew(&mut self, old: &Object, new: &Arc<Object>) -> bool {
        let mut variants = self.variants.iter();
        let Some(place) = variants.position(|object| object.body_id == old.body_id) else {
            return false;
        };
        // What was validated last counts as the newest.
        self.lower_checked(new.revision);
        self.variants.remove(place);
        self.variants.insert(0, new.clone());
        if new.same_validators(old) {
            for copy in &mut self.encoded {
                if copy.derived.is_some_and(|d| d.source == new.body_id) {
                    *copy = Arc::new(copy.with_head(copy.following(new)));
                }
            }
        } else {
            self.encoded.retain(|c| c.derived.is_some_and(|d| d.source != new.body_id));
        }
        true
    }

    /// Removes one variant with its encoded copies.
    pub(crate) fn remove(&mut self, object: &Object) -> bool {
        let before = self.variants.len();
        self.variants.retain(|kept| kept.body_id != object.body_id);
        self.drop_orphans();
        self.variants.len() != before
    }

    /// Makes one variant with its encoded copies answer nobody before it has been validated.
    pub(crate) fn expire(&mut self, one: &Object) {
        for object in self.variants.iter_mut().chain(&mut self.encoded) {
            let source = object.derived.map_or(object.body_id, |derived| derived.source);
            if one.body_id == source {
                *object = Arc::new(object.with_head(object.expired()));
            }
        }
    }

    /// Remembers that the answers are not for sharing.
    pub(crate) fn pass_until(&mut self, mono_ms: u64) {
        self.pass_until_mono_ms = self.pass_until_mono_ms.max(mono_ms);
    }

    /// Encoded copies go with their source.
    fn drop_orphans(&mut self) {
        let Self { variants, encoded, .. } = self;
        encoded.retain(|copy| {
            let source = copy.derived.map(|derived| derived.source);
            variants.iter().any(|object| Some(object.body_id) == source)
        });
    }

    /// Keeps to the maxima: copies that can be made again go first, then the oldest variants.
    fn shrink(&mut self, limits: EntryLimits) -> u64 {
        let mut dropped = 0;
        while self.variants.len() > 1
            && (self.variants.len() > limits.variants_max || self.cost() as u64 > limits.bytes_max)
        {
            if self.cost() as u64 > limits.bytes_max && self.encoded.pop().is_some() {
                continue;
            }
            self.variants.pop();
            self.drop_orphans();
            dropped += 1;
        }
        dropped
    }
}

/// The purge up to which an entry was checked. It rises while the entry is shared.
#[derive(Debug)]
struct Checked(AtomicU64);

impl Clone for Checked {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Relaxed)))
    }
}

/// Maxima of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryLimits {
    pub(crate) variants_max: usize,
    pub(crate) bytes_max: u64,
}

/// Whether `old` must never be selected again once `new` is there. The newest match is selected,
/// so one that answers the same requests is dead. One that was stored without Vary answers every
/// request, and the resource has just said that this is not true.
fn supersedes(new: &Object, old: &Object) -> bool {
    new.selecting.same_variant(&old.selecting) || new.vary().is_none() != old.vary().is_none()
}
