//! A body on its way into storage.
//!
//! ```text
//! pieces -> [part] -> written to a name of its own -+-> checked -> renamed to its digest
//!               '---> hashed, beside ---------------'       '----> or nothing is left of it
//! ```
//! A body that fits into one part is put under its name at once. Memory is bounded: one part that
//! fills, a few on their way, and those of all bodies together as well.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::path::Path as Location;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinHandle, JoinSet};

use super::{Blobs, Hold, INCOMING, failed, location};
use crate::problem::{Kind, Problem};
use crate::random;
use crate::state::digest::{Digest, Hasher};

/// Bytes of a part.
pub(crate) const PART_BYTES: usize = 1 << 20;
/// Parts of one body that are on their way.
const FLYING_MAX: usize = 4;
/// Pieces below this are copied together, so that a part has few of them.
const COPY_BYTES: usize = 4 << 10;
/// Bytes that are hashed on the worker's own thread.
const HASH_HERE_BYTES: usize = 64 << 10;

/// A body that is arriving. Dropping it leaves nothing behind.
pub(crate) struct Incoming {
    blobs: Blobs,
    part: Part,
    /// Once it is longer than a part.
    large: Option<Large>,
    bytes: u64,
    bytes_max: u64,
    _permit: OwnedSemaphorePermit,
}

struct Large {
    name: Location,
    upload: Box<dyn MultipartUpload>,
    parts: JoinSet<object_store::Result<()>>,
    hashing: JoinHandle<Hasher>,
}

/// A body that is stored and safe.
pub(crate) struct Stored {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) hold: Hold,
    /// It was not there before.
    pub(crate) is_new: bool,
}

/// Pieces that are handled together.
#[derive(Default)]
pub(crate) struct Part {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Part {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if piece.len() < COPY_BYTES {
            self.tail.extend_from_slice(&piece);
        } else {
            self.flush();
            self.pieces.push(piece);
        }
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.split().freeze());
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= PART_BYTES
    }

    /// What is in it; empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.flush();
        self.bytes = 0;
        std::mem::take(&mut self.pieces)
    }
}

impl Incoming {
    /// Begins a body of at most so many bytes.
    pub(crate) fn begin(blobs: &Blobs, bytes_max: u64) -> Result<Self, Problem> {
        let permit = Arc::clone(&blobs.0.writers).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::new(Kind::TooMany, "too many bodies at once"))?;
        Ok(Self {
            blobs: blobs.clone(),
            part: Part::default(),
            large: None,
            bytes: 0,
            bytes_max,
            _permit: permit,
        })
    }

    /// Takes in a piece. After an error nothing else can be done with it.
    pub(crate) async fn write(&mut self, mut piece: Bytes) -> Result<(), Problem> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(too_large(self.bytes_max));
        }
        while !piece.is_empty() {
            // Full parts wait for the next piece: a body of exactly one part is not large.
            if self.part.is_full() {
                let part = self.part.take();
                self.send(part).await?;
            }
            let room = PART_BYTES.saturating_sub(self.part.bytes).min(piece.len());
            self.part.push(piece.split_to(room));
        }
        Ok(())
    }

    /// Stores the body if it is the one that was announced.
    pub(crate) async fn finish(
        mut self,
        expected: Option<Digest>,
        now_ms: u64,
    ) -> Result<Stored, Problem> {
        let part = self.part.take();
        if self.large.is_some() {
            self.send(part).await?;
        } else {
            let put = put(&self.blobs, part, expected, now_ms);
            return put.await;
        }
        let Some(mut large) = self.large.take() else { return Err(lost()) };
        let digest = large.hashing.await.map_err(|_| lost())?.finish();
        check(digest, expected)?;
        while let Some(part) = large.parts.join_next().await {
            part.map_err(|_| lost())?.map_err(|error| failed(&error))?;
        }
        let hold = self.blobs.hold(digest, now_ms).await?;
        let stored = |is_new| Stored { digest, bytes: self.bytes, hold, is_new };
        if self.blobs.length(&digest).await?.is_some() {
            return Ok(stored(false));
        }
        let store = &self.blobs.0.store;
        large.upload.complete().await.map_err(|error| failed(&error))?;
        if let Err(error) = store.rename(&large.name, &location(&digest)).await {
            let _ = store.delete(&large.name).await;
            return Err(failed(&error));
        }
        Ok(stored(true))
    }

    /// Has a part written and hashed; waits while too many are on their way.
    async fn send(&mut self, part: Vec<Bytes>) -> Result<(), Problem> {
        let large = match &mut self.large {
            Some(large) => large,
            none => none.insert(Large::begin(&self.blobs).await?),
        };
        while large.parts.len() >= FLYING_MAX {
            let Some(part) = large.parts.join_next().await else { break };
            part.map_err(|_| lost())?.map_err(|error| failed(&error))?;
        }
        let permit = Arc::clone(&self.blobs.0.parts).acquire_owned().await.map_err(|_| lost())?;
        let payload: PutPayload = part.into_iter().collect();
        let written = large.upload.put_part(payload.clone());
        large.parts.spawn(async move {
            let written = written.await;
            drop(permit);
            written
        });
        let hasher = (&mut large.hashing).await.map_err(|_| lost())?;
        large.hashing = tokio::task::spawn_blocking(move || hash(hasher, payload.iter()));
        Ok(())
    }
}

impl Large {
    async fn begin(blobs: &Blobs) -> Result<Self, Problem> {
        let name = Location::from(format!("{INCOMING}/{}", random::hex::<16>()));
        let upload = blobs.0.store.put_multipart(&name).await.map_err(|error| failed(&error))?;
        let hashing = tokio::task::spawn_blocking(Hasher::new);
        Ok(Self { name, upload, parts: JoinSet::new(), hashing })
    }
}

/// Stores a short body if it is the one that was announced.
pub(crate) async fn put(
    blobs: &Blobs,
    pieces: Vec<Bytes>,
    expected: Option<Digest>,
    now_ms: u64,
) -> Result<Stored, Problem> {
    let payload: PutPayload = pieces.into_iter().collect();
    let bytes = payload.content_length();
    let digest = if bytes <= HASH_HERE_BYTES {
        hash(Hasher::new(), payload.iter()).finish()
    } else {
        let payload = payload.clone();
        let work = move || hash(Hasher::new(), payload.iter()).finish();
        tokio::task::spawn_blocking(work).await.map_err(|_| lost())?
    };
    check(digest, expected)?;
    let hold = blobs.hold(digest, now_ms).await?;
    let is_new = blobs.length(&digest).await?.is_none();
    if is_new {
        let name = location(&digest);
        blobs.0.store.put(&name, payload).await.map_err(|error| failed(&error))?;
    }
    Ok(Stored { digest, bytes: bytes as u64, hold, is_new })
}

fn hash<'b>(mut hasher: Hasher, pieces: impl Iterator<Item = &'b Bytes>) -> Hasher {
    pieces.for_each(|piece| hasher.update(piece));
    hasher
}

fn check(digest: Digest, expected: Option<Digest>) -> Result<(), Problem> {
    match expected {
        Some(expected) if expected != digest => {
            let detail = format!("the body has the SHA-256 {digest}, announced was {expected}");
            Err(Problem::new(Kind::DigestMismatch, detail))
        }
        _ => Ok(()),
    }
}

/// The body is larger than what is allowed.
pub(crate) fn too_large(bytes_max: u64) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body may have {bytes_max} bytes at most"))
}

/// A task ended without an answer, which it does only when the process ends.
fn lost() -> Problem {
    Problem::new(Kind::Unavailable, "control is about to end")
}
