//! What the origin of the campaign has: objects whose every byte is a pure function of (path,
//! variant, version). So a body needs no record of what was sent to be judged: it is made again
//! and compared byte by byte, and one that is put together from two versions equals none.
//!
//! Every 4 KiB block begins with a stamp of its own, so that a block of another place, object or
//! version is noticed too.

use super::random::mix;
use crate::answer::Answer;
use crate::message::Request;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// One object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) path: String,
    pub(super) tag: String,
    number: u64,
    size: Size,
    /// Whether it differs by the request's `X-Kind`.
    pub(super) varies: bool,
    /// The version the origin sends now, from 1.
    current: AtomicU64,
    /// The oldest version that no purge has made unfit to be served.
    purged: AtomicU64,
    /// The oldest version that no unsafe request has made unfit to be served.
    written: AtomicU64,
}

/// How long the bodies of an object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Up to a few hundred KiB.
    Small,
    /// Some MiB: kept in slices.
    Large,
}

const BLOCK: u64 = 4096;
const STAMP: usize = 16;
const NOISE_BYTES: u64 = 64 << 10;

/// All objects.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) all: Vec<Object>,
    noise: Vec<u8>,
}

impl Objects {
    pub(super) fn new() -> Self {
        let small = (0..120).map(|n| Object::new(n, format!("/small/{n}"), Size::Small, false));
        let vary = (200..210).map(|n| Object::new(n, format!("/vary/{n}"), Size::Small, true));
        let large = (300..306).map(|n| Object::new(n, format!("/large/{n}"), Size::Large, false));
        let noise = (0..NOISE_BYTES / 8).flat_map(|n| mix(n).to_le_bytes()).collect();
        Self { all: small.chain(vary).chain(large).collect(), noise }
    }

    /// The small ones and the large ones.
    pub(super) fn by_size(&self) -> (&[Object], &[Object]) {
        let small = self.all.iter().take_while(|object| !object.is_large()).count();
        self.all.split_at(small)
    }

    /// What the origin answers.
    pub(super) fn answer(&self, req: &Request) -> Answer {
        let Some(object) = self.all.iter().find(|object| object.path == req.path()) else {
            return Answer::new(404).header("cache-control", "no-store");
        };
        if req.method != "GET" && req.method != "HEAD" {
            return Answer::uncacheable("changed\n");
        }
        let version = object.current();
        let variant = req.header("x-kind").filter(|_| object.varies).unwrap_or("");
        let etag = object.etag(variant, version);
        let length = object.length(version);
        let range = req
            .header("range")
            .filter(|_| req.header("if-range").is_none_or(|wanted| wanted == etag))
            .and_then(|range| read_range(range, length));
        let answer = match &range {
            None => Answer::new(200).body(self.bytes(object, variant, version, 0..length)),
            Some(range) => {
                let shown = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let body = self.bytes(object, variant, version, range.clone());
                Answer::new(206).header("content-range", &shown).body(body)
            }
        };
        let answer = answer
            .etag(&etag)
            .header("accept-ranges", "bytes")
            .header("content-type", "application/octet-stream")
            .header("surrogate-key", &format!("all {}", object.tag))
            .header("cache-control", object.lifetime());
        if object.varies { answer.header("vary", "x-kind") } else { answer }
    }

    /// A range of the body of a version; `range` lies within it.
    pub(super) fn bytes(
        &self,
        object: &Object,
        variant: &str,
        version: u64,
        range: Range<u64>,
    ) -> Vec<u8> {
        let key = object.seed(variant) ^ mix(version);
        let shift = index(mix(key) % (NOISE_BYTES - BLOCK));
        let noise = &self.noise[shift..shift + index(BLOCK) - STAMP];
        let first = range.start / BLOCK * BLOCK;
        let mut bytes = Vec::with_capacity(index(range.end - first + BLOCK));
        for block in range.start / BLOCK..range.end.div_ceil(BLOCK) {
            bytes.extend_from_slice(&mix(key ^ mix(block)).to_le_bytes());
            bytes.extend_from_slice(&mix(key.wrapping_add(block)).to_be_bytes());
            bytes.extend_from_slice(noise);
        }
        bytes.truncate(index(range.end - first));
        bytes.drain(..index(range.start - first));
        bytes
    }
}

impl Object {
    fn new(number: u64, path: String, size: Size, varies: bool) -> Self {
        let tag = format!("group-{}", number % 9);
        let [current, purged, written] = [1; 3].map(AtomicU64::new);
        Self { path, tag, number, size, varies, current, purged, written }
    }

    pub(super) fn is_large(&self) -> bool {
        self.size == Size::Large
    }

    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// From now on the origin sends a new version; gives its number.
    pub(super) fn change(&self) -> u64 {
        self.current.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The oldest version that may still be served to a request that begins now.
    pub(super) fn floor(&self) -> u64 {
        self.purged.load(Ordering::SeqCst).max(self.written.load(Ordering::SeqCst))
    }

    /// What put the floor where it is.
    pub(super) fn floor_by(&self) -> &'static str {
        let purged = self.purged.load(Ordering::SeqCst);
        if purged >= self.written.load(Ordering::SeqCst) { "a purge" } else { "an unsafe request" }
    }

    /// A purge has been answered: versions before this one are gone for good.
    pub(super) fn purged_before(&self, version: u64) {
        self.purged.fetch_max(version, Ordering::SeqCst);
    }

    /// An unsafe request has been answered: versions before this one are gone for good.
    pub(super) fn written_before(&self, version: u64) {
        self.written.fetch_max(version, Ordering::SeqCst);
    }

    /// Records of removal may have been destroyed on purpose: what they removed may come back.
    pub(super) fn forget_writes(&self) {
        self.written.store(1, Ordering::SeqCst);
    }

    /// Records of purges may have been destroyed on purpose.
    pub(super) fn forget_purges(&self) {
        self.purged.store(1, Ordering::SeqCst);
    }

    /// The length that every version has at least.
    pub(super) fn least_length(&self) -> u64 {
        match self.size {
            // Most are small, some are beyond what one record of the disk holds in line.
            Size::Small if self.number.is_multiple_of(10) => 150_000,
            Size::Small => 1 + mix(self.number) % 40_000,
            Size::Large => (2 << 20) + mix(self.number) % (4 << 20),
        }
    }

    /// The length of a version.
    pub(super) fn length(&self, version: u64) -> u64 {
        let more = mix(self.seed("") ^ version);
        let spread = if self.is_large() { 1 << 20 } else { 5_000 };
        self.least_length() + more % spread
    }

    /// The ETag of a version.
    pub(super) fn etag(&self, variant: &str, version: u64) -> String {
        format!("\"{}{variant}-{version}\"", self.number)
    }

    /// The version that an ETag names, if it is one of this object and variant.
    pub(super) fn version(&self, variant: &str, etag: &str) -> Option<u64> {
        let rest = etag.strip_prefix(&format!("\"{}{variant}-", self.number))?;
        rest.strip_suffix('"')?.parse().ok()
    }

    fn seed(&self, variant: &str) -> u64 {
        variant.bytes().fold(mix(self.number), |seed, byte| mix(seed ^ u64::from(byte)))
    }

    /// Most stay fresh for the whole campaign; some must be asked for again after a second.
    fn lifetime(&self) -> &'static str {
        if self.number % 7 == 3 { "max-age=1" } else { "max-age=86400" }
    }
}

/// A single range as the origin reads it; `None` for what it answers with the whole.
fn read_range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", suffix) => length.saturating_sub(suffix.parse().ok()?)..length,
        (first, "") => first.parse().ok()?..length,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?.min(length),
    };
    (range.start < range.end).then_some(range)
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("bodies fit into memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_body_is_what_the_whole_has_there() {
        let objects = Objects::new();
        for object in [&objects.all[0], &objects.all[125], &objects.all[135]] {
            let length = object.length(3);
            let whole = objects.bytes(object, "a", 3, 0..length);
            assert_eq!(whole.len() as u64, length);
            for range in [0..1, 5..length, 4096..8192.min(length), length - 1..length] {
                if range.start < range.end {
                    let part = objects.bytes(object, "a", 3, range.clone());
                    assert_eq!(part, whole[index(range.start)..index(range.end)]);
                }
            }
        }
    }

    #[test]
    fn versions_variants_and_objects_differ_in_every_block() {
        let objects = Objects::new();
        let [one, other] = [&objects.all[130], &objects.all[131]];
        let bytes = |object, variant, version| objects.bytes(object, variant, version, 0..1 << 20);
        let first = bytes(one, "", 1);
        for second in [bytes(one, "", 2), bytes(one, "a", 1), bytes(other, "", 1)] {
            let pairs = first.chunks(4096).zip(second.chunks(4096));
            assert!(pairs.into_iter().all(|(a, b)| a != b));
        }
    }

    #[test]
    fn an_etag_names_its_version() {
        let objects = Objects::new();
        let object = &objects.all[121];
        assert_eq!(object.version("a", &object.etag("a", 17)), Some(17));
        assert_eq!(object.version("b", &object.etag("a", 17)), None);
        assert_eq!(object.version("", "\"x\""), None);
    }

    #[test]
    fn ranges_are_read_as_an_origin_reads_them() {
        assert_eq!(read_range("bytes=0-9", 100), Some(0..10));
        assert_eq!(read_range("bytes=90-", 100), Some(90..100));
        assert_eq!(read_range("bytes=-7", 100), Some(93..100));
        assert_eq!(read_range("bytes=5-1000", 100), Some(5..100));
        for none in ["bytes=100-", "bytes=9-3", "bytes=-0", "lines=1-2", "bytes=a-b"] {
            assert_eq!(read_range(none, 100), None, "{none}");
        }
    }
}
