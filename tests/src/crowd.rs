//! Thousands of clients at once, and an origin that can hold thousands of requests: the one place
//! where the harness is asynchronous.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// One thread's runtime with everything enabled.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What the clients of a crowd got.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// Whole answers with status 200 and the expected body.
    pub good: usize,
    /// Everything else, said in words (at most a few).
    pub bad: Vec<String>,
}

/// Sends one GET from each of `count` clients, spread over these nodes, all connections made first
/// and all requests sent then.
pub async fn rush(
    nodes: &[SocketAddr],
    count: usize,
    request: &'static str,
    body: &'static [u8],
) -> Crowd {
    let (go, start) = watch::channel(false);
    let ready = Arc::new(Semaphore::new(0));
    let dialing = Arc::new(Semaphore::new(256));
    let mut clients = JoinSet::new();
    for number in 0..count {
        let addr = nodes[number % nodes.len()];
        let (mut start, ready) = (start.clone(), Arc::clone(&ready));
        let dialing = Arc::clone(&dialing);
        clients.spawn(async move {
            let permit = dialing.acquire().await.map_err(|error| error.to_string())?;
            let connected = TcpStream::connect(addr).await;
            drop(permit);
            ready.add_permits(1);
            let mut stream = connected.map_err(|error| format!("connect: {error}"))?;
            let _ = start.wait_for(|go| *go).await;
            ask(&mut stream, request, body).await
        });
    }
    let all = ready.acquire_many(u32::try_from(count).expect("a crowd is countable")).await;
    drop(all.expect("the semaphore is never closed"));
    let _ = go.send(true);
    let mut crowd = Crowd::default();
    while let Some(outcome) = clients.join_next().await {
        match outcome.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(()) => crowd.good += 1,
            Err(what) if crowd.bad.len() < 20 => crowd.bad.push(what),
            Err(_) => {}
        }
    }
    crowd
}

/// Sends a request with `Connection: close` in it and reads to the end.
async fn ask(stream: &mut TcpStream, request: &str, body: &[u8]) -> Result<(), String> {
    let patience = crate::PATIENCE * 4;
    let work = async {
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("send: {error}"))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(|error| format!("read: {error}"))?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or_else(|| format!("no head in {} bytes", answer.len()))?;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(head.lines().next().unwrap_or("").to_owned());
        }
        let got = &answer[end + 4..];
        let whole = if head.contains("transfer-encoding: chunked") {
            got.ends_with(b"0\r\n\r\n") && got.windows(body.len()).any(|window| window == body)
        } else {
            got == body
        };
        if whole { Ok(()) } else { Err(format!("body of {} bytes", got.len())) }
    };
    tokio::time::timeout(patience, work).await.map_err(|_| "timed out".to_owned())?
}

/// An origin for crowds: answers the first request that names each of the `prompt` words in its
/// head, holds all others until `hold` of them are there at the same time, then answers all.
#[derive(Debug)]
pub struct CrowdOrigin {
    addr: SocketAddr,
    fetches: Arc<AtomicUsize>,
    held_max: Arc<AtomicUsize>,
    open: watch::Sender<bool>,
}

impl CrowdOrigin {
    /// Starts it on a thread of its own. `answer` is a whole response with a Content-Length.
    #[must_use]
    pub fn start(answer: &'static str, prompt: &[&'static str], hold: usize) -> Self {
        let (open, gate) = watch::channel(false);
        let (fetches, held_max) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let state = Shared {
            answer,
            prompt: Arc::new(Mutex::new(prompt.to_vec())),
            hold,
            fetches: Arc::clone(&fetches),
            held: Arc::default(),
            held_max: Arc::clone(&held_max),
            opened: Arc::default(),
            open: open.clone(),
            gate,
        };
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = listen().expect("a port is free");
                let _ = send.send(listener.local_addr().expect("a bound listener"));
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(state.clone().serve(stream));
                }
            });
        });
        let addr = receive.recv().expect("the origin starts");
        Self { addr, fetches, held_max, open }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many requests came.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// The most requests that were held at the same time.
    #[must_use]
    pub fn held_max(&self) -> usize {
        self.held_max.load(Ordering::SeqCst)
    }

    /// Answers everyone, now and later.
    pub fn open(&self) {
        let _ = self.open.send(true);
    }
}

/// Listens with a backlog that a crowd fits into.
pub(crate) fn listen() -> std::io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(4096)
}

#[derive(Clone)]
struct Shared {
    answer: &'static str,
    prompt: Arc<Mutex<Vec<&'static str>>>,
    hold: usize,
    fetches: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
    held_max: Arc<AtomicUsize>,
    opened: Arc<AtomicBool>,
    open: watch::Sender<bool>,
    gate: watch::Receiver<bool>,
}

impl Shared {
    async fn serve(mut self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut input = Vec::new();
        loop {
            while !input.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut piece = [0; 4096];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => input.extend_from_slice(&piece[..count]),
                }
            }
            self.fetches.fetch_add(1, Ordering::SeqCst);
            if !self.is_prompt(&input) {
                self.wait().await;
            }
            input.clear();
            if stream.write_all(self.answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Whether this is the first request that names one of the words.
    fn is_prompt(&self, head: &[u8]) -> bool {
        let mut words = self.prompt.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |word: &&str| head.windows(word.len()).any(|part| part == word.as_bytes());
        let found = words.iter().position(named);
        found.map(|at| words.remove(at)).is_some()
    }

    async fn wait(&mut self) {
        let held = self.held.fetch_add(1, Ordering::SeqCst) + 1;
        self.held_max.fetch_max(held, Ordering::SeqCst);
        if held >= self.hold && !self.opened.swap(true, Ordering::SeqCst) {
            let _ = self.open.send(true);
        }
        let _ = self.gate.wait_for(|open| *open).await;
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}
