//! Tests of `freshness.rs`.
