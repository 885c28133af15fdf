//! The channel as low-latency HLS (rfc8216bis 4.4.4.9, 6.2.5.2): each fragment of a segment is a
//! part, which is given out as soon as it is whole.
//!
//! | path | what |
//! |---|---|
//! | `/live/ll.m3u8` | the encoder's `master.m3u8`, with the playlists below |
//! | `/live/ll_0.m3u8?_HLS_msn=12&_HLS_part=3` | the playlist, when it has that part |
//! | `/live/0-00012.3.m4s` | that part, when it is whole |
//!
//! It knows the encoder's numbers (`encoder.rs`): two seconds a segment, 0.4 a fragment.

use super::shelf::Shelf;
use bytes::Bytes;
use std::fmt::Write;
use std::ops::Range;

/// Segments that a playlist lists, and of how many of them it lists the parts.
const LISTED: usize = 10;
const IN_PARTS: usize = 3;
/// For how long a request waits: three target durations (rfc8216bis 6.2.5.2).
pub(super) const WAIT_S: u64 = 6;

/// Something that may not be there yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A playlist or a part.
    Here(Bytes),
    /// It is worth waiting for.
    Soon,
    /// It will not come.
    Never,
}

/// A request for something of low-latency HLS.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Multivariant,
    /// Of a rendition, with this part of this segment.
    Playlist(char, Option<(u64, usize)>),
    /// Of a rendition, a segment's.
    Part(char, u64, usize),
}

impl Wanted {
    /// What a path below `/live/` and a query want, if it is of this kind.
    pub(super) fn of(name: &str, query: &str) -> Option<Self> {
        if name == "ll.m3u8" {
            return Some(Self::Multivariant);
        }
        if let Some(rendition) = name.strip_prefix("ll_").and_then(|it| it.strip_suffix(".m3u8")) {
            let number = |name: &str| {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                pairs.find(|(key, _)| key == name).and_then(|(_, value)| value.parse::<u64>().ok())
            };
            let part = number("_HLS_part").and_then(|part| part.try_into().ok());
            let wanted = number("_HLS_msn").map(|segment| (segment, part.unwrap_or(usize::MAX)));
            return Some(Self::Playlist(rendition.chars().next()?, wanted));
        }
        let (rendition, numbers) = name.strip_suffix(".m4s")?.split_once('-')?;
        let (segment, part) = numbers.split_once('.')?;
        Some(Self::Part(rendition.chars().next()?, segment.parse().ok()?, part.parse().ok()?))
    }

    /// What there is of it now.
    pub(super) fn find(&self, shelf: &Shelf) -> Found {
        match *self {
            Self::Multivariant => match shelf.bytes("/live/master.m3u8") {
                None => Found::Never,
                Some((text, _)) => {
                    let text = String::from_utf8_lossy(&text).replace("media_", "ll_");
                    Found::Here(text.into())
                }
            },
            Self::Playlist(rendition, wanted) => playlist(shelf, rendition, wanted),
            Self::Part(rendition, segment, part) => find_part(shelf, rendition, segment, part),
        }
    }
}

fn find_part(shelf: &Shelf, rendition: char, number: u64, part: usize) -> Found {
    let Some(last) = shelf.numbers(rendition).last().copied() else { return Found::Never };
    let Some(segment) = Segment::of(shelf, rendition, number) else {
        return if number == last + 1 { Found::Soon } else { Found::Never };
    };
    match segment.fragments.get(part) {
        Some(fragment) => Found::Here(segment.bytes.slice(fragment.range.clone())),
        None if segment.is_whole => Found::Never,
        None => Found::Soon,
    }
}

fn playlist(shelf: &Shelf, rendition: char, wanted: Option<(u64, usize)>) -> Found {
    let numbers = shelf.numbers(rendition);
    let Some(&last) = numbers.last() else { return Found::Never };
    let first = numbers.len().saturating_sub(LISTED);
    let segments: Vec<Segment> =
        numbers[first..].iter().filter_map(|it| Segment::of(shelf, rendition, *it)).collect();
    if let Some((segment, part)) = wanted {
        let has = |it: &Segment| it.number == segment && (it.is_whole || it.fragments.len() > part);
        match segment {
            _ if segment > last + 2 => return Found::Never,
            _ if segment > last => return Found::Soon,
            _ if segment == last && !segments.iter().any(has) => return Found::Soon,
            _ => {}
        }
    }
    Found::Here(written(&segments, rendition).into())
}

fn written(segments: &[Segment], rendition: char) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.8\n\
         #EXT-X-PART-INF:PART-TARGET=0.41\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-MAP:URI=\"init-{rendition}.mp4\"\n",
        segments.first().map_or(1, |segment| segment.number),
    );
    let sample_s = if rendition == SOUND { 1024.0 / 48_000.0 } else { 1.0 / 25.0 };
    for (index, segment) in segments.iter().enumerate() {
        let name = format!("{rendition}-{:05}", segment.number);
        let durations = segment.fragments.iter().map(|it| f64::from(it.samples) * sample_s);
        // Writing to a string does not fail.
        if index + IN_PARTS + 1 >= segments.len() {
            for (part, duration) in durations.clone().enumerate() {
                let alone = if part == 0 || rendition == SOUND { ",INDEPENDENT=YES" } else { "" };
                let _ = writeln!(
                    text,
                    "#EXT-X-PART:DURATION={duration:.5},URI=\"{name}.{part}.m4s\"{alone}"
                );
            }
        }
        if segment.is_whole {
            let _ = writeln!(text, "#EXTINF:{:.5},\n{name}.m4s", durations.sum::<f64>());
        }
    }
    if let Some(last) = segments.last() {
        // The last part is here a moment before the end of its segment.
        let next = match last.fragments.len() {
            parts if last.is_whole || parts >= PARTS => (last.number + 1, 0),
            parts => (last.number, parts),
        };
        let name = format!("{rendition}-{:05}.{}.m4s", next.0, next.1);
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}\"");
    }
    text
}

/// Parts of a segment.
const PARTS: usize = 5;
/// The rendition that is heard.
const SOUND: char = '2';

/// A segment, as far as it is there.
struct Segment {
    number: u64,
    bytes: Bytes,
    is_whole: bool,
    fragments: Vec<Fragment>,
}

impl Segment {
    fn of(shelf: &Shelf, rendition: char, number: u64) -> Option<Self> {
        let (bytes, is_whole) = shelf.bytes(&format!("/live/{rendition}-{number:05}.m4s"))?;
        let fragments = fragments(&bytes);
        Some(Self { number, bytes, is_whole, fragments })
    }
}

/// What can be played of a segment: a `moof` with its `mdat`, and what is in front of them.
#[derive(Debug, PartialEq, Eq)]
struct Fragment {
    range: Range<usize>,
    samples: u32,
}

/// The whole fragments of what is there of a segment (ISO/IEC 14496-12 4.2).
fn fragments(bytes: &[u8]) -> Vec<Fragment> {
    let (mut found, mut begin, mut at, mut samples) = (Vec::new(), 0, 0, 0);
    while let Some((size, kind)) = bytes.get(at..).and_then(header) {
        let Some(content) = bytes.get(at..at + size) else { break };
        at += size;
        match &kind {
            b"moof" => samples = sample_count(content),
            b"mdat" => {
                found.push(Fragment { range: begin..at, samples });
                begin = at;
            }
            _ => {}
        }
    }
    found
}

/// Size and type of the box that begins here.
fn header(bytes: &[u8]) -> Option<(usize, [u8; 4])> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let kind = *bytes.get(4..)?.first_chunk()?;
    (size >= 8).then_some((size, kind))
}

/// How many samples the only run of a `moof` has.
fn sample_count(moof: &[u8]) -> u32 {
    let run = moof.windows(4).position(|kind| kind == b"trun");
    let count = run.and_then(|at| moof.get(at + 8..)?.first_chunk());
    count.map_or(0, |count| u32::from_be_bytes(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32 + 8).to_be_bytes();
        [&size[..], kind, content].concat()
    }

    fn moof(samples: u32) -> Vec<u8> {
        let run = boxed(b"trun", &[[0; 4], samples.to_be_bytes()].concat());
        boxed(b"moof", &boxed(b"traf", &run))
    }

    #[test]
    fn a_fragment_ends_with_its_mdat_and_is_found_when_it_is_whole() {
        let (styp, mdat) = (boxed(b"styp", b"msdh"), boxed(b"mdat", &[7; 20]));
        let bytes = [&styp[..], &moof(10), &mdat, &moof(9), &mdat].concat();
        let first = styp.len() + moof(10).len() + mdat.len();
        let both = fragments(&bytes);
        assert_eq!(both[0], Fragment { range: 0..first, samples: 10 });
        assert_eq!(both[1], Fragment { range: first..bytes.len(), samples: 9 });
        for cut in 0..bytes.len() {
            let count = usize::from(cut >= first);
            assert_eq!(fragments(&bytes[..cut]).len(), count, "{cut} bytes");
        }
    }

    /// A shelf whose first segment is whole and whose second has one part and a half.
    fn shelf() -> Shelf {
        let part = [moof(10), boxed(b"mdat", &[7; 20])].concat();
        let half = [&part[..], &part[..9]].concat();
        let shelf = Shelf::default();
        shelf.hold("/live/0-00001.m4s", &part.repeat(PARTS), true);
        shelf.hold("/live/0-00002.m4s", &half, false);
        shelf
    }

    #[test]
    fn a_playlist_lists_what_is_whole_and_hints_at_what_comes() {
        let Found::Here(text) = Wanted::Playlist('0', None).find(&shelf()) else { panic!("none") };
        let text = String::from_utf8_lossy(&text);
        let end = "#EXT-X-PART:DURATION=0.40000,URI=\"0-00001.4.m4s\"\n\
                   #EXTINF:2.00000,\n0-00001.m4s\n\
                   #EXT-X-PART:DURATION=0.40000,URI=\"0-00002.0.m4s\",INDEPENDENT=YES\n\
                   #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"0-00002.1.m4s\"\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn what_comes_next_is_waited_for_and_what_is_far_is_not() {
        let shelf = shelf();
        let playlist = |segment, part| Wanted::Playlist('0', Some((segment, part))).find(&shelf);
        for (segment, part) in [(1, 4), (1, 9), (1, usize::MAX), (2, 0)] {
            assert!(matches!(playlist(segment, part), Found::Here(_)), "{segment} {part}");
        }
        for (segment, part) in [(2, 1), (2, usize::MAX), (3, 0), (4, 0)] {
            assert_eq!(playlist(segment, part), Found::Soon, "{segment} {part}");
        }
        assert_eq!(playlist(5, 0), Found::Never);
        let part = |segment, part| Wanted::Part('0', segment, part).find(&shelf);
        assert!(matches!(part(1, 4), Found::Here(_)) && matches!(part(2, 0), Found::Here(_)));
        assert_eq!([part(2, 1), part(3, 0)], [Found::Soon, Found::Soon]);
        assert_eq!([part(1, 5), part(4, 0)], [Found::Never, Found::Never]);
    }

    #[test]
    fn names_and_directives_are_understood() {
        let wanted = |name, query| Wanted::of(name, query);
        assert_eq!(wanted("ll.m3u8", ""), Some(Wanted::Multivariant));
        let blocking = Wanted::Playlist('0', Some((12, 3)));
        assert_eq!(wanted("ll_0.m3u8", "CMCD=x&_HLS_msn=12&_HLS_part=3"), Some(blocking));
        assert_eq!(wanted("ll_2.m3u8", ""), Some(Wanted::Playlist('2', None)));
        assert_eq!(wanted("0-00012.3.m4s", ""), Some(Wanted::Part('0', 12, 3)));
        for other in ["0-00012.m4s", "master.m3u8", "init-0.mp4", "ll_.m3u8", "-.m4s", ""] {
            assert_eq!(wanted(other, ""), None, "{other}");
        }
    }
}
