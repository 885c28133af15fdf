//! How much of anything a manifest may have. What has more is not read.

/// The maxima of one manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest, before and after it is rewritten.
    pub manifest_bytes_max: usize,
    /// Bytes of a line of a playlist, or of a tag or text of an MPD.
    pub line_bytes_max: usize,
    /// Lines of a playlist, or events (tags, texts, comments) of an MPD.
    pub lines_max: usize,
    /// Segments of a playlist, and its parts; entries of all timelines and lists of an MPD.
    pub segments_max: usize,
    /// Variants and renditions of a playlist; periods, sets and representations of an MPD.
    pub variants_max: usize,
    /// Attributes of one tag.
    pub attributes_max: usize,
    /// Keys, maps, hints and reports of a playlist, each.
    pub extras_max: usize,
    /// Elements within elements of an MPD.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes_max: 4 << 20,
            line_bytes_max: 16 << 10,
            lines_max: 200_000,
            segments_max: 50_000,
            variants_max: 1024,
            attributes_max: 64,
            extras_max: 1024,
            depth_max: 16,
        }
    }
}
