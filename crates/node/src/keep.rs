//! What a node knows, on disk: a snapshot of everything, and behind it a tail of what came since.
//!
//! Both files are lines of the stream, each behind its checksum (CRC-32C, eight hexadecimal digits
//! and a space). The snapshot is a hello and one revision. The tail begins with a hello that names
//! the log and the revision of the snapshot it belongs to; a tail of another snapshot is no tail.
//!
//! ```text
//! snapshot:  hello(log, r)  news(r, more) ... news(r)        written beside, synced, renamed
//! tail:      hello(log, r)  news(r+1) news(r+2, more) ...    appended; configuration is synced
//! ```
//!
//! A revision that only purges leaves no more than its number: the purge itself is in the store's
//! journal by then. A tail that ends in the middle of a revision is cut before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use selvedge_feed::{Line, News, State};

use crate::group::{Event, Grouping, Revision};
use crate::identity::Identity;

const SNAPSHOT: &str = "snapshot";
const TAIL: &str = "tail";
const LOCK: &str = "lock";
/// Beyond what any state has.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// How much longer than the snapshot the tail may be before a new snapshot is written.
const TAIL_BYTES_MORE: u64 = 4 << 20;
/// Paths in one line of a snapshot.
const PATHS_EACH: usize = 1_000;

/// Why a folder cannot be used.
#[derive(Debug)]
pub enum KeepError {
    /// Another process has it.
    InUse(PathBuf),
    /// The system does not let us.
    System(PathBuf, io::Error),
}

impl std::fmt::Display for KeepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse(path) => {
                write!(f, "the folder {} belongs to another process", path.display())
            }
            Self::System(path, error) => write!(f, "cannot use {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for KeepError {}

/// What a node knew when it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The log that its revisions are of.
    pub log: String,
    /// All of it.
    pub state: State,
}

/// A folder and what was in it.
#[derive(Debug)]
pub struct Opened {
    /// The folder.
    pub folder: Folder,
    /// Who the node is, if it has joined.
    pub identity: Option<Identity>,
    /// What it knew.
    pub known: Option<Known>,
    /// What could not be read, for the operator.
    pub notes: Vec<String>,
}

/// The folder in which a node keeps what it knows.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// `None` while the next write must be a snapshot.
    tail: Option<Tail>,
    /// Held as long as the process uses the folder.
    _lock: File,
}

#[derive(Debug)]
struct Tail {
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Folder {
    /// Opens a folder, or makes it, and reads what is in it.
    ///
    /// # Errors
    /// When it belongs to another process or cannot be written.
    pub fn open(path: &Path) -> Result<Opened, KeepError> {
        let system = |error| KeepError::System(path.to_owned(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(system)?;
        let lock = owned().write(true).create(true).truncate(false).open(path.join(LOCK));
        let lock = lock.map_err(system)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(KeepError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(system(error)),
        }
        let mut notes = Vec::new();
        let identity = Identity::read(path).unwrap_or_else(|error| {
            notes.push(format!("{} is not readable: {error}", path.display()));
            None
        });
        let mut folder = Self { path: path.to_owned(), tail: None, _lock: lock };
        let known = folder.load(&mut notes);
        Ok(Opened { folder, identity, known, notes })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps this in the place of everything that was kept.
    pub(crate) fn replace(&mut self, log: &str, state: &State) -> io::Result<()> {
        self.tail = None;
        let beside = self.path.join(format!("{SNAPSHOT}.new"));
        let file = owned().write(true).create(true).truncate(true).open(&beside)?;
        let mut file = BufWriter::new(file);
        let mut bytes = 0;
        for line in snapshot(log, state) {
            let line = sealed(&line);
            bytes += line.len() as u64;
            file.write_all(&line)?;
        }
        file.into_inner()?.sync_all()?;
        fs::rename(&beside, self.path.join(SNAPSHOT))?;
        File::open(&self.path)?.sync_all()?;
        let hello = sealed(&hello(log, state.revision));
        let mut file =
            owned().write(true).create(true).truncate(true).open(self.path.join(TAIL))?;
        file.write_all(&hello)?;
        file.sync_all()?;
        let bytes_max = bytes + TAIL_BYTES_MORE;
        self.tail = Some(Tail { file, bytes: hello.len() as u64, bytes_max });
        Ok(())
    }

    /// Something in between was not kept: the next write is a snapshot.
    pub(crate) fn begin_anew(&mut self) {
        self.tail = None;
    }

    /// Keeps what these revisions brought as well: their configuration for good, of purges only
    /// that they were. `state` is all of it, in case the tail has grown too long.
    pub(crate) fn append(
        &mut self,
        log: &str,
        state: &State,
        revisions: &[Revision],
    ) -> io::Result<()> {
        let Some(tail) = self.tail.as_mut().filter(|tail| tail.bytes <= tail.bytes_max) else {
            return self.replace(log, state);
        };
        let mut text = Vec::new();
        let mut is_configuration = false;
        let mut rest = revisions.iter().peekable();
        while let Some(Revision { number, news }) = rest.next() {
            let kept: Vec<&News> = news.iter().filter(|news| news.is_configuration()).collect();
            let is_last = rest.peek().is_none();
            is_configuration |= !kept.is_empty();
            for (at, news) in kept.iter().enumerate() {
                let more = at + 1 < kept.len();
                let news = Some((*news).clone());
                text.extend(sealed(&Line::News { revision: *number, more, news }));
            }
            // Of purges in a row the last one's number says all.
            if kept.is_empty() && is_last {
                let (more, news) = (false, None);
                text.extend(sealed(&Line::News { revision: *number, more, news }));
            }
        }
        let written = tail.file.write_all(&text);
        let synced =
            written.and_then(|()| if is_configuration { tail.file.sync_data() } else { Ok(()) });
        match synced {
            Ok(()) => tail.bytes += text.len() as u64,
            // What is there now is not known: the next write begins anew.
            Err(_) => self.tail = None,
        }
        synced
    }

    fn load(&mut self, notes: &mut Vec<String>) -> Option<Known> {
        let path = self.path.join(SNAPSHOT);
        let bytes = match read(&path) {
            Ok(bytes) => bytes?,
            Err(error) => {
                notes.push(format!("{} is not readable: {error}", path.display()));
                return None;
            }
        };
        let Some(mut known) = read_snapshot(&bytes) else {
            notes.push(format!("{} is damaged: all of it is asked for anew", path.display()));
            return None;
        };
        let snapshot_bytes = bytes.len() as u64;
        drop(bytes);
        if let Err(error) = self.load_tail(&mut known, snapshot_bytes, notes) {
            let path = self.path.join(TAIL);
            notes.push(format!("{} is not readable: {error}", path.display()));
        }
        Some(known)
    }

    fn load_tail(
        &mut self,
        known: &mut Known,
        snapshot_bytes: u64,
        notes: &mut Vec<String>,
    ) -> io::Result<()> {
        let path = self.path.join(TAIL);
        let Some(bytes) = read(&path)? else { return Ok(()) };
        let Some(good_bytes) = read_tail(&bytes, known) else { return Ok(()) };
        if good_bytes < bytes.len() {
            let cut = bytes.len() - good_bytes;
            notes.push(format!("{}: {cut} bytes at its end are damaged, and cut", path.display()));
        }
        let mut file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(good_bytes as u64)?;
        file.seek(SeekFrom::End(0))?;
        let bytes_max = snapshot_bytes + TAIL_BYTES_MORE;
        self.tail = Some(Tail { file, bytes: good_bytes as u64, bytes_max });
        Ok(())
    }
}

/// Files that only the user of the process may read.
fn owned() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(bytes))
}

fn hello(log: &str, head: u64) -> Line {
    Line::Hello { log: log.to_owned(), head, whole: true, missed_purges: false }
}

/// The lines of a snapshot.
fn snapshot<'a>(log: &str, state: &'a State) -> impl Iterator<Item = Line> + 'a {
    let revision = state.revision;
    let news = state.news(PATHS_EACH).map(move |news| Line::News {
        revision,
        more: true,
        news: Some(news),
    });
    let end = Line::News { revision, more: false, news: None };
    std::iter::once(hello(log, revision)).chain(news).chain([end])
}

/// A line behind its checksum.
fn sealed(line: &Line) -> Vec<u8> {
    let mut bytes = vec![b' '; CHECKSUM_BYTES + 1];
    line.write(&mut bytes);
    let digits = format!("{:08x}", checksum(&bytes[CHECKSUM_BYTES + 1..]));
    bytes[..CHECKSUM_BYTES].copy_from_slice(digits.as_bytes());
    bytes
}

const CHECKSUM_BYTES: usize = 8;

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The next line and how many bytes it takes; `None` if it is not whole.
fn unsealed(bytes: &[u8]) -> Option<(Line, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let (digits, text) = bytes[..end].split_at_checked(CHECKSUM_BYTES)?;
    let text = text.strip_prefix(b" ")?;
    let written = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let line = (written == checksum(text)).then(|| Line::read(&text[..text.len() - 1]))?;
    Some((line.ok()?, end))
}

fn read_snapshot(bytes: &[u8]) -> Option<Known> {
    let mut grouping = Grouping::default();
    let (mut at, mut found) = (0, None);
    let mut state = State::default();
    let mut is_whole = false;
    while let Some((line, length)) = unsealed(&bytes[at..]) {
        at += length;
        match grouping.take(line, length).ok()? {
            Some(Event::Hello { log, .. }) => found = Some(log),
            Some(Event::Revision(revision)) if !is_whole => {
                revision.news.iter().for_each(|news| state.apply(news));
                state.revision = revision.number;
                is_whole = true;
            }
            Some(Event::Revision(_) | Event::Reached(_)) => return None,
            None => {}
        }
    }
    (is_whole && at == bytes.len()).then_some(Known { log: found?, state })
}

/// Applies a tail to the snapshot it belongs to. How many bytes of it are whole revisions; `None`
/// if it belongs to another snapshot.
fn read_tail(bytes: &[u8], known: &mut Known) -> Option<usize> {
    let (line, mut at) = unsealed(bytes)?;
    match line {
        Line::Hello { log, head, .. } if log == known.log && head == known.state.revision => {}
        _ => return None,
    }
    let mut grouping = Grouping::new(known.state.revision);
    let begin = Line::Hello { log: String::new(), head: 0, whole: false, missed_purges: false };
    grouping.take(begin, 0).ok()?;
    let mut good_bytes = at;
    while let Some((line, length)) = unsealed(&bytes[at..]) {
        at += length;
        match grouping.take(line, length) {
            Ok(Some(Event::Revision(revision))) => {
                revision.news.iter().for_each(|news| known.state.apply(news));
                known.state.revision = revision.number;
                good_bytes = at;
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => break,
        }
    }
    Some(good_bytes)
}

#[cfg(test)]
mod tests;
