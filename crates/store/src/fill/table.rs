//! Which fills run, by key.
//!
//! The table is cut into shards. The lock of a shard protects the fills of its keys and makes one
//! whole of every update of those keys in the memory tier: look, change, put. It is never held
//! across an await.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use selvedge_policy::{Key, Selecting, VaryKey, VaryPlan};

use super::reader::FillReader;
use super::{Fill, Wanted};
use crate::head::Derived;
use crate::lock::lock;
use crate::memory::BuildKeyHasher;
use crate::purge::Purges;

const SHARDS: usize = 64;

/// Fills of one key that may run at once: one per variant, so few unless someone plays with Vary.
pub(crate) const FILLS_PER_KEY_MAX: usize = 64;

/// Which requests a fill is for.
#[derive(Clone, Debug)]
pub(crate) enum Matching {
    /// The resource has not been seen: everyone waits for the head.
    Unknown,
    /// No head yet, but the plan is known from others: requests with the same secondary key.
    Expected(VaryPlan, VaryKey),
    /// The head is there: requests that select it.
    Variant(Selecting),
    /// An encoded copy of a body.
    Encoding(Derived),
    /// Nobody yet: the resource is marked as not for sharing.
    Alone,
}

#[derive(Debug)]
struct Running {
    fill: Arc<Fill>,
    matching: Matching,
}

/// What the table says to a request.
pub(crate) enum Found {
    Join(FillReader),
    /// No fill is for it; `plan` is the newest that a fill of this key has brought.
    Nothing {
        plan: Option<VaryPlan>,
    },
    /// A fill is for it, or could be added, but a maximum is reached.
    Full,
}

/// The fills of some keys.
#[derive(Debug, Default)]
pub(crate) struct Shard(HashMap<Key, Vec<Running>, BuildKeyHasher>);

/// All fills that may be joined or stored.
#[derive(Debug)]
pub(crate) struct Table(Box<[Mutex<Shard>]>);

impl Table {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    /// Locks the shard of a key: its fills, and updates of its entry.
    pub(crate) fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.0[(key.0 >> 96) as usize % SHARDS])
    }

    /// The purge up to which the oldest fill that may be stored knows of purges.
    pub(crate) fn oldest_revision(&self) -> Option<u64> {
        self.0.iter().filter_map(|shard| lock(shard).oldest_revision()).min()
    }
}

impl Shard {
    /// Looks for a fill to join.
    /// A fill that began before a purge which covers what it brings, or may cover it as far as is
    /// known, is not for requests that come after the purge.
    pub(crate) fn find(
        &self,
        key: Key,
        full_key: &[u8],
        wanted: &Wanted<'_>,
        purges: &Purges,
    ) -> Found {
        let Some(running) = self.0.get(&key) else { return Found::Nothing { plan: None } };
        let (mut plan, mut asked) = (None, Asked::default());
        for running in running.iter().rev() {
            if *running.fill.full_key != *full_key {
                return Found::Full;
            }
            if plan.is_none() {
                plan = running.matching.plan().cloned();
            }
            if running.matching.is_for(wanted, &mut asked) {
                let mut state = lock(&running.fill.state);
                // An encoded copy is as old as its source, which its asker has just found.
                let fetched = matches!(wanted, Wanted::Request { .. });
                if !state.joinable() || fetched && running.fill.is_outdated(&state, purges) {
                    continue;
                }
                return match state.readers.join() {
                    Some(id) => Found::Join(FillReader::new(running.fill.clone(), id)),
                    None => Found::Full,
                };
            }
        }
        if running.len() >= FILLS_PER_KEY_MAX { Found::Full } else { Found::Nothing { plan } }
    }

    /// The purge up to which the oldest of these fills knows of purges.
    pub(crate) fn oldest_revision(&self) -> Option<u64> {
        self.0.values().flatten().map(|running| running.fill.revision).min()
    }

    /// Adds a fill that just began.
    pub(crate) fn add(&mut self, fill: Arc<Fill>, matching: Matching) {
        self.0.entry(fill.key).or_default().push(Running { fill, matching });
    }

    /// The head of a fill says which requests it is for.
    pub(crate) fn narrow(&mut self, fill: &Arc<Fill>, matching: Matching) {
        let running = self.0.get_mut(&fill.key).into_iter().flatten();
        for running in running.filter(|running| Arc::ptr_eq(&running.fill, fill)) {
            running.matching = matching.clone();
        }
    }

    /// Nobody joins this fill any more. Says nothing if it is not there.
    pub(crate) fn remove(&mut self, fill: &Arc<Fill>) {
        if let MapEntry::Occupied(mut place) = self.0.entry(fill.key) {
            place.get_mut().retain(|running| !Arc::ptr_eq(&running.fill, fill));
            if place.get().is_empty() {
                place.remove();
            }
        }
    }

    /// Nobody joins the fills of this key, and none of them is stored. The caller wakes
    /// their writers without the lock.
    pub(crate) fn revoke(&mut self, key: Key) -> Vec<Waker> {
        let revoked = self.0.remove(&key).unwrap_or_default();
        revoked.iter().filter_map(|running| running.fill.revoke()).collect()
    }
}

impl Matching {
    /// What a new fill is for, given what is known of the resource.
    pub(crate) fn expected(wanted: &Wanted<'_>, plan: Option<VaryPlan>) -> Self {
        match (wanted, plan) {
            (Wanted::Encoding { source, coding }, _) => {
                Self::Encoding(Derived { source: source.body_id, coding: *coding })
            }
            (Wanted::Request { .. }, None) => Self::Unknown,
            (Wanted::Request { headers, rules, .. }, Some(plan)) => {
                let key = plan.secondary(headers, rules);
                Self::Expected(plan, key)
            }
        }
    }

    /// The plan that a response has brought.
    fn plan(&self) -> Option<&VaryPlan> {
        match self {
            Self::Variant(selecting) => Some(selecting.plan()),
            Self::Unknown | Self::Expected(..) | Self::Encoding(_) | Self::Alone => None,
        }
    }

    fn is_for<'a>(&'a self, wanted: &Wanted<'_>, asked: &mut Asked<'a>) -> bool {
        match (self, wanted) {
            (Self::Unknown, Wanted::Request { .. }) => true,
            (Self::Expected(plan, key), Wanted::Request { headers, rules, .. }) => {
                asked.key(plan, || plan.secondary(headers, rules)) == key
            }
            (Self::Variant(selecting), Wanted::Request { headers, rules, .. }) => {
                selecting.matches(headers, rules)
            }
            (Self::Encoding(derived), Wanted::Encoding { source, coding }) => {
                derived.source == source.body_id && derived.coding == *coding
            }
            (Self::Unknown | Self::Expected(..) | Self::Variant(_), Wanted::Encoding { .. })
            | (Self::Encoding(_), Wanted::Request { .. })
            | (Self::Alone, _) => false,
        }
    }
}

/// The secondary key of a request, made once for all fills of the same plan.
#[derive(Default)]
struct Asked<'a>(Option<(&'a VaryPlan, VaryKey)>);

impl<'a> Asked<'a> {
    fn key(&mut self, plan: &'a VaryPlan, make: impl FnOnce() -> VaryKey) -> &VaryKey {
        if self.0.as_ref().is_none_or(|(known, _)| *known != plan) {
            self.0 = None;
        }
        &self.0.get_or_insert_with(|| (plan, make())).1
    }
}
