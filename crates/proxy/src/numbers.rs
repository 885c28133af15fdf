//! Field values that hold a number of seconds, kept by each worker: Age, and the Cache-Status of a
//! hit. Whatever is hit in one second shares them.

use http::HeaderValue;
use selvedge_policy::CacheStatus;
use std::cell::RefCell;

/// Values kept of each kind. What was asked for last stands in the place of what was there.
const SLOTS: usize = 256;

/// The values of one worker.
#[derive(Debug)]
pub(crate) struct Numbers {
    node: String,
    ages: RefCell<Slots>,
    hits: RefCell<Slots>,
}

/// Values by number; the number says the slot.
#[derive(Debug)]
struct Slots(Box<[Option<(u32, HeaderValue)>]>);

impl Numbers {
    /// For the node of this name.
    pub(crate) fn new(node: &str) -> Self {
        let slots = || RefCell::new(Slots(vec![None; SLOTS].into()));
        Self { node: node.to_owned(), ages: slots(), hits: slots() }
    }

    /// Age.
    pub(crate) fn age<R>(&self, age_s: u32, with: impl FnOnce(&HeaderValue) -> R) -> R {
        with(self.ages.borrow_mut().value(age_s, || HeaderValue::from(age_s)))
    }

    /// The Cache-Status of an answer from the store, `ttl_s` before the end of its lifetime.
    pub(crate) fn hit<R>(&self, ttl_s: i64, with: impl FnOnce(&HeaderValue) -> R) -> R {
        let status = || {
            let hit = CacheStatus { hit: true, ttl: Some(ttl_s), ..Default::default() };
            let mut value = CacheStatus { cache: &self.node, ..hit }.value();
            // Too changeable for the table of fields of HTTP/2, as request ids are.
            value.set_sensitive(true);
            value
        };
        match u32::try_from(ttl_s) {
            Ok(number) => with(self.hits.borrow_mut().value(number, status)),
            Err(_) => with(&status()),
        }
    }
}

impl Slots {
    fn value(&mut self, number: u32, make: impl FnOnce() -> HeaderValue) -> &HeaderValue {
        let slot = &mut self.0[number as usize % SLOTS];
        if slot.as_ref().is_none_or(|(known, _)| *known != number) {
            *slot = None;
        }
        &slot.get_or_insert_with(|| (number, make())).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_that_of_its_number_whatever_was_in_its_slot() {
        let numbers = Numbers::new("edge-1");
        for age_s in [0, 1, 256, 0, 257, u32::MAX] {
            assert_eq!(numbers.age(age_s, HeaderValue::clone), HeaderValue::from(age_s));
        }
        for ttl_s in [60, 316, 60, -1, 1 << 40] {
            assert_eq!(numbers.hit(ttl_s, HeaderValue::clone), format!("edge-1; hit; ttl={ttl_s}"));
        }
    }
}
