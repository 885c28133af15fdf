//! A stored response: head, whole body, trailers. It never changes; a renewed head is a new object.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;

use crate::body::Body;
use crate::fields::Fields;
use crate::head::{ALLOCATION, Head};

/// A complete stored response. The fields of its head are reached directly.
#[derive(Debug)]
pub struct Object {
    /// Status, fields and lifetimes.
    pub head: Arc<Head>,
    /// All of the body.
    pub body: Body,
    /// Trailer fields, never empty.
    pub trailers: Option<Arc<Fields>>,
}

impl Object {
    /// The same body under another head.
    pub(crate) fn with_head(&self, head: Head) -> Self {
        Self { head: Arc::new(head), body: self.body.clone(), trailers: self.trailers.clone() }
    }

    /// The same body under other fields, for an answer that is given once and not stored.
    pub fn with_fields(&self, headers: &HeaderMap) -> Self {
        self.with_head(Head { headers: Fields::of(headers), ..Head::clone(&self.head) })
    }

    /// Memory that this object holds.
    pub(crate) fn cost(&self) -> usize {
        let trailers = self.trailers.as_deref().map_or(0, Fields::cost);
        size_of::<Self>() + ALLOCATION + self.head.cost() + self.body.cost() + trailers
    }
}

impl Deref for Object {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}
