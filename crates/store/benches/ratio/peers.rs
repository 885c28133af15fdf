//! The policies that ours is compared with, written plainly: each keeps exact bytes, pays nothing
//! for metadata, and may evict any object at any time.

use crate::support::mix;

/// Something that is asked for objects and keeps some of them.
pub(crate) trait Cache {
    /// Asks for an object; true if it was there.
    fn ask(&mut self, id: u32) -> bool;
}

const NONE: u32 = u32::MAX;

/// Doubly linked lists over object numbers; an object is in one of them, or in none.
struct Lists<'a> {
    sizes: &'a [u32],
    next: Vec<u32>,
    before: Vec<u32>,
    list: Vec<u8>,
    /// Per list: newest, oldest, bytes.
    ends: [(u32, u32, u64); 4],
}

/// In no list.
const OUT: u8 = u8::MAX;

impl<'a> Lists<'a> {
    fn new(sizes: &'a [u32]) -> Self {
        let links = vec![NONE; sizes.len()];
        Self {
            sizes,
            next: links.clone(),
            before: links,
            list: vec![OUT; sizes.len()],
            ends: [(NONE, NONE, 0); 4],
        }
    }

    fn at(&self, id: u32) -> u8 {
        self.list[id as usize]
    }

    fn bytes(&self, list: u8) -> u64 {
        self.ends[usize::from(list)].2
    }

    fn oldest(&self, list: u8) -> Option<u32> {
        let oldest = self.ends[usize::from(list)].1;
        (oldest != NONE).then_some(oldest)
    }

    fn oldest_first(&self, list: u8) -> impl Iterator<Item = u32> {
        std::iter::successors(self.oldest(list), |&id| {
            let before = self.before[id as usize];
            (before != NONE).then_some(before)
        })
    }

    fn push(&mut self, list: u8, id: u32) {
        let end = &mut self.ends[usize::from(list)];
        self.next[id as usize] = end.0;
        self.before[id as usize] = NONE;
        match end.0 {
            NONE => end.1 = id,
            newest => self.before[newest as usize] = id,
        }
        end.0 = id;
        end.2 += u64::from(self.sizes[id as usize]);
        self.list[id as usize] = list;
    }

    fn remove(&mut self, id: u32) {
        let end = &mut self.ends[usize::from(self.list[id as usize])];
        let (before, next) = (self.before[id as usize], self.next[id as usize]);
        match before {
            NONE => end.0 = next,
            before => self.next[before as usize] = next,
        }
        match next {
            NONE => end.1 = before,
            next => self.before[next as usize] = before,
        }
        end.2 -= u64::from(self.sizes[id as usize]);
        self.list[id as usize] = OUT;
    }

    fn shift(&mut self, list: u8, id: u32) {
        self.remove(id);
        self.push(list, id);
    }
}

/// First in, first out; or, when what is asked for moves to the front, least recently used.
pub(crate) struct Line<'a> {
    lists: Lists<'a>,
    capacity: u64,
    moves: bool,
}

impl<'a> Line<'a> {
    pub(crate) fn fifo(sizes: &'a [u32], capacity: u64) -> Self {
        Self { lists: Lists::new(sizes), capacity, moves: false }
    }

    pub(crate) fn lru(sizes: &'a [u32], capacity: u64) -> Self {
        Self { lists: Lists::new(sizes), capacity, moves: true }
    }
}

impl Cache for Line<'_> {
    fn ask(&mut self, id: u32) -> bool {
        let hit = self.lists.at(id) != OUT;
        if hit && self.moves {
            self.lists.shift(0, id);
        } else if !hit {
            self.lists.push(0, id);
        }
        while self.lists.bytes(0) > self.capacity {
            let oldest = self.lists.oldest(0).expect("there are bytes");
            self.lists.remove(oldest);
        }
        hit
    }
}

/// S3-FIFO (Yang et al., SOSP 2023): a tenth for newcomers, a ghost as long as the main queue.
pub(crate) struct S3Fifo<'a> {
    lists: Lists<'a>,
    uses: Vec<u8>,
    capacity: u64,
}

const SMALL: u8 = 0;
const MAIN: u8 = 1;
const GHOST: u8 = 2;

impl<'a> S3Fifo<'a> {
    pub(crate) fn new(sizes: &'a [u32], capacity: u64) -> Self {
        Self { lists: Lists::new(sizes), uses: vec![0; sizes.len()], capacity }
    }

    fn evict_small(&mut self) {
        let id = self.lists.oldest(SMALL).expect("it is over its share");
        if self.uses[id as usize] > 1 {
            self.lists.shift(MAIN, id);
        } else {
            self.lists.shift(GHOST, id);
        }
        self.uses[id as usize] = 0;
    }

    fn evict_main(&mut self) {
        while let Some(id) = self.lists.oldest(MAIN) {
            if self.uses[id as usize] == 0 {
                self.lists.remove(id);
                return;
            }
            self.uses[id as usize] -= 1;
            self.lists.shift(MAIN, id);
        }
    }
}

impl Cache for S3Fifo<'_> {
    fn ask(&mut self, id: u32) -> bool {
        let uses = &mut self.uses[id as usize];
        match self.lists.at(id) {
            SMALL | MAIN => {
                *uses = (*uses + 1).min(3);
                return true;
            }
            GHOST => self.lists.shift(MAIN, id),
            _ => self.lists.push(SMALL, id),
        }
        self.uses[id as usize] = 0;
        while self.lists.bytes(SMALL) + self.lists.bytes(MAIN) > self.capacity {
            let over = self.lists.bytes(SMALL) > self.capacity / 10;
            if over || self.lists.bytes(MAIN) == 0 { self.evict_small() } else { self.evict_main() }
        }
        while self.lists.bytes(GHOST) > self.capacity * 9 / 10 {
            let oldest = self.lists.oldest(GHOST).expect("there are bytes");
            self.lists.remove(oldest);
        }
        false
    }
}

/// W-TinyLFU (Einziger et al., 2017) as Caffeine has it: a window of 1 %, a segmented LRU whose
/// protected part is 80 %, a count-min sketch of 4-bit counters (16 an entry) that is halved after
/// ten times as many requests as there are entries. A newcomer leaves the window for the main part
/// if it was asked for more often than the first that must go for it, or (`sums`, as moka has it)
/// than all together that must.
pub(crate) struct WTinyLfu<'a> {
    lists: Lists<'a>,
    counters: Vec<u8>,
    asked: usize,
    period: usize,
    capacity: u64,
    sums: bool,
}

const WINDOW: u8 = 0;
const PROBATION: u8 = 1;
const PROTECTED: u8 = 2;

impl<'a> WTinyLfu<'a> {
    pub(crate) fn new(sizes: &'a [u32], capacity: u64, entries: usize, sums: bool) -> Self {
        let counters = vec![0; (entries * 16).next_power_of_two()];
        Self { lists: Lists::new(sizes), counters, asked: 0, period: entries * 10, capacity, sums }
    }

    fn places(&self, id: u32) -> [usize; 4] {
        let mask = self.counters.len() - 1;
        let spread = |row: u64| mix(u64::from(id) << 2 | row) as usize & mask;
        [spread(0), spread(1), spread(2), spread(3)]
    }

    fn frequency(&self, id: u32) -> u8 {
        self.places(id).map(|place| self.counters[place]).into_iter().min().unwrap_or(0)
    }

    fn count(&mut self, id: u32) {
        for place in self.places(id) {
            self.counters[place] = (self.counters[place] + 1).min(15);
        }
        self.asked += 1;
        if self.asked >= self.period {
            self.asked /= 2;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    fn main_bytes(&self) -> u64 {
        self.lists.bytes(PROBATION) + self.lists.bytes(PROTECTED)
    }

    /// Lets a newcomer that left the window into the main part, or not.
    fn admit(&mut self, candidate: u32) {
        let main = self.capacity - self.capacity / 100;
        let needed = u64::from(self.lists.sizes[candidate as usize]);
        let frequency = u32::from(self.frequency(candidate));
        self.lists.remove(candidate);
        let mut against = 0;
        let mut victims =
            self.lists.oldest_first(PROBATION).chain(self.lists.oldest_first(PROTECTED));
        let mut freed = main.saturating_sub(self.main_bytes());
        while freed < needed {
            let Some(victim) = victims.next() else { return };
            against += u32::from(self.frequency(victim));
            freed += u64::from(self.lists.sizes[victim as usize]);
            if frequency <= against {
                return;
            }
            if !self.sums {
                break;
            }
        }
        drop(victims);
        while self.main_bytes() + needed > main {
            let victim = self.lists.oldest(PROBATION).or_else(|| self.lists.oldest(PROTECTED));
            self.lists.remove(victim.expect("the newcomer fits"));
        }
        self.lists.push(PROBATION, candidate);
    }
}

impl Cache for WTinyLfu<'_> {
    fn ask(&mut self, id: u32) -> bool {
        self.count(id);
        match self.lists.at(id) {
            WINDOW => self.lists.shift(WINDOW, id),
            PROBATION | PROTECTED => {
                self.lists.shift(PROTECTED, id);
                while self.lists.bytes(PROTECTED) > self.capacity / 100 * 99 / 5 * 4 {
                    let oldest = self.lists.oldest(PROTECTED).expect("there are bytes");
                    self.lists.shift(PROBATION, oldest);
                }
            }
            _ => {
                self.lists.push(WINDOW, id);
                while self.lists.bytes(WINDOW) > self.capacity / 100 {
                    let oldest = self.lists.oldest(WINDOW).expect("there are bytes");
                    self.admit(oldest);
                }
                return false;
            }
        }
        true
    }
}
