//! One line of the stream.

use serde::{Deserialize, Serialize};

use crate::news::News;

/// Bytes of a line at most. Whoever writes splits what is longer into several lines of a revision.
pub const LINE_BYTES_MAX: usize = 4 << 20;

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Hello {
        /// Names the log. Revisions of another log mean nothing here.
        log: String,
        /// The newest revision when the stream began.
        head: u64,
        /// Everything follows, and replaces what the node knows; else only what is newer.
        whole: bool,
        /// Purges that the node has not seen may be missing from what follows: it must take
        /// everything it has stored for purged.
        missed_purges: bool,
    },
    /// A change, or a part of one.
    News {
        /// Which revision it belongs to.
        revision: u64,
        /// More lines of this revision follow.
        #[serde(default, skip_serializing_if = "is_false")]
        more: bool,
        /// What is new. A revision that concerns no node has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        news: Option<News>,
    },
    /// Everything up to this revision has been sent.
    Heartbeat {
        /// The newest revision.
        head: u64,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Line {
    /// Appends the line and its end.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Writing to memory fails for nothing that these types can hold.
        let written = serde_json::to_writer(&mut *out, self);
        debug_assert!(written.is_ok(), "a line is plain data");
        out.push(b'\n');
    }

    /// Reads a line without its end.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }
}
