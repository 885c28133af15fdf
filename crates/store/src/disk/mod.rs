//! The disk tier: a persistent map from 128-bit key to record that may forget but never lies.
//!
//! It knows nothing of HTTP. Records are written one after another into segments, found through an
//! index in memory, and checked before a byte of them is given out. `README.md` of this crate has
//! the format on disk and the order in which a disk is recovered.

mod accounts;
mod buffers;
mod counters;
mod disks;
mod found;
mod ghost;
mod header;
mod index;
mod io;
mod keep;
mod members;
mod open;
mod pool;
mod queue;
mod quota;
mod reader;
mod reclaim;
mod record;
mod recover;
mod removal;
mod report;
mod scan;
mod segment;
mod settings;
mod snapshot;
mod superblock;
mod tick;
mod walk;
mod writer;

#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod keep_tests;
#[cfg(test)]
mod tests;
mod voids;
mod volume;

pub use counters::DiskCounters;
pub use disks::{Disks, SiteBytes, Totals};
pub use found::{Found, PendingRead, ReadError, ReadOutcome};
pub(crate) use header::BLOCK_BYTES;
pub(crate) use pool::{POOLED_BYTES_MIN, POOLED_STEP_BYTES};
pub use record::{Kind, PAYLOAD_BYTES_MAX, Record, RecordHead};
pub use removal::Removal;
pub use report::{DiskReport, OpenReport};
pub use settings::{Admission, DiskPath, DiskSettings, Quota};
pub use walk::{Cursor, Verified};
