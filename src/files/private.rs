//! The files of ccc's own state.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::Serialize;

use super::FileKind;
use super::read::{bounded, only_regular};

/// The mode bits of a directory that let others create files in it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a directory cannot hold private files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirFault {
    /// It belongs to another user.
    #[error("belongs to another user (uid {uid})")]
    NotOurs {
        /// That user.
        uid: u32,
    },
    /// Others can create files in it.
    #[error("is open to others (mode {mode:03o})")]
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
    },
    /// It is a link.
    #[error("is a link, which ccc does not follow inside its state directory")]
    Link,
    /// It is something else.
    #[error("is not a directory")]
    NotADirectory,
}

impl DirFault {
    /// The command that corrects it.
    #[must_use]
    pub fn remedy(&self, dir: &Path) -> String {
        let dir = dir.display();
        match self {
            DirFault::NotOurs { .. } => format!("sudo chown -R \"$(id -u)\" {dir}"),
            DirFault::OpenToOthers { .. } => format!("chmod go-rwx {dir}"),
            DirFault::Link | DirFault::NotADirectory => format!("mv {dir} {dir}.old"),
        }
    }
}

impl From<DirFault> for io::Error {
    fn from(fault: DirFault) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, fault.to_string())
    }
}

fn judge(dir: &Metadata) -> Option<DirFault> {
    let mode = dir.mode() & 0o7777;
    if dir.is_symlink() {
        Some(DirFault::Link)
    } else if !dir.is_dir() {
        Some(DirFault::NotADirectory)
    } else if dir.uid() != rustix::process::geteuid().as_raw() {
        Some(DirFault::NotOurs { uid: dir.uid() })
    } else if mode & WRITABLE_BY_OTHERS != 0 {
        Some(DirFault::OpenToOthers { mode })
    } else {
        None
    }
}

/// Why the user's state cannot be kept in this directory; `None` when it can, or the directory does not exist yet. If
/// it is a link of the user, its target is checked.
///
/// # Errors
/// When it cannot be looked at.
pub fn private_dir_fault(dir: &Path) -> io::Result<Option<DirFault>> {
    judged(std::fs::metadata(dir))
}

/// As [`private_dir_fault`], for a directory inside the state directory, where no link is followed.
///
/// # Errors
/// When it cannot be looked at.
pub fn private_subdir_fault(dir: &Path) -> io::Result<Option<DirFault>> {
    judged(std::fs::symlink_metadata(dir))
}

fn judged(dir: io::Result<Metadata>) -> io::Result<Option<DirFault>> {
    match dir {
        Ok(dir) => Ok(judge(&dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a directory, and those above it, that only the user can read.
///
/// # Errors
/// When it cannot be created, or exists and is a link, belongs to another user, or is open to others.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path)?;
    match judge(&std::fs::metadata(path)?) {
        Some(fault) => Err(fault.into()),
        None => Ok(()),
    }
}

/// Opens a file of ccc's state with these flags; a new file gets mode 0600. The directory is opened and checked first,
/// and the file's name is looked up in that open directory, without following a link.
///
/// # Errors
/// When the directory or the file belongs to another user, the directory is open to others, the name is a link or no
/// regular file, or the system refuses it.
pub fn open_private(path: &Path, flags: OFlags) -> io::Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let dir = rustix::fs::open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let dir = File::from(dir);
    if let Some(fault) = judge(&dir.metadata()?) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {fault}", parent.display())));
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: File = match rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file.into(),
        // With NOFOLLOW the kernel returns LOOP for a link; some systems return MLINK or FTYPE.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::MLINK) => {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is a link, which ccc does not follow here",
            ));
        }
        // A FIFO without a reader.
        Err(rustix::io::Errno::NXIO) => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Err(error) => return Err(error.into()),
    };
    let meta = file.metadata()?;
    only_regular(meta.file_type())?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(DirFault::NotOurs { uid: meta.uid() }.into());
    }
    Ok(file)
}

/// Reads a whole file of ccc's state; `None` when it does not exist.
///
/// # Errors
/// As [`open_private`], and when it exceeds the limit of its kind.
pub fn read_private(path: &Path, kind: FileKind) -> io::Result<Option<Vec<u8>>> {
    match open_private(path, OFlags::RDONLY) {
        Ok(file) => Ok(Some(bounded(file, kind)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the private directory of `path` and replaces the JSON file in it as a whole. With `sync`, the file is on the
/// disk when this returns.
///
/// # Errors
/// When the directory is not private, or something cannot be written.
pub fn replace_json(path: &Path, value: &impl Serialize, sync: bool) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_private_dir(dir)?;
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    new.write_all(&json)?;
    if sync {
        new.as_file().sync_all()?;
    }
    new.persist(path).map(drop).map_err(|failed| failed.error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::files::SHARED_STATE;

    fn with_mode(dir: &Path, mode: u32) {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn a_new_private_directory_and_file_are_the_users_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let state = dir.path().join("a/state");
        make_private_dir(&state).expect("made");
        make_private_dir(&state).expect("there already");
        drop(open_private(&state.join("file"), OFlags::CREATE | OFlags::WRONLY).expect("made"));
        let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("file"))), (0o700, 0o600));
        assert_eq!(private_dir_fault(&state).expect("looked at"), None);
        assert_eq!(private_dir_fault(&dir.path().join("none")).expect("looked at"), None);
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("file"), "x").expect("write");
        for (mode, refused) in [(0o700, false), (0o755, false), (0o775, true), (0o702, true), (0o1777, true)] {
            with_mode(dir.path(), mode);
            let expected = refused.then_some(DirFault::OpenToOthers { mode });
            assert_eq!(private_dir_fault(dir.path()).expect("looked at"), expected, "{mode:o}");
            assert_eq!(make_private_dir(dir.path()).is_err(), refused, "{mode:o}");
            assert_eq!(read_private(&dir.path().join("file"), SHARED_STATE).is_err(), refused, "{mode:o}");
        }
        with_mode(dir.path(), 0o700);
    }

    #[test]
    fn no_link_is_followed_and_nothing_but_a_regular_file_is_opened() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("target"), "untouched").expect("write");
        symlink("target", at("link")).expect("link");
        symlink("new", at("dangling")).expect("link");
        fs::create_dir(at("directory")).expect("mkdir");
        crate::files::make_fifo(&at("fifo"));
        for name in ["link", "dangling", "directory", "fifo"] {
            let write = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC;
            assert!(open_private(&at(name), write).is_err(), "{name} was opened for writing");
            assert!(open_private(&at(name), OFlags::RDONLY).is_err(), "{name} was opened for reading");
        }
        assert_eq!(fs::read_to_string(at("target")).expect("read"), "untouched");
        assert!(!at("new").exists());
        assert!(read_private(&at("none"), SHARED_STATE).expect("no fault").is_none());
    }
}
