//! A page as it was read: text, and what stands between the text.

use std::sync::Arc;

use bytes::Bytes;

use crate::piece::Include;

/// A part of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Sent as it is: a slice of the chunk that it came in.
    Text(Bytes),
    /// A fragment whose request has no variables in it.
    Fixed(Arc<Include>),
}
