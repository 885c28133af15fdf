//! The consistent-hash ring that decides which parent, or which edge of a region, owns a cache key.
//!
//! Every node given the same addresses builds the same ring, whatever their order, so that all
//! edges ask the same parent for the same object. A member that goes away moves only the keys it
//! owned. Pure: who is up and how loaded each member is are arguments of the walk.
//!
//! Method: Karger et al. 1997 for the ring; Mirrokni, Thorup and Zadimoghaddam 2016 for the bound
//! on a member's load.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Points each member has on the ring. More points spread keys more evenly; 128 keeps the largest
/// share of four members within a fifth of the mean.
const POINTS_PER_MEMBER: u32 = 128;

/// A ring over members known by their index.
#[derive(Debug, Default)]
pub struct Ring {
    /// (position, member), sorted by position.
    points: Vec<(u64, u16)>,
    members: usize,
}

impl Ring {
    /// Builds the ring of members named by their addresses.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut points = Vec::new();
        let mut members = 0;
        for (member, name) in names.into_iter().take(usize::from(u16::MAX)).enumerate() {
            members = member + 1;
            for point in 0..POINTS_PER_MEMBER {
                points.push((position(name.as_bytes(), point), member as u16));
            }
        }
        points.sort_unstable();
        Self { points, members }
    }

    /// The members in the order in which they should be asked for `full_key`: the owner first, then
    /// those that would own the key if the ones before were gone.
    pub fn order(&self, full_key: &[u8]) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.members);
        if self.points.is_empty() {
            return order;
        }
        let start = position(full_key, u32::MAX);
        let first = self.points.partition_point(|&(at, _)| at < start);
        for step in 0..self.points.len() {
            let member = usize::from(self.points[(first + step) % self.points.len()].1);
            if !order.contains(&member) {
                order.push(member);
                if order.len() == self.members {
                    break;
                }
            }
        }
        order
    }
}

/// Moves members that carry more than their bounded share behind those that do not, keeping the
/// order otherwise. `loads` holds the requests in flight of every member; the bound for each is
/// `factor` times the mean, counting the request about to be sent.
pub fn bound_load(order: &mut Vec<usize>, loads: &[usize], factor: f64) {
    if order.len() < 2 {
        return;
    }
    let total: usize = order.iter().map(|&member| loads[member]).sum::<usize>() + 1;
    let bound = (factor * total as f64 / order.len() as f64).ceil() as usize;
    let (within, over): (Vec<usize>, Vec<usize>) =
        order.iter().partition(|&&member| loads[member] < bound);
    order.clear();
    order.extend(within);
    order.extend(over);
}

/// A fixed hash: all nodes must agree, so it has no secret. An attacker who finds many keys of one
/// owner is met by the load bound.
fn position(bytes: &[u8], salt: u32) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x5e1_7ed6e, 0x0072_696e_6730);
    hasher.write_u32(salt);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["http://a:1", "http://b:1", "http://c:1", "http://d:1"];

    fn keys() -> impl Iterator<Item = String> {
        (0..10_000).map(|n| format!("/object/{n}"))
    }

    #[test]
    fn every_member_owns_a_fair_share() {
        let ring = Ring::new(NAMES);
        let mut owned = [0_usize; 4];
        for key in keys() {
            owned[ring.order(key.as_bytes())[0]] += 1;
        }
        for share in owned {
            assert!((1_800..3_300).contains(&share), "{owned:?}");
        }
    }

    #[test]
    fn a_lost_member_moves_only_its_own_keys() {
        let whole = Ring::new(NAMES);
        let without_last = Ring::new(NAMES[..3].iter().copied());
        for key in keys() {
            let before = whole.order(key.as_bytes());
            let after = without_last.order(key.as_bytes());
            let expected: Vec<usize> = before.into_iter().filter(|&member| member != 3).collect();
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let mut reversed = NAMES;
        reversed.reverse();
        let (one, other) = (Ring::new(NAMES), Ring::new(reversed));
        for key in keys() {
            let owner = NAMES[one.order(key.as_bytes())[0]];
            assert_eq!(owner, reversed[other.order(key.as_bytes())[0]]);
        }
    }

    #[test]
    fn a_member_over_its_bound_is_asked_last() {
        let mut order = vec![2, 0, 1];
        bound_load(&mut order, &[1, 1, 10], 1.25);
        assert_eq!(order, [0, 1, 2]);
        let mut order = vec![2, 0, 1];
        bound_load(&mut order, &[3, 3, 3], 1.25);
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn an_empty_ring_names_nobody() {
        assert!(Ring::new(std::iter::empty()).order(b"key").is_empty());
    }
}
