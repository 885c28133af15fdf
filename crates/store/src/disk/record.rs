//! A record: what the disk tier stores under one key.

use bytes::Bytes;

/// Longest payload of a record in bytes: 4 MiB less room for its header and checksums.
pub const PAYLOAD_BYTES_MAX: usize = (4 << 20) - 1024;

/// What a record is. The disk tier treats entries and slices alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All that is stored under one key, bodies perhaps apart.
    Entry,
    /// A piece of a body.
    Slice,
    /// The key was removed. Only the disk tier makes these.
    Tombstone,
}

/// A record to be written.
#[derive(Clone, Debug)]
pub struct Record {
    /// The key, a keyed hash: any of its bits are as good as any other.
    pub key: u128,
    /// What it is; never [`Kind::Tombstone`], for that there is [`super::Disks::remove`].
    pub kind: Kind,
    /// The site whose bytes these are, for quotas and sums.
    pub site: u32,
    /// The purge revision at which the payload was fetched.
    pub revision: u64,
    /// When it was stored, in milliseconds of the store's time line.
    pub time_ms: u64,
    /// The payload in parts, stored one behind the other; [`PAYLOAD_BYTES_MAX`] in all.
    pub payload: Vec<Bytes>,
}

impl Record {
    /// Bytes of all parts together.
    pub fn payload_bytes(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }
}

/// What is known of a stored record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// The key it is stored under.
    pub key: u128,
    /// What it is.
    pub kind: Kind,
    /// The site whose bytes these are.
    pub site: u32,
    /// The purge revision at which the payload was fetched.
    pub revision: u64,
    /// When it was stored, in milliseconds of the store's time line.
    pub time_ms: u64,
    /// Number of the write on its disk; a greater one is newer.
    pub sequence: u64,
    /// Bytes of payload.
    pub payload_bytes: u32,
    /// Bytes on disk with header, checksums and padding.
    pub disk_bytes: u32,
    /// Which disk it is on, as an index into the disks that were opened.
    pub disk: usize,
}
