//! The reference of all keys, as Markdown.

/// The text of `configs/README.md`.
#[must_use]
pub fn reference() -> String {
    String::new()
}
