//! The fixed part of a record on disk, and its checksums.
//!
//! A record begins at a multiple of 64 bytes and is a whole number of such units long:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `SLVR` |
//! | 1 | kind: 1 entry, 2 slice, 3 tombstone |
//! | 1 | flags: bit 0, an older record of the key may be on the disk |
//! | 2 | 0 |
//! | 16 | key |
//! | 4 | site |
//! | 4 | payload bytes |
//! | 8 | revision |
//! | 8 | sequence |
//! | 8 | time, ms of the store's time line |
//! | 4 | CRC-32C of the table |
//! | 4 | CRC-32C of all before, xor the salt of the segment |
//! | 4 each | the table: CRC-32C of each 32 KiB of payload |
//! | | payload, zeros up to the next unit |
//!
//! How many checksums the table has follows from the length in units, not from the payload: so a
//! reader that knows only the place knows where the payload begins. The salt differs for each use
//! of each segment: what an earlier use left behind is no record, nor is anything that somebody put
//! into a payload.

use bytes::{Buf, BufMut, Bytes};
use crc_fast::{CrcAlgorithm, Digest};

use super::record::Kind;

/// Records begin at multiples of this many bytes.
pub(crate) const UNIT: usize = 64;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = UNIT;

/// Bytes of payload under one checksum.
pub(crate) const BLOCK_BYTES: usize = 32 << 10;

const MAGIC: u32 = u32::from_le_bytes(*b"SLVR");
const REPLACES: u8 = 1;

/// The checksum of everything on disk: CRC-32C, in hardware where there is any.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// What the fixed part of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// An older record of the key may be on the disk: when this one goes, it must not come back.
    pub(crate) replaces: bool,
    pub(crate) key: u128,
    pub(crate) site: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) revision: u64,
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) table_crc: u32,
}

impl Header {
    /// Bytes for the disk.
    pub(crate) fn encode(&self, salt: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = &mut bytes[..];
        rest.put_u32_le(MAGIC);
        rest.put_u8(match self.kind {
            Kind::Entry => 1,
            Kind::Slice => 2,
            Kind::Tombstone => 3,
        });
        rest.put_u8(if self.replaces { REPLACES } else { 0 });
        rest.put_u16_le(0);
        rest.put_u128_le(self.key);
        rest.put_u32_le(self.site);
        rest.put_u32_le(self.payload_bytes);
        rest.put_u64_le(self.revision);
        rest.put_u64_le(self.sequence);
        rest.put_u64_le(self.time_ms);
        rest.put_u32_le(self.table_crc);
        let sum = crc(&bytes[..HEADER_BYTES - 4]) ^ salt;
        bytes[HEADER_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header that begins here, if one does.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let mut rest = &bytes[..];
        if rest.get_u32_le() != MAGIC {
            return None;
        }
        let kind = match rest.get_u8() {
            1 => Kind::Entry,
            2 => Kind::Slice,
            3 => Kind::Tombstone,
            _ => return None,
        };
        let replaces = rest.get_u8() & REPLACES != 0;
        rest.advance(2);
        let header = Self {
            kind,
            replaces,
            key: rest.get_u128_le(),
            site: rest.get_u32_le(),
            payload_bytes: rest.get_u32_le(),
            revision: rest.get_u64_le(),
            sequence: rest.get_u64_le(),
            time_ms: rest.get_u64_le(),
            table_crc: rest.get_u32_le(),
        };
        (rest.get_u32_le() == crc(&bytes[..HEADER_BYTES - 4]) ^ salt).then_some(header)
    }

    /// Length of the record in units.
    pub(crate) fn units(&self) -> u32 {
        units(self.payload_bytes as usize)
    }
}

/// Where the payload of a record of so many units begins.
pub(crate) fn payload_start(units: u32) -> usize {
    HEADER_BYTES + 4 * (units as usize * UNIT - HEADER_BYTES).div_ceil(BLOCK_BYTES)
}

/// Units of a record with so many bytes of payload.
pub(crate) fn units(payload_bytes: usize) -> u32 {
    let mut units = (HEADER_BYTES + payload_bytes).div_ceil(UNIT) as u32;
    while payload_start(units) + payload_bytes > units as usize * UNIT {
        units += 1;
    }
    units
}

/// The table of checksums of a payload that comes in parts.
pub(crate) fn table(parts: &[Bytes], units: u32) -> Vec<u8> {
    let mut table = Vec::with_capacity(payload_start(units) - HEADER_BYTES);
    if let [part] = parts {
        part.chunks(BLOCK_BYTES).for_each(|block| table.put_u32_le(crc(block)));
    } else {
        let (mut digest, mut room) = (Digest::new(CrcAlgorithm::Crc32Iscsi), BLOCK_BYTES);
        for part in parts {
            let mut rest = &part[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(room));
                digest.update(now);
                (rest, room) = (later, room - now.len());
                if room == 0 {
                    table.put_u32_le(digest.finalize() as u32);
                    (digest, room) = (Digest::new(CrcAlgorithm::Crc32Iscsi), BLOCK_BYTES);
                }
            }
        }
        if room < BLOCK_BYTES {
            table.put_u32_le(digest.finalize() as u32);
        }
    }
    table.resize(payload_start(units) - HEADER_BYTES, 0);
    table
}

/// Whether a whole record is undamaged. `bytes` begin with its header, which was checked.
pub(crate) fn is_whole(header: &Header, bytes: &[u8]) -> bool {
    let start = payload_start(header.units());
    let Some(payload) = bytes.get(start..start + header.payload_bytes as usize) else {
        return false;
    };
    let table = &bytes[HEADER_BYTES..start];
    crc(table) == header.table_crc
        && payload
            .chunks(BLOCK_BYTES)
            .zip(table.chunks(4))
            .all(|(b, sum)| crc(b).to_le_bytes() == sum)
}
