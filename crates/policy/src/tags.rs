//! Tags: names that an origin gives to responses, to purge them together by.
//!
//! `Surrogate-Key` separates them by spaces, `Cache-Tag` and `Cache-Tags` by commas, spaces or
//! both; all three are read alike. Case is kept. A tag counts within its site only and is
//! remembered as a keyed hash over site and tag, so clients and origins cannot choose colliding
//! ones. What goes beyond the bounds is left out and counted, never an error.

use crate::key::KeySeed;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// The fields that carry tags.
pub static FIELDS: [HeaderName; 3] = [
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("cache-tags"),
];

/// What tells surrogates how to treat a response (Edge Architecture Specification, W3C note).
pub static SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// Whether a field is for caches and not for clients.
pub fn is_hidden(name: &[u8]) -> bool {
    let mut names = FIELDS.iter().chain([&SURROGATE_CONTROL]);
    names.any(|hidden| hidden.as_str().as_bytes() == name)
}

/// Tags of one response at most.
pub const COUNT_MAX: usize = 1_000;
/// Bytes of one tag at most.
pub const TAG_BYTES_MAX: usize = 1_024;
/// Bytes of all tags of one response together at most.
pub const TOTAL_BYTES_MAX: usize = 16 << 10;

/// The hash of a tag within a site.
pub fn hash(seed: &KeySeed, site: &str, tag: &[u8]) -> u64 {
    seed.hash64(&[b"tag", site.as_bytes(), tag])
}

/// The tags that some fields carry, and how many were left out because of the bounds.
pub fn names(headers: &HeaderMap) -> (Vec<&[u8]>, u64) {
    let (mut found, mut total, mut ignored) = (Vec::new(), 0, 0);
    let values = FIELDS.iter().flat_map(|name| headers.get_all(name));
    for tag in values.flat_map(|value| value.as_bytes().split(is_separator)) {
        if tag.is_empty() {
            continue;
        }
        let fits = tag.len() <= TAG_BYTES_MAX
            && found.len() < COUNT_MAX
            && total + tag.len() <= TOTAL_BYTES_MAX;
        if fits {
            total += tag.len();
            found.push(tag);
        } else {
            ignored += 1;
        }
    }
    (found, ignored)
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',')
}

/// The tags of a response of `site` as hashes, sorted and each once, and how many were left out.
pub fn hashes(seed: &KeySeed, site: &str, headers: &HeaderMap) -> (Arc<[u64]>, u64) {
    let (names, ignored) = names(headers);
    if names.is_empty() {
        return (Arc::default(), ignored);
    }
    let mut hashes: Vec<u64> = names.iter().map(|tag| hash(seed, site, tag)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    (hashes.into(), ignored)
}

/// Removes the fields that are for caches, not for clients.
pub fn hide(headers: &mut HeaderMap) {
    for name in FIELDS.iter().chain([&SURROGATE_CONTROL]) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const SEED: KeySeed = KeySeed::new([3; 16]);

    fn fields(list: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a field value"));
        }
        headers
    }

    #[test]
    fn all_three_fields_are_read_with_commas_and_spaces_and_case_is_kept() {
        let headers = fields(&[
            ("surrogate-key", b"one two\ttwo"),
            ("surrogate-key", b" Three "),
            ("cache-tag", b"four,five, six"),
            ("cache-tags", b",,seven eight,"),
        ]);
        let (found, ignored) = names(&headers);
        let expected: [&[u8]; 9] =
            [b"one", b"two", b"two", b"Three", b"four", b"five", b"six", b"seven", b"eight"];
        assert_eq!((found, ignored), (expected.to_vec(), 0));
        let (tags, _) = hashes(&SEED, "s", &headers);
        assert_eq!(tags.len(), 8, "each once");
        assert!(tags.contains(&hash(&SEED, "s", b"Three")));
        assert!(!tags.contains(&hash(&SEED, "s", b"three")));
        assert!(!tags.contains(&hash(&SEED, "other", b"Three")));
    }

    #[test]
    fn what_goes_beyond_the_bounds_is_left_out_and_counted() {
        let many = vec!["t"; COUNT_MAX + 5].join(" ");
        let (found, ignored) = hashed(many.as_bytes());
        assert_eq!((found, ignored), (COUNT_MAX, 5));
        let long = [b"a ".to_vec(), vec![b'x'; TAG_BYTES_MAX + 1], b" b".to_vec()].concat();
        assert_eq!(hashed(&long), (2, 1));
        let total = vec!["y".repeat(TAG_BYTES_MAX); 17].join(",");
        assert_eq!(hashed(total.as_bytes()), (16, 1));
    }

    fn hashed(value: &[u8]) -> (usize, u64) {
        let headers = fields(&[("cache-tag", value)]);
        let (found, ignored) = names(&headers);
        (found.len(), ignored)
    }

    proptest! {
        #[test]
        fn any_field_value_gives_bounded_tags(value in "[ -~\t]{0,400}") {
            let headers = fields(&[("surrogate-key", value.as_bytes())]);
            let (found, ignored) = names(&headers);
            let total: usize = found.iter().map(|tag| tag.len()).sum();
            prop_assert!(ignored == 0 && total <= value.len());
            prop_assert!(found.iter().all(|tag| !tag.iter().any(is_separator)));
        }
    }
}
