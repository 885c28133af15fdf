//! The head of a page that is assembled: what of the origin's fields still holds of the page that
//! the client gets.

use super::assembly::{Assembly, Page};
use super::outflow::Outflow;
use crate::body::Source;
use crate::deliver;
use crate::made::{self, Made, Sheet};
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{Served, What};
use crate::rescue::Failure;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use selvedge_policy::{Qualified, ResponseDirectives, tags};
use std::rc::Rc;

/// How long a client may keep a response, by its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// It says nothing.
    unsaid: bool,
    no_store: bool,
    private: bool,
    no_cache: bool,
    /// Seconds left of it.
    left_s: u32,
}

impl Life {
    /// What the fields of a response say, when it is new.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let said = ResponseDirectives::parse(headers);
        let expires = || {
            let read = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
            let left = read(header::EXPIRES)?.duration_since(read(header::DATE)?);
            Some(left.map_or(0, |left| u32::try_from(left.as_secs()).unwrap_or(u32::MAX)))
        };
        let left_s = said.max_age.or_else(expires);
        Self {
            unsaid: left_s.is_none() && said == ResponseDirectives::default(),
            no_store: said.no_store,
            private: said.private != Qualified::Absent,
            no_cache: said.no_cache != Qualified::Absent,
            left_s: left_s.unwrap_or(0),
        }
    }

    /// What the fields of a response say that was not stored.
    pub(super) fn of_passed(headers: &HeaderMap) -> Self {
        Self::of(headers).after(age_of(headers))
    }

    /// Of something that is not known yet: nobody may keep it.
    pub(super) const fn unknown() -> Self {
        Self { unsaid: false, no_store: false, private: true, no_cache: false, left_s: 0 }
    }

    /// Of something that is this visitor's alone, however long it lasts.
    pub(super) const fn of_one_visitor(self) -> Self {
        Self { unsaid: false, private: true, ..self }
    }

    /// So many seconds later.
    pub(super) const fn after(self, seconds: u32) -> Self {
        Self { left_s: self.left_s.saturating_sub(seconds), ..self }
    }

    /// Of a page with parts of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            unsaid: self.unsaid && other.unsaid,
            no_store: self.no_store || other.no_store,
            private: self.private || other.private,
            no_cache: self.no_cache || other.no_cache,
            left_s: self.left_s.min(other.left_s),
        }
    }

    /// What `Cache-Control` says of it; nothing if nobody said anything.
    fn value(self) -> Option<HeaderValue> {
        if self.unsaid {
            return None;
        }
        let mut value = String::new();
        if self.private {
            value.push_str("private, ");
        }
        match self.no_store {
            true => value.push_str("no-store"),
            false => value.push_str(&format!("max-age={}", self.left_s)),
        }
        if self.no_cache {
            value.push_str(", no-cache");
        }
        HeaderValue::try_from(value).ok()
    }
}

/// The age that a response had when it came here.
fn age_of(headers: &HeaderMap) -> u32 {
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok());
    age.and_then(|age| age.trim().parse().ok()).unwrap_or(0)
}

/// The head of the page as it was found.
pub(super) struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) life: Life,
    ttl_s: Option<i64>,
    /// There is a body behind it.
    has_body: bool,
}

impl Whole {
    pub(super) fn of(core: &Core, served: &Served) -> Self {
        let now = core.node.now();
        if let Some(head) = served.shared_head() {
            let age_s = head.meta.age_s(now);
            let life = super::kept(head).map_or_else(Life::unknown, |kept| kept.life);
            return Self {
                status: head.status,
                headers: HeaderMap::clone(&head.headers),
                life: life.after(age_s),
                ttl_s: Some(head.meta.ttl_s(now)),
                has_body: true,
            };
        }
        let (status, headers) = match &served.what {
            What::Passed(passing) => (passing.0.status(), passing.0.headers().clone()),
            _ => (StatusCode::OK, HeaderMap::new()),
        };
        let life = Life::of_passed(&headers);
        Self { status, headers, life, ttl_s: None, has_body: false }
    }

    /// Begins to give out the page: all of it, if all of it is at hand.
    pub(super) async fn deliver(
        self,
        ask: &Rc<Ask>,
        page: &Rc<Page>,
        assembly: Assembly,
    ) -> Result<Sheet, Failure> {
        let Self { status, mut headers, ttl_s, has_body, .. } = self;
        let coding = made::coding(ask, &headers);
        strip(&mut headers);
        if made::varies(ask, &headers) {
            deliver::vary_by_encoding(&mut headers);
        }
        let mut out = Outflow::new(Rc::clone(page), assembly);
        let is_bodiless = ask.method == Method::HEAD && !has_body;
        let is_all = !is_bodiless && out.collect().await.map_err(|_| Failure::Assembly)?;
        if !is_all {
            headers.extend(life_fields(page.life.get().and(Life::unknown())));
            if let Some(coding) = coding {
                made::set_coding(&mut headers, coding);
                out.encode(coding).map_err(|_| Failure::Encode)?;
            }
            let source = match ask.method {
                Method::HEAD => Source::Empty,
                _ => Source::Assembled(Box::new(out)),
            };
            return Ok(Sheet { status, headers, source, ttl_s });
        }
        headers.extend(life_fields(page.life.get()));
        let has_tag = status == StatusCode::OK && page.trace.is_none();
        made::sheet(ask, Made { status, headers, pieces: out.into_pieces(), has_tag, ttl_s }).await
    }
}

/// Takes away what was true of the page as its origin sent it, and is not of what becomes of it.
fn strip(headers: &mut HeaderMap) {
    made::strip(headers);
    for name in ["age", "date", "cache-control", "expires", "cdn-cache-control", "trailer"] {
        headers.remove(name);
    }
    headers.remove(&tags::SURROGATE_CONTROL);
}

fn life_fields(life: Life) -> HeaderMap {
    life.value().map(|value| (header::CACHE_CONTROL, value)).into_iter().collect()
}
