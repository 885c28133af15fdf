//! The disk tier: a persistent map from 128-bit key to record that may forget but never lies.
//!
//! It knows nothing of HTTP. Records are written one after another into segments, found through an
//! index in memory, and checked before a byte of them is given out. `README.md` of this crate has
//! the format on disk and the order in which a disk is recovered.

mod counters;
mod disks;
mod found;
mod ghost;
// Until the engine beside it is there, only tests and benchmarks use it.
#[cfg_attr(not(test), expect(dead_code))]
mod index;
// As above.
#[cfg_attr(not(test), expect(dead_code))]
mod keep;
mod record;
mod report;
mod settings;

pub use counters::DiskCounters;
pub use disks::{Cursor, Disks, Removal, SiteBytes, Totals, Verified};
pub use found::{Found, PendingRead, ReadError, ReadOutcome};
pub use record::{Kind, PAYLOAD_BYTES_MAX, Record, RecordHead};
pub use report::{DiskReport, OpenReport};
pub use settings::{Admission, DiskPath, DiskSettings, Quota};

#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod keep_tests;
