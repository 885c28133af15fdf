//! Targeted cache control (RFC 9213): which field governs this response.
//!
//! `CDN-Cache-Control` is a structured dictionary. When it is valid and not empty it alone
//! governs: `Cache-Control` and `Expires` are not looked at, in either direction (RFC 9213 2.2).
//! When it is empty or does not parse it is ignored as if absent. A known directive with a value
//! of the wrong type is ignored on its own; the field still governs.
//!
//! `Surrogate-Control` (Edge Architecture Specification, W3C note) comes after it. Most of these
//! say nothing but what a page is made of: only one that has `max-age`, `no-store` or
//! `no-store-remote` governs. `max-age=60+30` is 60 seconds fresh and 30 more stale.

use crate::cache_control::{DELTA_MAX, Qualified, ResponseDirectives};
use http::HeaderMap;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// Fields that govern before `Cache-Control`, most specific first.
pub const TARGET_LIST: [&str; 1] = ["cdn-cache-control"];
const SURROGATE_CONTROL: &str = "surrogate-control";

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
    if headers.contains_key(SURROGATE_CONTROL)
        && let Some(directives) = surrogate(headers)
    {
        return Effective { directives, targeted: true };
    }
    Effective { directives: ResponseDirectives::parse(headers), targeted: false }
}

/// What `Surrogate-Control` says of lifetimes, if it says anything. Not a structured field: its
/// members are read one by one, and one that makes no sense is none.
fn surrogate(headers: &HeaderMap) -> Option<ResponseDirectives> {
    let joined = join(headers, SURROGATE_CONTROL)?;
    let (mut out, mut governs) = (ResponseDirectives::default(), false);
    for member in joined.split(|byte| *byte == b',') {
        // What follows a semicolon names the one device that is meant: not this one.
        let Ok(member) = str::from_utf8(member) else { continue };
        let member = member.trim();
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        match name.to_ascii_lowercase().as_str() {
            "max-age" => {
                let (fresh, stale) = value.split_once('+').unwrap_or((value, ""));
                // As many digits as there are: what is too large is the largest there is.
                let seconds = |text: &str| {
                    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
                    is_number.then(|| text.parse().unwrap_or(DELTA_MAX).min(DELTA_MAX))
                };
                let Some(fresh) = seconds(fresh) else { continue };
                out.max_age = Some(fresh);
                out.stale_while_revalidate = seconds(stale);
                governs = true;
            }
            "no-store" | "no-store-remote" => (out.no_store, governs) = (true, true),
            _ => {}
        }
    }
    governs.then_some(out)
}

/// The lines of a field as one; none if that is too long.
fn join(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for value in headers.get_all(name) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(value.as_bytes());
    }
    (joined.len() <= FIELD_BYTES_MAX).then_some(joined)
}

fn parse(headers: &HeaderMap, name: &str) -> Option<ResponseDirectives> {
    let joined = join(headers, name)?;
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
    fn surrogates_are_told_lifetimes_after_cdns_and_before_everybody() {
        let field = "surrogate-control";
        let told = read(&[("cache-control", "max-age=1"), (field, "content=\"ESI/1.0\"")]);
        assert!(!told.targeted && told.directives.max_age == Some(1), "nothing of lifetimes");
        let told = read(&[("cache-control", "no-store"), (field, "max-age=60+30, content=\"x\"")]);
        assert!(told.targeted && !told.directives.no_store);
        assert_eq!(told.directives.max_age, Some(60));
        assert_eq!(told.directives.stale_while_revalidate, Some(30));
        assert_eq!(read(&[(field, "max-age=99999999999")]).directives.max_age, Some(DELTA_MAX));
        assert!(read(&[(field, "no-store-remote")]).directives.no_store);
        assert!(read(&[(field, "No-Store")]).directives.no_store);
        for other in ["max-age=60;elsewhere", "no-store;elsewhere", "max-age=-1", "max-age", ""] {
            assert!(!read(&[(field, other)]).targeted, "{other}");
        }
        let told = read(&[(TARGETED, "max-age=5"), (field, "max-age=60")]);
        assert_eq!(told.directives.max_age, Some(5));
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
