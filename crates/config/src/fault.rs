//! What is wrong with a configuration, said so that it can be put right without a manual.

use std::fmt;
use std::ops::Range;

/// Most faults that are listed; the rest is counted.
pub const FAULTS_MAX: usize = 100;

/// Most characters of a line that are shown.
const EXCERPT_CHARS_MAX: usize = 120;

/// Parts of a line that may stand beside a credential: such a line is not shown.
const SECRET_SIGNS: &[&str] = &["@", "_header", "authorization", "cookie", "token"];

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line it is on, from 1.
    pub line: usize,
    /// Column it begins at, in characters, from 1.
    pub column: usize,
    /// The key, as the documentation names it (`site.ttl_min`); empty for a syntax error.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub allowed: Option<String>,
    /// The known key or word that is nearest to an unknown one.
    pub suggestion: Option<String>,
    /// The line, made safe for a terminal; `None` where it may hold a secret or does not exist.
    excerpt: Option<Excerpt>,
}

/// A line of the file and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    mark_start: usize,
    mark_chars: usize,
}

/// All that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Name of the file.
    pub origin: String,
    /// The faults.
    pub list: Vec<Fault>,
    /// How many more there were.
    pub omitted: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}", self.problem)?;
        } else {
            write!(f, "{}: {}", self.key, self.problem)?;
        }
        if let Some(excerpt) = &self.excerpt {
            let gutter = self.line.to_string().len();
            write!(f, "\n  {} | {}", self.line, excerpt.line)?;
            let (start, chars) = (excerpt.mark_start, excerpt.mark_chars);
            write!(f, "\n  {:gutter$} | {:start$}{}", "", "", "^".repeat(chars))?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n      did you mean {suggestion}?")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n      allowed: {allowed}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.list.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}:{}: {fault}", self.origin, fault.line, fault.column)?;
        }
        if self.omitted > 0 {
            write!(f, "\n{}: {} more faults are not shown", self.origin, self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What a fault says, before its place is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finding {
    pub(crate) key: String,
    pub(crate) problem: String,
    pub(crate) allowed: Option<String>,
    pub(crate) suggestion: Option<String>,
    /// The line must not be shown: it may hold a credential.
    pub(crate) secret: bool,
}

impl Finding {
    /// The fault at `span` of `text`; without a span the file as a whole is meant.
    pub(crate) fn at(self, text: &str, span: Option<&Range<usize>>) -> Fault {
        let start = span.map_or(0, |span| floor(text, span.start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let column = text[line_start..start].chars().count();
        let line = &text[line_start..line_end];
        let secret = self.secret || may_hold_secret(line);
        let excerpt = span.filter(|_| !secret).map(|span| {
            let marked = &text[start..floor(text, span.end).clamp(start, line_end)];
            Excerpt::new(line, column, marked.chars().count())
        });
        Fault {
            line: text[..start].matches('\n').count() + 1,
            column: column + 1,
            key: self.key,
            problem: self.problem,
            allowed: self.allowed,
            suggestion: self.suggestion,
            excerpt: excerpt.filter(|excerpt| !excerpt.line.trim().is_empty()),
        }
    }
}

impl Excerpt {
    /// The part of `line` around the mark, without characters a terminal would act on.
    fn new(line: &str, column: usize, chars: usize) -> Self {
        let skipped = column.saturating_sub(EXCERPT_CHARS_MAX / 2);
        let shown = line.chars().skip(skipped).take(EXCERPT_CHARS_MAX);
        let line: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mark_start = column - skipped;
        let room = line.chars().count().saturating_sub(mark_start);
        Self { line: line.trim_end().to_owned(), mark_start, mark_chars: chars.min(room).max(1) }
    }
}

/// Whether a line may hold a credential.
fn may_hold_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    SECRET_SIGNS.iter().any(|sign| line.contains(sign))
}

/// The nearest character boundary of `text` at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}
