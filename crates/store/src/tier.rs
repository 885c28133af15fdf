//! The disk tier as the store uses it: entries are written behind the answer, read back when memory
//! no longer has them, and removed where they are removed from memory.
//!
//! ```text
//! update of a key --> waiting (newest entry of each key) --> codec --> disks.put
//! removal of a key -> waiting, written now, on disk: gone from all three in one step
//! ```
//!
//! One mutex protects what waits and what is being recalled. It is taken under the lock of a table
//! shard, never the other way round, and held for moments: encoding and reading happen outside.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use selvedge_policy::{Key, KeyParts, KeySeed};
use tokio::sync::oneshot;

use crate::body::SLICE_BYTES;
use crate::codec;
use crate::counters::Counters;
use crate::disk::{Disks, Found, Kind, Record, Removal};
use crate::entry::Entry;
use crate::lock::lock;
use crate::object::Object;
use crate::slice::{Piece, SliceId};

/// How long a changed entry waits for further changes: a copy encoded for the same client, say.
const MERGE: Duration = Duration::from_millis(50);
/// How long a disk that has no room is waited for.
const ROOM: Duration = Duration::from_secs(5);
/// Most bytes of entries that wait.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// The number of a site on disk: the same in every process.
pub fn site_number(name: &str) -> u32 {
    KeySeed::new(*b"selvedge sites\0\0").hash(name.as_bytes()).0 as u32
}

/// The disk tier.
#[derive(Debug)]
pub(crate) struct Tier {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    disks: Disks,
    counters: Arc<Counters>,
    now_ms: AtomicU64,
    state: Mutex<State>,
    /// Something waits, or it is time to end.
    wake: Condvar,
    /// Nothing waits any more, or nobody will write it.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be written.
    waiting: HashMap<Key, Arc<Entry>>,
    /// Its keys, oldest first; some may be gone from `waiting`.
    order: VecDeque<Key>,
    waiting_bytes: u64,
    /// What is being written now; `None` once it must not be written any more.
    writing: Option<Key>,
    /// What its entry weighs, until the disks have it or it was dropped.
    writing_bytes: u64,
    recalls: HashMap<Key, Recall>,
    closing: bool,
    /// The thread has ended, whyever it did.
    ended: bool,
}

/// A read of an entry that others wait for.
#[derive(Debug, Default)]
struct Recall {
    /// The key was changed meanwhile: what is read is out of date.
    superseded: bool,
    others: Vec<oneshot::Sender<Option<Arc<Entry>>>>,
}

/// What the tier has of a key that is not in memory.
pub(crate) enum Recalling<'a> {
    /// Nothing.
    Nothing,
    /// An entry that has not been written yet.
    Waiting(Arc<Entry>),
    /// Another request reads it.
    Join(oneshot::Receiver<Option<Arc<Entry>>>),
    /// The caller is to read it.
    Lead(Leading<'a>, Found),
}

/// The duty to read an entry. Dropping it unfinished lets one of the others do it.
#[derive(Debug)]
pub(crate) struct Leading<'a> {
    tier: &'a Tier,
    key: Key,
    ended: bool,
}

impl Tier {
    /// A tier over these disks, with its thread.
    pub(crate) fn start(disks: Disks, counters: Arc<Counters>, now_ms: u64) -> Self {
        let shared = Arc::new(Shared {
            disks,
            counters,
            now_ms: AtomicU64::new(now_ms),
            state: Mutex::default(),
            wake: Condvar::new(),
            idle: Condvar::new(),
        });
        let behind = shared.clone();
        let named = std::thread::Builder::new().name("store-behind".to_owned());
        let thread = named.spawn(move || behind.write_all());
        if let Err(error) = &thread {
            // Without the thread everything waits until it overflows, and then is only in memory.
            tracing::error!(%error, "cache: nothing is written to disk: no thread for it");
            lock(&shared.state).ended = true;
        }
        Self { shared, thread: Mutex::new(thread.ok()) }
    }

    /// The disks themselves.
    pub(crate) fn disks(&self) -> &Disks {
        &self.shared.disks
    }

    /// Tells what time it is on the store's time line, in milliseconds.
    pub(crate) fn set_now(&self, now_ms: u64) {
        self.shared.now_ms.fetch_max(now_ms, Relaxed);
        self.shared.disks.set_now(now_ms);
    }

    /// Whether anything of a key is here. Counts no use.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.shared.disks.has(key.0) || lock(&self.shared.state).waiting.contains_key(&key)
    }

    /// Like `has`, for a request that has not found the key in memory: admission to the disks is
    /// for what was asked for before, so they must hear of it.
    pub(crate) fn ask(&self, key: Key) -> bool {
        self.has(key) || self.shared.disks.find(key.0).is_some()
    }

    /// Whether slices of an object under this key are to be written.
    pub(crate) fn admits(&self, key: Key) -> bool {
        self.shared.disks.admits(key.0)
    }

    /// An entry has changed: it is written soon. The caller holds the lock of the table shard.
    pub(crate) fn put(&self, key: Key, entry: &Arc<Entry>) {
        let mut state = lock(&self.shared.state);
        state.supersede(key);
        let was = state.waiting.get(&key).map_or(0, |old| old.weight());
        let sum = state.waiting_bytes - was + entry.weight();
        if sum > WAITING_BYTES_MAX && !state.waiting.is_empty() {
            // An older form of it on disk must not come back after this one.
            Counters::add(&self.shared.counters.behind_overflows);
            drop(self.remove_locked(&mut state, key));
            return;
        }
        state.waiting_bytes = sum;
        if state.waiting.insert(key, entry.clone()).is_none() {
            state.order.push_back(key);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Removes what is here of a key, from now on for everybody; the future tells when it is gone
    /// for later processes too. The caller holds the lock of the table shard.
    pub(crate) fn remove(&self, key: Key) -> Removal {
        let mut state = lock(&self.shared.state);
        state.supersede(key);
        self.remove_locked(&mut state, key)
    }

    fn remove_locked(&self, state: &mut MutexGuard<'_, State>, key: Key) -> Removal {
        if let Some(old) = state.waiting.remove(&key) {
            state.waiting_bytes -= old.weight();
        }
        if state.writing == Some(key) {
            state.writing = None;
        }
        // Under the lock, so that nothing can be put between this and the above.
        self.shared.disks.remove_soon(key.0)
    }

    /// What is here of a key that is not in memory. The caller holds the lock of the table shard.
    pub(crate) fn begin_recall(&self, key: Key) -> Recalling<'_> {
        let mut state = lock(&self.shared.state);
        if let Some(entry) = state.waiting.get(&key) {
            return Recalling::Waiting(entry.clone());
        }
        if let Some(recall) = state.recalls.get_mut(&key) {
            if !recall.superseded {
                let (sender, receiver) = oneshot::channel();
                recall.others.push(sender);
                return Recalling::Join(receiver);
            }
            return Recalling::Nothing;
        }
        let Some(found) = self.shared.disks.find(key.0) else { return Recalling::Nothing };
        state.recalls.insert(key, Recall::default());
        Recalling::Lead(Leading { tier: self, key, ended: false }, found)
    }

    /// Stores a piece of a slice.
    pub(crate) fn put_slice(&self, piece: &Piece, site: u32, revision: u64) {
        let time_ms = self.shared.now_ms.load(Relaxed);
        self.shared.put_slice(piece, site, revision, time_ms);
    }

    /// Whether every slice of a body is on disk.
    pub(crate) fn has_all_slices(&self, object: &Object) -> bool {
        slices(object).all(|id| self.shared.disks.has(id.key().0))
    }

    /// Bytes that are to be written and are in no file yet (see `Disks::unwritten_bytes`).
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        let state = lock(&self.shared.state);
        let here = state.waiting_bytes + state.writing_bytes;
        drop(state);
        here + self.shared.disks.unwritten_bytes()
    }

    /// Writes all that waits and ends; blocks the thread.
    pub(crate) fn close(&self) {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        self.shared.disks.close();
    }

    /// Waits until all that was kept before is on disk; blocks the thread.
    pub(crate) fn flush(&self) {
        let mut state = lock(&self.shared.state);
        while !state.ended && (!state.waiting.is_empty() || state.writing.is_some()) {
            state = wait(&self.shared.idle, state, None);
        }
        drop(state);
        self.shared.disks.flush();
    }
}

impl State {
    fn supersede(&mut self, key: Key) {
        if let Some(recall) = self.recalls.get_mut(&key) {
            recall.superseded = true;
        }
    }
}

impl Leading<'_> {
    /// The read has ended. `put` is called if the key was not changed meanwhile, and gives what the
    /// others get too; else they and the caller get what `current` says. The caller holds the lock
    /// of the table shard.
    pub(crate) fn end(mut self, put: impl FnOnce(bool) -> Option<Arc<Entry>>) -> Answer {
        self.ended = true;
        let recall = lock(&self.tier.shared.state).recalls.remove(&self.key).unwrap_or_default();
        Answer { entry: put(!recall.superseded), others: recall.others }
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let recall = lock(&self.tier.shared.state).recalls.remove(&self.key);
            // Others learn of it by the end of their channels, without the lock.
            drop(recall);
        }
    }
}

/// The end of a recall, for all who wait for it.
pub(crate) struct Answer {
    entry: Option<Arc<Entry>>,
    others: Vec<oneshot::Sender<Option<Arc<Entry>>>>,
}

impl Answer {
    /// Tells the others; to be called without a lock.
    pub(crate) fn tell(self) -> Option<Arc<Entry>> {
        for other in self.others {
            let _ = other.send(self.entry.clone());
        }
        self.entry
    }
}

/// Has nobody wait for a thread that has ended.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).ended = true;
        self.0.idle.notify_all();
    }
}

impl Shared {
    /// The life of the thread.
    fn write_all(&self) {
        let _ending = Ending(self);
        let mut state = lock(&self.state);
        loop {
            while state.order.is_empty() && !state.closing {
                state = wait(&self.wake, state, None);
            }
            if state.order.is_empty() {
                return;
            }
            if !state.closing {
                state = wait(&self.wake, state, Some(MERGE));
            }
            for key in mem::take(&mut state.order) {
                let Some(entry) = state.waiting.remove(&key) else { continue };
                state.waiting_bytes -= entry.weight();
                if !self.disks.admits(key.0) {
                    // No older form is there either, or it would be let on.
                    continue;
                }
                (state.writing, state.writing_bytes) = (Some(key), entry.weight());
                drop(state);
                let record = self.record(key, &entry);
                state = lock(&self.state);
                match record {
                    // What was removed meanwhile is not written.
                    Some(record) if state.writing == Some(key) => self.disks.put(record),
                    Some(_) => {}
                    None if state.writing == Some(key) => drop(self.disks.remove_soon(key.0)),
                    None => {}
                }
                (state.writing, state.writing_bytes) = (None, 0);
            }
            // Whatever waits is in `order` too, so the last pass over it ends here.
            if state.waiting.is_empty() {
                self.idle.notify_all();
            }
        }
    }

    /// The record of an entry; its slices are written on the way.
    fn record(&self, key: Key, entry: &Entry) -> Option<Record> {
        let encoded = codec::encode(entry)?;
        let site = KeyParts::read(entry.full_key()).map_or(0, |parts| site_number(parts.site));
        let objects = || entry.variants().iter().chain(entry.encoded_copies());
        let newest = objects().map(|object| object.meta.received_mono_ms()).max();
        let time_ms = self.now_ms.load(Relaxed).max(newest.unwrap_or(0));
        for object in &encoded.apart {
            self.put_body(object, site, time_ms);
        }
        self.disks.wait_for_room(key.0, ROOM);
        Some(Record {
            key: key.0,
            kind: Kind::Entry,
            site,
            revision: objects().map(|object| object.revision).min().unwrap_or(0),
            time_ms,
            payload: encoded.payload,
        })
    }

    fn put_body(&self, object: &Object, site: u32, time_ms: u64) {
        for (id, bytes) in slices(object).zip(object.body.all()) {
            // A body never changes: what is there is right, and stays when only the head is new.
            if !self.disks.has(id.key().0)
                && let Some(piece) = Piece::new(id, 0, bytes)
            {
                // A large body must not push what else waits for the disk out of its queue. One
                // that hangs is waited for only so long: then it drops what it cannot take.
                self.disks.wait_for_room(id.key().0, ROOM);
                self.put_slice(&piece, site, object.revision, time_ms);
            }
        }
    }

    fn put_slice(&self, piece: &Piece, site: u32, revision: u64, time_ms: u64) {
        let (key, payload) = (piece.id().key().0, piece.payload());
        self.disks.put(Record { key, kind: Kind::Slice, site, revision, time_ms, payload });
    }
}

/// The slices of a body, in order.
fn slices(object: &Object) -> impl Iterator<Item = SliceId> + use<> {
    let body = object.body_id;
    let count = object.body.len().div_ceil(SLICE_BYTES as u64);
    (0..count).map(move |index| SliceId { body, index })
}

/// Waits for the condition, for so long at most. A lock that a panic has poisoned holds what it
/// held: see `lock.rs`.
fn wait<'a>(
    wake: &Condvar,
    state: MutexGuard<'a, State>,
    limit: Option<Duration>,
) -> MutexGuard<'a, State> {
    match limit {
        Some(limit) => match wake.wait_timeout(state, limit) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        },
        None => wake.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
    }
}

#[cfg(test)]
#[path = "tier_tests.rs"]
mod tests;
