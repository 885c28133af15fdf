//! What queries came to, counted: by code, by reason, by region and rule. Each worker counts for
//! itself, so that counting costs no more than adding; whoever asks gets the sums.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selvedge_authority::Reason;

/// Codes that are counted one by one (RFC 6895 2.3); others are counted together.
const CODES: [(u16, &str); 7] = [
    (0, "noerror"),
    (1, "formerr"),
    (2, "servfail"),
    (3, "nxdomain"),
    (4, "notimp"),
    (5, "refused"),
    (16, "badvers"),
];

/// Counts of all workers.
#[derive(Debug, Default)]
pub struct Figures {
    /// The lock is for those who begin to count, and those who ask.
    workers: Mutex<Vec<Arc<Counts>>>,
}

/// A sum over all workers.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub help: &'a str,
    /// Names and values of what tells it from others of the name.
    pub labels: &'a [(&'a str, &'a str)],
    /// How many.
    pub value: u64,
}

/// A count that one thread raises and others read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// Counts of one worker.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    codes: [Count; CODES.len() + 1],
    reasons: [Count; Reason::ALL.len()],
    pub(crate) truncated: Count,
    pub(crate) limited: Count,
    pub(crate) slipped: Count,
    pub(crate) with_subnet: Count,
    /// Clients sent somewhere, by region and what chose it. The worker keeps handles; the lock is
    /// for making them.
    sent: Mutex<BTreeMap<(String, &'static str), Arc<Count>>>,
}

impl Count {
    /// For its one thread.
    pub(crate) fn add(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counts {
    pub(crate) fn reply(&self, code: u16, reason: Reason) {
        // The first ones stand at their own places.
        let at = match usize::from(code) {
            at if CODES.get(at).is_some_and(|(known, _)| *known == code) => at,
            _ => CODES.iter().position(|(known, _)| *known == code).unwrap_or(CODES.len()),
        };
        self.codes[at].add();
        self.reason(reason);
    }

    pub(crate) fn reason(&self, reason: Reason) {
        self.reasons[reason as usize].add();
    }

    /// What counts the clients that a rule sends to a region.
    pub(crate) fn sent(&self, region: &str, rule: &'static str) -> Arc<Count> {
        Arc::clone(locked(&self.sent).entry((region.to_owned(), rule)).or_default())
    }
}

impl Figures {
    /// Counts for one more worker.
    pub(crate) fn begin(&self) -> Arc<Counts> {
        let mut workers = locked(&self.workers);
        // Those of a worker that began anew are counted on: what was counted stays, and there are
        // no more of them than two a worker.
        if let Some(left) = workers.iter().find(|counts| Arc::strong_count(counts) == 1) {
            return Arc::clone(left);
        }
        let counts = Arc::new(Counts::default());
        workers.push(Arc::clone(&counts));
        counts
    }

    /// Gives each sum.
    pub fn each(&self, f: &mut dyn FnMut(&Figure<'_>)) {
        let mut f = |name: &str, help: &str, labels: &[(&str, &str)], value| {
            f(&Figure { name, help, labels, value });
        };
        let workers = locked(&self.workers).clone();
        let sum = |count: &dyn Fn(&Counts) -> &Count| -> u64 {
            workers.iter().map(|counts| count(counts).value()).sum()
        };
        let words = CODES.iter().map(|(_, word)| *word).chain(["other"]);
        for (at, word) in words.enumerate() {
            let value = sum(&|counts| &counts.codes[at]);
            f("dns_replies", "Replies, by code", &[("rcode", word)], value);
        }
        for reason in Reason::ALL {
            let value = sum(&|counts| &counts.reasons[reason as usize]);
            f("dns_queries", "Queries, by what they came to", &[("reason", reason.word())], value);
        }
        let help = "Replies that did not fit and said so";
        f("dns_truncated", help, &[], sum(&|counts| &counts.truncated));
        let help = "Replies dropped because there were too many alike";
        f("dns_limited", help, &[], sum(&|counts| &counts.limited));
        let help = "Replies truncated because there were too many alike";
        f("dns_slipped", help, &[], sum(&|counts| &counts.slipped));
        let help = "Queries whose client subnet was believed";
        f("dns_subnets", help, &[], sum(&|counts| &counts.with_subnet));
        let mut sent: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
        for counts in &workers {
            for (key, count) in &*locked(&counts.sent) {
                *sent.entry(key.clone()).or_default() += count.value();
            }
        }
        for ((region, rule), value) in &sent {
            let labels = [("region", region.as_str()), ("rule", *rule)];
            f("dns_sent", "Clients sent to a region, by what chose it", &labels, *value);
        }
    }
}

/// A thread that panicked has left counts that are right.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_begin_anew_count_on_and_are_not_more() {
        let figures = Figures::default();
        let other = figures.begin();
        for _ in 0..100 {
            figures.begin().limited.add();
        }
        other.limited.add();
        assert_eq!(locked(&figures.workers).len(), 2);
        let mut sum = 0;
        figures.each(&mut |it| sum += if it.name == "dns_limited" { it.value } else { 0 });
        assert_eq!(sum, 101);
    }
}
