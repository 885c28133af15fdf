//! How many watch, about: a bit for each, by a hash of who they are (linear counting: Whang,
//! Vander-Zanden and Taylor 1990). Within two in a hundred up to 20,000, and never beyond 150,000.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const WORDS: usize = 256;
const BITS: u64 = WORDS as u64 * 64;
/// Who was not heard of for this long, or for twice that, watches no more.
const SPAN_MS: u64 = 15_000;

/// Those that were heard of lately.
#[derive(Debug)]
pub(crate) struct Viewers {
    /// In turn: that of this span, and that of the one before.
    spans: [Span; 2],
}

#[derive(Debug)]
struct Span {
    /// Which it is, from 1 on.
    number: AtomicU64,
    bits: Box<[AtomicU64]>,
}

impl Default for Viewers {
    fn default() -> Self {
        let span = || Span {
            number: AtomicU64::new(0),
            bits: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
        };
        Self { spans: [span(), span()] }
    }
}

impl Viewers {
    /// Somebody was heard of.
    pub(crate) fn seen(&self, hash: u64, now_ms: u64) {
        let number = now_ms / SPAN_MS + 1;
        let span = &self.spans[(number % 2) as usize];
        if span.number.load(Relaxed) != number && span.number.swap(number, Relaxed) != number {
            span.bits.iter().for_each(|word| word.store(0, Relaxed));
        }
        let bit = hash % BITS;
        let (word, mask) = (&span.bits[(bit / 64) as usize], 1 << (bit % 64));
        if word.load(Relaxed) & mask == 0 {
            word.fetch_or(mask, Relaxed);
        }
    }

    /// About how many were heard of in the last 15 to 30 seconds.
    pub(crate) fn count(&self, now_ms: u64) -> u64 {
        let number = now_ms / SPAN_MS + 1;
        let is_recent = |span: &&Span| {
            let known = span.number.load(Relaxed);
            known == number || known + 1 == number
        };
        let spans: Vec<&Span> = self.spans.iter().filter(is_recent).collect();
        let ones = (0..WORDS).map(|at| {
            let word = spans.iter().fold(0, |sum, span| sum | span.bits[at].load(Relaxed));
            u64::from(word.count_ones())
        });
        let zeros = BITS - ones.sum::<u64>();
        if zeros == BITS {
            return 0;
        }
        let (bits, zeros) = (BITS as f64, zeros.max(1) as f64);
        (bits * (bits / zeros).ln()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Viewers;

    /// A hash that spreads: the finalizer of splitmix64.
    fn hash(number: u64) -> u64 {
        let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn each_counts_once_however_often_heard_of() {
        for many in [1, 10, 1000, 20_000] {
            let viewers = Viewers::default();
            for round in 0..3 {
                (0..many).for_each(|one| viewers.seen(hash(one), 1_000 + round));
            }
            let count = viewers.count(2_000);
            assert!(count.abs_diff(many) <= many / 50 + 1, "{count} of {many}");
        }
    }

    #[test]
    fn who_is_not_heard_of_is_forgotten() {
        let viewers = Viewers::default();
        assert_eq!(viewers.count(0), 0);
        viewers.seen(1, 1_000);
        viewers.seen(2, 16_000);
        assert_eq!(viewers.count(16_000), 2);
        assert_eq!(viewers.count(31_000), 1);
        assert_eq!(viewers.count(46_000), 0);
        viewers.seen(3, 61_000);
        assert_eq!(viewers.count(61_000), 1, "an old span is empty when its turn comes");
    }
}
