//! The server of a channel, on a thread of its own: it asks the model, holds who has to wait,
//! streams what is being made, and counts. Moved on by the test, or by the clock.

use super::channel::{Ask, Channel, Growing, Reply, Verdict};
use super::name::Name;
use super::plan::Plan;
use super::wire::{Head, Wire};
use crate::crowd::{listen, runtime};
use std::collections::HashMap;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A running origin of one channel.
#[derive(Debug)]
pub struct LiveOrigin {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    channel: Mutex<Channel>,
    tally: Mutex<Tally>,
    orders: watch::Sender<Orders>,
    /// Who waits for longer gets 503; none: the test says when.
    hold_max: Option<Duration>,
}

/// What connections are told; counts that go up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Orders {
    moved: u64,
    gave_up: u64,
    cut: u64,
    ended: bool,
}

/// What came.
#[derive(Debug, Default)]
struct Tally {
    gets: HashMap<String, usize>,
    held: HashMap<String, usize>,
    /// When who waited was answered last.
    answered: HashMap<String, Instant>,
}

impl LiveOrigin {
    /// Starts one that is moved on by hand.
    #[must_use]
    pub fn by_hand(plan: Plan) -> Self {
        Self::start(Channel::new(plan, 1_700_000_000), None)
    }

    /// Starts one that moves on with the clock.
    #[must_use]
    pub fn by_clock(plan: Plan) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_s = now.as_secs() - plan.first * u64::from(plan.segment_s);
        let hold_max = Duration::from_secs(u64::from(plan.segment_s)) * 3;
        Self::start(Channel::new(plan, began_s), Some(hold_max))
    }

    fn start(channel: Channel, hold_max: Option<Duration>) -> Self {
        let chunk = channel.plan.chunk();
        let shared = Arc::new(Shared {
            channel: Mutex::new(channel),
            tally: Mutex::default(),
            orders: watch::Sender::new(Orders::default()),
            hold_max,
        });
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = listen().expect("a port is free");
                let _ = send.send(listener.local_addr().expect("a bound listener"));
                let mut orders = served.orders.subscribe();
                let accept = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, Arc::clone(&served)));
                    }
                };
                let clock = async {
                    if hold_max.is_some() {
                        tick(&served, chunk).await;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = accept => {}
                    () = clock => {}
                    _ = orders.wait_for(|orders| orders.ended) => {}
                }
            });
        });
        Self { addr: receive.recv().expect("the origin starts"), shared }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Looks at the channel.
    pub fn look<T>(&self, look: impl FnOnce(&Channel) -> T) -> T {
        look(&locked(&self.shared.channel))
    }

    /// The bytes that an object has or will have.
    #[must_use]
    #[track_caller]
    pub fn bytes(&self, name: Name) -> Vec<u8> {
        self.look(|channel| channel.bytes(name)).expect("a segment, a part or an init segment")
    }

    /// Changes the channel, and answers whoever waited for that.
    pub fn change(&self, change: impl FnOnce(&mut Channel)) {
        self.shared.change(change);
    }

    /// Everyone who waits is told 503.
    pub fn give_up(&self) {
        self.shared.orders.send_modify(|orders| orders.gave_up += 1);
    }

    /// Breaks off all bodies that are being streamed.
    pub fn cut(&self) {
        self.shared.orders.send_modify(|orders| orders.cut += 1);
    }

    /// How often a target (path and query) was asked for.
    #[must_use]
    pub fn gets(&self, target: &str) -> usize {
        locked(&self.shared.tally).gets.get(target).copied().unwrap_or(0)
    }

    /// Everything that was asked for, and how often.
    #[must_use]
    pub fn all_gets(&self) -> HashMap<String, usize> {
        locked(&self.shared.tally).gets.clone()
    }

    /// How many requests for a target are held or being streamed to.
    #[must_use]
    pub fn held(&self, target: &str) -> usize {
        locked(&self.shared.tally).held.get(target).copied().unwrap_or(0)
    }

    /// Waits until so many requests for a target are held or being streamed to.
    #[track_caller]
    pub fn await_held(&self, target: &str, count: usize) {
        let reached = crate::eventually(|| self.held(target) == count);
        assert!(reached, "{} requests for {target} are held, not {count}", self.held(target));
    }

    /// When the answer to a target that was held went out, the last time.
    #[must_use]
    pub fn answered(&self, target: &str) -> Option<Instant> {
        locked(&self.shared.tally).answered.get(target).copied()
    }
}

impl Drop for LiveOrigin {
    fn drop(&mut self) {
        self.shared.orders.send_modify(|orders| orders.ended = true);
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Channel)) {
        change(&mut locked(&self.channel));
        self.orders.send_modify(|orders| orders.moved += 1);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a piece each time one is due.
async fn tick(shared: &Shared, chunk: Duration) {
    let mut due = tokio::time::interval(chunk);
    due.tick().await;
    loop {
        due.tick().await;
        shared.change(|channel| channel.make(1));
    }
}

/// Counts a request among those that are held for as long as it lives.
struct Held<'a> {
    shared: &'a Shared,
    target: &'a str,
}

impl<'a> Held<'a> {
    fn begin(shared: &'a Shared, target: &'a str) -> Self {
        *locked(&shared.tally).held.entry(target.to_owned()).or_default() += 1;
        Self { shared, target }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(held) = locked(&self.shared.tally).held.get_mut(self.target) {
            *held -= 1;
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut wire = Wire::new(stream);
    while let Ok(Some(head)) = wire.head().await {
        *locked(&shared.tally).gets.entry(head.word(1).to_owned()).or_default() += 1;
        if answer(&mut wire, &head, &shared).await.is_err() {
            wire.reset();
            return;
        }
    }
}

async fn answer(wire: &mut Wire, head: &Head, shared: &Shared) -> Result<()> {
    if head.word(0) != "GET" {
        return send(wire, &Reply::empty(405)).await;
    }
    let ask = Ask {
        target: head.word(1),
        range: head.field("range"),
        if_range: head.field("if-range"),
        if_none_match: head.field("if-none-match"),
    };
    let mut orders = shared.orders.subscribe();
    let verdict = locked(&shared.channel).ask(&ask);
    let (verdict, _held) = match verdict {
        Verdict::Answer(reply) => return send(wire, &reply).await,
        Verdict::Grow(growing) => (Verdict::Grow(growing), Held::begin(shared, ask.target)),
        Verdict::Wait => {
            let held = Held::begin(shared, ask.target);
            let hold_max = shared.hold_max.unwrap_or(crate::PATIENCE * 4);
            let waited = wait(&ask, shared, &mut orders);
            let verdict = tokio::time::timeout(hold_max, waited).await;
            (verdict.unwrap_or_else(|_| Verdict::Answer(Reply::empty(503))), held)
        }
    };
    locked(&shared.tally).answered.insert(ask.target.to_owned(), Instant::now());
    match verdict {
        Verdict::Grow(growing) => stream_out(wire, growing, shared, &mut orders).await,
        Verdict::Answer(reply) => send(wire, &reply).await,
        Verdict::Wait => Err(ErrorKind::TimedOut.into()),
    }
}

/// Waits until there is an answer.
async fn wait(ask: &Ask<'_>, shared: &Shared, orders: &mut watch::Receiver<Orders>) -> Verdict {
    let given_up = orders.borrow_and_update().gave_up;
    loop {
        match locked(&shared.channel).ask(ask) {
            Verdict::Wait => {}
            verdict => return verdict,
        }
        let _ = orders.changed().await;
        if orders.borrow_and_update().gave_up != given_up {
            return Verdict::Answer(Reply::empty(503));
        }
    }
}

async fn send(wire: &mut Wire, reply: &Reply) -> Result<()> {
    let Reply { status, fields, body } = reply;
    let length =
        if *status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let date = httpdate::fmt_http_date(SystemTime::now());
    let head = format!("HTTP/1.1 {status} Live\r\nDate: {date}\r\n{fields}{length}\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    wire.send(&bytes).await
}

/// Sends each piece when it is made.
async fn stream_out(
    wire: &mut Wire,
    mut growing: Growing,
    shared: &Shared,
    orders: &mut watch::Receiver<Orders>,
) -> Result<()> {
    let cut = orders.borrow_and_update().cut;
    let date = httpdate::fmt_http_date(SystemTime::now());
    let fields = &growing.fields;
    let head =
        format!("HTTP/1.1 200 Live\r\nDate: {date}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    wire.send(head.as_bytes()).await?;
    loop {
        let grown = locked(&shared.channel).grown(&mut growing);
        let (bytes, is_last) = grown.map_err(|_| ErrorKind::ConnectionAborted)?;
        if !bytes.is_empty() {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(&bytes);
            chunk.extend_from_slice(b"\r\n");
            wire.send(&chunk).await?;
        }
        if is_last {
            return wire.send(b"0\r\n\r\n").await;
        }
        let _ = orders.changed().await;
        if orders.borrow_and_update().cut != cut {
            return Err(ErrorKind::ConnectionAborted.into());
        }
    }
}
