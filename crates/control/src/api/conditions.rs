//! Conditions of requests that change things (RFC 9110 13.1), against one entity tag.

use http::{HeaderMap, HeaderName, header};

use crate::problem::{Kind, Problem};

/// Whether If-Match and If-None-Match let a change through: `current` is the tag of what is there.
pub(crate) fn check(headers: &HeaderMap, current: Option<&str>) -> Result<(), Problem> {
    let failed = |detail: &str| Err(Problem::new(Kind::PreconditionFailed, detail));
    if headers.contains_key(header::IF_MATCH) && !names(headers, &header::IF_MATCH, current) {
        return failed(match current {
            Some(_) => "it has been changed meanwhile: read it again, then change that",
            None => "it is not there",
        });
    }
    if headers.contains_key(header::IF_NONE_MATCH)
        && names(headers, &header::IF_NONE_MATCH, current)
    {
        return failed("it is there already");
    }
    Ok(())
}

/// Whether what is there is what the client has.
pub(crate) fn is_not_modified(headers: &HeaderMap, current: &str) -> bool {
    headers.contains_key(header::IF_NONE_MATCH)
        && names(headers, &header::IF_NONE_MATCH, Some(current))
}

/// Whether a list of tags names the current one; `*` is any that is there.
fn names(headers: &HeaderMap, field: &HeaderName, current: Option<&str>) -> bool {
    let Some(current) = current else { return false };
    headers.get_all(field).iter().any(|line| {
        let line = line.to_str().unwrap_or_default();
        line.split(',').map(str::trim).any(|tag| {
            // A weak tag never matches for a change; ours are all strong.
            tag == "*" || tag == current
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn two_editors_cannot_overwrite_each_other() {
        let check = |field: HeaderName, value: &'static str, current| {
            let mut headers = HeaderMap::new();
            headers.insert(field, HeaderValue::from_static(value));
            check(&headers, current).is_ok()
        };
        for (value, current, passes) in [
            ("\"v1\"", Some("\"v1\""), true),
            ("\"v1\"", Some("\"v2\""), false),
            ("\"v1\", \"v2\"", Some("\"v2\""), true),
            ("W/\"v1\"", Some("\"v1\""), false),
            ("*", Some("\"v1\""), true),
            ("*", None, false),
        ] {
            assert_eq!(check(header::IF_MATCH, value, current), passes, "If-Match {value}");
            let exists = current.is_some();
            let other = check(header::IF_NONE_MATCH, value, current);
            assert_eq!(other, !passes || !exists, "If-None-Match {value}");
        }
    }
}
