//! A whole address space cut into spans, each with a value: how nested prefixes become something
//! that can be walked, combined and searched. Neighbours never have the same value.

use crate::address::Bits;

/// A prefix and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network<K> {
    pub(crate) first: K,
    pub(crate) length: u8,
    pub(crate) value: u32,
}

/// The spans, by their first address. The first begins at zero, each ends where the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spans<K> {
    starts: Vec<K>,
    values: Vec<u32>,
}

impl<K: Bits> Spans<K> {
    /// One value for everybody.
    pub(crate) fn uniform(value: u32) -> Self {
        Self { starts: vec![K::ZERO], values: vec![value] }
    }

    /// The longest prefix says it, `otherwise` where there is none.
    pub(crate) fn from_networks(mut networks: Vec<Network<K>>, otherwise: u32) -> Self {
        networks.sort_by_key(|network| (network.first, network.length));
        let mut spans = Self::uniform(otherwise);
        // The prefixes that the walk is inside of, the outermost first: (last address, value).
        let mut inside: Vec<(K, u32)> = Vec::new();
        for network in networks {
            spans.leave(&mut inside, Some(network.first), otherwise);
            spans.push(network.first, network.value);
            inside.push((network.first.last(network.length), network.value));
        }
        spans.leave(&mut inside, None, otherwise);
        spans
    }

    /// Ends the prefixes that end before `next`: what surrounds them goes on.
    fn leave(&mut self, inside: &mut Vec<(K, u32)>, next: Option<K>, otherwise: u32) {
        while let Some(&(last, _)) = inside.last() {
            if next.is_some_and(|next| last >= next) {
                break;
            }
            inside.pop();
            if let Some(after) = last.next() {
                self.push(after, inside.last().map_or(otherwise, |&(_, value)| value));
            }
        }
    }

    /// A span begins; in place of one that began at the same address.
    fn push(&mut self, start: K, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// Both at once: at every address the value made of the two.
    pub(crate) fn zip(&self, other: &Self, mut combine: impl FnMut(u32, u32) -> u32) -> Self {
        let mut spans = Self { starts: Vec::new(), values: Vec::new() };
        let (mut left, mut right) = (0, 0);
        let mut start = K::ZERO;
        loop {
            spans.push(start, combine(self.values[left], other.values[right]));
            let next = (self.starts.get(left + 1), other.starts.get(right + 1));
            start = match next {
                (None, None) => return spans,
                (Some(&next), None) | (None, Some(&next)) => next,
                (Some(&one), Some(&two)) => one.min(two),
            };
            left += usize::from(next.0 == Some(&start));
            right += usize::from(next.1 == Some(&start));
        }
    }

    /// The value at an address.
    pub(crate) fn at(&self, key: K) -> u32 {
        self.values[self.starts.partition_point(|&start| start <= key) - 1]
    }

    /// Every span: first address, last address, value.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, K, u32)> + '_ {
        self.starts.iter().enumerate().map(|(index, &start)| {
            let next = self.starts.get(index + 1).and_then(|next| next.before());
            (start, next.unwrap_or(K::MAX), self.values[index])
        })
    }

    /// How many spans.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The starts and values, for whoever packs them differently.
    pub(crate) fn into_parts(self) -> (Vec<K>, Vec<u32>) {
        (self.starts, self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(first: u32, length: u8, value: u32) -> Network<u32> {
        Network { first: first.first(length), length, value }
    }

    #[test]
    fn equal_neighbours_are_one_span() {
        let spans = Spans::from_networks(
            vec![network(0, 1, 7), network(1 << 31, 2, 7), network(3 << 30, 2, 7)],
            0,
        );
        assert_eq!(spans, Spans::uniform(7));
    }

    #[test]
    fn the_ends_of_the_space_are_spans_like_any() {
        let spans = Spans::from_networks(vec![network(0, 32, 1), network(u32::MAX, 32, 2)], 0);
        let all: Vec<_> = spans.iter().collect();
        assert_eq!(all, [(0, 0, 1), (1, u32::MAX - 1, 0), (u32::MAX, u32::MAX, 2)]);
    }

    proptest! {
        #[test]
        fn spans_say_what_the_longest_prefix_says(
            networks in proptest::collection::vec((any::<u32>(), 0_u8..=32, 1_u32..5), 0..40),
            others in proptest::collection::vec((any::<u32>(), 0_u8..=32, 1_u32..5), 0..20),
            near in proptest::collection::vec((0_usize..40, -2_i64..3), 50),
        ) {
            let networks_of = |list: &[(u32, u8, u32)]| -> Vec<_> {
                list.iter().map(|&(first, length, value)| network(first, length, value)).collect()
            };
            let mut list = networks_of(&networks);
            list.sort_by_key(|network| (network.first, network.length));
            list.dedup_by_key(|network| (network.first, network.length));
            let longest = |key: u32| {
                list.iter()
                    .filter(|network| key.first(network.length) == network.first)
                    .max_by_key(|network| network.length)
                    .map_or(0, |network| network.value)
            };
            let spans = Spans::from_networks(list.clone(), 0);
            let other = Spans::from_networks(networks_of(&others), 0);
            let both = spans.zip(&other, |one, two| one * 10 + two);
            for (index, step) in near {
                let at = networks.get(index).map_or(0, |network| network.0);
                let key = (i64::from(at) + step).clamp(0, i64::from(u32::MAX)) as u32;
                prop_assert_eq!(spans.at(key), longest(key));
                prop_assert_eq!(both.at(key), spans.at(key) * 10 + other.at(key));
            }
            for spans in [spans, both] {
                prop_assert!(spans.values.windows(2).all(|pair| pair[0] != pair[1]));
                prop_assert!(spans.starts.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}
