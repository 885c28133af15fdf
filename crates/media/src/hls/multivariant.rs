//! Multivariant playlists (RFC 8216 4.3.4): which playlists there are, not what is in them.

use super::Lines;
use super::attributes::Attributes;
use super::scalar::{flag, number, once};
use crate::limits::Limits;
use crate::unreadable::Unreadable;

/// A playlist of playlists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multivariant<'a> {
    /// EXT-X-STREAM-INF and EXT-X-I-FRAME-STREAM-INF
    pub variants: Vec<Variant<'a>>,
    /// EXT-X-MEDIA
    pub renditions: Vec<Rendition<'a>>,
    /// URIs of EXT-X-SESSION-KEY
    pub session_keys: Vec<&'a str>,
    /// SERVER-URI of EXT-X-CONTENT-STEERING
    pub steering: Option<&'a str>,
    /// EXT-X-DEFINE: URIs with `{$name}` cannot be taken as they stand
    pub has_variables: bool,
}

/// One variant stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant<'a> {
    /// As written
    pub uri: &'a str,
    /// BANDWIDTH, in bits per second
    pub bandwidth_bps: u64,
    /// AVERAGE-BANDWIDTH, in bits per second
    pub average_bandwidth_bps: Option<u64>,
    /// CODECS
    pub codecs: Option<&'a str>,
    /// RESOLUTION: width and height
    pub resolution: Option<(u64, u64)>,
    /// AUDIO: a group of renditions
    pub audio: Option<&'a str>,
    /// VIDEO
    pub video: Option<&'a str>,
    /// SUBTITLES
    pub subtitles: Option<&'a str>,
    /// It is for fast play.
    pub is_iframe: bool,
}

/// EXT-X-MEDIA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition<'a> {
    /// TYPE: AUDIO, VIDEO, SUBTITLES, CLOSED-CAPTIONS
    pub media_type: &'a str,
    /// GROUP-ID
    pub group: &'a str,
    /// NAME
    pub name: &'a str,
    /// LANGUAGE
    pub language: Option<&'a str>,
    /// As written; none: it is within the variants
    pub uri: Option<&'a str>,
    /// DEFAULT
    pub is_default: bool,
}

pub(super) fn read<'a>(
    mut lines: Lines<'a, '_>,
    limits: &Limits,
) -> Result<Multivariant<'a>, Unreadable> {
    let mut list = Multivariant::default();
    let mut open: Option<Variant<'a>> = None;
    while let Some(line) = lines.next_line()? {
        if list.variants.len() + list.renditions.len() > limits.variants_max
            || list.session_keys.len() > limits.extras_max
        {
            return Err(Unreadable::TooManyVariants);
        }
        let Some(tag) = line.strip_prefix("#EXT") else {
            let variant = open.take().ok_or(Unreadable::Misplaced)?;
            list.variants.push(Variant { uri: line, ..variant });
            continue;
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        let attributes = Attributes::new(value, limits.attributes_max);
        match name {
            "-X-STREAM-INF" => once(&mut open, variant(attributes)?)?,
            "-X-I-FRAME-STREAM-INF" => {
                let variant = Variant { is_iframe: true, ..variant(attributes)? };
                if variant.uri.is_empty() {
                    return Err(Unreadable::Missing);
                }
                list.variants.push(variant);
            }
            "-X-MEDIA" => list.renditions.push(rendition(attributes)?),
            "-X-SESSION-KEY" => list.session_keys.extend(one(attributes, "URI")?),
            "-X-CONTENT-STEERING" => list.steering = one(attributes, "SERVER-URI")?,
            "-X-DEFINE" => list.has_variables = true,
            "INF" | "-X-TARGETDURATION" | "-X-MEDIA-SEQUENCE" | "-X-PART" | "-X-ENDLIST" => {
                return Err(Unreadable::Mixed);
            }
            _ => {}
        }
    }
    if open.is_some() || list.variants.is_empty() {
        return Err(Unreadable::Missing);
    }
    Ok(list)
}

fn variant<'a>(mut attributes: Attributes<'a>) -> Result<Variant<'a>, Unreadable> {
    let mut variant = Variant::default();
    let mut bandwidth = None;
    while let Some((name, value)) = attributes.next_pair()? {
        match name {
            "URI" => variant.uri = value,
            "BANDWIDTH" => bandwidth = Some(number(value)?),
            "AVERAGE-BANDWIDTH" => variant.average_bandwidth_bps = Some(number(value)?),
            "CODECS" => variant.codecs = Some(value),
            "RESOLUTION" => {
                let (width, height) = value.split_once('x').ok_or(Unreadable::Number)?;
                variant.resolution = Some((number(width)?, number(height)?));
            }
            "AUDIO" => variant.audio = Some(value),
            "VIDEO" => variant.video = Some(value),
            "SUBTITLES" => variant.subtitles = Some(value),
            _ => {}
        }
    }
    variant.bandwidth_bps = bandwidth.ok_or(Unreadable::Missing)?;
    Ok(variant)
}

fn rendition<'a>(mut attributes: Attributes<'a>) -> Result<Rendition<'a>, Unreadable> {
    let mut rendition = Rendition::default();
    while let Some((name, value)) = attributes.next_pair()? {
        match name {
            "TYPE" => rendition.media_type = value,
            "GROUP-ID" => rendition.group = value,
            "NAME" => rendition.name = value,
            "LANGUAGE" => rendition.language = Some(value),
            "URI" => rendition.uri = Some(value),
            "DEFAULT" => rendition.is_default = flag(value),
            _ => {}
        }
    }
    if rendition.media_type.is_empty() || rendition.group.is_empty() {
        return Err(Unreadable::Missing);
    }
    Ok(rendition)
}

fn one<'a>(mut attributes: Attributes<'a>, wanted: &str) -> Result<Option<&'a str>, Unreadable> {
    let mut found = None;
    while let Some((name, value)) = attributes.next_pair()? {
        if name == wanted {
            found = Some(value);
        }
    }
    Ok(found)
}
