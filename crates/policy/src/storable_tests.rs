//! Tests of `storable.rs`.
