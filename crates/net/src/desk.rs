//! How HTTP/1.x responses leave: small ones in one piece, and with the lines (`lines.rs`) that were
//! written out ahead put into the head.
//!
//! ```text
//!   the library writes   | status line, framing | CRLF | body |
//!   what is sent         | status line, framing | lines | CRLF | body |
//! ```
//!
//! The library is told of the bytes that it gave. Should the socket take only a part of the head,
//! the rest of it is kept here and goes before anything else.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::lines;
use crate::watch::Watch;

/// Up to here a response is copied together: `send` of one piece costs less than `writev` of two.
const PIECE_BYTES_MAX: usize = 4 * 1024;
/// Most slices that are given to the socket at once behind a head with lines.
const SLICES_MAX: usize = 8;

/// Where a worker puts pieces together. Nothing stays on it from one write to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk(Rc<RefCell<Vec<u8>>>);

/// The writing half of one connection.
#[derive(Debug)]
pub(crate) struct Outlet {
    desk: Desk,
    /// Of a head, what the socket did not take. The library takes it for sent.
    rest: BytesMut,
}

impl Outlet {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk, rest: BytesMut::new() }
    }

    /// Writes what the library gives, or a part of it.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        watch: &Watch,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(stream, cx, watch))?;
        if watch.has_lines() {
            return self.poll_write_head(stream, cx, slices, watch);
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let result = match slices {
            [one] => Pin::new(stream).poll_write(cx, one),
            _ if total <= PIECE_BYTES_MAX => {
                let mut desk = self.desk.0.borrow_mut();
                desk.clear();
                slices.iter().for_each(|slice| desk.extend_from_slice(slice));
                Pin::new(stream).poll_write(cx, &desk)
            }
            _ => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        watch.count_write(&result);
        result
    }

    /// The first write of a response that has lines.
    fn poll_write_head<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        watch: &Watch,
    ) -> Poll<io::Result<usize>> {
        let Some((first, others)) = slices.split_first() else { return Poll::Ready(Ok(0)) };
        let place = lines::place(first)?;
        let mut lines = watch.lines.borrow_mut();
        let mut desk = self.desk.0.borrow_mut();
        desk.clear();
        desk.extend_from_slice(&first[..place]);
        desk.extend_from_slice(lines.as_bytes());
        let placed = desk.len();
        desk.extend_from_slice(&first[place..]);
        let total = others.iter().fold(desk.len(), |sum, slice| sum + slice.len());
        let result = if total <= PIECE_BYTES_MAX {
            others.iter().for_each(|slice| desk.extend_from_slice(slice));
            Pin::new(stream).poll_write(cx, &desk)
        } else {
            let mut all = [IoSlice::new(&[]); SLICES_MAX];
            all[0] = IoSlice::new(&desk);
            let room = &mut all[1..];
            let count = others.len().min(room.len());
            room[..count].copy_from_slice(&others[..count]);
            Pin::new(stream).poll_write_vectored(cx, &all[..=count])
        };
        watch.count_write(&result);
        let sent = ready!(result)?;
        let given = match sent {
            0 => return Poll::Ready(Ok(0)),
            _ if sent >= placed => sent - lines.len(),
            _ => {
                self.rest.extend_from_slice(&desk[sent..placed]);
                place
            }
        };
        lines.clear();
        Poll::Ready(Ok(given))
    }

    /// Writes what is left of a head.
    pub(crate) fn poll_rest<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        watch: &Watch,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let result = Pin::new(&mut *stream).poll_write(cx, &self.rest);
            watch.count_write(&result);
            match ready!(result)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.rest.advance(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives memory back while nothing is on its way.
    pub(crate) fn release(&mut self) {
        if self.rest.is_empty() {
            self.rest = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll};

    use http::header::{AGE, HeaderValue};
    use tokio::io::AsyncWrite;

    use super::{Desk, Outlet, PIECE_BYTES_MAX};
    use crate::watch::Watch;

    /// Takes so many bytes at a time, and is not ready before each.
    struct Slow {
        taken: Vec<u8>,
        step: usize,
        is_ready: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.is_ready = !self.is_ready;
            if self.is_ready {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let count = bytes.len().min(self.step);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// However little the socket takes at a time, what arrives is the head with its lines and then
    /// the body, and the library is told of exactly what it gave.
    #[tokio::test]
    async fn heads_are_whole_however_they_are_cut() {
        let head = &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"[..];
        for body_bytes in [0, 9, PIECE_BYTES_MAX] {
            let body = vec![b'x'; body_bytes];
            for step in (1..70).chain([1 << 20]) {
                let watch = Watch::new(Rc::new(Cell::new(0)));
                let mut outlet = Outlet::new(Desk::default());
                let mut slow = Slow { taken: Vec::new(), step, is_ready: false };
                // Twice: nothing of the first response may be left for the second.
                for age in [Some(7), None] {
                    if let Some(age) = age {
                        watch.lines.borrow_mut().push(&AGE, &HeaderValue::from(age));
                    }
                    let all = [head, &body].concat();
                    let mut given = 0;
                    while given < all.len() {
                        let cut = given.min(head.len());
                        let slices = [
                            IoSlice::new(&head[cut..]),
                            IoSlice::new(&all[given.max(head.len())..]),
                        ];
                        let used = if cut == head.len() { &slices[1..] } else { &slices[..] };
                        given += poll_fn(|cx| outlet.poll_write(&mut slow, cx, used, &watch))
                            .await
                            .expect("room");
                    }
                    poll_fn(|cx| outlet.poll_rest(&mut slow, cx, &watch)).await.expect("room");
                    let line = if age.is_some() { &b"age: 7\r\n"[..] } else { b"" };
                    let place = head.len() - 2;
                    let wanted = [&head[..place], line, &head[place..], &body].concat();
                    assert!(slow.taken == wanted, "{body_bytes} bytes by {step}");
                    assert_eq!(watch.bytes_out.take(), wanted.len() as u64);
                    slow.taken.clear();
                }
            }
        }
    }
}
