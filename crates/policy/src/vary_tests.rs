//! Tests of `vary.rs`.
