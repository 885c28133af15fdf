//! HLS and MPEG-DASH as a proxy has to understand them, pure: bytes in, facts out; nothing here
//! fetches, waits, reads a clock or keeps anything (RFC 8216, draft-pantos-hls-rfc8216bis,
//! ISO/IEC 23009-1, CTA-5004).
//!
//! [`kind()`] says what an object is, [`hls::parse`] and [`dash::parse`] read a manifest,
//! [`Facts`] are what is worth keeping of it, [`lifetime()`] says for how long an answer holds,
//! [`Track`] what will be asked for next. [`Directives`] are those of low-latency HLS, [`Cmcd`]
//! is what players say of themselves, [`token`] signs and verifies addresses, [`rewrite()`]
//! leads absolute addresses to another name. The whole is explained in README.md.

pub mod address;
pub mod cmcd;
pub mod dash;
mod directives;
mod facts;
pub mod hls;
mod kind;
mod lifetime;
mod limits;
pub mod query;
mod rewrite;
#[cfg(test)]
mod tests;
pub mod time;
pub mod token;
mod track;
mod unreadable;

pub use address::{Base, Refusal, Scope, Url, resolve};
pub use cmcd::Cmcd;
pub use directives::{Answer, Directives, DirectivesFault, SkipMode};
pub use facts::{Edge, Facts};
pub use kind::{Container, DashForm, HlsForm, Kind, SNIFF_BYTES, kind};
pub use lifetime::{Asked, Lifetime, Mode, Rules, Why, lifetime};
pub use limits::Limits;
pub use rewrite::{Rewrite, rewrite};
pub use time::UnixMs;
pub use track::{AHEAD_MAX, Ahead, AheadFrom, ByteRange, Track};
pub use unreadable::Unreadable;
