//! From a prefix to a ranking, in a few steps, with the widest prefix for which that holds.
//!
//! Ranges of addresses with the same ranking lie sorted; an index over the leading bits says where
//! to search. Neighbouring prefixes of equal result are one range, and the scope of an answer is
//! the widest aligned block around the address that stays inside its range: it must differ from the
//! last address before and from the first one after. So no block is ever cut finer than it must be,
//! and two scopes never overlap (RFC 7871 7.2.1 and 7.3.1).
//!
//! **Too little known of a client.** When the block is smaller than the prefix that the resolver
//! told, the prefix as a whole gets the ranking that holds for the most of its addresses, and the
//! scope is the length from which on every block inside is unambiguous: longer than what was told,
//! which RFC 7871 7.2.1 foresees ("not specific enough"); the resolver keeps such an answer for the
//! prefix that it told. Prefix 0 means that the client asked not to be looked at: it gets the
//! ranking of nobody in particular, and scope 0.
//!
//! IPv4 carried in IPv6 is looked up as IPv4 ([`crate::address`]), so no IPv6 scope may reach over
//! a carrier: each is a range of its own that equals no other.

use crate::address::{Bits, CARRIERS, Client, Key};
use crate::spans::{Network, Spans};

/// What a table says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which ranking, by its place in the list that came with the table.
    pub ranking: u16,
    /// For how many bits of the client's address this holds, what carries it included.
    pub scope: u8,
}

/// A table for both families.
#[derive(Debug)]
pub struct Table {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    /// For whom nothing is known.
    nobody: u16,
    /// One ranking for the whole world: no scope need be told.
    uniform: bool,
}

impl Table {
    /// The same ranking for everybody.
    pub fn uniform(ranking: u16) -> Self {
        let value = u32::from(ranking);
        Self::new(Spans::uniform(value), Spans::uniform(value), ranking)
    }

    /// Packs spans whose values are rankings; `nobody` is for those of whom nothing is known.
    pub(crate) fn new(v4: Spans<u32>, v6: Spans<u128>, nobody: u16) -> Self {
        let all = u32::from(nobody);
        let uniform = v4 == Spans::uniform(all) && v6 == Spans::uniform(all);
        let carriers = CARRIERS.map(|(first, length)| Network { first, length, value: CARRIED });
        let carriers = Spans::from_networks(carriers.to_vec(), 0);
        let native =
            v6.zip(&carriers, |value, carried| if carried == CARRIED { CARRIED } else { value });
        // All that is given out lies in 2000::/4 so far: the index covers that, and the few ranges
        // beside it are searched without.
        Self {
            v4: Ranges::new(v4, 0, u32::WIDTH),
            v6: Ranges::new(native, 2 << 124, 124),
            nobody,
            uniform,
        }
    }

    /// The ranking of a client, and for whom else it holds.
    #[inline]
    pub fn find(&self, client: &Client) -> Found {
        if self.uniform || client.known + client.carrier == 0 {
            return Found { ranking: self.nobody, scope: 0 };
        }
        let found = match client.key {
            Key::V4(key) => self.v4.find(key, client.known, self.nobody),
            Key::V6(key) => self.v6.find(key, client.known, self.nobody),
        };
        Found { scope: found.scope + client.carrier, ..found }
    }

    /// How many ranges there are, of both families.
    pub fn ranges(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }

    /// The bytes that the table holds on to.
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes()
    }

    /// How many IPv4 addresses each of so many rankings is for: who weighs how much, until load
    /// says better.
    pub(crate) fn weights(&self, rankings: usize) -> Vec<f64> {
        let mut weights = vec![0.0; rankings];
        for (index, &start) in self.v4.starts.iter().enumerate() {
            let last = self.v4.last(index);
            if let Some(weight) = weights.get_mut(usize::from(self.v4.rankings[index])) {
                *weight += start.measure(last);
            }
        }
        weights
    }
}

/// The value of what is not looked up here; as a ranking, [`u16::MAX`].
const CARRIED: u32 = u16::MAX as u32;

/// Rankings that a table can tell apart.
pub(crate) const RANKINGS_MAX: usize = u16::MAX as usize;

/// Ranges that are looked at when a prefix holds more than one: a resolver that tells a /8 has not
/// earned a walk over a continent.
const WALK_MAX: usize = 256;

/// Different rankings that are counted in such a prefix.
const KINDS_MAX: usize = 8;

/// Bits of the index at most: a mebibyte. It has a slot for every four ranges, up to that.
const INDEX_BITS_MAX: u8 = 18;

/// The ranges of one family.
#[derive(Debug)]
struct Ranges<K> {
    starts: Vec<K>,
    rankings: Vec<u16>,
    /// For each slot, the range that holds its first address; one more for the end.
    index: Vec<u32>,
    /// Where the first slot begins.
    base: K,
    /// A slot is two to the power of this many addresses.
    shift: u8,
}

impl<K: Bits> Ranges<K> {
    /// `base` and `window_bits` say which part of the space the index is for.
    fn new(spans: Spans<K>, base: K, window_bits: u8) -> Self {
        let (starts, values) = spans.into_parts();
        let rankings = values.into_iter().map(|value| value as u16).collect();
        let wanted = (usize::BITS - starts.len().leading_zeros()) as u8;
        let shift = window_bits - wanted.saturating_sub(2).clamp(1, INDEX_BITS_MAX);
        let mut ranges = Self { starts, rankings, index: Vec::new(), base, shift };
        ranges.index = ranges.build_index(1 << (window_bits - shift));
        ranges
    }

    fn build_index(&self, slots: usize) -> Vec<u32> {
        // Count what begins in each slot, then sum up: a range that begins inside a slot holds the
        // first address of the next one.
        let before = self.starts.partition_point(|&start| start < self.base);
        let mut index = vec![0_u32; slots + 1];
        let mut at_base = false;
        for &start in &self.starts[before..] {
            at_base |= start == self.base;
            match start.slot(self.base, self.shift) {
                Some(slot) if slot < slots => {
                    // One that begins exactly with its slot holds that slot's first address.
                    let aligned = start.first(K::WIDTH - self.shift) == start;
                    index[slot + usize::from(!aligned)] += 1;
                }
                _ => break,
            }
        }
        let mut sum = before as u32;
        for entry in &mut index {
            sum += *entry;
            *entry = sum.saturating_sub(1);
        }
        debug_assert!(at_base || before > 0, "the first range begins at zero");
        index
    }

    #[inline]
    fn find(&self, key: K, known: u8, nobody: u16) -> Found {
        let at = self.locate(key);
        let scope = self.scope(at, key);
        if scope <= known && self.rankings[at] != u16::MAX {
            return Found { ranking: self.rankings[at], scope };
        }
        self.most(at, key.last(known), known, nobody)
    }

    /// The range that holds an address.
    #[inline]
    fn locate(&self, key: K) -> usize {
        let slot = key.slot(self.base, self.shift).filter(|&slot| slot + 1 < self.index.len());
        let (from, to) = match slot {
            Some(slot) => (self.index[slot] as usize, self.index[slot + 1] as usize + 1),
            None => (0, self.starts.len()),
        };
        from + self.starts[from..to].partition_point(|&start| start <= key).max(1) - 1
    }

    /// The length of the widest block around an address that lies inside its range.
    #[inline]
    fn scope(&self, at: usize, key: K) -> u8 {
        let below = self.starts[at].before().map_or(0, |before| key.shared(before) + 1);
        let above = self.starts.get(at + 1).map_or(0, |&next| key.shared(next) + 1);
        below.max(above)
    }

    fn last(&self, at: usize) -> K {
        self.starts.get(at + 1).and_then(|next| next.before()).unwrap_or(K::MAX)
    }

    /// The ranking that holds for the most of a prefix that has several, and from which length on
    /// there is no doubt.
    #[cold]
    fn most(&self, first: usize, last: K, known: u8, nobody: u16) -> Found {
        let mut measures = [(0_u16, 0.0_f64); KINDS_MAX];
        let mut used = 0;
        let mut scope = known;
        for at in first..self.starts.len().min(first + WALK_MAX) {
            if self.starts[at] > last {
                break;
            }
            // A range goes out of the prefix only at the prefix's ends: the first is cut by where
            // it is known to begin, which is inside or before.
            if at > first {
                scope = scope.max(K::WIDTH - self.starts[at].trailing_zeros());
            }
            let begin = if at > first { self.starts[at] } else { last.first(known) };
            let measure = begin.measure(self.last(at).min(last));
            let ranking = self.rankings[at];
            if ranking == u16::MAX {
                continue;
            }
            match measures[..used].iter_mut().find(|entry| entry.0 == ranking) {
                Some(entry) => entry.1 += measure,
                None if used < KINDS_MAX => {
                    measures[used] = (ranking, measure);
                    used += 1;
                }
                None => {}
            }
        }
        let mut best = (nobody, 0.0);
        for &entry in &measures[..used] {
            if entry.1 > best.1 {
                best = entry;
            }
        }
        Found { ranking: best.0, scope }
    }

    fn memory_bytes(&self) -> usize {
        self.starts.len() * size_of::<K>() + self.rankings.len() * 2 + self.index.len() * 4
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
