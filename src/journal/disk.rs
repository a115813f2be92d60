//! The file system as far as a run's directory needs it. A trait, so that tests can use one that loses unsynced data at a
//! simulated power cut.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::files::{make_private_dir, open_private};

/// A file system.
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory that only the user may look into.
    ///
    /// # Errors
    /// Whatever the disk says; `AlreadyExists` when it is there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory, and those above it, unless they are there.
    ///
    /// # Errors
    /// Whatever the disk says, and when one is there that is not only the user's.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;

    /// Opens a file for appending, and makes it (mode 0600) when it is not there.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a file (mode 0600) with these bytes, in the place of one of that name.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in the place of one of that name.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until a file's content, or a directory's names, have reached the disk.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn sync(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for appending.
pub trait DiskFile: Debug + Send + Sync {
    /// Appends some of `bytes`; like `write(2)`, it may take fewer.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Waits until its content has reached the disk.
    ///
    /// # Errors
    /// Whatever the disk says; `NotFound` when the file has no name any more.
    fn sync(&self) -> io::Result<()>;
}

/// Replaces a file as a whole, so that also after a power cut the old one or the new one is there.
///
/// # Errors
/// Whatever the disk says; the old one is still there, or the new one is and may not survive a power cut.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let next = path.with_file_name(format!(".{name}.next"));
    disk.write(&next, bytes)?;
    disk.sync(&next)?;
    disk.rename(&next, path)?;
    disk.sync(path.parent().unwrap_or(Path::new(".")))
}

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        make_private_dir(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = open_private(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
        Ok(Box::new(SystemFile(file)))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Of a new file: one that somebody else put there, a link above all, is not written to.
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut file = open_private(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        file.write_all(bytes).inspect_err(|_| drop(fs::remove_file(path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        Ok(rustix::fs::fsync(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)?)
    }
}

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.0.set_len(len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()?;
        if self.0.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the journal was deleted during the run"));
        }
        Ok(())
    }
}
