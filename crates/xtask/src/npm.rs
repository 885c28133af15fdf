//! Packages from npm, pinned by a lock file of the repository, installed under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;
use crate::process::{Task, fresh_folder};
use crate::say;

/// Installs what the lock file in `pinned` names into `folder`, if it is not there yet, and gives
/// the folder `node_modules`.
pub(crate) fn install(pinned: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    let modules = folder.join("node_modules");
    let lock = pinned.join("package-lock.json");
    let lock = fs::read_to_string(&lock).map_err(Failure::at(&lock))?;
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(modules.canonicalize()?);
    }
    fresh_folder(folder)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(pinned.join(name), folder.join(name))?;
    }
    say(&format!("installing from npm what {} pins", pinned.display()));
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let limit = Duration::from_secs(300);
    Task::new("npm", &arguments).folder(folder).limit(limit).output()?;
    fs::write(&stamp, lock)?;
    Ok(modules.canonicalize()?)
}
