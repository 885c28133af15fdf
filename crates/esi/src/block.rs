//! Blocks that are open while a page is read.

use std::sync::Arc;

use crate::expression::{Budget, is_free_name, whole};
use crate::faults::FaultKind;
use crate::node::{Branch, Choose, Inline, Node, TryTag};
use crate::run::Run;
use crate::tag::{Form, Tag};

/// Elements with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Choose,
    When,
    Otherwise,
    Try,
    Attempt,
    Except,
    Vars,
    Remove,
    Comment,
    Inline,
    Assign,
}

impl Block {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "choose" => Self::Choose,
            "when" => Self::When,
            "otherwise" => Self::Otherwise,
            "try" => Self::Try,
            "attempt" => Self::Attempt,
            "except" => Self::Except,
            "vars" => Self::Vars,
            "remove" => Self::Remove,
            "comment" => Self::Comment,
            "inline" => Self::Inline,
            "assign" => Self::Assign,
            _ => return None,
        })
    }

    /// The block that a tag begins, if it begins one.
    pub(crate) fn of(tag: &Tag<'_>) -> Option<Self> {
        let block = Self::from_name(tag.name)?;
        let is_leaf = match block {
            Self::Vars => tag.value("name").is_some(),
            Self::Assign => tag.form == Form::Empty || tag.value("value").is_some(),
            Self::Comment => tag.form == Form::Empty || tag.value("text").is_some(),
            _ => false,
        };
        (!is_leaf).then_some(block)
    }

    /// Whether nothing of it is ever sent.
    pub(crate) const fn is_removed(self) -> bool {
        matches!(self, Self::Remove | Self::Comment)
    }

    /// The attributes that it has.
    const fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::When => &["test", "matchname"],
            Self::Inline => &["name", "fetchable"],
            Self::Assign => &["name"],
            Self::Comment => &["text"],
            _ => &[],
        }
    }
}

/// What a block gathers beside nodes.
#[derive(Debug)]
pub(crate) enum Payload {
    None,
    Choose(Choose),
    When(Branch),
    Try(TryTag),
    Inline(Box<str>),
    Assign(Box<str>),
}

/// A block that is open.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) block: Block,
    /// Where its tag begins.
    pub(crate) offset: u64,
    /// Whether it comes to nothing, with all it encloses.
    pub(crate) dropped: bool,
    /// Whether its end was missing.
    pub(crate) unclosed: bool,
    /// Whether text was found since the last tag that has no business here.
    pub(crate) stray: bool,
    pub(crate) payload: Payload,
    pub(crate) nodes: Vec<Node>,
    pub(crate) run: Run,
}

impl Frame {
    pub(crate) fn new(block: Block, offset: u64) -> Self {
        let payload = match block {
            Block::Choose => Payload::Choose(Choose::default()),
            Block::Try => Payload::Try(TryTag::default()),
            _ => Payload::None,
        };
        Self {
            block,
            offset,
            dropped: false,
            unclosed: false,
            stray: false,
            payload,
            nodes: Vec::new(),
            run: Run::default(),
        }
    }

    /// Reads the attributes of the tag that begins it; if they make no sense it comes to nothing.
    pub(crate) fn fill(
        &mut self,
        tag: &Tag<'_>,
        budget: &mut Budget,
        fault: &mut impl FnMut(FaultKind),
    ) -> Result<(), FaultKind> {
        for (name, _) in tag.attributes() {
            if !self.block.attributes().contains(&name) {
                fault(FaultKind::UnknownAttribute);
            }
        }
        self.payload = match self.block {
            Block::When => {
                let test = whole(tag.needs("test")?.as_bytes(), budget);
                let test = test.map_err(&mut *fault).ok();
                let mut match_name = tag.value("matchname").unwrap_or(MATCHES);
                if !is_free_name(match_name) {
                    fault(FaultKind::BadAttribute);
                    match_name = MATCHES;
                }
                let (match_name, offset) = (match_name.into(), self.offset);
                Payload::When(Branch { test, match_name, nodes: Vec::new(), offset })
            }
            Block::Inline => Payload::Inline(tag.needs("name")?.into()),
            Block::Assign => Payload::Assign(tag.needs("name")?.into()),
            _ => return Ok(()),
        };
        Ok(())
    }

    /// What it has come to: a node, or a branch of its parent.
    pub(crate) fn close_into(
        self,
        parent: Option<&mut Self>,
        fault: &mut impl FnMut(FaultKind),
    ) -> Option<Node> {
        let (nodes, offset) = (self.nodes, self.offset);
        match (self.payload, parent.map(|parent| &mut parent.payload)) {
            (Payload::When(branch), Some(Payload::Choose(choose))) => {
                choose.branches.push(Branch { nodes, ..branch });
            }
            (Payload::None, Some(Payload::Choose(choose))) if self.block == Block::Otherwise => {
                once(&mut choose.otherwise, nodes, fault);
            }
            (Payload::None, Some(Payload::Try(tag))) if self.block == Block::Attempt => {
                once(&mut tag.attempt, nodes, fault);
            }
            (Payload::None, Some(Payload::Try(tag))) if self.block == Block::Except => {
                once(&mut tag.except, nodes, fault);
            }
            (Payload::Choose(choose), _) => {
                if choose.branches.is_empty() {
                    fault(FaultKind::BadBranches);
                }
                return Some(Node::Choose(choose.into()));
            }
            (Payload::Try(tag), _) => {
                if tag.attempt.is_none() || tag.except.is_none() {
                    fault(FaultKind::BadBranches);
                }
                return tag.attempt.is_some().then(|| Node::Try(tag.into()));
            }
            (Payload::Inline(name), _) if !self.unclosed => {
                let nodes = Arc::from(nodes);
                return Some(Node::Inline(Inline { name, nodes, offset }.into()));
            }
            _ => {}
        }
        None
    }
}

/// A branch that there may be one of: the first counts.
fn once(to: &mut Option<Vec<Node>>, nodes: Vec<Node>, fault: &mut impl FnMut(FaultKind)) {
    if to.is_some() {
        fault(FaultKind::BadBranches);
    } else {
        *to = Some(nodes);
    }
}

/// The variable that gets the groups of a pattern unless the page says otherwise.
const MATCHES: &str = "MATCHES";
