//! The access log: one line per finished request, never in the way of one.
//!
//! ```text
//!   worker --format--> its own buffer --+
//!   worker --format--> its own buffer --+--> writer thread --write--> file, stdout or stderr
//! ```
//! A worker writes its line straight into the buffer of its core (a lock that is free but for the
//! moment when the writer swaps the buffer for an empty one). The writer comes when a buffer is
//! large, and every 200 ms. The buffers together never hold more than `queue_bytes`: what does not
//! fit is dropped and counted. A full disk loses lines and nothing else.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::counters::{shard_count, thread_index};
use crate::escape;
use crate::record::{self, Record};
use crate::telemetry::Telemetry;
use crate::writer::{Sink, Writer};

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// No access log.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, opened for appending; [`AccessLog::reopen`] opens it again after a rotation.
    File(PathBuf),
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// The combined format of Apache and nginx.
    Combined,
}

/// How the access log is kept.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// Where lines go.
    pub target: LogTarget,
    /// What a line looks like.
    pub format: LogFormat,
    /// Upper bound of the lines waiting to be written, in bytes.
    pub queue_bytes: usize,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self { target: LogTarget::Stdout, format: LogFormat::Json, queue_bytes: 8 << 20 }
    }
}

/// The access log of a process.
#[derive(Debug)]
pub struct AccessLog {
    settings: AccessSettings,
    node_escaped: Vec<u8>,
    buffers: Arc<Buffers>,
    telemetry: Arc<Telemetry>,
    /// None when the log is off.
    writer: Option<Writer>,
}

/// The buffers of all cores.
#[derive(Debug)]
pub(crate) struct Buffers {
    shards: Box<[Mutex<Vec<u8>>]>,
    /// How much one buffer may hold.
    shard_bytes_max: usize,
}

/// A buffer larger than this wakes the writer.
const FLUSH_BYTES: usize = 32 * 1024;
/// A line waits at most about this long.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

impl AccessLog {
    /// Opens the target and starts the writer thread.
    pub fn open(settings: AccessSettings, telemetry: &Arc<Telemetry>) -> io::Result<Arc<Self>> {
        let sink = match &settings.target {
            LogTarget::Off => None,
            LogTarget::Stdout => Some(Sink::Stdout),
            LogTarget::Stderr => Some(Sink::Stderr),
            LogTarget::File(path) => Some(Sink::File(append_to(path)?)),
        };
        Self::start(settings, telemetry, sink)
    }

    fn start(
        settings: AccessSettings,
        telemetry: &Arc<Telemetry>,
        sink: Option<Sink>,
    ) -> io::Result<Arc<Self>> {
        let shards = shard_count();
        let buffers = Arc::new(Buffers {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_bytes_max: settings.queue_bytes / shards,
        });
        let start = |sink| Writer::start(sink, Arc::clone(&buffers), Arc::clone(telemetry));
        let writer = sink.map(start).transpose()?;
        let mut node_escaped = Vec::new();
        escape::json(&mut node_escaped, telemetry.node_name().as_bytes());
        Ok(Arc::new(Self {
            settings,
            node_escaped,
            buffers,
            telemetry: Arc::clone(telemetry),
            writer,
        }))
    }

    /// Whether lines are wanted: ask before gathering a [`Record`].
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Adds the line of a finished request. Never blocks on the target.
    pub fn record(&self, record: &Record<'_>) {
        self.line(|buffer| match self.settings.format {
            LogFormat::Json => record::write_json(buffer, &self.node_escaped, record),
            LogFormat::Combined => record::write_combined(buffer, record),
        });
    }

    /// Adds a line of another kind, which `write` appends whole. Never blocks on the target.
    pub fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(writer) = &self.writer else { return };
        let shard = &self.buffers.shards[thread_index() % self.buffers.shards.len()];
        let mut buffer = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = buffer.len();
        write(&mut buffer);
        if buffer.len() > self.buffers.shard_bytes_max {
            buffer.truncate(before);
            drop(buffer);
            self.telemetry.node().access_log_dropped.inc();
            return;
        }
        let crossed = before < FLUSH_BYTES && buffer.len() >= FLUSH_BYTES;
        drop(buffer);
        self.telemetry.node().access_log_lines.inc();
        if crossed {
            writer.wake();
        }
    }

    /// Writes what was recorded before the call, waiting at most `limit`. False: time ran out.
    pub fn flush(&self, limit: Duration) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.flush(limit))
    }

    /// Opens the file again, after a rotation moved it away. On an error the old one stays open.
    pub fn reopen(&self) -> io::Result<()> {
        if let (LogTarget::File(path), Some(writer)) = (&self.settings.target, &self.writer) {
            writer.replace(Sink::File(append_to(path)?));
        }
        Ok(())
    }
}

impl Buffers {
    /// Swaps each buffer that holds lines for an empty one and gives it to `each`. The memory of
    /// `spare` and of the buffers goes round.
    pub(crate) fn take_each(&self, spare: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
        for shard in &self.shards {
            {
                let mut buffer = shard.lock().unwrap_or_else(PoisonError::into_inner);
                if buffer.is_empty() {
                    continue;
                }
                std::mem::swap(&mut *buffer, spare);
            }
            each(spare);
            spare.clear();
            spare.shrink_to(FLUSH_BYTES * 2);
        }
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
