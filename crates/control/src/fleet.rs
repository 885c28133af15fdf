//! What nodes said of themselves lately. Not in the log: it is worth nothing a moment later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use selvedge_feed::{Ack, Report};
use tokio::sync::watch;

/// A node that has said nothing for so long does not live.
const SILENCE_MS: u64 = 5_000;
/// A node may call itself ready for so long without control at most: the bound of its own key. One
/// that claims more would be waited for for ever.
const LAG_MS_MAX: u64 = 3_600_000;
/// For so long after the start a node that was not heard yet may be serving all the same: the wait
/// before it connects again and its first report fit into it.
const UNHEARD_MS: u64 = 30_000;
/// Refusals of a node that are remembered.
const REFUSALS_MAX: usize = 32;

/// All nodes.
pub(crate) struct Fleet {
    /// Held for a few instructions.
    nodes: Mutex<HashMap<String, Seen>>,
    /// What every node that may be serving has applied: whoever waits for that looks again when it
    /// changes, and not with each of their acks.
    floor: watch::Sender<u64>,
    /// On the monotonic clock.
    started_ms: u64,
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

    /// Whether the node may still call itself ready: then it counts for what is in force where.
    fn may_serve(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.at_ms) <= self.report.lag_max_ms.max(SILENCE_MS)
    }
}

impl Fleet {
    /// Nothing is known of any node yet, at this time on the monotonic clock.
    pub(crate) fn new(started_ms: u64) -> Self {
        Self { nodes: Mutex::default(), floor: watch::Sender::new(0), started_ms }
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
        report.lag_max_ms = report.lag_max_ms.min(LAG_MS_MAX);
        report.why.as_mut().into_iter().for_each(|why| cut(why, 64));
        let seen = Seen { report, at_ms: when.mono_ms, at_wall_ms: when.wall_ms };
        let mut nodes = self.nodes();
        nodes.insert(name.to_owned(), seen);
        self.raise(&nodes, when.mono_ms);
    }

    /// Tells those who wait if all are further than before.
    fn raise(&self, nodes: &HashMap<String, Seen>, now_ms: u64) {
        let serve = nodes.values().filter(|seen| seen.may_serve(now_ms));
        let floor = serve.map(|seen| seen.report.ack.applied).min().unwrap_or_default();
        self.floor.send_if_modified(|known| std::mem::replace(known, floor) != floor);
    }

    /// Nothing more is known of a node.
    pub(crate) fn forget(&self, name: &str) {
        self.nodes().remove(name);
    }

    /// Tells when all nodes that may be serving are further than before. Who fell silent is told by
    /// nothing.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.floor.subscribe()
    }

    /// Of these nodes, those that may be serving: who has applied a revision of this log, and who
    /// has not.
    pub(crate) fn applied<'a>(
        &self,
        names: impl Iterator<Item = &'a String>,
        log: &str,
        revision: u64,
        now_ms: u64,
    ) -> (Vec<String>, Vec<String>) {
        let nodes = self.nodes();
        let has = |name: &&String| {
            let ack = nodes.get(*name).map(|seen| &seen.report.ack);
            ack.is_some_and(|ack| ack.log == log && ack.applied >= revision)
        };
        let just_started = now_ms.saturating_sub(self.started_ms) <= UNHEARD_MS;
        let may_serve =
            |name: &&String| nodes.get(*name).map_or(just_started, |seen| seen.may_serve(now_ms));
        let (has, has_not): (Vec<&String>, Vec<&String>) = names.filter(may_serve).partition(has);
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
        let fleet = Fleet::new(0);
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
    fn only_who_may_be_serving_is_waited_for() {
        let fleet = Fleet::new(0);
        let when = |mono_ms| When { mono_ms, wall_ms: 0 };
        let ack = |applied| Ack { log: "a".into(), applied, refused: vec![] };
        fleet.ack("one", ack(5), when(10_000));
        fleet.ack("two", ack(4), when(10_000));
        fleet.ack("dead", ack(3), when(1_000));
        let names = ["one", "two", "dead", "unknown"].map(str::to_owned);
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let applied = |log, revision| fleet.applied(names.iter(), log, revision, 10_000);
        assert_eq!(applied("a", 5), (list(&["one"]), list(&["two", "unknown"])));
        assert_eq!(applied("a", 4).1, list(&["unknown"]), "it may not have come back yet");
        assert_eq!(applied("b", 1).0, list(&[]));
        let later = UNHEARD_MS + 1;
        fleet.ack("one", ack(5), when(later));
        let report = Report { ack: ack(4), lag_max_ms: 60_000, ..Report::default() };
        fleet.report("two", report, when(10_000));
        let missing = |now_ms| fleet.applied(names.iter(), "a", 5, now_ms).1;
        assert_eq!(missing(later), list(&["two"]), "it calls itself ready for a minute");
        assert_eq!(missing(later + 60_000), list(&[]));
        let report = Report { ack: ack(4), lag_max_ms: u64::MAX, ..Report::default() };
        fleet.report("two", report, when(10_000));
        assert_eq!(missing(later + LAG_MS_MAX), list(&[]), "nobody is ready for so long");
    }
}
