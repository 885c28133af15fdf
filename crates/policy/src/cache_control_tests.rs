//! Tests of `cache_control.rs`.

use super::*;
use http::HeaderValue;

fn headers(lines: &[&str]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for line in lines {
        out.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
    }
    out
}

fn response(lines: &[&str]) -> ResponseDirectives {
    ResponseDirectives::parse(&headers(lines))
}

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::parse(&headers(&[line]))
}

#[test]
fn names_are_compared_without_case() {
    let read = response(&["No-StOrE, MaX-aGe=5, PRIVATE"]);
    assert!(read.no_store && read.private.is_whole());
    assert_eq!(read.max_age, Some(5));
}

#[test]
fn repeated_lines_are_one_list() {
    let read = response(&["max-age=5", "s-maxage=7, no-cache"]);
    assert_eq!((read.max_age, read.s_maxage), (Some(5), Some(7)));
    assert!(read.no_cache.is_whole());
}

#[test]
fn what_stands_in_a_quoted_string_is_no_directive() {
    let read = response(&[r#"extension="max-age=3600, no-store", max-age=1"#]);
    assert_eq!(read.max_age, Some(1));
    assert!(!read.no_store);
}

#[test]
fn broken_lifetimes_count_as_zero() {
    for value in ["-1", "'3600'", "3600.0", "a1", "1a", "", "\"", "\"1", " 3600", "0x10", "1 2"] {
        let read = response(&[&format!("max-age={value}")]);
        assert_eq!(read.max_age, Some(0), "{value}");
    }
    assert_eq!(response(&["max-age =3600"]).max_age, Some(0));
    assert_eq!(response(&["max-age"]).max_age, Some(0));
}

#[test]
fn numbers_may_be_quoted_zero_padded_and_huge() {
    for (value, seconds) in [
        ("\"3600\"", 3600),
        ("003600", 3600),
        ("2147483647", 2_147_483_647),
        ("2147483648", DELTA_MAX),
        ("99999999999", DELTA_MAX),
        ("1180591620717411303424", DELTA_MAX),
    ] {
        assert_eq!(response(&[&format!("max-age={value}")]).max_age, Some(seconds), "{value}");
    }
}

#[test]
fn of_repeated_numbers_the_first_counts() {
    assert_eq!(response(&["max-age=1, max-age=9"]).max_age, Some(1));
    assert_eq!(response(&["max-age=9", "max-age=1"]).max_age, Some(9));
}

#[test]
fn field_lists_name_fields_and_broken_ones_mean_the_whole_response() {
    let read = response(&[r#"no-cache="a, B", private=X-User"#, r#"no-cache="c""#]);
    assert_eq!(read.no_cache.fields(), ["a", "b", "c"]);
    assert_eq!(read.private.fields(), ["x-user"]);
    for value in [r#""""#, r#""a b""#, r#""a"#, "\"a\u{e4}\"", "(a)"] {
        assert!(response(&[&format!("private={value}")]).private.is_whole(), "{value}");
    }
    assert!(response(&[r#"private="a", private"#]).private.is_whole());
    assert!(response(&[r#"private, private="a""#]).private.is_whole());
}

#[test]
fn more_fields_than_are_kept_mean_the_whole_response() {
    let many = (0..=FIELDS_MAX).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
    assert!(response(&[&format!("no-cache=\"{many}\"")]).no_cache.is_whole());
}

#[test]
fn what_a_spaced_directive_forbids_is_forbidden() {
    assert!(response(&["private =\"\""]).private.is_whole());
    assert!(response(&["no-store = x"]).no_store);
}

#[test]
fn request_directives_are_read() {
    let read = request("max-age=1, min-fresh=2, max-stale=3, stale-if-error=4, only-if-cached");
    assert_eq!(read.max_age, Some(1));
    assert_eq!(read.min_fresh, Some(2));
    assert_eq!(read.max_stale, Some(3));
    assert_eq!(read.stale_if_error, Some(4));
    assert!(read.only_if_cached && !read.no_cache && !read.no_store);
    assert_eq!(request("max-stale").max_stale, Some(DELTA_MAX));
    assert_eq!(request("max-stale=x").max_stale, None);
    assert_eq!(request("max-age=x").max_age, Some(0));
    assert_eq!(request("nothing-to-see-here"), RequestDirectives::default());
    assert_eq!(RequestDirectives::parse(&HeaderMap::new()), RequestDirectives::default());
}
