//! Edge Side Includes, pure: bytes in, plan out, fragments asked for; nothing is fetched here.
//!
//! A [`Parser`] reads a page in pieces, an [`Evaluator`] makes of its [`Node`]s the [`Piece`]s for
//! one [`Visitor`], and [`resolve()`] says what the reference of a fragment means. The language is
//! in README.md.

mod block;
mod builder;
mod compute;
mod escape;
mod evaluator;
mod expression;
mod faults;
mod host;
mod include;
mod limits;
mod node;
mod opener;
mod parser;
mod piece;
mod resolve;
mod run;
mod scan;
pub mod surrogate;
mod tag;
mod template;
#[cfg(test)]
mod tests;
mod value;
mod variable;
mod visitor;

pub use evaluator::{Evaluator, State};
pub use faults::{Fault, FaultKind, Faults, line_of};
pub use host::{HostForm, host_form};
pub use limits::{Limits, URL_BYTES_MAX};
pub use node::{Assign, Choose, IncludeTag, Inline, Node, Reference, TryTag};
pub use parser::Parser;
pub use piece::{Assembly, HeaderChange, Include, Method, OnError, Piece, Try};
pub use resolve::{Base, Refusal, Scheme, Target, resolve};
pub use template::Template;
pub use visitor::{Place, Visitor};
