//! Texts with a small grammar of their own: names, words, paths, patterns.

use std::fmt;
use std::path::PathBuf;

use crate::key::Kind;
use crate::read::{Cell, Context, article, printable};
use crate::suggest;
use crate::value::{Empty, Value, choice, string, word};

/// Longest name of a node or a site.
const NAME_BYTES_MAX: usize = 64;
/// Longest path of a health probe.
const PATH_BYTES_MAX: usize = 1024;
/// Longest pattern of a query parameter.
const QUERY_NAME_BYTES_MAX: usize = 128;
/// Longest language tag (RFC 5646 4.4.1).
const LANGUAGE_BYTES_MAX: usize = 35;
/// Longest word that names a key or a token.
const WORD_BYTES_MAX: usize = 32;
/// Longest prefix of paths.
const PREFIX_BYTES_MAX: usize = 512;
/// Longest origin of a page.
const ORIGIN_BYTES_MAX: usize = 300;
/// Longest media type.
const MEDIA_TYPE_BYTES_MAX: usize = 127;

choice! {
    /// Which of several origins is asked.
    OriginPolicy {
        /// The first; the others when it is down.
        Ordered = "ordered",
        /// Each in proportion to its weight.
        Weighted = "weighted",
    }
}

choice! {
    /// Which pages are assembled from fragments.
    Esi {
        /// Those that ask for it.
        SurrogateControl = "surrogate-control",
        /// All of certain types.
        Always = "always",
        /// None.
        Off = "off",
    }
}

choice! {
    /// Where clients show the token that a site asks for.
    Signed {
        /// Nowhere: none is asked for.
        Off = "off",
        /// In the query.
        Query = "query",
        /// In a cookie.
        Cookie = "cookie",
        /// In the query, or else in a cookie.
        Both = "both",
    }
}

choice! {
    /// Which responses are written to disk.
    Admit {
        /// All that are stored.
        Always = "always",
        /// Those that were asked for before.
        SecondAsk = "second-ask",
    }
}

choice! {
    /// What Cache-Control in a request may do.
    ClientCacheControl {
        /// What RFC 9111 says.
        Honour = "honour",
        /// Nothing.
        Ignore = "ignore",
    }
}

choice! {
    /// How a line of the access log is written.
    LogFormat {
        /// One JSON object.
        Json = "json",
        /// The combined format of Apache and nginx.
        Combined = "combined",
    }
}

choice! {
    /// From which severity on events are logged.
    LogLevel {
        /// Someone must act now.
        Error = "error",
        /// Someone should look today.
        Warn = "warn",
        /// Something changed.
        Info = "info",
        /// Single requests.
        Debug = "debug",
        /// Steps of single requests.
        Trace = "trace",
    }
}

choice! {
    /// How a zone is signed.
    Signing {
        /// Not at all.
        Off = "off",
        /// ECDSA P-256 with SHA-256 (RFC 6605).
        Ecdsa = "ecdsa",
        /// Ed25519 (RFC 8080).
        Ed25519 = "ed25519",
    }
}

choice! {
    /// A continent.
    Continent {
        /// Africa.
        Africa = "AF",
        /// Antarctica.
        Antarctica = "AN",
        /// Asia.
        Asia = "AS",
        /// Europe.
        Europe = "EU",
        /// North America.
        NorthAmerica = "NA",
        /// Oceania.
        Oceania = "OC",
        /// South America.
        SouthAmerica = "SA",
    }
}

choice! {
    /// A content coding made on the fly.
    Coding {
        /// Brotli (RFC 7932).
        Brotli = "br",
        /// Zstandard (RFC 8878).
        Zstd = "zstd",
        /// Gzip (RFC 1952).
        Gzip = "gzip",
    }
}

/// Which content codings are made on the fly, the preferred one first; none when it is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress(pub Vec<Coding>);

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// This file.
    File(PathBuf),
}

/// The name of a node or a site: fit for a header field, a log and a page as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Texts that are checked but carry no structure.
macro_rules! checked_text {
    ($( $(#[$meta:meta])* $name:ident($check:path, $problem:literal); )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Value for $name {
            fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
                let text = string(cell, cx)?;
                if !$check(text) {
                    cx.refuse(cell, format!("\"{}\" {}", printable(text), $problem));
                    return None;
                }
                Some(Self(text.to_owned()))
            }
        }
    )* };
}

checked_text! {
    /// The path of a health probe, with an optional query.
    ProbePath(is_path, "is not a path");
    /// A query parameter's name; with a `*` at its end, all that begin with it.
    QueryName(is_query_name, "is not the name of a query parameter");
    /// A language tag (RFC 5646).
    Language(is_language, "is not a language tag");
    /// A media type in lower case, or `type/*`.
    MediaType(is_media_type, "is not a media type");
    /// The name of a key that signs, or of a token.
    Word(is_word, "is not a word");
    /// A path, or with `/` at its end all that is below.
    PathPrefix(is_path_prefix, "is not a path that all servers read alike");
    /// A page's origin (RFC 6454 6.2), or `*`.
    WebOrigin(is_web_origin, "is not an origin");
    /// A country, by two upper-case letters (ISO 3166-1).
    Country(is_country, "is not a country's code");
}

fn is_path(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    text.starts_with('/') && text.len() <= PATH_BYTES_MAX && text.bytes().all(visible)
}

fn is_query_name(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'&' | b'=' | b'#');
    !text.is_empty() && text.len() <= QUERY_NAME_BYTES_MAX && name.bytes().all(plain)
}

fn is_language(text: &str) -> bool {
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let first = text.split('-').next().unwrap_or_default();
    text.len() <= LANGUAGE_BYTES_MAX
        && text.split('-').all(part)
        && first.len() >= 2
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=WORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// In the form that paths of requests are compared in: no escapes, and nothing that some servers
/// resolve and others do not.
fn is_path_prefix(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte);
    let dots = |segment: &str| matches!(segment, "." | "..");
    text.starts_with('/')
        && !text.contains("//")
        && text.len() <= PREFIX_BYTES_MAX
        && text.bytes().all(visible)
        && !text.split('/').any(dots)
}

fn is_web_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return text == "*" };
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let in_scheme = |byte: u8| lower(byte) || b"+-.".contains(&byte);
    let in_host = |byte: u8| lower(byte) || b"-._:[]".contains(&byte);
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "/",
    };
    text.len() <= ORIGIN_BYTES_MAX
        && scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(in_scheme)
        && !authority.is_empty()
        && authority.bytes().all(in_host)
        && !authority.ends_with(own_port)
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_media_type(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte)
    };
    let Some((main, sub)) = text.split_once('/') else { return false };
    let word = |part: &str| !part.is_empty() && part.bytes().all(plain);
    text.len() <= MEDIA_TYPE_BYTES_MAX && word(main) && (sub == "*" || word(sub))
}

impl Name {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Empty for Name {
    fn empty() -> Self {
        Self(String::new())
    }
}

impl Value for Name {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let text = string(cell, cx)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins || text.len() > NAME_BYTES_MAX || !text.bytes().all(plain) {
            cx.refuse(cell, format!("\"{}\" is not a name", printable(text)));
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

impl Value for LogTarget {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        match string(cell, cx)? {
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            "off" => Some(Self::Off),
            // Without a slash it may be a misspelt word: the log must not go to a file `sdtout`.
            text if !text.contains('/') => {
                let near = suggest::nearest(["stdout", "stderr", "off"].into_iter(), text);
                let near = near.map_or_else(
                    || format!("\"./{}\"", printable(text)),
                    |word| format!("{word:?}"),
                );
                cx.refuse_with(
                    cell,
                    format!("\"{}\" is not a known word", printable(text)),
                    Some(near),
                );
                None
            }
            _ => PathBuf::read(cell, cx).map(Self::File),
        }
    }
}

impl Value for Compress {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        if let Some(flag) = cell.value.get_ref().as_bool() {
            return Some(Self(if flag { Coding::ALL.to_vec() } else { Vec::new() }));
        }
        let Some(array) = cell.value.get_ref().as_array() else {
            cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
            return None;
        };
        let mut codings = Vec::new();
        for value in array.iter() {
            let cell = Cell { value, kind: &Kind::Choice(Coding::WORDS), ..*cell };
            let coding = Coding::ALL[word(&cell, cx, Coding::WORDS)?];
            if codings.contains(&coding) {
                cx.refuse(&cell, format!("{:?} is named twice", coding.word()));
                return None;
            }
            codings.push(coding);
        }
        Some(Self(codings))
    }
}
