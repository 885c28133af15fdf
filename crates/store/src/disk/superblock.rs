//! The identity of a disk, and the lock that keeps a second process off it.
//!
//! The superblock is written beside the old one, synced and renamed over it, so that there is
//! always a whole one.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SELVEDGE` |
//! | 4 | version of everything under the folder |
//! | 4 | segment bytes |
//! | 16 | identity of the disk |
//! | 16 | key seed |
//! | 8 | when it was made, ms of the store's time line |
//! | 8 | epoch of the set of disks it belongs to |
//! | 8 | the members of that set, hashed |
//! | 4 | CRC-32C of all before |

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use bytes::{Buf, BufMut};

use super::header::crc;
use super::io::{Io, write_full};

/// Version of the format. Another one means that the disk is emptied.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"SELVEDGE";
const BYTES: usize = 76;

/// What a superblock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) segment_bytes: u32,
    pub(crate) identity: u128,
    pub(crate) key_seed: [u8; 16],
    pub(crate) created_ms: u64,
    /// Rises whenever the set of disks in use changes: who missed a change has a lower one.
    pub(crate) epoch: u64,
    pub(crate) members: u64,
}

/// What the file of a superblock holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    Sound(Superblock),
    /// There is no such file.
    New,
    /// Not ours, damaged, or of another version.
    Unusable(&'static str),
}

impl Superblock {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u32_le(self.segment_bytes);
        bytes.put_u128_le(self.identity);
        bytes.put_slice(&self.key_seed);
        bytes.put_u64_le(self.created_ms);
        bytes.put_u64_le(self.epoch);
        bytes.put_u64_le(self.members);
        bytes.put_u32_le(crc(&bytes));
        bytes
    }

    fn decode(bytes: &[u8]) -> Loaded {
        if bytes.len() < 12 || &bytes[..8] != MAGIC {
            return Loaded::Unusable("damaged superblock");
        }
        let mut rest = &bytes[8..];
        if rest.get_u32_le() != VERSION {
            return Loaded::Unusable("another format version");
        }
        if bytes.len() != BYTES {
            return Loaded::Unusable("damaged superblock");
        }
        let block = Self {
            segment_bytes: rest.get_u32_le(),
            identity: rest.get_u128_le(),
            key_seed: rest.get_u128_le().to_le_bytes(),
            created_ms: rest.get_u64_le(),
            epoch: rest.get_u64_le(),
            members: rest.get_u64_le(),
        };
        let sound =
            rest.get_u32_le() == crc(&bytes[..BYTES - 4]) && block.segment_bytes.is_power_of_two();
        if sound { Loaded::Sound(block) } else { Loaded::Unusable("damaged superblock") }
    }

    /// Reads the superblock of a folder.
    pub(crate) fn load(folder: &Path) -> std::io::Result<Loaded> {
        match fs::read(folder.join("superblock")) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Loaded::New),
            Err(error) => Err(error),
        }
    }

    /// Writes the superblock of a folder, durably.
    pub(crate) fn save(&self, folder: &Path, io: &dyn Io) -> std::io::Result<()> {
        replace(folder, "superblock", io, |file| write_full(io, file, &self.encode(), 0))
    }
}

/// Takes the superblock of a folder away: all that is there is deleted when it is opened again.
pub(crate) fn remove(folder: &Path, io: &dyn Io) -> std::io::Result<()> {
    io.delete(&folder.join("superblock"))
}

/// Puts a new file in the place of an old one: there is always a whole one.
pub(crate) fn replace(
    folder: &Path,
    name: &str,
    io: &dyn Io,
    write: impl FnOnce(&File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let file = File::create(&temporary)?;
    write(&file)?;
    io.sync(&file)?;
    fs::rename(&temporary, folder.join(name))?;
    io.sync(&File::open(folder)?)
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    /// Another process uses it.
    pub(crate) in_use: bool,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { why, in_use: false }
    }
}

/// Takes the lock of a folder; it lasts as long as the file is open.
///
/// # Errors
/// Why not, naming the process that holds it.
pub(crate) fn take_lock(folder: &Path) -> Result<File, Refusal> {
    let path = folder.join("lock");
    let mut options = File::options();
    let mut file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Without the number the message still says what matters.
            let _ = file.read_to_string(&mut pid);
            let why = format!("in use by process {}", pid.trim());
            return Err(Refusal { why, in_use: true });
        }
        Err(TryLockError::Error(error)) => return Err(format!("cannot lock: {error}").into()),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(file)
}
