//! Where slices of bodies are looked for and kept: memory first, then disk.

use std::sync::Arc;

use crate::slice::{Piece, SliceId};
use crate::store::Store;

/// What the store has of a slice.
#[derive(Clone, Debug)]
pub enum SliceFound {
    /// This, at hand.
    Memory(Arc<Piece>),
    /// Nothing.
    Missing,
}

impl Store {
    /// What is stored of a slice. Never waits.
    pub fn find_slice(&self, id: SliceId) -> SliceFound {
        match self.memory.slice(id) {
            Some(piece) => SliceFound::Memory(piece),
            // Here the disk is asked.
            None => SliceFound::Missing,
        }
    }

    /// Keeps a piece of a slice, together with what is stored of the same slice if the two touch.
    pub fn keep_slice(&self, piece: Piece) {
        let id = piece.id();
        // Two pieces of one slice that end at the same moment are one fetch too many at worst: no
        // lock is worth that.
        let piece = match self.memory.slice(id) {
            Some(other) => piece.merged(&other),
            None => piece,
        };
        self.memory.put_slice(Arc::new(piece));
    }
}
