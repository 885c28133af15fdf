//! Reading back from disk what memory no longer has.
//!
//! A recall ends in memory: from there on the entry is like any other, and everything that changes
//! it finds it there. One request reads, all others for the same key wait for it. What a recall
//! brings is dropped if the key was changed while it was read.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};

use selvedge_policy::Key;

use crate::codec;
use crate::counters::Counters;
use crate::disk::{Found, ReadError};
use crate::entry::Entry;
use crate::fill::Shard;
use crate::object::Object;
use crate::store::Store;
use crate::tier::{Recalling, Tier};

/// How often a request waits for another one's recall that is then broken off.
const JOINS_MAX: usize = 3;

impl Store {
    /// Whether there may be something to recall for a request whose key memory does not have.
    /// Never waits.
    pub fn may_recall(&self, key: Key) -> bool {
        self.tier.as_ref().is_some_and(|tier| tier.ask(key))
    }

    /// What is stored on disk under a key, brought back into memory. For a key that `lookup` did
    /// not find.
    pub async fn recall(&self, key: Key, full_key: &[u8]) -> Option<Arc<Entry>> {
        let tier = self.tier.as_ref()?;
        for _ in 0..JOINS_MAX {
            let receiver = match self.begin_recall(tier, key, full_key) {
                Err(known) => return known,
                Ok(Recalling::Lead(leading, found)) => {
                    let entry = self.read(tier, key, full_key, &found).await;
                    let shard = self.shard(key);
                    let answer = leading.end(|current| {
                        let entry = entry.filter(|_| current).map(Entry::sealed);
                        self.keep_recalled(&shard, key, full_key, entry)
                    });
                    drop(shard);
                    return answer.tell();
                }
                Ok(Recalling::Join(receiver)) => receiver,
                Ok(Recalling::Nothing | Recalling::Waiting(_)) => return None,
            };
            if let Ok(answer) = receiver.await {
                return answer.filter(|entry| entry.full_key() == full_key);
            }
        }
        None
    }

    /// What is to be done, or what is known already.
    fn begin_recall<'a>(
        &self,
        tier: &'a Tier,
        key: Key,
        full_key: &[u8],
    ) -> Result<Recalling<'a>, Option<Arc<Entry>>> {
        let shard = self.shard(key);
        if let Some(entry) = self.entry_under(&shard, key, full_key) {
            return Err(Some(entry));
        }
        match tier.begin_recall(key) {
            Recalling::Waiting(entry) => {
                Err(self.keep_recalled(&shard, key, full_key, Some(entry)))
            }
            Recalling::Nothing => Err(None),
            recalling => Ok(recalling),
        }
    }

    /// Puts an entry into memory. Memory may have no room for it; it answers those who have asked
    /// all the same.
    fn keep_recalled(
        &self,
        shard: &MutexGuard<'_, Shard>,
        key: Key,
        full_key: &[u8],
        entry: Option<Arc<Entry>>,
    ) -> Option<Arc<Entry>> {
        if let Some(entry) = &entry {
            self.memory.put(key, entry.clone());
        }
        let entry = entry.filter(|entry| entry.full_key() == full_key);
        self.entry_under(shard, key, full_key).or_else(|| self.clean(entry?))
    }

    async fn read(&self, tier: &Tier, key: Key, full_key: &[u8], found: &Found) -> Option<Entry> {
        let bytes = match found.read(0..u32::MAX).bytes().await {
            Ok(bytes) => bytes,
            Err(error) => {
                Counters::add(&self.counters().recalls_failed);
                let level_is_debug = matches!(error, ReadError::Missing | ReadError::Busy);
                if !level_is_debug {
                    tracing::warn!(%error, "cache: an entry could not be read from disk");
                }
                return None;
            }
        };
        let Some(mut entry) = codec::decode(&bytes) else {
            // Written by another version, or by nobody.
            Counters::add(&self.counters().recalls_failed);
            let _shard = self.shard(key);
            drop(tier.remove(key));
            return None;
        };
        if entry.full_key() != full_key {
            return None;
        }
        entry.retain(|object| is_complete(tier, object));
        if entry.is_empty() {
            return None;
        }
        self.counters().recalls.fetch_add(1, Relaxed);
        Some(entry)
    }
}

/// Whether all of an object can be had. What of a body is missing can be fetched again only if it
/// is known to be the same body (RFC 9111 3.4), and if it was not made here.
fn is_complete(tier: &Tier, object: &Object) -> bool {
    object.body.sliced().is_none() || object.can_be_completed() || tier.has_all_slices(object)
}
