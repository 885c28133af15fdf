//! What waits for the writer of a disk.
//!
//! Removals and their like go first, in a lane of their own. So a removal also takes back what is
//! queued under its key; what the writer has in hand already is told by the keys it left here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::index::{Index, Place};
use super::record::{Kind, Record};
use super::settings::Quota;
use super::snapshot::Head;
use crate::lock::lock;

/// Something for the writer to do.
#[derive(Debug)]
pub(crate) enum Op {
    /// Store a record; puts are numbered.
    Put(Record, u64),
    /// Write that a key was removed. The place is where the index had it.
    Remove { key: u128, place: Option<Place>, done: Option<oneshot::Sender<bool>> },
    /// Write all there is.
    Flush(Option<oneshot::Sender<bool>>),
    /// Try again to write, if that failed before.
    Retry,
    /// Write all there is and say where the log stands.
    Position(oneshot::Sender<Option<Head>>),
    /// These quotas hold from now on.
    Quotas(Vec<Quota>),
}

/// Most puts that are taken at once, in bytes and in number.
const BATCH: (usize, usize) = (4 << 20, 1024);

/// What a queued record costs besides its payload.
const PUT_BYTES: usize = 256;

#[derive(Debug, Default)]
struct State {
    urgent: VecDeque<Op>,
    normal: VecDeque<Op>,
    bytes: usize,
    in_hand: Vec<InHand>,
    in_hand_bytes: usize,
    /// Slices that are queued or in hand, which the index does not know yet.
    slices: HashMap<u128, Slice>,
    puts: u64,
    /// Keys of removals that are queued or in hand: not on disk yet.
    removing: Vec<u128>,
    /// Keys that were removed since the work in hand was taken: what is in hand of them is older.
    removed_since: Vec<u128>,
    /// Pieces of work that take records out of the index while they still are on disk, such that a
    /// restart would find them.
    dropping: u32,
    ticked: bool,
    stopped: bool,
    cut: bool,
}

/// A record that the writer has taken.
#[derive(Debug)]
struct InHand {
    key: u128,
    revision: u64,
    /// Which put it came by.
    put: u64,
}

/// A slice that is on its way, by which put.
#[derive(Debug)]
struct Slice {
    put: u64,
    payload: Vec<Bytes>,
}

/// The queue of one writer.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    /// Bytes have left the queue, or it was stopped.
    room: Condvar,
    bytes_max: usize,
}

impl Queue {
    /// An empty queue for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (wake, room) = (Condvar::new(), Condvar::new());
        Self { state: Mutex::default(), wake, room, bytes_max }
    }

    /// Queues a record; false when too much waits.
    pub(crate) fn put(&self, record: Record) -> bool {
        let bytes = record.payload_bytes() + PUT_BYTES;
        let mut state = lock(&self.state);
        if state.stopped || (state.bytes > 0 && state.bytes + bytes > self.bytes_max) {
            return false;
        }
        state.bytes += bytes;
        state.puts += 1;
        let put = state.puts;
        if record.kind == Kind::Slice {
            state.slices.insert(record.key, Slice { put, payload: record.payload.clone() });
        }
        state.normal.push_back(Op::Put(record, put));
        self.wake.notify_one();
        true
    }

    /// Waits until half of the queue is free, for so long at most; blocks the thread.
    pub(crate) fn wait_for_room(&self, limit: Duration) {
        let is_full = |state: &mut State| state.bytes > self.bytes_max / 2 && !state.stopped;
        // Without room the next put says so.
        drop(self.room.wait_timeout_while(lock(&self.state), limit, is_full));
    }

    /// Removes a key from the index and what is queued under it; what the writer may know is
    /// queued for it to remove. `None` when there was nothing to write.
    pub(crate) fn remove(&self, index: &Index, key: u128) -> Option<oneshot::Receiver<bool>> {
        let mut state = lock(&self.state);
        let mut freed = 0;
        state.normal.retain(|op| match op {
            Op::Put(record, _) if record.key == key => {
                freed += record.payload_bytes() + PUT_BYTES;
                false
            }
            _ => true,
        });
        state.bytes -= freed;
        state.slices.remove(&key);
        if freed > 0 {
            self.room.notify_all();
        }
        let place = index.remove(key);
        let may_be_there = state.dropping > 0
            || state.removing.contains(&key)
            || state.in_hand.iter().any(|record| record.key == key);
        if state.stopped || (place.is_none() && !may_be_there) {
            return None;
        }
        let (done, removed) = oneshot::channel();
        state.urgent.push_back(Op::Remove { key, place, done: Some(done) });
        state.removing.push(key);
        state.removed_since.push(key);
        self.wake.notify_one();
        Some(removed)
    }

    /// Lets a record that is in hand be found, unless its key was removed since it was taken:
    /// then nobody may see it, not even for the moment until the removal is written.
    pub(crate) fn unless_removed<R>(&self, key: u128, put: impl FnOnce() -> R) -> Option<R> {
        let state = lock(&self.state);
        (!state.removed_since.contains(&key)).then(put)
    }

    /// From here on the index may lack what a restart would find: every removal is written.
    pub(crate) fn begin_dropping(&self) {
        lock(&self.state).dropping += 1;
    }

    /// What was dropped has gone from the disk too, or that is written.
    pub(crate) fn end_dropping(&self) {
        lock(&self.state).dropping -= 1;
    }

    /// Queues something that goes before all records.
    pub(crate) fn push_urgent(&self, op: Op) {
        self.push(op, true);
    }

    /// Queues something that comes after all records that were put before.
    pub(crate) fn push_normal(&self, op: Op) {
        self.push(op, false);
    }

    fn push(&self, op: Op, urgent: bool) {
        let mut state = lock(&self.state);
        if !state.stopped {
            if urgent { &mut state.urgent } else { &mut state.normal }.push_back(op);
            self.wake.notify_one();
        }
    }

    /// Has the writer write what it gathered.
    pub(crate) fn tick(&self) {
        lock(&self.state).ticked = true;
        self.wake.notify_one();
    }

    /// Ends the writer when it has done what is queued, or (`at_once`) as soon as it can.
    pub(crate) fn stop(&self, at_once: bool) {
        let mut state = lock(&self.state);
        state.stopped = true;
        if at_once {
            state.cut = true;
            state.urgent.clear();
            state.normal.clear();
            state.slices.clear();
        }
        self.wake.notify_one();
        self.room.notify_all();
    }

    /// Whether the writer shall leave things as they are.
    pub(crate) fn is_cut(&self) -> bool {
        lock(&self.state).cut
    }

    /// Waits for something to do. `None` when the writer shall end.
    pub(crate) fn take(&self) -> Option<Vec<Op>> {
        let mut state = lock(&self.state);
        for done in std::mem::take(&mut state.in_hand) {
            if state.slices.get(&done.key).is_some_and(|slice| slice.put == done.put) {
                state.slices.remove(&done.key);
            }
        }
        state.in_hand_bytes = 0;
        state.removed_since.clear();
        let queued = |op: &Op| match op {
            Op::Remove { key, .. } => Some(*key),
            _ => None,
        };
        state.removing = state.urgent.iter().filter_map(queued).collect();
        while state.urgent.is_empty() && state.normal.is_empty() && !state.ticked {
            if state.stopped {
                return None;
            }
            state = self.wait(state);
        }
        let mut ops: Vec<Op> = state.urgent.drain(..).collect();
        let (mut bytes, mut puts) = (0, 0);
        while bytes < BATCH.0 && puts < BATCH.1 {
            let Some(op) = state.normal.pop_front() else { break };
            if matches!(op, Op::Flush(_)) {
                ops.push(op);
                break;
            }
            if let Op::Put(record, put) = &op {
                let weight = record.payload_bytes() + PUT_BYTES;
                (bytes, puts) = (bytes + weight, puts + 1);
                let (key, revision, put) = (record.key, record.revision, *put);
                state.in_hand.push(InHand { key, revision, put });
            }
            ops.push(op);
        }
        state.bytes -= bytes;
        state.in_hand_bytes = bytes;
        self.room.notify_all();
        if std::mem::take(&mut state.ticked) {
            ops.push(Op::Flush(None));
        }
        Some(ops)
    }

    /// All that was in hand has been worked off. A flush says so before it is answered, and is the
    /// last of what is taken at once: who waited for it finds nothing unwritten that came before.
    pub(crate) fn hand_is_empty(&self) {
        lock(&self.state).in_hand_bytes = 0;
    }

    /// What must not wait for a long piece of work.
    pub(crate) fn take_urgent(&self) -> Vec<Op> {
        lock(&self.state).urgent.drain(..).collect()
    }

    /// The payload of a slice that is on its way to the disk.
    pub(crate) fn slice(&self, key: u128) -> Option<Vec<Bytes>> {
        lock(&self.state).slices.get(&key).map(|slice| slice.payload.clone())
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Bytes that wait or are in hand: that may not be in the buffer yet.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        let state = lock(&self.state);
        state.bytes + state.in_hand_bytes
    }

    /// The lowest purge revision of what waits or is in hand.
    pub(crate) fn revision_min(&self) -> Option<u64> {
        let state = lock(&self.state);
        let waiting = state.normal.iter().filter_map(|op| match op {
            Op::Put(record, _) => Some(record.revision),
            _ => None,
        });
        waiting.chain(state.in_hand.iter().map(|record| record.revision)).min()
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(key: u128, text: &'static str) -> Record {
        let payload = vec![Bytes::from_static(text.as_bytes())];
        Record { key, kind: Kind::Slice, site: 1, revision: 1, time_ms: 1, payload }
    }

    /// From the put on, until the writer has had time to put it into the index.
    #[test]
    fn a_slice_is_found_while_it_is_on_its_way() {
        let (queue, index) = (Queue::new(1 << 20), Index::new());
        let found = |key| queue.slice(key).map(|payload| payload.concat());
        assert!(queue.put(slice(7, "old")) && queue.put(slice(8, "other")));
        assert_eq!(found(7).as_deref(), Some(&b"old"[..]));
        assert_eq!(queue.take().map(|ops| ops.len()), Some(2));
        assert!(queue.put(slice(7, "new")));
        assert_eq!(found(8).as_deref(), Some(&b"other"[..]), "in hand");
        assert_eq!(queue.take().map(|ops| ops.len()), Some(1));
        assert_eq!((found(7).as_deref(), found(8)), (Some(&b"new"[..]), None));
        assert!(queue.remove(&index, 7).is_some());
        assert_eq!(found(7), None);
    }

    #[test]
    fn a_flush_ends_what_is_in_hand() {
        let queue = Queue::new(1 << 20);
        assert!(queue.put(slice(7, "one")));
        queue.push_normal(Op::Flush(None));
        assert!(queue.put(slice(8, "other")));
        assert_eq!(
            queue.take().map(|ops| ops.len()),
            Some(2),
            "what was put before, and the flush"
        );
        assert_eq!(queue.unwritten_bytes(), 2 * PUT_BYTES + 3 + 5);
        queue.hand_is_empty();
        assert_eq!(queue.unwritten_bytes(), PUT_BYTES + 5, "what was put after it");
    }

    /// Else its caller would be told that it is on disk before the first one is.
    #[test]
    fn a_second_removal_of_a_key_waits_like_the_first() {
        let (queue, index) = (Queue::new(1 << 20), Index::new());
        index.put(7, Place { segment: 1, unit: 1, units: 1 });
        assert!(queue.remove(&index, 7).is_some());
        assert!(queue.remove(&index, 7).is_some(), "the first is queued");
        assert_eq!(queue.take().map(|ops| ops.len()), Some(2));
        assert!(queue.remove(&index, 7).is_some(), "the first is in hand");
        assert!(queue.remove(&index, 8).is_none(), "nothing was there");
        queue.take();
        queue.tick();
        queue.take();
        assert!(queue.remove(&index, 7).is_none(), "all are done");
    }

    #[test]
    fn who_waits_for_room_goes_on_when_bytes_leave_or_the_queue_ends() {
        let (limit, index) = (Duration::from_secs(600), Index::new());
        let free: [&dyn Fn(&Queue); 3] =
            [&|queue| drop(queue.take()), &|queue| drop(queue.remove(&index, 7)), &|queue| {
                queue.stop(false);
            }];
        for free in free {
            let queue = Queue::new(500);
            queue.wait_for_room(limit);
            assert!(queue.put(slice(7, "one")) && !queue.put(slice(8, "two")));
            queue.wait_for_room(Duration::from_millis(1));
            assert!(!queue.put(slice(8, "two")), "only so long is waited");
            let (begun, begins) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    begun.send(()).expect("the test waits");
                    queue.wait_for_room(limit);
                });
                begins.recv().expect("the thread begins");
                free(&queue);
            });
        }
    }
}
