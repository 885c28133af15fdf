//! Pushed bodies in storage, named by their SHA-256.
//!
//! ```text
//! folder/blobs/ab/ab12...   a body: whole, checked and synced, never changed, used by any objects
//! folder/incoming/...       large bodies that are still arriving
//! folder/uploads/...        bodies that arrive in several requests
//! ```
//! A body is there whole or not at all. What a failed request brought is removed at once, what a
//! killed process left behind at the next start, and what no object uses by [`Blobs::sweep`].

mod incoming;
mod pieces;
mod pins;
#[cfg(test)]
mod tests;
mod uploads;

use std::error::Error;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use incoming::{Incoming, PART_BYTES, Part, Stored, put, too_large};
pub(crate) use pieces::Pieces;
pub(crate) use pins::Hold;
pub(crate) use uploads::{Announced, Open, Turn, Uploads};

use crate::fleet::When;
use crate::problem::{Kind, Problem};
use crate::state::digest::Digest;

/// How long a body that no object uses is kept for whoever is about to publish it.
pub(crate) const KEEP_MS: u64 = 3_600_000;
/// Bodies that are received at once.
const WRITERS_MAX: usize = 512;
/// Trees and lists that are received at once.
const BATCHES_MAX: usize = 8;
/// Parts of all bodies that are on their way to storage.
const PARTS_MAX: usize = 64;

/// Where pushed bodies are.
#[derive(Clone)]
pub(crate) struct Blobs(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    folder: PathBuf,
    pins: Arc<pins::Pins>,
    writers: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    parts: Arc<Semaphore>,
    uploads: Arc<Uploads>,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    pub(crate) uploads: u64,
}

impl Blobs {
    /// Opens the storage in a folder, or begins it. Removes what a killed process left half done.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        for name in [BLOBS, INCOMING] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        for entry in std::fs::read_dir(folder.join(INCOMING))? {
            std::fs::remove_file(entry?.path())?;
        }
        for entry in std::fs::read_dir(folder.join(BLOBS))? {
            remove_staged(&entry?.path())?;
        }
        let store = LocalFileSystem::new_with_prefix(folder).map_err(io::Error::other)?;
        Self::over(Arc::new(store.with_fsync(true)), folder)
    }

    /// Over a store whose objects are in this folder.
    fn over(store: Arc<dyn ObjectStore>, folder: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            store,
            folder: folder.to_owned(),
            pins: Arc::default(),
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
            batches: Arc::new(Semaphore::new(BATCHES_MAX)),
            parts: Arc::new(Semaphore::new(PARTS_MAX)),
            uploads: Arc::new(Uploads::open(&folder.join(UPLOADS))?),
        })))
    }

    /// Bodies that arrive in several requests.
    pub(crate) fn uploads(&self) -> &Arc<Uploads> {
        &self.0.uploads
    }

    /// Leave to receive many bodies, or a long list, in one request.
    pub(crate) fn batch(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.0.batches).try_acquire_owned();
        permit.map_err(|_| Problem::new(Kind::TooMany, "too many trees and lists at once"))
    }

    /// Holds a body, whether it is there or not: it is not removed until the hold is dropped.
    pub(crate) async fn hold(&self, digest: Digest, now_ms: u64) -> Result<Hold, Problem> {
        self.0.pins.hold(digest, now_ms).await
    }

    /// The bytes of a body, if it is there.
    pub(crate) async fn length(&self, digest: &Digest) -> Result<Option<u64>, Problem> {
        match self.0.store.head(&location(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Reads a part of a body. It must not be empty.
    pub(crate) async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces, Problem> {
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        match self.0.store.get_opts(&location(digest), options).await {
            Ok(found) if found.range == range => Ok(Pieces::new(found)),
            Ok(found) => {
                let detail = format!("body {digest} has {} bytes", found.meta.size);
                Err(Problem::new(Kind::Internal, detail))
            }
            // It was replaced and swept meanwhile.
            Err(object_store::Error::NotFound { .. }) => {
                Err(Problem::new(Kind::Unavailable, "the object has just changed"))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Puts a finished file of this file system under its name, unless that body is there. The
    /// file is gone afterwards. Returns whether the body is new.
    pub(crate) async fn adopt(&self, file: PathBuf, hold: &Hold) -> Result<bool, Problem> {
        if self.length(&hold.digest()).await?.is_some() {
            return Ok(false);
        }
        let name = self.0.folder.join(location(&hold.digest()).as_ref());
        blocking(move || {
            let folder = name.parent().unwrap_or(&name);
            if std::fs::create_dir(folder).is_ok()
                && let Some(above) = folder.parent()
            {
                std::fs::File::open(above)?.sync_all()?;
            }
            std::fs::rename(&file, &name)?;
            std::fs::File::open(folder)?.sync_all()?;
            Ok(true)
        })
        .await
    }

    /// Takes back a body that was stored for something that was refused, if nothing else wants it.
    pub(crate) async fn discard(&self, stored: Stored, is_used: impl FnOnce() -> bool) {
        if !stored.is_new {
            return;
        }
        let Some(going) = self.0.pins.take_back(&stored.hold, is_used) else { return };
        // What cannot be removed now is removed by a sweep.
        let _ = self.0.store.delete(&location(&stored.digest)).await;
        drop(going);
    }

    /// Removes bodies that no object uses, that nobody is about to publish, and that are not new;
    /// also uploads that do not go on.
    pub(crate) async fn sweep(
        &self,
        when: When,
        is_used: impl Fn(&Digest) -> bool,
    ) -> Result<Swept, Problem> {
        let mut swept = Swept::default();
        let uploads = Arc::clone(self.uploads());
        swept.uploads = blocking(move || Ok(uploads.expire(when.wall_ms))).await?;
        self.0.pins.forget(when.mono_ms);
        let new_ms = when.wall_ms.saturating_sub(KEEP_MS.cast_signed());
        let mut listed = self.0.store.list(None);
        while let Some(found) = listed.next().await {
            let meta = found.map_err(|error| failed(&error))?;
            if meta.last_modified.timestamp_millis() > new_ms {
                continue;
            }
            let going = match digest_of(&meta.location) {
                Some(digest) => {
                    let take = self.0.pins.take(digest, when.mono_ms, || is_used(&digest));
                    let Some(going) = take else { continue };
                    Some(going)
                }
                None if meta.location.as_ref().starts_with(INCOMING) => None,
                None => continue,
            };
            match self.0.store.delete(&meta.location).await {
                Ok(()) => (swept.blobs, swept.bytes) = (swept.blobs + 1, swept.bytes + meta.size),
                Err(error) => tracing::warn!(%error, "a body could not be removed"),
            }
            drop(going);
        }
        Ok(swept)
    }
}

const BLOBS: &str = "blobs";
const INCOMING: &str = "incoming";
const UPLOADS: &str = "uploads";

/// Where a body is.
fn location(digest: &Digest) -> Location {
    let name = digest.to_string();
    Location::from(format!("{BLOBS}/{}/{name}", &name[..2]))
}

/// The body that is there, if it is one.
fn digest_of(location: &Location) -> Option<Digest> {
    let (folder, name) = location.as_ref().rsplit_once('/')?;
    folder.starts_with(BLOBS).then(|| name.parse().ok())?
}

/// Removes what the store was writing when its process was killed: such names have a `#`.
fn remove_staged(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().contains(&b'#') {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Does what may block, beside the worker.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(error) => Err(Problem::new(Kind::Internal, format!("a file operation: {error}"))),
    }
}

/// What a failure of storage means for the client. The cause is for the log.
pub(crate) fn failed(error: &(dyn Error + 'static)) -> Problem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) = kind {
            tracing::error!(%error, "the storage of pushed bodies is full");
            let detail = "there is no room left where pushed bodies are kept";
            return Problem::new(Kind::StorageFull, detail);
        }
        cause = error.source();
    }
    tracing::error!(error, "the storage of pushed bodies cannot be used");
    Problem::new(Kind::Unavailable, "the storage of pushed bodies cannot be used now")
}
