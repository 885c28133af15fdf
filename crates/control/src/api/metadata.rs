//! What a pushed object is served with beside its bytes.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use selvedge_policy::{is_token_byte, tags};

use super::paths;
use crate::problem::{Kind, Problem};

/// Bytes of a content type or of cache rules at most.
const TEXT_BYTES_MAX: usize = 1_024;
const UNKNOWN: &str = "application/octet-stream";

/// What an object is served with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) content_type: String,
    pub(crate) cache_control: Option<String>,
    /// Shared by all objects that one request brings.
    pub(crate) tags: Arc<[String]>,
}

impl Metadata {
    /// As the fields of a request have it that brings the object.
    pub(crate) fn of_request(path: &str, headers: &HeaderMap) -> Result<Self, Problem> {
        let (content_type, cache_control) =
            (text(headers, &header::CONTENT_TYPE)?, text(headers, &header::CACHE_CONTROL)?);
        let (names, left_out) = tags::names(headers);
        if left_out > 0 {
            return Err(Problem::invalid("too many tags, or too long ones"));
        }
        let tags = names.into_iter().map(|tag| String::from_utf8(tag.to_vec()));
        let tags = tags.collect::<Result<_, _>>().map_err(|_| wrong_tag(""))?;
        // A type that is none is left aside: a client that knows better may say so.
        Self::checked(path, content_type.filter(|it| is_media_type(it)), cache_control, tags)
    }

    /// As it was asked for in so many words.
    pub(crate) fn checked(
        path: &str,
        content_type: Option<String>,
        cache_control: Option<String>,
        mut tags: Vec<String>,
    ) -> Result<Self, Problem> {
        let fits = |text: &String| {
            text.len() <= TEXT_BYTES_MAX && text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
        };
        if let Some(wrong) = content_type.as_ref().filter(|it| !is_media_type(it) || !fits(it)) {
            return Err(Problem::invalid(format!("{wrong:?} is not a media type")));
        }
        if cache_control.as_ref().is_some_and(|it| !fits(it)) {
            let detail = format!("cache rules are {TEXT_BYTES_MAX} visible characters at most");
            return Err(Problem::invalid(detail));
        }
        check_tags(&tags)?;
        let mut seen = std::collections::HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        Ok(Self {
            content_type: content_type.unwrap_or_else(|| guessed(path)),
            cache_control: cache_control.filter(|it| !it.trim().is_empty()),
            tags: tags.into(),
        })
    }

    /// The same for another path: its type is the one that this path suggests.
    pub(crate) fn at(&self, path: &str) -> Self {
        Self { content_type: guessed(path), ..self.clone() }
    }

    /// Bytes of what it says.
    pub(crate) fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(String::len).sum();
        self.content_type.len() + self.cache_control.as_ref().map_or(0, String::len) + tags
    }
}

/// Refuses a body that has a content coding: bodies are kept as they are, and nodes compress them.
pub(crate) fn refuse_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_coded = headers.get_all(header::CONTENT_ENCODING).iter().any(|value| {
        !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") && !value.is_empty()
    });
    if !is_coded {
        return Ok(());
    }
    let detail = "push the body without Content-Encoding: nodes compress it for their clients";
    Err(Problem::new(Kind::Unsupported, detail))
}

/// Refuses what says that it is a part of a body: it would be taken for the whole (RFC 9110 14.5).
pub(crate) fn refuse_part(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(header::CONTENT_RANGE) {
        return Ok(());
    }
    let detail = "a body is put whole, without Content-Range: for parts begin an upload";
    Err(Problem::invalid(detail))
}

/// A field as text: its lines joined.
fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let lines = headers.get_all(name).iter().map(HeaderValue::to_str);
    let lines: Vec<&str> = lines
        .collect::<Result<_, _>>()
        .map_err(|_| Problem::invalid(format!("{name} must be visible characters")))?;
    Ok((!lines.is_empty()).then(|| lines.join(", ")))
}

fn check_tags(list: &[String]) -> Result<(), Problem> {
    let total: usize = list.iter().map(String::len).sum();
    if list.len() > tags::COUNT_MAX || total > tags::TOTAL_BYTES_MAX {
        return Err(Problem::invalid("too many tags"));
    }
    let is_tag = |tag: &&String| {
        (1..=tags::TAG_BYTES_MAX).contains(&tag.len())
            && tag.bytes().all(|byte| (b'!'..0x7f).contains(&byte) && byte != b',')
    };
    match list.iter().find(|tag| !is_tag(tag)) {
        Some(tag) => Err(wrong_tag(tag)),
        None => Ok(()),
    }
}

fn wrong_tag(tag: &str) -> Problem {
    Problem::invalid(format!("the tag {tag:?} must be visible ASCII without spaces and commas"))
}

/// Whether it is a media type (RFC 9110 8.3.1), as far as nobody could take it for something else.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// The media type that the name of a file suggests. A folder is its index.
fn guessed(path: &str) -> String {
    let name = if path.ends_with('/') { "index.html" } else { path };
    let name = paths::decoded(name);
    let name = String::from_utf8_lossy(&name);
    let found = mime_guess::from_path(&*name).first_raw().unwrap_or(UNKNOWN);
    if found.starts_with("text/") && !found.contains(';') {
        format!("{found}; charset=utf-8")
    } else {
        found.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, lines: &[(&'static str, &'static str)]) -> Result<Metadata, Kind> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Metadata::of_request(path, &headers).map_err(|problem| problem.kind)
    }

    #[test]
    fn a_type_is_kept_or_guessed() {
        for (path, sent, kept) in [
            ("/a.html", None, "text/html; charset=utf-8"),
            ("/docs/", None, "text/html; charset=utf-8"),
            ("/a.css", None, "text/css; charset=utf-8"),
            ("/a%2Ejs", None, "text/javascript; charset=utf-8"),
            ("/a.png", None, "image/png"),
            ("/a", None, UNKNOWN),
            ("/a.png", Some("image/webp"), "image/webp"),
            ("/a.png", Some("text/html;charset=latin1"), "text/html;charset=latin1"),
            ("/a.png", Some("nonsense"), "image/png"),
            ("/a.png", Some("a/b/c"), "image/png"),
        ] {
            let lines: Vec<_> = sent.map(|it| ("content-type", it)).into_iter().collect();
            assert_eq!(of(path, &lines).expect("valid").content_type, kept, "{path} {sent:?}");
        }
    }

    #[test]
    fn rules_and_tags_are_kept() {
        let lines = [
            ("cache-control", "max-age=5"),
            ("cache-control", "immutable"),
            ("surrogate-key", "a b a"),
            ("cache-tag", "c,d"),
        ];
        let found = of("/a", &lines).expect("valid");
        assert_eq!(found.cache_control.as_deref(), Some("max-age=5, immutable"));
        assert_eq!(*found.tags, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_no_field_can_carry_is_refused() {
        let checked = |content_type: &str, rules: &str, tag: &str| {
            let content_type = Some(content_type.to_owned());
            let (rules, tags) = (Some(rules.to_owned()), vec![tag.to_owned()]);
            Metadata::checked("/a", content_type, rules, tags).is_ok()
        };
        assert!(checked("a/b", "max-age=1", "a"));
        assert!(!checked("a", "max-age=1", "a"));
        assert!(!checked("a/b; x=\r\n", "max-age=1", "a"));
        assert!(!checked("a/b", "max-age=1\r\nx: y", "a"));
        assert!(!checked("a/b", "max-age=1", "a b"));
        assert!(!checked("a/b", "max-age=1", ""));
        assert!(!checked("a/b", "max-age=1", "\u{e9}"));
        let long = "x".repeat(tags::TAG_BYTES_MAX + 1);
        assert!(!checked("a/b", "max-age=1", &long));
    }

    #[test]
    fn a_coded_body_is_refused() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            refuse_coding(&headers).map_err(|problem| problem.kind)
        };
        assert_eq!(check("identity"), Ok(()));
        assert_eq!(check("gzip"), Err(Kind::Unsupported));
    }
}
