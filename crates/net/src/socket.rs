//! A client's TCP connection. Its task reads and writes it as [`Socket`]; the worker's tick keeps a
//! [`SendQueue`], which never keeps the connection open, and asks it how much the client has yet to
//! acknowledge.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The connection, for whoever owns it. Closed when dropped.
pub(crate) struct Socket(Rc<RefCell<TcpStream>>);

/// A view of what waits in the kernel to be sent and acknowledged.
pub(crate) struct SendQueue(Weak<RefCell<TcpStream>>);

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Rc::new(RefCell::new(stream)))
    }

    pub(crate) fn send_queue(&self) -> SendQueue {
        SendQueue(Rc::downgrade(&self.0))
    }
}

impl SendQueue {
    /// Bytes written to the connection and not acknowledged by the client. `None` when it is
    /// closed.
    pub(crate) fn unacknowledged(&self) -> Option<u32> {
        let stream = self.0.upgrade()?;
        let stream = stream.try_borrow().ok()?;
        selvedge_sendqueue::unacknowledged(&*stream).ok()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}
