//! The journals: one file in each folder that was given, all with the same purges. Bytes are made
//! and read in `record.rs`.
//!
//! A purge is in force for good when one journal has synced it. A journal that missed purges says
//! so with a floor before it takes the next one; so what any one journal says is the truth, and of
//! several the one that goes furthest is believed about the floor, and all about purges.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::{RECORD_BYTES, Record, Replayed, replay};
use super::table::Order;

/// The name of a journal in its folder.
const FILE: &str = "purges.journal";
/// Longer journals are not read: far beyond what the bound on purges allows.
const BYTES_MAX: u64 = 4 << 30;
/// Records beyond what is remembered that are not worth writing a journal anew.
const SLACK_RECORDS: u64 = 4096;

/// All journals of a store.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    each: Vec<Journal>,
    /// There should be some, but no disk can be used.
    lost: bool,
}

#[derive(Debug)]
struct Journal {
    folder: PathBuf,
    /// `None` while it cannot be written.
    file: Option<File>,
    /// Bytes that are whole records and synced.
    bytes: u64,
    /// The newest purge that it has.
    revision: u64,
}

/// What the journals of some folders say together.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Every purge of any journal, oldest first, each once.
    pub(crate) orders: Vec<Order>,
    /// The newest purge of any.
    pub(crate) revision: u64,
    /// Older purges may be missing. `None` when no journal can be trusted.
    pub(crate) floor: Option<u64>,
    /// What could not be read, for the operator.
    pub(crate) notes: Vec<String>,
}

/// Reads the journals of these folders.
pub(crate) fn read(folders: &[PathBuf]) -> Known {
    let mut known = Known::default();
    let mut furthest = 0;
    for folder in folders {
        let path = folder.join(FILE);
        match read_one(&path) {
            Ok(Some(Replayed { orders, revision, floor, .. })) => {
                if known.floor.is_none() || revision > furthest {
                    (furthest, known.floor) = (revision, Some(floor));
                } else if revision == furthest {
                    known.floor = known.floor.map(|least| least.min(floor));
                }
                known.revision = known.revision.max(revision);
                known.orders.extend(orders);
            }
            Ok(None) => known.notes.push(format!("{}: is damaged", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => known.notes.push(format!("{}: {error}", path.display())),
        }
    }
    known.orders.sort_by_key(|order| order.revision);
    known.orders.dedup();
    known
}

fn read_one(path: &Path) -> io::Result<Option<Replayed>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(replay(&bytes))
}

impl Journals {
    /// Journals that no purge can be written to.
    pub(crate) fn lost() -> Self {
        Self { each: Vec::new(), lost: true }
    }

    /// Writes journals of these purges into the folders, in the place of what was there. Those
    /// that cannot be written are tried again with the next purge; notes say which and why.
    pub(crate) fn create(
        folders: &[PathBuf],
        orders: &[Order],
        revision: u64,
        floor: u64,
    ) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let create = |folder: &PathBuf| {
            let mut journal = Journal { folder: folder.clone(), file: None, bytes: 0, revision: 0 };
            let records = orders.iter().copied();
            if let Err(error) = journal.write_anew(records, revision, floor) {
                notes.push(format!("{}: {error}", folder.join(FILE).display()));
            }
            journal
        };
        let journals = folders.iter().map(create).collect();
        (Self { each: journals, lost: false }, notes)
    }

    /// Appends purges to every journal and syncs them. How many journals failed; an error when
    /// there are some and none took them.
    pub(crate) fn append(&mut self, orders: &[Order], before: u64) -> Result<u64, u64> {
        let mut bytes = Vec::with_capacity(orders.len() * RECORD_BYTES);
        orders.iter().for_each(|order| bytes.extend(Record::Purge(*order).encode()));
        let newest = orders.iter().map(|order| order.revision).max().unwrap_or(before);
        let failed = self.each(|journal| journal.append(&bytes, before, newest));
        let none = failed > 0 && failed == self.each.len() as u64;
        if none || self.lost { Err(failed.max(1)) } else { Ok(failed) }
    }

    /// Writes the journals anew that hold much more than `remembered` records. How many failed.
    pub(crate) fn compact(
        &mut self,
        remembered: usize,
        floor: u64,
        holds: impl Fn(&Order) -> bool,
    ) -> u64 {
        let most = 2 * remembered as u64 + SLACK_RECORDS;
        self.each(|journal| {
            if journal.file.is_none() || journal.bytes / RECORD_BYTES as u64 <= most {
                return Ok(());
            }
            let Some(found) = read_one(&journal.path())? else {
                return Err(io::Error::other("is damaged"));
            };
            let kept = found.orders.into_iter().filter(|order| holds(order));
            journal.write_anew(kept, journal.revision, found.floor.max(floor))
        })
    }

    /// Whether one of them holds much more than `remembered` records.
    pub(crate) fn is_long(&self, remembered: usize) -> bool {
        let most = 2 * remembered as u64 + SLACK_RECORDS;
        let mut open = self.each.iter().filter(|journal| journal.file.is_some());
        open.any(|journal| journal.bytes / RECORD_BYTES as u64 > most)
    }

    /// As if every file had failed.
    #[cfg(test)]
    pub(crate) fn fail(&mut self) {
        self.each.iter_mut().for_each(|journal| journal.file = None);
    }

    fn each(&mut self, mut act: impl FnMut(&mut Journal) -> io::Result<()>) -> u64 {
        let failed = |journal: &mut Journal| {
            let outcome = act(journal);
            if outcome.is_err() {
                journal.file = None;
            }
            u64::from(outcome.is_err())
        };
        self.each.iter_mut().map(failed).sum()
    }
}

impl Journal {
    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn append(&mut self, records: &[u8], before: u64, newest: u64) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let missed = (self.revision < before).then_some(before);
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut bytes = 0;
        if let Some(floor) = missed {
            file.write_all(&Record::Header { revision: before, floor }.encode())?;
            bytes += RECORD_BYTES;
        }
        file.write_all(records)?;
        file.sync_data()?;
        self.bytes += (bytes + records.len()) as u64;
        self.revision = newest;
        Ok(())
    }

    /// Opens the file again after a failure, and cuts what the failed append left.
    fn reopen(&mut self) -> io::Result<()> {
        if self.bytes == 0 {
            return self.write_anew([].into_iter(), 0, 0);
        }
        let file = OpenOptions::new().read(true).write(true).open(self.path())?;
        file.set_len(self.bytes)?;
        self.file = Some(file);
        Ok(())
    }

    /// Writes the file anew: beside the old one, synced, then in its place.
    fn write_anew(
        &mut self,
        orders: impl Iterator<Item = Order>,
        revision: u64,
        floor: u64,
    ) -> io::Result<()> {
        let beside = self.folder.join(format!("{FILE}.new"));
        let mut file = io::BufWriter::new(File::create(&beside)?);
        file.write_all(&Record::Header { revision, floor }.encode())?;
        let mut bytes = RECORD_BYTES as u64;
        for order in orders {
            file.write_all(&Record::Purge(order).encode())?;
            bytes += RECORD_BYTES as u64;
        }
        let file = file.into_inner()?;
        file.sync_all()?;
        fs::rename(&beside, self.path())?;
        File::open(&self.folder)?.sync_all()?;
        (self.file, self.bytes, self.revision) = (Some(file), bytes, revision);
        Ok(())
    }
}
