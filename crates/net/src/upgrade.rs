//! Connections that leave HTTP after a 101 (RFC 9110 7.8): the opaque byte stream of either side,
//! and the tunnel that copies between two of them with half close and an idle limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// What an upgraded connection is underneath.
pub(crate) trait Stream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Stream for T {}

/// A connection that left HTTP: bytes both ways. Not `Send`: it stays on its worker.
pub struct Upgraded(Pin<Box<dyn Stream>>);

impl Upgraded {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl std::fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgraded")
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }
}

/// Resolves to the client's side once the 101 has been written: `None` if it never was.
#[derive(Debug)]
pub struct ClientUpgrade(pub(crate) oneshot::Receiver<Upgraded>);

impl ClientUpgrade {
    /// Waits. Ends with `None` when the connection closed or the answer was not a 101.
    pub async fn wait(self) -> Option<Upgraded> {
        self.0.await.ok()
    }
}

/// How a tunnel ended, and what it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelEnd {
    /// Bytes from the first stream to the second.
    pub forward_bytes: u64,
    /// Bytes from the second stream to the first.
    pub backward_bytes: u64,
    /// Why it ended.
    pub reason: TunnelReason,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelReason {
    /// Both sides closed in good order.
    Closed,
    /// Nothing moved for the idle limit.
    Idle,
    /// It reached its greatest age.
    Age,
    /// One side broke.
    Broken,
}

impl TunnelReason {
    /// The stable word used in logs and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "tunnel-closed",
            Self::Idle => "tunnel-idle",
            Self::Age => "tunnel-age",
            Self::Broken => "tunnel-broken",
        }
    }
}

/// Copies both ways until both sides have closed, one breaks, nothing moved for `idle`, or `age`
/// is over. A side that closes has its end passed on; the other direction goes on.
pub async fn tunnel(a: Upgraded, b: Upgraded, idle: Duration, age: Duration) -> TunnelEnd {
    crate::tunnel::run(a, b, idle, age).await
}
