//! HTTP caching policy, pure: headers and times in, decisions out.
//!
//! What it decides: whether a response may be stored ([`judge`]), whether a stored one may answer a
//! request ([`reuse`]), which variant fits ([`Selecting`]), how a 304 or a HEAD freshens it
//! ([`validate`]), what a key is made of ([`KeyParts`]), and which fields cross a hop ([`hop`],
//! [`forward`]). RFC 9111, 9110, 5861, 8246, 8586, 9211, 9213.
//!
//! What it must never do: read a clock, open a socket, keep state, or panic on input. Only this
//! crate can make a [`Storable`], and without one the store accepts nothing.

pub mod cache_control;
pub mod cdn_loop;
pub mod date;
pub mod encodings;
pub mod forward;
pub mod freshness;
pub mod hop;
pub mod invalidate;
pub mod key;
mod languages;
mod list;
pub mod query;
pub mod range;
pub mod reason;
pub mod reuse;
pub mod site;
pub mod status;
pub mod storable;
pub mod target;
pub mod targeted;
pub mod time;
pub mod validate;
pub mod vary;

pub use cache_control::{Qualified, RequestDirectives, ResponseDirectives};
pub use encodings::{Coding, Encodings};
pub use key::{Key, KeyParts, KeySeed, Scheme};
pub use query::QueryRules;
pub use reason::{NoStore, Why};
pub use reuse::{Reuse, reuse};
pub use site::{ClientDirectives, OddAge, OddNotModified, SetCookie, SiteRules};
pub use status::{CacheStatus, Fwd};
pub use storable::{Exchange, Meta, Storable, Verdict, judge};
pub use target::{HostError, PathError, Target, normalize_host, normalize_path};
pub use time::Now;
pub use vary::{Selecting, VaryKey, VaryPlan};
