//! What the queries are answered from, and how it is kept up to date.
//!
//! ```text
//! zones, settings --+                        +-> worker: packet -> Responder -> reply
//! regions, nodes,   +-> Ground (swapped) ----+-> worker ...
//! sites, maps ------+       ^
//!                           | a World each second
//! /health of nodes --> Helm-+ <- votes of other servers, intents of control
//! ```
//! A worker looks for a newer ground between batches, never in the middle of one: no query is
//! lost, and none sees half of a change.

mod figures;
mod ground;
mod helm;
mod line;
mod lookup;
mod probe;
mod worker;

pub use figures::{Figure, Figures};
pub use ground::{Ground, Manner};
pub use helm::{Helm, NodeAsked, Opinion};
pub use lookup::Lookup;
pub use probe::{Prober, Settings as ProbeSettings};
pub use worker::{Worker, Workshop};

#[cfg(test)]
mod tests;
