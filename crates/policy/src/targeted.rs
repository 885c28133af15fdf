//! Targeted cache control (RFC 9213): which field governs this response.
//!
//! `CDN-Cache-Control` is a structured dictionary. When it is valid and not empty it alone
//! governs: `Cache-Control` and `Expires` are not looked at, in either direction (RFC 9213 2.2).
//! When it is empty or does not parse it is ignored as if absent. A known directive with a value
//! of the wrong type is ignored on its own; the field still governs.

use crate::cache_control::{DELTA_MAX, Qualified, ResponseDirectives};
use http::HeaderMap;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// Fields that govern before `Cache-Control`, most specific first.
pub const TARGET_LIST: [&str; 1] = ["cdn-cache-control"];

/// The longest field that is parsed; longer ones are ignored.
const FIELD_BYTES_MAX: usize = 8192;

/// The directives that govern a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The directives.
    pub directives: ResponseDirectives,
    /// Whether they come from a targeted field: then `Expires` does not count.
    pub targeted: bool,
}

/// The directives of the first targeted field that is valid and not empty, else `Cache-Control`.
pub fn effective(headers: &HeaderMap) -> Effective {
    for name in TARGET_LIST {
        if headers.contains_key(name)
            && let Some(directives) = parse(headers, name)
        {
            return Effective { directives, targeted: true };
        }
    }
    Effective { directives: ResponseDirectives::parse(headers), targeted: false }
}

fn parse(headers: &HeaderMap, name: &str) -> Option<ResponseDirectives> {
    let mut joined = Vec::new();
    for value in headers.get_all(name) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(value.as_bytes());
    }
    if joined.len() > FIELD_BYTES_MAX {
        return None;
    }
    let dictionary = Parser::new(&joined).parse::<Dictionary>().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut out = ResponseDirectives::default();
    for (key, entry) in &dictionary {
        add(&mut out, key.as_str(), entry);
    }
    Some(out)
}

fn add(out: &mut ResponseDirectives, key: &str, entry: &ListEntry) {
    match key {
        "max-age" => out.max_age = seconds(entry),
        "s-maxage" => out.s_maxage = seconds(entry),
        "stale-while-revalidate" => out.stale_while_revalidate = seconds(entry),
        "stale-if-error" => out.stale_if_error = seconds(entry),
        "no-cache" => qualify(&mut out.no_cache, entry),
        "private" => qualify(&mut out.private, entry),
        "no-store" => out.no_store = is_set(entry),
        "public" => out.public = is_set(entry),
        "must-revalidate" => out.must_revalidate = is_set(entry),
        "proxy-revalidate" => out.proxy_revalidate = is_set(entry),
        "must-understand" => out.must_understand = is_set(entry),
        "no-transform" => out.no_transform = is_set(entry),
        "immutable" => out.immutable = is_set(entry),
        _ => {}
    }
}

fn bare(entry: &ListEntry) -> Option<&BareItem> {
    match entry {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    }
}

// A negative lifetime is over.
fn seconds(entry: &ListEntry) -> Option<u32> {
    let integer = i64::from(bare(entry)?.as_integer()?);
    u32::try_from(integer.clamp(0, i64::from(DELTA_MAX))).ok()
}

// Anything but an explicit false counts: these directives only ever forbid, or take no value.
fn is_set(entry: &ListEntry) -> bool {
    bare(entry).and_then(BareItem::as_boolean) != Some(false)
}

fn qualify(slot: &mut Qualified, entry: &ListEntry) {
    match bare(entry) {
        Some(BareItem::Boolean(false)) => {}
        Some(BareItem::String(text)) => slot.add_list(text.as_str().as_bytes()),
        Some(BareItem::Token(text)) => slot.add_list(text.as_str().as_bytes()),
        _ => *slot = Qualified::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(lines: &[(&'static str, &str)]) -> Effective {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        effective(&headers)
    }

    const TARGETED: &str = "cdn-cache-control";

    #[test]
    fn a_valid_targeted_field_governs_alone() {
        let read = read(&[("cache-control", "no-store"), (TARGETED, "max-age=10000")]);
        assert!(read.targeted && !read.directives.no_store);
        assert_eq!(read.directives.max_age, Some(10_000));
    }

    #[test]
    fn an_invalid_or_empty_targeted_field_is_ignored() {
        for value in ["", " ", "max-age=10, &&&&&", "max-age =10", "max-age= 10", "MaX-aGe=10", ","]
        {
            let read = read(&[("cache-control", "max-age=1"), (TARGETED, value)]);
            assert!(!read.targeted, "{value}");
            assert_eq!(read.directives.max_age, Some(1), "{value}");
        }
    }

    #[test]
    fn a_directive_of_the_wrong_type_is_ignored_but_the_field_governs() {
        for value in [r#"max-age="10""#, "max-age=1.5", "max-age=(1 2)", "max-age"] {
            let read = read(&[("cache-control", "max-age=1"), (TARGETED, value)]);
            assert!(read.targeted, "{value}");
            assert_eq!(read.directives.max_age, None, "{value}");
        }
    }

    #[test]
    fn numbers_are_clamped_and_parameters_ignored() {
        assert_eq!(read(&[(TARGETED, "max-age=99999999999")]).directives.max_age, Some(DELTA_MAX));
        assert_eq!(read(&[(TARGETED, "max-age=-3")]).directives.max_age, Some(0));
        assert_eq!(read(&[(TARGETED, "max-age=3;x=y")]).directives.max_age, Some(3));
    }

    #[test]
    fn lines_are_joined_and_the_last_of_a_repeated_key_counts() {
        let read = read(&[(TARGETED, "max-age=1, public"), (TARGETED, "max-age=2")]);
        assert_eq!(read.directives.max_age, Some(2));
        assert!(read.directives.public);
    }

    #[test]
    fn private_and_no_cache_may_name_fields() {
        let read = read(&[(TARGETED, r#"private="a, b", no-cache, no-store=?0"#)]);
        assert_eq!(read.directives.private.fields(), ["a", "b"]);
        assert!(read.directives.no_cache.is_whole() && !read.directives.no_store);
    }
}
