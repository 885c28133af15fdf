//! What was found when the disks were opened.

use std::path::PathBuf;

/// What was found on all disks.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// One for each disk, in the order of the settings.
    pub disks: Vec<DiskReport>,
    /// The latest time that was ever stored, in milliseconds of the store's time line.
    pub time_max_ms: u64,
    /// The highest purge revision of any record.
    pub revision_max: u64,
}

/// What was found on one disk.
#[derive(Clone, Debug, Default)]
pub struct DiskReport {
    /// Its folder.
    pub path: PathBuf,
    /// Why it is not used; `None` when it is.
    pub failed: Option<String>,
    /// Whether it is not used because another process has it.
    pub in_use: bool,
    /// Whether the snapshot of the index was used; if not, everything was scanned.
    pub snapshot: bool,
    /// Why everything that was on it was thrown away; `None` when nothing was.
    pub emptied: Option<&'static str>,
    /// Records it holds now.
    pub records: u64,
    /// Bytes of those records with headers and padding.
    pub bytes: u64,
    /// Segments of which headers were read one by one.
    pub segments_scanned: u64,
    /// Records found by reading their headers.
    pub records_scanned: u64,
    /// Records not taken over, by reason.
    pub dropped: Vec<(&'static str, u64)>,
}

impl OpenReport {
    /// The disks that are used.
    pub fn usable(&self) -> impl Iterator<Item = &DiskReport> {
        self.disks.iter().filter(|disk| disk.failed.is_none())
    }
}
