//! The copying half of a tunnel: two directions, one buffer each, driven by one future.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::upgrade::{TunnelEnd, TunnelReason, Upgraded};

const BUFFER_BYTES: usize = 16 * 1024;

/// One direction: fill the buffer, empty it, pass on the end.
struct Pipe {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    source_ended: bool,
    unflushed: bool,
    done: bool,
    bytes: u64,
}

impl Pipe {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            source_ended: false,
            unflushed: false,
            done: false,
            bytes: 0,
        }
    }

    /// Moves what can be moved. Ready when the end has been passed on.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Upgraded,
        target: &mut Upgraded,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        while !self.done {
            if self.start < self.end {
                let bytes = &self.buffer[self.start..self.end];
                let count = ready!(Pin::new(&mut *target).poll_write(cx, bytes))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += count;
                self.bytes += count as u64;
                self.unflushed = true;
                *moved = true;
                continue;
            }
            if self.source_ended {
                ready!(Pin::new(&mut *target).poll_shutdown(cx))?;
                self.done = true;
                *moved = true;
                break;
            }
            let mut buf = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut *source).poll_read(cx, &mut buf) {
                Poll::Ready(result) => {
                    result?;
                    self.start = 0;
                    self.end = buf.filled().len();
                    self.source_ended = self.end == 0;
                }
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *target).poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

pub(crate) async fn run(
    mut a: Upgraded,
    mut b: Upgraded,
    idle: Duration,
    age: Duration,
) -> TunnelEnd {
    let (mut forward, mut backward) = (Pipe::new(), Pipe::new());
    let now = Instant::now();
    let far = now + Duration::from_secs(86_400 * 365);
    let oldest = now.checked_add(age).unwrap_or(far).min(far);
    let mut timer = std::pin::pin!(sleep_until(oldest.min(now + idle.min(far - now))));
    let reason = poll_fn(|cx| {
        let mut moved = false;
        let one = forward.poll(cx, &mut a, &mut b, &mut moved);
        let two = backward.poll(cx, &mut b, &mut a, &mut moved);
        match (one, two) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => {
                return Poll::Ready(TunnelReason::Broken);
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                return Poll::Ready(TunnelReason::Closed);
            }
            _ => {}
        }
        if moved {
            let next = Instant::now() + idle.min(far - now);
            timer.as_mut().reset(next.min(oldest));
        }
        ready!(timer.as_mut().poll(cx));
        let reason =
            if timer.deadline() >= oldest { TunnelReason::Age } else { TunnelReason::Idle };
        Poll::Ready(reason)
    })
    .await;
    TunnelEnd { forward_bytes: forward.bytes, backward_bytes: backward.bytes, reason }
}
