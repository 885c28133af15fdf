//! Parts: what is read of them, and what no bytes may make of them.

use super::*;
use crate::time::Now;
use proptest::prelude::*;

fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn place(range: &str, body_bytes: Option<u64>) -> Option<(u64, u64, u64)> {
    let place = Place::of(&fields(&[("content-range", range)]), body_bytes)?;
    Some((place.first, place.end, place.complete))
}

#[test]
fn one_range_is_read_and_written_back() {
    for (text, wanted) in [
        ("bytes=0-9", Some(Wanted::From(0, Some(9)))),
        ("bytes=5-", Some(Wanted::From(5, None))),
        ("Bytes = 5-", Some(Wanted::From(5, None))),
        ("bytes=-5", Some(Wanted::Last(5))),
        ("bytes=5-4", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("lines=1-2", None),
        ("bytes=1-9999999999999999999", None),
    ] {
        let range = HeaderValue::from_str(text).unwrap();
        assert_eq!(single(&range), wanted, "{text}");
        if let Some(wanted) = wanted {
            assert_eq!(single(&wanted.value()), Some(wanted));
        }
    }
}

#[test]
fn a_part_says_where_it_is_or_is_none() {
    assert_eq!(place("bytes 0-4/10", None), Some((0, 5, 10)));
    assert_eq!(place("bytes 0-4/10", Some(5)), Some((0, 5, 10)));
    for (range, bytes) in [
        ("bytes 0-4/10", Some(4)),
        ("bytes 0-4/10", Some(6)),
        ("bytes 0-4/*", None),
        ("bytes */10", None),
        ("bytes 5-4/10", None),
        ("bytes 5-10/10", None),
        ("lines 0-4/10", None),
        ("bytes 4-9/10", Some(7)),
        ("bytes 4-9/10", Some(0)),
        ("bytes 0-4/10, bytes 0-4/10", None),
        ("", None),
    ] {
        assert_eq!(place(range, bytes), None, "{range} {bytes:?}");
    }
    let twice = fields(&[("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")]);
    assert_eq!(Place::of(&twice, None), None);
}

#[test]
fn a_body_that_is_shorter_than_its_range_ends_the_whole() {
    assert_eq!(place("bytes 4-9/10", Some(5)), Some((4, 9, 9)));
}

fn part_of(resp: &[(&'static str, &str)], bytes: u64) -> Result<Part, NoStore> {
    let at = Now { mono_ms: 1000, wall_s: 1_800_000_000 };
    let x = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: &HeaderMap::new(),
        status: StatusCode::PARTIAL_CONTENT,
        resp_headers: &fields(resp),
        requested_at: at,
        received_at: at,
    };
    judge_part(&x, Some(bytes), &SiteRules::default())
}

#[test]
fn the_whole_is_described_by_its_part() {
    let part = part_of(
        &[
            ("cache-control", "max-age=60"),
            ("content-range", "bytes 100-199/1000"),
            ("content-length", "100"),
            ("content-md5", "x"),
            ("etag", "\"v1\""),
        ],
        100,
    );
    let part = part.unwrap();
    assert_eq!((part.first, part.end, part.complete), (100, 200, 1000));
    assert_eq!(part.storable.status(), StatusCode::OK);
    let headers = part.storable.headers();
    assert_eq!(headers.get("content-length").unwrap(), "1000");
    assert!(!headers.contains_key("content-range") && !headers.contains_key("content-md5"));
    assert!(headers.contains_key("etag"));
}

#[test]
fn a_part_is_stored_only_where_the_whole_would_be() {
    let range = ("content-range", "bytes 0-9/100");
    assert_eq!(part_of(&[range, ("cache-control", "no-store")], 10).err(), Some(NoStore::NoStore));
    assert_eq!(part_of(&[("cache-control", "max-age=60")], 10).err(), Some(NoStore::Partial));
}

#[test]
fn only_a_strong_validator_tells_versions_apart() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let earlier = ("last-modified", "Sun, 06 Nov 1994 08:49:36 GMT");
    let same_second = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let strong = |list: &[(&'static str, &str)]| strong_validator(&fields(list)).is_some();
    assert!(strong(&[("etag", "\"a\"")]));
    assert!(!strong(&[("etag", "W/\"a\"")]));
    assert!(!strong(&[("etag", "W/\"a\""), date, earlier]));
    assert!(strong(&[date, earlier]));
    assert!(!strong(&[date, same_second]));
    assert!(!strong(&[earlier]));
    let same = |a: &[(&'static str, &str)], b: &[(&'static str, &str)]| {
        same_version(&fields(a), &fields(b))
    };
    assert!(same(&[("etag", "\"a\"")], &[("etag", "\"a\"")]));
    assert!(!same(&[("etag", "\"a\"")], &[("etag", "\"b\"")]));
    assert!(!same(&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")]));
    assert!(same(&[date, earlier], &[date, earlier]));
    assert!(!same(&[date, earlier], &[("etag", "\"a\""), date, earlier]));
    assert!(!same(&[], &[]));
    let coded = ("content-encoding", "gzip");
    assert!(same(&[("etag", "\"a\""), coded], &[("etag", "\"a\""), coded]));
    assert!(!same(&[("etag", "\"a\""), coded], &[("etag", "\"a\"")]));
}

proptest! {
    #[test]
    fn foreign_bytes_are_refused_or_make_sense(
        bytes in proptest::collection::vec(0x20_u8..0x7f, 0..40),
        digits in "bytes [0-9]{0,20}-[0-9]{0,20}/[0-9]{0,20}",
        length in proptest::option::of(0_u64..100),
    ) {
        for value in [&bytes[..], digits.as_bytes()] {
            let value = HeaderValue::from_bytes(value).unwrap();
            let _ = single(&value);
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, value);
            if let Some(place) = Place::of(&headers, length) {
                prop_assert!(place.first < place.end && place.end <= place.complete);
            }
        }
    }
}
