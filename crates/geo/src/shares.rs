//! A short list of regions and their shares, made for picking.

use crate::regions::RegionIndex;

/// Regions that share the clients of one order, with where each one's part ends, of 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    list: [(RegionIndex, u32); SHARES_MAX],
    len: u8,
}

/// Regions of a list at most.
pub const SHARES_MAX: usize = 8;

/// Less than this part is nobody's: it would cost all the others their wide scope.
const SHARE_MIN: f64 = 0.01;

impl Shares {
    /// Of regions in their order and their shares; the smallest are left out when there are many.
    pub fn new(order: &[RegionIndex], shares: &[f64]) -> Self {
        let mut sorted: Vec<f64> = shares.to_vec();
        sorted.sort_by(|one, two| two.total_cmp(one));
        let least = sorted.get(SHARES_MAX).map_or(SHARE_MIN, |&next| next.max(SHARE_MIN));
        let mut kept: Vec<_> = order
            .iter()
            .zip(shares)
            .filter(|&(_, &share)| share > least)
            .take(SHARES_MAX)
            .collect();
        if kept.is_empty() {
            // Many alike: the nearest of them.
            kept = order.iter().zip(shares).take(SHARES_MAX).collect();
        }
        if kept.iter().all(|&(_, &share)| share <= 0.0) {
            kept.truncate(1);
        }
        let total: f64 = kept.iter().map(|&(_, share)| share).sum();
        let mut list = [(RegionIndex(0), u32::MAX); SHARES_MAX];
        let mut sum = 0.0;
        for (entry, &(&region, share)) in list.iter_mut().zip(&kept) {
            sum += share;
            *entry = (region, (sum / total.max(f64::MIN_POSITIVE) * 4_294_967_296.0) as u32);
        }
        list[kept.len().max(1) - 1].1 = u32::MAX;
        Self { list, len: kept.len().max(1) as u8 }
    }

    /// The region for a hash.
    #[inline]
    pub fn pick(&self, hash: u32) -> RegionIndex {
        let list = &self.list[..usize::from(self.len)];
        list.iter().find(|&&(_, end)| hash <= end).unwrap_or(&list[0]).0
    }

    /// Whether everybody goes to one region.
    #[inline]
    pub fn is_single(&self) -> bool {
        self.len == 1
    }

    /// Every region and its share.
    pub fn iter(&self) -> impl Iterator<Item = (RegionIndex, f64)> + '_ {
        let mut before = 0;
        self.list[..usize::from(self.len)].iter().map(move |&(region, end)| {
            let share = f64::from(end - before) / f64::from(u32::MAX);
            before = end;
            (region, share)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(list: &[f64]) -> Shares {
        let order: Vec<_> = (0..list.len() as u16).map(RegionIndex).collect();
        Shares::new(&order, list)
    }

    #[test]
    fn picks_are_as_many_as_the_shares() {
        let shares = shares(&[0.5, 0.0, 0.25, 0.25, 0.005]);
        let mut counts = [0; 5];
        for step in 0..1000_u32 {
            counts[shares.pick(step * (u32::MAX / 1000)).index()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([500, 0, 250, 250, 0_i32]) {
            assert!((count - expected).abs() < 10, "{counts:?}");
        }
        assert_eq!(shares.pick(u32::MAX), RegionIndex(3));
        assert_eq!(shares.iter().count(), 3);
    }

    #[test]
    fn there_is_always_a_region() {
        assert_eq!(shares(&[1.0, 0.0]).pick(77), RegionIndex(0));
        assert!(shares(&[1.0]).is_single());
        assert_eq!(shares(&[0.004; 250]).iter().count(), SHARES_MAX);
        assert_eq!(shares(&[0.05; 20]).iter().count(), SHARES_MAX);
        assert_eq!(shares(&[0.0, 0.0]).pick(1 << 31), RegionIndex(0));
    }
}
