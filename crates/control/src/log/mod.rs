//! The log: the one thing that must never be lost. A trait stands between it and the API, because
//! where records live (one machine, or several that agree) is nothing the API should know.

mod snapshot;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use sqlite::SqliteLog;

use crate::state::Saved;
use crate::state::record::Record;

/// A record and what nodes are told of it, as lines of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) lines: Bytes,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Audited {
    /// The revision the change made.
    pub(crate) revision: u64,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// The token it was made with: its id and name.
    pub(crate) by: String,
    /// The address it came from.
    pub(crate) from: String,
    /// The request that made it.
    pub(crate) request_id: String,
    /// What was done, in a line.
    pub(crate) what: String,
}

/// Where records are kept. One process appends; anyone may read.
pub(crate) trait Log: Send + Sync {
    /// Names this log for ever: revisions of another one mean something else.
    fn id(&self) -> &str;

    /// Appends records in their order, all or none. They are safe when this returns.
    fn append(&self, entries: &[Entry]) -> Result<(), LogError>;

    /// The newest state that was saved.
    fn saved(&self) -> Result<Option<Saved>, LogError>;

    /// Every record after a revision, in order.
    fn records(&self, after: u64) -> Result<Vec<Record>, LogError>;

    /// The lines for nodes of the records that are kept, in order, at most `max`, the newest.
    fn lines(&self, max: usize) -> Result<Vec<(u64, Bytes)>, LogError>;

    /// Saves a state, and forgets the records that it makes unnecessary but for the newest
    /// `history`.
    fn save(&self, revision: u64, state: &Saved, history: u64) -> Result<(), LogError>;

    /// Lines of the audit log, newest first, of revisions below `before`.
    fn audit(&self, before: u64, max: usize) -> Result<Vec<Audited>, LogError>;
}

/// Why the log did not do what it should.
#[derive(Debug)]
pub(crate) enum LogError {
    /// There is no room.
    Full,
    /// Another process uses it.
    InUse,
    /// It cannot be read or written; this is why.
    Broken(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("there is no room left on the disk of the log"),
            Self::InUse => f.write_str("another process uses the folder of the log"),
            Self::Broken(why) => write!(f, "the log cannot be used: {why}"),
        }
    }
}

impl std::error::Error for LogError {}

impl From<std::io::Error> for LogError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Broken(error.to_string()),
        }
    }
}
