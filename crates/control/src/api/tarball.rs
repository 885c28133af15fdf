//! A tar archive, read as it arrives. The library reads from a file that blocks, so it runs beside
//! the worker: pieces of the body go in, files come out, both through short queues.
//!
//! What it must never do: take half an archive for a whole one, keep more than a file's name in
//! memory, or give out anything but regular files.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use bytes::{Buf, Bytes};
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc::{Receiver, Sender};

use super::paths::file_path;
use crate::blobs::{PART_BYTES, failed, too_large};
use crate::problem::{Kind, Problem};

/// Entries of an archive at most.
const ENTRIES_MAX: u64 = 100_000;
/// Bytes of the heads of one entry at most: names and extensions.
const HEADS_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a piece of a file.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of a block: an archive ends with one of zeros.
const BLOCK_BYTES: u64 = 512;

/// What comes out of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A file that fits into a part.
    Small(String, Bytes),
    /// A larger file begins.
    Large(String),
    /// A piece of it.
    Piece(Bytes),
    /// It ends.
    End,
}

/// Why an archive was not read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Something is wrong with it.
    Broken(Problem),
    /// Nobody waits for what it holds any more.
    Nobody,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Broken(problem)
    }
}

/// How an archive is read.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The folder its files are put below.
    pub(crate) folder: String,
    /// Bytes of a file at most.
    pub(crate) file_bytes_max: u64,
}

/// Reads an archive to its end. Blocks.
pub(crate) fn read(
    body: Receiver<Result<Bytes, Problem>>,
    found: &Sender<Found>,
    rules: &Rules,
) -> Result<(), Stop> {
    let meter = Rc::new(Meter::default());
    let source = Source { body, piece: Bytes::new(), meter: Rc::clone(&meter) };
    let mut archive = Archive::new(source);
    let result = entries(&mut archive, found, rules, &meter);
    // What the library makes of a body that broke off is no news.
    match (meter.broken.take(), result) {
        (Some(problem), _) => return Err(problem.into()),
        (None, result) => result?,
    }
    if meter.zeros.get() < BLOCK_BYTES {
        let detail = "the archive has no end: it was cut off";
        return Err(Problem::new(Kind::Incomplete, detail).into());
    }
    meter.left.set(u64::MAX);
    let drained = io::copy(&mut archive.into_inner(), &mut io::sink());
    match (meter.broken.take(), drained) {
        (Some(problem), _) => Err(problem.into()),
        (None, drained) => drained.map(|_| ()).map_err(|error| malformed(&error).into()),
    }
}

fn entries(
    archive: &mut Archive<Source>,
    found: &Sender<Found>,
    rules: &Rules,
    meter: &Meter,
) -> Result<(), Stop> {
    let mut entries = archive.entries().map_err(|error| malformed(&error))?;
    for count in 0.. {
        meter.left.set(HEADS_BYTES_MAX);
        meter.zeros.set(0);
        let Some(entry) = entries.next() else { return Ok(()) };
        if count >= ENTRIES_MAX {
            let detail = format!("an archive may have {ENTRIES_MAX} entries at most");
            return Err(Problem::invalid(detail).into());
        }
        meter.left.set(u64::MAX);
        let mut entry = entry.map_err(|error| malformed(&error))?;
        let Some(path) = path(&mut entry, rules)? else {
            skip(&mut entry)?;
            continue;
        };
        if entry.size() > rules.file_bytes_max {
            return Err(too_large(rules.file_bytes_max).into());
        }
        give(&mut entry, path, found)?;
    }
    Ok(())
}

/// The path of a file; none of a folder.
fn path(entry: &mut Entry<'_, Source>, rules: &Rules) -> Result<Option<String>, Problem> {
    let name = entry.path_bytes().into_owned();
    let shown = String::from_utf8_lossy(&name).chars().take(100).collect::<String>();
    let kind = entry.header().entry_type();
    if kind.is_dir() || (kind.is_file() && name.ends_with(b"/")) {
        return Ok(None);
    }
    // Fields for all entries that follow: times and owners, which are not kept.
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let is_plain = matches!(kind, EntryType::Regular | EntryType::Continuous) && !is_sparse(entry)?;
    if !is_plain {
        let detail = format!("{shown:?} is not a regular file: links and devices cannot be pushed");
        return Err(Problem::invalid(detail));
    }
    let mut name = &name[..];
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    if name.is_empty() {
        return Err(Problem::invalid("a file in the archive has no name"));
    }
    file_path(&rules.folder, name).map(Some)
}

/// Whether the file has holes that only its extensions tell of.
fn is_sparse(entry: &mut Entry<'_, Source>) -> Result<bool, Problem> {
    let Some(extensions) = entry.pax_extensions().map_err(|error| malformed(&error))? else {
        return Ok(false);
    };
    let mut extensions = extensions.flatten();
    Ok(extensions.any(|extension| extension.key_bytes().starts_with(b"GNU.sparse.")))
}

fn give(entry: &mut Entry<'_, Source>, path: String, found: &Sender<Found>) -> Result<(), Stop> {
    let size = entry.size();
    if size <= PART_BYTES as u64 {
        let mut body = vec![0; usize::try_from(size).unwrap_or(PART_BYTES)];
        entry.read_exact(&mut body).map_err(|error| malformed(&error))?;
        return send(found, Found::Small(path, body.into()));
    }
    send(found, Found::Large(path))?;
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut piece = vec![0; length];
        entry.read_exact(&mut piece).map_err(|error| malformed(&error))?;
        left -= length as u64;
        send(found, Found::Piece(piece.into()))?;
    }
    send(found, Found::End)
}

fn skip(entry: &mut Entry<'_, Source>) -> Result<(), Problem> {
    io::copy(entry, &mut io::sink()).map(|_| ()).map_err(|error| malformed(&error))
}

fn send(found: &Sender<Found>, one: Found) -> Result<(), Stop> {
    found.blocking_send(one).map_err(|_| Stop::Nobody)
}

fn malformed(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failed(error),
        _ => Problem::invalid(format!("the archive: {error}")),
    }
}

/// What is known of the bytes that the library has read.
#[derive(Default)]
struct Meter {
    /// Bytes it may still read. It reads names into memory, however long they say they are.
    left: Cell<u64>,
    /// Zeros since then, without another byte after them.
    zeros: Cell<u64>,
    /// Why the body broke off.
    broken: Cell<Option<Problem>>,
}

/// The body of a request, as a file.
struct Source {
    body: Receiver<Result<Bytes, Problem>>,
    piece: Bytes,
    meter: Rc<Meter>,
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.body.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(problem)) => {
                    self.meter.broken.set(Some(problem));
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        let length = self.piece.len().min(out.len());
        let left = self.meter.left.get();
        if length as u64 > left {
            return Err(io::Error::other("the head of an entry is too long"));
        }
        self.meter.left.set(if left == u64::MAX { left } else { left - length as u64 });
        out[..length].copy_from_slice(&self.piece[..length]);
        self.piece.advance(length);
        let zeros = out[..length].iter().rev().take_while(|byte| **byte == 0).count();
        let before = if zeros == length { self.meter.zeros.get() } else { 0 };
        self.meter.zeros.set(before.saturating_add(zeros as u64));
        Ok(length)
    }
}
