//! What a value must be, in words: for messages and for the documentation.

use std::fmt;

use crate::key::Kind;
use crate::units::{duration_units, size_units};

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration { min, max } => write!(
                f,
                "a duration from \"{min}\" to \"{max}\", with a unit ({})",
                duration_units()
            ),
            Self::Size { min, max } => {
                write!(f, "a size from \"{min}\" to \"{max}\", with a unit ({})", size_units())
            }
            Self::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Decimal { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Flag => f.write_str("true or false"),
            Self::Name => f.write_str(
                "a name of at most 64 letters, digits, \"-\", \"_\" and \".\" that begins with a \
                 letter",
            ),
            Self::File => f.write_str("the path of a file"),
            Self::Folder => f.write_str("the path of a folder"),
            Self::Disk => f.write_str(
                "a folder and its share, such as { path = \"/var/cache/selvedge\", size = \
                 \"100GiB\" }",
            ),
            Self::Choice(words) => f.write_str(&quoted(words, " or ")),
            Self::FlagOrWords(words) => {
                write!(f, "true, false or a list of {}", quoted(words, ", "))
            }
            Self::Address => {
                f.write_str("an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:443\"")
            }
            Self::Network => {
                f.write_str("a network, such as \"10.0.0.0/8\", \"192.0.2.7/32\" or \"fc00::/7\"")
            }
            Self::Url => f.write_str(
                "a URL of a scheme (http, https, h2c), a host and an optional port, such as \
                 \"https://parent.example:8443\"",
            ),
            Self::Origin => f.write_str(
                "a URL of a scheme (http, https, h2c), a host and an optional port, such as \
                 \"https://origin.example:8443\", or { url = \"…\", weight = 1 to 1000 }",
            ),
            Self::HostPattern => f.write_str(
                "a host name without a port, such as \"www.shop.test\", \"*.shop.test\" for all \
                 names below, or \"*\" for any host",
            ),
            Self::HostPort => {
                f.write_str("a host name with an optional port, such as \"shop.example:8080\"")
            }
            Self::HostName => f.write_str("a host name, such as \"shop.example\""),
            Self::Path => f.write_str("a path that begins with \"/\", such as \"/health\""),
            Self::QueryName => f.write_str(
                "the name of a query parameter, with an optional \"*\" at its end, such as \
                 \"utm_*\"",
            ),
            Self::Language => f.write_str("a language tag, such as \"en\" or \"pt-BR\""),
            Self::MediaType => f.write_str(
                "a media type in lower case, such as \"text/html\", or \"text/*\" for all of them",
            ),
            Self::LogTarget => f.write_str(
                "\"stdout\", \"stderr\", \"off\", or the path of a file with a \"/\" in it",
            ),
            Self::HeaderRules(_) => f.write_str(
                "a table of remove = [names], set = { name = \"value\" } and add = { name = \
                 \"value\" }",
            ),
            Self::List { of, max } => write!(f, "a list of at most {max}, each {of}"),
        }
    }
}

fn quoted(words: &[&str], separator: &str) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(separator)
}
