//! A whole page that was read, to be kept and evaluated for many visitors.

use bytes::Bytes;

use crate::faults::Faults;
use crate::limits::Limits;
use crate::node::{Node, all_bytes};
use crate::parser::Parser;

/// A page that was read.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
    faults: Faults,
    plain: bool,
    page_bytes: usize,
}

impl Template {
    /// Reads a page.
    pub fn parse(chunks: impl IntoIterator<Item = Bytes>, limits: Limits) -> Self {
        let (mut parser, mut nodes, mut page_bytes) = (Parser::new(limits), Vec::new(), 0);
        for chunk in chunks {
            page_bytes += chunk.len();
            parser.push(chunk, &mut nodes);
        }
        let faults = parser.finish(&mut nodes);
        nodes.shrink_to_fit();
        Self { nodes, faults, plain: parser.is_plain(), page_bytes }
    }

    /// What it is made of.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What is wrong with it.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Whether it has no tag at all: it is to be sent as it is.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// About what keeping it costs, with the chunks that it holds.
    pub fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.page_bytes + all_bytes(&self.nodes)
    }
}
