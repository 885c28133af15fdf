//! The journal's bytes, pure.
//!
//! A journal is a header and records, all of 48 bytes, numbers little-endian:
//!
//! | bytes | of a purge | of the header |
//! |---|---|---|
//! | 4 | checksum of the other 44 | the same |
//! | 1 | kind: 0 url, 1 tag, 2 prefix, 3 host, 4 site, 5 everything, 6 path | 16 |
//! | 1 | 0 hard, 1 soft | version: 1 |
//! | 2 | 0 | 0 |
//! | 8 | revision | the newest purge when it was written |
//! | 8 | hash of the target | `SLVPURGE` |
//! | 8 | hash of the tag's site or the prefix's host | the floor: older purges may be missing |
//! | 8 | time on the store's line, in milliseconds | 0 |
//! | 4 | length of the prefix | 0 |
//! | 4 | 0 | 0 |
//!
//! A header may stand between records as well: it raises the floor, where purges are missing.

use selvedge_policy::KeySeed;

use super::table::{Order, Target};
use super::{PurgeKind, Strength};

/// Bytes of a header or a record.
pub(crate) const RECORD_BYTES: usize = 48;

const HEADER: u8 = 16;
const VERSION: u8 = 1;
const MAGIC: u64 = u64::from_le_bytes(*b"SLVPURGE");

/// One unit of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Header { revision: u64, floor: u64 },
    Purge(Order),
}

/// What a journal's bytes say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) orders: Vec<Order>,
    pub(crate) revision: u64,
    pub(crate) floor: u64,
    /// Bytes that are good; what follows was never finished.
    pub(crate) good_bytes: u64,
}

impl Record {
    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let (kind, second, revision, words, length) = match self {
            Self::Header { revision, floor } => (HEADER, VERSION, *revision, [MAGIC, *floor, 0], 0),
            Self::Purge(order) => {
                let Target { hash, group, length } = order.target;
                let soft = u8::from(order.strength == Strength::Soft);
                let words = [hash, group, order.at_ms];
                (order.kind as u8, soft, order.revision, words, length)
            }
        };
        let mut bytes = [0; RECORD_BYTES];
        (bytes[4], bytes[5]) = (kind, second);
        bytes[8..16].copy_from_slice(&revision.to_le_bytes());
        for (index, word) in words.iter().enumerate() {
            bytes[16 + index * 8..24 + index * 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes[40..44].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&bytes);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (written, _) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*written) != checksum(bytes) {
            return None;
        }
        let word = |at: usize| {
            let part = bytes[at..].first_chunk::<8>().copied().unwrap_or_default();
            u64::from_le_bytes(part)
        };
        let revision = word(8);
        if bytes[4] == HEADER {
            let known = bytes[5] == VERSION && word(16) == MAGIC;
            return known.then_some(Self::Header { revision, floor: word(24) });
        }
        let kind = *PurgeKind::ALL.get(usize::from(bytes[4]))?;
        let strength = match bytes[5] {
            0 => Strength::Hard,
            1 => Strength::Soft,
            _ => return None,
        };
        let length = bytes[40..].first_chunk::<4>().copied().unwrap_or_default();
        let target = Target { hash: word(16), group: word(24), length: u32::from_le_bytes(length) };
        let at_ms = word(32);
        Some(Self::Purge(Order { kind, strength, revision, target, at_ms }))
    }
}

/// Reads a whole journal. `None` if it cannot be trusted: no header, or a broken record with good
/// ones behind it. Broken bytes at the end alone are an append that was never answered.
pub(crate) fn replay(bytes: &[u8]) -> Option<Replayed> {
    let mut records = bytes.as_chunks::<RECORD_BYTES>().0.iter();
    let mut replayed = Replayed::default();
    let Some(Record::Header { revision, floor }) = records.next().and_then(Record::decode) else {
        return None;
    };
    (replayed.revision, replayed.floor) = (revision, floor);
    let mut good = 1;
    for record in records.by_ref() {
        match Record::decode(record) {
            Some(Record::Header { revision, floor }) => {
                replayed.revision = replayed.revision.max(revision);
                replayed.floor = replayed.floor.max(floor);
            }
            Some(Record::Purge(order)) => {
                replayed.revision = replayed.revision.max(order.revision);
                replayed.orders.push(order);
            }
            None => break,
        }
        good += 1;
    }
    replayed.good_bytes = good * RECORD_BYTES as u64;
    records.all(|record| Record::decode(record).is_none()).then_some(replayed)
}

/// Any hash does: nobody forges a journal who can write it.
fn checksum(bytes: &[u8; RECORD_BYTES]) -> u32 {
    let hash = const { KeySeed::new(*b"selvedge journal") }.hash64(&[&bytes[4..]]);
    (hash >> 32) as u32
}
