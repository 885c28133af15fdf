//! Bodies that arrive in several requests, and go on where they broke off.
//!
//! ```text
//! ID.data   what has come so far; its length is the offset
//! ID.json   what was announced: the upload exists when this file does
//! ```
//! One request at a time writes to an upload: it has the [`Turn`]. What came before a break stays.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::blocking;
use crate::problem::{Kind, Problem};
use crate::random;
use crate::state::digest::{Digest, Hasher};

/// Uploads that are open at once.
const UPLOADS_MAX: usize = 1_000;
/// Those of one site: whoever pushes to it cannot take the places of all others.
const SITE_UPLOADS_MAX: usize = 100;
/// How long an upload is kept that does not go on.
const IDLE_MS: i64 = 24 * 3_600_000;
/// Bytes that are read at once to hash a file.
const READ_BYTES: usize = 1 << 20;

/// What was said when an upload began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) site: String,
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<Digest>,
}

/// All uploads that are open.
pub(crate) struct Uploads {
    folder: PathBuf,
    /// Held for a few instructions.
    slots: Mutex<HashMap<String, Slot>>,
    /// Bytes that have come of all of them, and that are about to be written.
    bytes: AtomicU64,
}

/// An upload, for lists.
pub(crate) struct Open {
    pub(crate) id: String,
    pub(crate) announced: Announced,
    pub(crate) offset: u64,
    pub(crate) progress_ms: i64,
}

struct Slot {
    announced: Announced,
    offset: u64,
    /// Over what has come, unless that was before a restart.
    hasher: Option<Hasher>,
    /// Everything up to the offset is safe.
    is_synced: bool,
    is_taken: bool,
    /// When it last went on, in milliseconds since 1970.
    progress_ms: i64,
}

/// The right to change an upload. Dropping it gives it back, with what has been written.
pub(crate) struct Turn {
    uploads: Arc<Uploads>,
    id: String,
    file: File,
    pub(crate) announced: Announced,
    pub(crate) offset: u64,
    /// Bytes it takes of the room: those that have come, and those that may be written now.
    claimed: u64,
    hasher: Option<Hasher>,
    is_synced: bool,
    is_over: bool,
}

impl Uploads {
    /// Opens what is in a folder, and removes what is half there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut slots = HashMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let is_data = path.extension().is_some_and(|extension| extension == "data");
            match is_data.then(|| found(folder, id)).flatten() {
                Some(slot) => {
                    slots.insert(id.to_owned(), slot);
                }
                None if path.extension().is_some_and(|extension| extension == "json")
                    && path.with_extension("data").exists() => {}
                None => std::fs::remove_file(&path)?,
            }
        }
        let bytes = AtomicU64::new(slots.values().map(|slot| slot.offset).sum());
        Ok(Self { folder: folder.to_owned(), slots: Mutex::new(slots), bytes })
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.folder.join(id).with_extension(extension)
    }

    /// Bytes that have come of all open uploads.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// The open uploads of a site, by id.
    pub(crate) fn of_site(&self, site: &str) -> Vec<Open> {
        let slots = self.slots();
        let own = slots.iter().filter(|(_, slot)| slot.announced.site == site);
        let mut open: Vec<Open> = own
            .map(|(id, slot)| Open {
                id: id.clone(),
                announced: slot.announced.clone(),
                offset: slot.offset,
                progress_ms: slot.progress_ms,
            })
            .collect();
        drop(slots);
        open.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        open
    }

    /// Begins an upload: its id.
    pub(crate) async fn create(
        self: &Arc<Self>,
        announced: Announced,
        now_ms: i64,
    ) -> Result<String, Problem> {
        let id = random::hex::<16>();
        let slot = Slot {
            announced: announced.clone(),
            offset: 0,
            hasher: Some(Hasher::new()),
            is_synced: true,
            is_taken: true,
            progress_ms: now_ms,
        };
        {
            let mut slots = self.slots();
            if slots.len() >= UPLOADS_MAX {
                return Err(Problem::new(Kind::TooMany, "too many uploads are open"));
            }
            let own = slots.values().filter(|slot| slot.announced.site == announced.site).count();
            if own >= SITE_UPLOADS_MAX {
                let detail = format!(
                    "the site has {own} uploads open, {SITE_UPLOADS_MAX} may be: finish or remove \
                     some of them"
                );
                return Err(Problem::new(Kind::TooMany, detail));
            }
            slots.insert(id.clone(), slot);
        }
        let (uploads, name) = (Arc::clone(self), id.clone());
        blocking(move || {
            let written = uploads.write(&name, &announced);
            if written.is_err() {
                uploads.remove(&name);
            } else if let Some(slot) = uploads.slots().get_mut(&name) {
                slot.is_taken = false;
            }
            written
        })
        .await?;
        Ok(id)
    }

    /// Writes the files of a new upload.
    fn write(&self, id: &str, announced: &Announced) -> io::Result<()> {
        File::create_new(self.path(id, "data"))?.sync_all()?;
        let beside = self.path(id, "new");
        std::fs::write(&beside, serde_json::to_vec(announced)?)?;
        File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, self.path(id, "json"))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Removes an upload. What fails here is removed at the next start.
    fn remove(&self, id: &str) {
        for extension in ["json", "new", "data"] {
            let _ = std::fs::remove_file(self.path(id, extension));
        }
        self.slots().remove(id);
    }

    /// How far an upload is, and what was announced of it. What it says is safe.
    pub(crate) async fn status(
        self: &Arc<Self>,
        id: &str,
        site: &str,
    ) -> Result<(u64, Announced), Problem> {
        let status = |slot: &Slot| (slot.offset, slot.announced.clone(), slot.is_synced);
        let found = self.slots().get(id).filter(|slot| slot.announced.site == site).map(status);
        let (offset, announced, is_synced) =
            found.ok_or_else(|| Problem::not_found("upload", id))?;
        if !is_synced {
            let path = self.path(id, "data");
            blocking(move || File::open(path)?.sync_data()).await?;
        }
        Ok((offset, announced))
    }

    /// Takes the turn to change an upload.
    pub(crate) async fn take(self: &Arc<Self>, id: &str, site: &str) -> Result<Turn, Problem> {
        let (announced, offset, hasher, is_synced) = {
            let mut slots = self.slots();
            let slot = slots.get_mut(id).filter(|slot| slot.announced.site == site);
            let slot = slot.ok_or_else(|| Problem::not_found("upload", id))?;
            if slot.is_taken {
                let detail = "another request is writing to this upload";
                return Err(Problem::new(Kind::Conflict, detail));
            }
            slot.is_taken = true;
            (slot.announced.clone(), slot.offset, slot.hasher.take(), slot.is_synced)
        };
        let (uploads, id) = (Arc::clone(self), id.to_owned());
        blocking(move || {
            let path = uploads.path(&id, "data");
            match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => {
                    let (is_over, claimed) = (false, offset);
                    Ok(Turn {
                        uploads,
                        id,
                        file,
                        announced,
                        offset,
                        claimed,
                        hasher,
                        is_synced,
                        is_over,
                    })
                }
                Err(error) => {
                    if let Some(slot) = uploads.slots().get_mut(&id) {
                        (slot.is_taken, slot.hasher) = (false, hasher);
                    }
                    Err(error)
                }
            }
        })
        .await
    }

    /// Removes uploads that do not go on: how many.
    pub(super) fn expire(&self, now_ms: i64) -> u64 {
        let idle: Vec<String> = {
            let slots = self.slots();
            let is_idle = |slot: &Slot| !slot.is_taken && slot.progress_ms + IDLE_MS <= now_ms;
            slots.iter().filter(|(_, slot)| is_idle(slot)).map(|(id, _)| id.clone()).collect()
        };
        let mut removed = 0;
        for id in idle {
            // Whoever took it meanwhile keeps it.
            let mut slots = self.slots();
            let Some(slot) = slots.get_mut(&id).filter(|slot| !slot.is_taken) else { continue };
            slot.is_taken = true;
            self.release(slot.offset);
            drop(slots);
            self.remove(&id);
            removed += 1;
        }
        removed
    }
}

impl Turn {
    /// Appends pieces. If that fails, none of them was appended.
    pub(crate) fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        self.is_synced &= pieces.is_empty();
        let mut at = self.offset;
        for piece in pieces {
            if let Err(error) = self.file.write_all_at(piece, at) {
                let _ = self.file.set_len(self.offset);
                return Err(error);
            }
            at += piece.len() as u64;
        }
        if let Some(hasher) = &mut self.hasher {
            pieces.iter().for_each(|piece| hasher.update(piece));
        }
        self.offset = at;
        Ok(())
    }

    /// Takes room for so many bytes more, unless all uploads would have more than `bytes_max` then.
    pub(crate) fn claim(&mut self, bytes: u64, bytes_max: u64) -> bool {
        let more = |all: u64| all.checked_add(bytes).filter(|all| bytes == 0 || *all <= bytes_max);
        let is_there = self.uploads.bytes.fetch_update(Relaxed, Relaxed, more).is_ok();
        self.claimed += if is_there { bytes } else { 0 };
        is_there
    }

    /// Goes back to where it was, and gives back the room.
    pub(crate) fn rewind(&mut self, offset: u64) -> io::Result<()> {
        self.file.set_len(offset)?;
        self.uploads.release(self.claimed.saturating_sub(offset));
        (self.offset, self.claimed) = (offset, offset);
        (self.hasher, self.is_synced) = (None, false);
        Ok(())
    }

    /// Makes safe what was appended.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.set_len(self.offset)?;
        self.file.sync_all()?;
        self.is_synced = true;
        Ok(())
    }

    /// The digest of all that has come. Of what came before a restart the file is read.
    pub(crate) fn digest(&mut self) -> io::Result<Digest> {
        let hasher = match self.hasher.take() {
            Some(hasher) => hasher,
            None => self.read()?,
        };
        self.hasher = Some(hasher.clone());
        Ok(hasher.finish())
    }

    fn read(&self) -> io::Result<Hasher> {
        let (mut hasher, mut at) = (Hasher::new(), 0);
        let mut piece = vec![0; READ_BYTES];
        while at < self.offset {
            let length = usize::try_from(self.offset - at).unwrap_or(READ_BYTES).min(READ_BYTES);
            self.file.read_exact_at(&mut piece[..length], at)?;
            hasher.update(&piece[..length]);
            at += length as u64;
        }
        Ok(hasher)
    }

    /// The file with what has come.
    pub(crate) fn path(&self) -> PathBuf {
        self.uploads.path(&self.id, "data")
    }

    /// Ends the upload: nothing is left of it.
    pub(crate) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            self.uploads.release(self.claimed);
            self.uploads.remove(&self.id);
            return;
        }
        self.uploads.release(self.claimed.saturating_sub(self.offset));
        let progress_ms = self.file.metadata().ok().map(|meta| modified_ms(&meta));
        let mut slots = self.uploads.slots();
        let Some(slot) = slots.get_mut(&self.id) else { return };
        (slot.offset, slot.hasher) = (self.offset, self.hasher.take());
        (slot.is_synced, slot.is_taken) = (self.is_synced, false);
        slot.progress_ms = progress_ms.unwrap_or(slot.progress_ms);
    }
}

/// An upload from before a restart.
fn found(folder: &Path, id: &str) -> Option<Slot> {
    let path = folder.join(id);
    let announced = std::fs::read(path.with_extension("json")).ok()?;
    let announced = serde_json::from_slice(&announced).ok()?;
    let file = File::open(path.with_extension("data")).ok()?;
    // What a killed process wrote may not be safe yet.
    file.sync_all().ok()?;
    let meta = file.metadata().ok()?;
    Some(Slot {
        announced,
        offset: meta.len(),
        hasher: None,
        is_synced: true,
        is_taken: false,
        progress_ms: modified_ms(&meta),
    })
}

fn modified_ms(meta: &std::fs::Metadata) -> i64 {
    let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default()
}
