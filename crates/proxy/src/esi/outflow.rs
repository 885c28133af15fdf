//! The bytes of an assembled page on their way out, in the coding that the client gets.

use super::assembly::{Assembly, Page};
use crate::encode::Encoder;
use bytes::Bytes;
use selvedge_net::BodyError;
use selvedge_policy::Coding;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Bytes that are gathered before a page is held to be long: then it goes out as it comes.
const GATHERED_BYTES_MAX: usize = 1 << 20;
/// Bytes that are encoded at a time, where connections wait for it.
const STEP_BYTES: usize = 32 << 10;

/// The word for an encoder that failed.
const ENCODER: BodyError = BodyError::Aborted("encode-failed");

/// A page on its way out.
pub(crate) struct Outflow {
    page: Rc<Page>,
    assembly: Option<Assembly>,
    /// Taken already, in front of what the assembly gives.
    ready: VecDeque<Bytes>,
    encoder: Option<Encoder>,
    /// The encoder keeps bytes back.
    keeps_back: bool,
}

impl Outflow {
    pub(super) fn new(page: Rc<Page>, assembly: Assembly) -> Self {
        let (ready, encoder) = (VecDeque::new(), None);
        Self { page, assembly: Some(assembly), ready, encoder, keeps_back: false }
    }

    /// Takes what is at hand. Whether that is all. It waits for the first bytes, of the page or of
    /// the fragment that it begins with: as long as nothing was sent, a failure can have a status.
    pub(super) async fn collect(&mut self) -> Result<bool, BodyError> {
        let mut bytes = 0;
        poll_fn(|cx| {
            while self.assembly.is_some() && bytes < GATHERED_BYTES_MAX {
                match self.poll_page(cx) {
                    Poll::Pending if bytes == 0 => return Poll::Pending,
                    Poll::Pending => break,
                    Poll::Ready(Some(Ok(piece))) => {
                        bytes += piece.len();
                        self.ready.push_back(piece);
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => {}
                }
            }
            Poll::Ready(Ok(self.assembly.is_none()))
        })
        .await
    }

    /// What was taken.
    pub(super) fn into_pieces(self) -> VecDeque<Bytes> {
        self.ready
    }

    /// Sends it in this coding.
    pub(super) fn encode(&mut self, coding: Coding) -> io::Result<()> {
        self.encoder = Some(Encoder::quick(coding)?);
        Ok(())
    }

    /// The next bytes of the page, and at its end the trace if one is wanted.
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some(assembly) = &mut self.assembly else { return Poll::Ready(None) };
        let polled = assembly.poll(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.assembly = None;
        }
        match (&polled, &self.page.trace) {
            (Poll::Ready(None), Some(trace)) => {
                Poll::Ready(Some(Ok(trace.borrow().comment(&self.page))))
            }
            _ => polled,
        }
    }

    /// The next bytes to send.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let next = match self.ready.pop_front() {
                Some(bytes) => Poll::Ready(Some(Ok(bytes))),
                None => self.poll_page(cx),
            };
            let Some(encoder) = &mut self.encoder else { return next };
            let encoded = match next {
                Poll::Ready(Some(Ok(mut bytes))) => {
                    if bytes.len() > STEP_BYTES {
                        self.ready.push_front(bytes.split_off(STEP_BYTES));
                    }
                    self.keeps_back = true;
                    encoder.push(&bytes)
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                // The page pauses: the client gets what there is.
                Poll::Pending if self.keeps_back => {
                    self.keeps_back = false;
                    encoder.flush()
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => match self.encoder.take().map(Encoder::finish) {
                    Some(Ok(bytes)) => return Poll::Ready(Some(Ok(bytes.into()))),
                    _ => return Poll::Ready(Some(Err(ENCODER))),
                },
            };
            match encoded {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(bytes.into()))),
                Err(_) => return Poll::Ready(Some(Err(ENCODER))),
            }
        }
    }
}
