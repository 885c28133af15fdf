//! Video: what this node knows of HLS and MPEG-DASH streams, and what it does with it. What there
//! is to understand is the crate `media`, which is pure; here it meets requests.
//!
//! ```text
//! request --- words ---> key without CMCD, directives in one form        (words.rs)
//! answer ---- read ----> a manifest's facts and tracks are kept          (read.rs, streams.rs)
//!        `--- rules ---> for how long it holds                           (lifetimes.rs)
//!        `- rewrite --> its addresses are led here                      (rewrite.rs)
//! delivered - note ----> who watches what, and what comes next           (note.rs)
//!                `-----> fetched before a player asks                    (ahead.rs)
//! ```
//!
//! Streams are known by their folders: a folder of a host of a site, with the manifests in it and
//! those that lead to it. What is kept of them is bounded, and may be lost at any time: then the
//! general rules hold until a manifest is read again.

mod ahead;
mod budget;
mod export;
mod held;
mod lifetimes;
mod note;
mod read;
mod rewrite;
mod rules;
mod stream;
mod streams;
mod viewers;
mod words;

pub(crate) use export::export;
pub(crate) use held::Held;
pub(crate) use lifetimes::{Seen, hold, is_for_waiters, is_outdated, rules_for};
pub(crate) use note::{note, strip_cmcd};
pub(crate) use read::read;
pub(crate) use rewrite::{is_rewritten, rewrite};
pub(crate) use rules::Rules;
pub use stream::{ManifestView, StreamView};
pub(crate) use streams::Streams;
pub(crate) use words::Words;
