//! The desk: where changes are made, one after the other, by one thread.
//!
//! ```text
//! a request -> [queue] -> decide on the newest state -> more that wait? ... -> append all, synced
//!                                                                               |
//!                answered <- followers are sent the lines <- the state is shown <-'
//! ```
//! What a decision sees is what all before it made, so two editors cannot overwrite each other.
//! Nothing is shown or answered before it is safe; if it cannot be made safe, none of it happened.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use selvedge_net::Clock;
use tokio::sync::oneshot;

use crate::log::{Entry, Log, LogError};
use crate::problem::{Kind, Problem};
use crate::state::digest::Digest;
use crate::state::proof::Proof;
use crate::state::record::{Deed, Once, Record};
use crate::state::{Saved, State};
use crate::stream::{self, Stream};

/// Requests that may wait.
const QUEUE: usize = 4096;
/// Changes that are made safe together.
const TOGETHER: usize = 256;
/// Bytes of one record, about. A longer one could fail, and all that are made safe with it.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// Who asks for a change, and how.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) by: String,
    pub(crate) from: String,
    pub(crate) request_id: String,
    /// The token that must still hold when the change is made; none: control itself asks.
    pub(crate) proof: Option<Proof>,
    /// The key by which a request that comes again is known, and what it asked for.
    pub(crate) once: Option<(String, Digest)>,
}

/// What a decision is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    /// The revision a change would make.
    pub(crate) revision: u64,
    pub(crate) now_ms: i64,
    /// The token that asks.
    pub(crate) by: &'a str,
}

/// What a change is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What is to be done about a request.
pub(crate) enum Decision {
    /// Make this change.
    Do(Deed, Reply),
    /// It is so already.
    Nothing(Reply),
}

type Decide = Box<dyn FnOnce(&State, Moment<'_>) -> Result<Decision, Problem> + Send>;

struct Job {
    asker: Asker,
    decide: Decide,
    answer: oneshot::Sender<Result<Reply, Problem>>,
}

/// The desk. Dropping it ends its thread when what waits is done.
pub(crate) struct Desk {
    jobs: Option<SyncSender<Job>>,
    state: Arc<ArcSwap<State>>,
    thread: Option<JoinHandle<()>>,
}

/// What the desk works with.
pub(crate) struct Tools {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) clock: Clock,
    /// Revisions that are kept for nodes that come back.
    pub(crate) history: u64,
    /// Revisions between two snapshots.
    pub(crate) snapshot_every: u64,
}

impl Desk {
    /// A desk over this state, which is what the log says.
    pub(crate) fn open(state: State, saved_at: u64, tools: Tools) -> std::io::Result<Self> {
        let shown = Arc::new(ArcSwap::from_pointee(state.clone()));
        let (jobs, queue) = sync_channel(QUEUE);
        let mut worker = Worker {
            state,
            shown: Arc::clone(&shown),
            tools,
            saved_at,
            saving: None,
            in_doubt: false,
        };
        let thread = std::thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || worker.run(&queue))?;
        Ok(Self { jobs: Some(jobs), state: shown, thread: Some(thread) })
    }

    /// The newest state that is safe.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Has a change made, and waits for it on this thread. For starts.
    pub(crate) fn submit_now(
        &self,
        asker: Asker,
        decide: impl FnOnce(&State, Moment<'_>) -> Result<Decision, Problem> + Send + 'static,
    ) -> Result<Reply, Problem> {
        self.enqueue(asker, Box::new(decide))?.blocking_recv().map_err(|_| gone())?
    }

    /// Has a change made.
    pub(crate) async fn submit(
        &self,
        asker: Asker,
        decide: impl FnOnce(&State, Moment<'_>) -> Result<Decision, Problem> + Send + 'static,
    ) -> Result<Reply, Problem> {
        self.enqueue(asker, Box::new(decide))?.await.map_err(|_| gone())?
    }

    /// What a request that has come before was answered, or why it is none.
    pub(crate) fn answered(&self, asker: &Asker, now_ms: i64) -> Option<Result<Reply, Problem>> {
        answered(&self.state.load(), asker, now_ms)
    }

    fn enqueue(
        &self,
        asker: Asker,
        decide: Decide,
    ) -> Result<oneshot::Receiver<Result<Reply, Problem>>, Problem> {
        let (answer, answered) = oneshot::channel();
        match self.jobs.as_ref().ok_or_else(gone)?.try_send(Job { asker, decide, answer }) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => {
                Err(Problem::new(Kind::TooMany, "too many changes wait to be made"))
            }
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

fn gone() -> Problem {
    Problem::new(Kind::Unavailable, "control is about to end")
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    /// With the changes that are not safe yet.
    state: State,
    shown: Arc<ArcSwap<State>>,
    tools: Tools,
    saved_at: u64,
    saving: Option<JoinHandle<Result<(), LogError>>>,
    /// An append failed, and may have been made safe all the same.
    in_doubt: bool,
}

/// A change that waits to be made safe, or an answer that waits for those before it.
struct Waiting {
    answer: oneshot::Sender<Result<Reply, Problem>>,
    reply: Reply,
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            if self.in_doubt
                && let Err(error) = self.catch_up()
            {
                let _ = first.answer.send(Err(Problem::from(error)));
                continue;
            }
            let (mut entries, mut waiting) = (Vec::new(), Vec::new());
            let more = queue.try_iter().take(TOGETHER - 1);
            for job in std::iter::once(first).chain(more) {
                self.decide(job, &mut entries, &mut waiting);
            }
            self.settle(entries, waiting);
            self.save_now_and_then();
        }
        if let Some(saving) = self.saving.take() {
            let _ = saving.join();
        }
    }

    /// Takes over what the log has beyond what is shown: an append of which nobody knew whether it
    /// was made safe. Its askers were told that it was not; the log is right.
    fn catch_up(&mut self) -> Result<(), LogError> {
        let records = self.tools.log.records(self.state.revision)?;
        let mut told = Vec::new();
        for record in records {
            let news = self.state.apply(&record);
            told.push((record.revision, stream::lines(record.revision, news.as_ref())));
        }
        self.shown.store(Arc::new(self.state.clone()));
        self.tools.stream.push(told.into_iter());
        self.in_doubt = false;
        Ok(())
    }

    fn decide(&mut self, job: Job, entries: &mut Vec<Entry>, waiting: &mut Vec<Waiting>) {
        let Job { asker, decide, answer } = job;
        let now_ms = self.tools.clock.now_wall_ms();
        if asker.proof.as_ref().is_some_and(|proof| !proof.holds(&self.state, now_ms)) {
            let detail = "the token was revoked or has ended meanwhile";
            let _ = answer.send(Err(Problem::new(Kind::Unauthorized, detail)));
            return;
        }
        match answered(&self.state, &asker, now_ms) {
            Some(Ok(reply)) => return waiting.push(Waiting { answer, reply }),
            Some(Err(problem)) => {
                let _ = answer.send(Err(problem));
                return;
            }
            None => {}
        }
        let revision = self.state.revision + 1;
        let decided = decide(&self.state, Moment { revision, now_ms, by: &asker.by });
        let (deed, reply) = match decided {
            Err(problem) => {
                let _ = answer.send(Err(problem));
                return;
            }
            Ok(Decision::Nothing(reply)) if asker.once.is_some() => (Deed::Answered, reply),
            Ok(Decision::Nothing(reply)) => return waiting.push(Waiting { answer, reply }),
            Ok(Decision::Do(deed, _)) if deed.bytes_said() > RECORD_BYTES_MAX => {
                let detail = "too many objects for one change: publish and remove them in parts";
                let _ = answer.send(Err(Problem::new(Kind::TooLarge, detail)));
                return;
            }
            Ok(Decision::Do(deed, reply)) => (deed, reply),
        };
        let record = record(asker, (revision, now_ms), deed, &reply);
        let news = self.state.apply(&record);
        let lines = stream::lines(record.revision, news.as_ref());
        entries.push(Entry { record, lines });
        waiting.push(Waiting { answer, reply });
    }

    /// Makes changes safe, then shows and answers them. If that fails, none was made.
    fn settle(&mut self, entries: Vec<Entry>, waiting: Vec<Waiting>) {
        let appended = if entries.is_empty() { Ok(()) } else { self.tools.log.append(&entries) };
        if let Err(error) = appended {
            tracing::error!(%error, changes = entries.len(), "changes could not be made safe");
            self.state = (*self.shown.load_full()).clone();
            self.in_doubt = true;
            let problem = Problem::from(error);
            for waiting in waiting {
                let _ = waiting.answer.send(Err(problem.clone()));
            }
            return;
        }
        if !entries.is_empty() {
            self.shown.store(Arc::new(self.state.clone()));
            let lines = entries.into_iter().map(|entry| (entry.record.revision, entry.lines));
            self.tools.stream.push(lines);
        }
        for waiting in waiting {
            let _ = waiting.answer.send(Ok(waiting.reply));
        }
    }

    /// Writes a snapshot beside the work when enough has changed since the last one.
    fn save_now_and_then(&mut self) {
        if let Some(saving) = self.saving.take_if(|saving| saving.is_finished()) {
            match saving.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "a snapshot could not be written");
                    self.save_again_soon();
                }
                Err(_) => {
                    tracing::error!("a snapshot could not be written: a bug");
                    self.save_again_soon();
                }
            }
        }
        let due = self.state.revision >= self.saved_at + self.tools.snapshot_every;
        if !due || self.saving.is_some() {
            return;
        }
        let (state, log) = (self.shown.load_full(), Arc::clone(&self.tools.log));
        let history = self.tools.history;
        self.saved_at = state.revision;
        let save = move || log.save(state.revision, &Saved::from(&*state), history);
        match std::thread::Builder::new().name("snapshot".to_owned()).spawn(save) {
            Ok(saving) => self.saving = Some(saving),
            Err(error) => {
                tracing::error!(%error, "a snapshot could not be written");
                self.save_again_soon();
            }
        }
    }

    /// A snapshot failed: not with every change, but long before the next one would be due.
    fn save_again_soon(&mut self) {
        let every = self.tools.snapshot_every;
        self.saved_at = (self.state.revision + every.div_ceil(8)).saturating_sub(every);
    }
}

/// What a request with a key that has come before was answered, or why it is none.
fn answered(state: &State, asker: &Asker, now_ms: i64) -> Option<Result<Reply, Problem>> {
    let (key, asked) = asker.once.as_ref()?;
    let known = state.answer(key, now_ms)?;
    if known.asked != *asked {
        return Some(Err(Problem::new(Kind::KeyReused, "use a new key for a new request")));
    }
    let (fields, body) = (known.fields.clone(), known.body.clone());
    Some(Ok(Reply { status: known.status, fields, body }))
}

fn record(asker: Asker, (revision, at_ms): (u64, i64), deed: Deed, reply: &Reply) -> Record {
    let once = asker.once.map(|(key, asked)| Once {
        key,
        asked,
        status: reply.status,
        fields: reply.fields.clone(),
        body: reply.body.clone(),
    });
    Record {
        revision,
        at_ms,
        by: asker.by,
        from: asker.from,
        request_id: asker.request_id,
        deed,
        once,
    }
}
