//! Notes of uploads that are not finished, so that a later run goes on where one broke off:
//! `$XDG_STATE_HOME/selvedge/uploads/`, a file an upload. A lost note costs bytes, nothing else,
//! so nothing here fails.

use crate::client::context::below;
use crate::client::hex;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs;
use std::path::PathBuf;

/// The notes of one site at one control.
pub(super) struct Notes {
    folder: Option<PathBuf>,
    site: String,
}

impl Notes {
    pub(super) fn new(control: &str, site: &str) -> Self {
        let folder = below("XDG_STATE_HOME", ".local/state");
        let folder = folder.map(|state| state.join("selvedge").join("uploads"));
        Self { folder, site: format!("{control}\n{site}") }
    }

    /// The upload of a content that was begun.
    pub(super) fn begun(&self, sha256: &str) -> Option<String> {
        let id = fs::read_to_string(self.file(sha256)?).ok()?;
        let is_id = !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_graphic());
        is_id.then_some(id)
    }

    /// Remembers the upload of a content.
    pub(super) fn begin(&self, sha256: &str, id: &str) {
        if let (Some(folder), Some(file)) = (&self.folder, self.file(sha256)) {
            let _ = fs::create_dir_all(folder).and_then(|()| fs::write(file, id));
        }
    }

    /// Forgets it.
    pub(super) fn end(&self, sha256: &str) {
        if let Some(file) = self.file(sha256) {
            let _ = fs::remove_file(file);
        }
    }

    fn file(&self, sha256: &str) -> Option<PathBuf> {
        let name = digest(&SHA256, format!("{}\n{sha256}", self.site).as_bytes());
        Some(self.folder.as_ref()?.join(hex(name.as_ref())))
    }
}
