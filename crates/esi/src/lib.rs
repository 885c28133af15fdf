//! Edge Side Includes, pure: bytes in, plan out, fragments asked for; nothing is fetched here.
//!
//! A [`Parser`] reads a page in pieces, an [`Evaluator`] makes of its [`Node`]s the [`Piece`]s for
//! one [`Visitor`], and [`resolve()`] says what the reference of a fragment means. The language is
//! in README.md.

mod evaluator;
mod faults;
mod host;
mod limits;
mod node;
mod parser;
mod piece;
mod resolve;
pub mod surrogate;
mod template;
mod visitor;

pub use evaluator::{Evaluator, State};
pub use faults::{Fault, FaultKind, Faults, line_of};
pub use host::{HostForm, host_form};
pub use limits::{Limits, URL_BYTES_MAX};
pub use node::Node;
pub use parser::Parser;
pub use piece::{HeaderChange, Include, Method, OnError, Piece, Try};
pub use resolve::{Base, Refusal, Scheme, Target, resolve};
pub use template::Template;
pub use visitor::{Place, Visitor};
