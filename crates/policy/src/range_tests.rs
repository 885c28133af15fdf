//! Tests of `range.rs`.

use super::*;

fn read_with(text: &str, length: u64, limits: Limits) -> Ranges {
    parse(&HeaderValue::from_str(text).unwrap(), length, limits)
}

fn read(text: &str, length: u64) -> Ranges {
    read_with(text, length, Limits { parts_max: 4, gap_bytes: 0 })
}

fn some(ranges: &[(u64, u64)]) -> Ranges {
    let ranges = ranges.iter().map(|&(first, last)| Range { first, last }).collect();
    Ranges::Satisfiable(ranges)
}

#[test]
fn well_formed_ranges_are_cut_to_the_object() {
    for (text, expected) in [
        ("bytes=0-1", some(&[(0, 1)])),
        ("Bytes=0-0", some(&[(0, 0)])),
        ("bytes=1-", some(&[(1, 10)])),
        ("bytes=-1", some(&[(10, 10)])),
        ("bytes=-99", some(&[(0, 10)])),
        ("bytes=5-99", some(&[(5, 10)])),
        ("bytes= 0-1 , ,4-5", some(&[(0, 1), (4, 5)])),
        ("bytes=8-9,0-1", some(&[(8, 9), (0, 1)])),
        ("bytes=0-1,99-", some(&[(0, 1)])),
        ("bytes=0-18446744073709551616", some(&[(0, 10)])),
        ("bytes=-18446744073709551616", some(&[(0, 10)])),
        ("bytes=0-340282366920938463463374607431768211456", some(&[(0, 10)])),
    ] {
        assert_eq!(read(text, 11), expected, "{text}");
    }
}

#[test]
fn what_is_broken_or_unknown_is_ignored() {
    for text in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-1,x",
        "bytes=0--1",
        "bytes=+0-1",
        "bytes=0x0-1",
        "lines=0-1",
        "bytes 0-1",
        "bytes=0-1;2-3",
        "bytes=0 -1",
        "bytes=18446744073709551617-1",
    ] {
        assert_eq!(read(text, 11), Ranges::None, "{text}");
    }
}

#[test]
fn what_lies_outside_is_unsatisfiable() {
    for text in ["bytes=11-", "bytes=11-12,99-", "bytes=-0", "bytes=18446744073709551616-"] {
        assert_eq!(read(text, 11), Ranges::Unsatisfiable, "{text}");
    }
    for text in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
        assert_eq!(read(text, 0), Ranges::Unsatisfiable, "{text}");
    }
}

#[test]
fn parts_that_overlap_or_touch_become_one_in_the_place_of_the_first() {
    assert_eq!(read("bytes=4-6,0-1,5-8", 11), some(&[(4, 8), (0, 1)]));
    assert_eq!(read("bytes=2-3,0-1", 11), some(&[(0, 3)]));
    assert_eq!(read("bytes=0-,0-,0-", 11), some(&[(0, 10)]));
    let near = Limits { parts_max: 4, gap_bytes: 2 };
    assert_eq!(read_with("bytes=0-1,4-5,9-", 11, near), some(&[(0, 5), (9, 10)]));
}

#[test]
fn too_many_parts_are_ignored() {
    assert_eq!(read("bytes=0-0,2-2,4-4,6-6,8-8", 11), Ranges::None);
    let thousand = (0..1000).map(|n| format!("{}-{}", n * 2, n * 2)).collect::<Vec<_>>();
    let text = format!("bytes={}", thousand.join(","));
    assert_eq!(read_with(&text, 10_000, Limits::default()), Ranges::None);
}

#[test]
fn if_range_wants_the_very_same_representation() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let stored = |etag, date| {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static(etag));
        headers.insert(LAST_MODIFIED, HeaderValue::from_static(modified));
        headers.insert(DATE, HeaderValue::from_static(date));
        headers
    };
    let later = stored("\"a\"", "Sun, 06 Nov 1994 08:49:39 GMT");
    let asks = |value: &'static str, stored: &HeaderMap| {
        let mut req = HeaderMap::new();
        req.insert(IF_RANGE, HeaderValue::from_static(value));
        if_range(&req, stored)
    };
    assert!(if_range(&HeaderMap::new(), &later));
    assert!(asks("\"a\"", &later));
    assert!(asks(modified, &later));
    assert!(!asks("\"b\"", &later));
    assert!(!asks("W/\"a\"", &later));
    assert!(!asks("Sun, 06 Nov 1994 08:49:38 GMT", &later));
    assert!(!asks("nonsense", &later));
    assert!(!asks("W/\"a\"", &stored("W/\"a\"", modified)));
    assert!(!asks(modified, &stored("\"a\"", modified)), "a date as young as its answer is weak");
}

#[test]
fn fields_name_the_part_and_the_length() {
    assert_eq!(content_range(Range { first: 0, last: 4 }, 10), "bytes 0-4/10");
    assert_eq!(content_range_unsatisfied(10), "bytes */10");
}

#[test]
fn a_multipart_body_is_as_long_as_it_says() {
    let body = b"0123456789";
    let ranges = [Range { first: 8, last: 9 }, Range { first: 0, last: 2 }];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let plan = multipart(&ranges, 10, &headers, 7);
    let mut sent = Vec::new();
    for part in &plan.parts {
        sent.extend_from_slice(&part.preamble);
        sent.extend_from_slice(&body[part.range.first as usize..=part.range.last as usize]);
    }
    sent.extend_from_slice(plan.closing.as_bytes());
    assert_eq!(sent.len() as u64, plan.length);
    let boundary = "00000000000000000000000000000007";
    assert_eq!(plan.content_type, format!("multipart/byteranges; boundary={boundary}"));
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-2/10\r\n\r\n012\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(sent).unwrap(), expected);
}
