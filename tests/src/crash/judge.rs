//! Whether an answer is one that the origin's versions allow. It knows nothing of why: a body that
//! is no version, is too old or has the wrong length is wrong whatever happened to the node.

use super::objects::{Object, Objects};
use crate::response::{ReadError, Response};
use std::ops::Range;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Whole,
    /// From this byte up to and with that one, if it is there.
    Part(u64, Option<u64>),
    /// So many bytes at the end.
    Suffix(u64),
    /// If it is no longer the one with this ETag.
    Changed(String),
}

impl Asked {
    /// The field line that says so.
    pub(super) fn fields(&self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Part(first, None) => format!("Range: bytes={first}-\r\n"),
            Self::Part(first, Some(last)) => format!("Range: bytes={first}-{last}\r\n"),
            Self::Suffix(count) => format!("Range: bytes=-{count}\r\n"),
            Self::Changed(etag) => format!("If-None-Match: {etag}\r\n"),
        }
    }

    /// The bytes of a body of this length.
    fn range(&self, length: u64) -> Option<Range<u64>> {
        match *self {
            Self::Part(first, last) => {
                Some(first..last.map_or(length, |last| (last + 1).min(length)))
            }
            Self::Suffix(count) => Some(length.saturating_sub(count)..length),
            Self::Whole | Self::Changed(_) => None,
        }
    }
}

/// A request, with what was true when it began.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) object: &'a Object,
    pub(super) variant: &'a str,
    pub(super) asked: Asked,
    /// The oldest version allowed.
    pub(super) floor: u64,
}

/// A right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Good {
    /// All of it.
    Whole,
    /// A beginning, of a version that the origin no longer has: cut off instead of mixed.
    CutOff,
}

/// Judges what came; the error says what is wrong with it.
pub(super) fn judge(
    objects: &Objects,
    question: &Question<'_>,
    came: &Result<Response, ReadError>,
) -> Result<Good, String> {
    match came {
        Ok(resp) => whole(objects, question, resp).map(|()| Good::Whole),
        Err(ReadError::Truncated(resp)) => cut_off(objects, question, resp),
        Err(error) => Err(format!("no answer: {error}")),
    }
}

fn whole(objects: &Objects, question: &Question<'_>, resp: &Response) -> Result<(), String> {
    let version = version(question, resp)?;
    let range = range(question, resp, version)?;
    if resp.status == 304 {
        return Ok(());
    }
    compare(objects, question, version, range, &resp.body)
}

/// A body that ends early is right only if the origin has moved on: then the rest of that version
/// is nowhere to be had.
fn cut_off(objects: &Objects, question: &Question<'_>, resp: &Response) -> Result<Good, String> {
    let version = version(question, resp)?;
    let range = range(question, resp, version)?;
    let came = resp.body.len() as u64;
    if version == question.object.current() {
        return Err(format!("version {version} is the newest, yet cut off after {came} bytes"));
    }
    let end = range.start.saturating_add(came).min(range.end);
    compare(objects, question, version, range.start..end, &resp.body)?;
    Ok(Good::CutOff)
}

fn version(question: &Question<'_>, resp: &Response) -> Result<u64, String> {
    let Question { object, variant, floor, .. } = question;
    if !matches!(resp.status, 200 | 206 | 304) {
        return Err(format!("status {}: {:?} {}", resp.status, resp.headers, resp.text()));
    }
    let etag = resp.header("etag").ok_or_else(|| format!("no ETag in {:?}", resp.headers))?;
    let version = object
        .version(variant, etag)
        .filter(|version| (1..=object.current()).contains(version))
        .ok_or_else(|| format!("the origin never sent {etag}: {:?}", resp.headers))?;
    if version < *floor {
        return Err(format!(
            "version {version} was removed by {}: {floor} is the oldest allowed; {:?}",
            object.floor_by(),
            resp.headers
        ));
    }
    Ok(version)
}

/// The bytes that the answer says it brings.
fn range(question: &Question<'_>, resp: &Response, version: u64) -> Result<Range<u64>, String> {
    let length = question.object.length(version);
    match (resp.status, question.asked.range(length)) {
        // A server may ignore a Range (RFC 9110 14.2).
        (200, _) => Ok(0..length),
        (206, Some(range)) => {
            let expected = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            match resp.header("content-range") {
                Some(said) if said == expected => Ok(range),
                said => Err(format!("Content-Range {said:?}, not {expected}")),
            }
        }
        (304, None)
            if question.asked == Asked::Changed(resp.header("etag").unwrap_or("").into()) =>
        {
            Ok(0..0)
        }
        (status, _) => Err(format!("status {status} for {:?}", question.asked)),
    }
}

fn compare(
    objects: &Objects,
    question: &Question<'_>,
    version: u64,
    range: Range<u64>,
    body: &[u8],
) -> Result<(), String> {
    let expected = objects.bytes(question.object, question.variant, version, range.clone());
    if expected == body {
        return Ok(());
    }
    let same = expected.iter().zip(body).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{} bytes that are not bytes {range:?} of version {version} ({} bytes); they differ at {}",
        body.len(),
        expected.len(),
        range.start + same as u64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, etag: &str, range: Option<&str>, body: Vec<u8>) -> Response {
        let mut headers = vec![("etag".to_owned(), etag.to_owned())];
        headers.extend(range.map(|range| ("content-range".to_owned(), range.to_owned())));
        Response { status, headers, body, ..Response::default() }
    }

    /// Judges an answer about the first large object, of which there are versions 1 to 3 and the
    /// first is purged.
    fn judged(asked: Asked, came: impl Fn(&Objects, &Object) -> Response) -> Result<Good, String> {
        let objects = Objects::new();
        let object = objects.all.iter().find(|object| object.is_large()).expect("there is one");
        object.change();
        object.change();
        object.purged_before(2);
        let resp = came(&objects, object);
        let question = Question { object, variant: "", asked, floor: 2 };
        judge(&objects, &question, &Ok(resp))
    }

    #[test]
    fn a_version_of_the_origin_is_right() {
        let good = judged(Asked::Whole, |objects, object| {
            let body = objects.bytes(object, "", 2, 0..object.length(2));
            answer(200, &object.etag("", 2), None, body)
        });
        assert_eq!(good, Ok(Good::Whole));
        let good = judged(Asked::Part(5000, Some(1_500_000)), |objects, object| {
            let body = objects.bytes(object, "", 3, 5000..1_500_001);
            let range = format!("bytes 5000-1500000/{}", object.length(3));
            answer(206, &object.etag("", 3), Some(&range), body)
        });
        assert_eq!(good, Ok(Good::Whole));
    }

    #[test]
    fn what_no_version_is_is_found() {
        let old = judged(Asked::Whole, |objects, object| {
            let body = objects.bytes(object, "", 1, 0..object.length(1));
            answer(200, &object.etag("", 1), None, body)
        });
        assert!(old.unwrap_err().contains("was removed by a purge"));
        let mixed = judged(Asked::Whole, |objects, object| {
            let mut body = objects.bytes(object, "", 3, 0..1 << 20);
            body.extend(objects.bytes(object, "", 2, 1 << 20..object.length(3)));
            answer(200, &object.etag("", 3), None, body)
        });
        assert!(mixed.unwrap_err().contains("differ at 1048576"));
        let future =
            judged(Asked::Whole, |_, object| answer(200, &object.etag("", 4), None, Vec::new()));
        assert!(future.unwrap_err().contains("never sent"));
        let failed = judged(Asked::Whole, |_, _| answer(502, "", None, Vec::new()));
        assert!(failed.unwrap_err().contains("502"));
    }

    #[test]
    fn a_body_may_be_cut_off_only_when_its_version_is_no_more() {
        let objects = Objects::new();
        let object = objects.all.iter().find(|object| object.is_large()).expect("there is one");
        object.change();
        let question = Question { object, variant: "", asked: Asked::Whole, floor: 1 };
        let came = |version| {
            let body = objects.bytes(object, "", version, 0..70_000);
            let resp = answer(200, &object.etag("", version), None, body);
            judge(&objects, &question, &Err(ReadError::Truncated(Box::new(resp))))
        };
        assert_eq!(came(1), Ok(Good::CutOff));
        assert!(came(2).unwrap_err().contains("newest"));
    }
}
