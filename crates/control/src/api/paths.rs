//! The paths of pushed objects. They are kept in the form that keys have at nodes, and what could
//! mean another path to anyone who reads it is refused.

use std::fmt::Write;

use http::Uri;
use selvedge_policy::normalize_path;

use crate::problem::Problem;

/// Bytes of a path at most, as it is sent.
const BYTES_MAX: usize = 1_024;

/// The path of an object in the form that keys have. Takes it as it stands in a URL.
pub(crate) fn object_path(raw: &str) -> Result<String, Problem> {
    let refused = |why: &str| {
        let shown: String = raw.chars().take(100).collect();
        Err(Problem::invalid(format!("the path {shown:?} {why}")))
    };
    if raw.len() > BYTES_MAX {
        return refused(&format!("is longer than {BYTES_MAX} bytes"));
    }
    let Ok(path) = normalize_path(raw) else {
        return refused("must begin with a slash, and have nothing in it that a URL cannot have");
    };
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return refused("has an empty segment");
        }
        let bytes = decoded(segment);
        if matches!(bytes.as_slice(), b"." | b"..") {
            return refused("has a dot segment");
        }
        if bytes.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\')) {
            return refused("has an encoded control, slash or backslash");
        }
    }
    Ok(path.into_owned())
}

/// What a sub-tree begins with: the path of a folder, which ends in a slash.
pub(crate) fn folder_path(raw: &str) -> Result<String, Problem> {
    let path = object_path(raw)?;
    if path.ends_with('/') {
        return Ok(path);
    }
    Err(Problem::invalid(format!("the prefix {path:?} must end in a slash: it names a folder")))
}

/// The path of a file below a folder, from its name in an archive: every byte that has a meaning
/// in a URL or none is encoded.
pub(crate) fn file_path(folder: &str, name: &[u8]) -> Result<String, Problem> {
    if name.len() > BYTES_MAX {
        return Err(Problem::invalid(format!("a name is longer than {BYTES_MAX} bytes")));
    }
    let mut raw = String::with_capacity(folder.len() + name.len());
    raw.push_str(folder);
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            raw.push(char::from(byte));
        } else {
            let _ = write!(raw, "%{byte:02X}");
        }
    }
    object_path(&raw)
}

/// The site and the path of an object, as they stand in `/v1/sites/{site}/objects{path}`.
pub(crate) fn target(uri: &Uri) -> Result<(&str, &str), Problem> {
    let path = uri.path();
    let slash = |number: usize| path.match_indices('/').nth(number).map(|(at, _)| at);
    match (slash(2), slash(3), slash(4)) {
        (Some(site), Some(end), Some(object)) => Ok((&path[site + 1..end], &path[object..])),
        _ => Err(Problem::invalid("the path of the object is missing")),
    }
}

/// A folder that has this file as its index has the same object.
pub(crate) fn folder_of_index(path: &str) -> Option<&str> {
    path.strip_suffix("index.html").filter(|folder| folder.ends_with('/'))
}

/// The bytes that a segment stands for. Its escapes are well-formed.
pub(crate) fn decoded(segment: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_taken_in_one_form_or_not_at_all() {
        for (raw, path) in [
            ("/", Some("/")),
            ("/index.html", Some("/index.html")),
            ("/docs/", Some("/docs/")),
            ("/a%62c", Some("/abc")),
            ("/caf%c3%a9", Some("/caf%C3%A9")),
            ("/latin%E9", Some("/latin%E9")),
            ("/a%20b", Some("/a%20b")),
            ("/...", Some("/...")),
            ("/a..b/.well-known/x", Some("/a..b/.well-known/x")),
            ("/%252e%252e/x", Some("/%252e%252e/x")),
            ("/%23%3F", Some("/%23%3F")),
            ("", None),
            ("a", None),
            ("//a", None),
            ("/a//b", None),
            ("/a/b//", None),
            ("/..", None),
            ("/a/../b", None),
            ("/a/.", None),
            ("/./a", None),
            ("/%2e%2e/a", None),
            ("/%2E./a", None),
            ("/.%2e", None),
            ("/a/%2e", None),
            ("/a%00b", None),
            ("/a%0ab", None),
            ("/a%7F", None),
            ("/a%1fb", None),
            ("/a\\b", None),
            ("/a%5cb", None),
            ("/a%5C..%5Cb", None),
            ("/a%2fb", None),
            ("/%2F..%2Fetc", None),
            ("/a%", None),
            ("/a%4", None),
            ("/a%zz", None),
            ("/a b", None),
            ("/a?b", None),
            ("/a#b", None),
            ("/caf\u{e9}", None),
        ] {
            assert_eq!(object_path(raw).ok().as_deref(), path, "{raw}");
        }
        let long = format!("/{}", "a".repeat(BYTES_MAX - 1));
        assert!(object_path(&long).is_ok());
        assert!(object_path(&format!("{long}a")).is_err());
        assert!(object_path(&format!("/{}", "a/".repeat(2_048))).is_err());
    }

    #[test]
    fn a_file_name_is_encoded_and_never_leaves_its_folder() {
        let path = |name: &[u8]| file_path("/site/", name).ok();
        assert_eq!(path(b"a b/c%d.html").as_deref(), Some("/site/a%20b/c%25d.html"));
        assert_eq!(path("caf\u{e9}".as_bytes()).as_deref(), Some("/site/caf%C3%A9"));
        for name in [&b"../a"[..], b"/etc/passwd", b"a/../b", b"a\\b", b"a\0b", b"a//b", b"."] {
            assert_eq!(path(name), None, "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn the_target_is_cut_from_the_path_as_it_was_sent() {
        let cut = |path: &str| {
            let uri: Uri = path.parse().expect("a path");
            target(&uri).map(|(site, path)| format!("{site} {path}")).ok()
        };
        assert_eq!(cut("/v1/sites/a/objects/b/c%2e?q").as_deref(), Some("a /b/c%2e"));
        assert_eq!(cut("/v1/sites/a/objects/").as_deref(), Some("a /"));
        assert_eq!(cut("/v1/sites/a/objects//b").as_deref(), Some("a //b"));
        assert_eq!(cut("/v1/sites/a/objects"), None);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_in_its_last_form(raw in "/[ -~]{0,40}") {
            if let Ok(path) = object_path(&raw) {
                prop_assert_eq!(object_path(&path).ok(), Some(path.clone()));
                prop_assert!(!decoded(&path).windows(4).any(|part| part == b"/../"));
            }
        }

        #[test]
        fn any_name_stays_below_its_folder(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = file_path("/a/", &name) {
                prop_assert!(path.starts_with("/a/"));
                prop_assert_eq!(decoded(&path[3..]), name);
            }
        }
    }
}
