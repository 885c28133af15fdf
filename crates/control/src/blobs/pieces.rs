//! A stored body on its way out, a piece at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use http_body::{Frame, SizeHint};
use object_store::{GetResult, GetResultPayload};

/// Bytes that are read from a file at once.
const PIECE_BYTES: u64 = 512 << 10;
/// Pieces that are read ahead of the client.
const AHEAD: usize = 2;

/// A part of a stored body. Of a file at most two pieces are in memory.
pub(crate) struct Pieces {
    pieces: BoxStream<'static, Result<Bytes, BoxError>>,
    left: u64,
}

impl Pieces {
    /// What the store found.
    pub(super) fn new(found: GetResult) -> Self {
        let left = found.range.end - found.range.start;
        let pieces = match found.payload {
            GetResultPayload::File(file, _) => of_file(file, found.range.start, left).boxed(),
            GetResultPayload::Stream(pieces) => {
                pieces.map(|piece| piece.map_err(BoxError::from)).boxed()
            }
        };
        Self { pieces, left }
    }
}

/// The pieces of a file. The store itself would read 8 KiB at a time.
fn of_file(
    file: File,
    start: u64,
    length: u64,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    let file = Arc::new(file);
    let pieces = (0..length.div_ceil(PIECE_BYTES)).map(move |index| {
        let at = index * PIECE_BYTES;
        (start + at, PIECE_BYTES.min(length - at))
    });
    let read = move |(at, length)| {
        let file = Arc::clone(&file);
        let work = tokio::task::spawn_blocking(move || -> io::Result<Bytes> {
            let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece.into())
        });
        async move { Ok(work.await??) }
    };
    stream::iter(pieces).map(read).buffered(AHEAD)
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match ready!(self.pieces.poll_next_unpin(cx)) {
            Some(Ok(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
