//! What the tests of the disk tier share: records that can be told apart, disks in folders of
//! their own, and file operations that fail on command.

use std::fmt;
use std::fs::File;
use std::io::{Error, Result};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;

use crate::disk::io::{Files, Io};
use crate::disk::{
    DiskCounters, DiskPath, DiskSettings, Disks, Kind, OpenReport, ReadError, Record,
};
use crate::lock::lock;

pub(super) const SIZE: u64 = 32 << 20;

/// A small generator: the same seed gives the same numbers.
#[derive(Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A number as a keyed hash would make it.
pub(super) fn key(number: u64) -> u128 {
    let mut chance = Chance(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        chance.next();
    }
    u128::from(chance.next()) << 64 | u128::from(chance.next())
}

/// The payload of one version of a key.
pub(super) fn payload(number: u64, version: u64, bytes: usize) -> Bytes {
    let mut chance = Chance(number << 20 ^ version << 1 | 1);
    let words = (0..bytes.div_ceil(8)).flat_map(|_| chance.next().to_le_bytes());
    words.take(bytes).collect()
}

pub(super) fn record(number: u64, version: u64, bytes: usize) -> Record {
    Record {
        key: key(number),
        kind: Kind::Entry,
        site: 1,
        revision: version,
        time_ms: version,
        payload: vec![payload(number, version, bytes)],
    }
}

/// Folders for disks, and what they are opened with.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) folder: TempDir,
    pub(super) settings: DiskSettings,
    pub(super) counters: Arc<DiskCounters>,
    pub(super) io: Arc<FaultyIo>,
}

impl Rig {
    pub(super) fn new(disks: usize, size_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |i: usize| DiskPath { path: folder.path().join(format!("d{i}")), size_bytes };
        let disks = (0..disks).map(path).collect();
        let settings = DiskSettings { disks, key_seed: [7; 16], ..DiskSettings::default() };
        Self { folder, settings, counters: Arc::default(), io: Arc::default() }
    }

    pub(super) fn open(&self) -> Disks {
        self.open_with_report().0
    }

    pub(super) fn open_with_report(&self) -> (Disks, OpenReport) {
        Disks::open_on(&self.settings, self.counters.clone(), self.io.clone())
    }

    pub(super) fn path(&self, disk: usize) -> &Path {
        &self.settings.disks[disk].path
    }

    /// The files of a disk's segments that are there.
    pub(super) fn segment_files(&self, disk: usize) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(self.path(disk).join("segments")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    pub(super) fn remove_snapshot(&self, disk: usize) {
        std::fs::remove_file(self.path(disk).join("index.snapshot")).unwrap();
    }
}

/// All of a record, waited for.
pub(super) fn read(disks: &Disks, number: u64) -> Option<std::result::Result<Bytes, ReadError>> {
    disks.find(key(number)).map(|found| found.read(0..u32::MAX).wait())
}

/// Panics if a record is there and not what it must be; says whether it is there.
pub(super) fn is_right(disks: &Disks, number: u64, version: u64, bytes: usize) -> bool {
    match read(disks, number) {
        Some(Ok(read)) => {
            assert!(read == payload(number, version, bytes), "record {number} has other bytes");
            true
        }
        _ => false,
    }
}

/// What is asked of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    ReadCached,
    Write,
    Delete,
}

/// What shall become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Work,
    Fail(i32),
    /// Only so many bytes.
    Short(usize),
}

type Plan = Box<dyn FnMut(Call, &File, u64, usize) -> Fate + Send>;

/// Real files, but a plan decides about each call.
#[derive(Default)]
pub(super) struct FaultyIo(Mutex<Option<Plan>>);

impl fmt::Debug for FaultyIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyIo")
    }
}

impl FaultyIo {
    pub(super) fn plan(&self, plan: impl FnMut(Call, &File, u64, usize) -> Fate + Send + 'static) {
        *lock(&self.0) = Some(Box::new(plan));
    }

    pub(super) fn work(&self) {
        *lock(&self.0) = None;
    }

    fn fate(&self, call: Call, file: &File, offset: u64, bytes: usize) -> Result<usize> {
        let fate = lock(&self.0).as_mut().map_or(Fate::Work, |p| p(call, file, offset, bytes));
        match fate {
            Fate::Work => Ok(bytes),
            Fate::Short(most) => Ok(bytes.min(most)),
            Fate::Fail(code) => Err(Error::from_raw_os_error(code)),
        }
    }
}

impl Io for FaultyIo {
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let most = self.fate(Call::Read, file, offset, buffer.len())?;
        Files.read_at(file, &mut buffer[..most], offset)
    }

    fn read_cached(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let most = self.fate(Call::ReadCached, file, offset, buffer.len())?;
        Files.read_cached(file, &mut buffer[..most], offset)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<usize> {
        let most = self.fate(Call::Write, file, offset, bytes.len())?;
        Files.write_at(file, &bytes[..most], offset)
    }

    fn sync(&self, file: &File) -> Result<()> {
        Files.sync(file)
    }

    fn allocate(&self, file: &File, bytes: u64) -> Result<()> {
        self.fate(Call::Write, file, 0, 0)?;
        Files.allocate(file, bytes)
    }

    fn delete(&self, path: &Path) -> Result<()> {
        if let Ok(file) = File::open(path) {
            self.fate(Call::Delete, &file, 0, 0)?;
        }
        Files.delete(path)
    }
}

/// The value of a counter.
pub(super) fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Relaxed)
}
