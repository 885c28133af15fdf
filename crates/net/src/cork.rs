//! Puts together what an HTTP/2 connection writes in one turn. The library flushes after every
//! frame of data, which over TLS is a record and a system call for each small response; under load
//! ten of them now leave in one. Whoever drives the connection calls [`Corked::poll_turn`] after
//! each turn: nothing stays behind when the connection's task goes to sleep.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes put together: what fits in one TLS record.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// Writes from here on are not copied.
const LARGE_BYTES: usize = 4 * 1024;

/// A stream whose small writes wait for the end of the turn. Clones are the same stream.
pub(crate) struct Corked<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    stream: S,
    /// Taken over and not yet written.
    held: BytesMut,
}

impl<S> Clone for Corked<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Rc::new(RefCell::new(Inner { stream, held: BytesMut::new() })))
    }

    /// Writes what the turn left.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_drain(cx))?;
        // An idle connection holds no buffer.
        inner.held = BytesMut::new();
        Pin::new(&mut inner.stream).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let count = slices.iter().map(|slice| slice.len()).sum();
        if inner.held.len() + count > HELD_BYTES_MAX {
            ready!(inner.poll_drain(cx))?;
        }
        if count >= LARGE_BYTES && inner.held.is_empty() {
            return Pin::new(&mut inner.stream).poll_write_vectored(cx, slices);
        }
        if inner.held.capacity() == 0 {
            inner.held.reserve(HELD_BYTES_MAX);
        }
        for slice in slices {
            inner.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    /// Left to the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(cx))?;
        Pin::new(&mut self.0.borrow_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{Corked, HELD_BYTES_MAX, LARGE_BYTES};

    /// Whatever is large or small, bytes arrive in the order they were written, all of them once
    /// the turn is over.
    #[tokio::test]
    async fn a_turn_writes_everything_in_order() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut corked = Corked::new(near);
        let mut sent = Vec::new();
        for (index, length) in [10, LARGE_BYTES, 3, HELD_BYTES_MAX - 1, 7, 1].iter().enumerate() {
            let bytes = vec![index as u8; *length];
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(rest.len() / 2);
                let slices = [IoSlice::new(head), IoSlice::new(tail)];
                let written = corked.write_vectored(&slices).await.expect("room");
                rest = &rest[written..];
            }
            sent.extend(bytes);
        }
        corked.flush().await.expect("a flush of nothing");
        poll_fn(|cx| corked.poll_turn(cx)).await.expect("room");
        let mut received = vec![0; sent.len()];
        far.read_exact(&mut received).await.expect("all of it");
        assert!(received == sent);
    }

    /// Small writes leave at the end of the turn, or when the connection is shut down.
    #[tokio::test]
    async fn shutting_down_writes_what_was_held() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut corked = Corked::new(near);
        corked.write_all(b"goodbye").await.expect("held");
        corked.shutdown().await.expect("room");
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.expect("an end");
        assert_eq!(received, b"goodbye");
    }
}
