//! Purges: what must not answer any more although it is stored.
//!
//! A purge is a number (its revision) and what it covers, remembered in a table. It touches no
//! object, so it takes the same time whatever is stored. Each object remembers the revision at
//! which its fetch began, each entry the one up to which it was checked; the look-up compares that
//! with the newest purge and, if it is older, asks the table before anybody sees the entry.
//!
//! ```text
//! purge -> journal (on every disk, synced) -> table -> revision rises -> answered
//! look-up -> checked >= revision: as it is
//!         -> else: url, path, prefixes, host, site, all, tags  -+- clean: checked rises
//!                                                               +- soft: stale since then
//!                                                               +- hard: dropped
//! ```
//!
//! The table is bounded. What nothing stored is older than is forgotten; when that is not enough,
//! the oldest purges become a floor: what was fetched before it must be validated before it
//! answers again. Nothing purged is ever served because something was forgotten.

mod enforce;
mod journal;
mod purges;
mod record;
mod table;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

pub(crate) use purges::{Purges, line_revision};
pub(crate) use table::Verdict;

/// What a purge covers. Hosts, paths and queries are in the normal form that keys have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// One URL: both schemes, every variant and encoded copy.
    Url {
        /// The host, with its port unless that is the scheme's.
        host: &'a str,
        /// The path.
        path: &'a str,
        /// The query as it is in the key.
        query: Option<&'a str>,
    },
    /// Every response of a site that carries a tag.
    Tag {
        /// The name of the site.
        site: &'a str,
        /// The tag, byte for byte.
        tag: &'a [u8],
    },
    /// Every URL of a host whose path begins with these bytes. Without a port: on any port.
    Prefix {
        /// The host.
        host: &'a str,
        /// What the path begins with.
        path: &'a str,
    },
    /// Every URL of a host. Without a port: on any port.
    Host(&'a str),
    /// Everything of a site, by its name.
    Site(&'a str),
    /// Everything.
    Everything,
    /// A path of a site: on all its hosts, both schemes, with any query.
    Path {
        /// The name of the site.
        site: &'a str,
        /// The path.
        path: &'a str,
    },
}

impl Scope<'_> {
    /// Which kind of purge this is.
    pub fn kind(&self) -> PurgeKind {
        match self {
            Self::Url { .. } => PurgeKind::Url,
            Self::Tag { .. } => PurgeKind::Tag,
            Self::Prefix { .. } => PurgeKind::Prefix,
            Self::Host(_) => PurgeKind::Host,
            Self::Site(_) => PurgeKind::Site,
            Self::Everything => PurgeKind::Everything,
            Self::Path { .. } => PurgeKind::Path,
        }
    }
}

/// The kinds of purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeKind {
    /// [`Scope::Url`].
    Url,
    /// [`Scope::Tag`].
    Tag,
    /// [`Scope::Prefix`].
    Prefix,
    /// [`Scope::Host`].
    Host,
    /// [`Scope::Site`].
    Site,
    /// [`Scope::Everything`].
    Everything,
    /// [`Scope::Path`].
    Path,
}

impl PurgeKind {
    /// Every kind, for tables of counters.
    pub const ALL: [Self; 7] =
        [Self::Url, Self::Tag, Self::Prefix, Self::Host, Self::Site, Self::Everything, Self::Path];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Tag => "tag",
            Self::Prefix => "prefix",
            Self::Host => "host",
            Self::Site => "site",
            Self::Everything => "everything",
            Self::Path => "path",
        }
    }
}

/// What becomes of what a purge covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// It is gone.
    Hard,
    /// It is stale from then on; its stale windows count from the purge.
    Soft,
}

/// Something to purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge<'a> {
    /// What it covers.
    pub scope: Scope<'a>,
    /// What becomes of that.
    pub strength: Strength,
}

/// Why a purge did not do all it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeError {
    /// It is in force, but no journal could be written: a restart would undo it.
    NotDurable,
}

impl PurgeError {
    /// A stable word for logs and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotDurable => "purge-not-durable",
        }
    }
}

impl fmt::Display for PurgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDurable => "the purge is in force, but no disk could take it down",
        })
    }
}

impl Error for PurgeError {}
