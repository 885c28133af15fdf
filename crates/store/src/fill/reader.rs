//! The reading end of a fill.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Fill;
use super::readers::ReaderId;
use super::state::{Phase, Read};
use crate::error::FillError;
use crate::fields::Fields;
use crate::head::Head;
use crate::lock::lock;
use crate::object::Object;

/// What a fill turned out to be.
#[derive(Clone, Debug)]
pub enum FillOutcome {
    /// The head is known and bytes come: read them with `poll_chunk`. Ask `Head::matches` first.
    Head(Arc<Head>),
    /// All of it is there. It may answer the request only if `Head::matches` says so.
    Object(Arc<Object>),
    /// The answer is not for sharing: go to the next hop alone.
    Pass,
    /// The fill ended without an answer.
    Failed(FillError),
}

/// One reader of a fill. Dropping it leaves; the fill goes on.
#[derive(Debug)]
pub struct FillReader {
    fill: Arc<Fill>,
    id: ReaderId,
}

impl FillReader {
    pub(crate) fn new(fill: Arc<Fill>, id: ReaderId) -> Self {
        Self { fill, id }
    }

    /// Waits for the head, or for the end of a fill without one. May be asked again.
    pub async fn head(&self) -> FillOutcome {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    /// `head` without a future.
    pub fn poll_head(&self, cx: &mut Context<'_>) -> Poll<FillOutcome> {
        let mut state = lock(&self.fill.state);
        let outcome = match &state.phase {
            Phase::Waiting => {
                state.readers.wait(self.id, cx.waker());
                return Poll::Pending;
            }
            Phase::Open(head) => FillOutcome::Head(head.clone()),
            Phase::Finished { object: Some(object), .. } | Phase::Answered(object) => {
                FillOutcome::Object(object.clone())
            }
            Phase::Finished { head, object: None, .. } => FillOutcome::Head(head.clone()),
            Phase::Passed => FillOutcome::Pass,
            Phase::Failed(error) => FillOutcome::Failed(error.clone()),
        };
        Poll::Ready(outcome)
    }

    /// The next bytes of a fill whose head is known; `None` at the end of a whole body.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, FillError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// `chunk` without a future. Everything that came before a failure is given first.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FillError>>> {
        let (read, writer) = lock(&self.fill.state).read(self.id, cx);
        if let Some(waker) = writer {
            waker.wake();
        }
        match read {
            Read::Chunk(bytes) => Poll::Ready(Some(Ok(bytes))),
            Read::Failed(error) => Poll::Ready(Some(Err(error))),
            Read::End => Poll::Ready(None),
            Read::Pending => Poll::Pending,
        }
    }

    /// Trailer fields, known once the end has been read.
    pub fn trailers(&self) -> Option<Arc<Fields>> {
        match &lock(&self.fill.state).phase {
            Phase::Finished { trailers, .. } => trailers.clone(),
            Phase::Answered(object) => object.trailers.clone(),
            Phase::Waiting | Phase::Open(_) | Phase::Passed | Phase::Failed(_) => None,
        }
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        let writer = lock(&self.fill.state).leave(self.id);
        if let Some(waker) = writer {
            waker.wake();
        }
    }
}
