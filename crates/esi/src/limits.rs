//! How much of anything one page may ask for. What goes beyond is dropped and counted as a fault;
//! nothing in this crate grows without one of these.

/// The maxima of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one tag, or of what stands in a block form of `assign`.
    pub tag_bytes_max: usize,
    /// Tags, conditions and references to variables of one template.
    pub nodes_max: usize,
    /// Blocks within blocks.
    pub nesting_max: usize,
    /// Operands, operators and calls of one expression.
    pub expression_terms_max: usize,
    /// Parentheses, negations, calls and keys within each other in one expression.
    pub expression_depth_max: usize,
    /// Text that one reference or expression comes to.
    pub value_bytes_max: usize,
    /// Text that all references of one page come to.
    pub expanded_bytes_max: usize,
    /// Nodes that are looked at while one page is evaluated; named fragments count each time.
    pub steps_max: usize,
    /// Variables that a page may assign.
    pub variables_max: usize,
    /// Regular expressions of one template.
    pub regexes_max: usize,
    /// What one regular expression may take when it is compiled.
    pub regex_bytes_max: usize,
    /// A reference after its variables are filled in.
    pub url_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tag_bytes_max: 32 * 1024,
            nodes_max: 16_384,
            nesting_max: 32,
            expression_terms_max: 256,
            expression_depth_max: 32,
            value_bytes_max: 16 * 1024,
            expanded_bytes_max: 4 * 1024 * 1024,
            steps_max: 65_536,
            variables_max: 256,
            regexes_max: 64,
            regex_bytes_max: 64 * 1024,
            url_bytes_max: URL_BYTES_MAX,
        }
    }
}

/// What a reference may come to: what most origins take of a request line.
pub const URL_BYTES_MAX: usize = 8 * 1024;
