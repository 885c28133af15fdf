//! The listening side: one OS thread per worker, each with its own listeners (SO_REUSEPORT) and a
//! runtime of its own, so that a request is served by one core from its first byte to its last.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::body::{BodyError, RequestBody};
use crate::connection::Connection;
use crate::crew::{Crew, in_runtime};
use crate::listen;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::socket::UNSENT_BYTES;
use crate::tasks::Tasks;
use crate::worker::{self, Core, Listener};

/// Answers requests. One per worker, cloned per request: put shared parts behind `Rc`.
pub trait Handler: Clone + 'static {
    /// The body of the answers.
    type Body: http_body::Body<Data = Bytes, Error = BodyError> + 'static;

    /// Answers one request; it is in a box because it goes from hand to hand. First ask
    /// [`refusal`]: a refused request has no meaning, its target and fields are made up, but it
    /// must be answered, with `refusal.status()`; its connection closes afterwards (HTTP/1.x).
    ///
    /// Dropped before it is done when the client goes away. A `Date` field is added if there is
    /// none; a `Server` field never is. A 101 must carry its `Connection` and `Upgrade` fields.
    fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        connection: Rc<Connection>,
    ) -> impl Future<Output = Response<Self::Body>>;
}

/// Why a request must not be served, if so.
#[must_use]
pub fn refusal<B>(req: &Request<B>) -> Option<Refusal> {
    req.extensions().get::<Refusal>().copied()
}

/// What a worker gives to its handler when it starts.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// Its tasks.
    pub tasks: Tasks,
}

/// Why a server could not start.
#[derive(Debug)]
pub enum BindError {
    /// The address cannot be listened on.
    Address(SocketAddr, io::Error),
    /// There are `https` addresses and no certificates.
    NoCertificates,
    /// A thread or its runtime could not be made.
    Thread(io::Error),
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::NoCertificates => f.write_str("an https listener needs a certificate"),
            Self::Thread(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// A server whose addresses are bound and whose workers do not run yet: connections queue up.
pub struct Server {
    settings: Settings,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    /// The listeners of each worker.
    listeners: Vec<Vec<Listener>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("http", &self.http)
            .field("https", &self.https)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds every address for every worker. An address with port 0 gets one port, the same for
    /// all workers. An address that another process listens on is an error, even if that process
    /// would share it.
    ///
    /// # Errors
    /// See [`BindError`]. Nothing stays bound.
    pub fn bind(settings: Settings) -> Result<Self, BindError> {
        let tls = settings.certificates.as_ref().map(|found| found.server_config());
        if tls.is_none() && !settings.https.is_empty() {
            return Err(BindError::NoCertificates);
        }
        let mut listeners: Vec<Vec<Listener>> = Vec::new();
        listeners.resize_with(settings.workers.max(1), Vec::new);
        let mut bind = |address: &SocketAddr, tls: Option<&Arc<rustls::ServerConfig>>| {
            let (workers, backlog) = (listeners.len(), settings.backlog);
            let (address, sockets) = listen::bind(*address, workers, backlog, UNSENT_BYTES)?;
            for (own, socket) in listeners.iter_mut().zip(sockets) {
                own.push(Listener { socket, address, tls: tls.cloned() });
            }
            Ok(address)
        };
        let http = settings.http.iter().map(|address| bind(address, None));
        let http = http.collect::<Result<Vec<_>, _>>()?;
        let https = settings.https.iter().map(|address| bind(address, tls.as_ref()));
        let https = https.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { settings, http, https, listeners })
    }

    /// The addresses really bound, in the order of the settings, for http.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The addresses really bound, in the order of the settings, for https.
    #[must_use]
    pub fn https_addresses(&self) -> &[SocketAddr] {
        &self.https
    }

    /// Starts the workers. `make_handler` runs once on each of them, inside its runtime.
    ///
    /// # Errors
    /// [`BindError::Thread`]; workers that did start are told to end at once.
    pub fn run<H: Handler>(
        self,
        make_handler: impl Fn(Worker) -> H + Send + Sync + 'static,
    ) -> Result<Running, BindError> {
        let Self { settings, http, https, listeners } = self;
        let name = settings.name.clone();
        let shared = Arc::new((settings, make_handler, Arc::new(AtomicUsize::new(0))));
        let crew = Crew::start(&name, listeners, move |index, listeners, order| {
            let shared = shared.clone();
            async move {
                let (settings, make_handler, connections_all) = &*shared;
                let tasks = Tasks::new();
                let handler = make_handler(Worker { index, tasks: tasks.clone() });
                let core = Core::new(handler, settings, tasks, connections_all.clone());
                worker::run(Rc::new(core), listeners, order).await
            }
        })?;
        Ok(Running { crew, http, https })
    }
}

/// A running server. Dropping it lets it run; use [`Running::drain`] to end it.
#[derive(Debug)]
pub struct Running {
    crew: Crew,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
}

impl Running {
    /// The addresses bound for http.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The addresses bound for https.
    #[must_use]
    pub fn https_addresses(&self) -> &[SocketAddr] {
        &self.https
    }

    /// Stops accepting (after emptying the queues), closes idle connections, lets running requests
    /// and tasks finish, and drops what is left after `limit`. Returns at once.
    pub fn drain(&self, limit: Duration) {
        self.crew.drain(limit);
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.crew.is_finished()
    }

    /// Whether a worker has ended although nobody asked for a drain: it panicked, or had no
    /// runtime. The others serve on, without the connections that would have come to it.
    #[must_use]
    pub fn lost_worker(&self) -> bool {
        self.crew.lost_worker()
    }

    /// Blocks until all workers have ended, which they do after a drain. `false` if a worker
    /// panicked or had to drop something unfinished.
    #[must_use]
    pub fn join(self) -> bool {
        self.crew.join()
    }
}

/// Starts a thread that asks others and serves nobody, with a runtime of its own. It ends when its
/// future does; what that left running is dropped.
///
/// # Errors
/// When there is no thread to be had.
pub fn run_apart<F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce(Tasks) -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        in_runtime(async move {
            work(Tasks::new()).await;
            true
        });
    })
}
