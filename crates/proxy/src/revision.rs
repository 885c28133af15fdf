//! Parents before edges: what one node knows of control's log, the nodes it asks must know too.
//!
//! A node that follows control says with each request to a peer or parent how far it is. A parent
//! that is not as far waits a moment to catch up; when that does not help, what it has stored may
//! have been purged already, so it asks its own next hop and says in its answer that it is behind.
//! Such an answer is not stored. Only whoever is believed about its clients is heard.
//!
//! ```text
//! edge (applied 7)  -- Selvedge-Revision: 7 -->  parent (applied 6)  waits up to 1 s for 7
//!                   <- Selvedge-Revision: 6 --   still 6: asked its next hop, past its store
//! ```

use crate::carries::Carries;
use crate::node::Node;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::sync::watch;

/// The field that carries a revision from node to node. No client and no origin sees it.
pub(crate) const SELVEDGE_REVISION: HeaderName = HeaderName::from_static("selvedge-revision");

/// The word for what is asked for, or not stored, because a node is behind.
pub(crate) const BEHIND: &str = "behind";

/// How long a request waits for this node to catch up with the one that sent it.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// How far this node is with what control says.
#[derive(Debug)]
pub(crate) struct Applied {
    follows: AtomicBool,
    /// What other nodes are told: raised before anything of a revision is in force. What is fetched
    /// after a purge would otherwise be asked for as of before it.
    told: AtomicU64,
    revision: watch::Sender<u64>,
}

impl Default for Applied {
    fn default() -> Self {
        let (follows, told) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { follows, told, revision: watch::Sender::new(0) }
    }
}

impl Applied {
    /// The revision up to which everything is in force; `None` for a node that follows nobody.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.follows.load(Acquire).then(|| *self.revision.borrow())
    }

    /// The revision that other nodes must know to answer this one.
    pub(crate) fn told(&self) -> Option<u64> {
        self.follows.load(Acquire).then(|| self.told.load(Acquire))
    }

    fn announce(&self, revision: u64) {
        self.told.store(revision, Release);
        self.follows.store(true, Release);
    }

    fn set(&self, revision: u64) {
        self.announce(revision);
        self.revision.send_replace(revision);
    }

    /// Waits until a revision is in force, but not long.
    async fn reaches(&self, wanted: u64) {
        let mut revision = self.revision.subscribe();
        let reached = revision.wait_for(|revision| *revision >= wanted);
        // The sender lives as long as `self`.
        let _ = tokio::time::timeout(CATCH_UP_MAX, reached).await;
    }
}

impl Node {
    /// This revision of control's log is about to come into force here.
    pub fn set_applying(&self, revision: u64) {
        self.applied.announce(revision);
    }

    /// Everything up to this revision of control's log is in force here.
    pub fn set_applied(&self, revision: u64) {
        self.applied.set(revision);
    }

    /// The revision of the node that asks, if it is to be heeded: this node follows control, too.
    pub(crate) fn asked_revision(
        &self,
        headers: &HeaderMap,
        carries: Carries,
        trusted: bool,
    ) -> Option<u64> {
        if !carries.revision || !trusted || self.applied.revision().is_none() {
            return None;
        }
        read(headers)
    }

    /// Waits a moment if this node is behind the one that asks.
    pub(crate) async fn catch_up(&self, asked: u64) {
        if self.applied.revision().is_some_and(|own| own < asked) {
            self.applied.reaches(asked).await;
        }
    }

    /// Whether this node is behind the one that asks; then how far it is itself.
    pub(crate) fn behind(&self, asked: Option<u64>) -> Option<u64> {
        self.applied.revision().filter(|own| asked.is_some_and(|asked| *own < asked))
    }
}

/// The revision that fields tell.
pub(crate) fn read(headers: &HeaderMap) -> Option<u64> {
    headers.get(SELVEDGE_REVISION)?.to_str().ok()?.parse().ok()
}

/// A revision as a field value.
pub(crate) fn value(revision: u64) -> HeaderValue {
    HeaderValue::from(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_follows_nobody_has_no_revision() {
        let applied = Applied::default();
        assert_eq!(applied.revision(), None);
        applied.set(0);
        assert_eq!(applied.revision(), Some(0));
        applied.announce(7);
        assert_eq!((applied.told(), applied.revision()), (Some(7), Some(0)));
        applied.set(7);
        assert_eq!((applied.told(), applied.revision()), (Some(7), Some(7)));
    }

    #[test]
    fn whoever_waits_goes_on_when_the_revision_is_in_force() {
        let applied = Applied::default();
        applied.set(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let mut steps = Vec::new();
            let steps = &std::cell::RefCell::new(&mut steps);
            let waits = async {
                applied.reaches(3).await;
                steps.borrow_mut().push("gone on");
            };
            let comes = async {
                for revision in [2, 3] {
                    tokio::task::yield_now().await;
                    steps.borrow_mut().push("in force");
                    applied.set(revision);
                }
            };
            tokio::join!(waits, comes);
            assert_eq!(***steps.borrow(), ["in force", "in force", "gone on"]);
        });
    }

    #[test]
    fn a_revision_is_a_number_and_nothing_else() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers), None);
        for (text, revision) in [
            ("7", Some(7)),
            ("", None),
            ("-1", None),
            ("7, 8", None),
            ("99999999999999999999", None),
        ] {
            headers.insert(SELVEDGE_REVISION, HeaderValue::from_static(text));
            assert_eq!(read(&headers), revision, "{text}");
        }
    }
}
