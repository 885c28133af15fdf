//! The body of an answer, from wherever it comes, and the account that is closed when it is gone.

use crate::esi;
use crate::ledger::Ledger;
use crate::slice_reader::SliceReader;
use crate::upstream::InFlight;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use selvedge_net::{BodyError, UpstreamBody};
use selvedge_store::{BodySlices, Fields, FillReader};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of an answer to a client.
pub struct Body {
    source: Source,
    ledger: Box<Ledger>,
}

/// Where the bytes come from.
pub(crate) enum Source {
    /// None at all.
    Empty,
    /// Bytes at hand: a page, or a stored body of one slice.
    Whole(Bytes),
    /// Slices of a stored body.
    Slices(BodySlices),
    /// A stored body that ends with trailers: its length is not announced, so that they can follow.
    Trailed(BodySlices, Option<Arc<Fields>>),
    /// Bytes of a body whose slices are stored one by one, and the trailers at its end.
    Sliced(Box<SliceReader>, Option<Arc<Fields>>),
    /// The parts of a multipart/byteranges answer.
    Parts(Parts),
    /// A body that is still arriving from the next hop.
    Fill(FillPart),
    /// A body that passes by.
    Upstream(Box<(UpstreamBody, InFlight)>),
    /// A page that is assembled while it goes out.
    Assembled(Box<esi::Outflow>),
}

/// Text and slices of a stored body, in turn.
pub(crate) struct Parts {
    pieces: VecDeque<Piece>,
    left: u64,
}

/// One piece of a multipart answer.
pub(crate) enum Piece {
    Text(Bytes),
    Slices(BodySlices),
    Sliced(Box<SliceReader>),
}

/// The bytes `skip..skip + left` of a fill.
pub(crate) struct FillPart {
    reader: FillReader,
    skip: u64,
    /// None: to the end, whose place is not known yet.
    left: Option<u64>,
}

impl Source {
    /// The parts of a multipart answer, in order.
    pub(crate) fn parts(pieces: VecDeque<Piece>) -> Self {
        let left = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.len() as u64,
                Piece::Slices(slices) => slices.remaining(),
                Piece::Sliced(reader) => reader.remaining(),
            })
            .sum();
        Self::Parts(Parts { pieces, left })
    }

    /// The bytes of a fill from `skip` on: `length` of them, or all there will be.
    pub(crate) fn fill(reader: FillReader, skip: u64, length: Option<u64>) -> Self {
        Self::Fill(FillPart { reader, skip, left: length })
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Slices(slices) => Some(slices.remaining()),
            Self::Trailed(..) | Self::Sliced(_, Some(_)) => None,
            Self::Sliced(reader, None) => Some(reader.remaining()),
            Self::Parts(parts) => Some(parts.left),
            Self::Fill(part) => part.left,
            Self::Upstream(passing) => passing.0.size_hint().exact(),
            Self::Assembled(_) => None,
        }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Slices(slices) => Poll::Ready(slices.next().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Trailed(slices, trailers) => Poll::Ready(match slices.next() {
                Some(bytes) => Some(Ok(Frame::data(bytes))),
                None => {
                    trailers.take().map(|fields| Ok(Frame::trailers(HeaderMap::clone(&fields))))
                }
            }),
            Self::Sliced(reader, trailers) => Poll::Ready(match ready!(reader.poll_next(cx)) {
                Some(bytes) => Some(bytes.map(Frame::data)),
                None => {
                    trailers.take().map(|fields| Ok(Frame::trailers(HeaderMap::clone(&fields))))
                }
            }),
            Self::Parts(parts) => parts.poll(cx),
            Self::Fill(part) => part.poll(cx),
            Self::Upstream(passing) => Pin::new(&mut passing.0).poll_frame(cx),
            Self::Assembled(page) => {
                Poll::Ready(ready!(page.poll(cx)).map(|bytes| bytes.map(Frame::data)))
            }
        }
    }
}

impl Parts {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Some(piece) = self.pieces.front_mut() else { return Poll::Ready(None) };
            let bytes = match piece {
                Piece::Text(text) => Some(std::mem::take(text)).filter(|text| !text.is_empty()),
                Piece::Slices(slices) => slices.next(),
                Piece::Sliced(reader) => match ready!(reader.poll_next(cx)) {
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(bytes)) => Some(bytes),
                    None => None,
                },
            };
            match bytes {
                Some(bytes) => {
                    self.left -= bytes.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                None => self.pieces.pop_front(),
            };
        }
    }
}

impl FillPart {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        loop {
            let mut bytes = match ready!(self.reader.poll_chunk(cx)) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(BodyError::Aborted(error.word()))));
                }
                None if self.left.is_some() => {
                    return Poll::Ready(Some(Err(BodyError::UpstreamTruncated)));
                }
                None => {
                    let trailers = self.reader.trailers();
                    self.left = Some(0);
                    return Poll::Ready(
                        trailers.map(|fields| Ok(Frame::trailers(HeaderMap::clone(&fields)))),
                    );
                }
            };
            let skipped = self.skip.min(bytes.len() as u64);
            self.skip -= skipped;
            bytes = bytes.slice(skipped as usize..);
            if let Some(left) = &mut self.left {
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= bytes.len() as u64;
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}

impl Body {
    /// A body and the account that is closed when it is gone.
    pub(crate) fn new(source: Source, mut ledger: Box<Ledger>) -> Self {
        if source.length() == Some(0) {
            ledger.completed = true;
        }
        Self { source, ledger }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = ready!(this.source.poll(cx));
        let ledger = &mut this.ledger;
        match &polled {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                ledger.sent_bytes += bytes;
                if let Source::Upstream(_) = this.source {
                    ledger.passed_bytes += bytes;
                }
                ledger.completed = frame.is_trailers() || this.source.length() == Some(0);
            }
            Some(Err(error)) => ledger.broken(*error),
            None => ledger.completed = true,
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream(passing) => passing.0.is_end_stream(),
            other => other.length() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.source.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
