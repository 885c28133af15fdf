//! Paths and queries as a URL has them (RFC 3986). A file has exactly one path: what RFC 3986 3.3
//! allows in a segment stands as it is, every other byte is escaped, `%` as well. Control makes the
//! same of the names in an archive.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but unreserved characters (RFC 3986 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All but what may stand in a path, and the slash.
const PATH: &AsciiSet = &SEGMENT
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// The path of a URL for the path of a file.
pub(super) fn path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// One segment of a path of the API: a name of a site, node or the like.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// `path?name=value&..`, of the pairs that have a value.
pub(super) fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_path() {
        for (file, url) in [
            ("/index.html", "/index.html"),
            ("/a b/c+d.txt", "/a%20b/c+d.txt"),
            ("/ä?#%20", "/%C3%A4%3F%23%2520"),
            ("/(a)/@b;c=d,e&f'!*$~:-_", "/(a)/@b;c=d,e&f'!*$~:-_"),
            ("/[id]|", "/%5Bid%5D%7C"),
            ("/{^}`\"<>", "/%7B%5E%7D%60%22%3C%3E"),
        ] {
            assert_eq!(path(file), url);
        }
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("a/../b?c#d e"), "a%2F..%2Fb%3Fc%23d%20e");
        assert_eq!(segment("shop-1.test_~"), "shop-1.test_~");
    }

    #[test]
    fn a_query_has_only_what_was_given() {
        let pairs = [("limit", Some("5")), ("after", None), ("prefix", Some("/a b&c"))];
        assert_eq!(with_query("/v1/x", &pairs), "/v1/x?limit=5&prefix=%2Fa+b%26c");
        assert_eq!(with_query("/v1/x", &[("after", None)]), "/v1/x");
    }
}
