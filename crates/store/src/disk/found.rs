//! A record that was found, and reading it.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::DiskCounters;
use super::header::UNIT;
use super::index::Place;
use super::reader;
use super::volume::Disk;

/// Why a record could not be read. For all but `Busy` it counts as not there from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It has gone since it was found.
    Missing,
    /// A checksum did not match.
    Corrupt,
    /// The disk reported an error.
    Failed,
    /// Too many reads wait for the disk.
    Busy,
}

impl ReadError {
    /// A stable word for logs and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "disk-missing",
            Self::Corrupt => "disk-corrupt",
            Self::Failed => "disk-failed",
            Self::Busy => "disk-busy",
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the record has gone from the disk",
            Self::Corrupt => "a checksum of the record does not match",
            Self::Failed => "the disk failed to read the record",
            Self::Busy => "too many reads wait for the disk",
        })
    }
}

impl std::error::Error for ReadError {}

/// The answer to a read.
#[derive(Debug)]
pub enum ReadOutcome {
    /// It was in memory.
    Ready(Result<Bytes, ReadError>),
    /// A thread reads it.
    Pending(PendingRead),
}

impl ReadOutcome {
    /// Waits for the bytes; blocks the thread, so not for use inside a runtime.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn wait(self) -> Result<Bytes, ReadError> {
        match self {
            Self::Ready(result) => result,
            Self::Pending(read) => read.0.blocking_recv().unwrap_or(Err(ReadError::Missing)),
        }
    }
}

impl ReadOutcome {
    /// Waits for the bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn bytes(self) -> Result<Bytes, ReadError> {
        match self {
            Self::Ready(result) => result,
            Self::Pending(read) => read.await,
        }
    }
}

/// A read that a thread does: a future that needs no particular runtime.
#[derive(Debug)]
pub struct PendingRead(pub(crate) oneshot::Receiver<Result<Bytes, ReadError>>);

impl Future for PendingRead {
    type Output = Result<Bytes, ReadError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(ReadError::Missing)))
    }
}

/// A record that the index knows. It may be overwritten while this is held; a read says so.
#[derive(Clone, Debug)]
pub struct Found {
    disk: Arc<Disk>,
    key: u128,
    place: Place,
}

impl Found {
    pub(crate) fn new(disk: &Arc<Disk>, key: u128, place: Place) -> Self {
        Self { disk: disk.clone(), key, place }
    }

    /// Bytes on disk with header, checksums and padding: a little more than the payload.
    pub fn disk_bytes(&self) -> u32 {
        self.place.units * UNIT as u32
    }

    /// Reads payload bytes. What of the range is beyond the end of the payload is left out, so
    /// `0..u32::MAX` reads all. Checksums of every block touched are verified first.
    pub fn read(&self, range: Range<u32>) -> ReadOutcome {
        if let Some(result) = reader::read_now(&self.disk, self.key, self.place, &range) {
            return ReadOutcome::Ready(result);
        }
        let counters = &self.disk.counters;
        match self.disk.reads.push(self.key, self.place, range) {
            Some(read) => {
                DiskCounters::add(&counters.reads_waited);
                ReadOutcome::Pending(PendingRead(read))
            }
            None => {
                DiskCounters::add(&counters.reads_refused);
                ReadOutcome::Ready(Err(ReadError::Busy))
            }
        }
    }
}
