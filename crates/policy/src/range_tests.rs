//! Tests of `range.rs`.
