//! The few file operations that the disk tier does, behind a trait so that tests can make them
//! fail. What is not in it (making folders, renaming) happens only when disks are opened.

use std::fmt::Debug;
use std::fs::File;
use std::io::{Error, ErrorKind, IoSliceMut, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

/// Reads and writes files at offsets. Short reads and writes are allowed, as with system calls.
pub(crate) trait Io: Debug + Send + Sync {
    /// Reads what is there.
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize>;
    /// Reads what is in the page cache. `WouldBlock` when nothing is, `Unsupported` when the file
    /// system cannot tell.
    fn read_cached(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize>;
    /// Writes what it can.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<usize>;
    /// Waits until what was written is on the medium.
    fn sync(&self, file: &File) -> Result<()>;
    /// Gives a file room of its own.
    fn allocate(&self, file: &File, bytes: u64) -> Result<()>;
    /// Deletes a file. One that is not there is no error.
    fn delete(&self, path: &Path) -> Result<()>;
}

/// The operating system's files.
#[derive(Debug)]
pub(crate) struct Files;

impl Io for Files {
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
        file.read_at(buffer, offset)
    }

    fn read_cached(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut parts = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(file, &mut parts, offset, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                Err(Error::from(ErrorKind::Unsupported))
            }
            result => Ok(result?),
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> Result<()> {
        file.sync_data()
    }

    fn allocate(&self, file: &File, bytes: u64) -> Result<()> {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP) => file.set_len(bytes),
            result => Ok(result?),
        }
    }

    fn delete(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Reads until the buffer is full or the file ends; says how much that was.
pub(crate) fn read_full(io: &dyn Io, file: &File, buffer: &mut [u8], at: u64) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match io.read_at(file, &mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes everything.
pub(crate) fn write_full(io: &dyn Io, file: &File, bytes: &[u8], at: u64) -> Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match io.write_at(file, &bytes[done..], at + done as u64) {
            Ok(0) => return Err(Error::from(ErrorKind::WriteZero)),
            Ok(written) => done += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
