//! The readers of one fill: where each stands and how to wake it.
//!
//! A waiting reader costs one slot of forty bytes and four bytes in the queue of those to wake.
//! A reader that was cut keeps its slot until it leaves, but counts as gone.
//! A slot is at most once in that queue, even if its reader left and another took the slot, so
//! clients that come and go while the source is silent cannot make the queue grow.

use std::task::Waker;

/// Most readers that one fill takes.
pub(crate) const READERS_MAX: usize = 1 << 20;

/// Index of a reader among the readers of its fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReaderId(u32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Presence {
    #[default]
    Vacant,
    Live,
    Cut,
}

#[derive(Debug, Default)]
struct Slot {
    next: u64,
    /// Where it stood when it was looked at last.
    seen: u64,
    waker: Option<Waker>,
    queued: bool,
    presence: Presence,
}

/// All readers of a fill, by slot.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    waiting: Vec<u32>,
    live: usize,
}

impl Readers {
    /// A new reader at offset 0, unless there are too many.
    pub(crate) fn join(&mut self) -> Option<ReaderId> {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None if self.slots.len() < READERS_MAX => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            }
            None => return None,
        };
        let slot = &mut self.slots[index as usize];
        slot.presence = Presence::Live;
        (slot.next, slot.seen) = (0, 0);
        self.live += 1;
        Some(ReaderId(index))
    }

    /// Forgets a reader; its offset is returned, unless it had been cut.
    pub(crate) fn leave(&mut self, id: ReaderId) -> Option<u64> {
        let slot = &mut self.slots[id.0 as usize];
        let was = std::mem::take(&mut slot.presence);
        assert!(was != Presence::Vacant, "a reader leaves once");
        slot.waker = None;
        self.vacant.push(id.0);
        if was == Presence::Cut {
            return None;
        }
        self.live -= 1;
        Some(slot.next)
    }

    /// Cuts the readers that stand before `limit` and have read less than `least` bytes since the
    /// last look at them; this is the next look. Their offsets are given to `each`, their wakers
    /// to `wake`.
    pub(crate) fn cut(
        &mut self,
        limit: u64,
        least: u64,
        wake: &mut Vec<Waker>,
        mut each: impl FnMut(u64),
    ) -> usize {
        let before = self.live;
        for slot in self.slots.iter_mut().filter(|slot| slot.presence == Presence::Live) {
            let read = slot.next - std::mem::replace(&mut slot.seen, slot.next);
            if slot.next < limit && read < least {
                slot.presence = Presence::Cut;
                self.live -= 1;
                wake.extend(slot.waker.take());
                each(slot.next);
            }
        }
        before - self.live
    }

    /// Whether the reader was cut.
    pub(crate) fn is_cut(&self, id: ReaderId) -> bool {
        self.slots[id.0 as usize].presence == Presence::Cut
    }

    /// Readers that are there and were not cut.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Offset of the byte that the reader wants next.
    pub(crate) fn next(&self, id: ReaderId) -> u64 {
        self.slots[id.0 as usize].next
    }

    /// The reader has everything before `next`.
    pub(crate) fn advance(&mut self, id: ReaderId, next: u64) {
        self.slots[id.0 as usize].next = next;
    }

    /// Offsets of all live readers.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u64> {
        let live = self.slots.iter().filter(|slot| slot.presence == Presence::Live);
        live.map(|slot| slot.next)
    }

    /// The reader waits: `waker` is woken at the next event.
    pub(crate) fn wait(&mut self, id: ReaderId, waker: &Waker) {
        let slot = &mut self.slots[id.0 as usize];
        match &mut slot.waker {
            Some(old) => old.clone_from(waker),
            None => slot.waker = Some(waker.clone()),
        }
        if !slot.queued {
            slot.queued = true;
            self.waiting.push(id.0);
        }
    }

    /// Moves the wakers of all waiting readers to `wake`; the caller wakes them without a lock.
    pub(crate) fn take_waiting(&mut self, wake: &mut Vec<Waker>) {
        for index in self.waiting.drain(..) {
            let slot = &mut self.slots[index as usize];
            slot.queued = false;
            wake.extend(slot.waker.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_that_come_and_go_do_not_grow_the_queue() {
        let mut readers = Readers::default();
        for _ in 0..1000 {
            let id = readers.join().expect("far from the maximum");
            readers.wait(id, Waker::noop());
            readers.leave(id);
        }
        assert_eq!((readers.slots.len(), readers.waiting.len(), readers.live()), (1, 1, 0));
        let id = readers.join().expect("far from the maximum");
        readers.wait(id, Waker::noop());
        let mut wake = Vec::new();
        readers.take_waiting(&mut wake);
        assert_eq!(wake.len(), 1);
        readers.take_waiting(&mut wake);
        assert_eq!(wake.len(), 1);
    }

    #[test]
    fn a_waiting_reader_is_small() {
        assert!(size_of::<Slot>() <= 40);
    }
}
