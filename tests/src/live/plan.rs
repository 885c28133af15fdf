//! What a channel is like.

use std::time::Duration;

/// A channel as it was planned.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes of a segment of each rendition; sizes vary a little around it.
    pub segment_bytes: Vec<usize>,
    /// Seconds of a segment, which is the target duration too.
    pub segment_s: u32,
    /// Segments in a playlist.
    pub window: u64,
    /// The segment that is made next at the beginning; those before it are there already.
    pub first: u64,
    /// Whether segments are offered in parts, and how.
    pub parts: Parts,
    /// Parts of a segment, where there are any.
    pub segment_parts: u64,
    /// Pieces of a part, or of a segment without parts: what is made and sent at a time.
    pub part_chunks: u64,
    /// Whether a segment can be asked for while it is made.
    pub growing: bool,
    /// What is said of lifetimes.
    pub caching: Caching,
}

/// How parts of segments are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Not at all.
    None,
    /// Each under a name of its own.
    Files,
    /// As ranges of the segment, which grows.
    Ranges,
}

/// What answers say of their lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Nothing.
    Silent,
    /// What a careful origin says.
    Explicit,
}

impl Plan {
    /// Three renditions in segments of two seconds, ten of them in a playlist.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            segment_bytes: vec![30_000, 60_000, 100_000],
            segment_s: 2,
            window: 10,
            first: 100,
            parts: Parts::None,
            segment_parts: 1,
            part_chunks: 4,
            growing: false,
            caching: Caching::Silent,
        }
    }

    /// The same with six parts a segment.
    #[must_use]
    pub fn low_latency() -> Self {
        Self {
            parts: Parts::Files,
            segment_parts: 6,
            part_chunks: 3,
            growing: true,
            ..Self::plain()
        }
    }

    /// The same with other words on lifetimes.
    #[must_use]
    pub fn caching(self, caching: Caching) -> Self {
        Self { caching, ..self }
    }

    /// How many renditions there are.
    #[must_use]
    pub fn renditions(&self) -> usize {
        self.segment_bytes.len()
    }

    /// Pieces of a segment.
    #[must_use]
    pub fn segment_chunks(&self) -> u64 {
        self.segment_parts * self.part_chunks
    }

    /// How long it takes to make a piece.
    #[must_use]
    pub fn chunk(&self) -> Duration {
        Duration::from_secs(u64::from(self.segment_s)) / self.segment_chunks() as u32
    }

    /// How long a part is.
    #[must_use]
    pub fn part_s(&self) -> f64 {
        f64::from(self.segment_s) / self.segment_parts as f64
    }
}
