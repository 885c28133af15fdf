//! Bodies in a folder, and in a store that fails.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use super::*;

/// A folder on a disk that takes only bodies that fit into one part.
#[derive(Debug)]
struct Full(LocalFileSystem);

/// A body whose second part finds no room.
#[derive(Debug)]
struct FullUpload(Box<dyn MultipartUpload>, usize);

fn full() -> object_store::Error {
    let source = Box::new(io::Error::from(io::ErrorKind::StorageFull));
    object_store::Error::Generic { store: "test", source }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("full")
    }
}

#[async_trait]
impl MultipartUpload for FullUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.1 += 1;
        if self.1 > 1 { Box::pin(async { Err(full()) }) } else { self.0.put_part(data) }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.0.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.0.abort().await
    }
}

#[async_trait]
impl ObjectStore for Full {
    async fn put_opts(&self, at: &Location, body: PutPayload, o: PutOptions) -> Result<PutResult> {
        if body.content_length() > 10 {
            return Err(full());
        }
        self.0.put_opts(at, body, o).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(FullUpload(self.0.put_multipart_opts(at, options).await?, 0)))
    }

    async fn get_opts(&self, at: &Location, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Location>>,
    ) -> BoxStream<'static, Result<Location>> {
        self.0.delete_stream(all)
    }

    fn list(&self, below: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Location>) -> Result<ListResult> {
        self.0.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Location, to: &Location, o: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, o).await
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Waits until so many files are left: the store removes what was dropped beside the worker.
async fn left(folder: &Path, count: usize) {
    let is_so = async {
        while files(folder).len() != count {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, is_so).await.expect("nothing else is left");
}

async fn store(
    blobs: &Blobs,
    body: &[u8],
    expected: Option<Digest>,
) -> std::result::Result<Stored, Problem> {
    let mut incoming = Incoming::begin(blobs, u64::MAX)?;
    for piece in body.chunks(100_000) {
        incoming.write(Bytes::copy_from_slice(piece)).await?;
    }
    incoming.finish(expected, 0).await
}

async fn read(blobs: &Blobs, digest: &Digest, range: Range<u64>) -> Vec<u8> {
    let pieces = blobs.read(digest, range).await.expect("it is there");
    let body = axum::body::Body::new(pieces);
    axum::body::to_bytes(body, usize::MAX).await.expect("it is read").to_vec()
}

#[tokio::test]
async fn a_body_is_stored_once_under_its_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(folder.path()).expect("it opens");
    let part = PART_BYTES;
    for length in [0, 1, part - 1, part, part + 1, 2 * part, 3 * part + 7] {
        let body: Vec<u8> = (0..length).map(|at| (at / 7 + length) as u8).collect();
        let first = store(&blobs, &body, Some(Digest::of(&body))).await.expect("it is stored");
        assert_eq!((first.digest, first.bytes), (Digest::of(&body), length as u64));
        assert!(first.is_new, "{length}");
        assert!(!store(&blobs, &body, None).await.expect("it is stored").is_new, "{length}");
        assert_eq!(blobs.length(&first.digest).await, Ok(Some(length as u64)));
        if length > 0 {
            assert!(read(&blobs, &first.digest, 0..length as u64).await == body, "{length}");
        }
        if length > part {
            let (from, to) = (part - 5, part + 1);
            let found = read(&blobs, &first.digest, from as u64..to as u64).await;
            assert_eq!(found, body[from..to]);
        }
    }
    left(folder.path(), 7).await;
}

#[tokio::test]
async fn nothing_is_left_of_what_was_dropped_or_is_another_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(folder.path()).expect("it opens");
    let other = Some(Digest::of(b"other"));
    for length in [5, 3 * PART_BYTES] {
        let body = vec![7; length];
        let wrong = store(&blobs, &body, other).await.map(|_| ()).map_err(|problem| problem.kind);
        assert_eq!(wrong, Err(Kind::DigestMismatch));
        let mut dropped = Incoming::begin(&blobs, u64::MAX).expect("it begins");
        dropped.write(body.into()).await.expect("it is taken");
        drop(dropped);
    }
    let mut long = Incoming::begin(&blobs, 10).expect("it begins");
    let refused = long.write(Bytes::from_static(b"0123456789a")).await;
    assert_eq!(refused.map_err(|problem| problem.kind), Err(Kind::TooLarge));
    left(folder.path(), 0).await;
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_whole_bodies_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let digest = {
        let blobs = Blobs::open(folder.path()).expect("it opens");
        store(&blobs, b"whole", None).await.expect("it is stored").digest
    };
    let whole = folder.path().join(location(&digest).as_ref());
    let staged = PathBuf::from(format!("{}#1", whole.display()));
    let id = "0".repeat(32);
    for path in [
        staged,
        folder.path().join(INCOMING).join("abc#1"),
        folder.path().join(INCOMING).join("abc"),
        folder.path().join(UPLOADS).join(&id).with_extension("data"),
        folder.path().join(UPLOADS).join(&id).with_extension("new"),
    ] {
        std::fs::write(path, b"half").expect("it is written");
    }
    let blobs = Blobs::open(folder.path()).expect("it opens");
    assert_eq!(files(folder.path()), [whole]);
    assert_eq!(read(&blobs, &digest, 0..5).await, b"whole");
}

#[tokio::test]
async fn on_a_full_disk_reads_go_on_and_nothing_is_left_of_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    Blobs::open(folder.path()).expect("it opens");
    let disk = LocalFileSystem::new_with_prefix(folder.path()).expect("it opens");
    let blobs = Blobs::over(Arc::new(Full(disk)), folder.path()).expect("it opens");
    let stored = store(&blobs, b"fits", None).await.expect("it is stored");
    for length in [11, 6 * PART_BYTES] {
        let refused = store(&blobs, &vec![1; length], None).await.map(|_| ());
        assert_eq!(refused.map_err(|problem| problem.kind), Err(Kind::StorageFull), "{length}");
    }
    assert_eq!(read(&blobs, &stored.digest, 0..4).await, b"fits");
    left(folder.path(), 1).await;
}

#[tokio::test]
async fn only_what_nothing_else_wants_is_discarded() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(folder.path()).expect("it opens");
    let first = store(&blobs, b"1", None).await.expect("it is stored");
    let second = store(&blobs, b"1", None).await.expect("it is stored");
    blobs.discard(second, || false).await;
    assert_eq!(files(folder.path()).len(), 1, "it was there before");
    blobs.discard(first, || true).await;
    assert_eq!(files(folder.path()).len(), 1, "it is used");
    let alone = store(&blobs, b"2", None).await.expect("it is stored");
    alone.hold.keep(KEEP_MS);
    blobs.discard(alone, || false).await;
    assert_eq!(files(folder.path()).len(), 1);
}
