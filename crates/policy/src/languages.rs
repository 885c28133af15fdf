//! `Accept-Language` in a normal form (RFC 9110 12.5.4).
//!
//! Case, whitespace and the order of equally weighted tags carry no meaning, so they go. When a
//! site names its languages, the field is reduced to the one of them it leads to (RFC 4647 3.4,
//! lookup): that is then what variants are told apart by and what the origin is sent.

use crate::encodings::weight;
use crate::list;
use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// More tags than this are cut: no browser sends as many.
const TAGS_MAX: usize = 32;

struct Range {
    tag: String,
    weight: u16,
}

// By weight, heaviest first; equal weights in the order of the client.
fn ranges(headers: &HeaderMap) -> Vec<Range> {
    let mut out = Vec::new();
    for member in list::all_members(headers, ACCEPT_LANGUAGE).take(TAGS_MAX) {
        let mut parts = list::parameters(member);
        let Some(tag) = parts.next().and_then(|tag| std::str::from_utf8(tag).ok()) else {
            continue;
        };
        let Some(weight) = weight(parts) else { continue };
        out.push(Range { tag: tag.to_ascii_lowercase(), weight });
    }
    out.sort_by_key(|range| std::cmp::Reverse(range.weight));
    out
}

/// Writes the normal form: tags by weight, then by name.
pub(crate) fn push_normal_form(headers: &HeaderMap, out: &mut Vec<u8>) {
    let mut ranges = ranges(headers);
    ranges.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.tag.cmp(&b.tag)));
    for (index, range) in ranges.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(range.tag.as_bytes());
        if range.weight < 1000 {
            out.extend_from_slice(b";q=");
            out.extend_from_slice(&range.weight.to_be_bytes());
        }
    }
}

/// The one of `offered` (lower-case) that the client's field leads to, if any.
pub(crate) fn choose<'a>(headers: &HeaderMap, offered: &'a [String]) -> Option<&'a str> {
    for range in ranges(headers).iter().filter(|range| range.weight > 0) {
        let mut tag = range.tag.as_str();
        loop {
            if let Some(found) = offered.iter().find(|language| *language == tag) {
                return Some(found);
            }
            match tag.rsplit_once('-') {
                Some((shorter, _)) => tag = shorter,
                None => break,
            }
        }
    }
    None
}

/// The one language the client likes better than all others.
pub(crate) fn favourite(headers: &HeaderMap) -> Option<String> {
    let mut ranges = ranges(headers).into_iter();
    let first = ranges.next().filter(|range| range.weight > 0 && range.tag != "*")?;
    match ranges.next() {
        Some(second) if second.weight == first.weight => None,
        _ => Some(first.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn field(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn normal(value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        push_normal_form(&field(value), &mut out);
        out
    }

    #[test]
    fn order_of_equals_case_and_space_carry_no_meaning() {
        assert_eq!(normal("en, de"), normal(" dE ,  EN"));
        assert_eq!(normal("en;q=0.5, de"), normal("de,en; q=0.50"));
        assert_ne!(normal("en;q=0.5, de"), normal("en, de;q=0.5"));
    }

    #[test]
    fn a_site_that_names_its_languages_gets_one_of_them() {
        let offered = ["en".to_owned(), "de-ch".to_owned()];
        assert_eq!(choose(&field("de-CH-1996, en;q=0.9"), &offered), Some("de-ch"));
        assert_eq!(choose(&field("de, en-GB;q=0.1"), &offered), Some("en"));
        assert_eq!(choose(&field("fr, en;q=0"), &offered), None);
        assert_eq!(choose(&HeaderMap::new(), &offered), None);
    }

    #[test]
    fn a_favourite_is_alone_at_the_top() {
        assert_eq!(favourite(&field("fr;q=0.5, de;q=1.0")).as_deref(), Some("de"));
        assert_eq!(favourite(&field("fr, de")), None);
        assert_eq!(favourite(&field("*")), None);
        assert_eq!(favourite(&field("fr;q=0")), None);
    }
}
