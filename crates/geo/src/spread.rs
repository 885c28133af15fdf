//! Which nodes of a region a site is on, and which of those an answer names.
//!
//! Rendezvous hashing: every node has a key for the site, and the site is on the `spread` nodes
//! with the least. A node that comes or goes moves only what it has. Keys are weighted by what the
//! nodes can take ([`surprise`]). A node that sheds load keeps its place for a part of the networks
//! and passes the others on to the next in order: that is the bound on its load. Of the site's
//! nodes, `answers` are named, in an order that depends on the network; all in whole numbers, so
//! that all DNS servers agree, and without allocation.

use crate::hash::{HashKey, SURPRISE_BITS, mix, surprise};

/// What is known of a node when one is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The hash of its name.
    seed: u64,
    /// 2^[`SCALE_BITS`] divided by its weight.
    scale: u32,
    /// Of how many networks it keeps its place, of [`WHOLE_SHARE`].
    share: u32,
}

/// The share of a node that sheds nothing.
pub const WHOLE_SHARE: u32 = 1 << 16;

/// Nodes a site can be on.
pub const SPREAD_MAX: usize = 32;

/// Nodes an answer can name.
pub const ANSWERS_MAX: usize = 16;

impl Member {
    /// A node of a name and a weight, of 1 to 65,535; it gets as much as its weight says beside
    /// the others'.
    pub fn new(key: &HashKey, name: &str, weight: u16) -> Self {
        let scale = (1 << SCALE_BITS) / u32::from(weight.max(1));
        Self { seed: key.name(b'n', name.as_bytes()), scale, share: WHOLE_SHARE }
    }

    /// The same with a share of 0 (passes on everything) to 1 (nothing).
    #[must_use]
    pub fn with_share(self, share: f64) -> Self {
        let share = (share.clamp(0.0, 1.0) * f64::from(WHOLE_SHARE)).round() as u32;
        Self { share, ..self }
    }

    /// Its key: the least is the first.
    #[inline]
    fn key(&self, hash: u64) -> u64 {
        (surprise(mix(hash, self.seed)) >> (SURPRISE_BITS - 30)) * u64::from(self.scale)
    }

    /// Whether it keeps its place for a network.
    #[inline]
    pub(crate) fn keeps(&self, network: u64) -> bool {
        self.share >= WHOLE_SHARE || mix(network ^ KEEPS, self.seed) >> 48 < u64::from(self.share)
    }
}

/// With the 36 bits of a shortened surprise a key stays below 2^63.
const SCALE_BITS: u32 = 27;

/// So many nodes are most sites on: their order is kept in registers.
const FEW: usize = 4;

/// Tells this use of a network's hash from the other.
const KEEPS: u64 = 0x6b65_6570_7321_7321;

/// Chosen members, by their places in the list, in the order of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    list: [u16; ANSWERS_MAX],
    len: u8,
}

impl Chosen {
    /// The places.
    pub fn as_slice(&self) -> &[u16] {
        &self.list[..usize::from(self.len)]
    }
}

/// How many nodes for a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Nodes the site is on; 1 to [`SPREAD_MAX`].
    pub spread: u8,
    /// Of those, nodes that an answer names; 1 to [`ANSWERS_MAX`].
    pub answers: u8,
}

/// Chooses for a site (the hash of its name) and a network (its hash for that site). Empty only
/// when there are no members: those who all shed everything are better than nobody.
#[inline]
pub fn choose(members: &[Member], site: u64, network: u64, width: Width) -> Chosen {
    let spread = usize::from(width.spread).clamp(1, SPREAD_MAX);
    let answers = usize::from(width.answers).clamp(1, ANSWERS_MAX);
    if spread <= FEW && answers <= FEW {
        choose_within::<FEW, FEW>(members, site, network, spread, answers)
    } else {
        choose_within::<SPREAD_MAX, ANSWERS_MAX>(members, site, network, spread, answers)
    }
}

/// The same with room for so many.
fn choose_within<const SPREAD: usize, const ANSWERS: usize>(
    members: &[Member],
    site: u64,
    network: u64,
    spread: usize,
    answers: usize,
) -> Chosen {
    let mut named = Least::<ANSWERS>::new(answers);
    if spread >= members.len() {
        // The site is on all of them: their order for it does not matter.
        for (place, member) in members.iter().enumerate() {
            if member.keeps(network) {
                named.add(member.key(network), place as u16);
            }
        }
    }
    if named.is_empty() {
        let mut on = Least::<SPREAD>::new(spread);
        for (place, member) in members.iter().enumerate() {
            if member.keeps(network) {
                on.add(member.key(site), place as u16);
            }
        }
        if on.is_empty() {
            site_nodes(members, site, &mut on);
        }
        for place in on.places() {
            named.add(members[usize::from(place)].key(network), place);
        }
    }
    let mut chosen = Chosen { list: [0; ANSWERS_MAX], len: named.len() };
    for (place, entry) in chosen.list.iter_mut().zip(named.list) {
        *place = (entry & PLACE_BITS) as u16;
    }
    chosen
}

/// The nodes that a site is on when nobody sheds; for an explanation, and when everybody does.
#[cold]
fn site_nodes<const MAX: usize>(members: &[Member], site: u64, on: &mut Least<MAX>) {
    let most = members.iter().map(|member| member.share).max().unwrap_or_default();
    for (place, member) in members.iter().enumerate() {
        // Those that shed everything only when all do.
        if member.share > 0 || most == 0 {
            on.add(member.key(site), place as u16);
        }
    }
}

/// The place of each member in the order of a site; for an explanation.
pub fn order(members: &[Member], site: u64) -> Vec<u16> {
    let mut order: Vec<u16> = (0..members.len() as u16).collect();
    order.sort_by_key(|&place| (members[usize::from(place)].key(site) & !PLACE_BITS, place));
    order
}

/// The few least of many, sorted: each entry a key with the member's place in its last bits, so
/// that moving one is two instructions without a branch to guess wrongly.
struct Least<const MAX: usize> {
    list: [u64; MAX],
    wanted: usize,
}

/// The bits of an entry that are a place.
const PLACE_BITS: u64 = 0xffff;

impl<const MAX: usize> Least<MAX> {
    #[inline]
    fn new(wanted: usize) -> Self {
        Self { list: [u64::MAX; MAX], wanted: wanted.min(MAX) }
    }

    #[inline]
    fn add(&mut self, key: u64, place: u16) {
        let mut entry = key & !PLACE_BITS | u64::from(place);
        // A loop of a known length has no branches; a short one costs less than to leave it early.
        let reach = if MAX <= FEW { MAX } else { self.wanted };
        for at in &mut self.list[..reach] {
            (*at, entry) = ((*at).min(entry), (*at).max(entry));
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.list[0] == u64::MAX
    }

    /// How many are there, of those that are wanted.
    #[inline]
    fn len(&self) -> u8 {
        let added = self.list.iter().map(|&entry| u8::from(entry != u64::MAX)).sum::<u8>();
        added.min(self.wanted as u8)
    }

    /// The places that were added, the one with the least key first.
    #[inline]
    fn places(&self) -> impl Iterator<Item = u16> + '_ {
        self.list[..usize::from(self.len())].iter().map(|&entry| (entry & PLACE_BITS) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: HashKey = HashKey([1, 2]);

    fn members(weights: &[u16]) -> Vec<Member> {
        let named =
            |(place, &weight): (usize, &u16)| Member::new(&KEY, &format!("n{place}"), weight);
        weights.iter().enumerate().map(named).collect()
    }

    fn site(number: u32) -> u64 {
        KEY.name(b's', &number.to_be_bytes())
    }

    fn first(members: &[Member], site: u64, network: u64) -> usize {
        let width = Width { spread: 1, answers: 1 };
        usize::from(choose(members, site, network, width).as_slice()[0])
    }

    /// The chi-square of counts beside what was expected.
    fn chi_square(counts: &[u32], expected: &[f64]) -> f64 {
        counts
            .iter()
            .zip(expected)
            .map(|(&count, &expected)| (f64::from(count) - expected).powi(2) / expected)
            .sum()
    }

    #[test]
    fn sites_are_on_nodes_as_their_weights_say() {
        let weights = [10, 20, 30, 40, 100, 7, 3, 50, 90, 150];
        let members = members(&weights);
        let mut counts = [0; 10];
        for number in 0..20_000 {
            counts[first(&members, site(number), 0)] += 1;
        }
        let expected = weights.map(|weight| f64::from(weight) * 20_000.0 / 500.0);
        // Nine degrees of freedom, p = 0.01.
        assert!(chi_square(&counts, &expected) < 21.67, "{counts:?} {expected:?}");
    }

    #[test]
    fn networks_of_one_site_are_spread_evenly_over_its_nodes() {
        let members = members(&[1000; 10]);
        let mut counts = [0; 10];
        let width = Width { spread: 10, answers: 1 };
        for number in 0..20_000 {
            let network = KEY.name(b'w', &u32::to_be_bytes(number));
            counts[usize::from(choose(&members, site(1), network, width).as_slice()[0])] += 1;
        }
        assert!(chi_square(&counts, &[2000.0; 10]) < 21.67, "{counts:?}");
    }

    #[test]
    fn a_node_that_goes_moves_only_its_own_sites() {
        let whole = members(&[100; 10]);
        let without = &whole[..9];
        let mut moved = 0;
        for number in 0..10_000 {
            let before = first(&whole, site(number), 7);
            let after = first(without, site(number), 7);
            assert!(before == after || before == 9);
            moved += u32::from(before != after);
        }
        assert!((850..1150).contains(&moved), "{moved}");
    }

    #[test]
    fn a_node_that_sheds_passes_on_as_much_as_it_should_and_nobody_else_moves() {
        let whole = members(&[100; 10]);
        let mut shedding = whole.clone();
        shedding[3] = shedding[3].with_share(0.25);
        let (mut had, mut kept) = (0, 0);
        for number in 0..40_000 {
            let network = KEY.name(b'w', &u32::to_be_bytes(number));
            let site = site(number % 1000);
            let (before, after) = (first(&whole, site, network), first(&shedding, site, network));
            assert!(before == after || before == 3);
            had += u32::from(before == 3);
            kept += u32::from(after == 3);
        }
        let share = f64::from(kept) / f64::from(had);
        assert!((0.22..0.28).contains(&share), "{share}");
    }

    #[test]
    fn all_shedding_everything_is_still_an_answer() {
        let none: Vec<_> = members(&[1; 4]).iter().map(|member| member.with_share(0.0)).collect();
        let width = Width { spread: 2, answers: 2 };
        assert_eq!(choose(&none, 1, 2, width).as_slice().len(), 2);
        let mut one = none;
        one[2] = one[2].with_share(0.0001);
        assert_eq!(choose(&one, 1, 2, width).as_slice(), [2]);
        assert!(choose(&[], 1, 2, width).as_slice().is_empty());
    }

    proptest! {
        #[test]
        fn an_answer_names_different_nodes_of_the_sites_own(
            count in 1_usize..60,
            spread in 0_u8..40,
            answers in 0_u8..20,
            site in any::<u64>(),
            network in any::<u64>(),
        ) {
            let members = members(&vec![100; count]);
            let chosen = choose(&members, site, network, Width { spread, answers });
            let spread = usize::from(spread).clamp(1, SPREAD_MAX).min(count);
            let answers = usize::from(answers).clamp(1, ANSWERS_MAX).min(spread);
            prop_assert_eq!(chosen.as_slice().len(), answers);
            let order = order(&members, site);
            let mut seen = chosen.as_slice().to_vec();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), answers);
            prop_assert!(seen.iter().all(|place| order[..spread].contains(place)));
        }
    }
}
