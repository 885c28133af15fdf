//! Zones out of master files (RFC 1035 5.1), and back into one.
//!
//! A file with faults is refused whole, and all its faults are told, each with its place and what
//! to do. Faults of the zone as a whole are looked for when every record was read.
//!
//! Beside what RFC 1035 has: `$TTL` (RFC 2308 4), `$GENERATE` (as BIND has it), units in times, the
//! generic form of RFC 3597, and one type of our own: `name SITE shop` lets a name answer A, AAAA
//! and HTTPS as the site does. Only the class IN is taken.
//!
//! A fault or a file is never the end of a process: whatever the bytes, reading them ends, in time
//! and memory in proportion to [`TEXT_BYTES_MAX`].

mod generate;
mod reader;
mod scanner;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::sync::Arc;

use crate::name::Name;
use crate::zone::Zone;

#[cfg(test)]
pub(crate) use scanner::Scanner;
pub use write::zone_text;

/// Bytes of a zone's text at most: its file, what that includes, and what `$GENERATE` makes.
pub const TEXT_BYTES_MAX: usize = 128 << 20;
/// Files in files at most, the first not counted.
const INCLUDES_MAX: usize = 8;
/// Faults told at most.
const FAULTS_MAX: usize = 100;

/// A zone's file, and what is known of the zone without it.
#[derive(Clone, Copy, Debug)]
pub struct MasterFile<'file> {
    /// The zone's own name, and the origin until the file says otherwise.
    pub apex: &'file Name,
    /// Whether every site answers at its name directly below the apex.
    pub has_sites: bool,
    /// What the file is called in faults.
    pub file: &'file str,
    /// What is in it.
    pub bytes: &'file [u8],
}

/// What a master file held.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The zone.
    pub zone: Zone,
    /// What is sound, but probably not meant.
    pub warnings: Vec<Fault>,
}

/// Something in a file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was called.
    pub file: Arc<str>,
    /// From 1 on.
    pub line: u32,
    /// The character, from 1 on.
    pub column: u32,
    /// What to do.
    pub what: String,
}

impl MasterFile<'_> {
    /// The zone in the file; else all its faults, up to a hundred.
    ///
    /// `include` gives what is in a file that `$INCLUDE` names, or says why it cannot: which files
    /// may be read is for it to decide.
    pub fn read(
        &self,
        include: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Loaded, Vec<Fault>> {
        reader::read(self, include)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)
    }
}

impl std::error::Error for Fault {}
