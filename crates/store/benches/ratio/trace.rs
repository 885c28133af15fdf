//! What is asked for: made from a seed, so that every run sees the same.

use crate::support::mix;

/// A kind of traffic.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// The exponent of Zipf's law.
    exponent: f64,
    /// Share of asks that walk through objects which never come again, in runs of a thousand.
    scan_share: f64,
    /// After so many asks, the 100 objects asked for most make way for the next ones. 0: never.
    drift_every: u32,
}

impl Work {
    /// All of them.
    pub(crate) fn all(objects: u32) -> [Self; 6] {
        let work = |name, exponent, scan_share, drift_every| Self {
            name,
            exponent,
            scan_share,
            drift_every,
        };
        [
            work("zipf 0.7", 0.7, 0.0, 0),
            work("zipf 0.9", 0.9, 0.0, 0),
            work("zipf 1.1", 1.1, 0.0, 0),
            work("zipf 0.7 and scans", 0.7, 0.25, 0),
            work("zipf 0.9 and scans", 0.9, 0.25, 0),
            work("zipf 0.9, drifting", 0.9, 0.0, objects / 10),
        ]
    }

    /// Makes a trace of `asks` asks for each object.
    pub(crate) fn trace(&self, seed: u64, objects: u32, asks: usize) -> Trace {
        let zipf = Zipf::new(objects, self.exponent);
        let begins = self.scan_share / (1.0 - self.scan_share) / f64::from(SCAN_RUN);
        let (mut next_scanned, mut left) = (objects, 0);
        let mut ids = Vec::with_capacity(objects as usize * asks);
        let mut drawn = 0;
        while ids.len() < ids.capacity() {
            if left > 0 {
                left -= 1;
                ids.push(next_scanned);
                next_scanned += 1;
                continue;
            }
            let random = mix(seed << 40 ^ drawn);
            drawn += 1;
            if unit(mix(random)) < begins {
                left = SCAN_RUN;
            }
            let moved = drawn.checked_div(u64::from(self.drift_every)).unwrap_or(0) * 100;
            let rank = u64::from(zipf.rank(unit(random)));
            ids.push(((rank + moved) % u64::from(objects)) as u32);
        }
        let sizes: Vec<u32> = (0..next_scanned).map(size).collect();
        let footprint_bytes = sizes[..objects as usize].iter().map(|&size| u64::from(size)).sum();
        Trace { ids, sizes, footprint_bytes }
    }
}

const SCAN_RUN: u32 = 1000;

/// Objects in the order in which they are asked for.
pub(crate) struct Trace {
    pub(crate) ids: Vec<u32>,
    /// By object.
    pub(crate) sizes: Vec<u32>,
    /// Bytes of all objects but the scanned.
    pub(crate) footprint_bytes: u64,
}

/// A uniform number from 0 to 1.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Log-normal, median 8 KiB; the normal part is a sum of twelve uniform ones.
fn size(id: u32) -> u32 {
    let uniform = |k: u64| unit(mix(1 << 60 | u64::from(id) << 8 | k));
    let normal = (0..12).map(uniform).sum::<f64>() - 6.0;
    (8192.0 * (1.3 * normal).exp()).clamp(256.0, 262_144.0) as u32
}

/// Draws ranks by Zipf's law.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(objects: u32, exponent: f64) -> Self {
        let weights = (1..=objects).map(|rank| f64::from(rank).powf(-exponent));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    fn rank(&self, unit: f64) -> u32 {
        let wanted = unit * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|&sum| sum <= wanted).min(self.sums.len() - 1) as u32
    }
}
