//! Tests of `reuse.rs`.
