//! What is to be pushed: the files of a folder with their digests. Nothing outside the folder is
//! ever read, whatever links lead there.

use super::plan::Local;
use crate::client::escape;
use crate::client::fault::{Fault, Kind};
use crate::client::hex;
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most files of one push.
const FILES_MAX: usize = 1_000_000;
/// Deepest folder.
const DEPTH_MAX: usize = 64;
/// Threads that read and digest.
const THREADS_MAX: usize = 8;

/// A file found, before it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) path: String,
    bytes: u64,
}

/// What a walk came upon.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) found: Vec<Found>,
    /// Files below names that begin with a dot; they are pushed like others.
    pub(super) dotted: usize,
    /// Sockets, devices and the like.
    pub(super) odd: usize,
}

/// The files of a folder below a prefix of the site, or one file.
pub(super) fn walk(root: &Path, prefix: &str) -> Result<Walk, Fault> {
    let failed = |error: io::Error| Fault::file(root, &error);
    let meta = fs::metadata(root).map_err(failed)?;
    let mut walk = Walk::default();
    if !meta.is_dir() {
        let name = name_of(root)?;
        let path = format!("{prefix}{}", escape::path(name));
        walk.found.push(Found { file: root.to_path_buf(), path, bytes: meta.len() });
        return Ok(walk);
    }
    let real = fs::canonicalize(root).map_err(failed)?;
    walk.folder(&real, root, prefix, 0, false)?;
    walk.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk)
}

impl Walk {
    fn folder(
        &mut self,
        real_root: &Path,
        folder: &Path,
        prefix: &str,
        depth: usize,
        is_dotted: bool,
    ) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            let shown = folder.display();
            return Err(Fault::usage(format!("{shown}: more than {DEPTH_MAX} folders deep")));
        }
        let failed = |error: io::Error| Fault::file(folder, &error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let name = name_of(&file)?;
            let is_dotted = is_dotted || name.starts_with('.');
            let path = format!("{prefix}{}", escape::path(name));
            let meta = self.look(real_root, &file)?;
            if meta.is_dir() {
                self.folder(real_root, &file, &format!("{path}/"), depth + 1, is_dotted)?;
            } else if meta.is_file() {
                self.dotted += usize::from(is_dotted);
                self.found.push(Found { file, path, bytes: meta.len() });
            } else {
                self.odd += 1;
            }
            if self.found.len() > FILES_MAX {
                return Err(Fault::usage(format!("more than {FILES_MAX} files")));
            }
        }
        Ok(())
    }

    /// What a name stands for. A link may lead to what is in the folder anyway, but not out of it:
    /// that would publish what nobody meant to publish.
    fn look(&self, real_root: &Path, file: &Path) -> Result<fs::Metadata, Fault> {
        let failed = |error: io::Error| Fault::file(file, &error);
        if fs::symlink_metadata(file).map_err(failed)?.is_symlink() {
            let to = fs::canonicalize(file).map_err(failed)?;
            if !to.starts_with(real_root) {
                return Err(Fault::usage(format!(
                    "{}: the link leads out of the folder, to {}; nothing was pushed",
                    file.display(),
                    to.display()
                )));
            }
            let around = file.parent().map(fs::canonicalize).transpose().map_err(failed)?;
            if around.is_some_and(|around| around.starts_with(&to)) {
                let shown = file.display();
                return Err(Fault::usage(format!("{shown}: the link leads to a folder it is in")));
            }
        }
        fs::metadata(file).map_err(failed)
    }
}

/// The name of a file, if a URL can have it: readers disagree on what a backslash or a control
/// character in a path means, so control takes none.
fn name_of(file: &Path) -> Result<&str, Fault> {
    let shown = file.display();
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name
        .ok_or_else(|| Fault::usage(format!("{shown}: the name is not UTF-8, so it has no URL")))?;
    if name.contains(|c: char| c.is_control() || c == '\\') {
        let why = "the name has a backslash or a control character, so it has no URL";
        return Err(Fault::usage(format!("{file:?}: {why}")));
    }
    Ok(name)
}

/// Reads every file and digests it, several at a time.
pub(super) fn digest(found: Vec<Found>, read: &(dyn Fn(u64) + Sync)) -> Result<Vec<Local>, Fault> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<String, io::Error>)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(found) = found.get(index) else { return };
            let result = digest_of(&found.file, found.bytes, read);
            if result.is_err() {
                // The others need not go on.
                next.store(usize::MAX / 2, Ordering::Relaxed);
            }
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            done.push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut digests: Vec<Option<String>> = vec![None; found.len()];
    for (index, result) in done {
        let digest = result.map_err(|error| Fault::file(&found[index].file, &error))?;
        digests[index] = Some(digest);
    }
    let locals = found.into_iter().zip(digests).map(|(found, digest)| {
        let sha256 = digest.ok_or_else(|| Fault::new(Kind::Bug, "a file was not read"))?;
        Ok(Local { file: found.file, path: found.path, bytes: found.bytes, sha256 })
    });
    locals.collect()
}

fn digest_of(file: &Path, bytes: u64, read: &(dyn Fn(u64) + Sync)) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        context.update(&piece[..count]);
        total += count as u64;
        read(count as u64);
    }
    if total != bytes {
        return Err(io::Error::other("it changed while it was read; try again"));
    }
    Ok(hex(context.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_is_found_whole_with_its_digests() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a b/.git")).unwrap();
        fs::write(folder.path().join("index.html"), "abc").unwrap();
        fs::write(folder.path().join("a b/ü.txt"), "").unwrap();
        fs::write(folder.path().join("a b/.git/x"), "").unwrap();
        symlink("index.html", folder.path().join("link.html")).unwrap();
        let walk = walk(folder.path(), "/docs/").unwrap();
        assert_eq!((walk.dotted, walk.odd), (1, 0));
        let read = AtomicUsize::new(0);
        let count = |bytes: u64| {
            read.fetch_add(usize::try_from(bytes).unwrap(), Ordering::Relaxed);
        };
        let files = digest(walk.found, &count).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let expected =
            ["/docs/a%20b/%C3%BC.txt", "/docs/a%20b/.git/x", "/docs/index.html", "/docs/link.html"];
        assert_eq!(paths, expected);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(files[2].sha256, abc);
        assert_eq!((files[3].sha256.as_str(), read.into_inner()), (abc, 6));
    }

    #[test]
    fn a_link_out_of_the_folder_and_a_name_without_a_url_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "").unwrap();
        let folder = tempfile::tempdir().unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        let fault = walk(folder.path(), "/").unwrap_err();
        assert!(fault.to_string().contains("leads out of the folder"), "{fault}");
        fs::remove_file(folder.path().join("out")).unwrap();
        symlink(".", folder.path().join("loop")).unwrap();
        let fault = walk(folder.path(), "/").unwrap_err();
        assert!(fault.to_string().contains("a folder it is in"), "{fault}");
        fs::remove_file(folder.path().join("loop")).unwrap();
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        assert_eq!(walk(folder.path(), "/").unwrap_err().exit_code(), 64);
        fs::remove_file(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
        fs::write(folder.path().join("a\\b"), "").unwrap();
        assert!(walk(folder.path(), "/").unwrap_err().to_string().contains("backslash"));
        assert_eq!(walk(&folder.path().join("gone"), "/").unwrap_err().exit_code(), 66);
    }

    #[test]
    fn one_file_goes_below_the_prefix() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "x").unwrap();
        let walk = walk(&folder.path().join("a.txt"), "/img/").unwrap();
        assert_eq!(walk.found[0].path, "/img/a.txt");
    }
}
