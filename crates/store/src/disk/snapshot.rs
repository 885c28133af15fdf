//! The index on disk, so that opening need not read the whole log.
//!
//! It says where the log stood before it was begun ([`Head`]); what was written since is read from
//! the log itself. All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SELVSNAP` |
//! | 4 | version of the format |
//! | 4 | bytes of the head |
//! | 4 | CRC-32C of the head |
//! | | the head: identity 16, next sequence 8, next segment number 8, latest time 8,
//! | | highest revision 8, segments 4 |
//! | | for each segment: id 4, stream 1, sealed 1, end 4, number 8, lowest sequence 8, lowest |
//! | | revision 8, sites 4 |
//! | | for each of its sites: site 4, records 8, bytes 8 |
//! | | for each shard of the index: bytes 4, CRC-32C 4, slots as the index dumps them |

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use bytes::{Buf, BufMut, TryGetError};

use super::accounts::{Account, Sum};
use super::header::crc;
use super::index::{Index, SHARDS};
use super::io::{Io, write_full};
use super::segment::Stream;
use super::superblock::{VERSION, replace};
use super::volume::Disk;

/// Name of the file.
pub(crate) const NAME: &str = "index.snapshot";

const MAGIC: &[u8; 8] = b"SELVSNAP";
const FIXED_BYTES: usize = 20;
const WRITE_BYTES: usize = 1 << 20;

/// A head longer than this is damaged; a shard likewise.
const PART_BYTES_MAX: u32 = 1 << 30;

/// Where the log stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) identity: u128,
    /// The next record gets this number.
    pub(crate) sequence: u64,
    /// The next use of a segment gets this number.
    pub(crate) number: u64,
    pub(crate) time_max_ms: u64,
    pub(crate) revision_max: u64,
    /// All segments in use, by id.
    pub(crate) segments: Vec<(u32, Account)>,
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u128_le(self.identity);
        bytes.put_u64_le(self.sequence);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.time_max_ms);
        bytes.put_u64_le(self.revision_max);
        bytes.put_u32_le(self.segments.len() as u32);
        for (id, account) in &self.segments {
            bytes.put_u32_le(*id);
            bytes.put_u8(account.stream as u8);
            bytes.put_u8(u8::from(account.sealed));
            bytes.put_u32_le(account.end);
            bytes.put_u64_le(account.number);
            bytes.put_u64_le(account.sequence_min);
            bytes.put_u64_le(account.revision_min);
            bytes.put_u32_le(account.sites.len() as u32);
            for (site, sum) in &account.sites {
                bytes.put_u32_le(*site);
                bytes.put_u64_le(sum.records);
                bytes.put_u64_le(sum.bytes);
            }
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, TryGetError> {
        let rest = &mut bytes;
        let mut head = Self {
            identity: rest.try_get_u128_le()?,
            sequence: rest.try_get_u64_le()?,
            number: rest.try_get_u64_le()?,
            time_max_ms: rest.try_get_u64_le()?,
            revision_max: rest.try_get_u64_le()?,
            segments: Vec::new(),
        };
        for _ in 0..rest.try_get_u32_le()? {
            let id = rest.try_get_u32_le()?;
            let stream = if rest.try_get_u8()? == 0 { Stream::Young } else { Stream::Main };
            let mut account = Account::new(stream, 0);
            account.sealed = rest.try_get_u8()? != 0;
            account.end = rest.try_get_u32_le()?;
            account.number = rest.try_get_u64_le()?;
            account.sequence_min = rest.try_get_u64_le()?;
            account.revision_min = rest.try_get_u64_le()?;
            for _ in 0..rest.try_get_u32_le()? {
                let site = rest.try_get_u32_le()?;
                let (records, bytes) = (rest.try_get_u64_le()?, rest.try_get_u64_le()?);
                account.sites.insert(site, Sum { records, bytes });
            }
            head.segments.push((id, account));
        }
        Ok(head)
    }
}

/// Writes a snapshot: where the log stood, then the index as it is now, which may be newer.
pub(crate) fn write(disk: &Disk, head: &Head) -> std::io::Result<()> {
    // What the snapshot points to comes first.
    for (id, _) in head.segments.iter().filter(|(_, account)| !account.sealed) {
        if let Some(file) = disk.segments.at(*id).and_then(|segment| segment.file()) {
            disk.io.sync(file)?;
        }
    }
    let head = head.encode();
    let mut bytes = Vec::with_capacity(WRITE_BYTES * 2);
    bytes.put_slice(MAGIC);
    bytes.put_u32_le(VERSION);
    bytes.put_u32_le(head.len() as u32);
    bytes.put_u32_le(crc(&head));
    bytes.put_slice(&head);
    replace(&disk.folder, NAME, &*disk.io, |file| {
        let mut at = 0;
        for shard in 0..SHARDS {
            let slots = disk.index.dump(shard);
            bytes.put_u32_le(slots.len() as u32);
            bytes.put_u32_le(crc(&slots));
            bytes.put_slice(&slots);
            if bytes.len() >= WRITE_BYTES || shard + 1 == SHARDS {
                write_full(&*disk.io, file, &bytes, at)?;
                at += bytes.len() as u64;
                bytes.clear();
            }
        }
        Ok(())
    })
}

/// Reads a snapshot into an empty index. `None`: there is none.
///
/// # Errors
/// Why it cannot be used; the index may hold a part of it.
pub(crate) fn load(
    folder: &Path,
    io: &dyn Io,
    index: &Index,
    identity: u128,
) -> Result<Option<Head>, &'static str> {
    let file = match File::open(folder.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err("unreadable snapshot"),
    };
    let mut source = BufReader::with_capacity(WRITE_BYTES, Source { io, file: &file, at: 0 });
    let mut take = |bytes: usize| {
        let mut part = vec![0; bytes];
        source.read_exact(&mut part).map_err(|_| "snapshot cut off").map(|()| part)
    };
    let fixed = take(FIXED_BYTES)?;
    if &fixed[..8] != MAGIC {
        return Err("damaged snapshot");
    }
    let mut rest = &fixed[8..];
    if rest.get_u32_le() != VERSION {
        return Err("snapshot of another version");
    }
    let (length, sum) = (rest.get_u32_le(), rest.get_u32_le());
    if length > PART_BYTES_MAX {
        return Err("damaged snapshot");
    }
    let head = take(length as usize)?;
    if crc(&head) != sum {
        return Err("damaged snapshot");
    }
    let head = Head::decode(&head).map_err(|_| "damaged snapshot")?;
    if head.identity != identity {
        return Err("snapshot of another disk");
    }
    for shard in 0..SHARDS {
        let fixed = take(8)?;
        let mut rest = &fixed[..];
        let (length, sum) = (rest.get_u32_le(), rest.get_u32_le());
        if length > PART_BYTES_MAX {
            return Err("damaged snapshot");
        }
        let slots = take(length as usize)?;
        if crc(&slots) != sum || index.load(shard, &slots).is_err() {
            return Err("damaged snapshot");
        }
    }
    Ok(Some(head))
}

/// A file as a stream.
struct Source<'a> {
    io: &'a dyn Io,
    file: &'a File,
    at: u64,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.io.read_at(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
