//! What a reference means where it stands (RFC 3986 5.2), and which may never be asked for. That a
//! reference is well-formed does not make it allowed: which hosts fragments may come from is for
//! the proxy to say, and [`host_form`](crate::host_form) helps it.

use std::fmt;
use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::limits::URL_BYTES_MAX;

/// How a fragment is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// http
    Http,
    /// https
    Https,
}

/// The address of the page in which a reference stands.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its scheme
    pub scheme: Scheme,
    /// Its host, with the port if that was named
    pub host: &'a str,
    /// Its path
    pub path: &'a str,
    /// Its query, without the question mark
    pub query: Option<&'a str>,
}

/// What is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// None: the page's own, as is the authority.
    pub scheme: Option<Scheme>,
    /// Host in lower case, and the port if it is not the scheme's; none: the page's own.
    pub authority: Option<String>,
    /// The path, which begins with a slash, and the query.
    pub path_and_query: String,
}

/// Why a reference may not be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is there.
    Empty,
    /// It is longer than 8 KiB.
    TooLong,
    /// A space, a control character or a backslash is in it.
    Character,
    /// Neither http nor https.
    Scheme,
    /// It names a user.
    User,
    /// Its host or port is none.
    Host,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Empty, Self::TooLong, Self::Character, Self::Scheme, Self::User, Self::Host];

    /// Its stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "src-empty",
            Self::TooLong => "src-too-long",
            Self::Character => "src-character",
            Self::Scheme => "src-scheme",
            Self::User => "src-user",
            Self::Host => "src-host",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word())
    }
}

impl std::error::Error for Refusal {}

impl Scheme {
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Resolves a reference against the address of the page in which it stands. A fragment (`#...`) is
/// dropped; an address of the page's own scheme and host is given without them.
pub fn resolve(base: &Base<'_>, reference: &str) -> Result<Target, Refusal> {
    if reference.is_empty() {
        return Err(Refusal::Empty);
    }
    if reference.len() > URL_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    if reference.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
        return Err(Refusal::Character);
    }
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    let (scheme, rest) = split_scheme(reference)?;
    let (authority, rest) = match (scheme, rest.strip_prefix("//")) {
        (_, Some(rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        // `http:path` has been read in more than one way.
        (Some(_), None) => return Err(Refusal::Host),
        (None, None) => (None, rest),
    };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, q)| (path, Some(q)));
    let own = scheme.unwrap_or(base.scheme);
    let authority = authority.map(|authority| normal_authority(authority, own)).transpose()?;
    let (path, query) = match &authority {
        Some(_) => (normal_path(path), query),
        None if path.is_empty() => (normal_path(base.path), query.or(base.query)),
        None if path.starts_with('/') => (normal_path(path), query),
        None => {
            let folder = base.path.rfind('/').map_or("/", |end| &base.path[..=end]);
            (normal_path(&format!("{folder}{path}")), query)
        }
    };
    let is_own = own == base.scheme && authority == normal_authority(base.host, own).ok();
    let authority = authority.filter(|_| !is_own);
    let mut path_and_query = utf8_percent_encode(&path, NO_URL).to_string();
    if let Some(query) = query {
        path_and_query.push('?');
        path_and_query.extend(utf8_percent_encode(query, NO_URL));
    }
    if path_and_query.len() > URL_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(Target { scheme: authority.is_some().then_some(own), authority, path_and_query })
}

/// Splits off the scheme, if the reference begins with one (RFC 3986 3.1).
fn split_scheme(reference: &str) -> Result<(Option<Scheme>, &str), Refusal> {
    let end = reference.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    let Some((name, rest)) = end.map(|end| reference.split_at(end)) else {
        return Ok((None, reference));
    };
    let Some(rest) = rest.strip_prefix(':') else { return Ok((None, reference)) };
    if name.eq_ignore_ascii_case("http") {
        Ok((Some(Scheme::Http), rest))
    } else if name.eq_ignore_ascii_case("https") {
        Ok((Some(Scheme::Https), rest))
    } else {
        Err(Refusal::Scheme)
    }
}

/// Host in lower case, and the port if it is not the scheme's.
fn normal_authority(authority: &str, scheme: Scheme) -> Result<String, Refusal> {
    if authority.contains('@') {
        return Err(Refusal::User);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']').ok_or(Refusal::Host)?;
            // Zones (RFC 6874) mean something on one machine only.
            let address: Ipv6Addr = inner.parse().map_err(|_| Refusal::Host)?;
            (format!("[{address}]"), port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let host = &authority[..end];
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_host) {
                return Err(Refusal::Host);
            }
            (host.to_ascii_lowercase(), &authority[end..])
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(host),
        Some("") => Ok(host),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port: u16 = digits.parse().map_err(|_| Refusal::Host)?;
            match port {
                0 => Err(Refusal::Host),
                port if port == scheme.port() => Ok(host),
                port => Ok(format!("{host}:{port}")),
            }
        }
        _ => Err(Refusal::Host),
    }
}

/// Removes dot segments (RFC 3986 5.2.4); gives an absolute path.
fn normal_path(path: &str) -> String {
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
    format!("/{}", out.join("/"))
}

/// What may not stand in an address as it is (RFC 3986 2), and is encoded.
const NO_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// RFC 1035 2.3.4, with a dot at the end.
const HOST_BYTES_MAX: usize = 254;
