//! Makes of a page that was read the plan for one visitor.

use crate::faults::Faults;
use crate::limits::Limits;
use crate::node::Node;
use crate::piece::Piece;
use crate::visitor::Visitor;

/// Evaluates the nodes of a page one after the other, for one visitor.
#[allow(missing_debug_implementations, reason = "a visitor has no words")]
pub struct Evaluator<'a> {
    visitor: &'a dyn Visitor,
    state: State,
}

/// What an evaluator knows between nodes, without the visitor.
#[derive(Debug)]
pub struct State {
    limits: Limits,
    faults: Faults,
}

impl State {
    /// That of a page which begins.
    pub fn new(limits: Limits) -> Self {
        Self { limits, faults: Faults::default() }
    }

    /// What was wrong so far.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl<'a> Evaluator<'a> {
    /// At the beginning of a page.
    pub fn new(visitor: &'a dyn Visitor, limits: Limits) -> Self {
        Self::resume(visitor, State::new(limits))
    }

    /// Where another one has ended.
    pub fn resume(visitor: &'a dyn Visitor, state: State) -> Self {
        Self { visitor, state }
    }

    /// What it knows, to be resumed.
    pub fn into_state(self) -> State {
        self.state
    }

    /// What a node comes to.
    pub fn eval(&mut self, node: &Node, pieces: &mut Vec<Piece>) {
        let _ = (self.visitor.method(), self.state.limits.steps_max);
        match node {
            Node::Text(text) => pieces.push(Piece::Text(text.clone())),
            Node::Fixed(include) => pieces.push(Piece::Include(include.clone())),
        }
    }

    /// What was wrong so far.
    pub fn faults(&self) -> &Faults {
        self.state.faults()
    }
}
