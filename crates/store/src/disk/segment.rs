//! Segments: files of one size that are filled from front to back, then reused.
//!
//! The first unit of each is its header:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `SGMT` |
//! | 1 | use: 0 free, 1 young, 2 main |
//! | 3 | 0 |
//! | 8 | number of this use of the segment, rising over all segments of the disk |
//! | 16 | identity of the disk |
//! | 4 | CRC-32C of all before |
//!
//! A segment that was emptied is marked as free before it is reused, but keeps its number, so that
//! no number is ever used twice.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::{Buf, BufMut};

use super::header::{UNIT, crc};
use super::io::{Io, read_full, write_full};

/// Smallest and greatest bytes of a segment.
pub(crate) const SEGMENT_BYTES: (u64, u64) = (4 << 20, 256 << 20);

/// Fewest segments that the engine can work with: one open in each stream, one free, one full.
pub(crate) const SEGMENTS_MIN: u64 = 4;

const SEGMENTS_MAX: u64 = 1 << 20;
const MAGIC: u32 = u32::from_le_bytes(*b"SGMT");
const SUM_AT: usize = 32;

/// What a segment is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// Records that came from outside.
    Young,
    /// Records that were worth keeping when their segment was emptied.
    Main,
}

impl Stream {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Young, Self::Main];
}

/// Bytes of the segments of a new disk of that size.
pub(crate) fn segment_bytes(size_bytes: u64) -> u32 {
    let even = 1 << (size_bytes / 128).max(1).ilog2();
    u64::clamp(even, SEGMENT_BYTES.0, SEGMENT_BYTES.1) as u32
}

/// How many segments a disk of that size has; `None` if that is no number to work with.
pub(crate) fn segment_count(size_bytes: u64, segment_bytes: u32) -> Option<u32> {
    let size_bytes = size_bytes.max(SEGMENT_BYTES.0 * SEGMENTS_MIN);
    let count = size_bytes / u64::from(segment_bytes);
    (SEGMENTS_MIN..=SEGMENTS_MAX).contains(&count).then_some(count as u32)
}

/// Header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// `None` when it is free.
    pub(crate) stream: Option<Stream>,
    pub(crate) number: u64,
}

impl SegmentHeader {
    /// Bytes for the disk.
    pub(crate) fn encode(&self, identity: u128) -> [u8; UNIT] {
        let mut bytes = [0; UNIT];
        let mut rest = &mut bytes[..];
        rest.put_u32_le(MAGIC);
        rest.put_u32_le(match self.stream {
            None => 0,
            Some(Stream::Young) => 1,
            Some(Stream::Main) => 2,
        });
        rest.put_u64_le(self.number);
        rest.put_u128_le(identity);
        let sum = crc(&bytes[..SUM_AT]);
        bytes[SUM_AT..SUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header in these bytes, if there is one of this disk.
    pub(crate) fn decode(bytes: &[u8], identity: u128) -> Option<Self> {
        let mut rest = bytes.get(..SUM_AT + 4)?;
        if rest.get_u32_le() != MAGIC {
            return None;
        }
        let stream = match rest.get_u32_le() {
            0 => None,
            1 => Some(Stream::Young),
            2 => Some(Stream::Main),
            _ => return None,
        };
        let number = rest.get_u64_le();
        let sound = rest.get_u128_le() == identity && rest.get_u32_le() == crc(&bytes[..SUM_AT]);
        sound.then_some(Self { stream, number })
    }
}

/// What is mixed into the checksums of record headers in one use of a segment.
pub(crate) fn salt(identity: u128, number: u64) -> u32 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&identity.to_le_bytes());
    bytes[16..].copy_from_slice(&number.to_le_bytes());
    crc(&bytes)
}

/// One segment as readers see it. Only the writer changes it.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    file: OnceLock<File>,
    number: AtomicU64,
    salt: AtomicU32,
    /// Units from the front that are in the file; what is beyond may still be in the buffer.
    written: AtomicU32,
}

impl Segment {
    /// The file, once there is one.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.get()
    }

    /// The number of the present use; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The salt of the present use.
    pub(crate) fn salt(&self) -> u32 {
        self.salt.load(Ordering::Acquire)
    }

    /// Units from the front that are in the file.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Acquire)
    }

    /// Says how much is in the file now.
    pub(crate) fn set_written(&self, units: u32) {
        self.written.store(units, Ordering::Release);
    }

    /// Takes over a file that was there, used as its header says.
    pub(crate) fn adopt(&self, file: File, number: u64, identity: u128, written: u32) {
        let _ = self.file.set(file);
        self.begin(number, identity, written);
    }

    fn begin(&self, number: u64, identity: u128, written: u32) {
        self.written.store(written, Ordering::Release);
        self.salt.store(salt(identity, number), Ordering::Release);
        self.number.store(number, Ordering::Release);
    }
}

/// What is in the folder of the segments.
#[derive(Debug, Default)]
pub(crate) struct Adopted {
    /// The headers of all segments that have one, free ones included.
    pub(crate) headers: Vec<(u32, SegmentHeader)>,
    /// Files beyond the last segment, from when the size was larger.
    pub(crate) beyond: Vec<PathBuf>,
    /// Whether reading a header failed.
    pub(crate) unreadable: bool,
}

/// All segments of a disk.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) all: Box<[Segment]>,
    pub(crate) bytes: u32,
    pub(crate) identity: u128,
    folder: PathBuf,
}

impl Segments {
    /// Segments of which no file is known yet.
    pub(crate) fn new(folder: &Path, count: u32, bytes: u32, identity: u128) -> Self {
        let all = (0..count).map(|_| Segment::default()).collect();
        Self { all, bytes, identity, folder: folder.join("segments") }
    }

    /// Length of a segment in units.
    pub(crate) fn units(&self) -> u32 {
        self.bytes / UNIT as u32
    }

    /// Bytes of all segments.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.all.len() as u64 * u64::from(self.bytes)
    }

    /// The segment of that number, if there is one.
    pub(crate) fn at(&self, id: u32) -> Option<&Segment> {
        self.all.get(id as usize)
    }

    /// The file of a segment.
    pub(crate) fn path(&self, id: u32) -> PathBuf {
        self.folder.join(format!("{id:06}.seg"))
    }

    /// Begins a new use of a segment: makes its file if there is none, and writes its header.
    pub(crate) fn open(
        &self,
        id: u32,
        stream: Stream,
        number: u64,
        io: &dyn Io,
    ) -> std::io::Result<()> {
        let segment = &self.all[id as usize];
        let file = if let Some(file) = segment.file.get() {
            file
        } else {
            let mut options = File::options();
            let options = options.create(true).truncate(false).read(true).write(true);
            let file = options.open(self.path(id))?;
            io.allocate(&file, u64::from(self.bytes))?;
            segment.file.get_or_init(|| file)
        };
        let header = SegmentHeader { stream: Some(stream), number };
        write_full(io, file, &header.encode(self.identity), 0)?;
        segment.begin(number, self.identity, 1);
        Ok(())
    }

    /// Marks a segment as free, on disk.
    pub(crate) fn release(&self, id: u32, io: &dyn Io) -> std::io::Result<()> {
        let segment = &self.all[id as usize];
        let Some(file) = segment.file() else { return Ok(()) };
        let header = SegmentHeader { stream: None, number: segment.number() };
        write_full(io, file, &header.encode(self.identity), 0)
    }

    /// Opens the files that are there.
    pub(crate) fn adopt_files(&self, io: &dyn Io) -> std::io::Result<Adopted> {
        std::fs::create_dir_all(&self.folder)?;
        let mut found = Adopted::default();
        for (id, path) in self.files()? {
            let Some(segment) = self.at(id) else {
                found.beyond.push(path);
                continue;
            };
            let file = File::options().read(true).write(true).open(&path)?;
            let mut bytes = [0; UNIT];
            // A header that cannot be read is like none: the segment is free.
            let read = read_full(io, &file, &mut bytes, 0).inspect_err(|_| found.unreadable = true);
            let header = SegmentHeader::decode(&bytes[..read.unwrap_or(0)], self.identity);
            let number = header.map_or(0, |header| header.number);
            segment.adopt(file, number, self.identity, self.units());
            found.headers.extend(header.map(|header| (id, header)));
        }
        Ok(found)
    }

    /// A segment beyond the last; `None` when it was never used.
    ///
    /// # Errors
    /// What it is cannot be said.
    pub(crate) fn beyond(
        &self,
        path: &Path,
        io: &dyn Io,
    ) -> std::io::Result<Option<(SegmentHeader, Segment)>> {
        let file = File::open(path)?;
        let mut bytes = [0; UNIT];
        let read = read_full(io, &file, &mut bytes, 0)?;
        if bytes == [0; UNIT] {
            return Ok(None);
        }
        let header = SegmentHeader::decode(&bytes[..read], self.identity);
        let header =
            header.ok_or_else(|| Error::new(ErrorKind::InvalidData, "damaged segment header"))?;
        let segment = Segment::default();
        segment.adopt(file, header.number, self.identity, self.units());
        Ok(Some((header, segment)))
    }

    /// Deletes the files of all segments from that one on.
    pub(crate) fn delete_from(&self, from: u32, io: &dyn Io) -> std::io::Result<()> {
        let mut beyond = self.files()?.into_iter().filter(|(id, _)| *id >= from);
        beyond.try_for_each(|(_, path)| io.delete(&path))
    }

    fn files(&self) -> std::io::Result<Vec<(u32, PathBuf)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = name.strip_suffix(".seg").and_then(|stem| stem.parse::<u32>().ok());
            files.extend(id.map(|id| (id, path)));
        }
        Ok(files)
    }
}
