//! What the disk tier is opened with.

use std::path::PathBuf;

/// One folder and the bytes it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPath {
    /// A folder for this tier alone; made when it is not there. One for each physical disk.
    pub path: PathBuf,
    /// Most that segments may take, in bytes; at least 16 MiB are used.
    pub size_bytes: u64,
}

/// Which records are let onto a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// All.
    #[default]
    Always,
    /// Entries whose key was asked for before, and slices.
    SecondAsk,
}

/// What a site is promised and allowed, summed over all disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The site.
    pub site: u32,
    /// Bytes that other sites never push out.
    pub min_bytes: u64,
    /// Bytes beyond which the site's own oldest records go first.
    pub max_bytes: u64,
}

/// What the disk tier is opened with.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// The disks. An empty list is a tier that stores nothing.
    pub disks: Vec<DiskPath>,
    /// Which records are let on.
    pub admission: Admission,
    /// Sites with a quota; all others share what is left.
    pub sites: Vec<Quota>,
    /// The key seed for a set of disks that has none yet. Also the source of their identities, so
    /// it must come from a good source of chance.
    pub key_seed: [u8; 16],
    /// Now, in milliseconds of the store's time line.
    pub now_ms: u64,
    /// Most bytes that wait for the writer of one disk; what comes beyond is dropped.
    pub queue_bytes_max: usize,
    /// Threads per disk that read what is not in the page cache.
    pub readers: usize,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            disks: Vec::new(),
            admission: Admission::Always,
            sites: Vec::new(),
            key_seed: [0; 16],
            now_ms: 0,
            queue_bytes_max: 64 << 20,
            readers: 4,
        }
    }
}
