//! Makes of a page that was read the plan for one visitor. What values come to is text from then
//! on: it is never read as a page again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::compute::Groups;
use crate::escape::{self, UrlText};
use crate::expression::Segment;
use crate::faults::{FaultKind, Faults};
use crate::include::is_header_value;
use crate::limits::Limits;
use crate::node::{Branch, Change, Choose, IncludeTag, Inline, Node, TryTag};
use crate::piece::{Include, Piece, Try};
use crate::value::{Origin, Room, Value};
use crate::visitor::Visitor;

/// Evaluates the nodes of a page one after the other, for one visitor. What it knows between nodes
/// is its [`State`]: where a visitor cannot be borrowed for as long as a page takes to arrive, it
/// is taken out and resumed.
#[allow(missing_debug_implementations, reason = "a visitor has no words")]
pub struct Evaluator<'a> {
    pub(crate) visitor: &'a dyn Visitor,
    pub(crate) state: State,
}

/// What an evaluator knows between nodes, without the visitor.
#[derive(Debug)]
pub struct State {
    pub(crate) limits: Limits,
    pub(crate) scope: Scope,
    faults: Faults,
    /// What may still be looked at; none once too much was asked for.
    steps: Option<usize>,
    /// Bytes that values may still come to.
    bytes: usize,
    /// Where the tag stands that is looked at.
    offset: u64,
    /// The fragments of the page in which that is.
    within: Vec<Box<str>>,
}

/// What the page has named so far. A copy is cheap until one of the two changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) variables: Arc<HashMap<Box<str>, Assigned, RandomState>>,
    inlines: Arc<HashMap<Box<str>, Arc<[Node]>, RandomState>>,
}

/// What a variable was given.
#[derive(Clone, Debug)]
pub(crate) enum Assigned {
    Value(Value<'static>),
    Groups(Groups),
}

impl State {
    /// That of a page which begins.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            scope: Scope::default(),
            faults: Faults::default(),
            steps: Some(limits.steps_max),
            bytes: limits.expanded_bytes_max,
            offset: 0,
            within: Vec::new(),
        }
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

    /// What was wrong so far.
    pub fn faults(&self) -> &Faults {
        self.state.faults()
    }

    /// What a node comes to.
    pub fn eval(&mut self, node: &Node, pieces: &mut Vec<Piece>) {
        if let Node::Text(text) = node {
            return pieces.push(Piece::Text(text.clone()));
        }
        if !self.step(0) {
            return;
        }
        match node {
            Node::Text(text) => pieces.push(Piece::Text(text.clone())),
            Node::Fixed(include) => self.ask(include.clone(), pieces),
            Node::Include(tag) => self.include(tag, pieces),
            Node::Value(reference) => {
                self.state.offset = reference.offset;
                let value = self.value(&reference.expression, &mut None);
                self.show(&value, pieces);
            }
            Node::Choose(choose) => self.choose(choose, pieces),
            Node::Try(tag) => self.attempt(tag, pieces),
            Node::Assign(assign) => {
                self.state.offset = assign.offset;
                let value = self.value(&assign.value, &mut None).into_owned();
                self.assign(&assign.name, Assigned::Value(value));
            }
            Node::Inline(inline) => self.keep(inline),
        }
    }

    fn eval_all(&mut self, nodes: &[Node], pieces: &mut Vec<Piece>) {
        for node in nodes {
            self.eval(node, pieces);
        }
    }

    pub(crate) fn fault(&mut self, kind: FaultKind) {
        self.state.faults.add(kind, self.state.offset);
    }

    /// Takes a step, and more for the bytes that it reads.
    pub(crate) fn step(&mut self, bytes: usize) -> bool {
        let Some(steps) = self.state.steps else { return false };
        self.state.steps = steps.checked_sub(1 + bytes / STEP_BYTES);
        if self.state.steps.is_none() {
            self.fault(FaultKind::TooManySteps);
        }
        self.state.steps.is_some()
    }

    /// Takes bytes from what the values of the page may come to.
    pub(crate) fn expand(&mut self, bytes: usize) -> bool {
        let left = self.state.bytes.checked_sub(bytes);
        if left.is_none() {
            self.fault(FaultKind::PageTooLong);
        }
        self.state.bytes = left.unwrap_or(self.state.bytes);
        left.is_some()
    }

    /// A value as text of the page.
    fn show(&mut self, value: &Value<'_>, pieces: &mut Vec<Piece>) {
        let text = value.text();
        if text.is_empty() {
            return;
        }
        let text = match value.origin() {
            Origin::Page | Origin::UrlEncoded | Origin::HtmlEncoded => text.into_owned(),
            Origin::Visitor | Origin::Query | Origin::Path => {
                let mut room = Room::new(self.state.limits.value_bytes_max);
                let escaped = escape::html(&text, &mut room);
                if room.is_exceeded() {
                    self.fault(FaultKind::ValueTooLong);
                }
                escaped
            }
        };
        if self.expand(text.len()) {
            pieces.push(Piece::Text(text.into()));
        }
    }

    fn choose(&mut self, choose: &Choose, pieces: &mut Vec<Piece>) {
        for branch in &choose.branches {
            let mut groups = None;
            if self.holds(branch, &mut groups) {
                if let Some(groups) = groups {
                    self.assign(&branch.match_name, Assigned::Groups(groups));
                }
                return self.eval_all(&branch.nodes, pieces);
            }
        }
        self.eval_all(choose.otherwise.as_deref().unwrap_or_default(), pieces);
    }

    fn holds(&mut self, branch: &Branch, groups: &mut Option<Groups>) -> bool {
        self.state.offset = branch.offset;
        branch.test.as_ref().is_some_and(|test| self.value(test, groups).is_true())
    }

    /// Both ways are planned now, one of them will be gone. What `except` names is its own, so that
    /// what comes after does not depend on which way it was.
    fn attempt(&mut self, tag: &TryTag, pieces: &mut Vec<Piece>) {
        let mut planned = Try::default();
        let before = self.state.scope.clone();
        self.eval_all(tag.attempt.as_deref().unwrap_or_default(), &mut planned.attempt);
        let after = std::mem::replace(&mut self.state.scope, before);
        self.eval_all(tag.except.as_deref().unwrap_or_default(), &mut planned.except);
        self.state.scope = after;
        pieces.push(Piece::Try(planned.into()));
    }

    fn assign(&mut self, name: &str, value: Assigned) {
        let known = &self.state.scope.variables;
        if known.len() >= self.state.limits.variables_max && !known.contains_key(name) {
            return self.fault(FaultKind::TooManyVariables);
        }
        Arc::make_mut(&mut self.state.scope.variables).insert(name.into(), value);
    }

    fn keep(&mut self, inline: &Inline) {
        self.state.offset = inline.offset;
        let known = &self.state.scope.inlines;
        if known.len() >= self.state.limits.variables_max && !known.contains_key(&inline.name) {
            return self.fault(FaultKind::TooManyVariables);
        }
        let nodes = inline.nodes.clone();
        Arc::make_mut(&mut self.state.scope.inlines).insert(inline.name.clone(), nodes);
    }

    /// Asks for a fragment, or takes the one that stands in the page under its name.
    fn ask(&mut self, include: Arc<Include>, pieces: &mut Vec<Piece>) {
        let Some(nodes) = self.state.scope.inlines.get(&*include.src) else {
            return pieces.push(Piece::Include(include));
        };
        let (nodes, name) = (nodes.clone(), &*include.src);
        if self.state.within.iter().any(|outer| **outer == *name)
            || self.state.within.len() >= INLINES_MAX
        {
            self.state.offset = include.offset;
            return self.fault(FaultKind::InlineLoop);
        }
        self.state.within.push(name.into());
        self.eval_all(&nodes, pieces);
        self.state.within.pop();
    }

    fn include(&mut self, tag: &IncludeTag, pieces: &mut Vec<Piece>) {
        self.state.offset = tag.fixed.offset;
        let mut include = tag.fixed.clone();
        include.src = self.url(&tag.src);
        include.alt = tag.alt.as_ref().map(|alt| self.url(alt)).filter(|alt| !alt.is_empty());
        for header in &tag.headers {
            let value = self.raw(&header.value);
            if header.change == Change::Remove || is_header_value(&value) {
                include.headers.push(header.change(value));
            } else {
                self.fault(FaultKind::BadHeader);
            }
        }
        include.entity = tag.entity.as_ref().map(|entity| self.form(entity));
        self.ask(Arc::new(include), pieces);
    }

    fn url(&mut self, segments: &[Segment]) -> String {
        let mut url = UrlText::new(self.state.limits.url_bytes_max.min(crate::URL_BYTES_MAX));
        self.segments(segments, |text, origin| url.push_value(text, origin));
        let url = url.finish();
        // What does not fit is no address that could be asked for by chance: it is refused as such.
        if self.expand(url.len()) { url } else { String::new() }
    }

    /// The value of a header, as it is.
    fn raw(&mut self, segments: &[Segment]) -> Bytes {
        let (mut room, mut out) = (Room::new(self.state.limits.value_bytes_max), Vec::new());
        self.segments(segments, |text, _| room.push(&mut out, text));
        self.body(out, &room)
    }

    /// A body, in which values are encoded as those of a form are.
    fn form(&mut self, segments: &[Segment]) -> Bytes {
        let (mut room, mut out) = (Room::new(self.state.limits.value_bytes_max), Vec::new());
        self.segments(segments, |text, origin| match origin {
            Origin::Page | Origin::UrlEncoded | Origin::Query => room.push(&mut out, text),
            Origin::Visitor | Origin::Path | Origin::HtmlEncoded => {
                let encoded = escape::url(text, &mut room);
                room.push(&mut out, &encoded);
            }
        });
        self.body(out, &room)
    }

    fn body(&mut self, out: Vec<u8>, room: &Room) -> Bytes {
        if room.is_exceeded() {
            self.fault(FaultKind::ValueTooLong);
        }
        if self.expand(out.len()) { out.into() } else { Bytes::new() }
    }
}

/// What is read of a request within one step.
const STEP_BYTES: usize = 256;

/// Fragments of a page within each other.
const INLINES_MAX: usize = 8;
