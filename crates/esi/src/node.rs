//! A page as it was read: text, and what stands between the text.

use std::sync::Arc;

use bytes::Bytes;

use crate::expression::{Expression, Segment};
use crate::piece::Include;

/// A part of a page. All but text is this crate's to look into.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Sent as it is: a slice of the chunk that it came in.
    Text(Bytes),
    /// A fragment whose request has no variables in it.
    Fixed(Arc<Include>),
    /// A fragment whose request has.
    Include(Box<IncludeTag>),
    /// A reference within `vars`.
    Value(Box<Reference>),
    /// The first branch whose condition holds.
    Choose(Box<Choose>),
    /// An attempt, and what is sent instead.
    Try(Box<TryTag>),
    /// A variable is given a value.
    Assign(Box<Assign>),
    /// A fragment that stands in this page.
    Inline(Box<Inline>),
}

/// See [`Node::Value`].
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    pub(crate) expression: Expression,
    pub(crate) offset: u64,
}

/// See [`Node::Include`].
#[derive(Clone, Debug, PartialEq)]
pub struct IncludeTag {
    /// What does not depend on who asks.
    pub(crate) fixed: Include,
    pub(crate) src: Vec<Segment>,
    pub(crate) alt: Option<Vec<Segment>>,
    pub(crate) headers: Vec<HeaderTag>,
    pub(crate) entity: Option<Vec<Segment>>,
}

/// A change to a header as the page says it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeaderTag {
    pub(crate) change: Change,
    pub(crate) name: String,
    pub(crate) value: Vec<Segment>,
}

/// What is done to a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Append,
    Set,
    Remove,
}

/// See [`Node::Choose`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Choose {
    pub(crate) branches: Vec<Branch>,
    pub(crate) otherwise: Option<Vec<Node>>,
}

/// One `when`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Branch {
    /// None if nobody can read it: it does not hold.
    pub(crate) test: Option<Expression>,
    /// The variable that gets the groups of the pattern in the test.
    pub(crate) match_name: Box<str>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) offset: u64,
}

/// See [`Node::Try`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TryTag {
    pub(crate) attempt: Option<Vec<Node>>,
    pub(crate) except: Option<Vec<Node>>,
}

/// See [`Node::Assign`].
#[derive(Clone, Debug, PartialEq)]
pub struct Assign {
    pub(crate) name: Box<str>,
    pub(crate) value: Expression,
    pub(crate) offset: u64,
}

/// See [`Node::Inline`].
#[derive(Clone, Debug, PartialEq)]
pub struct Inline {
    pub(crate) name: Box<str>,
    pub(crate) nodes: Arc<[Node]>,
    pub(crate) offset: u64,
}

impl Node {
    /// About what it takes beside itself and the text of the page.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Fixed(include) => size_of::<Include>() + include.src.len(),
            Self::Include(tag) => {
                let segments = tag.src.len() + tag.headers.len() + 2;
                size_of::<IncludeTag>() + segments * SEGMENT_BYTES
            }
            Self::Value(_) => SEGMENT_BYTES,
            Self::Assign(assign) => SEGMENT_BYTES + assign.value.heap_bytes(),
            Self::Choose(choose) => {
                let branch = |branch: &Branch| {
                    let test = branch.test.as_ref().map_or(0, Expression::heap_bytes);
                    size_of::<Branch>() + test + all_bytes(&branch.nodes)
                };
                let otherwise = choose.otherwise.as_deref().map_or(0, all_bytes);
                choose.branches.iter().map(branch).sum::<usize>() + otherwise
            }
            Self::Try(tag) => [&tag.attempt, &tag.except]
                .into_iter()
                .flatten()
                .map(|nodes| all_bytes(nodes))
                .sum(),
            Self::Inline(inline) => size_of::<Inline>() + all_bytes(&inline.nodes),
        }
    }
}

/// About what nodes take in all.
pub(crate) fn all_bytes(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| size_of::<Node>() + node.heap_bytes()).sum()
}

/// About what a reference takes.
const SEGMENT_BYTES: usize = 256;
