//! Tasks of a worker that belong to no connection: nothing is spawned and forgotten.

use std::future::Future;
use std::rc::Rc;

use tokio::sync::watch as channel;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

/// The tasks of one worker that outlive a request. Clones are the same set. Not `Send`.
#[derive(Clone, Debug)]
pub struct Tasks(Rc<Sets>);

#[derive(Debug)]
struct Sets {
    work: TaskTracker,
    draining: channel::Sender<bool>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        let draining = channel::Sender::new(false);
        Self(Rc::new(Sets { work: TaskTracker::new(), draining }))
    }

    /// The tasks of a program that serves nobody and has a [`crate::Client`] of its own. They run
    /// on the `LocalSet` on which they are spawned, and end with it.
    #[must_use]
    pub fn local() -> Self {
        Self::new()
    }

    /// Runs work that must be finished: a fill, a refresh, a tunnel. A drain waits for it up to its
    /// limit and drops it then. It starts at the next turn of the worker.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        drop(self.0.work.spawn_local(future));
    }

    /// Runs something that ends with the worker: a health check, the driving of a pooled
    /// connection. A drain does not wait for it; it is dropped when the worker ends.
    pub fn spawn_background(&self, future: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(future));
    }

    /// As [`Tasks::spawn_background`], for one who may end it.
    pub(crate) fn spawn_driver(&self, future: impl Future<Output = ()> + 'static) -> AbortHandle {
        tokio::task::spawn_local(future).abort_handle()
    }

    /// As [`Tasks::spawn`], for one who may end it.
    pub(crate) fn spawn_held(&self, future: impl Future<Output = ()> + 'static) -> AbortHandle {
        self.0.work.spawn_local(future).abort_handle()
    }

    /// Waits until all work is finished, that which begins meanwhile included.
    pub(crate) async fn ended(&self) {
        self.0.work.close();
        self.0.work.wait().await;
    }

    pub(crate) fn background(&self) -> Background {
        Background(self.clone())
    }

    /// Whether all work is finished.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.work.is_empty()
    }

    /// Waits until the worker begins to drain.
    pub async fn draining(&self) {
        // The sender lives as long as `self`.
        drop(self.0.draining.subscribe().wait_for(|draining| *draining).await);
    }

    pub(crate) fn begin_drain(&self) {
        self.0.draining.send_replace(true);
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        self.spawn(future);
    }
}

/// Runs what belongs to an upstream connection.
#[derive(Clone)]
pub(crate) struct Background(Tasks);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Background {
    fn execute(&self, future: F) {
        self.0.spawn_background(future);
    }
}
