//! How fast a page is read and evaluated.
fn main() {}
