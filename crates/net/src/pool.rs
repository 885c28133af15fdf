//! Connections to upstreams that are kept: by target, per worker. Idle HTTP/1.1 connections are
//! taken last in, first out; HTTP/2 connections are shared up to a number of streams. The limit of
//! requests in flight to a target is shared by all workers ([`Gate`]).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::body::OutgoingBody;
use crate::clock::{Clock, millis};
use crate::exchange::Watched;
use crate::target::{ClientSettings, SendError, Target};
use crate::tasks::Tasks;

/// How long a connection may take to become ready again after its response ended. It is not when
/// the request body is still being sent.
const READY_LIMIT: Duration = Duration::from_secs(1);
/// Targets for which a gate is remembered.
const GATES_MAX: usize = 65_536;

/// The body as it goes to the library.
pub(crate) type Sent = Watched<OutgoingBody>;

/// The limit of requests in flight to one target.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Gate {
    fn new(places: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Arc::new(Self { places, waiting: AtomicUsize::new(0) })
    }

    /// Takes a place, waiting a bounded time among a bounded number.
    pub(crate) async fn enter(
        &self,
        settings: &ClientSettings,
    ) -> Result<OwnedSemaphorePermit, SendError> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        /// Counts down even when the wait is dropped.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= settings.waiters_max {
            return Err(SendError::PoolFull);
        }
        match tokio::time::timeout(settings.wait, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(SendError::PoolFull),
        }
    }
}

/// The gates of all targets.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<Target, Arc<Gate>>>);

impl Gates {
    fn of(&self, target: &Target, places: usize) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= GATES_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(target.clone()).or_insert_with(|| Gate::new(places)).clone()
    }
}

/// Closes a connection when dropped, by ending the task that drives it.
pub(crate) struct Driver(pub(crate) AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An HTTP/1.1 connection, ours alone.
pub(crate) struct Http1 {
    pub(crate) sender: http1::SendRequest<Sent>,
    pub(crate) _driver: Driver,
}

/// An HTTP/2 connection, shared.
pub(crate) struct Http2 {
    sender: http2::SendRequest<Sent>,
    _driver: Driver,
    streams: Cell<usize>,
    idle_since_ms: Cell<u64>,
}

impl Http2 {
    pub(crate) fn new(sender: http2::SendRequest<Sent>, driver: Driver) -> Self {
        Self { sender, _driver: driver, streams: Cell::new(0), idle_since_ms: Cell::new(0) }
    }
}

/// One request's share of an HTTP/2 connection.
pub(crate) struct Stream {
    connection: Rc<Http2>,
    clock: Clock,
}

impl Stream {
    pub(crate) fn new(connection: Rc<Http2>, clock: Clock) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { connection, clock }
    }

    pub(crate) fn connection(&self) -> Rc<Http2> {
        self.connection.clone()
    }

    pub(crate) fn sender(&self) -> http2::SendRequest<Sent> {
        self.connection.sender.clone()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get().saturating_sub(1));
        self.connection.idle_since_ms.set(self.clock.now_mono_ms());
    }
}

/// What a request was given to be sent on.
pub(crate) enum Route {
    Http1(Http1),
    Http2(Stream),
}

struct Idle {
    connection: Http1,
    since_ms: u64,
}

/// The connections of one worker to one target.
pub(crate) struct Pool {
    pub(crate) gate: Arc<Gate>,
    /// One at a time connects where HTTP/2 may come of it: the others then share the connection.
    pub(crate) turn: Semaphore,
    /// What TLS agreed on last.
    pub(crate) speaks_http2: Cell<Option<bool>>,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Http2>>>,
    clock: Clock,
    idle_max: usize,
    idle_limit_ms: u64,
}

impl Pool {
    fn new(gate: Arc<Gate>, settings: &ClientSettings, clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            gate,
            turn: Semaphore::new(1),
            speaks_http2: Cell::new(None),
            idle: RefCell::new(Vec::new()),
            shared: RefCell::new(Vec::new()),
            clock,
            idle_max: settings.idle_max,
            idle_limit_ms: millis(settings.idle_limit),
        })
    }

    /// The idle connection that was used last, if one is still good.
    pub(crate) fn take_idle(&self) -> Option<Http1> {
        let now_ms = self.clock.now_mono_ms();
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, since_ms }) = idle.pop() {
            let is_young = now_ms.saturating_sub(since_ms) < self.idle_limit_ms;
            if is_young && connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// A shared connection with room; the least used one if there may not be more of them.
    pub(crate) fn share(&self, settings: &ClientSettings) -> Option<Stream> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.sender.is_ready());
        let least = shared.iter().min_by_key(|connection| connection.streams.get())?;
        let has_room = least.streams.get() < settings.streams_max;
        if has_room || shared.len() >= settings.http2_connections_max {
            return Some(Stream::new(least.clone(), self.clock));
        }
        None
    }

    pub(crate) fn add_shared(&self, connection: Rc<Http2>) {
        self.shared.borrow_mut().push(connection);
    }

    /// Keeps a connection whose response ended well, as soon as it is ready for the next request.
    pub(crate) fn keep(self: &Rc<Self>, mut connection: Http1, tasks: &Tasks) {
        if connection.sender.is_closed() {
            return;
        }
        if connection.sender.is_ready() {
            return self.push(connection);
        }
        let pool = Rc::downgrade(self);
        tasks.spawn_background(async move {
            let ready = tokio::time::timeout(READY_LIMIT, connection.sender.ready()).await;
            if let (Ok(Ok(())), Some(pool)) = (ready, pool.upgrade()) {
                pool.push(connection);
            }
        });
    }

    fn push(&self, connection: Http1) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max {
            idle.push(Idle { connection, since_ms: self.clock.now_mono_ms() });
        }
    }

    /// Closes what was idle for too long. `true` if nothing is left.
    fn expire(&self) -> bool {
        let now_ms = self.clock.now_mono_ms();
        let is_young = |since_ms: u64| now_ms.saturating_sub(since_ms) < self.idle_limit_ms;
        let mut idle = self.idle.borrow_mut();
        idle.retain(|idle| is_young(idle.since_ms) && !idle.connection.sender.is_closed());
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| {
            connection.sender.is_ready()
                && (connection.streams.get() > 0 || is_young(connection.idle_since_ms.get()))
        });
        idle.is_empty() && shared.is_empty()
    }
}

/// The pools of one worker.
#[derive(Default)]
pub(crate) struct Pools(RefCell<HashMap<Target, Rc<Pool>>>);

impl Pools {
    pub(crate) fn of(
        &self,
        target: &Target,
        gates: &Gates,
        settings: &ClientSettings,
        clock: Clock,
    ) -> Rc<Pool> {
        if let Some(pool) = self.0.borrow().get(target) {
            return pool.clone();
        }
        let gate = gates.of(target, settings.connections_max);
        let pool = Pool::new(gate, settings, clock);
        self.0.borrow_mut().insert(target.clone(), pool.clone());
        pool
    }

    /// Closes idle connections and forgets targets without any.
    pub(crate) fn expire(&self) {
        self.0.borrow_mut().retain(|_, pool| !pool.expire() || Rc::strong_count(pool) > 1);
    }

    /// Idle HTTP/1.1 connections and HTTP/2 connections.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let pools = self.0.borrow();
        pools.values().map(|pool| pool.idle.borrow().len() + pool.shared.borrow().len()).sum()
    }
}
