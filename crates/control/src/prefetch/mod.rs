//! Prefetches: URLs that are asked of nodes before clients ask for them.
//!
//! A job is not in the log: it is work, not state, and one that ends with control is ordered again.
//!
//! ```text
//! ordered -> [queue] -> expand a sitemap or manifest -> plan: which nodes for which URL
//!                                                         |
//!            done | cancelled <- ask them, so many each second, a few at a time
//! ```

mod expand;
mod plan;
mod run;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

pub(crate) use run::run;

use crate::problem::{Kind, Problem};
use crate::random;
use crate::state::digest::Digest;

/// Jobs that are remembered.
const JOBS_MAX: usize = 100;
/// Bytes of the results of all that are remembered: the oldest that have ended go first.
const RESULTS_BYTES_MAX: usize = 128 << 20;
/// Jobs that may wait.
const QUEUE: usize = 32;
/// URLs of one job at most.
pub(crate) const URLS_MAX: usize = 50_000;

/// Bytes of a URL at most. No node would take a longer one.
pub(crate) const URL_BYTES_MAX: usize = 8 << 10;
/// Bytes of all URLs of one job.
const URLS_BYTES_MAX: usize = 16 << 20;

/// Where URLs are warmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Where {
    /// At the parent that owns each.
    #[default]
    Parents,
    /// There, and then at the edges.
    Edges,
}

/// What URLs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    List(Vec<String>),
    Sitemap(String),
    Manifest(String),
}

/// A prefetch that was ordered.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) tier: Where,
    /// Only the nodes of this region.
    pub(crate) region: Option<String>,
    /// URLs each second.
    pub(crate) rate: u32,
    /// The sites whose URLs it may ask for; all if there are none.
    pub(crate) sites: Option<Vec<String>>,
    pub(crate) by: String,
    pub(crate) created_ms: i64,
    /// The key by which the request that ordered it is known, and what it asked for.
    once: Option<(String, Digest)>,
    cancelled: AtomicBool,
    progress: Mutex<Progress>,
    changed: watch::Sender<u64>,
}

/// How far a job is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) state: JobState,
    pub(crate) total: usize,
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) bytes: u64,
    pub(crate) results: Vec<Outcome>,
    /// Bytes of those.
    results_bytes: usize,
    /// Why it ended early.
    pub(crate) error: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobState {
    /// It waits for its turn.
    #[default]
    Waiting,
    /// It runs.
    Running,
    /// It is done, with failures or without.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It could not be begun.
    Failed,
}

/// What came of a URL at a node.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Outcome {
    /// The URL.
    pub(crate) url: String,
    /// The node that was asked; none if no node could be.
    pub(crate) node: Option<String>,
    /// Its status.
    pub(crate) status: Option<u16>,
    /// Its Cache-Status.
    pub(crate) cache: Option<String>,
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// Milliseconds from the request to the end of the body.
    pub(crate) ms: u64,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

impl Outcome {
    /// Nobody was asked for it, and why.
    fn nothing(url: String, error: &str) -> Self {
        let error = Some(error.to_owned());
        Self { url, node: None, status: None, cache: None, bytes: 0, ms: 0, error }
    }

    /// Whether the node has it now, as far as can be known.
    pub(crate) fn is_failure(&self) -> bool {
        self.error.is_some() || self.status.is_none_or(|status| status >= 400)
    }
}

impl Progress {
    fn add(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        for outcome in outcomes {
            let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let texts = [&outcome.node, &outcome.cache, &outcome.error].map(text);
            let texts = outcome.url.len() + texts.iter().sum::<usize>();
            self.results_bytes += size_of::<Outcome>() + texts;
            self.results.push(outcome);
        }
    }
}

impl Job {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is. `with` sees its results.
    pub(crate) fn look<T>(&self, with: impl FnOnce(&Progress) -> T) -> T {
        with(&self.lock())
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
        let mut progress = self.lock();
        if progress.state == JobState::Waiting {
            progress.state = JobState::Cancelled;
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
    }

    fn has_ended(&self) -> bool {
        !matches!(self.lock().state, JobState::Waiting | JobState::Running)
    }
}

/// What is asked for.
pub(crate) struct Wish {
    pub(crate) source: Source,
    pub(crate) tier: Where,
    pub(crate) region: Option<String>,
    pub(crate) rate: u32,
    pub(crate) sites: Option<Vec<String>>,
    pub(crate) by: String,
    pub(crate) now_ms: i64,
    pub(crate) once: Option<(String, Digest)>,
}

/// All jobs.
pub(crate) struct Jobs {
    /// By id; ids sort by when they were ordered. Held for a few instructions.
    all: Mutex<BTreeMap<String, Arc<Job>>>,
    queue: mpsc::Sender<Arc<Job>>,
    /// Taken by whoever runs them.
    waiting: Mutex<Option<mpsc::Receiver<Arc<Job>>>>,
}

impl Jobs {
    pub(crate) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self { all: Mutex::default(), queue, waiting: Mutex::new(Some(waiting)) }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Job>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a job; the one that the same request has ordered before, if it is remembered.
    pub(crate) fn order(&self, wish: Wish) -> Result<Arc<Job>, Problem> {
        let mut all = self.all();
        if let Some((key, asked)) = &wish.once {
            let is_its = |job: &&Arc<Job>| job.once.as_ref().is_some_and(|(own, _)| own == key);
            if let Some(job) = all.values().find(is_its) {
                let same = job.once.as_ref().is_some_and(|(_, own)| own == asked);
                let reused = || Problem::new(Kind::KeyReused, "use a new key for a new request");
                return if same { Ok(Arc::clone(job)) } else { Err(reused()) };
            }
        }
        let job = Arc::new(Job {
            id: format!("{:012x}{}", wish.now_ms, random::hex::<2>()),
            source: wish.source,
            tier: wish.tier,
            region: wish.region,
            rate: wish.rate,
            sites: wish.sites,
            by: wish.by,
            created_ms: wish.now_ms,
            once: wish.once,
            cancelled: AtomicBool::new(false),
            progress: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let full = |_| Problem::new(Kind::TooMany, "too many prefetches wait: try again later");
        self.queue.try_send(Arc::clone(&job)).map_err(full)?;
        all.insert(job.id.clone(), Arc::clone(&job));
        let results_bytes = |job: &Arc<Job>| job.look(|progress| progress.results_bytes);
        let mut bytes: usize = all.values().map(results_bytes).sum();
        while all.len() > JOBS_MAX || bytes > RESULTS_BYTES_MAX {
            let ended = all.iter().find(|(_, job)| job.has_ended()).map(|(id, _)| id.clone());
            let Some(ended) = ended.and_then(|id| all.remove(&id)) else { break };
            bytes = bytes.saturating_sub(results_bytes(&ended));
        }
        Ok(job)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.all().get(id).cloned()
    }

    /// Every job, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<Arc<Job>> {
        self.all().values().rev().cloned().collect()
    }

    /// What is to be run, for the one who runs it.
    fn take_queue(&self) -> Option<mpsc::Receiver<Arc<Job>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_orders_one_job() {
        let jobs = Jobs::new();
        let order = |key: Option<&str>, url: &str| {
            jobs.order(Wish {
                source: Source::List(vec![url.to_owned()]),
                tier: Where::Parents,
                region: None,
                rate: 1,
                sites: None,
                by: String::new(),
                now_ms: 0,
                once: key.map(|key| (key.to_owned(), Digest::of(url.as_bytes()))),
            })
        };
        let id = |key, url| order(key, url).map(|job| job.id.clone()).map_err(|it| it.kind);
        assert_eq!(id(Some("k"), "a"), id(Some("k"), "a"));
        assert_eq!(id(Some("k"), "b"), Err(Kind::KeyReused));
        assert_ne!(id(None, "a"), id(None, "a"));
        assert_eq!(jobs.newest_first().len(), 3);
        let oldest = jobs.newest_first().pop().expect("there are three");
        let long = Outcome::nothing("x".repeat(RESULTS_BYTES_MAX), "why");
        oldest.update(|progress| progress.add([long]));
        order(None, "d").expect("there is room");
        assert_eq!(jobs.newest_first().len(), 4, "it has not ended");
        oldest.cancel();
        order(None, "e").expect("there is room");
        assert_eq!(jobs.newest_first().len(), 4, "what takes too much and has ended goes");
    }
}
