//! HTTP caching policy, pure: headers and times in, decisions out.
//!
//! What it decides: whether a response may be stored ([`judge`]), whether a stored one may answer a
//! request ([`reuse()`]), which variant fits ([`Selecting`]), how a 304 or a HEAD freshens it
//! ([`validate`]), what a key is made of ([`KeyParts`]), and which fields cross a hop ([`hop`],
//! [`forward`]). RFC 9111, 9110, 5861, 8246, 8586, 9211, 9213.
//!
//! In the order in which a request meets it:
//!
//! 1. [`normalize_host`], [`normalize_path`], [`QueryRules::apply_to`]: the target, which from here
//!    on is both what the key is made of and what the origin is asked for. [`cdn_loop`].
//! 2. [`hop::strip_hop_by_hop`], [`hop::strip_unkeyed_request_fields`],
//!    [`vary::normalize_request`]: the request fields, in the form that is forwarded.
//! 3. [`KeyParts::bytes`], [`KeySeed::hash`]; among the variants found, the newest of which
//!    [`Selecting::matches`] says yes.
//! 4. [`RequestDirectives::parse`], [`reuse()`]. If it answers: [`validate::precondition`], then
//!    [`range::if_range`] and [`range::parse`], with [`Meta::age_s`] as `Age`.
//! 5. If it must be validated: [`validate::strip_conditions`], [`validate::conditional_headers`],
//!    then [`validate::update_on_304`], or [`judge`] if the answer is not a 304. If the origin
//!    fails: [`Meta::usable_on_error`].
//!    Of an object whose parts are fetched one by one: [`part::judge_part`],
//!    [`part::same_version`].
//! 6. If nothing is stored: [`RequestDirectives::refuses_fetch`], fetch, [`judge`]. Whoever waited
//!    for the fetch of another request may share the answer only if [`Meta::is_shareable`].
//! 7. After any other method than GET: [`invalidate::invalidates`] first, then [`judge`]; after a
//!    HEAD that went to the origin: [`validate::update_on_head`].
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
pub mod meta;
pub mod part;
mod persist;
pub mod query;
pub mod range;
pub mod reason;
pub mod reuse;
pub mod ring;
pub mod site;
pub mod status;
pub mod storable;
pub mod tags;
pub mod target;
pub mod targeted;
pub mod time;
pub mod validate;
pub mod vary;

pub use cache_control::{Qualified, RequestDirectives, ResponseDirectives};
pub use encodings::{Coding, Encodings};
pub use key::{Key, KeyParts, KeySeed, Scheme};
pub use list::is_token_byte;
pub use meta::Meta;
pub use query::QueryRules;
pub use reason::{NoStore, Why};
pub use reuse::{Reuse, reuse};
pub use site::{ClientDirectives, OddAge, OddNotModified, SetCookie, SiteRules};
pub use status::{CacheStatus, Fwd};
pub use storable::{Exchange, Storable, Verdict, judge};
pub use target::{HostError, PathError, Target, normalize_host, normalize_path};
pub use time::Now;
pub use vary::{Selecting, VaryKey, VaryPlan};
