//! A panic while a query is answered is a bug of ours, and costs that query alone: it gets no
//! reply, it is counted and logged, and its worker begins anew, with nothing of what may be half
//! done. To end the process instead would let whoever finds such a query end every server there is,
//! again as soon as it is restarted. A thread that cannot go on (it panics anywhere else) is
//! noticed by [`crate::Running::lost_worker`]: who runs the servers ends the process then.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::counters::{Counters, Tally};
use crate::{Answer, Transfer, Transport};

/// What answers, and how another one is made.
pub(crate) struct Contained<A, M> {
    answer: A,
    make: Arc<M>,
    counters: Arc<Counters>,
}

impl<A: Answer, M: Fn() -> A> Contained<A, M> {
    pub(crate) fn new(make: &Arc<M>, counters: &Arc<Counters>) -> Self {
        Self { answer: make(), make: make.clone(), counters: counters.clone() }
    }

    /// What `f` makes of it; `None` where it panicked.
    fn contain<T>(&mut self, transport: Transport, f: impl FnOnce(&mut A) -> T) -> Option<T> {
        // Nothing that it may have left half done is used again.
        let done = catch_unwind(AssertUnwindSafe(|| f(&mut self.answer))).ok();
        if done.is_none() {
            Tally::add(&self.counters.of(transport)[0].panics, 1);
            tracing::error!(
                transport = transport.word(),
                "a query was dropped because of a bug of this program; its worker begins anew"
            );
            self.answer = (self.make)();
        }
        done
    }
}

impl<A: Answer, M: Fn() -> A + Send + Sync + 'static> Answer for Contained<A, M> {
    fn answer(&mut self, query: &[u8], from: SocketAddr, transport: Transport, out: &mut Vec<u8>) {
        let answered = self.contain(transport, |answer| answer.answer(query, from, transport, out));
        if answered.is_none() {
            out.clear();
        }
    }

    fn transfer(
        &mut self,
        query: &[u8],
        from: SocketAddr,
        transport: Transport,
    ) -> Option<Transfer> {
        self.contain(transport, |answer| answer.transfer(query, from, transport)).flatten()
    }

    fn refresh(&mut self) {
        self.answer.refresh();
    }
}
