//! The copying half of a tunnel: two directions, one buffer each, driven by one future.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use crate::clock::{Clock, millis};
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
    let clock = Clock::start();
    let mut moved_ms = 0;
    let mut oldest = std::pin::pin!(sleep(age));
    let mut quiet = std::pin::pin!(sleep(idle));
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
            moved_ms = clock.now_mono_ms();
        }
        if oldest.as_mut().poll(cx).is_ready() {
            return Poll::Ready(TunnelReason::Age);
        }
        // The timer is set anew when it fires, not whenever something moves.
        while quiet.as_mut().poll(cx).is_ready() {
            let passed = clock.now_mono_ms().saturating_sub(moved_ms);
            match millis(idle).checked_sub(passed) {
                None | Some(0) => return Poll::Ready(TunnelReason::Idle),
                Some(left) => quiet.set(sleep(Duration::from_millis(left))),
            }
        }
        Poll::Pending
    })
    .await;
    TunnelEnd { forward_bytes: forward.bytes, backward_bytes: backward.bytes, reason }
}
