//! A client's TCP connection. Its task reads and writes it as [`Socket`]; the worker's tick keeps a
//! [`SendQueue`], which never keeps the connection open, and asks it how much the client has yet to
//! acknowledge.
//!
//! It also decides how much of a response the kernel takes before it can send it
//! (TCP_NOTSENT_LOWAT). With no limit, a client that asks for much and reads nothing has the kernel
//! copy megabytes, and a thousand of them bring it to its limit of memory for TCP, where everyone
//! waits (`cargo xtask bench slow`). With a low one, a long response takes many writes and as many
//! wake-ups: 1 MiB cost 397 us of CPU with 128 KiB, 270 with 512, 218 with 1 MiB and 249 without a
//! limit, beside 269 to 344 of nginx (`cargo xtask bench hit --work MiB`). So every connection
//! begins with the low one, and some of those that have proven to read get the high one.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much the kernel takes for a connection before it can send it.
pub(crate) const UNSENT_BYTES: u32 = 128 * 1024;
/// The same for one that has proven to read.
const UNSENT_BYTES_WIDE: u32 = 1024 * 1024;
/// A client that took so much has read some of it.
const PROOF_BYTES: usize = 256 * 1024;
/// Connections of one worker that may have the high limit at a time.
const WIDE_MAX: u32 = 128;

/// How many connections of a worker have the high limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wide(Rc<Cell<u32>>);

/// A place among them, given back when dropped.
#[derive(Debug)]
struct WidePlace(Wide);

impl Wide {
    fn take(&self) -> Option<WidePlace> {
        let taken = self.0.get();
        (taken < WIDE_MAX).then(|| {
            self.0.set(taken + 1);
            WidePlace(self.clone())
        })
    }
}

impl Drop for WidePlace {
    fn drop(&mut self) {
        let taken = &self.0.0;
        taken.set(taken.get().saturating_sub(1));
    }
}

/// Which limit a connection has.
#[derive(Debug)]
enum Unsent {
    /// The low one; so much is to be taken before it is raised.
    Low(usize, Wide),
    /// The high one.
    High { _place: WidePlace },
}

/// The connection, for whoever owns it. Closed when dropped.
pub(crate) struct Socket {
    stream: Rc<RefCell<TcpStream>>,
    unsent: Unsent,
}

/// A view of what waits in the kernel to be sent and acknowledged.
pub(crate) struct SendQueue(Weak<RefCell<TcpStream>>);

impl Socket {
    /// A connection whose listener has set `UNSENT_BYTES`.
    pub(crate) fn new(stream: TcpStream, wide: &Wide) -> Self {
        let unsent = Unsent::Low(PROOF_BYTES, wide.clone());
        Self { stream: Rc::new(RefCell::new(stream)), unsent }
    }

    pub(crate) fn send_queue(&self) -> SendQueue {
        SendQueue(Rc::downgrade(&self.stream))
    }

    fn note(&mut self, result: &Poll<io::Result<usize>>) {
        let Unsent::Low(left, wide) = &mut self.unsent else { return };
        let Poll::Ready(Ok(taken)) = result else { return };
        *left = left.saturating_sub(*taken);
        if *left > 0 {
            return;
        }
        // If there is no place, or the system will not, it is tried again as much later.
        *left = PROOF_BYTES;
        let Some(place) = wide.take() else { return };
        let raised = SockRef::from(&*self.stream.borrow()).set_tcp_notsent_lowat(UNSENT_BYTES_WIDE);
        if raised.is_ok() {
            self.unsent = Unsent::High { _place: place };
        }
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
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, bytes);
        self.note(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.stream.borrow_mut()).poll_write_vectored(cx, slices);
        self.note(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(wide: &Wide) -> (Socket, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let far = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("open");
        let near = listener.accept().await.expect("a connection").0;
        SockRef::from(&near).set_tcp_notsent_lowat(UNSENT_BYTES).expect("a socket option");
        (Socket::new(near, wide), far)
    }

    fn limit(socket: &Socket) -> u32 {
        SockRef::from(&*socket.stream.borrow()).tcp_notsent_lowat().expect("a socket option")
    }

    async fn send(near: &mut Socket, far: &mut TcpStream, bytes: usize) {
        let (given, mut taken) = (vec![0; bytes], vec![0; bytes]);
        let (sent, read) = tokio::join!(near.write_all(&given), far.read_exact(&mut taken));
        sent.and(read).expect("an open connection");
    }

    #[tokio::test]
    async fn a_client_that_reads_gets_a_wide_socket_while_there_are_places() {
        let wide = Wide::default();
        let (mut near, mut far) = pair(&wide).await;
        send(&mut near, &mut far, PROOF_BYTES - 1).await;
        assert_eq!(limit(&near), UNSENT_BYTES);
        send(&mut near, &mut far, 1).await;
        assert_eq!((limit(&near), wide.0.get()), (UNSENT_BYTES_WIDE, 1));

        wide.0.set(WIDE_MAX);
        let (mut other, mut reader) = pair(&wide).await;
        send(&mut other, &mut reader, PROOF_BYTES).await;
        assert_eq!(limit(&other), UNSENT_BYTES);
        drop(near);
        assert_eq!(wide.0.get(), WIDE_MAX - 1);
        send(&mut other, &mut reader, PROOF_BYTES).await;
        assert_eq!((limit(&other), wide.0.get()), (UNSENT_BYTES_WIDE, WIDE_MAX));
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_never_gets_one() {
        let wide = Wide::default();
        let (mut near, _far) = pair(&wide).await;
        // Until the kernel takes no more, which it says at once.
        let is_stuck = tokio::select! {
            biased;
            result = near.write_all(&[0; 8 << 20]) => result.is_err(),
            () = std::future::ready(()) => true,
        };
        assert!(is_stuck);
        assert_eq!((limit(&near), wide.0.get()), (UNSENT_BYTES, 0));
    }
}
