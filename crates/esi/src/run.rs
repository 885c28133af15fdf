//! Text that has come in a block, until a tag ends it: joined where it came in small pieces, so
//! that what is kept of a page does not depend on how it was cut.

use bytes::{Bytes, BytesMut};

/// Text between two tags.
#[derive(Debug, Default)]
pub(crate) struct Run {
    whole: Vec<Bytes>,
    joined: BytesMut,
    opaque: bool,
    bytes: usize,
}

impl Run {
    /// Whether text of this kind cannot be joined with what is there.
    pub(crate) fn differs(&self, opaque: bool) -> bool {
        self.bytes > 0 && self.opaque != opaque
    }

    /// Whether it is a comment or CDATA.
    pub(crate) fn is_opaque(&self) -> bool {
        self.opaque
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, text: Bytes, opaque: bool) {
        self.opaque = opaque;
        self.bytes += text.len();
        if text.len() >= JOINED_BELOW {
            self.settle();
            self.whole.push(text);
        } else if self.joined.is_empty() && self.whole.is_empty() {
            // Most runs come in one piece.
            self.whole.push(text);
        } else {
            if self.joined.is_empty()
                && let Some(last) = self.whole.pop_if(|last| last.len() < JOINED_BELOW)
            {
                self.joined.extend_from_slice(&last);
            }
            self.joined.extend_from_slice(&text);
        }
    }

    /// What it is, in as few pieces as need no copy.
    pub(crate) fn take_pieces(&mut self) -> Vec<Bytes> {
        self.settle();
        self.bytes = 0;
        std::mem::take(&mut self.whole)
    }

    /// What it is, in one piece.
    pub(crate) fn take(&mut self) -> Bytes {
        let mut pieces = self.take_pieces();
        match pieces.len() {
            0 => Bytes::new(),
            1 => pieces.swap_remove(0),
            _ => pieces.concat().into(),
        }
    }

    fn settle(&mut self) {
        if !self.joined.is_empty() {
            self.whole.push(std::mem::take(&mut self.joined).freeze());
        }
    }
}

/// Text from this length on is kept without a copy, however it is followed.
const JOINED_BELOW: usize = 1024;
