//! The IO between a client's connection and the HTTP library. For HTTP/1.x it lets through only
//! what `scan.rs` has approved; pieces of unfinished heads stay here. A refused head is replaced
//! by a fixed one that the service recognises, so that the refusal is answered in its turn, and
//! nothing is read after it. For HTTP/2 it counts frames (`frames.rs`). It counts bytes, and notes
//! when the client does not take what is written (`desk.rs` does the writing).

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::desk::{Desk, Outlet};
use crate::frames::FrameMeter;
use crate::head::POISON_METHOD;
use crate::refusal::Refusal;
use crate::scan::{Scanner, Then};
use crate::settings::Limits;
use crate::watch::{UpgradeStep, Watch};
use crate::worker::Permit;

/// What HTTP/2 with prior knowledge begins with (RFC 9113 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most bytes held behind a request to leave HTTP that is not answered yet.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// Bytes read to find out the protocol.
const PEEK_BYTES: usize = 1024;

/// The error that a refused request body ends with.
#[derive(Debug)]
pub(crate) struct RefusedBody(pub(crate) Refusal);

impl std::fmt::Display for RefusedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RefusedBody {}

/// What the first bytes of a cleartext connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Http1,
    Http2,
    Ended,
}

enum Mode {
    /// HTTP/1.x: scan everything.
    Scan(Scanner),
    /// After a refused head: nothing more is read.
    Refused,
    /// After a refused body: reading fails.
    Broken(Refusal),
    /// Behind a request to leave HTTP.
    Hold(Scanner),
    /// HTTP/2.
    Frames(FrameMeter),
    /// After a 101.
    Opaque,
}

/// A client's connection, guarded.
pub(crate) struct Guard<S> {
    stream: S,
    mode: Mode,
    /// Read and not yet passed on; the first `approved` bytes of it may be.
    held: BytesMut,
    approved: usize,
    outlet: Outlet,
    limits: Rc<Limits>,
    watch: Rc<Watch>,
    /// Its place among the connections of the server, held as long as it is open.
    _permit: Permit,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(crate) fn new(
        stream: S,
        limits: Rc<Limits>,
        watch: Rc<Watch>,
        desk: Desk,
        permit: Permit,
    ) -> Self {
        Self {
            stream,
            mode: Mode::Scan(Scanner::new()),
            held: BytesMut::new(),
            approved: 0,
            outlet: Outlet::new(desk),
            limits,
            watch,
            _permit: permit,
        }
    }

    /// Waits for the first bytes (of a connection or after parking) and says what they open.
    pub(crate) fn poll_opening(
        &mut self,
        cx: &mut Context<'_>,
        http2_allowed: bool,
    ) -> Poll<io::Result<Opening>> {
        loop {
            let common = self.held.len().min(HTTP2_PREFACE.len());
            if !self.held.is_empty() {
                if !http2_allowed || self.held[..common] != HTTP2_PREFACE[..common] {
                    self.rescan();
                    return Poll::Ready(Ok(Opening::Http1));
                }
                if common == HTTP2_PREFACE.len() {
                    return Poll::Ready(Ok(Opening::Http2));
                }
            }
            let mut bytes = [0; PEEK_BYTES];
            let mut buf = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(Opening::Ended));
            }
            self.watch.read(buf.filled().len());
            self.held.extend_from_slice(buf.filled());
        }
    }

    /// Goes over to HTTP/2: what is held is passed on, and frames are counted.
    pub(crate) fn set_http2(&mut self, meter: FrameMeter) {
        self.mode = Mode::Frames(meter);
        self.approved = 0;
    }

    /// Leaves HTTP: everything held and to come is passed on as it is.
    pub(crate) fn set_opaque(&mut self) {
        self.mode = Mode::Opaque;
        self.approved = self.held.len();
    }

    /// Takes back bytes that were passed on but not used, to be passed on again.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let mut all = BytesMut::with_capacity(bytes.len() + self.held.len());
            all.extend_from_slice(bytes);
            all.extend_from_slice(&self.held);
            self.held = all;
            self.approved += bytes.len();
        }
    }

    /// Gives memory back while nothing is held.
    pub(crate) fn release(&mut self) {
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
        self.outlet.release();
        self.watch.release();
    }

    /// Reads and throws away, so that closing does not reset what the client has yet to read.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; PEEK_BYTES];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Looks at what is held behind the approved bytes and takes the verdict.
    fn rescan(&mut self) {
        if let Mode::Scan(scanner) = &mut self.mode {
            let (more, then) = scanner.scan(&self.held[self.approved..], &self.limits);
            self.approved += more;
            if scanner.take_upgrade_begun() {
                self.watch.upgrade_step.set(UpgradeStep::Undecided);
            }
            self.take_verdict(then);
        }
    }

    /// Acts on a verdict about what is held behind the approved bytes.
    fn take_verdict(&mut self, then: Then) {
        match then {
            Then::More => {
                let in_head = matches!(&self.mode, Mode::Scan(scanner) if scanner.is_in_head());
                self.watch.head_partial(in_head && self.held.len() > self.approved);
            }
            Then::RefusedHead(refusal) => {
                self.held.truncate(self.approved);
                self.held.extend_from_slice(poison(refusal).as_bytes());
                self.approved = self.held.len();
                self.mode = Mode::Refused;
                self.watch.head_partial(false);
            }
            Then::RefusedBody(refusal) => {
                self.held.truncate(self.approved);
                self.mode = Mode::Broken(refusal);
            }
            Then::Hold => {
                let old = std::mem::replace(&mut self.mode, Mode::Refused);
                if let Mode::Scan(scanner) = old {
                    self.mode = Mode::Hold(scanner);
                }
                self.watch.head_partial(false);
                self.watch.holds_bytes.set(self.held.len() > self.approved);
            }
        }
    }

    /// Passes on what was approved. `false` if there is nothing.
    fn pass_approved(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = self.approved.min(buf.remaining());
        if count == 0 {
            return false;
        }
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.approved -= count;
        true
    }

    /// Reads into `held`, by way of the caller's buffer. Ready with the number of bytes.
    fn poll_hold(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        self.held.extend_from_slice(&buf.filled()[before..]);
        buf.set_filled(before);
        self.watch.read(count);
        Poll::Ready(Ok(count))
    }

    /// HTTP/1.x: one read, scanned. Ready when something was passed on or the client ended.
    fn poll_scan(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        if !self.held.is_empty() {
            let count = ready!(self.poll_hold(cx, buf))?;
            self.rescan();
            return Poll::Ready(Ok(count == 0));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        let count = fresh.len();
        if count == 0 {
            return Poll::Ready(Ok(true));
        }
        self.watch.read(count);
        let Mode::Scan(scanner) = &mut self.mode else { return Poll::Ready(Ok(false)) };
        let (approved, then) = scanner.scan(fresh, &self.limits);
        if scanner.take_upgrade_begun() {
            self.watch.upgrade_step.set(UpgradeStep::Undecided);
        }
        if approved < count {
            self.held.extend_from_slice(&fresh[approved..]);
            buf.set_filled(before + approved);
        }
        self.take_verdict(then);
        Poll::Ready(Ok(approved > 0))
    }

    /// Behind a request to leave HTTP: reads only to notice that the client went away.
    fn poll_held(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        match self.watch.upgrade_step.get() {
            UpgradeStep::Declined => {
                let old = std::mem::replace(&mut self.mode, Mode::Refused);
                if let Mode::Hold(mut scanner) = old {
                    scanner.resume();
                    self.mode = Mode::Scan(scanner);
                    self.rescan();
                }
                Poll::Ready(Ok(false))
            }
            UpgradeStep::Accepted | UpgradeStep::Closing => Poll::Pending,
            UpgradeStep::Undecided if self.held.len() >= HELD_BYTES_MAX => Poll::Pending,
            UpgradeStep::Undecided => {
                let count = ready!(self.poll_hold(cx, buf))?;
                self.watch.holds_bytes.set(!self.held.is_empty());
                Poll::Ready(Ok(count == 0))
            }
        }
    }

    /// HTTP/2: passes everything on and counts frames.
    fn poll_frames(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.held.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.watch.read(buf.filled().len() - before);
        } else {
            let count = self.held.len().min(buf.remaining());
            buf.put_slice(&self.held[..count]);
            self.held.advance(count);
        }
        if let Mode::Frames(meter) = &mut self.mode
            && !meter.advance(&buf.filled()[before..], self.watch.now_ms())
        {
            self.mode = Mode::Refused;
            self.watch.flooded();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.pass_approved(buf) {
                return Poll::Ready(Ok(()));
            }
            let is_done = match &this.mode {
                Mode::Scan(_) => ready!(this.poll_scan(cx, buf))?,
                Mode::Hold(_) => ready!(this.poll_held(cx, buf))?,
                Mode::Frames(_) => return this.poll_frames(cx, buf),
                Mode::Opaque => {
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                    this.watch.read(buf.filled().len() - before);
                    true
                }
                Mode::Refused => return Poll::Pending,
                Mode::Broken(refusal) => {
                    let refused = RefusedBody(*refusal);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refused)));
                }
            };
            if is_done {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let slices = [io::IoSlice::new(bytes)];
        this.outlet.poll_write(&mut this.stream, cx, &slices, &this.watch)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.outlet.poll_write(&mut this.stream, cx, slices, &this.watch)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.outlet.poll_rest(&mut this.stream, cx, &this.watch))?;
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        match &result {
            Poll::Ready(_) => self.watch.wrote(0),
            Poll::Pending => self.watch.write_blocked(),
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.outlet.poll_rest(&mut this.stream, cx, &this.watch))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// The head that stands for a refused one.
fn poison(refusal: Refusal) -> String {
    format!(
        "{POISON_METHOD} /{} HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n",
        refusal.index()
    )
}

/// The refusal that a request stands for, if it is the guard's.
pub(crate) fn poisoned<B>(req: &http::Request<B>) -> Option<Refusal> {
    if req.method().as_str() != POISON_METHOD {
        return None;
    }
    let index = req.uri().path().strip_prefix('/')?.parse().ok()?;
    Refusal::from_index(index)
}
