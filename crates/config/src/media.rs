//! Rules for objects of streams: which paths, what they are, and for how long they hold.

use std::time::Duration;

use toml::de::DeValue;

use crate::key::{Kind, duration};
use crate::read::{Cell, Context, article, printable};
use crate::suggest;
use crate::value::{Value, choice, string};

choice! {
    /// Whether objects of streams are recognised.
    Media {
        /// By type, name and content.
        Auto = "auto",
        /// Only where a rule says so.
        Rules = "rules",
        /// Not at all.
        Off = "off",
    }
}

choice! {
    /// Whose word on lifetimes of streams counts.
    MediaLifetimes {
        /// The origin's; ours where it is silent.
        Silent = "silent",
        /// The shorter one.
        Shorter = "shorter",
        /// Ours.
        Ours = "ours",
    }
}

choice! {
    /// What an object of a stream is.
    MediaKind {
        /// An HLS playlist.
        Playlist = "playlist",
        /// A DASH MPD.
        Mpd = "mpd",
        /// What comes before the segments.
        Init = "init",
        /// A segment, or a part of one.
        Segment = "segment",
        /// A key for segments.
        Key = "key",
        /// Nothing of a stream.
        Other = "other",
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRule {
    /// Which paths.
    pub path: PathPattern,
    /// What they are.
    pub kind: MediaKind,
    /// For how long they hold, whatever their origin says.
    pub ttl: Option<Duration>,
}

/// A path with at most one `*`, which stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    before: String,
    after: Option<String>,
}

/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// Bounds of a rule's lifetime.
const TTL: Kind = duration("100ms", "365d");

impl PathPattern {
    /// Whether a path is one of these.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match &self.after {
            None => path == self.before,
            Some(after) => {
                path.len() >= self.before.len() + after.len()
                    && path.starts_with(&self.before)
                    && path.ends_with(after)
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let fine = text.starts_with(['/', '*'])
            && text.len() <= PATTERN_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        let (before, after) = match text.split_once('*') {
            Some((before, after)) => (before, Some(after.to_owned())),
            None => (text, None),
        };
        let one = after.as_ref().is_none_or(|after| !after.contains('*'));
        (fine && one).then(|| Self { before: before.to_owned(), after })
    }
}

impl Value for PathPattern {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        let pattern = Self::parse(text);
        if pattern.is_none() {
            let problem = "is not a path that begins with \"/\" or \"*\" and has at most one \"*\"";
            cx.refuse(cell, format!("{:?} {problem}", printable(text)));
        }
        pattern
    }
}

impl Value for MediaRule {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        const KEYS: [&str; 3] = ["path", "kind", "ttl"];
        let DeValue::Table(table) = cell.value.get_ref() else {
            cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
            return None;
        };
        for (name, _) in table {
            let name: &str = name.get_ref();
            if !KEYS.contains(&name) {
                let near = suggest::nearest(KEYS.into_iter(), name);
                let near = near.map(|name| format!("`{name}`"));
                let name = printable(name);
                cx.refuse_with(cell, format!("has the unknown key \"{name}\""), near);
                return None;
            }
        }
        let mut of = |key| {
            let value = table.get(key);
            if value.is_none() {
                cx.refuse(cell, format!("has no {key}"));
            }
            value
        };
        let (path, kind) = (of("path")?, of("kind")?);
        let at = |kind, value| Cell { path: cell.path, kind, value };
        let path = PathPattern::read(&at(&Kind::MediaRule, path), cx)?;
        let kind = MediaKind::read(&at(&Kind::Choice(MediaKind::WORDS), kind), cx)?;
        let ttl = match table.get("ttl") {
            Some(value) => Some(Duration::read(&at(&TTL, value), cx)?),
            None => None,
        };
        Some(Self { path, kind, ttl })
    }
}

#[cfg(test)]
mod tests {
    use super::PathPattern;

    #[test]
    fn a_star_stands_for_any_text() {
        let matches =
            |text: &str, path| PathPattern::parse(text).is_some_and(|it| it.matches(path));
        assert!(matches("/live/*", "/live/") && matches("/live/*", "/live/a/b.ts"));
        assert!(matches("/live/*.bin", "/live/a/1.bin") && !matches("/live/*.bin", "/live.bin"));
        assert!(matches("*.seg", "/a.seg") && matches("/one", "/one") && !matches("/one", "/one/"));
        assert!(!matches("/ab*ba", "/aba"), "the same bytes do not count twice");
    }

    #[test]
    fn what_is_no_pattern_is_none() {
        for text in ["", "live/*", "/a*b*", "/a b", "/a?b", "/a#b"] {
            assert_eq!(PathPattern::parse(text), None, "{text}");
        }
        assert_eq!(PathPattern::parse(&format!("/{}", "a".repeat(1024))), None);
    }
}
