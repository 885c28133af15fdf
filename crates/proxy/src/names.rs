//! What the authorities of requests came to: the host in normal form and its site, kept by each
//! worker. A client sends the same one with every request, and working it out anew took a hit 1100
//! of its instructions.
//!
//! A memo holds under the revision of the configuration that it was made under, and does not keep
//! a site alive that a reload has removed.

use crate::plan::Site;
use selvedge_policy::Scheme;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

/// Memos kept. What was asked for last stands in the place of what was there.
const SLOTS: usize = 256;
const SLOT_SHIFT: u32 = u64::BITS - SLOTS.ilog2();

/// The memos of one worker.
#[derive(Debug)]
pub(crate) struct Names(RefCell<Box<[Option<Memo>]>>);

#[derive(Debug, Clone)]
struct Memo {
    revision: u64,
    scheme: Scheme,
    authority: Box<str>,
    host: Rc<str>,
    site: Weak<Site>,
}

impl Default for Names {
    fn default() -> Self {
        Self(RefCell::new(vec![None; SLOTS].into()))
    }
}

impl Names {
    /// What the authority came to, if that is known.
    pub(crate) fn find(
        &self,
        revision: u64,
        scheme: Scheme,
        authority: &str,
    ) -> Option<(Rc<str>, Arc<Site>)> {
        let slots = self.0.borrow();
        let memo = slots[slot(authority)].as_ref()?;
        if memo.revision != revision || memo.scheme != scheme || *memo.authority != *authority {
            return None;
        }
        Some((Rc::clone(&memo.host), memo.site.upgrade()?))
    }

    /// Keeps what it came to.
    pub(crate) fn keep(
        &self,
        revision: u64,
        scheme: Scheme,
        authority: &str,
        host: &Rc<str>,
        site: &Arc<Site>,
    ) {
        self.0.borrow_mut()[slot(authority)] = Some(Memo {
            revision,
            scheme,
            authority: authority.into(),
            host: Rc::clone(host),
            site: Arc::downgrade(site),
        });
    }
}

/// Who brings names together in one slot only makes them be worked out anew.
fn slot(authority: &str) -> usize {
    let bytes = authority.as_bytes();
    let mix = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(20)
        }
        _ => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    ((mix ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SLOT_SHIFT) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::plan;

    const SITES: &str = r#"
        [[site]]
        name = "all"
        hosts = ["*"]
        origin = ["http://127.0.0.1:1"]
        "#;

    /// Neither another revision, nor another scheme, nor another spelling is answered by a memo.
    #[test]
    fn a_memo_holds_for_what_it_was_made_of() {
        let plan = plan(SITES);
        let site = plan.routes.find("a.test").expect("a site");
        let names = Names::default();
        let host = Rc::from("a.test");
        names.keep(1, Scheme::Http, "A.test:80", &host, site);
        let (known, found) = names.find(1, Scheme::Http, "A.test:80").expect("known");
        assert!(*known == *host && Arc::ptr_eq(&found, site));
        for (revision, scheme, authority) in [
            (2, Scheme::Http, "A.test:80"),
            (1, Scheme::Https, "A.test:80"),
            (1, Scheme::Http, "a.test:80"),
            (1, Scheme::Http, "A.test:8"),
        ] {
            assert!(names.find(revision, scheme, authority).is_none(), "{authority}");
        }
    }

    /// A site that nothing else holds is gone, memo or not.
    #[test]
    fn a_memo_does_not_keep_a_site_alive() {
        let plan = plan(SITES);
        let site = Arc::clone(plan.routes.find("a.test").expect("a site"));
        let names = Names::default();
        names.keep(1, Scheme::Http, "a.test", &Rc::from("a.test"), &site);
        drop(plan);
        let weak = Arc::downgrade(&site);
        drop(site);
        assert!(weak.upgrade().is_none() && names.find(1, Scheme::Http, "a.test").is_none());
    }
}
