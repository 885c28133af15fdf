//! One worker: a thread with its own runtime and listeners. It accepts, ticks, and drains.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::clock::{Clock, DateField, millis};
use crate::connection::TlsSession;
use crate::counters::Counters;
use crate::crew::{Order, drained};
use crate::desk::Desk;
use crate::drive::{Accepted, drive};
use crate::listen;
use crate::serve::Handler;
use crate::settings::{Http2Limits, Limits, Settings, Timeouts};
use crate::socket::{SendQueue, Socket, Wide};
use crate::tasks::Tasks;
use crate::watch::{Cause, Watch};

/// How often a draining worker looks whether it is done.
const DRAIN_TICK: Duration = Duration::from_millis(10);
/// How long a drain waits for the first request of a connection that just came.
const DRAIN_GRACE_MS: u64 = 500;
/// Smallest read buffer of the HTTP library; a head must fit beside what was read with it.
const READ_BUFFER_EXTRA: usize = 16 * 1024;
const READ_BUFFER_MIN: usize = 64 * 1024;
/// Fields of the head that stands for a refused one.
const POISON_FIELDS: usize = 2;

/// A place among the connections of a server and of a worker, given back when dropped.
pub(crate) struct Permit {
    all: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    here: Rc<Cell<usize>>,
}

impl Permit {
    fn take(
        all: &Arc<AtomicUsize>,
        max: usize,
        counters: &Arc<Counters>,
        here: &Rc<Cell<usize>>,
    ) -> Option<Self> {
        if all.fetch_add(1, Ordering::Relaxed) >= max {
            all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        counters.connections_active.fetch_add(1, Ordering::Relaxed);
        here.set(here.get() + 1);
        Some(Self { all: all.clone(), counters: counters.clone(), here: here.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.counters.connections_active.fetch_sub(1, Ordering::Relaxed);
        self.here.set(self.here.get().saturating_sub(1));
    }
}

/// A connection that the tick looks at.
struct Watched {
    watch: Weak<Watch>,
    send_queue: SendQueue,
}

/// What the connections of one worker share.
pub(crate) struct Core<H> {
    pub(crate) handler: H,
    pub(crate) limits: Rc<Limits>,
    pub(crate) body_idle: Duration,
    pub(crate) control_frames_max: u32,
    pub(crate) http1: http1::Builder,
    pub(crate) http2: http2::Builder<Tasks>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) now: Rc<Cell<u64>>,
    pub(crate) date: DateField,
    /// Where the guards of HTTP/1.x put small responses together.
    pub(crate) desk: Desk,
    wide: Wide,
    timeouts: Timeouts,
    watched: RefCell<Vec<Watched>>,
    connections: Rc<Cell<usize>>,
    connections_max: usize,
    connections_all: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl<H: Handler> Core<H> {
    pub(crate) fn new(
        handler: H,
        settings: &Settings,
        tasks: Tasks,
        connections_all: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            handler,
            limits: Rc::new(settings.limits),
            body_idle: settings.timeouts.body,
            control_frames_max: settings.http2.control_frames_max,
            http1: http1_builder(&settings.limits),
            http2: http2_builder(&settings.limits, &settings.http2, tasks.clone()),
            counters: settings.counters.clone(),
            now: Rc::new(Cell::new(0)),
            date: DateField::new(),
            desk: Desk::default(),
            wide: Wide::default(),
            timeouts: settings.timeouts,
            watched: RefCell::new(Vec::new()),
            connections: Rc::new(Cell::new(0)),
            connections_max: settings.connections_max,
            connections_all,
            tasks,
        }
    }

    pub(crate) fn register(&self, watch: &Rc<Watch>, send_queue: SendQueue) {
        let watch = Rc::downgrade(watch);
        self.watched.borrow_mut().push(Watched { watch, send_queue });
    }

    /// No more limits here: the connection left HTTP.
    pub(crate) fn unregister(&self, watch: &Rc<Watch>) {
        watch.flush(&self.counters);
        let gone = Rc::downgrade(watch);
        self.watched.borrow_mut().retain(|other| !other.watch.ptr_eq(&gone));
    }

    pub(crate) fn count(&self, cause: Cause) {
        Counters::add(match cause {
            Cause::Head => &self.counters.timeouts_head,
            Cause::Idle => &self.counters.timeouts_idle,
            Cause::Send => &self.counters.timeouts_send,
            Cause::Flood => &self.counters.floods,
        });
    }

    /// Looks at every connection. Waking tasks runs none of them, so the list stays as it is.
    fn tick(&self, now_ms: u64, tick_ms: u64, is_draining: bool) {
        self.now.set(now_ms);
        self.watched.borrow_mut().retain(|Watched { watch, send_queue }| {
            let Some(watch) = watch.upgrade() else { return false };
            watch.flush(&self.counters);
            if is_draining {
                watch.drain(DRAIN_GRACE_MS);
            }
            watch.check(&self.timeouts, tick_ms, || send_queue.unacknowledged());
            true
        });
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let read_buffer = (limits.head_bytes_max + READ_BUFFER_EXTRA).max(READ_BUFFER_MIN);
    // `pipeline_flush` stays off: with it the library copies bodies and buffers a body that is
    // ready at once without any limit. The header timer stays off: the watch does its work. The
    // `Date` is added in `respond.rs`, which knows of fields that were written out. The
    // guard counts fields, so the library needs no more room than it lets through; up to 100 are
    // kept on the stack, and one more would cost two allocations (600 instructions) a request.
    builder
        .half_close(false)
        .keep_alive(true)
        .header_read_timeout(None)
        .auto_date_header(false)
        .max_headers(limits.fields_max.max(POISON_FIELDS))
        .max_buf_size(read_buffer);
    builder
}

fn http2_builder(limits: &Limits, http2: &Http2Limits, tasks: Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks);
    builder
        .max_concurrent_streams(http2.streams_max)
        .initial_stream_window_size(http2.stream_window_bytes)
        .initial_connection_window_size(http2.connection_window_bytes)
        .max_send_buf_size(http2.send_buffer_bytes)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(http2.reset_streams_max)
        .max_local_error_reset_streams(http2.error_streams_max);
    builder
}

/// A listener of one worker.
pub(crate) struct Listener {
    pub(crate) socket: std::net::TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

/// Runs a worker until it has drained. `false` if it had to drop something unfinished.
pub(crate) async fn run<H: Handler>(
    core: Rc<Core<H>>,
    listeners: Vec<Listener>,
    mut drain: Order,
) -> bool {
    let clock = Clock::start();
    let accepting = Tasks::new();
    for listener in listeners {
        accepting.spawn(accept(listener, core.clone(), drain.clone()));
    }
    let tick = core.timeouts.tick();
    let limit = loop {
        tokio::select! {
            limit = drained(&mut drain) => break limit,
            () = tokio::time::sleep(tick) => {
                core.tick(clock.now_mono_ms(), millis(tick), false);
            }
        }
    };
    core.tasks.begin_drain();
    let deadline_ms = clock.now_mono_ms().saturating_add(millis(limit));
    loop {
        let now_ms = clock.now_mono_ms();
        core.tick(now_ms, millis(tick), true);
        let is_empty = core.connections.get() == 0 && core.tasks.is_empty();
        if is_empty && accepting.is_empty() {
            return true;
        }
        if now_ms >= deadline_ms {
            return false;
        }
        tokio::time::sleep(DRAIN_TICK).await;
    }
}

/// Accepts until the drain, then what is still in the queue.
async fn accept<H: Handler>(listener: Listener, core: Rc<Core<H>>, drain: Order) {
    let Listener { socket, address, tls } = listener;
    let tls = tls.map(TlsAcceptor::from);
    let begin = |stream, peer| begin(stream, peer, address, &tls, &core);
    let pause = || Counters::add(&core.counters.accept_backoffs);
    listen::accept(socket, address, drain, begin, pause).await;
}

/// Starts a connection's task, or closes it when there are too many.
fn begin<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    tls: &Option<TlsAcceptor>,
    core: &Rc<Core<H>>,
) {
    Counters::add(&core.counters.connections_accepted);
    let permit = Permit::take(
        &core.connections_all,
        core.connections_max,
        &core.counters,
        &core.connections,
    );
    let Some(permit) = permit else {
        return Counters::add(&core.counters.connections_over_limit);
    };
    // Without it small responses may wait for an acknowledgement; if it fails they do.
    let _ = stream.set_nodelay(true);
    let local = match local.ip().is_unspecified() {
        true => stream.local_addr().unwrap_or(local),
        false => local,
    };
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let stream = Socket::new(stream, &core.wide);
    let send_queue = stream.send_queue();
    let accepted = Accepted { peer, local, tls: None, is_http2: false, permit, send_queue };
    match tls {
        None => drop(tokio::task::spawn_local(drive(stream, accepted, core.clone()))),
        Some(acceptor) => {
            let (acceptor, core) = (acceptor.clone(), core.clone());
            drop(tokio::task::spawn_local(handshake(stream, acceptor, accepted, core)));
        }
    }
}

/// The TLS handshake, then the connection. Failures are counted and closed without a word.
async fn handshake<H: Handler>(
    stream: Socket,
    acceptor: TlsAcceptor,
    mut accepted: Accepted,
    core: Rc<Core<H>>,
) {
    let accept = Box::pin(acceptor.accept(stream));
    let stream = match tokio::time::timeout(core.timeouts.handshake, accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Counters::add(&core.counters.tls_failed),
        Err(_) => return Counters::add(&core.counters.tls_timeouts),
    };
    Counters::add(&core.counters.tls_handshakes);
    let session = stream.get_ref().1;
    let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    if resumed {
        Counters::add(&core.counters.tls_resumed);
    }
    accepted.is_http2 = session.alpn_protocol() == Some(b"h2");
    accepted.tls = Some(TlsSession {
        sni: session.server_name().map(str::to_ascii_lowercase),
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown"),
        resumed,
    });
    drive(stream, accepted, core).await;
}
