//! What a reference in a manifest means (RFC 3986 5.2), and whether it stays where it may be
//! fetched from. Stricter than players are: what could be read in two ways is refused, and is
//! then just not fetched ahead.

use std::fmt;

/// No address is longer.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Where a manifest was found, as the proxy knows it.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// `http` or `https`
    pub scheme: &'a str,
    /// Host in lower case, and the port if it is not the scheme's
    pub authority: &'a str,
    /// Begins with a slash
    pub path: &'a str,
}

/// An absolute address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// `http` or `https`
    pub scheme: String,
    /// Host in lower case, and the port if it was named
    pub authority: String,
    /// Without dot segments; begins with a slash
    pub path: String,
    /// Without the question mark
    pub query: Option<String>,
}

impl Url {
    /// What goes into a request line.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// It as the base of others.
    pub fn base(&self) -> Base<'_> {
        Base { scheme: &self.scheme, authority: &self.authority, path: &self.path }
    }
}

/// Why a reference is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is empty, or longer than [`URL_BYTES_MAX`].
    Length,
    /// Spaces, control characters, backslashes, braces, broken percent-encoding, or bytes outside
    /// ASCII.
    Character,
    /// Neither http nor https.
    Scheme,
    /// A host that is none, or that names a user.
    Authority,
    /// Dots or slashes in percent-encoding, of which servers make different paths.
    Path,
    /// Another scheme or authority, or out of the path that it must stay below.
    Outside,
}

impl Refusal {
    /// Its stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Length => "ahead-length",
            Self::Character => "ahead-character",
            Self::Scheme => "ahead-scheme",
            Self::Authority => "ahead-authority",
            Self::Path => "ahead-path",
            Self::Outside => "ahead-outside",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word())
    }
}

impl std::error::Error for Refusal {}

/// Where what is fetched ahead must stay: one scheme and authority, below one path.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// As of [`Base`]
    pub scheme: &'a str,
    /// As of [`Base`]
    pub authority: &'a str,
    /// Begins and ends with a slash
    pub path_prefix: &'a str,
}

impl<'a> Scope<'a> {
    /// The folder of a manifest.
    pub fn folder_of(base: &Base<'a>) -> Self {
        let folder = base.path.rfind('/').map_or("/", |end| &base.path[..=end]);
        Self { scheme: base.scheme, authority: base.authority, path_prefix: folder }
    }

    /// Whether an address stays within.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        let within = url.scheme == self.scheme
            && url.authority.eq_ignore_ascii_case(self.authority)
            && self.path_prefix.ends_with('/')
            && url.path.starts_with(self.path_prefix);
        if within { Ok(()) } else { Err(Refusal::Outside) }
    }
}

/// Resolves a reference against where it stands (RFC 3986 5.2.2). A fragment is dropped.
pub fn resolve(base: &Base<'_>, reference: &str) -> Result<Url, Refusal> {
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    if reference.is_empty() || reference.len() > URL_BYTES_MAX {
        return Err(Refusal::Length);
    }
    check_characters(reference)?;
    let (scheme, rest) = split_scheme(reference)?;
    let scheme = scheme.unwrap_or_else(|| base.scheme.to_owned());
    let own_scheme = rest.len() == reference.len();
    let (authority, rest) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (check_authority(&rest[..end])?, &rest[end..])
        }
        // `http:path` has been read in more than one way.
        None if !own_scheme => return Err(Refusal::Authority),
        None => (base.authority.to_owned(), rest),
    };
    let named = !own_scheme || reference.starts_with("//");
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, q)| (path, Some(q)));
    let path = if path.is_empty() {
        if named { "/".to_owned() } else { base.path.to_owned() }
    } else if path.starts_with('/') || named {
        normal_path(path)?
    } else {
        let folder = base.path.rfind('/').map_or("/", |end| &base.path[..=end]);
        normal_path(&format!("{folder}{path}"))?
    };
    if path.len() > URL_BYTES_MAX {
        return Err(Refusal::Length);
    }
    Ok(Url { scheme, authority, path, query: query.map(str::to_owned) })
}

fn check_characters(reference: &str) -> Result<(), Refusal> {
    let bytes = reference.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let fine = match byte {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            b'\\' | b'{' | b'}' | b'<' | b'>' | b'"' | b'^' | b'`' | b'|' => false,
            _ => byte.is_ascii_graphic(),
        };
        if !fine {
            return Err(Refusal::Character);
        }
    }
    Ok(())
}

/// Splits off the scheme, if the reference begins with one (RFC 3986 3.1).
fn split_scheme(reference: &str) -> Result<(Option<String>, &str), Refusal> {
    let end = reference.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    let Some((name, rest)) = end.map(|end| reference.split_at(end)) else {
        return Ok((None, reference));
    };
    let Some(rest) = rest.strip_prefix(':') else { return Ok((None, reference)) };
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "http" | "https" => Ok((Some(name), rest)),
        _ => Err(Refusal::Scheme),
    }
}

fn check_authority(authority: &str) -> Result<String, Refusal> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if authority.is_empty() || authority.len() > 260 || !authority.bytes().all(fine) {
        return Err(Refusal::Authority);
    }
    Ok(authority.to_ascii_lowercase())
}

/// Whether a path is what all servers take for the same: no dot segments, with or without
/// parameters (RFC 3986 3.3; some servers take those off first), no slashes and dots in
/// percent-encoding, no backslash.
pub fn is_plain_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    path.starts_with('/')
        && !["%2e", "%2f", "%5c", "%00", "/.%3b", "/..%3b", "\\"]
            .iter()
            .any(|odd| lower.contains(odd))
        && !path.split('/').any(dots)
        && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Removes dot segments (RFC 3986 5.2.4); gives an absolute path.
fn normal_path(path: &str) -> Result<String, Refusal> {
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if is_last {
                    out.push("");
                }
            }
            _ => out.push(segment),
        }
    }
    let path = format!("/{}", out.join("/"));
    if is_plain_path(&path) { Ok(path) } else { Err(Refusal::Path) }
}
