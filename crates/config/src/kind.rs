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
            Self::Choice(words) => f.write_str(&quoted(words, " or ")),
            Self::FlagOrWords(words) => {
                write!(f, "true, false or a list of {}", quoted(words, ", "))
            }
            Self::List { of, max } => write!(f, "a list of at most {max}, each {of}"),
            _ => f.write_str(self.fixed()),
        }
    }
}

impl Kind {
    /// What a value of a kind without bounds must be.
    const fn fixed(&self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Name => {
                "a name of at most 64 letters, digits, \"-\", \"_\" and \".\" that begins with a \
                 letter"
            }
            Self::File => "the path of a file",
            Self::Folder => "the path of a folder",
            Self::Disk => {
                "a folder and its share, such as { path = \"/var/cache/selvedge\", size = \
                 \"100GiB\" }"
            }
            Self::Address => "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:443\"",
            Self::Ip => "an IP address, such as \"192.0.2.1\" or \"2001:db8::1\"",
            Self::Network => "a network, such as \"10.0.0.0/8\", \"192.0.2.7/32\" or \"fc00::/7\"",
            Self::Url => {
                "a URL of a scheme (http, https, h2c), a host and an optional port, such as \
                 \"https://parent.example:8443\""
            }
            Self::Origin => {
                "a URL of a scheme (http, https, h2c), a host and an optional port, such as \
                 \"https://origin.example:8443\", or { url = \"…\", weight = 1 to 1000 }"
            }
            Self::RegionShare => "the name of a region, or { region = \"…\", weight = 1 to 100 }",
            Self::MediaRule => {
                "{ path = \"/live/*.bin\", kind = \"segment\", ttl = \"1h\" }, with at most one \
                 \"*\" in the path; the kind is playlist, mpd, init, segment, key or other; the \
                 ttl may be left out"
            }
            Self::Country => "a code of two letters, such as \"DE\"",
            Self::HostPattern => {
                "a host name without a port, such as \"www.shop.test\", \"*.shop.test\" for all \
                 names below, or \"*\" for any host"
            }
            Self::HostPort => "a host name with an optional port, such as \"shop.example:8080\"",
            Self::HostName => "a host name, such as \"shop.example\"",
            Self::Path => "a path that begins with \"/\", such as \"/health\"",
            Self::QueryName => {
                "the name of a query parameter, with an optional \"*\" at its end, such as \
                 \"utm_*\""
            }
            Self::Language => "a language tag, such as \"en\" or \"pt-BR\"",
            Self::MediaType => {
                "a media type in lower case, such as \"text/html\", or \"text/*\" for all of them"
            }
            Self::Word => "a word of at most 32 letters, digits, \"-\" and \"_\"",
            Self::PathPrefix => "a path such as \"/a.mp4\", or \"/live/\" for all that is below",
            Self::WebOrigin => "an origin such as \"https://player.example\", or \"*\" for any",
            Self::LogTarget => {
                "\"stdout\", \"stderr\", \"off\", or the path of a file with a \"/\" in it"
            }
            Self::HeaderRules(_) => {
                "a table of remove = [names], set = { name = \"value\" } and add = { name = \
                 \"value\" }"
            }
            Self::Duration { .. }
            | Self::Size { .. }
            | Self::Count { .. }
            | Self::Decimal { .. }
            | Self::Choice(_)
            | Self::FlagOrWords(_)
            | Self::List { .. } => "",
        }
    }
}

fn quoted(words: &[&str], separator: &str) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(separator)
}
