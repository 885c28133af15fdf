//! The thread that follows control: joins, reads, takes over, and begins again when it is gone.
//!
//! ```text
//!           +--------------------------- wait: jitter up to 0.1 s, doubled to 5 s <---+
//!           v                                                                         |
//!  join (once) -> GET /v1/changes -> hello -> lines -> batch -> take over -> ack      |
//!                       |                       |  no byte for 5 s, nonsense, end ----+
//!                       +- 401, 403: join anew -+
//! ```

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use selvedge_feed::{Ack, Join};
use selvedge_net::{Client, ClientSettings, ClientShared, ClientTls, Clock, Counters, Target};
use selvedge_net::{Tasks, run_apart};
use tokio::sync::watch;

use crate::control::{Control, Lines, LinkError, in_path};
use crate::group::{Event, Grouping, Revision};
use crate::identity::Identity;
use crate::keep::{Folder, Known};
use crate::load::Figures;
use crate::standing::Standing;
use crate::take::{Sink, Stream, Taker};

/// Longest wait before the first try to reach control again.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// Longest wait before any.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often control hears how the node does.
const REPORT_EACH: Duration = Duration::from_secs(1);
/// Revisions that are taken over in one step.
const BATCH_MAX: usize = 1_000;

/// How to follow.
pub struct Settings {
    /// Where control is.
    pub control: Target,
    /// What to trust there.
    pub tls: ClientTls,
    /// File with the token to join with.
    pub token_file: Option<PathBuf>,
    /// What to join as.
    pub join: Join,
    /// Where to keep what is known.
    pub folder: Folder,
    /// Who the node is, if it has joined.
    pub identity: Option<Identity>,
    /// What is served already.
    pub known: Option<Known>,
    /// Where it is said how far the node is.
    pub standing: Arc<Standing>,
    /// How the node does.
    pub figures: Box<dyn Fn() -> Figures + Send>,
    /// The clock.
    pub clock: Clock,
}

/// A thread that follows.
#[derive(Debug)]
pub struct Following {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Following {
    /// Ends it; what it is doing with the node is finished first.
    pub fn stop(self) {
        self.stop.send_replace(true);
        // A thread that panicked has said so.
        let _ = self.thread.join();
    }

    /// Whether it has ended by itself: a bug.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Follows control from now on.
///
/// # Errors
/// When there is no thread to be had.
pub fn start(settings: Settings, sink: impl Sink) -> io::Result<Following> {
    let stop = watch::Sender::new(false);
    let mut stopped = stop.subscribe();
    let thread = run_apart("control", move |tasks| async move {
        let mut follower = Follower::new(settings, sink, &tasks);
        tokio::select! {
            () = follower.run() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    })?;
    Ok(Following { thread, stop })
}

struct Follower<S> {
    control: Control,
    token_file: Option<PathBuf>,
    join: Join,
    taker: Taker<S>,
    standing: Arc<Standing>,
    /// Who the node is; control is told things under this name.
    identity: Rc<RefCell<Option<Identity>>>,
    /// It has to join, or join anew.
    must_join: bool,
    acks: watch::Sender<Ack>,
    jitter: RandomState,
    waits: u64,
}

impl<S: Sink> Follower<S> {
    fn new(settings: Settings, sink: S, tasks: &Tasks) -> Self {
        let Settings { control, tls, token_file, join, folder, identity, known, .. } = settings;
        let Settings { standing, figures, clock, .. } = settings;
        let shared = ClientShared::new(ClientSettings::default(), tls, Arc::<Counters>::default());
        let control = Control::new(Client::new(shared, tasks.clone()), control);
        let taker = Taker::new(&join.name, sink, folder, known, Arc::clone(&standing));
        let must_join = identity.as_ref().is_none_or(|identity| !identity.is_still(&join));
        let identity = Rc::new(RefCell::new(identity));
        let acks = watch::Sender::new(taker.ack());
        let teller = Teller { control: control.clone(), identity: Rc::clone(&identity) };
        let (acker, told) = (teller.clone(), acks.subscribe());
        tasks.spawn_background(async move { acker.tell_acks(told).await });
        let told = acks.subscribe();
        let lag = Arc::clone(&standing);
        tasks.spawn_background(async move {
            teller.report(told, &*figures, &lag, clock).await;
        });
        let (jitter, waits) = (RandomState::new(), 0);
        Self {
            control,
            token_file,
            join,
            taker,
            standing,
            identity,
            must_join,
            acks,
            jitter,
            waits,
        }
    }

    async fn run(&mut self) {
        let mut failures = 0_u32;
        let mut said = String::new();
        loop {
            let began = self.standing.streams();
            let ended = self.once().await;
            if self.standing.streams() > began {
                failures = 0;
                said.clear();
            }
            // The same trouble again and again is said once.
            let why = ended.to_string();
            if why != said {
                tracing::warn!("{why}; trying again");
                said = why;
            }
            if matches!(ended, LinkError::Unwelcome(..)) {
                self.must_join = true;
            }
            tokio::time::sleep(self.wait(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// A random part of a time that doubles, so that nodes do not come back all at once.
    fn wait(&mut self, failures: u32) -> Duration {
        self.waits += 1;
        let most = WAIT_MIN.saturating_mul(1 << failures.min(10)).min(WAIT_MAX);
        let part = (self.jitter.hash_one(self.waits) >> 11) as f64 / (1_u64 << 53) as f64;
        most.mul_f64(part)
    }

    /// Joins if it has to, and reads one stream to its end.
    async fn once(&mut self) -> LinkError {
        if self.must_join {
            match self.join().await {
                Ok(()) => self.must_join = false,
                Err(error) if self.identity.borrow().is_none() => return error,
                // Perhaps the token it has is still good.
                Err(error) => {
                    tracing::warn!("cannot join anew: {error}");
                    self.must_join = false;
                }
            }
        }
        let token = self.identity.borrow().as_ref().map(|own| own.joined.token.clone());
        let mut since = self.taker.since().map(|(log, since)| (log.to_owned(), since));
        // Twice at most: a log that has become another one is asked for as a whole.
        loop {
            let asked = since.as_ref().map(|(log, since)| (log.as_str(), *since));
            let lines = self.control.changes(token.as_deref().unwrap_or_default(), asked).await;
            let read = match lines {
                Ok(lines) => self.read(lines, since.as_ref().map_or(0, |(_, since)| *since)).await,
                Err(error) => return error,
            };
            match read {
                Read::Ended(error) => return error,
                Read::AnotherLog if since.take().is_some() => {}
                Read::AnotherLog => {
                    return LinkError::Nonsense("it does not tell all of its log".to_owned());
                }
            }
        }
    }

    async fn join(&self) -> Result<(), LinkError> {
        let wrong = |what: &str| LinkError::Nonsense(what.to_owned());
        let Some(file) = &self.token_file else {
            return Err(wrong("this node has not joined, and there is no control.token_file"));
        };
        let token = selvedge_net::read_text(file)
            .map_err(|error| wrong(&format!("{}: {error}", file.display())))?;
        let joined = self.control.join(token.trim(), &self.join).await?;
        let identity = Identity { join: self.join.clone(), joined };
        if identity.seal_key().is_none() {
            return Err(wrong("what it gave for joining holds no key"));
        }
        identity
            .write(self.taker.folder().path())
            .map_err(|error| wrong(&format!("joined, but it cannot be written down: {error}")))?;
        tracing::info!(name = identity.joined.name, log = identity.joined.log, "joined control");
        *self.identity.borrow_mut() = Some(identity);
        Ok(())
    }

    /// Reads one stream.
    async fn read(&mut self, mut lines: Lines, since: u64) -> Read {
        if let Some(identity) = &*self.identity.borrow() {
            self.taker.identify(identity);
        }
        let mut grouping = Grouping::new(since);
        let mut reading = Reading::Hello;
        let mut batch = Vec::new();
        loop {
            let next = if batch.is_empty() { lines.next().await } else { lines.at_hand().await };
            let (line, bytes) = match next {
                Ok(Some(next)) => next,
                Ok(None) if batch.is_empty() => {
                    return Read::Ended(LinkError::Gone("the stream has ended".to_owned()));
                }
                Ok(None) => {
                    self.take(&mut reading, std::mem::take(&mut batch));
                    continue;
                }
                Err(error) => return Read::Ended(error),
            };
            self.standing.heard();
            let event = match grouping.take(line, bytes) {
                Ok(event) => event,
                Err(what) => return Read::Ended(LinkError::Nonsense(what.to_owned())),
            };
            match event {
                None => {}
                Some(Event::Hello { log, head, whole, missed_purges }) => {
                    if !self.begins(&log, head, whole) {
                        return Read::AnotherLog;
                    }
                    let stream = Stream { log, whole, missed_purges };
                    reading = if whole { Reading::Whole(stream) } else { Reading::Newer };
                    self.missed(&reading, missed_purges);
                }
                Some(Event::Revision(revision)) => {
                    batch.push(revision);
                    if batch.len() >= BATCH_MAX {
                        self.take(&mut reading, std::mem::take(&mut batch));
                    }
                }
                Some(Event::Reached(head)) => {
                    self.take(&mut reading, std::mem::take(&mut batch));
                    self.reach(&mut reading, head);
                }
            }
        }
    }

    /// Whether a stream can be read on from what is known.
    fn begins(&self, log: &str, head: u64, whole: bool) -> bool {
        let known = self.taker.since();
        let stands = known.is_some_and(|(own, since)| own == log && since <= head);
        self.standing.begin(head, stands && !whole);
        tracing::info!(log, head, whole, "following control");
        whole || stands
    }

    /// Purges may be missing from what is only newer.
    fn missed(&mut self, reading: &Reading, missed_purges: bool) {
        if missed_purges && matches!(reading, Reading::Newer) {
            self.taker.purge_everything();
        }
    }

    fn take(&mut self, reading: &mut Reading, mut batch: Vec<Revision>) {
        if batch.is_empty() {
            return;
        }
        if let Reading::Whole(stream) = reading {
            let newer = batch.split_off(1);
            if let Some(whole) = batch.pop() {
                self.taker.replace(stream, whole);
            }
            *reading = Reading::Newer;
            batch = newer;
        }
        if !batch.is_empty() {
            self.taker.extend(batch);
        }
        self.acks.send_replace(self.taker.ack());
    }

    fn reach(&mut self, reading: &mut Reading, head: u64) {
        // A log that holds nothing yet.
        if matches!(reading, Reading::Whole(_)) {
            self.take(reading, vec![Revision { number: head, news: Vec::new() }]);
        }
        self.taker.reach(head);
        self.standing.hear(head);
        let ack = self.taker.ack();
        self.acks.send_if_modified(|known| {
            let is_new = *known != ack;
            *known = ack;
            is_new
        });
    }
}

/// What a stream is about to tell.
enum Reading {
    Hello,
    Whole(Stream),
    Newer,
}

/// How the reading of a stream ended.
enum Read {
    Ended(LinkError),
    /// What is known is not of this log, and not all of it follows.
    AnotherLog,
}

/// Tells control how it goes.
#[derive(Clone)]
struct Teller {
    control: Control,
    identity: Rc<RefCell<Option<Identity>>>,
}

impl Teller {
    /// Sends each ack, or the newest while one was under way. One that is lost comes with the next
    /// report.
    async fn tell_acks(&self, mut acks: watch::Receiver<Ack>) {
        while acks.changed().await.is_ok() {
            let ack = acks.borrow_and_update().clone();
            self.tell("ack", &ack).await;
        }
    }

    async fn report(
        &self,
        acks: watch::Receiver<Ack>,
        figures: &(dyn Fn() -> Figures + Send),
        standing: &Standing,
        clock: Clock,
    ) {
        let (mut before, mut before_ms) = (figures(), clock.now_mono_ms());
        loop {
            tokio::time::sleep(REPORT_EACH).await;
            let (now, now_ms) = (figures(), clock.now_mono_ms());
            let ack = acks.borrow().clone();
            let since_ms = now_ms.saturating_sub(before_ms);
            let report = now.report(&before, since_ms, ack, standing.lag_max_ms());
            (before, before_ms) = (now, now_ms);
            self.tell("report", &report).await;
        }
    }

    async fn tell(&self, what: &str, message: &impl serde::Serialize) {
        let own = self.identity.borrow().as_ref().map(|identity| identity.joined.clone());
        let Some(joined) = own else { return };
        let path = format!("/v1/nodes/{}/{what}", in_path(&joined.name));
        if let Err(error) = self.control.post(&path, &joined.token, message).await {
            tracing::debug!(what, %error, "not told");
        }
    }
}
