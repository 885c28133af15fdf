//! The log in an SQLite database of one machine: WAL, synced at every commit.
//!
//! | table | what |
//! |---|---|
//! | `meta` | the id of the log and the version of its form |
//! | `record` | a row for each revision: the record as JSON, and its lines for nodes |
//! | `audit` | who did what from where, for longer than records are kept |
//!
//! Snapshots are files beside it (`snapshot.rs`), so that writing a large one holds up nobody.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::snapshot;
use super::{Audited, Entry, Log, LogError};
use crate::random;
use crate::state::Saved;
use crate::state::record::Record;

/// The version of the tables.
const FORM: &str = "1";
/// Rows of the audit log that are kept.
const AUDIT_ROWS_MAX: u64 = 1_000_000;
/// Rows that are deleted in one transaction, so that appends between them do not wait long.
const DELETE_ROWS: u64 = 2_000;

/// A log in a folder.
pub(crate) struct SqliteLog {
    id: String,
    folder: PathBuf,
    /// Appends and deletes; held for one transaction.
    writer: Mutex<Connection>,
    /// Reads, beside the writer.
    reader: Mutex<Connection>,
    /// Locked while the process lives: two writers would each believe to be the only one.
    _lock: File,
}

impl SqliteLog {
    /// Opens the log in this folder, or begins one.
    pub(crate) fn open(folder: &Path) -> Result<Self, LogError> {
        std::fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|_| LogError::InUse)?;
        let path = folder.join("log.db");
        let writer = Connection::open(&path)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        writer.execute_batch(
            "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS record (
                 revision INTEGER PRIMARY KEY, body BLOB NOT NULL, lines BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS audit (
                 revision INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
                 address TEXT NOT NULL, request_id TEXT NOT NULL, what TEXT NOT NULL);",
        )?;
        let id = identify(&writer)?;
        let reader = Connection::open(&path)?;
        Ok(Self {
            id,
            folder: folder.to_owned(),
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            _lock: lock,
        })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes rows up to a revision, a few at a time.
    fn delete(&self, table: &str, up_to: u64) -> Result<(), LogError> {
        let statement = format!(
            "DELETE FROM {table} WHERE revision IN
                 (SELECT revision FROM {table} WHERE revision <= ?1 LIMIT ?2)"
        );
        while self.writer().execute(&statement, params![up_to, DELETE_ROWS])? > 0 {}
        Ok(())
    }
}

/// The id of the log; gives it one at first.
fn identify(writer: &Connection) -> Result<String, LogError> {
    let find = |name: &str| {
        let read = "SELECT value FROM meta WHERE name = ?1";
        writer.query_row(read, [name], |row| row.get::<_, String>(0)).optional()
    };
    let write = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
    match find("form")? {
        Some(form) if form == FORM => {}
        Some(form) => {
            let why = format!("it has form {form}, and this program knows form {FORM}");
            return Err(LogError::Broken(why));
        }
        None => {
            writer.execute(write, ["form", FORM])?;
        }
    }
    if let Some(id) = find("id")? {
        return Ok(id);
    }
    let id = random::hex::<8>();
    writer.execute(write, ["id", &id])?;
    Ok(id)
}

impl Log for SqliteLog {
    fn id(&self) -> &str {
        &self.id
    }

    fn append(&self, entries: &[Entry]) -> Result<(), LogError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        {
            let insert = "INSERT INTO record (revision, body, lines) VALUES (?1, ?2, ?3)";
            let mut insert = transaction.prepare_cached(insert)?;
            let audit = "INSERT INTO audit (revision, at_ms, who, address, request_id, what)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut audit = transaction.prepare_cached(audit)?;
            for Entry { record, lines } in entries {
                let body = serde_json::to_vec(record).map_err(broken)?;
                insert.execute(params![record.revision, body, &lines[..]])?;
                audit.execute(params![
                    record.revision,
                    record.at_ms,
                    record.by,
                    record.from,
                    record.request_id,
                    record.deed.summary()
                ])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn saved(&self) -> Result<Option<Saved>, LogError> {
        snapshot::newest(&self.folder)
    }

    fn records(&self, after: u64) -> Result<Vec<Record>, LogError> {
        let reader = self.reader();
        let read = "SELECT body FROM record WHERE revision > ?1 ORDER BY revision";
        let mut read = reader.prepare(read)?;
        let mut rows = read.query([after])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            let body = row.get_ref(0)?.as_blob().map_err(broken)?;
            records.push(serde_json::from_slice(body).map_err(broken)?);
        }
        Ok(records)
    }

    fn lines(&self, max: usize) -> Result<Vec<(u64, Bytes)>, LogError> {
        let reader = self.reader();
        let read = "SELECT revision, lines FROM record ORDER BY revision DESC LIMIT ?1";
        let mut read = reader.prepare(read)?;
        let line = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, u64>(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
        };
        let mut lines = read.query_map([max], line)?.collect::<Result<Vec<_>, _>>()?;
        lines.reverse();
        Ok(lines)
    }

    fn save(&self, revision: u64, state: &Saved, history: u64) -> Result<(), LogError> {
        snapshot::write(&self.folder, revision, state)?;
        // A snapshot can stand in for a newer one that is damaged only with all that came after.
        let oldest = snapshot::oldest(&self.folder)?.unwrap_or_default();
        self.delete("record", revision.saturating_sub(history).min(oldest))?;
        self.delete("audit", revision.saturating_sub(AUDIT_ROWS_MAX))
    }

    fn audit(&self, before: u64, max: usize) -> Result<Vec<Audited>, LogError> {
        let reader = self.reader();
        let read = "SELECT revision, at_ms, who, address, request_id, what FROM audit
                    WHERE revision < ?1 ORDER BY revision DESC LIMIT ?2";
        let mut read = reader.prepare_cached(read)?;
        let line = |row: &rusqlite::Row<'_>| {
            Ok(Audited {
                revision: row.get(0)?,
                at_ms: row.get(1)?,
                by: row.get(2)?,
                from: row.get(3)?,
                request_id: row.get(4)?,
                what: row.get(5)?,
            })
        };
        // Revisions are 64 bits here and 63 in the database.
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let lines = read.query_map(params![before, max], line)?;
        Ok(lines.collect::<Result<_, _>>()?)
    }
}

fn broken(error: impl std::fmt::Display) -> LogError {
    LogError::Broken(error.to_string())
}

impl From<rusqlite::Error> for LogError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            _ => Self::Broken(error.to_string()),
        }
    }
}
