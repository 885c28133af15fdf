//! The scripted origin: raw sockets, one thread a connection, a record of every byte. Its drop
//! asserts that no request it saw could be read in two ways, whatever the test was about.

use crate::answer::Answer;
use crate::message::Request;
use crate::serving::accept;
use crate::tls::Identity;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) type Script = Arc<dyn Fn(&Request, usize) -> Answer + Send + Sync>;

/// A running origin.
pub struct Origin {
    addr: SocketAddr,
    tls: bool,
    state: Arc<State>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// What the test and the connections share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) scripts: Mutex<HashMap<String, Script>>,
    pub(crate) fetches: Mutex<HashMap<String, usize>>,
    pub(crate) requests: Mutex<Vec<Request>>,
    pub(crate) connections: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    pub(crate) violations: Mutex<Vec<String>>,
    pub(crate) live: AtomicUsize,
    pub(crate) stopped: AtomicBool,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) deaf: AtomicBool,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Origin {
    /// Starts an origin on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0", None)
    }

    /// Starts an origin that speaks TLS with this identity.
    #[must_use]
    pub fn start_tls(identity: &Identity) -> Self {
        Self::start_at("127.0.0.1:0", Some(identity.server_config(&["http/1.1"])))
    }

    /// Starts an origin at an address, to bring one back where it died.
    #[must_use]
    pub fn start_at(addr: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let mut bound = None;
        crate::eventually(|| {
            bound = TcpListener::bind(addr).ok();
            bound.is_some()
        });
        let listener = bound.expect("the origin's address can be bound");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let with_tls = tls.is_some();
        std::thread::spawn(move || accept(&listener, tls.as_ref(), &shared));
        Self { addr, tls: with_tls, state }
    }

    /// Its address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.addr)
    }

    /// Answers requests for a path (without the query) this way from now on; `*` is every path
    /// that has no script.
    pub fn on(&self, path: &str, answer: Answer) {
        self.on_fn(path, move |_, _| answer.clone());
    }

    /// Answers requests for a path one after the other with these; the last one repeats.
    pub fn on_each(&self, path: &str, answers: Vec<Answer>) {
        assert!(!answers.is_empty(), "a script has at least one answer");
        let last = answers.len() - 1;
        self.on_fn(path, move |_, nth| answers[nth.min(last)].clone());
    }

    /// Answers requests for a path by a function of the request and of how many came before.
    pub fn on_fn(
        &self,
        path: &str,
        script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) {
        locked(&self.state.scripts).insert(path.to_owned(), Arc::new(script));
    }

    /// How often a path (without the query) was asked for.
    #[must_use]
    pub fn fetches(&self, path: &str) -> usize {
        locked(&self.state.fetches).get(path).copied().unwrap_or(0)
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.state.requests).clone()
    }

    /// The requests for a path.
    #[must_use]
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|req| req.path() == path).collect()
    }

    /// The last request for a path.
    #[must_use]
    #[track_caller]
    pub fn last(&self, path: &str) -> Request {
        self.requests_for(path).pop().expect("the path was asked for")
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        locked(&self.state.connections).len()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections_live(&self) -> usize {
        self.state.live.load(Ordering::SeqCst)
    }

    /// All bytes that came, connection after connection.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let connections = locked(&self.state.connections).clone();
        connections.iter().flat_map(|bytes| locked(bytes).clone()).collect()
    }

    /// Body bytes made on the fly and handed to a socket so far.
    #[must_use]
    pub fn generated(&self) -> u64 {
        self.state.sent_bytes.load(Ordering::Relaxed)
    }

    /// What was wrong with what came.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        locked(&self.state.violations).clone()
    }

    /// Forgets the violations, for a test that expects one.
    pub fn forgive(&self) {
        locked(&self.state.violations).clear();
    }

    /// Forgets what it has recorded so far, for a test that makes very many requests; not the
    /// violations.
    pub fn forget(&self) {
        locked(&self.state.requests).clear();
        locked(&self.state.connections).clear();
    }

    /// From now on (or no longer) accepts connections and reads nothing from them.
    pub fn deaf(&self, deaf: bool) {
        self.state.deaf.store(deaf, Ordering::SeqCst);
    }

    /// Ends it: afterwards nobody listens there and every connection is closed.
    #[track_caller]
    pub fn die(self) {
        let state = Arc::clone(&self.state);
        drop(self);
        let closed = crate::eventually(|| state.live.load(Ordering::SeqCst) == 0);
        assert!(closed, "connections of the origin are still open");
    }

    /// Stops: refuses connections from now on and closes those that are idle.
    pub fn stop(&self) {
        if !self.state.stopped.swap(true, Ordering::SeqCst) {
            let _ = TcpStream::connect(self.addr);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            let violations = self.violations();
            assert!(violations.is_empty(), "the origin saw: {violations:#?}");
        }
    }
}
