//! Connections to upstreams that are kept: by target, per worker. Idle HTTP/1.1 connections are
//! taken last in, first out; HTTP/2 connections are shared up to a number of streams. How many are
//! in use is counted at the gate of the target, over all workers (`gate.rs`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::body::OutgoingBody;
use crate::clock::{Clock, millis};
use crate::exchange::Watched;
use crate::gate::{Gate, Gates, Place, Places};
use crate::target::{ClientSettings, Target};
use crate::tasks::Tasks;

/// How long a connection may take to become ready again after its response ended. It is not when
/// the request body is still being sent.
const READY_LIMIT: Duration = Duration::from_secs(1);

/// The body as it goes to the library.
pub(crate) type Sent = Watched<OutgoingBody>;

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
    /// Its place at the gate while it is in use; a probe has none.
    pub(crate) place: Option<Place>,
}

/// An HTTP/2 connection, shared.
pub(crate) struct Http2 {
    sender: http2::SendRequest<Sent>,
    _driver: Driver,
    streams: Cell<usize>,
    /// Its place at the gate while it has streams; a probe has none.
    place: RefCell<Option<Place>>,
    idle_since_ms: Cell<u64>,
}

impl Http2 {
    pub(crate) fn new(sender: http2::SendRequest<Sent>, driver: Driver) -> Self {
        Self {
            sender,
            _driver: driver,
            streams: Cell::new(0),
            place: RefCell::new(None),
            idle_since_ms: Cell::new(0),
        }
    }
}

/// One request's share of an HTTP/2 connection.
pub(crate) struct Stream {
    connection: Rc<Http2>,
    clock: Clock,
    /// Its place among the streams to the target.
    pub(crate) place: Option<Place>,
}

impl Stream {
    /// `place` is for the connection, if it had been idle or is new.
    pub(crate) fn new(connection: Rc<Http2>, place: Option<Place>, clock: Clock) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        if let Some(place) = place {
            *connection.place.borrow_mut() = Some(place);
        }
        Self { connection, clock, place: None }
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
        let left = self.connection.streams.get().saturating_sub(1);
        self.connection.streams.set(left);
        if left == 0 {
            *self.connection.place.borrow_mut() = None;
        }
        self.connection.idle_since_ms.set(self.clock.now_mono_ms());
    }
}

/// What the shared connections of a pool have for one more request.
pub(crate) enum Share {
    Stream(Stream),
    /// It needs another connection, and has the place for it.
    Connect(Place),
    /// It needs a place before anything else.
    Wait,
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
    /// For HTTP/2 streams, as many as all connections of this worker may carry.
    pub(crate) streams: Places,
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
        let streams = settings.streams_max.saturating_mul(settings.http2_connections_max);
        Rc::new(Self {
            gate,
            streams: Places::new(streams, settings.waiters_max),
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

    /// A stream on a connection that has room; on any, if there may not be more connections. One
    /// that is idle needs a place at the gate, as a new one does: `place`, or one that is free.
    pub(crate) fn share(&self, settings: &ClientSettings, place: Option<Place>) -> Share {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.sender.is_ready());
        let stream = |connection: &Rc<Http2>, place| {
            Share::Stream(Stream::new(connection.clone(), place, self.clock))
        };
        let least = shared.iter().min_by_key(|connection| connection.streams.get());
        if let Some(least) = least.filter(|least| least.streams.get() > 0) {
            let has_room = least.streams.get() < settings.streams_max;
            if has_room || shared.len() >= settings.http2_connections_max {
                return stream(least, None);
            }
        }
        let place = place.or_else(|| self.gate.connections.try_enter());
        let in_use = || shared.iter().filter(|connection| connection.streams.get() > 0);
        match (place, least) {
            (Some(place), Some(idle)) if idle.streams.get() == 0 => stream(idle, Some(place)),
            (Some(place), _) => Share::Connect(place),
            (None, _) => match in_use().min_by_key(|connection| connection.streams.get()) {
                Some(busy) => stream(busy, None),
                None => Share::Wait,
            },
        }
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

    fn push(&self, mut connection: Http1) {
        connection.place = None;
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
        let gate = gates.of(target, settings);
        let pool = Pool::new(gate, settings, clock);
        self.0.borrow_mut().insert(target.clone(), pool.clone());
        pool
    }

    /// Closes idle connections and forgets targets without any.
    pub(crate) fn expire(&self) {
        self.0.borrow_mut().retain(|_, pool| !pool.expire() || Rc::strong_count(pool) > 1);
    }

    /// Idle HTTP/1.1 connections and HTTP/2 connections that are not closed.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let kept = |pool: &Rc<Pool>| {
            let (idle, shared) = (pool.idle.borrow(), pool.shared.borrow());
            let idle = idle.iter().filter(|idle| idle.connection.sender.is_ready());
            idle.count() + shared.iter().filter(|shared| shared.sender.is_ready()).count()
        };
        self.0.borrow().values().map(kept).sum()
    }
}
