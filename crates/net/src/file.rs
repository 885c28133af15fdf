//! Small files that are read whole: certificates, keys, tokens, configurations.
//!
//! What it must never do: read what has no end, or wait for what never comes. A name may lead to a
//! device, a pipe or something that grows, so only regular files are read, and only so much.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The bytes of a regular file.
///
/// # Errors
/// When it cannot be read, is not a regular file, or is too long.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_file_up_to(path, FILE_BYTES_MAX)
}

/// The same, of so many bytes at most.
///
/// # Errors
/// As [`read_file`].
pub fn read_file_up_to(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Asked for before it is opened: to open a pipe is to wait for someone who writes to it.
    let is_regular = path.metadata()?.is_file();
    if !is_regular {
        return Err(not_regular());
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(not_regular());
    }
    let mut bytes = Vec::new();
    if meta.len() <= bytes_max {
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    }
    if meta.len().max(bytes.len() as u64) > bytes_max {
        let detail = format!("has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, detail));
    }
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// As [`read_file`], and when it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read_file(path)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        read_file(path).expect_err("it is not read").to_string()
    }

    #[test]
    fn only_a_regular_file_of_bounded_length_is_read() {
        let name = format!("selvedge-read-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "text").expect("written");
        assert_eq!(read_text(&path).expect("read"), "text");
        std::fs::write(&path, [0xff]).expect("written");
        assert!(read_text(&path).is_err());
        let file = File::options().write(true).open(&path).expect("opened");
        file.set_len(FILE_BYTES_MAX).expect("made longer");
        assert_eq!(read_file(&path).expect("read").len() as u64, FILE_BYTES_MAX);
        file.set_len(FILE_BYTES_MAX + 1).expect("made longer");
        assert!(refused(&path).contains("has more than"));
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn what_has_no_end_or_never_comes_is_not_opened() {
        for path in ["/dev/zero", "/dev/null", "/dev/tty", "/proc"] {
            let path = Path::new(path);
            if path.exists() {
                assert!(refused(path).contains("is not a regular file"), "{}", path.display());
            }
        }
        let (reader, _writer) = io::pipe().expect("a pipe");
        let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let pipe = format!("/proc/self/fd/{number}");
        assert!(refused(Path::new(&pipe)).contains("is not a regular file"));
        assert!(read_file(Path::new("/nothing/there")).is_err());
    }
}
