//! What nodes said of themselves lately. Not in the log: it is worth nothing a moment later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use selvedge_feed::{Ack, Report};
use tokio::sync::watch;

/// A node that has said nothing for so long does not live.
pub(crate) const SILENCE_MS: u64 = 5_000;
/// Refusals of a node that are remembered.
const REFUSALS_MAX: usize = 32;

/// All nodes.
pub(crate) struct Fleet {
    /// Held for a few instructions.
    nodes: Mutex<HashMap<String, Seen>>,
    /// What every node that lives has applied: whoever waits for that looks again when it changes,
    /// and not with each of their acks.
    floor: watch::Sender<u64>,
}

/// What a node said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) report: Report,
    /// On the monotonic clock.
    pub(crate) at_ms: u64,
    /// In milliseconds since 1970.
    pub(crate) at_wall_ms: i64,
}

/// When something was said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) mono_ms: u64,
    pub(crate) wall_ms: i64,
}

impl Seen {
    /// Whether the node lives.
    pub(crate) fn lives(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.at_ms) <= SILENCE_MS
    }
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self { nodes: Mutex::default(), floor: watch::Sender::new(0) }
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a node said last.
    pub(crate) fn seen(&self, name: &str) -> Option<Seen> {
        self.nodes().get(name).cloned()
    }

    /// A node says how far it is.
    pub(crate) fn ack(&self, name: &str, ack: Ack, when: When) {
        let mut nodes = self.nodes();
        let seen = nodes.entry(name.to_owned()).or_default();
        (seen.at_ms, seen.at_wall_ms) = (when.mono_ms, when.wall_ms);
        seen.report.ack = bounded(ack);
        self.raise(&nodes, when.mono_ms);
    }

    /// A node says how it is.
    pub(crate) fn report(&self, name: &str, mut report: Report, when: When) {
        report.ack = bounded(report.ack);
        report.why.as_mut().into_iter().for_each(|why| cut(why, 64));
        let seen = Seen { report, at_ms: when.mono_ms, at_wall_ms: when.wall_ms };
        let mut nodes = self.nodes();
        nodes.insert(name.to_owned(), seen);
        self.raise(&nodes, when.mono_ms);
    }

    /// Tells those who wait if all are further than before.
    fn raise(&self, nodes: &HashMap<String, Seen>, now_ms: u64) {
        let lives = nodes.values().filter(|seen| seen.lives(now_ms));
        let floor = lives.map(|seen| seen.report.ack.applied).min().unwrap_or_default();
        self.floor.send_if_modified(|known| std::mem::replace(known, floor) != floor);
    }

    /// Nothing more is known of a node.
    pub(crate) fn forget(&self, name: &str) {
        self.nodes().remove(name);
    }

    /// Tells when all nodes that live are further than before. Who fell silent is told by nothing.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.floor.subscribe()
    }

    /// Of these nodes, those that live: who has applied a revision of this log, and who has not.
    pub(crate) fn applied<'a>(
        &self,
        names: impl Iterator<Item = &'a String>,
        log: &str,
        revision: u64,
        now_ms: u64,
    ) -> (Vec<String>, Vec<String>) {
        let nodes = self.nodes();
        let has = |name: &&String| {
            let seen = &nodes[*name].report.ack;
            seen.log == log && seen.applied >= revision
        };
        let lives = |name: &&String| nodes.get(*name).is_some_and(|seen| seen.lives(now_ms));
        let (has, has_not): (Vec<&String>, Vec<&String>) = names.filter(lives).partition(has);
        let owned = |names: Vec<&String>| names.into_iter().cloned().collect();
        (owned(has), owned(has_not))
    }
}

/// No node fills our memory.
fn bounded(mut ack: Ack) -> Ack {
    ack.refused.truncate(REFUSALS_MAX);
    ack.refused.iter_mut().for_each(|refusal| cut(&mut refusal.reason, 1024));
    cut(&mut ack.log, 64);
    ack
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_when_the_last_one_has_it() {
        let fleet = Fleet::new();
        let mut woken = fleet.watch();
        let ack = |name, applied| {
            let ack = Ack { log: "a".into(), applied, refused: vec![] };
            fleet.ack(name, ack, When { mono_ms: 0, wall_ms: 0 });
        };
        let mut is_woken = || {
            let changed = woken.has_changed().expect("the fleet is there");
            woken.mark_unchanged();
            changed
        };
        ack("one", 1);
        ack("two", 1);
        assert!(is_woken());
        ack("one", 2);
        assert!(!is_woken(), "the other one has not");
        ack("two", 2);
        assert!(is_woken());
    }

    #[test]
    fn only_who_lives_is_waited_for() {
        let fleet = Fleet::new();
        let when = |mono_ms| When { mono_ms, wall_ms: 0 };
        let ack = |applied| Ack { log: "a".into(), applied, refused: vec![] };
        fleet.ack("one", ack(5), when(10_000));
        fleet.ack("two", ack(4), when(10_000));
        fleet.ack("dead", ack(3), when(1_000));
        let names = ["one", "two", "dead", "unknown"].map(str::to_owned);
        let applied = |log, revision| fleet.applied(names.iter(), log, revision, 10_000);
        assert_eq!(applied("a", 5), (vec!["one".into()], vec!["two".into()]));
        assert_eq!(applied("a", 4).1, Vec::<String>::new());
        assert_eq!(applied("b", 1).0, Vec::<String>::new());
    }
}
