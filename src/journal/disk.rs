//! The part of the file system that a run's directory needs. It is a trait, so that tests can lose unsynced data in a
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
    /// Creates a directory that only the user can read.
    ///
    /// # Errors
    /// The disk's error; `AlreadyExists` when it exists.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents, unless they exist.
    ///
    /// # Errors
    /// The disk's error, or when an existing directory is open to others.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;

    /// Opens a file for appending, and creates it (mode 0600) if it does not exist.
    ///
    /// # Errors
    /// The disk's error.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file (mode 0600) with these bytes; replaces an existing one.
    ///
    /// # Errors
    /// The disk's error.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Renames a file; replaces an existing one.
    ///
    /// # Errors
    /// The disk's error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until a file's content, or a directory's names, have reached the disk.
    ///
    /// # Errors
    /// The disk's error.
    fn sync(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for appending.
pub trait DiskFile: Debug + Send + Sync {
    /// Appends some of `bytes`; like `write(2)`, it may write fewer.
    ///
    /// # Errors
    /// The disk's error.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// The disk's error.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Waits until its content has reached the disk.
    ///
    /// # Errors
    /// The disk's error; `NotFound` when the file was deleted.
    fn sync(&self) -> io::Result<()>;
}

/// Replaces a file atomically: the old or the new one exists, even after a power cut.
///
/// # Errors
/// The disk's error. Then either the old file still exists, or the new one exists but may not survive a power cut.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let next = path.with_file_name(format!(".{name}.next"));
    disk.write(&next, bytes)?;
    disk.sync(&next)?;
    disk.rename(&next, path)?;
    disk.sync(path.parent().unwrap_or(Path::new(".")))
}

/// The machine's file system.
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
        // The file must be new, so that ccc never writes to a file, or through a link, that another process created.
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

/// The error of a sync of a file that has no name any more.
pub(crate) const JOURNAL_DELETED: &str = "the journal was deleted during the run";

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
            return Err(io::Error::new(io::ErrorKind::NotFound, JOURNAL_DELETED));
        }
        Ok(())
    }
}
