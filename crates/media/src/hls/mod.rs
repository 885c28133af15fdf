//! Playlists of HTTP Live Streaming (RFC 8216; tags of low latency as in
//! draft-pantos-hls-rfc8216bis 4.4). What is odd is not guessed at: the whole is unreadable then.

mod addresses;
mod attributes;
mod media;
mod multivariant;
mod scalar;

use std::ops::Range;
use std::time::Duration;

pub(crate) use addresses::addresses;
pub use multivariant::{Multivariant, Rendition, Variant};

use crate::limits::Limits;
use crate::time::UnixMs;
use crate::track::ByteRange;
use crate::unreadable::Unreadable;

/// A playlist; its texts are slices of the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist<'a> {
    /// It names playlists.
    Multivariant(Multivariant<'a>),
    /// It names segments.
    Media(Box<Media<'a>>),
}

/// A media playlist (RFC 8216 4.3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media<'a> {
    /// EXT-X-VERSION; 1 if it is not there
    pub version: u64,
    /// EXT-X-TARGETDURATION
    pub target: Duration,
    /// EXT-X-MEDIA-SEQUENCE: the number of the first segment, skipped ones counted
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE
    pub discontinuity_sequence: u64,
    /// EXT-X-PLAYLIST-TYPE
    pub playlist_type: Option<PlaylistType>,
    /// EXT-X-ENDLIST: no segment will be added
    pub is_ended: bool,
    /// EXT-X-I-FRAMES-ONLY
    pub is_iframes_only: bool,
    /// EXT-X-SERVER-CONTROL
    pub control: ServerControl,
    /// PART-TARGET of EXT-X-PART-INF
    pub part_target: Option<Duration>,
    /// The segments in order
    pub segments: Vec<Segment<'a>>,
    /// The parts of all segments, those of the one that is not complete at the end
    pub parts: Vec<Part<'a>>,
    /// The parts of the segment that is not complete
    pub open_parts: Range<u32>,
    /// URIs and ranges of EXT-X-MAP
    pub maps: Vec<Map<'a>>,
    /// EXT-X-KEY; METHOD=NONE is none
    pub keys: Vec<Key<'a>>,
    /// EXT-X-PRELOAD-HINT
    pub hints: Vec<PreloadHint<'a>>,
    /// EXT-X-RENDITION-REPORT
    pub reports: Vec<RenditionReport<'a>>,
    /// SKIPPED-SEGMENTS of EXT-X-SKIP: a delta update (rfc8216bis 6.2.5.1)
    pub skipped: Option<u64>,
    /// EXT-X-DEFINE: URIs with `{$name}` cannot be taken as they stand
    pub has_variables: bool,
}

/// EXT-X-PLAYLIST-TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistType {
    /// Segments are only added.
    Event,
    /// It does not change.
    Vod,
}

/// EXT-X-SERVER-CONTROL (rfc8216bis 4.4.3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerControl {
    /// CAN-BLOCK-RELOAD
    pub can_block_reload: bool,
    /// HOLD-BACK
    pub hold_back: Option<Duration>,
    /// PART-HOLD-BACK
    pub part_hold_back: Option<Duration>,
    /// CAN-SKIP-UNTIL
    pub can_skip_until: Option<Duration>,
    /// CAN-SKIP-DATERANGES
    pub can_skip_dateranges: bool,
}

/// A media segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// As written
    pub uri: &'a str,
    /// EXTINF
    pub duration: Duration,
    /// EXT-X-BYTERANGE
    pub range: Option<ByteRange>,
    /// EXT-X-DISCONTINUITY stands before it
    pub is_discontinuity: bool,
    /// Which of [`Media::maps`]
    pub map: Option<u32>,
    /// Which of [`Media::keys`], the first of several
    pub key: Option<u32>,
    /// EXT-X-PROGRAM-DATE-TIME, where it is written
    pub date: Option<UnixMs>,
    /// EXT-X-GAP: it is not there
    pub is_gap: bool,
    /// Which of [`Media::parts`]
    pub parts: Range<u32>,
}

/// EXT-X-PART.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// As written
    pub uri: &'a str,
    /// DURATION
    pub duration: Duration,
    /// BYTERANGE
    pub range: Option<ByteRange>,
    /// INDEPENDENT
    pub is_independent: bool,
    /// GAP
    pub is_gap: bool,
}

/// EXT-X-MAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<'a> {
    /// As written
    pub uri: &'a str,
    /// BYTERANGE
    pub range: Option<ByteRange>,
}

/// EXT-X-KEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// METHOD
    pub method: &'a str,
    /// URI
    pub uri: &'a str,
}

/// EXT-X-PRELOAD-HINT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreloadHint<'a> {
    /// TYPE=MAP rather than PART
    pub is_map: bool,
    /// As written
    pub uri: &'a str,
    /// BYTERANGE-START
    pub start: u64,
    /// BYTERANGE-LENGTH; none: to the end, wherever that will be
    pub length: Option<u64>,
}

/// EXT-X-RENDITION-REPORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionReport<'a> {
    /// As written
    pub uri: &'a str,
    /// LAST-MSN
    pub last_msn: Option<u64>,
    /// LAST-PART
    pub last_part: Option<u64>,
}

impl Media<'_> {
    /// Whether there may be more of it.
    pub fn is_live(&self) -> bool {
        !self.is_ended && self.playlist_type != Some(PlaylistType::Vod)
    }

    /// The number of the segment at an index of [`Media::segments`].
    pub fn msn(&self, index: usize) -> u64 {
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        self.media_sequence.saturating_add(self.skipped.unwrap_or(0)).saturating_add(index)
    }

    /// How long all that it lists is.
    pub fn window(&self) -> Duration {
        self.segments.iter().fold(Duration::ZERO, |sum, segment| sum + segment.duration)
    }
}

/// Reads a playlist. In time and memory it is bounded by the bytes and by `limits`.
pub fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Playlist<'a>, Unreadable> {
    if bytes.len() > limits.manifest_bytes_max {
        return Err(Unreadable::TooLong);
    }
    // RFC 8216 4.1 forbids the mark; encoders on Windows write it all the same.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if !bytes.starts_with(b"#EXTM3U") {
        return Err(Unreadable::NotManifest);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
    let mut lines = Lines { rest: text, left: limits.lines_max, limits };
    if lines.next_line()? != Some("#EXTM3U") {
        return Err(Unreadable::NotManifest);
    }
    match crate::kind::playlist_form(bytes) {
        crate::HlsForm::Multivariant => {
            multivariant::read(lines, limits).map(Playlist::Multivariant)
        }
        _ => media::read(lines, limits).map(|media| Playlist::Media(Box::new(media))),
    }
}

/// The lines of a playlist that mean something (RFC 8216 4.1): tags and URIs.
struct Lines<'a, 'l> {
    rest: &'a str,
    left: usize,
    limits: &'l Limits,
}

impl<'a> Lines<'a, '_> {
    /// The next tag or URI; comments and empty lines are passed over.
    fn next_line(&mut self) -> Result<Option<&'a str>, Unreadable> {
        while !self.rest.is_empty() {
            self.left = self.left.checked_sub(1).ok_or(Unreadable::TooManyLines)?;
            let end = memchr::memchr(b'\n', self.rest.as_bytes()).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if line.len() > self.limits.line_bytes_max {
                return Err(Unreadable::LineTooLong);
            }
            let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']);
            if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
                return Err(Unreadable::NotText);
            }
            if line.is_empty() || (line.starts_with('#') && !line.starts_with("#EXT")) {
                continue;
            }
            return Ok(Some(line));
        }
        Ok(None)
    }
}
