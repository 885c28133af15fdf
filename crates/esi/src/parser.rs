//! Reads a page in pieces as they arrive.

use bytes::Bytes;

use crate::builder::Builder;
use crate::faults::Faults;
use crate::limits::Limits;
use crate::node::Node;
use crate::scan::Scanner;

/// Takes a page in pieces as they arrive, and gives nodes as soon as they are complete; a page cut
/// anywhere gives the same. A block is given when it has ended: what it encloses is held until
/// then, so whoever reads a page bounds how long it may be.
#[derive(Debug)]
pub struct Parser {
    scanner: Scanner,
    builder: Builder,
}

impl Parser {
    /// A parser at the beginning of a page.
    pub fn new(limits: Limits) -> Self {
        Self { scanner: Scanner::new(limits.tag_bytes_max), builder: Builder::new(limits) }
    }

    /// Reads on.
    pub fn push(&mut self, chunk: Bytes, nodes: &mut Vec<Node>) {
        self.scanner.push(chunk, &mut self.builder);
        self.builder.drain(nodes);
    }

    /// The page has ended: gives what was still open, and what was wrong with it all.
    pub fn finish(&mut self, nodes: &mut Vec<Node>) -> Faults {
        self.scanner.finish(&mut self.builder);
        self.builder.finish();
        self.builder.drain(nodes);
        std::mem::take(&mut self.builder.faults)
    }

    /// What was wrong so far.
    pub fn faults(&self) -> &Faults {
        &self.builder.faults
    }

    /// Whether no tag has come yet: all of the page was text.
    pub fn is_plain(&self) -> bool {
        self.builder.plain
    }
}
