//! Control: what operators talk to. Sites, pushed content, purges and nodes are changed here, by an
//! API, and every change is a record of one log, which nodes follow.
//!
//! What it must never do: answer a change before it is safe, show half of one, or serve clients.

mod api;
mod blobs;
mod desk;
mod fleet;
mod log;
mod open;
mod prefetch;
mod problem;
mod random;
mod state;
mod stream;

pub use api::Door;
pub use open::{Control, OpenError, Settings};
