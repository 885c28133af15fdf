//! What a change makes stale (RFC 9111 4.4): after an unsafe method succeeded, the target itself
//! and what `Location` and `Content-Location` name on the same origin.
//!
//! Only the same scheme, host and port count: otherwise one site could invalidate another
//! (RFC 9111 4.4, last paragraph). References are resolved as RFC 3986 5.2 says and normalised as
//! request targets are, so they give the keys that requests for them give.

use crate::key::Scheme;
use crate::target::{Target, normalize_host, normalize_path};
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::borrow::Cow;

/// A resource on the origin of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The path in normal form.
    pub path: String,
    /// The query; apply the site's [`crate::QueryRules`] before making a key.
    pub query: Option<String>,
}

/// Whether this outcome invalidates: any method that is not known to be safe, and a status that is
/// no error (2xx or 3xx).
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}

/// What besides the target itself is invalid now: what `Location` and `Content-Location` name, if
/// it is on the same origin. References that do not resolve are left out.
pub fn targets(target: &Target<'_>, resp_headers: &HeaderMap) -> Vec<Resource> {
    let mut out = Vec::new();
    for name in [LOCATION, CONTENT_LOCATION] {
        for value in resp_headers.get_all(name).iter().take(LINES_MAX) {
            if let Some(resource) = resolve(target, value)
                && !out.contains(&resource)
            {
                out.push(resource);
            }
        }
    }
    out
}

/// Lines of one field that are looked at; a response has one of each.
const LINES_MAX: usize = 4;

/// Whether a reference names the target itself.
pub(crate) fn is_target(target: &Target<'_>, reference: &HeaderValue) -> bool {
    resolve(target, reference).is_some_and(|resource| {
        resource.path == target.path && resource.query.as_deref() == target.query
    })
}

fn resolve(target: &Target<'_>, reference: &HeaderValue) -> Option<Resource> {
    let reference = reference.to_str().ok()?.trim_matches([' ', '\t']);
    let reference = reference.split('#').next().unwrap_or(reference);
    let (absolute, rest) = match split_scheme(reference) {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, reference),
    };
    if absolute.is_some_and(|scheme| !scheme.eq_ignore_ascii_case(target.scheme.as_str())) {
        return None;
    }
    let local = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            same_host(&rest[..end], target.host, target.scheme)?;
            let local = &rest[end..];
            if local.starts_with('/') {
                Cow::Borrowed(local)
            } else {
                Cow::Owned(format!("/{local}"))
            }
        }
        // `http:path` is nothing that RFC 3986 resolves without a host.
        None if absolute.is_some() => return None,
        None => merge(target, rest),
    };
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (&*local, None),
    };
    Some(Resource { path: normalize_path(path).ok()?.into_owned(), query })
}

fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let valid = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then_some((scheme, rest))
}

fn same_host(host: &str, own: &str, scheme: Scheme) -> Option<()> {
    (normalize_host(host, scheme).ok()? == own).then_some(())
}

// RFC 3986 5.2.2 and 5.2.3 for references without scheme and authority.
fn merge<'a>(target: &Target<'_>, reference: &'a str) -> Cow<'a, str> {
    if reference.is_empty() {
        let query = target.query.map(|query| format!("?{query}")).unwrap_or_default();
        return Cow::Owned(format!("{}{query}", target.path));
    }
    if reference.starts_with('?') {
        return Cow::Owned(format!("{}{reference}", target.path));
    }
    let (path, query) = match reference.find('?') {
        Some(at) => reference.split_at(at),
        None => (reference, ""),
    };
    let merged = if path.starts_with('/') {
        path.to_owned()
    } else {
        let base = target.path.rfind('/').map_or("/", |at| &target.path[..=at]);
        format!("{base}{path}")
    };
    Cow::Owned(format!("{}{query}", remove_dot_segments(&merged)))
}

fn remove_dot_segments(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.iter().enumerate() {
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    out.pop();
                }
                if index == last {
                    out.push("");
                }
            }
            plain => out.push(plain),
        }
    }
    format!("/{}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target<'static> =
        Target { scheme: Scheme::Https, host: "shop.test", path: "/a/b/c", query: Some("q=1") };

    fn path_and_query(reference: &str) -> Option<String> {
        let value = HeaderValue::from_str(reference).unwrap();
        let found = resolve(&TARGET, &value)?;
        Some(match found.query {
            Some(query) => format!("{}?{query}", found.path),
            None => found.path,
        })
    }

    #[test]
    fn unsafe_methods_that_do_not_fail_invalidate() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(invalidates(&method, StatusCode::OK), "{method}");
            assert!(invalidates(&method, StatusCode::SEE_OTHER));
            assert!(!invalidates(&method, StatusCode::INTERNAL_SERVER_ERROR));
            assert!(!invalidates(&method, StatusCode::NOT_FOUND));
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert!(!invalidates(&method, StatusCode::OK));
        }
    }

    #[test]
    fn references_resolve_as_rfc_3986_says() {
        for (reference, resolved) in [
            ("/x", "/x"),
            ("x", "/a/b/x"),
            ("./x", "/a/b/x"),
            ("../x", "/a/x"),
            ("../../../x", "/x"),
            ("..", "/a/"),
            ("?y", "/a/b/c?y"),
            ("", "/a/b/c?q=1"),
            ("#f", "/a/b/c?q=1"),
            ("x?y#z", "/a/b/x?y"),
            ("//shop.test/x", "/x"),
            ("https://SHOP.test:443/x?y", "/x?y"),
            ("https://shop.test", "/"),
            ("https://shop.test?y", "/?y"),
            ("/%7euser", "/~user"),
        ] {
            assert_eq!(path_and_query(reference).as_deref(), Some(resolved), "{reference}");
        }
    }

    #[test]
    fn other_origins_and_what_does_not_resolve_are_left_alone() {
        for reference in [
            "http://shop.test/x",
            "https://other.test/x",
            "https://shop.test:8443/x",
            "//other.test/x",
            "https:x",
            "mailto:a@b",
            "/%zz",
            "https://user@shop.test/x",
        ] {
            assert_eq!(path_and_query(reference), None, "{reference}");
        }
    }

    #[test]
    fn both_location_fields_count_once_each() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/x"));
        headers.insert(CONTENT_LOCATION, HeaderValue::from_static("https://shop.test/x"));
        assert_eq!(targets(&TARGET, &headers).len(), 1);
        headers.insert(CONTENT_LOCATION, HeaderValue::from_static("y"));
        assert_eq!(targets(&TARGET, &headers).len(), 2);
    }

    #[test]
    fn a_content_location_is_the_target_only_with_its_query() {
        assert!(is_target(&TARGET, &HeaderValue::from_static("/a/b/c?q=1")));
        assert!(!is_target(&TARGET, &HeaderValue::from_static("/a/b/c")));
    }
}
