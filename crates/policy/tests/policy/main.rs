//! Tests of the policy crate through its public face.
//!
//! `suite` replays conformance cases on a small cache made of nothing but the crate, `properties`
//! feeds arbitrary bytes, `differential` compares with another implementation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod differential;
mod properties;
mod suite;
