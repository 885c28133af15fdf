//! Fills: one fetch (or one encoding) that many requests wait for and read from as it comes.
//!
//! A fill belongs to the object, not to the client that began it. Its writer is driven by a
//! detached task; readers come and go. A lock is held for moments only and never across an await;
//! wakers are called after it is released. Lock order: table shard, then fill.

mod budget;
mod gather;
mod reader;
mod readers;
pub(crate) mod slice;
mod state;
mod table;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use http::HeaderMap;
use selvedge_policy::{Coding, Key, SiteRules};

pub(crate) use budget::Budget;
pub use reader::{FillOutcome, FillReader};
use state::{Phase, State};
pub(crate) use table::{Found, Matching, Shard, Table};
pub use writer::{FillWriter, Finished};

use crate::entry::Entry;
use crate::head::Head;
use crate::lock::lock;
use crate::object::Object;
use crate::purge::Purges;

/// What a request wants filled.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A response from the next hop, for a request with these (normalised) fields.
    Request {
        /// Fields of the request, as they are given to `Entry::select` too.
        headers: &'a HeaderMap,
        /// Rules of the site.
        rules: &'a SiteRules,
        /// What the caller found stored for it, and wants something newer than.
        seen: Option<&'a Arc<Object>>,
    },
    /// An encoded copy of a body that is stored or being stored.
    Encoding {
        /// Head of the body to encode.
        source: &'a Head,
        /// How to encode it.
        coding: Coding,
    },
}

impl Wanted<'_> {
    /// What is wanted, if it is stored by now.
    pub(crate) fn arrived(&self, entry: &Entry) -> Option<Arc<Object>> {
        match self {
            Wanted::Request { headers, rules, seen } => entry
                .select(headers, rules)
                .filter(|object| seen.is_none_or(|seen| !Arc::ptr_eq(seen, object)))
                .cloned(),
            Wanted::Encoding { source, coding } => entry.encoded(source, *coding).cloned(),
        }
    }
}

/// What the writer and the readers of a fill share.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) key: Key,
    pub(crate) full_key: Box<[u8]>,
    /// The number of the last purge when it began.
    pub(crate) revision: u64,
    pub(crate) started_mono_ms: u64,
    state: Mutex<State>,
    /// The key was invalidated or purged after this fill began: it must not be stored.
    revoked: AtomicBool,
}

impl Fill {
    /// A fill and its first reader.
    pub(crate) fn begin(
        key: Key,
        full_key: &[u8],
        revision: u64,
        started_mono_ms: u64,
        budget: Arc<Budget>,
    ) -> (Arc<Self>, FillReader) {
        let mut state = State::new(budget);
        let first = state.readers.join().expect("a new fill has room for a reader");
        let fill = Arc::new(Self {
            key,
            full_key: full_key.into(),
            revision,
            started_mono_ms,
            state: Mutex::new(state),
            revoked: AtomicBool::new(false),
        });
        (fill.clone(), FillReader::new(fill, first))
    }

    /// Written and read under the lock of the table shard.
    pub(crate) fn revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Whether a purge since it began covers what it brings, or may cover it: then nobody joins it
    /// any more, and if that is certain it is not stored.
    fn is_outdated(&self, state: &State, purges: &Purges) -> bool {
        let head = match &state.phase {
            Phase::Open(head) | Phase::Finished { head, .. } => Some(head),
            Phase::Waiting | Phase::Answered(_) | Phase::Passed | Phase::Failed(_) => None,
        };
        let tags = head.map(|head| &*head.tags);
        let covered = purges.covers(&self.full_key, tags, self.revision);
        if covered == Some(true) {
            self.revoked.store(true, Ordering::Release);
        }
        covered != Some(false)
    }

    /// It will not be stored.
    fn forsake(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// It will not be stored. Returns the writer's waker: it may want to give up.
    fn revoke(&self) -> Option<Waker> {
        self.forsake();
        lock(&self.state).take_writer()
    }
}
