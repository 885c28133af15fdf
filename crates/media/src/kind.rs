//! What an object of a stream is: by its first bytes where they tell, then by its type, then by
//! its name. Types and names are what RFC 8216 4 and 10, ISO/IEC 23009-1 annex C, ISO/IEC
//! 23000-19 and the packagers in use (ffmpeg, Shaka Packager, Apple's tools) write.

use memchr::memmem;

/// As many first bytes are looked at; fewer are enough for most objects.
pub const SNIFF_BYTES: usize = 4096;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A playlist (RFC 8216 4).
    Hls(HlsForm),
    /// A media presentation description (ISO/IEC 23009-1 5).
    Dash(DashForm),
    /// What players need before the segments: `ftyp` and `moov` (RFC 8216 3.3).
    Init,
    /// A segment, or a part of one.
    Segment(Container),
    /// A key for segments (RFC 8216 5).
    Key,
    /// Anything else; no rule of this crate is for it.
    Other,
}

/// Which playlist it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HlsForm {
    /// It names playlists.
    Multivariant,
    /// It names segments.
    Media,
    /// The bytes at hand do not tell.
    Unknown,
}

/// Which MPD it is: its attribute `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DashForm {
    /// On demand, or over
    Static,
    /// Live
    Dynamic,
    /// The bytes at hand do not tell.
    Unknown,
}

/// How a segment is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// fMP4, as of CMAF
    Cmaf,
    /// MPEG-2 transport stream
    Ts,
    /// AAC, AC-3 or MP3 as they are
    Audio,
    /// Subtitles
    WebVtt,
}

impl Kind {
    /// Its stable word, for logs and counters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hls(HlsForm::Multivariant) => "hls-multivariant",
            Self::Hls(HlsForm::Media) => "hls-media",
            Self::Hls(HlsForm::Unknown) => "hls",
            Self::Dash(DashForm::Static) => "mpd-static",
            Self::Dash(DashForm::Dynamic) => "mpd-dynamic",
            Self::Dash(DashForm::Unknown) => "mpd",
            Self::Init => "init",
            Self::Segment(Container::Cmaf) => "segment-cmaf",
            Self::Segment(Container::Ts) => "segment-ts",
            Self::Segment(Container::Audio) => "segment-audio",
            Self::Segment(Container::WebVtt) => "segment-webvtt",
            Self::Key => "key",
            Self::Other => "other",
        }
    }

    /// Whether there is something in it to be read.
    pub const fn is_manifest(self) -> bool {
        matches!(self, Self::Hls(_) | Self::Dash(_))
    }
}

/// What an object is. `content_type` is the field's value (empty: none), `path` that of the
/// request without its query, `first_bytes` as many as are at hand of the body with its coding
/// taken off (empty: not yet known, then type and name alone are believed).
pub fn kind(content_type: &str, path: &str, first_bytes: &[u8]) -> Kind {
    let named = by_type(content_type).unwrap_or_else(|| by_name(path));
    if first_bytes.is_empty() {
        return named;
    }
    let bytes = &first_bytes[..first_bytes.len().min(SNIFF_BYTES)];
    match by_bytes(bytes) {
        // Two octets are all that tells: they need a type or a name beside them.
        Some(found @ Kind::Segment(Container::Audio)) if named == found => found,
        Some(Kind::Segment(Container::Audio)) | None => match named {
            // An error page under the name of a manifest.
            Kind::Hls(_) | Kind::Dash(_) => Kind::Other,
            // Encrypted segments look like nothing.
            other => other,
        },
        Some(found) => found,
    }
}

fn by_type(content_type: &str) -> Option<Kind> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is = |known: &str| essence.eq_ignore_ascii_case(known);
    TYPES.iter().find(|(known, _)| is(known)).map(|(_, kind)| *kind)
}

fn by_name(path: &str) -> Kind {
    let file = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, extension)) = file.rsplit_once('.') else { return Kind::Other };
    let is = |known: &str| extension.eq_ignore_ascii_case(known);
    let found = NAMES.iter().find(|(known, _)| is(known)).map(|(_, kind)| *kind);
    let boxes = found == Some(Kind::Segment(Container::Cmaf)) || is("mp4");
    let stem = stem.as_bytes();
    if boxes && stem.windows(4).any(|word| word.eq_ignore_ascii_case(b"init")) {
        return Kind::Init;
    }
    found.unwrap_or(Kind::Other)
}

fn by_bytes(bytes: &[u8]) -> Option<Kind> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes {
        [b'#', ..] if bytes.starts_with(b"#EXTM3U") => Some(Kind::Hls(playlist_form(bytes))),
        [b'<' | b' ' | b'\t' | b'\r' | b'\n', ..] => description(bytes),
        [b'W', ..] if bytes.starts_with(b"WEBVTT") => Some(Kind::Segment(Container::WebVtt)),
        [0x47, ..] if bytes.get(188) == Some(&0x47) => Some(Kind::Segment(Container::Ts)),
        [b'I', b'D', b'3', ..] => Some(Kind::Segment(Container::Audio)),
        // ADTS (layer is always 0), AC-3, MPEG audio.
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Some(Kind::Segment(Container::Audio)),
        [0x0b, 0x77, ..] => Some(Kind::Segment(Container::Audio)),
        _ => boxes(bytes),
    }
}

pub(crate) fn playlist_form(bytes: &[u8]) -> HlsForm {
    for line in bytes.split(|byte| *byte == b'\n').skip(1) {
        if MULTIVARIANT.iter().any(|tag| line.starts_with(tag)) {
            return HlsForm::Multivariant;
        }
        if MEDIA.iter().any(|tag| line.starts_with(tag)) {
            return HlsForm::Media;
        }
    }
    HlsForm::Unknown
}

fn description(bytes: &[u8]) -> Option<Kind> {
    let start = memmem::find(bytes, b"<MPD")?;
    let next = *bytes.get(start + 4)?;
    if !(next.is_ascii_whitespace() || next == b'>' || next == b'/') {
        return None;
    }
    let end = memchr::memchr(b'>', &bytes[start..]).map(|end| start + end);
    let tag = &bytes[start..end.unwrap_or(bytes.len())];
    let is = |word: &[u8]| memmem::find(tag, word).is_some();
    Some(Kind::Dash(if is(b"type=\"dynamic\"") || is(b"type='dynamic'") {
        DashForm::Dynamic
    } else if end.is_some() {
        // Static is what it is without the attribute (ISO/IEC 23009-1 5.3.1.2).
        DashForm::Static
    } else {
        DashForm::Unknown
    }))
}

/// Boxes of ISO/IEC 14496-12: at most eight are looked at.
fn boxes(bytes: &[u8]) -> Option<Kind> {
    let (mut rest, mut brand) = (bytes, false);
    for _ in 0..8 {
        let Some((head, _)) = rest.split_at_checked(8) else { break };
        match &head[4..8] {
            b"styp" | b"moof" | b"sidx" | b"emsg" | b"prft" => {
                // After `ftyp` it is a whole file, not a segment.
                return (!brand).then_some(Kind::Segment(Container::Cmaf));
            }
            b"moov" if brand => return Some(whole_or_init(rest)),
            b"ftyp" => brand = true,
            b"free" | b"skip" | b"uuid" | b"pdin" | b"meta" => {}
            _ => break,
        }
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(next) = (size >= 8).then(|| rest.get(size..)).flatten() else { break };
        rest = next;
    }
    None
}

/// With samples of its own (`moov` without `mvex`) it is a file to be played, not an init segment.
fn whole_or_init(movie: &[u8]) -> Kind {
    let size = u32::from_be_bytes([movie[0], movie[1], movie[2], movie[3]]);
    let inside = usize::try_from(size).map_or(movie, |size| &movie[..movie.len().min(size)]);
    let ends = usize::try_from(size).is_ok_and(|size| movie.len() >= size);
    let fragmented = memmem::find(inside, b"mvex").is_some();
    if fragmented || !ends { Kind::Init } else { Kind::Other }
}

const MULTIVARIANT: [&[u8]; 5] = [
    b"#EXT-X-STREAM-INF:",
    b"#EXT-X-MEDIA:",
    b"#EXT-X-I-FRAME-STREAM-INF:",
    b"#EXT-X-SESSION-",
    b"#EXT-X-CONTENT-STEERING:",
];
const MEDIA: [&[u8]; 5] = [
    b"#EXTINF:",
    b"#EXT-X-TARGETDURATION:",
    b"#EXT-X-MEDIA-SEQUENCE:",
    b"#EXT-X-PART",
    b"#EXT-X-PLAYLIST-TYPE:",
];

const HLS: Kind = Kind::Hls(HlsForm::Unknown);
const MPD: Kind = Kind::Dash(DashForm::Unknown);
const CMAF: Kind = Kind::Segment(Container::Cmaf);
const TS: Kind = Kind::Segment(Container::Ts);
const AUDIO: Kind = Kind::Segment(Container::Audio);
const WEBVTT: Kind = Kind::Segment(Container::WebVtt);

/// video/mp4 and audio/mp4 are not here: whole files have them too.
const TYPES: &[(&str, Kind)] = &[
    ("application/vnd.apple.mpegurl", HLS),
    ("application/x-mpegurl", HLS),
    ("audio/mpegurl", HLS),
    ("audio/x-mpegurl", HLS),
    ("application/dash+xml", MPD),
    ("video/iso.segment", CMAF),
    ("video/mp2t", TS),
    ("audio/aac", AUDIO),
    ("audio/ac3", AUDIO),
    ("text/vtt", WEBVTT),
];
const NAMES: &[(&str, Kind)] = &[
    ("m3u8", HLS),
    ("m3u", HLS),
    ("mpd", MPD),
    ("m4s", CMAF),
    ("m4f", CMAF),
    ("cmfv", CMAF),
    ("cmfa", CMAF),
    ("cmft", CMAF),
    ("ts", TS),
    ("aac", AUDIO),
    ("ac3", AUDIO),
    ("ec3", AUDIO),
    ("vtt", WEBVTT),
    ("webvtt", WEBVTT),
    ("key", Kind::Key),
];
