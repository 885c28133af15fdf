//! Lists, a page at a time.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// Items on a page at most.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;

/// Which page.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Items at most: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    pub(crate) after: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Items<T: utoipa::ToSchema> {
    /// What is on this page.
    pub(crate) items: Vec<T>,
    /// Give it as `after` for the next page; null on the last one.
    pub(crate) next: Option<String>,
}

impl Page {
    /// Items at most.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(LIMIT),
            Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::invalid(format!("limit must be 1 to {LIMIT_MAX}"))),
        }
    }
}

/// A page of what comes, in the order of its keys. `all` begins after `after`.
pub(crate) fn page<T: utoipa::ToSchema, U>(
    all: impl Iterator<Item = U>,
    limit: usize,
    key: impl Fn(&U) -> String,
    item: impl Fn(U) -> T,
) -> Items<T> {
    let (mut items, mut last) = (Vec::new(), None);
    for one in all {
        if items.len() == limit {
            return Items { items, next: last };
        }
        last = Some(key(&one));
        items.push(item(one));
    }
    Items { items, next: None }
}
