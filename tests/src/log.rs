//! The node's output, gathered line by line in a thread, and waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// The lines of one stream of a process.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Gathers the lines of a reader until its end, in a thread.
    pub fn gather(reader: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                shared.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        lines
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for a line after the first `skip` that fits; `None` when the patience ran out.
    #[must_use]
    pub fn wait(&self, skip: usize, mut fits: impl FnMut(&str) -> bool) -> Option<String> {
        let mut at = skip;
        let mut found = None;
        crate::eventually(|| {
            let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            while at < lines.len() && found.is_none() {
                if fits(&lines[at]) {
                    found = Some(lines[at].clone());
                }
                at += 1;
            }
            found.is_some()
        });
        found
    }
}
