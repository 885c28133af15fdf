//! A server of plain byte streams, over TCP and over TLS, for protocols that are not HTTP: it
//! accepts, does the TLS handshake, keeps the number of connections and drains. What is said on a
//! connection, and how long that may take, is its handler's.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::crew::{Crew, Order, drained};
use crate::listen;
use crate::seats::{Seat, Seats};
use crate::serve::{BindError, Worker};
use crate::tasks::Tasks;
use crate::tls::Certificates;

/// How much the kernel takes of a connection before it can send it: all that a client which reads
/// nothing makes it keep, beside what is under way. Answers are short here.
const UNSENT_BYTES: u32 = 16 * 1024;

/// Serves connections. One per worker, cloned per connection: put shared parts behind `Rc`.
pub trait StreamHandler: Clone + 'static {
    /// Serves one connection to its end; it is closed afterwards. It must keep its own time limits
    /// and end when the tasks of its worker drain. Dropped at any await when the connection has to
    /// make room for another one, or at the end of a drain.
    fn serve(&self, stream: ByteStream, guest: Guest) -> impl Future<Output = ()>;
}

/// How to start a [`StreamServer`].
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Name of the server in its thread names.
    pub name: String,
    /// Addresses that speak in clear.
    pub plain: Vec<SocketAddr>,
    /// Addresses that speak TLS. Needs `certificates`.
    pub tls: Vec<SocketAddr>,
    /// Number of worker threads, each with its own listeners. 0 counts as 1.
    pub workers: usize,
    /// Length of the queue of connections that the kernel accepted and we did not yet.
    pub backlog: i32,
    /// Most connections open at once, over all workers; each has its part of them. A newcomer
    /// displaces the one that did nothing useful for longest (see `seats.rs`).
    pub connections_max: usize,
    /// Most connections that one client (an IPv4 address, an IPv6 /64) may have with a worker;
    /// more are closed at once. 0: no limit.
    pub connections_per_client_max: usize,
    /// Certificates for the `tls` addresses.
    pub certificates: Option<Certificates>,
    /// The protocol's name in TLS (ALPN). A client that names others only is refused.
    pub protocol: Vec<u8>,
    /// For the whole TLS handshake.
    pub handshake: Duration,
    /// What is counted of connections in clear.
    pub plain_counters: Arc<StreamCounters>,
    /// What is counted of those over TLS.
    pub tls_counters: Arc<StreamCounters>,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            name: "streams".to_owned(),
            plain: Vec::new(),
            tls: Vec::new(),
            workers: 1,
            backlog: 4096,
            connections_max: 16_384,
            connections_per_client_max: 0,
            certificates: None,
            protocol: Vec::new(),
            handshake: Duration::from_secs(10),
            plain_counters: Arc::default(),
            tls_counters: Arc::default(),
        }
    }
}

/// What is counted of connections.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Accepted.
    pub accepted: AtomicU64,
    /// Open now.
    pub active: Arc<AtomicU64>,
    /// Closed at once, because the client had its share.
    pub over_share: AtomicU64,
    /// Closed to make room. Counted by the worker, in the counters in clear for both kinds.
    pub displaced: Arc<AtomicU64>,
    /// Times accepting paused because descriptors had run out.
    pub accept_backoffs: AtomicU64,
    /// TLS handshakes that completed.
    pub handshakes: AtomicU64,
    /// TLS handshakes that failed.
    pub handshakes_failed: AtomicU64,
    /// TLS handshakes that ran out of time.
    pub handshakes_late: AtomicU64,
}

/// Who is connected.
#[derive(Debug)]
pub struct Guest {
    /// The client's address.
    pub peer: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Its seat: tell it of everything useful that it does.
    pub seat: Seat,
}

/// A connection, after the handshake if there is one.
#[derive(Debug)]
pub struct ByteStream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A server whose addresses are bound and whose workers do not run yet: connections queue up.
#[derive(Debug)]
pub struct StreamServer {
    settings: StreamSettings,
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    /// The listeners of each worker.
    listeners: Vec<Vec<Listener>>,
}

#[derive(Debug)]
struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl StreamServer {
    /// Binds every address for every worker. An address with port 0 gets one port, the same for
    /// all workers.
    ///
    /// # Errors
    /// See [`BindError`]. Nothing stays bound.
    pub fn bind(settings: StreamSettings) -> Result<Self, BindError> {
        let certificates = settings.certificates.as_ref();
        let config = certificates.map(|found| found.server_config_for(&settings.protocol));
        if config.is_none() && !settings.tls.is_empty() {
            return Err(BindError::NoCertificates);
        }
        let mut listeners: Vec<Vec<Listener>> = Vec::new();
        listeners.resize_with(settings.workers.max(1), Vec::new);
        let mut bind = |address: &SocketAddr, config: Option<&Arc<rustls::ServerConfig>>| {
            let (workers, backlog) = (listeners.len(), settings.backlog);
            let (address, sockets) = listen::bind(*address, workers, backlog, UNSENT_BYTES)?;
            for (own, socket) in listeners.iter_mut().zip(sockets) {
                own.push(Listener { socket, address, tls: config.cloned() });
            }
            Ok(address)
        };
        let plain = settings.plain.iter().map(|address| bind(address, None));
        let plain = plain.collect::<Result<Vec<_>, _>>()?;
        let tls = settings.tls.iter().map(|address| bind(address, config.as_ref()));
        let tls = tls.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { settings, plain, tls, listeners })
    }

    /// The addresses really bound, in the order of the settings, in clear.
    #[must_use]
    pub fn plain_addresses(&self) -> &[SocketAddr] {
        &self.plain
    }

    /// The addresses really bound, in the order of the settings, over TLS.
    #[must_use]
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Starts the workers. `make_handler` runs once on each of them, inside its runtime.
    ///
    /// # Errors
    /// [`BindError::Thread`]; workers that did start are told to end at once.
    pub fn run<H: StreamHandler>(
        self,
        make_handler: impl Fn(Worker) -> H + Send + Sync + 'static,
    ) -> Result<StreamsRunning, BindError> {
        let name = self.settings.name.clone();
        let shared = Arc::new((self.settings, make_handler));
        let crew = Crew::start(&name, self.listeners, move |index, listeners, order| {
            let shared = shared.clone();
            async move {
                let (settings, make_handler) = &*shared;
                let tasks = Tasks::new();
                let handler = make_handler(Worker { index, tasks: tasks.clone() });
                House::new(settings, handler, tasks).run(listeners, order).await
            }
        })?;
        Ok(StreamsRunning(crew))
    }
}

/// A running server. Dropping it lets it run; use [`StreamsRunning::drain`] to end it.
#[derive(Debug)]
pub struct StreamsRunning(Crew);

impl StreamsRunning {
    /// Stops accepting (after emptying the queues), tells the workers' tasks that they drain, and
    /// drops what is left after `limit`. Returns at once.
    pub fn drain(&self, limit: Duration) {
        self.0.drain(limit);
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Whether a worker has ended although nobody asked for a drain.
    #[must_use]
    pub fn lost_worker(&self) -> bool {
        self.0.lost_worker()
    }

    /// Blocks until all workers have ended, which they do after a drain. `false` if a worker
    /// panicked or had to drop a connection.
    #[must_use]
    pub fn join(self) -> bool {
        self.0.join()
    }
}

/// What the connections of one worker share.
struct House<H> {
    handler: H,
    tasks: Tasks,
    seats: Rc<Seats>,
    handshake: Duration,
    plain: Arc<StreamCounters>,
    tls: Arc<StreamCounters>,
}

impl<H: StreamHandler> House<H> {
    fn new(settings: &StreamSettings, handler: H, tasks: Tasks) -> Rc<Self> {
        let seats = Seats::new(
            settings.connections_max.div_ceil(settings.workers.max(1)),
            settings.connections_per_client_max,
            settings.plain_counters.displaced.clone(),
        );
        let (plain, tls) = (settings.plain_counters.clone(), settings.tls_counters.clone());
        Rc::new(Self { handler, tasks, seats, handshake: settings.handshake, plain, tls })
    }

    async fn run(self: Rc<Self>, listeners: Vec<Listener>, mut order: Order) -> bool {
        let accepting = Tasks::new();
        for listener in listeners {
            accepting.spawn(self.clone().accept(listener, order.clone()));
        }
        let limit = drained(&mut order).await;
        self.tasks.begin_drain();
        let all = async {
            accepting.ended().await;
            self.tasks.ended().await;
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    async fn accept(self: Rc<Self>, listener: Listener, order: Order) {
        let Listener { socket, address, tls } = listener;
        let counters = if tls.is_some() { &self.tls } else { &self.plain };
        let tls = tls.map(TlsAcceptor::from);
        let begin = |stream, peer| self.begin(stream, peer, &tls, counters);
        let pause = || {
            // One descriptor fewer, if there is a connection to have it from.
            self.seats.displace();
            counters.accept_backoffs.fetch_add(1, Ordering::Relaxed);
        };
        listen::accept(socket, address, order, begin, pause).await;
    }

    /// Starts a connection's task, or closes it when the client has its share.
    fn begin(
        self: &Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        tls: &Option<TlsAcceptor>,
        counters: &Arc<StreamCounters>,
    ) {
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Ok(seat) = self.seats.take(peer.ip(), &counters.active) else {
            counters.over_share.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // Without it short answers may wait for an acknowledgement; if it fails they do.
        let _ = stream.set_nodelay(true);
        let order = seat.order();
        let guest = Guest { peer, is_tls: tls.is_some(), seat };
        let (house, counters) = (self.clone(), counters.clone());
        let task = match tls.clone() {
            None => self.tasks.spawn_held(async move {
                house.handler.serve(ByteStream(Inner::Plain(stream)), guest).await;
            }),
            Some(acceptor) => self.tasks.spawn_held(async move {
                let accept = Box::pin(acceptor.accept(stream));
                let (stream, count) = match tokio::time::timeout(house.handshake, accept).await {
                    Ok(Ok(stream)) => (Some(Box::new(stream)), &counters.handshakes),
                    Ok(Err(_)) => (None, &counters.handshakes_failed),
                    Err(_) => (None, &counters.handshakes_late),
                };
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(stream) = stream {
                    house.handler.serve(ByteStream(Inner::Tls(stream)), guest).await;
                }
            }),
        };
        self.seats.hold(order, task);
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
