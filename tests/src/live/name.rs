//! Names of the objects of a channel.

use std::fmt;

/// An object of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// The multivariant playlist.
    Main,
    /// The MPD that counts segments.
    NumberMpd,
    /// The MPD that lists them.
    TimelineMpd,
    /// The media playlist of a rendition.
    Playlist(usize),
    /// The init segment of a rendition.
    Init(usize),
    /// A segment of a rendition.
    Segment(usize, u64),
    /// A part of a segment of a rendition.
    Part(usize, u64, u64),
}

impl Name {
    /// Reads a path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/live/")?;
        match rest {
            "main.m3u8" => return Some(Self::Main),
            "number.mpd" => return Some(Self::NumberMpd),
            "timeline.mpd" => return Some(Self::TimelineMpd),
            _ => {}
        }
        let (rendition, file) = rest.strip_prefix('v')?.split_once('/')?;
        let rendition = rendition.parse().ok()?;
        match file {
            "index.m3u8" => return Some(Self::Playlist(rendition)),
            "init.mp4" => return Some(Self::Init(rendition)),
            _ => {}
        }
        let number = file.strip_prefix('s')?.strip_suffix(".m4s")?;
        Some(match number.split_once(".p") {
            Some((msn, part)) => Self::Part(rendition, msn.parse().ok()?, part.parse().ok()?),
            None => Self::Segment(rendition, number.parse().ok()?),
        })
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Main | Self::Playlist(_) => "application/vnd.apple.mpegurl",
            Self::NumberMpd | Self::TimelineMpd => "application/dash+xml",
            Self::Init(_) | Self::Segment(..) | Self::Part(..) => "video/mp4",
        }
    }
}

/// The path.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/live/")?;
        match self {
            Self::Main => f.write_str("main.m3u8"),
            Self::NumberMpd => f.write_str("number.mpd"),
            Self::TimelineMpd => f.write_str("timeline.mpd"),
            Self::Playlist(rendition) => write!(f, "v{rendition}/index.m3u8"),
            Self::Init(rendition) => write!(f, "v{rendition}/init.mp4"),
            Self::Segment(rendition, msn) => write!(f, "v{rendition}/s{msn}.m4s"),
            Self::Part(rendition, msn, part) => write!(f, "v{rendition}/s{msn}.p{part}.m4s"),
        }
    }
}
