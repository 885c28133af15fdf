//! What is done to the files of a cache while its node is down: what a failing disk, a careless
//! hand or another release leaves behind.

use super::random::Dice;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What was done.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) told: String,
    pub(super) lost: Lost,
}

/// What the node cannot know any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lost {
    /// Nothing that matters.
    Nothing,
    /// Records, and among them those that say that a record was removed.
    Removals,
    /// Purges.
    Purges,
}

impl Damage {
    /// Nothing was done, for this reason.
    pub(super) fn none(told: &str) -> Self {
        Self { told: told.to_owned(), lost: Lost::Nothing }
    }
}

/// Damages the files of one of the disks, most of the time not at all.
pub(super) fn inflict(disks: &[PathBuf], dice: &mut Dice) -> io::Result<Damage> {
    let disk = dice.pick(disks).clone();
    let files = files(&disk)?;
    let named = |end: &str| -> Vec<PathBuf> {
        files.iter().filter(|file| file.to_string_lossy().ends_with(end)).cloned().collect()
    };
    let (segments, snapshots, superblocks) =
        (named(".seg"), named("index.snapshot"), named("superblock"));
    let journals: Vec<PathBuf> = files
        .iter()
        .filter(|file| ![&segments, &snapshots, &superblocks].iter().any(|s| s.contains(file)))
        .filter(|file| !file.ends_with("lock"))
        .cloned()
        .collect();
    let of =
        |files: &[PathBuf], dice: &mut Dice| (!files.is_empty()).then(|| dice.pick(files).clone());
    let (lost, done) = match dice.below(100) {
        0..8 => (Lost::Removals, of(&segments, dice).map(|file| truncate(&file, dice))),
        8..20 => (Lost::Removals, of(&segments, dice).map(|file| flip(&file, dice))),
        20..26 => (Lost::Removals, of(&segments, dice).map(|file| delete(&file))),
        26..32 => (Lost::Nothing, of(&snapshots, dice).map(|file| delete(&file))),
        32..38 => (Lost::Nothing, of(&snapshots, dice).map(|file| flip(&file, dice))),
        38..41 => (Lost::Nothing, of(&snapshots, dice).map(|file| truncate(&file, dice))),
        41..44 => (Lost::Nothing, of(&superblocks, dice).map(|file| old_format(&file))),
        44..46 => (Lost::Nothing, of(&superblocks, dice).map(|file| flip(&file, dice))),
        46..49 => (Lost::Purges, of(&journals, dice).map(|file| flip(&file, dice))),
        49..51 => (Lost::Purges, of(&journals, dice).map(|file| truncate(&file, dice))),
        51..53 => (Lost::Nothing, Some(wipe(&disk))),
        _ => (Lost::Nothing, None),
    };
    match done.transpose()? {
        Some(told) => Ok(Damage { told, lost }),
        None => Ok(Damage::none("no damage")),
    }
}

/// All files below a folder, in order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

fn shown(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn truncate(path: &Path, dice: &mut Dice) -> io::Result<String> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = dice.below(file.metadata()?.len().max(1));
    file.set_len(length)?;
    Ok(format!("{} truncated to {length}", shown(path)))
}

/// Flips a few bits, most of them in the first part of the file, where the data is.
fn flip(path: &Path, dice: &mut Dice) -> io::Result<String> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut told = format!("{}: bits flipped at", shown(path));
    for _ in 0..1 + dice.below(6) {
        let end = 1 + dice.below(length.max(1));
        let at = dice.below(end);
        let mut byte = [0];
        file.seek(SeekFrom::Start(at))?;
        if file.read(&mut byte)? == 0 {
            continue;
        }
        byte[0] ^= 1 << dice.below(8);
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&byte)?;
        told.push_str(&format!(" {at}"));
    }
    Ok(told)
}

fn delete(path: &Path) -> io::Result<String> {
    fs::remove_file(path)?;
    Ok(format!("{} deleted", shown(path)))
}

/// Behind the magic word of eight bytes stands the version of the format.
fn old_format(path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(8))?;
    file.write_all(&[0; 4])?;
    Ok(format!("{} with an old version", shown(path)))
}

fn wipe(folder: &Path) -> io::Result<String> {
    fs::remove_dir_all(folder)?;
    fs::create_dir(folder)?;
    File::open(folder)?.sync_all()?;
    Ok(format!("{} emptied", shown(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_damage_is_done_some_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut dice = Dice::new(1);
        let mut told = String::new();
        for _ in 0..400 {
            let disk = folder.path().join("disk");
            fs::create_dir_all(disk.join("segments")).unwrap();
            for name in ["superblock", "index.snapshot", "purges", "lock", "segments/000001.seg"] {
                fs::write(disk.join(name), [7; 100]).unwrap();
            }
            told.push_str(&inflict(&[disk], &mut dice).unwrap().told);
            told.push('\n');
        }
        for part in [
            "000001.seg truncated",
            "000001.seg: bits",
            "000001.seg deleted",
            "index.snapshot deleted",
            "index.snapshot: bits",
            "superblock with an old version",
            "superblock: bits",
            "purges: bits",
            "purges truncated",
            "disk emptied",
            "no damage",
        ] {
            assert!(told.contains(part), "{part}");
        }
        assert!(!told.lines().any(|line| line.starts_with("lock")));
    }
}
