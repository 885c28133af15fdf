//! Reading records, and the threads that read what is not in the page cache.
//!
//! Nothing is locked while a file is read. A record may be overwritten meanwhile: then its
//! checksums do not match, and the index says that it has gone.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::DiskCounters;
use super::found::ReadError;
use super::header::{BLOCK_BYTES, HEADER_BYTES, Header, UNIT, crc, payload_start};
use super::index::Place;
use super::io::read_full;
use super::pool::POOLED_BYTES_MIN;
use super::segment::Segment;
use super::volume::{Disk, Health};
use crate::lock::lock;

/// Reads that may wait for one disk.
const JOBS_MAX: usize = 4096;

/// So many bytes before a range are read with it, in one call with the header.
const SKIP_BYTES_MAX: usize = 2 * BLOCK_BYTES;

/// Header and table of the longest record.
const HEAD_BYTES_MAX: usize = HEADER_BYTES + 4 * 128;

/// How to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    PageCache,
    Disk,
}

/// Why a record was not read.
#[derive(Debug)]
enum Trouble {
    /// Not all of it is in the page cache.
    NotCached,
    /// There is no such record, or it is damaged.
    Bad,
    /// A record of another key is there.
    Other,
    /// The disk failed.
    Failed(std::io::Error),
}

/// Reads a range of the payload without waiting; `None` when only the disk has it.
pub(crate) fn read_now(
    disk: &Disk,
    key: u128,
    place: Place,
    range: &Range<u32>,
) -> Option<Result<Bytes, ReadError>> {
    read(disk, key, place, range, From::PageCache)
}

/// Reads a range of the payload, waiting for the disk.
pub(crate) fn read_waiting(
    disk: &Disk,
    key: u128,
    place: Place,
    range: &Range<u32>,
) -> Result<Bytes, ReadError> {
    read(disk, key, place, range, From::Disk).unwrap_or(Err(ReadError::Missing))
}

fn read(
    disk: &Disk,
    key: u128,
    mut place: Place,
    range: &Range<u32>,
    from: From,
) -> Option<Result<Bytes, ReadError>> {
    // Once more when it was moved meanwhile.
    for _ in 0..2 {
        if disk.health() == Health::Lost {
            break;
        }
        let Some(segment) = disk.segments.at(place.segment) else { break };
        let number = segment.number();
        let trouble = match read_place(disk, segment, key, place, range, from) {
            Ok(bytes) => {
                disk.read_worked();
                DiskCounters::add(&disk.counters.reads);
                return Some(Ok(bytes));
            }
            Err(trouble) => trouble,
        };
        let now = disk.index.get(key);
        match trouble {
            Trouble::NotCached => return None,
            Trouble::Failed(error) => {
                disk.forget(key, place);
                disk.read_failed(&error);
                return Some(Err(ReadError::Failed));
            }
            Trouble::Bad if now == Some(place) && segment.number() == number => {
                disk.forget(key, place);
                DiskCounters::add(&disk.counters.corrupt);
                return Some(Err(ReadError::Corrupt));
            }
            Trouble::Bad | Trouble::Other => {
                disk.index.remove_if(key, place);
                match now {
                    Some(other) if other != place => place = other,
                    _ => break,
                }
            }
        }
    }
    DiskCounters::add(&disk.counters.reads_missing);
    Some(Err(ReadError::Missing))
}

fn read_place(
    disk: &Disk,
    segment: &Segment,
    key: u128,
    place: Place,
    range: &Range<u32>,
    from: From,
) -> Result<Bytes, Trouble> {
    let salt = segment.salt();
    if place.unit >= segment.written() {
        let copy = |bytes: &[u8]| {
            let header = check_header(bytes, key, place, salt)?;
            let wanted = clip(range, &header);
            let start = payload_start(place.units);
            Ok(Bytes::copy_from_slice(&bytes[start + wanted.start..start + wanted.end]))
        };
        if let Some(copied) = disk.buffers.with_record(place, copy) {
            return copied;
        }
    }
    let start = payload_start(place.units);
    let room = place.units as usize * UNIT - start;
    let first = (range.start as usize).min(room) / BLOCK_BYTES * BLOCK_BYTES;
    let end = (range.end as usize).min(room).next_multiple_of(BLOCK_BYTES).min(room).max(first);
    if first <= SKIP_BYTES_MAX {
        let bytes =
            fill(disk, start + end, |bytes| read_file(disk, segment, bytes, place, 0, from))?;
        let header = check_header(&bytes, key, place, salt)?;
        let wanted = clip(range, &header);
        check_blocks(&header, &bytes[..start], &bytes[start..], 0, &wanted)?;
        Ok(bytes.slice(start + wanted.start..start + wanted.end))
    } else {
        let mut head = [0; HEAD_BYTES_MAX];
        let head = &mut head[..start];
        read_file(disk, segment, head, place, 0, from)?;
        let header = check_header(head, key, place, salt)?;
        let wanted = clip(range, &header);
        let bytes = fill(disk, end - first, |bytes| {
            read_file(disk, segment, bytes, place, start + first, from)
        })?;
        check_blocks(&header, head, &bytes, first, &wanted)?;
        if wanted.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(bytes.slice(wanted.start - first..wanted.end - first))
    }
}

/// Bytes that `read` fills.
fn fill(
    disk: &Disk,
    bytes: usize,
    read: impl FnOnce(&mut [u8]) -> Result<(), Trouble>,
) -> Result<Bytes, Trouble> {
    if bytes < POOLED_BYTES_MIN {
        let mut buffer = vec![0; bytes];
        read(&mut buffer)?;
        Ok(Bytes::from(buffer))
    } else {
        let mut buffer = disk.pool.take(bytes);
        read(buffer.bytes_mut())?;
        Ok(buffer.freeze())
    }
}

/// Fills a buffer with what a record has from `offset` on.
fn read_file(
    disk: &Disk,
    segment: &Segment,
    buffer: &mut [u8],
    place: Place,
    offset: usize,
    from: From,
) -> Result<(), Trouble> {
    let file = segment.file().ok_or(Trouble::Bad)?;
    let at = u64::from(place.unit) * UNIT as u64 + offset as u64;
    if from == From::Disk {
        let read = read_full(&*disk.io, file, buffer, at).map_err(Trouble::Failed)?;
        return if read == buffer.len() { Ok(()) } else { Err(Trouble::Bad) };
    }
    if !disk.tells_cached.load(Relaxed) {
        return Err(Trouble::NotCached);
    }
    match disk.io.read_cached(file, buffer, at) {
        Ok(read) if read == buffer.len() => Ok(()),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            disk.tells_cached.store(false, Relaxed);
            Err(Trouble::NotCached)
        }
        // What is wrong shows again when the disk is waited for.
        _ => Err(Trouble::NotCached),
    }
}

fn check_header(bytes: &[u8], key: u128, place: Place, salt: u32) -> Result<Header, Trouble> {
    let header = Header::decode(bytes, salt).ok_or(Trouble::Bad)?;
    if header.key != key || header.units() != place.units {
        return Err(Trouble::Other);
    }
    Ok(header)
}

/// The part of a range that the payload has.
fn clip(range: &Range<u32>, header: &Header) -> Range<usize> {
    let end = range.end.min(header.payload_bytes) as usize;
    (range.start as usize).min(end)..end
}

/// Checks the blocks that a range touches. `blocks` begins at byte `first` of the payload.
fn check_blocks(
    header: &Header,
    head: &[u8],
    blocks: &[u8],
    first: usize,
    wanted: &Range<usize>,
) -> Result<(), Trouble> {
    let table = &head[HEADER_BYTES..];
    if crc(table) != header.table_crc {
        return Err(Trouble::Bad);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut at = wanted.start / BLOCK_BYTES * BLOCK_BYTES;
    while at < wanted.end {
        let end = (at + BLOCK_BYTES).min(header.payload_bytes as usize);
        let sum = &table[at / BLOCK_BYTES * 4..][..4];
        if crc(&blocks[at - first..end - first]).to_le_bytes() != sum {
            return Err(Trouble::Bad);
        }
        at += BLOCK_BYTES;
    }
    Ok(())
}

#[derive(Debug)]
struct Job {
    key: u128,
    place: Place,
    range: Range<u32>,
    answer: oneshot::Sender<Result<Bytes, ReadError>>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    stopped: bool,
}

/// Reads that wait for a disk.
#[derive(Debug, Default)]
pub(crate) struct ReadQueue {
    state: Mutex<State>,
    wake: Condvar,
}

impl ReadQueue {
    /// Queues a read; `None` when too many wait.
    pub(crate) fn push(
        &self,
        key: u128,
        place: Place,
        range: Range<u32>,
    ) -> Option<oneshot::Receiver<Result<Bytes, ReadError>>> {
        let mut state = lock(&self.state);
        if state.stopped || state.jobs.len() >= JOBS_MAX {
            return None;
        }
        let (answer, read) = oneshot::channel();
        state.jobs.push_back(Job { key, place, range, answer });
        self.wake.notify_one();
        Some(read)
    }

    /// Ends all threads that read. What waits is answered as missing.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        state.jobs.clear();
        self.wake.notify_all();
    }

    fn take(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.stopped {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A thread that reads until the queue says that it is over.
pub(crate) fn run(disk: &Arc<Disk>) {
    while let Some(job) = disk.reads.take() {
        // Who asked may have gone meanwhile.
        if !job.answer.is_closed() {
            let _ = job.answer.send(read_waiting(disk, job.key, job.place, &job.range));
        }
    }
}
