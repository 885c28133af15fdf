//! Makes nodes of the tags and text that the scanner finds. Blocks that are open stand on a stack;
//! what is complete while none is open goes out at once. A tag that has no sense where it is, is
//! dropped and counted, and the page goes on.

use bytes::Bytes;

use crate::block::{Block, Frame, Payload};
use crate::expression::{Budget, Expression, Segment, interpolation, is_free_name, whole};
use crate::faults::{FaultKind, Faults};
use crate::include::include;
use crate::limits::Limits;
use crate::node::{Assign, Node, Reference};
use crate::piece::Include;
use crate::tag::{Form, Tag};

/// What was read of a page so far.
#[derive(Debug)]
pub(crate) struct Builder {
    budget: Budget,
    pub(crate) faults: Faults,
    /// Whether there was no tag.
    pub(crate) plain: bool,
    frames: Vec<Frame>,
    /// Blocks that are open beyond those on the stack.
    too_deep: usize,
    out: Vec<Node>,
    tags: u32,
    /// The tag before this one, if it has no content but no slash either: its end may come.
    leaf: Option<Block>,
}

impl Builder {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            budget: Budget::new(limits),
            faults: Faults::default(),
            plain: true,
            frames: Vec::new(),
            too_deep: 0,
            out: Vec::new(),
            tags: 0,
            leaf: None,
        }
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, offset: u64) {
        self.plain = false;
        self.faults.add(kind, offset);
    }

    /// Gives what is complete.
    pub(crate) fn drain(&mut self, nodes: &mut Vec<Node>) {
        nodes.append(&mut self.out);
    }

    /// Whether comments and CDATA must be told from other text here: references in them are none.
    pub(crate) fn separates(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Text; an opaque one is a comment or CDATA.
    pub(crate) fn text(&mut self, text: Bytes, opaque: bool) {
        let Some(frame) = self.frames.last_mut() else {
            return self.out.push(Node::Text(text));
        };
        if frame.dropped || self.too_deep > 0 {
            return;
        }
        match &mut frame.payload {
            Payload::Choose(_) | Payload::Try(_) => {
                if !opaque && !text.trim_ascii().is_empty() && !frame.stray {
                    frame.stray = true;
                    let offset = frame.offset;
                    self.fault(FaultKind::StrayText, offset);
                }
            }
            // One byte more than may be tells that it is too long.
            Payload::Assign(_) => {
                let room = self.budget.limits.tag_bytes_max + 1 - frame.run.bytes();
                frame.run.push(text.slice(..text.len().min(room)), false);
            }
            _ => {
                if frame.run.differs(opaque) {
                    self.end_run();
                }
                if let Some(frame) = self.frames.last_mut() {
                    frame.run.push(text, opaque);
                }
            }
        }
    }

    /// A `<!--esi` or its end.
    pub(crate) fn wrapper(&mut self) {
        self.plain = false;
        self.end_run();
    }

    /// A tag from its `<` to its `>`.
    pub(crate) fn tag(&mut self, source: &[u8], offset: u64) {
        self.plain = false;
        self.tags = self.tags.saturating_add(1);
        self.end_run();
        let leaf = self.leaf.take();
        let tag = match Tag::parse(source) {
            Ok(tag) => tag,
            Err(kind) => return self.fault(kind, offset),
        };
        if tag.form == Form::End {
            self.end(&tag, leaf, offset);
        } else if let Err(kind) = self.begin(&tag, offset) {
            self.fault(kind, offset);
        }
    }

    /// The page has ended.
    pub(crate) fn finish(&mut self) {
        self.too_deep = 0;
        self.close_down_to(0);
    }

    fn begin(&mut self, tag: &Tag<'_>, offset: u64) -> Result<(), FaultKind> {
        let dropped = self.too_deep > 0 || self.frames.last().is_some_and(|frame| frame.dropped);
        if let Some(block) = Block::of(tag) {
            return self.begin_block(block, tag, offset, dropped);
        }
        if tag.form == Form::Open {
            self.leaf = Block::from_name(tag.name);
        }
        if dropped {
            return Ok(());
        }
        match tag.name {
            "include" | "vars" | "assign" => {}
            "comment" => return Ok(()),
            _ => return Err(FaultKind::UnknownTag),
        }
        if !self.may_hold_tags() {
            return Err(FaultKind::Misplaced);
        }
        self.budget.node()?;
        match tag.name {
            "include" => self.include(tag, offset),
            "vars" => {
                let text = Bytes::copy_from_slice(tag.needs("name")?.as_bytes());
                self.references(&text, offset);
                Ok(())
            }
            _ => self.assign(tag.needs("name")?, tag.needs("value")?.as_bytes(), offset),
        }
    }

    /// Whether tags that are no branches may stand here.
    fn may_hold_tags(&self) -> bool {
        self.frames.last().is_none_or(|frame| {
            !matches!(frame.payload, Payload::Choose(_) | Payload::Try(_) | Payload::Assign(_))
        })
    }

    fn include(&mut self, tag: &Tag<'_>, offset: u64) -> Result<(), FaultKind> {
        let fixed = Include { tag_number: self.tags, offset, ..Include::default() };
        let faults = &mut self.faults;
        let node = include(tag, fixed, &mut self.budget, &mut |kind| faults.add(kind, offset))?;
        self.give(node);
        Ok(())
    }

    fn assign(&mut self, name: &str, value: &[u8], offset: u64) -> Result<(), FaultKind> {
        if !is_free_name(name) {
            return Err(FaultKind::BadAttribute);
        }
        let value = whole(value, &mut self.budget)?;
        self.give(Node::Assign(Assign { name: name.into(), value, offset }.into()));
        Ok(())
    }

    fn begin_block(
        &mut self,
        block: Block,
        tag: &Tag<'_>,
        offset: u64,
        dropped: bool,
    ) -> Result<(), FaultKind> {
        if self.too_deep > 0 || self.frames.len() >= self.budget.limits.nesting_max {
            let first = self.too_deep == 0 && !dropped;
            self.too_deep += usize::from(tag.form == Form::Open);
            return if first { Err(FaultKind::NestingTooDeep) } else { Ok(()) };
        }
        let mut frame = Frame::new(block, offset);
        let mut result = Ok(());
        if !dropped {
            let holds = block.is_removed() || self.holds(block);
            result = if holds { self.budget.node() } else { Err(FaultKind::Misplaced) };
            if result.is_ok() {
                let faults = &mut self.faults;
                let mut fault = |kind| faults.add(kind, offset);
                result = frame.fill(tag, &mut self.budget, &mut fault);
            }
        }
        frame.dropped = dropped || block.is_removed() || result.is_err();
        self.frames.push(frame);
        if tag.form == Form::Empty {
            self.close();
        }
        result
    }

    /// Whether such a block may stand here.
    fn holds(&self, block: Block) -> bool {
        match block {
            Block::When | Block::Otherwise => self.is_in(Block::Choose),
            Block::Attempt | Block::Except => self.is_in(Block::Try),
            _ => self.may_hold_tags(),
        }
    }

    fn is_in(&self, block: Block) -> bool {
        self.frames.last().is_some_and(|frame| frame.block == block)
    }

    fn end(&mut self, tag: &Tag<'_>, leaf: Option<Block>, offset: u64) {
        let Some(block) = Block::from_name(tag.name) else {
            if tag.name != "include" {
                self.fault(FaultKind::UnknownTag, offset);
            }
            return;
        };
        if leaf == Some(block) {
            return;
        }
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        if let Some(at) = self.frames.iter().rposition(|frame| frame.block == block) {
            self.close_down_to(at + 1);
            self.close();
        } else {
            self.fault(FaultKind::StrayEnd, offset);
        }
    }

    fn close_down_to(&mut self, length: usize) {
        while let Some(frame) = self.frames.get(length..).and_then(|open| open.last()) {
            let offset = frame.offset;
            self.end_run();
            self.fault(FaultKind::UnclosedBlock, offset);
            if let Some(last) = self.frames.last_mut() {
                last.unclosed = true;
            }
            self.close();
        }
    }

    /// Ends the innermost block.
    fn close(&mut self) {
        self.end_run();
        let Some(mut frame) = self.frames.pop() else { return };
        if frame.dropped {
            return;
        }
        let offset = frame.offset;
        if let Payload::Assign(name) = &frame.payload {
            let text = frame.run.take();
            let fits = text.len() <= self.budget.limits.tag_bytes_max;
            let assigned =
                if fits { self.assign(name, &text, offset) } else { Err(FaultKind::TagTooLong) };
            return assigned.unwrap_or_else(|kind| self.fault(kind, offset));
        }
        let faults = &mut self.faults;
        let parent = self.frames.last_mut();
        if let Some(node) = frame.close_into(parent, &mut |kind| faults.add(kind, offset)) {
            self.give(node);
        }
    }

    /// The text before a tag is complete.
    fn end_run(&mut self) {
        let in_vars = self.frames.iter().any(|frame| frame.block == Block::Vars);
        let Some(frame) = self.frames.last_mut() else { return };
        frame.stray = false;
        if frame.run.bytes() == 0 || matches!(frame.payload, Payload::Assign(_)) {
            return;
        }
        if in_vars && !frame.run.is_opaque() {
            let offset = frame.offset;
            let text = frame.run.take();
            return self.references(&text, offset);
        }
        for text in frame.run.take_pieces() {
            self.give(Node::Text(text));
        }
    }

    /// Text with references.
    fn references(&mut self, text: &Bytes, offset: u64) {
        let faults = &mut self.faults;
        let mut fault = |kind| faults.add(kind, offset);
        for segment in interpolation(text, &mut self.budget, &mut fault) {
            self.give(match segment {
                Segment::Text(text) => Node::Text(text),
                Segment::Value(expression) => value(expression, offset),
            });
        }
    }

    /// To the innermost block that keeps nodes, or out.
    fn give(&mut self, node: Node) {
        let keeps = |frame: &&mut Frame| frame.block != Block::Vars;
        match self.frames.iter_mut().rev().find(keeps) {
            Some(frame) => frame.nodes.push(node),
            None => self.out.push(node),
        }
    }
}

fn value(expression: Expression, offset: u64) -> Node {
    Node::Value(Reference { expression, offset }.into())
}
