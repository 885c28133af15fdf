//! The threads of a server: each with a runtime of its own, all told to drain together, none
//! forgotten.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch as channel;

use crate::serve::BindError;

/// How long a worker that ended waits for blocking calls (name look-ups) before it leaves them.
const BLOCKING_LIMIT: Duration = Duration::from_millis(100);

/// The order to drain, with its limit, once it is given.
pub(crate) type Order = channel::Receiver<Option<Duration>>;

/// Threads that run.
#[derive(Debug)]
pub(crate) struct Crew {
    threads: Vec<JoinHandle<bool>>,
    drain: channel::Sender<Option<Duration>>,
}

impl Crew {
    /// Starts a thread for each part. `work` makes the future that it runs to its end, which comes
    /// after the order to drain; `false` says that it dropped something unfinished.
    pub(crate) fn start<P, F>(
        name: &str,
        parts: Vec<P>,
        work: impl Fn(usize, P, Order) -> F + Send + Sync + 'static,
    ) -> Result<Self, BindError>
    where
        P: Send + 'static,
        F: Future<Output = bool>,
    {
        let work = Arc::new(work);
        let drain = channel::Sender::new(None);
        let mut threads = Vec::with_capacity(parts.len());
        for (index, part) in parts.into_iter().enumerate() {
            let (work, order) = (work.clone(), drain.subscribe());
            let run = move || in_runtime(async move { work(index, part, order).await });
            match std::thread::Builder::new().name(format!("{name}-{index}")).spawn(run) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    drain.send_replace(Some(Duration::ZERO));
                    return Err(BindError::Thread(error));
                }
            }
        }
        Ok(Self { threads, drain })
    }

    pub(crate) fn drain(&self, limit: Duration) {
        self.drain.send_replace(Some(limit));
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    pub(crate) fn lost_worker(&self) -> bool {
        self.drain.borrow().is_none() && self.threads.iter().any(JoinHandle::is_finished)
    }

    pub(crate) fn join(self) -> bool {
        let mut is_clean = true;
        for thread in self.threads {
            is_clean &= thread.join().unwrap_or(false);
        }
        is_clean
    }
}

/// Waits for the order to drain. If nobody is left to give it, waits for ever.
pub(crate) async fn drained(drain: &mut Order) -> Duration {
    match drain.wait_for(Option::is_some).await {
        Ok(limit) => limit.unwrap_or_default(),
        Err(_) => std::future::pending().await,
    }
}

/// Runs a worker's future to its end. Whatever it left running is dropped.
pub(crate) fn in_runtime(work: impl Future<Output = bool>) -> bool {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    match builder.enable_all().build_local(tokio::runtime::LocalOptions::default()) {
        Ok(runtime) => {
            let is_clean = runtime.block_on(work);
            runtime.shutdown_timeout(BLOCKING_LIMIT);
            is_clean
        }
        Err(error) => {
            tracing::error!(%error, "a worker has no runtime");
            false
        }
    }
}
