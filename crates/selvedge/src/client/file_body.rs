//! A file, or a part of one, as the body of a request: read piece by piece, and never silently
//! short. A file that ends early breaks the request off.

use super::fault::Fault;
use super::progress::Progress;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use selvedge_net::BodyError;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes read at a time.
const PIECE_BYTES: u64 = 128 << 10;

/// Which bytes of which file, and where to show that they move.
#[derive(Debug, Clone)]
pub(super) struct FilePart {
    pub(super) file: PathBuf,
    pub(super) from: u64,
    pub(super) bytes: u64,
    pub(super) progress: Progress,
}

/// The body.
pub(super) struct FileBody {
    file: File,
    left: u64,
    progress: Progress,
    /// What was shown as sent, taken back if the body does not come to its end.
    shown: u64,
}

impl FileBody {
    pub(super) fn open(part: &FilePart) -> Result<Self, Fault> {
        let failed = |error: std::io::Error| Fault::file(&part.file, &error);
        let mut file = File::open(&part.file).map_err(failed)?;
        file.seek(SeekFrom::Start(part.from)).map_err(failed)?;
        Ok(Self { file, left: part.bytes, progress: part.progress.clone(), shown: 0 })
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        if self.left > 0 {
            self.progress.back(self.shown);
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = self.left.min(PIECE_BYTES);
        let mut piece = vec![0; usize::try_from(wanted).unwrap_or(0)];
        // A file of this machine: waiting for it does not hold up anything but this program.
        match self.file.read(&mut piece) {
            Ok(0) | Err(_) => Poll::Ready(Some(Err(BodyError::Aborted("file-changed")))),
            Ok(count) => {
                piece.truncate(count);
                self.left -= count as u64;
                self.shown += count as u64;
                self.progress.forth(count as u64);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
