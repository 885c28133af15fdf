//! Removals that outlive the segments they were in.
//!
//! A smaller size cuts segments off. What their records and removals had voided in segments that
//! stay must stay void, so it is written to the file `voids` before the first of them is deleted.
//! That one write is the moment at which they are cut off: the next start either finds them all,
//! or deletes what is left of them before anything else. The file goes when no record is left that
//! is older than what it lists.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SELVVOID` |
//! | 4 | version of the format |
//! | 4 | segments from this one on are to be deleted; 0: none |
//! | 16 | identity of the disk |
//! | 16 + 8 each | key, and the sequence below which its records are void |
//! | 4 | CRC-32C of all before |

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};

use bytes::{Buf, BufMut};

use super::header::crc;
use super::io::{read_full, write_full};
use super::superblock::{VERSION, replace};
use super::volume::Disk;

/// Name of the file.
pub(crate) const NAME: &str = "voids";

const MAGIC: &[u8; 8] = b"SELVVOID";
const FIXED_BYTES: usize = 32;
const KEY_BYTES: usize = 24;
const SUM_BYTES: usize = 4;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Voids {
    /// Segments from this one on are to be deleted; 0: none.
    pub(crate) cut_from: u32,
    /// The sequence below which the records of a key are void.
    pub(crate) keys: HashMap<u128, u64>,
}

impl Voids {
    /// Reads the file; without one nothing is void.
    ///
    /// # Errors
    /// It cannot be read or is damaged: nobody knows what is void.
    pub(crate) fn load(disk: &Disk) -> Result<Self> {
        let file = match File::open(disk.folder.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; file.metadata()?.len() as usize];
        let read = read_full(&*disk.io, &file, &mut bytes, 0)?;
        let damaged = || Error::new(ErrorKind::InvalidData, "damaged list of removals");
        Self::decode(&bytes[..read], disk.segments.identity).ok_or_else(damaged)
    }

    /// Cuts off the segments beyond the last.
    ///
    /// # Errors
    /// Some may still be there. The disk must not be used then: what is removed from now on would
    /// not be removed in them.
    pub(crate) fn cut(&mut self, disk: &Disk) -> Result<()> {
        self.cut_from = disk.segments.all.len() as u32;
        self.save(disk)?;
        self.finish_cut(disk)
    }

    /// Deletes what was cut off, also by a start that did not come to its end.
    ///
    /// # Errors
    /// As for `cut`.
    pub(crate) fn finish_cut(&mut self, disk: &Disk) -> Result<()> {
        if self.cut_from > 0 {
            disk.segments.delete_from(self.cut_from, &*disk.io)?;
            self.cut_from = 0;
            self.save(disk)?;
        }
        Ok(())
    }

    /// Forgets everything, when all that is left on disk is newer.
    pub(crate) fn forget_before(&mut self, oldest: u64, disk: &Disk) {
        if !self.keys.is_empty() && self.keys.values().all(|sequence| *sequence <= oldest) {
            self.keys.clear();
            // A list that stays does no harm: sequences only rise.
            let _ = self.save(disk);
        }
    }

    fn save(&self, disk: &Disk) -> Result<()> {
        if *self == Self::default() {
            return disk.io.delete(&disk.folder.join(NAME));
        }
        let bytes = self.encode(disk.segments.identity);
        replace(&disk.folder, NAME, &*disk.io, |file| write_full(&*disk.io, file, &bytes, 0))
    }

    fn encode(&self, identity: u128) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.keys.len() * KEY_BYTES + SUM_BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u32_le(self.cut_from);
        bytes.put_u128_le(identity);
        for (key, sequence) in &self.keys {
            bytes.put_u128_le(*key);
            bytes.put_u64_le(*sequence);
        }
        bytes.put_u32_le(crc(&bytes));
        bytes
    }

    /// `None` when it is damaged. What was said of another life of the disk is nothing.
    fn decode(bytes: &[u8], identity: u128) -> Option<Self> {
        let (said, mut sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
        let (mut fixed, keys) = said.split_at_checked(FIXED_BYTES)?;
        let (keys, rest) = keys.as_chunks::<KEY_BYTES>();
        let sound = rest.is_empty() && fixed.starts_with(MAGIC) && sum.get_u32_le() == crc(said);
        fixed.advance(MAGIC.len());
        if !sound || fixed.get_u32_le() != VERSION {
            return None;
        }
        let cut_from = fixed.get_u32_le();
        if fixed.get_u128_le() != identity {
            return Some(Self::default());
        }
        let pair = |mut bytes: &[u8]| (bytes.get_u128_le(), bytes.get_u64_le());
        Some(Self { cut_from, keys: keys.iter().map(|bytes| pair(bytes)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_anywhere_is_not_believed() {
        let keys = HashMap::from([(7, 70), (u128::MAX, 3)]);
        let voids = Voids { cut_from: 9, keys };
        let whole = voids.encode(5);
        assert_eq!(Voids::decode(&whole, 5), Some(voids));
        assert_eq!(Voids::decode(&whole, 6), Some(Voids::default()), "of another disk");
        for at in 0..whole.len() {
            assert_eq!(Voids::decode(&whole[..at], 5), None);
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(Voids::decode(&damaged, 5), None);
        }
    }
}
