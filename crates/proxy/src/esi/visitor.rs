//! Who asks for a page, as the page may know it.

use super::rules::Rules;
use crate::normalize::Ask;
use http::header;
use selvedge_esi::{Place, Visitor};
use std::borrow::Cow;
use std::cell::Cell;

/// The request for a page, as that page sees it.
pub(super) struct View<'a> {
    pub(super) ask: &'a Ask,
    pub(super) rules: &'a Rules,
    /// The page has looked at what tells visitors of the same address apart.
    pub(super) is_personal: Cell<bool>,
}

impl Visitor for View<'_> {
    fn method(&self) -> &str {
        self.ask.method.as_str()
    }

    fn host(&self) -> &str {
        &self.ask.host
    }

    fn path(&self) -> &str {
        self.ask.path()
    }

    fn query(&self) -> Option<&str> {
        self.ask.query()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.is_personal.set(true);
        let mut lines = self.ask.headers.get_all(name).iter();
        let first = lines.next()?.as_bytes();
        let separator: &[u8] = if name == header::COOKIE.as_str() { b"; " } else { b", " };
        Some(lines.fold(Cow::Borrowed(first), |mut joined, line| {
            let text = joined.to_mut();
            text.extend_from_slice(separator);
            text.extend_from_slice(line.as_bytes());
            joined
        }))
    }

    fn place(&self, _: Place) -> Option<&str> {
        self.is_personal.set(true);
        None
    }

    fn is_secret_cookie(&self, name: &str) -> bool {
        self.rules.secret_cookies.iter().any(|secret| secret == name)
    }
}
