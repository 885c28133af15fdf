//! What is worked out once for a head and used by every answer that is made from it.

use std::any::Any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderMap;

/// What deliverers keep with a head. A head that is made from another one begins without.
#[derive(Debug, Default)]
pub struct Memo {
    /// The fields of a whole answer, without and with `Vary: Accept-Encoding`.
    fields: [OnceLock<HeaderMap>; 2],
    /// The same as a deliverer writes them out: with what is hidden from clients, and without.
    lines: [[OnceLock<Lines>; 2]; 2],
    /// Decisions, each with the revision of the configuration it was made under; 0 before the
    /// first.
    decided: [AtomicU64; Question::COUNT],
    /// What was made of it, for each purpose.
    kept: [OnceLock<Lines>; Keep::COUNT],
}

/// What something is kept with a head for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// To assemble it.
    Page,
    /// To know its place in a stream.
    Stream,
}

impl Keep {
    const COUNT: usize = Self::Stream as usize + 1;
}

/// What is decided about a head once for each revision of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is its body worth a content coding?
    Encode,
    /// Is its body to be assembled from fragments?
    Assemble,
    /// Has it fields that clients do not see?
    Hide,
}

impl Question {
    const COUNT: usize = Self::Hide as usize + 1;
}

/// Of the crate that delivers.
type Lines = Box<dyn Any + Send + Sync>;

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Memo {
    /// The fields that `make` gives, made once. Memory is reckoned for one of the two
    /// maps; a clone of a map has no room to spare.
    pub fn fields(&self, varies: bool, make: impl FnOnce() -> HeaderMap) -> &HeaderMap {
        self.fields[usize::from(varies)].get_or_init(|| make().clone())
    }

    /// What `make` gives, made once: always ask for the same type. Memory is reckoned for the
    /// names and values of all fields, once.
    pub fn lines<T: Send + Sync + 'static>(
        &self,
        varies: bool,
        hides: bool,
        make: impl FnOnce() -> T,
    ) -> Option<&T> {
        let kept = &self.lines[usize::from(hides)][usize::from(varies)];
        kept.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// What `make` gives, made once: always ask for the same type, for one purpose. Memory is not
    /// reckoned for it, so it is to hold little more than the body itself.
    pub fn kept<T: Send + Sync + 'static>(
        &self,
        purpose: Keep,
        make: impl FnOnce() -> T,
    ) -> Option<&T> {
        self.kept[purpose as usize].get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// What `decide` says, asked once for each revision of the configuration (from 1 on).
    pub fn decided(
        &self,
        question: Question,
        revision: u64,
        decide: impl FnOnce() -> bool,
    ) -> bool {
        let slot = &self.decided[question as usize];
        let known = slot.load(Relaxed);
        if known >> 1 == revision {
            return known & 1 == 1;
        }
        let decision = decide();
        slot.store(revision << 1 | u64::from(decision), Relaxed);
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, Memo, Question};

    #[test]
    fn a_decision_holds_for_one_revision() {
        let memo = Memo::default();
        let question = Question::Encode;
        assert!(memo.decided(question, 1, || true));
        assert!(memo.decided(question, 1, || unreachable!("known")));
        assert!(!memo.decided(Question::Assemble, 1, || false), "one question is not another");
        assert!(!memo.decided(question, 2, || false));
        assert!(!memo.decided(question, 2, || unreachable!("known")));
        assert!(memo.clone().decided(question, 2, || true), "a new head is asked about anew");
    }

    #[test]
    fn what_is_kept_is_made_once() {
        let memo = Memo::default();
        assert_eq!(memo.kept(Keep::Page, || 1_u8), Some(&1));
        assert_eq!(memo.kept(Keep::Page, || 2_u8), Some(&1));
        assert_eq!(memo.kept(Keep::Page, || "another type"), None);
        assert_eq!(memo.kept(Keep::Stream, || "another purpose"), Some(&"another purpose"));
    }
}
