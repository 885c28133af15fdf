//! Snapshots: the state at a revision, in a file of its own beside the log.
//!
//! ```text
//! snapshot-REVISION.json:   SHA-256 in hexadecimal digits, a line end, the state as JSON
//! ```
//! A file is written beside its name, synced, and renamed; one that does not have its digest is
//! never used. The last two are kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::LogError;
use crate::state::Saved;
use crate::state::digest::Digest;

const KEPT: usize = 2;
const BEFORE: &str = "snapshot-";
const AFTER: &str = ".json";

/// Writes a snapshot, and removes the oldest.
pub(super) fn write(folder: &Path, revision: u64, state: &Saved) -> Result<(), LogError> {
    let text = serde_json::to_vec(state).map_err(|it| LogError::Broken(it.to_string()))?;
    let beside = folder.join("snapshot.new");
    let mut file = File::create(&beside)?;
    writeln!(file, "{}", Digest::of(&text))?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(format!("{BEFORE}{revision}{AFTER}")))?;
    File::open(folder)?.sync_all()?;
    for (_, old) in all(folder)?.into_iter().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(())
}

/// The revision of the oldest snapshot that is kept.
pub(super) fn oldest(folder: &Path) -> Result<Option<u64>, LogError> {
    Ok(all(folder)?.last().map(|(revision, _)| *revision))
}

/// The newest snapshot that is whole.
pub(super) fn newest(folder: &Path) -> Result<Option<Saved>, LogError> {
    for (_, path) in all(folder)? {
        match read(&path)? {
            Some(saved) => return Ok(Some(saved)),
            None => tracing::error!("{}: is damaged, an older one is used", path.display()),
        }
    }
    Ok(None)
}

fn read(path: &Path) -> io::Result<Option<Saved>> {
    let bytes = fs::read(path)?;
    let Some((digest, text)) = bytes.split_at_checked(64) else { return Ok(None) };
    let digest = str::from_utf8(digest).ok().and_then(|digits| digits.parse::<Digest>().ok());
    let Some(text) = text.strip_prefix(b"\n") else { return Ok(None) };
    if digest != Some(Digest::of(text)) {
        return Ok(None);
    }
    Ok(serde_json::from_slice(text).ok())
}

/// All snapshots, newest first.
fn all(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}
